"""Every function of `triton.language.extra.libdevice` on the machine, against numpy, exact fractions and mpmath."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")
mp = pytest.importorskip("mpmath")

import triton.language.extra.libdevice as stubs  # noqa: E402
from mtia.runtime.triton_backend import libdevice  # noqa: E402

BLOCK = 256
MODES = {"rn": "nearest", "rz": "zero", "rd": "down", "ru": "up"}
KINDS = {"fp32": np.float32, "fp64": np.float64}


@pytest.fixture(autouse=True)
def driver(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Our driver, whatever this machine has, and a cache of our own."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "triton-cache"))
    before = triton.runtime.driver._active
    triton.runtime.driver.set_active(MtiaDriver())
    yield
    triton.runtime.driver._active = before


@triton.jit
def one(a_ptr, out_ptr, FUNCTION: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, FUNCTION(tl.load(a_ptr + at)))


@triton.jit
def two(a_ptr, b_ptr, out_ptr, FUNCTION: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, FUNCTION(tl.load(a_ptr + at), tl.load(b_ptr + at)))


@triton.jit
def three(a_ptr, b_ptr, c_ptr, out_ptr, FUNCTION: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, FUNCTION(tl.load(a_ptr + at), tl.load(b_ptr + at), tl.load(c_ptr + at)))


@triton.jit
def four(a_ptr, b_ptr, c_ptr, d_ptr, out_ptr, FUNCTION: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    values = FUNCTION(tl.load(a_ptr + at), tl.load(b_ptr + at), tl.load(c_ptr + at), tl.load(d_ptr + at))
    tl.store(out_ptr + at, values)


def run(name: str, *arrays: Any, out: Any) -> Any:
    """What a function gives for arrays of equal length, as an array of type `out`."""
    size = len(arrays[0])
    padded = [np.resize(array, -(-size // BLOCK) * BLOCK) for array in arrays]
    result = np.zeros(len(padded[0]), out)
    kernel = (one, two, three, four)[len(arrays) - 1]
    for at in range(0, len(result), BLOCK):
        part = torch.zeros(BLOCK, dtype=torch.from_numpy(np.zeros(1, out)).dtype)
        given = [torch.from_numpy(array[at : at + BLOCK].copy()) for array in padded]
        kernel[(1,)](*given, part, FUNCTION=getattr(libdevice, name), BLOCK=BLOCK)
        result[at : at + BLOCK] = part.numpy()
    return result[:size]


def integers(kind: Any, seed: int = 0, count: int = BLOCK) -> Any:
    """Integers of all magnitudes, and the edges."""
    info = np.iinfo(kind)
    random = np.random.default_rng(seed)
    values = random.integers(info.min, info.max, count, dtype=kind, endpoint=True)
    values >>= random.integers(0, info.bits, count).astype(kind)
    values[:6] = [0, 1, info.max, info.min, info.max - 1, info.max >> 1]
    random.shuffle(values)
    return values


def reals(kind: Any, seed: int = 0, count: int = BLOCK, size: float = 20.0) -> Any:
    """Numbers of all magnitudes up to 2^±size, and the edges of the type."""
    random = np.random.default_rng(seed)
    info = np.finfo(kind)
    values = (
        random.choice([-1, 1], count) * random.uniform(1, 2, count) * 2 ** random.uniform(-size, size, count)
    ).astype(kind)
    edges = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        info.max,
        -info.max,
        info.tiny,
        info.smallest_subnormal,
        0.5,
        1.5,
        2.5,
        -0.5,
        1.0,
        -1.0,
    ]
    values[: len(edges)] = edges
    random.shuffle(values)
    return values


def test_every_name_of_triton_is_there() -> None:
    source = ast.parse(Path(stubs.__file__).read_text())
    names = {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
    assert names and names == set(libdevice.NAMES)


BITS: dict[str, Callable[[int, int], Any]] = {
    "clz": lambda x, bits: bits - (x % (1 << bits)).bit_length(),
    "popc": lambda x, bits: (x % (1 << bits)).bit_count(),
    "ffs": lambda x, bits: (x & -x).bit_length(),
}


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_counts_of_bits(name: str, kind: Any) -> None:
    x = integers(kind)
    want = [BITS[name](int(value), np.iinfo(kind).bits) for value in x]
    np.testing.assert_array_equal(run(name, x, out=np.int32), want)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_brev(kind: Any) -> None:
    x, bits = integers(kind), np.iinfo(kind).bits
    want = [int(f"{int(value) % (1 << bits):0{bits}b}"[::-1], 2) for value in x]
    np.testing.assert_array_equal(
        run("brev", x, out=kind).astype(f"u{bits // 8}"), np.array(want, dtype=f"u{bits // 8}")
    )


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64])
def test_mulhi(kind: Any) -> None:
    x, y = integers(kind), integers(kind, 1)
    want = [(int(a) * int(b)) >> np.iinfo(kind).bits for a, b in zip(x, y, strict=True)]
    np.testing.assert_array_equal(run("mulhi", x, y, out=kind), np.array(want, dtype=kind))


@pytest.mark.parametrize("kind", [np.int32, np.uint32])
def test_arithmetic_of_words(kind: Any) -> None:
    x, y, z = integers(kind), integers(kind, 1), integers(np.uint32, 2)
    pairs = [(int(a), int(b)) for a, b in zip(x, y, strict=True)]
    np.testing.assert_array_equal(run("hadd", x, y, out=kind), np.array([(a + b) >> 1 for a, b in pairs], dtype=kind))
    np.testing.assert_array_equal(
        run("rhadd", x, y, out=kind), np.array([(a + b + 1) >> 1 for a, b in pairs], dtype=kind)
    )
    sad = [(abs(a - b) + int(c)) % (1 << 32) for (a, b), c in zip(pairs, z, strict=True)]
    np.testing.assert_array_equal(run("sad", x, y, z, out=kind).view(np.uint32), np.array(sad, dtype=np.uint32))

    def low(value: int) -> int:
        value %= 1 << 24
        return value - (1 << 24) if kind == np.int32 and value >> 23 else value

    want = [low(a) * low(b) % (1 << 32) for a, b in pairs]
    np.testing.assert_array_equal(run("mul24", x, y, out=kind).view(np.uint32), np.array(want, dtype=np.uint32))


def test_bytes_and_words() -> None:
    x, y, s = integers(np.int32), integers(np.int32, 1), integers(np.int32, 2) & 0x7777
    both = [a.tobytes() + b.tobytes() for a, b in zip(x, y, strict=True)]
    want = [bytes(word[(int(c) >> (4 * k)) & 7] for k in range(4)) for word, c in zip(both, s, strict=True)]
    np.testing.assert_array_equal(run("byte_perm", x, y, s, out=np.int32), np.frombuffer(b"".join(want), np.int32))
    d = reals(np.float64)
    words = d.view(np.int32).reshape(-1, 2)
    np.testing.assert_array_equal(run("double2loint", d, out=np.int32), words[:, 0])
    np.testing.assert_array_equal(run("double2hiint", d, out=np.int32), words[:, 1])
    made = run("hiloint2double", words[:, 1].copy(), words[:, 0].copy(), out=np.float64)
    np.testing.assert_array_equal(made.view(np.int64), d.view(np.int64))


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        ("int_as_float", np.int32, np.float32),
        ("uint_as_float", np.uint32, np.float32),
        ("float_as_int", np.float32, np.int32),
        ("float_as_uint", np.float32, np.int32),
        ("longlong_as_double", np.int64, np.float64),
        ("double_as_longlong", np.float64, np.int64),
    ],
)
def test_casts(name: str, source: Any, target: Any) -> None:
    x = reals(source) if np.issubdtype(source, np.floating) else integers(source)
    np.testing.assert_array_equal(run(name, x, out=target).tobytes(), x.tobytes())


def below(value: Any, kind: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.nextafter(value, kind(-np.inf))


def above(value: Any, kind: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.nextafter(value, kind(np.inf))


def rounded_to(got: Any, exact: Callable[[Fraction], int], mode: str, kind: Any) -> bool:
    """Whether `got` is a number rounded as `mode` says; `exact(f)` is the sign of the number less f."""
    if not np.isfinite(got):
        edge = Fraction(float(np.finfo(kind).max))
        away = exact(edge) > 0 if got > 0 else exact(-edge) < 0
        return bool(away) and mode in ({"up", "nearest"} if got > 0 else {"down", "nearest"})
    side = exact(Fraction(float(got)))
    if side == 0:
        return True
    if mode == "zero":
        mode = "down" if exact(Fraction(0)) > 0 else "up"
    if mode == "nearest":
        next_one = above(got, kind) if side > 0 else below(got, kind)
        if not np.isfinite(next_one):
            return True
        middle = (Fraction(float(got)) + Fraction(float(next_one))) / 2
        there = exact(middle)
        return there == 0 or there != side
    next_one = above(got, kind) if mode == "down" else below(got, kind)
    reaches = not np.isfinite(next_one) or exact(Fraction(float(next_one))) * side < 0
    return side == (1 if mode == "down" else -1) and reaches


def sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


EXACT: dict[str, Callable[..., Callable[[Fraction], int]]] = {
    "add": lambda a, b: lambda f: sign(a + b - f),
    "sub": lambda a, b: lambda f: sign(a - b - f),
    "mul": lambda a, b: lambda f: sign(a * b - f),
    "div": lambda a, b: lambda f: sign(a / b - f),
    "fma": lambda a, b, c: lambda f: sign(a * b + c - f),
    "rcp": lambda a: lambda f: sign(1 / a - f),
    "sqrt": lambda a: lambda f: 1 if f < 0 else sign(a - f * f),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EXACT)
def test_rounded_arithmetic(name: str, mode: str, kind: Any) -> None:
    count = {"fma": 3, "rcp": 1, "sqrt": 1}.get(name, 2)
    size = 120.0 if kind == np.float32 else 900.0
    inputs = [reals(kind, seed, size=size if seed else 20.0) for seed in range(count)]
    if name == "sqrt":
        inputs = [np.abs(inputs[0])]
    with np.errstate(all="ignore"):
        usable = np.all([np.isfinite(x) & (x != 0) for x in inputs], axis=0)
    got = run(f"{name}_{mode}", *inputs, out=kind)
    for at in np.flatnonzero(usable):
        exact = EXACT[name](*(Fraction(float(x[at])) for x in inputs))
        assert rounded_to(got[at], exact, MODES[mode], kind), (name, mode, [x[at] for x in inputs], got[at])


@pytest.mark.parametrize("mode", MODES)
def test_double2float(mode: str) -> None:
    x = reals(np.float64, size=160.0)
    got = run(f"double2float_{mode}", x, out=np.float32)
    for value, made in zip(x, got, strict=True):
        if np.isfinite(value):
            number = Fraction(float(value))
            assert rounded_to(made, lambda f, n=number: sign(n - f), MODES[mode], np.float32), (value, made)
        else:
            assert math.isnan(made) if math.isnan(value) else made == value


ROUND = {"rn": round, "rz": math.trunc, "rd": math.floor, "ru": math.ceil}
WIDTHS = {"int": np.int32, "uint": np.uint32, "ll": np.int64, "ull": np.uint64}


@pytest.mark.parametrize("mode", ROUND)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("real", ["float", "double"])
def test_reals_to_integers(real: str, width: str, mode: str) -> None:
    kind, integer = {"float": np.float32, "double": np.float64}[real], WIDTHS[width]
    info = np.iinfo(integer)
    x = reals(kind, size=70.0)
    nan = 0 if real == "float" and info.bits == 32 else 1 << (info.bits - 1)
    want = []
    for value in x:
        if math.isnan(value):
            want.append(nan)
        elif math.isinf(value):
            want.append(info.max if value > 0 else info.min)
        else:
            want.append(min(max(ROUND[mode](float(value)), info.min), info.max))
    signed = np.dtype(f"i{info.bits // 8}")
    got = run(f"{real}2{width}_{mode}", x, out=signed)
    np.testing.assert_array_equal(
        got, np.array([value % (1 << info.bits) for value in want], f"u{info.bits // 8}").view(signed)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("real", ["float", "double"])
def test_integers_to_reals(real: str, width: str, mode: str) -> None:
    kind = {"float": np.float32, "double": np.float64}[real]
    if not hasattr(libdevice, f"{width}2{real}_{mode}"):
        assert real == "double" and width in ("int", "uint") and mode != "rn"  # exact: CUDA has one name for it
        return
    x = integers(WIDTHS[width])
    for value, made in zip(x, run(f"{width}2{real}_{mode}", x, out=kind), strict=True):
        number = Fraction(int(value))
        assert rounded_to(made, lambda f, n=number: sign(n - f), MODES[mode], kind), (value, made)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_parts_of_numbers(kind: Any) -> None:
    x, y = reals(kind, size=100.0), reals(kind, 1)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(run("signbit", x, out=np.int32), np.signbit(x))
        after = np.nextafter(x, y)
        got = run("nextafter", x, y, out=kind)
        np.testing.assert_array_equal(got, after)
        usable = np.isfinite(x)
        exponents = np.frexp(x)[1] - 1
        want = np.where(x == 0, -(2**31), np.where(np.isnan(x), -(2**31), np.where(np.isinf(x), 2**31 - 1, exponents)))
        np.testing.assert_array_equal(run("ilogb", x, out=np.int32), want)
        logb = run("logb", x, out=kind)
        np.testing.assert_array_equal(logb[usable & (x != 0)], exponents[usable & (x != 0)])
        assert np.all(logb[x == 0] == -np.inf) and np.all(logb[np.isinf(x)] == np.inf)
        n = np.random.default_rng(3).integers(-1200, 1200, len(x)).astype(np.int32)
        n[: len(x) // 2] //= 8
        for name in ("ldexp", "scalbn"):
            np.testing.assert_array_equal(run(name, x, n, out=kind), np.ldexp(x, n))
        np.testing.assert_array_equal(run("isnan", x, out=np.int8).astype(bool), np.isnan(x))
        np.testing.assert_array_equal(run("isinf", x, out=np.int8).astype(bool), np.isinf(x))
        name = "finitef" if kind == np.float32 else "isfinited"
        np.testing.assert_array_equal(run(name, x, out=np.int8).astype(bool), np.isfinite(x))
        fdim = np.where(np.isnan(x) | np.isnan(y), np.nan, np.where(x > y, x - y, 0))
        np.testing.assert_array_equal(run("fdim", x, y, out=kind), fdim.astype(kind))
        half_away = np.trunc(x.astype(np.float64)) + np.where(np.abs(x - np.trunc(x)) >= 0.5, np.sign(x), 0)
        small = np.abs(np.nan_to_num(x)) < 2**52
        np.testing.assert_array_equal(
            run("llround", x, out=np.int64)[small & usable], half_away[small & usable].astype(np.int64)
        )
        np.testing.assert_array_equal(
            run("llrint", x, out=np.int64)[small & usable], np.rint(x[small & usable]).astype(np.int64)
        )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_remainder(kind: Any) -> None:
    x, y = reals(kind, size=100.0), reals(kind, 1, size=100.0)
    x[:60] = np.round(x[:60] / 4) / 2
    y[:60] = 1.0
    want = [
        math.remainder(a, b) if np.isfinite(a) and b != 0 and not math.isnan(b) else math.nan
        for a, b in zip(x.astype(float), y.astype(float), strict=True)
    ]
    np.testing.assert_array_equal(run("remainder", x, y, out=kind), np.array(want, kind))


def test_odd_ones() -> None:
    x, y = reals(np.float32), reals(np.float32, 1)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(run("saturatef", x, out=np.float32), np.nan_to_num(np.clip(x, 0, 1), nan=0.0))
        np.testing.assert_array_max_ulp(
            run("fast_dividef", x, y, out=np.float32)[np.isfinite(x / y)], (x / y)[np.isfinite(x / y)], 2
        )
        d = reals(np.float64)
        want = (1 / d).view(np.int64) & ~0xFFFFFFFF
        usable = np.isfinite(d) & (d != 0)
        np.testing.assert_array_equal(run("rcp64h", d, out=np.float64).view(np.int64)[usable], want[usable])
        i = integers(np.int64)
        np.testing.assert_array_equal(run("abs", i, out=np.int64), np.abs(i))


# name → its meaning, the range of its arguments, and units in the last place for fp64 (fp32: one and rounding)
SPECIAL: dict[str, tuple[Callable[..., Any], list[tuple[float, float]], float]] = {
    "sinpi": (lambda x: mp.sinpi(x), [(-9, 9)], 4),
    "cospi": (lambda x: mp.cospi(x), [(-9, 9)], 4),
    "exp10": (lambda x: mp.power(10, x), [(-37, 37)], 4),
    "fast_exp10f": (lambda x: mp.power(10, x), [(-37, 37)], 4),
    "rcbrt": (lambda x: mp.sign(x) / mp.cbrt(abs(x)), [(-90, 90)], 4),
    "rsqrt_rn": (lambda x: 1 / mp.sqrt(x), [(1e-3, 90)], 2),
    "hypot": (lambda x, y: mp.hypot(x, y), [(-9, 9), (-9, 9)], 3),
    "rhypot": (lambda x, y: 1 / mp.hypot(x, y), [(-9, 9), (-9, 9)], 4),
    "norm3d": (lambda *v: mp.sqrt(sum(x * x for x in v)), [(-9, 9)] * 3, 3),
    "rnorm3d": (lambda *v: 1 / mp.sqrt(sum(x * x for x in v)), [(-9, 9)] * 3, 4),
    "norm4d": (lambda *v: mp.sqrt(sum(x * x for x in v)), [(-9, 9)] * 4, 3),
    "rnorm4d": (lambda *v: 1 / mp.sqrt(sum(x * x for x in v)), [(-9, 9)] * 4, 4),
    "erfinv": (lambda x: mp.erfinv(x), [(-0.999, 0.999)], 16),
    "erfcinv": (lambda x: mp.erfinv(1 - x), [(1e-6, 1.999)], 16),
    "erfcx": (lambda x: mp.exp(x * x) * mp.erfc(x), [(-5, 40)], 16),
    "normcdf": (lambda x: mp.ncdf(x), [(-12, 5)], 64),
    "normcdfinv": (lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1), [(1e-6, 0.999)], 32),
    "lgamma": (lambda x: mp.log(abs(mp.gamma(x))), [(0.01, 60)], 32),
    "tgamma": (lambda x: mp.gamma(x), [(-4.9, 30)], 400),
}
BESSEL: dict[str, tuple[Callable[[Any], Any], tuple[float, float]]] = {
    "j0": (lambda x: mp.besselj(0, x), (-60, 60)),
    "j1": (lambda x: mp.besselj(1, x), (-60, 60)),
    "y0": (lambda x: mp.bessely(0, x), (0.1, 60)),
    "y1": (lambda x: mp.bessely(1, x), (0.1, 60)),
    "cyl_bessel_i0": (lambda x: mp.besseli(0, x), (-20, 20)),
    "cyl_bessel_i1": (lambda x: mp.besseli(1, x), (-20, 20)),
}


def true_values(function: Callable[..., Any], *inputs: Any) -> list[Any]:
    with mp.workdps(40):
        return [function(*(mp.mpf(float(value)) for value in values)) for values in zip(*inputs, strict=True)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions(name: str, kind: Any) -> None:
    function, ranges, ulps = SPECIAL[name]
    random = np.random.default_rng(5)
    inputs = [random.uniform(low, high, BLOCK).astype(kind) for low, high in ranges]
    got = run(name, *inputs, out=kind)
    bound = float(np.finfo(kind).eps) * (1.0 if kind == np.float32 else ulps)
    for at, want in enumerate(true_values(function, *inputs)):
        scale = max(abs(want), mp.mpf(1) if name == "lgamma" and kind == np.float64 else mp.mpf(0))
        assert abs(mp.mpf(float(got[at])) - want) <= bound * scale, ([x[at] for x in inputs], got[at], want)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", BESSEL)
def test_bessel_functions(name: str, kind: Any) -> None:
    function, (low, high) = BESSEL[name]
    x = np.random.default_rng(6).uniform(low, high, BLOCK).astype(kind)
    got = run(name, x, out=kind)
    bound = float(np.finfo(kind).eps) * (1 if kind == np.float32 else 32)
    for value, made, want in zip(x, got, true_values(function, x), strict=True):
        size = max(abs(want), mp.mpf(1) / max(1, abs(float(value))) ** 0.5)
        assert abs(mp.mpf(float(made)) - want) <= bound * size, (value, made, want)


@pytest.mark.parametrize("name", ["jn", "yn"])
def test_bessel_functions_of_an_order(name: str) -> None:
    random = np.random.default_rng(7)
    n, x = random.integers(0, 12, BLOCK).astype(np.int32), random.uniform(0.5, 30, BLOCK)
    function = mp.besselj if name == "jn" else mp.bessely
    got = run(name, n, x, out=np.float64)
    with mp.workdps(40):
        for order, value, made in zip(n, x, got, strict=True):
            want = function(int(order), mp.mpf(float(value)))
            size = max(abs(want), mp.mpf(1) / max(1.0, value) ** 0.5 if value > order else mp.mpf(0))
            assert abs(mp.mpf(float(made)) - want) <= 1e-13 * size, (order, value, made, want)


@triton.jit
def mixed(a_ptr, out_ptr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    a = tl.load(a_ptr + at)
    tl.store(out_ptr + at, libdevice.hypot(a, 3.0) + libdevice.ldexp(a, 2) + libdevice.pow(a, 2.0))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_halves_and_python_numbers(kind: Any) -> None:
    a = torch.linspace(0.5, 8, 64).to(kind)
    out = torch.zeros_like(a)
    mixed[(1,)](a, out, BLOCK=64)
    x = a.double()
    torch.testing.assert_close(out, (torch.hypot(x, torch.full_like(x, 3)) + 4 * x + x * x).to(kind))


@triton.jit
def wrong(a_ptr, out_ptr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(out_ptr + at, libdevice.popc(tl.load(a_ptr + at)))


def test_wrong_types_are_named() -> None:
    with pytest.raises(triton.CompilationError) as caught:
        wrong[(1,)](torch.zeros(16), torch.zeros(16), BLOCK=16)
    assert "libdevice.popc takes (int32) or (int64), got (fp32)" in str(caught.value.__cause__)
