"""Values of Xmtia's element types in plain numpy: random ones with every edge, and the conversions of the manual.

Nothing here comes from the machine: numpy and ml_dtypes know the formats and round to nearest even.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import DType

__all__ = [
    "FLOATS", "INTEGERS", "NAN_BITS", "Array", "as_f32", "as_i64", "canonical", "fma32", "from_f32", "from_i64",
    "random_elements", "stochastic", "width_of",
]  # fmt: skip

Array = Any  # numpy arrays of ml_dtypes have no static type

NUMPY: dict[DType, Any] = {
    DType.F32: np.float32, DType.F16: np.float16, DType.BF16: ml_dtypes.bfloat16, DType.TF32: np.float32,
    DType.F64: np.float64, DType.E4M3: ml_dtypes.float8_e4m3fn, DType.E5M2: ml_dtypes.float8_e5m2,
    DType.I8: np.int8, DType.U8: np.uint8, DType.I16: np.int16, DType.U16: np.uint16, DType.I32: np.int32,
    DType.U32: np.uint32, DType.I64: np.int64, DType.U64: np.uint64,
}  # fmt: skip
FLOATS = (DType.F32, DType.F16, DType.BF16, DType.TF32, DType.E4M3, DType.E5M2)
INTEGERS = (
    DType.I8, DType.U8, DType.I16, DType.U16, DType.I32, DType.U32, DType.I64, DType.U64,
)  # fmt: skip
# The bits of the NaN that a unit writes (the manual, "Element types").
NAN_BITS = {
    DType.F32: 0x7FC00000, DType.F16: 0x7E00, DType.BF16: 0x7FC0, DType.TF32: 0x7FC00000, DType.E4M3: 0x7F,
    DType.E5M2: 0x7F,
}  # fmt: skip
LARGEST = {DType.E4M3: 448.0, DType.E5M2: 57344.0}
# Bits of mantissa and exponent of the smallest normal number, for stochastic rounding.
SHAPES = {DType.F16: (10, -14), DType.BF16: (7, -126), DType.E4M3: (3, -6), DType.E5M2: (2, -14)}


def width_of(dtype: DType) -> Any:
    """The unsigned numpy type with as many bits as an element."""
    return np.dtype(f"u{dtype.bytes}")


def quiet() -> Any:
    """Overflow and NaN are expected here."""
    return np.errstate(all="ignore")


def values_of(raw: Array, dtype: DType) -> Array:
    """Bits as numbers of the type (tf32 as f32)."""
    return np.ascontiguousarray(raw).view(NUMPY[dtype])


def canonical(values: Array, dtype: DType) -> Array:
    """Numbers of a type as bits, NaNs as the type's one NaN."""
    raw = np.ascontiguousarray(values).view(width_of(dtype))
    return np.where(np.isnan(values.astype(np.float64)), width_of(dtype).type(NAN_BITS[dtype]), raw)


def tf32(x: Array) -> Array:
    """f32 rounded to 10 bits of mantissa, nearest even: an f32 of which the low 13 bits are dropped."""
    raw = np.ascontiguousarray(x).view(np.uint32).astype(np.uint64)
    low = raw & 0x1FFF
    up = (low > 0x1000) | ((low == 0x1000) & (raw >> 13 & 1 == 1))
    return np.where(np.isnan(x), x, ((raw >> 13) + up << 13).astype(np.uint32).view(np.float32))


def as_f32(raw: Array, dtype: DType) -> Array:
    """Bits of a type read as f32; a u64 is read as i64."""
    if dtype is DType.U64:
        dtype = DType.I64
    with quiet():
        x = values_of(raw, dtype).astype(np.float32)
    return tf32(x) if dtype is DType.TF32 else x


def as_i64(raw: Array, dtype: DType) -> Array:
    """Bits of an integer type read as i64, a u64 too."""
    return values_of(raw, dtype).astype(np.int64)


def from_f32(x: Array, dtype: DType) -> Array:
    """f32 as bits of a type: nearest even, fp8 saturates, integers truncate and saturate, NaN gives 0 or the NaN."""
    with quiet():
        if dtype in INTEGERS:
            return to_integer(x, dtype)
        if dtype is DType.TF32:
            return canonical(tf32(x), dtype)
        if dtype in LARGEST:
            x = np.where(np.isnan(x), x, np.clip(x, -LARGEST[dtype], LARGEST[dtype])).astype(np.float32)
        return canonical(x.astype(NUMPY[dtype]), dtype)


def to_integer(x: Array, dtype: DType) -> Array:
    """f32 truncated and saturated; the limits are compared exactly."""
    info = np.iinfo(NUMPY[dtype])
    wide = np.trunc(x.astype(np.float64))
    high, low = wide > float(info.max), wide < float(info.min)
    if dtype in (DType.I64, DType.U64):
        high = wide >= float(info.max)  # 2**63 - 1 and 2**64 - 1 are no doubles
    inside = np.where(high | low | np.isnan(wide), 0.0, wide)
    whole = inside.astype(NUMPY[dtype])
    whole = np.where(high, NUMPY[dtype](info.max), np.where(low, NUMPY[dtype](info.min), whole))
    return whole.astype(NUMPY[dtype]).view(width_of(dtype))


