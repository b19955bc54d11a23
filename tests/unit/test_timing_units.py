"""Time of the units: every expected cycle is computed here from the chip file by the rules of the timing chapter."""

from __future__ import annotations

from math import ceil

import pytest
from machine_rig import DTYPES, Rig, Script
from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import Info
from mtia.runtime.machine.state import DPE, ENDED, MLU, RE, SE

BOTH = [(interpreter, chip) for interpreter in ("reference", "fast") for chip in ("mtia200", "mtia300")]


@pytest.fixture(scope="module", params=BOTH, ids="-".join)
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(*request.param)


def size(dtype: str) -> int:
    """Bytes of one element."""
    return DTYPES[dtype].bytes


def after(chip: Chip, start: int, clocks: int, moved: int, local_free: int = 0) -> tuple[int, int]:
    """End of a command that keeps its unit busy and moves bytes in LS, and the cycle at which LS has passed them."""
    passed = max(local_free, start) + ceil(moved / chip.ls.bytes_per_clk)
    return max(start + clocks, passed), passed


def dpe_clocks(chip: Chip, m: int, n: int, k: int, dtype: str) -> int:
    """A tile takes t rows, t columns and a slice of k in t clocks; edges cost a whole tile."""
    tile = chip.dpe.tile
    steps = ceil(m / tile) * ceil(n / tile) * ceil(k * size(dtype) / chip.dpe.slice_bytes)
    return chip.dpe.start + tile * ceil(steps / chip.dpe.tiles)


def products(chip: Chip, m: int, n: int, k: int, dtype: str, accumulators: list[int]) -> Script:
    """Products of the same operands into some accumulators, one after another."""
    result = "i32" if dtype in ("i8", "u8") else "f32"
    s = Script().cb(0, 0, 65536, 1).cb(1, 65536, 65536, 1).cb(2, 0, m * n * 4, 4, space=1)
    s.local(0, 0, (m, k), dtype).local(1, 1, (k, n), dtype)
    for slot in range(4):
        s.local(2 + slot, 2, (m, n), result, slot=slot)
    for slot in accumulators:
        s.do("xm.dpe.mma", acc=2 + slot, a=0, b=1)
    return s


@pytest.mark.parametrize("accumulators", [[0] * 6, [0, 1, 2, 3, 0, 1]], ids=["one", "several"])
def test_products_back_to_back(rig: Rig, accumulators: list[int]) -> None:
    """The unit takes a command when the one before ends, whether or not it adds to the same accumulator."""
    chip = rig.chip
    script = products(chip, 32, 32, 64, "f16", accumulators)
    assert rig.run({(0, 0): script}) == ENDED
    seen = rig.commands(DPE)
    first = len(script.entries) - len(accumulators)  # an instruction takes one clock, a command cp.issue
    assert [c.issued for c in seen] == [first + n * chip.cp.issue for n in range(6)]
    start = first + chip.cp.dispatch
    clocks = dpe_clocks(chip, 32, 32, 64, "f16")
    assert [(c.started, c.finished) for c in seen] == [
        (start + n * clocks, start + (n + 1) * clocks) for n in range(6)
    ]  # fmt: skip
    assert rig.cycles == start + 6 * clocks


@pytest.mark.parametrize("dtype", ["f16", "bf16", "i8", "e4m3", "e5m2", "tf32"])
@pytest.mark.parametrize("shape", [(32, 32, 16), (1, 1, 1), (33, 32, 16), (32, 33, 17), (64, 64, 65), (5, 64, 130)])
def test_product_edges(rig: Rig, dtype: str, shape: tuple[int, int, int]) -> None:
    """A row, column or slice that hangs over costs a whole tile; types differ in the elements of a slice."""
    chip = rig.chip
    rates = {"i8": chip.dpe.int8, "e4m3": chip.dpe.fp8, "e5m2": chip.dpe.fp8, "tf32": chip.dpe.tf32}
    if rates.get(dtype, 1) == 0:
        pytest.skip(f"{chip.name} has no {dtype} products")
    m, n, k = shape
    assert rig.run({(0, 0): products(chip, m, n, k, dtype, [0])}) == ENDED
    (seen,) = rig.commands(DPE)
    moved = (m * k + ceil(m / chip.dpe.tile) * k * n) * size(dtype)  # b passes once for every tile of rows of a
    assert seen.finished == after(chip, seen.started, dpe_clocks(chip, m, n, k, dtype), moved)[0]


