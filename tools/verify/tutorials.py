"""Campaign: Triton's public tutorials, their files as they are, on the mtia device.

A case is one file of `--suite`, the folder `python/tutorials` of Triton's sources, in a process of its own; `--size` is
how many sizes each of its figures keeps. A file that asserts decides itself; what it leaves to the reader's eye
(printed differences, kernels it runs only on a GPU) is checked against torch on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from mtia.isa.errors import UserError
from mtia.tools.verify.common import Progress, Report

__all__ = ["FILES", "SIZE", "add_arguments", "run", "run_file"]

SIZE = 1
LIMIT = 900  # seconds for one file
FILES = (
    "01-vector-add", "02-fused-softmax", "03-matrix-multiplication", "04-low-memory-dropout", "05-layer-norm",
    "06-fused-attention", "07-extern-functions", "08-grouped-gemm", "09-persistent-matmul", "10-block-scaled-matmul",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--suite", required=True, help="the folder of the tutorials in Triton's sources")
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--target", default="mtia300", help="the chip (mtia300)")


def run_file(path: Path, points: int, target: str) -> tuple[bool, str]:
    """Whether a file passes, and its notes or the last line of its error."""
    surroundings = os.environ | {"MTIA_TARGET": target, "MTIA_FALLBACK": "quiet", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "mtia.tools.verify.tutorials_child", str(path), str(points)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, env=surroundings, cwd=path.parent
        )
    except subprocess.TimeoutExpired:
        return False, f"still running after {LIMIT} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["no output"]
    return done.returncode == 0, "; ".join(json.loads(lines[-1])) if done.returncode == 0 else lines[-1]


def run(seed: int, size: int, progress: Progress, suite: str, only: str = "", target: str = "mtia300") -> Report:
    """Run every file; the seed means nothing here, for the files bring their own."""
    folder = Path(suite).resolve()
    chosen = [name for name in FILES if only in name]
    missing = [name for name in chosen if not (folder / f"{name}.py").is_file()]
    if missing or not chosen:
        wanted = ", ".join(missing) or only
        raise UserError(f"{folder} has no {wanted}; --suite is the folder python/tutorials of Triton's sources")
    report = Report("tutorials", seed, size)
    passed = 0
    for done, name in enumerate(chosen, 1):
        good, text = run_file(folder / f"{name}.py", size, target)
        passed += good
        if good:
            report.notes.append(f"passed {name}{': ' * bool(text)}{text}")
        else:
            report.failures.append(f"{name}: {text} (--suite {suite} --only {name} --target {target} --size {size})")
        progress(done, len(chosen))
    report.counts = {"files": len(chosen), "passed": passed}
    return report
