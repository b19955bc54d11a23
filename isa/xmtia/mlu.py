"""Memory layout unit: custom-0, funct3 001."""

from __future__ import annotations

from mtia.isa.table import extension
from mtia.isa.xmtia.layout import cat, copy, cycles, fill, gather, trans

__all__ = ["TIMINGS"]

TIMINGS = {
    "xm.mlu.copy": cycles(1),
    "xm.mlu.trans": cycles(1, turned=True),
    "xm.mlu.fill": cycles(0),
    "xm.mlu.cat": cycles(2),
    "xm.mlu.gather": cycles(1),
}

row = extension(
    "Xmtia memory layout unit",
    "Moves elements between views of any strides without converting them: all operands have types of one size (TYPE). "
    "Sources may lie in RE, destinations lie in LS (SPACE).",
    unit="mlu",
)

row(
    "xm.mlu.copy d, a",
    "0000000 00000 a:td 001 d:td 0001011",
    "d[r, c] = a[r, c].",
    timing="mlu",
    meaning=copy,
)
row(
    "xm.mlu.trans d, a",
    "0000001 00000 a:td 001 d:td 0001011",
    "d[c, r] = a[r, c].",
    timing="mlu",
    meaning=trans,
)
row(
    "xm.mlu.fill d, a",
    "0000010 00000 a:td 001 d:td 0001011",
    "d[r, c] = the value of a, an immediate of the same size (FORM).",
    timing="mlu",
    meaning=fill,
)
row(
    "xm.mlu.cat d, a, b",
    "0000011 b:td a:td 001 d:td 0001011",
    "Concatenate: with equal rows and d.cols = a.cols + b.cols, b's columns follow a's; otherwise, with equal columns "
    "and d.rows = a.rows + b.rows, b's rows follow a's.",
    timing="mlu",
    meaning=cat,
)
row(
    "xm.mlu.gather d, a, b",
    "0000100 b:td a:td 001 d:td 0001011",
    "d[r, c] = a[b[r, 0], c]; b is a column of i32 or i64. An index outside a's rows traps (INDEX).",
    timing="mlu",
    meaning=gather,
)
