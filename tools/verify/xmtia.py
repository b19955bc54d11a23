"""Campaign: every Xmtia command against a plain numpy statement of its meaning.

Random programs of encoded instructions run on the whole machine; the model of `xmtia_model.py` and the statements of
`xmtia_statements.py` say what they leave in local memory, accumulators and device memory, and every byte is compared.
A part of the programs runs on the reference interpreter too: same bits, same cycles. A case that differs is made again
alone and printed as its instructions: `--first N --size 1` repeats case N.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mtia.isa import table
from mtia.isa.chip import load_chip
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.unit_programs import Outcome
from mtia.tools.verify.xmtia_cases import Batch, Full
from mtia.tools.verify.xmtia_commands import CASES
from mtia.tools.verify.xmtia_pairs import PROGRAMS, difference
from mtia.tools.verify.xmtia_simd import REDUCED
from mtia.tools.verify.xmtia_traps import answer, trials

__all__ = ["CHIPS", "SIZE", "add_arguments", "make", "on_both", "run"]

SIZE = 100_000
CHIPS = ("mtia200", "mtia300")
BATCH = 400  # cases at most in one program
SLOW = 200  # one case in so many runs on the reference interpreter too
MOST = 20  # failures after which a campaign ends


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--first", type=int, default=0, help="the number of the first case (0)")


def make(chip: str, seed: int, numbers: Sequence[int]) -> tuple[Batch, int]:
    """A program of the cases with these numbers, and how many of them it has."""
    batch = Batch(chip, np.random.default_rng(seed))
    names = list(CASES)
    for done, number in enumerate(numbers):
        name = names[number % len(names)]
        try:
            batch.start(name, np.random.default_rng((seed, number)))
            CASES[name](batch)
        except Full:
            return batch, max(done, 1)
    return batch, len(numbers)


def run(seed: int, size: int, progress: Progress, first: int = 0) -> Report:
    """Run `size` cases, half on each chip, with a tenth as many wrong operands and some programs of several harts."""
    report = Report("xmtia", seed, size)
    counts: Counter[str] = Counter()
    done = 0
    for n, chip in enumerate(CHIPS):
        last = first + (size + 1 - n) // 2
        number = first
        while number < last and len(report.failures) < MOST:
            number += _batch(report, counts, chip, seed, range(number, min(number + BATCH, last)))
            progress(done + number - first, size)
        done += last - first
    report.counts = {"cases": counts.total() - counts["reference"], "commands": len(CASES)}
    report.counts["cases on the reference too"] = counts["reference"]
    report.counts["wrong operands"] = _refused(report, seed, size // 10)
    report.counts["programs of several harts"] = programs = max(size // 200, len(PROGRAMS))
    for number in range(programs):
        failure = difference(CHIPS[number // len(PROGRAMS) % 2], seed, number, both=number % SLOW < len(PROGRAMS))
        report.failures += [failure] if failure else []
    return report


def _refused(report: Report, seed: int, size: int) -> int:
    """Try wrong operands: all, or so many with each wrong thing of each family of commands; returns how many."""
    every = [(chip, *trial) for chip in CHIPS for trial in trials(load_chip(chip))]
    random.Random(seed).shuffle(every)
    first = {(family(name), str(operands)): number for number, (_, name, operands) in enumerate(every)}
    needed = sorted(first.values())
    others = sorted(set(range(len(every))).difference(needed))
    chosen = needed + others[: max(size - len(needed), 0)]
    for number in chosen:
        failure = answer(*every[number])
        report.failures += [failure] if failure else []
        if len(report.failures) >= MOST:
            break
    return len(chosen)


def family(name: str) -> str:
    """What commands have in common that check their operands alike."""
    row = table.find(name)
    assert row is not None
    short = name.removeprefix("xm.")
    if short.startswith("se.") and short not in ("se.quant", "se.dequant", "se.sel", "se.iota", "se.mask"):
        how = "reduction" if short[3:] in {by for by, _, _ in REDUCED} else short.rpartition(".")[0]
        return f"{how} {short[3] if how == 'reduction' else len(row.elements)}"
    return short


def _batch(report: Report, counts: Counter[str], chip: str, seed: int, numbers: range) -> int:
    """Run one program; returns how many cases it had."""
    batch, taken = make(chip, seed, numbers)
    try:
        outcome = batch.run()
        wrong = batch.differences(outcome)
        if wrong:
            report.failures += [_alone(chip, seed, numbers[max(n, 0)]) for n in wrong if n < taken]
        counts.update(case.name for case in batch.cases[:taken])
    finally:
        batch.release()
    for number in numbers[:taken]:
        if number % SLOW == 0:
            counts["reference"] += 1
            report.failures += on_both(chip, seed, number)
    return taken


def _alone(chip: str, seed: int, number: int) -> str:
    """A case in words, run by itself."""
    batch, _ = make(chip, seed, [number])
    try:
        outcome = batch.run()
        how = "differs" if batch.differences(outcome) else "differs only among others"
        trap = f"\n  {outcome.trap}" if outcome.trap else ""
        return f"{chip} --seed {seed} --first {number}: {how}{trap}\n  " + "\n  ".join(batch.log)
    finally:
        batch.release()


def on_both(chip: str, seed: int, number: int) -> list[str]:
    """Run a case on both interpreters; what is not the same."""
    batch, _ = make(chip, seed, [number])
    try:
        fast: Outcome = batch.run()
        slow = batch.run("reference")
    finally:
        batch.release()
    same = fast.cycles == slow.cycles and (fast.ls == slow.ls).all() and (fast.acc == slow.acc).all()
    if same and str(fast.trap) == str(slow.trap):
        return []
    return [f"{chip} --seed {seed} --first {number}: the interpreters differ: {fast.cycles}, {slow.cycles} cycles"]
