"""Buffers prepared for the engines: products apart from what overwrites them, transfers along contiguous memory,
factors that are read turned where they lie."""

from __future__ import annotations

from typing import Any

from mtia.compiler.passes.select_engines_domain import domain_of, structure_of
from mtia.compiler.passes.select_engines_moves import dynamic_strides
from mtia.compiler.passes.select_engines_views import DYNAMIC_STRIDE, Views, create
from mtia.dialects.mlir import ir

__all__ = ["split_versions", "turn_transfers", "view_factors"]


def split_versions(product: Any, views: Views) -> None:
    """When an elementwise operation overwrites a product in place, let it write a new buffer instead.

    The product can then stay in the accumulators. Only for a buffer all of whose users stand in the block that made it.
    """
    value = product.operands[2]
    alloc = value.owner
    if isinstance(alloc, ir.Block) or alloc.name != "memref.alloc":
        return
    block = alloc.operation.block
    users = [use.owner.operation for use in value.uses]
    if any(user.block != block for user in users):
        return
    later = [user for user in set(users) if product.is_before_in_block(user)]
    overwrites = [user for user in later if overwrites_whole(user, value, views)]
    for user in overwrites:
        others = [other for other in overwrites if other != user and other.is_before_in_block(user)]
        if others:
            continue
        fresh = create(
            "memref.alloc",
            [],
            [value.type],
            ir.InsertionPoint(user),
            user.location,
            operandSegmentSizes=ir.DenseI32ArrayAttr.get([0, 0]),
        )
        user.operands[len(user.operands) - 1] = fresh
        for other in later:
            if user.is_before_in_block(other):
                replace_operand(other, value, fresh)


def replace_operand(op: Any, old: Any, new: Any) -> None:
    for position, operand in enumerate(op.operands):
        if operand == old:
            op.operands[position] = new


def overwrites_whole(op: Any, value: Any, views: Views) -> bool:
    """Whether an elementwise operation writes all of a buffer and does not read its old value as an output."""
    if op.name != "linalg.generic" or op.operands[len(op.operands) - 1] != value:
        return False
    structure = structure_of(op)
    if structure is None or any(structure.reductions) or len(op.operands) - structure.inputs != 1:
        return False
    if structure.maps[-1] != tuple(range(len(structure.reductions))):
        return False
    arguments = op.regions[0].blocks[0].arguments
    return domain_of(structure, op, views) is not None and not list(arguments[len(arguments) - 1].uses)


def turn_transfers(function: Any, views: Views) -> None:
    """Transfer a tile whose rows, not columns, are contiguous in device memory in that order, and view it turned."""
    found: list[Any] = []
    transfers(function.regions[0], found)
    for op in found:
        position = 0 if op.name == "mtia.dma_in" else 1
        remote, local = op.operands[position], op.operands[1 - position]
        if local.type.rank != 2 or not turnable(local):
            continue
        view = views.of(remote)
        if view.strides[0] == 1 and view.strides[1] != 1 and view.shape[0] > 1:
            turn(op, position, remote, local, views)


def transfers(region: Any, found: list[Any]) -> None:
    for block in region.blocks:
        for op in block.operations:
            operation = op.operation
            if operation.name in ("mtia.dma_in", "mtia.dma_out"):
                found.append(operation)
            for inner in operation.regions:
                transfers(inner, found)


def view_factors(products: list[Any], views: Views) -> None:
    """Let products read a turned matrix where it lies: the matrix engine takes any strides.

    Only where the copy is a whole buffer that nothing but products reads, and its source, a buffer of the same block,
    is not written again in the turn.
    """
    for copy in {found for product in products for found in transposes(product)}:
        source, target = copy.operands[0], copy.operands[1]
        alloc = target.owner
        root = views.root(source)
        if alloc.name != "memref.alloc" or not source.type.has_static_shape or source.type.rank != 2:
            continue
        if isinstance(root.owner, ir.Block) or root.owner.operation.block != copy.block:
            continue
        others = [use.owner.operation for use in target.uses if use.owner.operation != copy]
        if all(other in products for other in others) and not written_after(root, copy):
            view = views.of(source)
            turned = view.shaped(view.shape[::-1], view.strides[::-1])
            made = views.memref(turned, ir.InsertionPoint(copy), copy.location)
            copy.erase()
            target.replace_all_uses_with(made)
            alloc.operation.erase()


