"""Clocks of each command of each unit by its operands, from the chip file: whole clocks and a bit more."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import pytest
from mtia.isa import table
from mtia.isa.chip import Chip, load_chip
from mtia.isa.xmtia.codes import DType
from xmtia_support import NUMPY, Imm, Tile, acc, clocks

PRECISE = ("exp", "exp2", "log", "log2", "tanh", "sigm", "erf", "gelu", "sin", "cos", "pow")

both_chips = pytest.mark.parametrize("chip", [load_chip(name) for name in ("mtia200", "mtia300")], ids=lambda c: c.name)


def commands(unit: str) -> dict[str, list[str]]:
    """The commands of a unit without `xm.`, each with the names of its operands."""
    rows = [row for row in table.all() if row.unit == unit]
    return {row.name[3:]: [n for n, _ in row.elements if n in row.by_name] for row in rows}


def around(rate: int) -> tuple[int, ...]:
    """Whole clocks of work, one more, one less, and two in the next clock."""
    return 4 * rate, 4 * rate + 1, 4 * rate - 1, 4 * rate + 2, 1


@both_chips
def test_simd_engine(chip: Chip) -> None:
    """By the destination's elements, of a reduction by the source's; a precise function takes more passes."""
    for name, operands in commands("se").items():
        reduced = name[3:] in {by + kind for by in "rc" for kind in ("sum", "max", "min", "maxn", "minn")}
        passes = chip.se.precise_factor if name[3:] in PRECISE else 1
        for elements in around(chip.se.elements_per_clk):
            data, one = np.zeros((1, elements), np.float32), np.zeros((1, 1), np.float32)
            items = [one, data] if reduced else [data] + [one] * (len(operands) - 1)
            expected = chip.se.start + ceil(elements * passes / chip.se.elements_per_clk)
            assert clocks(name, *items, chip=chip) == expected, name


@both_chips
def test_reduction_engine(chip: Chip) -> None:
    """By the elements of the accumulators."""
    names = {name: operands for name, operands in commands("re").items() if name not in ("re.send", "re.recv")}
    assert len(names) == 6
    for name, operands in names.items():
        for elements in around(chip.re.elements_per_clk):
            items = [acc(np.zeros((1, elements if n == "acc" else 1), np.float32)) for n in operands]
            assert clocks(name, *items, chip=chip) == chip.re.start + ceil(elements / chip.re.elements_per_clk), name


@both_chips
@pytest.mark.parametrize("name", ["re.send", "re.recv"])
@pytest.mark.parametrize("link", [1, 8], ids=["slow link", "fast link"])
def test_neighbours(chip: Chip, name: str, link: int) -> None:
    """The slower of the engine and the link, which takes four bytes an element, and one hop."""
    noc = replace(chip.noc, reduce_bytes_per_clk=link * chip.noc.reduce_bytes_per_clk)
    for elements in (*around(chip.re.elements_per_clk), *around(noc.reduce_bytes_per_clk // 4)):
        slower = max(ceil(elements / chip.re.elements_per_clk), ceil(elements * 4 / noc.reduce_bytes_per_clk))
        expected = chip.re.start + noc.reduce_hop_latency + slower
        assert clocks(name, acc(np.zeros((1, elements), np.float32)), chip=replace(chip, noc=noc)) == expected


@both_chips
@pytest.mark.parametrize(("name", "sources"), [("copy", 1), ("trans", 1), ("fill", 0), ("cat", 2), ("gather", 1)])
def test_layout_unit(chip: Chip, name: str, sources: int) -> None:
    """By the destination's bytes; slower where a row of it or of a source is not contiguous, and always turned."""
    assert len(commands("mlu")) == 5
    more: dict[str, list[Any]] = {"fill": [Imm(0, DType.I8)], "gather": [np.zeros((1, 1), np.int32)]}
    rest = more.get(name, [])
    for count in (*around(chip.mlu.bytes_per_clk), *around(chip.mlu.strided_bytes_per_clk)):
        row, strided = np.zeros((1, count), np.int8), np.zeros((1, count, 2), np.int8)[:, :, 0]
        same = np.broadcast_to(np.zeros((1, 1), np.int8), (1, count))
        for place in range(sources + 1):
            for view in (row, strided, same):
                items: list[Any] = [view if n == place else row for n in range(sources + 1)]
                slow = name == "trans" or view is strided
                rate = chip.mlu.strided_bytes_per_clk if slow else chip.mlu.bytes_per_clk
                assert clocks(f"mlu.{name}", *items, *rest, chip=chip) == chip.mlu.start + ceil(count / rate), place
    wide = np.zeros((3, 100), np.int32)
    rate = chip.mlu.strided_bytes_per_clk if name == "trans" else chip.mlu.bytes_per_clk
    items = [wide] * (sources + 1)
    assert clocks(f"mlu.{name}", *items, *rest, chip=chip) == chip.mlu.start + ceil(1200 / rate)


PAIRS = [
    ("fp16", "F16", "F16"), ("bf16", "BF16", "BF16"), ("tf32", "TF32", "TF32"),
    *(("int8", a, b) for a in ("I8", "U8") for b in ("I8", "U8")),
    *(("fp8", a, b) for a in ("E4M3", "E5M2") for b in ("E4M3", "E5M2")),
]  # fmt: skip


@both_chips
@pytest.mark.parametrize("name", ["dpe.mmz", "dpe.mma"])
def test_products(chip: Chip, name: str) -> None:
    """A tile takes its rows and columns by a slice of k in as many clocks as it has rows; tiles work side by side."""
    kinds = [(DType[a], DType[b]) for rate, a, b in PAIRS if getattr(chip.dpe, rate) != 0]
    assert len(kinds) >= 6
    for first, second in kinds:
        edge, slice_k = chip.dpe.tile, chip.dpe.slice_bytes // first.bytes
        sides, depths = (1, edge, edge + 1, 2 * edge + 2), (1, slice_k, slice_k + 1, 2 * slice_k + 2, 5 * slice_k - 1)
        for m, n, k in product((*sides, 3 * edge - 1), sides, depths):
            a, b = Tile(np.zeros((m, k), NUMPY[first]), first), Tile(np.zeros((k, n), NUMPY[second]), second)
            steps = ceil(m / edge) * ceil(n / edge) * ceil(k / slice_k)
            expected = chip.dpe.start + ceil(steps / chip.dpe.tiles) * edge
            assert clocks(name, acc(np.zeros((m, n), np.float32)), a, b, chip=chip) == expected, (first, m, n, k)
