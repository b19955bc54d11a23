"""The PE instruction set: one table, the chip files and everything derived from them."""
