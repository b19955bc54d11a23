"""The SIMD engine's elementwise functions: each with its manual text and its statements on f32 and on i64.

A function's place in its tuple is its code in the encoding and in the drivers.
"""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import f32, i64
from mtia.isa.xmtia import functions as nonlinear
from mtia.isa.xmtia import scalars as plain
from mtia.isa.xmtia.elementwise import Function, loop

__all__ = ["BINARY", "PREDICATES", "TABLES", "TERNARY", "UNARY"]


def _function(name: str, sources: int, text: str, floats: Any = None, integers: Any = None) -> Function:
    """A plain function from its statements on f32 and on i64."""
    return Function(
        name,
        text + ("" if integers else "; float") + ("" if floats else "; integer") + ".",
        loop(f32, floats, sources) if floats else None,
        loop(i64, integers, sources) if integers else None,
    )


def _precise(name: str, text: str, run: Any, bound: str = ", within 0.51 ulp", sources: int = 1) -> Function:
    """A nonlinear function; `run` is its statement on f32, or a loop of its own."""
    return Function(name, f"{text}{bound}; float.", run, precise=True)


def _compare(name: str, text: str) -> Function:
    floats, integers, _ = plain.predicate(name)
    return _function(name, 2, text, floats, integers)


UNARY: tuple[Function, ...] = (
    _function("cvt", 1, "d = a", plain.same_f, plain.same_i),
    _function("neg", 1, "d = -a (floats: the sign bit is inverted)", plain.neg_f, plain.neg_i),
    _function("abs", 1, "d = |a| (floats: the sign bit is cleared)", plain.abs_f, plain.abs_i),
    _precise("exp", "d = e to the power a", loop(f32, nonlinear.exp, 1)),
    _precise("exp2", "d = 2 to the power a", loop(f32, nonlinear.exp2, 1)),
    _precise("log", "d = natural logarithm of a (0 gives -inf, a < 0 NaN)", loop(f32, nonlinear.log, 1)),
    _precise("log2", "d = base-2 logarithm of a (0 gives -inf, a < 0 NaN)", loop(f32, nonlinear.log2, 1)),
    _function("sqrt", 1, "d = square root of a, correctly rounded", nonlinear.square_root),
    _function("rsqrt", 1, "d = 1 / square root of a, within 0.51 ulp", nonlinear.rsqrt),
    _function("rcp", 1, "d = 1 / a, correctly rounded", nonlinear.rcp),
    _precise("tanh", "d = hyperbolic tangent of a", loop(f32, nonlinear.tanh, 1)),
    _precise("sigm", "d = 1 / (1 + e to the power -a)", loop(f32, nonlinear.sigmoid, 1)),
    _precise("erf", "d = error function of a", loop(f32, nonlinear.erf, 1)),
    _precise("gelu", "d = a · (1 + erf(a / √2)) / 2", loop(f32, nonlinear.gelu, 1)),
    _precise("sin", "d = sine of a radians", nonlinear.sin_run, ", within 0.51 ulp for every finite a"),
    _precise("cos", "d = cosine of a radians", nonlinear.cos_run, ", within 0.51 ulp for every finite a"),
    _function("floor", 1, "d = the largest integral value not above a", plain.floor_f),
    _function("ceil", 1, "d = the smallest integral value not below a", plain.ceil_f),
    _function("rint", 1, "d = the integral value nearest to a, ties to even", plain.rint_f),
    _function("relu", 1, "d = a if a > 0, else +0; NaN stays NaN", plain.relu_f, plain.relu_i),
    _function("sqr", 1, "d = a · a", plain.sqr_f, plain.sqr_i),
    _function("not", 1, "d = 1 if a is 0, else 0", plain.not_f, plain.not_i),
)
TABLES: tuple[Function, ...] = (
    _function("exp", 1, "2**n · T(f) with a · log2(e) = n + f, 64 segments on [0, 1)", nonlinear.lut_exp),
    _function("tanh", 1, "256 segments on [-8, 8], the ends' values outside", nonlinear.lut_tanh),
    _function("sigm", 1, "256 segments on [-16, 16], the ends' values outside", nonlinear.lut_sigmoid),
    _function("gelu", 1, "256 segments on [-8, 8]; above 8 a itself, below -8 zero", nonlinear.lut_gelu),
    _function("log", 1, "ln(2) · e + T(m) with a = 2**e · m, 64 segments on [1, 2]", nonlinear.lut_log),
)
BINARY: tuple[Function, ...] = (
    _function("add", 2, "d = a + b", plain.add_f, plain.add_i),
    _function("sub", 2, "d = a - b", plain.sub_f, plain.sub_i),
    _function("mul", 2, "d = a · b", plain.mul_f, plain.mul_i),
    _function("div", 2, "d = a / b; integers: truncated, b = 0 gives -1", plain.div_f, plain.div_i),
    _function("max", 2, "d = the larger, NaN if either is NaN, +0 above -0", plain.max_f, plain.max_i),
    _function("min", 2, "d = the smaller, NaN if either is NaN, -0 below +0", plain.min_f, plain.min_i),
    _function("maxn", 2, "d = the larger, the number if one is NaN, +0 above -0", plain.maxn_f, plain.max_i),
    _function("minn", 2, "d = the smaller, the number if one is NaN, -0 below +0", plain.minn_f, plain.min_i),
    _compare("lt", "d = 1 if a < b, else 0"),
    _compare("le", "d = 1 if a <= b, else 0"),
    _compare("eq", "d = 1 if a = b, else 0"),
    _compare("ne", "d = 1 if a is not b (NaN differs from everything), else 0"),
    _compare("gt", "d = 1 if a > b, else 0"),
    _compare("ge", "d = 1 if a >= b, else 0"),
    _function("and", 2, "d = bitwise and", None, plain.and_i),
    _function("or", 2, "d = bitwise or", None, plain.or_i),
    _function("xor", 2, "d = bitwise exclusive or", None, plain.xor_i),
    _precise("pow", "d = a to the power b with the special cases of IEEE 754 pow", loop(f32, nonlinear.pow_, 2)),
    _function("copysign", 2, "d = |a| with the sign of b (of a NaN: +)", plain.copysign_f),
)
TERNARY: tuple[Function, ...] = (
    _function("fma", 3, "d = a · b + c, floats rounded once", plain.fma_f, plain.fma_i),
    _function("sel", 3, "d = b if a is not 0, else c; when b and c are integers, a is one", plain.sel_f, plain.sel_i),
    _function("clamp", 3, "d = min(max(a, b), c), by the rules of max and min", plain.clamp_f, plain.clamp_i),
    _function("quant", 3, "d = rint(a / b) + c: scale b, zero point c", plain.quant_f),
    _function("dequant", 3, "d = (a - c) · b, computed in f32", plain.dequant_f),
    _function("scale", 3, "d = a / b + c", plain.scale_f),
)
PREDICATES: tuple[tuple[str, str], ...] = (
    ("lt", "<"), ("le", "<="), ("eq", "="), ("ne", "≠"), ("gt", ">"), ("ge", ">="),
)  # fmt: skip
