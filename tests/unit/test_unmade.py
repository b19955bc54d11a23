"""Runs without values: the cycles of the full run, and a trap where control or addresses depend on data."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mtia.compiler.backend.assembled import assemble_program
from mtia.runtime import elf
from mtia.runtime.device import Device
from mtia.runtime.faults import MachineTrap
from mtia.runtime.launch import launch

# A PE loads eight numbers of a type to local memory; the hart adds the first two and the result goes to argument 1.
SUM = """
.globl _start_sum
_start_sum:
  li t4, 0x2000
  li t5, {one_slot:#x}
  xm.cb.init cb0, t4, t5
  li t6, {local:#x}
  xm.td.local td0, t6, zero
  li t4, {shape:#x}
  li t5, {strides:#x}
  xm.td.shape td0, t4, t5
  ld t0, 32(a0)
  li t6, {remote:#x}
  xm.gd.base td1, t0, t6
  li t5, 8
  li t4, 4
  xm.gd.dim td1, t5, t4, 0
  xm.dma.in td0, td1
  {between}
  xm.cb.waitw cb0
  li t4, 0x10002000
  lw t5, 0(t4)
  lw t6, 4(t4)
  add t5, t5, t6
  ld t0, 40(a0)
  sw t5, 0(t0)
  lw t5, 0(t0)
  ret
"""
I32, F32 = 12, 0


@pytest.fixture(scope="module")
def device() -> Device:
    return Device("mtia200")


def sum_program(dtype: int, between: str = "") -> elf.Program:
    text = SUM.format(
        one_slot=1 << 32 | 4096, local=dtype << 16 | 1 << 8, shape=8 << 32 | 1, strides=4 << 32 | 32,
        remote=1 << 8 | dtype, between=between,
    )  # fmt: skip
    return elf.load(assemble_program(text, "sum.s", ["*i32", "*i32"], None, 1))


def test_integers_are_moved_and_their_sum_is_right(device: Device) -> None:
    x, out = np.arange(5, 13, dtype=np.int32), np.zeros(1, np.int32)
    buffers = [device.copy_in(x), device.copy_in(out)]
    cycles = [launch(device, sum_program(I32), (1,), buffers, values=values).check().cycles for values in (True, False)]
    device.copy_out(buffers[1], out)
    assert cycles[0] == cycles[1] and out[0] == 11


@pytest.mark.parametrize("interpreter", ["fast", "reference"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("dtype", "between"), [(F32, ""), (I32, "xm.se.neg td0, td0")])
def test_a_hart_that_reads_what_was_not_made_traps(
    device: Device, interpreter: str, strict: bool, dtype: int, between: str
) -> None:
    buffers = [device.copy_in(np.zeros(8, np.int32)), device.alloc(4)]
    result = launch(
        device, sum_program(dtype, between), (1,), buffers, values=False, interpreter=interpreter, strict=strict
    )
    assert result.trap is not None and result.trap.cause == "DEPENDS"
    assert "depend on data at 0x10002000" in result.trap.message


def test_device_memory_that_was_not_made(device: Device) -> None:
    """The second launch reads what the first one would have written; memory filled by the host is known again."""
    x = np.ones(64, np.float32)
    moved, out = device.copy_in(x), device.alloc(64)
    text = SUM.format(
        one_slot=1 << 32 | 4096, local=F32 << 16 | 1 << 8, shape=8 << 32 | 1, strides=4 << 32 | 32,
        remote=1 << 8 | F32, between="ld t0, 40(a0)\n  xm.gd.addr td1, t0\n  xm.dma.out td1, td0\n  ret",
    )  # fmt: skip
    writer = elf.load(assemble_program(text, "copy.s", ["*i32", "*i32"], None, 1))
    launch(device, writer, (1,), [moved, out], values=False).check()
    reader = sum_program(I32)
    with pytest.raises(MachineTrap, match="depend on data"):
        launch(device, reader, (1,), [out, moved], values=False).check()
    device.copy_in(np.arange(8, dtype=np.int32), out)
    launch(device, reader, (1,), [out, moved], values=False).check()


PROBLEMS: dict[str, Callable[[Any], Any]] = {
    "gemm": lambda made: made.gemm(260, 300, 200),
    "gemm bf16": lambda made: made.gemm(128, 256, 64, "bf16"),
    "add": lambda made: made.add(100_001),
    "softmax": lambda made: made.softmax(70, 500),
    "layer norm": lambda made: made.layer_norm(33, 700),
    "attention": lambda made: made.flash_attention(2, 300, 64),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("target", ["mtia200", "mtia300"])
def test_the_cycles_of_the_full_run(name: str, target: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("triton")
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options
    from mtia.tools.bench import kernels

    problem = PROBLEMS[name](kernels)
    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{problem.case.module}"), problem.case.kernel)
    options = Options(target=target)
    code = compile_triton(kernel, problem.signature(), problem.constants, options).elf
    chip = Device(options.chip)
    arguments = [chip.copy_in(a) if hasattr(a, "nbytes") else a for a in problem.host_arguments()]
    grid = problem.grid(problem.constants)
    full, timed = (launch(chip, code, grid, arguments, values=values).check() for values in (True, False))
    assert timed.cycles == full.cycles
    assert timed.counters == full.counters
