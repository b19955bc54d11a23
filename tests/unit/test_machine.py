"""Rules of the machine, on scripts of Xmtia instructions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from machine_rig import Rig, Script
from mtia.isa import chip as chip_module
from mtia.runtime.machine.engine import Fast
from mtia.runtime.machine.memory import flush_llc
from mtia.runtime.machine.state import ENDED, WAIT_QUEUE, ring_of


@pytest.fixture(scope="module", params=["reference", "fast"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


def test_dma_in_and_out(rig: Rig) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    y = np.zeros_like(x)
    src, dst = rig.put(x), rig.put(y)
    s = Script().cb(0, 4096, 1024, 2).local(0, 0, (4, 6)).remote(1, src, [(4, 24), (6, 4)])
    s.remote(2, dst, [(4, 24), (6, 4)]).do("xm.dma.in", d=0, gd=1).do("xm.dma.out", s=0, gd=2)
    assert rig.run({(0, 0): s}) == ENDED
    assert np.array_equal(rig.get(dst, y), x)


def test_clip_and_fill(rig: Rig) -> None:
    """A tile that hangs over the edges of a matrix: the outside reads as the fill value and is not written."""
    x = np.arange(10 * 12, dtype=np.float32).reshape(10, 12)
    y = np.full_like(x, -1)
    src, dst = rig.put(x), rig.put(y)
    dims, clip = [(8, 48), (8, 4)], {0: (-3, 5), 1: (2, 7)}
    s = Script().cb(0, 4096, 1024, 1).local(0, 0, (8, 8)).remote(1, src, dims, clip=clip, fill=0x3F800000)
    s.do("xm.dma.in", d=0, gd=1).remote(2, dst, dims, clip={0: (1, 8), 1: (0, 8)}).do("xm.dma.out", s=0, gd=2)
    assert rig.run({(0, 0): s}) == ENDED
    tile = np.ones((8, 8), np.float32)
    tile[0:5, 2:7] = x[0:5, 2:7]
    assert np.array_equal(rig.ls(0, 4096, tile), tile)
    y[1:8, 0:8] = tile[1:8]
    assert np.array_equal(rig.get(dst, y), y)


def test_four_dimensions_and_strided_columns(rig: Rig) -> None:
    x = np.arange(3 * 4 * 5 * 6, dtype=np.int32).reshape(3, 4, 5, 6)
    view = x[::2, 1:3, ::-1, ::3]
    src = rig.put(x)
    base = src + 4 * (1 * 30 + 4 * 6)
    dims = [(n, st) for n, st in zip(view.shape, view.strides, strict=True)]
    s = Script().cb(0, 8192, 4096, 1).local(0, 0, (20, 2), "i32", strides=(4, 128)).remote(1, base, dims, "i32")
    s.do("xm.dma.in", d=0, gd=1)
    assert rig.run({(3, 1): s}) == ENDED
    got = rig.ls(3, 8192, np.zeros((2, 32), np.int32))[:, :20]
    assert np.array_equal(got, view.reshape(20, 2).T)


@pytest.mark.parametrize("dtype", ["i32", "i64"])
def test_indexed(rig: Rig, dtype: str) -> None:
    table = np.random.default_rng(0).integers(0, 255, (40, 24)).astype(np.uint8)
    index = np.array([5, 39, 0, 5, 17, 8], dtype={"i32": np.int32, "i64": np.int64}[dtype])
    out = np.zeros_like(table)
    src, idx, dst = rig.put(table), rig.put(index), rig.put(out)
    s = Script().cb(0, 4096, 512, 1).cb(1, 8192, 512, 1)
    s.local(0, 0, (6, 24), "u8").local(1, 1, (6, 1), dtype)
    s.remote(2, idx, [(6, index.itemsize), (1, index.itemsize)], dtype).do("xm.dma.in", d=1, gd=2)
    s.remote(3, src, [(6, 24), (24, 1)], "u8", clip={0: (0, 5)}).do("xm.dma.ini", d=0, gd=3, idx=1)
    s.remote(4, dst, [(6, 24), (24, 1)], "u8", clip={1: (3, 20)}).do("xm.dma.outi", s=0, gd=4, idx=1)
    assert rig.run({(1, 0): s}) == ENDED
    rows = table[index]
    rows[5] = 0
    assert np.array_equal(rig.ls(1, 4096, rows), rows)
    for r, i in enumerate(index):
        out[i, 3:20] = rows[r, 3:20]
    assert np.array_equal(rig.get(dst, out), out)


def test_post_increment_and_next(rig: Rig) -> None:
    """One hart streams eight tiles through two slots with `cb.next`: every hazard is a slot's own."""
    x = np.arange(8 * 64, dtype=np.float32)
    src, dst = rig.put(x), rig.put(np.zeros_like(x))
    s = Script().cb(0, 4096, 256, 2).local(0, 0, (1, 64))
    s.remote(1, src, [(64, 4)], inc=256).remote(2, dst, [(64, 4)], inc=256)
    for _ in range(8):
        s.do("xm.dma.in", d=0, gd=1).do("xm.dma.out", s=0, gd=2).do("xm.cb.next", cb=0)
    assert rig.run({(0, 0): s}) == ENDED
    assert np.array_equal(rig.get(dst, x), x)


