"""Row sum and row argmax of a matrix block, in two passes over the columns."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def row_reduce(  # type: ignore[no-untyped-def]
    x_ptr, sum_ptr, best_ptr, rows, cols, stride, BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr
):
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    totals = tl.zeros([BLOCK_R], dtype=tl.float32)
    for start in range(0, cols, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        inside = (r[:, None] < rows) & (c[None, :] < cols)
        totals += tl.sum(tl.load(x_ptr + r[:, None] * stride + c[None, :], mask=inside, other=0.0), axis=1)
    tl.store(sum_ptr + r, totals, mask=r < rows)
    c = tl.arange(0, BLOCK_C)
    inside = (r[:, None] < rows) & (c[None, :] < cols)
    x = tl.load(x_ptr + r[:, None] * stride + c[None, :], mask=inside, other=-float("inf"))
    tl.store(best_ptr + r, tl.argmax(x, axis=1), mask=r < rows)
