"""Kernels whose pointer arguments are one tensor or parts of one: every access comes in the order of the program."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl
from mtia.runtime.triton_backend.overlap import overlapping


@triton.jit
def read_back(x, y, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    first = tl.load(x + i)
    tl.store(y + i, first + 1)
    tl.store(out + i, tl.load(x + i))


@triton.jit
def clear_then_use(x, y, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    value = tl.load(x + i)
    tl.store(y + i, tl.zeros([BLOCK], tl.float32))
    tl.store(y + BLOCK + i, value * 2)


@triton.jit
def running(x, y, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    for step in range(n):
        tl.store(y + step * BLOCK + i, tl.load(x + step * BLOCK + i) + 1)


@triton.jit
def products(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    total = tl.zeros([BLOCK, BLOCK], tl.float32)
    for _ in range(n):
        a = tl.load(x + i)
        total = tl.dot(a, a, total)
        tl.store(y + i, total * 0.25)
    tl.store(out + i, total)


@triton.jit
def two_walks(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    for start in range(0, n, BLOCK):
        tl.store(y + start + i, tl.load(x + start + i) + 1)
    for start in range(0, n, BLOCK):
        tl.store(out + start + i, tl.load(x + start + i) * 2)


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n), mask=i < n)


@pytest.fixture(params=["cpu", "mtia"])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("block", [64, 32768])
def test_a_store_is_read_back(device, block):
    x = torch.arange(block, dtype=torch.float32, device=device)
    out = torch.zeros(block, device=device)
    read_back[(1,)](x, x, out, block)
    assert torch.equal(out.cpu(), torch.arange(block) + 1.0)


@pytest.mark.parametrize("block", [64, 32768])
def test_a_load_comes_before_a_later_store(device, block):
    x = torch.arange(2 * block, dtype=torch.float32, device=device)
    clear_then_use[(1,)](x, x, block)
    assert torch.equal(x.cpu(), torch.cat([torch.zeros(block), torch.arange(block) * 2.0]))


def test_the_next_turn_reads_what_this_one_stored(device):
    x = torch.zeros(9 * 64, device=device)
    running[(1,)](x, x[64:], 8, 64)
    assert torch.equal(x.cpu(), torch.arange(9.0).repeat_interleave(64))


def test_products_wait_for_stores():
    x = (torch.arange(64 * 64) % 3 - 1).float().view(64, 64)  # small whole numbers: every sum is exact
    a, total = x.clone(), torch.zeros(64, 64)
    out = torch.zeros(64, 64)
    products[(1,)](x, x, out, 2, 64)
    for _ in range(2):
        total += a @ a
        a = total * 0.25
    assert torch.equal(out, total)


@pytest.mark.parametrize("trips", [1, 3])
def test_a_second_walk_reads_what_the_first_stored(trips):
    x, out = torch.arange(64.0 * trips), torch.zeros(64 * trips)
    two_walks[(1,)](x, x, out, 64 * trips, BLOCK=64)
    assert torch.equal(out, (torch.arange(64.0 * trips) + 1) * 2)


def test_bytes_of_another_type_are_the_same_memory():
    x = torch.arange(64, dtype=torch.float32)
    out = torch.zeros(64)
    read_back[(1,)](x, x.view(torch.int32), out, 64)  # the bits of x + 1 as integers are stored as whole numbers
    assert torch.equal(out.view(torch.int32), torch.arange(1, 65, dtype=torch.int32))


def test_arguments_apart_and_elementwise_in_place_need_no_other_kernel():
    x, y = torch.ones(1000), torch.ones(1000)
    kernel = add[(4,)](x, y, x, 1000, BLOCK=256)
    assert torch.equal(x, torch.full((1000,), 2.0))
    assert kernel.run.variants.programs == {}


def test_groups():
    x, y = torch.zeros(8), torch.zeros(8)
    assert overlapping([(0, 1), (1, 2)], [x, x[4:], y]) == ((0, 1),)
    assert overlapping([(0, 1), (1, 2)], [x, x[4:], x]) == ((0, 1, 2),)
    assert overlapping([(0, 1), (0, 9)], [x, 3]) == ()
