"""Single instructions, mostly wrong ones: does qemu raise a signal where our hart traps, and at the same address?

One executable holds many cases. Each sets vtype, vl, vstart, frm and every register, executes one word and goes on
behind it; on qemu a signal handler notes the signal and goes on there too, for our hart this module does the same with
the trap. Of a word that does not trap only that is compared: the campaign of programs compares results.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mtia.isa import decode, elf, encode, table
from mtia.isa.asm import disassemble
from mtia.isa.state import BREAKPOINT, ILLEGAL, LOAD_MISALIGNED, STORE_MISALIGNED, VLEN
from mtia.isa.table import Flow
from mtia.runtime.machine.hart import HartTrap, Runner

from ..common import Progress, Report
from . import execute, shapes
from .program import DATA, EDGE, PAGE, TEXT, Code, executable, load_address, word
from .quirks import TRAP_QUIRKS, TWO_WIDTHS, TrapQuirk, quirk_of
from .rows import base_row, rows_of

__all__ = ["each_access", "each_register", "run"]

_CASES = 500  # of one executable
_RECORD = struct.Struct("<8Q")  # value of every register, where to go on, signal, its address, vtype, vl, frm, vstart
_OWN = DATA + 0x200000  # what no case reaches
_CURRENT, _ACTION, _RECORDS, _VECTORS = _OWN, _OWN + 64, _OWN + 0x1000, _OWN + 0x20000
_MIDDLE = DATA + 0x400000  # memory of a case on both sides
_SIGNALS = {ILLEGAL: 4, BREAKPOINT: 5, LOAD_MISALIGNED: 7, STORE_MISALIGNED: 7}  # causes; others are 11, SIGSEGV
_LIKELY = 1 << 46  # qemu does not give the address of a fault beyond what the host can address


@dataclass(frozen=True)
class Case:
    """One word and the state it meets."""

    word: int
    value: int
    vtype: int
    vl: int
    frm: int
    vstart: int

    def __str__(self) -> str:
        text = disassemble(self.word)
        state = f"vtype {self.vtype:#x}, vl {self.vl}, frm {self.frm}, vstart {self.vstart}, registers {self.value:#x}"
        return f"{self.word:#010x} {text} with {state}"


def run(seed: int, size: int, progress: Progress) -> Report:
    """Run `size` cases of a seed."""
    report = Report("riscv", seed, size)
    rng = random.Random(f"{seed}/traps")
    counts: Counter[str] = Counter()
    done = 0
    while done < size:
        cases = [_case(rng) for _ in range(min(_CASES, size - done))]
        _compare(cases, report, counts)
        done += len(cases)
        progress(done, size)
        if len(report.failures) >= 100:
            break
    report.counts = {"cases": done, **dict(sorted(counts.items()))}
    report.notes = [f"left out: {quirk.name}: {quirk.text} ({quirk.commit})" for quirk in TRAP_QUIRKS]
    return report


def each_access(report: Report) -> Counter[str]:
    """Every load and store where there is no memory, at its edge, and at each alignment; returns what happened."""
    counts: Counter[str] = Counter()
    cases = [case for kind in ("memory", "atomic", "vmemory") for row in rows_of(kind) for case in _accesses(row)]
    for first in range(0, len(cases), _CASES):
        _compare(cases[first : first + _CASES], report, counts)
    return counts


def _accesses(row: table.Instruction) -> Iterator[Case]:
    if row.size != 4:
        return
    values = {o.name: 11 if o.kind.name == "x" else 8 if o.kind.register else 0 for o in row.operands}
    if "vs2" in values:
        values["vs2"] = 16
    vtype = 0
    if shapes.is_vector(row):
        values["vm"] = 1
        settings = [(w, e) for w in (8, 16, 32, 64) for e in (8, 16) if shapes.groups(row, w, e, (32, 64))]
        width, eighths = settings[-1]
        vtype = width.bit_length() - 4 << 3 | eighths >> 4
    one = encode.encode(row, {name: value for name, value in values.items() if name in row.by_name})
    offsets = range(1, 16) if row.extension.name == "A" else ()
    for value in (EDGE, EDGE - 1, 64, *(_MIDDLE + offset for offset in offsets)):
        yield Case(one, value, vtype, 1000, 0, 0)


# Rows with shapes of their own, tried in every place; of other shapes there are many rows.
_ALONE = ("vsext.", "vzext.", "viota.", "vcompress.", "vrgatherei16.")
_PLACES, _GROUPS = 9, (0, 1, 2, 3, 5, 6, 7)


def each_register(report: Report, seed: int) -> Counter[str]:
    """Vector rows with registers near each other and near v0 under any vtype: which are reserved?"""
    rng = random.Random(f"{seed}/registers")
    counts: Counter[str] = Counter()
    cases = []
    for row in (row for row in table.all() if shapes.is_vector(row)):
        found, alone = shapes.memory(row), row.name.startswith(_ALONE)
        for number in range(4 * len(_GROUPS) * _PLACES if alone else 6 if found and found.fields > 1 else 20):
            base, values = rng.choice((0, 8) if alone else (0, 8, 8, 16, 24)), {}
            for o in row.operands:
                values[o.name] = o.extract(rng.getrandbits(32) & o.bits)
                if o.kind.name == "v":
                    near = base + rng.choice((0, 0, 0, 1, 2, 4, 6, 7, 8)) & 31
                    if alone:
                        near = base + (number % _PLACES if o.name == "vs2" else 0)
                    values[o.name] = near if near not in o.excludes else base
                elif o.kind.register:
                    values[o.name] = 11 if found else base + rng.randrange(8) & 31
            one = encode.encode(row, values)
            if _harmless(one):
                vtype = rng.randrange(4) << 3 | rng.choice(_GROUPS)
                if alone:
                    vtype = (number // _PLACES & 3) << 3 | _GROUPS[number // (4 * _PLACES)]
                cases.append(Case(one, _MIDDLE, vtype, 0, 0, 0))
    for first in range(0, len(cases), _CASES):
        _compare(cases[first : first + _CASES], report, counts)
    return counts


def _compare(cases: list[Case], report: Report, counts: Counter[str]) -> None:
    """Run cases on both sides; note the differences and count the rest."""
    for case, theirs, ours in zip(cases, *_outcomes(cases), strict=True):
        quirk = _quirk(case, theirs, ours)
        if quirk:
            counts[f"left out: {quirk.name}"] += 1
        elif not ours[0] and (reason := _reserved(case, decode.decode(case.word))):
            report.failures.append(f"{case}: reserved ({reason}), but we execute it")
        elif _same(theirs, ours):
            counts[{0: "no trap", 4: "illegal", 5: "breakpoint", 7: "misaligned", 11: "no memory"}[ours[0]]] += 1
        else:
            report.failures.append(f"{case}: qemu {_show(theirs)}, we {_show(ours)}")


def _show(outcome: tuple[int, int]) -> str:
    return f"signal {outcome[0]} at {outcome[1]:#x}" if outcome[0] else "no signal"


def _same(theirs: tuple[int, int], ours: tuple[int, int]) -> bool:
    if theirs[0] != ours[0]:
        return False
    # of an access that begins in memory and ends behind it, qemu names the first missing byte, we name the access
    across = theirs[1] == EDGE and EDGE - VLEN <= ours[1] < EDGE
    return ours[0] != 11 or theirs[1] == ours[1] or ours[1] >= _LIKELY or across


def _quirk(case: Case, theirs: tuple[int, int], ours: tuple[int, int]) -> TrapQuirk | None:
    if _same(theirs, ours):
        return None
    found = decode.decode(case.word)
    name = found.row.name if found else ""
    for quirk in TRAP_QUIRKS:
        if quirk.covers(name, case.word, theirs[0], ours[0]):
            if quirk.name != TWO_WIDTHS or _reserved(case, found) == TWO_WIDTHS:
                return quirk
    return None


def _reserved(case: Case, found: decode.Decoded | None) -> str:
    """Why the register numbers of a vector instruction are reserved; "" when they are not."""
    if found is None or not shapes.is_vector(found.row) or case.vtype > 255:
        return ""
    width, size = 8 << (case.vtype >> 3 & 7), case.vtype & 7
    eighths = 8 << size if size < 4 else 8 >> 8 - size
    made = shapes.groups(found.row, width, eighths, (16, 32, 64))
    return shapes.reserved(found.row, made, found.values) if made else ""


# cases


def _case(rng: random.Random) -> Case:
    while True:
        one = _word(rng)
        if _harmless(one):
            break
    vtype = rng.choice((*range(32), *range(32), *range(64, 256, 9), 4, 1 << 8, 1 << 63))
    vl = rng.choice((0, 1, 2, 3, 1000, 1000, 1000))
    frm = rng.choice((0, 0, 0, 0, 0, 0, 0, 4, 5, 6, 7))
    vstart = rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 2))
    value = _MIDDLE
    if rng.random() < 0.5:
        value = rng.choice((
            EDGE - rng.randrange(0, 80), EDGE + rng.randrange(0, 64), EDGE + PAGE * rng.randrange(1, 9), 0, 64,
            DATA - rng.randrange(1, 70), _MIDDLE + rng.randrange(0, 16), (1 << 64) - rng.randrange(1, 4096),
        ))  # fmt: skip
    return Case(one, value, vtype, vl, frm, vstart)


def _word(rng: random.Random) -> int:
    pick = rng.random()
    if pick < 0.2:
        low = rng.getrandbits(16)
        return low if low & 3 != 3 else low & ~3
    row = rng.choice(table.all())
    bits = row.match | (rng.getrandbits(32) & ~row.mask & (0xFFFFFFFF if row.size == 4 else 0xFFFF))
    if pick > 0.6:
        for _ in range(rng.randrange(1, 3)):
            bits ^= 1 << rng.randrange(8 * row.size)
    if pick > 0.9:
        bits = rng.getrandbits(32) & ~0x7F | bits & 0x7F
    return bits if bits & 3 == 3 else bits & 0xFFFF


def _harmless(one: int) -> bool:
    """Whether a word neither leaves the case, nor ends the program, nor belongs to what only we have."""
    if one & 0x7F in (0x0B, 0x2B, 0x5B, 0x7B):  # the custom opcodes, where Xmtia is
        return False
    found = decode.decode(one)
    if found is None:
        return True
    base = base_row(found.row)
    if quirk_of(found.row, "no rounding instruction before it"):  # qemu would abort
        return False
    return base.flow is Flow.NEXT and base.unit == "hart" and base.name not in ("ecall",) and base.timing != "csr"


# the executable


def _program(cases: list[Case]) -> tuple[bytes, list[int]]:
    """An executable of the cases, and where each goes on."""
    code = Code()
    handler = _handler()
    prepare = _prepare()
    code.add(word("jal", rd=0, target=4 + len(handler) + len(prepare)))
    code.data += handler + prepare
    at_handler, at_prepare = TEXT + 4, TEXT + 4 + len(handler)
    for signal in (4, 5, 7, 11):
        code.add(word("addi", rd=10, rs1=0, imm=signal), word("addi", rd=12, rs1=0, imm=0))
        load_address(code, 11, _ACTION)
        code.add(word("addi", rd=13, rs1=0, imm=8), word("addi", rd=17, rs1=0, imm=134), word("ecall"))
    following = []
    for number, case in enumerate(cases):
        load_address(code, 6, _RECORDS + _RECORD.size * number)
        load_address(code, 7, _CURRENT)
        code.add(word("sd", rs1=7, rs2=6, imm=0))
        code.add(encode.word("jal", rd=7, target=at_prepare - TEXT - len(code.data)))
        code.add(word("addi", rd=7, rs1=8, imm=0))
        code.add(case.word)
        following.append(TEXT + len(code.data))
    code.add(word("addi", rd=17, rs1=0, imm=64), word("addi", rd=10, rs1=0, imm=1))
    load_address(code, 11, _RECORDS)
    load_address(code, 12, _RECORD.size * len(cases))
    code.add(word("ecall"), word("addi", rd=17, rs1=0, imm=93), word("addi", rd=10, rs1=0, imm=0), word("ecall"))
    data = bytearray(_VECTORS - _OWN)
    data[_ACTION - _OWN : _ACTION - _OWN + 24] = struct.pack("<QQQ", at_handler, 0x4000_0004, 0)
    for number, (case, behind) in enumerate(zip(cases, following, strict=True)):
        _RECORD.pack_into(
            data, _RECORDS - _OWN + _RECORD.size * number, case.value, behind, 0, 0, case.vtype, case.vl, case.frm,
            case.vstart,
        )  # fmt: skip
    rng = random.Random(0)
    # offsets of 32 bits stay near or go far behind memory; those of 64 bits never reach what is qemu's own
    offsets = [rng.getrandbits(20) | (0x40000000 if n & 1 or rng.random() < 0.2 else 0) for n in range(512)]
    data += struct.pack("<512I", *offsets)
    segments = [
        (DATA, 6, b"\0", _OWN - DATA), (_OWN, 6, bytes(data), TEXT - _OWN),
        (TEXT, 7, bytes(code.data), EDGE - PAGE - TEXT), (EDGE - PAGE, 6, b"\0", PAGE),
    ]  # fmt: skip
    return executable(segments), following


def _handler() -> bytes:
    """Note signal and address in the current record, and go on behind the case."""
    code = Code()
    load_address(code, 5, _CURRENT)
    code.add(word("ld", rd=5, rs1=5, imm=0), word("sd", rs1=5, rs2=10, imm=16))
    code.add(word("ld", rd=6, rs1=11, imm=16), word("sd", rs1=5, rs2=6, imm=24))  # siginfo.si_addr
    code.add(word("ld", rd=6, rs1=5, imm=8), word("sd", rs1=12, rs2=6, imm=176))  # ucontext.uc_mcontext: pc
    code.add(word("jalr", rd=0, rs1=1, imm=0))
    return bytes(code.data)


def _prepare() -> bytes:
    """Set the state of the record in x6; returns to x7. Every register but sp, x0 and x7 gets the record's value."""
    code = Code()
    code.add(word("csrrwi", rd=0, csr=8, zimm=0), word("csrrwi", rd=0, csr=2, zimm=0))
    load_address(code, 5, _VECTORS)
    for first in (0, 8, 16, 24):
        code.add(word("vl8re8.v", vd=first, rs1=5), word("addi", rd=5, rs1=5, imm=512))
    code.add(word("ld", rd=8, rs1=6, imm=32), word("ld", rd=9, rs1=6, imm=40), word("vsetvl", rd=5, rs1=9, rs2=8))
    code.add(word("ld", rd=8, rs1=6, imm=48), word("csrrw", rd=0, csr=2, rs1=8))
    code.add(word("ld", rd=8, rs1=6, imm=56), word("csrrw", rd=0, csr=8, rs1=8))
    load_address(code, 2, _MIDDLE)
    code.add(word("ld", rd=8, rs1=6, imm=0))
    for number in range(1, 32):
        if number not in (2, 7, 8):
            code.add(word("addi", rd=number, rs1=8, imm=0))
    code.add(word("jalr", rd=0, rs1=7, imm=0))
    return bytes(code.data)


