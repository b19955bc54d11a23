"""Rules of the timing chapter about order: harts beside each other, command issue, LLC replacement and draining."""

from __future__ import annotations

import dataclasses
import functools
from itertools import islice
from math import ceil

import hand_written
import numpy as np
import pytest
from machine_rig import Rig, Script
from mtia.isa.chip import load_chip
from mtia.runtime.device import Device
from mtia.runtime.machine.memory import DRAM_BASE
from mtia.runtime.machine.state import ENDED, FI_IN, FI_OUT, RE
from timing_rules import TICKS, Traffic, bank_of, dram_place, dram_ticks, fi_ticks, pieces, way

INTERPRETERS = ["reference", "fast"]
CHIPS = ["mtia200", "mtia300"]
NO_REFRESH = {"refresh_interval": 10**6}


@functools.cache
def device(chip: str, section: str, key: str, value: int) -> Device:
    """A device of a chip with one number changed."""
    found = load_chip(chip)
    part = dataclasses.replace(getattr(found, section), **{key: value})
    return Device(dataclasses.replace(found, **{section: part}))


# Both harts leave the barrier in one clock. Hart A polls a word, hart B stores it `2 * DELAY` instructions later.
DELAY = 60
POLL = f"""
  li s1, 0x10002000
  bnez a2, ready
  sd zero, 0(s1)
ready:
  xm.barrier zero
  csrrs s2, cycle, zero
  bnez a2, writer
poll:
  ld t1, 0(s1)
  beq t1, zero, poll
  csrrs s3, cycle, zero
  sd s2, 0(s0)
  sd s3, 8(s0)
  ret
writer:
  li t2, {DELAY}
again:
  addi t2, t2, -1
  bnez t2, again
  csrrs s4, cycle, zero
  sd s2, 0(s1)
  sd s4, 16(s0)
  ret
"""


@pytest.mark.parametrize("skew", [1, 1500])
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_skew_of_a_race(interpreter: str, chip: str, skew: int) -> None:
    """A poll sees a store when it comes after it and, of a hart that has run ahead, not before the skew is over."""
    used = device(chip, "hart", "skew", skew)
    (begin, seen, store, *_), _ = hand_written.run(used, POLL, 8, 1, interpreter=interpreter, strict=False)
    hart = used.chip.hart
    stored = store + 1
    assert begin + 2 * DELAY < stored < begin + 1500
    first = begin + 2 if skew == 1 else begin + skew  # of the loads that can see it
    period = hart.load + 1 + hart.branch_taken
    loads = (begin + 2 + n * period for n in range(10**6))
    load = next(at for at in loads if at >= first and (at > stored or skew > 1))
    assert seen == load + hart.load + 1


# The harts take turns in working longer, and hand a word of local memory over at each barrier.
HAND_OVER = """
  li s1, 0x10002000
  slli t0, a2, 3
  add s2, s1, t0
  xori t1, t0, 8
  add s3, s1, t1
  sd zero, 0(s2)
  li s4, 6
round:
  xm.barrier zero
  ld t2, 0(s3)
  add t3, s4, a2
  andi t3, t3, 1
  li t4, 7
  beqz t3, work
  li t4, 700
work:
  addi t4, t4, -1
  bnez t4, work
  xm.barrier zero
  addi t2, t2, 3
  sd t2, 0(s2)
  addi s4, s4, -1
  bnez s4, round
  add t0, t0, s0
  sd t2, 0(t0)
  ret
"""


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_skew_does_not_change_a_program_that_synchronises(interpreter: str, chip: str) -> None:
    """Same values and cycles, however far the harts may run ahead of each other."""
    runs = [
        hand_written.run(device(chip, "hart", "skew", skew), HAND_OVER, 8, 2, interpreter=interpreter)
        for skew in (1, 37, 10**6)
    ]
    assert runs[0][0][:2] == [18, 18]
    assert runs[1:] == runs[:1] * 2


@pytest.mark.parametrize("clocks", [1, 7])
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_issue_of_commands(interpreter: str, chip: str, clocks: int) -> None:
    """The instruction after a command, or one of the command processor, issues `cp.issue` clocks later; it waits for
    the registers that it reads, not for the command.
    """
    text = """
  li t0, 0x2000
  li t1, 0x100
  slli t2, t1, 24
  or t1, t1, t2
  csrrs s2, cycle, zero
  mul t3, t0, a2
  add t3, t3, t0
  xm.cb.init cb0, t3, t1
  csrrs s3, cycle, zero
  xm.cb.push cb0
  xm.cb.pop cb0
  csrrs s4, cycle, zero
  xm.td.imm td1, t0, zero
  xm.td.imm td1, t0, zero
  csrrs s5, cycle, zero
  sd s2, 0(s0)
  sd s3, 8(s0)
  sd s4, 16(s0)
  sd s5, 24(s0)
  ret
"""
    used = device(chip, "cp", "issue", clocks)
    hart = used.chip.hart
    (a, b, c, d, *_), _ = hand_written.run(used, text, 8, 1, cores=1, interpreter=interpreter)
    assert b - a == 1 + hart.mul + hart.alu + clocks
    assert c - b == 1 + 2 * clocks
    assert d - c == 1 + 2


