"""Cases of `triton.language`: arithmetic, shapes, reductions, scans and random numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from mtia.tools.verify.language.case import ALL, FLOATS, INTEGERS, NUMBERS, Case, N, many
from mtia.tools.verify.language.random_numbers import normal, philox, uniform

__all__ = ["CASES"]

ARITHMETIC = (*NUMBERS, "fp8e5", "fp8e4nv")
SIDE = 4  # rows of a vector seen as a matrix
ROW = N // SIDE
_MATRIX = f"m = tl.reshape(x, ({SIDE}, {ROW}))\n"
_STORE = f"tl.store(out_ptr + tl.arange(0, {SIDE})[:, None] * {ROW} + tl.arange(0, {ROW})[None, :], r)"
_STORE_T = f"tl.store(out_ptr + tl.arange(0, {ROW})[:, None] * {SIDE} + tl.arange(0, {SIDE})[None, :], r)"
_ROWS = f"tl.store(out_ptr + tl.arange(0, {SIDE}), r)"


def _sized(function: Any) -> Any:
    """An oracle over numpy that computes integers in their own width and floats in double precision."""

    def oracle(*values: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*values)

    return oracle


def _unary(name: str, function: Any, domain: str = "any", kinds: Any = ALL, ulps: float = 2) -> list[Case]:
    """A function of one number under its names: in `tl`, in `tl.math`, as a tensor's method."""
    oracle = _sized(lambda x, y, z: function(x))
    found = [Case(f"tl.{name}", f"tl.{name}(x)", oracle, kinds, domain=domain, ulps=ulps)]
    import triton.language as tl

    if hasattr(tl.math, name):
        found.append(Case(f"tl.math.{name}", f"tl.math.{name}(x)", oracle, kinds, domain=domain, ulps=ulps))
    if hasattr(tl.tensor, name):
        found.append(Case(f"tl.tensor.{name}", f"x.{name}()", oracle, kinds, domain=domain, ulps=ulps))
    return found


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf)(x.astype(np.float64))


