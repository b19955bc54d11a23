"""Campaign: random RISC-V programs on our harts and on qemu-riscv64; every register and memory byte is compared.

A program executes about 10,000 instructions of every extension that qemu 7.2 knows, as the instruction table lists
them. It writes its scratch memory and, at checkpoints and at its end, all of x, f, v, vl, vtype, vstart, vcsr and fcsr.
Half of the programs never look at the exception flags, so that the harts' fast paths run. A program that differs is
shrunk and printed as assembly.
"""

from __future__ import annotations

import argparse
from collections import Counter

from mtia.isa.errors import UserError

from ..common import Progress, Report
from . import each as edges
from . import execute
from . import traps as single
from .generate import Generator
from .program import Program, build, executed
from .quirks import QUIRKS
from .rows import left_out
from .shrink import listing, shrink

__all__ = ["SIZE", "add_arguments", "run"]

SIZE = 20000
_BATCH = 4  # programs of one executable: starting qemu costs as much as a program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The campaign's own options."""
    parser.add_argument("--instructions", type=int, default=10000, help="about how many a program executes (10000)")
    parser.add_argument(
        "--reference", action="store_true", help="run the Python reference too: bits and cycles equal to native code's"
    )
    parser.add_argument(
        "--traps", action="store_true", help="instead: single instructions, mostly wrong ones; SIZE of them"
    )
    parser.add_argument(
        "--each", action="store_true", help="instead: each instruction with each element width, on operands at edges"
    )
    parser.add_argument("--failures", type=int, default=10, help="end the campaign after so many differences (10)")
    parser.add_argument("--all-rows", action="store_true", help="list the least executed rows and those left out")


def run(
    seed: int,
    size: int,
    progress: Progress,
    instructions: int = 10000,
    reference: bool = False,
    failures: int = 10,
    all_rows: bool = False,
    traps: bool = False,
    each: bool = False,
) -> Report:
    """Run programs `0` to `size - 1` of a seed; with `traps` so many single instructions; with `each` every row."""
    if instructions < 1:
        raise UserError(f"--instructions is {instructions}, must be at least 1")
    if execute.QEMU is None:
        raise UserError("qemu-riscv64 is not installed (Debian: qemu-user)")
    if traps:
        return single.run(seed, size, progress)
    if each:
        return edges.run(seed, progress)
    report = Report("riscv", seed, size)
    tally = _Tally()
    generator = Generator(seed)
    for first in range(0, size, _BATCH):
        numbers = range(first, min(first + _BATCH, size))
        programs = [generator.program(n, first // _BATCH % 2 == 1, instructions) for n in numbers]
        for program in programs:
            tally.note(program)
        report.failures += _batch(programs, tally, reference, failures - len(report.failures))
        progress(numbers.stop, size)
        if len(report.failures) >= failures:
            report.notes.append(f"stopped after {numbers.stop} programs")
            break
    tally.write(report, generator.skipped, all_rows)
    return report


class _Tally:
    """What has been executed."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.programs = self.instructions = self.referenced = 0

    def note(self, program: Program) -> None:
        for row, times in executed(program.nodes):
            self.rows[row.name] += times
        self.programs += 1

    def write(self, report: Report, skipped: Counter[str], all_rows: bool) -> None:
        rows = sorted(self.rows.items(), key=lambda item: item[1])
        report.counts = {
            "programs": self.programs, "instructions": self.instructions, "rows executed": len(rows),
            "rows left out": len(left_out()),
        }  # fmt: skip
        for least in (10, 100, 1000):
            report.counts[f"rows executed {least}+ times"] = sum(count >= least for _, count in rows)
        if self.referenced:
            report.counts["programs also on the reference"] = self.referenced
        for quirk in QUIRKS:
            times = f"{skipped[quirk.name]:,} times" if quirk.case != "always" else "always"
            report.notes.append(f"left out {times}: {quirk.name}: qemu {quirk.text} ({quirk.commit})")
        if all_rows:
            report.notes += [f"{name} executed {count} times" for name, count in rows[:40]]
            report.notes += [f"{name} left out: {reason}" for name, reason in left_out().items()]


def _batch(programs: list[Program], tally: _Tally, reference: bool, most: int) -> list[str]:
    """Run an executable of several programs; those that differ run again alone."""
    executable = build(programs)
    theirs, ours = execute.qemu(executable), execute.native(executable)
    tally.instructions += ours.instructions
    failures = []
    if reference:
        tally.referenced += len(programs)
        slow = execute.native(executable, reference=True)
        if slow != ours:
            failures.append(f"programs {', '.join(p.seed for p in programs)}: reference and native code differ")
    if theirs.problem or ours.problem or theirs.output != ours.output:
        parts = zip(programs, execute.split(theirs.output, programs), execute.split(ours.output, programs), strict=True)
        suspects = [program for program, a, b in parts if a != b or not a]
        failures += [explain(program) for program in suspects[:most] if differs(program)]
        if not failures:
            failures.append(f"programs {', '.join(p.seed for p in programs)} differ together, not alone")
    return failures


def differs(program: Program) -> bool:
    """Whether qemu and our hart end a program differently."""
    theirs, ours = execute.compare([program])
    return bool(theirs.problem) != bool(ours.problem) or (not theirs.problem and theirs.output != ours.output)


def explain(program: Program) -> str:
    """The shortest program that still differs in the same way, as text."""
    theirs, ours = execute.compare([program])
    kind = bool(theirs.problem), bool(ours.problem)

    def same(candidate: Program) -> bool:
        a, b = execute.compare([candidate])
        return (bool(a.problem), bool(b.problem)) == kind and (any(kind) or a.output != b.output)

    short = shrink(program, same)
    theirs, ours = execute.compare([short])
    what = [f"qemu {theirs.problem}", f"we: {ours.problem}"] if any(kind) else []
    what += [] if any(kind) else execute.describe(theirs.output, ours.output, short.flags)
    return "\n".join((f"program {program.seed}, shrunk:", listing(short), *(f"  {line}" for line in what)))
