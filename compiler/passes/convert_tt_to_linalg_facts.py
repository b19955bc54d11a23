"""What `convert-tt-to-linalg` can prove about a scalar from the operations that made it."""

from __future__ import annotations

from mtia.compiler.passes.convert_tt_to_linalg_values import Index, constant_of
from mtia.dialects.mlir import ir

__all__ = ["divisible", "not_negative"]

_SAME_VALUE = frozenset(("arith.index_cast", "arith.extsi"))


def divisible(value: Index, by: int) -> bool:
    """Whether a scalar is known to be a multiple of `by`."""
    if isinstance(value, int):
        return value % by == 0
    known = constant_of(value)
    if known is not None:
        return known % by == 0
    if isinstance(value.owner, ir.Block):
        return False
    name, operands = value.owner.operation.name, list(value.owner.operation.operands)
    if name in _SAME_VALUE:
        return divisible(operands[0], by)
    if name == "arith.muli":
        return any(divisible(operand, by) for operand in operands)
    return name in ("arith.addi", "arith.subi") and all(divisible(operand, by) for operand in operands)


def not_negative(value: Index) -> bool:
    """Whether a scalar is known to be zero or more; index arithmetic does not overflow."""
    if isinstance(value, int):
        return value >= 0
    known = constant_of(value)
    if known is not None:
        return known >= 0
    if isinstance(value.owner, ir.Block):
        return False
    name, operands = value.owner.operation.name, list(value.owner.operation.operands)
    if name in ("mtia.program_id", "mtia.num_programs"):
        return True
    steps = ("arith.muli", "arith.addi", "arith.divsi", "arith.remsi", "arith.minsi")
    return (name in _SAME_VALUE or name in steps) and all(not_negative(operand) for operand in operands)