def _outcomes(cases: list[Case]) -> Iterator[list[tuple[int, int]]]:
    """(signal, address) of every case on qemu, then on our hart."""
    file, _ = _program(cases)
    theirs = execute.qemu(file)
    if theirs.problem:
        raise RuntimeError(f"qemu {theirs.problem}")
    yield [_RECORD.unpack_from(theirs.output, _RECORD.size * n)[2:4] for n in range(len(cases))]
    runner = Runner(elf.read(file), execute.chip(), keep=False)
    runner.hart.ls_size = runner.end - runner.low
    while True:
        try:
            runner.run()
            break
        except HartTrap as trap:
            _note(runner, trap)
    yield [_RECORD.unpack_from(runner.output, _RECORD.size * n)[2:4] for n in range(len(cases))]


def _note(runner: Runner, trap: HartTrap) -> None:
    """What the signal handler does on qemu."""
    (record,) = struct.unpack_from("<Q", runner.memory.bytes, _CURRENT - runner.low)
    behind = struct.unpack_from("<Q", runner.memory.bytes, record - runner.low + 8)[0]
    signal = _SIGNALS.get(trap.cause, 11)
    struct.pack_into("<QQ", runner.memory.bytes, record - runner.low + 16, signal, trap.address)
    runner.hart.pc = behind
