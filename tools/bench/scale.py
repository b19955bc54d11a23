"""Rows of `mtiac bench simulate` about scale: matrix tiles, runs without values, idle PEs, growth, and starts."""

from __future__ import annotations

import dataclasses
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from mtia.tools.bench.common import Row, speed_row

__all__ = ["rows", "tile_speed"]

OLD_HOST = "x86-64-v3"  # AVX2, FMA and F16C, no AVX-512
TILE = (64, 64, 64)  # rows, columns and depth of the product that is timed
GRID = (24, 12)  # of the large chip
_FIRST = """\
import sys, time
start = time.perf_counter()
from mtia.runtime.device import Device
Device(sys.argv[1]).machine("fast")
print(time.perf_counter() - start)
"""
_TILES = "import sys; from mtia.tools.bench.scale import tile_speed; print(tile_speed(sys.argv[1], sys.argv[2]))"


def _python(program: str, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return done.stdout.strip()


def tile_speed(target: str, dtype: str) -> float:
    """GFLOP/s of the machine's native `xm.dpe.mma` on one host core, over tiles of every PE of a chip."""
    import ctypes

    import ml_dtypes
    import numpy as np
    from mtia.isa.chip import load_chip
    from mtia.isa.xmtia.codes import DType, Space
    from mtia.isa.xmtia.state import ChipParams, Operand, fill_chip_params
    from mtia.runtime.machine.library import interpreter

    chip, params = load_chip(target), ChipParams.alloc()
    fill_chip_params(ChipParams.view(params.addr), chip)
    numpy_type, code = {"fp16": (np.float16, DType.F16), "bf16": (ml_dtypes.bfloat16, DType.BF16)}[dtype]
    address = interpreter("fast").address("meaning of xm.dpe.mma")
    multiply = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64)(address)
    rows, cols, depth = TILE
    rng, kept = np.random.default_rng(0), []
    for _ in range(chip.pes):
        a, b = (rng.standard_normal(shape).astype(numpy_type) for shape in ((rows, depth), (depth, cols)))
        operands = Operand.alloc(3)
        tiles = ((np.zeros((rows, cols), np.float32), DType.F32, Space.RE), (a, code, Space.LS), (b, code, Space.LS))
        for place, (array, kind, space) in enumerate(tiles):
            o = Operand.view(operands.addr + place * Operand.size)
            o.dtype, o.space, o.ptr = int(kind), int(space), array.ctypes.data
            (o.rows, o.cols), (o.rstride, o.cstride) = array.shape, array.strides
        kept.append((operands, tiles))
    speeds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(8):
            if any(multiply(params.addr, operands.addr) for operands, _ in kept):
                raise RuntimeError("xm.dpe.mma refuses its operands")
        speeds.append(8 * len(kept) * 2 * rows * cols * depth / (time.process_time() - start) / 1e9)
    return statistics.median(speeds)


def _tile_rows(target: str) -> Iterator[Row]:
    for dtype in ("fp16", "bf16"):
        for host, environment in (("this host", {}), (OLD_HOST, {"MTIAC_HOST_CPU": OLD_HOST})):
            speed = float(_python(_TILES, target, dtype, **environment))
            yield speed_row(f"DPE tiles {dtype}, build for {host}", speed, "GFLOP/s", least=50.0)


def _timing_row(target: str, repeats: int) -> Row:
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch
    from mtia.tools.bench import kernels

    problem, options = kernels.gemm(2048, 2048, 2048), Options(target=target)
    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{problem.case.module}"), problem.case.kernel)
    code = compile_triton(kernel, problem.signature(), problem.constants, options).elf
    device = Device(options.chip)
    arguments = [device.copy_in(a) if hasattr(a, "nbytes") else a for a in problem.host_arguments()]
    grid = problem.grid(problem.constants)
    cycles = launch(device, code, grid, arguments, state="llc").check().cycles
    speeds, same = [], True
    for _ in range(repeats + 1):
        start = time.process_time()
        result = launch(device, code, grid, arguments, state="llc", values=False).check()
        speeds.append(result.cycles / (time.process_time() - start) / 1e6)
        same = same and result.cycles == cycles
    speed = statistics.median(speeds[1:])
    return speed_row("timing without values, gemm 2048x2048x2048", speed, "M cycles/s", least=1.0, ok=same)


def _device(rows_: int, cols: int) -> Any:
    """A device like an MTIA 300 with another number of PEs."""
    from mtia.isa.chip import load_chip
    from mtia.runtime.device import Device

    chip = load_chip("mtia300")
    return Device(dataclasses.replace(chip, grid=dataclasses.replace(chip.grid, rows=rows_, cols=cols)))


def _commands(device: Any, pes: int, repeats: int) -> Callable[[int], float]:
    """Host seconds of a launch in which each of `pes` PEs issues that many rounds of four commands."""
    from mtia.compiler.backend.assembled import assemble_program
    from mtia.runtime.launch import launch
    from mtia.tools.bench.simulate import command_program

    def seconds(count: int) -> float:
        program = assemble_program(command_program(count), "commands.s", [], None, 1)
        times = []
        for _ in range(repeats + 1):
            start = time.process_time()
            launch(device, program, (pes,), []).check()
            times.append(time.process_time() - start)
        return min(times[1:])

    return seconds


def _idle_row(repeats: int) -> Row:
    one, many = _commands(_device(1, 1), 1, repeats), _commands(_device(*GRID), 1, repeats)
    return speed_row(f"{GRID[0] * GRID[1]} PEs with one busy, beside one PE", many(5000) / one(5000), "x", most=1.2)


def _growth_rows(repeats: int) -> Iterator[Row]:
    """Commands on the same bytes of each PE's local memory, after a start in which every queue has been once around.

    What is timed so touches no memory for the first time, and one PE gets enough of them to take as long as a launch.
    """
    each = {}
    for rows_, cols, rounds in ((1, 1, 60_000), (*GRID, 1500)):
        pes = rows_ * cols
        seconds = _commands(_device(rows_, cols), pes, repeats)
        few, half, whole = (seconds(200 + count) for count in (0, rounds, 2 * rounds))
        each[pes] = (whole - few) / (2 * rounds * 4 * pes)
        yield speed_row(f"host time per command, {pes} PEs", each[pes] * 1e6, "us")
        halves = (whole - half) / (half - few)  # linear: the same time
        yield speed_row(f"second half of the commands beside the first, {pes} PEs", halves, "x", least=0.8, most=1.2)
    yield speed_row(f"host time per command, {pes} PEs beside 1", each[pes] / each[1], "x", most=2.5)


def _start_rows(target: str, repeats: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="mtiac-bench-") as folder:
        first = float(_python(_FIRST, target, MTIAC_CACHE=folder))
        yield speed_row("first use: empty cache to a machine", first, "s", most=15.0)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            _python(_FIRST, target, MTIAC_CACHE=folder)
            times.append(time.perf_counter() - start)
        yield speed_row("a later process: start to end, with a machine", statistics.median(times), "s", most=0.3)


def rows(target: str, repeats: int, only: str) -> Iterator[Row]:
    """GFLOP/s, simulated cycles a second, ratios, seconds."""
    if only in "tiles":
        yield from _tile_rows(target)
    if only in "timing without values":
        yield _timing_row(target, repeats)
    if only in "idle":
        yield _idle_row(repeats)
    if only in "growth":
        yield from _growth_rows(repeats)
    if only in "first later start":
        yield from _start_rows(target, repeats)
