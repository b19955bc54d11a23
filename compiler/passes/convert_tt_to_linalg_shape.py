"""Lowering of index arithmetic, masks and shapes in `convert-tt-to-linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, elementwise, lowers
from mtia.compiler.passes.convert_tt_to_linalg_facts import divisible, not_negative
from mtia.compiler.passes.convert_tt_to_linalg_values import (
    Affine,
    Compare,
    Index,
    Mask,
    Pointers,
    Splat,
    View,
    Wrap,
    same,
)
from mtia.dialects.mlir import arith, ir, tensor
from mtia.dialects.tt import element_type, shape_of

__all__: list[str] = []


@lowers("arith.constant")
def _constant(c: Converter, op: Any) -> None:
    type_, value = op.result.type, op.attributes["value"]
    if not isinstance(type_, ir.RankedTensorType):
        c.set(op.result, c.index.constant(value, type_))
    elif isinstance(value, ir.DenseElementsAttr) and value.is_splat:
        scalar = c.index.constant(value.get_splat_value(), type_.element_type)
        c.set(op.result, Splat(tuple(type_.shape), scalar))
    else:
        c.set(op.result, op.operation.clone().result)


@lowers("tt.make_range")
def _make_range(c: Converter, op: Any) -> None:
    start = ir.IntegerAttr(op.attributes["start"]).value
    c.set(op.result, Affine(shape_of(op.result.type), element_type(op.result.type), start, (1,), (None,)))


@lowers("tt.splat")
def _splat(c: Converter, op: Any) -> None:
    known, shape = c.get(op.src), shape_of(op.result.type)
    if isinstance(known, Pointers):
        rank = len(shape)
        offset = replace(known.offset, shape=shape, strides=(0,) * rank, wraps=(None,) * rank)
        c.set(op.result, replace(known, offset=offset))
    else:
        c.set(op.result, Splat(shape, known))


@lowers("tt.unsplat")
def _unsplat(c: Converter, op: Any) -> None:
    known = c.get(op.src)
    if isinstance(known, Splat):
        c.set(op.result, known.value)
    else:
        zero = c.index.constant(0)
        c.set(op.result, build.extract(c.materialise(known), [zero] * len(shape_of(op.src.type))))


@lowers("tt.expand_dims")
def _expand_dims(c: Converter, op: Any) -> None:
    axis = ir.IntegerAttr(op.attributes["axis"]).value
    c.set(op.result, expand_dims(c.get(op.src), axis))


def expand_dims(known: Any, axis: int) -> Any:
    """A value with a new dimension of size 1."""
    if isinstance(known, Affine):
        return known.expand(axis)
    if isinstance(known, Pointers):
        extra = None if known.extra is None else expand_dims(known.extra, axis)
        return replace(known, offset=known.offset.expand(axis), extra=extra)
    if isinstance(known, Mask):
        shape = (*known.shape[:axis], 1, *known.shape[axis:])
        return known.reshape(shape, lambda side: side.expand(axis))
    if isinstance(known, Splat):
        return replace(known, shape=(*known.shape[:axis], 1, *known.shape[axis:]))
    view = as_view(known)
    shape = (*view.shape[:axis], 1, *view.shape[axis:])
    return View(shape, view.source, tuple(dim + (dim >= axis) for dim in view.dims))


def as_view(known: Any) -> View:
    """A tensor as a view of itself."""
    if isinstance(known, View):
        return known
    shape = tuple(known.type.shape)
    return View(shape, known, tuple(range(len(shape))))


@lowers("tt.broadcast")
def _broadcast(c: Converter, op: Any) -> None:
    c.set(op.result, broadcast(c.get(op.src), shape_of(op.result.type)))


def broadcast(known: Any, shape: tuple[int, ...]) -> Any:
    """A value whose dimensions of size 1 are repeated to `shape`."""
    if isinstance(known, Affine):
        grown = [have != want for have, want in zip(known.shape, shape, strict=True)]
        strides = tuple(0 if grow else stride for grow, stride in zip(grown, known.strides, strict=True))
        wraps = tuple(None if grow else wrap for grow, wrap in zip(grown, known.wraps, strict=True))
        return replace(known, shape=shape, strides=strides, wraps=wraps)
    if isinstance(known, Pointers):
        extra = None if known.extra is None else broadcast(known.extra, shape)
        return replace(known, offset=broadcast(known.offset, shape), extra=extra)
    if isinstance(known, Mask):
        return known.reshape(shape, lambda side: broadcast(side, shape))
    if isinstance(known, Splat):
        return replace(known, shape=shape)
    view = as_view(known)
    kept = [number for number, dim in enumerate(view.dims) if view.shape[dim] == shape[dim]]
    source = view.source
    if len(kept) < len(view.dims):
        sizes = [view.shape[view.dims[number]] for number in kept]
        source = _drop_units(source, sizes, kept)
    return View(shape, source, tuple(view.dims[number] for number in kept))


def _drop_units(source: Any, sizes: Sequence[int], kept: Sequence[int]) -> Any:
    """`source` without its dimensions that are not kept, all of size 1."""
    rank = len(source.type.shape)
    groups: list[list[int]] = []
    pending: list[int] = []
    for axis in range(rank):
        pending.append(axis)
        if axis in kept:
            groups.append(pending)
            pending = []
    if groups:
        groups[-1].extend(pending)
    return build.collapse(source, sizes, groups)


@lowers("arith.addi", "arith.subi")
def _add(c: Converter, op: Any) -> None:
    a, b = op.operands
    if not _is_tensor(op):
        elementwise(c, op)
        return
    left, right = _formula(c, a), _formula(c, b)
    total = None
    if left is not None and right is not None:
        if op.operation.name == "arith.subi":
            right = c.index.scale(right, -1)
        total = c.index.sum(left, right)
    _set_or_compute(c, op, total)


def _is_tensor(op: Any) -> bool:
    return isinstance(op.results[0].type, ir.RankedTensorType)


def _formula(c: Converter, value: Any) -> Affine | None:
    return c.affine(value) if str(element_type(value.type)) != "i1" else None


def _set_or_compute(c: Converter, op: Any, formula: Any) -> None:
    """The formula if there is one, else the operation on tensors."""
    known = [c.get(value) for value in op.operands]
    if formula is None or all(isinstance(value, Splat) for value in known):
        elementwise(c, op)
    else:
        c.set(op.results[0], formula)


@lowers("arith.muli")
def _multiply(c: Converter, op: Any) -> None:
    if not _is_tensor(op):
        elementwise(c, op)
        return
    left, right = (_formula(c, value) for value in op.operands)
    product = None
    if left is not None and right is not None:
        if right.uniform:
            product = c.index.scale(left, right.base)
        elif left.uniform:
            product = c.index.scale(right, left.base)
    _set_or_compute(c, op, product)


@lowers("arith.shli")
def _shift(c: Converter, op: Any) -> None:
    left, right = (_formula(c, value) if _is_tensor(op) else None for value in op.operands)
    formula = None
    if left is not None and right is not None and right.uniform and isinstance(right.base, int):
        formula = c.index.scale(left, 1 << right.base)
    _set_or_compute(c, op, formula) if _is_tensor(op) else elementwise(c, op)


@lowers("arith.remsi")
def _remainder(c: Converter, op: Any) -> None:
    left, right = (_formula(c, value) if _is_tensor(op) else None for value in op.operands)
    formula = None
    if left is not None and right is not None and right.uniform and not left.wrapped:
        varying = left.varying()
        if len(varying) == 1 and _inside_one_period(left, varying[0], right.base):
            formula = replace(left, base=c.index.remainder(left.base, right.base))
        elif len(varying) == 1 and same(left.strides[varying[0]], 1):
            wrap = _wrap(c, left.base, right.base, left.shape[varying[0]])
            wraps = tuple(wrap if axis == varying[0] else None for axis in range(len(left.shape)))
            formula = replace(left, base=0, wraps=wraps)
    _set_or_compute(c, op, formula) if _is_tensor(op) else elementwise(c, op)


def _inside_one_period(a: Affine, axis: int, period: Index) -> bool:
    """Whether a run of consecutive numbers is known to lie between two multiples of `period`."""
    size = a.shape[axis]
    if not isinstance(period, int) or period <= 0 or period % size or not same(a.strides[axis], 1):
        return False
    return divisible(a.base, size) and not_negative(a.base)


@lowers("arith.divsi")
def _divide(c: Converter, op: Any) -> None:
    left, right = (_formula(c, value) if _is_tensor(op) else None for value in op.operands)
    formula = None
    if left is not None and right is not None and right.uniform and not left.wrapped:
        varying = left.varying()
        if len(varying) == 1 and _inside_one_period(left, varying[0], right.base):
            rank = len(left.shape)
            quotient = arith.DivSIOp(c.index.value(left.base), c.index.value(right.base)).result
            formula = replace(left, base=quotient, strides=(0,) * rank)
    _set_or_compute(c, op, formula) if _is_tensor(op) else elementwise(c, op)


def _wrap(c: Converter, start: Index, modulus: Index, size: int) -> Wrap:
    """The remainders of `size` indices; its scalars are computed here, outside of the loops that use it."""
    first = c.index.remainder(start, modulus)
    end = c.index.value(c.index.add(first, size))
    fits = arith.CmpIOp(arith.CmpIPredicate.sle, end, c.index.value(modulus)).result
    positive = arith.CmpIOp(arith.CmpIPredicate.sge, c.index.value(start), c.index.constant(0)).result
    return Wrap(start, modulus, first, arith.AndIOp(positive, fits).result)


@lowers("arith.extsi", "arith.index_cast")
def _extend(c: Converter, op: Any) -> None:
    known = c.get(op.operands[0])
    if isinstance(known, Affine):
        c.set(op.results[0], replace(known, element=element_type(op.results[0].type)))
    else:
        elementwise(c, op)


@lowers("arith.cmpi")
def _compare(c: Converter, op: Any) -> None:
    known = [c.get(value) for value in op.operands]
    left, right = (_formula(c, value) if _is_tensor(op) else None for value in op.operands)
    predicate = _PREDICATES[ir.IntegerAttr(op.attributes["predicate"]).value]
    both = left is not None and right is not None and not all(isinstance(value, Splat) for value in known)
    if both and predicate[0] != "u":
        assert left is not None and right is not None
        c.set(op.results[0], Mask(left.shape, (Compare(predicate, left, right),)))
    else:
        elementwise(c, op)


_PREDICATES = "eq ne slt sle sgt sge ult ule ugt uge".split()


@lowers("arith.andi")
def _and(c: Converter, op: Any) -> None:
    if _is_tensor(op) and str(element_type(op.results[0].type)) == "i1":
        left, right = (c.mask(value) for value in op.operands)
        if left is not None and right is not None:
            c.set(op.results[0], Mask(left.shape, (*left.terms, *right.terms)))
            return
    elementwise(c, op)


@lowers("tt.trans")
def _trans(c: Converter, op: Any) -> None:
    known, order = c.get(op.src), list(ir.DenseI32ArrayAttr(op.attributes["order"]))
    c.set(op.result, transpose(c, known, order))


def transpose(c: Converter, known: Any, order: Sequence[int]) -> Any:
    """A value with reordered dimensions; dimension i of the result is dimension order[i]."""
    if isinstance(known, Affine):
        return known.permute(order)
    shape_ = known.shape if hasattr(known, "shape") else known.type.shape
    shape = tuple(shape_[axis] for axis in order)
    if isinstance(known, Pointers):
        extra = None if known.extra is None else transpose(c, known.extra, order)
        return replace(known, offset=known.offset.permute(order), extra=extra)
    if isinstance(known, Mask):
        return known.reshape(shape, lambda side: side.permute(order))
    if isinstance(known, Splat):
        return replace(known, shape=shape)
    return build.transposed(c.materialise(known), order)


@lowers("tt.reshape")
def _reshape(c: Converter, op: Any) -> None:
    known, shape = c.get(op.src), shape_of(op.result.type)
    if isinstance(known, Splat):
        c.set(op.result, replace(known, shape=shape))
        return
    c.set(op.result, reshape(c.materialise(known), shape))


def reshape(source: Any, shape: Sequence[int]) -> Any:
    """The same elements in row-major order in another shape."""
    have = list(source.type.shape)
    if have == list(shape):
        return source
    flat = source if len(have) == 1 else build.collapse(source, [_product(have)], [list(range(len(have)))])
    return flat if len(shape) == 1 else build.expand(flat, shape, [list(range(len(shape)))])


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def insert(piece: Any, into: Any, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Any:
    """`into` with `piece` at a constant place."""
    return tensor.InsertSliceOp(piece, into, [], [], [], list(offsets), list(sizes), list(strides)).result


@lowers("tt.join")
def _join(c: Converter, op: Any) -> None:
    shape = shape_of(op.result.type)
    out = build.empty(shape, element_type(op.result.type))
    for number, value in enumerate((op.lhs, op.rhs)):
        offsets = [0] * (len(shape) - 1) + [number]
        out = insert(c.tensor(value), out, offsets, [*shape[:-1], 1], [1] * len(shape))
    c.set(op.result, out)


@lowers("tt.cat")
def _cat(c: Converter, op: Any) -> None:
    shape = shape_of(op.result.type)
    out = build.empty(shape, element_type(op.result.type))
    half = shape_of(op.lhs.type)
    for number, value in enumerate((op.lhs, op.rhs)):
        offsets = [number * half[0]] + [0] * (len(shape) - 1)
        out = insert(c.tensor(value), out, offsets, half, [1] * len(shape))
    c.set(op.result, out)


@lowers("tt.split")
def _split(c: Converter, op: Any) -> None:
    halves = _halves(op.src)
    shape = shape_of(op.src.type)
    for number, result in enumerate(op.results):
        if halves is None:
            source, offsets = c.tensor(op.src), [0] * (len(shape) - 1) + [number]
            sizes, strides = [*shape[:-1], 1], [1] * len(shape)
        else:
            value, axis, step = halves
            source, sizes = c.tensor(value), list(shape_of(result.type))
            offsets, strides = [0] * len(sizes), [1] * len(sizes)
            offsets[axis], strides[axis] = (number, step) if step > 1 else (number * sizes[axis], 1)
        piece = tensor.ExtractSliceOp(result.type, source, [], [], [], offsets, sizes, strides).result
        c.set(result, piece)


def _halves(source: Any) -> tuple[Any, int, int] | None:
    """What a tensor with a last dimension of 2 is made of, where that dimension is a piece of one of its dimensions.

    Gives the tensor, the dimension, and 1 if its halves are meant, 2 if its even and odd elements.
    """
    rank = len(shape_of(source.type))
    order = list(range(rank))
    if _maker(source) == "tt.trans":
        order = list(ir.DenseI32ArrayAttr(source.owner.attributes["order"]))
        source = source.owner.operands[0]
    if _maker(source) != "tt.reshape" or "allow_reorder" in source.owner.attributes:
        return None
    whole, parts = shape_of(source.owner.operands[0].type), shape_of(source.type)
    at = order[-1]
    if len(whole) != rank - 1 or order[:-1] != [axis for axis in range(rank) if axis != at]:
        return None
    for axis, step in ((at, 1), (at - 1, 2)):
        if 0 <= axis < rank - 1 and whole == (*parts[:axis], parts[axis] * parts[axis + 1], *parts[axis + 2 :]):
            return source.owner.operands[0], axis, step
    return None


def _maker(value: Any) -> str:
    """The name of the operation that makes a value; empty for an argument of a block."""
    return "" if isinstance(value.owner, ir.Block) else str(value.owner.operation.name)
