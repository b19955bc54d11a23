"""What every command of the SIMD engine does, in plain numpy; nothing of the machine is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import Cause, DType, Flag, Form, Space
from mtia.tools.verify.function_oracles import LUT_BASES, ORACLES, within
from mtia.tools.verify.xmtia_operands import Operand, Refused, Result, Statement, need
from mtia.tools.verify.xmtia_values import (
    INTEGERS,
    Array,
    as_f32,
    as_i64,
    fma32,
    from_f32,
    from_i64,
    has_type,
    stochastic,
)

__all__ = [
    "BINARY", "NONLINEAR", "REDUCED", "SIMD", "TERNARY", "UNARY", "check_source", "check_target", "compute",
    "put_plain", "reduced", "spread",
]  # fmt: skip

SLACK = 0.01  # of an f32 ulp, above the half that every rounding costs: the manual's 0.51


def largest(a: Array, b: Array) -> Array:
    """The larger; +0 is above -0."""
    return np.where(a == b, np.where(np.signbit(a), b, a), np.where(a > b, a, b))


def smallest(a: Array, b: Array) -> Array:
    """The smaller; -0 is below +0."""
    return np.where(a == b, np.where(np.signbit(a), a, b), np.where(a < b, a, b))


def with_nan(f: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """NaN if either is NaN."""
    return lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.float32(np.nan), f(a, b))


def of_numbers(f: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """The number if one is NaN."""
    return lambda a, b: np.where(np.isnan(a), b, np.where(np.isnan(b), a, f(a, b)))


MAX, MIN, MAXN, MINN = with_nan(largest), with_nan(smallest), of_numbers(largest), of_numbers(smallest)


def divide(a: Array, b: Array) -> Array:
    """Truncated quotient modulo 2**64, -1 for a divisor of 0."""
    out = [(-1 if y == 0 else (abs(x) // abs(y)) * (1 if (x < 0) == (y < 0) else -1)) & (1 << 64) - 1
           for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)]  # fmt: skip
    return np.array(out, np.uint64).view(np.int64).reshape(a.shape)


def signed_like(a: Array, b: Array) -> Array:
    return np.copysign(np.abs(a), np.where(np.isnan(b), np.float32(1.0), b))


# name: on f32 (None: integers only), on i64 (None: floats only)
Pair = tuple[Callable[..., Array] | None, Callable[..., Array] | None]
UNARY: dict[str, Pair] = {
    "cvt": (lambda a: a, lambda a: a),
    "neg": (lambda a: -a, lambda a: -a),
    "abs": (np.abs, np.abs),
    "sqrt": (np.sqrt, None),
    "rcp": (lambda a: np.float32(1.0) / a, None),
    "floor": (np.floor, None),
    "ceil": (np.ceil, None),
    "rint": (np.rint, None),
    "relu": (lambda a: np.where(a <= 0, np.float32(0.0), a), lambda a: np.maximum(a, 0)),
    "sqr": (lambda a: a * a, lambda a: a * a),
    "not": (lambda a: (a == 0).astype(np.float32), lambda a: (a == 0).astype(np.int64)),
}
BINARY: dict[str, Pair] = {
    "add": (np.add, np.add),
    "sub": (np.subtract, np.subtract),
    "mul": (np.multiply, np.multiply),
    "div": (np.divide, divide),
    "max": (MAX, np.maximum),
    "min": (MIN, np.minimum),
    "maxn": (MAXN, np.maximum),
    "minn": (MINN, np.minimum),
    "lt": (np.less, np.less),
    "le": (np.less_equal, np.less_equal),
    "eq": (np.equal, np.equal),
    "ne": (np.not_equal, np.not_equal),
    "gt": (np.greater, np.greater),
    "ge": (np.greater_equal, np.greater_equal),
    "and": (None, np.bitwise_and),
    "or": (None, np.bitwise_or),
    "xor": (None, np.bitwise_xor),
    "copysign": (signed_like, None),
}
TERNARY: dict[str, Pair] = {
    "fma": (fma32, lambda a, b, c: a * b + c),
    "sel": (lambda a, b, c: np.where(a != 0, b, c), lambda a, b, c: np.where(a != 0, b, c)),
    "clamp": (lambda a, b, c: MIN(MAX(a, b), c), lambda a, b, c: np.minimum(np.maximum(a, b), c)),
    "quant": (lambda a, b, c: np.rint(a / b) + c, None),
    "dequant": (lambda a, b, c: (a - c) * b, None),
}
COMPARED = {"lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal, "gt": np.greater,
            "ge": np.greater_equal}  # fmt: skip


def check_elementwise(chip: Chip, operands: Sequence[Operand]) -> None:
    """What every elementwise command asks of its operands."""
    target, *sources = operands
    check_target(chip, target)
    need(not target.flags & Flag.STOCHASTIC or bool(chip.se.stochastic), Cause.TYPE)
    for source in sources:
        check_source(chip, source, target.shape)


def check_target(chip: Chip, target: Operand) -> None:
    need(target.space == Space.LS, Cause.SPACE)
    need(has_type(chip, target.dtype), Cause.TYPE)


def check_source(chip: Chip, source: Operand, shape: tuple[int, int]) -> None:
    need(source.form != Form.GLOBAL, Cause.FORM)
    need(source.form == Form.IMMEDIATE or source.shape == shape, Cause.SHAPE)
    need(has_type(chip, source.dtype), Cause.TYPE)


def spread(operand: Operand, shape: tuple[int, int]) -> Array:
    """The elements of an operand over a shape."""
    return np.broadcast_to(operand.raw, shape)


def floats_of(operands: Sequence[Operand]) -> list[Array]:
    target, *sources = operands
    return [as_f32(spread(s, target.shape), s.dtype) for s in sources]


def put(x: Array, target: Operand) -> Array:
    """f32 or i64 results as bits of the destination."""
    if x.dtype == np.int64:
        return from_i64(x, target.dtype)
    if target.flags & Flag.STOCHASTIC:
        return stochastic(x, target.dtype, target.seed)
    return from_f32(x, target.dtype)


def compute(pair: Pair, chip: Chip, operands: Sequence[Operand], whole: bool) -> Array:
    """An elementwise command on i64 (all sources are integers) or on f32."""
    target, *sources = operands
    function = pair[1] if whole else pair[0]
    if function is None:
        raise Refused(Cause.TYPE)
    with np.errstate(all="ignore"):
        if whole:
            parts = [as_i64(spread(s, target.shape), s.dtype) for s in sources]
            return put(np.asarray(function(*parts)).astype(np.int64), target)
        return put(np.asarray(function(*floats_of(operands))).astype(np.float32), target)


def elementwise(pair: Pair) -> Statement:
    def statement(chip: Chip, operands: Sequence[Operand]) -> Result:
        check_elementwise(chip, operands)
        return compute(pair, chip, operands, all(s.dtype in INTEGERS for s in operands[1:]))

    return statement


def select_statement(chip: Chip, operands: Sequence[Operand]) -> Result:
    """sel: integer when b and c are; a must be one then."""
    check_elementwise(chip, operands)
    whole = all(s.dtype in INTEGERS for s in operands[2:])
    need(not whole or operands[1].dtype in INTEGERS, Cause.TYPE)
    return compute(TERNARY["sel"], chip, operands, whole)


def scaled(name: str) -> Statement:
    """quant and dequant: floats only; 8-bit integers where the chip quantises; quant into a float does not round."""

    def statement(chip: Chip, operands: Sequence[Operand]) -> Result:
        check_target(chip, operands[0])
        narrow = operands[0] if name == "quant" else operands[1]
        need(narrow.dtype not in (DType.I8, DType.U8) or bool(chip.se.int8), Cause.TYPE)
        check_elementwise(chip, operands)
        need(not all(s.dtype in INTEGERS for s in operands[1:]), Cause.TYPE)
        pair = TERNARY[name]
        if name == "quant" and operands[0].dtype not in INTEGERS:
            pair = (lambda a, b, c: a / b + c, None)
        return compute(pair, chip, operands, False)

    return statement


def nonlinear(name: str) -> Statement:
    """A function within its bound: the destination holds one of the two f32 next to it, converted."""

    def statement(chip: Chip, operands: Sequence[Operand]) -> Result:
        check_elementwise(chip, operands)
        need(not all(s.dtype in INTEGERS for s in operands[1:]), Cause.TYPE)
        with np.errstate(all="ignore"):
            low, high = within(ORACLES[name](*(x.astype(np.float64) for x in floats_of(operands))), SLACK)
            return put(low, operands[0]), put(high, operands[0])

    return statement


def table_form(name: str) -> Callable[[Array], Array]:
    """A LUT function on f32: every step rounds to f32, entries are the f32 nearest to the function."""
    f32 = np.float32
    low, high, segments = {"exp": (0, 1, 64), "log": (1, 2, 64), "gelu": (-8, 8, 256), "tanh": (-8, 8, 256),
                           "sigm": (-16, 16, 256)}[name]  # fmt: skip
    function = ORACLES["exp2" if name == "exp" else name]

    def entry(k: Array) -> Array:
        at = k.astype(f32) * f32((high - low) / segments) + f32(low)
        return function(at.astype(np.float64)).astype(f32)

    def linear(x: Array) -> Array:
        inside = np.where(x > low, np.where(x < high, x, f32(high)), f32(low))
        position = (inside - f32(low)) * f32(segments / (high - low))
        k = np.minimum(np.floor(position), f32(segments - 1))
        left = entry(k)
        return np.where(np.isnan(x), x, fma32(position - k, entry(k + f32(1)) - left, left))

    def value(x: Array) -> Array:
        if name == "exp":
            t = np.clip(x * f32(1.4426950408889634), f32(-300), f32(300))
            n = np.floor(t)
            return (linear(t - n).astype(np.float64) * np.exp2(n.astype(np.float64))).astype(f32)
        if name == "log":
            mantissa, exponent = np.frexp(np.where(x > 0, x, f32(1)).astype(np.float64))
            y = fma32((exponent - 1).astype(f32), np.full_like(x, np.log(2.0)), linear((2 * mantissa).astype(f32)))
            y = np.where(x > 0, np.where(np.isinf(x), x, y), np.where(x == 0, f32(-np.inf), f32(np.nan)))
            return np.where(np.isnan(x), x, y)
        if name == "gelu":
            return np.where(x > 8, x, np.where(x < -8, f32(0), linear(x)))
        return linear(x)

    return value


def reduction(kind: str, by_row: bool) -> Statement:
    """A row or column reduction: on i64 for integers, else on f32."""

    def statement(chip: Chip, operands: Sequence[Operand]) -> Result:
        target, source = operands
        check_target(chip, target)
        check_source(chip, source, source.shape)
        need(source.form == Form.LOCAL, Cause.FORM)
        rows, cols = source.shape
        need(target.shape == ((rows, 1) if by_row else (1, cols)), Cause.SHAPE)
        need(by_row or rows <= chip.se.reduce_rows, Cause.SHAPE)
        return put_plain(reduced(kind, by_row, source), target)

    return statement


def put_plain(x: Array, target: Operand) -> Array:
    """Results to the nearest value whatever the destination's flags."""
    return from_i64(x, target.dtype) if x.dtype == np.int64 else from_f32(x, target.dtype)


