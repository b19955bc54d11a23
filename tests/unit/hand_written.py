"""Programs written by hand in PE assembly: assembled, and run on a device with one buffer of 64-bit words."""

from __future__ import annotations

import numpy as np
from mtia.compiler.backend.assembled import assemble_program
from mtia.runtime import elf
from mtia.runtime.device import Device
from mtia.runtime.launch import launch

HEAD = ".globl _start_k\n_start_k:\n  ld s0, 32(a0)\n"  # s0: the buffer that is the only argument


def program(text: str, *arguments: str, cores: int = 1) -> elf.Program:
    """An executable from its source, with the types of its arguments."""
    return elf.load(assemble_program(text, "hand.s", arguments, None, cores))


def run(
    device: Device, text: str, words: int, grid: int, cores: int = 2, interpreter: str = "fast", strict: bool = True
) -> tuple[list[int], int]:
    """Run a program whose argument is a zeroed buffer; returns the buffer as 64-bit words, and the cycles."""
    buffer = device.copy_in(np.zeros(words, np.int64))
    code = program(HEAD + text, "*i64", cores=cores)
    result = launch(device, code, (grid,), (buffer,), interpreter=interpreter, strict=strict).check()
    out = np.zeros(words, np.int64)
    device.copy_out(buffer, out)
    device.free(buffer)
    return [int(word) for word in out], result.cycles
