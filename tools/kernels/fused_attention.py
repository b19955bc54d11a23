"""Attention for training: forward with tensor descriptors, and backward in two kernels from what forward keeps.

Rows of queries are blocks of a program. Forward keeps log2 of every row's sum of exp2; backward recomputes the
probabilities from it, so that no matrix of scores reaches device memory.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _block(source, shape, strides, block):
    return (
        source if isinstance(source, tl.tensor_descriptor) else tl.make_tensor_descriptor(source, shape, strides, block)
    )


@triton.jit
def _attend(
    acc, total, high, q, keys, values, first, start, stop, queries, columns, scale, BLOCK_N: tl.constexpr,
    MASKED: tl.constexpr, SPECIALIZE: tl.constexpr,
):  # fmt: skip
    """Online softmax of one block of queries over the keys in [start, stop)."""
    for at in tl.range(start, stop, BLOCK_N, warp_specialize=SPECIALIZE):
        at = tl.multiple_of(at, BLOCK_N)
        scores = tl.dot(q, keys.load([first + at, 0]).T)
        if MASKED:
            scores = scores * scale + tl.where(queries[:, None] >= at + columns[None, :], 0, -1.0e6)
            above = tl.maximum(high, tl.max(scores, 1))
            scores = scores - above[:, None]
        else:
            above = tl.maximum(high, tl.max(scores, 1) * scale)
            scores = scores * scale - above[:, None]
        p = tl.math.exp2(scores)
        fade = tl.math.exp2(high - above)
        acc = acc * fade[:, None]
        v = values.load([first + at, 0])
        acc = tl.dot(p.to(v.dtype), v, acc)
        total = total * fade + tl.sum(p, 1)
        high = above
    return acc, total, high


@triton.jit
def attention_forward(
    scale, log_sum_ptr, q_ptr, k_ptr, v_ptr, out_ptr, heads, LENGTH: tl.constexpr, HEAD_DIM: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, CAUSAL: tl.constexpr, SPECIALIZE: tl.constexpr,
):  # fmt: skip
    tl.static_assert(BLOCK_N <= HEAD_DIM)
    block = tl.program_id(0)
    head = tl.program_id(1)
    rows = heads * LENGTH
    q_rows = _block(q_ptr, [rows, HEAD_DIM], [HEAD_DIM, 1], [BLOCK_M, HEAD_DIM])
    k_rows = _block(k_ptr, [rows, HEAD_DIM], [HEAD_DIM, 1], [BLOCK_N, HEAD_DIM])
    v_rows = _block(v_ptr, [rows, HEAD_DIM], [HEAD_DIM, 1], [BLOCK_N, HEAD_DIM])
    out_rows = _block(out_ptr, [rows, HEAD_DIM], [HEAD_DIM, 1], [BLOCK_M, HEAD_DIM])
    first = head * LENGTH
    queries = block * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.arange(0, BLOCK_N)
    high = tl.zeros([BLOCK_M], dtype=tl.float32) - float("inf")
    total = tl.zeros([BLOCK_M], dtype=tl.float32) + 1.0
    acc = tl.zeros([BLOCK_M, HEAD_DIM], dtype=tl.float32)
    scale *= LOG2_E
    q = q_rows.load([first + block * BLOCK_M, 0])
    stop = block * BLOCK_M if CAUSAL else LENGTH
    acc, total, high = _attend(
        acc, total, high, q, k_rows, v_rows, first, 0, stop, queries, columns, scale, BLOCK_N, False, SPECIALIZE
    )  # fmt: skip
    if CAUSAL:
        start = tl.multiple_of(stop, BLOCK_M)
        acc, total, high = _attend(
            acc, total, high, q, k_rows, v_rows, first, start, start + BLOCK_M, queries, columns, scale, BLOCK_N,
            True, SPECIALIZE,
        )  # fmt: skip
    tl.store(log_sum_ptr + head * LENGTH + queries, high + tl.math.log2(total))
    acc = acc / total[:, None]
    out_rows.store([first + block * BLOCK_M, 0], acc.to(q.dtype))


@triton.jit
def attention_products(
    out_ptr, dout_ptr, product_ptr, LENGTH: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK: tl.constexpr
):
    """Sum over the head of out · dout, for every row: what the softmax's derivative subtracts."""
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    head = tl.program_id(1)
    places = head * LENGTH * HEAD_DIM + rows[:, None] * HEAD_DIM + tl.arange(0, HEAD_DIM)[None, :]
    out = tl.load(out_ptr + places)
    dout = tl.load(dout_ptr + places).to(tl.float32)
    tl.store(product_ptr + head * LENGTH + rows, tl.sum(out * dout, axis=1))


