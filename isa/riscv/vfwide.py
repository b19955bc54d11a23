# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V, Zvfh, Zvfbfmin, Zvfbfwma: widening floating-point arithmetic and conversions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mtia.isa.lang import Fn, Ptr, boolean, fma, fn, from_bits, local, select, u32, u64, unlikely
from mtia.isa.riscv.convert import convert_fast
from mtia.isa.riscv.exact import NV, NX, RTZ, Number, integer_number, to_integer
from mtia.isa.riscv.floats import BF16, DOUBLE, HALF, SINGLE, Float, careful, flags_of, rounding
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import SIGNED, UNSIGNED, active, by_width, group, stepwise
from mtia.isa.riscv.vfloat import TOKENS, both, fold_steps
from mtia.isa.riscv.vint import formula
from mtia.isa.riscv.vlegal import READS_D, WIDE_ONE
from mtia.isa.riscv.vmask import at_start
from mtia.isa.state import Hart, Insn
from mtia.isa.table import Extension, extension

zvfbfmin = extension("Zvfbfmin", "bf16 as a storage format of vector code.")
zvfbfwma = extension("Zvfbfwma", "bf16 products added into fp32.")

_PAIRS = ((HALF, SINGLE), (SINGLE, DOUBLE))


# arithmetic


def exact_widen(t: Float, w: Float) -> Fn:
    """Bits of a narrow type as bits of the wide one; a signaling NaN sets NV."""
    convert, is_signaling = convert_fast(t, w), t.is_signaling

    @fn
    def op(h: Ptr[Hart], a: u64) -> u64:
        if is_signaling(a):
            h.fflags |= NV
        return convert(a)

    return op


def _wide2(t: Float, w: Float, how: str, double: bool, form: str) -> Fn:
    """Sum, difference or product in the wide type; `double`: vs2 is wide already."""
    first = w if double else t
    ra, rb, rw, ka, kb, kw, canonical = first.raw, t.raw, w.raw, first.kind, t.kind, w.kind, w.canonical
    widen, run = exact_widen(t, w), w.exact.fma
    one, sign = (1 << w.form.exponent - 1) - 1 << w.form.fraction, 1 << w.form.width - 1
    is_nan, product, minus = w.is_nan, how == "mul", how == "sub"

    @fn
    def fast(a: ra, b: rb, d: rw) -> rw:
        x = kw(from_bits(ka, a))
        y = kw(from_bits(kb, b))
        if how == "add":
            z = x + y
        elif how == "sub":
            z = x - y
        else:
            z = x * y
        return rw(canonical(z))

    @fn
    def slow(h: Ptr[Hart], i: Ptr[Insn], a: ra, b: rb, d: rw) -> rw:
        x = u64(a)
        if not double:
            x = widen(h, x)
        y = widen(h, u64(b))
        if product:
            return rw(run(x, y, (x ^ y) & sign, rounding(h, i), flags_of(h)))
        if minus and not is_nan(y):
            y ^= sign
        return rw(run(x, u64(one), y, rounding(h, i), flags_of(h)))

    return both(ra, rb, rw, fast, slow, form)


def _wide_fused(t: Float, w: Float, product: bool, addend: bool, form: str) -> Fn:
    """vs1 · vs2 + vd in the wide type, rounded once."""
    rt, rw, kt, kw, canonical, widen, run = t.raw, w.raw, t.kind, w.kind, w.canonical, exact_widen(t, w), w.exact.fma
    flip, flip_addend = (1 << t.form.width - 1) * product, (1 << w.form.width - 1) * addend

    @fn
    def fast(a: rt, b: rt, d: rw) -> rw:
        return rw(canonical(fma(kw(from_bits(kt, b ^ flip)), kw(from_bits(kt, a)), from_bits(kw, d ^ flip_addend))))

    @fn
    def slow(h: Ptr[Hart], i: Ptr[Insn], a: rt, b: rt, d: rw) -> rw:
        y = widen(h, u64(b ^ flip))
        return rw(run(y, widen(h, u64(a)), u64(d) ^ flip_addend, rounding(h, i), flags_of(h)))

    return both(rt, rt, rw, fast, slow, form)


def _by_pair(make: Callable[[Float, Float], Fn], shapes: tuple[int, int, int], form: str, how: int = 0) -> Fn:
    return by_width([None, *(make(t, w) for t, w in _PAIRS), None], shapes, form, floating=True, how=how)


