"""Campaign: every public name of Triton's language in a small kernel of each type, against numpy and torch.

A name is supported with a type if the numbers are right; Triton itself refuses some types, we refuse others by name.
`--size` is how many kernels are tried, drawn by the seed; 0 is all. `--write FILE` writes the table of all of them
(docs/language.md).
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from mtia.tools.verify.common import Progress, Report

__all__ = ["SIZE", "add_arguments", "cases", "run"]

SIZE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--write", metavar="FILE", help="write the table as Markdown; with all kernels only")


def cases() -> list[Any]:
    """All cases, in the order of the table."""
    from mtia.tools.verify.language import cases_libdevice, cases_memory, cases_tl

    return [*cases_tl.CASES, *cases_memory.CASES, *cases_libdevice.CASES]


def run(seed: int, size: int, progress: Progress, write: str | None = None) -> Report:
    """Launch the kernels and compare."""
    from mtia.tools.verify.language.run import WRONG, Runner
    from mtia.tools.verify.language.table import markdown

    known = cases()
    chosen = [(number, kind) for number, case in enumerate(known) for kind in case.kinds]
    if size:
        chosen = sorted(random.Random(seed).sample(chosen, min(size, len(chosen))))
    runner = Runner(known)
    outcomes = []
    for done, (number, kind) in enumerate(chosen, 1):
        outcomes.append(runner.run(number, kind))
        progress(done, len(chosen))
    report = Report("language", seed, size)
    for outcome in outcomes:
        report.counts[outcome.how] = report.counts.get(outcome.how, 0) + 1
        if outcome.how == WRONG:
            report.failures.append(f"{outcome.case.name} of {outcome.kind}: {outcome.why}")
    if write and not size:
        Path(write).write_text(markdown(outcomes))
        report.notes.append(f"wrote {write}")
    return report
