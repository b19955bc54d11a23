"""Time of DMA, SRAM and DRAM: every expected cycle is computed here by the timing chapter's rules."""

from __future__ import annotations

from itertools import islice
from math import ceil

import numpy as np
import pytest
from machine_rig import Rig, Script, Times
from mtia.isa.chip import Chip
from mtia.runtime.machine.memory import DRAM_BASE, LLS_BASE
from mtia.runtime.machine.state import ENDED, FI_IN, FI_OUT, SE
from timing_rules import TICKS, bank_of, bank_ticks, dram_place, dram_ticks, fi_ticks, last_lines, pieces, way

BOTH = [(interpreter, chip) for interpreter in ("reference", "fast") for chip in ("mtia200", "mtia300")]
CHIPS = ["mtia200", "mtia300"]
BASE = DRAM_BASE + (1 << 24)
NO_REFRESH = {"dram": {"refresh_interval": 10**6}}  # the first one comes after 10^6 / banks clocks


@pytest.fixture(scope="module", params=BOTH, ids="-".join)
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(*request.param)


@pytest.fixture(scope="module", params=BOTH, ids="-".join)
def calm(request: pytest.FixtureRequest) -> Rig:
    """A machine whose DRAM needs no refresh while a test runs."""
    interpreter, chip = request.param
    return Rig(interpreter, chip, changed=NO_REFRESH)


@pytest.fixture(scope="module", params=CHIPS)
def native(request: pytest.FixtureRequest) -> Rig:
    return Rig("fast", request.param, changed=NO_REFRESH)


def transfer(size: int, addresses: list[int], name: str = "xm.dma.in", wait: bool = False, pad: int = 0) -> Script:
    """DMA commands of `size` bytes each, one after another or each after the end of the one before."""
    s = Script().cb(0, 4096, max(size, 64), 1).local(0, 0, (1, size), "u8").remote(1, addresses[0], [(size, 1)], "u8")
    for _ in range(pad):
        s.do("xm.td.inc", 0, td=1)
    for address in addresses:
        s.do("xm.gd.addr", address, gd=1)
        fields = {"xm.dma.in": {"d": 0, "gd": 1}, "xm.dma.out": {"gd": 1, "s": 0}, "xm.dma.pre": {"gd": 1}}[name]
        s.do(name, **fields)
        if wait:
            s.do("xm.wait")
    return s


def took(chip: Chip, c: Times) -> int:
    """Clocks from a DMA's first request to its end."""
    return c.finished - c.issued - chip.cp.dispatch - chip.fi.start


def round_trip(chip: Chip, address: int, pe: int = 0) -> int:
    """Clocks of a line that SRAM holds."""
    return 2 * way(chip, pe, bank_of(chip, address)) + chip.sram.latency


def missed(chip: Chip, address: int, pe: int = 0) -> int:
    """Clocks of a line that comes from a DRAM row which is not open."""
    return round_trip(chip, address, pe) + chip.dram.row_miss + chip.dram.latency


def requests(rig: Rig, pe: int, addresses: list[int], count: int) -> list[tuple[int, list[int]]]:
    """Of each read of `count` lines, the clock of its first request at the earliest, and its lines."""
    lead, line = rig.chip.cp.dispatch + rig.chip.fi.start, rig.chip.noc.line_bytes
    commands = zip(rig.commands(FI_IN, pe), addresses, strict=True)
    return [(c.issued + lead, [address + n * line for n in range(count)]) for c, address in commands]


@pytest.mark.parametrize("where", ["lls", "llc", "dram"])
def test_latency_of_one_line(calm: Rig, where: str) -> None:
    chip = calm.chip
    address = LLS_BASE + 4096 if where == "lls" else BASE
    warm = [(address, 64)] if where == "llc" else []
    assert calm.run({(3, 0): transfer(64, [address])}, warm) == ENDED
    expected = missed(chip, address, 3) if where == "dram" else round_trip(chip, address, 3)
    assert took(chip, calm.commands(FI_IN, 3)[0]) == expected


def test_bandwidth_of_one_engine(rig: Rig) -> None:
    """Lines leave at the engine's rate, each to another bank; the last to come back ends the command."""
    chip = rig.chip
    line, address = chip.noc.line_bytes, LLS_BASE + 96 * 64 * 64
    count = chip.sram.banks
    lines = [address + n * line for n in range(count)]
    assert len({bank_of(chip, a) for a in lines}) == count
    assert rig.run({(0, 0): transfer(count * line, [address])}) == ENDED
    last = max(n * fi_ticks(chip) + round_trip(chip, a) * TICKS for n, a in enumerate(lines))
    assert took(chip, rig.commands(FI_IN)[0]) == ceil(last / TICKS)


