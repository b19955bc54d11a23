"""Exact scalar arithmetic for the Python emitter: IEEE rounding, fused multiply-add and bit operations.

A value of f16, bf16 or f32 is a Python float that the type can hold. Sums, products, quotients and square roots are
computed in double and rounded once more, which is exact because 53 >= 2p + 2 for p = 24, 11 and 8.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import struct as _struct
from collections.abc import Callable
from typing import Any

__all__ = ["FROM_BITS", "INTRINSICS", "PACK16", "ROUND", "TO_BITS", "UNPACK16", "fdiv", "from_int", "to_int"]

_libm = ctypes.CDLL(ctypes.util.find_library("m"))
_fma64 = _libm.fma
_fma64.argtypes, _fma64.restype = [ctypes.c_double] * 3, ctypes.c_double
_fma32 = _libm.fmaf
_fma32.argtypes, _fma32.restype = [ctypes.c_float] * 3, ctypes.c_float

_c_float = ctypes.c_float
_pack, _unpack = _struct.pack, _struct.unpack

_NAN_BITS = {"f16": 0x7E00, "bf16": 0x7FC0, "f32": 0x7FC00000, "f64": 0x7FF8000000000000}


def _f32_bits(x: float) -> int:
    bits: int = _unpack("<I", _pack("<f", x))[0]
    return bits


def _f32_from(bits: int) -> float:
    value: float = _unpack("<f", _pack("<I", bits))[0]
    return value


def round_f32(x: float) -> float:
    """Round a double to f32, to nearest even."""
    return _c_float(x).value


def _pack_f16(x: float) -> int:
    if x != x:
        return _NAN_BITS["f16"]
    try:
        bits: int = _unpack("<H", _pack("<e", x))[0]
    except OverflowError:
        bits = 0x7C00 if x > 0 else 0xFC00
    return bits


def _unpack_f16(bits: int) -> float:
    value: float = _unpack("<e", _pack("<H", bits))[0]
    return value


def _odd_f32_bits(x: float) -> int:
    """The bits of a finite or infinite double rounded to f32 to odd: a later rounding to fewer bits is then exact."""
    nearest = _c_float(x).value
    bits = 0x7F7FFFFF | (x < 0) << 31 if math.isinf(nearest) and not math.isinf(x) else _f32_bits(nearest)
    if nearest != x:
        if abs(nearest) > abs(x) and not math.isinf(nearest):
            bits -= 1
        bits |= 1
    return bits


def _pack_bf16(x: float) -> int:
    if x != x:
        return _NAN_BITS["bf16"]
    bits = _odd_f32_bits(x)
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def _unpack_bf16(bits: int) -> float:
    return _f32_from(bits << 16)


PACK16: dict[str, Callable[[float], int]] = {"f16": _pack_f16, "bf16": _pack_bf16}
UNPACK16: dict[str, Callable[[int], float]] = {"f16": _unpack_f16, "bf16": _unpack_bf16}

ROUND: dict[str, Callable[[float], float]] = {
    "f16": lambda x: _unpack_f16(_pack_f16(x)),
    "bf16": lambda x: _unpack_bf16(_pack_bf16(x)),
    "f32": round_f32,
    "f64": float,
}


def _bits_f32(x: float) -> int:
    return _NAN_BITS["f32"] if x != x else _f32_bits(x)


def _bits_f64(x: float) -> int:
    bits: int = _NAN_BITS["f64"] if x != x else _unpack("<Q", _pack("<d", x))[0]
    return bits


def _from_f64(bits: int) -> float:
    value: float = _unpack("<d", _pack("<Q", bits))[0]
    return value


TO_BITS: dict[str, Callable[[float], int]] = {**PACK16, "f32": _bits_f32, "f64": _bits_f64}
FROM_BITS: dict[str, Callable[[int], float]] = {**UNPACK16, "f32": _f32_from, "f64": _from_f64}


def fdiv(a: float, b: float) -> float:
    """IEEE quotient in double."""
    if b != 0:
        return a / b
    if a == 0 or a != a:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def from_int(name: str, x: int) -> float:
    """An integer rounded once to the named float type."""
    magnitude = abs(x)
    if magnitude >> 53 and name != "f64":
        # Converting to double would round first: fold the low bits into a sticky bit below every result's last bit.
        shift = magnitude.bit_length() - 53
        magnitude = (magnitude >> shift | (magnitude & ((1 << shift) - 1) != 0)) << shift
        x = -magnitude if x < 0 else magnitude
    return ROUND[name](float(x))


def to_int(x: float, low: int, high: int) -> int:
    """A float truncated to an integer that must be in range."""
    result = int(x)
    if not low <= result <= high:
        raise OverflowError(f"{x} is outside [{low}, {high}]")
    return result


def _sqrt(x: float) -> float:
    return math.nan if x < 0 else math.sqrt(x)


def _keep_special(function: Callable[[float], int]) -> Callable[[float], float]:
    def rounded(x: float) -> float:
        if not math.isfinite(x):
            return x
        return math.copysign(float(function(x)), x)

    return rounded


def _copysign(a: float, b: float) -> float:
    return math.fabs(a) if b != b else math.copysign(a, b)


def _popcount(x: int, width: int) -> int:
    return (x & ((1 << width) - 1)).bit_count()


def _clz(x: int, width: int) -> int:
    return width - (x & ((1 << width) - 1)).bit_length()


def _ctz(x: int, width: int) -> int:
    x &= (1 << width) - 1
    return (x & -x).bit_length() - 1 if x else width


def _bswap(x: int, width: int) -> int:
    return int.from_bytes((x & ((1 << width) - 1)).to_bytes(width // 8, "little"), "big")


def _sdiv(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def _srem(a: int, b: int) -> int:
    remainder = abs(a) % abs(b)
    return -remainder if a < 0 else remainder


INTRINSICS: dict[str, Any] = {
    "fma64": _fma64, "fma32": _fma32, "sqrt": _sqrt, "fabs": math.fabs, "copysign": _copysign,
    "floor": _keep_special(math.floor), "ceil": _keep_special(math.ceil),
    "trunc": _keep_special(math.trunc), "rint": _keep_special(round),
    "popcount": _popcount, "clz": _clz, "ctz": _ctz, "bswap": _bswap, "sdiv": _sdiv, "srem": _srem,
}  # fmt: skip