def reduced(kind: str, by_row: bool, source: Operand) -> Array:
    whole = source.dtype in INTEGERS
    x = (as_i64 if whole else as_f32)(source.raw, source.dtype)
    axis = 1 if by_row else 0
    with np.errstate(all="ignore"):
        if kind == "sum":
            return x.sum(axis=axis, keepdims=True) if whole else (row_sums(x) if by_row else column_sums(x))
        if whole:
            return (np.max if kind.startswith("max") else np.min)(x, axis=axis, keepdims=True)
        combine = {"max": MAX, "min": MIN, "maxn": MAXN, "minn": MINN}[kind]
        parts = np.split(x, x.shape[axis], axis=axis)
        value = parts[0]
        for part in parts[1:]:
            value = combine(value, part)
        return value


def row_sums(x: Array) -> Array:
    """32 partial sums from +0, column c to partial c mod 32, then halves added."""
    partial = np.zeros((x.shape[0], 32), np.float32)
    for c in range(x.shape[1]):
        partial[:, c % 32] += x[:, c]
    for half in (16, 8, 4, 2, 1):
        partial = partial[:, :half] + partial[:, half : 2 * half]
    return partial


def column_sums(x: Array) -> Array:
    """From +0, rows ascending."""
    total = np.zeros((1, x.shape[1]), np.float32)
    for row in x:
        total = total + row
    return total


