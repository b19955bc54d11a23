"""Cases of `triton.language.extra.libdevice`, by name; what is not listed here is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from mtia.tools.verify.language.case import FLOATS, Case

__all__ = ["CASES"]

REAL = ("fp32", "fp64")
Array = Any


def _case(name: str, oracle: Any, kinds: Any = REAL, result: str = "same", domain: str = "any", ulps: float = 4,
          arity: int = 1, y_kind: str = "same") -> Case:  # fmt: skip
    arguments = ", ".join("xyz"[:arity])
    return Case(f"libdevice.{name}", f"libdevice.{name}({arguments})", oracle, kinds, result, domain, ulps, y_kind)


def _numpy(function: Any) -> Any:
    def oracle(x: Array, y: Array, z: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(x)

    return oracle


_UNARY: dict[str, tuple[Any, str]] = {
    "acos": (np.arccos, "unit"), "acosh": (np.arccosh, "above1"), "asin": (np.arcsin, "unit"),
    "asinh": (np.arcsinh, "any"), "atan": (np.arctan, "any"), "atanh": (np.arctanh, "unit"), "cbrt": (np.cbrt, "any"),
    "ceil": (np.ceil, "any"), "cos": (np.cos, "any"), "cosh": (np.cosh, "any"), "exp": (np.exp, "any"),
    "exp2": (np.exp2, "any"), "expm1": (np.expm1, "any"), "floor": (np.floor, "any"), "log": (np.log, "positive"),
    "log10": (np.log10, "positive"), "log1p": (np.log1p, "positive"), "log2": (np.log2, "positive"),
    "nearbyint": (np.rint, "any"), "rint": (np.rint, "any"), 
    "round": (lambda x: np.trunc(x + np.copysign(0.5, x)), "any"),
    "rsqrt": (lambda x: 1 / np.sqrt(x), "positive"), "rsqrt_rn": (lambda x: 1 / np.sqrt(x), "positive"),
    "sin": (np.sin, "any"), "sinh": (np.sinh, "any"), "sqrt": (np.sqrt, "positive"), "sqrt_rn": (np.sqrt, "positive"),
    "tan": (np.tan, "any"), "tanh": (np.tanh, "any"), "trunc": (np.trunc, "any"),
    "erf": (np.vectorize(math.erf), "any"), "erfc": (np.vectorize(math.erfc), "any"),
    "sinpi": (lambda x: np.sin(np.pi * x), "unit"), "cospi": (lambda x: np.cos(np.pi * x), "unit"),
    "saturatef": (lambda x: np.clip(x, 0, 1), "any"), "exp10": (lambda x: 10.0**x, "any"),
}  # fmt: skip
_FAST: dict[str, tuple[Any, str]] = {
    f"fast_{name}f": _UNARY[name] for name in ("cos", "exp", "exp10", "log", "log10", "log2", "sin", "tan", "tanh")
}

ELEMENTARY: list[Case] = [
    *[_case(name, _numpy(function), (*FLOATS,) if name in ("exp", "sin", "tanh", "floor", "erf") else REAL,
            domain=domain, ulps=16 if name in ("tan", "cospi", "sinpi") else 4)
      for name, (function, domain) in _UNARY.items()],
    *[_case(name, _numpy(function), ("fp32",), domain=domain) for name, (function, domain) in _FAST.items()],
    _case("abs", _numpy(np.abs), ("int32", "int64", *REAL)),
    *[_case(name, lambda x, y, z, f=function: f(x, y), domain=domain, ulps=ulps, arity=2)
      for name, function, domain, ulps in [
          ("atan2", np.arctan2, "nonzero", 4), ("copysign", np.copysign, "any", 0), ("fmod", np.fmod, "nonzero", 0),
          ("pow", np.power, "positive", 8), ("fdim", lambda x, y: np.maximum(x - y, 0), "any", 0.5),
          ("hypot", np.hypot, "any", 2), ("rhypot", lambda x, y: 1 / np.hypot(x, y), "nonzero", 2),
      ]],
    _case("fast_powf", lambda x, y, z: x**y, ("fp32",), domain="positive", ulps=8, arity=2),
    _case("fast_dividef", lambda x, y, z: x / y, ("fp32",), domain="nonzero", ulps=2, arity=2),
    _case("norm3d", lambda x, y, z: np.sqrt(x * x + y * y + z * z), ulps=2, arity=3),
    _case("rnorm3d", lambda x, y, z: 1 / np.sqrt(x * x + y * y + z * z), ulps=4, arity=3),
    *[Case(f"libdevice.{name}", f"libdevice.{name}(x, y, z, x)",
           lambda x, y, z, p=power: np.sqrt(2 * x * x + y * y + z * z) ** p, REAL, ulps=4)
      for name, power in (("norm4d", 1), ("rnorm4d", -1))],
    *[_case(name, lambda x, y, z: x * 2.0 ** (y % 9), domain="whole", arity=2, y_kind="int32", ulps=0)
      for name in ("ldexp", "scalbn")],
    _case("ilogb", lambda x, y, z: np.frexp(x)[1] - 1, result="int32", domain="nonzero"),
    _case("logb", lambda x, y, z: np.frexp(x)[1] - 1.0, domain="nonzero"),
    _case("nextafter", lambda x, y, z: _next(x, y), ("fp32",), arity=2, ulps=0, domain="wide"),
    _case("isnan", lambda x, y, z: np.isnan(x), result="int1"),
    _case("isinf", lambda x, y, z: np.isinf(x), result="int1"),
    _case("finitef", lambda x, y, z: np.isfinite(x), ("fp32",), "int1"),
    _case("isfinited", lambda x, y, z: np.isfinite(x), ("fp64",), "int1"),
    _case("signbit", lambda x, y, z: np.signbit(x), result="int32"),
    _case("fma", lambda x, y, z: x * y + z, ("fp32",), ulps=0.51, arity=3),
]  # fmt: skip
ELEMENTARY = [
    Case(c.name, c.body.replace(", y)", ", y % 9)") if c.name.endswith(("ldexp", "scalbn")) else c.body,
         (lambda x, y, z: x * 2.0 ** np.fmod(y, 9)) if c.name.endswith(("ldexp", "scalbn")) else c.oracle,
         c.kinds, c.result, c.domain, c.ulps, c.y_kind) for c in ELEMENTARY
]  # fmt: skip


def _next(x: Array, y: Array) -> Array:
    return np.nextafter(x.astype(np.float32), y.astype(np.float32)).astype(np.float64)


_ROUND = {"rn": np.rint, "rd": np.floor, "ru": np.ceil, "rz": np.trunc}
_INTEGERS = {"int": "int32", "uint": "uint32", "ll": "int64", "ull": "uint64"}
_REALS = {"float": "fp32", "double": "fp64"}


def _to_integer(mode: str, kind: str) -> Any:
    limits = np.iinfo(kind)

    def oracle(x: Array, y: Array, z: Array) -> Array:
        return np.array([min(max(int(v), limits.min), limits.max) for v in _ROUND[mode](x)], kind)

    return oracle


def _directed(exact: Any, mode: str, kind: str) -> Any:
    """The float of a type next to an exact value (a Fraction) in a direction."""
    type_: Any = {"fp32": np.float32, "fp64": np.float64}[kind]

    def oracle(*values: Array) -> Array:
        rows = zip(*(v.tolist() for v in values), strict=True)
        return np.array([_rounded(exact(*map(_fraction, row)), mode, type_) for row in rows], np.float64)

    return oracle


def _fraction(value: Any) -> Any:
    from fractions import Fraction

    return Fraction(value)


def _rounded(value: Any, mode: str, type_: Any) -> float:
    from fractions import Fraction

    near = type_(float(value))
    if mode == "rn":
        return float(near)
    down = near if Fraction(float(near)) <= value else np.nextafter(near, type_(-np.inf))
    up = near if Fraction(float(near)) >= value else np.nextafter(near, type_(np.inf))
    toward_zero = down if value > 0 else up
    return float({"rd": down, "ru": up, "rz": toward_zero}[mode])


_EXACT: dict[str, tuple[Any, int]] = {
    "add": (lambda x, y, z: x + y, 2), "sub": (lambda x, y, z: x - y, 2), "mul": (lambda x, y, z: x * y, 2),
    "div": (lambda x, y, z: x / y, 2), "rcp": (lambda x, y, z: 1 / x, 1), "fma": (lambda x, y, z: x * y + z, 3),
}  # fmt: skip

ROUNDED: list[Case] = [
    *[_case(f"{name}_{mode}", _directed(exact, mode, kind), (kind,), domain="nonzero", ulps=0, arity=arity)
      for name, (exact, arity) in _EXACT.items() for mode in _ROUND for kind in REAL],
    *[_case(f"{real}2{name}_{mode}", _to_integer(mode, kind), (_REALS[real],), kind, "wide")
      for real in _REALS for name, kind in _INTEGERS.items() for mode in _ROUND],
    *[_case(f"{name}2{real}_{mode}", _directed(lambda x, y, z: x, mode, kind), (source,), kind, "bits", ulps=0)
      for name, source in _INTEGERS.items() for real, kind in _REALS.items() for mode in _ROUND
      if not (real == "double" and name in ("int", "uint") and mode != "rn")],
    *[_case(f"double2float_{mode}", _directed(lambda x, y, z: x, mode, "fp32"), ("fp64",), "fp32", ulps=0)
      for mode in _ROUND],
    _case("llrint", _to_integer("rn", "int64"), REAL, "int64", "wide"),
]  # fmt: skip


def _square_root(mode: str, kind: str) -> Any:
    """The root's neighbours are told apart by their squares."""
    type_: Any = {"fp32": np.float32, "fp64": np.float64}[kind]

    def one(x: float) -> float:
        near = type_(math.sqrt(x))
        down = near if _fraction(float(near)) ** 2 <= _fraction(x) else np.nextafter(near, type_(0))
        up = near if _fraction(float(near)) ** 2 >= _fraction(x) else np.nextafter(near, type_(np.inf))
        return float(up if mode == "ru" else down)

    return lambda x, y, z: np.array([one(v) for v in x.tolist()])


