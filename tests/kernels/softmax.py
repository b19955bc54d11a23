"""Row softmax: one row fits a block; rows are dealt to programs round robin."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def softmax(out_ptr, in_ptr, in_stride, out_stride, rows, cols, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    columns = tl.arange(0, BLOCK)
    inside = columns < cols
    for row in range(tl.program_id(0), rows, tl.num_programs(0)):
        x = tl.load(in_ptr + row * in_stride + columns, mask=inside, other=-float("inf"))
        numerator = tl.exp(x - tl.max(x, axis=0))
        tl.store(out_ptr + row * out_stride + columns, numerator / tl.sum(numerator, axis=0), mask=inside)
