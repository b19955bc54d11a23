"""The general path: linalg operations as loops on the hart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes.hart_vectors import lower_vectors
from mtia.compiler.passes.select_engines_domain import structure_of
from mtia.compiler.passes.select_engines_views import Views, create, index_constant, loop_nest
from mtia.dialects.mlir import ir

__all__ = ["lower", "lower_copy"]


def lower(op: Any, views: Views) -> None:
    """Replace a linalg operation on buffers by loops over its elements; other shapes are left to upstream loops."""
    structure = structure_of(op)
    if structure is None or lower_vectors(op, structure, views):
        return
    sizes: list[Any] = [None] * len(structure.reductions)
    for value, dims in zip(op.operands, structure.maps, strict=True):
        for position, dim in enumerate(dims):
            if dim is not None and sizes[dim] is None:
                sizes[dim] = extent(value, position, op)
    if any(size is None for size in sizes):
        return
    _, indices, ip = loop_nest(sizes, ir.InsertionPoint(op), op.location)
    zero = index_constant(0, ip, op.location)
    places = [[zero if dim is None else indices[dim] for dim in dims] for dims in structure.maps]
    element_body(op, places, indices, structure.inputs, ip)
    op.erase()


def extent(value: Any, position: int, op: Any) -> Any:
    """The size of a dimension: an int, or an index value."""
    kind = value.type
    if not kind.is_dynamic_dim(position):
        return kind.get_dim_size(position)
    ip, loc = ir.InsertionPoint(op), op.location
    return create("memref.dim", [value, index_constant(position, ip, loc)], [ir.IndexType.get()], ip, loc)


def element_body(op: Any, places: Sequence[Sequence[Any]], indices: Sequence[Any], inputs: int, ip: Any) -> None:
    """Load the operands, compute the body, store the results, for one element."""
    block = op.regions[0].blocks[0]
    known: dict[Any, Any] = {}
    operands = list(op.operands)
    for argument, value, place in zip(block.arguments, operands, places, strict=True):
        if not isinstance(value.type, ir.MemRefType):
            known[argument] = value
        elif len(list(argument.uses)):
            known[argument] = create("memref.load", [value, *place], [argument.type], ip, op.location)
    *rest, last = [inner.operation for inner in block.operations]
    for inner in rest:
        if inner.name == "linalg.index":
            known[inner.results[0]] = indices[ir.IntegerAttr(inner.attributes["dim"]).value]
            continue
        made = inner.clone(ip=ip)
        rebind(made, known)
        known.update(zip(inner.results, made.results, strict=True))
    for value, target, place in zip(last.operands, operands[inputs:], places[inputs:], strict=True):
        create("memref.store", [known.get(value, value), target, *place], [], ip, op.location)


def rebind(op: Any, known: dict[Any, Any]) -> None:
    """Point the operands of a cloned operation, and of those inside it, to the new values."""
    for position, value in enumerate(op.operands):
        if value in known:
            op.operands[position] = known[value]
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                rebind(inner.operation, known)


def lower_copy(op: Any) -> None:
    """Replace a copy by loads and stores."""
    source, target = op.operands
    kind = source.type
    sizes = [extent(source, position, op) for position in range(kind.rank)]
    _, indices, ip = loop_nest(sizes, ir.InsertionPoint(op), op.location)
    value = create("memref.load", [source, *indices], [kind.element_type], ip, op.location)
    create("memref.store", [value, target, *indices], [], ip, op.location)
    op.erase()
