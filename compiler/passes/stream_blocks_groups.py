"""Which operations on large blocks share one loop over tiles, and what becomes of a value between two such loops.

Dimensions of a group are those of its first operation; every window of a buffer in it says which of them its axes are.
A value that a later group needs is computed again there when its chain is only loads and elementwise operations whose
sources stay as they are (`Recipe`), else it goes to device memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from mtia.compiler.passes.memory_origins import Origins
from mtia.compiler.passes.plan_local_memory import element_bytes
from mtia.compiler.passes.select_engines_views import DYNAMIC_STRIDE
from mtia.compiler.passes.stream_blocks_nodes import Node, Touch
from mtia.dialects.mlir import ir

__all__ = ["Group", "Member", "Recipe", "source_of", "tile_bytes"]

MOST_BODY_OPERATIONS = 24  # a recipe with more is stored and loaded rather than computed again

Recipe = tuple[Node, ...]  # what computes a buffer from the start, in order


@dataclasses.dataclass
class Member:
    """A node of a group, with the group's dimension of each of its loop dimensions."""

    node: Node
    dims: tuple[int, ...]

    def axes(self, touch: Touch) -> tuple[int | None, ...]:
        """The group's dimension of each axis of an operand."""
        return tuple(None if dim is None else self.dims[dim] for dim in touch.spread())

    def tile(self, touch: Touch) -> Any:
        """What tells the tiles of an operand from others: the window, and how the group walks it."""
        return touch.key, self.axes(touch)


def tile_bytes(touch: Touch, axes: Sequence[int | None], tile: Sequence[int]) -> int:
    """Bytes of one tile of a window; axes without a dimension are of size 1."""
    total = element_bytes(touch.view.element)
    for axis in axes:
        total *= 1 if axis is None else tile[axis]
    return total


class Group:
    """Operations that run tile by tile in one loop nest."""

    def __init__(self, large: dict[Any, Any], budget: int, origins: Origins) -> None:
        self.large = large
        self.budget = budget
        self.origins = origins
        self.sizes: list[int] = []
        self.members: list[Member] = []
        self.axes: dict[Any, tuple[int | None, ...]] = {}  # tiles of a window → dimension of each axis
        self.touch: dict[Any, Touch] = {}
        self.keys: dict[Any, list[Any]] = {}  # buffer → tiles of it
        self.whole: set[int] = set()  # dimensions that must not be divided
        self.partial: dict[Any, set[int]] = {}  # result of a reduction → dimensions it is summed over
        self.reads: set[Any] = set()
        self.writes: set[Any] = set()
        self.captured: set[Any] = set()  # buffers of which any element may be loaded

    # -- building ---------------------------------------------------------------------------------------------------

    def copy(self) -> Group:
        """The same group, to try something with."""
        other = Group(self.large, self.budget, self.origins)
        other.sizes, other.members = list(self.sizes), list(self.members)
        other.axes, other.touch = dict(self.axes), dict(self.touch)
        other.keys = {root: list(keys) for root, keys in self.keys.items()}
        other.whole, other.partial = set(self.whole), {root: set(dims) for root, dims in self.partial.items()}
        other.reads, other.writes, other.captured = set(self.reads), set(self.writes), set(self.captured)
        return other

    def extended(self, node: Node, recipes: Iterable[Recipe]) -> Group | None:
        """This group with a node, and before it what computes its operands; None when they do not go together."""
        made = self.copy()
        again = sorted({item for recipe in recipes for item in recipe}, key=lambda item: item.order)
        present = [member.node for member in made.members]
        fresh = [item for item in again if item not in present]
        if not made._compatible(fresh, again) or not made._add(node, again=False):
            return None
        place = len(made.members) - 1
        for item in reversed(fresh):
            if not made._add(item, again=True):
                return None
            made.members.insert(place, made.members.pop())
        for member in made.members:
            for root in member.node.writes & set(made.partial) if not member.node.reductions else ():
                made.whole |= made.partial[root]  # a sum starts once, and is complete before it is changed
        return made if made.fits() else None

    def _compatible(self, fresh: list[Node], again: list[Node]) -> bool:
        """Whether recipes may run inside the group: neither overwrites what the other reads."""
        if any(item.writes & (self.reads | self.writes) for item in fresh):
            return False
        for member in self.members:
            if member.node not in again and any(member.node.writes & item.writes for item in again):
                return False
        return not any(member.node.writes & item.reads - item.writes for member in self.members for item in fresh)

    def _add(self, node: Node, again: bool) -> bool:
        dims = self._place(node)
        if dims is None or not self._memory_order(node):
            return False
        captured = {view.root for view in node.captured}
        if captured & (self.writes | node.writes) or node.writes & self.captured:
            return False
        self.captured |= captured
        if node.sends and overlaps(node):
            outer = next((dim for dim, size in enumerate(node.sizes) if size > 1), 0)
            self.whole |= {
                axis for dim, axis in enumerate(dims) if dim != outer
            }  # elements in the order of the program
        if not again:
            self.whole |= set(range(len(self.sizes))) - set(dims)
        for touch in node.touches:
            if touch.reads:
                self.whole |= self.partial.get(touch.view.root, set()) if self._finished(node, touch) else set()
        member = Member(node, tuple(dims))
        if not all(self._note(member, touch) for touch in node.touches):
            return False
        if any(len(self.keys[root]) > 1 for root in node.writes):
            return False
        self.members.append(member)
        self.reads |= node.reads
        self.writes |= node.writes
        return True

    def _finished(self, node: Node, touch: Touch) -> bool:
        """Whether an operation needs the end result of a reduction: all do but one that sums further up."""
        return not (touch.writes and node.reductions)

    def _note(self, member: Member, touch: Touch) -> bool:
        """Remember an operand; a buffer that is written has tiles of one kind only."""
        root, tile = touch.view.root, member.tile(touch)
        if tile not in self.axes:
            if root in self.keys and root in self.writes | member.node.writes:
                return False
            self.keys.setdefault(root, []).append(tile)
            self.touch[tile] = touch
            self.axes[tile] = tile[1]
        if touch.writes and member.node.reductions:
            self.partial.setdefault(root, set()).update(member.dims[dim] for dim in member.node.reductions)
        return True

    def _place(self, node: Node) -> list[int] | None:
        """The group's dimension of each loop dimension of a node; None when they contradict each other."""
        if not self.members:
            self.sizes = list(node.sizes)
            return list(range(len(node.sizes)))
        found: dict[int, int] = {}
        for touch in node.touches:
            root = touch.view.root
            same = [tile[1] for tile in self.keys.get(root, ()) if tile[0] == touch.key]
            if not same:
                if root in self.keys and (touch.writes or root in self.writes):
                    return None
                continue
            pairs = {
                dim: axis
                for dim, axis in zip(touch.spread(), same[0], strict=True)
                if dim is not None and axis is not None
            }
            if any(found.get(dim, axis) != axis for dim, axis in pairs.items()):
                if touch.writes or root in self.writes:
                    return None
                continue  # a second kind of tiles
            found |= pairs
        if not found and node.sizes == tuple(self.sizes):
            return list(range(len(node.sizes)))
        if not found and any(size > 1 for size in node.sizes):
            return None
        if len(set(found.values())) != len(found):
            return None
        for dim, size in enumerate(node.sizes):
            if dim not in found:
                found[dim] = len(self.sizes)
                self.whole.add(len(self.sizes))
                self.sizes.append(size)
        return [found[dim] for dim in range(len(node.sizes))]

    def _memory_order(self, node: Node) -> bool:
        """Whether a transfer may run tile by tile beside the others: nothing is loaded where another tile is stored."""
        if node.remote is None:
            return True
        for member in self.members:
            if member.node.remote is None or not (node.sends or member.node.sends):
                continue
            if not apart(node, member.node, self.origins):
                return False
        return True

    def fits(self) -> bool:
        """Whether the smallest tiles that this group allows fit the budget."""
        tile = [size if dim in self.whole else 1 for dim, size in enumerate(self.sizes)]
        return self.bytes_of(tile) <= self.budget

    def bytes_of(self, tile: Sequence[int]) -> int:
        """Bytes of all tiles of large buffers."""
        return sum(
            tile_bytes(self.touch[kind], axes, tile) for kind, axes in self.axes.items() if kind[0][0] in self.large
        )

    # -- after ------------------------------------------------------------------------------------------------------

    def recipe(self, root: Any) -> Recipe | None:
        """What computes a buffer's value at the end of the group, if that can be done again and costs less."""
        wanted = {root}
        chosen: list[Node] = []
        for member in reversed(self.members):
            node = member.node
            if not node.writes & wanted:
                continue
            if node.reductions or node.sends or not node.writes <= set(self.large):
                return None
            chosen.insert(0, node)
            wanted |= node.reads & set(self.large)
        started: set[Any] = set()
        for node in chosen:
            if node.reads & self.writes - started:
                return None  # its source is no longer what it was
            started |= node.writes
        loaded = sum(_bytes(touch) for node in chosen if node.remote is not None for touch in node.touches)
        loaded += sum(_bytes(touch) for node in chosen for touch in node.touches if touch.view.root not in started)
        kept = sum(_bytes(touch) for node in chosen[-1:] for touch in node.touches if touch.writes)
        work = sum(len(block.operations) for node in chosen for region in node.op.regions for block in region.blocks)
        return tuple(chosen) if loaded <= 2 * kept and work <= MOST_BODY_OPERATIONS else None


