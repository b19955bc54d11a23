"""What the units do, by mnemonic: meanings and timings of the MLU, DPE, RE and SE commands, for the machine to call."""

from __future__ import annotations

from mtia.isa import table
from mtia.isa.lang import Fn
from mtia.isa.xmtia import dpe, mlu, re, se

__all__ = ["meanings", "timings"]

UNITS = ("mlu", "dpe", "re", "se")


def meanings() -> dict[str, Fn]:
    """`fn(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32`: operands in the order of the syntax; a trap cause or 0."""
    return {row.name: row.meaning for row in table.all() if row.unit in UNITS and isinstance(row.meaning, Fn)}


def timings() -> dict[str, Fn]:
    """`fn(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u64`: clocks that the command occupies its unit."""
    return {**mlu.TIMINGS, **dpe.TIMINGS, **re.TIMINGS, **se.TIMINGS}
