"""Time of one line between a PE and the memories: the network, SRAM banks, and the LLC's tags before the DRAM."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, popcount, u8, u16, u32, u64
from mtia.isa.xmtia.state import TICKS

from .dram import dram_idle, dram_read, dram_write, is_quiet
from .noc import book_read, book_write, one_way
from .resources import reserve, spread
from .state import TICK_SHIFT, Engine, Machine, Pe, Recent

DRAM_BASE = 0x80_0000_0000
LLS_BASE = 0x10_0000_0000
LS_BASE = 0x1000_0000
TEXT_BASE = 0x4000_0000


@fn
def book_bank(m: Ptr[Machine], line: u64, at: u64) -> u64:
    """Take the SRAM bank of a line for one access; returns the start."""
    bank = spread(line, m.bank_group, m.bank_odd)
    return reserve(addr(m.bank[bank]), at, u64(m.chip.sram_line_ticks))


@fn
def write_back(m: Ptr[Machine], block_number: u64, dirty: u16, at: u64) -> None:
    """Read a block's dirty lines out of their banks and hand them to the channels, piece by piece."""
    first = block_number << u64(m.block_shift)
    mask = (u32(1) << m.piece_lines) - 1
    i = u32(0)
    while u32(dirty) >> i != 0:
        lines = u64(popcount((u32(dirty) >> i) & mask))
        if lines > 0:
            dram_write(m, (first + u64(i)) << u64(m.line_shift), lines, at)
            for k in range(i, i + m.piece_lines):
                if (u32(dirty) >> k) & 1 == 1:
                    book_bank(m, (u64(DRAM_BASE) >> u64(m.line_shift)) + first + u64(k), at)
        i += m.piece_lines


@fn
def channels_are_quiet(m: Ptr[Machine], block_number: u64, at: u64) -> boolean:
    """Whether every channel of a block is quiet."""
    i = block_number << u64(m.block_shift)
    end = i + u64(m.chip.sram_block_lines)
    while i < end:
        if not is_quiet(m, i << u64(m.line_shift), at):
            return False
        i += u64(m.piece_lines)
    return True


@fn
def find_block(m: Ptr[Machine], number: u64, at: u64) -> u64:
    """Index of an LLC block, taken over from another one (written back if dirty) when it is not there."""
    tag = u32(number) + 1
    group = (number ^ (number >> 13)) % u64(m.sets)
    ways = u64(m.ways)
    first = group * ways
    for place in range(first, first + ways):
        if m.tags[place] == tag:
            m.blocks[place].used = 1
            return place
    hand = u64(m.hand[group])
    while m.blocks[first + hand].used != 0:
        m.blocks[first + hand].used = 0
        hand = hand + 1
        if hand == ways:
            hand = 0
    victim = first + hand
    hand = hand + 1
    if hand == ways:
        hand = 0
    m.hand[group] = u8(hand)
    b = addr(m.blocks[victim])
    if b.dirty != 0:
        write_back(m, u64(m.tags[victim] - 1), b.dirty, at)
        m.evictions = m.evictions + 1
    m.tags[victim] = tag
    b.valid = 0
    b.dirty = 0
    b.used = 1
    b.ready = 0
    return victim


@fn
def llc_read(m: Ptr[Machine], e: Ptr[Engine], offset: u64, at: u64) -> u64:
    """Read a line of DRAM through the LLC; returns when its data leaves the bank."""
    line = offset >> u64(m.line_shift)
    b = addr(m.blocks[find_block(m, line >> u64(m.block_shift), at)])
    bit = u16(1) << u16(line & u64(m.chip.sram_block_lines - 1))
    ready = at
    if b.valid & bit != 0:
        e.llc_hits = e.llc_hits + 1
        if b.ready > at:
            ready = b.ready
    else:
        e.llc_misses = e.llc_misses + 1
        ready = dram_read(m, e, offset, at)
        b.valid = b.valid | bit
        if ready > b.ready:
            b.ready = ready
    return ready + (u64(m.chip.sram_latency) << TICK_SHIFT)


@fn
def llc_write(m: Ptr[Machine], e: Ptr[Engine], offset: u64, whole: boolean, at: u64) -> u64:
    """Write a line of DRAM into the LLC; a part of a line that is not there is fetched first."""
    line = offset >> u64(m.line_shift)
    number = line >> u64(m.block_shift)
    b = addr(m.blocks[find_block(m, number, at)])
    bit = u16(1) << u16(line & u64(m.chip.sram_block_lines - 1))
    if b.valid & bit != 0:
        e.llc_hits = e.llc_hits + 1
    else:
        e.llc_misses = e.llc_misses + 1
        if not whole:
            fetched = dram_read(m, e, offset, at)
            if fetched > b.ready:
                b.ready = fetched
        b.valid = b.valid | bit
    b.dirty = b.dirty | bit
    whole_block = (u32(1) << m.chip.sram_block_lines) - 1
    if u32(b.dirty) == whole_block and channels_are_quiet(m, number, at):
        write_back(m, number, b.dirty, at)
        b.dirty = 0
    return at + (u64(m.chip.sram_latency) << TICK_SHIFT)


