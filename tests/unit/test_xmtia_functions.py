"""Nonlinear functions of the SIMD engine: error in ulps against double precision, special values, table forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xmtia_support import run

INF, NAN = math.inf, math.nan


def exact(f: Callable[[float], float]) -> Callable[[Any], Any]:
    """A double precision reference from the math library, element by element."""

    def all_of(x: Any) -> Any:
        out = []
        for value in x.reshape(-1).tolist():
            try:
                out.append(f(value))
            except OverflowError:
                out.append(INF)
            except ValueError:
                out.append(NAN)
        return np.array(out).reshape(x.shape)

    return all_of


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exp": (exact(math.exp), -104.0, 89.0),
    "exp2": (exact(lambda x: 2.0**x), -150.0, 128.5),
    "log": (exact(math.log), 0.0, 3e38),
    "log2": (exact(math.log2), 0.0, 3e38),
    "rsqrt": (exact(lambda x: 1 / math.sqrt(x)), 0.0, 3e38),
    "tanh": (exact(math.tanh), -12.0, 12.0),
    "sigm": (exact(lambda x: 1 / (1 + math.exp(-x))), -104.0, 30.0),
    "erf": (exact(math.erf), -5.0, 5.0),
    "gelu": (exact(lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2))), -14.5, 20.0),
    "sin": (exact(math.sin), -3e38, 3e38),
    "cos": (exact(math.cos), -3e38, 3e38),
}


def inputs(low: float, high: float) -> Any:
    """Even, small and all-exponent samples of a range."""
    rng = np.random.default_rng(11)
    even = rng.uniform(max(low, -1e4), min(high, 1e4), 20000)
    small = rng.uniform(max(low, -2.0), 2.0, 20000)
    bits = rng.integers(0, 0x7F800000, 40000, np.uint32).view(np.float32).astype(np.float64)
    bits *= rng.choice([-1, 1], bits.shape)
    near_one = 1 + rng.standard_normal(5000) * 1e-3
    x = np.concatenate([even, small, bits[np.isfinite(bits)], near_one]).astype(np.float32)
    x = x[(x >= low) & (x <= high)]
    return x[: len(x) // 8 * 8].reshape(8, -1)


def ulps(value: Any, reference: Any) -> float:
    """Largest error in units of the last place of f32 at the reference."""
    magnitude = np.maximum(np.abs(reference), 2.0**-126)
    unit = 2.0 ** (np.floor(np.log2(magnitude)) - 23)
    same = (np.isinf(reference) | (np.abs(reference) > 3.4028235e38)) & np.isinf(value)
    with np.errstate(all="ignore"):
        error = np.where(same, 0.0, np.abs(value.astype(np.float64) - reference) / unit)
    return float(error.max())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_half_an_ulp_and_a_hundredth(name: str) -> None:
    reference, low, high = FUNCTIONS[name]
    x = inputs(low, high)
    x = x if low < 0 else np.abs(x) + np.float32(1e-45)
    d = np.zeros_like(x)
    assert run(f"se.{name}", d, x) == 0
    assert ulps(d, reference(x.astype(np.float64))) <= 0.51


def test_pow_within_half_an_ulp_and_a_hundredth() -> None:
    rng = np.random.default_rng(12)
    a = np.exp(rng.standard_normal((8, 4000)) * 3).astype(np.float32)
    b = (rng.standard_normal(a.shape) * 6).astype(np.float32)
    whole = rng.random(a.shape) < 0.3
    b[whole] = np.rint(b[whole])
    a[whole & (rng.random(a.shape) < 0.5)] *= -1
    d = np.zeros_like(a)
    assert run("se.pow", d, a, b) == 0
    with np.errstate(all="ignore"):
        assert ulps(d, np.power(a.astype(np.float64), b.astype(np.float64))) <= 0.51


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


@pytest.mark.parametrize(
    ("name", "low", "high", "bound"),
    [("exp", -20, 20, 2e-5), ("tanh", -10, 10, 4e-4), ("sigm", -20, 20, 2e-4), ("gelu", -10, 10, 5e-4),
     ("log", 0.01, 100, 1e-4)],
)  # fmt: skip
def test_table_forms_are_close(name: str, low: float, high: float, bound: float) -> None:
    x = np.random.default_rng(13).uniform(low, high, (4, 4000)).astype(np.float32)
    d, precise = np.zeros_like(x), np.zeros_like(x)
    assert run(f"se.lut.{name}", d, x) == 0 and run(f"se.{name}", precise, x) == 0
    error = np.abs(d - precise) / (np.abs(precise) if name == "exp" else 1)
    assert 0 < error.max() <= bound


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
