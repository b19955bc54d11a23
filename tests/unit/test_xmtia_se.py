"""The SIMD engine against numpy and ml_dtypes: every function, type, stride and special value."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from mtia.isa.xmtia.codes import Cause, DType, Flag, Form, Space
from xmtia_support import NUMPY, Imm, Tile, clocks, equal_bits, random, run

FLOATS = [DType.F32, DType.F16, DType.BF16]
INTEGERS = [DType.I8, DType.U8, DType.I16, DType.U16, DType.I32, DType.U32, DType.I64]


def to_float(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return x.astype(np.float32)


def store(x: Any, dtype: DType) -> Any:
    """What the engine writes for f32 values, by numpy and ml_dtypes."""
    target = NUMPY[dtype]
    with np.errstate(all="ignore"):
        if dtype in (DType.E4M3, DType.E5M2):
            most = 448.0 if dtype is DType.E4M3 else 57344.0
            return np.where(np.isnan(x), x, np.clip(x, -most, most)).astype(target)
        if np.dtype(target).kind in "iu":
            info = np.iinfo(target)
            wide = np.trunc(np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=1e300, neginf=-1e300))
            clipped = np.clip(wide, float(info.min), float(info.max))
            out = np.zeros(x.shape, target)
            high, low = clipped >= float(info.max), clipped <= float(info.min)
            out[~(high | low)] = clipped[~(high | low)].astype(target)
            out[high], out[low] = info.max, info.min
            return out
        return x.astype(target)


@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, DType.E4M3, DType.E5M2])
@pytest.mark.parametrize("target", [*FLOATS, *INTEGERS, DType.E4M3, DType.E5M2])
def test_conversions(source: DType, target: DType) -> None:
    chip = "mtia300" if {source, target} & {DType.E4M3, DType.E5M2} else "mtia200"
    rng = np.random.default_rng(1)
    a = random(rng, (5, 333), NUMPY[source], 300.0)
    d = np.zeros(a.shape, NUMPY[target])
    assert run("se.cvt", d, a, chip=chip) == 0
    if source in INTEGERS and target in INTEGERS:
        expected = a.astype(NUMPY[target])
    else:
        expected = store(to_float(a), target)
    assert equal_bits(d, expected)


@pytest.mark.parametrize("target", [DType.F16, DType.BF16, DType.E4M3, DType.E5M2])
def test_every_16_bit_float_and_its_neighbours_round_to_nearest_even(target: DType) -> None:
    bits = np.arange(1 << 16, dtype=np.uint32) << 16
    near = np.concatenate([bits, bits + 0x8000, bits + 0x7FFF, bits + 0x8001, bits + 0x1000, bits + 0xF000])
    a = near.view(np.float32).reshape(384, 1024)
    d = np.zeros(a.shape, NUMPY[target])
    assert run("se.cvt", d, a, chip="mtia300") == 0
    assert equal_bits(d, store(a, target))


def test_tf32_drops_thirteen_bits() -> None:
    a = np.array([[1 + 2.0**-10, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-11 + 2.0**-20]], np.float32)
    d = np.zeros_like(a)
    assert run("se.cvt", Tile(d, dtype=DType.TF32), a) == 0
    assert d.tolist() == [[1 + 2.0**-10, 1.0, 1 + 2 * 2.0**-10, 1 + 2.0**-10]]


def numpy_max(a: Any, b: Any, sign: int, number: bool) -> Any:
    pick = (np.maximum, np.fmax) if sign > 0 else (np.minimum, np.fmin)
    value = pick[number](a, b)
    zeros = (a == 0) & (b == 0)
    negative = (np.signbit(a) & np.signbit(b)) if sign > 0 else (np.signbit(a) | np.signbit(b))
    return np.where(zeros, np.where(negative, np.float32(-0.0), np.float32(0.0)), value)


def wrapped(f: Any) -> Any:
    return lambda a, b: f(a.astype(object), b.astype(object))


def truncating(a: Any, b: Any) -> Any:
    out = np.full(a.shape, -1, object)
    for i in np.ndindex(a.shape):
        if b[i]:
            q = abs(int(a[i])) // abs(int(b[i]))
            out[i] = -q if (a[i] < 0) != (b[i] < 0) else q
    return out


BINARY: dict[str, tuple[Any, Any]] = {
    "add": (np.add, lambda a, b: a + b),
    "sub": (np.subtract, lambda a, b: a - b),
    "mul": (np.multiply, lambda a, b: a * b),
    "div": (np.divide, truncating),
    "max": (lambda a, b: numpy_max(a, b, 1, False), np.maximum),
    "min": (lambda a, b: numpy_max(a, b, -1, False), np.minimum),
    "maxn": (lambda a, b: numpy_max(a, b, 1, True), np.maximum),
    "minn": (lambda a, b: numpy_max(a, b, -1, True), np.minimum),
    "lt": (np.less, np.less),
    "le": (np.less_equal, np.less_equal),
    "eq": (np.equal, np.equal),
    "ne": (np.not_equal, np.not_equal),
    "gt": (np.greater, np.greater),
    "ge": (np.greater_equal, np.greater_equal),
    "and": (None, np.bitwise_and),
    "or": (None, np.bitwise_or),
    "xor": (None, np.bitwise_xor),
    "copysign": (lambda a, b: np.copysign(a, np.where(np.isnan(b), np.float32(1), b)), None),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_binary_floats(name: str, dtype: DType) -> None:
    f = BINARY[name][0]
    rng = np.random.default_rng(2)
    a, b = (random(rng, (4, 301), NUMPY[dtype]) for _ in range(2))
    d = np.zeros(a.shape, NUMPY[dtype])
    cause = run(f"se.{name}", d, a, b)
    if f is None:
        assert cause == Cause.TYPE
        return
    assert cause == 0
    with np.errstate(all="ignore"):
        expected = store(f(to_float(a), to_float(b)).astype(np.float32), dtype)
    assert equal_bits(d, expected)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", [DType.I8, DType.U8, DType.I32, DType.I64])
def test_binary_integers(name: str, dtype: DType) -> None:
    f = BINARY[name][1]
    rng = np.random.default_rng(3)
    a, b = (random(rng, (3, 77), NUMPY[dtype]) for _ in range(2))
    b[0, :5] = 0
    d = np.zeros(a.shape, NUMPY[dtype])
    cause = run(f"se.{name}", d, a, b)
    if f is None:
        assert cause == Cause.TYPE
        return
    assert cause == 0
    bits = np.dtype(NUMPY[dtype]).itemsize * 8
    exact = f(a.astype(object), b.astype(object)) if name not in ("and", "or", "xor") else f(a, b)
    expected = np.array([int(x) & ((1 << bits) - 1) for x in exact.reshape(-1)], f"u{bits // 8}")
    assert equal_bits(d, expected.view(d.dtype).reshape(d.shape))


@pytest.mark.parametrize("name", ["neg", "abs", "sqrt", "rcp", "floor", "ceil", "rint", "relu", "sqr", "not"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_plain_unary_floats(name: str, dtype: DType) -> None:
    f: Any = {
        "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "rcp": lambda x: np.float32(1) / x, "floor": np.floor,
        "ceil": np.ceil, "rint": np.rint, "relu": lambda x: np.where(x <= 0, np.float32(0), x), "sqr": np.square,
        "not": lambda x: (x == 0).astype(np.float32),
    }[name]  # fmt: skip
    a = random(np.random.default_rng(4), (4, 301), NUMPY[dtype], 20.0)
    d = np.zeros_like(a)
    assert run(f"se.{name}", d, a) == 0
    with np.errstate(all="ignore"):
        assert equal_bits(d, store(f(to_float(a)), dtype))


def test_ternary() -> None:
    rng = np.random.default_rng(5)
    a, b, c = (random(rng, (6, 130), np.float32) for _ in range(3))
    d = np.zeros_like(a)
    with np.errstate(all="ignore"):
        assert run("se.fma", d, a, b, c) == 0
        product = a.astype(np.longdouble) * b.astype(np.longdouble)
        assert equal_bits(d, (product + c).astype(np.float32))
        assert run("se.clamp", d, a, Imm(-0.5, DType.F32), Imm(0.5, DType.F16)) == 0
        assert equal_bits(d, numpy_max(numpy_max(a, np.float32(-0.5), 1, False), np.float32(0.5), -1, False))
        mask = rng.integers(0, 2, a.shape).astype(np.uint8)
        assert run("se.sel", d, mask, b, c) == 0
        assert equal_bits(d, np.where(mask != 0, b, c))
        assert run("se.dequant", d, mask, Imm(0.125, DType.F32), Imm(3, DType.I32)) == 0
        assert equal_bits(d, (mask.astype(np.float32) - 3) * np.float32(0.125))
    big = random(rng, a.shape, np.int64)
    out = np.zeros_like(big)
    assert run("se.sel", out, mask, big, Imm(-7, DType.I32)) == 0
    assert equal_bits(out, np.where(mask != 0, big, -7))
    assert run("se.sel", out, a, big, big) == Cause.TYPE


def test_quantise() -> None:
    rng = np.random.default_rng(6)
    x = (rng.standard_normal((16, 200)) * 3).astype(np.float16)
    scale = (np.abs(x.astype(np.float32)).max(axis=1, keepdims=True) / 127).astype(np.float32)
    q = np.zeros(x.shape, np.int8)
    rows = np.broadcast_to(scale, x.shape)
    assert run("se.quant", q, x, rows, Imm(0, DType.I32)) == 0
    expected = np.rint(x.astype(np.float32) / scale)
    assert equal_bits(q, expected.astype(np.int8))
    back = np.zeros(x.shape, np.float32)
    assert run("se.dequant", back, q, rows, Imm(0, DType.F32)) == 0
    assert np.abs(back - x.astype(np.float32)).max() <= scale.max() * 0.501
    f8 = np.zeros(x.shape, NUMPY[DType.E4M3])
    assert run("se.quant", f8, x, rows, Imm(0, DType.F32), chip="mtia300") == 0
    assert equal_bits(f8, (x.astype(np.float32) / scale).astype(NUMPY[DType.E4M3]))


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (129, 3), (3, 129), (64, 64), (2, 1000)])
def test_strides_and_broadcasts(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    rows, cols = shape
    a = random(rng, (rows * 2, cols + 3), np.float16)[::2, 3:]
    b = random(rng, (cols, rows), np.float32).T
    row = np.broadcast_to(random(rng, (1, cols), np.float32), shape)
    column = np.broadcast_to(random(rng, (rows, 1), np.float32), shape)
    room = np.full((rows, cols + 5), 9, np.float32)
    d = room[:, 2 : 2 + cols]
    with np.errstate(all="ignore"):
        for x, y in ((a, b), (b, row), (column, row), (row, a), (d, column)):
            expected = to_float(x) - to_float(y)
            assert run("se.sub", d, x, y) == 0
            assert equal_bits(d, expected)
    assert (room[:, :2] == 9).all() and (room[:, 2 + cols :] == 9).all()


@pytest.mark.parametrize("dtype", [*FLOATS, DType.I32, DType.U8])
@pytest.mark.parametrize("shape", [(1, 1), (5, 31), (3, 32), (4, 500), (100, 33)])
def test_reductions(dtype: DType, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(8)
    a = random(rng, shape, NUMPY[dtype]) if dtype not in FLOATS else rng.standard_normal(shape).astype(NUMPY[dtype])
    if dtype in FLOATS and shape[1] > 40:
        a[0, 7], a[1, 33] = np.nan, np.inf
    wide: Any = np.float32 if dtype in FLOATS else np.int64
    rows, cols = shape
    x = a.astype(wide)
    partial = np.zeros((rows, 32), wide)
    with np.errstate(all="ignore"):
        for c in range(cols):
            partial[:, c % 32] += x[:, c]
        for half in (16, 8, 4, 2, 1):
            partial = partial[:, :half] + partial[:, half : 2 * half]
        column = np.zeros(cols, wide)
        for r in range(rows):
            column += x[r]
    for name, expected in (
        ("rsum", partial), ("rmax", x.max(axis=1, keepdims=True)), ("rmin", x.min(axis=1, keepdims=True)),
        ("rmaxn", np.fmax.reduce(x, axis=1, keepdims=True)), ("rminn", np.fmin.reduce(x, axis=1, keepdims=True)),
        ("cmaxn", np.fmax.reduce(x)[None]), ("cminn", np.fmin.reduce(x)[None]),
        ("csum", column[None]), ("cmax", x.max(axis=0)[None]), ("cmin", x.min(axis=0)[None]),
    ):  # fmt: skip
        d = np.zeros(expected.shape, wide)
        assert run(f"se.{name}", d, a) == 0
        assert equal_bits(d, expected), name


def test_number_reductions_of_rows_and_columns_of_nans() -> None:
    a = np.full((4, 40), np.nan, np.float32)
    a[1, 39], a[2, 3], a[3, :2] = 5, -np.inf, (-0.0, 0.0)
    for by, axis in (("r", 1), ("c", 0)):
        for kind, numpy in (("maxn", np.fmax), ("minn", np.fmin)):
            expected = numpy.reduce(a, axis=axis, keepdims=True)
            d = np.zeros_like(expected)
            assert run(f"se.{by}{kind}", d, a) == 0
            assert np.array_equal(d, expected, equal_nan=True), (by, kind)
    for kind, negative in (("maxn", False), ("minn", True)):
        d = np.ones((1, 1), np.float32)
        assert run(f"se.r{kind}", d, a[3:]) == 0
        assert d[0, 0] == 0 and bool(np.signbit(d[0, 0])) == negative


def test_reductions_of_zeros_and_limits() -> None:
    a = np.array([[-0.0, 0.0, -0.0]], np.float32)
    d = np.ones((1, 1), np.float32)
    for name, negative in (("rmax", False), ("rmin", True), ("rsum", False)):
        assert run(f"se.{name}", d, a) == 0
        assert d[0, 0] == 0 and bool(np.signbit(d[0, 0])) == negative
    assert run("se.csum", np.zeros((1, 3), np.float32), np.zeros((129, 3), np.float32)) == Cause.SHAPE
    assert run("se.rsum", np.zeros((2, 1), np.float32), a) == Cause.SHAPE


def test_iota_and_masks() -> None:
    shape = (37, 300)
    r, c = np.indices(shape)
    d = np.zeros(shape, np.int32)
    three, minus, k = Imm(3, DType.I32), Imm(-2, DType.I8), Imm(11, DType.I64)
    assert run("se.iota", d, three, minus, k) == 0
    assert (d == 3 * r - 2 * c + 11).all()
    for name, op in (("lt", np.less), ("le", np.less_equal), ("eq", np.equal)):
        for sign, swapped in ((1, name), (-1, {"lt": "gt", "le": "ge", "eq": "ne"}[name])):
            mask = np.zeros(shape, np.uint8)
            coefficients = Imm(sign, DType.I32), Imm(-sign, DType.I32), Imm(5 * sign, DType.I32)
            assert run(f"se.mask.{swapped}", mask, *coefficients) == 0
            expected = op(r - c + 5, 0)
            assert (mask == (~expected if (sign, name) == (-1, "eq") else expected)).all(), swapped
    mask = np.ones(shape, np.uint8)
    valid = Tile(np.zeros(shape, np.float32), form=Form.GLOBAL, valid=((-1, 30), (4, 290)))
    assert run("se.mask", mask, valid) == 0
    assert (mask == ((r < 30) & (c >= 4) & (c < 290))).all()


def test_traps() -> None:
    f32, i8 = np.zeros((2, 8), np.float32), np.zeros((2, 8), np.int8)
    f8, f64 = np.zeros((2, 8), NUMPY[DType.E4M3]), np.zeros((2, 8), np.float64)
    assert run("se.add", f32, f32, np.zeros((2, 7), np.float32)) == Cause.SHAPE
    assert run("se.add", f32, f32, f64) == Cause.TYPE
    assert run("se.add", f32, f32, Tile(f32, form=Form.GLOBAL)) == Cause.FORM
    assert run("se.cvt", Tile(f32, space=Space.RE), f32) == Cause.SPACE
    assert run("se.cvt", f32, Tile(f32, space=Space.RE)) == 0
    one, zero = Imm(1, DType.F32), Imm(0, DType.F32)
    assert run("se.dequant", f32, i8, one, zero) == 0 and run("se.quant", i8, f32, one, zero) == 0
    assert run("se.dequant", f32, i8, one, zero, chip="mtia300") == Cause.TYPE
    assert run("se.quant", i8, f32, one, zero, chip="mtia300") == Cause.TYPE
    assert run("se.cvt", f32, f8) == Cause.TYPE and run("se.cvt", f32, f8, chip="mtia300") == 0
    assert run("se.exp", f32, np.zeros((2, 8), np.int32)) == Cause.TYPE
    assert run("se.mask", i8, f32) == Cause.FORM


def test_clocks() -> None:
    a = np.zeros((64, 64), np.float32)
    assert clocks("se.add", a, a, a) == 8 + 4096 // 32
    assert clocks("se.exp", a, a) == 8 + 2 * 4096 // 32
    assert clocks("se.lut.exp", a, a) == 8 + 4096 // 32
    assert clocks("se.exp", a, a, chip="mtia300") == 8 + 4096 // 128
    assert clocks("se.rsum", np.zeros((64, 1), np.float32), a) == 8 + 4096 // 32


def mix(x: Any) -> Any:
    """The generator of stochastic rounding, as the manual states it."""
    x = x.astype(np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.E4M3, DType.E5M2])
@pytest.mark.parametrize("shape", [(3, 500), (200, 2)])
def test_stochastic_rounding(dtype: DType, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(9)
    x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-20, 5, shape)).astype(np.float32)
    x.reshape(-1)[:4] = [np.nan, 0.0, 1.0, -0.5]
    d = np.zeros(shape, NUMPY[dtype])
    tile = Tile(d, flags=Flag.STOCHASTIC, seed=12345)
    assert run("se.cvt", tile, x) == Cause.TYPE
    assert run("se.cvt", tile, x, chip="mtia300") == 0
    nearest = ml_dtypes.finfo(NUMPY[dtype])
    quantum = 2.0 ** (np.maximum(np.floor(np.log2(np.abs(x) + 1e-30)), nearest.minexp) - nearest.nmant)
    places = np.abs(x.astype(np.float64)) / quantum
    word = mix(np.arange(x.size).reshape(shape) + 12345)
    normal = np.abs(x) >= 2.0**nearest.minexp
    cut = np.where(normal, 23 - nearest.nmant, 24)
    chance = np.floor(word / 2.0 ** (32 - cut)) / 2.0**cut
    up = places - np.floor(places) + chance >= 1
    with np.errstate(all="ignore"):
        expected = np.copysign((np.floor(places) + up) * quantum, x).astype(np.float32)
    assert equal_bits(d, store(np.where(np.isnan(x), x, expected), dtype))


def test_stochastic_rounding_keeps_the_mean() -> None:
    x = np.full((64, 256), 1 + 2.0**-9, np.float32)
    d = np.zeros(x.shape, NUMPY[DType.BF16])
    assert run("se.cvt", Tile(d, flags=Flag.STOCHASTIC, seed=7), x, chip="mtia300") == 0
    assert set(d.astype(np.float32).reshape(-1).tolist()) == {1.0, 1 + 2.0**-7}
    share = (d.astype(np.float32) > 1).mean()
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / x.size) ** 0.5