SE_CASES = [
    ("xm.se.add", "f32", 2, False, "destination"), ("xm.se.add", "bf16", 2, False, "destination"),
    ("xm.se.mul", "i32", 2, False, "destination"), ("xm.se.neg", "f16", 1, False, "destination"),
    ("xm.se.exp", "f32", 1, True, "destination"), ("xm.se.lut.exp", "f32", 1, False, "destination"),
    ("xm.se.tanh", "f16", 1, True, "destination"), ("xm.se.fma", "f32", 3, False, "destination"),
    ("xm.se.rsum", "f32", 1, False, "source"), ("xm.se.cmax", "f16", 1, False, "source"),
]  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 1), (7, 33), (32, 64)])
@pytest.mark.parametrize(("name", "dtype", "sources", "precise", "work"), SE_CASES, ids=[c[0] + c[1] for c in SE_CASES])
def test_simd(rig: Rig, name: str, dtype: str, sources: int, precise: bool, work: str, shape: tuple[int, int]) -> None:
    """Elements by the rate, all types alike; a precise nonlinear function takes more passes, a reduction its source."""
    chip = rig.chip
    rows, cols = shape
    result = (rows, 1) if name == "xm.se.rsum" else (1, cols) if name == "xm.se.cmax" else shape
    s = Script().cb(0, 0, 32768, 4).local(0, 0, result, dtype)
    for k in range(sources):
        s.local(1 + k, 0, shape, dtype, slot=1 + k)
    s.do(name, d=0, **dict(zip("abc", range(1, 1 + sources), strict=False)))
    assert rig.run({(0, 0): s}) == ENDED
    (seen,) = rig.commands(SE)
    passes = chip.se.precise_factor if precise else 1
    clocks = chip.se.start + ceil(rows * cols * passes / chip.se.elements_per_clk)
    moved = (sources * rows * cols + result[0] * result[1]) * size(dtype)
    assert seen.finished == after(chip, seen.started, clocks, moved)[0]


def test_drain_follows_the_last_product(rig: Rig) -> None:
    """A result is handed on in the clock in which its command ends; the drain takes the engine's rate."""
    chip = rig.chip
    m, n = 32, 64
    s = products(chip, m, n, 32, "f16", [0, 0])
    s.cb(3, 131072, m * n * 2, 1).local(8, 3, (m, n), "f16").do("xm.re.drain", d=8, acc=2)
    s.do("xm.se.neg", d=8, a=8)
    assert rig.run({(0, 0): s}) == ENDED
    products_, (drain,), (neg,) = rig.commands(DPE), rig.commands(RE), rig.commands(SE)
    assert drain.started == products_[1].finished
    assert drain.finished == drain.started + chip.re.start + ceil(m * n / chip.re.elements_per_clk)
    assert neg.started == drain.finished


@pytest.mark.parametrize("contiguous", [True, False])
def test_layout(rig: Rig, contiguous: bool) -> None:
    """Bytes of the destination by one of two rates."""
    chip, (rows, cols) = rig.chip, (16, 48)
    s = Script().cb(0, 0, 32768, 2).local(0, 0, (rows, cols), "f16")
    s.local(1, 0, (rows, cols), "f16", slot=1, strides=None if contiguous else (2, 2 * rows))
    s.do("xm.mlu.copy", d=0, a=1)
    assert rig.run({(0, 0): s}) == ENDED
    (seen,) = rig.commands(MLU)
    rate = chip.mlu.bytes_per_clk if contiguous else chip.mlu.strided_bytes_per_clk
    assert seen.finished == seen.started + chip.mlu.start + ceil(rows * cols * 2 / rate)


def test_local_memory_is_shared(rig: Rig) -> None:
    """Units that run side by side take their bytes through local memory one after another."""
    chip, shape = rig.chip, (64, 64)
    s = Script().cb(0, 0, 16384, 4).cb(1, 65536, 16384, 4)
    for k in range(3):
        s.local(k, 0, shape, slot=k).local(4 + k, 1, shape, slot=k)
    s.do("xm.se.add", d=0, a=1, b=2).do("xm.mlu.copy", d=4, a=5).do("xm.se.add", d=0, a=1, b=2)
    assert rig.run({(0, 0): s}) == ENDED
    (one, two), (copy,) = rig.commands(SE), rig.commands(MLU)
    elements = 64 * 64
    se = chip.se.start + ceil(elements / chip.se.elements_per_clk)
    mlu = chip.mlu.start + ceil(elements * 4 / chip.mlu.bytes_per_clk)
    end_one, free = after(chip, one.started, se, 3 * elements * 4)
    end_copy, free = after(chip, copy.started, mlu, 2 * elements * 4, free)
    end_two, free = after(chip, two.started, se, 3 * elements * 4, free)
    assert (one.finished, copy.finished) == (end_one, end_copy)
    assert (two.started, two.finished) == (end_one, end_two)


