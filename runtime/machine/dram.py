"""DRAM: channels with one data bus, and banks with an open row each, that are refreshed in turn.

A read books its channel's bus and its bank side by side and leaves when it has both: the controller keeps the bus busy
with other lines while a bank opens a row. Writes wait in the channel until there are enough of them, half as many when
it has nothing else to do.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, u32, u64

from .resources import reserve, spread
from .state import TICK_SHIFT, DramBank, Engine, Machine


@fn
def refreshed(m: Ptr[Machine], b: Ptr[DramBank], at: u64) -> u64:
    """Account for the refreshes that fell due until `at`; returns when the bank is there again, its row closed."""
    every = u64(m.chip.dram_refresh_interval) << TICK_SHIFT
    last = b.refresh + (at - b.refresh) // every * every
    b.refresh = last + every
    b.row = 0
    return max(at, last + (u64(m.chip.dram_refresh) << TICK_SHIFT))


@fn
def open_row(m: Ptr[Machine], channel: u64, piece: u64, lines: u64, at: u64) -> u64:
    """Book the bank of a piece of memory for some of its lines; returns the tick at which its row is open for them."""
    inside = piece >> u64(m.channel_group)
    if m.channel_odd > 1:
        inside = inside // u64(m.channel_odd)
    row = inside >> u64(m.row_shift)
    b = addr(m.dram_bank[channel * u64(m.chip.dram_banks) + spread(row, m.bank_bits, u32(1))])
    t = max(at, b.free)
    if t >= b.refresh:
        t = refreshed(m, b, t)
    if b.row != row + 1:
        b.row = row + 1
        t += u64(m.chip.dram_row_miss) << TICK_SHIFT
        m.row_misses += 1
    b.free = t + lines * u64(m.chip.dram_line_ticks)
    return t


@fn
def dram_read(m: Ptr[Machine], e: Ptr[Engine], offset: u64, at: u64) -> u64:
    """Read one line; returns the tick at which the channel has passed it on."""
    piece = offset >> u64(m.channel_shift)
    channel = spread(piece, m.channel_group, m.channel_odd)
    start = reserve(addr(m.channel[channel]), at, u64(m.chip.dram_line_ticks))
    start = max(start, open_row(m, channel, piece, u64(1), at))
    e.wait_dram += start - at
    m.dram_reads += u64(1) << u64(m.line_shift)
    return start + (u64(m.chip.dram_latency) << TICK_SHIFT)


@fn
def write_out(m: Ptr[Machine], channel: u64, at: u64) -> None:
    """Turn a channel to writing, write what it has collected, and turn it back."""
    lines = u64(m.unwritten[channel])
    ticks = lines * u64(m.chip.dram_line_ticks) + (u64(m.chip.dram_turnaround) << TICK_SHIFT)
    reserve(addr(m.channel[channel]), at, ticks)
    m.dram_writes += lines << u64(m.line_shift)
    m.unwritten[channel] = 0


@fn
def is_quiet(m: Ptr[Machine], offset: u64, at: u64) -> boolean:
    """Whether the bus of an address's channel is free, or has few lines waiting."""
    channel = spread(offset >> u64(m.channel_shift), m.channel_group, m.channel_odd)
    return m.channel[channel] <= at + u64(m.chip.sram_drain_lines) * u64(m.chip.dram_line_ticks)


@fn
def dram_write(m: Ptr[Machine], offset: u64, lines: u64, at: u64) -> None:
    """Hand some lines of one piece of memory to its channel."""
    piece = offset >> u64(m.channel_shift)
    channel = spread(piece, m.channel_group, m.channel_odd)
    open_row(m, channel, piece, lines, at)
    m.unwritten[channel] += u32(lines)
    enough = m.chip.dram_write_lines
    if m.channel[channel] <= at:
        enough = enough // 2
    if m.unwritten[channel] >= enough:
        write_out(m, channel, at)


@fn
def dram_idle(m: Ptr[Machine], at: u64) -> u64:
    """Write what the channels still hold, from `at` on; returns the tick at which all is done."""
    last = at
    for channel in range(u64(0), u64(m.chip.dram_channels)):
        if m.unwritten[channel] > 0:
            write_out(m, channel, at)
        last = max(last, m.channel[channel])
        for bank in range(u64(0), u64(m.chip.dram_banks)):
            last = max(last, m.dram_bank[channel * u64(m.chip.dram_banks) + bank].free)
    return last
