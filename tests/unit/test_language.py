"""The language on `device="mtia"`, against numpy and torch: what its table samples only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

DEVICE = "mtia"


@triton.jit
def swap(a_ptr, b_ptr, out_ptr, turns, N: tl.constexpr):
    at = tl.arange(0, N)
    a, b = tl.load(a_ptr + at), tl.load(b_ptr + at)
    for _ in range(turns):
        a, b = b, a
    tl.store(out_ptr + at, a * 2 + b)


@triton.jit
def turn(a_ptr, b_ptr, out_ptr, turns, N: tl.constexpr):
    at = tl.arange(0, N)
    a, b = tl.load(a_ptr + at), tl.load(b_ptr + at)
    c = a - b
    step = 0
    while step < turns:
        if step % 2 == 0:
            a, b, c = b, c * 2, a
        else:
            a, b, c = c, a, b + a
        step += 1
    tl.store(out_ptr + at, a * 2 + b * 3 + c)


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_carried_tensors_change_places(turns: int) -> None:
    a = torch.arange(16, dtype=torch.float32)
    b = a * 3 + 100
    out = torch.zeros(16, device=DEVICE)
    swap[(1,)](a.to(DEVICE), b.to(DEVICE), out, turns, N=16)
    torch.testing.assert_close(out.cpu(), a * 2 + b if turns % 2 == 0 else b * 2 + a)
    turn[(1,)](a.to(DEVICE), b.to(DEVICE), out, turns, N=16)
    c = a - b
    for step in range(turns):
        a, b, c = (b, c * 2, a) if step % 2 == 0 else (c, a, b + a)
    torch.testing.assert_close(out.cpu(), a * 2 + b * 3 + c)


@triton.jit(noinline=True)
def halves(x, y):
    if x > y:
        return x / 2, y
    return x, y / 2


@triton.jit(noinline=True)
def store_sum(x, y, out_ptr):
    a, b = halves(x, y)
    tl.store(out_ptr, a + b)


@triton.jit
def calls(x_ptr, out_ptr):
    pid = tl.program_id(0)
    store_sum(tl.load(x_ptr + pid), 10.0, out_ptr + pid)


def test_functions_that_are_not_inlined() -> None:
    out = torch.zeros(2, device=DEVICE)
    calls[(2,)](torch.tensor([4.0, 40.0], device=DEVICE), out)
    assert out.tolist() == [9.0, 30.0]


@triton.jit
def three_ways(x, y):
    if x < y:
        return -1
    elif x == y:
        return 0
    else:
        return 1


@triton.jit
def quotients(a0, a1, b0, b1):
    return a0 // b0, a1 // b1, a0 % b0, a1 % b1


@triton.jit
def elementwise(x_ptr, y_ptr, out_ptr, N: tl.constexpr):
    at = tl.arange(0, N)
    x, y = tl.load(x_ptr + at), tl.load(y_ptr + at)
    tl.store(out_ptr + at, tl.map_elementwise(three_ways, x, y))
    q, r = tl.map_elementwise(quotients, x, y, pack=2)
    tl.store(out_ptr + N + at, q)
    tl.store(out_ptr + 2 * N + at, r)


def test_map_elementwise() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(1, 9, (2, 32)).astype(np.int32)
    out = torch.zeros(96, dtype=torch.int32, device=DEVICE)
    elementwise[(1,)](torch.from_numpy(x).to(DEVICE), torch.from_numpy(y).to(DEVICE), out, N=32)
    np.testing.assert_array_equal(out.cpu().numpy(), np.concatenate([np.sign(x - y), x // y, x % y]))


@triton.jit
def described(x_desc, out_desc, n: tl.constexpr):
    out_desc.store([0, 0], tl.flip(x_desc.load([2, 0]), 0) * n)


def test_a_descriptor_made_by_the_host() -> None:
    from triton.tools.tensor_descriptor import TensorDescriptor

    x, out = torch.arange(24.0).reshape(6, 4), torch.zeros(4, 4, device=DEVICE)
    descriptors = [TensorDescriptor.from_tensor(t, [4, 4]) for t in (x.to(DEVICE), out)]
    described[(1,)](*descriptors, n=3)
    torch.testing.assert_close(out.cpu(), x[2:].flip(0) * 3)


@triton.jit
def choose(flag_ptr, a_ptr, b_ptr, out_ptr, N: tl.constexpr):
    at = tl.arange(0, N)
    a, b = tl.load(a_ptr + at).to(tl.pi32_t), tl.load(b_ptr + at).to(tl.pi32_t)
    tl.store(out_ptr + at, tl.where(tl.load(flag_ptr + at), a, b))


def test_pointers_as_data_keep_every_bit() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(-(1 << 62), 1 << 62, (2, 16))
    flag = rng.integers(0, 2, 16).astype(bool)
    out = torch.zeros(16, dtype=torch.int64, device=DEVICE)
    choose[(1,)](*(torch.from_numpy(v).to(DEVICE) for v in (flag, a, b)), out, N=16)
    np.testing.assert_array_equal(out.cpu().numpy(), np.where(flag, a, b))


@triton.jit
def half_word(x_ptr, out_ptr):
    tl.store(out_ptr, tl.atomic_add(x_ptr, 1.5))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_an_atomic_on_the_last_half_word_of_a_tensor(kind: Any) -> None:
    x, out = torch.tensor([2.0, 4.0, 8.0], dtype=kind, device=DEVICE), torch.zeros(1, dtype=kind, device=DEVICE)
    half_word[(1,)](x[2:], out)
    assert x.tolist() == [2.0, 4.0, 9.5] and out.tolist() == [8.0]


@triton.jit
def first_of(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N)[:, None] * 2 + tl.arange(0, 2)[None, :])
    tl.store(out_ptr + tl.arange(0, N), tl.argmax(x, 1))


def test_argmax_of_two() -> None:
    x = torch.randn(8, 2)
    out = torch.zeros(8, dtype=torch.int32, device=DEVICE)
    first_of[(1,)](x.to(DEVICE), out, N=8)
    np.testing.assert_array_equal(out.cpu().numpy(), x.argmax(1).numpy())


@triton.jit
def branches(x_ptr, out_ptr):
    pid = tl.program_id(0)
    x = tl.load(x_ptr + pid)
    value = x
    if x > 0:
        if x > 10:
            value = x * 2
        else:
            return
    else:
        if x < -10:
            return
        value = x - 1
    tl.store(out_ptr + pid, value)


def test_returns_in_nested_branches() -> None:
    out = torch.zeros(4, dtype=torch.int32, device=DEVICE)
    branches[(4,)](torch.tensor([20, 5, -20, -5], dtype=torch.int32, device=DEVICE), out)
    assert out.tolist() == [40, 0, 0, -6]


@triton.jit
def rest(x_ptr, y_ptr, out_ptr, N: tl.constexpr):
    at = tl.arange(0, N)
    tl.store(out_ptr + at, tl.load(x_ptr + at) % tl.load(y_ptr + at).to(tl.float32))


def test_remainder_of_bfloat16() -> None:
    x = (torch.randn(16) * 20).to(torch.bfloat16)
    y = torch.tensor([3, -4, 5, 7] * 4, dtype=torch.int8)
    out = torch.zeros(16, device=DEVICE)
    rest[(1,)](x.to(DEVICE), y.to(DEVICE), out, N=16)
    torch.testing.assert_close(out.cpu(), torch.fmod(x.float(), y.float()), rtol=0, atol=0)
