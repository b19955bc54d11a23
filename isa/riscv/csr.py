"""Zicsr and Zicntr: control and status registers, counters.

Before a row of timing class `csr` the machine has `Hart.time` and `Hart.instret` up to date.
"""

from __future__ import annotations

from mtia.isa.lang import Fn, Ptr, boolean, fn, i64, local, u32, u64, unlikely
from mtia.isa.operands import KINDS
from mtia.isa.state import ILLEGAL, OK, VLENB, Hart, Insn
from mtia.isa.table import extension

row = extension("Zicsr", "Control and status registers. An unknown register, or writing a read-only one, is illegal.")

_number = KINDS["csr"].names
FFLAGS, FRM, FCSR = _number["fflags"], _number["frm"], _number["fcsr"]
VSTART, VXSAT, VXRM, VCSR = _number["vstart"], _number["vxsat"], _number["vxrm"], _number["vcsr"]
CYCLE, TIME, INSTRET, HARTID = _number["cycle"], _number["time"], _number["instret"], _number["mhartid"]
VL, VTYPE, VLENB_ = _number["vl"], _number["vtype"], _number["vlenb"]


@fn
def read_csr(h: Ptr[Hart], number: i64, value: Ptr[u64]) -> boolean:
    """Put a register's value into `value[0]`; False when there is no such register."""
    if number == FFLAGS:
        value[0] = u64(h.fflags)
    elif number == FRM:
        value[0] = u64(h.frm)
    elif number == FCSR:
        value[0] = u64(h.fflags | h.frm << 5)
    elif number == VSTART:
        value[0] = h.vstart
    elif number == VXSAT:
        value[0] = u64(h.vxsat)
    elif number == VXRM:
        value[0] = u64(h.vxrm)
    elif number == VCSR:
        value[0] = u64(h.vxsat | h.vxrm << 1)
    elif number == CYCLE or number == TIME:
        value[0] = h.time
    elif number == INSTRET:
        value[0] = h.instret
    elif number == VL:
        value[0] = h.vl
    elif number == VTYPE:
        value[0] = h.vtype
    elif number == VLENB_:
        value[0] = VLENB
    elif number == HARTID:
        value[0] = u64(h.hartid)
    else:
        return False
    return True


@fn
def write_csr(h: Ptr[Hart], number: i64, value: u64) -> boolean:
    """Write a register; False when it cannot be written."""
    low = u32(value)
    if number == FFLAGS:
        h.fflags = low & 31
    elif number == FRM:
        h.frm = low & 7
    elif number == FCSR:
        h.fflags = low & 31
        h.frm = low >> 5 & 7
    elif number == VSTART:
        h.vstart = value & 511
    elif number == VXSAT:
        h.vxsat = low & 1
    elif number == VXRM:
        h.vxrm = low & 3
    elif number == VCSR:
        h.vxsat = low & 1
        h.vxrm = low >> 1 & 3
    else:
        return False
    return True


@fn
def _swap(old: u64, new: u64) -> u64:
    return new


@fn
def _set(old: u64, new: u64) -> u64:
    return old | new


@fn
def _clear(old: u64, new: u64) -> u64:
    return old & ~new


def _access(op: Fn, always: bool, register: bool) -> Fn:
    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        value = local(u64, 1)
        if unlikely(not read_csr(h, i.imm, value)):
            return ILLEGAL
        old = value[0]
        operand = u64(i.rs1)
        if register:
            operand = h.x[i.rs1]
        if always or i.rs1 != 0:
            if unlikely(not write_csr(h, i.imm, op(old, operand))):
                return ILLEGAL
        h.x[i.rd] = old
        return OK

    return meaning


_OPS = (
    ("csrrw", _swap, True, "01", "{0}"),
    ("csrrs", _set, False, "10", "csr | {0}, unless the operand is x0 or 0"),
    ("csrrc", _clear, False, "11", "csr & ~{0}, unless the operand is x0 or 0"),
)
for _name, _op, _always, _low, _text in _OPS:
    row(
        f"{_name} rd, csr, rs1", f"csr rs1 0{_low} rd 1110011", f"x[rd] = csr; csr = {_text.format('x[rs1]')}.",
        timing="csr", meaning=_access(_op, _always, True),
    )  # fmt: skip
    row(
        f"{_name}i rd, csr, zimm", f"csr zimm 1{_low} rd 1110011", f"x[rd] = csr; csr = {_text.format('zimm')}.",
        timing="csr", meaning=_access(_op, _always, False),
    )  # fmt: skip
