"""Element types of Triton programs, and the numbers their inputs are drawn from."""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["ARITHMETIC", "FLOATS", "INTEGERS", "KINDS", "POOL", "WHOLE", "Kind", "pool"]

POOL = 1 << 17  # elements drawn of every type and flavour
WHOLE = 8  # the largest magnitude of the flavour `whole`


@dataclass(frozen=True)
class Kind:
    """An element type: Triton's name of it in signatures and in `tl`, numpy's type, bits of precision (0: integer)."""

    name: str
    language: str
    numpy: Any
    precision: int = 0

    @property
    def bits(self) -> int:
        """Width in memory."""
        return int(np.dtype(self.numpy).itemsize) * 8

    @property
    def signed(self) -> bool:
        """Whether it is a signed integer."""
        return bool(np.dtype(self.numpy).kind == "i")

    @property
    def roundoff(self) -> float:
        """Half the distance from 1 to the next number."""
        return float(2.0**-self.precision)

    @property
    def tiny(self) -> float:
        """The smallest number above zero."""
        return float(ml_dtypes.finfo(self.numpy).smallest_subnormal)

    @property
    def most(self) -> float:
        """The largest finite number."""
        return float(ml_dtypes.finfo(self.numpy).max)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("i1", "int1", np.bool_), Kind("i8", "int8", np.int8), Kind("i16", "int16", np.int16),
        Kind("i32", "int32", np.int32), Kind("i64", "int64", np.int64), Kind("u8", "uint8", np.uint8),
        Kind("u16", "uint16", np.uint16), Kind("u32", "uint32", np.uint32), Kind("u64", "uint64", np.uint64),
        Kind("fp16", "float16", np.float16, 11), Kind("bf16", "bfloat16", ml_dtypes.bfloat16, 8),
        Kind("fp32", "float32", np.float32, 24), Kind("fp64", "float64", np.float64, 53),
        Kind("fp8e5", "float8e5", ml_dtypes.float8_e5m2, 3), Kind("fp8e4nv", "float8e4nv", ml_dtypes.float8_e4m3fn, 4),
    )
}  # fmt: skip
INTEGERS = ("i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
FLOATS = ("fp16", "bf16", "fp32", "fp64")
ARITHMETIC = INTEGERS + FLOATS


@functools.cache
def pool(name: str, flavour: str) -> np.ndarray[Any, Any]:
    """`POOL` numbers of a type, the same in every run.

    Flavours: `whole` (small integers), `wide` (all bit patterns of integers; floats of many magnitudes), `normal`
    (floats), `special` (floats with infinities, NaN, zeros and subnormal numbers among them).
    """
    kind = KINDS[name]
    draw = np.random.default_rng(zlib.crc32(f"{name} {flavour}".encode()))
    if flavour == "whole":
        low = 0 if name.startswith("u") else -WHOLE
        return draw.integers(low, WHOLE, POOL, endpoint=True).astype(kind.numpy)
    if kind.precision == 0:
        info = np.iinfo(kind.numpy)
        made = draw.integers(info.min, info.max, POOL, kind.numpy, endpoint=True)
        extremes = np.array([info.min, info.max, 0, 1, info.max - 1], kind.numpy)
        made[::23] = draw.choice(extremes, len(made[::23]))
        return made
    plain = draw.standard_normal(POOL)
    if flavour == "wide":
        reach = 6 if kind.bits <= 16 and name != "bf16" else 30
        plain = plain * 2.0 ** draw.integers(-reach, reach, POOL)
    if flavour == "special":
        odd = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, kind.tiny, -3 * kind.tiny, kind.most])
        plain = np.where(draw.random(POOL) < 0.25, draw.choice(odd, POOL), plain)
    return plain.astype(kind.numpy)