for _form, (_token, _low) in TOKENS.items():
    for _name, _high, _how, _double, _timing, _text in (
        ("vfwadd.v", "110000", "add", False, "vfadd", "{2} + {1}, twice as wide"),
        ("vfwsub.v", "110010", "sub", False, "vfadd", "{2} - {1}, twice as wide"),
        ("vfwadd.w", "110100", "add", True, "vfadd", "wide {2} + {1}"),
        ("vfwsub.w", "110110", "sub", True, "vfadd", "wide {2} - {1}"),
        ("vfwmul.v", "111000", "mul", False, "vfmul", "{2} · {1}, twice as wide"),
    ):
        row(
            f"{_name}{_form} vd, vs2, {_token}[, vm]", f"{_high} vm vs2 {_token} {_low} vd 1010111",
            formula(_text, _form), timing=_timing,
            meaning=_by_pair(
                partial(_wide2, how=_how, double=_double, form=_form),
                (2, 2 if _double else 1, 1), _form,
            ),
        )  # fmt: skip
    for _name, _high, _product, _addend, _text in (
        ("vfwmacc", "111100", False, False, "{1} · {2} + vd[e]"),
        ("vfwnmacc", "111101", True, True, "-({1} · {2}) - vd[e]"),
        ("vfwmsac", "111110", False, True, "{1} · {2} - vd[e]"),
        ("vfwnmsac", "111111", True, False, "-({1} · {2}) + vd[e]"),
    ):
        row(
            f"{_name}.v{_form} vd, {_token}, vs2[, vm]", f"{_high} vm vs2 {_token} {_low} vd 1010111",
            formula(_text + ", twice as wide, rounded once", _form), timing="vfma", reads=("vd",),
            meaning=_by_pair(
                partial(_wide_fused, product=_product, addend=_addend, form=_form), (2, 1, 1), _form, READS_D
            ),
        )  # fmt: skip


def _fold(t: Float, w: Float) -> Fn:
    rt, rw, kt, kw, canonical, run, widen = t.raw, w.raw, t.kind, w.kind, w.canonical, w.exact.fma, exact_widen(t, w)
    one = (1 << w.form.exponent - 1) - 1 << w.form.fraction

    @fn
    def slow(h: Ptr[Hart], i: Ptr[Insn], a: rw, b: rt, d: rw) -> rw:
        return rw(run(u64(a), u64(one), widen(h, u64(b)), rounding(h, i), flags_of(h)))

    steps = fold_steps(rt, rw, slow)

    @fn
    def run_reduction(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        if unlikely(careful(h, i)):
            steps(h, i)
            return
        a = Ptr[rt](group(h, i.rs2))
        found = from_bits(kw, Ptr[rw](group(h, i.rs1))[0])
        any_active = boolean(False)
        for e in range(h.vl):
            if active(h, i, e):
                found = found + kw(from_bits(kt, a[e]))
                any_active = True
        if any_active:
            Ptr[rw](group(h, i.rd))[0] = rw(canonical(found))
        elif h.vl != 0:
            Ptr[rw](group(h, i.rd))[0] = Ptr[rw](group(h, i.rs1))[0]

    return run_reduction


for _name, _high in (("vfwredusum", "110001"), ("vfwredosum", "110011")):
    row(
        f"{_name}.vs vd, vs2, vs1[, vm]", f"{_high} vm vs2 vs1 001 vd 1010111",
        "vd[0] = sum of vs1[0] and the active vs2[e], e ascending, twice as wide.", timing="vfred", reads=("vd",),
        meaning=at_start(_by_pair(_fold, (WIDE_ONE, 1, WIDE_ONE), "v")),
    )  # fmt: skip


# conversions


def _float_to_integer(t: Float, kind: Any, rtz: bool) -> Fn:
    """Elements of a float type to integers of any width; the exact conversion serves every mode."""
    raw, unpack, width, signed = t.raw, t.exact.unpack, kind.width, kind.signed

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: raw, b: raw, d: kind) -> kind:
        x = local(Number, 1)
        unpack(u64(a), x)
        if rtz:
            return kind(to_integer(x, signed, width, RTZ, flags_of(h)))
        return kind(to_integer(x, signed, width, rounding(h, i), flags_of(h)))

    return stepwise(raw, raw, kind, op, "x")


def _integer_to_float(kind: Any, t: Float) -> Fn:
    """Integers to a float type: the exact conversion off the fast path."""
    raw, to, canonical, slow = t.raw, t.kind, t.canonical, t.exact.from_number
    direct = t is not HALF or kind.width <= 16

    @fn
    def exactly(h: Ptr[Hart], i: Ptr[Insn], a: kind, b: kind, d: raw) -> raw:
        x = local(Number, 1)
        wide = u64(a)
        integer_number(a < 0, select(a < 0, 0 - wide, wide), x)
        return raw(slow(x, rounding(h, i), flags_of(h)))

    if not direct:
        return stepwise(kind, kind, raw, exactly, "x")

    @fn
    def fast(a: kind, b: kind, d: raw) -> raw:
        return raw(canonical(to(a)))

    return both(kind, kind, raw, fast, exactly, "x")


