"""C: 16-bit forms. Each expands to a base instruction at decode, so none has a meaning of its own.

Hints (a destination x0, a shift by 0, `c.nop` with a number) expand to instructions that change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtia.isa.table import extension

row = extension("C", "16-bit forms of common instructions.")

# syntax, encoding, base instruction, excluded operand values
_ROWS: tuple[tuple[str, str, str, dict[str, Sequence[int]]], ...] = (
    ("c.unimp", "0000000000000000", "csrrw x0, cycle, x0", {}),
    ("c.addi4spn rdc, sp, uimm", "000 uimm[5:4|9:6|2|3] rdc 00", "addi rdc, x2, uimm", {"uimm": (0,)}),
    ("c.fld fdc, uimm(rs1c)", "001 uimm[5:3] rs1c uimm[7:6] fdc 00", "fld fdc, uimm(rs1c)", {}),
    ("c.lw rdc, uimm(rs1c)", "010 uimm[5:3] rs1c uimm[2|6] rdc 00", "lw rdc, uimm(rs1c)", {}),
    ("c.ld rdc, uimm(rs1c)", "011 uimm[5:3] rs1c uimm[7:6] rdc 00", "ld rdc, uimm(rs1c)", {}),
    ("c.fsd fs2c, uimm(rs1c)", "101 uimm[5:3] rs1c uimm[7:6] fs2c 00", "fsd fs2c, uimm(rs1c)", {}),
    ("c.sw rs2c, uimm(rs1c)", "110 uimm[5:3] rs1c uimm[2|6] rs2c 00", "sw rs2c, uimm(rs1c)", {}),
    ("c.sd rs2c, uimm(rs1c)", "111 uimm[5:3] rs1c uimm[7:6] rs2c 00", "sd rs2c, uimm(rs1c)", {}),
    ("c.nop [hint]", "000 hint[5] 00000 hint[4:0] 01", "addi x0, x0, 0", {}),
    ("c.addi rd, imm", "000 imm[5] rd imm[4:0] 01", "addi rd, rd, imm", {"rd": (0,)}),
    ("c.addiw rd, imm", "001 imm[5] rd imm[4:0] 01", "addiw rd, rd, imm", {"rd": (0,)}),
    ("c.li rd, imm", "010 imm[5] rd imm[4:0] 01", "addi rd, x0, imm", {}),
    ("c.addi16sp sp, imm", "011 imm[9] 00010 imm[4|6|8:7|5] 01", "addi x2, x2, imm", {"imm": (0,)}),
    ("c.lui rd, upper", "011 upper[17] rd upper[16:12] 01", "lui rd, upper", {"rd": (2,), "upper": (0,)}),
    ("c.srli rdc, shamt", "100 shamt[5] 00 rdc shamt[4:0] 01", "srli rdc, rdc, shamt", {}),
    ("c.srai rdc, shamt", "100 shamt[5] 01 rdc shamt[4:0] 01", "srai rdc, rdc, shamt", {}),
    ("c.andi rdc, imm", "100 imm[5] 10 rdc imm[4:0] 01", "andi rdc, rdc, imm", {}),
    ("c.sub rdc, rs2c", "100 0 11 rdc 00 rs2c 01", "sub rdc, rdc, rs2c", {}),
    ("c.xor rdc, rs2c", "100 0 11 rdc 01 rs2c 01", "xor rdc, rdc, rs2c", {}),
    ("c.or rdc, rs2c", "100 0 11 rdc 10 rs2c 01", "or rdc, rdc, rs2c", {}),
    ("c.and rdc, rs2c", "100 0 11 rdc 11 rs2c 01", "and rdc, rdc, rs2c", {}),
    ("c.subw rdc, rs2c", "100 1 11 rdc 00 rs2c 01", "subw rdc, rdc, rs2c", {}),
    ("c.addw rdc, rs2c", "100 1 11 rdc 01 rs2c 01", "addw rdc, rdc, rs2c", {}),
    ("c.j target", "101 target[11|4|9:8|10|6|7|3:1|5] 01", "jal x0, target", {}),
    ("c.beqz rs1c, target", "110 target[8|4:3] rs1c target[7:6|2:1|5] 01", "beq rs1c, x0, target", {}),
    ("c.bnez rs1c, target", "111 target[8|4:3] rs1c target[7:6|2:1|5] 01", "bne rs1c, x0, target", {}),
    ("c.slli rd, shamt", "000 shamt[5] rd shamt[4:0] 10", "slli rd, rd, shamt", {}),
    ("c.fldsp fd, uimm(sp)", "001 uimm[5] fd uimm[4:3|8:6] 10", "fld fd, uimm(x2)", {}),
    ("c.lwsp rd, uimm(sp)", "010 uimm[5] rd uimm[4:2|7:6] 10", "lw rd, uimm(x2)", {"rd": (0,)}),
    ("c.ldsp rd, uimm(sp)", "011 uimm[5] rd uimm[4:3|8:6] 10", "ld rd, uimm(x2)", {"rd": (0,)}),
    ("c.jr rs1", "100 0 rs1 00000 10", "jalr x0, 0(rs1)", {"rs1": (0,)}),
    ("c.mv rd, rs2", "100 0 rd rs2 10", "add rd, x0, rs2", {"rs2": (0,)}),
    ("c.ebreak", "100 1 00000 00000 10", "ebreak", {}),
    ("c.jalr rs1", "100 1 rs1 00000 10", "jalr x1, 0(rs1)", {"rs1": (0,)}),
    ("c.add rd, rs2", "100 1 rd rs2 10", "add rd, rd, rs2", {"rs2": (0,)}),
    ("c.fsdsp fs2, uimm(sp)", "101 uimm[5:3|8:6] fs2 10", "fsd fs2, uimm(x2)", {}),
    ("c.swsp rs2, uimm(sp)", "110 uimm[5:2|7:6] rs2 10", "sw rs2, uimm(x2)", {}),
    ("c.sdsp rs2, uimm(sp)", "111 uimm[5:3|8:6] rs2 10", "sd rs2, uimm(x2)", {}),
)
for _syntax, _encoding, _base, _excludes in _ROWS:
    row(_syntax, _encoding, f"As `{_base}`.", timing="expanded", expands=_base, excludes=_excludes)
