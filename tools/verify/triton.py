"""Campaign: Triton's own tests of the language and its runtime, unmodified, on device="mtia".

`--suite` is a tree of Triton, or its `python/test`. `--size N` takes a sample of N tests; without it all run, each in a
worker of `--jobs`, so that one that crashes or hangs costs only itself. A failure is a test that does not pass for a
reason of ours; what needs another maker's device, or a later Triton, is counted apart. `--write` puts the table of all
that does not pass into a file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools.verify import triton_table
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.triton_reasons import LATER, OURS, VENDOR, Result, Verdict, judge

__all__ = ["SIZE", "SuiteReport", "add_arguments", "run"]

SIZE = 0  # all
FILES = ("unit/language", "unit/runtime")
NEEDS = ("pytest", "xdist", "pytest_timeout", "expecttest")
BROKEN = {2: "was interrupted", 3: "had an internal error", 4: "does not know an option"}  # pytest's exit codes


@dataclass
class SuiteReport(Report):
    """A report with the counts of each file and of each function: passed, failed, wrong, crashed, hung, skipped."""

    files: dict[str, dict[str, int]] = field(default_factory=dict)
    functions: dict[str, dict[str, int]] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--suite", required=True, metavar="PATH", help="a tree of Triton, or its python/test")
    parser.add_argument("--files", nargs="+", metavar="FILE", help=f"files or folders in it ({' '.join(FILES)})")
    parser.add_argument("--only", metavar="EXPRESSION", default="", help="tests whose names match, as pytest's -k")
    parser.add_argument("--jobs", type=int, default=2, help="workers (2)")
    parser.add_argument("--limit", type=int, default=300, metavar="SECONDS", help="more than that is a hang (300)")
    parser.add_argument("--results", metavar="FILE", help="keep results there; tests that have one do not run again")
    parser.add_argument("--write", metavar="FILE", help="write the table of all that does not pass")


def run(
    seed: int, size: int, progress: Progress, suite: str, files: list[str] | None = None, only: str = "",
    jobs: int = 2, limit: int = 300, results: str | None = None, write: str | None = None,
) -> SuiteReport:  # fmt: skip
    """Run the tests of the suite's files, or a sample of `size`; the report is of all that `results` has."""
    folder = _folder(Path(suite))
    chosen = list(files or FILES)
    for name in chosen:
        if not (folder / name.partition("::")[0]).exists():
            raise UserError(f"{folder} has no {name}")
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"the suite needs {', '.join(missing)} (pip install 'mtiac[dev]')")
    options = ["-n", str(max(jobs, 1)), "--timeout", str(limit), "--mtia-seed", str(seed), "--mtia-size", str(size)]
    with tempfile.TemporaryDirectory(prefix="mtiac-triton-") as scratch:
        file = Path(results).resolve() if results else Path(scratch) / "results"
        _run(folder, file, Path(scratch), [*chosen, *options, *(["-k", only] if only else [])], progress)
        judged = [(r, judge(r)) for r in sorted(_read(file)[0], key=lambda r: r.test)]
    report = _report(seed, size, judged)
    if write:
        Path(write).write_text(triton_table.text(judged, chosen))
    return report


def _folder(path: Path) -> Path:
    """The folder of the tests in a tree of Triton."""
    for folder in (path / "python/test", path):
        if (folder / "conftest.py").is_file() and (folder / "unit/language").is_dir():
            return folder.resolve()
    raise UserError(f"{path} is no tree of Triton: it has no python/test with unit/language in it")


def _run(folder: Path, file: Path, scratch: Path, arguments: list[str], progress: Progress) -> None:
    """Run pytest, whose plug-in writes into `file`, and show how far it is."""
    text = file.read_text() if file.exists() else ""
    file.write_text("".join(line for line in text.splitlines(keepends=True) if line.endswith("}\n")))
    known = [result.test for result in _read(file)[0]]
    done = scratch / "done"
    done.write_text("\n".join(known))
    command = [sys.executable, "-m", "pytest", "-p", "mtia.tools.verify.triton_plugin", "-p", "no:cacheprovider"]
    command += ["-p", "no:randomly", "-p", "no:random_order", f"--rootdir={folder}", "-q", "--tb=short"]
    command += ["--device", "mtia", "--continue-on-collection-errors", "--max-worker-restart=100000"]
    command += [f"--mtia-results={file}", f"--mtia-done={done}", *arguments]
    environment = os.environ | {"PYTHONHASHSEED": "0", "MTIA_FALLBACK": os.environ.get("MTIA_FALLBACK", "quiet")}
    log = scratch / "log"
    with log.open("w") as out:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                time.sleep(0.5)
                found, total = _read(file)
                progress(len(found), max(len(known) + total, len(found)))
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    if child.returncode in BROKEN and len(_read(file)[0]) == len(known):
        raise UserError(f"pytest {BROKEN[child.returncode]}: {log.read_text()[-2000:]}")


def _read(file: Path) -> tuple[list[Result], int]:
    """The results so far, one for each test (a failure counts more than a pass), and how many there will be."""
    found: dict[str, Result] = {}
    total = 0
    for line in file.read_text().splitlines():
        if not line.endswith("}"):
            break  # being written
        values: dict[str, Any] = json.loads(line)
        total = values.pop("total", total)
        if values and found.get(values["test"], Result("", "passed")).outcome == "passed":
            found[values["test"]] = Result(**values)
    return list(found.values()), total


def _report(seed: int, size: int, judged: list[tuple[Result, Verdict]]) -> SuiteReport:
    report = SuiteReport("triton", seed, size)
    kinds = Counter(verdict.kind for _, verdict in judged)
    marks = Counter(verdict.mark for _, verdict in judged if verdict.kind != "passed")
    report.counts = {kind: kinds[kind] for kind in triton_table.KINDS}
    report.counts |= {"of another vendor": marks[VENDOR], "of a later Triton": marks[LATER]}
    ours = kinds["passed"] + sum(v.mark == OURS and v.kind not in ("passed", "skipped") for _, v in judged)
    report.counts["passed of ours that ran, percent"] = round(100 * kinds["passed"] / ours, 2) if ours else 100.0
    report.files = triton_table.counted(judged, lambda r: r.file)
    report.functions = triton_table.counted(judged, lambda r: f"{r.file}::{r.function}")
    report.notes = [f"{name}: {triton_table.in_words(counts)}" for name, counts in report.files.items()]
    groups = [g for g in triton_table.groups(judged) if g.verdict.mark == OURS]
    report.failures = [g.line() for g in groups if g.verdict.kind not in ("skipped", "not run")]
    return report
