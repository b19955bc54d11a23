# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V: integer widening and narrowing, sign and zero extension, fixed point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.isa.lang import Fn, Ptr, fn, i64, mulhs, select, u32, u64
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import SIGNED, UNSIGNED, by_width, lanewise, stepwise
from mtia.isa.riscv.vint import FORMS, formula, operand
from mtia.isa.riscv.vlegal import READS_D
from mtia.isa.state import Hart, Insn

Make = Callable[[Any, Any, Any], Fn]


def _wide(kind: str, place: int) -> Any:
    """The type of `u`nsigned or `s`igned elements by log2 of their bytes."""
    return (UNSIGNED if kind == "u" else SIGNED)[place]


def wadd(a_: Any, b_: Any, w: Any) -> Fn:
    @fn
    def op(a: a_, b: b_, d: w) -> w:
        return w(a) + w(b)

    return op


def wsub(a_: Any, b_: Any, w: Any) -> Fn:
    @fn
    def op(a: a_, b: b_, d: w) -> w:
        return w(a) - w(b)

    return op


def wmul(a_: Any, b_: Any, w: Any) -> Fn:
    @fn
    def op(a: a_, b: b_, d: w) -> w:
        return w(a) * w(b)

    return op


def wmacc(a_: Any, b_: Any, w: Any) -> Fn:
    @fn
    def op(a: a_, b: b_, d: w) -> w:
        return d + w(a) * w(b)

    return op


def _widen(make: Make, first: str, second: str, double_first: bool, form: str, how: int = 0) -> Fn:
    """Results of twice the element width; `first` and `second` are u or s; vs2 may be wide already."""
    runs: list[Fn | None] = []
    for place in range(3):
        a = _wide(first, place + double_first)
        b, w = _wide(second, place), _wide("s", place + 1)
        runs.append(lanewise(a, b, w, make(a, b, w), form))
    return by_width([*runs, None], (2, 2 if double_first else 1, 1), form, how=how)


_WIDENING: tuple[tuple[str, str, Make, str, str, bool, str, str], ...] = (
    ("vwaddu.v", "110000", wadd, "u", "u", False, "valu", "{2} + {1}, unsigned, twice as wide"),
    ("vwadd.v", "110001", wadd, "s", "s", False, "valu", "{2} + {1}, signed, twice as wide"),
    ("vwsubu.v", "110010", wsub, "u", "u", False, "valu", "{2} - {1}, unsigned, twice as wide"),
    ("vwsub.v", "110011", wsub, "s", "s", False, "valu", "{2} - {1}, signed, twice as wide"),
    ("vwaddu.w", "110100", wadd, "u", "u", True, "valu", "wide {2} + {1}, unsigned"),
    ("vwadd.w", "110101", wadd, "s", "s", True, "valu", "wide {2} + {1}, signed"),
    ("vwsubu.w", "110110", wsub, "u", "u", True, "valu", "wide {2} - {1}, unsigned"),
    ("vwsub.w", "110111", wsub, "s", "s", True, "valu", "wide {2} - {1}, signed"),
    ("vwmulu.v", "111000", wmul, "u", "u", False, "vmul", "{2} · {1}, unsigned, twice as wide"),
    ("vwmulsu.v", "111010", wmul, "s", "u", False, "vmul", "signed {2} · unsigned {1}, twice as wide"),
    ("vwmul.v", "111011", wmul, "s", "s", False, "vmul", "{2} · {1}, signed, twice as wide"),
)
for _name, _high, _make, _first, _second, _double, _timing, _text in _WIDENING:
    for _form in "vx":
        row(
            f"{_name}{_form} vd, vs2, {FORMS[_form][0]}[, vm]",
            f"{_high} vm vs2 {FORMS[_form][0]} {FORMS[_form][2]} vd 1010111", formula(_text, _form),
            timing=_timing, meaning=_widen(_make, _first, _second, _double, _form),
        )  # fmt: skip
for _name, _high, _first, _second, _forms, _text in (
    ("vwmaccu", "111100", "u", "u", "vx", "vd[e] + {1} · {2}, unsigned, twice as wide"),
    ("vwmacc", "111101", "s", "s", "vx", "vd[e] + {1} · {2}, signed, twice as wide"),
    ("vwmaccus", "111110", "s", "u", "x", "vd[e] + unsigned {1} · signed {2}, twice as wide"),
    ("vwmaccsu", "111111", "u", "s", "vx", "vd[e] + signed {1} · unsigned {2}, twice as wide"),
):
    for _form in _forms:
        row(
            f"{_name}.v{_form} vd, {FORMS[_form][0]}, vs2[, vm]",
            f"{_high} vm vs2 {FORMS[_form][0]} {FORMS[_form][2]} vd 1010111", formula(_text, _form),
            timing="vmac", reads=("vd",), meaning=_widen(wmacc, _first, _second, False, _form, READS_D),
        )  # fmt: skip


