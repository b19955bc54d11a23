"""Loops whose variables begin with one value and are assigned from each other, against the same lines in Python."""

from __future__ import annotations

import pytest
import torch
import triton
import triton.language as tl


@triton.jit
def rotate(out, n, x):
    a = x
    b = x
    for i in range(n):
        a = b
        b = x + i
    tl.store(out, a)
    tl.store(out + 1, b)


@triton.jit
def nested(out, n, x):
    a = x
    b = x
    c = x
    i = 0
    while i < n:
        for _ in range(2):
            a = b
            b = c
        c = c + x
        i += 1
    tl.store(out, a)
    tl.store(out + 1, b)


@triton.jit
def branches(out, n, x):
    a = x
    b = x
    for i in range(n):
        if i % 2 == 0:
            a = b
        else:
            b = x + i
    tl.store(out, a)
    tl.store(out + 1, b)


@triton.jit
def tuples(out, n, x):
    t = (x, x)
    u = (x, x)
    for i in range(n):
        t = u
        u = (x + i, x)
    tl.store(out, t[0])
    tl.store(out + 1, u[0])


def _rotate(n: int, x: int) -> list[int]:
    a = b = x
    for i in range(n):
        a, b = b, x + i
    return [a, b]


def _nested(n: int, x: int) -> list[int]:
    a = b = c = x
    for _ in range(n):
        for _ in range(2):
            a, b = b, c
        c += x
    return [a, b]


def _branches(n: int, x: int) -> list[int]:
    a = b = x
    for i in range(n):
        if i % 2 == 0:
            a = b
        else:
            b = x + i
    return [a, b]


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize(
    ("kernel", "expected"), [(rotate, _rotate), (nested, _nested), (branches, _branches), (tuples, _rotate)]
)
def test_scalars(kernel, expected, n):
    out = torch.zeros(2, dtype=torch.int32)
    kernel[(1,)](out, n, 7)
    assert out.tolist() == expected(n, 7)


@triton.jit
def two_pointers(x, y, out, n):
    p = x
    q = x
    total = tl.load(out)
    for _ in range(n):
        total += tl.load(p)
        p = q
        q = y
    tl.store(out, total)


@pytest.mark.parametrize("n", [0, 2, 4])
def test_pointers(n):
    x, y, out = torch.tensor([1.0]), torch.tensor([10.0]), torch.zeros(1)
    two_pointers[(1,)](x, y, out, n)
    assert out.item() == sum([1.0, 1.0, 10.0, 10.0][:n])


@triton.jit
def blocks(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.full([BLOCK], 1.0, tl.float32)
    b = a
    for _ in range(n):
        a = b
        b = tl.load(x + i)
    tl.store(out + i, a)


@pytest.mark.parametrize("n", [1, 2])
def test_blocks(n):
    x, out = torch.arange(64, dtype=torch.float32), torch.zeros(64)
    blocks[(1,)](x, out, n, BLOCK=64)
    assert torch.equal(out, x if n == 2 else torch.ones(64))
