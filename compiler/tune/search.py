"""The search: rank a space by the cost model, measure the best of several kinds, then the options around the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mtia.compiler.tune.space import Config

__all__ = ["Candidate", "Tuned", "search"]

PROMISING = 1.3  # estimates up to this much above the best one are tried
REFINING = 3  # runs kept for the options around the best
EQUAL = 0.01  # estimates that differ by less say the same


@dataclass
class Candidate:
    """A valid configuration with what the cost model says of it, and its cycles once measured."""

    config: Config
    estimate: float
    bound: str
    cycles: float | None = None
    error: str | None = None


@dataclass
class Tuned:
    """The outcome: all candidates, best estimate first, and the order in which they were measured."""

    candidates: list[Candidate]
    measured: list[Candidate] = field(default_factory=list)

    @property
    def best(self) -> Candidate | None:
        """The fastest measured candidate."""
        done = [candidate for candidate in self.measured if candidate.cycles is not None]
        return min(done, key=lambda candidate: candidate.cycles or 0.0) if done else None


def _distance(one: Config, other: Config) -> int:
    """How many axes differ."""
    mine, theirs = (*one.constants, *one.options), (*other.constants, *other.options)
    return sum(a != b for a, b in zip(mine, theirs, strict=True))


def _next(tuned: Tuned, waiting: Sequence[Candidate], left: int) -> Candidate:
    """The candidate to measure next.

    First the best estimate of each choice of constexprs, as long as it is promising and `left` leaves runs for the
    rest: then the options around the best so far, of equal estimates the one least like what is measured.
    """
    best = tuned.best
    if best is None:
        return waiting[0]
    tried = {candidate.config.constants for candidate in tuned.measured}
    limit = PROMISING * tuned.candidates[0].estimate
    fresh = [c for c in waiting if c.config.constants not in tried and c.estimate <= limit]
    around = [c for c in waiting if c.config.constants == best.config.constants]
    if fresh and (left > REFINING or not around):
        return fresh[0]

    def order(candidate: Candidate) -> tuple[int, int]:
        like = min(_distance(candidate.config, other.config) for other in tuned.measured)
        return round(candidate.estimate / max(1.0, best.estimate) / EQUAL), -like

    return min(around or waiting, key=order)


def search(candidates: Sequence[Candidate], measure: Callable[[Config], float], runs: int = 8) -> Tuned:
    """Measure at most `runs` candidates, the model's first choice first.

    `measure` returns cycles, or raises ValueError with the reason why a configuration cannot run; such a try counts.
    """
    tuned = Tuned(sorted(candidates, key=lambda candidate: candidate.estimate))
    waiting = list(tuned.candidates)
    while waiting and len(tuned.measured) < runs:
        candidate = _next(tuned, waiting, runs - len(tuned.measured))
        waiting.remove(candidate)
        try:
            candidate.cycles = measure(candidate.config)
        except ValueError as refused:
            candidate.error = str(refused)
        tuned.measured.append(candidate)
    return tuned