def test_full_queue(rig: Rig) -> None:
    """One command runs and `cp.queue_depth` wait; each further one is issued when one of them starts."""
    chip, count = rig.chip, 24
    s = Script().cb(0, 0, 16384, 2).local(0, 0, (32, 64)).local(1, 0, (32, 64), slot=1)
    before = len(s.entries)
    for _ in range(count):
        s.do("xm.se.exp", d=0, a=1)
    assert rig.run({(0, 0): s}) == ENDED
    seen = rig.commands(SE)
    clocks = chip.se.start + ceil(32 * 64 * chip.se.precise_factor / chip.se.elements_per_clk)
    clocks = after(chip, 0, clocks, 2 * 32 * 64 * 4)[0]
    start = before + chip.cp.dispatch
    for n, c in enumerate(seen):
        free = before + n * chip.cp.issue if n <= chip.cp.queue_depth else start + (n - chip.cp.queue_depth) * clocks
        assert (c.issued, c.started) == (free, start + n * clocks)


@pytest.mark.parametrize("slow", ["producer", "consumer"])
def test_circular_buffer_stall(rig: Rig, slow: str) -> None:
    """Two slots: a consumer waits for the push of what it reads, a producer for the end of what its slot held."""
    chip, count, slots = rig.chip, 8, 2
    shape = (32, 64)
    a = (
        Script()
        .cb(0, 0, 8192, slots)
        .local(0, 0, shape)
        .local(2, 0, shape, strides=(4, 128) if slow == "producer" else None)
    )
    a.do("xm.td.imm", 0, DTYPES["f32"], td=1).do("xm.barrier")
    b = Script().do("xm.barrier").cb(1, 65536, 8192, 1).local(1, 1, shape).local(0, 16, shape, side=0)
    for _ in range(count):
        a.do("xm.mlu.fill", d=2, a=1).do("xm.cb.push", cb=0)
        b.do("xm.se.exp" if slow == "consumer" else "xm.se.neg", d=1, a=0).do("xm.cb.pop", cb=16)
    assert rig.run({(0, 0): a, (0, 1): b}) == ENDED
    fills, reads = rig.commands(MLU), rig.commands(SE, hart=1)
    elements = shape[0] * shape[1]
    rate = chip.mlu.strided_bytes_per_clk if slow == "producer" else chip.mlu.bytes_per_clk
    fill = chip.mlu.start + ceil(elements * 4 / rate)
    passes = chip.se.precise_factor if slow == "consumer" else 1
    read = chip.se.start + ceil(elements * passes / chip.se.elements_per_clk)
    fill_end = read_end = 0
    ends: list[int] = []
    for n in range(count):
        start = max(fills[n].issued + chip.cp.dispatch, fill_end, ends[n - slots] if n >= slots else 0)
        fill_end = start + fill
        assert (fills[n].started, fills[n].finished) == (start, fill_end)
        start = max(reads[n].issued + chip.cp.dispatch, read_end, fill_end)
        read_end = start + read
        assert (reads[n].started, reads[n].finished) == (start, read_end)
        ends.append(read_end)
    assert rig.cycles == read_end


def test_the_cycle_that_a_hart_reads(rig: Rig) -> None:
    """`xm.rdinfo` gives the clock in which it issues; `xm.wait` lets the hart go on one instruction after the end."""
    chip, cycle = rig.chip, int(Info.CYCLE)
    s = Script().cb(0, 0, 16384, 2).local(0, 0, (16, 64)).local(1, 0, (16, 64), slot=1)
    s.do("xm.rdinfo", rd=5, k=cycle).do("xm.rdinfo", rd=6, k=cycle).do("xm.se.neg", d=0, a=1)
    s.do("xm.rdinfo", rd=7, k=cycle).do("xm.wait").do("xm.rdinfo", rd=8, k=cycle)
    first = len(s.entries) - 6
    assert rig.run({(0, 0): s}) == ENDED
    (seen,) = rig.commands(SE)
    end = first + 2 + chip.cp.dispatch + chip.se.start + ceil(16 * 64 / chip.se.elements_per_clk)
    assert seen.finished == end
    read = [int(rig.host.registers["x"][0, 0][k]) for k in (5, 6, 7, 8)]
    assert read == [first, first + 1, first + 2 + chip.cp.issue, end + chip.cp.issue]
