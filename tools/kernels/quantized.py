"""A matrix product in dynamic INT8: rows of A get a scale of their own when they are known, columns of B have one."""

import triton
import triton.language as tl


@triton.jit
def quantize_kernel(x_ptr, q_ptr, scale_ptr, rows, cols, BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr):
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    col = tl.arange(0, BLOCK_COLS)
    mask = (row[:, None] < rows) & (col[None, :] < cols)
    place = row[:, None] * cols + col[None, :]
    x = tl.load(x_ptr + place, mask=mask, other=0.0).to(tl.float32)
    scale = tl.max(tl.abs(x), 1) * (1.0 / 127.0)
    q = x * (1.0 / scale)[:, None]
    tl.store(q_ptr + place, q.to(tl.int8), mask=mask)
    tl.store(scale_ptr + row, scale, mask=row < rows)


@triton.jit
def quantize_by_scale_kernel(x_ptr, scale_ptr, q_ptr, rows, cols, BLOCK_ROWS: tl.constexpr, BLOCK_COLS: tl.constexpr):
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    col = tl.arange(0, BLOCK_COLS)
    mask = (row[:, None] < rows) & (col[None, :] < cols)
    place = row[:, None] * cols + col[None, :]
    x = tl.load(x_ptr + place, mask=mask, other=0.0).to(tl.float32)
    scale = tl.load(scale_ptr + row, mask=row < rows, other=1.0)
    tl.store(q_ptr + place, (x * (1.0 / scale)[:, None]).to(tl.int8), mask=mask)


@triton.jit
def int8_matmul_kernel(
    a_ptr, b_ptr, c_ptr, a_scale_ptr, b_scale_ptr, M, N, K,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    blocks_n = tl.cdiv(N, BLOCK_N)
    m = (tl.program_id(0) // blocks_n) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = (tl.program_id(0) % blocks_n) * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.int32)
    for first in range(0, K, BLOCK_K):
        a = tl.load(a_ptr + m[:, None] * K + (first + k)[None, :])
        b = tl.load(b_ptr + (first + k)[:, None] * N + n[None, :])
        acc = tl.dot(a, b, acc, out_dtype=tl.int32)
    scale = tl.load(a_scale_ptr + m)[:, None] * tl.load(b_scale_ptr + n)[None, :]
    tl.store(c_ptr + m[:, None] * N + n[None, :], (acc.to(tl.float32) * scale).to(tl.float16))
