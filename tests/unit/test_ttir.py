"""Triton kernels through the front end, against numpy and torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memref_interpreter import launch
from mtia.compiler.frontends.triton_source import to_ttir
from mtia.compiler.options import Options
from mtia.compiler.pipeline import Job, run

sys.path.insert(0, str(Path(__file__).parent.parent / "kernels"))

I32 = "i32"


def compiled(kernel: Any, types: str, **constants: Any) -> Any:
    """The `memref` stage of a kernel; `types` are those of its other arguments in order."""
    names = [name for name in kernel.arg_names if name not in constants]
    text = to_ttir(kernel, dict(zip(names, types.split(), strict=True)), constants)
    return run(text, "ttir", "memref", Job(Options()))


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("n", [1, 1000, 1024, 2500])
def test_add(n: int) -> None:
    import add

    x, y = rng().standard_normal((2, n), np.float32)
    out = np.zeros(n, np.float32)
    launch(compiled(add.add, "*fp32 *fp32 *fp32 i32", BLOCK=1024), [-(-n // 1024)], x, y, out, n)
    np.testing.assert_array_equal(out, x + y)


def test_softmax() -> None:
    import softmax

    x = rng().standard_normal((7, 100), np.float32)
    out = np.zeros_like(x)
    module = compiled(softmax.softmax, "*fp32 *fp32 i32 i32 i32 i32", BLOCK=128)
    launch(module, [3], out, x, 100, 100, 7, 100)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(out, e / e.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("m", "n", "k"), [(64, 64, 64), (100, 72, 50), (10, 5, 33)])
@pytest.mark.parametrize("activation", ["", "leaky_relu"])
def test_matmul(m: int, n: int, k: int, activation: str) -> None:
    import matmul

    a = rng().standard_normal((m, k)).astype(np.float16)
    b = rng().standard_normal((k, n)).astype(np.float16)
    out = np.zeros((m, n), np.float16)
    blocks = {"BLOCK_M": 32, "BLOCK_N": 32, "BLOCK_K": 16, "GROUP": 2, "ACTIVATION": activation}
    module = compiled(matmul.matmul, "*fp16 *fp16 *fp16" + " i32" * 9, **blocks)
    launch(module, [-(-m // 32) * -(-n // 32)], a, b, out, m, n, k, k, 1, n, 1, n, 1)
    want = a.astype(np.float64) @ b.astype(np.float64)
    if activation:
        want = np.where(want >= 0, want, 0.01 * want)
    np.testing.assert_allclose(out, want.astype(np.float16), rtol=2e-3, atol=1e-3)


def test_layer_norm() -> None:
    import layer_norm

    rows, cols = 5, 300
    x = rng().standard_normal((rows, cols), np.float32)
    w, b = rng().standard_normal((2, cols), np.float32)
    y, mean, rstd = np.zeros_like(x), np.zeros(rows, np.float32), np.zeros(rows, np.float32)
    module = compiled(layer_norm.layer_norm, "*fp32 " * 6 + "i32 i32 fp32", BLOCK=128)
    launch(module, [rows], x, y, w, b, mean, rstd, cols, cols, 1e-5)
    centred = x - x.mean(1, keepdims=True)
    want = centred / np.sqrt(x.var(1, keepdims=True) + 1e-5) * w + b
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, x.mean(1), rtol=1e-4, atol=1e-6)


def test_row_reduce() -> None:
    import row_reduce

    x = rng().standard_normal((20, 50), np.float32)
    x[3, 7] = x[3, 9] = 9
    total, best = np.zeros(20, np.float32), np.zeros(20, np.int32)
    module = compiled(row_reduce.row_reduce, "*fp32 *fp32 *i32 i32 i32 i32", BLOCK_R=16, BLOCK_C=64)
    launch(module, [2], x, total, best, 20, 50, 50)
    np.testing.assert_allclose(total, x.sum(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(best, x.argmax(1))


def attention_reference(q: Any, k: Any, v: Any, scale: float, causal: bool) -> Any:
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(t.astype(np.float32)) for t in (q, k, v)]
    out = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal, scale=scale)
    return out.numpy()


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal: bool) -> None:
    import attention

    heads, length, dim = 2, 80, 32
    q, k, v = (rng().standard_normal((heads, length, dim)).astype(np.float16) for _ in range(3))
    out, lse = np.zeros_like(q), np.zeros((heads, length), np.float32)
    module = compiled(
        attention.attention,
        "*fp16 *fp16 *fp16 *fp16 *fp32 fp32 i32 i32 i32",
        HEAD=dim,
        BLOCK_M=32,
        BLOCK_N=16,
        CAUSAL=causal,
    )
    launch(module, [3, heads], q, k, v, out, lse, 0.2, length * dim, dim, length)
    np.testing.assert_allclose(out, attention_reference(q, k, v, 0.2, causal), rtol=4e-3, atol=2e-3)


@pytest.mark.filterwarnings("ignore:tl.make_block_ptr")
def test_attention_with_block_pointers() -> None:
    import attention

    heads, length, dim = 2, 64, 32
    q, k, v = (rng().standard_normal((heads, length, dim)).astype(np.float16) for _ in range(3))
    out = np.zeros_like(q)
    types = "*fp16 *fp16 *fp16 *fp16 fp32 i32"
    module = compiled(attention.attention_blocks, types, HEAD=dim, BLOCK_M=32, BLOCK_N=16)
    launch(module, [2, heads], q, k, v, out, 0.2, length)
    np.testing.assert_allclose(out, attention_reference(q, k, v, 0.2, True), rtol=4e-3, atol=2e-3)
