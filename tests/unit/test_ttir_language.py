"""Triton's language through the front end and on the machine, against numpy and torch."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import test_ttir
from test_ttir import compiled, executor, floats, kernels, launch, pytest_generate_tests, rng

__all__ = ["executor", "pytest_generate_tests"]  # what pytest looks for

TYPES = {
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "fp32": np.float32,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
}


def language(name: str) -> Any:
    return getattr(kernels("language"), name)


@pytest.mark.parametrize("kind", TYPES)
def test_types(kind: str) -> None:
    x = rng().integers(-20, 20, 100).astype(TYPES[kind])
    out = np.zeros_like(x)
    launch(compiled(language("twice_plus_one"), f"*{kind} *{kind} i32", BLOCK=64), [2], x, out, 100)
    np.testing.assert_array_equal(out.astype(np.float32), (2 * x.astype(np.float32) + 1))


def test_booleans() -> None:
    x, y = rng().integers(0, 2, (2, 16)).astype(np.int8)
    out = np.zeros(16, np.int8)
    launch(compiled(language("booleans"), "*i1 *i1 *i1", BLOCK=16), [1], x, y, out)
    np.testing.assert_array_equal(out, (x & ~y & 1) | (np.arange(16) > 5))


def test_batched_dot() -> None:
    a, b = rng().standard_normal((2, 4, 16, 16)).astype(np.float16)
    out = np.zeros((4, 16, 16), np.float32)
    launch(compiled(language("batched"), "*fp16 *fp16 *fp32", B=4, N=16), [1], a, b, out)
    np.testing.assert_allclose(out, a.astype(np.float32) @ b.astype(np.float32), rtol=1e-4, atol=1e-4)


def test_calls() -> None:
    x, out = floats(16), np.zeros(16, np.float32)
    launch(compiled(language("calls"), "*fp32 *fp32 fp32", BLOCK=16), [1], x, out, 3.0)
    np.testing.assert_allclose(out, x * 7, rtol=1e-6)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_branches(mode: int, n: int) -> None:
    x, out = floats(16), np.zeros(20, np.float32)
    launch(compiled(language("branches"), "*fp32 *fp32 i32 i32", BLOCK=16), [1], x, out, mode, n)
    y = [x * 2, np.sqrt(np.abs(x)), x * 0][mode]
    for step in range(1, n + 1):
        y = -(y + x) if step == 3 else y + x
    y = y + sum(j for i in range(2) for j in range(i, n))
    np.testing.assert_allclose(out[mode : mode + 16], y, rtol=1e-5, atol=1e-5)


def test_functions() -> None:
    torch = pytest.importorskip("torch")
    n = 16
    x, out = floats(n), np.zeros(9 * n, np.float32)
    launch(compiled(language("functions"), "*fp32 *fp32", N=n), [1], x, out)
    t = torch.from_numpy(x)
    want = [
        torch.sigmoid(t),
        torch.softmax(t, 0),
        torch.flip(t, [0]),
        torch.cumprod(t, 0),
        torch.full((n,), float(t.min() + t.argmin() + t.argmax())),
        torch.clamp(t, -0.5, 0.5) + t * t + t + torch.floor(t) + torch.erf(t),
        torch.stack([t, -t], 1).reshape(-1),
        torch.exp(t) + torch.log(t.abs()) + torch.sin(t) + torch.cos(t) + torch.rsqrt(t.abs()),
    ]
    np.testing.assert_allclose(out, torch.cat(want).numpy(), rtol=2e-5, atol=1e-6)


def test_random_numbers() -> None:
    out = np.zeros(16, np.int32)
    launch(compiled(language("random"), "*i32 i32", N=16), [1], out, 42)

    def philox(counter: int, seed: int) -> int:
        c, k = [counter, 0, 0, 0], [seed, 0]
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        return c[0]

    np.testing.assert_array_equal(out.view(np.uint32), [philox(i, 42) for i in range(16)])


@pytest.mark.parametrize(("rows", "cols"), [(16, 8), (12, 10)])
def test_digits_of_a_flat_index(rows: int, cols: int) -> None:
    x, out = floats(rows, cols), np.zeros((cols, rows), np.float32)
    blocks = -(-rows * cols // 32)
    launch(compiled(language("digits"), "*fp32 *fp32 i32 i32", BLOCK=32), [blocks], x, out, rows, cols)
    np.testing.assert_array_equal(out, x.T)


def test_digits_that_lie_in_one_period_are_strided() -> None:
    x, out = floats(64, 4), np.zeros((4, 64), np.float32)
    module = compiled(language("digits"), "*fp32 *fp32", rows=64, cols=4, BLOCK=32)
    assert "strided transfer" in str(module) and "indexed" not in str(module) and "element loop" not in str(module)
    launch(module, [8], x, out)
    np.testing.assert_array_equal(out, x.T)


def test_nested_loops() -> None:
    x, out = floats(5, 40), np.zeros(1, np.float32)
    launch(compiled(language("nested"), "*fp32 *fp32 i32 i32", BLOCK=16), [1], x, out, 5, 40)
    np.testing.assert_allclose(out[0], x.sum(), rtol=1e-4, atol=1e-4)


def test_pointers_from_memory() -> None:
    if test_ttir.on_machine:
        pytest.skip("the test has no device addresses of its arrays")
    arrays = [floats(3, 16)[i].copy() for i in range(3)]
    table, out = np.array([a.ctypes.data for a in arrays], np.int64), np.zeros(16, np.float32)
    module = compiled(language("table_of_pointers"), "*i64 *fp32 i32", BLOCK=16)
    import memref_interpreter

    memref_interpreter.launch(module, [1], table, out, 3, reachable=arrays)
    np.testing.assert_allclose(out, sum(arrays), rtol=1e-5, atol=1e-6)
