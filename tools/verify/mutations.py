"""Campaign: single changes of the instruction table; the instruction and timing tests must notice each.

A mutant is one changed bit, operand, sign, width, operator, comparison, constant, rounding, mask rule, lane count or
latency of one row. It is made in a process of its own, where its native code replaces the original's and the tests run
in order until one fails. A change that leaves the optimised native code as it was is no mutant, and another is drawn.
A run that hangs or crashes counts as caught. Not changed: functions of more than 48 handlers, the machine around the
table, and what changes nothing by the rules of mutants.py and mutants.toml; the report counts each. The encodings of
Xmtia are stated by the manual alone, with which the table is compared. Needs a checkout, for its `tests` folder.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import mtia.tools
from mtia.isa import asm, decode
from mtia.isa.errors import UserError
from mtia.isa.lang import Library
from mtia.isa.lang.llvm_emitter import module_text
from mtia.isa.lang.objects import Part, compile_text
from mtia.tools.verify import riscv
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.mutant_trees import reached
from mtia.tools.verify.mutants import KINDS, Mutant, draw, population, roots

__all__ = ["SIZE", "TESTS", "add_arguments", "in_child", "load_all", "run"]

SIZE = 200
# The instruction and timing tests: what they notice is what is measured. The order is that of the search.
TESTS = {
    "encoding": ("test_table", "test_riscv", "test_asm", "test_riscv_llvm", "test_xmtia"),
    "hart": (
        "test_riscv_each", "test_verify_riscv", "test_verify_exact", "test_hart_vector", "test_hart_scalar",
        "test_hart_memory", "test_hart_numpy", "test_riscv_reserved", "test_riscv_state", "test_atomics",
    ),
    "unit": ("test_xmtia_campaign", "test_xmtia_commands", "test_xmtia_accuracy", "test_xmtia"),
    "timing": (
        "test_timing_harts", "test_timing_clocks", "test_timing_units", "test_timing_memory", "test_timing_network",
        "test_timing_policies",
    ),
}  # fmt: skip
_EQUIVALENT, _IMPOSSIBLE, _PASSED = 50, 51, 0
_LIMIT, _LATEST = 120, 1200  # seconds of computing, and by the clock, after which a run counts as one that hangs


@dataclass
class Outcome:
    """What became of a mutant: `caught`, `survived`, `equivalent` or `impossible`; by which test; seconds."""

    mutant: Mutant
    verdict: str
    by: str
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The campaign's own options."""
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with the N-th mutant of the seed (0)")
    parser.add_argument("--kind", default="", choices=("", *KINDS), help="only this kind of change")


def run(seed: int, size: int, progress: Progress, first: int = 0, kind: str = "") -> Report:
    """Make the mutants `first` to `first + size - 1`, run the tests on each and report those that survive."""
    folder = _tests()
    load_all(folder)
    report = Report("mutations", seed, size)
    control = in_child(None, _order(folder, "hart", "bit"))
    if control.verdict != "survived":
        raise UserError(f"the tests fail without a mutant: {control.by}")
    report.counts["seconds of all tests"] = round(control.seconds, 1)
    outcomes = []
    for number in range(first, first + size):
        progress(number - first, size)
        outcome = _judge(seed, number, kind or KINDS[number % len(KINDS)], folder, report)
        mutant = outcome.mutant
        what = f"{number}: {mutant.kind} of {mutant.row}, {mutant.text}: {outcome.verdict}"
        report.notes.append(f"{what} in {outcome.seconds:.0f} s, {outcome.by}")
        print(report.notes[-1], file=sys.stderr, flush=True)  # a campaign takes an hour
        outcomes.append(outcome)
    _summarise(report, outcomes)
    report.notes += [f"population: {count:,} {what}" for what, count in population().most_common()]
    return report


def _judge(seed: int, number: int, kind: str, folder: Path, report: Report) -> Outcome:
    """The outcome of the `number`-th mutant; draws again while a change changes nothing or cannot be made."""
    for attempt in range(50):
        mutant = draw(kind, random.Random(f"{seed} {number} {attempt}"))
        outcome = in_child(mutant, _order(folder, _unit(mutant), mutant.kind))
        if outcome.verdict in ("caught", "survived"):
            if outcome.verdict == "survived":
                report.failures.append(f"{number}: {mutant.kind} of {mutant.row}, {mutant.text}")
            return outcome
        why = "changes without effect" if outcome.verdict == "equivalent" else "changes that cannot be made"
        report.counts[why] = report.counts.get(why, 0) + 1
    raise UserError(f"no change of kind {kind} has an effect")


def _summarise(report: Report, outcomes: list[Outcome]) -> None:
    caught = [outcome for outcome in outcomes if outcome.verdict == "caught"]
    report.counts |= {"mutants": len(outcomes), "caught": len(caught)}
    report.counts["caught, percent"] = round(100 * len(caught) / max(len(outcomes), 1), 1)
    for kind in KINDS:
        own = [outcome for outcome in outcomes if outcome.mutant.kind == kind]
        if own:
            report.counts[f"{kind}: caught of {len(own)}"] = sum(outcome.verdict == "caught" for outcome in own)


