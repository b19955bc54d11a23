"""A machine whose harts run scripts: lists of Xmtia instructions with the register values they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mtia.isa import table
from mtia.isa.chip import load_chip
from mtia.isa.lang import FnPtr, Ptr, addr, fn, u32
from mtia.isa.state import Hart, Insn
from mtia.isa.xmtia.codes import DType
from mtia.isa.xmtia.engines import meanings, timings
from mtia.runtime.faults import trap_of
from mtia.runtime.machine import loop
from mtia.runtime.machine.engine import Fast, Interpreter, Reference
from mtia.runtime.machine.host import Host
from mtia.runtime.machine.library import operations
from mtia.runtime.machine.memory import DRAM_BASE, flush_llc, warm_llc
from mtia.runtime.machine.state import AT_COMMAND, AT_EXIT, AT_HORIZON, RING, UNITS, HartControl, ring_of

END = 0xFFFF
A, B = 10, 11  # registers that carry the values

_M, _T = "meaning of ", "timing of "
DTYPES = {dtype.name.lower(): dtype for dtype in DType}


@fn
def run_script(c: Ptr[HartControl]) -> u32:
    """Execute a script: `Hart.reservation` is its address, pc counts its instructions by four."""
    h = c.hart
    while h.time < h.horizon:
        i = addr(Ptr[Insn](h.reservation)[h.pc >> 2])
        if i.row == END:
            return AT_EXIT
        h.x[A] = i.a
        h.x[B] = i.b
        if i.handler == 0:
            c.insn = i
            return AT_COMMAND
        meaning = FnPtr[(Ptr[Hart], Ptr[Insn]), u32](i.handler)
        meaning(h, i)
        h.pc += 4
        h.time += 1
    return AT_HORIZON


def functions() -> dict[str, Any]:
    """What the rig needs of the machine, and the instructions that the hart executes itself."""
    rows = {row.name: row.meaning for row in table.all() if row.name.startswith("xm.") and row.unit == "hart"}
    units = {_M + name: f for name, f in meanings().items()} | {_T + name: f for name, f in timings().items()}
    machine = {"run_machine": loop.run_machine, "start_hart": loop.start_hart, "flush_llc": flush_llc}
    return {**machine, "run_script": run_script, **rows, **units}


@dataclasses.dataclass(frozen=True)
class Times:
    """Cycles of a command."""

    issued: int
    started: int
    finished: int


class Script:
    """A list of instructions for one hart."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, int], int, int]] = []

    def do(self, name: str, a: int = 0, b: int = 0, /, **fields: int) -> Script:
        """Append an instruction: register values a (rs1) and b (rs2), other fields by operand name."""
        self.entries.append((name, fields, a, b))
        return self

    def cb(self, cb: int, base: int, slot_bytes: int, slots: int, space: int = 0) -> Script:
        return self.do("xm.cb.init", base | space << 32, slot_bytes | slots << 32, cb=cb)

    def local(
        self, td: int, cb: int, shape: tuple[int, int], dtype: str = "f32", side: int = 1, slot: int = 0,
        offset: int = 0, strides: tuple[int, int] | None = None, inc: int = 0,
    ) -> Script:  # fmt: skip
        code = DTYPES[dtype]
        rs, cs = strides or (shape[1] * code.bytes, code.bytes)
        self.do("xm.td.local", cb | side << 8 | slot << 12 | code << 16, offset, td=td)
        self.do("xm.td.shape", shape[0] | shape[1] << 32, rs & 0xFFFFFFFF | (cs & 0xFFFFFFFF) << 32, td=td)
        return self.do("xm.td.inc", inc, td=td) if inc else self

    def remote(
        self, td: int, address: int, dims: list[tuple[int, int]], dtype: str = "f32",
        clip: dict[int, tuple[int, int]] | None = None, fill: int = 0, inc: int = 0,
    ) -> Script:  # fmt: skip
        self.do("xm.gd.base", address, DTYPES[dtype] | len(dims) << 8, gd=td)
        for k, (size, stride) in enumerate(dims):
            self.do("xm.gd.dim", size, stride & (1 << 64) - 1, gd=td, k=k)
        for k, (lo, hi) in (clip or {}).items():
            self.do("xm.gd.clip", lo & (1 << 64) - 1, hi & (1 << 64) - 1, gd=td, k=k)
        if inc:
            self.do("xm.td.inc", inc, td=td)
        return self.do("xm.gd.fill", fill, gd=td)