def from_i64(x: Array, dtype: DType) -> Array:
    """i64 as bits of a type: integers keep the low bits, floats go by way of f32."""
    if dtype in INTEGERS:
        return x.astype(np.uint64).astype(width_of(dtype))
    return from_f32(x.astype(np.float32), dtype)


def mix(x: Array) -> Array:
    """The generator of stochastic rounding, as the manual states it."""
    x = x.astype(np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def stochastic(x: Array, dtype: DType, seed: int) -> Array:
    """f32 as bits of a narrow float: up when the word's high bits and what is cut off reach one place."""
    if dtype not in SHAPES:
        return from_f32(x, dtype)
    mantissa, least = SHAPES[dtype]
    word = mix((np.arange(x.size, dtype=np.uint64) + np.uint64(seed & 0xFFFFFFFF)) & np.uint64(0xFFFFFFFF))
    word = word.reshape(x.shape).astype(np.float64)
    with quiet():
        size = np.abs(x.astype(np.float64))
        exponent = np.frexp(size)[1] - 1
        normal = size >= 2.0**least
        places = size / 2.0 ** (np.where(normal, exponent, least) - mantissa)
        cut = np.where(normal | (dtype is DType.BF16), 23 - mantissa, 24)
        chance = np.floor(word / 2.0 ** (32 - cut)) / 2.0**cut
        up = places - np.floor(places) + chance >= 1
        rounded = (np.floor(places) + up) * 2.0 ** (np.where(normal, exponent, least) - mantissa)
        rounded = np.where(np.isfinite(x), np.copysign(rounded, x), x)
    return from_f32(rounded.astype(np.float32), dtype)


def fma32(a: Array, b: Array, c: Array) -> Array:
    """a · b + c in f32 with one rounding: the exact product plus c, rounded to odd in double, then to f32."""
    with quiet():
        product = a.astype(np.float64) * b.astype(np.float64)  # exact: 24 + 24 bits
        addend = c.astype(np.float64)
        total = product + addend
        part = total - product
        error = (product - (total - part)) + (addend - part)
        raw = total.view(np.int64)
        inexact = np.isfinite(total) & (error != 0)
        back = inexact & (np.signbit(error) != np.signbit(total)) & (raw & 1 == 0)
        odd = np.where(inexact, raw - back | 1, raw)
        return odd.view(np.float64).astype(np.float32)


EDGES = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 2.0**-126, -(2.0**-126),
     2.0**-149 * 5, 6e-8, 2.0**-14, 2.0**-9, 2.0**-16, 3.4028235e38, -3.4028235e38, 65504.0, 65519.0, 65520.0, 448.0,
     464.0, 480.0, -449.0, 57344.0, 61440.0, 127.0, 127.5, 128.0, -128.0, -129.0, 255.0, 256.0, 32767.0, 32768.0,
     65535.0, 65536.0, 2147483520.0, 2147483648.0, -2147483648.0, 4294967296.0, 9.223372e18, -9.223372e18, 1.8446744e19,
     88.0, -104.0, 1 + 2.0**-23, 1 + 2.0**-11, 1 + 2.0**-8, 2.0**24, 2.0**24 + 2, 8388607.5, 4194303.75],
    np.float32,
)  # fmt: skip


def random_elements(rng: np.random.Generator, dtype: DType, shape: tuple[int, ...], mode: int | None = None) -> Array:
    """Bits of random elements: any pattern (mode 0), edges (1), numbers near one (2), or of each some (None)."""
    width = width_of(dtype)
    patterns = rng.integers(0, 1 << 8 * dtype.bytes, shape, np.uint64, endpoint=False) if dtype.bytes < 8 else (
        rng.integers(0, (1 << 64) - 1, shape, np.uint64, endpoint=True)
    )  # fmt: skip
    kind = rng.integers(0, 3, shape) if mode is None else np.full(shape, mode)
    with quiet():
        if dtype in INTEGERS:
            info = np.iinfo(NUMPY[dtype])
            few = [0, 1, 2, 3, info.max, info.max - 1, info.min, max(-1, info.min), max(info.min, -2), info.min + 1]
            edges = rng.choice(np.array(few, NUMPY[dtype]), shape).view(width)
            plain = rng.integers(max(-9, info.min), 10, shape).astype(NUMPY[dtype]).view(width)
        else:
            edges = rng.choice(EDGES, shape).astype(NUMPY[dtype]).view(width)
            plain = (rng.standard_normal(shape) * 2.0 ** rng.integers(-3, 4)).astype(NUMPY[dtype]).view(width)
    return np.where(kind == 0, patterns.astype(width), np.where(kind == 1, edges, plain))


def has_type(chip: Chip, dtype: DType) -> bool:
    """Whether the SIMD engine of a chip has a type."""
    return dtype in INTEGERS or (dtype in FLOATS and (bool(chip.se.fp8) or dtype not in LARGEST))
