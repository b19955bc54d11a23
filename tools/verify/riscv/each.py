"""Every instruction with every element width, on operands at the edges of their types: our harts against qemu.

Random programs meet an instruction often, but not each of its element widths with each limit of its operands. Here
every row of arithmetic that qemu knows has cases of its own: vector rows for each element width in whole groups,
masked, in part and from a later element, scalar rows with edges of both operands in every rounding mode. Half of the
executables look at the exception flags. A case runs in a loop that takes other operands each time. Loads and stores are
tried where there is no memory, at its edge, and atomic ones at every alignment; vector rows with registers that may or
may not be named together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from mtia.isa import encode
from mtia.isa.state import VLENB
from mtia.isa.table import Flow, Instruction

from ..common import Progress, Report
from . import execute, shapes, traps
from .program import DATA, PAGE, TEXT, Code, executable, load_address, word
from .quirks import FLOATS, quirk_of
from .rows import rows_of, vector_rows
from .values import floats

__all__ = ["run"]

TIMES, SCALAR_TIMES = 6, 96  # how often a case runs, each time with other operands
CASES = 1200  # of one executable
POOL = 4096  # bytes of elements of one kind for one round of a vector case
KINDS = ("i8", "i16", "i32", "i64", "f32", "f64")
SCALARS = 32  # words of each kind after the pools
OFFSETS = len(KINDS) * (POOL + 8 * SCALARS)  # of indexed accesses, and the memory that they reach
ROUND = OFFSETS + 1024 + 1024  # and random bytes for masks
GROUP = 8 * VLENB
# Registers of a case: destination and sources; the rest belongs to the loop.
PLACES = {"vd": 8, "vs3": 8, "vs2": 16, "vs1": 24}
INTEGERS = {"rd": 10, "rs1": 11, "rs2": 12}
BASE, OUT, COUNT, TEMPORARY = 8, 9, 18, 5
LMUL = {8: 0, 16: 1, 32: 2, 64: 3, 4: 7, 2: 6, 1: 5}
HEAD = 24  # bytes of results after the registers: an integer, a float, the flags


@dataclass
class Case:
    """One instruction with what comes before it; `size` bytes of results."""

    text: str
    words: list[int]
    size: int = HEAD
    close: int = 0  # so many last words belong on one page
    store: list[int] = field(default_factory=list)


def integers(rng: Any, count: int, width: int) -> Any:
    """Integers of a width: limits, numbers near powers of two, and any."""
    top, ones = 1 << width - 1, (1 << width) - 1
    edges = [0, 1, 2, 3, ones, ones - 1, top, top + 1, top - 1, top - 2, ones // 3, width - 1, width]
    near = [(1 << n) + d & ones for n in range(width) for d in (-1, 0, 1)]
    anything = rng.integers(0, 1 << 64, count, dtype=np.uint64) & np.uint64(ones)
    found = np.where(rng.random(count) < 0.3, rng.choice(np.array(near, np.uint64), count), anything)
    return np.where(rng.random(count) < 0.5, rng.choice(np.array(edges, np.uint64), count), found)


def _scalars(rng: Any, kind: str, count: int) -> Any:
    """64-bit words for a scalar operand: integers with any upper bits, floats in their box (or now and then not)."""
    width = int(kind[1:])
    high = np.uint64((1 << 64) - (1 << width))
    if kind[0] == "f":
        return floats(rng, count, width) | np.where(rng.random(count) < 0.95, high, np.uint64(0))
    low = integers(rng, count, width)
    signs = np.where(low >> np.uint64(width - 1) != 0, high, np.uint64(0))
    junk = rng.integers(0, 1 << 64, count, dtype=np.uint64) & high
    return low | np.where(rng.random(count) < 0.5, signs, junk)


def _round(rng: Any) -> bytes:
    """The operands of one round of the vector cases."""
    found = bytearray()
    for kind in KINDS:
        width = int(kind[1:])
        make = floats if kind[0] == "f" else integers
        found += make(rng, 8 * POOL // width, width).astype(f"u{width // 8}").tobytes()
    for kind in KINDS:
        found += _scalars(rng, kind, SCALARS).astype(np.uint64).tobytes()
    # Offsets of 8, 16 and 32 bits, each with its highest bit; then the memory.
    for width in (8, 16, 32):
        offsets = rng.choice(24, 64 * 8 // width, replace=True).astype(np.uint64) * 4 + np.uint64(1 << width - 1)
        found += offsets.astype(f"u{width // 8}").tobytes()
    return bytes(found) + bytes(rng.bytes(ROUND - len(found)))


def _at(offset: int) -> list[int]:
    """Put the address of an offset from the round's operands into the temporary register."""
    high = offset + 0x800 & -0x1000
    first = [word("lui", rd=TEMPORARY, upper=high), word("add", rd=TEMPORARY, rs1=TEMPORARY, rs2=BASE)]
    return [*first, word("addi", rd=TEMPORARY, rs1=TEMPORARY, imm=offset - high)]


