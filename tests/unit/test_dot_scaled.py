"""`tl.dot_scaled` on the machine against the OCP formats written out in numpy, in every combination it takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
TYPES = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "bf16": ml_dtypes.bfloat16, "fp16": np.float16}
TORCH = {"bf16": torch.bfloat16, "fp16": torch.float16}
FORMATS = ("e2m1", *TYPES)


CHIPS = ("mtia200", "mtia300")


@pytest.fixture(params=CHIPS)
def chip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our driver for one chip, with a cache of our own."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    made = MtiaDriver()
    made.target = request.param
    before = triton.runtime.driver._active
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "scaled-cache"))
        triton.runtime.driver.set_active(made)
        yield request.param
    triton.runtime.driver._active = before


@triton.jit
def product_kernel(
    a, a_factors, b, b_factors, out, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, GROUP: tl.constexpr,
    A_TYPE: tl.constexpr, B_TYPE: tl.constexpr, A_ROWS: tl.constexpr, A_COLS: tl.constexpr, B_ROWS: tl.constexpr,
    B_COLS: tl.constexpr, A_ALONG_K: tl.constexpr, B_ALONG_K: tl.constexpr,
):  # fmt: skip
    x = tl.load(a + tl.arange(0, A_ROWS)[:, None] * A_COLS + tl.arange(0, A_COLS)[None, :])
    y = tl.load(b + tl.arange(0, B_ROWS)[:, None] * B_COLS + tl.arange(0, B_COLS)[None, :])
    groups = tl.arange(0, K // GROUP)[None, :]
    if a_factors is not None:
        a_factors = tl.load(a_factors + tl.arange(0, M)[:, None] * (K // GROUP) + groups)
    if b_factors is not None:
        b_factors = tl.load(b_factors + tl.arange(0, N)[:, None] * (K // GROUP) + groups)
    z = tl.dot_scaled(x, a_factors, A_TYPE, y, b_factors, B_TYPE, lhs_k_pack=A_ALONG_K, rhs_k_pack=B_ALONG_K)
    tl.store(out + tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :], z)


def elements(rng: Any, kind: str, shape: tuple[int, int], packed_axis: int) -> tuple[Any, Any]:
    """(tensor as the kernel gets it, values)."""
    if kind == "e2m1":
        codes = rng.integers(0, 16, shape)
        low, high = (np.take(codes, range(start, shape[packed_axis], 2), packed_axis) for start in (0, 1))
        return torch.tensor((low | high << 4).astype(np.uint8)), E2M1[codes]
    values = rng.standard_normal(shape).astype(TYPES[kind])
    if kind in TORCH:
        return torch.tensor(values.astype(np.float32)).to(TORCH[kind]), values.astype(np.float64)
    return torch.tensor(values.view(np.uint8)), values.astype(np.float64)


def factors(rng: Any, kind: str, rows: int, groups: int, codes: Any = None) -> tuple[Any, Any]:
    """(tensor as the kernel gets it, values); e8m0 factors for groups of 32, e4m3 ones for groups of 16."""
    if kind == "e8m0":
        codes = rng.integers(118, 134, (rows, groups)) if codes is None else np.reshape(codes, (rows, groups))
        return torch.tensor(codes.astype(np.uint8)), np.where(codes == 255, np.nan, 2.0 ** (codes - 127.0))
    values = rng.uniform(0.1, 4, (rows, groups)).astype(TYPES["e4m3"])
    return triton.reinterpret(torch.tensor(values.view(np.uint8)), tl.float8e4nv), values.astype(np.float64)


def run(
    a_kind: str, b_kind: str, factor_kind: str = "e8m0", scaled: str = "ab", along_k: tuple[bool, bool] = (True, True),
    shape: tuple[int, int, int] = (16, 32, 64), factor_codes: Any = None,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """(kernel, result, exact result, sum of magnitudes) of one product."""
    rng = np.random.default_rng(3)
    (m, n, k), group = shape, 32 if factor_kind == "e8m0" else 16
    a, x = elements(rng, a_kind, (m, k), 1 if along_k[0] else 0)
    b, y = elements(rng, b_kind, (k, n), 0 if along_k[1] else 1)
    a_factors = b_factors = None
    if "a" in scaled:
        a_factors, values = factors(rng, factor_kind, m, k // group, factor_codes)
        x = x * np.repeat(values, group, 1)
    if "b" in scaled:
        b_factors, values = factors(rng, factor_kind, n, k // group)
        y = y * np.repeat(values, group, 1).T
    out = torch.empty(m, n)
    kernel = product_kernel[(1,)](
        a, a_factors, b, b_factors, out, m, n, k, group, a_kind, b_kind, *a.shape, *b.shape, *along_k
    )
    with np.errstate(invalid="ignore", over="ignore"):
        return kernel, out.double().numpy(), x @ y, np.abs(x) @ np.abs(y)


def tolerance(a_kind: str, b_kind: str, factor_kind: str, scaled: str, k: int) -> float:
    """Relative to the sum of magnitudes: k sums in f32, and where a factor's bits do not fit, one rounding a side."""
    common = 2.0**-9 if "fp16" not in (a_kind, b_kind) else 2.0**-12
    rounded = sum(
        1 for kind, side in ((a_kind, "a"), (b_kind, "b")) if side in scaled and kind in TORCH and factor_kind == "e4m3"
    )
    return k * 2.0**-24 + 2 * rounded * common


def cases() -> list[Any]:
    """Every pair of formats with each kind of factors; which sides have factors, and packing, where it matters.

    The chips take turns: what differs between them is where a conversion is done, and each sees every format.
    """
    found: list[Any] = []
    for a, b in itertools.product(FORMATS, FORMATS):
        found.append((a, b, "e8m0", "ab", (True, True)))
        found.append((a, b, "e4m3", "ab", (True, True)))
    for scaled in ("a", "b", ""):
        found.append(("e2m1", "bf16", "e8m0", scaled, (True, True)))
        found.append(("e4m3", "fp16", "e8m0", scaled, (True, True)))
    for along_k in itertools.product((True, False), repeat=2):
        found.append(("e2m1", "e2m1", "e4m3", "ab", along_k))
        found.append(("e2m1", "e2m1", "e8m0", "b", along_k))
    return [(CHIPS[(place // 2 + place) % 2], *case) for place, case in enumerate(found)]


@pytest.mark.parametrize(("chip", "a", "b", "factor_kind", "scaled", "along_k"), cases(), indirect=["chip"])
def test_every_combination(
    chip: str, a: str, b: str, factor_kind: str, scaled: str, along_k: tuple[bool, bool]
) -> None:
    _, got, want, size = run(a, b, factor_kind, scaled, along_k)
    assert (np.abs(got - want) <= size * tolerance(a, b, factor_kind, scaled, 64)).all()


def test_extreme_factors(chip: str) -> None:
    """Code 0 is 2**-127, which f32 holds as a subnormal number only; 255 makes its whole group NaN."""
    _, got, want, _ = run("e4m3", "bf16", scaled="a", factor_codes=[0] * 31 + [255])
    assert np.isnan(got[15]).all() and np.isnan(want[15]).all()
    step = 2.0**-133  # of bf16 subnormals: every product of an element and 2**-127 is rounded to one
    assert (np.abs(got - want)[:15] <= 64 * step * 4).all() and (got[:15] != 0).any()
