"""Encoder: an instruction and its operand values to the word."""

from __future__ import annotations

from collections.abc import Mapping

from mtia.isa import table
from mtia.isa.errors import UserError

__all__ = ["encode", "word"]


def encode(row: table.Instruction, values: Mapping[str, int]) -> int:
    """Return the 16- or 32-bit word; operands that are left out take their default. Bad values raise `UserError`."""
    bits = row.match
    for operand in row.operands:
        value = values.get(operand.name, operand.kind.default)
        if value is None:
            raise UserError(f"{row.name}: `{operand.name}` is missing; the syntax is `{row.syntax}`")
        problem = operand.problem(value)
        if problem:
            raise UserError(f"{row.name}: {problem}")
        bits |= operand.insert(value)
    return bits


def word(name: str, /, **values: int) -> int:
    """Return the word of a mnemonic with operand values by name, as in `word("add", rd=10, rs1=11, rs2=12)`."""
    row = table.find(name)
    if row is None:
        raise UserError(f"`{name}` is not an instruction")
    for operand in values:
        if operand not in row.by_name:
            raise UserError(f"{name} has no operand `{operand}`; the syntax is `{row.syntax}`")
    return encode(row, values)
