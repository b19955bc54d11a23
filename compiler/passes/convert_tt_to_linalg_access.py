"""Lowering of loads and stores in `convert-tt-to-linalg`.

An access is, in this order: one strided transfer with a valid range; an indexed transfer with a list of rows; or a loop
over elements, which is always right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_addresses import address_of, pointers_at
from mtia.compiler.passes.convert_tt_to_linalg_blocks import load_block, store_block
from mtia.compiler.passes.convert_tt_to_linalg_core import ELEMENTS, STRIDED, Converter, lowers
from mtia.compiler.passes.convert_tt_to_linalg_elements import element_mask, element_offset, lanes
from mtia.compiler.passes.convert_tt_to_linalg_memory import (
    Ranges,
    is_row_list,
    load_rows,
    load_structured,
    load_wrapped,
    ranges_of,
    store_rows,
    store_structured,
    whole_slices,
)
from mtia.compiler.passes.convert_tt_to_linalg_shape import as_view
from mtia.compiler.passes.convert_tt_to_linalg_values import Pointers, Splat, View
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.mtia import MAX_DMA_RANK
from mtia.dialects.tt import is_pointer, pointee

__all__: list[str] = []


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


WRAPPED, INDEXED = "strided or row transfers", "indexed transfer"


@dataclass(frozen=True)
class Access:
    """How an access is done: its path, the valid ranges of a transfer, and why it is no transfer."""

    path: str
    ranges: Ranges = field(default_factory=Ranges)
    reason: str = ""


def _plan(c: Converter, op: Any, pointers: Pointers) -> Access:
    """Choose how to do the access of `op`, and say so."""
    access = _choose(c, op, pointers)
    c.explain(op, access.path, access.reason)
    return access


def _choose(c: Converter, op: Any, pointers: Pointers) -> Access:
    wrapped = sum(wrap is not None for wrap in pointers.offset.wraps)
    if len(pointers.shape) > MAX_DMA_RANK:
        return Access(ELEMENTS, reason=f"a transfer has at most {MAX_DMA_RANK} dimensions")
    if pointers.extra is not None and (wrapped or not is_row_list(pointers.extra)):
        return Access(ELEMENTS, reason="the offsets are computed for each element")
    if wrapped > 1 or (wrapped and op.operation.name == "tt.store"):
        return Access(ELEMENTS, reason="the offsets wrap around")
    mask = None if op.mask is None else c.mask(op.mask)
    ranges = None if op.mask is not None and mask is None else ranges_of(c, mask)
    if ranges is None:
        return Access(ELEMENTS, reason="the mask is not one range for each dimension")
    axis = _picked_axis(pointers)
    if axis is not None and not whole_slices(pointers, axis, ranges):
        return Access(ELEMENTS, reason="the mask leaves out parts of the slices that a list picks")
    return Access(WRAPPED if wrapped else STRIDED if pointers.extra is None else INDEXED, ranges)


def _picked_axis(pointers: Pointers) -> int | None:
    """The dimension along which a list picks slices, or along which the offsets wrap around."""
    if pointers.extra is not None:
        return int(pointers.extra.dims[0])
    return next((axis for axis, wrap in enumerate(pointers.offset.wraps) if wrap is not None), None)


@lowers("tt.load")
def _load(c: Converter, op: Any) -> None:
    known = c.get(op.ptr)
    if not isinstance(known, Pointers):
        c.explain(op, STRIDED)
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
    access = _plan(c, op, known)
    fill_stored = _as_stored(fill, known)
    if access.path == ELEMENTS:
        result = _load_elements(c, op, known, fill, other)
    elif access.path == WRAPPED:
        result = load_wrapped(c, known, access.ranges, fill_stored)
    elif access.path == INDEXED:
        result = load_rows(c, known, access.ranges, fill_stored)
    else:
        offset = known.offset
        memory = known.memory
        result = load_structured(c, memory, offset.base, known.shape, offset.strides, access.ranges, fill_stored)
    if other is not None and access.path != ELEMENTS:
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
        c.explain(op, STRIDED)
        store_block(c, op, known)
        return
    if not known.shape:
        _store_scalar(c, op, known)
        return
    value = c.materialise(address_of(c, c.get(op.value))) if is_pointer(op.value.type) else c.tensor(op.value)
    stored = known.memory.type.element_type
    if value.type.element_type != stored:
        value = arith.BitcastOp(build.tensor_type(value.type.shape, stored), value).result
    access = _plan(c, op, known)
    if access.path == STRIDED:
        store_structured(c, known.memory, known.offset.base, known.offset.strides, access.ranges, value)
        return
    if access.path == INDEXED:
        store_rows(c, known, access.ranges, value)
        return

    def lane(indices: Sequence[Any], offset: Any) -> None:
        memref.StoreOp(build.extract(value, indices), known.memory, [offset])

    active = None if op.mask is None else element_mask(c, op.mask)
    lanes(c, known.shape, element_offset(c, known), active, lane)


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
