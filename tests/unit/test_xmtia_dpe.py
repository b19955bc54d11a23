"""The dot product engine against sums of fused multiply-adds made with numpy, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mtia.isa.chip import load_chip
from mtia.isa.xmtia.codes import Cause, DType, Space
from xmtia_support import NUMPY, Tile, clocks, equal_bits, run

PAIRS = [
    (DType.F16, DType.F16, "mtia200"), (DType.BF16, DType.BF16, "mtia200"), (DType.F16, DType.F16, "mtia300"),
    (DType.E4M3, DType.E4M3, "mtia300"), (DType.E5M2, DType.E4M3, "mtia300"), (DType.TF32, DType.TF32, "mtia300"),
    (DType.I8, DType.I8, "mtia200"), (DType.U8, DType.I8, "mtia200"),
]  # fmt: skip


def fused(acc: Any, a: Any, b: Any) -> Any:
    """acc + a·b, k ascending, each sum rounded once: in double to odd, then to f32."""
    for k in range(a.shape[1]):
        product = a[:, k : k + 1].astype(np.float64) * b[k : k + 1].astype(np.float64)  # exact: 24 + 24 bits
        total = product + acc
        error = two_sum_error(product, acc.astype(np.float64), total)
        odd = total.view(np.int64) & 1
        inexact = (error != 0) & np.isfinite(total)
        away = np.signbit(error) != np.signbit(total)
        bits = total.view(np.int64) - np.where(inexact & away & (odd == 0), 1, 0)
        bits = np.where(inexact, bits | 1, bits)
        acc = bits.view(np.float64).astype(np.float32)
    return acc


def two_sum_error(a: Any, b: Any, total: Any) -> Any:
    """The exact rounding error of total = a + b."""
    part = total - a
    return (a - (total - part)) + (b - part)


def values(rng: np.random.Generator, shape: tuple[int, int], dtype: DType) -> Any:
    kind = np.dtype(NUMPY[dtype])
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return rng.integers(info.min, info.max, shape, kind, endpoint=True)
    x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-8, 4, shape)).astype(kind)
    if dtype is DType.TF32:
        x = (x.view(np.uint32) & 0xFFFFE000).view(np.float32)
    return x


@pytest.mark.parametrize(("a_type", "b_type", "chip"), PAIRS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 32, 16), (13, 70, 150), (64, 64, 64), (3, 33, 300)])
def test_products(a_type: DType, b_type: DType, chip: str, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    m, n, k = shape
    a, b = values(rng, (m, k), a_type), values(rng, (k, n), b_type)
    whole = a_type in (DType.I8, DType.U8)
    start: Any = rng.integers(-1000, 1000, (m, n), np.int32) if whole else rng.standard_normal((m, n), np.float32)
    acc = start.copy()
    assert run("dpe.mma", Tile(acc, space=Space.RE), Tile(a, dtype=a_type), Tile(b, dtype=b_type), chip=chip) == 0
    if whole:
        expected = (start + a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32)
    else:
        expected = fused(start, a.astype(np.float32), b.astype(np.float32))
    assert equal_bits(acc, expected)
    zeroed = np.full_like(acc, 7)
    assert run("dpe.mmz", Tile(zeroed, space=Space.RE), Tile(a, dtype=a_type), Tile(b, dtype=b_type), chip=chip) == 0
    again = np.zeros_like(acc)
    assert run("dpe.mma", Tile(again, space=Space.RE), Tile(a, dtype=a_type), Tile(b, dtype=b_type), chip=chip) == 0
    assert equal_bits(zeroed, again)


def test_views() -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((40, 50)).astype(np.float16)
    b = rng.standard_normal((50, 70)).astype(np.float16)
    plain = np.zeros((40, 70), np.float32)
    assert run("dpe.mmz", Tile(plain, space=Space.RE), a, b) == 0
    np.testing.assert_allclose(plain, a.astype(np.float32) @ b.astype(np.float32), rtol=1e-4, atol=1e-4)
    room = np.zeros((75, 45), np.float32)
    at, bt = np.ascontiguousarray(a.T).T, np.ascontiguousarray(b.T).T
    wide = np.zeros((40, 200), np.float16)
    wide[:, ::4] = a
    for x, y in ((at, b), (a, bt), (at, bt), (wide[:, ::4], b)):
        acc = room.T[:40, :70]
        assert run("dpe.mmz", Tile(acc, space=Space.RE), x, y) == 0
        assert equal_bits(acc, plain)
    row = np.broadcast_to(b[:1], b.shape)
    acc = np.zeros((40, 70), np.float32)
    assert run("dpe.mmz", Tile(acc, space=Space.RE), a, row) == 0
    assert equal_bits(acc, fused(np.zeros_like(acc), a.astype(np.float32), row.astype(np.float32)))


def test_special_values_and_the_quiet_nan() -> None:
    a = np.array([[np.inf, 1.0], [np.nan, 0.0], [1.0, np.inf], [6e-8, 6e-8]], np.float16)
    b = np.array([[1.0, 0.0], [2.0, -np.inf]], np.float16)
    acc = np.zeros((4, 2), np.float32)
    assert run("dpe.mmz", Tile(acc, space=Space.RE), a, b) == 0
    assert acc[0, 0] == np.inf and np.isinf(acc[2]).all()
    assert (acc.view(np.uint32)[np.isnan(acc)] == 0x7FC00000).all() and np.isnan(acc).sum() == 3
    assert acc[3, 0] == np.float32(np.float16(6e-8)) * 3


def test_one_rounding_per_step() -> None:
    """1 + 2**-11 squared in one rounding, where a rounded product would give another sum."""
    a = np.array([[1 + 2.0**-10]], np.float16)
    acc = np.full((1, 1), -(1 + 2.0**-9), np.float32)
    assert run("dpe.mma", Tile(acc, space=Space.RE), a, a) == 0
    assert acc[0, 0] == 2.0**-20


def test_reference_gives_the_same_bits() -> None:
    rng = np.random.default_rng(4)
    for dtype, out in ((np.float16, np.float32), (np.int8, np.int32)):
        a = (rng.standard_normal((3, 5)) * 20).astype(dtype)
        b = (rng.standard_normal((5, 4)) * 20).astype(dtype)
        native, reference = np.ones((3, 4), out), np.ones((3, 4), out)
        assert run("dpe.mma", Tile(native, space=Space.RE), a, b) == 0
        assert run("dpe.mma", Tile(reference, space=Space.RE), a, b, reference=True) == 0
        assert equal_bits(native, reference)


def test_traps() -> None:
    h, f, i = np.zeros((8, 8), np.float16), np.zeros((8, 8), np.float32), np.zeros((8, 8), np.int8)
    acc = Tile(f, space=Space.RE)
    assert run("dpe.mma", f, h, h) == Cause.SPACE
    assert run("dpe.mma", acc, Tile(h, space=Space.RE), h) == Cause.SPACE
    assert run("dpe.mma", acc, h[:, :4], h) == Cause.SHAPE
    assert run("dpe.mma", acc, f, f) == Cause.TYPE
    assert run("dpe.mma", acc, i, i) == Cause.TYPE
    assert run("dpe.mma", Tile(np.zeros((8, 8), np.int32), space=Space.RE), i, i, chip="mtia300") == Cause.TYPE


@pytest.mark.parametrize(("chip", "dtype", "rate"), [
    ("mtia200", DType.F16, "fp16"), ("mtia200", DType.I8, "int8"), ("mtia300", DType.BF16, "bf16"),
    ("mtia300", DType.E4M3, "fp8"), ("mtia300", DType.TF32, "tf32"),
])  # fmt: skip
def test_large_products_run_at_the_published_rate(chip: str, dtype: DType, rate: str) -> None:
    x = np.zeros((256, 256), NUMPY[dtype])
    acc = Tile(np.zeros((256, 256), np.float32), space=Space.RE)
    params = load_chip(chip).dpe
    tile = Tile(x, dtype=dtype)
    assert clocks("dpe.mma", acc, tile, tile, chip=chip) == params.start + 256**3 // getattr(params, rate)


def test_small_products_fill_whole_tiles() -> None:
    acc = Tile(np.zeros((33, 8), np.float32), space=Space.RE)
    assert clocks("dpe.mma", acc, np.zeros((33, 8), np.float16), np.zeros((8, 8), np.float16)) == 4 + 32
