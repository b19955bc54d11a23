"""The machine: harts, command processor, units, NoC and memories, in `isa.lang`."""
