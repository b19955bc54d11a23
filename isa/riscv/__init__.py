"""RISC-V rows of the instruction table."""
