"""What a profiled run leaves behind: commands, spans of time by unit and hart, and samples of the memories' counters.

The buffers are the host's. When one is nearly full the machine stops between two events (`DRAIN`), the host takes what
is there and goes on; nothing of this changes what the machine does, or when.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, memcpy, memset, u8, u16, u32, u64

from .state import CHANNELS, TRAFFIC, Command, Engine, Machine, Pe

MARGIN = 1 << 14  # more records than one event leaves: a barrier wakes two harts on each of 64 × 64 PEs at most
DRAIN = 2  # `Machine.stop`: a buffer is nearly full
ROOM = 1 << 16  # records of a buffer


@fn
def note_command(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, command: Ptr[Command]) -> None:
    """Keep a completed command."""
    if m.trace_count >= m.trace_capacity:
        return
    r = addr(m.trace[m.trace_count])
    r.issued = command.issued
    r.start = command.started
    r.end = command.finished
    r.pc = command.pc
    r.address = 0
    r.bytes = command.bytes
    r.op = command.op
    r.rows = command.operand[0].rows
    r.cols = command.operand[0].cols
    r.depth = command.operand[1].cols if command.operands > 1 else u32(0)
    r.dtype = command.operand[command.operands - 1].dtype
    if unit < 2:
        g = addr(command.transfer.remote)
        r.address = g.base
        r.rows = u32(command.transfer.rows)
        r.cols = u32(g.size[(g.rank - 1) & 3])
        r.dtype = g.dtype
    r.slowed = command.slowed
    r.seq = command.seq
    r.pe = u16(pe.index)
    r.unit = u8(unit)
    r.channel = u8(command.channel)
    memcpy(addr(r.need[0]), addr(command.need[0]), u64(CHANNELS * 4))
    if unit < 2:
        memcpy(addr(r.traffic[0]), addr(command.transfer.traffic[0]), u64(TRAFFIC * 8))
    else:
        memset(addr(r.traffic[0]), 0, u64(TRAFFIC * 8))
    m.trace_count += 1
    if m.trace_count + MARGIN > m.trace_capacity and m.stop == 0:
        m.stop = DRAIN


@fn
def note_span(m: Ptr[Machine], pe: Ptr[Pe], track: u32, kind: u32, start: u64, end: u64, pc: u64, arg: u32) -> None:
    """Keep how a unit or hart (`RANK_HART` + number) spent some cycles."""
    if m.span_count >= m.span_capacity or start >= end:
        return
    s = addr(m.spans[m.span_count])
    s.start = start
    s.end = end
    s.pc = pc
    s.arg = arg
    s.pe = u16(pe.index)
    s.track = u8(track)
    s.kind = u8(kind)
    m.span_count += 1
    if m.span_count + MARGIN > m.span_capacity and m.stop == 0:
        m.stop = DRAIN


@fn
def sample(m: Ptr[Machine], now: u64) -> None:
    """Keep what the memories have moved until now, and say when to look again."""
    if m.sample_count < m.sample_capacity:
        s = addr(m.samples[m.sample_count])
        s.time = now
        s.dram_reads = m.dram_reads
        s.dram_writes = m.dram_writes
        s.sram_reads = m.sram_reads
        s.sram_writes = m.sram_writes
        m.sample_count += 1
        if m.sample_count + MARGIN > m.sample_capacity and m.stop == 0:
            m.stop = DRAIN
    m.sample_at = now - now % m.sample_period + m.sample_period


@fn
def count_traffic(e: Ptr[Engine], command: Ptr[Command], sign: u64) -> None:
    """Take an engine's counters off a DMA command that begins (sign: all ones), add them when its last line is out."""
    traffic = addr(command.transfer.traffic[0])
    traffic[0] += sign * e.lines
    traffic[1] += sign * e.llc_misses
    traffic[2] += sign * e.coalesced
    traffic[3] += sign * e.wait_noc
    traffic[4] += sign * e.wait_sram
    traffic[5] += sign * e.wait_dram
    traffic[6] += sign * e.wait_window