def _float_to_float(t: Float, w: Float, odd: bool = False) -> Fn:
    """Between formats; `odd` rounds towards zero and makes an inexact result odd."""
    rt, rw, convert, unpack, slow = t.raw, w.raw, convert_fast(t, w), t.exact.unpack, w.exact.from_number

    @fn
    def fast(a: rt, b: rt, d: rw) -> rw:
        return rw(convert(u64(a)))

    @fn
    def exactly(h: Ptr[Hart], i: Ptr[Insn], a: rt, b: rt, d: rw) -> rw:
        x = local(Number, 1)
        unpack(u64(a), x)
        if odd:
            flags = local(u32, 1)
            result = slow(x, RTZ, flags)
            h.fflags |= flags[0]
            if flags[0] & NX != 0:
                result |= 1
            return rw(result)
        return rw(slow(x, rounding(h, i), flags_of(h)))

    if odd:
        return stepwise(rt, rt, rw, exactly, "x")
    return both(rt, rt, rw, fast, exactly, "x")


def _unary(name: str, code: str, text: str, runs: list[Fn | None], shapes: tuple[int, int, int],
           declare: Extension = row) -> None:  # fmt: skip
    declare(
        f"{name} vd, vs2[, vm]", f"010010 vm vs2 {code} 001 vd 1010111", f"vd[e] = {text}, for active e.",
        timing="vfcvt", meaning=by_width(runs, shapes, "x", floating=True),
    )  # fmt: skip


_OF_WIDTH = {16: HALF, 32: SINGLE, 64: DOUBLE}


def _to_integers(scale: int, kinds: Any, rtz: bool) -> list[Fn | None]:
    """Runs by element width for float to integer; scale 0 same width, 1 widening, -1 narrowing."""
    runs: list[Fn | None] = []
    for place in range(4):
        source, target = place + (scale < 0), place + (scale > 0)
        t = _OF_WIDTH.get(8 << source)
        runs.append(_float_to_integer(t, kinds[target], rtz) if t and target < 4 else None)
    return runs


def _to_floats(scale: int, kinds: Any) -> list[Fn | None]:
    runs: list[Fn | None] = []
    for place in range(4):
        source, target = place + (scale < 0), place + (scale > 0)
        t = _OF_WIDTH.get(8 << target)
        runs.append(_integer_to_float(kinds[source], t) if t and source < 4 else None)
    return runs


for _prefix, _base, _scale, _shapes, _tail, _how in (
    ("vfcvt", 0, 0, (1, 1, 0), "v", ""),
    ("vfwcvt", 8, 1, (2, 1, 0), "v", ", twice as wide"),
    ("vfncvt", 16, -1, (1, 2, 0), "w", ", half as wide"),
):
    for _letter, _kinds, _place in (("xu", UNSIGNED, 0), ("x", SIGNED, 1)):
        _unary(
            f"{_prefix}.{_letter}.f.{_tail}", f"{_base + _place:05b}",
            f"vs2[e] rounded to an integer{_how}", _to_integers(_scale, _kinds, False), _shapes,
        )  # fmt: skip
        _unary(
            f"{_prefix}.rtz.{_letter}.f.{_tail}", f"{_base + _place + 6:05b}",
            f"vs2[e] truncated to an integer{_how}", _to_integers(_scale, _kinds, True), _shapes,
        )  # fmt: skip
        _unary(
            f"{_prefix}.f.{_letter}.{_tail}", f"{_base + _place + 2:05b}",
            f"the integer vs2[e] as a float{_how}", _to_floats(_scale, _kinds), _shapes,
        )  # fmt: skip
_unary(
    "vfwcvt.f.f.v", "01100", "vs2[e], twice as wide",
    [None, *(_float_to_float(t, w) for t, w in _PAIRS), None], (2, 1, 0),
)  # fmt: skip
_unary(
    "vfncvt.f.f.w", "10100", "vs2[e], half as wide",
    [None, *(_float_to_float(w, t) for t, w in _PAIRS), None], (1, 2, 0),
)  # fmt: skip
_unary(
    "vfncvt.rod.f.f.w", "10101", "vs2[e], half as wide, rounded to odd",
    [None, *(_float_to_float(w, t, True) for t, w in _PAIRS), None], (1, 2, 0),
)  # fmt: skip
_unary(
    "vfwcvtbf16.f.f.v", "01101", "vs2[e] from bf16 to fp32", [None, _float_to_float(BF16, SINGLE), None, None],
    (2, 1, 0), zvfbfmin,
)  # fmt: skip
_unary(
    "vfncvtbf16.f.f.w", "11101", "vs2[e] from fp32 to bf16", [None, _float_to_float(SINGLE, BF16), None, None],
    (1, 2, 0), zvfbfmin,
)  # fmt: skip
for _form, (_token, _low) in TOKENS.items():
    zvfbfwma(
        f"vfwmaccbf16.v{_form} vd, {_token}, vs2[, vm]", f"111011 vm vs2 {_token} {_low} vd 1010111",
        formula("{1} · {2} + vd[e], bf16 into fp32, rounded once", _form), timing="vfma", reads=("vd",),
        meaning=by_width(
            [None, _wide_fused(BF16, SINGLE, False, False, "b" if _form == "f" else "v"), None, None], (2, 1, 1), _form,
            floating=True, how=READS_D,
        ),
    )  # fmt: skip
