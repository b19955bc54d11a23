"""Lowering of block pointers and tensor descriptors in `convert-tt-to-linalg`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_atomics import ATOMIC_KINDS
from mtia.compiler.passes.convert_tt_to_linalg_core import ELEMENTS, STRIDED, Converter, lowers, refuse
from mtia.compiler.passes.convert_tt_to_linalg_elements import lanes
from mtia.compiler.passes.convert_tt_to_linalg_memory import Ranges, load_structured, store_structured
from mtia.compiler.passes.convert_tt_to_linalg_shape import reshape
from mtia.compiler.passes.convert_tt_to_linalg_values import Block, Index, Pointers
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.tt import block as block_type
from mtia.dialects.tt import pointee, shape_of

__all__ = ["load_block", "store_block"]

_PADDINGS = {1: "zero", 2: "nan"}


@lowers("tt.make_tensor_ptr")
def _make_tensor_ptr(c: Converter, op: Any) -> None:
    _make(c, op, pointee(op.result.type), [c.index.from_scalar(c.scalar(value)) for value in op.offsets], "none")


@lowers("tt.make_tensor_descriptor")
def _make_tensor_descriptor(c: Converter, op: Any) -> None:
    padding = ir.IntegerAttr(op.attributes["padding"]).value if "padding" in op.attributes else 1
    type_ = block_type(op.result.type)
    _make(c, op, type_, [0] * len(shape_of(type_)), _PADDINGS.get(padding, "zero"))


def _make(c: Converter, op: Any, type_: Any, offsets: Sequence[Index], padding: str) -> None:
    base: Pointers = c.get(op.base)
    sizes = tuple(c.index.from_scalar(c.scalar(value)) for value in op.shape)
    strides = tuple(c.index.from_scalar(c.scalar(value)) for value in op.strides)
    shape = tuple(type_.shape)
    made = Block(base.memory, base.element, base.offset.base, sizes, strides, tuple(offsets), shape, padding)
    c.set(op.result, made)


@lowers("tt.advance")
def _advance(c: Converter, op: Any) -> None:
    known: Block = c.get(op.ptr)
    c.set(op.result, moved(c, known, [c.scalar(value) for value in op.offsets]))


def moved(c: Converter, known: Block, steps: Sequence[Any]) -> Block:
    """A block further on by one scalar a dimension."""
    offsets = (c.index.add(at, c.index.from_scalar(step)) for at, step in zip(known.offsets, steps, strict=True))
    return replace(known, offsets=tuple(offsets))


def _place(c: Converter, known: Block, checked: Sequence[int]) -> tuple[Index, Ranges]:
    """Offset of the first element, and the elements inside the tensor in the checked dimensions."""
    start = known.start
    for at, stride in zip(known.offsets, known.strides, strict=True):
        start = c.index.add(start, c.index.mul(at, stride))
    if not checked:
        return start, Ranges()
    lo: list[Index] = []
    hi: list[Index] = []
    for axis, (at, size, extent) in enumerate(zip(known.offsets, known.sizes, known.shape, strict=True)):
        inside = axis in checked
        lo.append(c.index.clamp(c.index.sub(0, at), extent) if inside else 0)
        hi.append(c.index.clamp(c.index.sub(size, at), extent) if inside else extent)
    return start, Ranges(tuple(lo), tuple(hi))


def _checked(op: Any) -> list[int]:
    """The dimensions a block pointer access checks."""
    if "boundaryCheck" not in op.attributes:
        return []
    return list(ir.DenseI32ArrayAttr(op.attributes["boundaryCheck"]))


def _fill(c: Converter, known: Block, padding: str) -> Any:
    if padding == "nan" and not isinstance(known.element, ir.FloatType):
        padding = "zero"
    return c.index.constant(math.nan if padding == "nan" else 0, known.element)


def load_block(c: Converter, op: Any, known: Block) -> Any:
    """The block a block pointer points to."""
    padding = ir.IntegerAttr(op.attributes["padding"]).value if "padding" in op.attributes else 1
    start, ranges = _place(c, known, _checked(op))
    fill = _fill(c, known, _PADDINGS.get(padding, "zero"))
    return load_structured(c, known.memory, start, known.shape, known.strides, ranges, fill)


def store_block(c: Converter, op: Any, known: Block) -> None:
    """Write the block a block pointer points to."""
    start, ranges = _place(c, known, _checked(op))
    store_structured(c, known.memory, start, known.strides, ranges, c.tensor(op.value))


@lowers("tt.descriptor_load")
def _descriptor_load(c: Converter, op: Any) -> None:
    c.explain(op, STRIDED)
    known = moved(c, c.get(op.desc), [c.scalar(value) for value in op.indices])
    start, ranges = _place(c, known, range(len(known.shape)))
    loaded = load_structured(c, known.memory, start, known.shape, known.strides, ranges, _fill(c, known, known.padding))
    c.set(op.result, reshape(loaded, shape_of(op.result.type)))


@lowers("tt.descriptor_store")
def _descriptor_store(c: Converter, op: Any) -> None:
    c.explain(op, STRIDED)
    known = moved(c, c.get(op.desc), [c.scalar(value) for value in op.indices])
    start, ranges = _place(c, known, range(len(known.shape)))
    store_structured(c, known.memory, start, known.strides, ranges, reshape(c.tensor(op.src), known.shape))


@lowers("tt.descriptor_gather")
def _descriptor_gather(c: Converter, op: Any) -> None:
    c.explain(op, ELEMENTS, "rows of a descriptor are checked one by one")
    known: Block = c.get(op.desc)
    shape = shape_of(op.result.type)
    rows = c.tensor(op.x_offsets)
    column = c.index.from_scalar(c.scalar(op.y_offset))
    buffer = memref.AllocOp(build.buffer_type(shape, known.element), [], []).result
    fill = _fill(c, known, known.padding)

    def lane(indices: Sequence[Any], offset: Any) -> None:
        memref.StoreOp(memref.LoadOp(known.memory, [offset]).result, buffer, list(indices))

    place, inside = _picked(c, known, rows, column)
    lanes(c, shape, place, inside, lane, lambda indices: memref.StoreOp(fill, buffer, list(indices)) and None)
    c.set(op.result, build.tensor_of(buffer))


@lowers("tt.descriptor_scatter")
def _descriptor_scatter(c: Converter, op: Any) -> None:
    c.explain(op, ELEMENTS, "rows of a descriptor are checked one by one")
    known: Block = c.get(op.desc)
    values, rows = c.tensor(op.src), c.tensor(op.x_offsets)
    column = c.index.from_scalar(c.scalar(op.y_offset))

    def lane(indices: Sequence[Any], offset: Any) -> None:
        memref.StoreOp(build.extract(values, indices), known.memory, [offset])

    place, inside = _picked(c, known, rows, column)
    lanes(c, shape_of(op.src.type), place, inside, lane)


Place = Callable[[Sequence[Any]], Any]
"""From the indices of a lane to an index or a condition."""


def _picked(c: Converter, known: Block, rows: Any, column: Index) -> tuple[Place, Place]:
    """Offset of element (i, j) = (rows[i], column + j) of a described matrix, and whether it is inside."""

    def coordinates(indices: Sequence[Any]) -> list[Index]:
        row = arith.IndexCastOp(c.index.index, build.extract(rows, indices[:1])).result
        return [row, c.index.add(column, indices[1])]

    return _offset(c, known, coordinates), _inside(c, known, coordinates)


def _offset(c: Converter, known: Block, coordinates: Callable[[Sequence[Any]], list[Index]]) -> Place:
    def at(indices: Sequence[Any]) -> Any:
        total = known.start
        for at, stride in zip(coordinates(indices), known.strides, strict=True):
            total = c.index.add(total, c.index.mul(at, stride))
        return c.index.value(total)

    return at


def _inside(c: Converter, known: Block, coordinates: Callable[[Sequence[Any]], list[Index]]) -> Place:
    def test(indices: Sequence[Any]) -> Any:
        result = None
        for at, size in zip(coordinates(indices), known.sizes, strict=True):
            # Unsigned, so that a negative coordinate is outside too.
            below = arith.CmpIOp(arith.CmpIPredicate.ult, c.index.value(at), c.index.value(size)).result
            result = below if result is None else arith.AndIOp(result, below).result
        return result

    return test


@lowers("tt.descriptor_reduce")
def _descriptor_reduce(c: Converter, op: Any) -> None:
    known = moved(c, c.get(op.desc), [c.scalar(value) for value in op.indices])
    name = ir.StringAttr(op.attributes["kind"]).value
    if isinstance(known.element, ir.FloatType):
        name = {"add": "fadd", "min": "fmin", "max": "fmax"}.get(name, name)
    elif str(block_type(op.desc.type).element_type).startswith("ui"):
        name = {"min": "umin", "max": "umax"}.get(name, name)
    if name not in ATOMIC_KINDS:
        raise refuse(op, f"no atomic '{name}' on {known.element}")
    values = reshape(c.tensor(op.src), known.shape)

    def coordinates(indices: Sequence[Any]) -> list[Index]:
        return [c.index.add(at, index) for at, index in zip(known.offsets, indices, strict=True)]

    def lane(indices: Sequence[Any], offset: Any) -> None:
        memref.AtomicRMWOp(ATOMIC_KINDS[name], build.extract(values, indices), known.memory, [offset])

    lanes(c, known.shape, _offset(c, known, coordinates), _inside(c, known, coordinates), lane)
