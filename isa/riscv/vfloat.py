# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V, Zvfh: floating-point arithmetic of one width. Rounding by frm; the fast path is to nearest even without flags."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mtia.isa.lang import Fn, Ptr, boolean, fma, fn, from_bits, select, u64, unlikely
from mtia.isa.riscv.convert import half_fused
from mtia.isa.riscv.exact import NV
from mtia.isa.riscv.floats import HALF, Float, careful, flags_of, rounding
from mtia.isa.riscv.fp import classify, root
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import active, by_float, comparison, group, lanewise, scalar, stepwise
from mtia.isa.riscv.vint import SECOND, formula
from mtia.isa.riscv.vlegal import APART, MASK, ONE
from mtia.isa.riscv.vmask import at_start, reduction, slide_one
from mtia.isa.state import Hart, Insn

FAST = Callable[[Float], Fn]
TOKENS = {"v": ("vs1", "001"), "f": ("fs1", "101")}


def both(first: Any, second: Any, result: Any, fast: Fn, slow: Fn, form: str) -> Fn:
    """The fast blocks, or the exact steps when flags or another rounding mode are asked for."""
    blocks, steps = lanewise(first, second, result, fast, form), stepwise(first, second, result, slow, form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        if unlikely(careful(h, i)):
            steps(h, i)
        else:
            blocks(h, i)

    run.made_of["dense"] = blocks.made_of["dense"]
    return run


def fast2(t: Float, how: str) -> Fn:
    """Sum, difference, product or quotient of vs2 and the second source."""
    raw, kind, canonical = t.raw, t.kind, t.canonical

    @fn
    def op(a: raw, b: raw, d: raw) -> raw:
        x = from_bits(kind, a)
        y = from_bits(kind, b)
        if how == "add":
            z = x + y
        elif how == "sub":
            z = x - y
        elif how == "rsub":
            z = y - x
        elif how == "mul":
            z = x * y
        elif how == "div":
            z = x / y
        else:
            z = y / x
        return raw(canonical(z))

    return op


def slow2(t: Float, how: str) -> Fn:
    """The exact form of `fast2`."""
    raw, run, div, is_nan = t.raw, t.exact.fma, t.exact.div, t.is_nan
    one, sign = (1 << t.form.exponent - 1) - 1 << t.form.fraction, 1 << t.form.width - 1
    minus_b, minus_a = how == "sub", how == "rsub"
    sums, product, reverse = how in ("add", "sub", "rsub"), how == "mul", how == "rdiv"

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a_: raw, b_: raw, d: raw) -> raw:
        a = u64(a_)
        b = u64(b_)
        rm = rounding(h, i)
        flags = flags_of(h)
        if sums:
            if minus_b and not is_nan(b):
                b ^= sign
            if minus_a and not is_nan(a):
                a ^= sign
            return raw(run(a, u64(one), b, rm, flags))
        if product:
            return raw(run(a, b, (a ^ b) & sign, rm, flags))
        if reverse:
            return raw(div(b, a, rm, flags))
        return raw(div(a, b, rm, flags))

    return op


def fused_fast(t: Float, product: bool, addend: bool, into_addend: bool) -> Fn:
    """vs1 · vs2 + vd, or vs1 · vd + vs2, with signs flipped as told."""
    raw, kind, canonical, half = t.raw, t.kind, t.canonical, t is HALF
    sign = 1 << t.form.width - 1
    flip, flip_addend = sign * product, sign * addend

    @fn
    def op(a: raw, b: raw, d: raw) -> raw:
        x = b ^ flip
        if into_addend:
            y = a
            z = d ^ flip_addend
        else:
            y = d
            z = a ^ flip_addend
        if half:
            return raw(half_fused(from_bits(kind, x), from_bits(kind, y), from_bits(kind, z)))
        else:
            return raw(canonical(fma(from_bits(kind, x), from_bits(kind, y), from_bits(kind, z))))

    return op


def fused_slow(t: Float, product: bool, addend: bool, into_addend: bool) -> Fn:
    """The exact form of `fused_fast`."""
    raw, run = t.raw, t.exact.fma
    sign = 1 << t.form.width - 1
    flip, flip_addend = sign * product, sign * addend

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: raw, b: raw, d: raw) -> raw:
        x = u64(b) ^ flip
        if into_addend:
            return raw(run(x, u64(a), u64(d) ^ flip_addend, rounding(h, i), flags_of(h)))
        return raw(run(x, u64(d), u64(a) ^ flip_addend, rounding(h, i), flags_of(h)))

    return op


