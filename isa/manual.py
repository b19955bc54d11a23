"""The instruction manual, written from the table: `python -m mtia.isa.manual` renews `isa/ISA.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mtia.isa import table
from mtia.isa.xmtia import accuracy, statements

__all__ = ["FILE", "drawing", "manual"]

FILE = Path(__file__).parent / "ISA.md"
_CHAPTERS = Path(__file__).parent / "chapters"
_INTRODUCTION = """<!-- Written by `python -m mtia.isa.manual` from the table in isa/; do not edit. -->

# The PE instruction set

{count} instructions: {hart} of the harts (RISC-V) and {units} of Xmtia, which drives the units of a processing element.

An encoding is drawn from bit 31 (15 for 16-bit forms) down to bit 0; the line above the boxes gives the highest and
lowest bit of each field. `[…]` in an instruction's syntax may be left out. `x[r]`, `f[r]` are registers, `v[e]` is
element e of a vector register group. The timing class names the row of a chip file that says what it costs.
"""


def _fields(row: table.Instruction) -> list[tuple[int, int, str]]:
    """(highest bit, lowest bit, text) of each field, from the top."""
    fields: list[tuple[int, int, str]] = []
    for operand in row.operands:
        for piece in operand.pieces:
            high = piece.value + piece.length - 1
            whole = len(operand.pieces) == 1 and piece.value == 0
            span = "" if whole else f"[{high}:{piece.value}]" if high > piece.value else f"[{high}]"
            fields.append((piece.word + piece.length - 1, piece.word, operand.name + span))
    place = 0
    while place < row.size * 8:
        if row.mask >> place & 1:
            top = place
            while top + 1 < row.size * 8 and row.mask >> top + 1 & 1 and top + 1 not in _CUTS:
                top += 1
            width = top - place + 1
            fields.append((top, place, f"{row.match >> place & (1 << width) - 1:0{width}b}"))
            place = top
        place += 1
    return sorted(fields, reverse=True)


_CUTS = (7, 12, 15, 20, 25)  # where fields of 32-bit formats begin: fixed bits are drawn apart there


def drawing(row: table.Instruction) -> str:
    """Draw an encoding as boxes, bit numbers above."""
    numbers, boxes = "", ""
    for high, low, text in _fields(row):
        ends = f"{high}" if high == low else f"{high} {low}"
        width = max(len(text), len(ends))
        numbers += (
            "  " + (ends if high == low else f"{high}{str(low).rjust(width - len(str(high)))}").ljust(width) + " "
        )
        boxes += f"| {text.center(width)} "
    return f"{numbers.rstrip()}\n{boxes}|"


def _entry(row: table.Instruction) -> str:
    text = " ".join(row.text.split())
    facts = f"Unit {row.unit}, timing class `{row.timing}`" if row.unit != "hart" else f"Timing class `{row.timing}`"
    if row.expands:
        facts = f"Expands to `{row.expands}`"
    since = f", from {row.since} on" if row.since else ""
    return f"#### `{row.syntax}`\n\n{text}\n\n```\n{drawing(row)}\n```\n\n{facts}{since}.\n"


def _groups(rows: Iterable[table.Instruction]) -> dict[str, tuple[str, list[table.Instruction]]]:
    """Rows by the name of their extension, with the extension's first text."""
    found: dict[str, tuple[str, list[table.Instruction]]] = {}
    for row in rows:
        found.setdefault(row.extension.name, (row.extension.text, []))[1].append(row)
    return found


def _section(name: str, text: str, rows: Sequence[table.Instruction]) -> str:
    body = "\n".join(_entry(row) for row in rows)
    return f"### {name}\n\n{' '.join(text.split())}\n\n{body}"


def manual() -> str:
    """Return the manual as Markdown."""
    rows = table.all()
    harts = [row for row in rows if not row.extension.name.startswith("Xmtia")]
    units = [row for row in rows if row.extension.name.startswith("Xmtia")]
    parts = [_INTRODUCTION.format(count=len(rows), hart=len(harts), units=len(units))]
    parts += [chapter.read_text() for chapter in sorted(_CHAPTERS.glob("*.md"))]
    parts += [statements.chapter(), accuracy.chapter()]
    for title, chosen in (("Xmtia", units), ("RISC-V", harts)):
        parts.append(f"## {title}\n")
        parts += [_section(name, text, of) for name, (text, of) in _groups(chosen).items()]
    return "\n".join(parts)


if __name__ == "__main__":
    FILE.write_text(manual())
