"""Compiler: front ends, passes, the stage list and the RISC-V back end."""