def extreme_fast(t: Float, largest: bool) -> Fn:
    """Minimum or maximum without flags: a number before a NaN, -0 below +0."""
    raw, nan, infinity, top = t.raw, t.form.nan, t.form.infinity, t.form.width - 1
    magnitude = (1 << top) - 1

    @fn
    def op(a: raw, b: raw, d: raw) -> raw:
        ka = select(a >> top != 0, raw(magnitude) - (a & magnitude), a | raw(1 << top))
        kb = select(b >> top != 0, raw(magnitude) - (b & magnitude), b | raw(1 << top))
        if largest:
            best = select(ka < kb, b, a)
        else:
            best = select(kb < ka, b, a)
        a_nan = (a & magnitude) > infinity
        b_nan = (b & magnitude) > infinity
        return select(a_nan, select(b_nan, raw(nan), b), select(b_nan, a, best))

    return op


def extreme_slow(t: Float, largest: bool) -> Fn:
    """The exact form of `extreme_fast`."""
    raw, run = t.raw, t.maximum if largest else t.minimum

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: raw, b: raw, d: raw) -> raw:
        return raw(run(u64(a), u64(b), flags_of(h)))

    return op


def _signs(t: Float, how: str) -> Fn:
    raw, sign = t.raw, 1 << t.form.width - 1
    invert, combine = how == "n", how == "x"

    @fn
    def op(a: raw, b: raw, d: raw) -> raw:
        s = b
        if invert:
            s = ~b
        if combine:
            s = a ^ b
        return a & ~raw(sign) | s & sign

    return op


_ARITHMETIC = (
    ("vfadd", "000000", "vf", "add", "vfadd", "{2} + {1}"), ("vfsub", "000010", "vf", "sub", "vfadd", "{2} - {1}"),
    ("vfdiv", "100000", "vf", "div", "vfdiv", "{2} / {1}"), ("vfrdiv", "100001", "f", "rdiv", "vfdiv", "{1} / {2}"),
    ("vfmul", "100100", "vf", "mul", "vfmul", "{2} · {1}"), ("vfrsub", "100111", "f", "rsub", "vfadd", "{1} - {2}"),
)  # fmt: skip
_FUSED = (
    ("vfmadd", "101000", False, False, False, "{1} · vd[e] + {2}"),
    ("vfnmadd", "101001", True, True, False, "-({1} · vd[e]) - {2}"),
    ("vfmsub", "101010", False, True, False, "{1} · vd[e] - {2}"),
    ("vfnmsub", "101011", True, False, False, "-({1} · vd[e]) + {2}"),
    ("vfmacc", "101100", False, False, True, "{1} · {2} + vd[e]"),
    ("vfnmacc", "101101", True, True, True, "-({1} · {2}) - vd[e]"),
    ("vfmsac", "101110", False, True, True, "{1} · {2} - vd[e]"),
    ("vfnmsac", "101111", True, False, True, "-({1} · {2}) + vd[e]"),
)


def _arithmetic(how: str, form: str) -> Fn:
    return by_float(lambda t: both(t.raw, t.raw, t.raw, fast2(t, how), slow2(t, how), form), (1, 1, 1), form)


def _fused(product: bool, addend: bool, into: bool, form: str) -> Fn:
    def make(t: Float) -> Fn:
        shape = (t, product, addend, into)
        return both(t.raw, t.raw, t.raw, fused_fast(*shape), fused_slow(*shape), form)

    return by_float(make, (1, 1, 1), form)


def _extreme(largest: bool, form: str) -> Fn:
    def make(t: Float) -> Fn:
        return both(t.raw, t.raw, t.raw, extreme_fast(t, largest), extreme_slow(t, largest), form)

    return by_float(make, (1, 1, 1), form)


def _sign(how: str, form: str) -> Fn:
    return by_float(lambda t: lanewise(t.raw, t.raw, t.raw, _signs(t, how), form), (1, 1, 1), form)


