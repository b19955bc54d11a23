"""Builders of the tensor operations that `convert-tt-to-linalg` emits, at the current insertion point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from mtia.compiler.passes.convert_tt_to_linalg_values import Index
from mtia.dialects.mlir import arith, bufferization, ir, linalg, memref, scf, tensor
from mtia.dialects.mtia import GLOBAL
from mtia.dialects.pe import Code

__all__ = [
    "broadcast",
    "buffer_of",
    "buffer_type",
    "call_code",
    "collapse",
    "column",
    "empty",
    "expand",
    "extract",
    "fill",
    "generic",
    "global_type",
    "global_view",
    "identity_map",
    "if_",
    "loops",
    "matrix",
    "permuted",
    "projection",
    "reassociation",
    "tensor_of",
    "tensor_type",
    "transposed",
]

DYNAMIC = ir.ShapedType.get_dynamic_size()
DYNAMIC_STRIDE = ir.ShapedType.get_dynamic_stride_or_offset()


def tensor_type(shape: Sequence[int], element: Any) -> Any:
    """A ranked tensor type."""
    return ir.RankedTensorType.get(list(shape), element)


def buffer_type(shape: Sequence[int], element: Any) -> Any:
    """A contiguous memref in local memory."""
    return ir.MemRefType.get(list(shape), element)


def global_type(element: Any) -> Any:
    """The memref of a kernel's pointer argument: device memory of unknown size."""
    return ir.MemRefType.get([DYNAMIC], element, memory_space=_space())


def _space() -> Any:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), GLOBAL)


def empty(shape: Sequence[int], element: Any) -> Any:
    """A tensor of unspecified values."""
    return tensor.EmptyOp(list(shape), element).result


def fill(value: Any, shape: Sequence[int]) -> Any:
    """A tensor with one scalar everywhere."""
    out = empty(shape, value.type)
    op = linalg.FillOp([out.type], [value], [out])
    linalg.fill_builtin_region(op.operation)
    return op.results[0]


def identity_map(rank: int) -> Any:
    """(d0, …) -> (d0, …)."""
    return ir.AffineMap.get_identity(rank)


def projection(rank: int, dims: Sequence[int]) -> Any:
    """(d0, …) -> the named dimensions."""
    return ir.AffineMap.get(rank, 0, [ir.AffineDimExpr.get(dim) for dim in dims])


def generic(
    inputs: Sequence[Any],
    inits: Sequence[Any],
    maps: Sequence[Any],
    body: Callable[..., Sequence[Any]],
    iterators: Sequence[str] | None = None,
) -> Sequence[Any]:
    """A `linalg.generic` whose body is built by `body(*arguments)`; all loops are parallel unless told.

    Operands are tensors, or all buffers; then there is no result.
    """
    rank = maps[-1].n_dims
    kinds = ", ".join(f"#linalg.iterator_type<{kind}>" for kind in iterators or ["parallel"] * rank)
    map_attributes = ir.ArrayAttr.get([ir.AffineMapAttr.get(map_) for map_ in maps])
    types = [init.type for init in inits if isinstance(init.type, ir.RankedTensorType)]
    op = linalg.GenericOp(types, list(inputs), list(inits), map_attributes, ir.Attribute.parse(f"[{kinds}]"))
    elements = [value.type.element_type if isinstance(value.type, ir.ShapedType) else value.type for value in inputs]
    elements += [init.type.element_type for init in inits]
    block = op.regions[0].blocks.append(*elements)
    with ir.InsertionPoint(block):
        linalg.YieldOp(list(body(*block.arguments)))
    return list(op.results)


def broadcast(source: Any, shape: Sequence[int], dims: Sequence[int]) -> Any:
    """`source` repeated along all dimensions but `dims`, which are its own."""
    new = [axis for axis in range(len(shape)) if axis not in dims]
    out = empty(shape, source.type.element_type)
    op = linalg.BroadcastOp([out.type], source, out, new)
    linalg.fill_builtin_region(op.operation)
    return op.results[0]


def expand(source: Any, shape: Sequence[int], groups: Sequence[Sequence[int]]) -> Any:
    """`source` with its dimension k split into the dimensions groups[k] of `shape`."""
    type_ = tensor_type(shape, source.type.element_type)
    return tensor.ExpandShapeOp(type_, source, reassociation(groups), [], list(shape)).result


def collapse(source: Any, shape: Sequence[int], groups: Sequence[Sequence[int]]) -> Any:
    """`source` with its dimensions groups[k] merged into dimension k of `shape`."""
    type_ = tensor_type(shape, source.type.element_type)
    return tensor.CollapseShapeOp(type_, source, reassociation(groups)).result


def reassociation(dims: Sequence[Sequence[int]]) -> Any:
    """Which dimensions each dimension of a reshape is split into or made of, as an attribute."""
    i64 = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get([ir.ArrayAttr.get([ir.IntegerAttr.get(i64, axis) for axis in group]) for group in dims])


