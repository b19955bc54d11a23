"""The machine: PEs, units, NoC and memories; loading and launching."""
