"""Time of one line between a PE and the memories: NoC, SRAM banks, LLC tags, DRAM channels.

Every resource keeps the tick at which it is free again. A line reserves link, bank and channel in the order of its
request, so a line that waits for DRAM never delays one that does not need it.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, select, u8, u16, u32, u64
from mtia.isa.xmtia.state import TICKS

from .state import Engine, Machine, Pe, Recent

DRAM_BASE = 0x80_0000_0000
LLS_BASE = 0x10_0000_0000
LS_BASE = 0x1000_0000
TEXT_BASE = 0x4000_0000
BLOCK_LINES = 16  # lines of one LLC block (defined)
WHOLE_BLOCK = (1 << BLOCK_LINES) - 1
BLOCK_SHIFT = 4
# The LLC drains: a block that has been written whole goes to DRAM while its channels have little to do, and stays as a
# clean one (defined; a write-back cache that keeps all dirty lines to the end would leave the channels idle meanwhile).
DRAIN_LINES = 32  # lines that may wait in a channel
CHANNEL_BYTES = 256  # consecutive bytes in one DRAM channel (defined)
CHANNEL_SHIFT = 8
TICK_SHIFT = 8
assert 1 << TICK_SHIFT == TICKS


@fn
def spread(n: u64, group: u32, odd: u32) -> u64:
    """Resource of the n-th piece of memory: consecutive pieces go round, and rows of a matrix are skewed."""
    mask = (u64(1) << u64(group)) - 1
    high = n >> u64(group)
    fold = high ^ (high >> 3) ^ (high >> 7) ^ (high >> 12)
    low = (n ^ fold) & mask
    if odd > 1:
        return ((high % u64(odd)) << u64(group)) | low
    return low


@fn
def hops(m: Ptr[Machine], pe: Ptr[Pe], bank: u64) -> u64:
    """Routers between a PE and an SRAM bank: X to the bank's side, then Y to its row; one in a crossbar."""
    if m.chip.mesh == 0:
        return 1
    to_side = pe.col
    if bank & 1 == 1:
        to_side = m.chip.grid_cols - 1 - pe.col
    row = u32((bank >> 1) % u64(m.chip.grid_rows))
    up = select(row > pe.row, row - pe.row, pe.row - row)
    return u64(to_side + up + 1)


@fn
def reserve(next: Ptr[u64], at: u64, ticks: u64) -> u64:
    """Take a resource for some ticks at the earliest from `at`; returns the start."""
    start = at
    if next[0] > at:
        start = next[0]
    next[0] = start + ticks
    return start


@fn
def dram_line(m: Ptr[Machine], e: Ptr[Engine], offset: u64, at: u64) -> u64:
    """Read or write one line in DRAM; returns the tick at which the channel has passed it on."""
    piece = offset >> CHANNEL_SHIFT
    c = spread(piece, m.channel_group, m.channel_odd)
    start = reserve(addr(m.channel[c]), at, u64(m.chip.dram_line_ticks))
    e.wait_dram = e.wait_dram + (start - at)
    latency = u64(m.chip.dram_latency)
    page = offset // (u64(m.chip.dram_page_bytes) * u64(m.chip.dram_channels))
    if m.page[c] != page:
        m.page[c] = page
        latency = latency + u64(m.chip.dram_page_miss)
    return start + (latency << TICK_SHIFT)


@fn
def write_back(m: Ptr[Machine], block_number: u64, dirty: u16, at: u64) -> None:
    """Occupy the channels with a block's dirty lines."""
    base = block_number << u64(m.line_shift + BLOCK_SHIFT)
    line_bytes = u64(1) << u64(m.line_shift)
    for i in range(u64(0), u64(BLOCK_LINES)):
        if (u32(dirty) >> u32(i)) & 1 == 1:
            c = spread((base + i * line_bytes) >> CHANNEL_SHIFT, m.channel_group, m.channel_odd)
            reserve(addr(m.channel[c]), at, u64(m.chip.dram_line_ticks))
            m.dram_writes = m.dram_writes + line_bytes


@fn
def channels_are_quiet(m: Ptr[Machine], block_number: u64, at: u64) -> boolean:
    """Whether every channel of a block has at most `DRAIN_LINES` lines waiting."""
    base = block_number << u64(m.line_shift + BLOCK_SHIFT)
    limit = at + DRAIN_LINES * u64(m.chip.dram_line_ticks)
    for i in range(u64(0), u64(BLOCK_LINES)):
        c = spread((base + (i << u64(m.line_shift))) >> CHANNEL_SHIFT, m.channel_group, m.channel_odd)
        if m.channel[c] > limit:
            return False
    return True


@fn
def find_block(m: Ptr[Machine], number: u64, at: u64) -> u64:
    """Index of an LLC block, taken over from another one (written back if dirty) when it is not there."""
    tag = u32(number) + 1
    group = (number ^ (number >> 13)) % u64(m.sets)
    ways = u64(m.ways)
    first = group * ways
    for way in range(u64(0), ways):
        if m.tags[first + way] == tag:
            m.blocks[first + way].used = 1
            return first + way
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
    b = addr(m.blocks[find_block(m, line >> BLOCK_SHIFT, at)])
    bit = u16(1) << u16(line & (BLOCK_LINES - 1))
    ready = at
    if b.valid & bit != 0:
        e.llc_hits = e.llc_hits + 1
        if b.ready > at:
            ready = b.ready
    else:
        e.llc_misses = e.llc_misses + 1
        m.dram_reads = m.dram_reads + (u64(1) << u64(m.line_shift))
        ready = dram_line(m, e, offset, at)
        b.valid = b.valid | bit
        if ready > b.ready:
            b.ready = ready
    return ready + (u64(m.chip.sram_latency) << TICK_SHIFT)


