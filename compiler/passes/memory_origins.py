"""Which device memory may overlap: where an address comes from, back to arguments and to what was loaded from them.

Different arguments are taken to be apart unless `Options.overlapping` names them together, and so is memory behind
pointers that were loaded from different arguments. What rests on that is noted: attribute `mtia.apart` of the kernel
has pairs of arguments, and a launch whose arguments of such a pair share memory needs a kernel compiled for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mtia.compiler.passes.select_engines_views import Views
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import GLOBAL, memory_space

__all__ = ["APART", "Origins"]

APART = "mtia.apart"

ANYWHERE = "anywhere"
Origin = Any
"""The number of an argument, `("loaded", number)` for what its elements point to, or `ANYWHERE`."""


class Origins:
    """The origins of the device memories of one function."""

    def __init__(self, views: Views, overlapping: Sequence[Sequence[int]] = ()) -> None:
        self.views = views
        self.first = {number: min(group) for group in overlapping for number in group}
        self.known: dict[Any, frozenset[Origin]] = {}
        self.apart: set[tuple[int, int]] = set()

    def of(self, root: Any) -> frozenset[Origin]:
        """What a memory may be part of."""
        found = self.known.get(root)
        if found is None:
            # A constant address names no memory of its own: the addresses are in an index list.
            found = self.known[root] = frozenset(self._memory(root, set()) or (ANYWHERE,))
        return found

    def overlap(self, roots: Iterable[Any], others: Iterable[Any]) -> bool:
        """Whether any of the first memories may share bytes with any of the others."""
        left = {origin for root in roots for origin in self.of(root)}
        right = {origin for root in others for origin in self.of(root)}
        if not left or not right:
            return False
        if ANYWHERE in left | right or left & right:
            return True
        self.apart |= {
            (min(one, other), max(one, other))
            for one in left
            for other in right
            if isinstance(one, int) and isinstance(other, int)
        }
        return False

    def note(self, function: Any) -> None:
        """Add the pairs that were taken to be apart to those the function has."""
        known = ir.StringAttr(function.attributes[APART]).value.split() if APART in function.attributes else []
        pairs = sorted({*known, *(f"{one},{other}" for one, other in self.apart)})
        if pairs:
            function.attributes[APART] = ir.StringAttr.get(" ".join(pairs))

    def _memory(self, root: Any, seen: set[Any]) -> set[Origin]:
        """The origins of a memory: an argument's own, or those of its address."""
        if isinstance(root.owner, ir.Block):
            return {self.first.get(root.arg_number, root.arg_number)} if _is_argument(root) else {ANYWHERE}
        return self._address(root.owner.operands[0], seen) if root.owner.name == "mtia.memory_at" else {ANYWHERE}

    def _address(self, value: Any, seen: set[Any]) -> set[Origin]:
        """The origins of an address, through arithmetic, loops and branches."""
        if value in seen:
            return set()
        seen.add(value)
        if isinstance(value.owner, ir.Block):
            return self._all(_entering(value), seen)
        name = value.owner.name
        if name == "memref.extract_aligned_pointer_as_index":
            return self._memory(self.views.root(value.owner.operands[0]), seen)
        if name == "memref.load":
            root = self.views.root(value.owner.operands[0])
            if memory_space(root.type) != GLOBAL or not isinstance(root.owner, ir.Block):
                return {ANYWHERE}
            return {("loaded", origin) for origin in self._memory(root, seen)}
        if name.startswith("scf."):
            return self._all(_leaving(value), seen)
        if name.startswith(("arith.", "mtia.program_id", "mtia.num_programs")):
            return self._all(list(value.owner.operands), seen)
        return {ANYWHERE}

    def _all(self, values: list[Any] | None, seen: set[Any]) -> set[Origin]:
        if values is None:
            return {ANYWHERE}
        return {origin for value in values for origin in self._address(value, seen)}


def _is_argument(value: Any) -> bool:
    return bool(value.owner.owner.operation.name == "func.func")


def _entering(argument: Any) -> list[Any] | None:
    """The values a block argument may have; none for the counter of a loop, None where that is not known."""
    block = argument.owner
    loop, number = block.owner.operation, argument.arg_number
    if loop.name == "scf.for":
        return [] if number == 0 else [loop.operands[2 + number], _last(block).operands[number - 1]]
    if loop.name == "scf.while":
        before, after = (region.blocks[0] for region in loop.regions)
        if block == before:
            return [loop.operands[number], _last(after).operands[number]]
        return [_last(before).operands[1 + number]]
    return None


def _leaving(result: Any) -> list[Any] | None:
    """The values a result of a loop or branch may have."""
    owner, number = result.owner, result.result_number
    if owner.name == "scf.while":
        return [_last(owner.regions[0].blocks[0]).operands[1 + number]]
    if owner.name not in ("scf.for", "scf.if"):
        return None
    yielded = [_last(region.blocks[0]).operands[number] for region in owner.regions]
    return yielded if owner.name == "scf.if" else [*yielded, owner.operands[3 + number]]


def _last(block: Any) -> Any:
    return list(block.operations)[-1].operation
