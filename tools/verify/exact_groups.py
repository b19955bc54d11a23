"""Vector instructions at every group size, under random vl, mask and vstart: which elements change, and to what.

Which elements an instruction works on is written here from the vector specification (1.0, sections 3.7, 5.3, 5.4, 14,
16); what it gives for an element is the operation's oracle. Every other bit of v8 to v15 keeps its value: the manual of
the chip promises that for tail and masked-off elements whatever the policy in vtype. vstart is not zero where
the instruction does not demand that.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mtia.tools.verify.common import Report
from mtia.tools.verify.exact_forms import Form, Kind, Operation
from mtia.tools.verify.exact_machine import HERE, HERE_MASKED, Array, execute
from mtia.tools.verify.exact_operands import draw
from mtia.tools.verify.rational import FP16, Format

__all__ = ["Case", "Groups", "active"]

VLEN, GROUP = 512, 512  # bits of a register, bytes of the largest group
SHARE = 1024  # of the campaign's size: cases of an instruction at one group size, masked or not
POOL = 256  # values of a kind that are drawn for an instruction
MOST = 5  # failures of one instruction that are printed
REFERENCE = 3  # cases of an instruction on the reference
SIZES = {1: "mf8", 2: "mf4", 4: "mf2", 8: "m1", 16: "m2", 32: "m4", 64: "m8"}  # eighths of a register
POLICIES = ("ta, ma", "tu, mu", "ta, mu", "tu, ma")
UNMASKED = ("vfmv.v.f", "vfmv.s.f", "vfmv.f.s", "vfmerge.vfm")  # no mask chooses their elements
HEAD, INPUT, OUTPUT = 128, 64 + 64 + 3 * GROUP, GROUP + 64  # bytes: of the counts, of a case, of its results
Values = dict[str, Sequence[int]]

# s3: cases of each block; s0: fa1, vl, vstart, frm, at 64 v0, then v8, v16 and v24; s1: v8, fa5, fflags, vstart.
_START = f"la s0, count; ld s1, 8(s0); addi s3, s0, 64; addi s0, s3, {HEAD}\n"
_LOAD = (
    "addi t0, s0, 64; vl1re8.v v0, (t0); addi t0, s0, 128; vl8re8.v v8, (t0); addi t0, s0, 640; vl8re8.v v16, (t0);"
    "addi t0, s0, 1152; vl8re8.v v24, (t0); ld t1, 0(s0); fmv.d.x fa1, t1; fmv.d.x fa5, zero; ld t1, 8(s0);"
    "ld t2, 16(s0); ld t3, 24(s0); csrw frm, t3\n"
)
_STORE = (
    f"csrr t2, vstart; sd t2, 528(s1); fsd fa5, 512(s1); vs8r.v v8, (s1); addi s1, s1, {OUTPUT};"
    f"addi s0, s0, {INPUT}; addi s2, s2, -1\n"
)


@dataclass(frozen=True)
class Case:
    """One execution: group size in eighths of a register, the state that chooses elements, and its operands.

    `registers` are the groups of 512 bytes at `d` (v8), `a` (v16) and `b` (v24), `scalar` the 64 bits of fa1.
    """

    eighths: int
    masked: bool
    vl: int
    start: int
    mask: int
    mode: int
    scalar: int
    registers: dict[str, bytes]

    def elements(self, place: str, width: int) -> Array:
        """The elements of a group of registers."""
        return np.frombuffer(self.registers[place], f"u{width // 8}")


def active(case: Case) -> list[int]:
    """The elements that are worked on: not before vstart, not in the tail, and with their mask bit set if masked."""
    return [e for e in range(case.start, case.vl) if not case.masked or case.mask >> e & 1]


def _bits(kind: Kind) -> int:
    return kind.width if isinstance(kind, Format) else abs(kind)


def _kinds(operation: Operation) -> tuple[Kind, ...]:
    """The kinds of operands, of a reduction that of one element."""
    return operation.kinds if operation.step is None else (operation.kinds[0], FP16)


def group_sizes(operation: Operation, form: Form) -> list[int]:
    """Group sizes in eighths where every operand's group exists: at most 8 registers, elements of its own."""
    widths = [_bits(kind) for kind, place in zip(operation.kinds, form.places, strict=True) if place not in form.boxed]
    if operation.step is not None:  # the scalars are single elements
        widths = [FP16.width]
    elif form.result == "v":
        widths.append(operation.width)
    return [size for size in SIZES if size * 8 >= form.sew and all(size * w <= 64 * form.sew for w in widths)]


