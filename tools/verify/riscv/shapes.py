"""Which registers a vector instruction touches, and when the specification calls the combination reserved.

Written from the vector specification (1.0, sections 3.4, 5.2, 5.3, 7, 14 to 16), not from the meanings of the table:
the campaign must not take over their mistakes. A row's shape follows from its name, as in `vwadd.wv`: a wide operation
with a wide and a single source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from mtia.isa.table import Instruction

__all__ = [
    "Group", "Memory", "floats", "groups", "is_vector", "memory", "needs_start", "registers", "reserved", "whole",
]  # fmt: skip

_MEMORY = re.compile(r"v([ls])(s|ux|ox)?(?:seg(\d))?e(i?)(\d+)(ff)?\.v")
_WHOLE = re.compile(r"v(?:l|s|mv)(\d)r(?:e(\d+))?\.v")
_COMPARISON = re.compile(r"vm(s(eq|ne|lt|le|gt|ge|bc|bf|if|of)|f(eq|ne|lt|le|gt|ge)|adc)")
_CONVERSION = re.compile(r"vf[wn]?cvt\.(?:rtz\.|rod\.)?(f|xu?)\.(f|xu?)\.")
# A destination of these may not overlap a source, whatever the widths.
_DISJOINT = re.compile(r"v(f?slide1up|slideup|rgather|compress|iota|ms[bio]f\.m)")
# These trap when vstart is not zero.
_FROM_ZERO = re.compile(r"v(cpop|first|ms[bio]f\.m|iota|compress)|.*\.vs$")


@dataclass(frozen=True)
class Group:
    """The registers of one operand: element width in bits (1 = mask) and size in eighths of a register."""

    operand: str
    width: int
    eighths: int
    written: bool
    read: bool

    @property
    def count(self) -> int:
        """Registers."""
        return max(self.eighths >> 3, 1)


@dataclass(frozen=True)
class Memory:
    """How a vector row reaches memory; `width` is the element's, or the index's, in bits; 0 for whole registers."""

    store: bool
    way: str  # "" unit-stride, s strided, ux/ox indexed, m mask, r whole registers
    fields: int
    width: int
    first_fault: bool = False


def is_vector(row: Instruction) -> bool:
    """Whether a row has vector registers."""
    return any(operand.kind.name == "v" for operand in row.operands)


@cache
def memory(row: Instruction) -> Memory | None:
    """How a vector row reaches memory; None when it does not."""
    if row.timing not in ("vload", "vstore"):
        return None
    store = row.timing == "vstore"
    if found := _MEMORY.fullmatch(row.name):
        return Memory(store, found[2] or "", int(found[3] or 1), int(found[5]), bool(found[6]))
    if found := _WHOLE.fullmatch(row.name):
        return Memory(store, "r", int(found[1]), 0)
    return Memory(store, "m", 1, 1)


@cache
def needs_start(row: Instruction) -> bool:
    """Whether the row traps unless vstart is zero."""
    return _FROM_ZERO.match(row.name) is not None


@cache
def whole(row: Instruction, width: int) -> int:
    """Elements that a row moves whatever vl is, with elements of `width` for a copy; 0 for other rows."""
    found = _WHOLE.fullmatch(row.name)
    if found is None:
        return 0
    if row.name.startswith("vl"):
        width = int(found[2])
    return int(found[1]) * 512 // (8 if row.name.startswith("vs") else width)


def _memory_groups(row: Instruction, found: Memory, width: int, eighths: int) -> dict[str, tuple[int, int]]:
    data = "vs3" if found.store else "vd"
    if found.way == "r":
        return {data: (8, found.fields * 8)}
    if found.way == "m":
        return {data: (1, 8)}
    other = found.width * eighths // width if found.width * eighths % width == 0 else 0
    if found.way in ("ux", "ox"):
        return {data: (width, eighths), "vs2": (found.width, other)}
    return {data: (found.width, other)}


def _widths(row: Instruction, width: int, eighths: int) -> dict[str, tuple[int, int]]:
    """(element width, eighths) of every vector operand of an arithmetic row."""
    name = row.name
    form = name.split(".")[-1]
    one, two, mask, single = (width, eighths), (2 * width, 2 * eighths), (1, 8), (width, 8)
    if found := _WHOLE.fullmatch(name):
        return {"vd": (8, int(found[1]) * 8), "vs2": (8, int(found[1]) * 8)}
    if re.search(r"\.[xsf]\.[xsf]$", name) and ".s" in name:
        return {"vd": single, "vs2": single}
    if form == "vs":
        wide = (2 * width, 8) if name.startswith(("vw", "vfw")) else single
        return {"vd": wide, "vs1": wide, "vs2": one}
    if form == "mm":
        return {"vd": mask, "vs1": mask, "vs2": mask}
    to = two if name.startswith(("vw", "vfw")) else one
    second, first = two if form.startswith("w") else one, one
    if _COMPARISON.match(name):
        to = mask
    if form == "m":
        second = mask
    if name.startswith("vcompress"):
        first = mask
    if "ei16" in name:
        first = (16, 16 * eighths // width)
    if found := re.fullmatch(r"vf(\d)", form):
        second = (width // int(found[1]), eighths // int(found[1]))
    return {"vd": to, "vs1": first, "vs2": second}


@cache
def floats(row: Instruction, width: int) -> frozenset[int]:
    """The widths of floating-point elements that a row works on."""
    if not row.name.startswith(("vf", "vmf")) or row.name.startswith("vfirst"):
        return frozenset()
    form = row.name.split(".")[-1]
    wide = row.name.startswith("vfw")
    to, source = 2 * width if wide else width, 2 * width if form.startswith("w") else width
    if found := _CONVERSION.match(row.name):
        return frozenset(w for kind, w in ((found[1], to), (found[2], source)) if kind == "f")
    return frozenset((width, to, source))


@cache
def groups(row: Instruction, width: int, eighths: int, exist: tuple[int, ...]) -> tuple[Group, ...] | None:
    """The operands of a row at an element width and group size; None when the row is reserved there.

    `exist` are the floating-point element widths that do.
    """
    found = memory(row)
    sizes = _memory_groups(row, found, width, eighths) if found else _widths(row, width, eighths)
    made = []
    for operand in row.operands:
        if operand.kind.name == "v":
            element, size = sizes[operand.name]
            if (
                not (1 <= size <= 64 and element in (1, 8, 16, 32, 64))
                or element == 1
                and ".vf" in row.name
                and row.name[-1].isdigit()
            ):
                return None
            made.append(Group(operand.name, element, size, operand.writes, operand.reads))
    if found and found.way != "r" and any(g.count * found.fields > 8 for g in made if g.operand != "vs2"):
        return None
    if not floats(row, width) <= set(exist):
        return None
    return tuple(made)


def registers(row: Instruction, group: Group, number: int) -> range:
    """The register numbers of an operand that starts at `number`; every field of a segment counts."""
    found = memory(row)
    fields = found.fields if found and found.way != "r" and group.operand in ("vd", "vs3") else 1
    return range(number, number + group.count * fields)


def reserved(row: Instruction, made: tuple[Group, ...], values: Mapping[str, int]) -> str:
    """Why register numbers and mask of a legal shape are reserved together; "" when they are not."""
    masked = values.get("vm", 1) == 0 or "v0" in {element for element, _ in row.elements}
    places = [(group, registers(row, group, values[group.operand])) for group in made]
    for group, place in places:
        if place.start % group.count:
            return "alignment"
        if place.stop > 32:
            return "past v31"
    kept = "vd" if row.name.endswith(".vs") else ""  # what a reduction leaves of it is no source
    sources = [(group, place) for group, place in places if group.read and group.operand != kept]
    if masked:
        sources.append((Group("v0", 1, 8, False, True), range(1)))
    for number, (group, place) in enumerate(sources):
        for other, at in sources[number + 1 :]:
            if group.width != other.width and _overlap(place, at):
                return "one register read at two widths"
    for group, place in places:
        for other, at in sources:
            if group.written and other.operand != group.operand and _overlap(place, at):
                if problem := _overlap_problem(row, group, place, other, at):
                    return problem
    return ""


def _overlap(a: range, b: range) -> bool:
    return a.start < b.stop and b.start < a.stop


def _overlap_problem(row: Instruction, to: Group, place: range, source: Group, at: range) -> str:
    """Why a written group may not overlap a source; "" when it may."""
    if row.name.endswith(".vs"):  # the scalar result of a reduction may be anywhere (14.)
        return ""
    if source.operand == "v0":
        return "" if to.width == 1 and not _DISJOINT.match(row.name) else "mask overwritten"
    found = memory(row)
    if _DISJOINT.match(row.name) or (found and found.way in ("ux", "ox") and found.fields > 1):
        return "destination overlaps a source"
    if to.width == source.width:
        return ""
    if to.width < source.width:
        return "" if place.start == at.start else "overlap above the lowest part"
    return "" if source.eighths >= 8 and place.stop == at.stop else "overlap below the highest part"