for _name, _high, _forms, _how, _timing, _text in _ARITHMETIC:
    for _form in _forms:
        _token, _low = TOKENS[_form]
        row(
            f"{_name}.v{_form} vd, vs2, {_token}[, vm]", f"{_high} vm vs2 {_token} {_low} vd 1010111",
            formula(_text, _form), timing=_timing, meaning=_arithmetic(_how, _form),
        )  # fmt: skip
for _form, (_token, _low) in TOKENS.items():
    for _name, _high, _product, _addend, _into, _text in _FUSED:
        row(
            f"{_name}.v{_form} vd, {_token}, vs2[, vm]", f"{_high} vm vs2 {_token} {_low} vd 1010111",
            formula(_text + ", rounded once", _form), timing="vfma", reads=("vd",),
            meaning=_fused(_product, _addend, _into, _form),
        )  # fmt: skip
    for _name, _high, _largest, _text in (("vfmin", "000100", False, "smaller"), ("vfmax", "000110", True, "larger")):
        row(
            f"{_name}.v{_form} vd, vs2, {_token}[, vm]", f"{_high} vm vs2 {_token} {_low} vd 1010111",
            formula(_text + " of {2} and {1}, a number before a NaN", _form), timing="vfadd",
            meaning=_extreme(_largest, _form),
        )  # fmt: skip
    for _how, _high, _text in (("", "001000", "sign"), ("n", "001001", "opposite sign"), ("x", "001010", "signs")):
        row(
            f"vfsgnj{_how}.v{_form} vd, vs2, {_token}[, vm]", f"{_high} vm vs2 {_token} {_low} vd 1010111",
            formula("{2} with the " + (f"{_text} of {{1}}" if _how != "x" else "product of both signs"), _form),
            timing="valu", meaning=_sign(_how, _form),
        )  # fmt: skip


# comparisons


def _holds(t: Float, how: str) -> Fn:
    """Comparison of bits without flags; NaN makes all but `ne` false."""
    raw, kind = t.raw, t.kind

    @fn
    def op(a: raw, b: raw) -> boolean:
        x = from_bits(kind, a)
        y = from_bits(kind, b)
        if how == "eq":
            return x == y
        elif how == "ne":
            return x != y
        elif how == "lt":
            return x < y
        elif how == "le":
            return x <= y
        elif how == "gt":
            return x > y
        else:
            return x >= y

    return op


