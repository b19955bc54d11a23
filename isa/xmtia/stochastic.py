"""Stochastic rounding: f32 values become values of a narrower float, up with the probability of what is cut off.

The generator is a counter: element n (row by row in the destination) under seed s takes the word `scramble(s + n)`, a
32-bit mix with two multiplications. Of the word, as many high bits as the rounding cuts off are added below the last
place that stays, and the sum is cut. Below the type's normal range the cut-off part has 24 bits.
"""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Ptr, bits, copysign, f32, fabs, floor, fn, from_bits, i64, select, u32, u64, unroll
from mtia.isa.xmtia.codes import DType

__all__ = ["round_run", "scramble"]

# type -> mantissa bits, smallest normal exponent (bf16 has f32's, where the cut works on the bits alone)
FORMATS = {DType.F16: (10, -14), DType.BF16: (7, None), DType.E4M3: (3, -6), DType.E5M2: (2, -14)}


@fn
def scramble(x: u32) -> u32:
    """A bijection of 32-bit words that leaves no visible order among neighbours."""
    h = (x ^ x >> 16) * 0x7FEB352D
    h = (h ^ h >> 15) * 0x846CA68B
    return h ^ h >> 16


def _rounding(mantissa: int, exponent: int | None) -> Any:
    cut = 23 - mantissa
    kept = 0xFFFFFFFF << cut & 0xFFFFFFFF
    quantum = 2.0 ** ((exponent or 0) - mantissa)
    scale, least = 1 / quantum, 2.0 ** (exponent or 0)

    @fn
    def rounded(x: f32, word: u32) -> f32:
        magnitude = bits(x) & 0x7FFFFFFF
        value = from_bits(f32, (magnitude + (word >> (32 - cut))) & kept)
        if exponent is not None:
            places = fabs(x) * scale
            whole = floor(places)
            up = select((places - whole) * 16777216.0 >= f32(16777216 - (word >> 8)), f32(1.0), f32(0.0))
            value = select(fabs(x) < least, (whole + up) * quantum, value)
        return select(magnitude >= 0x7F800000, x, copysign(value, x))

    return rounded


def _run(rounded: Any) -> Any:
    @fn
    def run(x: Ptr[f32], seed: u32, n: i64) -> None:
        for i in range(n):
            x[i] = rounded(x[i], scramble(seed + u32(i)))

    return run


RUNS = tuple((int(dtype), _run(_rounding(*shape))) for dtype, shape in FORMATS.items())


@fn
def round_run(dtype: u32, x: Ptr[f32], seed: u64, n: i64) -> None:
    """Round a run in place to values of a type; wider types stay as they are. `seed` counts on with the elements."""
    for entry in unroll(RUNS):
        if dtype == entry[0]:
            entry[1](x, u32(seed), n)
