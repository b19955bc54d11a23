"""SIMD engine: custom-0, funct3 100 (one source), 101 (two), 110 (reductions), and custom-2 (three)."""

from __future__ import annotations

from typing import Any

from mtia.isa.table import extension
from mtia.isa.xmtia.accuracy import LUT_BOUNDS
from mtia.isa.xmtia.se_functions import BINARY, PREDICATES, TABLES, TERNARY, UNARY
from mtia.isa.xmtia.simd import (
    affine_command,
    apply_binary,
    apply_table,
    apply_ternary,
    apply_unary,
    cycles,
    dequant_command,
    elementwise_command,
    mask_command,
    quant_command,
    reduction,
)  # fmt: skip

__all__ = ["TIMINGS"]

ROW_SUMS = (
    "f32: 32 partial sums from +0 (column c goes to partial c mod 32, ascending), then partial i += partial i + h for "
    "h = 16, 8, 4, 2, 1; integers exact modulo 2**64"
)
LARGEST = "NaN if there is one, +0 above -0"
SMALLEST = "NaN if there is one, -0 below +0"
LIMIT = " At most as many rows as the chip file says (SHAPE)."
NUMBER = "of the numbers in {}, NaN if there is none"
# (name, funct7, kind of reduce.py, by row, text)
REDUCTIONS: tuple[tuple[str, int, int, bool, str], ...] = (
    ("rsum", 0, 0, True, f"d[r, 0] = sum of a[r, ·]; {ROW_SUMS}."),
    ("rmax", 1, 1, True, f"d[r, 0] = the largest of a[r, ·], {LARGEST}."),
    ("rmin", 2, 2, True, f"d[r, 0] = the smallest of a[r, ·], {SMALLEST}."),
    ("csum", 3, 0, False, f"d[0, c] = sum of a[·, c]; f32: from +0, rows ascending; integers exact.{LIMIT}"),
    ("cmax", 4, 1, False, f"d[0, c] = the largest of a[·, c], {LARGEST}.{LIMIT}"),
    ("cmin", 5, 2, False, f"d[0, c] = the smallest of a[·, c], {SMALLEST}.{LIMIT}"),
    ("rmaxn", 6, 3, True, f"d[r, 0] = the largest {NUMBER.format('a[r, ·]')}, +0 above -0."),
    ("rminn", 7, 4, True, f"d[r, 0] = the smallest {NUMBER.format('a[r, ·]')}, -0 below +0."),
    ("cmaxn", 9, 3, False, f"d[0, c] = the largest {NUMBER.format('a[·, c]')}, +0 above -0.{LIMIT}"),
    ("cminn", 10, 4, False, f"d[0, c] = the smallest {NUMBER.format('a[·, c]')}, -0 below +0.{LIMIT}"),
)
TABLE_CODE = 64  # funct7 of the first table form
MASK_CODE = 8
TERNARY_CODES = {"fma": (4, 0), "sel": (4, 1), "clamp": (4, 2), "quant": (5, 0), "dequant": (5, 1)}  # funct3, fmt
NO_BYTES = " An 8-bit integer traps on chips without int8 quantisation (TYPE)."
SCALED: dict[str, tuple[str, Any]] = {
    "quant": (" With a float d, rint is left out." + NO_BYTES, quant_command),
    "dequant": (NO_BYTES, dequant_command),
}
TIMINGS: dict[str, Any] = {}

