"""The plain functions of the SIMD engine on f32 and on i64, one statement each (nonlinear ones are in `functions`)."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import (
    bits,
    boolean,
    ceil,
    copysign,
    f32,
    fabs,
    floor,
    fma,
    fn,
    from_bits,
    i64,
    rint,
    sdiv,
    select,
)  # fmt: skip

__all__ = [
    "abs_f", "abs_i", "add_f", "add_i", "and_i", "ceil_f", "clamp_f", "clamp_i", "copysign_f", "dequant_f", "div_f",
    "div_i", "floor_f", "fma_f", "fma_i", "max_f", "max_i", "maxn_f", "min_f", "min_i", "minn_f", "mul_f", "mul_i",
    "neg_f", "neg_i", "not_f", "not_i", "or_i", "predicate", "quant_f", "relu_f", "relu_i", "rint_f", "same_f",
    "same_i", "scale_f", "sel_f", "sel_i", "sqr_f", "sqr_i", "sub_f", "sub_i", "xor_i",
]  # fmt: skip


@fn
def same_f(a: f32) -> f32:
    return a


@fn
def same_i(a: i64) -> i64:
    return a


@fn
def neg_f(a: f32) -> f32:
    return from_bits(f32, bits(a) ^ 0x80000000)


@fn
def neg_i(a: i64) -> i64:
    return -a


@fn
def abs_f(a: f32) -> f32:
    return fabs(a)


@fn
def abs_i(a: i64) -> i64:
    return select(a < 0, -a, a)


@fn
def floor_f(a: f32) -> f32:
    return floor(a)


@fn
def ceil_f(a: f32) -> f32:
    return ceil(a)


@fn
def rint_f(a: f32) -> f32:
    return rint(a)


@fn
def relu_f(a: f32) -> f32:
    return select(a <= 0.0, f32(0.0), a)


@fn
def relu_i(a: i64) -> i64:
    return select(a < 0, i64(0), a)


@fn
def sqr_f(a: f32) -> f32:
    return a * a


@fn
def sqr_i(a: i64) -> i64:
    return a * a


@fn
def not_f(a: f32) -> f32:
    return select(a == 0.0, f32(1.0), f32(0.0))


@fn
def not_i(a: i64) -> i64:
    return select(a == 0, i64(1), i64(0))


@fn
def add_f(a: f32, b: f32) -> f32:
    return a + b


@fn
def add_i(a: i64, b: i64) -> i64:
    return a + b


@fn
def sub_f(a: f32, b: f32) -> f32:
    return a - b


@fn
def sub_i(a: i64, b: i64) -> i64:
    return a - b


@fn
def mul_f(a: f32, b: f32) -> f32:
    return a * b


@fn
def mul_i(a: i64, b: i64) -> i64:
    return a * b


@fn
def div_f(a: f32, b: f32) -> f32:
    return a / b


@fn
def div_i(a: i64, b: i64) -> i64:
    if b == 0:
        return i64(-1)
    if b == -1:
        return -a
    return sdiv(a, b)


@fn
def larger(a: f32, b: f32) -> f32:
    """Of two numbers; equal ones differ at most in the sign of zero."""
    return select(a > b, a, select(b > a, b, from_bits(f32, bits(a) & bits(b))))


@fn
def smaller(a: f32, b: f32) -> f32:
    """Of two numbers; equal ones differ at most in the sign of zero."""
    return select(a < b, a, select(b < a, b, from_bits(f32, bits(a) | bits(b))))


@fn
def max_f(a: f32, b: f32) -> f32:
    return select(a != a, a, select(b != b, b, larger(a, b)))


@fn
def min_f(a: f32, b: f32) -> f32:
    return select(a != a, a, select(b != b, b, smaller(a, b)))


@fn
def maxn_f(a: f32, b: f32) -> f32:
    return select(a != a, b, select(b != b, a, larger(a, b)))


@fn
def minn_f(a: f32, b: f32) -> f32:
    return select(a != a, b, select(b != b, a, smaller(a, b)))


@fn
def max_i(a: i64, b: i64) -> i64:
    return select(a > b, a, b)


@fn
def min_i(a: i64, b: i64) -> i64:
    return select(a < b, a, b)


@fn
def and_i(a: i64, b: i64) -> i64:
    return a & b


@fn
def or_i(a: i64, b: i64) -> i64:
    return a | b


@fn
def xor_i(a: i64, b: i64) -> i64:
    return a ^ b


@fn
def copysign_f(a: f32, b: f32) -> f32:
    return copysign(a, b)


@fn
def fma_f(a: f32, b: f32, c: f32) -> f32:
    return fma(a, b, c)


@fn
def fma_i(a: i64, b: i64, c: i64) -> i64:
    return a * b + c


@fn
def sel_f(a: f32, b: f32, c: f32) -> f32:
    return select(a != 0.0, b, c)


@fn
def sel_i(a: i64, b: i64, c: i64) -> i64:
    return select(a != 0, b, c)


@fn
def clamp_f(a: f32, b: f32, c: f32) -> f32:
    return min_f(max_f(a, b), c)


@fn
def clamp_i(a: i64, b: i64, c: i64) -> i64:
    return min_i(max_i(a, b), c)


@fn
def quant_f(a: f32, b: f32, c: f32) -> f32:
    return rint(a / b) + c


@fn
def scale_f(a: f32, b: f32, c: f32) -> f32:
    return a / b + c


@fn
def dequant_f(a: f32, b: f32, c: f32) -> f32:
    return (a - c) * b


def predicate(name: str) -> tuple[Any, Any, Any]:
    """A comparison as 1 or 0: of two f32, of two i64, and of one i64 with 0."""

    @fn
    def holds_f(a: f32, b: f32) -> boolean:
        if name == "lt":
            return a < b
        if name == "le":
            return a <= b
        if name == "eq":
            return a == b
        if name == "ne":
            return a != b
        if name == "gt":
            return a > b
        return a >= b

    @fn
    def holds_i(a: i64, b: i64) -> boolean:
        if name == "lt":
            return a < b
        if name == "le":
            return a <= b
        if name == "eq":
            return a == b
        if name == "ne":
            return a != b
        if name == "gt":
            return a > b
        return a >= b

    @fn
    def floats(a: f32, b: f32) -> f32:
        return select(holds_f(a, b), f32(1.0), f32(0.0))

    @fn
    def integers(a: i64, b: i64) -> i64:
        return select(holds_i(a, b), i64(1), i64(0))

    @fn
    def zero(a: i64) -> i64:
        return select(holds_i(a, i64(0)), i64(1), i64(0))

    return floats, integers, zero
