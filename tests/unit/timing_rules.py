"""The timing chapter's rules of memory, written once more by hand: where an address lies, and what its way costs."""

from __future__ import annotations

from collections.abc import Iterator
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
