"""The project's measurements: medians, with ratios against a peer that runs in the same process or the same minute.

compile    Triton source to binary, beside Triton's NVIDIA and AMD back ends
simulate   instructions a second, a 64-PE matmul beside Triton's interpreter, time per unit command
kernels    cycles of kernels, the roof that binds them and how close they come
tune       the tuner's choices against an exhaustive run of its space
start      how long a new process takes to be useful
published  results Meta has published, beside the same work here
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mtia.isa.errors import UserError

if TYPE_CHECKING:
    from mtia.tools.bench.common import Row

__all__ = ["add_arguments", "run"]

NAMES = ("compile", "simulate", "kernels", "tune", "start", "published")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", choices=NAMES, help="which measurement")
    parser.add_argument("--target", help="a chip; by default the one each figure is stated for")
    parser.add_argument("--only", help="only the rows whose name contains this")
    parser.add_argument("--repeats", type=int, help="runs behind each median")
    parser.add_argument("--write", metavar="PAGE", help="published: put the table into this page, docs/calibration.md")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when a row is wrong (`ok` false or above its roof)."""
    from mtia.tools.bench.common import emit

    module = importlib.import_module(f"mtia.tools.bench.{arguments.name}")
    given = {name: getattr(arguments, name) for name in ("target", "repeats", "only")}
    rows = module.rows(**{name: value for name, value in given.items() if value is not None})
    if arguments.write and arguments.name != "published":
        raise UserError("--write is for `mtiac bench published`")
    seen = []

    def watched() -> Iterator[Row]:
        for row in rows:
            seen.append(row)
            yield row

    emit(watched(), arguments.json, f"mtiac bench {arguments.name}")
    if arguments.write:
        module.write(Path(arguments.write), seen)
    return 1 if any(row.get("ok") is False for row in seen) else 0