@pytest.mark.parametrize("unit", [FI_IN, FI_OUT])
def test_window_of_one_engine(native: Rig, unit: int) -> None:
    """With all its lines in flight an engine waits for the oldest: lines per round trip is the rate."""
    chip = native.chip
    of_reads, of_writes = (4, 64) if unit == FI_IN else (64, 4)
    changed = NO_REFRESH | {"fi": {"read_lines": of_reads, "write_lines": of_writes}}
    narrow = Rig("fast", chip.name, changed=changed)
    name, apart = "xm.dma.in" if unit == FI_IN else "xm.dma.out", fi_ticks(chip, unit == FI_OUT)
    line, count = chip.noc.line_bytes, 64
    lines = [LLS_BASE + n * line for n in range(count)]
    assert narrow.run({(0, 0): transfer(count * line, [LLS_BASE], name)}) == ENDED
    back: list[int] = []
    sent = -apart
    for n, address in enumerate(lines):
        sent = max(sent + apart, back[n - 4] if n >= 4 else 0)
        back.append(sent + round_trip(chip, address) * TICKS)
    assert took(chip, narrow.commands(unit)[0]) == ceil(max(back) / TICKS)


def test_lines_of_one_piece_come_one_after_another(calm: Rig) -> None:
    """Four lines of 256 bytes share a channel and a row: one row is opened, then they leave at the channel's rate."""
    chip = calm.chip
    line, count = chip.noc.line_bytes, chip.dram.interleave_bytes // chip.noc.line_bytes
    assert calm.run({(0, 0): transfer(count * line, [BASE])}) == ENDED
    bus = column = -1
    back = []
    for n in range(count):
        one_way = way(chip, 0, bank_of(chip, BASE + n * line)) * TICKS
        served = n * fi_ticks(chip) + one_way
        bus = max(bus, served)
        column = max(column, served) if n else served + chip.dram.row_miss * TICKS
        back.append(max(bus, column) + (chip.dram.latency + chip.sram.latency) * TICKS + one_way)
        bus += dram_ticks(chip)
        column += dram_ticks(chip)
    assert took(chip, calm.commands(FI_IN)[0]) == ceil(max(back) / TICKS)
    assert calm.host.machine.row_misses == 1


def test_row_hits_and_misses(calm: Rig) -> None:
    """A line of the open row comes without the time that another row of the same bank needs."""
    chip = calm.chip
    channel, bank, row = dram_place(chip, BASE)
    same = next(a for a in pieces(chip, channel, BASE + 256) if dram_place(chip, a) == (channel, bank, row))
    other = next(
        a for a in pieces(chip, channel, BASE + 256) if dram_place(chip, a)[1] == bank and dram_place(chip, a)[2] != row
    )
    order = [(BASE, False), (same, True), (other, False), (same + 64, False), (BASE + 64, True)]
    assert calm.run({(0, 0): transfer(64, [a for a, _ in order], wait=True)}) == ENDED
    for c, (address, hit) in zip(calm.commands(FI_IN), order, strict=True):
        assert took(chip, c) == missed(chip, address) - (chip.dram.row_miss if hit else 0)
    assert calm.host.machine.row_misses == 3


def test_refresh(rig: Rig) -> None:
    """A bank goes away every `refresh_interval` clocks, the banks of a channel in turn, and comes back closed."""
    chip, early = rig.chip, 10
    address = next(a for a in pieces(chip, 0, BASE) if dram_place(chip, a)[1] == 0)
    due = chip.dram.refresh_interval * TICKS // chip.dram.banks / TICKS  # of bank 0
    one_way = way(chip, 0, bank_of(chip, address))
    lead = len(transfer(64, [address]).entries) - 1 + chip.cp.dispatch + chip.fi.start + one_way
    for at in (-early, early):
        pad = int(due) - lead + at
        assert rig.run({(0, 0): transfer(64, [address], pad=pad)}) == ENDED
        reached = lead + pad
        away = max(due + chip.dram.refresh - reached, 0) if reached >= due else 0
        assert took(chip, rig.commands(FI_IN)[0]) == ceil(missed(chip, address) + away)


