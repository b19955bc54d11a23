"""Rows of the instruction table by what a random program does with them."""

from __future__ import annotations

from functools import cache

from mtia.isa import table
from mtia.isa.table import Flow, Instruction

from . import shapes
from .quirks import FLOATS, UNKNOWN, quirk_of

__all__ = ["base_row", "category", "left_out", "rows_of", "vector_rows"]


@cache
def base_row(row: Instruction) -> Instruction:
    """What a compressed row expands to; any other row itself."""
    found = table.find(row.expands.split()[0]) if row.expands else row
    assert found is not None
    return found


@cache
def category(row: Instruction) -> str:
    """The kind of a row, by what the table says of it; "" when it cannot be in a program."""
    base = base_row(row)
    if base.flow is not Flow.NEXT:
        return "jump"
    if row.unit != "hart" or row.extension.name.startswith("X") or base.timing == "system":
        return ""
    if row.extension.name in UNKNOWN or quirk_of(row) or not (row.operands or row.size == 4):
        return ""
    if base.timing in ("csr", "vset"):
        return base.timing
    if shapes.is_vector(row):
        return "vmemory" if shapes.memory(row) else "vector"
    if row.extension.name == "A":
        return "atomic"
    if base.timing in ("load", "store"):
        return "memory"
    return "float" if base.timing.startswith("f") and base.timing != "fence" else "integer"


@cache
def rows_of(kind: str) -> tuple[Instruction, ...]:
    """Every row of a kind."""
    return tuple(row for row in table.all() if category(row) == kind)


@cache
def left_out() -> dict[str, str]:
    """Rows of the harts that no program has, with the reason."""
    found = {}
    for row in table.all():
        if row.unit == "hart" and not row.extension.name.startswith("X") and not category(row):
            quirk = quirk_of(row)
            trap = "it traps: see --traps" if row.name != "ecall" else "it ends every program"
            found[row.name] = UNKNOWN.get(row.extension.name) or (f"qemu {quirk.text}" if quirk else trap)
    return found


@cache
def vector_rows(kind: str, width: int, eighths: int) -> tuple[tuple[Instruction, tuple[shapes.Group, ...]], ...]:
    """Vector rows of a kind that a setting allows, with their register groups."""
    found = []
    for row in rows_of(kind):
        made = shapes.groups(row, width, eighths, FLOATS)
        if made is not None:
            found.append((row, made))
    return tuple(found)
