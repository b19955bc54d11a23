"""SIMD engine: custom-0, funct3 100 (one source), 101 (two), 110 (reductions), and custom-2 (three)."""

from __future__ import annotations

from mtia.isa.table import extension

row = extension(
    "Xmtia SIMD engine",
    "Elementwise functions and reductions. Sources lie in LS or RE, destinations in LS (SPACE); all elementwise "
    "operands have the destination's shape or are immediates (SHAPE). When all sources are integers the function is "
    "computed in i64 and the result's low bits are kept; otherwise sources are converted to f32, the result is "
    "computed in f32 and converted to the destination. Conversions round to nearest even (or stochastically, by the "
    "destination's flag); float to integer truncates and saturates, NaN gives 0; fp8 saturates; NaNs become the "
    "quiet NaN. Comparisons give 1 or 0. A destination may be one of its own sources; sources that overlap it "
    "otherwise are undefined in order. Functions marked `float` do not take all-integer sources, those marked "
    "`integer` no floats (TYPE).",
    unit="se",
)

UNARY: tuple[tuple[str, str], ...] = (
    ("cvt", "d = a"),
    ("neg", "d = -a (floats: the sign bit is inverted)"),
    ("abs", "d = |a| (floats: the sign bit is cleared)"),
    ("exp", "d = e to the power a, within 0.51 ulp; float"),
    ("exp2", "d = 2 to the power a, within 0.51 ulp; float"),
    ("log", "d = natural logarithm of a, within 0.51 ulp; log(0) = -inf, a < 0 gives NaN; float"),
    ("log2", "d = base-2 logarithm of a, within 0.51 ulp; float"),
    ("sqrt", "d = square root of a, correctly rounded; float"),
    ("rsqrt", "d = 1 / square root of a, within 0.51 ulp; float"),
    ("rcp", "d = 1 / a, correctly rounded; float"),
    ("tanh", "d = hyperbolic tangent of a, within 0.51 ulp; float"),
    ("sigm", "d = 1 / (1 + e to the power -a), within 0.51 ulp; float"),
    ("erf", "d = error function of a, within 0.51 ulp; float"),
    ("gelu", "d = a · (1 + erf(a / √2)) / 2, within 0.51 ulp; float"),
    ("sin", "d = sine of a radians, within 0.51 ulp for every finite a; float"),
    ("cos", "d = cosine of a radians, within 0.51 ulp for every finite a; float"),
    ("floor", "d = the largest integral value not above a; float"),
    ("ceil", "d = the smallest integral value not below a; float"),
    ("rint", "d = the integral value nearest to a, ties to even; float"),
    ("relu", "d = a if a > 0, else 0; NaN stays NaN"),
    ("sqr", "d = a · a"),
    ("not", "d = 1 if a is 0, else 0"),
)
TABLE_FORMS: tuple[tuple[str, str], ...] = (
    ("exp", "2**n · T(f) with a·log2(e) = n + f; 64 segments on [0, 1)"),
    ("tanh", "256 segments on [-8, 8], the ends' values outside"),
    ("sigm", "256 segments on [-16, 16], the ends' values outside"),
    ("gelu", "256 segments on [-8, 8]; a above 8 gives a, below -8 gives 0"),
    ("log", "ln(2)·e + T(m) with a = 2**e · m; 64 segments on [1, 2)"),
)
BINARY: tuple[tuple[str, str], ...] = (
    ("add", "d = a + b"),
    ("sub", "d = a - b"),
    ("mul", "d = a · b"),
    ("div", "d = a / b; integers: truncated, and b = 0 gives -1"),
    ("max", "d = the larger, NaN if either is NaN, +0 above -0"),
    ("min", "d = the smaller, NaN if either is NaN, -0 below +0"),
    ("maxn", "d = the larger, the number if one is NaN, +0 above -0"),
    ("minn", "d = the smaller, the number if one is NaN, -0 below +0"),
    ("lt", "d = 1 if a < b, else 0"),
    ("le", "d = 1 if a <= b, else 0"),
    ("eq", "d = 1 if a = b, else 0"),
    ("ne", "d = 1 if a is not b (NaN differs from everything), else 0"),
    ("gt", "d = 1 if a > b, else 0"),
    ("ge", "d = 1 if a >= b, else 0"),
    ("and", "d = bitwise and; integer"),
    ("or", "d = bitwise or; integer"),
    ("xor", "d = bitwise exclusive or; integer"),
    ("pow", "d = a to the power b, within 0.51 ulp, special cases as IEEE 754 pow; float"),
    ("copysign", "d = |a| with the sign of b; float"),
)
REDUCTIONS: tuple[tuple[str, str], ...] = (
    ("rsum", "d[r, 0] = sum of a[r, ·]; f32: 32 partial sums from +0 (column c goes to partial c mod 32, ascending), "
     "then partial i += partial i + h for h = 16, 8, 4, 2, 1; integers exact modulo 2**64"),
    ("rmax", "d[r, 0] = the largest of a[r, ·], NaN if there is one, +0 above -0"),
    ("rmin", "d[r, 0] = the smallest of a[r, ·], NaN if there is one, -0 below +0"),
    ("csum", "d[0, c] = sum of a[·, c]; f32: from +0, rows ascending"),
    ("cmax", "d[0, c] = the largest of a[·, c], as rmax"),
    ("cmin", "d[0, c] = the smallest of a[·, c], as rmin"),
)  # fmt: skip
PREDICATES = ("lt", "le", "eq", "ne", "gt", "ge")
SIGNS = {"lt": "<", "le": "<=", "eq": "=", "ne": "≠", "gt": ">", "ge": ">="}
TABLE_CODE = 64  # funct7 of the first table form
MASK_CODE = 8

