"""The loops of a group: tiles into local memory, the operations on them, tiles back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes.select_engines_moves import dynamic_strides
from mtia.compiler.passes.select_engines_views import (
    DYNAMIC_STRIDE,
    View,
    Views,
    create,
    index_constant,
    loop_nest,
)
from mtia.compiler.passes.stream_blocks_gather import fetch, gather_indices, gather_of
from mtia.compiler.passes.stream_blocks_groups import Group, Member, tile_bytes
from mtia.compiler.passes.stream_blocks_nodes import Node, Touch, squeezed
from mtia.compiler.passes.stream_blocks_scratch import SETTLED, Scratch
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import MAX_DMA_RANK
from mtia.isa.xmtia.codes import Unit

__all__ = ["Emitter", "choose_tile", "segments", "transfer"]

LINE = 64  # bytes: a shorter run of memory costs as much
COMMAND = 2048  # what one more tile costs a transfer, in bytes of it
MOST_CHOICES = 4096


def choose_tile(group: Group, most: int) -> list[int]:
    """Sizes of a tile: within the budget, with long runs of memory and few tiles; `most` bytes for one buffer."""
    choices = [
        [size] if dim in group.whole else sorted({*(1 << n for n in range(size.bit_length())), size}, reverse=True)
        for dim, size in enumerate(group.sizes)
    ]
    if math.prod(map(len, choices)) > MOST_CHOICES:
        return _halved(group, most)
    best: tuple[float, list[int]] | None = None
    for candidate in itertools.product(*choices):
        tile = list(candidate)
        if _fits(group, tile, most):
            cost = _cost(group, tile)
            if best is None or cost < best[0]:
                best = cost, tile
    return best[1] if best is not None else [1 if len(sizes) > 1 else sizes[0] for sizes in choices]


def _halved(group: Group, most: int) -> list[int]:
    """Many small dimensions: the outermost are divided first."""
    tile = list(group.sizes)
    for dim in range(len(tile)):
        while dim not in group.whole and tile[dim] > 1 and not _fits(group, tile, most):
            tile[dim] = (tile[dim] + 1) // 2
    return tile


def _fits(group: Group, tile: Sequence[int], most: int) -> bool:
    divided = any(part < size for part, size in zip(tile, group.sizes, strict=True))
    largest = max(
        (tile_bytes(group.touch[kind], axes, tile) for kind, axes in group.axes.items() if kind[0][0] in group.large),
        default=0,
    )
    return group.bytes_of(tile) <= group.budget and (largest <= most or not divided)


def _cost(group: Group, tile: Sequence[int]) -> float:
    """What the transfers of a group cost with a tile, in bytes: short runs count as lines."""
    counts = [-(-size // part) for size, part in zip(group.sizes, tile, strict=True)]
    total = 0.0
    for member in group.members:
        for touch in member.node.touches:
            axes = member.axes(touch)
            if touch.view.root not in group.large:
                continue
            size = tile_bytes(touch, axes, tile)
            run = size
            if member.node.remote is not None and touch is member.node.touches[0]:
                run = _run(member, touch, axes, tile)
            total += math.prod(counts) * (size * (1 + LINE / run) + COMMAND)
    return total


def _run(member: Member, touch: Touch, axes: Sequence[int | None], tile: Sequence[int]) -> int:
    """Bytes that a transfer of a tile finds beside each other in device memory."""
    remote = member.node.op.operands[member.node.remote]
    shape = touch.view.shape
    strides = [s for s, size in zip(remote.type.get_strides_and_offset()[0], shape, strict=True) if size != 1]
    width = tile_bytes(touch, (), tile)
    for axis, stride in zip(axes, strides, strict=False):
        if stride == 1 and axis is not None:
            return width * tile[axis]
    return width


class Emitter:
    """Writes the loops of groups into a function."""

    def __init__(self, scratch: Scratch, most: int) -> None:
        self.scratch = scratch
        self.most = most
        self.views = Views()

    def emit(self, group: Group, kept: set[Any], ip: Any) -> tuple[list[int], int]:
        """The loops of a group, with the buffers `kept` going to scratch memory; the tile, and how many there are."""
        tile = choose_tile(group, self.most)
        loc = group.members[-1].node.op.location
        if (
            kept
            or group.captured & set(group.large)
            or any(self._starts_read(group, root) for root in group.keys if root in group.large)
        ):
            units = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 1 << Unit.FI_IN | 1 << Unit.FI_OUT)
            create("mtia.wait", [], [], ip, loc, units=units)
        divided = [dim for dim, size in enumerate(group.sizes) if tile[dim] < size]
        for parts in itertools.product(*(segments(group.sizes[dim], tile[dim]) for dim in divided)):
            self._nest(group, kept, tile, dict(zip(divided, parts, strict=True)), ip, loc)
        return tile, math.prod(-(-size // part) for size, part in zip(group.sizes, tile, strict=True))

    def _nest(
        self, group: Group, kept: set[Any], tile: list[int], parts: dict[int, tuple[int, int, int]], ip: Any, loc: Any
    ) -> None:
        """Loops over one part of the tiles, all of one size; the last ones of a dimension may be smaller."""
        sizes, offsets = list(tile), {}
        looped = [dim for dim, (start, end, step) in parts.items() if end - start > step]
        _, indices, ip = loop_nest([parts[dim][1] for dim in looped], ip, loc, [parts[dim][2] for dim in looped])
        for dim, (start, _, step) in parts.items():
            sizes[dim] = step
            offsets[dim] = indices[looped.index(dim)] if dim in looped else index_constant(start, ip, loc)
        Body(self, group, kept, sizes, offsets, ip, loc).emit()

    def _starts_read(self, group: Group, root: Any) -> bool:
        """Whether the first operation on a buffer needs what was there before."""
        for member in group.members:
            if root in member.node.reads:
                return True
            if root in member.node.writes:
                return False
        return False


def segments(size: int, step: int) -> list[tuple[int, int, int]]:
    """Start, end and step of the full tiles, which begin at 0, and of the rest."""
    full = size // step * step
    return [(0, full, step)] + ([(full, size, size - full)] if full < size else [])


class Body:
    """One tile of a group."""

    def __init__(
        self,
        emitter: Emitter,
        group: Group,
        kept: set[Any],
        tile: list[int],
        offsets: dict[int, Any],
        ip: Any,
        loc: Any,
    ) -> None:
        self.scratch = emitter.scratch
        self.views = emitter.views
        self.group = group
        self.kept = kept
        self.tile = tile
        self.offsets = offsets
        self.ip = ip
        self.loc = loc
        self.local: dict[Any, Any] = {}

    def emit(self) -> None:
        """The operations, and after them what is kept."""
        for member in self.group.members:
            self.member(member)
        for root in self.kept:
            for key in self.group.keys[root]:
                if key in self.local:
                    self.move(key, "mtia.dma_out")

    def member(self, member: Member) -> None:
        """One operation on its tiles."""
        node = member.node
        operands = list(node.op.operands)
        for touch in node.touches:
            operands[touch.position] = self.operand(touch, member)
        if node.remote is not None:
            self.transfer(member, operands)
            return
        made = node.op.clone(ip=self.ip)
        for position, value in enumerate(operands):
            made.operands[position] = value
        for region in made.regions:
            for block in region.blocks:
                self.indices(member, block)
        if any(view.root in self.group.large for view in node.captured):
            self.load_anywhere(node, made, operands[-1])

    def load_anywhere(self, node: Node, made: Any, target: Any) -> None:
        """Let an operation load from scratch memory, by indexed transfers if it does nothing else."""
        load = gather_of(made)
        if (
            load is not None
            and len(node.captured) == 1
            and _contiguous(node.captured[0])
            and _contiguous(self.views.of(target))
        ):
            kind = ir.MemRefType.get(list(target.type.shape), ir.IntegerType.get_signless(32))
            lists = ir.DenseI32ArrayAttr.get([0, 0])
            before = ir.InsertionPoint(made)
            indices = create("memref.alloc", [], [kind], before, self.loc, operandSegmentSizes=lists)
            gather_indices(made, indices, node.captured[0])
            source = self.scratch.view(node.captured[0])
            fetch(self.views, source, indices, self.views.of(target), self.ip, self.loc)
            return
        for inner in made.regions[0].blocks[0].operations:
            if inner.operation.name == "memref.load":
                root = self.views.root(inner.operands[0])
                if root in self.group.large:
                    view = self.scratch.view(self.views.of(inner.operands[0]))
                    inner.operation.operands[0] = self.views.memref(view, ir.InsertionPoint(made), self.loc)

    def operand(self, touch: Touch, member: Member) -> Any:
        """The tile of a window: in local memory for large buffers, else a part of the buffer itself."""
        tile, axes = member.tile(touch), member.axes(touch)
        if touch.view.root not in self.group.large:
            return self.views.memref(self.shaped(touch, self.part(squeezed(touch.view), axes)), self.ip, self.loc)
        made = self.local.get(tile)
        if made is None:
            kind = ir.MemRefType.get(self.shape(axes), touch.view.element)
            segments_ = ir.DenseI32ArrayAttr.get([0, 0])
            made = create(
                "memref.alloc", [], [kind], self.ip, touch.view.root.owner.location, operandSegmentSizes=segments_
            )
            self.local[tile] = made
            if touch.reads:
                self.move(tile, "mtia.dma_in")
        return self.views.memref(self.shaped(touch, self.views.of(made)), self.ip, self.loc)

    def shaped(self, touch: Touch, view: View) -> View:
        """A tile with the axes of size 1 that an operation sees."""
        shape: list[int] = []
        strides: list[int] = []
        kept = list(zip(view.shape, view.strides, strict=True))
        for size in reversed(touch.view.shape):
            part, stride = kept.pop() if size != 1 else (1, strides[-1] * shape[-1] if shape else 1)
            shape.append(part)
            strides.append(stride)
        return view.shaped(tuple(reversed(shape)), tuple(reversed(strides)))

    def shape(self, axes: Sequence[int | None]) -> list[int]:
        """The shape of a tile."""
        return [1 if axis is None else self.tile[axis] for axis in axes]

    def part(self, view: View, axes: Sequence[int | None]) -> View:
        """The window of this tile in a window of everything."""
        terms = tuple(
            (self.offsets[axis], stride)
            for axis, stride in zip(axes, view.strides, strict=True)
            if axis in self.offsets and stride
        )
        return view.moved(terms=terms).shaped(tuple(self.shape(axes)), view.strides)

    def move(self, key: Any, name: str) -> None:
        """A tile between local and scratch memory."""
        axes = self.group.axes[key]
        touch = self.group.touch[key]
        local = self.views.of(self.local[key])
        remote = self.part(squeezed(self.scratch.view(touch.view)), axes)
        made = transfer(self.views, name, local, remote, self.ip, self.loc)
        receives = name == "mtia.dma_in"
        if receives and (key[0][0] not in self.kept or set(self.offsets) <= set(axes)):
            made.attributes[SETTLED] = ir.UnitAttr.get()

    def indices(self, member: Member, block: Any) -> None:
        """Positions in a tile as positions in the whole."""
        for op in list(block.operations):
            if op.operation.name != "linalg.index":
                continue
            offset = self.offsets.get(member.dims[ir.IntegerAttr(op.attributes["dim"]).value])
            if offset is None:
                continue
            uses = list(op.results[0].uses)
            ip = ir.InsertionPoint.after(op.operation)
            moved = create("arith.addi", [op.results[0], offset], [ir.IndexType.get()], ip, op.location)
            for use in uses:
                use.owner.operands[use.operand_number] = moved

    # -- transfers of the user --------------------------------------------------------------------------------------

    def transfer(self, member: Member, operands: list[Any]) -> None:
        """A transfer of a tile between local and device memory."""
        node = member.node
        assert node.remote is not None
        indexed = node.op.name.endswith("indexed")
        place = 3 if indexed else 2
        counts = [0, 0]
        if "operandSegmentSizes" in node.op.attributes:
            counts = list(ir.DenseI32ArrayAttr(node.op.attributes["operandSegmentSizes"]))[place:]
        axes = [member.dims[dim] for dim in node.touches[0].dims]  # type: ignore[index]
        operands[node.remote] = self.remote(operands[node.remote], axes, rows_move=not indexed)
        for side in (0, 1):
            if not counts[side]:
                continue
            start = place + (counts[0] if side else 0)
            for number, axis in enumerate(axes):
                operands[start + number] = self.clamped(operands[start + number], axis)
        made = node.op.clone(ip=self.ip)
        for position, value in enumerate(operands):
            made.operands[position] = value

    def clamped(self, bound: Any, axis: int) -> Any:
        """A bound of a range as a tile sees it."""
        offset = self.offsets.get(axis)
        if offset is None:
            return bound
        index = ir.IndexType.get()
        moved = create("arith.subi", [bound, offset], [index], self.ip, self.loc)
        zero, most = (index_constant(value, self.ip, self.loc) for value in (0, self.tile[axis]))
        moved = create("arith.maxsi", [moved, zero], [index], self.ip, self.loc)
        return create("arith.minsi", [moved, most], [index], self.ip, self.loc)

    def remote(self, value: Any, axes: Sequence[int], rows_move: bool) -> Any:
        """The window of a tile in device memory; the rows of an indexed transfer are where their indices say."""
        view = self.views.of(value)
        strides = dynamic_strides(value, view)
        index = ir.IndexType.get()
        offset = self.views.offset_value(view, self.ip, self.loc)
        for number, (axis, stride) in enumerate(zip(axes, strides, strict=True)):
            if axis not in self.offsets or (number == 0 and not rows_move):
                continue
            step = stride if isinstance(stride, ir.Value) else index_constant(stride, self.ip, self.loc)
            moved = create("arith.muli", [self.offsets[axis], step], [index], self.ip, self.loc)
            offset = create("arith.addi", [offset, moved], [index], self.ip, self.loc)
        shape = [self.tile[axis] for axis in axes]
        if not rows_move:
            shape[0] = view.shape[0]
        values = [stride for stride in strides if isinstance(stride, ir.Value)]
        static = [DYNAMIC_STRIDE if isinstance(stride, ir.Value) else stride for stride in strides]
        layout = ir.StridedLayoutAttr.get(DYNAMIC_STRIDE, static)
        kind = ir.MemRefType.get(shape, view.element, layout, view.root.type.memory_space)
        array = ir.DenseI64ArrayAttr.get
        return create(
            "memref.reinterpret_cast",
            [view.root, offset, *values],
            [kind],
            self.ip,
            self.loc,
            operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 1, 0, len(values)]),
            static_offsets=array([DYNAMIC_STRIDE]),
            static_sizes=array(shape),
            static_strides=array(static),
        )


def _contiguous(view: View) -> bool:
    """Whether a window is its elements in order."""
    size = 1
    for extent, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if extent != 1 and stride != size:
            return False
        size *= extent
    return True


def transfer(views: Views, name: str, local: View, remote: View, ip: Any, loc: Any) -> Any:
    """A transfer between a tile and scratch memory, in loops where it has more dimensions than a descriptor."""
    both = _collapsed(local, remote)
    outer = max(0, len(both) - MAX_DMA_RANK)
    _, indices, ip = loop_nest([size for size, _, _ in both[:outer]], ip, loc)
    shape = tuple(size for size, _, _ in both[outer:])
    pair = []
    for number, view in enumerate((local, remote)):
        terms = tuple((index, dim[1 + number]) for index, dim in zip(indices, both, strict=False))
        strides = tuple(dim[1 + number] for dim in both[outer:])
        pair.append(views.memref(view.moved(terms=terms).shaped(shape, strides), ip, loc))
    receives = name == "mtia.dma_in"
    return ir.Operation.create(
        name,
        operands=pair[::-1] if receives else pair,
        attributes={"operandSegmentSizes": ir.DenseI32ArrayAttr.get([1, 1, 0, 0] + ([0] if receives else []))},
        loc=loc,
        ip=ip,
    )


def _collapsed(local: View, remote: View) -> list[tuple[int, int, int]]:
    """Size and both strides of the fewest dimensions that walk two windows of one shape."""
    found: list[tuple[int, int, int]] = []
    for size, near, far in zip(local.shape, local.strides, remote.strides, strict=True):
        if size == 1:
            continue
        if found and found[-1][1] == near * size and found[-1][2] == far * size:
            found[-1] = (found[-1][0] * size, near, far)
        else:
            found.append((size, near, far))
    return found or [(1, 1, 1)]
