"""Lowering of loads, stores and atomics in `convert-tt-to-linalg`.

An access is, in this order: one strided transfer with a valid range; an indexed transfer with a list of rows; or a loop
over elements, which is always right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_addresses import address_of, pointers_at
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers
from mtia.compiler.passes.convert_tt_to_linalg_shape import as_view, expand_dims
from mtia.compiler.passes.convert_tt_to_linalg_values import (
    Affine,
    Compare,
    Guard,
    Index,
    Mask,
    Pointers,
    Splat,
    View,
    same,
)
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.mtia import MAX_DMA_RANK, DmaIn, DmaInIndexed, DmaOut, DmaOutIndexed
from mtia.dialects.tt import is_pointer, pointee

__all__ = ["Ranges", "load_structured", "store_structured"]


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
    """A tensor read by one strided transfer."""
    buffer = memref.AllocOp(build.buffer_type(shape, memory.type.element_type), [], []).result
    _transfer_in(c, memory, offset, buffer, strides, ranges, fill)
    return build.tensor_of(buffer)


def _transfer_in(
    c: Converter, memory: Any, offset: Index, buffer: Any, strides: Sequence[Index], ranges: Ranges, fill: Any
) -> None:
    shape = list(buffer.type.shape)
    view = build.global_view(memory, offset, shape, _strides(shape, strides))
    lo, hi = ranges.values(c)
    DmaIn(view, buffer, lo, hi, fill=fill if lo else None)


def store_structured(
    c: Converter, memory: Any, offset: Index, strides: Sequence[Index], ranges: Ranges, value: Any
) -> None:
    """A tensor written by one strided transfer."""
    shape = list(value.type.shape)
    view = build.global_view(memory, offset, shape, _strides(shape, strides))
    lo, hi = ranges.values(c)
    DmaOut(build.buffer_of(value), view, lo, hi)


@lowers("tt.addptr")
def _addptr(c: Converter, op: Any) -> None:
    pointers: Pointers = c.get(op.ptr)
    offset = c.affine(op.offset)
    if offset is not None:
        total = c.index.sum(pointers.offset, offset)
        if total is not None:
            c.set(op.result, replace(pointers, offset=replace(total, element=c.index.index)))
            return
    extra = c.get(op.offset)
    extra = as_view(extra if isinstance(extra, View) else c.materialise(extra))
    c.set(op.result, replace(pointers, extra=extra if pointers.extra is None else _sum(c, pointers.extra, extra)))


def _sum(c: Converter, a: View, b: View) -> View:
    """Two offset tensors added, in the wider of their types."""
    if a.shape == b.shape and a.dims == b.dims:
        left, right = a.source, b.source
    else:
        left, right = c.materialise(a), c.materialise(b)
        a = View(a.shape, left, tuple(range(len(a.shape))))
    i64 = ir.IntegerType.get_signless(64)
    if left.type != right.type:
        wide = build.tensor_type(left.type.shape, i64)
        left, right = (x if x.type == wide else arith.ExtSIOp(wide, x).result for x in (left, right))
    return View(a.shape, arith.AddIOp(left, right).result, a.dims)


@lowers("tt.load")
def _load(c: Converter, op: Any) -> None:
    known = c.get(op.ptr)
    if not isinstance(known, Pointers):
        from mtia.compiler.passes.convert_tt_to_linalg_blocks import load_block

        c.set(op.result, load_block(c, op, known))
        return
    loaded = _load_pointed(c, op, known) if known.shape else _load_scalar(c, op, known)
    c.set(op.result, pointers_at(c, loaded, pointee(op.result.type)) if is_pointer(op.result.type) else loaded)


def _load_pointed(c: Converter, op: Any, known: Pointers) -> Any:
    """The values behind a tensor of pointers."""
    fill, other = None, None
    if op.other is not None:
        value = c.get(op.other)
        fill, other = (value.value, None) if isinstance(value, Splat) else (None, c.tensor(op.other))
    mask = None if op.mask is None else c.mask(op.mask)
    result = _load_tensor(c, op, known, mask, fill) if op.mask is None or mask is not None else None
    if result is None:
        result = _load_elements(c, op, known, fill, other)
    elif other is not None:
        result = arith.SelectOp(c.tensor(op.mask), result, other).result
    return _retyped(result, known)


def _retyped(value: Any, pointers: Pointers) -> Any:
    """The loaded tensor in the type of the pointers, where they were bitcast."""
    if value.type.element_type == pointers.element:
        return value
    return arith.BitcastOp(build.tensor_type(value.type.shape, pointers.element), value).result


def _as_stored(scalar: Any, pointers: Pointers) -> Any:
    """A scalar in the type the memory has."""
    if scalar is None or scalar.type == pointers.memory.type.element_type:
        return scalar
    return arith.BitcastOp(pointers.memory.type.element_type, scalar).result


def _load_tensor(c: Converter, op: Any, pointers: Pointers, mask: Mask | None, fill: Any) -> Any:
    """The tensor by transfers, or None where the access has no such structure."""
    offset, shape = pointers.offset, pointers.shape
    if len(shape) > MAX_DMA_RANK:
        return None
    wrapped = [axis for axis, wrap in enumerate(offset.wraps) if wrap is not None]
    indexed = pointers.extra is not None
    if len(wrapped) + indexed > 1 or (indexed and not _is_row_list(pointers.extra)):
        return None
    ranges = ranges_of(c, mask)
    if ranges is None:
        return None
    fill = _as_stored(fill, pointers)
    if wrapped:
        return _load_wrapped(c, pointers, wrapped[0], ranges, fill)
    if indexed:
        return _load_rows(c, pointers, ranges, fill)
    return load_structured(c, pointers.memory, offset.base, shape, offset.strides, ranges, fill)


def _is_row_list(extra: View) -> bool:
    """Whether an offset tensor picks whole slices, with indices the transfer can read."""
    return len(extra.dims) == 1 and str(extra.source.type.element_type) in ("i32", "i64")


def _load_wrapped(c: Converter, pointers: Pointers, axis: int, ranges: Ranges, fill: Any) -> Any:
    """A dimension whose index wraps: one transfer where the block does not cross the end, else row by row."""
    offset, shape = pointers.offset, pointers.shape
    wrap = offset.wraps[axis]
    assert wrap is not None
    buffer = memref.AllocOp(build.buffer_type(shape, pointers.memory.type.element_type), [], []).result

    def whole() -> list[Any]:
        base = c.index.add(offset.base, c.index.mul(wrap.first, offset.strides[axis]))
        _transfer_in(c, pointers.memory, base, buffer, offset.strides, ranges, fill)
        return []

    def by_rows() -> list[Any]:
        i32 = ir.IntegerType.get_signless(32)
        rows = c.materialise(Affine((shape[axis],), i32, 0, (1,), (wrap,)))
        if len(shape) == 1:
            column = build.column(buffer)
            _transfer_rows(c, _as_matrix(pointers), 0, offset.strides[0], rows, _with_column(ranges), fill, column)
        else:
            _transfer_rows(c, pointers, axis, offset.strides[axis], rows, ranges, fill, buffer)
        return []

    build.if_(wrap.whole, whole, by_rows)
    return build.tensor_of(buffer)


def _transfer_rows(
    c: Converter, pointers: Pointers, axis: int, stride: Index, rows: Any, ranges: Ranges, fill: Any, buffer: Any
) -> None:
    """Fill `buffer` with slices along `axis` picked by `rows`, each `stride` elements apart."""
    rank = len(pointers.shape)
    order = [axis, *(other for other in range(rank) if other != axis)]
    strides = list(pointers.offset.strides)
    strides[axis] = stride
    shape = [pointers.shape[at] for at in order]
    view = build.global_view(pointers.memory, pointers.offset.base, shape, [strides[at] for at in order])
    local = buffer if axis == 0 else build.permuted(buffer, order)
    lo, hi = ranges.values(c, order)
    DmaInIndexed(view, local, build.buffer_of(rows), lo, hi, fill=fill if lo else None)


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


def _load_rows(c: Converter, pointers: Pointers, ranges: Ranges, fill: Any) -> Any:
    """Slices picked by a list of offsets."""
    axis, rows = _rows(c, pointers)
    shape = pointers.shape
    if len(shape) == 1:
        pointers = _as_matrix(pointers)
        ranges = _with_column(ranges)
    buffer = memref.AllocOp(build.buffer_type(pointers.shape, pointers.memory.type.element_type), [], []).result
    _transfer_rows(c, pointers, axis, 1, rows, ranges, fill, buffer)
    result = build.tensor_of(buffer)
    return build.collapse(result, shape, [[0, 1]]) if len(shape) == 1 else result


def element_offset(c: Converter, pointers: Pointers) -> Callable[[Sequence[Any]], Any]:
    """A function from index values to the offset of an element in its memory; tensors are computed here."""
    extra = None if pointers.extra is None else c.materialise(pointers.extra)

    def at(indices: Sequence[Any]) -> Any:
        offset = c.index.element(pointers.offset, indices)
        if extra is not None:
            picked = arith.IndexCastOp(c.index.index, build.extract(extra, indices)).result
            offset = c.index.add(offset, picked)
        return c.index.value(offset)

    return at


def element_mask(c: Converter, mask: Any) -> Callable[[Sequence[Any]], Any] | None:
    """A function from index values to whether the lane is active; None where all are."""
    known = c.mask(mask)
    if known is not None:
        return c.holds(known) if known.terms else None
    values = c.tensor(mask)
    return lambda indices: build.extract(values, indices)


def lanes(
    c: Converter,
    shape: Sequence[int],
    offset_at: Callable[[Sequence[Any]], Any],
    active: Callable[[Sequence[Any]], Any] | None,
    lane: Callable[[Sequence[Any], Any], None],
    inactive: Callable[[Sequence[Any]], None] | None = None,
) -> None:
    """Loops over the lanes of an access: `lane(indices, offset)` where active, else `inactive(indices)`."""

    def body(indices: list[Any]) -> None:
        def run() -> list[Any]:
            lane(indices, offset_at(indices))
            return []

        def skip() -> list[Any]:
            assert inactive is not None
            inactive(indices)
            return []

        if active is None:
            run()
        else:
            build.if_(active(indices), run, skip if inactive else None)

    build.loops(shape, c.index.constant, body)


def _load_elements(c: Converter, op: Any, pointers: Pointers, fill: Any, other: Any) -> Any:
    """The tensor element by element."""
    element = pointers.memory.type.element_type
    buffer = memref.AllocOp(build.buffer_type(pointers.shape, element), [], []).result
    fill = _as_stored(fill, pointers) if fill is not None else c.index.constant(0, element)

    def lane(indices: Sequence[Any], offset: Any) -> None:
        memref.StoreOp(memref.LoadOp(pointers.memory, [offset]).result, buffer, list(indices))

    def inactive(indices: Sequence[Any]) -> None:
        value = fill if other is None else _as_stored(build.extract(other, indices), pointers)
        memref.StoreOp(value, buffer, list(indices))

    active = None if op.mask is None else element_mask(c, op.mask)
    lanes(c, pointers.shape, element_offset(c, pointers), active, lane, inactive)
    return build.tensor_of(buffer)


def _load_scalar(c: Converter, op: Any, pointers: Pointers) -> Any:
    def read() -> list[Any]:
        value = memref.LoadOp(pointers.memory, [c.index.value(pointers.offset.base)]).result
        return [value if value.type == pointers.element else arith.BitcastOp(pointers.element, value).result]

    if op.mask is None:
        return read()[0]

    def skipped() -> list[Any]:
        return [c.scalar(op.other) if op.other is not None else c.index.constant(0, pointers.element)]

    return build.if_(c.scalar(op.mask), read, skipped, [pointers.element])[0]


@lowers("tt.store")
def _store(c: Converter, op: Any) -> None:
    known = c.get(op.ptr)
    if not isinstance(known, Pointers):
        from mtia.compiler.passes.convert_tt_to_linalg_blocks import store_block

        store_block(c, op, known)
        return
    if not known.shape:
        _store_scalar(c, op, known)
        return
    value = c.materialise(address_of(c, c.get(op.value))) if is_pointer(op.value.type) else c.tensor(op.value)
    stored = known.memory.type.element_type
    if value.type.element_type != stored:
        value = arith.BitcastOp(build.tensor_type(value.type.shape, stored), value).result
    mask = None if op.mask is None else c.mask(op.mask)
    if op.mask is None or mask is not None:
        if not known.offset.wrapped and len(known.shape) <= MAX_DMA_RANK:
            ranges = ranges_of(c, mask)
            if ranges is not None and known.extra is None:
                store_structured(c, known.memory, known.offset.base, known.offset.strides, ranges, value)
                return
            if ranges is not None and _is_row_list(known.extra):
                _store_rows(c, known, ranges, value)
                return

    def lane(indices: Sequence[Any], offset: Any) -> None:
        memref.StoreOp(build.extract(value, indices), known.memory, [offset])

    active = None if op.mask is None else element_mask(c, op.mask)
    lanes(c, known.shape, element_offset(c, known), active, lane)


def _store_rows(c: Converter, pointers: Pointers, ranges: Ranges, value: Any) -> None:
    """Slices written where a list of offsets says."""
    axis, rows = _rows(c, pointers)
    if len(pointers.shape) == 1:
        value = build.expand(value, [*pointers.shape, 1], [[0, 1]])
        pointers = _as_matrix(pointers)
        ranges = _with_column(ranges)
    rank = len(pointers.shape)
    order = [axis, *(other for other in range(rank) if other != axis)]
    strides = [1 if at == axis else pointers.offset.strides[at] for at in order]
    view = build.global_view(pointers.memory, pointers.offset.base, [pointers.shape[at] for at in order], strides)
    local = build.buffer_of(value)
    lo, hi = ranges.values(c, order)
    DmaOutIndexed(local if axis == 0 else build.permuted(local, order), view, build.buffer_of(rows), lo, hi)


def _store_scalar(c: Converter, op: Any, pointers: Pointers) -> None:
    def write() -> list[Any]:
        value = c.get(op.value)
        value = _as_stored(address_of(c, value) if isinstance(value, Pointers) else value, pointers)
        memref.StoreOp(value, pointers.memory, [c.index.value(pointers.offset.base)])
        return []

    if op.mask is None:
        write()
    else:
        build.if_(c.scalar(op.mask), write)
