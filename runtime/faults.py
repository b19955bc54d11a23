"""Traps and deadlocks in words: what happened, where, and in which source line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtia.isa.state import FIRST, READ, RESERVE
from mtia.isa.xmtia.codes import Cause, DType
from mtia.runtime.checks import DeviceRead
from mtia.runtime.elf import Program
from mtia.runtime.machine.memory import LS_BASE
from mtia.runtime.machine.state import (
    BAD_SIZE,
    BAD_SLOTS,
    HART_NAMES,
    IN_ACCUMULATORS,
    IN_PADDING,
    NO_DETAIL,
    NO_UNIT,
    STUCK,
    TOO_LONG,
    TOO_MANY,
    UNDEFINED,
    UNIT_NAMES,
)
from mtia.runtime.waits import circle, summary, waits

__all__ = ["MachineTrap", "Trap", "device_reads", "trap_of"]

_RISCV = {
    0: "misaligned instruction address",
    1: "jump to an address without code",
    2: "illegal instruction",
    3: "breakpoint",
    4: "misaligned load",
    5: "load outside memory",
    6: "misaligned store",
    7: "store outside memory",
    8: "environment call",
}
_GENERAL = {
    Cause.SHAPE: "the operands' shapes do not fit together",
    Cause.TYPE: "the unit does not take these element types on this chip",
    Cause.SPACE: "an operand must lie in RE, or must not; or there is no neighbour in this direction",
    Cause.INDEX: "a gather index is outside the source",
    Cause.FORM: "an operand has the wrong form",
}
RUNAWAY = "RUNAWAY"


@dataclass(frozen=True)
class Trap:
    """Why the machine stopped: `cause` is a stable name, `message` says it in one line, `details` are further lines."""

    cause: str
    message: str
    pe: int | None = None
    hart: int | None = None
    unit: str | None = None
    pc: int | None = None
    word: int | None = None
    time: int = 0
    file: str | None = None
    line: int | None = None
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        who = "" if self.pe is None else f" (PE {self.pe}, {self.unit or HART_NAMES[self.hart or 0]}"
        where = "" if self.pc is None else f", pc {self.pc:#x}"
        word = f", {_disassembled(self.word)}" if self.word else ""
        tail = f"{who}{where}{word}, cycle {self.time})" if who else f" (cycle {self.time})"
        return "\n".join([f"{place}trap: {self.message}{tail}", *(f"  {line}" for line in self.details)])


class MachineTrap(RuntimeError):
    """A program made the machine stop; `trap` says why."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(str(trap))
        self.trap = trap


def _disassembled(word: int) -> str:
    from mtia.isa.asm import disassemble

    return disassemble(word)


def _dtype(code: int) -> str:
    return DType(code).name if code in set(DType) else str(code)


def _name(cause: int) -> str:
    return Cause(cause).name if cause in set(Cause) else _RISCV.get(cause, f"cause {cause}").upper().replace(" ", "_")


def _buffer(t: Any, operand: str) -> str:
    """What is wrong with a circular buffer."""
    if t.detail == BAD_SLOTS:
        return f"a circular buffer has 1 to {t.limit} slots, not {t.value}"
    if t.detail == BAD_SIZE:
        return f"the circular buffer ends at {t.value:#x}, past its memory of {t.limit:#x} bytes"
    if t.detail == UNDEFINED:
        return f"circular buffer cb{t.value} is not defined (xm.cb.init)"
    return f"{operand} is {t.value} slots ahead in a circular buffer of {t.limit}"


def _message(t: Any) -> str:
    """What a trap record says, by its cause."""
    if t.cause in _RISCV:
        where = f" of {t.limit} bytes" if t.cause in (5, 7) else ""
        return _RISCV[t.cause] + (f"{where} at {t.value:#x}" if t.cause in (4, 5, 6, 7) else "")
    if t.cause in _GENERAL and t.detail == NO_DETAIL:
        return _GENERAL[t.cause]
    if t.cause == Cause.SHAPE and t.detail == TOO_MANY:
        return f"a tile has at most {t.limit} elements, not {t.value}"
    operand = f"operand {t.detail + 1}"
    texts = {
        Cause.BOUNDS: f"{operand} reaches outside its memory: {t.value:#x} of {t.limit:#x}",
        Cause.BUFFER: _buffer(t, operand),
        Cause.FORM: f"{operand}: the tile register has form {t.value}, {t.limit} is needed",
        Cause.TYPE: f"{operand}: element type {_dtype(t.value)} does not fit",
        Cause.SHAPE: f"{operand}: {t.value} rows, {t.limit} needed, or the columns differ",
        Cause.SPACE: _GENERAL[Cause.SPACE],
        Cause.ALIGN: f"DMA address {t.value:#x} is not a multiple of {t.limit}",
        Cause.UNWRITTEN: f"{_place(t)} is read, but nothing was written there",
        Cause.DEPENDS: f"control or addresses depend on data at {t.value:#x}, which a run without values does not make",
        Cause.DEADLOCK: f"harts meet at different barriers, {t.value} and {t.limit}",
    }
    return texts.get(t.cause, f"cause {t.cause}")


