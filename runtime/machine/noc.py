"""The network between PEs and the SRAM: the links that a line books, and how long its way is.

A crossbar has one port per PE and direction. A mesh has routers, each with a cluster of PEs, and a column of SRAM on
the west and on the east side; a line goes along its row first (X), then along a column (Y). Both directions of a link
are apart, reads and writes share them; requests and acknowledgements have channels of their own.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, select, u32, u64

from .resources import reserve
from .state import Machine, Pe

EAST, WEST = range(2)  # directions along a row
SOUTH, NORTH = range(2)  # … along a column
FORTH, BACK = 1, (1 << 64) - 1  # steps from link to link


def link_count(pes: int, rows: int, cols: int) -> int:
    """How many links there are: two ports per PE of a crossbar or those of a mesh of routers, whichever is more."""
    return max(2 * pes, 2 * rows * (cols + 1) + 2 * rows * (cols + 2))


@fn
def bank_row(m: Ptr[Machine], bank: u64) -> u32:
    """The row of routers at which an SRAM bank lies; even banks are west, odd ones east."""
    return u32(bank >> 1) % m.router_rows


@fn
def one_way(m: Ptr[Machine], pe: Ptr[Pe], bank: u64) -> u64:
    """Clocks one way between a PE and an SRAM bank: a fixed part and one for each router."""
    hops = u32(1)
    if m.chip.mesh != 0:
        row = bank_row(m, bank)
        hops = select(row > pe.router_row, row - pe.router_row, pe.router_row - row)
        hops += select(bank & 1 == 0, pe.router_col + 1, m.router_cols - pe.router_col)
    return u64(m.chip.noc_base_latency) + u64(hops) * u64(m.chip.noc_hop_latency)


@fn
def along(m: Ptr[Machine], first: u64, step: u64, count: u32, at: u64) -> u64:
    """Book `count` links one after another from the one numbered `first`; returns the tick of the last start."""
    t = at
    link = first
    for _ in range(u32(0), count):
        t = reserve(addr(m.link[link]), t, u64(m.link_ticks))
        link += step
    return t


@fn
def along_row(m: Ptr[Machine], direction: u32, row: u32, first: u32, count: u32, at: u64) -> u64:
    """Book links of a row of routers; link k lies west of column k."""
    start = u64((direction * m.router_rows + row) * (m.router_cols + 1) + first)
    return along(m, start, select(direction == EAST, u64(FORTH), u64(BACK)), count, at)


@fn
def along_column(m: Ptr[Machine], col: u32, start: u32, end: u32, at: u64) -> u64:
    """Book the links of a column from one row to another; column 0 is the SRAM in the west."""
    base = 2 * m.router_rows * (m.router_cols + 1)
    if start < end:
        return along(m, u64(base + col * m.router_rows + start), u64(FORTH), end - start, at)
    if start > end:
        north = base + (m.router_cols + 2 + col) * m.router_rows
        return along(m, u64(north + start - 1), u64(BACK), start - end, at)
    return at


@fn
def book_read(m: Ptr[Machine], pe: Ptr[Pe], bank: u64, at: u64) -> u64:
    """Book the links from a bank to a PE; returns the tick at which the last one is free for the line."""
    if m.chip.mesh == 0:
        return reserve(addr(m.link[2 * pe.index]), at, u64(m.link_ticks))
    row = bank_row(m, bank)
    t = at
    if bank & 1 == 0:
        t = along_row(m, u32(EAST), row, u32(0), pe.router_col + 1, at)
    else:
        t = along_row(m, u32(WEST), row, m.router_cols, m.router_cols - pe.router_col, at)
    return along_column(m, pe.router_col + 1, row, pe.router_row, t)


@fn
def book_write(m: Ptr[Machine], pe: Ptr[Pe], bank: u64, at: u64) -> u64:
    """Book the links from a PE to a bank; returns the tick at which the last one is free for the line."""
    if m.chip.mesh == 0:
        return reserve(addr(m.link[2 * pe.index + 1]), at, u64(m.link_ticks))
    if bank & 1 == 0:
        t = along_row(m, u32(WEST), pe.router_row, pe.router_col, pe.router_col + 1, at)
        return along_column(m, u32(0), pe.router_row, bank_row(m, bank), t)
    t = along_row(m, u32(EAST), pe.router_row, pe.router_col + 1, m.router_cols - pe.router_col, at)
    return along_column(m, m.router_cols + 1, pe.router_row, bank_row(m, bank), t)
