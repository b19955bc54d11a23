"""Operand kinds: how an operand is written, which values it may have, and into which field of `Insn` it decodes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import combinations

__all__ = ["CATALOG", "KINDS", "Kind", "Operand", "Piece", "fixed_register", "parse_token"]

_INTEGER = "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split()
_FLOAT = (
    "ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 "
    "ft8 ft9 ft10 ft11"
).split()
_CSRS = {
    "fflags": 0x001, "frm": 0x002, "fcsr": 0x003, "vstart": 0x008, "vxsat": 0x009, "vxrm": 0x00A, "vcsr": 0x00F,
    "cycle": 0xC00, "time": 0xC01, "instret": 0xC02, "vl": 0xC20, "vtype": 0xC21, "vlenb": 0xC22, "mhartid": 0xF14,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of operand: the word for it in messages, the names it accepts, and whether plain integers are written."""

    name: str
    what: str
    names: dict[str, int]
    shown: dict[int, str]
    number: bool = False
    signed: bool = False
    register: bool = False
    slot: str = ""  # field of Insn; "" = by place in the word
    shift: int = 0  # place inside that field, for operands that share `imm`
    default: int | None = None  # the value an optional operand has when it is not written
    scale: int = 0  # the text shows value >> scale

    def show(self, value: int) -> str:
        """Return the text of a value."""
        if value in self.shown:
            return self.shown[value]
        return str(value >> self.scale & 0xFFFFF if self.scale else value)

    def value(self, number: int) -> int:
        """Return the value that a written number stands for: upper immediates are written without their zeros."""
        if not self.scale:
            return number
        return (number - (1 << 20) if 1 << 19 <= number < 1 << 20 else number) << self.scale


def _named(name: str, what: str, table: dict[str, int], **rest: object) -> Kind:
    shown: dict[int, str] = {}
    for text, value in table.items():
        shown.setdefault(value, text)
    return replace(Kind(name, what, dict(table), shown), **rest)  # type: ignore[arg-type]


def _registers(name: str, what: str, prefix: str, count: int, first: int = 0, abi: list[str] | None = None) -> Kind:
    table = {abi[n]: n for n in range(first, first + count)} if abi else {}
    table |= {f"{prefix}{n}": n for n in range(first, first + count)}
    if abi is _INTEGER and first <= 8 < first + count:
        table["fp"] = 8
    return _named(name, what, table, register=True)


def _number(name: str, what: str, signed: bool, slot: str = "imm", scale: int = 0) -> Kind:
    return Kind(name, what, {}, {}, number=True, signed=signed, slot=slot, scale=scale)


_FENCE = {
    "".join(part): sum({"i": 8, "o": 4, "r": 2, "w": 1}[c] for c in part)
    for size in range(1, 5)
    for part in combinations("iorw", size)
} | {"0": 0}

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _registers("x", "integer register", "x", 32, abi=_INTEGER),
        _registers("f", "floating-point register", "f", 32, abi=_FLOAT),
        _registers("v", "vector register", "v", 32),
        _registers("xc", "integer register x8-x15", "x", 8, 8, _INTEGER),
        _registers("fc", "floating-point register f8-f15", "f", 8, 8, _FLOAT),
        _registers("td", "tile register", "td", 32),
        _registers("cb", "circular buffer", "cb", 32),
        _number("imm", "integer", signed=True),
        _number("uimm", "unsigned integer", signed=False),
        replace(_number("hint", "integer", signed=True, slot="a"), default=0),
        _number("zimm", "unsigned integer", signed=False, slot=""),
        _number("target", "label or offset", signed=True),
        _number("upper", "20-bit integer", signed=True, scale=12),
        _named(
            "rm", "rounding mode", {"rne": 0, "rtz": 1, "rdn": 2, "rup": 3, "rmm": 4, "dyn": 7}, slot="rm", default=7
        ),
        _named(
            "rm0", "rounding mode", {"rne": 0, "rtz": 1, "rdn": 2, "rup": 3, "rmm": 4, "dyn": 7}, slot="rm", default=0
        ),
        _named("vm", "mask v0.t", {"v0.t": 0}, slot="vm", default=1),
        _named("csr", "control and status register", _CSRS, number=True, slot="imm"),
        _named("pred", "fence set", _FENCE, slot="imm", shift=4),
        _named("succ", "fence set", _FENCE, slot="imm"),
        _named(
            "vlmul", "register group size", {f"m{1 << n}": n for n in range(4)} | {"mf8": 5, "mf4": 6, "mf2": 7},
            slot="imm",
        ),
        _named("vsew", "element width", {f"e{8 << n}": n for n in range(4)}, slot="imm", shift=3),
        _named("vta", "tail policy", {"tu": 0, "ta": 1}, slot="imm", shift=6),
        _named("vma", "mask policy", {"mu": 0, "ma": 1}, slot="imm", shift=7),
    )
}  # fmt: skip


def fixed_register(name: str) -> tuple[str, int] | None:
    """Return kind and number of a register that a syntax names outright, as `sp` or `v0`."""
    for kind in (KINDS["x"], KINDS["v"]):
        if name in kind.names:
            return kind.name, kind.names[name]
    return None