# narrowing shifts and extensions


def _narrow_shift(w: Any, n: Any) -> Fn:
    mask = w.width - 1

    @fn
    def op(a: w, b: n, d: n) -> n:
        return n(a >> (w(b) & mask))

    return op


for _name, _high, _kinds, _text in (
    ("vnsrl", "101100", UNSIGNED, "wide {2} >> {1}, zeros in, narrowed"),
    ("vnsra", "101101", SIGNED, "wide {2} >> {1}, sign in, narrowed"),
):
    for _form in "vxi":
        _token, _operand = operand(_form, True)
        _runs = [
            lanewise(_kinds[p + 1], UNSIGNED[p], UNSIGNED[p], _narrow_shift(_kinds[p + 1], UNSIGNED[p]), _form)
            for p in range(3)
        ]
        row(
            f"{_name}.w{_form} vd, vs2, {_operand}[, vm]", f"{_high} vm vs2 {_token} {FORMS[_form][1]} vd 1010111",
            formula(_text, _form), timing="valu", meaning=by_width([*_runs, None], (1, 2, 1), _form),
        )  # fmt: skip


def _extension(factor: int, kinds: Any) -> Fn:
    """vd = vs2 of 1/factor of the element width, extended."""
    step = factor.bit_length() - 1
    runs: list[Fn | None] = [None] * step
    for place in range(step, 4):
        small, wide = kinds[place - step], kinds[place]
        runs.append(lanewise(small, small, wide, _extend(small, wide), "x"))
    return by_width(runs, (1, 1 / factor, 0), "x")


def _extend(small: Any, wide: Any) -> Fn:
    @fn
    def op(a: small, b: small, d: wide) -> wide:
        return wide(a)

    return op


for _code, _letter, _factor, _kinds in (
    ("00010", "z", 8, UNSIGNED), ("00011", "s", 8, SIGNED), ("00100", "z", 4, UNSIGNED), ("00101", "s", 4, SIGNED),
    ("00110", "z", 2, UNSIGNED), ("00111", "s", 2, SIGNED),
):  # fmt: skip
    row(
        f"v{_letter}ext.vf{_factor} vd, vs2[, vm]", f"010010 vm vs2 {_code} 010 vd 1010111",
        f"vd[e] = vs2[e], of 1/{_factor} of the width, {'sign' if _letter == 's' else 'zero'}-extended, for active e.",
        timing="valu", meaning=_extension(_factor, _kinds),
    )  # fmt: skip


# fixed point: saturation sets vxsat, results are rounded by vxrm


@fn
def rounded(value: u64, shift: u64, mode: u32) -> u64:
    """What vxrm adds to value >> shift: 0 nearest up, 1 nearest even, 2 down, 3 odd."""
    if shift == 0:
        return u64(0)
    half = value >> (shift - 1) & 1
    low = value & ((u64(1) << (shift - 1)) - 1)
    rest = value & ((u64(1) << shift) - 1)
    odd = value >> shift & 1
    if mode == 0:
        return half
    if mode == 1:
        return half & u64(low != 0 or odd != 0)
    if mode == 2:
        return u64(0)
    return u64(odd == 0 and rest != 0)


def _saturating(t: Any, subtract: bool) -> Fn:
    high, low, signed = t.high, t.low, t.signed

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: t, b: t, d: t) -> t:
        if subtract:
            result = a - b
            if signed:
                over = (a < 0) != (b < 0) and (result < 0) != (a < 0)
            else:
                over = a < b
        else:
            result = a + b
            if signed:
                over = (a < 0) == (b < 0) and (result < 0) != (a < 0)
            else:
                over = result < a
        if over:
            h.vxsat = 1
            if signed:
                return select(a < 0, t(low), t(high))
            if subtract:
                return t(0)
            return t(high)
        return result

    return op


def _averaging(t: Any, subtract: bool) -> Fn:
    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: t, b: t, d: t) -> t:
        # sum of the halves and what the two low bits give; the low two bits of the full result decide the rounding
        if subtract:
            full = a - b
            carry = (a >> 1) - (b >> 1) - t((~a & b & 1) != 0)
        else:
            full = a + b
            carry = (a >> 1) + (b >> 1) + (a & b & 1)
        low = u64(full & 1) | u64(carry & 1) << 1
        return carry + t(rounded(low, u64(1), h.vxrm))

    return op


def _scaling(t: Any) -> Fn:
    mask = t.width - 1

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: t, b: t, d: t) -> t:
        n = b & mask
        return (a >> n) + t(rounded(u64(a), u64(n), h.vxrm))

    return op