def test_one_hot_channel(calm: Rig) -> None:
    """Lines of different rows in one channel leave at the rate of its bus: its banks work side by side."""
    chip = calm.chip
    per, pes = 4, 16
    count = chip.dram.interleave_bytes // chip.noc.line_bytes
    places = list(islice(pieces(chip, 5, BASE), per * pes))
    scripts = {(pe, 0): transfer(256, places[pe::pes]) for pe in range(pes)}
    assert calm.run(scripts) == ENDED
    asked = {pe: requests(calm, pe, places[pe::pes], count) for pe in range(pes)}
    expected = last_lines(chip, asked)
    assert {pe: [c.finished for c in calm.commands(FI_IN, pe)] for pe in range(pes)} == expected
    least = (count * per * pes - 1) * dram_ticks(chip) / TICKS + chip.dram.latency + chip.sram.latency
    start = calm.commands(FI_IN)[0].issued + chip.cp.dispatch + chip.fi.start
    ways = [way(chip, pe, bank) for pe in range(pes) for bank in range(chip.sram.banks)]
    assert start + least + 2 * min(ways) <= calm.cycles, "the bus passes a line after another"


def test_one_hot_bank(calm: Rig) -> None:
    """Every piece is in another row of one bank: each opens its row."""
    chip = calm.chip
    count = chip.dram.interleave_bytes // chip.noc.line_bytes
    channel, bank, _ = dram_place(chip, BASE)
    rows: dict[int, int] = {}
    for address in pieces(chip, channel, BASE):
        _, at, row = dram_place(chip, address)
        if at == bank:
            rows.setdefault(row, address)
        if len(rows) == 20:
            break
    assert calm.run({(0, 0): transfer(256, list(rows.values()))}) == ENDED
    seen = calm.commands(FI_IN)
    each = chip.dram.row_miss * TICKS + count * dram_ticks(chip)  # from the first line on the bank is never idle
    start = seen[0].issued + chip.cp.dispatch + chip.fi.start + way(chip, 0, bank_of(chip, BASE))
    for k, (address, c) in enumerate(zip(rows.values(), seen, strict=True)):
        served = [start * TICKS + (k + 1) * each - n * dram_ticks(chip) for n in range(count, 0, -1)]
        back = [way(chip, 0, bank_of(chip, address + n * chip.noc.line_bytes)) * TICKS for n in range(count)]
        last = max(a + b for a, b in zip(served, back, strict=True))
        assert c.finished == ceil(last / TICKS) + chip.dram.latency + chip.sram.latency
    assert calm.host.machine.row_misses == 20


def test_one_hot_sram_bank(calm: Rig) -> None:
    """All PEs read different lines of one bank of the scratch memory: it passes one after another."""
    chip = calm.chip
    lines = (a for a in range(LLS_BASE, LLS_BASE + (1 << 22), 64) if bank_of(chip, a) == 2)
    per = 8
    mine = [list(islice(lines, per)) for _ in range(chip.pes)]
    assert calm.run({(pe, 0): transfer(64, mine[pe]) for pe in range(chip.pes)}) == ENDED
    asked = {pe: requests(calm, pe, mine[pe], 1) for pe in range(chip.pes)}
    assert {pe: [c.finished for c in calm.commands(FI_IN, pe)] for pe in range(chip.pes)} == last_lines(chip, asked)
    start = calm.commands(FI_IN)[0].issued + chip.cp.dispatch + chip.fi.start
    busy = (per * chip.pes - 1) * bank_ticks(chip) / TICKS + chip.sram.latency
    assert start + busy + 2 * min(way(chip, pe, 2) for pe in range(chip.pes)) <= calm.cycles


def test_one_engine_against_all_others(native: Rig) -> None:
    """Alone, a PE reads at its engine's rate; beside all others, all together at the rate of the SRAM."""
    chip, size = native.chip, 65536

    def script(pe: int) -> Script:
        return transfer(size, [LLS_BASE + pe * size])

    assert native.run({(0, 0): script(0)}) == ENDED
    alone = took(chip, native.commands(FI_IN)[0])
    line, count = chip.noc.line_bytes, size // chip.noc.line_bytes
    assert native.commands(FI_IN)[0].finished == last_lines(chip, {0: requests(native, 0, [LLS_BASE], count)})[0][0]
    assert native.run({(pe, 0): script(pe) for pe in range(chip.pes)}) == ENDED
    asked = {pe: requests(native, pe, [LLS_BASE + pe * size], count) for pe in range(chip.pes)}
    assert {pe: [c.finished for c in native.commands(FI_IN, pe)] for pe in range(chip.pes)} == last_lines(chip, asked)
    together = max(took(chip, native.commands(FI_IN, pe)[0]) for pe in range(chip.pes))
    assert together >= chip.pes * count * line / chip.sram.bytes_per_clk > alone
    assert native.host.machine.sram_reads == chip.pes * size


