"""The search: rank a space by the cost model, measure a few, follow what was learnt."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mtia.compiler.tune.space import Config

__all__ = ["Candidate", "Tuned", "search"]


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


def _next(tuned: Tuned, waiting: Sequence[Candidate]) -> Candidate:
    """The waiting candidate with the best corrected estimate.

    The estimate of a candidate is corrected by how wrong the model was on the measured ones that are nearest to it.
    """
    done = [candidate for candidate in tuned.measured if candidate.cycles is not None]
    if not done:
        return waiting[0]

    def corrected(candidate: Candidate) -> float:
        nearest = min(_distance(candidate.config, other.config) for other in done)
        errors = [
            (other.cycles or 0.0) / max(other.estimate, 1.0)
            for other in done
            if _distance(candidate.config, other.config) == nearest
        ]
        return candidate.estimate * statistics.fmean(errors)

    return min(waiting, key=corrected)


def search(candidates: Sequence[Candidate], measure: Callable[[Config], float], runs: int = 8) -> Tuned:
    """Measure at most `runs` candidates, the model's first choice first.

    `measure` returns cycles, or raises ValueError with the reason why a configuration cannot run; such a try counts.
    """
    tuned = Tuned(sorted(candidates, key=lambda candidate: candidate.estimate))
    waiting = list(tuned.candidates)
    while waiting and len(tuned.measured) < runs:
        candidate = _next(tuned, waiting)
        waiting.remove(candidate)
        try:
            candidate.cycles = measure(candidate.config)
        except ValueError as refused:
            candidate.error = str(refused)
        tuned.measured.append(candidate)
    return tuned
