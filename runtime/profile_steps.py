"""Following one hart instruction by instruction: what it read and wrote, what it issued, and what it waited for.

The hart runs a decoded program that stops the machine before each instruction (`hart_watch.stepped`); all other harts
run as ever, and events keep their order, so no cycle changes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.isa import decode, table
from mtia.isa.asm import disassemble
from mtia.isa.errors import UserError
from mtia.isa.operands import KINDS, Operand
from mtia.isa.state import DUMP, VLENB
from mtia.isa.xmtia.codes import DType, Form, Space
from mtia.runtime.elf import Program
from mtia.runtime.machine.hart_timing import is_vector
from mtia.runtime.machine.hart_watch import STEP
from mtia.runtime.machine.host import Host
from mtia.runtime.machine.memory import LS_BASE
from mtia.runtime.machine.optable import op_of
from mtia.runtime.machine.state import (
    DONE,
    H_MEMORY,
    HART_NAMES,
    HART_OFF,
    HART_STATES,
    NO_UNIT,
    RING_MASK,
    UNITS,
    WAIT_QUEUE,
    Transfer,
    ring_of,
)
from mtia.runtime.profile import Result, watch
from mtia.runtime.profile_lines import source_text

__all__ = ["LIMIT", "Stepper"]

LIMIT = 10_000  # instructions, unless asked otherwise
_SHOWN = 4  # elements of a vector register
_CAUSES = {**{n: HART_STATES[n] for n in range(WAIT_QUEUE, DONE)}, H_MEMORY: "memory"}
_MEMORY = ("load", "store", "amo", "vload", "vstore")


@dataclass(frozen=True)
class _Step:
    """The instruction that executes next, with what will be gone when it has."""

    pc: int
    time: int
    word: int
    found: decode.Fields | None
    reads: str
    address: int | None
    stalls: tuple[int, ...]


class Stepper:
    """Observes a launch and gives a line of text for each instruction of a hart to `emit`."""

    def __init__(self, emit: Callable[[str], None], pe: int, hart: int, limit: int = LIMIT) -> None:
        self._emit, self._pe, self._hart, self._limit = emit, pe, hart, limit
        self._step: _Step | None = None
        self._line: tuple[str, int] | None = None
        self._count = 0

    def begin(self, host: Host, program: Program, interpreter: str, harts: int) -> None:
        self._host, self._program = host, program
        if not self._pe < host.chip.pes or host.pes["harts"]["state"][self._pe].min() == HART_OFF:
            raise UserError(f"PE {self._pe} has no program in this launch")
        if self._hart >= harts:
            used = " and ".join(HART_NAMES[:harts])
            raise UserError(f"the launch uses {used} of a PE, not {HART_NAMES[self._hart]}")
        self._plain = int(host.pes["harts"]["code"][self._pe, self._hart])
        self._watcher = watch(host, program, interpreter, self._hart, "stepped", [self._pe])
        self._emit(f"# {program.kernel}: PE {self._pe}, {HART_NAMES[self._hart]}; cycle, cycles to the next, address")

    def resume(self) -> bool:
        machine = self._host.machine
        if machine.stop != STEP:
            return False
        hart = self._host.registers[self._pe, self._hart]
        self._finish(int(hart["time"]))
        if self._count >= self._limit:
            self._emit(f"# … {self._count} instructions shown (--trace-limit)")
            self._host.pes["harts"]["code"][self._pe, self._hart] = self._plain
        else:
            self._prepare(hart)
            self._watcher.watch(0).until = int(hart["instret"])
        machine.stop = 0
        return True

    def end(self, result: Result) -> None:
        control = self._host.pes["harts"][self._pe, self._hart]
        self._finish(int(control["end"]) if control["state"] == DONE else result.cycles)

    def _prepare(self, hart: Any) -> None:
        """Note the next instruction and its sources."""
        pc = int(hart["pc"])
        at = pc - self._program.text_base
        size = decode.size_at(self._program.text[at]) if 0 <= at < len(self._program.text) else 0
        word = int.from_bytes(self._program.text[at : at + size], "little") if size else 0
        found = decode.fields(word) if size else None
        reads = " ".join(_values(hart, found, False)) if found else ""
        stalls = tuple(self._host.pes["harts"]["stall"][self._pe, self._hart].tolist())
        self._step = _Step(pc, int(hart["time"]), word, found, reads, _address(hart, found), stalls)
        self._count += 1

    def _finish(self, time: int) -> None:
        """Say what the instruction did that was prepared last."""
        step, self._step = self._step, None
        if step is None:
            return
        line = self._program.source(step.pc)
        if line is not None and line != self._line and line[1]:
            text = source_text(self._program.folder, *line)
            self._emit(f"# {line[0]}:{line[1]}" + (f"  {text}" if text else ""))
            self._line = line
        notes = [step.reads] if step.reads else []
        if step.found is not None:
            hart = self._host.registers[self._pe, self._hart]
            if step.address is not None:
                notes.append(f"[{step.address:#x}]")
            if writes := " ".join(_values(hart, step.found, True)):
                notes.append(f"→ {writes}")
            notes += self._command(step.found)
        if waited := self._waited(step, time):
            notes.append(f"(waited: {waited})")
        head = f"{step.time:>9} +{time - step.time:<5} {step.pc:x}  {disassemble(step.word):<36}"
        self._emit(f"{head} {'  '.join(notes)}".rstrip())

    def _waited(self, step: _Step, time: int) -> str:
        """The cycles that the instruction spent asleep, by cause, or waiting for its sources."""
        now = self._host.pes["harts"]["stall"][self._pe, self._hart].tolist()
        slept = {name: now[cause] - step.stalls[cause] for cause, name in _CAUSES.items()}
        found = [f"{name} {cycles}" for name, cycles in slept.items() if cycles]
        row = step.found.row if step.found is not None else None
        if row is not None and row.flow is table.Flow.NEXT and row.unit == "hart" and not is_vector(row):
            sources = time - step.time - 1 - sum(slept.values())
            found += [f"operands {sources}"] if sources > 0 else []
        return ", ".join(found)

    def _command(self, found: decode.Fields) -> Iterator[str]:
        """The operands of a command as they were resolved at issue."""
        op = op_of(found.row) if found.row.unit != "hart" else None
        if op is None or op.unit == NO_UNIT:
            return
        pe = self._host.pe(self._pe)
        channel = pe.channels[self._hart * UNITS + op.unit]
        command = ring_of(channel)[(channel.issued - 1) & RING_MASK]
        for k in range(command.operands):
            yield _operand(command, k, pe)


def _values(hart: Any, found: decode.Fields, written: bool) -> Iterator[str]:
    """The registers that an instruction reads or writes, with their values."""
    for operand in found.row.operands:
        kind = operand.kind.name
        number = getattr(found, operand.slot, None) if operand.slot else None
        if number is None or not (operand.writes if written else operand.reads) or kind not in ("x", "f", "v"):
            continue
        if kind == "x" and number not in (0, DUMP):
            yield f"{_name(operand, number)}={int(hart['x'][number]):#x}"
        elif kind == "f":
            yield f"{_name(operand, number)}={_float(int(hart['f'][number]))}"
        elif kind == "v":
            yield f"v{number}={_vector(hart, number)}"


def _name(operand: Operand, number: int) -> str:
    return KINDS[operand.kind.name].show(number)


def _float(raw: int) -> str:
    """A floating-point register: the narrowest type that it is boxed as; 16 bits are shown raw: they may be bf16."""
    if raw >> 16 == (1 << 48) - 1:
        return f"{raw & 0xFFFF:#06x}"
    if raw >> 32 == (1 << 32) - 1:
        return f"{struct.unpack('<f', struct.pack('<I', raw & 0xFFFFFFFF))[0]:g}f"
    return f"{struct.unpack('<d', struct.pack('<Q', raw))[0]:g}"


def _vector(hart: Any, number: int) -> str:
    """The first elements of a vector register at the present width, in hexadecimal."""
    size = int(hart["vsew"]) or 8
    raw = hart["v"][number * VLENB : (number + 1) * VLENB].tobytes()
    count = min(_SHOWN, int(hart["vl"]) or 1, VLENB // size)
    elements = np.frombuffer(raw, f"<u{size}")[:count].tolist()
    more = " …" if count < min(int(hart["vl"]), VLENB // size) else ""
    return "[" + " ".join(f"{value:0{2 * size}x}" for value in elements) + more + "]"


def _address(hart: Any, found: decode.Fields | None) -> int | None:
    """What a load, store or atomic instruction reaches first."""
    if found is None or found.row.timing not in _MEMORY:
        return None
    offset = found.imm if found.row.timing in ("load", "store") else 0
    return (int(hart["x"][found.rs1]) + offset) & (1 << 64) - 1


def _operand(command: Any, k: int, pe: Any) -> str:
    """An operand of an issued command: where it is, its shape and type."""
    o = command.operand[k]
    if o.form == Form.IMMEDIATE:
        return f"{{{_dtype(o.dtype)} {o.bits:#x}}}"
    if o.form == Form.GLOBAL:
        g = Transfer.view(int(command.transfer)).remote
        sizes = "x".join(str(g.size[d]) for d in range(g.rank))
        valid = "".join(f" valid {g.lo[d]}…{g.hi[d]}@{d}" for d in range(g.rank) if g.lo[d] > 0 or g.hi[d] < g.size[d])
        return f"{{{g.base:#x} {sizes} {_dtype(g.dtype)}{valid}}}"
    place = f"acc+{o.ptr - pe.acc:#x}" if o.space == Space.RE else f"{LS_BASE + o.ptr - pe.ls:#x}"
    return f"{{{place} {o.rows}x{o.cols} {_dtype(o.dtype)}}}"


def _dtype(code: int) -> str:
    return DType(code).name.lower() if code in set(DType) else f"type {code}"
