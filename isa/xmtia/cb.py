"""Circular buffers: custom-1, funct3 000. The command processor executes these at issue, in program order."""

from __future__ import annotations

from mtia.isa.table import extension

row = extension(
    "Xmtia circular buffers",
    "A hart has 16 circular buffers of `slots` slots in LS or RE; numbers 16 to 31 name those of the PE's "
    "other hart. `pushed` and `popped` count slots at issue time; the read side names slot `popped + n`, the "
    "write side slot `pushed + n`, each modulo `slots`. Commands depend on each "
    "other per slot: reads wait for earlier writers, writes for earlier writers and readers. Misuse traps with cause "
    "BUFFER: an index without `cb.init`, a pop of an empty buffer that no push can fill, a slot outside the buffer.",
    unit="cp",
)

row(
    "xm.cb.init cb, rs1, rs2",
    "0000000 rs2 rs1 000 cb 0101011",
    "Define buffer `cb`: base address in its space = rs1[31:0], space = rs1[39:32] (0 = LS, 1 = RE), bytes of a slot "
    "= rs2[31:0], slots = rs2[47:32] (1 to 64); pushed = popped = 0. Waits until no command uses the buffer.",
    timing="cb",
)
row(
    "xm.cb.push cb",
    "0000001 00000 00000 000 cb 0101011",
    "pushed += 1: the slot at the write pointer becomes readable once the commands that write it have completed. "
    "Stalls the hart while no slot is free.",
    timing="cb",
)
row(
    "xm.cb.pop cb",
    "0000010 00000 00000 000 cb 0101011",
    "popped += 1: the slot at the read pointer becomes free once the commands that read it have completed. Stalls the "
    "hart while the buffer is empty.",
    timing="cb",
)
row(
    "xm.cb.next cb",
    "0000011 00000 00000 000 cb 0101011",
    "Push and pop in one: both pointers move to the next slot. For a buffer that one hart uses through its write side.",
    timing="cb",
)
row(
    "xm.cb.waitr cb",
    "0000100 00000 00000 000 cb 0101011",
    "Stall the hart until the slot at the read pointer has been pushed and its writers have completed, so that the "
    "hart itself may read it.",
    timing="cb",
)
row(
    "xm.cb.waitw cb",
    "0000101 00000 00000 000 cb 0101011",
    "Stall the hart until the slot at the write pointer is free and its readers and writers have completed, so that "
    "the hart itself may write it.",
    timing="cb",
)
row(
    "xm.cb.ptr rd, cb, side",
    "0000110 0000 side:uimm[0] cb 000 rd 0101011",
    "rd = hart address of the current slot of `cb`: at the read pointer (side 0) or the write pointer (side 1). Traps "
    "with cause SPACE when the buffer lies in RE.",
    timing="cb",
)
row(
    "xm.cb.avail rd, cb",
    "0000111 00000 cb 000 rd 0101011",
    "rd = pushed - popped, the number of readable slots at issue time.",
    timing="cb",
)