SPREAD = 0x9E37_79B9_7F4A_7C15  # 2⁶⁴ / golden ratio


@fn
def remember(r: Ptr[Recent], tag: u32, more: u32, arrival: u64) -> None:
    """Note that a row or column of PEs has this line on the way."""
    r.tag = tag
    r.more = more
    r.arrival = arrival


@fn
def read_line(m: Ptr[Machine], pe: Ptr[Pe], e: Ptr[Engine], address: u64, at: u64) -> u64:
    """Time a read of one line requested at tick `at`; returns the tick of its arrival at the PE."""
    line = address >> u64(m.line_shift)
    # Hashed, as an associative buffer would hold them: rows of a tile are often a power of two of lines apart.
    high = line >> u64(m.recent_shift)
    slot = (line ^ ((high * SPREAD) >> 32)) & ((u64(1) << u64(m.recent_shift)) - 1)
    tag = u32(high) + 1
    in_row = addr(m.recent_row[(u64(pe.row) << u64(m.recent_shift)) + slot])
    in_col = addr(m.recent_col[(u64(pe.col) << u64(m.recent_shift)) + slot])
    shared = in_row
    if not (in_row.tag == tag and at < in_row.arrival + u64(in_row.more)):
        shared = in_col
    e.lines += 1
    if shared.tag == tag and at < shared.arrival + u64(shared.more):
        e.coalesced += 1
        return max(shared.arrival, at + (u64(m.chip.noc_base_latency) << TICK_SHIFT))
    bank = spread(line, m.bank_group, m.bank_odd)
    start = book_read(m, pe, bank, at)
    e.wait_noc += start - at
    way = one_way(m, pe, bank) << TICK_SHIFT
    asked = start + way
    served = reserve(addr(m.bank[bank]), asked, u64(m.chip.sram_line_ticks))
    e.wait_sram += served - asked
    m.sram_reads += u64(1) << u64(m.line_shift)
    if address >= DRAM_BASE:
        arrival = llc_read(m, e, address - DRAM_BASE, served) + way
    else:
        arrival = served + (u64(m.chip.sram_latency) << TICK_SHIFT) + way
    until = max(at + (u64(m.chip.noc_coalesce_window) << TICK_SHIFT), arrival)
    remember(in_row, tag, u32(until - arrival), arrival)
    remember(in_col, tag, u32(until - arrival), arrival)
    return arrival


@fn
def write_line(m: Ptr[Machine], pe: Ptr[Pe], e: Ptr[Engine], address: u64, whole: boolean, at: u64) -> u64:
    """Time a write of one line, or of a part of it, sent at tick `at`; returns the tick of its acknowledgement."""
    bank = spread(address >> u64(m.line_shift), m.bank_group, m.bank_odd)
    start = book_write(m, pe, bank, at)
    e.lines += 1
    e.wait_noc += start - at
    way = one_way(m, pe, bank) << TICK_SHIFT
    asked = start + way
    served = reserve(addr(m.bank[bank]), asked, u64(m.chip.sram_line_ticks))
    e.wait_sram += served - asked
    m.sram_writes += u64(1) << u64(m.line_shift)
    if address >= DRAM_BASE:
        return llc_write(m, e, address - DRAM_BASE, whole, served) + way
    return served + (u64(m.chip.sram_latency) << TICK_SHIFT) + way


@fn
def prefetch_line(m: Ptr[Machine], pe: Ptr[Pe], e: Ptr[Engine], address: u64, at: u64) -> u64:
    """Time the move of one line from DRAM into the LLC; its data does not enter the network."""
    line = address >> u64(m.line_shift)
    way = one_way(m, pe, spread(line, m.bank_group, m.bank_odd)) << TICK_SHIFT
    served = book_bank(m, line, at + way)
    e.lines += 1
    e.wait_sram += served - at - way
    m.sram_fills += u64(1) << u64(m.line_shift)
    if address >= DRAM_BASE:
        return llc_read(m, e, address - DRAM_BASE, served) + way
    return served + way


@fn
def flush_llc(m: Ptr[Machine], cycle: u64) -> u64:
    """Write every dirty line back to DRAM from `cycle` on; returns the cycle at which the last channel is done."""
    at = cycle << TICK_SHIFT
    for i in range(u64(0), u64(m.sets) * u64(m.ways)):
        b = addr(m.blocks[i])
        if b.dirty != 0:
            write_back(m, u64(m.tags[i] - 1), b.dirty, at)
            b.dirty = 0
    return (dram_idle(m, at) + TICKS - 1) >> TICK_SHIFT


@fn
def warm_llc(m: Ptr[Machine], address: u64, size: u64) -> None:
    """Make a range of DRAM resident in the LLC without taking time."""
    first = (address - DRAM_BASE) >> u64(m.line_shift)
    last = (address - DRAM_BASE + size + (u64(1) << u64(m.line_shift)) - 1) >> u64(m.line_shift)
    for line in range(first, last):
        b = addr(m.blocks[find_block(m, line >> u64(m.block_shift), u64(0))])
        b.valid = b.valid | (u16(1) << u16(line & u64(m.chip.sram_block_lines - 1)))
