"""Programs that only drive units: instruction words and the values they read, run on the whole machine."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mtia.isa import table
from mtia.isa.encode import encode
from mtia.isa.errors import UserError
from mtia.isa.xmtia.codes import DType
from mtia.runtime.device import Device
from mtia.runtime.elf import Program
from mtia.runtime.faults import Trap
from mtia.runtime.launch import LaunchResult, launch

__all__ = ["CONSTANTS", "DATA", "Outcome", "Script", "device", "run", "run_in_place", "set_global", "set_tile"]

TEXT = 0x4000_0000
CONSTANTS = 0x1000  # offset in local memory of the values that the harts read
DATA = 0x8000  # offset in local memory from which on a program's data may lie
_T0, _T1, _T2, _S0, _A1, _A2 = 5, 6, 7, 8, 11, 12
_WINDOW = 2040  # bytes that a load reaches from its base register
_MASK = (1 << 64) - 1


@functools.cache
def device(chip: str) -> Device:
    """The device of a chip that all programs of a process share."""
    return Device(chip)


class Pool:
    """The 64-bit values of all harts of a program, in local memory from `CONSTANTS` on."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def add(self, value: int) -> int:
        """Append a value; returns its offset in the pool."""
        self.values.append(value & _MASK)
        if 8 * len(self.values) > DATA - CONSTANTS:
            raise UserError("too many values for one program")
        return 8 * (len(self.values) - 1)

    @property
    def room(self) -> int:
        """Values that still fit."""
        return (DATA - CONSTANTS) // 8 - len(self.values)


class Script:
    """The instructions of one hart; values of source registers are given as numbers."""

    def __init__(self, pool: Pool | None = None) -> None:
        self.pool = pool or Pool()
        self.words: list[int] = []
        self._base = 0  # what s0 points at, from the start of the pool
        self._known: dict[int, int] = {}

    def instruction(self, name: str, **fields: int) -> Script:
        """Append one instruction with its fields as they are encoded."""
        self.words.append(_word(name, tuple(fields.items())))
        return self

    def load(self, register: int, value: int) -> None:
        """Put a 64-bit value into a register."""
        value &= _MASK
        if value < 2048:
            self.instruction("addi", rd=register, rs1=0, imm=value)
            return
        place = self._known.get(value, -1)
        if not 0 <= place - self._base <= _WINDOW:
            place = self._known[value] = self.pool.add(value)
        while place - self._base > _WINDOW:
            self.instruction("addi", rd=_S0, rs1=_S0, imm=_WINDOW)
            self._base += _WINDOW
        self.instruction("ld", rd=register, rs1=_S0, imm=place - self._base)

    def do(self, name: str, rs1: int | None = None, rs2: int | None = None, **fields: int) -> Script:
        """Append an Xmtia instruction; rs1 and rs2 are the values that its source registers hold."""
        for key, register, value in (("rs1", _T0, rs1), ("rs2", _T1, rs2)):
            if value is not None:
                self.load(register, value)
                fields[key] = register
        return self.instruction(name, **fields)

    def store(self, register: int, offset: int) -> Script:
        """Store a register at an offset of local memory."""
        self.load(_T2, 0x1000_0000 + offset)
        return self.instruction("sd", rs1=_T2, rs2=register, imm=0)

    def cb(self, cb: int, base: int, slot_bytes: int, slots: int = 1, space: int = 0) -> Script:
        """Define a circular buffer."""
        return self.do("xm.cb.init", base | space << 32, slot_bytes | slots << 32, cb=cb)


@functools.lru_cache(maxsize=1 << 16)
def _word(name: str, fields: tuple[tuple[str, int], ...]) -> int:
    row = table.find(name)
    assert row is not None, name
    return encode(row, dict(fields))


def set_tile(
    script: Script, td: int, cb: int, dtype: int, shape: tuple[int, int], strides: tuple[int, int], offset: int = 0,
    side: int = 1, slot: int = 0, inc: int = 0, flags: int = 0,
) -> Script:  # fmt: skip
    """Give tile register `td` a local view."""
    script.do("xm.td.local", cb | side << 8 | slot << 12 | int(dtype) << 16 | flags << 24, offset, td=td)
    packed = strides[0] & 0xFFFFFFFF | (strides[1] & 0xFFFFFFFF) << 32
    script.do("xm.td.shape", shape[0] | shape[1] << 32, packed, td=td)
    return script.do("xm.td.inc", inc, td=td)


