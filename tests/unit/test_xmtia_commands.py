"""Unit commands by hand: special values, limits, refusals and clocks; everything else is in `mtiac verify xmtia`."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from mtia.isa.chip import load_chip
from mtia.isa.xmtia.codes import Cause, DType, Flag, Form, Space
from xmtia_support import NUMPY, Imm, Tile, acc, clocks, equal_bits, run

INF, NAN = math.inf, math.nan


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(NAN, NAN), (INF, INF), (-INF, 0.0), (0.0, 1.0), (200.0, INF), (-200.0, 0.0)],
    "exp2": [(NAN, NAN), (INF, INF), (-INF, 0.0), (3.0, 8.0), (-149.0, 2.0**-149), (127.0, 2.0**127)],
    "log": [(NAN, NAN), (INF, INF), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-INF, NAN), (1.0, 0.0)],
    "log2": [(NAN, NAN), (INF, INF), (0.0, -INF), (-1.0, NAN), (8.0, 3.0), (2.0**-149, -149.0)],
    "sqrt": [(NAN, NAN), (INF, INF), (-1.0, NAN), (-0.0, -0.0), (4.0, 2.0)],
    "rsqrt": [(NAN, NAN), (INF, 0.0), (-1.0, NAN), (0.0, INF), (-0.0, -INF), (4.0, 0.5)],
    "rcp": [(NAN, NAN), (INF, 0.0), (-INF, -0.0), (0.0, INF), (-0.0, -INF)],
    "tanh": [(NAN, NAN), (INF, 1.0), (-INF, -1.0), (-0.0, -0.0), (1e-40, 1e-40)],
    "sigm": [(NAN, NAN), (INF, 1.0), (-INF, 0.0), (0.0, 0.5)],
    "erf": [(NAN, NAN), (INF, 1.0), (-INF, -1.0), (-0.0, -0.0)],
    "gelu": [(NAN, NAN), (INF, INF), (-INF, -0.0), (0.0, 0.0)],
    "sin": [(NAN, NAN), (INF, NAN), (-INF, NAN), (-0.0, -0.0), (0.0, 0.0)],
    "cos": [(NAN, NAN), (INF, NAN), (0.0, 1.0), (-0.0, 1.0)],
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str) -> None:
    x = np.array([[a for a, _ in SPECIAL[name]]], np.float32)
    expected = np.array([[b for _, b in SPECIAL[name]]], np.float32)
    d = np.ones_like(x)
    assert run(f"se.{name}", d, x) == 0
    np.testing.assert_array_equal(d, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(d[numbers]), np.signbit(expected[numbers]))


def test_pow_special_values() -> None:
    values = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, INF, -INF, NAN, 1e30, -1e30, 2.5]
    a, b = (np.ascontiguousarray(g) for g in np.meshgrid(np.array(values, np.float32), np.array(values, np.float32)))
    d = np.zeros_like(a)
    assert run("se.pow", d, a, b) == 0
    with np.errstate(all="ignore"):
        expected = np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(d, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(d[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("name", ["exp", "tanh", "sigm", "gelu", "log"])
def test_table_forms_at_the_ends(name: str) -> None:
    x = np.array([[NAN, INF, -INF, 0.0, 1e30, -1e30]], np.float32)
    d = np.zeros_like(x)
    assert run(f"se.lut.{name}", d, x) == 0
    expected = {
        "exp": [NAN, INF, 0, 1, INF, 0], "tanh": [NAN, 1, -1, 0, 1, -1], "sigm": [NAN, 1, 0, 0.5, 1, 0],
        "gelu": [NAN, INF, 0, 0, 1e30, 0], "log": [NAN, INF, NAN, -INF, math.log(1e30), NAN],
    }[name]  # fmt: skip
    np.testing.assert_allclose(d, np.array([expected], np.float32), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", [DType.F16, DType.BF16, DType.E4M3, DType.E5M2])
def test_every_16_bit_float_and_its_neighbours_round_to_nearest_even(target: DType) -> None:
    """Every upper half of an f32, with what lies just below, at and above the middle behind it."""
    most = {DType.E4M3: 448.0, DType.E5M2: 57344.0}.get(target, INF)
    for low in (0, 0x1000, 0x7FFF, 0x8000, 0x8001, 0xF000):
        a = (np.arange(1 << 16, dtype=np.uint32) << 16 | low).view(np.float32).reshape(64, 1024)
        with np.errstate(all="ignore"):
            expected = np.where(np.isnan(a), a, np.clip(a, -most, most)).astype(NUMPY[target])
        for part in (slice(0, 32), slice(32, 64)):
            d = np.zeros((32, 1024), NUMPY[target])
            assert run("se.cvt", d, a[part], chip="mtia300") == 0
            assert equal_bits(d, expected[part])


def test_tf32_drops_thirteen_bits() -> None:
    a = np.array([[1 + 2.0**-10, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-11 + 2.0**-20]], np.float32)
    d = np.zeros_like(a)
    assert run("se.cvt", Tile(d, dtype=DType.TF32), a) == 0
    assert d.tolist() == [[1 + 2.0**-10, 1.0, 1 + 2 * 2.0**-10, 1 + 2.0**-10]]


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


def test_what_the_simd_engine_refuses() -> None:
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


def test_clocks_of_the_simd_engine() -> None:
    a = np.zeros((64, 64), np.float32)
    assert clocks("se.add", a, a, a) == 8 + 4096 // 32
    assert clocks("se.exp", a, a) == 8 + 2 * 4096 // 32
    assert clocks("se.lut.exp", a, a) == 8 + 4096 // 32
    assert clocks("se.exp", a, a, chip="mtia300") == 8 + 4096 // 128
    assert clocks("se.rsum", np.zeros((64, 1), np.float32), a) == 8 + 4096 // 32


def test_stochastic_rounding_keeps_the_mean() -> None:
    x = np.full((64, 256), 1 + 2.0**-9, np.float32)
    d = np.zeros(x.shape, NUMPY[DType.BF16])
    assert run("se.cvt", Tile(d, flags=Flag.STOCHASTIC, seed=7), x, chip="mtia300") == 0
    assert set(d.astype(np.float32).reshape(-1).tolist()) == {1.0, 1 + 2.0**-7}
    share = (d.astype(np.float32) > 1).mean()
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / x.size) ** 0.5


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


def test_what_the_dot_product_engine_refuses() -> None:
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


def test_mlu_traps_and_clocks() -> None:
    h, f = np.zeros((8, 8), np.float16), np.zeros((8, 8), np.float32)
    assert run("mlu.copy", h, f) == Cause.TYPE
    assert run("mlu.copy", acc(f), f) == Cause.SPACE and run("mlu.copy", f, acc(f)) == 0
    assert run("mlu.copy", f, f[:4]) == Cause.SHAPE and run("mlu.trans", f, f[:4]) == Cause.SHAPE
    assert run("mlu.fill", f, f) == Cause.FORM and run("mlu.copy", f, Imm(1, DType.F32)) == Cause.FORM
    assert run("mlu.copy", Tile(h, dtype=DType.I16), h) == 0, "only the size counts"
    x = np.zeros((64, 64), np.float16)
    assert clocks("mlu.copy", x, x) == 4 + 8192 // 128
    assert clocks("mlu.copy", x, x.T) == clocks("mlu.trans", x, x) == 4 + 8192 // 64
    assert clocks("mlu.fill", x, Imm(0, DType.F16), chip="mtia300") == 4 + 8192 // 256


def test_re_traps_and_clocks() -> None:
    f, h = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float16)
    assert run("re.load", f, h) == Cause.SPACE and run("re.load", acc(h), h) == Cause.TYPE
    assert run("re.drain", f, h) == Cause.SPACE and run("re.drain", acc(f), acc(f)) == Cause.SPACE
    assert run("re.load", acc(f), h[:4]) == Cause.SHAPE and run("re.scale", acc(f), h) == Cause.SHAPE
    assert run("re.scale", acc(f), Tile(h[:, :1], form=Form.GLOBAL)) == Cause.FORM
    assert run("re.rowmax", h, acc(f)) == Cause.SHAPE
    x = np.zeros((64, 64), np.float32)
    assert clocks("re.drain", x, acc(x)) == 4 + 4096 // 64
    assert clocks("re.send", acc(x)) == 4 + 8 + 4096 * 4 // 128


def test_an_index_outside_the_source_traps() -> None:
    table, index, d = zeros(30, 20), np.array([[0], [29], [3]], np.int32), zeros(3, 20)
    assert run("mlu.gather", d, table, index) == 0
    for wrong in (30, -1):
        index[1] = wrong
        assert run("mlu.gather", d, table, index) == Cause.INDEX


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_integer_reductions_of_nothing_but_limits(dtype: Any) -> None:
    """Where every element is the least or the largest of its type, so is the extreme."""
    for limit in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        a = np.full((3, 40), limit, dtype)
        for name in ("max", "min", "maxn", "minn"):
            for by, d in (("r", np.zeros((3, 1), dtype)), ("c", np.zeros((1, 40), dtype))):
                assert run(f"se.{by}{name}", d, a) == 0
                assert (d == limit).all(), (by, name)


def test_a_column_reduction_of_as_many_rows_as_there_may_be() -> None:
    a = np.ones((128, 3), np.float32)
    d = np.zeros((1, 3), np.float32)
    assert run("se.csum", d, a) == 0 and (d == 128).all()


@pytest.mark.parametrize("shape", [(1, 70_000), (70_000, 1), (2, 70_000)])
def test_views_with_more_than_16_bits_of_rows_columns_or_stride(shape: tuple[int, int]) -> None:
    a = np.arange(shape[0] * shape[1], dtype=np.uint64).astype(np.uint8).reshape(shape)
    for name in ("mlu.copy", "se.cvt"):
        d = np.zeros_like(a)
        assert run(name, d, a) == 0 and (d == a).all()


def test_zeros_of_both_signs_in_either_order() -> None:
    """The larger of -0 and +0 is +0 and the smaller -0, in whichever operand or row they are."""
    zeros_of = np.array([[0.0, -0.0, 0.0, -0.0], [0.0, -0.0, -0.0, 0.0]], np.float32)
    for kind, negative in (("max", [0, 1, 0, 0]), ("min", [0, 1, 1, 1])):
        for name in (kind, f"{kind}n"):
            d = np.ones((1, 4), np.float32)
            assert run(f"se.{name}", d, zeros_of[:1], zeros_of[1:]) == 0
            assert np.signbit(d).tolist() == [[bool(bit) for bit in negative]], name
            assert run(f"se.c{name}", d, zeros_of) == 0
            assert np.signbit(d).tolist() == [[bool(bit) for bit in negative]], f"c{name}"
            rows = np.ones((4, 1), np.float32)
            assert run(f"se.r{name}", rows, np.ascontiguousarray(zeros_of.T)) == 0
            assert np.signbit(rows)[:, 0].tolist() == [bool(bit) for bit in negative], f"r{name}"


def small(rng: np.random.Generator, *shape: int, dtype: Any) -> Any:
    """Small integers of any type, sums and products of which are exact."""
    return rng.integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("name", ["mma", "mmz"])
@pytest.mark.parametrize(("dtype", "result"), [(np.float16, np.float32), (np.int8, np.int32)])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("shape", [(70, 70, 133), (130, 65, 128), (64, 64, 129), (9, 161, 257)])
def test_products_beyond_each_block(name: str, dtype: Any, result: Any, turned: Any, shape: Any) -> None:
    """Products are computed in blocks of rows, columns and depth: each is passed by a few, by one, and by none."""
    (m, n, k), rng = shape, np.random.default_rng(sum(shape))
    a, b, d = small(rng, m, k, dtype=dtype), small(rng, k, n, dtype=dtype), small(rng, m, n, dtype=result)
    expected = a.astype(np.int64) @ b.astype(np.int64) + (d.astype(np.int64) if name == "mma" else 0)
    assert run(f"dpe.{name}", acc(d), Tile(a, turned=turned[0]), Tile(b, turned=turned[1])) == 0
    assert np.array_equal(d.astype(np.int64), expected)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (20, 3), (40, 7), (1, 600), (3, 300), (2, 257), (300, 2)])
def test_elementwise_of_each_shape(shape: Any, dtype: Any, in_place: bool) -> None:
    """Rows that follow each other, tall views that are walked along their columns, and runs longer than a buffer."""
    rng = np.random.default_rng(sum(shape))
    a, b, c = (small(rng, *shape, dtype=dtype) for _ in range(3))
    for turned in (False, True):  # with it the operands' rows do not follow each other
        for name, rest, expected in (("neg", [], -a), ("add", [b], a + b), ("fma", [b, c], a * b + c)):
            d = a.copy() if in_place else np.zeros_like(a)
            others = [Tile(r, turned=turned) for r in rest]
            source = [] if in_place else [Tile(a, turned=turned)]
            assert run(f"se.{name}", d, *source, *others, in_place=in_place) == 0
            assert np.array_equal(d, expected), (name, turned)
    if dtype is np.int32:
        rows, cols = np.indices(shape)
        for name, expected in (("iota", a * rows + b * cols + c), ("mask.lt", a * rows + b * cols + c < 0)):
            d = a.copy() if in_place else np.zeros_like(a)
            assert run(f"se.{name}", d, *([] if in_place else [a]), b, c, in_place=in_place) == 0
            assert np.array_equal(d, expected.astype(dtype)), name


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.float16, np.int8])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (70, 7), (3, 700), (128, 40), (1, 257), (65, 33)])
def test_reductions_and_moves_of_each_shape(shape: Any, dtype: Any, turned: bool) -> None:
    """Views of few and of many rows and columns, stored by rows and by columns."""
    rng = np.random.default_rng(sum(shape))
    a = small(rng, *shape, dtype=dtype)
    a[rng.random(shape) < 0.8] = 0  # so that sums of many fit into eight bits
    source = Tile(a, turned=turned)
    for how in ("sum", "max", "min"):
        for by, axis in (("r", 1), ("c", 0)):
            expected = getattr(a.astype(np.int64), how)(axis=axis, keepdims=True)
            d = np.zeros(expected.shape, dtype)
            assert run(f"se.{by}{how}", d, source) == 0
            assert np.array_equal(d.astype(np.int64), expected), by + how
    d, e = np.zeros(shape, dtype), np.zeros(shape[::-1], dtype)
    assert run("mlu.copy", d, source) == run("mlu.trans", e, source) == 0
    assert np.array_equal(d, a) and np.array_equal(e, a.T)
    for axis in (0, 1):
        both = np.concatenate([a, a[::-1, ::-1]], axis)
        d = np.zeros(both.shape, dtype)
        assert run("mlu.cat", d, source, Tile(np.ascontiguousarray(a[::-1, ::-1]), turned=turned)) == 0
        assert np.array_equal(d, both), axis
    index = rng.integers(0, shape[0], (shape[0] + 3, 1)).astype(np.int32)
    d = np.zeros((len(index), shape[1]), dtype)
    assert run("mlu.gather", d, source, index) == 0 and np.array_equal(d, a[index[:, 0]])


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (70, 7), (3, 700), (128, 40), (1, 257), (65, 33)])
def test_accumulators_of_each_shape(shape: Any) -> None:
    """Loads with a conversion, drains, scales and extremes of rows."""
    rng = np.random.default_rng(sum(shape))
    for turned in (False, True):
        a, factors = small(rng, *shape, dtype=np.float16), small(rng, shape[0], 1, dtype=np.float32)
        held, d = np.zeros(shape, np.float32), np.zeros(shape, np.float16)
        assert run("re.load", acc(held), Tile(a, turned=turned)) == 0 and np.array_equal(held, a)
        assert run("re.drain", d, acc(held)) == 0 and np.array_equal(d, a)
        for name, expected in (("rowmax", held.max(1)), ("rowmin", held.min(1))):
            rows = np.zeros((shape[0], 1), np.float32)
            assert run(f"re.{name}", rows, acc(held)) == 0 and np.array_equal(rows[:, 0], expected), name
        scaled = held * factors
        assert run("re.scale", acc(held), factors) == 0 and np.array_equal(held, scaled)
        assert run("re.zero", acc(held)) == 0 and not held.any()


def test_no_bit_of_a_type_code_is_overlooked() -> None:
    x = np.zeros((2, 8), np.float32)
    for bit in range(8):
        code = int(DType.F32) ^ 1 << bit
        if code not in set(DType):
            assert run("se.neg", x, Tile(x, dtype=cast(DType, code))) == Cause.TYPE, bit