@fn
def llc_write(m: Ptr[Machine], e: Ptr[Engine], offset: u64, whole: boolean, at: u64) -> u64:
    """Write a line of DRAM into the LLC; a part of a line that is not there is fetched first."""
    line = offset >> u64(m.line_shift)
    b = addr(m.blocks[find_block(m, line >> BLOCK_SHIFT, at)])
    bit = u16(1) << u16(line & (BLOCK_LINES - 1))
    if b.valid & bit != 0:
        e.llc_hits = e.llc_hits + 1
    else:
        e.llc_misses = e.llc_misses + 1
        if not whole:
            m.dram_reads = m.dram_reads + (u64(1) << u64(m.line_shift))
            fetched = dram_line(m, e, offset, at)
            if fetched > b.ready:
                b.ready = fetched
        b.valid = b.valid | bit
    b.dirty = b.dirty | bit
    if b.dirty == WHOLE_BLOCK and channels_are_quiet(m, line >> BLOCK_SHIFT, at):
        write_back(m, line >> BLOCK_SHIFT, b.dirty, at)
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
def link_of(m: Ptr[Machine], pe: Ptr[Pe], bank: u64) -> u64:
    """The link that a line takes: the PE's own port of a crossbar, the end of the PE's row in a mesh."""
    if m.chip.mesh == 0:
        return u64(pe.index)
    return u64(pe.row) * 2 + (bank & 1)


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
    if shared.tag == tag and at < shared.arrival + u64(shared.more):
        e.coalesced += 1
        return max(shared.arrival, at + (u64(m.chip.noc_base_latency) << TICK_SHIFT))
    bank = spread(line, m.bank_group, m.bank_odd)
    start = reserve(addr(m.link_in[link_of(m, pe, bank)]), at, u64(m.link_ticks))
    e.wait_noc = e.wait_noc + (start - at)
    way = (u64(m.chip.noc_base_latency) + hops(m, pe, bank) * u64(m.chip.noc_hop_latency)) << TICK_SHIFT
    asked = start + way
    served = reserve(addr(m.bank[bank]), asked, u64(m.chip.sram_line_ticks))
    e.wait_sram = e.wait_sram + (served - asked)
    m.sram_reads = m.sram_reads + (u64(1) << u64(m.line_shift))
    arrival = served + way
    if address >= DRAM_BASE:
        arrival = llc_read(m, e, address - DRAM_BASE, served) + way
    else:
        arrival = arrival + (u64(m.chip.sram_latency) << TICK_SHIFT)
    until = max(at + (u64(m.chip.noc_coalesce_window) << TICK_SHIFT), arrival)
    remember(in_row, tag, u32(until - arrival), arrival)
    remember(in_col, tag, u32(until - arrival), arrival)
    return arrival


@fn
def write_line(m: Ptr[Machine], pe: Ptr[Pe], e: Ptr[Engine], address: u64, whole: boolean, at: u64) -> u64:
    """Time a write of one line, or of a part of it, sent at tick `at`; returns the tick of its acknowledgement."""
    line = address >> u64(m.line_shift)
    bank = spread(line, m.bank_group, m.bank_odd)
    start = reserve(addr(m.link_out[link_of(m, pe, bank)]), at, u64(m.link_ticks))
    e.wait_noc = e.wait_noc + (start - at)
    way = (u64(m.chip.noc_base_latency) + hops(m, pe, bank) * u64(m.chip.noc_hop_latency)) << TICK_SHIFT
    asked = start + way
    served = reserve(addr(m.bank[bank]), asked, u64(m.chip.sram_line_ticks))
    e.wait_sram = e.wait_sram + (served - asked)
    m.sram_writes = m.sram_writes + (u64(1) << u64(m.line_shift))
    if address >= DRAM_BASE:
        return llc_write(m, e, address - DRAM_BASE, whole, served) + way
    return served + (u64(m.chip.sram_latency) << TICK_SHIFT) + way


@fn
def prefetch_line(m: Ptr[Machine], pe: Ptr[Pe], e: Ptr[Engine], address: u64, at: u64) -> u64:
    """Time the move of one line from DRAM into the LLC."""
    line = address >> u64(m.line_shift)
    bank = spread(line, m.bank_group, m.bank_odd)
    way = (u64(m.chip.noc_base_latency) + hops(m, pe, bank) * u64(m.chip.noc_hop_latency)) << TICK_SHIFT
    served = reserve(addr(m.bank[bank]), at + way, u64(m.chip.sram_line_ticks))
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
    last = at
    for c in range(u64(0), u64(m.chip.dram_channels)):
        if m.channel[c] > last:
            last = m.channel[c]
    return (last + TICKS - 1) >> TICK_SHIFT


@fn
def warm_llc(m: Ptr[Machine], address: u64, size: u64) -> None:
    """Make a range of DRAM resident in the LLC without taking time."""
    first = (address - DRAM_BASE) >> u64(m.line_shift)
    last = (address - DRAM_BASE + size + (u64(1) << u64(m.line_shift)) - 1) >> u64(m.line_shift)
    for line in range(first, last):
        b = addr(m.blocks[find_block(m, line >> BLOCK_SHIFT, u64(0))])
        b.valid = b.valid | (u16(1) << u16(line & (BLOCK_LINES - 1)))