def test_producer_and_consumer(rig: Rig) -> None:
    """Hart A pushes tiles that hart B pops, through two slots; B names A's buffer 0 as 16."""
    x = np.arange(16 * 64, dtype=np.float32)
    src, dst = rig.put(x), rig.put(np.zeros_like(x))
    a = Script().cb(0, 4096, 256, 2).local(0, 0, (1, 64)).remote(1, src, [(64, 4)], inc=256).do("xm.barrier")
    b = Script().do("xm.barrier").local(0, 16, (1, 64), side=0).remote(1, dst, [(64, 4)], inc=256)
    for _ in range(16):
        a.do("xm.dma.in", d=0, gd=1).do("xm.cb.push", cb=0)
        b.do("xm.dma.out", s=0, gd=1).do("xm.cb.pop", cb=16)
    assert rig.run({(0, 0): a, (0, 1): b}) == ENDED
    assert np.array_equal(rig.get(dst, x), x)


def matmul(rig: Rig, a: int, b: int, c: int, m: int, k: int, n: int, step: int) -> Script:
    """C = A·B on one PE, fp16: k in steps of `step` through two slots, so every slot is used again."""
    s = Script().cb(0, 4096, m * step * 2, 2).cb(1, 65536, step * n * 2, 2)
    s.cb(2, 0, m * n * 4, 1, space=1).cb(3, 131072, m * n * 2, 1)
    s.local(0, 0, (m, step), "f16").local(1, 1, (step, n), "f16").local(2, 2, (m, n)).local(3, 3, (m, n), "f16")
    s.remote(4, a, [(m, k * 2), (step, 2)], "f16", inc=step * 2)
    s.remote(5, b, [(step, n * 2), (n, 2)], "f16", inc=step * n * 2).remote(6, c, [(m, n * 2), (n, 2)], "f16")
    for q in range(k // step):
        s.do("xm.dma.in", d=0, gd=4).do("xm.dma.in", d=1, gd=5)
        s.do("xm.dpe.mma" if q else "xm.dpe.mmz", acc=2, a=0, b=1).do("xm.cb.next", cb=0).do("xm.cb.next", cb=1)
    return s.do("xm.re.drain", d=3, acc=2).do("xm.dma.out", gd=6, s=3)


def test_hazards_between_units(rig: Rig) -> None:
    """DMA, dot products, drain and write-back overlap; each waits for what it reads and for what it overwrites."""
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-4, 5, shape).astype(np.float16) for shape in ((16, 64), (64, 32)))
    c = np.zeros((16, 32), np.float16)
    pa, pb, pc = rig.put(a), rig.put(b), rig.put(c)
    assert rig.run({(0, 0): matmul(rig, pa, pb, pc, 16, 64, 32, 8)}) == ENDED
    assert np.array_equal(rig.get(pc, c), a @ b)  # small integers: every order of summation is exact
    units = rig.host.pe(0).units
    assert units[3].work == 16 * 64 * 32
    for unit in units:
        assert sum(unit.cycles) == unit.since <= rig.cycles


def test_full_queue_stalls_the_hart(rig: Rig) -> None:
    depth = rig.chip.cp.queue_depth
    src = rig.put(np.zeros(4096, np.uint8))
    s = Script().cb(0, 4096, 4096, 1).local(0, 0, (1, 1024)).remote(1, src, [(1024, 4)])
    for _ in range(depth + rig.chip.fi.commands + 4):
        s.do("xm.dma.in", d=0, gd=1)
    assert rig.run({(0, 0): s}) == ENDED
    assert rig.host.pe(0).harts[0].stall[WAIT_QUEUE] > 0
    assert rig.host.pe(0).units[0].commands == depth + rig.chip.fi.commands + 4