# operand name -> (kind, width in bits when the encoding gives no [bits], written, read)
CATALOG: dict[str, tuple[str, int, bool, bool]] = {
    "rd": ("x", 5, True, False), "rs1": ("x", 5, False, True), "rs2": ("x", 5, False, True),
    "rs3": ("x", 5, False, True),
    "fd": ("f", 5, True, False), "fs1": ("f", 5, False, True), "fs2": ("f", 5, False, True),
    "fs3": ("f", 5, False, True),
    "vd": ("v", 5, True, False), "vs1": ("v", 5, False, True), "vs2": ("v", 5, False, True),
    "vs3": ("v", 5, False, True),
    "rdc": ("xc", 3, True, False), "rs1c": ("xc", 3, False, True), "rs2c": ("xc", 3, False, True),
    "fdc": ("fc", 3, True, False), "fs2c": ("fc", 3, False, True),
    "imm": ("imm", 12, False, False), "uimm": ("uimm", 5, False, False), "zimm": ("zimm", 5, False, False),
    "k": ("uimm", 5, False, False), "hint": ("hint", 6, False, False),
    "shamt": ("uimm", 6, False, False), "target": ("target", 12, False, False), "upper": ("upper", 20, False, False),
    "rm": ("rm", 3, False, False), "vm": ("vm", 1, False, False), "csr": ("csr", 12, False, False),
    "pred": ("pred", 4, False, False), "succ": ("succ", 4, False, False), "vlmul": ("vlmul", 3, False, False),
    "vsew": ("vsew", 3, False, False), "vta": ("vta", 1, False, False), "vma": ("vma", 1, False, False),
    "td": ("td", 5, False, False), "ts1": ("td", 5, False, True), "ts2": ("td", 5, False, True),
    "ts3": ("td", 5, False, True), "gd": ("td", 5, False, False), "cb": ("cb", 5, False, False),
}  # fmt: skip

_SLOTS = {7: "rd", 15: "rs1", 20: "rs2", 27: "rs3"}


@dataclass(frozen=True)
class Piece:
    """`length` bits of an operand: at `word` in the instruction, at `value` in the operand."""

    word: int
    value: int
    length: int


@dataclass(frozen=True, eq=False)
class Operand:
    """One operand of an instruction: where its bits are, what it may be, and which `Insn` field receives it."""

    name: str
    kind: Kind
    pieces: tuple[Piece, ...]
    writes: bool = False
    reads: bool = False
    excludes: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Bits of the value, implied low zeros included."""
        return max(p.value + p.length for p in self.pieces)

    @property
    def low(self) -> int:
        """Number of low bits that are always zero."""
        return min(p.value for p in self.pieces)

    @property
    def slot(self) -> str:
        """The field of `Insn` that holds the decoded value."""
        return self.kind.slot or _SLOTS.get(min(p.word for p in self.pieces), "imm")

    @property
    def bits(self) -> int:
        """Mask of the instruction bits the operand takes."""
        return sum(((1 << p.length) - 1) << p.word for p in self.pieces)

    def extract(self, word: int) -> int:
        """Return the operand's value in an instruction word."""
        value = 0
        for p in self.pieces:
            value |= (word >> p.word & (1 << p.length) - 1) << p.value
        if self.kind.signed and value >> (self.width - 1) & 1:
            value -= 1 << self.width
        return value + self._first

    def insert(self, value: int) -> int:
        """Return the instruction bits of a value; `problem(value)` must be None."""
        value -= self._first
        return sum((value >> p.value & (1 << p.length) - 1) << p.word for p in self.pieces)

    def problem(self, value: int) -> str | None:
        """Say why a value cannot be encoded, or None."""
        kind = self.kind
        if kind.register or not kind.number:
            return None if self.valid(value) else self._expected()
        if kind.signed:
            least, most = -(1 << self.width - 1), (1 << self.width - 1) - (1 << self.low)
        else:
            least, most = 0, (1 << self.width) - (1 << self.low)
        if not least <= value <= most:
            return f"`{self.name}` is {value >> kind.scale}, must be {least >> kind.scale} to {most >> kind.scale}"
        if value & (1 << self.low) - 1:
            return f"`{self.name}` is {value}, must be a multiple of {1 << self.low}"
        return f"`{self.name}` must not be {value}" if value in self.excludes else None

    def valid(self, value: int) -> bool:
        """Whether a decoded value is a defined one."""
        kind = self.kind
        return value not in self.excludes and (kind.number or value in kind.shown or value == kind.default)

    def accepted(self) -> str:
        """Return a phrase for messages: what may be written here."""
        names = list(self.kind.names)
        what = ("an " if self.kind.what[0] in "aeio" else "a ") + self.kind.what
        if not names:
            return what
        return what + (f" ({names[0]} … {names[-1]})" if len(names) > 8 else f" ({', '.join(names)})")

    def _expected(self) -> str:
        bad = f" other than {', '.join(map(self.kind.show, sorted(self.excludes)))}" if self.excludes else ""
        return f"`{self.name}` must be {self.accepted()}{bad}"

    @property
    def _first(self) -> int:
        return 8 if self.kind.name in ("xc", "fc") else 0


_TOKEN = re.compile(r"([a-z]\w*)(?::(\w+))?(?:\[([\d:|]+)\])?")


def parse_token(token: str) -> tuple[str, str, list[tuple[int, int]], bool, bool]:
    """Read `name`, `name[12|10:5]` or `name:kind[…]` of an encoding.

    Returns name, kind, the (high, low) value bits in order of the word, and whether the operand is written and read.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise ValueError(f"`{token}` is neither bits nor an operand")
    name, kind, spec = match.groups()
    if name in CATALOG:
        default_kind, width, writes, reads = CATALOG[name]
    elif kind:
        default_kind, width, writes, reads = kind, 5, False, False
    else:
        raise ValueError(f"unknown operand `{name}`: give its kind as `{name}:kind`")
    kind = kind or default_kind
    if kind not in KINDS:
        raise ValueError(f"unknown operand kind `{kind}` of `{name}`")
    spans: list[tuple[int, int]] = []
    for part in spec.split("|") if spec else [f"{width - 1}:0"]:
        high, _, low = part.partition(":")
        spans.append((int(high), int(low or high)))
    return name, kind, spans, writes, reads
