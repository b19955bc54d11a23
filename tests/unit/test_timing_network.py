"""Time of the network: links, shared reads, the reduction chain and the barrier, by hand from the chip file."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from machine_rig import Rig, Script
from mtia.runtime.machine.memory import LLS_BASE
from mtia.runtime.machine.state import ENDED, FI_IN, FI_OUT, RE
from timing_rules import TICKS, bank_of, bank_ticks, fi_ticks, last_lines, link_ticks, router, routers, way

BOTH = [(interpreter, chip) for interpreter in ("reference", "fast") for chip in ("mtia200", "mtia300")]


@pytest.fixture(scope="module", params=BOTH, ids="-".join)
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(*request.param)


def read(size: int, address: int) -> Script:
    s = Script().cb(0, 4096, size, 1).local(0, 0, (1, size), "u8").remote(1, address, [(size, 1)], "u8")
    return s.do("xm.dma.in", d=0, gd=1)


def scattered(lines: list[int], name: str, table: int) -> Script:
    """One DMA of some lines of the scratch memory by their numbers, which lie at `table`; a barrier comes before it."""
    count = len(lines)
    s = Script().cb(0, 4096, 64 * count, 1).cb(1, 65536, 4 * count, 1)
    s.local(0, 0, (count, 64), "u8").local(1, 1, (count, 1), "i32")
    s.remote(2, table, [(count, 4), (1, 4)], "i32").do("xm.dma.in", d=1, gd=2)
    s.remote(3, LLS_BASE, [(count, 64), (64, 1)], "u8").do("xm.wait").do("xm.barrier")
    fields = {"d": 0, "gd": 3, "idx": 1} if name == "xm.dma.ini" else {"gd": 3, "s": 0, "idx": 1}
    return s.do(name, **fields)


@pytest.mark.parametrize("interpreter", ["reference", "fast"])
def test_port_of_a_crossbar(interpreter: str) -> None:
    """A PE of a crossbar gets a line through its port every `line / link` clocks, however fast its engine asks."""
    rig = Rig(interpreter, "mtia200", changed={"fi": {"read_bytes_per_clk": 128}})
    chip, size = rig.chip, 2048
    assert rig.run({(0, 0): read(size, LLS_BASE)}) == ENDED
    (seen,) = rig.commands(FI_IN)
    trip = 2 * way(chip, 0, 0) + chip.sram.latency
    last = ceil((size // chip.noc.line_bytes - 1) * link_ticks(chip) / TICKS)
    assert link_ticks(chip) > fi_ticks(chip)
    assert seen.finished - seen.issued - chip.cp.dispatch - chip.fi.start == last + trip


@pytest.mark.parametrize("interpreter", ["reference", "fast"])
def test_way_of_a_mesh(interpreter: str) -> None:
    """Every PE reads one line of every bank; its time is the routers between them, X and then Y."""
    rig = Rig(interpreter, "mtia300")
    chip = rig.chip
    lines = {bank_of(chip, LLS_BASE + n * 64): LLS_BASE + n * 64 for n in range(4 * chip.sram.banks)}
    assert len(lines) == chip.sram.banks
    for pe in (0, 5, 30, 71):
        for bank in (0, 1, 2, 5, 94, 95):
            assert rig.run({(pe, 0): read(64, lines[bank])}) == ENDED
            (seen,) = rig.commands(FI_IN, pe)
            took = seen.finished - seen.issued - chip.cp.dispatch - chip.fi.start
            assert took == 2 * way(chip, pe, bank) + chip.sram.latency
    corner, far = way(chip, 0, 0), way(chip, chip.pes - 1, 0)
    rows, cols = routers(chip)
    assert (corner, far) == tuple(chip.noc.base_latency + n * chip.noc.hop_latency for n in (1, cols + rows - 1))


@pytest.mark.parametrize(("name", "unit"), [("xm.dma.ini", FI_IN), ("xm.dma.outi", FI_OUT)])
def test_one_link_of_a_mesh(name: str, unit: int) -> None:
    """PEs whose lines all pass one link of a column share its rate, though banks and engines could do more."""
    rig = Rig("fast", "mtia300", changed={"noc": {"coalesce_window": 0}})
    chip, per = rig.chip, 384
    rows, _ = routers(chip)
    # Reads: banks of row 0 to the PEs of the last column in rows 1 and 2, down the link between rows 0 and 1.
    # Writes: PEs of row 0 to the banks of rows 1 and 2 in the west, down the first link of the SRAM's column.
    if unit == FI_IN:
        pes = [pe for pe in range(chip.pes) if router(chip, pe)[1] == 3 and router(chip, pe)[0] > 0]
        banks = [bank for bank in range(chip.sram.banks) if bank // 2 % rows == 0]
    else:
        pes = [pe for pe in range(chip.pes) if router(chip, pe)[0] == 0]
        banks = [bank for bank in range(0, chip.sram.banks, 2) if bank // 2 % rows > 0]
    numbers = [n for n in range(1 << 17) if bank_of(chip, LLS_BASE + n * 64) in banks][: per * len(pes)]
    scripts = {}
    for k, pe in enumerate(pes):
        mine = numbers[k :: len(pes)]
        scripts[pe, 0] = scattered(mine, name, rig.put(np.array(mine, np.int32)))
    assert rig.run(scripts) == ENDED
    seen = [rig.commands(unit, pe)[-1] for pe in pes]
    start = min(c.issued for c in seen) + chip.cp.dispatch + chip.fi.start
    assert max(c.issued for c in seen) == min(c.issued for c in seen)
    asked = {pe: [(start, [LLS_BASE + 64 * n for n in numbers[k :: len(pes)]])] for k, pe in enumerate(pes)}
    expected = last_lines(chip, asked, write=unit == FI_OUT)
    assert [[c.finished] for c in seen] == [expected[pe] for pe in pes]
    busy = (per * len(pes) - 1) * link_ticks(chip) / TICKS
    assert busy > (per - 1) * fi_ticks(chip) / TICKS, "the engines could do more"
    assert busy > per * len(pes) * bank_ticks(chip) / len(banks) / TICKS, "the banks could do more"
    trip = min(2 * way(chip, pe, bank) for pe in pes for bank in banks) + chip.sram.latency
    assert max(c.finished for c in seen) >= start + busy + trip


def test_a_row_and_a_column_share_a_read(rig: Rig) -> None:
    """PEs of a row (or column) that read the same lines at once get them as one PE alone does; SRAM is read once."""
    chip, size = rig.chip, 2048
    rows, cols = chip.grid.rows, chip.grid.cols
    assert rig.run({(0, 0): read(size, LLS_BASE)}) == ENDED
    alone = rig.commands(FI_IN)[0].finished
    for pes in (range(cols), range(0, rows * cols, cols)):
        assert rig.run({(pe, 0): read(size, LLS_BASE) for pe in pes}) == ENDED
        assert [rig.commands(FI_IN, pe)[0].finished for pe in pes] == [alone] * len(pes)
        assert rig.host.machine.sram_reads == size
        assert sum(rig.host.pe(pe).engines[0].coalesced for pe in pes) == (len(pes) - 1) * size // 64


def test_a_late_read_is_not_shared(rig: Rig) -> None:
    """After the window a line is asked for again; in it, it comes after the fixed part of the way."""
    chip = rig.chip
    for late, shared in ((chip.noc.coalesce_window - 20, True), (chip.noc.coalesce_window + 20, False)):
        s = Script()
        for _ in range(late):
            s.do("xm.td.inc", 0, td=9)
        s.entries += read(64, LLS_BASE).entries
        assert rig.run({(0, 0): read(64, LLS_BASE), (1, 0): s}) == ENDED
        (seen,) = rig.commands(FI_IN, 1)
        trip = 2 * way(chip, 1, bank_of(chip, LLS_BASE)) + chip.sram.latency
        took = seen.finished - seen.issued - chip.cp.dispatch - chip.fi.start
        assert took == (chip.noc.base_latency if shared else trip)


@pytest.mark.parametrize("lines", [1, 4096])
@pytest.mark.parametrize("interpreter", ["reference", "fast"])
def test_a_row_remembers_some_lines(interpreter: str, lines: int) -> None:
    """With one place the last line stays: a neighbour has to ask for the one before it again."""
    rig = Rig(interpreter, "mtia200", changed={"noc": {"coalesce_lines": lines}})
    chip = rig.chip
    s = Script()
    for _ in range(20):
        s.do("xm.td.inc", 0, td=9)
    s.entries += read(64, LLS_BASE).entries
    assert rig.run({(0, 0): read(128, LLS_BASE), (1, 0): s}) == ENDED
    (seen,) = rig.commands(FI_IN, 1)
    trip = 2 * way(chip, 1, bank_of(chip, LLS_BASE)) + chip.sram.latency
    first = rig.commands(FI_IN)[0].issued + trip - seen.issued  # of the other PE's lines
    took = seen.finished - seen.issued - chip.cp.dispatch - chip.fi.start
    assert chip.noc.base_latency < first < trip
    assert took == (trip if lines == 1 else first)


@pytest.mark.parametrize("shape", [(4, 32), (32, 32)])
def test_reduction_chain(rig: Rig, shape: tuple[int, int]) -> None:
    """A row of PEs hands a sum on from left to right: every hop keeps both engines busy for as long."""
    chip, cols = rig.chip, rig.chip.grid.cols
    scripts = {}
    for pe in range(cols):
        s = Script().cb(1, 0, 8192, 1, space=1).local(1, 1, shape)
        if pe > 0:
            s.do("xm.re.recv", acc=1, dir=2)
        if pe < cols - 1:
            s.do("xm.re.send", acc=1, dir=0)
        scripts[pe, 0] = s
    before = len(scripts[0, 0].entries) - 1
    assert rig.run(scripts) == ENDED
    elements = shape[0] * shape[1]
    moved = max(ceil(elements / chip.re.elements_per_clk), ceil(elements * 4 / chip.noc.reduce_bytes_per_clk))
    hop = chip.re.start + chip.noc.reduce_hop_latency + moved
    first = before + chip.cp.dispatch
    for pe in range(1, cols):
        received = rig.commands(RE, pe)[0]
        assert (received.started, received.finished) == (first + (pe - 1) * hop, first + pe * hop)
    assert rig.cycles == first + (cols - 1) * hop


def test_barrier(rig: Rig) -> None:
    """Harts go on `cp.barrier` clocks after the last has come; its instruction takes its own clock then."""
    chip = rig.chip
    scripts = {}
    pads = {(0, 0): 3, (2, 1): 40, (chip.pes - 1, 0): 17}
    for place, pad in pads.items():
        s = Script().cb(1, 0, 8192, 1, space=1).local(1, 1, (1, 32))
        for _ in range(pad):
            s.do("xm.td.inc", 0, td=9)
        scripts[place] = s.do("xm.barrier").do("xm.re.zero", acc=1)
    assert rig.run(scripts) == ENDED
    last = len(scripts[2, 1].entries) - 2
    for pe, hart in pads:
        (zero,) = rig.commands(RE, pe, hart)
        assert zero.issued == last + chip.cp.barrier + chip.cp.issue