ELEMENTWISE: list[Case] = [
    *_unary("abs", np.abs, ulps=0),
    *_unary("exp", np.exp), *_unary("exp2", np.exp2), *_unary("log", np.log, "positive"),
    *_unary("log2", np.log2, "positive"), *_unary("sin", np.sin), *_unary("cos", np.cos), *_unary("erf", _erf),
    *_unary("sqrt", np.sqrt, "positive"), *_unary("rsqrt", lambda x: 1 / np.sqrt(x.astype(np.float64)), "positive"),
    *_unary("sqrt_rn", np.sqrt, "positive", ulps=0.5), *_unary("floor", np.floor, ulps=0),
    *_unary("ceil", np.ceil, ulps=0), *_unary("sigmoid", lambda x: 1 / (1 + np.exp(-x.astype(np.float64))), ulps=4),
    Case("tl.add", "tl.add(x, y)", _sized(lambda x, y, z: x + y), ARITHMETIC, ulps=0.5),
    Case("tl.sub", "tl.sub(x, y)", _sized(lambda x, y, z: x - y), ARITHMETIC, ulps=0.5),
    Case("tl.mul", "tl.mul(x, y)", _sized(lambda x, y, z: x * y), ARITHMETIC, ulps=0.5),
    Case("tl.fdiv", "tl.fdiv(x, y)", _sized(lambda x, y, z: x / y), ALL, domain="nonzero", ulps=2),
    Case("tl.math.fdiv", "tl.math.fdiv(x, y)", _sized(lambda x, y, z: x / y), ALL, domain="nonzero", ulps=2),
    Case("tl.div_rn", "tl.div_rn(x, y)", _sized(lambda x, y, z: x / y), ALL, domain="nonzero", ulps=0.5),
    Case("tl.math.div_rn", "tl.math.div_rn(x, y)", _sized(lambda x, y, z: x / y), ALL, domain="nonzero", ulps=0.5),
    *many(Case("", "NAME(x, y, z)", lambda x, y, z: _fused(x, y, z), ALL, ulps=0.5), ["tl.fma", "tl.math.fma"]),
    Case("tl.maximum", "tl.maximum(x, y)", lambda x, y, z: np.maximum(x, y), ARITHMETIC),
    Case("tl.minimum", "tl.minimum(x, y)", lambda x, y, z: np.minimum(x, y), ARITHMETIC),
    Case("tl.PropagateNan", "tl.maximum(x / (y - y), x, tl.PropagateNan.ALL)",
         _sized(lambda x, y, z: np.maximum(x / (y - y), x)), ("fp32",), domain="whole"),
    Case("tl.clamp", "tl.clamp(x, tl.minimum(y, z), tl.maximum(y, z))",
         lambda x, y, z: np.clip(x, np.minimum(y, z), np.maximum(y, z)), ARITHMETIC),
    Case("tl.where", "tl.where(x > y, x, z)", lambda x, y, z: np.where(x > y, x, z), ARITHMETIC),
    Case("tl.cdiv", "tl.cdiv(x, y)", lambda x, y, z: -(-x.astype(np.int64) // y), INTEGERS, domain="positive"),
    Case("tl.tensor.cdiv", "x.cdiv(y)", lambda x, y, z: -(-x.astype(np.int64) // y), INTEGERS, domain="positive"),
    *many(Case("", "NAME(x, y)", lambda x, y, z: _high(x, y), ALL, domain="bits"), ["tl.umulhi", "tl.math.umulhi"]),
    Case("tl.cast", "tl.cast(x, tl.float32)", lambda x, y, z: x, ALL, "fp32"),
    Case("tl.tensor.to", "x.to(tl.int32)", lambda x, y, z: np.trunc(x).astype(np.int64), ALL, "int32"),
    Case("tl.tensor.cast", "x.cast(tl.float64)", lambda x, y, z: x, ALL, "fp64"),
    Case("tl.tensor.logical_and", "x.logical_and(y)", lambda x, y, z: x & y, ("int1",)),
    Case("tl.tensor.logical_or", "x.logical_or(y)", lambda x, y, z: x | y, ("int1",)),
    *[Case(f"operator {symbol}", f"x {symbol} y", _sized(function), (*INTEGERS, *FLOATS), domain="nonzero", ulps=1)
      for symbol, function in {
          "+": lambda x, y, z: x + y, "-": lambda x, y, z: x - y, "*": lambda x, y, z: x * y,
      }.items()],
    Case("operator /", "x / y", _sized(lambda x, y, z: x / y), NUMBERS, "fp32", "nonzero", ulps=2),
    Case("operator //", "x // y", lambda x, y, z: np.trunc(x / y.astype(np.float64)).astype(np.int64), INTEGERS,
         domain="nonzero"),
    Case("operator %", "x % y", lambda x, y, z: np.fmod(x, y), NUMBERS, domain="nonzero"),
    *[Case(f"operator {symbol}", f"x {symbol} y", function, ("int1", *INTEGERS), domain="bits")
      for symbol, function in {
          "&": lambda x, y, z: x & y, "|": lambda x, y, z: x | y, "^": lambda x, y, z: x ^ y,
      }.items()],
    Case("operator <<", "x << (y & 7)", lambda x, y, z: x << (y & x.dtype.type(7)), INTEGERS, domain="bits"),
    Case("operator >>", "x >> (y & 7)", lambda x, y, z: x >> (y & x.dtype.type(7)), INTEGERS, domain="bits"),
    Case("operator ~", "~x", lambda x, y, z: ~x, ("int1", *INTEGERS), domain="bits"),
    Case("operator -x", "-x", _sized(lambda x, y, z: -x), NUMBERS),
    *[Case(f"operator {symbol}", f"x {symbol} y", function, ALL, "int1")
      for symbol, function in {
          "<": lambda x, y, z: x < y, "<=": lambda x, y, z: x <= y, ">": lambda x, y, z: x > y,
          ">=": lambda x, y, z: x >= y, "==": lambda x, y, z: x == y, "!=": lambda x, y, z: x != y,
      }.items()],
]  # fmt: skip

def _fused(x: Any, y: Any, z: Any) -> Any:
    """x y + z, rounded once."""
    rows = zip(*(values.tolist() for values in (x, y, z)), strict=True)
    return np.array([float(Fraction(a) * Fraction(b) + Fraction(c)) for a, b, c in rows])


def _high(x: Any, y: Any) -> Any:
    bits = x.dtype.itemsize * 8
    mask = (1 << bits) - 1
    products = [((int(a) & mask) * (int(b) & mask)) >> bits for a, b in zip(x, y, strict=True)]
    return np.array(products, np.uint64).astype(x.dtype)


def _matrix(x: Any) -> Any:
    return x.reshape(SIDE, ROW)


SHAPES: list[Case] = [
    Case("tl.arange", "at + tl.arange(0, N)", lambda x, y, z: 2 * np.arange(N),
         ("int32",)),
    Case("tl.full", "tl.full((N,), 3, x.dtype)", lambda x, y, z: np.full(N, 3), (*NUMBERS, "fp8e5", "fp8e4nv")),
    Case("tl.zeros", "tl.zeros((N,), x.dtype)", lambda x, y, z: np.zeros(N), ALL),
    Case("tl.zeros_like", "tl.zeros_like(x)", lambda x, y, z: np.zeros(N), ALL),
    Case("tl.broadcast", f"a, b = tl.broadcast(x[:, None], tl.zeros((1, {SIDE}), x.dtype))\n"
         f"tl.store(out_ptr + at[:, None] * {SIDE} + tl.arange(0, {SIDE})[None, :], a)",
         lambda x, y, z: np.repeat(x, SIDE), ALL),
    *many(Case("", f"r = NAME(x[:, None], (N, {SIDE}))\n"
               f"tl.store(out_ptr + at[:, None] * {SIDE} + tl.arange(0, {SIDE})[None, :], r)",
               lambda x, y, z: np.repeat(x, SIDE), ALL), ["tl.broadcast_to"]),
    Case("tl.tensor.broadcast_to", f"r = x[:, None].broadcast_to(N, {SIDE})\n"
         f"tl.store(out_ptr + at[:, None] * {SIDE} + tl.arange(0, {SIDE})[None, :], r)",
         lambda x, y, z: np.repeat(x, SIDE), ALL),
    *many(Case("", "r = NAME(x, 1)\ntl.store(out_ptr + at[:, None], r)", lambda x, y, z: x, ALL),
          ["tl.expand_dims", "tl.unsqueeze"]),
    Case("tl.tensor.expand_dims", "r = x.expand_dims(1)\ntl.store(out_ptr + at[:, None], r)", lambda x, y, z: x, ALL),
    Case("tl.squeeze", "tl.squeeze(x[:, None], 1)", lambda x, y, z: x, ALL),
    *many(Case("", f"r = NAME(x, ({SIDE}, {ROW}))\n" + _STORE, lambda x, y, z: x, ALL), ["tl.reshape", "tl.view"]),
    Case("tl.tensor.reshape", f"r = x.reshape({SIDE}, {ROW})\n" + _STORE, lambda x, y, z: x, ALL),
    Case("tl.tensor.view", f"r = x.view({SIDE}, {ROW})\n" + _STORE, lambda x, y, z: x, ALL),
    Case("tl.ravel", _MATRIX + "tl.store(out_ptr + at, tl.ravel(m))", lambda x, y, z: x, ALL),
    Case("tl.tensor.ravel", _MATRIX + "tl.store(out_ptr + at, m.ravel())", lambda x, y, z: x, ALL),
    Case("tl.trans", _MATRIX + "r = tl.trans(m)\n" + _STORE_T, lambda x, y, z: _matrix(x).T, ALL),
    Case("tl.tensor.trans", _MATRIX + "r = m.trans()\n" + _STORE_T, lambda x, y, z: _matrix(x).T, ALL),
    Case("tl.permute", _MATRIX + "r = tl.permute(m, (1, 0))\n" + _STORE_T, lambda x, y, z: _matrix(x).T, ALL),
    Case("tl.tensor.permute", _MATRIX + "r = m.permute(1, 0)\n" + _STORE_T, lambda x, y, z: _matrix(x).T, ALL),
    Case("tl.join", "r = tl.join(x, y)\ntl.store(out_ptr + at[:, None] * 2 + tl.arange(0, 2)[None, :], r)",
         lambda x, y, z: np.stack([x, y], 1), ALL),
    Case("tl.interleave", "tl.store(out_ptr + tl.arange(0, 2 * N), tl.interleave(x, y))",
         lambda x, y, z: np.stack([x, y], 1), ALL),
    *[Case(name, "m = tl.reshape(x, (N // 2, 2))\n" + f"a, b = {call}\n"
           "tl.store(out_ptr + tl.arange(0, N // 2), a)\ntl.store(out_ptr + N // 2 + tl.arange(0, N // 2), b)",
           lambda x, y, z: np.concatenate([x[::2], x[1::2]]), ALL)
      for name, call in {"tl.split": "tl.split(m)", "tl.tensor.split": "m.split()"}.items()],
    Case("tl.cat", "tl.store(out_ptr + tl.arange(0, 2 * N), tl.cat(x, y))", lambda x, y, z: np.concatenate([x, y]),
         ALL),
    Case("tl.flip", "tl.flip(x)", lambda x, y, z: x[::-1], ALL),
    Case("tl.tensor.flip", "x.flip()", lambda x, y, z: x[::-1], ALL),
    Case("tl.gather", "tl.gather(x, (at * 7) % N, 0)", lambda x, y, z: x[np.arange(N) * 7 % N], ALL),
    Case("tl.tensor.gather", "x.gather((at * 7) % N, 0)", lambda x, y, z: x[np.arange(N) * 7 % N], ALL),
    Case("tl.swizzle2d", "i, j = tl.swizzle2d(at // 8, at % 8, 4, 8, 2)\ntl.store(out_ptr + at, i * 8 + j)",
         lambda x, y, z: _swizzled(), ("int32",)),
    Case("tl.slice", _MATRIX + "r = m[None, :, :]\n"
         f"tl.store(out_ptr + tl.arange(0, {SIDE})[None, :, None] * {ROW} + tl.arange(0, {ROW})[None, None, :], r)",
         lambda x, y, z: x, ("fp32",)),
]  # fmt: skip


def _swizzled() -> Any:
    """Row-major places of a 4 × 8 matrix in groups of two rows, column by column in a group."""
    found = []
    for place in range(N):
        group, inside = divmod(place, 16)
        found.append((group * 2 + inside % 2) * 8 + inside // 2)
    return np.array(found)


def _fold(function: Any) -> Any:
    return _sized(lambda x, y, z: function(_matrix(x), axis=1))


_PICK = "@triton.jit\ndef smaller_magnitude(a, b):\n    return tl.where(tl.abs(b) < tl.abs(a), b, a)\n"
_PAIR = (
    "@triton.jit\ndef affine(a0, b0, a1, b1):\n    return a0 * a1, b0 * a1 + b1\n"  # first x → a0 x + b0, then a1
)


def _smallest_magnitude(x: Any) -> Any:
    return np.take_along_axis(_matrix(x), np.argmin(np.abs(_matrix(x)), 1)[:, None], 1)


REDUCTIONS: list[Case] = [
    case
    for name, function, kinds, ulps in [
        ("sum", np.sum, ALL, 8), ("max", np.max, ARITHMETIC, 0), ("min", np.min, ARITHMETIC, 0),
        ("xor_sum", np.bitwise_xor.reduce, INTEGERS, 0), ("reduce_or", np.bitwise_or.reduce, INTEGERS, 0),
    ]
    for case in [
        Case(f"tl.{name}", _MATRIX + f"r = tl.{name}(m, 1)\n" + _ROWS, _fold(function), kinds, ulps=ulps),
        Case(f"tl.tensor.{name}", _MATRIX + f"r = m.{name}(1)\n" + _ROWS, _fold(function), kinds, ulps=ulps),
    ]
] + [
    case
    for name, function in {"argmax": np.argmax, "argmin": np.argmin}.items()
    for case in [
        Case(f"tl.{name}", _MATRIX + f"r = tl.{name}(m, 1)\n" + _ROWS, _fold(function), ARITHMETIC, "int32"),
        Case(f"tl.tensor.{name}", _MATRIX + f"r = m.{name}(1)\n" + _ROWS, _fold(function), ARITHMETIC, "int32"),
    ]
] + [
    case
    for name, function in {"cumsum": np.cumsum, "cumprod": np.cumprod}.items()
    for case in [
        Case(f"tl.{name}", _MATRIX + f"r = tl.{name}(m, 1)\n" + _STORE, _fold(function), NUMBERS, ulps=32),
        Case(f"tl.tensor.{name}", _MATRIX + f"r = m.{name}(1)\n" + _STORE, _fold(function), NUMBERS, ulps=32),
    ]
] + [
    Case("tl.reduce", _MATRIX + "r = tl.reduce(m, 1, smaller_magnitude)\n" + _ROWS,
         lambda x, y, z: _smallest_magnitude(x), ("int32", "int64", *FLOATS), preamble=_PICK),
    Case("tl.tensor.reduce", _MATRIX + "r = m.reduce(1, smaller_magnitude)\n" + _ROWS,
         lambda x, y, z: _smallest_magnitude(x), ("fp32",), preamble=_PICK),
    Case("tl.associative_scan", "a, b = tl.associative_scan((x, y), 0, affine)\ntl.store(out_ptr + at, b)",
         lambda x, y, z: _recurrence(x, y), ("int32", "int64", "fp32", "fp64"), domain="unit", ulps=64,
         preamble=_PAIR),
    Case("tl.tensor.associative_scan", "x.associative_scan(0, smaller_magnitude)",
         lambda x, y, z: np.array([x[np.argmin(np.abs(x[: k + 1]))] for k in range(N)]), ("fp32",), preamble=_PICK),
    Case("tl.sort", "tl.sort(x)", lambda x, y, z: np.sort(x), ARITHMETIC),
    Case("tl.tensor.sort", "x.sort(descending=True)", lambda x, y, z: np.sort(x)[::-1], NUMBERS),
    Case("tl.topk", "tl.store(out_ptr + tl.arange(0, 8), tl.topk(x, 8))", lambda x, y, z: np.sort(x)[::-1][:8],
         NUMBERS),
    Case("tl.bitonic_merge", "tl.bitonic_merge(at * (N - 1 - at))",
         lambda x, y, z: np.sort(np.arange(N) * (N - 1 - np.arange(N))), ("int32",)),
    Case("tl.histogram", "tl.store(out_ptr + tl.arange(0, 32), tl.histogram(x & 31, 32))",
         lambda x, y, z: np.bincount(x & x.dtype.type(31), minlength=32), ("int32", "uint32", "int64"), "int32",
         "positive"),
    Case("tl.tensor.histogram", "tl.store(out_ptr + tl.arange(0, 32), x.histogram(32))",
         lambda x, y, z: np.bincount(x, minlength=32), ("int32",), "int32", "positive"),
    Case("tl.softmax", "tl.softmax(x)", _sized(lambda x, y, z: np.exp(x) / np.exp(x).sum()), ("fp32", "fp64"), ulps=16),
    Case("tl.tensor.softmax", "x.softmax()", _sized(lambda x, y, z: np.exp(x) / np.exp(x).sum()), ("fp32",), ulps=16),
]  # fmt: skip


def _recurrence(x: Any, y: Any) -> Any:
    out, value = [], 0 * y[0]
    with np.errstate(all="ignore"):
        for a, b in zip(x, y, strict=True):
            value = value * a + b
            out.append(value)
    return np.array(out)


_SEED, _BIG = 0x123456789ABCDEF, 5 << 33


def _words(seed: int, offsets: Any, bits: int = 32) -> Any:
    """Philox words of tl.randint4x(seed, offset), an array of four rows."""
    key = (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)
    rows = [philox((int(o) & 0xFFFFFFFF, int(o) >> 32 & 0xFFFFFFFF, 0, 0), key) for o in offsets]
    return np.array(rows, np.uint64).astype(np.uint32).T


def _four(body: str) -> str:
    return f"a, b, c, d = {body}\n" + "\n".join(
        f"tl.store(out_ptr + {k} * N + at, {name})" for k, name in enumerate("abcd")
    )


def _random(name: str, made: Any, kind: str, four: bool, ulps: float = 0) -> list[Case]:
    """With 32-bit offsets under a 64-bit seed, and with 64-bit offsets."""
    found = []
    for offset, first in (("at", 0), (f"at.to(tl.int64) + {_BIG}", _BIG)):
        call = f"tl.{name}({_SEED}, {offset})"
        body = _four(call) if four else f"tl.store(out_ptr + at, {call})"
        words = _words(_SEED, np.arange(N) + first)
        found.append(Case(f"tl.{name}", body, lambda x, y, z, w=words: made(w), ("int32",), kind, ulps=ulps))
    return found


def _normals(words: Any) -> list[Any]:
    u = [uniform(row) for row in words]
    return [*normal(u[0], u[1]), *normal(u[2], u[3])]


RANDOM: list[Case] = [
    *_random("randint", lambda w: w[0], "uint32", False), *_random("randint4x", lambda w: w, "uint32", True),
    *_random("rand", lambda w: uniform(w[0]), "fp32", False),
    *_random("rand4x", lambda w: np.concatenate([uniform(r) for r in w]), "fp32", True),
    *_random("randn", lambda w: _normals(w)[0], "fp32", False, 8),
    *_random("randn4x", lambda w: np.concatenate(_normals(w)), "fp32", True, 8),
    Case("tl.philox", _four(f"tl.philox({_SEED}, x, y, z, x)"),
         lambda x, y, z: np.array([philox((int(a), int(b), int(c), int(a)), (_SEED & 0xFFFFFFFF, _SEED >> 32))
                                   for a, b, c in zip(x, y, z, strict=True)], np.uint64).T.astype(np.uint32),
         ("uint32",), domain="bits"),
    Case("tl.philox", _four(f"tl.philox({_SEED}, x, y, z, x)"),
         lambda x, y, z: np.array([philox((int(a), int(b), int(c), int(a)), (_SEED, 0), 64)
                                   for a, b, c in zip(x, y, z, strict=True)], np.uint64).T,
         ("uint64",), domain="bits"),
    Case("tl.philox_impl", _four("tl.philox_impl(x, y, z, x, y, z)"),
         lambda x, y, z: np.array([philox((int(a), int(b), int(c), int(a)), (int(b), int(c)), x.dtype.itemsize * 8)
                                   for a, b, c in zip(x, y, z, strict=True)], np.uint64).T.astype(x.dtype),
         ("uint32", "uint64"), domain="bits"),
    Case("tl.uint_to_uniform_float", "tl.uint_to_uniform_float(x)", lambda x, y, z: uniform(x), ("uint32", "int32"),
         "fp32", "bits"),
    Case("tl.pair_uniform_to_normal", "tl.pair_uniform_to_normal(x, y)[0]",
         lambda x, y, z: normal(x.astype(np.float32), y.astype(np.float32))[0], ("fp32",), domain="open", ulps=8),
]  # fmt: skip

# The other names of a function are tried with two types only.
_AGAIN = ("tl.tensor.", "tl.math.")
CASES: list[Case] = [
    replace(case, kinds=[kind for kind in case.kinds if kind in ("int32", "fp32")] or case.kinds)
    if case.name.startswith(_AGAIN) else case
    for case in (*ELEMENTWISE, *SHAPES, *REDUCTIONS, *RANDOM)
]  # fmt: skip