def test_read_time_by_hand(rig: Rig) -> None:
    """One PE reads 64 KiB that the LLC holds: lines go out at the engine's rate, the last one takes the round trip."""
    chip, size = rig.chip, 65536
    src = rig.put(np.zeros(size, np.uint8), 1 << 20)
    s = (
        Script()
        .cb(0, 4096, size, 1)
        .local(0, 0, (1, size), "u8")
        .remote(1, src, [(size, 1)], "u8")
        .do("xm.dma.in", d=0, gd=1)
    )
    assert rig.run({(0, 0): s}, [(src, size)]) == ENDED
    issued = ring_of(rig.host.pe(0).channels[0])[0].issued
    lines = size // chip.noc.line_bytes
    way = chip.noc.base_latency + chip.noc.hop_latency
    round_trip = 2 * way + chip.sram.latency
    window = chip.fi.read_lines * chip.noc.line_bytes // chip.fi.read_bytes_per_clk
    assert window >= round_trip  # otherwise the window would set the rate
    start = issued + chip.cp.dispatch + chip.fi.start
    last = start + (lines - 1) * chip.noc.line_bytes // chip.fi.read_bytes_per_clk
    assert last + round_trip <= rig.cycles <= last + round_trip + 8  # banks may hold a line up for a moment


def test_dram_bandwidth_is_shared(rig: Rig) -> None:
    """All PEs stream different data: together they get the DRAM's bandwidth, no more and nearly all of it."""
    if not isinstance(rig.engine, Fast):
        pytest.skip("long: native code only, the reference gives the same cycles")
    chip, tile, count = rig.chip, 8192, 8
    src = rig.put(np.zeros(1))
    scripts = {}
    for pe in range(chip.pes):
        s = Script().cb(0, 4096, tile, 4).local(0, 0, (1, tile), "u8")
        s.remote(1, src + pe * count * tile, [(tile, 1)], "u8", inc=tile)
        for _ in range(count):
            s.do("xm.dma.in", d=0, gd=1).do("xm.cb.next", cb=0)
        scripts[pe, 0] = s
    assert rig.run(scripts) == ENDED
    least = chip.pes * count * tile / chip.dram_bytes_per_clk
    assert least <= rig.cycles <= 1.05 * least


def test_rows_and_columns_share_reads(rig: Rig) -> None:
    """PEs of one row read the same tile: SRAM is read once; a PE of another row and column reads it again."""
    size = 4096
    src = rig.put(np.zeros(size, np.uint8), 1 << 20)

    def reader() -> Script:
        s = Script().cb(0, 4096, size, 1).local(0, 0, (1, size), "u8")
        return s.remote(1, src, [(size, 1)], "u8").do("xm.dma.in", d=0, gd=1)

    warm = [(src, size)]
    assert rig.run({(pe, 0): reader() for pe in range(4)}, warm) == ENDED
    assert rig.host.machine.sram_reads == size
    assert rig.run({(0, 0): reader(), (rig.chip.grid.cols + 1, 0): reader()}, warm) == ENDED
    assert rig.host.machine.sram_reads == 2 * size


def test_barrier(rig: Rig) -> None:
    """What one PE's DMA wrote before the barrier, the others read after it."""
    x = np.arange(64, dtype=np.int32)
    src, mid = rig.put(x), rig.put(np.zeros_like(x))
    writer = Script().cb(0, 4096, 256, 1).local(0, 0, (1, 64), "i32")
    writer.remote(1, src, [(64, 4)], "i32").remote(2, mid, [(64, 4)], "i32")
    writer.do("xm.dma.in", d=0, gd=1).do("xm.dma.out", s=0, gd=2).do("xm.barrier")
    scripts = {(0, 0): writer}
    for pe in (5, 9):
        s = Script().cb(0, 4096, 256, 1).local(0, 0, (1, 64), "i32").remote(1, mid, [(64, 4)], "i32")
        scripts[pe, 1] = s.do("xm.barrier").do("xm.dma.in", d=0, gd=1)
    assert rig.run(scripts) == ENDED
    for pe in (5, 9):
        assert np.array_equal(rig.ls(pe, 4096, x), x)