def _tests() -> Path:
    folder = Path(next(iter(mtia.tools.__path__))).resolve().parent / "tests" / "unit"
    if not folder.is_dir():
        raise UserError(f"the campaign runs the project's own tests and needs a checkout; there is no {folder}")
    return folder


def _unit(mutant: Mutant) -> str:
    return "unit" if mutant.row.startswith("xm.") else "hart"


def _order(folder: Path, unit: str, kind: str) -> list[str]:
    """The test files that can notice a change, the likeliest first: others would only cost time."""
    first = {"bit": "encoding", "operand": "encoding", "latency": "timing"}.get(kind)
    names = dict.fromkeys((*TESTS.get(first or unit, ()), *TESTS[unit]))
    return [str(folder / f"{name}.py") for name in names]


def load_all(folder: Path) -> None:
    """Load what every child needs, so that a child starts at once; the reference must not have run here."""
    import pytest  # noqa: F401
    from mtia.runtime.machine import library

    sys.path.insert(0, str(folder))
    library.prepare()
    roots()


def in_child(mutant: Mutant | None, files: list[str]) -> Outcome:
    """Run the tests in a forked process, with the mutant made there."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os._exit(_child(mutant, files))
        code = _wait(child)
        output.seek(0)
        text = output.read().decode(errors="replace")
    seconds = time.monotonic() - start
    known = {_EQUIVALENT: "equivalent", _IMPOSSIBLE: "impossible", _PASSED: "survived"}
    verdict = known.get(code, "caught")
    failed = [line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))]
    by = failed[0] if failed else f"exit code {code}" if code > 0 else f"signal {-code}"
    return Outcome(mutant or Mutant("none", "", "", lambda: None), verdict, by, seconds)


def _wait(child: int) -> int:
    """The exit code of a child, or minus the signal that ended it; kills one that hangs."""
    deadline = time.monotonic() + _LATEST
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class _First(list[str]):
    """Failures of a campaign, of which the first to be added ends it, with the test that runs it."""

    def append(self, failure: str) -> None:
        raise AssertionError(failure)

    def __iadd__(self, failures: Iterable[str]) -> Self:  # type: ignore[misc, override]
        for failure in failures:
            self.append(failure)
        return self


def _end_at_first() -> None:
    """Let campaigns that tests run end at the first failure: one is enough, and need not be made small."""
    made = Report.__init__

    def make(report: Report, *args: Any, **named: Any) -> None:
        made(report, *args, **named)
        report.failures = _First()

    Report.__init__ = make  # type: ignore[method-assign, assignment]
    riscv.explain = lambda program: str(program.seed)


def _child(mutant: Mutant | None, files: list[str]) -> int:
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (_LIMIT, _LIMIT))
    _end_at_first()
    try:
        if mutant is not None and not _make(mutant):
            return _EQUIVALENT
    except Exception:
        traceback.print_exc()  # no test has noticed anything
        return _IMPOSSIBLE
    # Tests that plant faults of their own say nothing about this one.
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "-k", "not is_found"]
    for file in files:  # one after the other: most mutants end at the first, and the others need not be collected
        code = int(pytest.main([*options, file]))
        if code != _PASSED:
            return code
    return _PASSED


def _make(mutant: Mutant) -> bool:
    """Change the table, and put the new native code in the old one's place; False when the code stays the same."""
    names = {
        name: function
        for functions in roots().values()
        for name, function in functions.items()
        if mutant.changed & reached(function).keys()
    }
    before = compile_text(module_text(names), quick=True) if names else b""
    Library.keeps = False  # what is on disk belongs to the unchanged table
    mutant.apply()
    if not names:
        for module in (decode, asm):
            for thing in vars(module).values():
                if hasattr(thing, "cache_clear"):
                    thing.cache_clear()
        return True
    after = compile_text(module_text(names), quick=True)
    if before == after:
        return False
    made = Library(lambda: names, Path(), lambda _: "all", True, None)
    made.add("all", Part(dict.fromkeys(names, ""), after))
    for library in [thing for thing in gc.get_objects() if isinstance(thing, Library)]:
        _replace(library, made)
    _keep.append(made)
    return True


_keep: list[Any] = []  # native code must outlive its addresses


def _replace(library: Library, made: Library) -> None:
    """Let a library answer with the new functions' addresses."""
    short = {f"m.{name.removeprefix('meaning of ')}": name for name in made.addresses if name.startswith("meaning of ")}
    short |= {f"t.{name.removeprefix('timing of ')}": name for name in made.addresses if name.startswith("timing of ")}
    for name in library.addresses:
        new = made.addresses.get(short.get(name, name))
        if new is not None:
            library.addresses[name] = new