def _bytes(touch: Touch) -> int:
    total = element_bytes(touch.view.element)
    for size in touch.view.shape:
        total *= size
    return total


def apart(one: Node, other: Node, origins: Origins) -> bool:
    """Whether two transfers touch different memory, or the same elements in the same order."""
    places: list[tuple[Any, Any]] = []
    for node in (one, other):
        if node.op.name.endswith("indexed"):
            places.append((source_of(node.op.operands[node.remote]), None))
            continue
        remote = node.op.operands[node.remote]
        owner = remote.owner
        if isinstance(owner, ir.Block) or owner.name != "memref.reinterpret_cast":
            places.append((source_of(remote), None))
            continue
        attributes = owner.attributes
        shape = tuple(str(attributes[name]) for name in ("static_offsets", "static_sizes", "static_strides"))
        places.append((owner.operands[0], (tuple(list(owner.operands)[1:]), shape)))
    (source, place), (other_source, other_place) = places
    if place is not None and place == other_place:
        return True
    return not origins.overlap([source], [other_source])


def overlaps(node: Node) -> bool:
    """Whether elements of one transfer share memory, as far as its strides are constant."""
    remote = node.op.operands[node.remote].type
    strides = remote.get_strides_and_offset()[0]
    reach = 0
    for stride, size in sorted((abs(s), n) for s, n in zip(strides, remote.shape, strict=True) if n > 1):
        if stride == abs(DYNAMIC_STRIDE):
            return False
        if stride <= reach or not stride:
            return True
        reach += stride * (size - 1)
    return False


def source_of(value: Any) -> Any:
    """The argument, or the operation's result, that a window in device memory is of."""
    while not isinstance(value.owner, ir.Block) and value.owner.name in (
        "memref.reinterpret_cast",
        "memref.subview",
        "memref.cast",
        "memref.collapse_shape",
        "memref.expand_shape",
    ):
        value = value.owner.operands[0]
    return value
