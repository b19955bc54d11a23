"""Fabric interface: DMA between device memory and local memory; custom-0, funct3 000."""

from __future__ import annotations

from mtia.isa.table import extension

row = extension(
    "Xmtia fabric interface",
    "DMA commands. The global register names a strided view of device memory of rank 1 to 4; the local one names rows "
    "and columns. The view's last dimension runs over columns, the others, first outermost, over rows: the local rows "
    "are the product of the sizes of the outer dimensions (rank 1: one row). Elements outside the valid range "
    "[lo, hi) of any dimension make no memory access: a read stores the fill value, a write skips them. Types are not "
    "converted and must have the same size (TYPE); sizes must agree (SHAPE); a transfer outside device memory traps "
    "(BOUNDS), an address that is not a multiple of the chip's DMA alignment too (ALIGN). Data is visible at "
    "completion. The local operands are views of LS (FORM, SPACE).",
    unit="fi",
)

row(
    "xm.dma.in d, gd",
    "0000000 00000 gd 000 d:td 0001011",
    "d[r, c] = memory[gd.base + index · strides], or the fill value outside the valid range.",
    timing="fi.read",
)
row(
    "xm.dma.out gd, s",
    "0000001 00000 s:td 000 gd 0001011",
    "memory[gd.base + index · strides] = s[r, c] inside the valid range.",
    timing="fi.write",
)
row(
    "xm.dma.ini d, gd, idx",
    "0000010 idx:td gd 000 d:td 0001011",
    "Gather rows: d[r, c] = memory[gd.base + idx[r]·stride0 + c·stride1]; idx is a column of i32 or i64. Rank 2; the "
    "valid range of dimension 0 applies to r, and in it idx[r] is not checked but the address is.",
    timing="fi.read",
)
row(
    "xm.dma.outi gd, s, idx",
    "0000011 idx:td s:td 000 gd 0001011",
    "Scatter rows: memory[gd.base + idx[r]·stride0 + c·stride1] = s[r, c], r ascending; ranges as in dma.ini.",
    timing="fi.write",
)
row(
    "xm.dma.pre gd",
    "0000100 00000 gd 000 00000 0001011",
    "Bring the lines of the view's valid range from DRAM into the SRAM cache; completes when they have arrived.",
    timing="fi.read",
)
