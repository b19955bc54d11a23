"""Casts between all float types in kernels on both chips, against ml_dtypes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from test_expand_floats import same, samples, toward_zero

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

EIGHT = {
    tl.float8e4nv: ml_dtypes.float8_e4m3fn,
    tl.float8e5: ml_dtypes.float8_e5m2,
    tl.float8e4b8: ml_dtypes.float8_e4m3fnuz,
    tl.float8e5b16: ml_dtypes.float8_e5m2fnuz,
}
WIDE = {tl.float16: np.float16, tl.bfloat16: ml_dtypes.bfloat16, tl.float32: np.float32, tl.float64: np.float64}
ALL = EIGHT | WIDE
INTEGERS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


@pytest.fixture(params=("mtia200", "mtia300"), autouse=True)
def chip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our driver for one chip, with a cache of our own."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    made = MtiaDriver()
    made.target = request.param
    before = triton.runtime.driver._active
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cast-cache"))
        triton.runtime.driver.set_active(made)
        yield request.param
    triton.runtime.driver._active = before


@triton.jit
def cast_kernel(source, target, ROUNDING: tl.constexpr, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    value = tl.load(source + at).to(target.dtype.element_ty, fp_downcast_rounding=ROUNDING)
    tl.store(target + at, value)


def cast(x: Any, source: Any, target: Any, rounding: str | None = None) -> Any:
    """numpy values of one type to another."""
    given = torch.tensor(x.view(INTEGERS[x.itemsize]))
    out = torch.zeros(len(x), dtype=getattr(torch, np.dtype(INTEGERS[np.dtype(ALL[target]).itemsize]).name))
    cast_kernel[(1,)](triton.reinterpret(given, source), triton.reinterpret(out, target), rounding, len(x))
    return out.numpy().view(ALL[target])


@pytest.mark.parametrize("source", EIGHT, ids=str)
def test_every_code_widens_exactly(source: Any) -> None:
    codes = np.arange(256, dtype=np.uint8).view(EIGHT[source])
    for target, kind in WIDE.items():
        assert same(cast(codes, source, target), codes.astype(np.float32).astype(kind)), target


@pytest.mark.parametrize("target", EIGHT, ids=str)
def test_eight_bits_round_once_and_saturate(target: Any) -> None:
    largest = float(ml_dtypes.finfo(EIGHT[target]).max)
    for source, kind in WIDE.items():
        x = samples(np.float64, -20, 18)
        with np.errstate(over="ignore"):
            x = x.astype(kind)
        want = np.clip(x.astype(np.float64), -largest, largest).astype(EIGHT[target])
        assert same(cast(x, source, target), want), source
    for source, kind in EIGHT.items():
        x = np.arange(256, dtype=np.uint8).view(kind)
        want = np.clip(x.astype(np.float64), -largest, largest).astype(EIGHT[target])
        if source != target:
            assert same(cast(x, source, target), want), source


@pytest.mark.parametrize("target", [tl.float16, tl.bfloat16, *EIGHT], ids=str)
def test_toward_zero(target: Any) -> None:
    for source in (tl.float32, tl.float64):
        x = samples(WIDE[source], -30, 20)
        assert same(cast(x, source, target, "rtz"), toward_zero(x.astype(np.float64), ALL[target])), source


def test_bfloat16_from_f64_rounds_once() -> None:
    x = np.resize([1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 3 * 2.0**-8 - 2.0**-40], 16)
    got = cast(x, tl.float64, tl.bfloat16)[:4].astype(np.float64)
    assert np.array_equal(got, [1 + 2.0**-7, 1, 1 + 2.0**-6, 1 + 2.0**-7])


def test_e4b15_is_e4m3_with_another_bias() -> None:
    """Of NaN and of numbers beyond it the largest one, 1.75, is made; code 0x7F is never made."""
    codes = torch.arange(256, dtype=torch.uint8)
    wide = torch.zeros(256)
    cast_kernel[(1,)](triton.reinterpret(codes, tl.float8e4b15), wide, None, 256)
    values = codes.numpy().view(ml_dtypes.float8_e4m3fn).astype(np.float64) / 256
    regular = ~np.isnan(values)
    assert np.array_equal(wide.numpy()[regular], values[regular])
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.tensor(samples(np.float32, -20, 0)).to(kind)
        out = torch.zeros(len(x), dtype=torch.uint8)
        cast_kernel[(1,)](x, triton.reinterpret(out, tl.float8e4b15), None, len(x))
        exact = np.nan_to_num(x.double().numpy(), nan=1.75)
        want = (np.clip(exact, -1.75, 1.75) * 256).astype(ml_dtypes.float8_e4m3fn)
        assert np.array_equal(out.numpy(), want.view(np.uint8)), kind
