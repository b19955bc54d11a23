"""Print the coefficient tables of `runtime/triton_backend/libdevice_bessel.py`; needs mpmath.

Each is the Chebyshev interpolation, in 40 digits, of what its name says, cut where coefficients fall below 1e-17 of the
largest. `python -m mtia.tools.bessel_tables` gives the tables' source text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

__all__ = ["TABLES", "coefficients", "main"]

EDGE = 8  # below: series in x; above: amplitude and phase
POINTS = 64


def _amplitude(order: int, x: Any) -> Any:
    """P + iQ of Hankel's form of the Bessel functions."""
    phase = x - mp.pi * (2 * order + 1) / 4
    return mp.hankel1(order, x) * mp.sqrt(mp.pi * x / 2) * mp.exp(-1j * phase)


def _low(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of x with 0 < x < EDGE as one of t = x² / 32 - 1."""
    return lambda t: function(mp.sqrt((t + 1) * EDGE * EDGE / 2))


def _high(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of x > EDGE as one of t = 2 (EDGE / x)² - 1."""
    return lambda t: function(EDGE / mp.sqrt((t + 1) / 2))


TABLES: dict[str, Callable[[Any], Any]] = {
    "J0": _low(lambda x: mp.besselj(0, x)),
    "J1_BY_X": _low(lambda x: mp.besselj(1, x) / x),
    "Y0_REST": _low(lambda x: mp.bessely(0, x) - 2 / mp.pi * mp.log(x / 2) * mp.besselj(0, x)),
    "Y1_REST_BY_X": _low(lambda x: (mp.bessely(1, x) - 2 / mp.pi * (mp.log(x / 2) * mp.besselj(1, x) - 1 / x)) / x),
    "P0": _high(lambda x: mp.re(_amplitude(0, x))),
    "XQ0": _high(lambda x: x * mp.im(_amplitude(0, x))),
    "P1": _high(lambda x: mp.re(_amplitude(1, x))),
    "XQ1": _high(lambda x: x * mp.im(_amplitude(1, x))),
    "I0_LOW": lambda t: mp.exp(-4 * (t + 1)) * mp.besseli(0, 4 * (t + 1)),
    "I1_LOW_BY_X": lambda t: mp.exp(-4 * (t + 1)) * mp.besseli(1, 4 * (t + 1)) / (4 * (t + 1)),
    "I0_HIGH": lambda t: mp.sqrt(16 / (t + 1)) * mp.exp(-16 / (t + 1)) * mp.besseli(0, 16 / (t + 1)),
    "I1_HIGH": lambda t: mp.sqrt(16 / (t + 1)) * mp.exp(-16 / (t + 1)) * mp.besseli(1, 16 / (t + 1)),
}


def coefficients(function: Callable[[Any], Any]) -> list[float]:
    """The Chebyshev coefficients of a function on [-1, 1], the first halved."""
    nodes = [mp.cos(mp.pi * (k + mp.mpf(1) / 2) / POINTS) for k in range(POINTS)]
    values = [function(node) for node in nodes]
    found = [
        2 * mp.fsum(v * mp.cos(mp.pi * j * (k + mp.mpf(1) / 2) / POINTS) for k, v in enumerate(values)) / POINTS
        for j in range(POINTS)
    ]
    found[0] /= 2
    least = max(abs(value) for value in found) * mp.mpf(10) ** -17
    last = max(j for j, value in enumerate(found) if abs(value) > least)
    return [float(value) for value in found[: last + 1]]


def main() -> None:
    """Print all tables."""
    mp.mp.dps = 40
    for name, function in TABLES.items():
        values = coefficients(function)
        lines = [", ".join(map(repr, values[at : at + 4])) for at in range(0, len(values), 4)]
        print(f"_{name} = tl.constexpr((\n    " + ",\n    ".join(lines) + ",\n))  # fmt: skip")


if __name__ == "__main__":
    main()
