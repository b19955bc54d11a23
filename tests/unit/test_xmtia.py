"""Xmtia as a whole: the rows, what the manual lists, and the tile registers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mtia.isa import table
from mtia.isa.lang import u64
from mtia.isa.state import Hart, Insn
from mtia.isa.table import Instruction
from mtia.isa.xmtia.codes import Cause, DType, Form, Info
from mtia.isa.xmtia.engines import meanings, timings
from mtia.isa.xmtia.state import CpState, TileReg
from mtia.isa.xmtia.statements import chapter

ROWS = [row for row in table.all() if row.name.startswith("xm.")]
ELSEWHERE = {"xm.re.send", "xm.re.recv"}  # the machine completes what crosses PEs


def test_every_unit_command_has_a_meaning_and_a_timing() -> None:
    names = {row.name for row in ROWS if row.unit in ("mlu", "dpe", "re", "se")}
    assert set(meanings()) == names - ELSEWHERE
    assert set(timings()) == names


def test_rows_stay_in_the_custom_opcodes() -> None:
    opcodes = {"cp": {0x2B}, "hart": {0x2B}, "se": {0x0B, 0x5B}}
    for row in ROWS:
        assert row.match & 0x7F in opcodes.get(row.unit, {0x0B}), row.name


def test_the_manual_lists_every_type_and_cause() -> None:
    text = (Path(table.__file__).parent / "chapters" / "30-units.md").read_text(encoding="utf-8")
    for dtype in DType:
        assert f"| {int(dtype)} | `{dtype.name.lower()}` |" in text
    for cause in Cause:
        assert f"| {int(cause)} | {cause.name} |" in text


def test_the_manual_states_the_nonlinear_functions() -> None:
    text = chapter()
    for name in ("exp", "log2", "tanh", "gelu", "sine_large", "pow_", "lut_exp"):
        assert f"\ndef {name}(" in text
    assert "| ERFCX | 0x1.3ba5916e9fd4fp+0, " in text and "0xa2f9836e4e441529" in text


class Harness:
    """A hart with its command processor's registers, executing configuration rows by the reference."""

    def __init__(self) -> None:
        self.hart_memory, self.cp_memory, self.insn_memory = Hart.alloc(), CpState.alloc(), Insn.alloc()
        self.hart: Any = Hart.view(self.hart_memory.addr)
        self.cp: Any = CpState.view(self.cp_memory.addr)
        self.insn: Any = Insn.view(self.insn_memory.addr)
        self.hart.unit = self.cp_memory.addr

    def execute(self, name: str, *, rs1: int = 0, rs2: int = 0, rd: int = 0, imm: int = 0) -> None:
        self.hart.x[1], self.hart.x[2] = int(u64(rs1)), int(u64(rs2))
        self.insn.rd, self.insn.rs1, self.insn.rs2, self.insn.imm = rd, 1, 2, imm
        row: Instruction | None = table.find(name)
        assert row is not None
        meaning: Any = row.meaning
        assert meaning(self.hart_memory, self.insn_memory) == 0

    def register(self, number: int) -> Any:
        return TileReg.view(self.cp_memory.addr + number * TileReg.size)


def test_local_registers() -> None:
    h = Harness()
    word = 5 | 1 << 8 | 3 << 12 | int(DType.F16) << 16 | 1 << 24
    h.execute("xm.td.local", rd=31, rs1=word, rs2=128)
    h.execute("xm.td.shape", rd=31, rs1=64 | 32 << 32, rs2=(1 << 32) - 4 | 2 << 32)
    h.execute("xm.td.inc", rd=31, rs1=-64)
    t = h.register(31)
    assert (t.form, t.cb, t.side, t.slot, t.dtype, t.flags, t.offset) == (int(Form.LOCAL), 5, 1, 3, 1, 1, 128)
    assert (t.rows, t.cols, t.rstride, t.cstride, t.inc) == (64, 32, -4, 2, -64)
    h.execute("xm.td.off", rd=31, rs1=256)
    assert (t.offset, t.rows) == (256, 64)
    h.execute("xm.td.imm", rd=30, rs1=0x3F800000, rs2=int(DType.F32))
    assert (h.register(30).form, h.register(30).bits, h.register(30).dtype) == (int(Form.IMMEDIATE), 0x3F800000, 0)


def test_global_registers() -> None:
    h = Harness()
    h.execute("xm.gd.base", rd=2, rs1=0x80_0000_1000, rs2=int(DType.BF16) | 3 << 8)
    h.execute("xm.gd.dim", rd=2, rs1=100, rs2=-8, imm=1)
    t = h.register(2)
    assert (t.form, t.base, t.dtype, t.rank) == (int(Form.GLOBAL), 0x80_0000_1000, 2, 3)
    assert (t.size[1], t.stride[1], t.lo[1], t.hi[1], t.size[0]) == (100, -8, 0, 100, 0)
    h.execute("xm.gd.clip", rd=2, rs1=-3, rs2=90, imm=1)
    h.execute("xm.gd.fill", rd=2, rs1=0xFF80)
    h.execute("xm.gd.addr", rd=2, rs1=0x80_0000_2000)
    assert (t.lo[1], t.hi[1], t.bits, t.base) == (-3, 90, 0xFF80, 0x80_0000_2000)


def test_rdinfo() -> None:
    h = Harness()
    h.cp.info[int(Info.RANK)], h.cp.info[int(Info.COLS)], h.hart.time = 17, 8, 1234
    for item, value in ((Info.RANK, 17), (Info.COLS, 8), (Info.CYCLE, 1234), (31, 0)):
        h.execute("xm.rdinfo", rd=5, imm=int(item))
        assert h.hart.x[5] == value
