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


@triton.jit
def talks(x_ptr, N: tl.constexpr):
    at = tl.arange(0, N)
    x = tl.load(x_ptr + at)
    tl.device_print("x", x, at[:, None] - 1)
    tl.device_print("pid", tl.program_id(1), hex=True)
    print("here")


def test_device_print(capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.tensor([0.5, -2.0], dtype=torch.float16, device=DEVICE)
    talks[(1, 2)](x, N=2)
    said = capsys.readouterr().out.splitlines()
    want = []
    for program in range(2):
        head = f"pid (0, {program}, 0)"
        want += [f"{head} idx (0) x: (operand 0) 0.500000", f"{head} idx (1) x: (operand 0) -2.000000"]
        want += [f"{head} idx (0, 0) x: (operand 1) -1", f"{head} idx (1, 0) x: (operand 1) 0"]
        want += [f"{head} idx () pid: 0x{program:08x}", f"{head} here"]
    assert sorted(said) == sorted(want)


@triton.jit
def guarded(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.program_id(0) * N + tl.arange(0, N))
    tl.device_assert(x < 7, "less than seven")
    tl.store(out_ptr + tl.program_id(0), tl.sum(x))


def test_device_assert() -> None:
    x, out = torch.arange(12, dtype=torch.int32, device=DEVICE), torch.zeros(3, dtype=torch.int32, device=DEVICE)
    guarded[(3,)](x, out, N=4)  # asserts are for kernels compiled for debugging
    assert out.tolist() == [6, 22, 38]
    with pytest.raises(RuntimeError) as caught:
        guarded[(2,)](x, out, N=4, debug=True)
    line = guarded.fn.__code__.co_firstlineno + 3
    text = "device-side assert triggered: less than seven (program (1, 0, 0), element (3,))"
    assert f"{__file__}:{line}: trap: {text}" in str(caught.value)
    guarded[(1,)](x, out, N=4, debug=True)
    assert out[0] == 6


@triton.jit
def assembled(x_ptr, y_ptr, out_ptr, N: tl.constexpr):
    at = tl.arange(0, N)
    x, y = tl.load(x_ptr + at), tl.load(y_ptr + at)
    less, more = tl.inline_asm_elementwise(
        "subw $0, $2, $3  // a comment\nsubw $1, $3, $2;", "=&r,=r,r,r", [x, y], (tl.int32, tl.int32), True, 1
    )
    tl.store(out_ptr + at, less)
    tl.store(out_ptr + N + at, more)
    floats = [x.to(tl.float32), y.to(tl.float32)]
    fused = tl.inline_asm_elementwise("fmadd.s $0, $1, $1, $2", "=f,f,f", floats, tl.float32, True, 1)
    tl.store(out_ptr + 2 * N + at, fused.to(tl.int32))
    mask: tl.constexpr = "li t0, 0x1F1F1F1F; and $0, $1, t0; slli $0, $0, 3"
    bytes_ = tl.inline_asm_elementwise(mask, "=r,r,~{t0}", [x.to(tl.int8)], tl.int8, True, 4)
    tl.store(out_ptr + 3 * N + at, bytes_.to(tl.int32))
    many: tl.constexpr = "mv $0, $3; mv $1, $4; add $2, $3, $4"
    a, b, c = tl.inline_asm_elementwise(many, "=&r,=&r,=r,r,r", [x, y], (tl.int32, tl.int32, tl.int32), True, 1)
    tl.store(out_ptr + 4 * N + at, a * 10000 + b * 100 + c)


def test_inline_assembly() -> None:
    x = torch.arange(8, dtype=torch.int32)
    y = x * x + 3
    out = torch.zeros(40, dtype=torch.int32, device=DEVICE)
    assembled[(1,)](x.to(DEVICE), y.to(DEVICE), out, N=8)
    want = [x - y, y - x, x * x + y, ((x & 31) << 3).to(torch.int8).int(), x * 10000 + y * 100 + x + y]
    np.testing.assert_array_equal(out.cpu().numpy(), torch.cat(want).numpy())


@triton.jit
def added(x_ptr, y_ptr, out_ptr, TEXT: tl.constexpr, KIND: tl.constexpr):
    at = tl.arange(0, 4)
    x, y = tl.load(x_ptr + at), tl.load(y_ptr + at)
    text: tl.constexpr = TEXT + " $0, $1, $8; " + TEXT + " $0, $0, $7"
    constraints: tl.constexpr = "=&" + (KIND + ",") * 9 + "~{s1},~{fs1}"
    values = [x, x, x, x, x, x, x, y]
    tl.store(out_ptr + at, tl.inline_asm_elementwise(text, constraints, values, x.dtype, True, 1))


@pytest.mark.parametrize(
    ("dtype", "text"),
    [(torch.float16, "fadd.h"), (torch.float32, "fadd.s"), (torch.float64, "fadd.d"), (torch.int16, "add"),
     (torch.int64, "add")],
)  # fmt: skip
def test_operands_of_assembly(dtype: torch.dtype, text: str) -> None:
    x, y = (torch.tensor(values).to(dtype) for values in ([1.5, -2, 300, 0], [0.25, 5, -7, 9]))
    out = torch.zeros(4, dtype=dtype, device=DEVICE)
    added[(1,)](x.to(DEVICE), y.to(DEVICE), out, text, "f" if dtype.is_floating_point else "r")
    np.testing.assert_array_equal(out.cpu().numpy(), (x + y + x).numpy())  # all of it is exact


@triton.jit
def refused_assembly(out_ptr, TEXT: tl.constexpr, CONSTRAINTS: tl.constexpr):
    at = tl.arange(0, 4)
    tl.store(out_ptr + at, tl.inline_asm_elementwise(TEXT, CONSTRAINTS, [at], tl.int32, True, 1))


@pytest.mark.parametrize(
    ("text", "constraints", "reason"),
    [
        ("shl.b32 $0, $1, 3;", "=r,r", "shl.b32"),
        ("mv $0, $2", "=r,r", "names $2, there are 2 operands"),
        ("vadd.vv $0, $1, $1", "=vr,vr", "constraint '=vr'"),
        ("mv $0, $1", "=r,r,r", "2 inputs in the constraints, the types need 1"),
    ],
)
def test_refused_assembly(text: str, constraints: str, reason: str) -> None:
    from mtia.isa.errors import UserError

    out = torch.zeros(4, dtype=torch.int32, device=DEVICE)
    with pytest.raises(UserError) as caught:
        refused_assembly[(1,)](out, text, constraints)
    line = refused_assembly.fn.__code__.co_firstlineno + 3
    assert "tt.elementwise_inline_asm" in str(caught.value) and reason in str(caught.value)
    assert str(caught.value).startswith(f"{__file__}:{line}:")


@triton.jit
def largest(x_ptr, out_ptr, N: tl.constexpr, K: tl.constexpr):
    tl.store(out_ptr + tl.arange(0, K), tl.topk(tl.load(x_ptr + tl.arange(0, N)), K))


@pytest.mark.parametrize(("n", "k"), [(8, 4), (32, 8), (64, 16)])
def test_topk(n: int, k: int) -> None:
    x = torch.from_numpy(np.random.default_rng(n).standard_normal(n).astype(np.float32))
    out = torch.zeros(k, device=DEVICE)
    largest[(1,)](x.to(DEVICE), out, N=n, K=k)
    torch.testing.assert_close(out.cpu(), torch.topk(x, k).values, rtol=0, atol=0)


@triton.jit
def grid_sizes(out_ptr):
    tl.store(out_ptr + tl.program_id(0), tl.num_programs(0) * 100 + tl.num_programs(1) * 10 + tl.num_programs(2))


def test_sizes_of_the_grid() -> None:
    out = torch.zeros(4, dtype=torch.int32, device=DEVICE)
    grid_sizes[(4, 2, 3)](out)
    assert out.tolist() == [423] * 4


@triton.jit
def float_and(out_ptr, x_ptr):
    tl.atomic_and(out_ptr, tl.load(x_ptr))


def test_a_bitwise_atomic_on_floats_is_refused() -> None:
    from mtia.isa.errors import UserError

    with pytest.raises(UserError, match="test_language.py.*no atomic 'and' on f32"):
        float_and[(1,)](torch.zeros(1, device=DEVICE), torch.ones(1, device=DEVICE))