def affine(compare: str | None) -> Statement:
    """iota, or its comparison with 0."""

    def statement(chip: Chip, operands: Sequence[Operand]) -> Result:
        target, *sources = operands
        check_target(chip, target)
        for source in sources:
            check_source(chip, source, target.shape)
            need(source.dtype in INTEGERS, Cause.TYPE)
        a, b, k = (as_i64(spread(s, target.shape), s.dtype) for s in sources)
        r, c = np.indices(target.shape)
        with np.errstate(all="ignore"):
            value = a * r + b * c + k
        return from_i64(COMPARED[compare](value, 0).astype(np.int64) if compare else value, target.dtype)

    return statement


def valid_mask(chip: Chip, operands: Sequence[Operand]) -> Result:
    """se.mask: the valid ranges of the last two dimensions, of rank 1 the columns'."""
    target, remote = operands
    check_target(chip, target)
    need(remote.form == Form.GLOBAL, Cause.FORM)
    r, c = np.indices(target.shape)
    inside = (c >= remote.valid[-1][0]) & (c < remote.valid[-1][1])
    if len(remote.valid) > 1:
        inside &= (r >= remote.valid[-2][0]) & (r < remote.valid[-2][1])
    return from_i64(inside.astype(np.int64), target.dtype)


NONLINEAR = [name for name in ORACLES if name not in UNARY]
REDUCED = [(by + kind, kind, by == "r") for by in "rc" for kind in ("sum", "max", "min", "maxn", "minn")]
SIMD: dict[str, Statement] = {
    **{f"xm.se.{name}": elementwise(pair) for table in (UNARY, BINARY, TERNARY) for name, pair in table.items()},
    **{f"xm.se.{name}": nonlinear(name) for name in NONLINEAR},
    **{f"xm.se.lut.{name}": elementwise((table_form(name), None)) for name in LUT_BASES},
    **{f"xm.se.{name}": reduction(kind, by_row) for name, kind, by_row in REDUCED},
    **{f"xm.se.mask.{name}": affine(name) for name in COMPARED},
    "xm.se.sel": select_statement, "xm.se.quant": scaled("quant"), "xm.se.dequant": scaled("dequant"),
    "xm.se.iota": affine(None), "xm.se.mask": valid_mask,
}  # fmt: skip
