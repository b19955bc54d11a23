"""How the campaign `exact` runs a program over a table of operands, whichever instruction it is for."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from mtia.isa import elf
from mtia.isa.asm import assemble
from mtia.isa.chip import load_chip
from mtia.runtime.machine.hart import Runner

__all__ = ["HERE", "HERE_MASKED", "Array", "execute"]

TEXT, DATA = 0x1_0000, 0x2_0000
HERE, HERE_MASKED = "lui zero, 0x2468a", "lui zero, 0x2468b"  # where the instruction goes in a program
Array = np.ndarray[Any, Any]


def _alone(instruction: str) -> bytes:
    return assemble(instruction).text


@functools.cache
def _assembled(source: str) -> bytes:
    return assemble(source + "\n.data\ncount: .zero 8", text_base=TEXT, data_base=DATA).text


def execute(
    source: str, instruction: str, count: int, inputs: Array, output_bytes: int, reference: bool = False,
    masked: str = "",
) -> Array:  # fmt: skip
    """Run a program with this instruction, and its masked form, over a table; returns its output as bytes."""
    text = _assembled(source).replace(_alone(HERE), _alone(instruction))
    text = text.replace(_alone(HERE_MASKED), _alone(masked or instruction))
    out = DATA + 64 + inputs.nbytes + 64
    head = np.array([count, out, *[0] * 6], np.uint64).tobytes()
    segments = [
        elf.Segment(TEXT, text, len(text), 5),
        elf.Segment(DATA, head + inputs.tobytes(), 64 + inputs.nbytes + 64 + output_bytes, 6),
    ]
    runner = Runner(elf.ElfFile(entry=TEXT, segments=segments), load_chip("mtia200"), reference)
    runner.run()
    start = out - runner.low
    return np.frombuffer(bytes(runner.memory.bytes[start : start + output_bytes]), np.uint8)