@pytest.mark.parametrize("size", [64, 32])
def test_write_latency(calm: Rig, size: int) -> None:
    """A write is acknowledged by the SRAM, also where the rest of its line has to be fetched."""
    chip = calm.chip
    for address in (LLS_BASE, BASE):
        assert calm.run({(1, 0): transfer(size, [address], "xm.dma.out")}) == ENDED
        assert took(chip, calm.commands(FI_OUT, 1)[0]) == round_trip(chip, address, 1)
    assert calm.host.machine.dram_reads == (0 if size == 64 else 64)


def test_write_back_of_one_block(calm: Rig) -> None:
    """What is left dirty goes back at the end: a channel turns, writes its lines, and their bank opens a row."""
    chip = calm.chip
    line, lines = chip.noc.line_bytes, chip.sram.block_lines - 1  # a whole block would have gone by itself
    assert calm.run({(0, 0): transfer(lines * line, [BASE], "xm.dma.out")}) == ENDED
    m = calm.host.machine
    assert m.dram_writes == 0
    end = calm.engine.call("flush_llc", m, calm.cycles)
    together = chip.dram.interleave_bytes // line * dram_ticks(chip) / TICKS
    assert end == calm.cycles + ceil(together + max(chip.dram.turnaround, chip.dram.row_miss))
    assert m.dram_writes == lines * line


def test_writes_are_collected(calm: Rig) -> None:
    """A channel turns once for `write_lines` lines, for half as many when it is idle, and once for the rest."""
    chip = calm.chip
    count = chip.dram.interleave_bytes // chip.noc.line_bytes
    places = list(islice(pieces(chip, 3, BASE), 47))
    assert calm.run({(0, 0): transfer(256, places, "xm.dma.out")}) == ENDED
    end = calm.engine.call("flush_llc", calm.host.machine, calm.cycles)
    left, turns = count * 47 - chip.dram.write_lines // 2, 1
    turns += ceil(left / chip.dram.write_lines)
    busy = count * 47 * dram_ticks(chip) / TICKS + turns * chip.dram.turnaround
    assert end == calm.cycles + ceil(busy)


@pytest.mark.parametrize("whole", [True, False])
def test_whole_blocks_drain(calm: Rig, whole: bool) -> None:
    """A block that has been written whole goes to quiet channels at once and stays as a clean one; others wait."""
    chip = calm.chip
    size = chip.sram.block_lines * chip.noc.line_bytes - (0 if whole else chip.noc.line_bytes)
    assert calm.run({(0, 0): transfer(size, [BASE, BASE], "xm.dma.out", wait=True)}) == ENDED
    m = calm.host.machine
    end = calm.engine.call("flush_llc", m, calm.cycles)
    assert (m.dram_writes, m.evictions) == (size * (2 if whole else 1), 0)
    assert end > calm.cycles


def test_prefetch(calm: Rig) -> None:
    """A prefetch takes a miss's time; the read behind it that of a hit."""
    chip = calm.chip
    s = transfer(64, [BASE], "xm.dma.pre", wait=True)
    s.do("xm.dma.in", d=0, gd=1)
    assert calm.run({(0, 0): s}) == ENDED
    fetch, read = calm.commands(FI_IN)
    assert took(chip, fetch) == missed(chip, BASE)
    assert took(chip, read) == round_trip(chip, BASE)
    assert calm.host.machine.sram_fills == chip.noc.line_bytes


def test_a_read_behind_a_miss_waits_for_it(calm: Rig) -> None:
    """A second PE, of another row and column, asks for a line that is on its way from DRAM."""
    chip, late = calm.chip, 20
    other = chip.pes - 1
    assert calm.run({(0, 0): transfer(64, [BASE]), (other, 0): transfer(64, [BASE], pad=late)}) == ENDED
    bank = bank_of(chip, BASE)
    filled = way(chip, 0, bank) + chip.dram.row_miss + chip.dram.latency
    reached = late + way(chip, other, bank)
    expected = max(filled, reached) - late + chip.sram.latency + way(chip, other, bank)
    assert took(chip, calm.commands(FI_IN, other)[0]) == expected
    assert calm.host.machine.dram_reads == 64


