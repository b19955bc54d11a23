"""Time of dynamic INT8 on the machine: quantisation of rows, and the product with its scales; both are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError

__all__ = ["product_us", "rows_us"]

_BLOCKS = ((64, 128, 128), (128, 128, 128), (64, 256, 64))


def _launched(chip: Chip, kernel: Any, kinds: dict[str, str], constants: dict[str, int], grid: int, values: Any) -> Any:
    """Launch with the operands in SRAM; returns the result and the arrays afterwards."""
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    compiled = compile_triton(kernel, kinds, constants, Options(target=chip.name))
    device = Device(chip)
    arguments = [device.copy_in(value) if isinstance(value, np.ndarray) else value for value in values]
    result = launch(device, compiled.elf, (grid,), arguments, state="llc").check()
    for argument, value in zip(arguments, values, strict=True):
        if isinstance(value, np.ndarray):
            device.copy_out(argument, value)
    return result


def rows_us(chip: Chip, size: int, measured: bool) -> float:
    """Microseconds to quantise a square fp16 matrix by rows; `measured` finds each row's scale first."""
    from mtia.tools.kernels import quantized

    x = np.random.default_rng(0).standard_normal((size, size)).astype(np.float16)
    exact = np.abs(x.astype(np.float32)).max(1) / np.float32(127)
    q, scale = np.zeros((size, size), np.int8), np.zeros(size, np.float32) if measured else exact.copy()
    kinds = {"x_ptr": "*fp16", "q_ptr": "*i8", "scale_ptr": "*fp32", "rows": "i32", "cols": "i32"}
    kernel, values = quantized.quantize_kernel, [x, q, scale, size, size]
    if not measured:
        kinds = {"x_ptr": "*fp16", "scale_ptr": "*fp32", "q_ptr": "*i8", "rows": "i32", "cols": "i32"}
        kernel, values = quantized.quantize_by_scale_kernel, [x, scale, q, size, size]
    best = []
    for block in (4, 8, 16):
        constants = {"BLOCK_ROWS": block, "BLOCK_COLS": size}
        best.append(_launched(chip, kernel, kinds, constants, size // block, values).time_us)
        # The quotient is rounded twice before it is cut, so it may fall on the other side of an integer.
        if np.abs(q - np.trunc(x.astype(np.float64) / exact[:, None])).max() > 1:
            raise RuntimeError("the quantised rows are wrong")
    return float(min(best))


def product_us(chip: Chip, size: int) -> float:
    """Microseconds of an INT8 product of square matrices with a scale for each row and column, fp16 out."""
    from mtia.tools.kernels import quantized

    random = np.random.default_rng(1)
    a, b = (random.integers(-127, 128, (size, size)).astype(np.int8) for _ in range(2))
    rows, columns = (random.random(size).astype(np.float32) / 4096 for _ in range(2))
    out = np.zeros((size, size), np.float16)
    kinds = {"a_ptr": "*i8", "b_ptr": "*i8", "c_ptr": "*fp16", "a_scale_ptr": "*fp32", "b_scale_ptr": "*fp32"}
    kinds |= {"M": "i32", "N": "i32", "K": "i32"}
    want = (a.astype(np.float64) @ b.astype(np.float64)) * rows[:, None] * columns[None, :]
    best = []
    for m, n, k in _BLOCKS:
        constants = {"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k}
        values = [a, b, out, rows, columns, size, size, size]
        try:
            result = _launched(chip, quantized.int8_matmul_kernel, kinds, constants, size // m * (size // n), values)
        except UserError:  # the blocks do not fit local memory
            continue
        best.append(result.time_us)
        if not np.allclose(out, want, rtol=2**-10, atol=2**-24):
            raise RuntimeError("the INT8 product is wrong")
    return float(min(best))
