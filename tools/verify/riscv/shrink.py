"""Make a program that differs short: leave out what does not matter, and write down what is left."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

from mtia.isa.asm import disassemble
from mtia.isa.decode import walk
from mtia.isa.state import VLENB

from .program import Jump, Loop, Node, Program, Straight, lower

__all__ = ["listing", "shrink"]

_LIMIT = 600  # runs


class _Search:
    def __init__(self, program: Program, differs: Callable[[Program], bool]) -> None:
        self.program, self._differs, self._left = program, differs, _LIMIT

    def still(self) -> bool:
        """Whether the program as it is now still differs."""
        if self._left <= 0:
            return False
        self._left -= 1
        return self._differs(self.program)

    def reduce(self, parts: list[Any]) -> bool:
        """Remove runs of elements, long ones first, in place; whether anything went."""
        before = len(parts)
        size = len(parts)
        while size:
            at = len(parts) - size
            while at >= 0:
                removed = parts[at : at + size]
                del parts[at : at + size]
                if not self.still():
                    parts[at:at] = removed
                at -= size
            size //= 2
        return len(parts) < before

    def unwrap(self, nodes: list[Node]) -> bool:
        """Replace loops and jumps by their bodies, or at least make loops run once."""
        changed = False
        for at in reversed(range(len(nodes))):
            node = nodes[at]
            if isinstance(node, Straight):
                if node.checkpoint:
                    node.checkpoint = False
                    if not self.still():
                        node.checkpoint = True
                continue
            nodes[at : at + 1] = node.body
            if self.still():
                changed = True
                continue
            nodes[at : at + len(node.body)] = [node]
            if isinstance(node, Loop):
                changed |= self.fewer(node)
        return changed

    def modes(self, node: Straight) -> None:
        """Remove what sets rounding modes from a head; vtype and vl stay, or the code after it would be reserved."""
        for item in list(node.head):
            if item.rows[0].timing != "vset":
                place = node.head.index(item)
                node.head.remove(item)
                if not self.still():
                    node.head.insert(place, item)

    def fewer(self, node: Loop) -> bool:
        """Fewer turns of a loop."""
        before = node.count
        for count in (1, 2, 4):
            if count < before:
                node.count = count
                if self.still():
                    return True
        node.count = before
        return False


def _lists(nodes: list[Node]) -> Iterator[list[Any]]:
    yield nodes
    for node in nodes:
        if isinstance(node, Straight):
            yield node.items
        else:
            yield from _lists(node.body)


def _heads(nodes: list[Node]) -> Iterator[Straight]:
    for node in nodes:
        if isinstance(node, Straight):
            yield node
        else:
            yield from _heads(node.body)


def _nodes(nodes: list[Node]) -> Iterator[list[Node]]:
    yield nodes
    for node in nodes:
        if isinstance(node, Loop | Jump):
            yield from _nodes(node.body)


def shrink(program: Program, differs: Callable[[Program], bool]) -> Program:
    """A shorter program that still differs; `program` is left as it is."""
    search = _Search(copy.deepcopy(program), differs)
    changed = True
    while changed:
        changed = False
        for nodes in list(_nodes(search.program.nodes)):
            changed |= search.reduce(nodes) if len(nodes) > 1 else False
            changed |= search.unwrap(nodes)
        for parts in list(_lists(search.program.nodes)):
            changed |= search.reduce(parts)
    for node in _heads(search.program.nodes):
        search.modes(node)
    return search.program


def listing(program: Program) -> str:
    """The program as assembly, with the initial values of the registers that it names."""
    code = lower(program.nodes, program.roles, 0, 0)
    lines = [f"  {disassemble(word)}" for _, word in walk(code)]
    named = set(re.findall(r"\b(?:[xfv]\d+|[astf][apst]?\d+|ra|sp|gp|tp)\b", "\n".join(lines)))
    start = []
    from mtia.isa.operands import KINDS

    for kind, values in (("x", program.integers), ("f", program.floats)):
        for name, number in KINDS[kind].names.items():
            if name in named:
                task = " (its task in the frame)" if kind == "x" and number in program.roles.taken() else ""
                start.append(f"  # {name} = {values[number]:#x}{task}")
    for number in range(32):
        if any(f"v{k}" in named for k in range(number & ~7, number + 1)):
            part = program.vectors[VLENB * number : VLENB * (number + 1)]
            start.append(f"  # v{number} = {part[::-1].hex()}")
    return "\n".join(start + lines)
