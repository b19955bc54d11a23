"""The timing chapter's rules of memory, written once more by hand: where an address lies, and what its way costs."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import ceil

from mtia.isa.chip import Chip
from mtia.runtime.machine.memory import DRAM_BASE

TICKS = 256  # parts of a clock


def interleave(n: int, count: int) -> int:
    """Which of `count` resources the n-th piece uses: 2^g of them go round, permuted by the bits above."""
    group = (count & -count).bit_length() - 1
    high = n >> group
    low = (n ^ high ^ high >> 3 ^ high >> 7 ^ high >> 12) % (1 << group)
    return high % (count >> group) << group | low


def bank_of(chip: Chip, address: int) -> int:
    """SRAM bank of an address."""
    return interleave(address // chip.noc.line_bytes, chip.sram.banks)


def dram_place(chip: Chip, address: int) -> tuple[int, int, int]:
    """Channel, bank and row of an address in DRAM."""
    dram = chip.dram
    piece = (address - DRAM_BASE) // dram.interleave_bytes
    row = piece // dram.channels // (dram.page_bytes // dram.interleave_bytes)
    return interleave(piece, dram.channels), interleave(row, dram.banks), row


def pieces(chip: Chip, channel: int, base: int) -> Iterator[int]:
    """Addresses from `base` on of the pieces that lie in a channel."""
    address = base
    while True:
        if dram_place(chip, address)[0] == channel:
            yield address
        address += chip.dram.interleave_bytes


def router(chip: Chip, pe: int) -> tuple[int, int]:
    """Row and column of a PE's router."""
    row, col = divmod(pe, chip.grid.cols)
    return row // chip.noc.cluster_rows, col // chip.noc.cluster_cols


def routers(chip: Chip) -> tuple[int, int]:
    """Rows and columns of routers."""
    return ceil(chip.grid.rows / chip.noc.cluster_rows), ceil(chip.grid.cols / chip.noc.cluster_cols)


def way(chip: Chip, pe: int, bank: int) -> int:
    """Clocks one way between a PE and a bank."""
    hops = 1
    if chip.noc.kind == "mesh":
        (row, col), (rows, cols) = router(chip, pe), routers(chip)
        hops = (col + 1 if bank % 2 == 0 else cols - col) + abs(row - bank // 2 % rows)
    return chip.noc.base_latency + hops * chip.noc.hop_latency


def bank_ticks(chip: Chip) -> int:
    """Ticks of a line at an SRAM bank."""
    return ceil(chip.noc.line_bytes * TICKS * chip.sram.banks / chip.sram.bytes_per_clk)


def dram_ticks(chip: Chip) -> int:
    """Ticks of a line on a channel: the peak rate less what ECC takes."""
    rate = chip.dram.bytes_per_second * chip.dram.efficiency_permille / 1000 / chip.clock_hz / chip.dram.channels
    return round(chip.noc.line_bytes * TICKS / rate)


def link_ticks(chip: Chip) -> int:
    """Ticks of a line on a link."""
    return ceil(chip.noc.line_bytes * TICKS / chip.noc.link_bytes_per_clk)


def fi_ticks(chip: Chip, write: bool = False) -> int:
    """Ticks between two requests of a DMA engine."""
    return ceil(chip.noc.line_bytes * TICKS / (chip.fi.write_bytes_per_clk if write else chip.fi.read_bytes_per_clk))


def links(chip: Chip, pe: int, bank: int, write: bool) -> list[tuple[int, ...]]:
    """What a line passes between a PE and a bank: a port of a crossbar; the links of a mesh along X, then along Y.

    A link is (axis, line of routers, between which two of them, direction); the SRAM is at columns -1 and `cols`.
    """
    if chip.noc.kind != "mesh":
        return [(pe, write)]
    rows, cols = routers(chip)
    here, there = router(chip, pe), (bank // 2 % rows, -1 if bank % 2 == 0 else cols)
    (row, col), (end_row, end_col) = (here, there) if write else (there, here)
    x, y = (1 if end_col > col else -1), (1 if end_row > row else -1)
    along_x: list[tuple[int, ...]] = [(0, row, 2 * c + x, x) for c in range(col, end_col, x)]
    return along_x + [(1, end_col, 2 * r + y, y) for r in range(row, end_row, y)]


class Traffic:
    """Books lines one after another, in ticks, by the chapter's rules; no row is open and nothing is in the LLC."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.free: dict[tuple[object, ...], int] = {}
        self.rows: dict[tuple[int, int], int] = {}

    def take(self, resource: tuple[object, ...], at: int, ticks: int) -> int:
        """Use a resource as soon as it is free."""
        start = max(at, self.free.get(resource, 0))
        self.free[resource] = start + ticks
        return start

    def line(self, pe: int, address: int, at: int, write: bool = False) -> int:
        """The tick at which a line that is asked for at tick `at` has come or, in the LLS, has been written."""
        chip, bank = self.chip, bank_of(self.chip, address)
        for link in links(chip, pe, bank, write):
            at = self.take(("link", *link), at, link_ticks(chip))
        one_way = way(chip, pe, bank) * TICKS
        ready = self.take(("bank", bank), at + one_way, bank_ticks(chip))
        if address >= DRAM_BASE:
            channel, dram_bank, row = dram_place(chip, address)
            bus = self.take(("bus", channel), ready, dram_ticks(chip))
            opens = 0 if self.rows.get((channel, dram_bank)) == row else chip.dram.row_miss * TICKS
            self.rows[channel, dram_bank] = row
            column = self.take(("column", channel, dram_bank), ready, opens + dram_ticks(chip)) + opens
            ready = max(bus, column) + chip.dram.latency * TICKS
        return ready + chip.sram.latency * TICKS + one_way


def last_lines(chip: Chip, asked: dict[int, list[tuple[int, list[int]]]], write: bool = False) -> dict[int, list[int]]:
    """Clocks at which commands complete: by PE a list of (clock of the first request, addresses of the lines).

    An engine sends the requests of `fi.turn` clocks, then the next one in the order of time and PE has its turn; a
    request waits until the line as many before it as the engine may have on their way is back.
    """
    traffic, window = Traffic(chip), chip.fi.write_lines if write else chip.fi.read_lines
    back: dict[int, list[int]] = {pe: [] for pe in asked}
    following = dict.fromkeys(asked, 0)
    found: dict[int, list[int]] = {pe: [] for pe in asked}
    turns = [(commands[0][0], pe, 0, 0) for pe, commands in asked.items()]
    heapify(turns)
    while turns:
        now, pe, number, place = heappop(turns)
        first, lines = asked[pe][number]
        while place < len(lines):
            t = max(following[pe], first * TICKS)
            if len(back[pe]) >= window:
                t = max(t, back[pe][-window])
            if t >= (now + chip.fi.turn) * TICKS:
                following[pe] = t
                heappush(turns, (t // TICKS, pe, number, place))
                break
            back[pe].append(traffic.line(pe, lines[place], t, write))
            following[pe], place = t + fi_ticks(chip, write), place + 1
        else:
            found[pe].append(ceil(max(back[pe][-len(lines) :]) / TICKS))
            if number + 1 < len(asked[pe]):
                begin = max(asked[pe][number + 1][0], now, following[pe] // TICKS)
                heappush(turns, (begin, pe, number + 1, 0))
    return found