def test_reduction_network(rig: Rig) -> None:
    """Three PEs of a row add their accumulators from left to right."""
    parts = [np.full((2, 32), 10.0**n, np.float32) for n in range(3)]
    out = np.zeros((2, 32), np.float32)
    dst = rig.put(out)
    scripts = {}
    for pe, part in enumerate(parts):
        s = Script().cb(0, 4096, 256, 1).cb(1, 0, 256, 1, space=1).local(0, 0, (2, 32)).local(1, 1, (2, 32))
        s.remote(2, rig.put(part), [(2, 128), (32, 4)]).do("xm.dma.in", d=0, gd=2).do("xm.re.load", acc=1, a=0)
        if pe > 0:
            s.do("xm.re.recv", acc=1, dir=2)
        if pe < 2:
            s.do("xm.re.send", acc=1, dir=0)
        else:
            s.do("xm.re.drain", d=0, acc=1).remote(3, dst, [(2, 128), (32, 4)]).do("xm.dma.out", gd=3, s=0)
        scripts[pe, 0] = s
    assert rig.run(scripts) == ENDED
    assert np.array_equal(rig.get(dst, out), sum(parts))


def test_deadlock_says_who_waits(rig: Rig) -> None:
    s = Script().cb(3, 4096, 256, 2).local(0, 3, (1, 64), side=0).remote(1, rig.put(np.zeros(64)), [(64, 4)])
    ended = rig.run({(2, 1): s.do("xm.dma.out", gd=1, s=0).do("xm.cb.pop", cb=3)})
    trap = rig.trap(ended)
    cb = "cb3 of hart B (pushed 0, popped 0, 2 slots)"
    assert trap.cause == "DEADLOCK"
    assert trap.details == (
        f"PE 2 hart B waits: cb.pop of {cb}: it is empty and nobody pushes, hart A does not take part (pc 0x1c)",
        f"PE 2 fi.out of hart B waits: element check of operand 2, slot 0 of {cb}: it is empty until hart B pushes "
        "(pc 0x18)",
    )


def test_barrier_that_not_all_reach(rig: Rig) -> None:
    ended = rig.run({(0, 0): Script().do("xm.barrier"), (1, 0): Script()})
    assert rig.trap(ended).details == ("PE 0 hart A waits: barrier, which PE 1 hart A will not reach: ended (pc 0x0)",)


@pytest.mark.parametrize(
    ("script", "cause", "text"),
    [
        (Script().cb(0, 4096, 64, 1).local(0, 0, (1, 17)), "BOUNDS", "reaches outside its memory: 0x0 of 0x40"),
        (Script().cb(0, 4096, 64, 1).local(0, 0, (1, 16), offset=4), "BOUNDS", "0x4 of 0x40"),
        (Script().cb(0, 4096, 64, 1).local(0, 0, (2, 8), strides=(-32, 4)), "BOUNDS", "operand 1"),
        (Script().local(0, 5, (1, 16)), "BUFFER", "circular buffer cb5 is not defined"),
        (Script().cb(0, 4096, 64, 1).local(0, 0, (1, 16), slot=1), "BUFFER", "1 slots ahead in a circular buffer of 1"),
        (Script().cb(0, 1 << 20, 64, 1), "BUFFER", "ends at 0x100040, past its memory of 0x60000 bytes"),
        (Script().do("xm.cb.push", cb=1), "BUFFER", "circular buffer cb1 is not defined"),
        (Script().cb(0, 4096, 64, 1).local(0, 0, (1, 8), "u8"), "TYPE", "element type U8"),
        (Script().cb(0, 4096, 64, 1).local(0, 0, (2, 8)), "SHAPE", "operand 1: 2 rows, 1 needed"),
        (Script().remote(0, 0x80_0000_0000, [(4, 4)]), "FORM", "tile register has form"),
    ],
)  # fmt: skip
def test_traps(rig: Rig, script: Script, cause: str, text: str) -> None:
    remote = Script()
    remote.entries = list(script.entries)
    remote.remote(1, rig.put(np.zeros(64, np.float32)), [(16, 4)]).do("xm.dma.in", d=0, gd=1)
    trap = rig.trap(rig.run({(7, 0): remote}))
    assert (trap.cause, trap.pe, trap.hart) == (cause, 7, 0)
    assert text in str(trap)


def test_dma_outside_device_memory(rig: Rig) -> None:
    end = 0x80_0000_0000 + rig.chip.dram.bytes
    s = Script().cb(0, 4096, 64, 1).local(0, 0, (1, 16)).remote(1, end - 60, [(16, 4)]).do("xm.dma.in", d=0, gd=1)
    trap = rig.trap(rig.run({(0, 0): s}))
    assert (trap.cause, trap.unit) == ("BOUNDS", "fi.in")
    assert f"{end - 60:#x} of {end + 4:#x}" in str(trap)


