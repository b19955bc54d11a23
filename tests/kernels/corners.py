"""Small kernels, each with one construct that needs care in a compiler."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def pick(x_ptr, index_ptr, out_ptr, n, limit, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    index = tl.load(index_ptr + at, mask=at < n, other=0)
    tl.store(out_ptr + at, tl.load(x_ptr + index, mask=index < limit, other=-1.0), mask=at < n)


@triton.jit
def embed(table_ptr, index_ptr, out_ptr, n, stride, ROWS: tl.constexpr, COLS: tl.constexpr):  # type: ignore[no-untyped-def]
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    index = tl.load(index_ptr + rows, mask=rows < n, other=0)
    picked = tl.load(table_ptr + index[:, None] * stride + cols[None, :], mask=rows[:, None] < n, other=0.0)
    tl.store(out_ptr + rows[:, None] * COLS + cols[None, :], picked * 2, mask=rows[:, None] < n)


@triton.jit
def spread(x_ptr, index_ptr, out_ptr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + tl.load(index_ptr + at) * 2, tl.load(x_ptr + at))


@triton.jit
def triangle(x_ptr, out_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    r, c = tl.arange(0, N)[:, None], tl.arange(0, N)[None, :]
    lower = tl.load(x_ptr + r * N + c, mask=r >= c, other=0.0)
    tl.store(out_ptr + r * N + c, lower, mask=(r + c) % 2 == 0)


@triton.jit
def decay(a, b):  # type: ignore[no-untyped-def]
    return a * 0.5 + b


@triton.jit
def scans(x_ptr, sum_ptr, back_ptr, decay_ptr, R: tl.constexpr, C: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, R)[:, None] * C + tl.arange(0, C)[None, :]
    x = tl.load(x_ptr + at)
    tl.store(sum_ptr + at, tl.cumsum(x, 1))
    tl.store(back_ptr + at, tl.cumsum(x, 0, reverse=True))
    tl.store(decay_ptr + at, tl.associative_scan(x, 1, decay))


@triton.jit
def counts(x_ptr, out_ptr, BLOCK: tl.constexpr, BINS: tl.constexpr):  # type: ignore[no-untyped-def]
    x = tl.load(x_ptr + tl.arange(0, BLOCK))
    tl.store(out_ptr + tl.arange(0, BINS), tl.histogram(x, BINS))


@triton.jit
def atomics(x_ptr, total_ptr, most_ptr, lock_ptr, old_ptr, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n, other=0.0)
    tl.atomic_add(total_ptr, tl.sum(x))
    tl.atomic_max(most_ptr + at % 4, x, mask=at < n)
    tl.store(old_ptr + tl.program_id(0), tl.atomic_cas(lock_ptr, 0, tl.program_id(0) + 1))


@triton.jit
def early(x_ptr, out_ptr, n):  # type: ignore[no-untyped-def]
    if tl.program_id(0) >= n:
        return
    steps = 0
    value = tl.load(x_ptr + tl.program_id(0))
    while value != 1:
        value = tl.where(value % 2 == 0, value // 2, 3 * value + 1)
        steps += 1
    tl.store(out_ptr + tl.program_id(0), steps)


@triton.jit
def shuffle(x_ptr, y_ptr, out_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)
    x, y = tl.load(x_ptr + at), tl.load(y_ptr + at)
    both = tl.join(x, y)
    first, second = tl.split(both)
    turned = tl.reshape(tl.trans(both), (2 * N,))
    picked = tl.gather(x, N - 1 - at, 0)
    tl.store(out_ptr + at, first - second + picked)
    tl.store(out_ptr + N + tl.arange(0, 2 * N), turned)
    tl.store(out_ptr + 3 * N + tl.arange(0, 2 * N), tl.cat(y, x, can_reorder=True))


@triton.jit
def sort(x_ptr, out_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)
    tl.store(out_ptr + at, tl.sort(tl.load(x_ptr + at)))


@triton.jit
def wrap(x_ptr, out_ptr, start, size, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(x_ptr + (start + at) % size))


@triton.jit
def cut_off(x_ptr, out_ptr, start, size, beyond, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(x_ptr + tl.where(start + at < size, start + at, beyond)))
    tl.store(out_ptr + BLOCK + at, tl.load(x_ptr + tl.minimum(start + at, size - 1)))


@triton.jit
def turns_between(a_ptr, b_ptr, turns, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    source, target = a_ptr, b_ptr
    for _ in range(turns):
        tl.store(target + at, tl.load(source + at) * 2 + 1)
        source, target = target, source


@triton.jit
def halves(x_ptr, out_ptr, ROWS: tl.constexpr, COLS: tl.constexpr):  # type: ignore[no-untyped-def]
    row, col, half = tl.arange(0, ROWS), tl.arange(0, COLS), tl.arange(0, COLS // 2)
    x = tl.load(x_ptr + row[:, None] * COLS + col[None, :])
    left, right = tl.split(tl.permute(tl.reshape(x, (ROWS, 2, COLS // 2)), (0, 2, 1)))
    even, odd = tl.split(tl.reshape(x, (ROWS, COLS // 2, 2)))
    top, bottom = tl.split(tl.permute(tl.reshape(x, (2, ROWS // 2, COLS)), (1, 2, 0)))
    block = ROWS * COLS // 2
    out = out_ptr + row[:, None] * (COLS // 2) + half[None, :]
    tl.store(out, left)
    tl.store(out + block, right)
    tl.store(out + 2 * block, even)
    tl.store(out + 3 * block, odd)
    out = out_ptr + 4 * block + tl.arange(0, ROWS // 2)[:, None] * COLS + col[None, :]
    tl.store(out, top)
    tl.store(out + block, bottom)


@triton.jit
def wrap_turned(x_ptr, out_ptr, start, size, n, stride, ROWS: tl.constexpr, COLS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Columns that wrap, of a matrix whose columns are contiguous, under a mask on the rows."""
    row, col = tl.arange(0, ROWS), tl.arange(0, COLS)
    x = tl.load(x_ptr + row[:, None] + ((start + col) % size)[None, :] * stride, mask=row[:, None] < n, other=7.0)
    tl.store(out_ptr + row[:, None] * COLS + col[None, :], x)