def _unsigned(value: int, bits: int) -> int:
    return int(value) & (1 << bits) - 1


def _bitwise(function: Callable[[int, int], int]) -> Any:
    """A function of an integer's bits and their number."""

    def oracle(x: Array, y: Array, z: Array) -> Array:
        bits = x.dtype.itemsize * 8
        return np.array([function(_unsigned(v, bits), bits) for v in x], np.uint64).astype(x.dtype)

    return oracle


def _permuted(x: Array, y: Array, z: Array) -> Array:
    out = []
    for a, b, selector in zip(x, y, z, strict=True):
        both = _unsigned(a, 32) | _unsigned(b, 32) << 32
        parts = [both >> 8 * (_unsigned(selector, 32) >> 4 * place & 7) & 255 for place in range(4)]
        out.append(sum(part << 8 * place for place, part in enumerate(parts)))
    return np.array(out, np.uint32).view(np.int32)


def _wide_product(x: Array, y: Array, z: Array) -> Array:
    bits = x.dtype.itemsize * 8
    words = [_unsigned((int(a) * int(b)) >> bits, bits) for a, b in zip(x, y, strict=True)]
    return np.array(words, np.uint64).astype(x.dtype)


def _low24(x: Array) -> Array:
    return (x.astype(np.int64) << 40) >> 40


