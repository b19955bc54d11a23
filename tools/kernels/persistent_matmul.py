"""Matrix products by as many programs as the chip runs at a time, each taking one block after another."""

import triton
import triton.language as tl


@triton.jit
def block_of(tile, in_group, blocks_m, GROUP_M: tl.constexpr):
    first = tile // in_group * GROUP_M
    height = min(blocks_m - first, GROUP_M)
    return first + tile % height, tile % in_group // height


@triton.jit
def persistent_matmul_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K, stride_am, stride_ak, stride_bk, stride_bn, stride_cm, stride_cn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
    PROGRAMS: tl.constexpr,
):  # fmt: skip
    blocks_m = tl.cdiv(M, BLOCK_M)
    blocks_n = tl.cdiv(N, BLOCK_N)
    in_group = GROUP_M * blocks_n
    inner = tl.arange(0, BLOCK_K)
    written = tl.program_id(0) - PROGRAMS
    for tile in tl.range(tl.program_id(0), blocks_m * blocks_n, PROGRAMS, flatten=True):
        pid_m, pid_n = block_of(tile, in_group, blocks_m, GROUP_M)
        rows = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
        columns = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
        rows = tl.where(rows < M, rows, 0)
        columns = tl.where(columns < N, columns, 0)
        rows = tl.max_contiguous(tl.multiple_of(rows, BLOCK_M), BLOCK_M)
        columns = tl.max_contiguous(tl.multiple_of(columns, BLOCK_N), BLOCK_N)
        sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for step in range(tl.cdiv(K, BLOCK_K)):
            k = step * BLOCK_K + inner
            a_block = a_ptr + (rows[:, None] * stride_am + k[None, :] * stride_ak)
            b_block = b_ptr + (k[:, None] * stride_bk + columns[None, :] * stride_bn)
            a = tl.load(a_block, mask=inner[None, :] < K - step * BLOCK_K, other=0.0)
            b = tl.load(b_block, mask=inner[:, None] < K - step * BLOCK_K, other=0.0)
            sums = tl.dot(a, b, sums)
        written += PROGRAMS
        pid_m, pid_n = block_of(written, in_group, blocks_m, GROUP_M)
        rows = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
        columns = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
        c_block = c_ptr + stride_cm * rows[:, None] + stride_cn * columns[None, :]
        inside = (rows[:, None] < M) & (columns[None, :] < N)
        tl.store(c_block, sums.to(c_ptr.dtype.element_ty), mask=inside)


@triton.jit
def descriptor_matmul_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
    PROGRAMS: tl.constexpr, HALVES: tl.constexpr,
):  # fmt: skip
    """B is N x K; with HALVES the block of C leaves in two halves."""
    blocks_m = tl.cdiv(M, BLOCK_M)
    blocks_n = tl.cdiv(N, BLOCK_N)
    in_group = GROUP_M * blocks_n
    a_desc = tl.make_tensor_descriptor(a_ptr, shape=[M, K], strides=[K, 1], block_shape=[BLOCK_M, BLOCK_K])
    b_desc = tl.make_tensor_descriptor(b_ptr, shape=[N, K], strides=[K, 1], block_shape=[BLOCK_N, BLOCK_K])
    width: tl.constexpr = BLOCK_N // 2 if HALVES else BLOCK_N
    c_desc = tl.make_tensor_descriptor(c_ptr, shape=[M, N], strides=[N, 1], block_shape=[BLOCK_M, width])
    written = tl.program_id(0) - PROGRAMS
    for tile in tl.range(tl.program_id(0), blocks_m * blocks_n, PROGRAMS, flatten=True):
        pid_m, pid_n = block_of(tile, in_group, blocks_m, GROUP_M)
        sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for step in range(tl.cdiv(K, BLOCK_K)):
            a = a_desc.load([pid_m * BLOCK_M, step * BLOCK_K])
            b = b_desc.load([pid_n * BLOCK_N, step * BLOCK_K])
            sums = tl.dot(a, b.T, sums)
        written += PROGRAMS
        pid_m, pid_n = block_of(written, in_group, blocks_m, GROUP_M)
        if HALVES:
            pair = tl.permute(tl.reshape(sums, (BLOCK_M, 2, BLOCK_N // 2)), (0, 2, 1))
            left, right = tl.split(pair)
            c_desc.store([pid_m * BLOCK_M, pid_n * BLOCK_N], left.to(c_ptr.dtype.element_ty))
            c_desc.store([pid_m * BLOCK_M, pid_n * BLOCK_N + width], right.to(c_ptr.dtype.element_ty))
        else:
            c_desc.store([pid_m * BLOCK_M, pid_n * BLOCK_N], sums.to(c_ptr.dtype.element_ty))