@triton.jit
def swap(a_ptr, b_ptr, out_ptr, turns, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, BLOCK)
    left, right = a_ptr + at, b_ptr + at
    where = at
    for turn in range(turns):
        left, right = right, left
        where = where + turn
        where = tl.where(where >= BLOCK, where - BLOCK, where)
    chosen = a_ptr
    if turns > 2:
        chosen = b_ptr
    tl.store(out_ptr + where, tl.load(left) * 2 + tl.load(right) + tl.load(chosen))


@triton.jit
def small_dot(a_ptr, b_ptr, out_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out_ptr + at, tl.dot(tl.load(a_ptr + at), tl.load(b_ptr + at)))


@triton.jit
def describe(x_ptr, out_ptr, rows, cols, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    x = tl.make_tensor_descriptor(x_ptr, [rows, cols], [cols, 1], [BLOCK, BLOCK])
    out = tl.make_tensor_descriptor(out_ptr, [rows, cols], [cols, 1], [BLOCK, BLOCK])
    i, j = tl.program_id(0) * BLOCK, tl.program_id(1) * BLOCK
    out.store([i, j], x.load([i, j]) + 1)


@triton.jit
def described(x, out_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out_ptr + at, x.load([1, 2]))


@triton.jit
def describe_rows(x_ptr, index_ptr, out_ptr, total_ptr, rows, cols):  # type: ignore[no-untyped-def]
    x = tl.make_tensor_descriptor(x_ptr, [rows, cols], [cols, 1], [1, 16])
    out = tl.make_tensor_descriptor(out_ptr, [rows, cols], [cols, 1], [1, 16])
    total = tl.make_tensor_descriptor(total_ptr, [rows, cols], [cols, 1], [8, 16])
    index = tl.load(index_ptr + tl.arange(0, 8))
    picked = x.gather(index, 16)
    out.scatter(picked * 2, index, 16)
    total.atomic_add([16, 16], picked)


@triton.jit
def normalise(x_ptr, out_ptr, R: tl.constexpr, C: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, R)[:, None] * C + tl.arange(0, C)[None, :]
    x = tl.load(x_ptr + at)
    norm = tl.rsqrt(tl.sum(x * x, axis=1) + 1.0)
    tl.store(out_ptr + at, x * norm[:, None] + tl.max(x, axis=0)[None, :])


@triton.jit
def refused(x_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, N)
    x = tl.load(x_ptr + at)
    y = tl.inline_asm_elementwise("shl.b32 $0, $1, 1;", "=r,r", [x], dtype=tl.int32, is_pure=True, pack=1)
    tl.store(x_ptr + at, y)


@triton.jit
def wrong(x_ptr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, 3)
    tl.store(x_ptr + at, at)