def _compare(t: Float, how: str, form: str) -> Fn:
    """Comparison into a mask; the flags of NaN operands are collected first when they are observed."""
    raw, quiet, is_nan, is_signaling = t.raw, how in ("eq", "ne"), t.is_nan, t.is_signaling
    blocks = comparison(raw, _holds(t, how), form)

    @fn
    def flags(h: Ptr[Hart], i: Ptr[Insn], a_: raw, b_: raw, d: raw) -> raw:
        a = u64(a_)
        b = u64(b_)
        if quiet:
            if is_signaling(a) or is_signaling(b):
                h.fflags |= NV
        elif is_nan(a) or is_nan(b):
            h.fflags |= NV
        return d

    collect = observe(raw, flags, form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        if unlikely(h.exact != 0):
            collect(h, i)
        blocks(h, i)

    return run


def observe(raw: Any, op: Fn, form: str) -> Fn:
    """Run op(h, i, vs2[e], second, 0) for active elements for its flags only."""
    vectors = form == "v"
    value = scalar(raw, form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        a = Ptr[raw](group(h, i.rs2))
        b = Ptr[raw](group(h, i.rs1))
        s = raw(0)
        if not vectors:
            s = value(h, i)
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                if vectors:
                    s = b[e]
                op(h, i, a[e], s, s)

    return run


for _name, _high, _forms, _how, _text in (
    ("vmfeq", "011000", "vf", "eq", "{2} = {1}"), ("vmfle", "011001", "vf", "le", "{2} <= {1}"),
    ("vmflt", "011011", "vf", "lt", "{2} < {1}"), ("vmfne", "011100", "vf", "ne", "{2} and {1} differ"),
    ("vmfgt", "011101", "f", "gt", "{2} > {1}"), ("vmfge", "011111", "f", "ge", "{2} >= {1}"),
):  # fmt: skip
    for _form in _forms:
        _token, _low = TOKENS[_form]
        _what = _text.replace("{1}", SECOND[_form]).replace("{2}", "vs2[e]")
        row(
            f"{_name}.v{_form} vd, vs2, {_token}[, vm]", f"{_high} vm vs2 {_token} {_low} vd 1010111",
            f"Bit e of vd = 1 if {_what}, else 0, for active e.", timing="vfadd",
            meaning=by_float(partial(_compare, how=_how, form=_form), (MASK, 1, 1), _form),
        )  # fmt: skip


# one operand, slides, reductions


def _root_fast(t: Float) -> Fn:
    raw, near = t.raw, root(t)

    @fn
    def op(a: raw, b: raw, d: raw) -> raw:
        return raw(near(a))

    return op


def _root_slow(t: Float) -> Fn:
    raw, run = t.raw, t.exact.sqrt

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a: raw, b: raw, d: raw) -> raw:
        return raw(run(u64(a), rounding(h, i), flags_of(h)))

    return op


def _class(t: Float) -> Fn:
    raw, run = t.raw, classify(t)

    @fn
    def op(a: raw, b: raw, d: raw) -> raw:
        return raw(run(u64(a)))

    return op


row(
    "vfsqrt.v vd, vs2[, vm]", "010011 vm vs2 00000 001 vd 1010111", "vd[e] = square root of vs2[e], for active e.",
    timing="vfdiv",
    meaning=by_float(lambda t: both(t.raw, t.raw, t.raw, _root_fast(t), _root_slow(t), "x"), (1, 1, 0), "x"),
)  # fmt: skip
row(
    "vfclass.v vd, vs2[, vm]", "010011 vm vs2 10000 001 vd 1010111",
    "vd[e] = class of vs2[e] as by fclass, for active e.",
    timing="valu", meaning=by_float(lambda t: lanewise(t.raw, t.raw, t.raw, _class(t), "x"), (1, 1, 0), "x"),
)  # fmt: skip


def _slide(t: Float, up: bool) -> Fn:
    return slide_one(t.raw, "f", up)


for _up, _name, _high, _text in (
    (True, "vfslide1up", "001110", "vd[0] = f[rs1], vd[e] = vs2[e - 1]"),
    (False, "vfslide1down", "001111", "vd[vl - 1] = f[rs1], vd[e] = vs2[e + 1]"),
):
    row(
        f"{_name}.vf vd, vs2, fs1[, vm]", f"{_high} vm vs2 fs1 101 vd 1010111", f"{_text}, for active e.",
        timing="vperm", meaning=by_float(partial(_slide, up=_up), (1, 1, 0), "f", APART * _up),
    )  # fmt: skip


def _fold(t: Float, fast: FAST, slow: FAST) -> Fn:
    """A reduction in ascending order."""
    raw, zero, once = t.raw, t.raw(0), fast(t)

    @fn
    def quick(a: raw, b: raw) -> raw:
        return once(a, b, raw(zero))

    blocks = reduction(raw, raw, quick)
    steps = fold_steps(raw, raw, slow(t))

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        if unlikely(careful(h, i)):
            steps(h, i)
        else:
            blocks(h, i)

    return run


def fold_steps(element: Any, total: Any, op: Fn) -> Fn:
    """The exact form of a reduction: op(h, i, so far, element, 0)."""

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        a = Ptr[element](group(h, i.rs2))
        found = Ptr[total](group(h, i.rs1))[0]
        for e in range(h.vl):
            if active(h, i, e):
                found = op(h, i, found, a[e], total(0))
        if h.vl != 0:
            Ptr[total](group(h, i.rd))[0] = found

    return run


for _name, _high, _text, _fast, _slow in (
    ("vfredusum", "000001", "sum", lambda t: fast2(t, "add"), lambda t: slow2(t, "add")),
    ("vfredosum", "000011", "sum", lambda t: fast2(t, "add"), lambda t: slow2(t, "add")),
    ("vfredmin", "000101", "minimum", lambda t: extreme_fast(t, False), lambda t: extreme_slow(t, False)),
    ("vfredmax", "000111", "maximum", lambda t: extreme_fast(t, True), lambda t: extreme_slow(t, True)),
):
    row(
        f"{_name}.vs vd, vs2, vs1[, vm]", f"{_high} vm vs2 vs1 001 vd 1010111",
        f"vd[0] = {_text} of vs1[0] and the active vs2[e], e ascending.", timing="vfred", reads=("vd",),
        meaning=at_start(by_float(partial(_fold, fast=_fast, slow=_slow), (ONE, 1, ONE), "v")),
    )  # fmt: skip
