"""What an operation does to buffers in local memory, as far as it can be done tile by tile."""

from __future__ import annotations

import dataclasses
from typing import Any

from mtia.compiler.passes.select_engines_domain import Structure, structure_of
from mtia.compiler.passes.select_engines_views import DYNAMIC_STRIDE, View, Views
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import GLOBAL, memory_space

__all__ = ["Geometry", "Node", "Touch", "describe", "geometry", "squeezed"]

Geometry = tuple[tuple[int, ...], tuple[int, ...], int, tuple[tuple[Any, int], ...]]

DMA = {"mtia.dma_in": 1, "mtia.dma_out": 0, "mtia.dma_in_indexed": 1, "mtia.dma_out_indexed": 0}


def geometry(view: View) -> Geometry:
    """What part of its buffer a window is: two windows of one buffer with the same geometry are the same elements."""
    kept = squeezed(view)
    return kept.shape, kept.strides, view.offset, view.terms


def squeezed(view: View) -> View:
    """A window without its axes of size 1."""
    kept = [axis for axis, size in enumerate(view.shape) if size != 1]
    return view.shaped(tuple(view.shape[axis] for axis in kept), tuple(view.strides[axis] for axis in kept))


@dataclasses.dataclass(frozen=True)
class Touch:
    """A local operand: its window, the loop dimension of each axis, and what is done to it.

    In a group an axis of size 1 does not count: `spread` gives loop dimensions, or what stands for them, of the others.
    """

    position: int
    view: View
    dims: tuple[int | None, ...]
    reads: bool
    writes: bool

    def spread(self) -> list[int | None]:
        """Loop dimensions of the axes that are longer than 1."""
        return [dim for dim, size in zip(self.dims, self.view.shape, strict=True) if size != 1]

    @property
    def key(self) -> tuple[Any, Geometry]:
        """The buffer and which part of it."""
        return self.view.root, geometry(self.view)


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """An operation as loops over tiles see it.

    `remote` is the position of an operand in device memory; `captured` are windows whose elements it loads anywhere.
    """

    op: Any
    sizes: tuple[int, ...]
    reductions: frozenset[int]
    touches: tuple[Touch, ...]
    order: int
    remote: int | None = None
    captured: tuple[View, ...] = ()

    @property
    def sends(self) -> bool:
        """Whether it writes device memory."""
        return self.remote is not None and not self.touches[0].writes

    @property
    def reads(self) -> set[Any]:
        """Buffers whose old content matters: read, or written in part."""
        found = {touch.view.root for touch in self.touches if touch.reads or not _covers(touch)}
        return found | {view.root for view in self.captured}

    @property
    def writes(self) -> set[Any]:
        """Buffers that it writes."""
        return {touch.view.root for touch in self.touches if touch.writes}

    @property
    def roots(self) -> set[Any]:
        """All local buffers that it names."""
        return {touch.view.root for touch in self.touches}


def _covers(touch: Touch) -> bool:
    """Whether a window is the whole of its buffer."""
    count = whole = 1
    for size in touch.view.shape:
        count *= size
    for size in touch.view.root.type.shape:
        whole *= size
    return count == whole


def describe(op: Any, views: Views, order: int) -> Node | None:
    """The node of an operation, `order` its place in the program; None when it cannot be divided into tiles."""
    if op.name in DMA:
        return _transfer(op, DMA[op.name], views, order)
    if op.name == "memref.copy":
        spaces = [memory_space(value.type) == GLOBAL for value in op.operands]
        if any(spaces):
            return None if all(spaces) else _transfer(op, spaces.index(False), views, order)
    if op.name == "memref.copy" or op.name.startswith("linalg."):
        return _structured(op, views, order)
    return None


def _window(value: Any, views: Views) -> View | None:
    view = views.of(value)
    return view if view.static and memory_space(view.root.type) != GLOBAL else None


def _transfer(op: Any, local: int, views: Views, order: int) -> Node | None:
    remote = 1 - local
    view = _window(op.operands[local], views)
    if view is None or not _divisible(op.operands[remote], views):
        return None
    rank = len(view.shape)
    receives = local == 1
    touches = [Touch(local, view, tuple(range(rank)), not receives, receives)]
    if op.name.endswith("indexed"):
        index = _window(op.operands[2], views)
        if index is None:
            return None
        touches.append(Touch(2, index, (0,), True, False))
    return Node(op, view.shape, frozenset(), tuple(touches), order, remote)


def _divisible(remote: Any, views: Views) -> bool:
    """Whether a window in device memory says where each of its parts is."""
    owner = remote.owner
    if not isinstance(owner, ir.Block) and owner.name == "memref.reinterpret_cast":
        return True
    return DYNAMIC_STRIDE not in views.of(remote).strides


def _structured(op: Any, views: Views, order: int) -> Node | None:
    structure = structure_of(op)
    if op.name in ("linalg.fill", "memref.copy"):
        structure = _plain(op)
    captured = _captured(op, views)
    if structure is None or captured is None or len(op.results):
        return None
    sizes: list[int | None] = [None] * len(structure.reductions)
    touches = []
    for position, (value, dims) in enumerate(zip(op.operands, structure.maps, strict=True)):
        if not isinstance(value.type, ir.MemRefType):
            continue
        view = _window(value, views)
        if view is None:
            return None
        for size, dim in zip(view.shape, dims, strict=True):
            if dim is not None:
                sizes[dim] = size
        output = position >= structure.inputs
        touches.append(Touch(position, view, tuple(dims), not output or _accumulates(op, position, structure), output))
    if any(size is None for size in sizes):
        return None
    reductions = frozenset(dim for dim, reduced in enumerate(structure.reductions) if reduced)
    return Node(
        op, tuple(size for size in sizes if size is not None), reductions, tuple(touches), order, None, captured
    )


def _plain(op: Any) -> Structure:
    """A fill or a copy as loops."""
    every = tuple(range(op.operands[1].type.rank))
    return Structure((() if op.name == "linalg.fill" else every, every), (False,) * len(every), 1)


def _captured(op: Any, views: Views) -> tuple[View, ...] | None:
    """Windows of local buffers that a body loads from; None when it does more than that with memory."""
    found = []
    for inner in [inner.operation for region in op.regions for block in region.blocks for inner in block.operations]:
        named = [value for value in inner.operands if isinstance(value.type, ir.MemRefType)]
        if len(inner.regions) or (named and inner.name != "memref.load"):
            return None
        for value in named:
            view = views.of(value)
            if not view.static or view.terms or memory_space(view.root.type) == GLOBAL:
                return None
            found.append(view)
    return tuple(found)


def _accumulates(op: Any, position: int, structure: Any) -> bool:
    """Whether an operation reads the old value of a destination."""
    if any(structure.reductions):
        return True
    if op.name != "linalg.generic":
        return False
    return bool(list(op.regions[0].blocks[0].arguments[position].uses))
