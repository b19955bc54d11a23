"""Traps and deadlocks in words: what happened, where, and in which source line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtia.isa.xmtia.codes import Cause, DType
from mtia.runtime.elf import Program
from mtia.runtime.machine.memory import LS_BASE
from mtia.runtime.machine.state import (
    BAD_SIZE,
    BAD_SLOTS,
    DONE,
    HART_STATES,
    HARTS,
    NO_DETAIL,
    NO_UNIT,
    RING_MASK,
    STUCK,
    TOO_LONG,
    UNDEFINED,
    UNIT_NAMES,
    UNIT_STATES,
    UNITS,
    WAIT_POP,
    WAIT_PUSH,
    WAIT_QUEUE,
    WAIT_READ,
    WAIT_UNITS,
    WAIT_WRITE,
)

__all__ = ["MachineTrap", "Trap", "trap_of"]

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
        who = "" if self.pe is None else f" (PE {self.pe}, {self.unit or f'hart {self.hart}'}"
        where = "" if self.pc is None else f", pc {self.pc:#x}"
        word = f", {_disassembled(self.word)}" if self.word else ""
        tail = f"{who}{where}{word}, cycle {self.time})" if who else f" (cycle {self.time})"
        return "\n".join([f"{place}trap: {self.message}{tail}", *(f"  {line}" for line in self.details)])


class MachineTrap(Exception):
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
    operand = f"operand {t.detail + 1}"
    texts = {
        Cause.BOUNDS: f"{operand} reaches outside its memory: {t.value:#x} of {t.limit:#x}",
        Cause.BUFFER: _buffer(t, operand),
        Cause.FORM: f"{operand}: the tile register has form {t.value}, {t.limit} is needed",
        Cause.TYPE: f"{operand}: element type {_dtype(t.value)} does not fit",
        Cause.SHAPE: f"{operand}: {t.value} rows, {t.limit} needed, or the columns differ",
        Cause.SPACE: _GENERAL[Cause.SPACE],
        Cause.ALIGN: f"DMA address {t.value:#x} is not a multiple of {t.limit}",
        Cause.UNWRITTEN: f"local memory at {LS_BASE + t.value:#x} is read, but nothing was written there",
        Cause.DEADLOCK: f"harts meet at different barriers, {t.value} and {t.limit}",
    }
    return texts.get(t.cause, f"cause {t.cause}")


def trap_of(ended: int, host: Any, program: Program | None) -> Trap:
    """The trap that a run ended with."""
    m = host.machine
    if ended == STUCK:
        return _stopped("DEADLOCK", "deadlock: every hart and unit waits", host, program)
    if ended == TOO_LONG:
        return _stopped(RUNAWAY, f"the program ran longer than {m.limit} cycles", host, program)
    t = m.trap
    source = program.source(t.pc) if program else None
    return Trap(
        _name(t.cause),
        _message(t),
        t.pe,
        t.hart,
        UNIT_NAMES[t.unit] if t.unit != NO_UNIT else None,
        t.pc,
        t.word,
        t.time,
        source[0] if source else None,
        source[1] if source else None,
    )


@dataclass(frozen=True)
class _Wait:
    """Who waits for what, and the instruction it stands at."""

    pe: int
    hart: int
    unit: str | None
    why: str
    pc: int

    def text(self, program: Program | None) -> str:
        who = f"{self.unit} of hart {self.hart}" if self.unit else f"hart {self.hart}"
        source = program.source(self.pc) if program else None
        return f"PE {self.pe} {who} waits: {self.why}" + (f" ({source[0]}:{source[1]})" if source else "")


def _stopped(cause: str, message: str, host: Any, program: Program | None, limit: int = 16) -> Trap:
    """A trap that no instruction caused: it names the first that waits, and lists the others of the first PEs."""
    waits = [wait for index in range(host.chip.pes) for wait in _pe_waits(host, index)]
    details = [wait.text(program) for wait in waits[:limit]]
    if len(waits) > limit:
        details.append(f"… and {len(waits) - limit} more")
    if not waits:
        return Trap(cause, message, time=host.machine.time)
    first = waits[0]
    file, line = (program.source(first.pc) if program else None) or (None, None)
    word = _word(program, first.pc) if program else None
    where = (first.pe, first.hart, first.unit, first.pc)
    return Trap(cause, message, *where, word, host.machine.time, file, line, tuple(details))


def _word(program: Program, pc: int) -> int | None:
    """The instruction at an address of the program's text."""
    at = pc - program.text_base
    if not 0 <= at < len(program.text):
        return None
    size = 4 if program.text[at] & 3 == 3 else 2
    return int.from_bytes(program.text[at : at + size], "little")


def _pe_waits(host: Any, index: int) -> list[_Wait]:
    pe, waits = host.pe(index), []
    for hart in range(HARTS):
        control = pe.harts[hart]
        if WAIT_QUEUE <= control.state < DONE:
            why = HART_STATES[control.state] + _reason(pe, control)
            waits.append(_Wait(index, hart, None, why, int(host.registers["pc"][index, hart])))
    for n in range(HARTS * UNITS):
        channel = pe.channels[n]
        if channel.started != channel.issued:
            command = channel.ring[channel.started & RING_MASK]
            why = _command_waits(pe, command)
            waits.append(_Wait(index, n // UNITS, UNIT_NAMES[n % UNITS], why, command.pc))
    return waits


def _reason(pe: Any, control: Any) -> str:
    """What a hart's wait is about."""
    if control.state in (WAIT_PUSH, WAIT_POP, WAIT_READ, WAIT_WRITE):
        return f" of {_cb(pe, control.arg)}"
    if control.state == WAIT_QUEUE:
        return f" of {UNIT_NAMES[control.arg % UNITS]}"
    if control.state == WAIT_UNITS:
        busy = [UNIT_NAMES[n % UNITS] for n in range(HARTS * UNITS) if pe.channels[n].retired != pe.channels[n].issued]
        return f" for {', '.join(busy)}"
    return ""


def _cb(pe: Any, index: int) -> str:
    cb = pe.cbs[index]
    return f"cb{index % 16} of hart {index // 16} (pushed {cb.pushed}, popped {cb.popped}, {cb.slots} slots)"


def _command_waits(pe: Any, command: Any) -> str:
    for k in range(command.operands):
        w = command.wait[k]
        if w.kind:
            what = "element" if w.kind == 1 else "space"
            return f"{what} check of operand {k + 1}, slot {w.number} of {_cb(pe, w.cb)}"
    for c in range(HARTS * UNITS):
        if pe.channels[c].retired < command.need[c]:
            return f"command {command.need[c]} of {UNIT_NAMES[c % UNITS]}, hart {c // UNITS}"
    return UNIT_STATES[0]