@pytest.mark.parametrize("clocks", [1, 7])
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_commands_leave_one_issue_apart(interpreter: str, chip: str, clocks: int) -> None:
    """A hart's commands are issued `cp.issue` clocks apart while their queue has room."""
    rig = Rig(interpreter, chip, changed={"cp": {"issue": clocks}})
    s = Script().cb(1, 0, 8192, 1, space=1).local(1, 1, (4, 32))
    for _ in range(rig.chip.cp.queue_depth):
        s.do("xm.re.zero", acc=1)
    assert rig.run({(0, 0): s}) == ENDED
    issued = [c.issued for c in rig.commands(RE)]
    assert issued == [issued[0] + n * clocks for n in range(len(issued))]
    assert issued[0] == clocks + 2  # a circular buffer, then two instructions of the hart itself


def _reads(addresses: list[int]) -> Script:
    """Reads of one line each, one after the end of another."""
    s = Script().cb(0, 4096, 64, 1).local(0, 0, (1, 64), "u8").remote(1, addresses[0], [(64, 1)], "u8")
    for address in addresses:
        s.do("xm.gd.addr", address, gd=1).do("xm.dma.in", d=0, gd=1).do("xm.wait")
    return s


@pytest.mark.parametrize("ways", [4, 16])
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_second_chance(interpreter: str, chip: str, ways: int) -> None:
    """A set takes `sram.ways` blocks. The first block beyond them finds all used: it clears them and takes way 0; the
    hand then passes over the block that has been read since, and takes the next one.
    """
    rig = Rig(interpreter, chip, changed={"dram": NO_REFRESH, "sram": {"ways": ways}})
    used = rig.chip
    block = used.sram.block_lines * used.noc.line_bytes
    sets = used.llc_bytes // block // ways
    numbers = list(islice((n for n in range(1 << 30) if (n ^ n >> 13) % sets == 5), ways + 2))
    order = [*range(ways), ways, 1, ways + 1, 1, 3, ways, ways + 1, 0, 2]
    hits = [False] * (ways + 1) + [True, False, True, True, True, True, False, False]
    addresses = [DRAM_BASE + numbers[k] * block for k in order]
    assert rig.run({(0, 0): _reads(addresses)}) == ENDED
    rows: dict[tuple[int, int], int] = {}
    for c, address, hit in zip(rig.commands(FI_IN), addresses, hits, strict=True):
        expected = 2 * way(used, 0, bank_of(used, address)) + used.sram.latency
        if not hit:
            channel, bank, row = dram_place(used, address)
            expected += used.dram.latency + (0 if rows.get((channel, bank)) == row else used.dram.row_miss)
            rows[channel, bank] = row
        assert c.finished - c.issued - used.cp.dispatch - used.fi.start == expected


def _pieces(addresses: list[int]) -> Script:
    """Reads of 256 bytes each, as fast as they can be issued."""
    s = Script().cb(0, 4096, 256, 1).local(0, 0, (1, 256), "u8").remote(1, addresses[0], [(256, 1)], "u8")
    for address in addresses:
        s.do("xm.gd.addr", address, gd=1).do("xm.dma.in", d=0, gd=1)
    return s


def _write(address: int, size: int, pad: int) -> Script:
    """A write after some clocks."""
    s = Script().cb(0, 4096, size, 1).local(0, 0, (1, size), "u8").remote(1, address, [(size, 1)], "u8")
    for _ in range(pad):
        s.do("xm.td.inc", 0, td=1)
    return s.do("xm.dma.out", gd=1, s=0)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_busy_channel_keeps_a_block(interpreter: str, chip: str) -> None:
    """A whole block goes while its channels have up to `sram.drain_lines` lines to do; with one line less allowed it
    stays. Sixteen PEs read from one channel, which the block that another PE writes shares.
    """
    found = load_chip(chip)
    base, block = DRAM_BASE + (1 << 24), found.sram.block_lines * found.noc.line_bytes
    target = base + (1 << 23)
    channel = dram_place(found, target)[0]
    places = list(islice(pieces(found, channel, base), 64))
    assert places[-1] < target
    scripts = {(pe, 0): _pieces(places[pe::16]) for pe in range(16)}
    writer = found.pes - 1
    scripts[writer, 0] = _write(target, block, 60)
    per_piece = found.dram.interleave_bytes // found.noc.line_bytes

    def drained(lines: int) -> tuple[bool, Rig]:
        rig = Rig(interpreter, chip, changed={"dram": NO_REFRESH, "sram": {"drain_lines": lines}})
        assert rig.run(scripts) == ENDED
        waiting = np.frombuffer(rig.host.regions["unwritten"].bytes(0, 4 * found.dram.channels), np.uint32)
        assert waiting.sum() in (0, found.sram.block_lines)
        return bool(waiting.sum()), rig

    _, rig = drained(0)
    lead = found.cp.dispatch + found.fi.start
    first, write = rig.commands(FI_IN)[0].issued, rig.commands(FI_OUT, writer)[0].issued
    traffic, apart = Traffic(found), fi_ticks(found)
    for pe in range(16):  # a turn of each takes in all of a command: its lines are asked for one after another
        for n in range(per_piece):
            traffic.line(pe, places[pe] + n * found.noc.line_bytes, (first + lead) * TICKS + n * apart)
    # From then on the bus is never without a line; the block is whole when its last line is at its bank.
    busy = traffic.free["bus", channel] + 48 * per_piece * dram_ticks(found)
    last = target + block - found.noc.line_bytes
    ticks = (write + lead + way(found, writer, bank_of(found, last))) * TICKS
    whole = ticks + (found.sram.block_lines - 1) * fi_ticks(found, write=True)
    least = ceil((busy - whole) / dram_ticks(found))
    assert least > 8
    assert [drained(lines)[0] for lines in (least - 1, least)] == [False, True]
