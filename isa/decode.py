"""Decoder: a word to its row and operand values, and a program to the fields of `Insn`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from mtia.isa import table
from mtia.isa.encode import encode
from mtia.isa.operands import Operand
from mtia.isa.state import DUMP

__all__ = ["Decoded", "Fields", "decode", "expand", "fields", "size_at", "walk"]


@dataclass(frozen=True)
class Decoded:
    """A word's row and its operand values by name."""

    word: int
    row: table.Instruction
    values: dict[str, int]


@dataclass(frozen=True)
class Fields:
    """What `Insn` holds of one instruction: the row it expands to, register indices and immediates."""

    row: table.Instruction
    word: int
    size: int
    rd: int = 0
    rs1: int = 0
    rs2: int = 0
    rs3: int = 0
    imm: int = 0
    rm: int = 7
    vm: int = 1


Group = tuple[int, dict[int, list[table.Instruction]]]


@cache
def _groups() -> dict[int, list[Group]]:
    """Rows by major opcode, then by mask (the one with most fixed bits first), then by match."""
    found: dict[int, dict[int, dict[int, list[table.Instruction]]]] = {}
    for row in table.all():
        major = row.match & 0x7F if row.size == 4 else row.match & 3
        found.setdefault(major, {}).setdefault(row.mask, {}).setdefault(row.match, []).append(row)
    return {major: sorted(groups.items(), key=lambda item: -item[0].bit_count()) for major, groups in found.items()}


@cache
def _checked(row: table.Instruction) -> tuple[Operand, ...]:
    """The operands of a row whose field can hold a value that is not defined."""
    checked = []
    for operand in row.operands:
        places = [piece.word + bit for piece in operand.pieces for bit in range(piece.length)]
        if not operand.kind.number or operand.excludes:
            fields = (sum((n >> k & 1) << place for k, place in enumerate(places)) for n in range(1 << len(places)))
            if not all(operand.valid(operand.extract(field)) for field in fields):
                checked.append(operand)
    return tuple(checked)


def size_at(low: int) -> int:
    """Return the bytes of the instruction whose low half-word is given."""
    return 4 if low & 3 == 3 else 2


@cache
def decode(word: int) -> Decoded | None:
    """Return what a word means, or None for an illegal encoding. A word whose low two bits are not 11 has 16 bits."""
    if size_at(word) == 2:
        word &= 0xFFFF
    for mask, rows in _groups().get(word & (0x7F if size_at(word) == 4 else 3), ()):
        for row in rows.get(word & mask, ()):
            if all(operand.valid(operand.extract(word)) for operand in _checked(row)):
                return Decoded(word, row, {operand.name: operand.extract(word) for operand in row.operands})
    return None


@cache
def _plan(row: table.Instruction) -> tuple[table.Instruction, dict[str, str | int]]:
    """Match the text of a compressed row's base instruction with the base's syntax."""
    name, _, rest = row.expands.partition(" ")
    base = table.find(name)
    if base is None:
        raise table.TableError(f"{row.name}: it expands to `{name}`, which is no instruction")
    written = re.findall(r"-?\w+|\S", rest)
    plan: dict[str, str | int] = {}
    for (element, _), text in zip(base.elements, written, strict=False):
        if element not in base.by_name:
            if element != text:
                raise table.TableError(f"{row.name}: `{row.expands}` does not fit `{base.syntax}`")
            continue
        names = base.by_name[element].kind.names
        plan[element] = text if text in row.by_name else names[text] if text in names else int(text, 0)
    return base, plan


def expand(found: Decoded) -> Decoded:
    """Return the base instruction of a compressed one; any other unchanged."""
    if not found.row.expands:
        return found
    base, plan = _plan(found.row)
    values = {name: found.values[source] if isinstance(source, str) else source for name, source in plan.items()}
    word = encode(base, values)
    return Decoded(word, base, {operand.name: operand.extract(word) for operand in base.operands})


@cache
def _slots(row: table.Instruction) -> tuple[tuple[str, str, int, bool], ...]:
    """Name, field of `Insn`, place in it, and whether 0 is x0 and written, of every operand."""
    return tuple(
        (operand.name, operand.slot, operand.kind.shift, operand.writes and operand.kind.name == "x")
        for operand in row.operands
    )


@cache
def fields(word: int) -> Fields | None:
    """Return the pre-decoded fields of a word, or None for an illegal encoding."""
    found = decode(word)
    if found is None:
        return None
    base = expand(found)
    slots: dict[str, int] = {}
    for name, slot, shift, written in _slots(base.row):
        value = base.values[name]
        if written and value == 0:
            value = DUMP
        slots[slot] = slots.get(slot, 0) | value << shift
    return Fields(base.row, found.word, found.row.size, **slots)


def walk(text: bytes, base: int = 0) -> Iterator[tuple[int, int]]:
    """Yield (address, word) of each instruction of a text section; a cut-off last one is padded with zeros."""
    offset = 0
    while offset < len(text):
        size = size_at(text[offset])
        yield base + offset, int.from_bytes(text[offset : offset + size], "little")
        offset += size