for code, (name, text) in enumerate(UNARY):
    row(f"xm.se.{name} d, a", f"{code:07b} 00000 a:td 100 d:td 0001011", text + ".", timing="se")
for code, (name, text) in enumerate(TABLE_FORMS, TABLE_CODE):
    row(
        f"xm.se.lut.{name} d, a",
        f"{code:07b} 00000 a:td 100 d:td 0001011",
        f"{name} of a from a table: {text}. Linear between entries; each the precise f32 value. Float.",
        timing="se",
    )
for code, (name, text) in enumerate(BINARY):
    row(f"xm.se.{name} d, a, b", f"{code:07b} b:td a:td 101 d:td 0001011", text + ".", timing="se")
for code, (name, text) in enumerate(REDUCTIONS):
    limit = "" if name.startswith("r") else " At most as many rows as the chip file says (SHAPE)."
    row(f"xm.se.{name} d, a", f"{code:07b} 00000 a:td 110 d:td 0001011", f"{text}.{limit}", timing="se")

row(
    "xm.se.mask d, gd",
    f"{MASK_CODE:07b} 00000 gd 110 d:td 0001011",
    "d[r, c] = 1 if (r, c) lies in the valid range of gd's last two dimensions (rank 1: columns only), else 0.",
    timing="se",
)
row(
    "xm.se.fma d, a, b, c",
    "c:td 00 b:td a:td 100 d:td 1011011",
    "d = a · b + c, floats rounded once.",
    timing="se",
)
row(
    "xm.se.sel d, a, b, c",
    "c:td 01 b:td a:td 100 d:td 1011011",
    "d = b if a is not 0, else c; computed in i64 when b and c are integers.",
    timing="se",
)
row(
    "xm.se.clamp d, a, b, c",
    "c:td 10 b:td a:td 100 d:td 1011011",
    "d = min(max(a, b), c), by the rules of max and min.",
    timing="se",
)
row(
    "xm.se.iota d, a, b, c",
    "c:td 11 b:td a:td 100 d:td 1011011",
    "d[r, c] = a · r + b · c + k with k the third source; integer.",
    timing="se",
)
row(
    "xm.se.quant d, a, b, c",
    "c:td 00 b:td a:td 101 d:td 1011011",
    "Quantise with scale b and zero point c: d = rint(a / b) + c in f32, then converted; d is i8, u8 or an 8-bit "
    "float, for which rint is left out; float.",
    timing="se",
)
row(
    "xm.se.dequant d, a, b, c",
    "c:td 01 b:td a:td 101 d:td 1011011",
    "d = (a - c) · b in f32.",
    timing="se",
)
for code, name in enumerate(PREDICATES):
    row(
        f"xm.se.mask.{name} d, a, b, c",
        f"c:td {code & 3:02b} b:td a:td {6 + (code >> 2):03b} d:td 1011011",
        f"d[r, c] = 1 if a · r + b · c + k {SIGNS[name]} 0 with k the third source, else 0; integer.",
        timing="se",
    )