INTEGER: list[Case] = [
    *[_case(f"sqrt_{mode}", _square_root(mode, kind), (kind,), domain="positive", ulps=0)
      for mode in ("rd", "ru", "rz") for kind in REAL],
    _case("popc", _bitwise(lambda v, n: v.bit_count()), ("int32", "int64"), "int32", "bits"),
    _case("clz", _bitwise(lambda v, n: n - v.bit_length()), ("int32", "int64"), "int32", "bits"),
    _case("ffs", _bitwise(lambda v, n: (v & -v).bit_length()), ("int32", "int64"), "int32", "bits"),
    _case("brev", _bitwise(lambda v, n: int(f"{v:0{n}b}"[::-1], 2)), ("int32", "int64"), domain="bits"),
    _case("byte_perm", _permuted, ("int32",), domain="bits", arity=3),
    _case("mulhi", _wide_product, ("int32", "int64", "uint32", "uint64"), domain="bits", arity=2),
    _case("mul24", lambda x, y, z: (_low24(x) * _low24(y)).astype(np.int32), ("int32",), domain="bits", arity=2),
    Case("libdevice.sad", "libdevice.sad(x, y, z.to(tl.uint32))", lambda x, y, z: np.abs(x - y) + z, ("int32",),
         "uint32"),
    _case("hadd", lambda x, y, z: (x.astype(np.int64) + y) >> 1, ("int32",), domain="bits", arity=2),
    _case("rhadd", lambda x, y, z: (x.astype(np.int64) + y + 1) >> 1, ("int32",), domain="bits", arity=2),
    _case("float_as_int", lambda x, y, z: x.astype(np.float32).view(np.int32), ("fp32",), "int32"),
    _case("float_as_uint", lambda x, y, z: x.astype(np.float32).view(np.uint32), ("fp32",), "uint32"),
    _case("int_as_float", lambda x, y, z: x.view(np.float32), ("int32",), "fp32", "positive"),
    _case("uint_as_float", lambda x, y, z: x.view(np.float32), ("uint32",), "fp32", "positive"),
    _case("double_as_longlong", lambda x, y, z: x.view(np.int64), ("fp64",), "int64"),
    _case("longlong_as_double", lambda x, y, z: x.view(np.float64), ("int64",), "fp64", "positive"),
    _case("double2hiint", lambda x, y, z: x.view(np.int64) >> 32, ("fp64",), "int32"),
    _case("double2loint", lambda x, y, z: x.view(np.int64).astype(np.int32), ("fp64",), "int32"),
    _case("hiloint2double", lambda x, y, z: (x.astype(np.int64) << 32 | y.astype(np.uint32)).view(np.float64),
          ("int32",), "fp64", "positive", arity=2),
]  # fmt: skip


