"""The order of commands: a fresh product that needs nothing of the work before it comes right behind the one before.

Units work in order, so a product that stands behind one which waits for the SIMD engine waits with it. Its sums then
live longer: it stays where it is if there are not enough accumulators for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.compiler.passes.select_engines_views import Views
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import GLOBAL, memory_space

__all__ = ["hoist_products"]

PRODUCT = "mtia.matmul"
VIEWS = frozenset(("memref.reinterpret_cast", "memref.collapse_shape", "memref.expand_shape", "memref.subview"))
LOADS = frozenset(("mtia.dma_in",))
LOOPS = frozenset(("scf.for", "scf.if"))
# operand positions from which on a command writes; all others write their last operand
WRITES = {"mtia.dma_in": (1, 2), "mtia.dma_in_indexed": (1, 2), "mtia.iota": (0, 1), "mtia.mask": (0, 1)}


def hoist_products(block: Any, fits: Callable[[], bool]) -> None:
    """Move products of a block, and of blocks inside, up to the fresh product before them where nothing forbids it.

    `fits` says whether there are accumulators for all sums as the operations stand.
    """
    before = None
    for op in [op.operation for op in block.operations]:
        for region in op.regions:
            for inner in region.blocks:
                hoist_products(inner, fits)
        if op.name == PRODUCT and ir.BoolAttr(op.attributes["zero"]).value:
            if before is not None:
                hoist(op, before, fits)
            before = op


def hoist(product: Any, target: Any, fits: Callable[[], bool]) -> None:
    """Move one product, with the loads and addresses it needs, behind `target`, or leave all where it is."""
    views = Views()
    between = []
    op = following(target)
    while op is not None and op != product:
        between.append(op)
        op = following(op)
    moved = needed(product, between, views)
    if moved is None:
        return
    crossed = [op for op in between if op not in moved]
    chain = [*moved, product]
    places = {op: number for number, op in enumerate([*between, product])}
    for op in crossed:
        later = [other for other in chain if places[other] > places[op]]
        mine = {views.root(value) for other in later for value in other.operands if is_memory(value)}
        written = {views.root(value) for other in later for value in outputs(other)}
        if not harmless(op, mine, written, any(other.name in LOADS for other in later), views):
            return
    place = following(target)
    if not crossed:
        return
    origins = [(op, following(op)) for op in chain]
    for op in chain:
        if op != place:
            op.move_before(place)
        else:
            place = following(place)
    if not fits():
        for op, origin in reversed(origins):
            op.move_before(origin)


def following(op: Any) -> Any:
    """The next operation of a block, None behind the last."""
    operations = [other.operation for other in op.block.operations]
    position = operations.index(op) + 1
    return operations[position] if position < len(operations) else None


def needed(product: Any, between: list[Any], views: Views) -> list[Any] | None:
    """Which operations before a product must come with it, in order; None when they are none that may move."""
    places = {op: number for number, op in enumerate(between)}
    chosen: set[Any] = set()
    open_ = [product]
    while open_:
        op = open_.pop()
        wanted = [value.owner.operation for value in op.operands if not isinstance(value.owner, ir.Block)]
        read = [views.root(value) for value in op.operands if is_memory(value) and memory_space(value.type) != GLOBAL]
        wanted += [
            other
            for other in between
            if other != op
            and places.get(op, len(between)) > places[other]
            and set(roots_written(other, views)) & set(read)
        ]
        for other in wanted:
            if other not in places or other in chosen:
                continue
            movable = other.name in LOADS or other.name == "memref.alloc" or other.name in VIEWS or is_pure(other)
            if not movable:
                return None
            chosen.add(other)
            open_.append(other)
    return [op for op in between if op in chosen]


def is_pure(op: Any) -> bool:
    """Whether an operation only computes numbers."""
    return op.name.startswith("arith.") or op.name in ("affine.apply",)


def is_memory(value: Any) -> bool:
    return isinstance(value.type, ir.MemRefType)


def outputs(op: Any) -> list[Any]:
    """The buffers that a command writes, by their operands."""
    if not op.name.startswith("mtia.") or not len(op.operands):
        return []
    first, last = WRITES.get(op.name, (len(op.operands) - 1, len(op.operands)))
    found = list(op.operands)[first:last]
    if op.name == "mtia.dma_out":
        found = [op.operands[1]]
    elif op.name == "mtia.re_scale":
        found = [op.operands[0]]
    return [value for value in found if is_memory(value)]


def roots_written(op: Any, views: Views) -> list[Any]:
    """The buffers that an operation writes, inside it too; all that it names where that is not known."""
    if op.name.startswith("mtia."):
        return [views.root(value) for value in outputs(op)]
    if op.name in VIEWS or op.name == "memref.alloc" or is_pure(op):
        return []
    named = [views.root(value) for value in op.operands if is_memory(value)]
    inside = [inner.operation for region in op.regions for block in region.blocks for inner in block.operations]
    return named + [root for inner in inside for root in roots_written(inner, views)]


def harmless(op: Any, mine: set[Any], written: set[Any], loads: bool, views: Views) -> bool:
    """Whether a product and its loads may go past an operation."""
    if op.name in LOOPS:
        inside = [inner.operation for region in op.regions for block in region.blocks for inner in block.operations]
        return all(harmless(inner, mine, written, loads, views) for inner in inside)
    if op.name.startswith("scf.yield") or is_pure(op) or op.name in VIEWS or op.name == "memref.alloc":
        return True
    if not op.name.startswith("mtia.") or op.name in ("mtia.wait", "mtia.barrier", "mtia.hart_wait"):
        return False
    roots = {views.root(value) for value in op.operands if is_memory(value)}
    if loads and op.name.startswith("mtia.dma_out"):
        return False
    return not roots & written and not set(roots_written(op, views)) & mine
