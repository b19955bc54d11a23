"""`mtiac bench start`: how long a new process takes to be useful, caches warm."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mtia.tools.bench.common import Row, median_seconds

__all__ = ["rows"]

_MODULE = """\
func.func @f(%x: i32) -> i32 {
  %0 = arith.constant 0 : i32
  %1 = arith.addi %x, %0 : i32
  return %1 : i32
}
"""
_LAUNCH = """\
import torch
from mtia.tools.kernels.add import add
x = torch.ones(4096)
assert bool((add(x, x) == 2).all())
"""


def rows(target: str = "mtia200", repeats: int = 5, only: str = "") -> Iterator[Row]:
    """Median seconds of new processes: `mtiac --help`, `mtiac opt` on a small file, a first kernel launch."""
    with tempfile.TemporaryDirectory(prefix="mtiac-bench-") as folder:
        module = Path(folder) / "small.mlir"
        module.write_text(_MODULE)
        mtiac = [sys.executable, "-m", "mtia.tools.cli"]
        cases = (
            ("mtiac --help", [*mtiac, "--help"], 0.2),
            ("mtiac opt", [*mtiac, "opt", "--pipeline=builtin.module(canonicalize)", str(module)], 1.0),
            ("first @triton.jit launch", [sys.executable, "-c", _LAUNCH], 2.5),
        )
        environment = {**os.environ, "MTIA_TARGET": target}

        def run(command: list[str]) -> object:
            return subprocess.run(command, check=True, capture_output=True, env=environment)

        for name, command, floor in cases:
            if only not in name:
                continue
            seconds = median_seconds(lambda c=command: run(c), repeats)  # type: ignore[misc]
            yield {"name": name, "value": round(seconds, 3), "unit": "s", "floor": floor}
