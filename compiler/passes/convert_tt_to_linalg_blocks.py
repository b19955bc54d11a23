"""Lowering of block pointers and tensor descriptors in `convert-tt-to-linalg`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers, refuse
from mtia.compiler.passes.convert_tt_to_linalg_memory import Ranges, load_structured, store_structured
from mtia.compiler.passes.convert_tt_to_linalg_values import Block, Index, Pointers
from mtia.dialects.mlir import ir
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
    known = moved(c, c.get(op.desc), [c.scalar(value) for value in op.indices])
    start, ranges = _place(c, known, range(len(known.shape)))
    loaded = load_structured(c, known.memory, start, known.shape, known.strides, ranges, _fill(c, known, known.padding))
    c.set(op.result, _as_result(op, loaded))


def _as_result(op: Any, loaded: Any) -> Any:
    from mtia.compiler.passes.convert_tt_to_linalg_shape import reshape

    return reshape(loaded, shape_of(op.result.type))


@lowers("tt.descriptor_store")
def _descriptor_store(c: Converter, op: Any) -> None:
    from mtia.compiler.passes.convert_tt_to_linalg_shape import reshape

    known = moved(c, c.get(op.desc), [c.scalar(value) for value in op.indices])
    start, ranges = _place(c, known, range(len(known.shape)))
    store_structured(c, known.memory, start, known.strides, ranges, reshape(c.tensor(op.src), known.shape))


@lowers("tt.descriptor_gather", "tt.descriptor_scatter", "tt.descriptor_reduce")
def _descriptor_other(c: Converter, op: Any) -> None:
    raise refuse(op, "not supported; use pointers")
