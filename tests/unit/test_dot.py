"""`tl.dot` on both chips: every type, precision and kind of shape, against exact products."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

EIGHT = {
    torch.float8_e4m3fn: tl.float8e4nv,
    torch.float8_e5m2: tl.float8e5,
    torch.float8_e4m3fnuz: tl.float8e4b8,
    torch.float8_e5m2fnuz: tl.float8e5b16,
}
BITS = {torch.float32: 24, torch.float16: 11, torch.float64: 53, torch.int32: 0}
NAMES = {torch.float32: tl.float32, torch.float16: tl.float16, torch.float64: tl.float64, torch.int32: tl.int32}


CHIPS = ("mtia200", "mtia300")


@pytest.fixture(params=CHIPS, autouse=True)
def chip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our driver for one chip, with a cache of our own."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    made = MtiaDriver()
    made.target = request.param
    before = triton.runtime.driver._active
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "dot-cache"))
        triton.runtime.driver.set_active(made)
        yield request.param
    triton.runtime.driver._active = before


@triton.jit
def dot_kernel(
    a, b, out, B: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, STEPS: tl.constexpr,
    PRECISION: tl.constexpr, OUT: tl.constexpr,
):  # fmt: skip
    batch = tl.arange(0, B)[:, None, None]
    rows, cols, depth = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    total = tl.zeros((B, M, N), OUT)
    for step in range(STEPS):
        k = depth + step * K
        x = tl.load(a + batch * (M * K * STEPS) + rows[None, :, None] * (K * STEPS) + k[None, None, :])
        y = tl.load(b + batch * (K * STEPS * N) + k[None, :, None] * N + cols[None, None, :])
        if B == 1:
            x, y = x.reshape(M, K), y.reshape(K, N)
            total = tl.dot(x, y, total.reshape(M, N), input_precision=PRECISION, out_dtype=OUT).reshape(1, M, N)
        else:
            total = tl.dot(x, y, total, input_precision=PRECISION, out_dtype=OUT)
    tl.store(out + batch * (M * N) + rows[None, :, None] * N + cols[None, None, :], total)


def values(dtype: Any, shape: tuple[int, ...], seed: int) -> Any:
    """Numbers of a type."""
    if dtype == torch.int8:
        return torch.tensor(np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8))
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def error(
    dtype: Any, shape: tuple[int, int, int], out: Any = torch.float32, precision: str = "ieee", batch: int = 1,
    steps: int = 1, other: Any = None,
) -> float:  # fmt: skip
    """The largest error of a product, relative to the sum of the magnitudes of its terms."""
    m, n, k = shape
    a, b = values(dtype, (batch, m, k * steps), 0), values(other or dtype, (batch, k * steps, n), 1)
    got = torch.empty(batch, m, n, dtype=out)
    given = [triton.reinterpret(x.view(torch.uint8), EIGHT[x.dtype]) if x.dtype in EIGHT else x for x in (a, b)]
    dot_kernel[(1,)](*given, got, batch, m, n, k, steps, precision, NAMES[out])
    want, size = a.double() @ b.double(), a.double().abs() @ b.double().abs()
    return float(((got.double() - want).abs() / size.clamp_min(1e-300)).max())


def bound(out: Any, k: int, steps: int = 1) -> float:
    """Of k sums that round to the type of the result; f16 is written once a step."""
    return (k * 2.0**-24 + (steps + 1) * 2.0**-11) if out == torch.float16 else (k * steps + 1) * 2.0 ** -BITS[out]


SHAPES = [(1, 1, 1), (1, 1, 64), (2, 4, 8), (8, 1, 2), (16, 16, 16), (32, 64, 32), (4, 128, 1), (64, 32, 64)]


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, *EIGHT], ids=str
)
def test_every_type_and_shape(chip: str, dtype: Any) -> None:
    """The chips take turns with the shapes."""
    out = {torch.float64: torch.float64, torch.int8: torch.int32}.get(dtype, torch.float32)
    for shape in SHAPES[CHIPS.index(chip) :: 2]:
        limit = 0 if out == torch.int32 else bound(out, shape[2])
        assert error(dtype, shape, out) <= limit, shape


@pytest.mark.parametrize("dtype", [torch.float16, *EIGHT], ids=str)
def test_half_precision_sums(dtype: Any) -> None:
    assert error(dtype, (16, 32, 64), torch.float16, steps=3) <= bound(torch.float16, 64, 3)


@pytest.mark.parametrize(
    ("dtype", "out"),
    [(torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.int8, torch.int32),
     (torch.float32, torch.float32), (torch.float64, torch.float64), (torch.float8_e4m3fn, torch.float32)],
    ids=str,
)  # fmt: skip
def test_batches_and_loops(dtype: Any, out: Any) -> None:
    assert error(dtype, (16, 32, 16), out, batch=4, steps=2) <= bound(out, 16, 2) * (out != torch.int32)
    assert error(dtype, (32, 16, 32), out, steps=5) <= bound(out, 32, 5) * (out != torch.int32)


def test_every_pair_of_eight_bit_floats(chip: str) -> None:
    for a, b in list(itertools.combinations(EIGHT, 2))[CHIPS.index(chip) :: 2]:
        assert error(a, (16, 16, 32), other=b) <= bound(torch.float32, 32), (a, b)


# bits that both factors of every product keep; a chip without the type uses one that keeps more
KEPT = {"ieee": 24, "tf32": 11, "tf32x3": 21, "bf16x3": 15, "bf16x6": 23}


@pytest.mark.parametrize("precision", KEPT)
def test_precisions(precision: str) -> None:
    for shape in [(16, 16, 16), (64, 32, 128), (2, 8, 4)]:
        assert error(torch.float32, shape, precision=precision) <= 2 * 2.0 ** -KEPT[precision] + shape[2] * 2.0**-22
    if precision != "tf32":
        assert error(torch.float32, (32, 32, 64), precision=precision) < 2.0**-14


@pytest.mark.parametrize("precision", KEPT)
def test_special_values_keep_their_meaning(precision: str) -> None:
    """An infinity times a finite number is an infinity, also where factors are split; NaN stays NaN."""
    a, b = torch.ones(16, 16), torch.ones(16, 16) * 1.2345678
    a[0, 0], a[1, 1], a[2, 2] = float("inf"), float("nan"), -float("inf")
    out = torch.empty(1, 16, 16)
    dot_kernel[(1,)](a, b, out, 1, 16, 16, 16, 1, precision, tl.float32)
    assert torch.isposinf(out[0, 0]).all() and torch.isnan(out[0, 1]).all() and torch.isneginf(out[0, 2]).all()
    assert torch.isfinite(out[0, 3:]).all()