def _unboxed(scalar: int, kind: Kind) -> int:
    """The value of fa1 as a narrow float: the canonical NaN without its box."""
    assert isinstance(kind, Format)
    return scalar & (1 << kind.width) - 1 if scalar >> kind.width == (1 << 64 - kind.width) - 1 else kind.nan


def expect(operation: Operation, form: Form, case: Case) -> tuple[bytes, int, int]:
    """What v8 to v15, fa5 and fflags are afterwards."""
    kinds, width = _kinds(operation), operation.width
    target = bytearray(case.registers["d"])
    values: Values = {
        place: case.elements(place, _bits(kind)).tolist() for kind, place in zip(kinds, form.places, strict=True)
        if place not in form.boxed
    }  # fmt: skip
    if form.name == "vfmv.f.s":  # whatever vl
        return bytes(target), values["a"][0] | (1 << 64) - (1 << width), 0
    flags = 0
    if operation.step is not None:
        found = values["b"][0]
        for e in active(case):
            found, raised = operation.step(found, values["a"][e], case.mode)
            flags |= raised
        if case.vl:
            target[: width // 8] = found.to_bytes(width // 8, "little")
        return bytes(target), 0, flags
    scalar = _unboxed(case.scalar, kinds[form.places.index("b")]) if form.boxed else 0
    chosen = active(case)
    if form.name == "vfmv.s.f":
        chosen = [0] if case.start < case.vl else []
    for e in chosen:
        if operation.name == "move":
            result, raised = _moved(form, case, e, scalar), 0
        else:
            operands = [scalar if place in form.boxed else values[place][e] for place in form.places]
            result, raised = operation.oracle(*operands, case.mode)
        flags |= raised
        if form.result == "m":
            target[e >> 3] = target[e >> 3] & ~(1 << (e & 7)) | result << (e & 7)
        else:
            target[e * width // 8 : (e + 1) * width // 8] = result.to_bytes(width // 8, "little")
    return bytes(target), 0, flags


def _moved(form: Form, case: Case, e: int, scalar: int) -> int:
    """Element e of moves, of the merge and of slides by one."""
    source = case.elements("a", FP16.width)
    if form.name == "vfmerge.vfm":
        return scalar if case.mask >> e & 1 else int(source[e])
    if form.name == "vfslide1up.vf":
        return int(source[e - 1]) if e else scalar
    if form.name == "vfslide1down.vf":
        return int(source[e + 1]) if e + 1 < case.vl else scalar
    return scalar


def blocks(sew: int) -> list[tuple[int, bool]]:
    """What a program has a loop for: group size and whether masked."""
    return [(size, masked) for size in SIZES if size * 8 >= sew for masked in (False, True)]


@functools.cache
def program(sew: int, flags: bool) -> str:
    """Assembly that runs the cases of each block; with a vsetvli of its own, so that dense handlers are chosen."""
    before, after = ("csrw fflags, zero", "csrr t1, fflags; sd t1, 520(s1)") if flags else ("", "")
    found = [_START]
    for n, (size, masked) in enumerate(blocks(sew)):
        found.append(
            f"ld s2, {8 * n}(s3); beqz s2, done{n}\nloop{n}: {_LOAD}{before}\n"
            f"vsetvli t0, t1, e{sew}, {SIZES[size]}, {POLICIES[(n + n // 4) % 4]}; csrw vstart, t2\n"
            f"{HERE_MASKED if masked else HERE}\n{after}\n{_STORE}bnez s2, loop{n}\ndone{n}:\n"
        )
    return "".join(found) + "li a7, 93; ecall\n"


def table(form: Form, cases: Sequence[Case]) -> Array:
    """The cases, in the order of their blocks, as the program wants them."""
    where = blocks(form.sew)
    counts = Counter((case.eighths, case.masked) for case in cases)
    head = np.zeros(HEAD // 8, np.uint64)
    head[: len(where)] = [counts[block] for block in where]
    rows = bytearray(head.tobytes())
    for case in cases:
        rows += np.array([case.scalar, case.vl, case.start, case.mode, 0, 0, 0, 0], np.uint64).tobytes()
        rows += case.mask.to_bytes(64, "little") + b"".join(case.registers[place] for place in "dab")
    return np.frombuffer(bytes(rows), np.uint8)


class Groups:
    """This part of the campaign."""

    def __init__(self, report: Report, counts: Counter[str], random_: random.Random) -> None:
        self.report, self.counts = report, counts
        self.random, self.numbers = random_, np.random.default_rng(random_.getrandbits(64))

    def form(self, operation: Operation, form: Form) -> None:
        """Run an instruction with flags, without, and a little on the reference."""
        cases = self.cases(operation, form, max(1, self.report.size // SHARE))
        expected = [expect(operation, form, case) for case in cases]
        few = sorted(self.random.sample(range(len(cases)), min(REFERENCE, len(cases))))
        for how, which, flags in (
            ("with flags", range(len(cases)), True), ("without flags", range(len(cases)), False),
            ("on the reference", few, True),
        ):  # fmt: skip
            some = [cases[n] for n in which]
            masked = form.text if form.name in UNMASKED else f"{form.text}, v0.t"
            got = execute(
                program(form.sew, flags), form.text, 0, table(form, some), OUTPUT * len(some),
                how.endswith("reference"), masked,
            ).reshape(len(some), OUTPUT)  # fmt: skip
            self.compare(form, f"in groups {how}", some, got, [expected[n] for n in which], flags)

    def cases(self, operation: Operation, form: Form, count: int) -> list[Case]:
        """So many cases of each group size, masked or not, in the order of the program's blocks."""
        kinds = _kinds(operation)
        pools = {
            place: np.array([draw(kind, self.random) for _ in range(POOL)], np.uint64).astype(f"u{_bits(kind) // 8}")
            for kind, place in zip(kinds, form.places, strict=True)
        }
        if operation.name == "move":
            pools["a"] = pools[form.places]
        sizes, turn = group_sizes(operation, form), itertools.count()
        return [
            self.case(size, masked, next(turn), operation, form, pools)
            for size, masked in blocks(form.sew) if size in sizes and not (masked and form.name in UNMASKED)
            for _ in range(count)
        ]  # fmt: skip

    def case(
        self, size: int, masked: bool, number: int, operation: Operation, form: Form, pools: dict[str, Array]
    ) -> Case:
        """One case: vl of every sort in turn, masks of every sort, vstart often in between, random bits in vd."""
        pick, most = self.random, VLEN // 8 * size // form.sew
        vl = (most, 1, pick.randint(1, most), 0, pick.randint(1, most))[number % 5]
        start = 0 if operation.step is not None else pick.choice((0, 0, pick.randrange(most), pick.randint(0, vl // 2)))
        every, any_ = (1 << VLEN) - 1, pick.getrandbits(VLEN)
        mask = pick.choice((0, every, any_, any_, any_ & pick.getrandbits(VLEN), 1 << pick.randrange(most)))
        registers = {}
        for place in "dab":
            if place in pools and place not in form.boxed:
                pool = pools[place]
                registers[place] = pool[self.numbers.integers(POOL, size=GROUP // pool.itemsize)].tobytes()
            else:
                registers[place] = self.numbers.bytes(GROUP)
        scalar = pick.getrandbits(64)
        if form.boxed:
            width = pools["b"].itemsize * 8
            high = (1 << 64 - width) - 1 if pick.randrange(8) else pick.getrandbits(63 - width)
            scalar = high << width | int(pick.choice(pools["b"]))
        mode = pick.choice((0, 0, 0, 0, 1, 2, 3, 4)) if operation.rounds else 0
        return Case(size, masked, vl, start, mask, mode, scalar, registers)

    def compare(
        self, form: Form, how: str, cases: Sequence[Case], got: Array, expected: Sequence[tuple[bytes, int, int]],
        flags: bool,
    ) -> None:  # fmt: skip
        """Count executions and elements worked on, and note differences."""
        self.counts[f"executions {how}"] += len(cases)
        self.counts[f"active elements {how}"] += sum(len(active(case)) for case in cases)
        failures = []
        for case, row, (target, scalar, raised) in zip(cases, got, expected, strict=True):
            found = row[GROUP : GROUP + 24].view(np.uint64)
            bytes_ = np.flatnonzero(row[:GROUP] != np.frombuffer(target, np.uint8))
            problems = []
            if len(bytes_):
                at = int(bytes_[0])
                problems.append(f"byte {at} of v8 to v15 {int(row[at]):#04x} for {target[at]:#04x}")
            if int(found[0]) != scalar:
                problems.append(f"fa5 {int(found[0]):#x} for {scalar:#x}")
            if flags and int(found[1]) != raised:
                problems.append(f"flags {int(found[1])} for {raised}")
            if found[2]:
                problems.append(f"vstart {int(found[2])} afterwards")
            if problems:
                mask = f"mask {case.mask & (1 << max(case.vl, 1)) - 1:#x}" if case.masked else "no mask"
                failures.append(
                    f"{form.text} {how}: e{form.sew}, {SIZES[case.eighths]}, vl {case.vl}, vstart {case.start}, "
                    f"{mask}, fa1 {case.scalar:#x}, mode {case.mode}: {'; '.join(problems)}"
                )
        self.report.failures += failures[:MOST]