def _place(t: Any) -> str:
    """Where an unwritten byte is."""
    if t.detail == IN_ACCUMULATORS:
        return f"the accumulator at byte {t.value:#x} of RE"
    return f"local memory at {LS_BASE + t.value:#x}"


def _race(t: Any, host: Any, program: Program | None) -> tuple[str, str]:
    """The message of a race, and a line about the access that was there first."""
    in_re, writes = t.detail >> 1, t.detail & 1
    base = 0 if in_re else LS_BASE
    where = f"{'RE bytes' if in_re else 'local memory'} {base + t.value:#x} to {base + t.limit - 1:#x}"
    mine = "touches"
    if t.unit == NO_UNIT:
        mine = "reads" if int(host.registers["want_kind"][t.pe, t.hart]) in (READ, FIRST, RESERVE) else "writes"
    other = f"{UNIT_NAMES[t.other_unit]} of {HART_NAMES[t.other_hart]}"
    who = HART_NAMES[t.hart] if t.unit == NO_UNIT else f"{UNIT_NAMES[t.unit]} of {HART_NAMES[t.hart]}"
    verb = "writes" if writes else "reads"
    source = program.source(t.other_pc) if program else None
    word = _word(program, t.other_pc)
    first = f"first: PE {t.pe}, {other}, pc {t.other_pc:#x}" + (f", {_disassembled(word)}" if word else "")
    first += f" ({source[0]}:{source[1]})" if source else ""
    return f"race: {who} {mine} {where}, which {other} {verb}; neither waits for the other", first


def _outside(t: Any, host: Any) -> str:
    """Where an access lies that no buffer holds."""
    rows = host.area_rows
    below = [row for row in rows if row["start"] <= t.value] if rows is not None else []
    if not below:
        return f"device memory at {t.value:#x} lies outside every buffer"
    start, size = int(below[-1]["start"]), int(below[-1]["size"])
    buffer = f"the end of the buffer of {size} bytes at {start:#x}"
    what = "is written, in the padding" if t.detail == IN_PADDING else "lies outside every buffer"
    return f"device memory at {t.value:#x} {what}, {t.value - start - size} bytes past {buffer}"


def trap_of(ended: int, host: Any, program: Program | None) -> Trap:
    """The trap that a run ended with."""
    m = host.machine
    if ended == STUCK:
        return _stopped("DEADLOCK", "deadlock: every hart and unit waits", host, program)
    if ended == TOO_LONG:
        return _stopped(RUNAWAY, f"the program ran longer than {m.limit} cycles", host, program)
    t = m.trap
    message = _message(t)
    details: tuple[str, ...] = ()
    if t.cause == Cause.RACE:
        message, first = _race(t, host, program)
        details = (first,)
    elif t.cause == Cause.OUTSIDE:
        message = _outside(t, host)
    file, line = _source(program, t.pc)
    unit = UNIT_NAMES[t.unit] if t.unit != NO_UNIT else None
    return Trap(_name(t.cause), message, t.pe, t.hart, unit, t.pc, t.word, t.time, file, line, details)


def device_reads(host: Any, program: Program | None) -> tuple[DeviceRead, ...]:
    """What the checks of device memory have counted."""
    rows, found = host.area_rows, []
    for row in rows[(rows["unwritten"]["bytes"] > 0) | (rows["past"]["bytes"] > 0)]:
        for padding, entry in enumerate((row["unwritten"], row["past"])):
            if entry["bytes"]:
                unit = UNIT_NAMES[entry["unit"]] if entry["unit"] != NO_UNIT else None
                start, size, pc = int(row["start"]), int(row["size"]), int(entry["pc"])
                count, address, pe, hart = (int(entry[name]) for name in ("bytes", "address", "pe", "hart"))
                place = _source(program, pc)
                found.append(DeviceRead(start, size, bool(padding), count, address, pe, hart, unit, pc, *place))
    return tuple(found)


def _source(program: Program | None, pc: int) -> tuple[str | None, int | None]:
    """File and line of an instruction, where they are known."""
    return (program.source(pc) if program else None) or (None, None)


def _stopped(cause: str, message: str, host: Any, program: Program | None) -> Trap:
    """A trap that no instruction caused: it names the first that waits, the others in further lines, and the circle."""
    found = waits(host, running=cause == RUNAWAY)
    details = summary(found, program)
    around = circle(found) if cause != RUNAWAY else []
    if around:
        several = len({who.pe for who in around}) > 1
        details.append("circle: " + " -> ".join(f"PE {who.pe} {who}" if several else str(who) for who in around))
    if not found:
        return Trap(cause, message, time=host.machine.time)
    first = next((wait for wait in found if wait.pc), found[0])
    where = (first.who.pe, first.who.hart, first.who.unit, first.pc)
    place = _source(program, first.pc)
    return Trap(cause, message, *where, _word(program, first.pc), host.machine.time, *place, tuple(details))


def _word(program: Program | None, pc: int) -> int | None:
    """The instruction at an address of the program's text."""
    if program is None or not 0 <= pc - program.text_base < len(program.text):
        return None
    at = pc - program.text_base
    size = 4 if program.text[at] & 3 == 3 else 2
    return int.from_bytes(program.text[at : at + size], "little")
