"""A gather from a large buffer: the fabric interface fetches the elements of a tile by their indices."""

from __future__ import annotations

import math
from typing import Any

from mtia.compiler.passes.select_engines_views import View, Views, create
from mtia.compiler.passes.stream_blocks_scratch import SETTLED
from mtia.dialects.mlir import ir

__all__ = ["fetch", "gather_indices", "gather_of"]

PLACES = frozenset(("linalg.index", "arith.index_cast", "arith.addi", "memref.load", "linalg.yield"))


def gather_of(op: Any) -> Any | None:
    """The load of an operation that does nothing but load from computed places; None for others."""
    if op.name != "linalg.generic" or len(op.regions) != 1:
        return None
    operations = [inner.operation for inner in op.regions[0].blocks[0].operations]
    loads = [inner for inner in operations if inner.name == "memref.load"]
    if len(loads) != 1 or list(operations[-1].operands) != [loads[0].results[0]]:
        return None
    if {inner.name for inner in operations} - PLACES:
        return None
    return loads[0]


def gather_indices(op: Any, target: Any, view: View) -> None:
    """Make a clone of a gather compute the places in `view`, as i32, and write them to `target`."""
    block = op.regions[0].blocks[0]
    load = gather_of(op)
    assert load is not None
    kind = ir.IntegerType.get_signless(32)
    index = ir.IndexType.get()
    ip, loc = ir.InsertionPoint(load), op.location
    total = None
    for place, stride in zip(list(load.operands)[1:], view.strides, strict=True):
        value = create("arith.index_cast", [place], [kind], ip, loc) if place.type == index else place
        factor = create("arith.constant", [], [kind], ip, loc, value=ir.IntegerAttr.get(kind, stride))
        if stride != 1:
            value = create("arith.muli", [value, factor], [kind], ip, loc)
        total = value if total is None else create("arith.addi", [total, value], [kind], ip, loc)
    assert total is not None
    last = block.operations[len(block.operations) - 1]
    last.operands[0] = total
    load.erase()
    block.arguments[len(block.arguments) - 1].set_type(kind)
    op.operands[len(op.operands) - 1] = target


def fetch(views: Views, source: View, indices: Any, target: View, ip: Any, loc: Any) -> None:
    """Fetch element `indices[i]` of device memory into element i of a contiguous tile."""
    count = math.prod(target.shape)
    whole = math.prod(source.shape)
    lists = ir.DenseI32ArrayAttr.get([1, 1, 1, 0, 0, 0])
    operands = [
        views.memref(source.shaped((whole, 1), (1, 1)), ip, loc),
        views.memref(target.shaped((count, 1), (1, 1)), ip, loc),
        views.memref(views.of(indices).shaped((count,), (1,)), ip, loc),
    ]
    settled = {SETTLED: ir.UnitAttr.get()}
    create("mtia.dma_in_indexed", operands, [], ip, loc, operandSegmentSizes=lists, **settled)
