"""Operators of the device that are Triton kernels: those that Inductor leaves to the device in any case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl

__all__ = ["native_layer_norm"]

LARGEST_BLOCK = 4096  # elements of a row at a time


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def _layer_norm(  # type: ignore[no-untyped-def]
    x_ptr, weight_ptr, bias_ptr, out_ptr, mean_ptr, rstd_ptr, columns, eps,
    WEIGHT: tl.constexpr, BIAS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    offsets = tl.arange(0, BLOCK)
    x_ptr += row.to(tl.int64) * columns
    out_ptr += row.to(tl.int64) * columns
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, columns, BLOCK):
        total += tl.load(x_ptr + start + offsets, mask=start + offsets < columns, other=0.0).to(tl.float32)
    mean = tl.sum(total, 0) / columns
    squares = tl.zeros([BLOCK], tl.float32)
    for start in range(0, columns, BLOCK):
        inside = start + offsets < columns
        away = tl.load(x_ptr + start + offsets, mask=inside, other=0.0).to(tl.float32) - mean
        squares += tl.where(inside, away * away, 0.0)
    rstd = 1.0 / tl.sqrt(tl.sum(squares, 0) / columns + eps)
    for start in range(0, columns, BLOCK):
        inside = start + offsets < columns
        y = (tl.load(x_ptr + start + offsets, mask=inside, other=0.0).to(tl.float32) - mean) * rstd
        if WEIGHT:
            y *= tl.load(weight_ptr + start + offsets, mask=inside, other=0.0).to(tl.float32)
        if BIAS:
            y += tl.load(bias_ptr + start + offsets, mask=inside, other=0.0).to(tl.float32)
        tl.store(out_ptr + start + offsets, y.to(out_ptr.dtype.element_ty), mask=inside)
    tl.store(mean_ptr + row, mean.to(mean_ptr.dtype.element_ty))
    tl.store(rstd_ptr + row, rstd.to(rstd_ptr.dtype.element_ty))


def native_layer_norm(x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    """(normalised, mean, 1/deviation) over the last `len(shape)` dimensions; all in the type of x."""
    columns = math.prod(shape)
    outer = x.shape[: x.dim() - len(shape)]
    x = x.contiguous()
    out = torch.empty_like(x)
    mean = x.new_empty((*outer, *(1 for _ in shape)))
    rstd = torch.empty_like(mean)
    rows = mean.numel()
    if rows and columns:
        block = min(triton.next_power_of_2(columns), LARGEST_BLOCK)
        weight, bias = (None if v is None else v.contiguous() for v in (weight, bias))
        with torch.mtia.device(x.device):
            _layer_norm[(rows,)](
                x, weight, bias, out, mean, rstd, columns, eps, weight is not None, bias is not None, block
            )
    return out, mean, rstd
