"""Constant expressions of the assembler, and how a 64-bit constant is built from instructions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lark import Token, Tree
from mtia.isa.errors import UserError
from mtia.isa.operands import KINDS

__all__ = ["Scope", "constant_instructions", "evaluate", "is_register_like", "text_of"]

Fail = Callable[[str, "Token | Tree[Token] | None"], UserError]


@dataclass
class Scope:
    """What names mean at one place: symbols, the address of the statement (`.`), section addresses, `1f`/`1b`."""

    symbols: Mapping[str, int]
    address: int
    sections: Mapping[str, int] = field(default_factory=dict)
    local: Callable[[str], int | None] = lambda _: None
    used_symbol: bool = False  # set by `evaluate`: the value is an address, not a plain number


def is_register_like(name: str) -> bool:
    """Whether a name is taken by a register."""
    return any(name in kind.names for kind in KINDS.values() if kind.register)


_BINARY: dict[str, tuple[int, Callable[[int, int], int]]] = {  # precedence, function
    "|": (1, lambda a, b: a | b), "^": (2, lambda a, b: a ^ b), "&": (3, lambda a, b: a & b),
    "<<": (4, lambda a, b: a << b), ">>": (4, lambda a, b: a >> b), "+": (5, lambda a, b: a + b),
    "-": (5, lambda a, b: a - b), "*": (6, lambda a, b: a * b), "/": (6, lambda a, b: a // b),
}  # fmt: skip
_MODIFIERS: dict[str, Callable[[int], int]] = {
    "hi": lambda a: a + 0x800 >> 12 & 0xFFFFF,
    "lo": lambda a: (a + 0x800 & 0xFFF) - 0x800,
}


def evaluate(tree: Tree[Token], scope: Scope, fail: Fail) -> int:
    """Return the integer value of an expression."""
    scope.used_symbol = False
    return _value(tree, scope, fail)


def _value(tree: Tree[Token], scope: Scope, fail: Fail) -> int:
    children = tree.children
    kind = str(tree.data)
    if kind == "number":
        return int(str(children[0]), 0) if not str(children[0]).isdigit() else int(str(children[0]))
    if kind == "char":
        return ord(ast.literal_eval(str(children[0])))
    if kind == "name":
        return _name(tree, scope, fail)
    if kind == "chain":
        return _chain(list(children), scope, fail)
    parts = [_value(child, scope, fail) for child in children if isinstance(child, Tree)]
    if kind in ("neg", "inv"):
        return -parts[0] if kind == "neg" else ~parts[0]
    if kind == "paren":
        return parts[0]
    if kind == "modifier":
        name = str(children[0])
        if name not in _MODIFIERS:
            raise fail(f"`%{name}` is not known; %hi and %lo are", tree)
        scope.used_symbol = False
        return _MODIFIERS[name](parts[0])
    raise fail("an integer expression is expected here", tree)


def _chain(parts: list[Token | Tree[Token]], scope: Scope, fail: Fail) -> int:
    """Evaluate `a op b op c …` by precedence, from left to right."""
    values: list[int] = []
    pending: list[Token] = []

    def apply(least: int) -> None:
        while pending and _BINARY[str(pending[-1])][0] >= least:
            operator, right, left = pending.pop(), values.pop(), values.pop()
            if operator in ("<<", ">>") and not 0 <= right < 64:
                raise fail(f"a shift by {right} is not defined", operator)
            if operator == "/" and right == 0:
                raise fail("division by zero", operator)
            values.append(_BINARY[str(operator)][1](left, right))

    for part in parts:
        if isinstance(part, Tree):
            values.append(_value(part, scope, fail))
        else:
            apply(_BINARY[str(part)][0])
            pending.append(part)
    apply(0)
    return values[0]


def _name(tree: Tree[Token], scope: Scope, fail: Fail) -> int:
    name = tree.children[0]
    assert isinstance(name, Token)
    if name == ".":
        scope.used_symbol = True
        return scope.address
    if name.type == "LOCAL":
        found = scope.local(str(name))
        if found is None:
            raise fail(f"there is no label `{name[:-1]}:` {'after' if name[-1] == 'f' else 'before'} this line", tree)
        scope.used_symbol = True
        return found
    if str(name) not in scope.symbols:
        raise fail(f"`{name}` is not defined{'' if scope.sections else ' before this line'}", tree)
    scope.used_symbol = True
    return scope.symbols[str(name)]


def text_of(tree: Tree[Token]) -> bytes | None:
    """Return the bytes of a string literal, or None for anything else."""
    if tree.data != "string":
        return None
    value = ast.literal_eval(str(tree.children[0]))
    assert isinstance(value, str)
    return value.encode()


def constant_instructions(value: int) -> list[str] | None:
    """Return base instructions (first operand `$1`) that build a 64-bit constant, or None when it has more bits."""
    if not -(1 << 63) <= value < 1 << 64:
        return None
    value = (value + (1 << 63)) % (1 << 64) - (1 << 63)
    low = (value + 0x800 & 0xFFF) - 0x800
    if -(1 << 31) <= value < 1 << 31:
        high = (value - low) >> 12 & 0xFFFFF
        if not high:
            return [f"addi $1, x0, {low}"]
        return [f"lui $1, {high}"] + ([f"addiw $1, $1, {low}"] if low else [])
    rest = value - low
    shift = (rest & -rest).bit_length() - 1
    lines = constant_instructions(rest >> shift) or []
    lines.append(f"slli $1, $1, {shift}")
    return lines + ([f"addi $1, $1, {low}"] if low else [])