def test_a_hit_waits_for_its_block(calm: Rig) -> None:
    """A line that is there comes after one of its block that is on its way from DRAM."""
    chip = calm.chip
    s = transfer(64, [BASE], wait=True)
    for address in (BASE + 64, BASE):
        s.do("xm.gd.addr", address, gd=1).do("xm.dma.in", d=0, gd=1)
    assert calm.run({(0, 0): s}) == ENDED
    _, fetch, hit = calm.commands(FI_IN)
    filled = fetch.issued + way(chip, 0, bank_of(chip, BASE + 64)) + chip.dram.latency  # its row is open
    reached = hit.issued + way(chip, 0, bank_of(chip, BASE))
    assert filled > reached
    assert took(chip, hit) == filled - hit.issued + chip.sram.latency + way(chip, 0, bank_of(chip, BASE))
    assert calm.host.machine.dram_reads == 128


@pytest.mark.parametrize("interpreter", ["reference", "fast"])
def test_commands_in_flight(interpreter: str) -> None:
    """An engine works on `fi.commands` commands: the next begins when one of them is complete."""
    rig = Rig(interpreter, "mtia200", changed={"fi": {"commands": 2}})
    chip = rig.chip
    assert rig.run({(0, 0): transfer(64, [LLS_BASE + 64 * n for n in range(6)])}) == ENDED
    seen = rig.commands(FI_IN)
    trip = round_trip(chip, LLS_BASE)
    ready = [c.issued + chip.cp.dispatch + chip.fi.start for c in seen]
    ends: list[int] = []
    for n, first in enumerate(ready):
        begin = max(first, ends[n - 2] if n >= 2 else 0)
        ends.append(begin + trip)
    assert [c.finished for c in seen] == ends


@pytest.mark.parametrize("interpreter", ["reference", "fast"])
def test_window_of_a_queue(interpreter: str) -> None:
    """A hart stalls when `cp.window` commands of a queue are not complete, in order."""
    rig = Rig(interpreter, "mtia200", changed={"cp": {"window": 4}})
    chip = rig.chip
    script = transfer(64, [LLS_BASE + 64 * n for n in range(7)])
    assert rig.run({(0, 0): script}) == ENDED
    seen = rig.commands(FI_IN)
    first = seen[0].issued
    for n, c in enumerate(seen):
        free = first + 2 * n if n == 0 else seen[n - 1].issued + 1 + chip.cp.issue  # an address, a command
        assert c.issued == max(free, seen[n - 4].finished if n >= 4 else 0)
    assert seen[4].issued == seen[0].finished


@pytest.mark.parametrize("turn", [32, 1])
@pytest.mark.parametrize("interpreter", ["reference", "fast"])
def test_turns_of_the_engines(interpreter: str, turn: int) -> None:
    """Two PEs ask one bank for lines: those of one turn are booked together, the PE with the lower number first."""
    rig = Rig(interpreter, "mtia200", changed={"fi": {"turn": turn}, "noc": {"coalesce_window": 0}})
    chip, count, pes = rig.chip, 8, (0, 63)
    lines = [n for n in range(1 << 12) if bank_of(chip, LLS_BASE + n * 64) == 0][: 2 * count]
    scripts = {}
    for k, pe in enumerate(pes):
        mine = np.array(lines[k * count : (k + 1) * count], np.int32)
        s = Script().cb(0, 4096, 64 * count, 1).cb(1, 65536, 64, 1).local(0, 0, (count, 64), "u8")
        s.local(1, 1, (count, 1), "i32").remote(2, rig.put(mine), [(count, 4), (1, 4)], "i32")
        s.remote(3, LLS_BASE, [(count, 64), (64, 1)], "u8").do("xm.dma.in", d=1, gd=2).do("xm.wait").do("xm.barrier")
        scripts[pe, 0] = s.do("xm.dma.ini", d=0, gd=3, idx=1)
    assert rig.run(scripts) == ENDED
    took_by = [took(chip, rig.commands(FI_IN, pe)[-1]) for pe in pes]
    trip = 2 * way(chip, 0, 0) + chip.sram.latency
    before = (count - 1, 2 * count - 1) if turn >= count else (2 * count - 2, 2 * count - 1)
    assert took_by == [ceil(trip + n * bank_ticks(chip) / TICKS) for n in before]


