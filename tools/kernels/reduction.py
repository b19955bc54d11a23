"""A two-pass reduction: each program sums a part of every row, a second kernel adds the parts."""

import triton
import triton.language as tl


@triton.jit
def partial_sums_kernel(x_ptr, parts_ptr, n_cols, n_parts, BLOCK_SIZE: tl.constexpr):
    row = tl.program_id(0)
    part = tl.program_id(1)
    cols = part * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + row * n_cols + cols, mask=cols < n_cols, other=0.0)
    tl.store(parts_ptr + row * n_parts + part, tl.sum(x.to(tl.float32), axis=0))


@triton.jit
def total_kernel(parts_ptr, out_ptr, n_parts, BLOCK_SIZE: tl.constexpr):
    row = tl.program_id(0)
    parts = tl.arange(0, BLOCK_SIZE)
    x = tl.load(parts_ptr + row * n_parts + parts, mask=parts < n_parts, other=0.0)
    tl.store(out_ptr + row, tl.sum(x, axis=0))


def row_sum(x, block_size=512):
    import torch

    rows, cols = x.shape
    n_parts = triton.cdiv(cols, block_size)
    parts = torch.empty((rows, n_parts), dtype=torch.float32)
    out = torch.empty(rows, dtype=torch.float32)
    partial_sums_kernel[(rows, n_parts)](x, parts, cols, n_parts, BLOCK_SIZE=block_size)
    total_kernel[(rows,)](parts, out, n_parts, BLOCK_SIZE=triton.next_power_of_2(n_parts))
    return out