def _flags(flags: bool) -> list[int]:
    """Read vxsat and vxrm, and the exception flags where they are looked at, into x6."""
    words = [word("csrrs", rd=6, csr=0xF, rs1=0)]
    if flags:
        words += [word("csrrw", rd=7, csr=3, rs1=0), word("slli", rd=7, rs1=7, shamt=8)]
        words.append(word("add", rd=6, rs1=6, rs2=7))
    return words


@cache
def _results(registers: int, flags: bool) -> tuple[int, ...]:
    words = [word(f"vs{registers}r.v", vs3=8, rs1=OUT)] if registers else []
    words += [word("addi", rd=OUT, rs1=OUT, imm=registers * VLENB)] if registers else []
    words += [word("sd", rs2=10, rs1=OUT, imm=0), word("fsd", fs2=10, rs1=OUT, imm=8), *_flags(flags)]
    return (*words, word("sd", rs2=6, rs1=OUT, imm=16), word("addi", rd=OUT, rs1=OUT, imm=HEAD))


class Vectors:
    """Cases of vector rows."""

    def __init__(self, rng: random.Random, flags: bool) -> None:
        self.rng, self.flags = rng, flags

    def cases(self) -> Iterator[Case]:
        """Each row and width: whole groups, a masked group, part of one, and a start at a later element."""
        for width in (8, 16, 32, 64):
            sizes = [e for e in (1, 2, 4, 8, 16, 32, 64) if 8 * e >= width]
            rows = {row for e in sizes for row, _ in vector_rows("vector", width, e)}
            for row in sorted(rows, key=lambda row: row.name):
                if self.flags and not shapes.floats(row, width):
                    continue
                legal = {e: made for e in sizes if (made := shapes.groups(row, width, e, FLOATS))}
                whole = [e for e in (8, 16, *self.rng.sample((32, 64), 1)) if e in legal]
                for eighths in whole:
                    yield self.case(row, width, eighths, legal[eighths], whole=True)
                for masked, late in ((True, False), (False, False), (True, True), (True, True)):
                    eighths = self.rng.choice(list(legal))
                    yield self.case(row, width, eighths, legal[eighths], masked, late)
                yield self.case(row, width, max(legal), legal[max(legal)], late=True)
                for most in (0, 1) if row.name.endswith(".vs") else (self.rng.randrange(2),):
                    yield self.case(row, width, eighths, legal[eighths], most=most)

    def indexed(self) -> Iterator[Case]:
        """Indexed accesses whose offsets have their highest bit set: they are unsigned."""
        for width in (8, 16, 32):
            for row in rows_of("vmemory"):
                how = shapes.memory(row)
                made = shapes.groups(row, width, 8, FLOATS)
                if how is not None and how.way in ("ux", "ox") and how.width < 64 and made is not None:
                    yield self.access(row, width, how)

    def access(self, row: Instruction, width: int, how: shapes.Memory) -> Case:
        """One indexed access of elements of `width` within the pool of the index's integers."""
        data = "vs3" if how.store else "vd"
        words = [*_at(POOL * KINDS.index("i16")), word("vl8re8.v", vd=8, rs1=TEMPORARY)]
        words += [*_at(OFFSETS + 64 * (how.width.bit_length() - 4)), word("vl1re8.v", vd=16, rs1=TEMPORARY)]
        words += [*_at(OFFSETS + 256), word("addi", rd=11, rs1=0, imm=1)]
        words += [word("slli", rd=11, rs1=11, shamt=how.width - 1), word("sub", rd=11, rs1=TEMPORARY, rs2=11)]
        words.append(word("vsetivli", rd=0, zimm=4, vsew=width.bit_length() - 4, vlmul=0, vta=0, vma=0))
        words.append(encode.encode(row, {data: 8, "vs2": 16, "rs1": 11, "vm": 1}))
        words += [word("vl4re8.v", vd=8, rs1=TEMPORARY)] if how.store else []
        return Case(f"{row.name} e{width}, high offsets", words, HEAD + 8 * VLENB, 0, [*_results(8, self.flags)])

    def case(
        self, row: Instruction, width: int, eighths: int, made: Sequence[shapes.Group], masked: bool = False,
        late: bool = False, whole: bool = False, most: int = 512,
    ) -> Case:  # fmt: skip
        """One case of at most so many elements; `whole` groups have every one active."""
        rng, values = self.rng, dict[str, int]()
        most = min(most, 64 * eighths // width)
        length = most if whole or rng.random() < 0.3 else rng.randint(min(4 * late or 1, most), most)
        words: list[int] = []
        for operand in row.operands:
            name = operand.name
            if operand.kind.name == "v":
                values[name] = PLACES[name]
            elif operand.kind.register:
                values[name] = INTEGERS[operand.slot]
            elif operand.kind.name == "vm":
                values[name] = int(not masked)
            else:
                values[name] = _immediate(rng, operand)
        for group in made:
            kind = f"f{group.width}" if group.width in shapes.floats(row, width) and group.width > 16 else ""
            kind = kind or f"i{max(group.width, 8)}"
            start = KINDS.index(kind) * POOL + rng.randrange(0, POOL - GROUP + 1, VLENB)
            words += [*_at(start), word(f"vl{group.count}re8.v", vd=values[group.operand], rs1=TEMPORARY)]
        words += self.scalars(row, width)
        words += [*_at(ROUND - 1024 + rng.randrange(0, 1024 - VLENB, 8)), word("vl1re8.v", vd=0, rs1=TEMPORARY)]
        mode = 0 if whole and not self.flags else rng.choice((0, 0, 1, 2, 3, 4) if self.flags else (0, 0, 0, 0, 0, 1))
        words.append(word("csrrwi", rd=0, csr=2, zimm=mode))
        words.append(word("csrrwi", rd=0, csr=0xF, zimm=rng.getrandbits(2) << 1))
        words.append(word("addi", rd=TEMPORARY, rs1=0, imm=length))
        words.append(
            word("vsetvli", rd=0, rs1=TEMPORARY, vsew=width.bit_length() - 4, vlmul=LMUL[eighths], vta=0, vma=0)
        )
        start = 0
        if late and length > 1 and not shapes.needs_start(row) and not quirk_of(row, "vstart"):
            start = rng.randrange(1, length)
            if end := shapes.whole(row, width):
                start = min(start, end - 1)
            words += [word("addi", rd=TEMPORARY, rs1=0, imm=start), word("csrrw", rd=0, csr=8, rs1=TEMPORARY)]
        close = 0
        if quirk_of(row, "no rounding instruction before it"):
            words.append(word("fcvt.s.l", fd=31, rs1=0, rm=7))
            close = 2
        words.append(encode.encode(row, values))
        # The group and as many registers behind it, which nothing may change.
        registers = min(2 * max((group.count for group in made if group.written), default=0), 8)
        what = f"e{width}, LMUL {eighths}/8, vl {length}, vstart {start}, frm {mode}, {'masked' if masked else 'all'}"
        return Case(f"{row.name} {what}", words, HEAD + registers * VLENB, close, [*_results(registers, self.flags)])

    def scalars(self, row: Instruction, width: int) -> list[int]:
        """Load x11 and f11, and clear the scalar results."""
        first = len(KINDS) * POOL
        floating = 32 if width < 32 else width
        if row.name.startswith("vfw") and row.name.endswith(".wf"):
            floating = width
        found = [*_at(first + 8 * (SCALARS * KINDS.index(f"i{width}") + self.rng.randrange(SCALARS)))]
        found.append(word("ld", rd=11, rs1=TEMPORARY, imm=0))
        found += _at(first + 8 * (SCALARS * KINDS.index(f"f{floating}") + self.rng.randrange(SCALARS)))
        found += [word("fld", fd=11, rs1=TEMPORARY, imm=0), word("addi", rd=10, rs1=0, imm=0)]
        return [*found, word("fmv.d.x", fd=10, rs1=0)]


def _immediate(rng: random.Random, operand: Any) -> int:
    """A random or extreme value of an immediate."""
    span = operand.width - operand.low
    while True:
        bits = rng.choice((rng.getrandbits(span), 0, 1, (1 << span) - 1, 1 << span - 1, (1 << span - 1) - 1))
        value = bits << operand.low
        if operand.kind.signed and value >> operand.width - 1:
            value -= 1 << operand.width
        if value not in operand.excludes:
            return int(value)


def _scalar_round(rng: Any, kinds: Sequence[str]) -> bytes:
    """The operands of one round of the scalar cases: three of each kind."""
    return b"".join(_scalars(rng, kind, 3).astype(np.uint64).tobytes() for kind in kinds)


SCALAR_KINDS = ("i64", "i32", "i16", "i8", "f64", "f32", "f16")


def _scalar_cases(rng: random.Random, flags: bool) -> Iterator[Case]:
    """Scalar arithmetic and branches: the operands as each width that an integer row may look at."""
    for row in (*rows_of("integer"), *rows_of("float"), *rows_of("jump")):
        if row.size != 4 or (row.flow is not Flow.NEXT and row.flow is not Flow.BRANCH):
            continue
        floating = any(operand.kind.name == "f" for operand in row.operands)
        if flags and not floating:
            continue
        rounds = "rm" in row.by_name
        immediates = any(not operand.kind.register for operand in row.operands) and not rounds
        for n in range(7 if rounds else 6 if immediates else 3):
            yield _scalar_case(row, rng, n, flags)


def _scalar_case(row: Instruction, rng: random.Random, number: int, flags: bool) -> Case:
    words = [word("addi", rd=10, rs1=0, imm=0), word("fmv.d.x", fd=10, rs1=0)]
    mode = rng.randrange(5) if number % 7 > 4 else 0
    words.append(word("csrrwi", rd=0, csr=2, zimm=mode))
    values = {}
    for operand in row.operands:
        if operand.kind.name == "f":
            values[operand.name] = {"rd": 10, "rs1": 11, "rs2": 12, "rs3": 13}[operand.slot]
        elif operand.kind.register:
            values[operand.name] = INTEGERS[operand.slot]
        elif operand.name == "target":
            values[operand.name] = 8
        elif operand.name == "rm":
            values[operand.name] = (0, 1, 2, 3, 4, 7, 7)[number]
        else:
            values[operand.name] = _immediate(rng, operand)
    source = row.name.split(".")[-1]
    kind = {"d": "f64", "h": "f16"}.get(source, "f32")
    whole = rng.choice(("i64", "i64", "i32")) if number < 2 else SCALAR_KINDS[number % 4]
    for place in range(3):
        at = 8 * (3 * SCALAR_KINDS.index(kind) + place)
        words.append(word("fld", fd=11 + place, rs1=BASE, imm=at))
    for place in range(2):
        words.append(word("ld", rd=11 + place, rs1=BASE, imm=8 * (3 * SCALAR_KINDS.index(whole) + place)))
    if quirk_of(row, "low word zero"):
        words.append(word("bseti", rd=11, rs1=11, shamt=31))
    words.append(encode.encode(row, values))
    if row.flow is Flow.BRANCH:
        words.append(word("addi", rd=10, rs1=0, imm=1))
    return Case(f"{row.name} {values}, frm {mode}", words, store=[*_results(0, flags)])


def _executable(cases: Sequence[Case], rounds: Sequence[bytes]) -> tuple[bytes, int]:
    """A program that runs the cases once for each round of operands, and the bytes that it writes."""
    data = b"".join(rounds)
    size = sum(case.size for case in cases) * len(rounds)
    out = DATA + (-(-len(data) // PAGE) + 1) * PAGE
    code = Code()
    code.add(word("csrrwi", rd=0, csr=8, zimm=0))
    load_address(code, BASE, DATA)
    load_address(code, OUT, out)
    code.add(word("addi", rd=COUNT, rs1=0, imm=len(rounds)))
    start = len(code.data)
    for case in cases:
        code.add(*case.words[: len(case.words) - case.close])
        while case.close and -(TEXT + len(code.data)) % PAGE < 4 * case.close:
            code.add(word("c.nop", hint=0))
        code.add(*case.words[len(case.words) - case.close :], *case.store)
    load_address(code, TEMPORARY, len(rounds[0]))
    code.add(word("add", rd=BASE, rs1=BASE, rs2=TEMPORARY), word("addi", rd=COUNT, rs1=COUNT, imm=-1))
    code.add(word("beq", rs1=COUNT, rs2=0, target=8), encode.word("jal", rd=0, target=start - len(code.data) - 4))
    code.add(word("addi", rd=17, rs1=0, imm=64), word("addi", rd=10, rs1=0, imm=1))
    load_address(code, 11, out)
    load_address(code, 12, size)
    code.add(word("ecall"), word("addi", rd=17, rs1=0, imm=93), word("addi", rd=10, rs1=0, imm=0), word("ecall"))
    text = bytes(code.data)
    return executable([(DATA, 6, data, out - DATA + size), (TEXT, 5, text, len(text))]), size


def _differences(cases: Sequence[Case], rounds: Sequence[bytes], report: Report) -> list[str]:
    """The cases that end otherwise than on qemu."""
    file, size = _executable(cases, rounds)
    theirs, ours = execute.qemu(file), execute.native(file)
    report.counts["instructions"] = report.counts.get("instructions", 0) + ours.instructions
    if theirs.problem or ours.problem or len(theirs.output) != size:
        return [f"{cases[0].text} to {cases[-1].text}: qemu {theirs.problem or 'ends'}; we: {ours.problem or 'end'}"]
    if theirs.output == ours.output:
        return []
    found, at = {}, 0
    for number in range(len(rounds)):
        for case in cases:
            a, b = theirs.output[at : at + case.size], ours.output[at : at + case.size]
            if a != b and case.text not in found:
                byte = next(n for n in range(case.size) if a[n] != b[n]) & ~7
                words = a[byte : byte + 8][::-1].hex(), b[byte : byte + 8][::-1].hex()
                found[case.text] = f"{case.text}, round {number}: at byte {byte} qemu {words[0]}, we {words[1]}"
            at += case.size
    return list(found.values())


def run(seed: int, progress: Progress) -> Report:
    """Every case once, in executables that look at the flags and in others that do not."""
    report = Report("riscv", seed, 0)
    numbers, rng = np.random.default_rng(seed), random.Random(f"{seed}/each")
    rounds = [_round(numbers) for _ in range(TIMES)]
    scalars = [_scalar_round(numbers, SCALAR_KINDS) for _ in range(SCALAR_TIMES)]
    parts: list[tuple[Sequence[Case], list[bytes]]] = []
    for flags in (False, True):
        made: tuple[tuple[Callable[[], Iterator[Case]], list[bytes]], ...] = (
            (lambda flags=flags: _scalar_cases(rng, flags), scalars),  # type: ignore[misc]
            (Vectors(rng, flags).cases, rounds),
        )
        for cases, operands in made:
            every = list(cases())
            if operands is rounds and not flags:
                every += Vectors(rng, flags).indexed()
            parts += [(every[at : at + CASES], operands) for at in range(0, len(every), CASES)]
    for number, (some, operands) in enumerate(parts):
        report.failures += _differences(some, operands, report)
        progress(number + 1, len(parts))
    report.size = sum(len(some) for some, _ in parts)
    report.counts = {"cases": report.size, "executions": sum(len(s) * len(r) for s, r in parts)} | report.counts
    report.counts |= {f"accesses: {what}": count for what, count in traps.each_access(report).items()}
    report.counts |= {f"registers: {what}": count for what, count in traps.each_register(report, seed).items()}
    return report
