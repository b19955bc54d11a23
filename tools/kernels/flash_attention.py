"""Causal flash attention forward: online softmax over blocks of keys, unmasked blocks first, then the diagonal."""

import triton
import triton.language as tl


@triton.jit
def attention_inner(
    acc,
    l_i,
    m_i,
    q,
    k_ptrs,
    v_ptrs,
    stride_kn,
    stride_vn,
    start,
    end,
    offs_m,
    offs_n,
    seq_len,
    qk_scale,
    BLOCK_N: tl.constexpr,
    MASKED: tl.constexpr,
):
    for start_n in range(start, end, BLOCK_N):
        cols = start_n + offs_n
        k = tl.load(k_ptrs + start_n * stride_kn, mask=cols[None, :] < seq_len, other=0.0)
        qk = tl.dot(q, k) * qk_scale
        if MASKED:
            qk = tl.where(offs_m[:, None] >= cols[None, :], qk, -1.0e6)
        m_new = tl.maximum(m_i, tl.max(qk, 1))
        p = tl.math.exp2(qk - m_new[:, None])
        alpha = tl.math.exp2(m_i - m_new)
        l_i = l_i * alpha + tl.sum(p, 1)
        acc = acc * alpha[:, None]
        v = tl.load(v_ptrs + start_n * stride_vn, mask=cols[:, None] < seq_len, other=0.0)
        acc = tl.dot(p.to(v.dtype), v, acc)
        m_i = m_new
    return acc, l_i, m_i


@triton.jit
def attention_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    stride_h,
    stride_n,
    seq_len,
    sm_scale,
    HEAD_DIM: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    block = tl.program_id(0)
    head = tl.program_id(1)
    base = head * stride_h
    offs_m = block * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, HEAD_DIM)
    row_mask = offs_m[:, None] < seq_len
    q = tl.load(q_ptr + base + offs_m[:, None] * stride_n + offs_d[None, :], mask=row_mask, other=0.0)
    k_ptrs = k_ptr + base + offs_n[None, :] * stride_n + offs_d[:, None]
    v_ptrs = v_ptr + base + offs_n[:, None] * stride_n + offs_d[None, :]
    m_i = tl.full([BLOCK_M], -float("inf"), dtype=tl.float32)
    l_i = tl.zeros([BLOCK_M], dtype=tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD_DIM], dtype=tl.float32)
    qk_scale = sm_scale * 1.44269504  # exp(x) = exp2(x · log2 e)
    diagonal = block * BLOCK_M
    acc, l_i, m_i = attention_inner(
        acc, l_i, m_i, q, k_ptrs, v_ptrs, stride_n, stride_n, 0, diagonal, offs_m, offs_n, seq_len, qk_scale,
        BLOCK_N, False,
    )  # fmt: skip
    acc, l_i, m_i = attention_inner(
        acc, l_i, m_i, q, k_ptrs, v_ptrs, stride_n, stride_n, diagonal, diagonal + BLOCK_M, offs_m, offs_n, seq_len,
        qk_scale, BLOCK_N, True,
    )  # fmt: skip
    acc = acc / l_i[:, None]
    out_ptrs = out_ptr + base + offs_m[:, None] * stride_n + offs_d[None, :]
    tl.store(out_ptrs, acc.to(out_ptr.dtype.element_ty), mask=row_mask)


def attention(q, k, v, sm_scale, block_m=128, block_n=64, **options):
    heads, seq_len, head_dim = q.shape
    out = q.new_empty(q.shape)
    attention_kernel[(triton.cdiv(seq_len, block_m), heads)](
        q, k, v, out, q.stride(0), q.stride(1), seq_len, sm_scale, HEAD_DIM=head_dim, BLOCK_M=block_m,
        BLOCK_N=block_n, **options,
    )  # fmt: skip
    return out