def _torch(name: str) -> Any:
    """A special function of torch's in double precision."""

    def function(x: Array) -> Array:
        import torch

        return getattr(torch.special, name)(torch.from_numpy(np.ascontiguousarray(x, np.float64))).numpy()

    return function


def _bessel(kind: str, order: int) -> Any:
    """Bessel's functions of order 0 and 1 from their power series in 60 digits (DLMF 10.2.2, 10.8.1)."""

    def first(x: Decimal) -> Decimal:
        term = (x / 2) ** order
        total = term
        for k in range(1, 90):
            term *= -((x / 2) ** 2) / (k * (k + order))
            total += term
        return total

    def second(x: Decimal) -> Decimal:
        pi, gamma = Decimal("3.14159265358979323846264338327950288"), Decimal("0.57721566490153286060651209008240243")
        total, term, harmonic = Decimal(0), (x / 2) ** order, Decimal(0)
        for k in range(90):
            after = harmonic + (Decimal(1) / (k + 1) if order else Decimal(0))
            total += term * (harmonic + after - 2 * gamma)
            term *= -((x / 2) ** 2) / ((k + 1) * (k + 1 + order))
            harmonic += Decimal(1) / (k + 1)
        finite = 2 / x if order else Decimal(0)
        return (2 * (x / 2).ln() * first(x) - finite - total) / pi

    def function(x: Array) -> Array:
        with localcontext() as context:
            context.prec = 60
            return np.array([float((first if kind == "j" else second)(Decimal(v))) for v in x.tolist()])

    return function


_SPECIAL: dict[str, tuple[Any, str]] = {
    "cyl_bessel_i0": (_torch("i0"), "any"), "cyl_bessel_i1": (_torch("i1"), "any"), 
    "j0": (_bessel("j", 0), "any"), "j1": (_bessel("j", 1), "any"), "y0": (_bessel("y", 0), "positive"),
    "y1": (_bessel("y", 1), "positive"),
    "erfinv": (_torch("erfinv"), "unit"), "erfcinv": (lambda a: _torch("erfinv")(1 - a), "open"),
    "erfcx": (_torch("erfcx"), "positive"), "lgamma": (np.vectorize(math.lgamma), "positive"),
    "tgamma": (np.vectorize(math.gamma), "positive"),
    "normcdf": (np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2), "any"),
    "normcdfinv": (_torch("ndtri"), "open"), "rcbrt": (lambda x: 1 / np.cbrt(x), "positive"),
}  # fmt: skip
_DOUBLE_ULPS = 4096  # the oracles lose digits too, beside the functions' zeros

SPECIAL: list[Case] = [
    *[_case(name, _numpy(function), (kind,), domain=domain, ulps=ulps)
      for name, (function, domain) in _SPECIAL.items() for kind, ulps in (("fp32", 64), ("fp64", _DOUBLE_ULPS))],
    *[Case(f"libdevice.{name}", f"libdevice.{name}(tl.full((N,), 2, tl.int32), x)",
           lambda x, y, z, kind=name[0]: 2 / x * _bessel(kind, 1)(x) - _bessel(kind, 0)(x),
           ("fp32",), domain="above1", ulps=256) for name in ("jn", "yn")],
    _case("remainder", lambda x, y, z: np.array([math.remainder(a, b) for a, b in zip(x, y, strict=True)]),
          domain="nonzero", arity=2),
    _case("llround", lambda x, y, z: np.trunc(x + np.copysign(0.5, x)).astype(np.int64), REAL, "int64"),
    _case("rcp64h", lambda x, y, z: ((1 / x).view(np.int64) >> 32 << 32).view(np.float64), ("fp64",), ulps=1 << 33),
]  # fmt: skip
CASES: list[Case] = [*ELEMENTARY, *ROUNDED, *INTEGER, *SPECIAL]
