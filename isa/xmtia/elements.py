"""Elements in memory: runs of one row read into f32 or i64 working buffers and written back, for every type.

A run is `n` elements `stride` bytes apart. Reading is exact except for 32- and 64-bit integers read as f32 (rounded to
nearest even); u64 is read as i64. Writing f32 rounds to nearest even; a float that becomes an integer is truncated and
saturates, NaN gives 0; fp8 saturates to the largest finite value, infinities too; any NaN is written as the type's one
NaN, with the sign clear. Writing i64 to a narrower integer keeps the low bits. Subnormals are kept everywhere.
"""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import (
    Ptr,
    bits,
    boolean,
    f16,
    f32,
    fabs,
    fn,
    from_bits,
    i8,
    i16,
    i32,
    i64,
    select,
    u8,
    u16,
    u32,
    u64,
    unroll,
)  # fmt: skip
from mtia.isa.xmtia.codes import DType

__all__ = [
    "is_integer", "load_f32", "load_i32", "load_i64", "round_tf32", "size_of", "store_f32", "store_i64", "to_bf16",
    "to_e4m3", "to_e5m2",
]  # fmt: skip

NAN32 = 0x7FC00000
TWO_120 = 2.0**120
F32 = int(DType.F32)
F64 = int(DType.F64)


@fn
def from_e4m3(x: u8) -> f32:
    """Exact: the magnitude's bits, moved to f32's fields, are too small by 2**120."""
    magnitude = u32(x) & 127
    value = from_bits(f32, magnitude << 20) * TWO_120
    signed = from_bits(f32, bits(value) | (u32(x) >> 7) << 31)
    return select(magnitude == 127, from_bits(f32, u32(NAN32)), signed)


@fn
def from_e5m2(x: u8) -> f32:
    """Exact: e5m2 is the upper byte of f16."""
    return f32(from_bits(f16, u16(x) << 8))


@fn
def from_bf16(x: u16) -> f32:
    return from_bits(f32, u32(x) << 16)


@fn
def round_tf32(x: f32) -> f32:
    """Drop 13 bits of mantissa, to nearest even."""
    u = bits(x)
    rounded = (u + (0xFFF + (u >> 13 & 1))) & 0xFFFFE000
    return select(x != x, from_bits(f32, u32(NAN32)), from_bits(f32, rounded))


@fn
def to_f32(x: f32) -> f32:
    return select(x != x, from_bits(f32, u32(NAN32)), x)


@fn
def to_f16(x: f32) -> f16:
    return select(x != x, from_bits(f16, u16(0x7E00)), f16(x))


@fn
def to_bf16(x: f32) -> u16:
    u = bits(x)
    rounded = u16((u + (0x7FFF + (u >> 16 & 1))) >> 16)
    return select(x != x, u16(0x7FC0), rounded)


def _fp8(mantissa: int, bias: int, largest: float, nan: int) -> Any:
    """A conversion to an 8-bit float: normal numbers round in the bits, subnormal ones by adding a power of two."""
    shift = 23 - mantissa
    offset = (127 - bias) << mantissa
    smallest = 2.0 ** (1 - bias)
    exponent = 1 - bias - mantissa + 23  # one ulp of f32 at 2**exponent is the smallest subnormal
    magic, magic_bits = 2.0**exponent, (127 + exponent) << 23
    half = (1 << (shift - 1)) - 1

    @fn
    def convert(x: f32) -> u8:
        magnitude = fabs(x)
        clipped = select(magnitude > largest, f32(largest), magnitude)
        u = bits(clipped)
        normal = ((u + (half + (u >> shift & 1))) >> shift) - offset
        tiny = bits(clipped + magic) - magic_bits
        code = select(clipped < smallest, tiny, normal) | bits(x) >> 31 << 7
        return u8(select(x != x, u32(nan), code))

    return convert


to_e4m3 = _fp8(3, 7, 448.0, 0x7F)
to_e5m2 = _fp8(2, 15, 57344.0, 0x7F)


@fn
def same(x: f32) -> f32:
    return x


def _saturate(T: Any) -> Any:
    """f32 to an integer type: truncate, saturate, NaN gives 0."""
    low, high = float(T.low), 2.0 ** (T.width - T.signed)

    @fn
    def convert(x: f32) -> T:
        over = x >= high
        inside = select(over, f32(0.0), select(x > low, x, f32(0.0)))
        value = select(over, T(T.high), select(x <= low, T(T.low), T(inside)))
        return value

    return convert


