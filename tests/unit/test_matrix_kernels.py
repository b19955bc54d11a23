"""The matrix kernels of the benchmark at small sizes, partial blocks among them: values, and paths of accesses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

from mtia.isa.chip import Chip, load_chip
from mtia.tools.bench import fused, matrices

Make = Callable[[Chip], fused.Work]
SMALL = (200, 152, 100)
BLOCKS = (64, 64, 32)
WORKS: Mapping[str, Make] = {
    "matmul fp16": lambda chip: matrices.matmul(SMALL, "fp16", BLOCKS),
    "matmul fp16 turned": lambda chip: matrices.matmul(SMALL, "fp16", BLOCKS, turned=True),
    "matmul fp8": lambda chip: matrices.matmul(SMALL, "fp8", BLOCKS),
    "matmul fp8 turned": lambda chip: matrices.matmul(SMALL, "fp8", BLOCKS, turned=True),
    "persistent": lambda chip: matrices.persistent(SMALL, BLOCKS, chip, False),
    "descriptors": lambda chip: matrices.persistent((200, 192, 128), BLOCKS, chip, True),
    "grouped": lambda chip: matrices.grouped([(128, 64, 96), (64, 192, 32), (192, 128, 64)], BLOCKS, chip),
}


@pytest.mark.parametrize("target", ["mtia200", "mtia300"])
@pytest.mark.parametrize("name", WORKS)
def test_values(name: str, target: str) -> None:
    row = fused.measure(WORKS[name](load_chip(target)), target, "cold")
    assert row["ok"] and row["dpe_share"] >= 1.0


@pytest.mark.parametrize("name", WORKS)
def test_blocks_are_accessed_by_transfers(name: str) -> None:
    step = WORKS[name](load_chip("mtia300")).launches[0]
    noted = re.search(r"tt.accesses = \[(.*?)\]", fused.compiled(step, "mtia300").asm["linalg"])
    assert noted and noted[1].count("load: ") == 2 and "element loop" not in noted[1]
