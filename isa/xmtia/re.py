"""Reduction engine: custom-0, funct3 011."""

from __future__ import annotations

from mtia.isa.table import extension

row = extension(
    "Xmtia reduction engine",
    "Holds the accumulators (RE space, f32 or i32), moves them, and adds those of neighbouring PEs. acc lies in RE "
    "(SPACE). Conversions are those of the SIMD engine.",
    unit="re",
)

row(
    "xm.re.load acc, a",
    "0000000 00000 a:td 011 acc:td 0001011",
    "acc[r, c] = a[r, c], converted to acc's type.",
    timing="re",
)
row(
    "xm.re.drain d, acc",
    "0000001 00000 acc:td 011 d:td 0001011",
    "d[r, c] = acc[r, c], converted to d's type; d lies in LS.",
    timing="re",
)
row(
    "xm.re.zero acc",
    "0000010 00000 00000 011 acc:td 0001011",
    "acc[r, c] = 0.",
    timing="re",
)
row(
    "xm.re.scale acc, a",
    "0000011 00000 a:td 011 acc:td 0001011",
    "acc[r, c] = acc[r, c] · a[r, 0]; acc is f32, a has one column of a float type.",
    timing="re",
    reads=("acc",),
)
row(
    "xm.re.rowmax d, acc",
    "0000100 00000 acc:td 011 d:td 0001011",
    "d[r, 0] = the maximum of acc[r, ·], by the rule of se.rmax.",
    timing="re",
)
row(
    "xm.re.rowmin d, acc",
    "0000101 00000 acc:td 011 d:td 0001011",
    "d[r, 0] = the minimum of acc[r, ·], by the rule of se.rmin.",
    timing="re",
)
row(
    "xm.re.send acc, dir",
    "0000110 000 dir:zimm[1:0] acc:td 011 00000 0001011",
    "Send acc's elements, row by row, to the neighbour in direction dir: 0 right, 1 down, 2 left, 3 up. Completes when "
    "the neighbour's recv has taken them; without a neighbour it traps (SPACE).",
    timing="re",
)
row(
    "xm.re.recv acc, dir",
    "0000111 000 dir:zimm[1:0] 00000 011 acc:td 0001011",
    "acc[r, c] += the element that the neighbour in direction dir sends (its direction is the opposite one); shapes "
    "and types must be equal (SHAPE, TYPE). f32 additions round to nearest even.",
    timing="re",
    reads=("acc",),
)
