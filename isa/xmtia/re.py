"""Reduction engine: custom-0, funct3 011."""

from __future__ import annotations

from mtia.isa.table import extension
from mtia.isa.xmtia.accumulators import cycles, drain, link_cycles, load, rowmax, rowmin, scale, zero

__all__ = ["TIMINGS"]

TIMINGS = {
    "xm.re.load": cycles(0),
    "xm.re.drain": cycles(1),
    "xm.re.zero": cycles(0),
    "xm.re.scale": cycles(0),
    "xm.re.rowmax": cycles(1),
    "xm.re.rowmin": cycles(1),
    "xm.re.send": link_cycles(),
    "xm.re.recv": link_cycles(),
}

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
    meaning=load,
)
row(
    "xm.re.drain d, acc",
    "0000001 00000 acc:td 011 d:td 0001011",
    "d[r, c] = acc[r, c], converted to d's type; d lies in LS.",
    timing="re",
    meaning=drain,
)
row(
    "xm.re.zero acc",
    "0000010 00000 00000 011 acc:td 0001011",
    "acc[r, c] = 0.",
    timing="re",
    meaning=zero,
)
row(
    "xm.re.scale acc, a",
    "0000011 00000 a:td 011 acc:td 0001011",
    "acc[r, c] = acc[r, c] · a[r, 0]; acc is f32, a has one column of a float type.",
    timing="re",
    reads=("acc",),
    meaning=scale,
)
row(
    "xm.re.rowmax d, acc",
    "0000100 00000 acc:td 011 d:td 0001011",
    "d[r, 0] = the maximum of acc[r, ·], by the rule of se.rmax.",
    timing="re",
    meaning=rowmax,
)
row(
    "xm.re.rowmin d, acc",
    "0000101 00000 acc:td 011 d:td 0001011",
    "d[r, 0] = the minimum of acc[r, ·], by the rule of se.rmin.",
    timing="re",
    meaning=rowmin,
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
