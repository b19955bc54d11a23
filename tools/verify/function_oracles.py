"""True values of the SIMD engine's nonlinear functions in double precision, from numpy and the C library.

Doubles have 29 bits more than f32, and the libraries are within a few units of their last place, so what is compared
with these values is known to better than a millionth of an f32 ulp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LUT_BASES", "ORACLES", "within"]

Array = Any


def each(f: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of the C library over an array."""
    vector = np.frompyfunc(f, 1, 1)
    return lambda x: np.asarray(vector(x), np.float64)


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def gelu(x: Array) -> Array:
    """x times the normal distribution function; at -inf its limit, which is zero from below."""
    y = 0.5 * x * each(math.erfc)(-x / math.sqrt(2.0))
    return np.where(x == -np.inf, -0.0, y)


def finite(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """NaN outside the finite numbers."""
    return lambda x: f(np.where(np.isfinite(x), x, 0.0)) + np.where(np.isfinite(x), -0.0, np.nan)


ORACLES: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "exp2": np.exp2, "log": np.log, "log2": np.log2, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1.0 / np.sqrt(x), "rcp": lambda x: 1.0 / x, "tanh": each(math.tanh), "sigm": sigmoid,
    "erf": each(math.erf), "gelu": gelu, "sin": finite(each(math.sin)), "cos": finite(each(math.cos)),
    "pow": np.power,
}  # fmt: skip
LUT_BASES = ("exp", "tanh", "sigm", "gelu", "log")


def within(y: Array, ulps: float) -> tuple[Array, Array]:
    """The least and greatest f32 that a function may give whose error is this much above half an ulp of f32."""
    with np.errstate(all="ignore"):
        size = np.abs(y)
        unit = 2.0 ** (np.maximum(np.floor(np.log2(np.where(size > 0, size, 1.0))), -126) - 23)
        slack = np.where(np.isfinite(y) & (y != 0), unit * ulps, 0.0)
        low, high = (np.copysign(np.maximum(size + s, 0.0), y).astype(np.float32) for s in (-slack, slack))
    return low, high