def test_refresh_closes_the_row(rig: Rig) -> None:
    """A line of a row that was open before a refresh opens it again."""
    chip = rig.chip
    address = next(a for a in pieces(chip, 0, BASE) if dram_place(chip, a)[1] == 0)
    due = chip.dram.refresh_interval // chip.dram.banks  # of bank 0
    s = transfer(64, [address])
    for _ in range(due + chip.dram.refresh):
        s.do("xm.td.inc", 0, td=1)
    s.do("xm.gd.addr", address + 64, gd=1).do("xm.dma.in", d=0, gd=1)
    assert rig.run({(0, 0): s}) == ENDED
    assert took(chip, rig.commands(FI_IN)[1]) == missed(chip, address + 64)
    assert rig.host.machine.row_misses == 2


def test_a_row_opens_beside_the_bus(calm: Rig) -> None:
    """A line that opens a row while its bus is busy with others leaves as soon as they have gone."""
    chip, late, last_pe = calm.chip, 40, 8
    count = 24 * chip.dram.interleave_bytes // chip.noc.line_bytes
    places = list(islice(pieces(chip, 0, BASE), 24))
    open_banks = {dram_place(chip, a)[1] for a in places}
    other = next(a for a in pieces(chip, 0, places[-1] + 256) if dram_place(chip, a)[1] not in open_banks)
    scripts = {(pe, 0): transfer(256, places[pe::6]) for pe in range(6)}
    scripts[last_pe, 0] = transfer(64, [other], pad=late)
    assert calm.run(scripts) == ENDED
    begin = calm.commands(FI_IN)[0].issued + chip.cp.dispatch + chip.fi.start
    ways = [way(chip, pe, b) for pe in range(6) for b in range(chip.sram.banks)]
    back = chip.dram.latency + chip.sram.latency + way(chip, last_pe, bank_of(chip, other))
    busy = count * dram_ticks(chip) / TICKS
    assert busy > late + chip.dram.row_miss, "the row is open before the bus is free"
    (seen,) = calm.commands(FI_IN, last_pe)
    assert begin + min(ways) + busy + back <= seen.finished <= begin + max(ways) + busy + back + 1


def test_a_write_back_reads_the_banks(calm: Rig) -> None:
    """Each dirty line is read out of its bank."""
    chip = calm.chip
    lines = chip.sram.block_lines - 1
    assert calm.run({(0, 0): transfer(lines * chip.noc.line_bytes, [BASE], "xm.dma.out")}) == ENDED
    later = calm.cycles + 1000
    calm.engine.call("flush_llc", calm.host.machine, later)
    free = np.frombuffer(calm.host.regions["banks"].bytes(0, 8 * chip.sram.banks), np.uint64)
    written = {bank_of(chip, BASE + n * chip.noc.line_bytes) for n in range(lines)}
    assert {int(bank) for bank in np.flatnonzero(free >= later * TICKS)} == written
    assert set(free[sorted(written)].tolist()) == {later * TICKS + bank_ticks(chip)}


@pytest.mark.parametrize("interpreter", ["reference", "fast"])
def test_transfers_pass_local_memory(interpreter: str) -> None:
    """A DMA's bytes are booked in local memory when its last line has been asked for; units come after them."""
    rig = Rig(interpreter, "mtia200", changed={"ls": {"bytes_per_clk": 64}})
    chip, size = rig.chip, 1930
    s = transfer(size, [LLS_BASE]).cb(1, 65536, 8192, 2).local(4, 1, (16, 32)).local(5, 1, (16, 32), slot=1)
    for _ in range(chip.fi.start):
        s.do("xm.td.inc", 0, td=1)
    s.do("xm.se.neg", d=4, a=5)
    assert rig.run({(0, 0): s}) == ENDED
    (read,), (neg,) = rig.commands(FI_IN), rig.commands(SE)
    booked = read.issued + chip.cp.dispatch + chip.fi.start
    assert size // chip.noc.line_bytes < chip.fi.turn, "all lines are asked for in one turn"
    assert neg.started > booked
    passed = max(booked + ceil(size / 64), neg.started) + ceil(2 * 16 * 32 * 4 / 64)
    assert neg.finished == passed