row = extension(
    "Xmtia SIMD engine",
    "Elementwise functions and reductions. Sources lie in LS or RE, destinations in LS (SPACE); all elementwise "
    "operands have the destination's shape or are immediates (SHAPE). When all sources are integers the function is "
    "computed in i64 and the result's low bits are kept; otherwise sources are converted to f32, the result is "
    "computed in f32 and converted to the destination. Conversions round to nearest even, or "
    "stochastically into a destination with flag 1 (elementwise functions and re.drain; chips without it trap, TYPE): "
    "element n, counted row by row, takes the word w = mix(seed + n) and adds to its magnitude as many high bits of w "
    "as the conversion cuts off (24 below the normal range of f16 and 8-bit floats) before it cuts; mix(x): "
    "x ^= x >> 16, x *= 0x7FEB352D, x ^= x >> 15, x *= 0x846CA68B, x ^= x >> 16, modulo 2**32. Only f32 results that "
    "become f16, bf16 or 8-bit floats are rounded so; an i64 result becomes a float by way of f32, to nearest even. "
    "Float to integer truncates and saturates, NaN gives 0; 8-bit floats saturate, infinities too. u64 is read as i64, "
    "also where it becomes f32. A destination may be one of its own sources, seen through the same view; sources that "
    "overlap it otherwise are undefined in order. Functions marked `float` do "
    "not take all-integer sources, those marked `integer` no floats (TYPE).",
    unit="se",
)


def _declare(syntax: str, encoding: str, text: str, meaning: Any, operand: int = 0, precise: bool = False) -> None:
    row(syntax, encoding, text, timing="se", meaning=meaning)
    TIMINGS[syntax.partition(" ")[0]] = cycles(operand, precise)


for code, function in enumerate(UNARY):
    _declare(
        f"xm.se.{function.name} d, a",
        f"{code:07b} 00000 a:td 100 d:td 0001011",
        function.text,
        elementwise_command(apply_unary, code, function),
        precise=function.precise,
    )
for code, function in enumerate(TABLES):
    _declare(
        f"xm.se.lut.{function.name} d, a",
        f"{TABLE_CODE + code:07b} 00000 a:td 100 d:td 0001011",
        f"{function.name} of a by a table, linear between entries that are the precise f32 values: {function.text} The "
        f"error is at most {LUT_BOUNDS[function.name]:.1e}{' of the value' if function.name == 'exp' else ''}.",
        elementwise_command(apply_table, code, function),
    )
for code, function in enumerate(BINARY):
    _declare(
        f"xm.se.{function.name} d, a, b",
        f"{code:07b} b:td a:td 101 d:td 0001011",
        function.text,
        elementwise_command(apply_binary, code, function),
        precise=function.precise,
    )
for name, code, kind, by_row, text in REDUCTIONS:
    _declare(
        f"xm.se.{name} d, a",
        f"{code:07b} 00000 a:td 110 d:td 0001011",
        text,
        reduction(kind, by_row),
        operand=1,
    )
_declare(
    "xm.se.mask d, gd",
    f"{MASK_CODE:07b} 00000 gd 110 d:td 0001011",
    "d[r, c] = 1 if (r, c) lies in the valid range [lo, hi) of gd's last two dimensions (rank 1: columns only), else "
    "0; sizes do not matter.",
    mask_command,
)
for code, function in enumerate(TERNARY):
    if function.name not in TERNARY_CODES:
        continue
    funct3, form = TERNARY_CODES[function.name]
    note, meaning = SCALED.get(function.name, ("", None))
    _declare(
        f"xm.se.{function.name} d, a, b, c",
        f"c:td {form:02b} b:td a:td {funct3:03b} d:td 1011011",
        function.text + note,
        meaning or elementwise_command(apply_ternary, code, function),
    )
_declare(
    "xm.se.iota d, a, b, c",
    "c:td 11 b:td a:td 100 d:td 1011011",
    "d[r, c] = a · r + b · c + k with k the third source; integer.",
    affine_command(0),
)
for code, (name, sign) in enumerate(PREDICATES):
    _declare(
        f"xm.se.mask.{name} d, a, b, c",
        f"c:td {code & 3:02b} b:td a:td {6 + (code >> 2):03b} d:td 1011011",
        f"d[r, c] = 1 if a · r + b · c + k {sign} 0 with k the third source, else 0; integer.",
        affine_command(1 + code),
    )
