"""Tile registers: custom-1, funct3 001 (local and immediate form) and 010 (global form). The hart executes these."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, i32, i64, u32, u64
from mtia.isa.state import OK, Hart, Insn
from mtia.isa.table import extension
from mtia.isa.xmtia.codes import Form
from mtia.isa.xmtia.state import CpState, TileReg

LOCAL = int(Form.LOCAL)
IMMEDIATE = int(Form.IMMEDIATE)
GLOBAL = int(Form.GLOBAL)

row = extension(
    "Xmtia tile registers",
    "A hart has 32 tile registers; each describes one operand of later commands. A command copies what it needs at "
    "issue, so a register may change at once. Instructions change the fields they name and leave the others. The "
    "local form is a view of a circular-buffer slot: element (r, c) lies at slot + offset + r·rstride + c·cstride; "
    "stride 0 broadcasts, swapped strides transpose. The immediate form is one value for every element. The global "
    "form is a view of device memory. After each command the registers it named advance by their increment.",
)


@fn
def register(h: Ptr[Hart], number: u32) -> Ptr[TileReg]:
    cp = Ptr[CpState](h.unit)
    return Ptr[TileReg](u64(addr(cp.td[number])))


@row(
    "xm.td.local td, rs1, rs2",
    "0000000 rs2 rs1 001 td 0101011",
    "Local form: cb = rs1[7:0], side = rs1[11:8], slot = rs1[15:12], dtype = rs1[23:16], flags = rs1[31:24], offset = "
    "rs2 bytes.",
    timing="alu",
)
@fn
def td_local(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    t = register(h, u32(i.rd))
    word = h.x[i.rs1]
    t.form = LOCAL
    t.cb = u32(word & 255)
    t.side = u32(word >> 8 & 15)
    t.slot = u32(word >> 12 & 15)
    t.dtype = u32(word >> 16 & 255)
    t.flags = u32(word >> 24 & 255)
    t.offset = h.x[i.rs2]
    return OK


@row(
    "xm.td.shape td, rs1, rs2",
    "0000001 rs2 rs1 001 td 0101011",
    "rows = rs1[31:0], cols = rs1[63:32], rstride = rs2[31:0] and cstride = rs2[63:32] (signed bytes).",
    timing="alu",
)
@fn
def td_shape(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    t = register(h, u32(i.rd))
    shape = h.x[i.rs1]
    strides = h.x[i.rs2]
    t.rows = u32(shape)
    t.cols = u32(shape >> 32)
    t.rstride = i32(u32(strides))
    t.cstride = i32(u32(strides >> 32))
    return OK


@row("xm.td.off td, rs1", "0000010 00000 rs1 001 td 0101011", "offset = rs1 bytes from the slot.", timing="alu")
@fn
def td_off(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    register(h, u32(i.rd)).offset = h.x[i.rs1]
    return OK


@row(
    "xm.td.inc td, rs1",
    "0000011 00000 rs1 001 td 0101011",
    "Increment = rs1: each command that names the register adds it to the offset (local form) or base (global form).",
    timing="alu",
)
@fn
def td_inc(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    register(h, u32(i.rd)).inc = i64(h.x[i.rs1])
    return OK


@row(
    "xm.td.imm td, rs1, rs2",
    "0000100 rs2 rs1 001 td 0101011",
    "Immediate form: every element is the value with bits rs1 of type rs2[7:0].",
    timing="alu",
)
@fn
def td_imm(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    t = register(h, u32(i.rd))
    t.form = IMMEDIATE
    t.bits = h.x[i.rs1]
    t.dtype = u32(h.x[i.rs2] & 255)
    return OK


@row(
    "xm.td.seed td, rs1",
    "0000101 00000 rs1 001 td 0101011",
    "Seed of stochastic conversions into the operand (flag 1 of td.local) = rs1; the register's immediate is lost.",
    timing="alu",
)
@fn
def td_seed(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    register(h, u32(i.rd)).bits = h.x[i.rs1]
    return OK


@row(
    "xm.gd.base gd, rs1, rs2",
    "0000000 rs2 rs1 010 gd 0101011",
    "Global form: address of element (0, …, 0) = rs1, dtype = rs2[7:0], rank = rs2[15:8] (1 to 4), flags = rs2[23:16].",
    timing="alu",
)
@fn
def gd_base(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    t = register(h, u32(i.rd))
    word = h.x[i.rs2]
    t.form = GLOBAL
    t.base = h.x[i.rs1]
    t.dtype = u32(word & 255)
    t.rank = u32(word >> 8 & 255)
    t.flags = u32(word >> 16 & 255)
    return OK


@row("xm.gd.addr gd, rs1", "0000001 00000 rs1 010 gd 0101011", "Address of element (0, …, 0) = rs1.", timing="alu")
@fn
def gd_addr(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    register(h, u32(i.rd)).base = h.x[i.rs1]
    return OK


@row(
    "xm.gd.dim gd, rs1, rs2, k",
    "00001 k:zimm[1:0] rs2 rs1 010 gd 0101011",
    "Dimension k (0 = outermost): size = rs1, stride = rs2 bytes; its valid range becomes [0, size).",
    timing="alu",
)
@fn
def gd_dim(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    t = register(h, u32(i.rd))
    k = u32(i.imm)
    t.size[k] = h.x[i.rs1]
    t.stride[k] = i64(h.x[i.rs2])
    t.lo[k] = i64(0)
    t.hi[k] = i64(h.x[i.rs1])
    return OK


@row(
    "xm.gd.clip gd, rs1, rs2, k",
    "00010 k:zimm[1:0] rs2 rs1 010 gd 0101011",
    "Valid indices of dimension k are [rs1, rs2), signed; what lies outside [0, size) is never touched anyway.",
    timing="alu",
)
@fn
def gd_clip(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    t = register(h, u32(i.rd))
    k = u32(i.imm)
    t.lo[k] = i64(h.x[i.rs1])
    t.hi[k] = i64(h.x[i.rs2])
    return OK


@row(
    "xm.gd.fill gd, rs1",
    "0001100 00000 rs1 010 gd 0101011",
    "Elements outside the valid range read as the bits rs1.",
    timing="alu",
)
@fn
def gd_fill(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    register(h, u32(i.rd)).bits = h.x[i.rs1]
    return OK


@row(
    "xm.rdinfo rd, k",
    "0000011 k 00000 011 rd 0101011",
    "rd = item k of the launch: 0 PE rank, 1 core (0 = A, 1 = B), 2 PEs, 3 cores per PE, 4 row, 5 column, 6 rows, 7 "
    "columns of the launch's rectangle, 8 cycle counter; other items read as 0.",
    timing="csr",
)
@fn
def rdinfo(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    k = u32(i.imm)
    value = u64(0)
    if k < 8:
        value = Ptr[CpState](h.unit).info[k]
    elif k == 8:
        value = h.time
    h.x[i.rd] = value
    return OK
