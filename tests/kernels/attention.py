"""Causal flash attention, forward: online softmax over blocks of keys."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def attention(  # type: ignore[no-untyped-def]
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    lse_ptr,
    scale,
    stride_head,
    stride_row,
    length,
    HEAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    CAUSAL: tl.constexpr,
):
    start_m = tl.program_id(0) * BLOCK_M
    head = tl.program_id(1).to(tl.int64) * stride_head
    rows = start_m + tl.arange(0, BLOCK_M)
    dims = tl.arange(0, HEAD)
    keys = tl.arange(0, BLOCK_N)
    q = tl.load(q_ptr + head + rows[:, None] * stride_row + dims[None, :], mask=rows[:, None] < length, other=0.0)
    m = tl.full([BLOCK_M], -float("inf"), dtype=tl.float32)
    norm = tl.zeros([BLOCK_M], dtype=tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD], dtype=tl.float32)
    stop = tl.minimum(start_m + BLOCK_M, length) if CAUSAL else length
    k_ptrs = k_ptr + head + keys[None, :] * stride_row + dims[:, None]
    v_ptrs = v_ptr + head + keys[:, None] * stride_row + dims[None, :]
    for start_n in range(0, stop, BLOCK_N):
        k = tl.load(k_ptrs, mask=start_n + keys[None, :] < length, other=0.0)
        scores = tl.dot(q, k) * (scale * 1.44269504)
        at = start_n + keys[None, :]
        seen = (at <= rows[:, None]) & (at < length) if CAUSAL else at < length
        scores = tl.where(seen, scores, -1.0e6)
        m_new = tl.maximum(m, tl.max(scores, axis=1))
        p = tl.exp2(scores - m_new[:, None])
        alpha = tl.exp2(m - m_new)
        norm = norm * alpha + tl.sum(p, axis=1)
        acc = acc * alpha[:, None]
        v = tl.load(v_ptrs, mask=start_n + keys[:, None] < length, other=0.0)
        acc = tl.dot(p.to(v.dtype), v, acc)
        m = m_new
        k_ptrs += BLOCK_N * stride_row
        v_ptrs += BLOCK_N * stride_row
    acc = acc / norm[:, None]
    tl.store(lse_ptr + tl.program_id(1) * length + rows, m + tl.log2(norm), mask=rows < length)
    out_ptrs = out_ptr + head + rows[:, None] * stride_row + dims[None, :]
    tl.store(out_ptrs, acc.to(out_ptr.dtype.element_ty), mask=rows[:, None] < length)


@triton.jit
def attention_blocks(  # type: ignore[no-untyped-def]
    q_ptr, k_ptr, v_ptr, out_ptr, scale, length, HEAD: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr
):
    start_m = tl.program_id(0) * BLOCK_M
    head = tl.program_id(1).to(tl.int64) * length * HEAD
    q_block = tl.make_block_ptr(q_ptr + head, (length, HEAD), (HEAD, 1), (start_m, 0), (BLOCK_M, HEAD), (1, 0))
    o_block = tl.make_block_ptr(out_ptr + head, (length, HEAD), (HEAD, 1), (start_m, 0), (BLOCK_M, HEAD), (1, 0))
    k_block = tl.make_block_ptr(k_ptr + head, (HEAD, length), (1, HEAD), (0, 0), (HEAD, BLOCK_N), (0, 1))
    v_block = tl.make_block_ptr(v_ptr + head, (length, HEAD), (HEAD, 1), (0, 0), (BLOCK_N, HEAD), (1, 0))
    rows = start_m + tl.arange(0, BLOCK_M)
    keys = tl.arange(0, BLOCK_N)
    q = tl.load(q_block, boundary_check=(0,), padding_option="zero")
    m = tl.full([BLOCK_M], -float("inf"), dtype=tl.float32)
    norm = tl.zeros([BLOCK_M], dtype=tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD], dtype=tl.float32)
    for start_n in range(0, start_m + BLOCK_M, BLOCK_N):
        k = tl.load(k_block, boundary_check=(1,), padding_option="zero")
        scores = tl.dot(q, k) * (scale * 1.44269504)
        scores = tl.where(rows[:, None] >= start_n + keys[None, :], scores, -1.0e6)
        m_new = tl.maximum(m, tl.max(scores, axis=1))
        p = tl.exp2(scores - m_new[:, None])
        alpha = tl.exp2(m - m_new)
        norm = norm * alpha + tl.sum(p, axis=1)
        v = tl.load(v_block, boundary_check=(0,), padding_option="zero")
        acc = tl.dot(p.to(v.dtype), v, acc * alpha[:, None])
        m = m_new
        k_block = tl.advance(k_block, (0, BLOCK_N))
        v_block = tl.advance(v_block, (BLOCK_N, 0))
    tl.store(o_block, (acc / norm[:, None]).to(out_ptr.dtype.element_ty), boundary_check=(0,))
