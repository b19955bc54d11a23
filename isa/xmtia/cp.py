"""Command processor: custom-1, funct3 011. Waiting, the grid barrier, reading the launch, and the end of a hart."""

from __future__ import annotations

from mtia.isa.table import extension

row = extension(
    "Xmtia command processor",
    "What a hart asks of the command processor itself.",
    unit="cp",
)

row(
    "xm.wait rs1",
    "0000000 00000 rs1 011 00000 0101011",
    "Stall the hart until all commands that it issued to the units of mask rs1 have completed (bit 0 FI read, 1 FI "
    "write, 2 MLU, 3 DPE, 4 RE, 5 SE); a mask of 0 means all units.",
    timing="cp",
)
row(
    "xm.barrier rs1",
    "0000001 00000 rs1 011 00000 0101011",
    "Wait until the hart's DMA has completed, then until every hart of the launch has come to barrier number rs1. "
    "Harts that meet with different numbers trap with cause DEADLOCK.",
    timing="cp",
)
row(
    "xm.exit",
    "0000010 00000 00000 011 00000 0101011",
    "The hart's commands complete, then it ends; a return to address 0 does the same.",
    timing="cp",
)
