"""Products of a group of matrix pairs of different sizes in one launch; pointers and sizes come from memory."""

import triton
import triton.language as tl


@triton.jit
def grouped_gemm_kernel(
    a_addresses, b_addresses, c_addresses, sizes, strides, groups,
    PROGRAMS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    tile = tl.program_id(0)
    before = 0  # tiles of the groups that are done
    for group in range(groups):
        m = tl.load(sizes + 3 * group)
        n = tl.load(sizes + 3 * group + 1)
        k = tl.load(sizes + 3 * group + 2)
        tiles_n = tl.cdiv(n, BLOCK_N)
        tiles = tl.cdiv(m, BLOCK_M) * tiles_n
        while tile >= before and tile < before + tiles:
            stride_a = tl.load(strides + 3 * group)
            stride_b = tl.load(strides + 3 * group + 1)
            stride_c = tl.load(strides + 3 * group + 2)
            a = tl.load(a_addresses + group).to(tl.pointer_type(tl.float16))
            b = tl.load(b_addresses + group).to(tl.pointer_type(tl.float16))
            c = tl.load(c_addresses + group).to(tl.pointer_type(tl.float16))
            rows = (tile - before) // tiles_n * BLOCK_M + tl.arange(0, BLOCK_M)
            columns = (tile - before) % tiles_n * BLOCK_N + tl.arange(0, BLOCK_N)
            inner = tl.arange(0, BLOCK_K)
            a_block = a + rows[:, None] * stride_a + inner[None, :]
            b_block = b + inner[:, None] * stride_b + columns[None, :]
            sums = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
            for _ in range(tl.cdiv(k, BLOCK_K)):
                sums += tl.dot(tl.load(a_block), tl.load(b_block))
                a_block += BLOCK_K
                b_block += BLOCK_K * stride_b
            tl.store(c + rows[:, None] * stride_c + columns[None, :], sums.to(tl.float16))
            tile += PROGRAMS
        before += tiles
