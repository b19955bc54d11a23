"""The table: every instruction declared once, its encoding, assembly syntax, meaning, timing class and text together.

A row is a decorated meaning:

    @row("add rd, rs1, rs2", "0000000 rs2 rs1 000 rd 0110011", "x[rd] = x[rs1] + x[rs2].", timing="alu")
    @fn
    def add(h: Ptr[Hart], i: Ptr[Insn]) -> u32: ...

where `row = extension("I", "Base integer instructions.")`. The encoding is read from bit 31 (15 for compressed rows)
down: bits, or operands (`rd`, `imm[12|10:5]`, `acc:td`; names in `operands.CATALOG`, others with their kind). The
syntax names the same operands; a group in brackets, as in `[, rm]`, is left out when the operand has its default value.
`all()` loads every row; `check(rows)` compares rows with each other.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property

from mtia.isa.operands import KINDS, Operand, Piece, fixed_register, parse_token

__all__ = ["Extension", "Flow", "Instruction", "TableError", "all", "check", "extension", "find"]


class TableError(Exception):
    """The table contradicts itself; the message names the row."""


class Flow(Enum):
    """Where execution goes after an instruction, and so what its meaning returns.

    `NEXT`: the following instruction; the meaning returns a status (`state.OK` or a trap).
    `BRANCH`: `pc + imm` when the meaning (returning `boolean`) says so.
    `JUMP`: always `pc + imm`; the meaning returns a status.
    `INDIRECT`: the meaning returns the target as `u64`.
    """

    NEXT = "next"
    BRANCH = "branch"
    JUMP = "jump"
    INDIRECT = "indirect"


@dataclass(frozen=True, eq=False)
class Extension:
    """A named group of rows with one page header in the manual; calling it declares a row."""

    name: str
    text: str
    unit: str = "hart"

    def __call__(
        self,
        syntax: str,
        encoding: str,
        text: str,
        *,
        timing: str,
        flow: Flow = Flow.NEXT,
        reads: Sequence[str] = (),
        expands: str = "",
        excludes: dict[str, Sequence[int]] | None = None,
        since: str = "",
        rest: bool = False,
        meaning: object = None,
    ) -> Callable[[object], object]:
        """Declare a row; as a decorator it takes the meaning, otherwise give `meaning`, `expands` or neither.

        `reads` names destinations that are also sources; `expands` is the base instruction of a compressed row;
        `excludes` lists operand values that do not belong to the row; `since` is the first chip with it ("" = all).
        A `rest` row takes only words that are no row with more fixed bits.
        """
        row = _build(self, syntax, encoding, text, timing, flow, tuple(reads), expands, excludes or {}, since, rest)
        place = len(_rows)
        _homes[row.name] = sys._getframe(1).f_globals["__name__"]
        _rows.append(row if meaning is None else row.with_meaning(meaning))

        def decorate(function: object) -> object:
            _rows[place] = row.with_meaning(function)
            return function

        return decorate


@dataclass(frozen=True, eq=False)
class Instruction:
    """One row: `match`/`mask` are the fixed bits, `size` is in bytes, `meaning` is an `isa.lang` function."""

    name: str
    syntax: str
    encoding: str
    extension: Extension
    operands: tuple[Operand, ...]
    match: int
    mask: int
    size: int
    timing: str
    flow: Flow
    text: str
    expands: str
    since: str
    rest: bool = False
    reads: tuple[str, ...] = ()
    meaning: object = None

    @property
    def unit(self) -> str:
        """The unit that executes it: `hart`, or the Xmtia unit's name."""
        return self.extension.unit

    @cached_property
    def by_name(self) -> dict[str, Operand]:
        """Operands by their names."""
        return {operand.name: operand for operand in self.operands}

    @cached_property
    def elements(self) -> tuple[tuple[str, bool], ...]:
        """The operand part of the syntax: (operand name or punctuation, optional) in order of writing."""
        found: list[tuple[str, bool]] = []
        optional = False
        for piece in re.findall(r"\w+|\S", self.syntax.partition(" ")[2]):
            if piece in "[]":
                optional = piece == "["
            else:
                found.append((piece, optional))
        return tuple(found)

    def matches(self, word: int) -> bool:
        """Whether a word is this instruction, defined operand values included."""
        return word & self.mask == self.match and all_valid(self, word)

    def with_meaning(self, meaning: object) -> Instruction:
        """Return the row with its meaning."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Instruction(**(values | {"meaning": meaning}))

    def __repr__(self) -> str:
        return f"<{self.syntax}>"


def all_valid(row: Instruction, word: int) -> bool:
    """Whether every operand of a matching word has a defined value."""
    return not any(
        (operand.excludes or not operand.kind.number) and not operand.valid(operand.extract(word))
        for operand in row.operands
    )


_rows: list[Instruction] = []
_homes: dict[str, str] = {}  # the module that declared a row


def extension(name: str, text: str, unit: str = "hart") -> Extension:
    """Return an extension, ready to declare rows."""
    return Extension(name, text, unit)


def _build(
    group: Extension,
    syntax: str,
    encoding: str,
    text: str,
    timing: str,
    flow: Flow,
    reads: tuple[str, ...],
    expands: str,
    excludes: dict[str, Sequence[int]],
    since: str,
    rest: bool,
) -> Instruction:
    name = syntax.partition(" ")[0]
    try:
        operands, match, mask, size = _layout(encoding, excludes, reads)
    except ValueError as error:
        raise TableError(f"{name}: {error}") from None
    row = Instruction(
        name, syntax, encoding, group, operands, match, mask, size, timing, flow, text, expands, since, rest, reads
    )
    _check_row(row, set(excludes) | set(reads))
    return row


def _layout(
    encoding: str, excludes: dict[str, Sequence[int]], reads: Sequence[str]
) -> tuple[tuple[Operand, ...], int, int, int]:
    """Read an encoding string: operands, match, mask, bytes."""
    tokens = encoding.split()
    parsed = [(t, None) if set(t) <= {"0", "1"} else (t, parse_token(t)) for t in tokens]
    total = sum(len(t) if p is None else sum(high - low + 1 for high, low in p[2]) for t, p in parsed)
    if total not in (16, 32):
        raise ValueError(f"the encoding `{encoding}` has {total} bits, not 16 or 32")
    place, match, mask = total, 0, 0
    found: dict[str, Operand] = {}
    for token, parts in parsed:
        if parts is None:
            place -= len(token)
            match |= int(token, 2) << place
            mask |= (1 << len(token)) - 1 << place
            continue
        name, kind, spans, writes, is_read = parts
        pieces = list(found[name].pieces) if name in found else []
        for high, low in spans:
            place -= high - low + 1
            pieces.append(Piece(place, low, high - low + 1))
        bad = frozenset(excludes.get(name, ()))
        found[name] = Operand(name, KINDS[kind], tuple(pieces), writes, is_read or name in reads, bad)
    return tuple(found.values()), match, mask, total // 8


def _check_row(row: Instruction, mentioned: set[str]) -> None:
    known = set(row.by_name)
    words = {element for element, _ in row.elements if re.match(r"[a-z]", element)}
    written = [word for word in words if word in known or not fixed_register(word)]
    for what, names in (("syntax", set(written)), ("`reads` or `excludes`", mentioned)):
        if names - known:
            raise TableError(f"{row.name}: the {what} names {sorted(names - known)}, the encoding does not")
    if known - set(written):
        raise TableError(f"{row.name}: the syntax leaves out {sorted(known - set(written))}")
    for operand in row.operands:
        covered = 0
        for piece in operand.pieces:
            bits = (1 << piece.length) - 1 << piece.value
            if covered & bits:
                raise TableError(f"{row.name}: `{operand.name}` has a bit twice")
            covered |= bits
        if covered != (1 << operand.width) - (1 << operand.low):
            raise TableError(f"{row.name}: `{operand.name}` misses bits")
    if not row.text.strip().endswith("."):
        raise TableError(f"{row.name}: the manual text is missing or is no sentence")
    for element, optional in row.elements:
        if optional and element in known and row.by_name[element].kind.default is None:
            raise TableError(f"{row.name}: `{element}` is optional but has no default")


def _disjoint(a: Instruction, b: Instruction) -> bool:
    if a.size != b.size or (a.match ^ b.match) & a.mask & b.mask:
        return True
    if any(one.rest and one.mask.bit_count() < other.mask.bit_count() for one, other in ((a, b), (b, a))):
        return True
    for one, other in ((a, b), (b, a)):
        for operand in one.operands:
            if operand.bits & ~other.mask == 0 and not operand.valid(operand.extract(other.match)):
                return True
    return False


def check(rows: Sequence[Instruction]) -> None:
    """Raise `TableError` for rows of one name, rows that share encodings and instructions without a meaning."""
    buckets: dict[int, list[Instruction]] = {}
    names: dict[str, Instruction] = {}
    for row in rows:
        if row.name in names:
            raise TableError(f"{row.name} is declared twice: {names[row.name]} and {row}")
        names[row.name] = row
        if row.extension.unit == "hart" and row.meaning is None and not row.expands:
            raise TableError(f"{row.name}: an instruction of the hart needs a meaning")
        if (row.size == 4) != (row.match & row.mask & 3 == 3):
            raise TableError(f"{row.name}: the two low bits contradict its size")
        bucket = buckets.setdefault(row.match & 0x7F if row.size == 4 else row.match & 3, [])
        for other in bucket:
            if not _disjoint(row, other):
                raise TableError(f"{row} and {other} share encodings")
        bucket.append(row)


@cache
def all() -> tuple[Instruction, ...]:
    """Return every row, after importing the packages that declare them.

    Rows come by package and module, whichever module was imported first. What only the whole table can get wrong is
    for the tests to ask: see `check`.
    """
    modules: list[str] = []
    for package in ("mtia.isa.riscv", "mtia.isa.xmtia"):
        found = importlib.import_module(package)
        modules += [f"{package}.{module.name}" for module in pkgutil.iter_modules(found.__path__)]
    for module in modules:
        importlib.import_module(module)
    order = {module: place for place, module in enumerate(modules)}
    return tuple(sorted(_rows, key=lambda row: order.get(_homes[row.name], len(order))))


@cache
def _index() -> dict[str, Instruction]:
    return {row.name: row for row in all()}


def find(name: str) -> Instruction | None:
    """Return the row with this mnemonic."""
    return _index().get(name)