def extract(source: Any, indices: Sequence[Any]) -> Any:
    """One element of a tensor."""
    return tensor.ExtractOp(source, list(indices)).result


def tensor_of(buffer: Any) -> Any:
    """The tensor held by a fresh local buffer, which may be overwritten."""
    type_ = tensor_type(buffer.type.shape, buffer.type.element_type)
    return bufferization.ToTensorOp(type_, buffer, restrict=True, writable=True).result


def buffer_of(value: Any) -> Any:
    """A buffer with a tensor's values, to be read at once."""
    return bufferization.ToBufferOp(
        buffer_type(value.type.shape, value.type.element_type), value, read_only=True
    ).result


def global_view(base: Any, offset: Index, shape: Sequence[int], strides: Sequence[Index]) -> Any:
    """A strided view of device memory; offset and strides in elements."""
    if isinstance(offset, int) and offset < 0:  # MLIR has no negative constants here
        offset = arith.ConstantOp(ir.IndexType.get(), offset).result
    static_offset = offset if isinstance(offset, int) else DYNAMIC_STRIDE
    static_strides = [stride if isinstance(stride, int) else DYNAMIC_STRIDE for stride in strides]
    layout = ir.StridedLayoutAttr.get(static_offset, static_strides)
    type_ = ir.MemRefType.get(list(shape), base.type.element_type, layout=layout, memory_space=_space())
    dynamic_offset = [] if isinstance(offset, int) else [offset]
    dynamic_strides = [stride for stride in strides if not isinstance(stride, int)]
    op = memref.ReinterpretCastOp(
        type_, base, dynamic_offset, [], dynamic_strides, [static_offset], list(shape), static_strides
    )
    return op.result


def call_code(words: str, arguments: Sequence[Any], results: int) -> list[Any]:
    """Call machine code (see `pe.code`); arguments and results are i64."""
    types = [ir.IntegerType.get_signless(64)] * results
    attributes = {"words": ir.StringAttr.get(words)}
    return list(ir.Operation.create(Code.OPERATION_NAME, types, list(arguments), attributes).results)


def column(buffer: Any) -> Any:
    """A local vector as a matrix of one column."""
    shape = [buffer.type.shape[0], 1]
    type_ = buffer_type(shape, buffer.type.element_type)
    return memref.ExpandShapeOp(type_, buffer, reassociation([[0, 1]]), [], shape).result


def matrix(buffer: Any) -> Any:
    """A contiguous local buffer as a matrix whose rows are all dimensions but the last."""
    *outer, last = buffer.type.shape
    type_ = buffer_type([math.prod(outer), last], buffer.type.element_type)
    return memref.CollapseShapeOp(type_, buffer, reassociation([list(range(len(outer))), [len(outer)]])).result


def permuted(buffer: Any, order: Sequence[int]) -> Any:
    """A local buffer with its dimensions in another order."""
    if list(order) == sorted(order):
        return buffer
    strides, offset = buffer.type.get_strides_and_offset()
    layout = ir.StridedLayoutAttr.get(offset, [strides[axis] for axis in order])
    shape = [buffer.type.shape[axis] for axis in order]
    type_ = ir.MemRefType.get(shape, buffer.type.element_type, layout=layout)
    return memref.TransposeOp(type_, buffer, ir.AffineMap.get_permutation(list(order))).result


def transposed(source: Any, order: Sequence[int]) -> Any:
    """A tensor with its dimensions in another order; dimension i of the result is dimension order[i]."""
    if list(order) == sorted(order):
        return source
    out = empty([source.type.shape[axis] for axis in order], source.type.element_type)
    made = linalg.TransposeOp([out.type], source, out, list(order))
    linalg.fill_builtin_region(made.operation)
    return made.results[0]


def loops(sizes: Sequence[int], constant: Callable[[int], Any], body: Callable[[list[Any]], None]) -> None:
    """A nest of `scf.for` from 0 over `sizes`, with `body(indices)` inside."""

    def nest(indices: list[Any]) -> None:
        if len(indices) == len(sizes):
            body(indices)
            return
        loop = scf.ForOp(constant(0), constant(sizes[len(indices)]), constant(1))
        with ir.InsertionPoint(loop.body):
            nest([*indices, loop.induction_variable])
            scf.YieldOp([])

    nest([])


def if_(
    condition: Any,
    then: Callable[[], Sequence[Any]],
    otherwise: Callable[[], Sequence[Any]] | None = None,
    types: Sequence[Any] = (),
) -> Sequence[Any]:
    """An `scf.if` whose branches are built by the two functions; results have `types`."""
    op = scf.IfOp(condition, list(types), has_else=otherwise is not None)
    with ir.InsertionPoint(op.then_block):
        scf.YieldOp(list(then()))
    if otherwise is not None:
        with ir.InsertionPoint(op.else_block):
            scf.YieldOp(list(otherwise()))
    return list(op.results)
