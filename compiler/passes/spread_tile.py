"""Tile sizes for a group: as large as local memory and the number of PEs allow.

`tile_bytes` and `phase_cost` are what a tuner needs: what a choice takes of local memory, and its estimated clocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from mtia.compiler.passes.spread_graph import Group
from mtia.compiler.passes.spread_layout import contraction_parts, kept_dims, overlapping_dims
from mtia.compiler.passes.spread_views import Access, Dim
from mtia.isa.chip import Chip

__all__ = ["ENGINE_TYPES", "MAX_TAPS", "TileLimits", "choose_tiles", "element_bytes", "phase_cost", "tile_bytes"]

ENGINE_TYPES = ("f16", "bf16", "i8")  # of operands that the dot-product engine multiplies
MAX_TAPS = 9  # window positions that are unrolled into one operand tile
MATRIX_ROWS, MATRIX_COLUMNS, MATRIX_INNER = 64, 64, 128
VECTOR_ELEMENTS = 4096  # of an elementwise tile: enough bytes in flight per DMA, several tiles in local memory
ROW_ELEMENTS = 1024


@dataclass(frozen=True)
class TileLimits:
    """What bounds a tile: bytes of local memory for one program's tiles, and the PEs to keep busy."""

    bytes: int
    pes: int

    @staticmethod
    def of(chip: Chip) -> TileLimits:
        """A third of local memory: two programs in flight, and room for stacks and constants."""
        return TileLimits(chip.ls.bytes // 3, chip.pes)


def element_bytes(dtype: Any) -> int:
    """Bytes of one element in memory (a truth value takes one)."""
    digits = re.search(r"\d+$", str(dtype))
    return max(1, int(digits.group()) // 8) if digits else 8


def choose_tiles(group: Group, limits: TileLimits) -> dict[Dim, int]:
    """Tile size per loop dimension."""
    if group.contraction:
        return _matrix_tiles(group, limits)
    return _vector_tiles(group, limits)


def tile_bytes(group: Group, tiles: Mapping[Dim, int]) -> int:
    """Local memory that one program's tiles take, without double buffering."""
    accesses = {(id(access.buffer), access.at): access for access in group.accesses()}.values()
    total = sum(_access_bytes(access, tiles) for access in accesses)
    for output in group.outputs:
        size = _access_bytes(output.access, tiles)
        wide = 4 * size // element_bytes(output.access.buffer.dtype) if group.contraction else size
        total += size + (wide if group.reduces else 0)
    return total


def phase_cost(group: Group, tiles: Mapping[Dim, int], chip: Chip) -> float:
    """Estimated clocks of a phase: per program the slower of DMA and arithmetic, times programs per PE."""
    programs = prod(-(-dim.extent // tiles[dim]) for dim in group.parallel)
    folds = prod(-(-dim.extent // tiles[dim]) for dim in group.dims if dim.reduction)
    moved = tile_bytes(group, tiles) * folds
    work = prod(tiles.values()) * folds
    narrow = group.contraction and str(group.root.accesses()[0].buffer.dtype) in ("f16", "bf16")
    rate = chip.dpe.fp16 if narrow else chip.se.elements_per_clk
    clocks = max(moved / chip.fi.read_bytes_per_clk, work / rate) + chip.fi.start * folds
    return clocks * -(-programs // chip.pes)


def _access_bytes(access: Access, tiles: Mapping[Dim, int]) -> int:
    return prod(tiles[dim] for dim in kept_dims(access)) * element_bytes(access.buffer.dtype)


def _programs(group: Group, tiles: Mapping[Dim, int]) -> int:
    return prod(-(-dim.extent // tiles[dim]) for dim in group.parallel)


def _taps(group: Group) -> set[Dim]:
    found: set[Dim] = set()
    for access in group.accesses():
        found |= overlapping_dims(access)
    return found


def _matrix_tiles(group: Group, limits: TileLimits) -> dict[Dim, int]:
    """Rows × columns of the result per program, k tile by tile."""
    parts = contraction_parts(group)
    tiles = {dim: 1 for dim in group.dims}
    for dims, goal in ((parts.rows, MATRIX_ROWS), (parts.columns, MATRIX_COLUMNS)):
        _grow(tiles, dims, goal, group.outputs[0].access)
    taps = [dim for dim in parts.inner if dim in _taps(group)]
    if prod(dim.extent for dim in taps) <= MAX_TAPS:
        tiles.update({dim: dim.extent for dim in taps})
    elif taps:
        tiles[taps[-1]] = taps[-1].extent if taps[-1].extent <= MAX_TAPS else 1
    done = prod(tiles[dim] for dim in taps)
    plain = [dim for dim in parts.inner if dim not in taps]
    _grow(tiles, plain, max(1, MATRIX_INNER // done), parts.right)
    growable = [dim for dim in (*parts.rows, *parts.columns) if tiles[dim] > 1]
    engine = str(parts.left.buffer.dtype) in ENGINE_TYPES
    smallest = (16, 16 if engine else 2)  # columns, rows: the hart's vectors run along columns
    while growable and (_programs(group, tiles) < limits.pes or tile_bytes(group, tiles) > limits.bytes):
        largest = max(growable, key=lambda dim: tiles[dim])
        side = parts.rows if largest in parts.rows else parts.columns
        if (
            tile_bytes(group, tiles) <= limits.bytes
            and prod(tiles[dim] for dim in side) <= smallest[side is parts.rows]
        ):
            growable.remove(largest)
            continue
        tiles[largest] = -(-tiles[largest] // 2)
        growable = [dim for dim in growable if tiles[dim] > 1]
    return tiles


def _grow(tiles: dict[Dim, int], dims: list[Dim], goal: int, access: Access) -> None:
    """Tile sizes of about `goal` iterations, the dimension with the smallest step first."""
    for dim in sorted(dims, key=access.at.factor):
        taken = min(dim.extent, goal)
        if taken < dim.extent and dim.extent <= goal * 3 // 2:
            taken = -(-dim.extent // 2)
        tiles[dim] = max(1, taken)
        goal //= max(1, taken)
        if taken < dim.extent:
            break


def _vector_tiles(group: Group, limits: TileLimits) -> dict[Dim, int]:
    """Up to two independent dimensions per tile; folded ones whole where they fit, in divisors where not."""
    tiles = {dim: 1 for dim in group.dims}
    taps = _taps(group)
    folded = [dim for dim in group.dims if dim.reduction and dim not in taps]
    room = ROW_ELEMENTS * 4
    for dim in reversed(folded):
        tiles[dim] = _divisor(dim.extent, room)
        room //= tiles[dim]
        if tiles[dim] < dim.extent or room < 2:
            break
    room = max(1, VECTOR_ELEMENTS // prod(tiles.values()))
    order = _vector_order(group)
    for number, dim in enumerate(order[:2]):
        tiles[dim] = max(1, min(dim.extent, room if number else min(room, ROW_ELEMENTS)))
        room //= tiles[dim]
    while _programs(group, tiles) < limits.pes or tile_bytes(group, tiles) > limits.bytes:
        choices = [dim for dim in order[:2] if tiles[dim] > 1]
        tight = tile_bytes(group, tiles) > limits.bytes
        if not choices or (not tight and prod(tiles[dim] for dim in choices) <= 64):
            break
        outer = choices[-1] if tiles[choices[-1]] > 1 else choices[0]
        tiles[outer] = -(-tiles[outer] // 2)
    return tiles


def _vector_order(group: Group) -> list[Dim]:
    """Independent dimensions, the result's contiguous one first, then an operand's contiguous one, then by step."""
    out = group.outputs[0].access.at
    order = sorted(group.parallel, key=lambda dim: out.factor(dim) or 1 << 60)
    for access in group.accesses():
        inner = min(access.at.terms, key=access.at.factor, default=None)
        if inner is not None and inner in order[2:] and access.at.factor(inner) == 1:
            order.remove(inner)
            order.insert(1, inner)
    return order


def _divisor(extent: int, limit: int) -> int:
    """The largest divisor of `extent` up to `limit`."""
    return next(size for size in range(min(extent, limit), 0, -1) if extent % size == 0)
