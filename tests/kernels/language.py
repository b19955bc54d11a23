"""Kernels that walk through Triton's language: types, control flow and library functions."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def twice_plus_one(x_ptr, out_ptr, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    tl.store(out_ptr + at, x + x + 1, mask=at < n)


@triton.jit
def booleans(x_ptr, y_ptr, out_ptr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    x, y = tl.load(x_ptr + at), tl.load(y_ptr + at)
    tl.store(out_ptr + at, (x & ~y) | (at > 5))


@triton.jit
def batched(a_ptr, b_ptr, out_ptr, B: tl.constexpr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, B)[:, None, None] * N * N
    at = i + tl.arange(0, N)[None, :, None] * N + tl.arange(0, N)[None, None, :]
    tl.store(out_ptr + at, tl.dot(tl.load(a_ptr + at), tl.load(b_ptr + at)))


@triton.jit(noinline=True)
def helper(x, k):  # type: ignore[no-untyped-def]
    return x * k + 1


@triton.jit
def calls(x_ptr, out_ptr, scale, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(x_ptr + at) * helper(scale, 2.0))


@triton.jit
def branches(x_ptr, out_ptr, mode, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at)
    if mode == 0:
        y = x * 2
        shift = 0
    elif mode == 1:
        y = tl.sqrt(tl.abs(x))
        shift = 1
    else:
        y = tl.zeros_like(x)
        shift = 2
    rounds = 0
    while rounds < n:
        y = y + x
        rounds += 1
        if rounds == 3:
            y = -y
    for i in tl.static_range(2):
        for j in range(i, n):
            y += j
    tl.store(out_ptr + at + shift, y)


@triton.jit
def functions(x_ptr, out_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)
    x = tl.load(x_ptr + at)
    tl.store(out_ptr + at, tl.sigmoid(x))
    tl.store(out_ptr + N + at, tl.softmax(x))
    tl.store(out_ptr + 2 * N + at, tl.flip(x, 0))
    tl.store(out_ptr + 3 * N + at, tl.cumprod(x, 0))
    best, where = tl.min(x, axis=0, return_indices=True)
    tl.store(out_ptr + 4 * N + at, best + where + tl.argmax(x, 0))
    tl.store(out_ptr + 5 * N + at, tl.clamp(x, -0.5, 0.5) + tl.math.fma(x, x, x) + tl.floor(x) + tl.erf(x))
    tl.store(out_ptr + 6 * N + tl.arange(0, 2 * N), tl.interleave(x, -x))
    tl.store(out_ptr + 8 * N + at, tl.exp(x) + tl.log(tl.abs(x)) + tl.sin(x) + tl.cos(x) + tl.rsqrt(tl.abs(x)))


@triton.jit
def random(out_ptr, seed, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)
    tl.store(out_ptr + at, tl.randint(seed, at))


@triton.jit
def digits(x_ptr, out_ptr, rows, cols, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < rows * cols
    x = tl.load(x_ptr + (at % rows) * cols + at // rows, mask=inside)
    tl.store(out_ptr + at, x, mask=inside)


@triton.jit
def nested(x_ptr, out_ptr, rows, cols, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    total = tl.zeros([BLOCK], tl.float32)
    row_ptrs = x_ptr + tl.arange(0, BLOCK)
    for _ in range(rows):
        ptrs = row_ptrs
        for start in range(0, cols, BLOCK):
            total += tl.load(ptrs, mask=tl.arange(0, BLOCK) < cols - start, other=0.0)
            ptrs += BLOCK
        row_ptrs += cols
    tl.store(out_ptr, tl.sum(total))


@triton.jit
def table_of_pointers(table_ptr, out_ptr, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], tl.float32)
    for i in range(count):
        x_ptr = tl.load(table_ptr + i).to(tl.pointer_type(tl.float32))
        total += tl.load(x_ptr + at)
    tl.store(out_ptr + at, total)
