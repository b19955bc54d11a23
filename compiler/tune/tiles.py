"""Which part of device memory a tile of addresses covers: base, stride per dimension, where it wraps, what is valid.

Only what is affine in the tile's indices is known; of everything else a tile is taken to be dense.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtia.dialects.mlir import ir

__all__ = ["LINE", "Tile", "Tiles"]

LINE = 64  # bytes of a line of device memory
_ARITHMETIC = ("arith.addi", "arith.subi", "arith.muli", "arith.remsi", "tt.addptr")
_THROUGH = ("arith.extsi", "arith.extui", "arith.trunci", "tt.bitcast")


@dataclass(frozen=True)
class Tile:
    """base + Σ index · stride, in elements; `wraps` are the dimensions along which it starts again at 0."""

    base: int | None
    strides: tuple[int, ...]
    wraps: frozenset[int] = frozenset()


class Tiles:
    """What is known of integer and pointer tensors; `values` are the known scalars."""

    def __init__(self, values: Mapping[Any, int]) -> None:
        self.values = values
        self.known: dict[Any, Tile] = {}
        self.valid: dict[Any, tuple[int, ...]] = {}  # of masks: how many indices of each dimension

    def same(self, value: Any, other: Any) -> None:
        """A value that is like another one."""
        if other in self.known:
            self.known[value] = self.known[other]
        if other in self.valid:
            self.valid[value] = self.valid[other]

    def evaluate(self, op: Any) -> None:
        """Note what an operation makes."""
        if len(op.results) != 1 or not isinstance(op.results[0].type, ir.RankedTensorType):
            return
        shape = tuple(ir.RankedTensorType(op.results[0].type).shape)
        made = self.tile(op, shape)
        if made is not None:
            self.known[op.results[0]] = made
        valid = self.mask(op, shape)
        if valid is not None:
            self.valid[op.results[0]] = valid

    def tile(self, op: Any, shape: tuple[int, ...]) -> Tile | None:
        name = op.name
        if name == "tt.make_range":
            return Tile(ir.IntegerAttr(op.attributes["start"]).value, (1,))
        if name == "tt.splat":
            return Tile(self.values.get(op.operands[0]), (0,) * len(shape))
        if name == "arith.constant":
            return _constant(op, shape)
        tiles = [self.known.get(value) for value in op.operands]
        first = tiles[0] if tiles else None
        if first is None:
            return None
        if name in (*_THROUGH, "tt.broadcast"):
            return first
        if name == "tt.expand_dims":
            axis = ir.IntegerAttr(op.attributes["axis"]).value
            strides = (*first.strides[:axis], 0, *first.strides[axis:])
            return Tile(first.base, strides, frozenset(d + (d >= axis) for d in first.wraps))
        second = tiles[1] if len(tiles) > 1 else None
        return _combine(name, first, second, shape) if second is not None and name in _ARITHMETIC else None

    def mask(self, op: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        name = op.name
        masks = [self.valid.get(value) for value in op.operands]
        if name == "tt.broadcast" and masks[0] is not None:
            old = ir.RankedTensorType(op.operands[0].type).shape
            return tuple(new if was == 1 else have for new, was, have in zip(shape, old, masks[0], strict=True))
        if name == "tt.expand_dims" and masks[0] is not None:
            axis = ir.IntegerAttr(op.attributes["axis"]).value
            return (*masks[0][:axis], 1, *masks[0][axis:])
        if name == "arith.andi":
            known = [mask for mask in masks if mask is not None]
            return tuple(min(sizes) for sizes in zip(*known, strict=True)) if known else None
        if name == "arith.cmpi" and ir.IntegerAttr(op.attributes["predicate"]).value == 2:  # signed less than
            left, right = (self.known.get(value) for value in op.operands)
            return _below(left, right, shape) if left and right else None
        return None

    def lines(self, op: Any, shape: Sequence[int], size: int, mask: int) -> int:
        """Lines that a load or store touches; `mask` is the index of its mask among the operands."""
        part = list(shape)
        if len(op.operands) > mask:
            part = list(self.valid.get(op.operands[mask], shape))
        elements = math.prod(part)
        tile = self.known.get(op.operands[0])
        if tile is None or len(tile.strides) != len(part) or not elements:
            return max(1, -(-elements * size // LINE))
        dense = [d for d, stride in enumerate(tile.strides) if stride == 1]
        if not dense or dense[0] in tile.wraps:
            return elements
        row = part[dense[0]] * size
        pitch = math.gcd(LINE, *(stride * size for d, stride in enumerate(tile.strides) if d != dense[0]))
        # A row that may start anywhere on multiples of the pitch touches, on average, a part of one line more.
        return max(1, round(elements * size / row * (math.ceil(row / LINE) + (1 - pitch / LINE))))


def _constant(op: Any, shape: tuple[int, ...]) -> Tile | None:
    value = op.attributes["value"]
    if not isinstance(value, ir.DenseIntElementsAttr) or not value.is_splat:
        return None
    return Tile(int(ir.IntegerAttr(value.get_splat_value()).value), (0,) * len(shape))


def _combine(name: str, left: Tile, right: Tile, shape: Sequence[int]) -> Tile | None:
    """The tile of an arithmetic operation."""
    wraps = left.wraps | right.wraps
    known = left.base is not None and right.base is not None
    first, second = left.base or 0, right.base or 0
    if name == "arith.muli":
        if any(left.strides):
            left, right, first, second = right, left, second, first
        if any(left.strides) or left.base is None:
            return None
        return Tile(first * second if known else None, tuple(first * stride for stride in right.strides), wraps)
    if name == "arith.remsi":
        if any(right.strides) or not second:
            return replace(left, base=None) if not any(right.strides) else None
        base = int(math.fmod(first, second)) if known else None
        ends = {
            d for d, stride in enumerate(left.strides) if stride and first % second + (shape[d] - 1) * stride >= second
        }
        return Tile(base, left.strides, wraps | ends if known else wraps)
    sign = -1 if name == "arith.subi" else 1
    strides = tuple(a + sign * b for a, b in zip(left.strides, right.strides, strict=True))
    return Tile(first + sign * second if known else None, strides, wraps)


def _below(left: Tile, right: Tile, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Where an ascending tile is below a bound, by dimension."""
    moving = [d for d, stride in enumerate(left.strides) if stride]
    if len(moving) != 1 or any(right.strides) or left.base is None or right.base is None:
        return None
    axis = moving[0]
    count = -(-(right.base - left.base) // left.strides[axis]) if left.strides[axis] > 0 else shape[axis]
    return tuple(min(max(count, 0), size) if d == axis else size for d, size in enumerate(shape))