@triton.jit
def _keys_and_values(
    dk, dv, q_ptr, k, v, dout_ptr, log_sum_ptr, product_ptr, stride, keys, start, steps, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr, HEAD_DIM: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Gradients of one block of keys and values from `steps` blocks of queries; matrices here are keys × queries."""
    tl.static_assert(BLOCK_N % BLOCK_M == 0)
    queries = start + tl.arange(0, BLOCK_M)
    depth = tl.arange(0, HEAD_DIM)
    q_ptrs = q_ptr + queries[None, :] * stride + depth[:, None]
    dout_ptrs = dout_ptr + queries[:, None] * stride + depth[None, :]
    at = start
    for _ in range(steps):
        q = tl.load(q_ptrs)
        queries = at + tl.arange(0, BLOCK_M)
        log_sum = tl.load(log_sum_ptr + queries)
        p = tl.math.exp2(tl.dot(k, q) - log_sum[None, :])
        if MASKED:
            p = tl.where(queries[None, :] >= keys[:, None], p, 0.0)
        dout = tl.load(dout_ptrs)
        dv += tl.dot(p.to(tl.float16), dout)
        product = tl.load(product_ptr + queries)
        dp = tl.dot(v, tl.trans(dout)).to(tl.float32)
        ds = p * (dp - product[None, :])
        dk += tl.dot(ds.to(tl.float16), tl.trans(q))
        at += BLOCK_M
        q_ptrs += BLOCK_M * stride
        dout_ptrs += BLOCK_M * stride
    return dk, dv


@triton.jit
def _queries(
    dq, q, k_ptr, v_ptr, dout, log_sum, product_ptr, stride, queries, start, steps, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr, HEAD_DIM: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """The gradient of one block of queries from `steps` blocks of keys and values."""
    tl.static_assert(BLOCK_M % BLOCK_N == 0)
    keys = start + tl.arange(0, BLOCK_N)
    depth = tl.arange(0, HEAD_DIM)
    k_ptrs = k_ptr + keys[None, :] * stride + depth[:, None]
    v_ptrs = v_ptr + keys[None, :] * stride + depth[:, None]
    product = tl.load(product_ptr + queries)
    at = start
    for _ in range(steps):
        k = tl.load(k_ptrs)
        v = tl.load(v_ptrs)
        p = tl.math.exp2(tl.dot(q, k) - log_sum)
        if MASKED:
            p = tl.where(queries[:, None] >= at + tl.arange(0, BLOCK_N)[None, :], p, 0.0)
        dp = tl.dot(dout, v).to(tl.float32)
        ds = p * (dp - product[:, None])
        dq += tl.dot(ds.to(tl.float16), tl.trans(k))
        at += BLOCK_N
        k_ptrs += BLOCK_N * stride
        v_ptrs += BLOCK_N * stride
    return dq


@triton.jit
def attention_backward(
    q_ptr, k_ptr, v_ptr, scale, dout_ptr, dq_ptr, dk_ptr, dv_ptr, log_sum_ptr, product_ptr, stride_z, stride_h, stride,
    heads, length, BLOCK_M1: tl.constexpr, BLOCK_N1: tl.constexpr, BLOCK_M2: tl.constexpr, BLOCK_N2: tl.constexpr,
    SLICES: tl.constexpr, HEAD_DIM: tl.constexpr, CAUSAL: tl.constexpr,
):  # fmt: skip
    """All three gradients; `k_ptr` holds keys times scale · log2 e. Blocks on the diagonal are cut in SLICES."""
    head = tl.program_id(2)
    base = (stride_h * (head % heads) + stride_z * (head // heads)).to(tl.int64)
    rows = (head * length).to(tl.int64)
    q_ptr += base
    k_ptr += base
    v_ptr += base
    dout_ptr += base
    log_sum_ptr += rows
    product_ptr += rows
    depth = tl.arange(0, HEAD_DIM)
    block = tl.program_id(0)

    first = block * BLOCK_N1
    keys = first + tl.arange(0, BLOCK_N1)
    places = keys[:, None] * stride + depth[None, :]
    dv = tl.zeros([BLOCK_N1, HEAD_DIM], dtype=tl.float32)
    dk = tl.zeros([BLOCK_N1, HEAD_DIM], dtype=tl.float32)
    k = tl.load(k_ptr + places)
    v = tl.load(v_ptr + places)
    start = 0
    if CAUSAL:
        start = first
        steps = BLOCK_N1 // (BLOCK_M1 // SLICES)
        dk, dv = _keys_and_values(
            dk, dv, q_ptr, k, v, dout_ptr, log_sum_ptr, product_ptr, stride, keys, start, steps, BLOCK_M1 // SLICES,
            BLOCK_N1, HEAD_DIM, True,
        )  # fmt: skip
        start += BLOCK_N1
    dk, dv = _keys_and_values(
        dk, dv, q_ptr, k, v, dout_ptr, log_sum_ptr, product_ptr, stride, keys, start, (length - start) // BLOCK_M1,
        BLOCK_M1, BLOCK_N1, HEAD_DIM, False,
    )  # fmt: skip
    tl.store(dv_ptr + base + places, dv)
    tl.store(dk_ptr + base + places, dk * scale)

    first = block * BLOCK_M2
    queries = first + tl.arange(0, BLOCK_M2)
    places = queries[:, None] * stride + depth[None, :]
    q = tl.load(q_ptr + places)
    dout = tl.load(dout_ptr + places)
    log_sum = tl.load(log_sum_ptr + queries)[:, None]
    dq = tl.zeros([BLOCK_M2, HEAD_DIM], dtype=tl.float32)
    start = 0
    steps = length // BLOCK_N2
    if CAUSAL:
        cut = BLOCK_M2 // (BLOCK_N2 // SLICES)
        dq = _queries(
            dq, q, k_ptr, v_ptr, dout, log_sum, product_ptr, stride, queries, first, cut, BLOCK_M2,
            BLOCK_N2 // SLICES, HEAD_DIM, True,
        )  # fmt: skip
        steps = first // BLOCK_N2
    dq = _queries(
        dq, q, k_ptr, v_ptr, dout, log_sum, product_ptr, stride, queries, start, steps, BLOCK_M2, BLOCK_N2, HEAD_DIM,
        False,
    )  # fmt: skip
    tl.store(dq_ptr + base + places, dq * LN_2)
