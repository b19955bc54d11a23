"""What strict checks cost: host time of a launch with all of them on over that with none, measured in one run."""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from mtia.tools.bench.common import Row, speed_row

__all__ = ["rows"]

# A hart that sorts 2,000 words in local memory by insertion: loads and stores, one in three instructions.
SORT = """
.globl _start_sort
_start_sort:
  li s0, 0x10004000
  li s1, 2000
  li t0, 12345
  li t2, 1103515245
  mv t1, s0
  mv t3, s1
fill:
  mul t0, t0, t2
  addi t0, t0, 1013
  srli t4, t0, 8
  sw t4, 0(t1)
  addi t1, t1, 4
  addi t3, t3, -1
  bnez t3, fill
  slli t6, s1, 2
  add t6, t6, s0
  addi t1, s0, 4
outer:
  lw t2, 0(t1)
  mv t3, t1
inner:
  lw t4, -4(t3)
  bge t2, t4, placed
  sw t4, 0(t3)
  addi t3, t3, -4
  bne t3, s0, inner
placed:
  sw t2, 0(t3)
  addi t1, t1, 4
  bne t1, t6, outer
  ret
"""

Launch = Callable[[bool], object]


def _kernel(problem: Any, target: str, **options: Any) -> Launch:
    """A compiled kernel on buffers; its result lies in memory that the host has not written."""
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{problem.case.module}"), problem.case.kernel)
    compiled = compile_triton(kernel, problem.signature(), problem.constants, Options(target=target, **options))
    device: Any = Device(target)
    arguments = [
        a if not hasattr(a, "nbytes") else device.alloc(a.nbytes) if k == problem.output else device.copy_in(a)
        for k, a in enumerate(problem.host_arguments())
    ]
    grid = problem.grid(problem.constants)
    return lambda strict: launch(device, compiled.elf, grid, arguments, strict=strict).check()


def _sort(target: str) -> Launch:
    from mtia.compiler.backend.assembled import assemble_program
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    device, program = Device(target), assemble_program(SORT, "sort.s", [], None, 1)
    return lambda strict: launch(device, program, (8,), [], strict=strict).check()


def cases(target: str) -> dict[str, Callable[[], Launch]]:
    """Launches by name."""
    from mtia.tools.bench import kernels

    return {
        "matrices: gemm 1024x1024x1024 fp16": lambda: _kernel(kernels.gemm(1024, 1024, 1024), target),
        "transfers: add of 16 Mi bf16": lambda: _kernel(kernels.add(16 << 20), target),
        "harts: layer norm of 512 rows of 2048, no units": lambda: _kernel(
            kernels.layer_norm_row(512, 2048, "fp32"), target, hart_only=True
        ),
        "harts: insertion sort of 2000 words on 8 PEs": lambda: _sort(target),
    }


def rows(target: str, repeats: int) -> Iterator[Row]:
    """For each case the median of `repeats` ratios, each of two launches right after each other."""
    for name, made in cases(target).items():
        launch = made()
        launch(True)
        pairs = [(_seconds(launch, False), _seconds(launch, True)) for _ in range(max(repeats, 3))]
        ratio = statistics.median(on / off for off, on in pairs)
        off, on = (statistics.median(pair[k] for pair in pairs) for k in (0, 1))
        spent = f"{off:.3f} s off, {on:.3f} s on"
        yield speed_row(f"strict checks on / off, {name}", ratio, "x", most=2.0, peer=spent)


def _seconds(launch: Launch, strict: bool) -> float:
    start = time.process_time()
    launch(strict)
    return time.process_time() - start
