"""Forms of scalar meanings: a pure function of operand values becomes the meaning of an instruction."""

from __future__ import annotations

from mtia.isa.lang import Fn, Ptr, fn, u32, u64
from mtia.isa.state import OK, Hart, Insn

__all__ = ["binary", "immediate", "unary"]


def binary(op: Fn) -> Fn:
    """x[rd] = op(x[rs1], x[rs2])."""

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        h.x[i.rd] = op(h.x[i.rs1], h.x[i.rs2])
        return OK

    return meaning


def immediate(op: Fn) -> Fn:
    """x[rd] = op(x[rs1], imm)."""

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        h.x[i.rd] = op(h.x[i.rs1], u64(i.imm))
        return OK

    return meaning


def unary(op: Fn) -> Fn:
    """x[rd] = op(x[rs1])."""

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        h.x[i.rd] = op(h.x[i.rs1])
        return OK

    return meaning
