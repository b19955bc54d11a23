"""Campaign: damaged executables and random programs end with an error or a trap, nothing else.

Cases run in child processes, so that a crash or a hang is a finding and not the end: damaged ELF files (headers,
sections, notes, line tables, code), programs of random words on registers full of edge values, and programs whose
descriptors are nearly right. Machine memory lies between guard pages. `--first N --size 1` repeats case N. With
`--loader SECONDS` the loader and decoder are fuzzed by atheris as well, guided by coverage.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import mmap
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mtia.isa.errors import UserError
from mtia.tools.verify.common import Progress, Report

__all__ = ["SIZE", "add_arguments", "run"]

SIZE = 100_000
PATIENCE = 60.0  # seconds without a finished case after which a child hangs
MOST = 20  # failures after which a campaign ends
OUTCOMES = ("error", "trap", "ran")
_STATE = struct.Struct("<Q3Q")  # next case, outcomes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--first", type=int, default=0, help="the number of the first case (0)")
    parser.add_argument("--loader", type=int, default=0, metavar="SECONDS", help="fuzz the loader with atheris")


def run(seed: int, size: int, progress: Progress, first: int = 0, loader: int = 0) -> Report:
    """Run the cases `first` … `first + size - 1`."""
    report = Report("broken", seed, size, dict.fromkeys(OUTCOMES, 0))
    number, last = first, first + size
    while number < last and len(report.failures) < MOST:
        number = _child(report, seed, number, last, functools.partial(_show, progress, first, size))
    if loader:
        _loader(report, seed, loader)
    return report


def _show(progress: Progress, first: int, size: int, number: int) -> None:
    progress(number - first, size)


def _child(report: Report, seed: int, first: int, last: int, done: Callable[[int], None]) -> int:
    """Run cases in a child until they are done or it ends; returns the next case."""
    with tempfile.NamedTemporaryFile(prefix="mtiac-broken-") as file:
        file.write(_STATE.pack(first, 0, 0, 0))
        file.flush()
        shared = mmap.mmap(file.fileno(), _STATE.size)
        command = [sys.executable, "-m", "mtia.tools.verify.broken_child", file.name, str(seed), str(first), str(last)]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seen, since, why = first, time.monotonic(), ""
        while child.poll() is None:
            time.sleep(0.1)
            number = _STATE.unpack(shared[:])[0]
            if number != seen:
                seen, since = number, time.monotonic()
                done(seen)
            elif time.monotonic() - since > PATIENCE:
                child.kill()
                why = f"hangs (no result in {PATIENCE:.0f} s)"
        message = child.communicate()[1]
        number, *counts = _STATE.unpack(shared[:])
        shared.close()
    for name, count in zip(OUTCOMES, counts, strict=True):
        report.counts[name] += count
    if child.returncode == 0:
        return last
    if not why:
        text = message.strip().splitlines()
        why = f"signal {-child.returncode}" if child.returncode < 0 else text[-1] if text else "no message"
    report.failures.append(f"case {number}: {why}; again: mtiac verify broken --seed {seed} --first {number} --size 1")
    return int(number) + 1


def _loader(report: Report, seed: int, seconds: int) -> None:
    """Fuzz the loader and the decoder with atheris, which ends its process."""
    from mtia.tools.verify.broken_cases import executables

    if importlib.util.find_spec("atheris") is None:
        raise UserError("--loader needs atheris (pip install atheris)")
    with tempfile.TemporaryDirectory(prefix="mtiac-broken-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(executables()):
            (corpus / f"{number}.elf").write_bytes(data)
        limits = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=20000", "-timeout=20"]
        command = [sys.executable, "-m", "mtia.tools.verify.broken_loader", *limits]
        command += ["-print_final_stats=1", str(corpus)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        found = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        report.counts["loader executions"] = int(found[1]) if found else 0
        if done.returncode == 0 and not report.counts["loader executions"]:
            report.failures.append("the loader's fuzzer has executed nothing")
        if done.returncode:
            crash = next(Path(folder).glob("crash-*"), None)
            saved = Path("broken-loader.elf")
            if crash:
                saved.write_bytes(crash.read_bytes())
            tail = [line for line in done.stderr.splitlines() if "Error" in line or "Exception" in line][:3]
            report.failures.append(f"the loader, on {saved if crash else 'no saved input'}: {' '.join(tail)}")
