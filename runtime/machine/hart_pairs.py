"""Pairs: one handler for two instructions that often follow each other, which saves the jump between their handlers.

The first goes straight on with the second, whose own record stays: it is where a branch to it, or the rest of the pair
after a stop, begins. No cycle, count or value changes.
"""

from __future__ import annotations

from functools import cache

from mtia.isa import table
from mtia.isa.lang import Fn

from .hart_handlers import handler_of

__all__ = ["NAMES", "first_of", "pair_handlers", "pair_name"]

# The most frequent ones of the scalar programs of `mtiac bench simulate`, by gcc and LLVM at -O2.
_FOLLOWERS = {
    "add": ("add", "addi", "bne", "jal", "jalr", "lbu"),
    "addi": ("add", "addi", "bne", "jal", "jalr", "ld", "sd", "xor"),
    "auipc": ("addi", "fld", "flw"),
    "fadd.d": ("auipc",),
    "fld": ("fld", "fmul.d"),
    "flw": ("flw", "fmul.s"),
    "fmadd.s": ("fmadd.s",),
    "fmul.d": ("fadd.d", "fsub.d"),
    "fmul.s": ("fmadd.s", "fmul.s"),
    "fsd": ("fsd",),
    "fsub.d": ("auipc",),
    "fsub.s": ("fsub.s",),
    "lbu": ("addi", "lbu"),
    "ld": ("add", "addi", "jal", "ld"),
    "lw": ("lw",),
    "mul": ("bne",),
    "sb": ("addi",),
    "sd": ("add", "sd"),
    "slli": ("add", "or", "slli", "xor"),
    "srli": ("xor",),
    "xor": ("mul", "slli", "srli"),
}


def pair_name(first: str, second: str) -> str:
    """The name of a pair's handler."""
    return f"{first} + {second}"


def first_of(name: str) -> str:
    """The handler of a pair's first instruction alone."""
    return name.partition(" + ")[0]


NAMES = frozenset(pair_name(first, second) for first, followers in _FOLLOWERS.items() for second in followers)
"""The pairs there are."""


@cache
def pair_handlers() -> dict[str, Fn]:
    """The handlers of all pairs, by name."""
    found = {}
    for name in sorted(NAMES):
        first, second = (table.find(part) for part in name.split(" + "))
        assert first is not None and second is not None
        found[name] = handler_of(first, handler_of(second))
    return found
