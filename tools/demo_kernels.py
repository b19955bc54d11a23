"""The kernels of the demo: launched as a Triton user launches them, on CPU tensors, checked against torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mtia.tools.checking import max_error, within

__all__ = ["rows"]

_NAMES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


def _tensor(*shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(getattr(torch, dtype))


def _add(n: int) -> tuple[Any, Callable[[Any], bool]]:
    import torch
    from mtia.tools.kernels.add import add

    x, y = _tensor(n), _tensor(n, seed=1)
    return lambda: add(x, y), lambda got: bool(torch.equal(got, x + y))


def _softmax(rows_: int, cols: int, dtype: str, programs: int | None) -> tuple[Any, Any, Any]:
    from mtia.tools.kernels.softmax import softmax

    x = _tensor(rows_, cols, dtype=dtype)
    want = x.double().softmax(1)
    steps = 4 + int(2 * float(x.float().abs().max()))
    return lambda: softmax(x, programs), want, lambda got: within(got, want, _NAMES[dtype], cols, steps=steps)


def _matmul(m: int, n: int, k: int, dtype: str, activation: str) -> tuple[Any, Any, Any]:
    import torch
    from mtia.tools.kernels.matmul import matmul

    a, b = _tensor(m, k, dtype=dtype), _tensor(k, n, dtype=dtype, seed=1)
    want = a.double() @ b.double()
    terms = a.double().abs() @ b.double().abs()
    if activation:
        want = torch.where(want >= 0, want, 0.01 * want)
    return (
        lambda: matmul(a, b, activation), want,
        lambda got: within(got, want, _NAMES[dtype], k, magnitude=terms),
    )  # fmt: skip


def _layer_norm(rows_: int, cols: int, dtype: str, block: int) -> tuple[Any, Any, Any]:
    import torch
    from mtia.tools.kernels.layer_norm import layer_norm

    x = _tensor(rows_, cols, dtype=dtype)
    weight, bias = _tensor(cols, dtype=dtype, seed=1), _tensor(cols, dtype=dtype, seed=2)
    want = torch.nn.functional.layer_norm(x.double(), (cols,), weight.double(), bias.double(), 1e-5)
    size = (want - bias.double()).abs() + bias.double().abs() + 1
    return (
        lambda: layer_norm(x, weight, bias, block_size=block), want,
        lambda got: within(got, want, _NAMES[dtype], cols, magnitude=size, steps=6),
    )  # fmt: skip


def _row_sum(rows_: int, cols: int) -> tuple[Any, Any, Any]:
    from mtia.tools.kernels.reduction import row_sum

    x = _tensor(rows_, cols)
    want = x.double().sum(1)
    return lambda: row_sum(x), want, lambda got: within(got, want, "fp32", cols, magnitude=x.double().abs().sum(1))


def _attention(heads: int, length: int, head: int) -> tuple[Any, Any, Any]:
    import torch
    from mtia.tools.kernels.flash_attention import attention

    q, k, v = (_tensor(heads, length, head, dtype="float16", seed=seed) for seed in range(3))
    want = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True)
    # P is rounded to fp16 before the second product: one more fp16 rounding of values as large as V.
    size = 2 * float(v.float().abs().max())
    return (
        lambda: attention(q, k, v, head**-0.5), want,
        lambda got: within(got, want, "fp16", 2, magnitude=size, inner="fp16"),
    )  # fmt: skip


def _cases() -> Iterator[tuple[str, str, str, Any, Any, Any]]:
    """(kernel, shape, dtype, call, wanted, check); sizes are odd, grids both smaller and larger than the PE count."""
    for n in (1000, 1_000_003):
        run, equal = _add(n)
        yield "add", str(n), "fp32", run, None, equal
    for rows_, cols, dtype, programs in ((37, 781, "float16", None), (1823, 781, "float32", 200)):
        yield "softmax", f"{rows_}x{cols}", _NAMES[dtype], *_softmax(rows_, cols, dtype, programs)
    for dtype in ("float16", "bfloat16", "float32"):
        yield "matmul+leaky_relu", "517x389x259", _NAMES[dtype], *_matmul(517, 389, 259, dtype, "leaky_relu")
    yield "matmul", "61x47x33", "fp16", *_matmul(61, 47, 33, "float16", "")
    yield "layer_norm", "151x1151", "fp16", *_layer_norm(151, 1151, "float16", 2048)
    yield "layer_norm in blocks", "151x1151", "fp32", *_layer_norm(151, 1151, "float32", 256)
    yield "two-pass row sum", "97x5003", "fp32", *_row_sum(97, 5003)
    yield "causal attention", "3x333x64", "fp16", *_attention(3, 333, 64)


def rows() -> Iterator[dict[str, Any]]:
    """Run every case on the plug-in's current chip; one row each."""
    import triton
    from mtia.runtime.counters import roofline

    driver = triton.runtime.driver.active
    for kernel, shape, dtype, run, want, check in _cases():
        got = run()
        result = driver.last
        roof, percent = roofline(result)
        yield {
            "what": kernel, "shape": shape, "dtype": dtype, "target": driver.chip.name, "ok": bool(check(got)),
            "max_error": max_error(got, want) if want is not None else 0.0, "cycles": result.cycles,
            "time_us": round(result.time_us, 2), "roof": roof, "percent": round(percent, 1), "dpe_share": None,
        }  # fmt: skip
