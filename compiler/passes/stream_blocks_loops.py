"""Loops over single elements of large buffers: tile by tile where each turn reaches one place along an axis.

The rest of what such a loop reaches, such as the source of a gather, stays in scratch memory.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from mtia.compiler.passes.plan_local_memory import element_bytes
from mtia.compiler.passes.select_engines_views import View, Views, create, index_constant
from mtia.compiler.passes.stream_blocks_emit import segments, transfer
from mtia.compiler.passes.stream_blocks_scratch import SETTLED, Scratch
from mtia.dialects.mlir import ir

__all__ = ["divide_loop"]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where turn i of a loop reaches on an axis: `constant + sign · i`."""

    sign: int
    constant: int


@dataclasses.dataclass
class Walked:
    """A window that a loop walks along `axis`; `fixed` are axes whose index is the same in all turns."""

    value: Any
    view: View
    axis: int
    place: Place
    fixed: dict[int, Any]
    reads: bool
    writes: bool

    @property
    def unit(self) -> int:
        """Bytes of one turn."""
        sizes = [n for axis, n in enumerate(self.view.shape) if axis != self.axis and axis not in self.fixed]
        return int(math.prod(sizes)) * element_bytes(self.view.element)


def divide_loop(op: Any, large: dict[Any, Any], views: Views, scratch: Scratch, budget: int) -> list[Any]:
    """Replace an `scf.for` over elements by loops over tiles; gives its new inner loops, none when it cannot be."""
    bounds = [_constant(value) for value in list(op.operands)[:3]]
    if None in bounds or bounds[2] != 1 or bounds[1] <= bounds[0]:  # type: ignore[operator]
        return []
    accesses = _accesses(op, large, views)
    if accesses is None:
        return []
    walked = [item for uses in accesses.values() if (item := _walked(op, uses, views)) is not None]
    unit = sum(item.unit for item in walked)
    if not walked or unit > budget:
        return []
    count = bounds[1] - bounds[0]  # type: ignore[operator]
    step = min(count, 1 << (budget // unit).bit_length() - 1)
    return _Divided(op, walked, views, scratch).emit(bounds[0], count, step)  # type: ignore[arg-type]


def _constant(value: Any) -> int | None:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        return None
    return int(ir.IntegerAttr(owner.attributes["value"]).value)


def _accesses(op: Any, large: dict[Any, Any], views: Views) -> dict[Any, list[Any]] | None:
    """Loads and stores of large buffers in a loop, by buffer; None when something else reaches one."""
    found: dict[Any, list[Any]] = {}
    for inner in walk(op.regions[0]):
        for value in inner.operands:
            if isinstance(value.type, ir.MemRefType) and views.root(value) in large:
                if inner.name not in ("memref.load", "memref.store"):
                    return None
                found.setdefault(views.root(value), []).append(inner)
    return found


def _parts(access: Any) -> tuple[Any, list[Any]]:
    """The window that a load or store names, and its indices."""
    first = int(access.name == "memref.store")
    return access.operands[first], list(access.operands)[first + 1 :]


def _walked(op: Any, uses: list[Any], views: Views) -> Walked | None:
    """How a loop walks a buffer; None when it does not go along one axis of one window."""
    value = _parts(uses[0])[0]
    view = views.of(value)
    if any(_parts(use)[0] != value for use in uses) or not view.static or view.terms:
        return None
    turn = op.regions[0].blocks[0].arguments[0]
    axis, place, fixed = None, None, {}
    for number in range(len(view.shape)):
        indices = [_parts(use)[1][number] for use in uses]
        places = {_place(index, turn) for index in indices}
        if axis is None and len(places) == 1 and None not in places:
            axis, place = number, next(iter(places))
        elif all(index == indices[0] for index in indices) and not _inside(indices[0], op):
            fixed[number] = indices[0]
    if axis is None or place is None:
        return None
    writes = any(use.name == "memref.store" for use in uses)
    reads = any(use.name == "memref.load" for use in uses) or not _stores_all(op, uses, view)
    return Walked(value, view, axis, place, fixed, reads, writes)


def _place(index: Any, turn: Any) -> Place | None:
    """An index as a place on an axis."""
    if index == turn:
        return Place(1, 0)
    if isinstance(index.owner, ir.Block) or index.owner.name not in ("arith.addi", "arith.subi"):
        return None
    left, right = index.owner.operands
    if index.owner.name == "arith.addi" and turn in (left, right):
        constant = _constant(right if left == turn else left)
        return None if constant is None else Place(1, constant)
    constant = _constant(left if right == turn else right)
    if constant is None:
        return None
    return Place(-1, constant) if right == turn else Place(1, -constant) if left == turn else None


def _inside(value: Any, op: Any) -> bool:
    """Whether a value is made inside an operation."""
    owner = value.owner
    block = owner if isinstance(owner, ir.Block) else owner.operation.block
    while block is not None:
        outer = block.owner.operation
        if outer == op:
            return True
        if outer.name in ("func.func", "builtin.module"):
            return False
        block = outer.block
    return False


def _stores_all(op: Any, uses: list[Any], view: View) -> bool:
    """Whether every turn stores all that a buffer has at its place."""
    return len(view.shape) == 1 and any(
        use.name == "memref.store" and use.block == op.regions[0].blocks[0] for use in uses
    )


def walk(region: Any) -> list[Any]:
    """All operations of a region, in order."""
    found = []
    for block in region.blocks:
        for op in block.operations:
            found.append(op.operation)
            for inner in op.operation.regions:
                found += walk(inner)
    return found


class _Divided:
    """The loops over tiles of one loop."""

    def __init__(self, op: Any, walked: list[Walked], views: Views, scratch: Scratch) -> None:
        self.op = op
        self.walked = walked
        self.views = views
        self.made = Views()
        self.scratch = scratch
        self.loc = op.location

    def emit(self, first: int, count: int, step: int) -> list[Any]:
        """All tiles, and the values that the loop carries through them."""
        carried = list(self.op.operands)[3:]
        inner = []
        for start, end, size in segments(count, step):
            ip = ir.InsertionPoint(self.op)
            bounds = [index_constant(value, ip, self.loc) for value in (first + start, first + end, size)]
            types = [value.type for value in carried]
            loop = ir.Operation.create(
                "scf.for", results=types, operands=[*bounds, *carried], regions=1, loc=self.loc, ip=ip
            )
            index = ir.IndexType.get()
            block = loop.regions[0].blocks.append(index, *types, arg_locs=[self.loc] * (1 + len(types)))
            base, *values = block.arguments
            inner.append(self.tile(base, values, size, ir.InsertionPoint(block)))
            carried = list(loop.results)
        for result, value in zip(self.op.results, carried, strict=True):
            result.replace_all_uses_with(value)
        return inner

    def tile(self, base: Any, carried: list[Any], size: int, ip: Any) -> Any:
        """One tile: bring in, the turns, send back."""
        index = ir.IndexType.get()
        made = self.op.clone(ip=ip)
        before = ir.InsertionPoint(made)
        zero = index_constant(0, before, self.loc)
        bounds = [zero, *(index_constant(value, before, self.loc) for value in (size, 1))]
        for position, value in enumerate((*bounds, *carried)):
            made.operands[position] = value
        block = made.regions[0].blocks[0]
        turn = block.arguments[0]
        begin = ir.InsertionPoint.at_block_begin(block)
        uses = list(turn.uses)
        moved = create("arith.addi", [base, turn], [index], begin, self.loc)
        for use in uses:
            use.owner.operands[use.operand_number] = moved
        back = create("arith.subi", [index_constant(size - 1, begin, self.loc), turn], [index], begin, self.loc)
        zero_inside = index_constant(0, begin, self.loc)
        tiles = {}
        for item in self.walked:
            local, remote = self.windows(item, base, size, before)
            tiles[item.value] = (item, local)
            near = self.made.of(local)
            if item.reads:
                move = transfer(self.made, "mtia.dma_in", near, remote, before, self.loc)
                move.attributes[SETTLED] = ir.UnitAttr.get()
            if item.writes:
                transfer(self.made, "mtia.dma_out", near, remote, ip, self.loc)
        for access in walk(made.regions[0]):
            if access.name not in ("memref.load", "memref.store"):
                continue
            value, indices = _parts(access)
            if value not in tiles:
                continue
            item, local = tiles[value]
            position = len(access.operands) - len(indices)
            access.operands[position - 1] = local
            access.operands[position + item.axis] = turn if item.place.sign > 0 else back
            for axis in item.fixed:
                access.operands[position + axis] = zero_inside
        ir.Operation.create("scf.yield", operands=list(made.results), loc=self.loc, ip=ip)
        return made

    def windows(self, item: Walked, base: Any, size: int, ip: Any) -> tuple[Any, Any]:
        """A tile in local memory, and where it is in scratch memory."""
        index = ir.IndexType.get()
        shape = list(item.view.shape)
        shape[item.axis] = size
        constant = index_constant(item.place.constant - (size - 1 if item.place.sign < 0 else 0), ip, self.loc)
        name = "arith.addi" if item.place.sign > 0 else "arith.subi"
        terms = [(create(name, [constant, base], [index], ip, self.loc), item.view.strides[item.axis])]
        for axis, value in item.fixed.items():
            shape[axis] = 1
            terms.append((value, item.view.strides[axis]))
        kind = ir.MemRefType.get(shape, item.view.element)
        lists = ir.DenseI32ArrayAttr.get([0, 0])
        local = create("memref.alloc", [], [kind], ip, item.view.root.owner.location, operandSegmentSizes=lists)
        remote = self.scratch.view(item.view).moved(terms=tuple(terms)).shaped(tuple(shape), item.view.strides)
        return local, remote