def _as_f32(T: Any) -> Any:
    @fn
    def convert(x: T) -> f32:
        return f32(x)

    return convert


def _cast(A: Any, B: Any) -> Any:
    @fn
    def convert(x: A) -> B:
        return B(x)

    return convert


INTEGERS: dict[DType, Any] = {
    DType.I8: i8, DType.U8: u8, DType.I16: i16, DType.U16: u16,
    DType.I32: i32, DType.U32: u32, DType.I64: i64, DType.U64: u64,
}  # fmt: skip
# type code -> memory type, conversion to f32, conversion from f32
FLOATS: dict[DType, tuple[Any, Any, Any]] = {
    DType.F32: (f32, same, to_f32),
    DType.F16: (f16, _as_f32(f16), to_f16),
    DType.BF16: (u16, from_bf16, to_bf16),
    DType.TF32: (f32, round_tf32, round_tf32),
    DType.E4M3: (u8, from_e4m3, to_e4m3),
    DType.E5M2: (u8, from_e5m2, to_e5m2),
}
SIZES: tuple[tuple[int, int], ...] = tuple((int(t), t.bytes) for t in DType if t.bytes)


def _reader(M: Any, W: Any, convert: Any) -> Any:
    """A run of memory type M read into a buffer of working type W."""

    @fn
    def read(buffer: Ptr[W], p: Ptr[u8], stride: i64, n: i64) -> None:
        if stride == sizeof_(M):
            q = Ptr[M](p)
            for i in range(n):
                buffer[i] = convert(q[i])
        elif stride == 0:
            value = convert(Ptr[M](p)[0])
            for i in range(n):
                buffer[i] = value
        else:
            for i in range(n):
                buffer[i] = convert(Ptr[M](p + i * stride)[0])

    return read


def _writer(M: Any, W: Any, convert: Any) -> Any:
    """A buffer of working type W written as a run of memory type M."""

    @fn
    def write(buffer: Ptr[W], p: Ptr[u8], stride: i64, n: i64) -> None:
        if stride == sizeof_(M):
            q = Ptr[M](p)
            for i in range(n):
                q[i] = convert(buffer[i])
        else:
            for i in range(n):
                Ptr[M](p + i * stride)[0] = convert(buffer[i])

    return write


def sizeof_(T: Any) -> int:
    """Bytes of a type, at compile time (the language's own `sizeof` is a u64)."""
    return int(T.size)


def _through_f32(M: Any, convert: Any) -> Any:
    """i64 to a float type by way of f32."""

    @fn
    def to(x: i64) -> M:
        return convert(f32(x))

    return to


def _choose(W: Any, table: tuple[tuple[int, Any], ...]) -> Any:
    """The reader or writer of a type code; an unknown code does nothing (the command has been refused before)."""

    @fn
    def run(dtype: u32, buffer: Ptr[W], p: Ptr[u8], stride: i64, n: i64) -> None:
        for entry in unroll(table):
            if dtype == entry[0]:
                entry[1](buffer, p, stride, n)

    return run


load_f32 = _choose(
    f32,
    tuple((int(t), _reader(m, f32, get)) for t, (m, get, _) in FLOATS.items())
    + tuple((int(t), _reader(m, f32, _as_f32(m))) for t, m in (INTEGERS | {DType.U64: i64}).items()),
)
load_i64 = _choose(i64, tuple((int(t), _reader(m, i64, _cast(m, i64))) for t, m in INTEGERS.items()))
load_i32 = _choose(
    i32, tuple((int(t), _reader(INTEGERS[t], i32, _cast(INTEGERS[t], i32))) for t in (DType.I8, DType.U8))
)
store_f32 = _choose(
    f32,
    tuple((int(t), _writer(m, f32, put)) for t, (m, _, put) in FLOATS.items())
    + tuple((int(t), _writer(m, f32, _saturate(m))) for t, m in INTEGERS.items()),
)
store_i64 = _choose(
    i64,
    tuple((int(t), _writer(m, i64, _cast(i64, m))) for t, m in INTEGERS.items())
    + tuple((int(t), _writer(m, i64, _through_f32(m, put))) for t, (m, _, put) in FLOATS.items()),
)


@fn
def is_integer(dtype: u32) -> boolean:
    return dtype - u32(int(DType.I8)) < 8


@fn
def size_of(dtype: u32) -> u32:
    """Bytes of an element; 0 for a type that has no single element or no meaning."""
    size = u32(0)
    for entry in unroll(SIZES):
        if dtype == entry[0]:
            size = entry[1]
    return size