def set_global(
    script: Script, td: int, address: int, dtype: DType, dims: list[tuple[int, int]],
    clip: Mapping[int, tuple[int, int]] | None = None, fill: int = 0, inc: int = 0,
) -> Script:  # fmt: skip
    """Give tile register `td` a view of device memory; `dims` are (size, stride in bytes)."""
    script.do("xm.gd.base", address, int(dtype) | len(dims) << 8, gd=td)
    for k, (size, stride) in enumerate(dims):
        script.do("xm.gd.dim", size, stride, gd=td, k=k)
    for k, (low, high) in (clip or {}).items():
        script.do("xm.gd.clip", low, high, gd=td, k=k)
    script.do("xm.gd.fill", fill, gd=td)
    return script.do("xm.td.inc", inc, td=td)


@dataclass
class Outcome:
    """What a run left: cycles, a trap or None, and the memories of the PEs that took part, by PE."""

    cycles: int
    trap: Trap | None
    ls: Any = field(repr=False)
    acc: Any = field(repr=False)


def _assemble(scripts: Mapping[tuple[int, int], Script]) -> bytes:
    """The text: each hart finds its script by PE and core."""
    head = 2 + 3 * len(scripts) + 1
    place, words = head, [_word("slli", (("rd", _T0), ("rs1", _A1), ("shamt", 1)))]
    words.append(_word("add", (("rd", _T0), ("rs1", _T0), ("rs2", _A2))))
    for (pe, core), script in scripts.items():
        words.append(_word("addi", (("rd", _T1), ("rs1", 0), ("imm", 2 * pe + core))))
        words.append(_word("bne", (("rs1", _T0), ("rs2", _T1), ("target", 8))))
        words.append(_word("jal", (("rd", 0), ("target", 4 * (place - len(words))))))
        place += len(script.words) + 2
    words.append(_word("xm.exit", ()))
    for script in scripts.values():
        words.append(_word("lui", (("rd", _S0), ("upper", 0x1000_0000 + CONSTANTS))))
        words += script.words
        words.append(_word("xm.exit", ()))
    return struct.pack(f"<{len(words)}I", *words)


Scripts = Script | Mapping[tuple[int, int], Script]


def _launch(chip: str, scripts: Scripts, data: Any, interpreter: str) -> tuple[LaunchResult, int]:
    """Launch scripts; returns the result and how many PEs took part."""
    if isinstance(scripts, Script):
        scripts = {(0, 0): scripts}
    pes, cores = (1 + max(key[n] for key in scripts) for n in (0, 1))
    pool = next(iter(scripts.values())).pool.values
    images = ((CONSTANTS, struct.pack(f"<{len(pool)}Q", *pool)), (DATA, bytes(data)))
    program = Program("units", TEXT, TEXT, _assemble(scripts), images, {"cores": cores}, {}, b"")
    return launch(device(chip), program, (pes,), (), interpreter=interpreter), pes


def run(chip: str, scripts: Scripts, data: Any = b"", interpreter: str = "fast") -> Outcome:
    """Run scripts (by PE and core; one alone runs on core A of PE 0) with `data` in local memory from `DATA` on."""
    result, pes = _launch(chip, scripts, data, interpreter)
    machine = device(chip)
    host = machine.machine(interpreter)
    size, acc_size = machine.chip.ls.bytes, machine.chip.re.bytes
    ls = np.frombuffer(host.regions["ls"].bytes(0, size * pes), np.uint8).reshape(pes, size).copy()
    acc = np.frombuffer(host.regions["acc"].bytes(0, acc_size * pes), np.uint8).reshape(pes, acc_size).copy()
    return Outcome(result.cycles, result.trap, ls, acc)


def run_in_place(chip: str, scripts: Scripts) -> int:
    """Run scripts whose results are in device memory; returns the cycles, a trap is an exception."""
    return _launch(chip, scripts, b"", "fast")[0].check().cycles