class Rig:
    """A machine with scripts; `interpreter` is "reference" or "fast". `changed` replaces numbers of the chip: a table
    of values by section.
    """

    def __init__(
        self, interpreter: str = "reference", chip: str = "mtia200", changed: dict[str, dict[str, int]] | None = None
    ) -> None:
        self.chip = load_chip(chip)
        for section, values in (changed or {}).items():
            new: Any = dataclasses.replace(getattr(self.chip, section), **values)
            self.chip = dataclasses.replace(self.chip, **{section: new})
        self.keep: list[Any] = []
        self.engine: Interpreter = Reference(functions())
        if interpreter == "fast":
            self.engine = Fast(functions, "machine-test", Path(__file__))
        self.host = Host(self.chip, self.engine)
        self.host.machine.run_hart = self.engine.address("run_script")
        self.host.set_ops(self.engine.keep("ops", operations), self.engine.addresses())
        self.next = DRAM_BASE

    def put(self, array: np.ndarray, align: int = 4096) -> int:
        """Copy an array to DRAM; returns its address."""
        address = -(-self.next // align) * align
        self.next = address + array.nbytes
        self.dram(address, array.nbytes)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return address

    def dram(self, address: int, size: int) -> Any:
        return np.frombuffer(self.host.regions["dram"].bytes(address - DRAM_BASE, size), np.uint8)

    def get(self, address: int, like: np.ndarray) -> np.ndarray:
        out: np.ndarray = self.dram(address, like.nbytes).view(like.dtype).reshape(like.shape).copy()
        return out

    def ls(self, pe: int, offset: int, like: np.ndarray) -> Any:
        raw = self.host.regions["ls"].bytes(pe * self.chip.ls.bytes + offset, like.nbytes)
        return np.frombuffer(raw, np.uint8).view(like.dtype).reshape(like.shape)

    def start(self, scripts: dict[tuple[int, int], Script]) -> None:
        for (pe, hart), script in scripts.items():
            code = Insn.alloc(len(script.entries) + 1)
            self.keep.append(code)
            for n, (name, fields, a, b) in enumerate(script.entries):
                row = table.find(name)
                assert row is not None, name
                i = Insn.view(code.addr + n * Insn.size)
                i.row, i.a, i.b, i.pc = table.all().index(row), a, b, 4 * n
                i.rd, i.rs1, i.rs2 = 32, A, B
                for operand, value in fields.items():
                    setattr(i, row.by_name[operand].slot, value)
                i.handler = self.engine.address(row.name) if row.unit == "hart" else 0
            Insn.view(code.addr + len(script.entries) * Insn.size).row = END
            self.host.registers["reservation"][pe, hart] = code.addr
            self.host.start_hart(pe, hart, 0)

    def commands(self, unit: int, pe: int = 0, hart: int = 0) -> list[Times]:
        """When each command that a hart gave to a unit (at most 64, the last ones) was issued, began and ended."""
        channel = self.host.pe(pe).channels[hart * UNITS + unit]
        ring = [ring_of(channel)[n % RING] for n in range(max(channel.issued - RING, 0), channel.issued)]
        return [Times(int(c.issued), int(c.started), int(c.finished)) for c in ring]

    @property
    def cycles(self) -> int:
        return int(self.host.machine.time)

    def trap(self, ended: int) -> Any:
        return trap_of(ended, self.host, None)

    def run(self, scripts: dict[tuple[int, int], Script], warm: Sequence[tuple[int, int]] = ()) -> int:
        """Run the scripts with some (address, size) ranges resident in the LLC; returns how it ended."""
        self.host.reset()
        for address, size in warm:
            warm_llc(self.host.machine, address, size)
        self.start(scripts)
        return self.engine.run("run_machine", self.host.machine)