def _multiplying(t: Any) -> Fn:
    low, high, shift = t.low, t.high, t.width - 1

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: t, b: t, d: t) -> t:
        if a == low and b == low:
            h.vxsat = 1
            return t(high)
        bottom = u64(i64(a) * i64(b))
        if shift == 63:
            top = u64(mulhs(i64(a), i64(b)))
            return t(top << 1 | bottom >> 63) + t(rounded(bottom, u64(63), h.vxrm))
        return t(i64(bottom) >> shift) + t(rounded(bottom, u64(shift), h.vxrm))

    return op


def _clipping(w: Any, n: Any) -> Fn:
    mask, low, high = w.width - 1, n.low, n.high

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: w, b: n, d: n) -> n:
        shift = w(b) & mask
        result = a >> shift
        extra = w(rounded(u64(a), u64(shift), h.vxrm))
        if result > high or (result == high and extra != 0):
            h.vxsat = 1
            return n(high)
        result += extra
        if result < low:
            h.vxsat = 1
            return n(low)
        return n(result)

    return op


_FIXED: tuple[tuple[str, str, str, bool, Any, Callable[[Any], Fn], str], ...] = (
    ("vsaddu", "100000", "vxi", False, UNSIGNED, lambda t: _saturating(t, False), "{2} + {1}, saturated, unsigned"),
    ("vsadd", "100001", "vxi", False, SIGNED, lambda t: _saturating(t, False), "{2} + {1}, saturated, signed"),
    ("vssubu", "100010", "vx", False, UNSIGNED, lambda t: _saturating(t, True), "{2} - {1}, saturated, unsigned"),
    ("vssub", "100011", "vx", False, SIGNED, lambda t: _saturating(t, True), "{2} - {1}, saturated, signed"),
    ("vsmul", "100111", "vx", False, SIGNED, _multiplying, "{2} · {1} >> (SEW - 1), rounded by vxrm, saturated"),
    ("vssrl", "101010", "vxi", True, UNSIGNED, _scaling, "{2} >> {1}, rounded by vxrm, unsigned"),
    ("vssra", "101011", "vxi", True, SIGNED, _scaling, "{2} >> {1}, rounded by vxrm, signed"),
)
for _name, _high, _forms, _unsigned, _kinds, _one, _text in _FIXED:
    for _form in _forms:
        _token, _operand = operand(_form, _unsigned)
        row(
            f"{_name}.v{_form} vd, vs2, {_operand}[, vm]", f"{_high} vm vs2 {_token} {FORMS[_form][1]} vd 1010111",
            formula(_text, _form), timing="valu",
            meaning=by_width([stepwise(t, t, t, _one(t), _form) for t in _kinds], (1, 1, 1), _form),
        )  # fmt: skip
for _name, _high, _kinds, _subtract, _text in (
    ("vaaddu", "001000", UNSIGNED, False, "({2} + {1}) / 2, rounded by vxrm, unsigned"),
    ("vaadd", "001001", SIGNED, False, "({2} + {1}) / 2, rounded by vxrm, signed"),
    ("vasubu", "001010", UNSIGNED, True, "({2} - {1}) / 2, rounded by vxrm, unsigned"),
    ("vasub", "001011", SIGNED, True, "({2} - {1}) / 2, rounded by vxrm, signed"),
):
    for _form in "vx":
        _runs = [stepwise(t, t, t, _averaging(t, _subtract), _form) for t in _kinds]
        row(
            f"{_name}.v{_form} vd, vs2, {FORMS[_form][0]}[, vm]",
            f"{_high} vm vs2 {FORMS[_form][0]} {FORMS[_form][2]} vd 1010111", formula(_text, _form),
            timing="valu", meaning=by_width(_runs, (1, 1, 1), _form),
        )  # fmt: skip
for _name, _high, _kinds, _text in (
    ("vnclipu", "101110", UNSIGNED, "wide {2} >> {1}, rounded by vxrm, clipped to unsigned"),
    ("vnclip", "101111", SIGNED, "wide {2} >> {1}, rounded by vxrm, clipped to signed"),
):
    for _form in "vxi":
        _token, _operand = operand(_form, True)
        _runs = [
            stepwise(_kinds[p + 1], _kinds[p], _kinds[p], _clipping(_kinds[p + 1], _kinds[p]), _form) for p in range(3)
        ]
        row(
            f"{_name}.w{_form} vd, vs2, {_operand}[, vm]", f"{_high} vm vs2 {_token} {FORMS[_form][1]} vd 1010111",
            formula(_text, _form), timing="valu", meaning=by_width([*_runs, None], (1, 2, 1), _form),
        )  # fmt: skip
