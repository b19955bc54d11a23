"""Transfers between device memory and tensors, as `convert-tt-to-linalg` emits them: strided, wrapped, indexed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter
from mtia.compiler.passes.convert_tt_to_linalg_shape import expand_dims
from mtia.compiler.passes.convert_tt_to_linalg_values import (
    Affine,
    Compare,
    Guard,
    Index,
    Mask,
    Pointers,
    View,
    same,
)
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.mtia import MAX_DMA_RANK, DmaIn, DmaInIndexed, DmaOut, DmaOutIndexed

__all__ = [
    "Ranges",
    "is_row_list",
    "load_rows",
    "load_structured",
    "load_wrapped",
    "ranges_of",
    "store_rows",
    "store_structured",
    "whole_slices",
]


@dataclass(frozen=True)
class Ranges:
    """The valid elements lo <= i < hi of every dimension; empty lists mean all."""

    lo: tuple[Index, ...] = ()
    hi: tuple[Index, ...] = ()

    def values(self, c: Converter, order: Sequence[int] | None = None) -> tuple[list[Any], list[Any]]:
        """Both bounds as SSA values, in another order of dimensions where one is given."""
        axes = range(len(self.lo)) if order is None or not self.lo else order
        return [c.index.value(self.lo[axis]) for axis in axes], [c.index.value(self.hi[axis]) for axis in axes]


def ranges_of(c: Converter, mask: Mask | None) -> Ranges | None:
    """The mask as one range a dimension, where it is that."""
    if mask is None or not mask.terms:
        return Ranges()
    lo: list[Index | None] = [None] * len(mask.shape)
    hi: list[Index | None] = [None] * len(mask.shape)
    guards: list[Any] = []
    for term in mask.terms:
        if isinstance(term, Guard):
            guards.append(term.value)
        elif not _narrow(c, term, lo, hi, guards):
            return None
    if not mask.shape:
        return None
    first = [0 if bound is None else c.index.clamp(bound, size) for bound, size in zip(lo, mask.shape, strict=True)]
    end = [size if bound is None else c.index.clamp(bound, size) for bound, size in zip(hi, mask.shape, strict=True)]
    for guard in guards:
        end[0] = arith.SelectOp(guard, c.index.value(end[0]), c.index.constant(0)).result
    return Ranges(tuple(first), tuple(end))


def _narrow(c: Converter, term: Compare, lo: list[Index | None], hi: list[Index | None], guards: list[Any]) -> bool:
    """Intersect the ranges with one comparison; False where it is no range of one dimension."""
    left, right = term.lhs, term.rhs
    varying = sorted({*left.varying(), *right.varying()})
    if left.wrapped or right.wrapped or len(varying) > 1:
        return False
    if not varying:
        a, b = c.index.value(left.base), c.index.value(right.base)
        guards.append(arith.CmpIOp(_PREDICATES.index(term.predicate), a, b).result)
        return True
    axis = varying[0]
    stride = c.index.sub(left.strides[axis], right.strides[axis])
    predicate = term.predicate
    if same(stride, 1):
        bound = c.index.sub(right.base, left.base)
    elif same(stride, -1):
        bound, predicate = c.index.sub(left.base, right.base), _MIRRORED[predicate]
    else:
        return False
    if predicate in ("slt", "sle", "eq"):
        end = c.index.add(bound, 0 if predicate == "slt" else 1)
        hi[axis] = end if hi[axis] is None else c.index.minimum(hi[axis], end)
    if predicate in ("sgt", "sge", "eq"):
        start = c.index.add(bound, 1 if predicate == "sgt" else 0)
        lo[axis] = start if lo[axis] is None else c.index.maximum(lo[axis], start)
    return predicate != "ne"


_PREDICATES = "eq ne slt sle sgt sge ult ule ugt uge".split()
_MIRRORED = {"eq": "eq", "ne": "ne", "slt": "sgt", "sle": "sge", "sgt": "slt", "sge": "sle"}


def _strides(shape: Sequence[int], strides: Sequence[Index]) -> list[Index]:
    """Strides of a view; a dimension of one element counts as contiguous."""
    return [1 if size == 1 else stride for size, stride in zip(shape, strides, strict=True)]


def load_structured(
    c: Converter, memory: Any, offset: Index, shape: Sequence[int], strides: Sequence[Index], ranges: Ranges, fill: Any
) -> Any:
    """A tensor read by one strided transfer, or by several where it has too many dimensions for one."""
    buffer = memref.AllocOp(build.buffer_type(shape, memory.type.element_type), [], []).result
    _transfer_in(c, memory, offset, buffer, strides, ranges, fill)
    return build.tensor_of(buffer)


def _transfer_in(
    c: Converter, memory: Any, offset: Index, buffer: Any, strides: Sequence[Index], ranges: Ranges, fill: Any
) -> None:
    for part in _parts(c, list(buffer.type.shape), offset, strides, ranges):
        lo, hi = part.ranges.values(c)
        DmaIn(part.remote(memory), part.local(buffer), lo, hi, fill=fill if lo else None)


def store_structured(
    c: Converter, memory: Any, offset: Index, strides: Sequence[Index], ranges: Ranges, value: Any
) -> None:
    """A tensor written by one strided transfer, or by several where it has too many dimensions for one."""
    buffer = build.buffer_of(value)
    for part in _parts(c, list(value.type.shape), offset, strides, ranges):
        lo, hi = part.ranges.values(c)
        DmaOut(part.local(buffer), part.remote(memory), lo, hi)


@dataclass(frozen=True)
class _Part:
    """A transfer between device memory, from `offset` on, and a buffer, from element `start` on."""

    shape: list[int]
    offset: Index
    strides: list[Index]
    ranges: Ranges
    start: int
    steps: list[int]  # strides in the buffer; empty: it is all of the buffer

    def remote(self, memory: Any) -> Any:
        return build.global_view(memory, self.offset, self.shape, _strides(self.shape, self.strides))

    def local(self, buffer: Any) -> Any:
        if not self.steps:
            return buffer
        layout = ir.StridedLayoutAttr.get(self.start, self.steps)
        kind = ir.MemRefType.get(self.shape, buffer.type.element_type, layout)
        return memref.ReinterpretCastOp(kind, buffer, [], [], [], [self.start], self.shape, self.steps).result


def _parts(c: Converter, shape: list[int], offset: Index, strides: Sequence[Index], ranges: Ranges) -> Iterator[_Part]:
    """What one transfer each can move: one for every index of the dimensions it has no place for.

    These are dimensions of one element and the first ones, so that the rows of a part have a common stride.
    """
    least_apart = sorted(range(len(shape)), key=lambda axis: (shape[axis] > 1, axis))
    outer = sorted(least_apart[: max(0, len(shape) - MAX_DMA_RANK)])
    if not outer:
        yield _Part(shape, offset, list(strides), ranges, 0, [])
        return
    inner = [axis for axis in range(len(shape)) if axis not in outer]
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    for point in product(*(range(shape[axis]) for axis in outer)):
        place, start = offset, 0
        for axis, index in zip(outer, point, strict=True):
            place = c.index.add(place, c.index.mul(index, strides[axis]))
            start += index * steps[axis]
        valid = _at(c, ranges, dict(zip(outer, point, strict=True)), inner)
        yield _Part(
            [shape[a] for a in inner], place, [strides[a] for a in inner], valid, start, [steps[a] for a in inner]
        )


def _at(c: Converter, ranges: Ranges, point: Mapping[int, int], inner: Sequence[int]) -> Ranges:
    """The valid elements of the `inner` dimensions at a point of the others: none where that is not valid."""
    if not ranges.lo:
        return ranges
    lo, hi = [ranges.lo[axis] for axis in inner], [ranges.hi[axis] for axis in inner]
    for axis, index in point.items():
        if same(ranges.lo[axis], 0) and same(ranges.hi[axis], index + 1):
            continue
        after = c.index.clamp(c.index.sub(index + 1, ranges.lo[axis]), 1)  # 1 from the first valid index on
        before = c.index.clamp(c.index.sub(ranges.hi[axis], index), 1)  # 1 up to the last
        hi[0] = c.index.mul(hi[0], c.index.mul(after, before))
    return Ranges(tuple(lo), tuple(hi))


def is_row_list(extra: View) -> bool:
    """Whether an offset tensor picks whole slices, with indices the transfer can read."""
    return len(extra.dims) == 1 and str(extra.source.type.element_type) in ("i32", "i64")


def load_wrapped(c: Converter, pointers: Pointers, ranges: Ranges, fill: Any) -> Any:
    """A dimension whose index wraps: one transfer where the block does not cross the end, else row by row.

    The buffer has the dimension that is contiguous in device memory last.
    """
    offset, shape = pointers.offset, pointers.shape
    axis, wrap = next((axis, wrap) for axis, wrap in enumerate(offset.wraps) if wrap is not None)
    order = _stored_order(axis, row_order(pointers))
    stored = [shape[at] for at in order]
    buffer = memref.AllocOp(build.buffer_type(stored, pointers.memory.type.element_type), [], []).result

    def whole() -> list[Any]:
        base = c.index.add(offset.base, c.index.mul(wrap.first, offset.strides[axis]))
        view = build.global_view(pointers.memory, base, stored, _strides(stored, [offset.strides[at] for at in order]))
        lo, hi = ranges.values(c, order)
        DmaIn(view, buffer, lo, hi, fill=fill if lo else None)
        return []

    def by_rows() -> list[Any]:
        i32 = ir.IntegerType.get_signless(32)
        rows = c.materialise(Affine((shape[axis],), i32, 0, (1,), (wrap,)))
        if len(shape) == 1:
            column = build.column(buffer)
            _transfer_rows(
                c, _as_matrix(pointers), 0, offset.strides[0], rows, _with_column(ranges), fill, column, [0, 1]
            )
        else:
            _transfer_rows(c, pointers, axis, offset.strides[axis], rows, ranges, fill, buffer, order)
        return []

    build.if_(wrap.whole, whole, by_rows)
    return build.transposed(build.tensor_of(buffer), [order.index(at) for at in range(len(shape))])


def _contiguous_last(shape: Sequence[int], strides: Sequence[Index]) -> list[int]:
    """The dimensions in the order of a buffer: the one that is contiguous in device memory is the last."""
    axes = list(range(len(shape)))
    if len(shape) > 1 and not same(strides[-1], 1):
        unit = [axis for axis in axes if same(strides[axis], 1) and shape[axis] > 1]
        if unit:
            return [axis for axis in axes if axis != unit[-1]] + unit[-1:]
    return axes


def _stored_order(axis: int, order: Sequence[int]) -> list[int]:
    """The order of the dimensions in a buffer that takes slices along `axis`; of more than two the first."""
    return list(order) if len(order) < 3 else [axis, *(other for other in order if other != axis)]


def _transfer_rows(
    c: Converter, pointers: Pointers, axis: int, stride: Index, rows: Any, ranges: Ranges, fill: Any, buffer: Any,
    stored: Sequence[int],
) -> None:  # fmt: skip
    """Fill `buffer` with slices along `axis` picked by `rows`, each `stride` elements apart.

    `stored` gives the order of the dimensions in the buffer.
    """
    order = [axis, *(other for other in stored if other != axis)]
    view, rows, lo, hi = _row_transfer(c, pointers, order, stride, rows, ranges)
    local = build.permuted(buffer, [list(stored).index(at) for at in order]) if len(order) < 3 else build.matrix(buffer)
    DmaInIndexed(view, local, build.buffer_of(rows), lo, hi, fill=fill if lo else None)


def _row_transfer(
    c: Converter, pointers: Pointers, order: Sequence[int], stride: Index, rows: Any, ranges: Ranges
) -> tuple[Any, Any, list[Any], list[Any]]:
    """Device memory, list of rows and valid range of a transfer of slices along the dimension `order[0]`.

    An indexed transfer has two dimensions. Of more, all but the last are rows, and the list says where each begins.
    """
    shape = [pointers.shape[at] for at in order]
    strides = [stride, *(pointers.offset.strides[at] for at in order[1:])]
    if len(order) < 3:
        view = build.global_view(pointers.memory, pointers.offset.base, shape, strides)
        return view, rows, *ranges.values(c, order)
    outer, element = tuple(shape[:-1]), rows.type.element_type
    scale = c.materialise(Affine((shape[0],), element, stride, (0,), (None,)))
    begins = c.materialise(View(outer, arith.MulIOp(rows, scale).result, (0,)))
    steps = c.materialise(Affine(outer, element, 0, (0, *strides[1:-1]), (None,) * len(outer)))
    count = math.prod(outer)
    places = build.collapse(arith.AddIOp(begins, steps).result, [count], [list(range(len(outer)))])
    view = build.global_view(pointers.memory, pointers.offset.base, [count, shape[-1]], [1, strides[-1]])
    lo, hi = (
        [c.index.value(c.index.mul(bounds[order[0]], count // shape[0])), c.index.value(bounds[order[-1]])]
        if bounds
        else []
        for bounds in (ranges.lo, ranges.hi)
    )
    return view, places, lo, hi


def whole_slices(pointers: Pointers, axis: int, ranges: Ranges) -> bool:
    """Whether valid ranges leave out slices along `axis` and parts of rows only, as a transfer of rows can."""
    if len(pointers.shape) < 3 or not ranges.lo:
        return True
    order = _stored_order(axis, row_order(pointers))
    return all(same(ranges.lo[at], 0) and same(ranges.hi[at], pointers.shape[at]) for at in order[1:-1])


def row_order(pointers: Pointers) -> list[int]:
    """The order of the dimensions in a buffer of rows: the one that is contiguous in device memory is the last."""
    return _contiguous_last(pointers.shape, pointers.offset.strides)


def _rows(c: Converter, pointers: Pointers) -> tuple[int, Any]:
    """The dimension along which a list of offsets picks slices, and the list in elements."""
    axis = pointers.extra.dims[0]
    rows = pointers.extra.source
    stride = pointers.offset.strides[axis]
    if not same(stride, 0):
        steps = Affine((pointers.shape[axis],), rows.type.element_type, 0, (stride,), (None,))
        rows = arith.AddIOp(rows, c.materialise(steps)).result
    return axis, rows


def _as_matrix(pointers: Pointers) -> Pointers:
    """A vector of pointers as a matrix of one column."""
    extra = None if pointers.extra is None else expand_dims(pointers.extra, 1)
    return replace(pointers, offset=pointers.offset.expand(1), extra=extra)


def _with_column(ranges: Ranges) -> Ranges:
    """The ranges of a vector as those of a matrix of one column."""
    return Ranges((*ranges.lo, 0), (*ranges.hi, 1)) if ranges.lo else ranges


def load_rows(c: Converter, pointers: Pointers, ranges: Ranges, fill: Any) -> Any:
    """Slices picked by a list of offsets."""
    axis, rows = _rows(c, pointers)
    shape = pointers.shape
    if len(shape) == 1:
        pointers = _as_matrix(pointers)
        ranges = _with_column(ranges)
    order = _stored_order(axis, row_order(pointers)) if len(pointers.shape) > 2 else [0, 1]
    stored = build.buffer_type([pointers.shape[at] for at in order], pointers.memory.type.element_type)
    buffer = memref.AllocOp(stored, [], []).result
    _transfer_rows(c, pointers, axis, 1, rows, ranges, fill, buffer, order)
    result = build.transposed(build.tensor_of(buffer), [order.index(at) for at in range(len(order))])
    return build.collapse(result, shape, [[0, 1]]) if len(shape) == 1 else result


def store_rows(c: Converter, pointers: Pointers, ranges: Ranges, value: Any) -> None:
    """Slices written where a list of offsets says."""
    axis, rows = _rows(c, pointers)
    if len(pointers.shape) == 1:
        value = build.expand(value, [*pointers.shape, 1], [[0, 1]])
        pointers = _as_matrix(pointers)
        ranges = _with_column(ranges)
    if len(pointers.shape) < 3:
        order = [axis, 1 - axis]
        local = build.permuted(build.buffer_of(value), order)
    else:
        order = _stored_order(axis, row_order(pointers))
        last = pointers.shape[order[-1]]
        groups = [list(range(len(order) - 1)), [len(order) - 1]]
        value = build.transposed(value, order)
        local = build.buffer_of(build.collapse(value, [math.prod(pointers.shape) // last, last], groups))
    view, rows, lo, hi = _row_transfer(c, pointers, order, 1, rows, ranges)
    DmaOutIndexed(local, view, build.buffer_of(rows), lo, hi)