def transposes(product: Any) -> list[Any]:
    """The transposes in a product's block that make its factors."""
    uses = [use.owner.operation for factor in list(product.operands)[:2] for use in factor.uses]
    return [
        op
        for op in uses
        if op.name == "linalg.transpose" and op.operands[1] in list(product.operands)[:2] and op.block == product.block
    ]


def written_after(value: Any, place: Any) -> bool:
    """Whether an operation after `place` in its block may write a buffer."""
    for use in value.uses:
        op = use.owner.operation
        if op.name.startswith("memref.") and len(op.results) and op.name != "memref.load":
            if written_after(op.results[0], place):
                return True
            continue
        reads = op.name in ("memref.load", "memref.dealloc", "mtia.dma_out") or (
            op.name.startswith("linalg.") and use.operand_number < len(op.operands) - 1
        )
        while op.block != place.block:
            op = op.block.owner.operation
        if not reads and not op.is_before_in_block(place):
            return True
    return False


def turnable(local: Any) -> bool:
    """Whether a buffer is a whole allocation that only takes part in operations which accept any strides."""
    owner = local.owner
    if isinstance(owner, ir.Block) or owner.name != "memref.alloc":
        return False
    transferred = 0
    for use in local.uses:
        name = use.owner.operation.name
        transferred += name.startswith("mtia.dma")
        if not name.startswith(("linalg.", "mtia.dma_")):
            return False
    return transferred == 1


def turn(op: Any, position: int, remote: Any, local: Any, views: Views) -> None:
    """Swap the dimensions of one transfer."""
    alloc = local.owner.operation
    rows, cols = local.type.shape
    ip, loc = ir.InsertionPoint(alloc), alloc.location
    kind = ir.MemRefType.get([cols, rows], local.type.element_type)
    segments = ir.DenseI32ArrayAttr.get([0, 0])
    stored = create("memref.alloc", [], [kind], ip, loc, operandSegmentSizes=segments)
    layout = ir.StridedLayoutAttr.get(0, [1, rows])
    turned_kind = ir.MemRefType.get([rows, cols], local.type.element_type, layout)
    turned = create(
        "memref.reinterpret_cast",
        [stored],
        [turned_kind],
        ip,
        loc,
        operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 0, 0, 0]),
        static_offsets=ir.DenseI64ArrayAttr.get([0]),
        static_sizes=ir.DenseI64ArrayAttr.get([rows, cols]),
        static_strides=ir.DenseI64ArrayAttr.get([1, rows]),
    )
    op.operands[position] = swapped_remote(op, remote, views)
    op.operands[1 - position] = stored
    segments = list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))
    if segments[2]:
        values = list(op.operands)
        for place, value in zip(range(2, 6), (values[3], values[2], values[5], values[4]), strict=True):
            op.operands[place] = value
    local.replace_all_uses_with(turned)
    alloc.erase()


def swapped_remote(op: Any, remote: Any, views: Views) -> Any:
    """The device-memory view of a transfer with its two dimensions swapped."""
    view = views.of(remote)
    strides = dynamic_strides(remote, view)[::-1]
    ip, loc = ir.InsertionPoint(op), op.location
    values = [stride for stride in strides if isinstance(stride, ir.Value)]
    static = [DYNAMIC_STRIDE if isinstance(stride, ir.Value) else stride for stride in strides]
    shape = list(view.shape[::-1])
    offset = views.offset_value(view, ip, loc)
    layout = ir.StridedLayoutAttr.get(DYNAMIC_STRIDE, static)
    kind = ir.MemRefType.get(shape, view.element, layout, view.root.type.memory_space)
    return create(
        "memref.reinterpret_cast",
        [view.root, offset, *values],
        [kind],
        ip,
        loc,
        operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 1, 0, len(values)]),
        static_offsets=ir.DenseI64ArrayAttr.get([DYNAMIC_STRIDE]),
        static_sizes=ir.DenseI64ArrayAttr.get(shape),
        static_strides=ir.DenseI64ArrayAttr.get(static),
    )
