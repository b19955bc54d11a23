"""The cost model: cycles of a launch from the work of a program and the numbers of the chip file.

Each resource of a PE (matrix engine, SIMD engine, DMA engines, vector hart, issue) is busy for a time; with enough
programs in flight the longest of them counts, with none they add up. The chip's memories bound all PEs together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from mtia.compiler.tune.work import Work
from mtia.isa.chip import Chip

__all__ = ["Estimate", "estimate", "local_bytes"]

ISSUE_PER_COMMAND = 4.0  # instructions around a unit command: addresses, clips, the command
ISSUE_PER_DMA = 14.0
ISSUE_PER_PROGRAM = 60.0  # decoding the program id, prologue of the kernel
WAIT = 60.0  # a hart that reads a result of a unit: command latency and the empty pipeline behind it


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Cycles of a launch and the share of each resource, in cycles of the busiest PE."""

    cycles: float
    parts: Mapping[str, float]

    @property
    def bound(self) -> str:
        """The resource that takes longest."""
        return max(self.parts, key=lambda name: self.parts[name])


def local_bytes(work: Work, slots: int) -> float:
    """Local memory one hart needs: every loaded or stored block `slots` times, and the intermediate values."""
    return work.tile_bytes * slots + work.value_bytes


def _dot_cycles(work: Work, chip: Chip) -> float:
    total = 0.0
    for m, n, k, size, times in work.dot_shapes:
        blocks = math.ceil(m / 32) * math.ceil(n / 32) * math.ceil(k * size / chip.dpe.slice_bytes)
        total += times * (chip.dpe.start + blocks * 32 / chip.dpe.tiles)
    return total


def estimate(
    work: Work, programs: int, chip: Chip, *, cores: int, slots: int, footprint: float, resident: bool
) -> Estimate:
    """Cycles of `programs` programs on the chip.

    `footprint` is the bytes of all distinct operands, `resident` whether they are in the LLC at the start.
    """
    pes = chip.grid.rows * chip.grid.cols
    per_pe = math.ceil(programs / pes)
    per_hart = math.ceil(programs / (pes * cores))
    latency = 2 * chip.noc.base_latency + chip.sram.latency + (0 if resident else chip.dram.latency)
    simd = work.simd_elements / chip.se.elements_per_clk + work.simd_commands * chip.se.start
    parts = {
        "dpe": _dot_cycles(work, chip),
        "se": simd,
        "fi_in": work.read_bytes / chip.fi.read_bytes_per_clk + work.dmas * chip.fi.start / chip.fi.commands,
        "fi_out": work.write_bytes / chip.fi.write_bytes_per_clk,
        "hart": work.macs32 / 14
        + ISSUE_PER_COMMAND * (work.simd_commands + work.dots)
        + ISSUE_PER_DMA * work.dmas
        + ISSUE_PER_PROGRAM,
    }
    harts = {name: value / (cores if name == "hart" else 1) for name, value in parts.items()}
    longest = max(harts.values())
    # What one hart cannot hide: it waits for its own loads unless slots are deep, and for results it reads.
    serial = work.scalar_waits * WAIT + (latency + parts["fi_in"]) / max(1, slots) + work.chain * 4
    alone = sum(parts.values()) + latency + work.scalar_waits * WAIT
    one = max(longest, (longest + serial) / cores, alone / (cores * slots))
    # The last program of a PE has nothing behind it to overlap with.
    pe_cycles = max(one * per_pe, alone * per_hart / slots) + (alone - longest) / cores
    moved = (work.read_bytes + work.write_bytes) * programs
    shared = max(1.0, min(8.0, moved / max(footprint, 1.0)))  # rows and columns that read the same lines
    memory = {
        "sram": moved / math.sqrt(shared) / chip.sram.bytes_per_clk,
        "dram": 0.0
        if resident
        else footprint * chip.clock_hz / (chip.dram.bytes_per_second * chip.dram.efficiency_permille / 1000),
    }
    total = {name: value * per_pe for name, value in harts.items()} | memory
    cycles = max(pe_cycles, *memory.values()) + latency
    return Estimate(cycles, total)
