"""`mtiac bench simulate`: how fast the machine itself is, beside peers on the same host."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtia.tools.bench import scale, strict
from mtia.tools.bench.common import Row, speed_row

if TYPE_CHECKING:
    from mtia.isa.elf import ElfFile

__all__ = ["command_program", "rows"]

_MATMUL = """\
import sys, time, torch
from mtia.tools.kernels.matmul import matmul
a, b = (torch.randn(1024, 1024, generator=torch.Generator().manual_seed(i)).half() for i in (0, 1))
matmul(a[:128, :128].contiguous(), b[:128, :128].contiguous(), block_m=BLOCKS[0], block_n=BLOCKS[1], block_k=BLOCKS[2])
start = time.perf_counter()
c = matmul(a, b, block_m=BLOCKS[0], block_n=BLOCKS[1], block_k=BLOCKS[2])
seconds = time.perf_counter() - start
right = (c.float() - a.float() @ b.float()).abs().max() < 0.25  # one fp16 rounding at |c| < 256 is at most 0.0625
print(seconds, int(right))
"""

_PEAK = """\
import resource, sys
from mtia.tools.bench import kernels
blocks = {"BLOCK_SIZE_M": 128, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 64}
right = kernels.measure(kernels.gemm(2048, 2048, 2048), sys.argv[1], "llc", blocks)["ok"]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, int(right))  # Linux counts in KiB
"""


def command_program(count: int) -> str:
    """PE assembly that issues `count` rounds of four SIMD commands on one element, each depending on the one before."""
    return f"""
    .globl _start_commands
_start_commands:
    li t0, 0x2000
    li t1, {(1 << 32) | 64:#x}
    xm.cb.init cb0, t0, t1
    li t0, 0x100
    xm.td.local td0, t0, zero
    li t0, {(1 << 32) | 1:#x}
    li t1, {(4 << 32) | 4:#x}
    xm.td.shape td0, t0, t1
    li t0, 0x3f800000
    xm.td.imm td1, t0, zero
    xm.se.cvt td0, td1
    li t2, {count}
loop:
    xm.se.add td0, td0, td1
    xm.se.mul td0, td0, td1
    xm.se.add td0, td0, td1
    xm.se.neg td0, td0
    addi t2, t2, -1
    bnez t2, loop
    xm.wait zero
    ret
"""


def _hart_rows(repeats: int, only: str) -> Iterator[Row]:
    """One hart, timing and strict checks on: scalar programs with their mix, then loops of vector instructions."""
    from mtia.tools.bench import programs

    def row(name: str, file: ElfFile, floor: float) -> Row:
        values = [programs.speed(file) / 1e6 for _ in range(repeats)]
        least, most = round(min(values), 1), round(max(values), 1)
        found = speed_row(name, statistics.median(values), "M instructions/s", least=floor)
        return {**found, "min": least, "max": most, "mix": programs.mix(file)}

    if only in "scalar hart":
        with tempfile.TemporaryDirectory(prefix="mtiac-bench-") as folder:
            for name, file in programs.executables(Path(folder)):
                yield row(f"scalar {name}", file, 400.0)
    if only in "vector hart":
        for name, file in programs.loops():
            yield row(f"vector {name}", file, 300.0)


def _measured(program: str, *arguments: str, **environment: str) -> tuple[float, bool]:
    """The number that a Python program prints in a process of its own, and whether it found its result right."""
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    value, right = done.stdout.split()
    return float(value), right == "1"


def _matmul_row(target: str, repeats: int, blocks: tuple[int, int, int]) -> Row:
    def seconds(**extra: str) -> tuple[float, bool]:
        return _measured(_MATMUL.replace("BLOCKS", str(blocks)), MTIA_TARGET=target, **extra)

    runs = [seconds() for _ in range(repeats)]
    ours, right = statistics.median(taken for taken, _ in runs), all(ok for _, ok in runs)
    name = "matmul 1024x1024x1024 fp16, blocks " + "x".join(map(str, blocks))
    theirs, _ = seconds(TRITON_INTERPRET="1")
    return speed_row(name, ours, "s", 30.0, peer="TRITON_INTERPRET=1", peer_value=theirs, ok=right, of="ratio")


def _memory_row(target: str) -> Row:
    peak, right = _measured(_PEAK, target)
    return speed_row("peak memory of matmul 2048x2048x2048 fp16", peak, "GiB", most=1.5, ok=right)


def _command_row(target: str, repeats: int) -> Row:
    from mtia.compiler.backend.assembled import assemble_program
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    device: Any = Device(target)
    pes = device.chip.pes

    def seconds(count: int) -> float:
        program = assemble_program(command_program(count), "commands.s", [], None, 1)
        launch(device, program, (pes,), []).check()
        start = time.process_time()
        launch(device, program, (pes,), []).check()
        return time.process_time() - start

    few, many = 100, 5100
    each = [(seconds(many) - seconds(few)) / ((many - few) * 4 * pes) * 1e6 for _ in range(repeats)]
    return speed_row("unit command on one element", statistics.median(each), "us", most=0.5)


def rows(target: str = "mtia200", repeats: int = 0, only: str = "") -> Iterator[Row]:
    """Medians: instructions a second of one hart, a 64-PE matmul, host time per unit command; and peak memory.

    Without `repeats`, seven runs of a hart and five of all else.
    """
    if only in "scalar vector hart":
        yield from _hart_rows(repeats or 7, only)
    repeats = repeats or 5
    if only in "matmul":
        for blocks in ((64, 64, 32), (128, 128, 64)):
            yield _matmul_row(target, min(repeats, 3), blocks)
    if only in "command":
        yield _command_row(target, repeats)
    if only in "strict":
        yield from strict.rows(target, repeats)
    if only in "memory":
        yield _memory_row(target)
    yield from scale.rows(target, repeats, only)