def test_reference_and_native_agree() -> None:
    """The same bits, the same cycles and the same counters from both interpreters, and twice from one."""
    rng = np.random.default_rng(3)
    seen = []
    for interpreter in ("reference", "fast", "fast"):
        rig = Rig(interpreter, "mtia300")
        scripts, results = {}, []
        for pe in (0, 1, 12, 71):
            a, b = (rng.standard_normal(shape).astype(np.float16) for shape in ((8, 32), (32, 16)))
            c = np.zeros((8, 16), np.float16)
            place = rig.put(c)
            scripts[pe, pe % 2] = matmul(rig, rig.put(a), rig.put(b), place, 8, 32, 16, 8)
            results.append((place, c))
        rng = np.random.default_rng(3)
        assert rig.run(scripts) == ENDED
        counted = [[list(unit.cycles) for unit in rig.host.pe(pe).units] for pe, _ in scripts]
        waits = [rig.host.pe(pe).engines[0].wait_dram for pe, _ in scripts]
        seen.append((rig.cycles, counted, waits, [rig.get(place, c).tobytes() for place, c in results]))
    assert seen[0] == seen[1] == seen[2]


def test_harts_at_different_barriers(rig: Rig) -> None:
    trap = rig.trap(rig.run({(0, 0): Script().do("xm.barrier", 1), (1, 0): Script().do("xm.barrier", 2)}))
    assert (trap.cause, trap.pe) == ("DEADLOCK", 1)
    assert "harts meet at different barriers, 2 and 1" in str(trap)


def test_prefetch_fills_the_cache(rig: Rig) -> None:
    src = rig.put(np.zeros(4096, np.uint8))
    s = Script().remote(1, src, [(4096, 1)], "u8").do("xm.dma.pre", gd=1).do("xm.wait")
    s.cb(0, 4096, 4096, 1).local(0, 0, (1, 4096), "u8").do("xm.dma.in", d=0, gd=1)
    assert rig.run({(0, 0): s}) == ENDED
    engine = rig.host.pe(0).engines[0]
    assert (engine.llc_misses, engine.llc_hits) == (64, 64)
    assert rig.host.machine.dram_reads == 4096


def test_scratch_part_of_the_sram(rig: Rig) -> None:
    """Data goes to the LLS and back; DRAM is not touched."""
    x = np.arange(64, dtype=np.int32)
    src, lls = rig.put(x), 0x10_0000_0000
    s = Script().cb(0, 4096, 256, 2).local(0, 0, (1, 64), "i32").local(1, 0, (1, 64), "i32", slot=1)
    s.remote(2, src, [(64, 4)], "i32").remote(3, lls + 128, [(64, 4)], "i32")
    s.do("xm.dma.in", d=0, gd=2).do("xm.dma.out", gd=3, s=0).do("xm.wait").do("xm.dma.in", d=1, gd=3)
    assert rig.run({(0, 0): s}) == ENDED
    assert np.array_equal(rig.ls(0, 4096 + 256, x), x)
    assert (rig.host.machine.dram_reads, rig.host.machine.dram_writes) == (256, 0)


def test_a_small_cache_writes_back(tmp_path: Path) -> None:
    """1 MiB of cache, half of every block of 2 MiB is written: evictions and the flush bring each byte to DRAM once."""
    text = (Path(chip_module.__file__).parent / "targets" / "mtia200.toml").read_text()
    for key, value in (("bytes = { value = 268_435_456", 1 << 20), ("lls_bytes = { value = 67_108_864", 0)):
        assert key in text
        text = text.replace(key, f"{key.split(' = ')[0]} = {{ value = {value}")
    file = tmp_path / "small.toml"
    file.write_text(text)
    rig = Rig("fast", str(file))
    tile, count = 8192, 128
    dst = rig.put(np.zeros(1), 1 << 20)
    s = Script().cb(0, 4096, tile, 1).local(0, 0, (16, 512), "u8")
    s.remote(1, dst, [(16, 1024), (512, 1)], "u8", inc=16 * 1024)
    for _ in range(count):
        s.do("xm.dma.out", s=0, gd=1)
    assert rig.run({(0, 0): s}) == ENDED
    m = rig.host.machine
    assert m.evictions >= 1024
    assert 0 < m.dram_writes < tile * count
    end = flush_llc(m, m.time)
    assert m.dram_writes == tile * count
    assert m.dram_reads == 0
    assert end >= rig.cycles
