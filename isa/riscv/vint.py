# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V: integer arithmetic of one width: additions, logic, shifts, products, divisions, comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.isa.lang import Fn, boolean, fn
from mtia.isa.riscv.mul import signed_division, unsigned_division
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import SIGNED, UNSIGNED, by_width, comparison, lanewise
from mtia.isa.riscv.vlegal import MASK

Make = Callable[[Any], Fn]
FORMS = {"v": ("vs1", "000", "010"), "x": ("rs1", "100", "110"), "i": ("imm[4:0]", "011", "")}


def operand(form: str, unsigned: bool = False) -> tuple[str, str]:
    """The encoding token and the operand name of the second source."""
    if form == "i":
        return ("uimm[4:0]", "uimm") if unsigned else ("imm[4:0]", "imm")
    return (FORMS[form][0],) * 2


def add(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return a + b

    return op


def sub(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return a - b

    return op


def rsub(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return b - a

    return op


def and_(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return a & b

    return op


def or_(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return a | b

    return op


def xor(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return a ^ b

    return op


def least(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return min(a, b)

    return op


def most(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return max(a, b)

    return op


def sll(t: Any) -> Fn:
    mask = t.width - 1

    @fn
    def op(a: t, b: t, d: t) -> t:
        return a << (b & mask)

    return op


def shr(t: Any) -> Fn:
    mask = t.width - 1

    @fn
    def op(a: t, b: t, d: t) -> t:
        return a >> (b & mask)

    return op


def mul(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return a * b

    return op


def mulh(first: Any, second: Any) -> Fn:
    """High half of a product; narrow types go through 64 bits, 64-bit ones through the intrinsics."""
    from mtia.isa.lang import i64, mulhs, mulhsu, mulhu, u64

    t = UNSIGNED[SIGNED.index(first)] if first in SIGNED else first
    width = t.width
    if width == 64:
        high = {(u64, u64): mulhu, (i64, i64): mulhs, (i64, u64): mulhsu}[first, second]

        @fn
        def wide(a: t, b: t, d: t) -> t:
            return t(high(first(a), second(b)))

        return wide

    @fn
    def op(a: t, b: t, d: t) -> t:
        return t(i64(first(a)) * i64(second(b)) >> width)

    return op


def macc(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return d + a * b

    return op


def nmsac(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return d - a * b

    return op


def madd(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return b * d + a

    return op


def nmsub(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return a - b * d

    return op


def total(inner: Fn, t: Any) -> Fn:
    """Give a two-operand function the unused third operand."""

    @fn
    def op(a: t, b: t, d: t) -> t:
        return inner(a, b)

    return op


def divide(remainder: bool, signed: bool) -> Make:
    """Division rows: the same results as the scalar ones."""
    return lambda t: total((signed_division if signed else unsigned_division)(t, remainder), t)


def binary(kinds: Any, make: Make, form: str) -> Fn:
    """vd, vs2 and the second source all of the element width."""
    return by_width([lanewise(t, t, t, make(t), form) for t in kinds], (1, 1, 1), form)


# name, funct6, forms, types, function, unsigned immediate, timing, formula
_S, _U = SIGNED, UNSIGNED
_BASIC: tuple[tuple[str, str, str, Any, Make, bool, str, str], ...] = (
    ("vadd", "000000", "vxi", _U, add, False, "valu", "{2} + {1}, wrapping"),
    ("vsub", "000010", "vx", _U, sub, False, "valu", "{2} - {1}, wrapping"),
    ("vrsub", "000011", "xi", _U, rsub, False, "valu", "{1} - {2}, wrapping"),
    ("vminu", "000100", "vx", _U, least, False, "valu", "smaller of {2} and {1}, unsigned"),
    ("vmin", "000101", "vx", _S, least, False, "valu", "smaller of {2} and {1}, signed"),
    ("vmaxu", "000110", "vx", _U, most, False, "valu", "larger of {2} and {1}, unsigned"),
    ("vmax", "000111", "vx", _S, most, False, "valu", "larger of {2} and {1}, signed"),
    ("vand", "001001", "vxi", _U, and_, False, "valu", "{2} & {1}"),
    ("vor", "001010", "vxi", _U, or_, False, "valu", "{2} | {1}"),
    ("vxor", "001011", "vxi", _U, xor, False, "valu", "{2} ^ {1}"),
    ("vsll", "100101", "vxi", _U, sll, True, "valu", "{2} << ({1} mod SEW)"),
    ("vsrl", "101000", "vxi", _U, shr, True, "valu", "{2} >> ({1} mod SEW), zeros in"),
    ("vsra", "101001", "vxi", _S, shr, True, "valu", "{2} >> ({1} mod SEW), sign in"),
)
_MULTIPLY: tuple[tuple[str, str, Any, Make, str, str], ...] = (
    ("vdivu", "100000", _U, divide(False, False), "vdiv", "{2} / {1}, unsigned"),
    ("vdiv", "100001", _S, divide(False, True), "vdiv", "{2} / {1} towards zero, signed"),
    ("vremu", "100010", _U, divide(True, False), "vdiv", "remainder of {2} / {1}, unsigned"),
    ("vrem", "100011", _S, divide(True, True), "vdiv", "remainder of {2} / {1}, sign of {2}"),
    ("vmulhu", "100100", _U, lambda t: mulh(t, t), "vmul", "high half of {2} · {1}, unsigned"),
    ("vmul", "100101", _U, mul, "vmul", "low half of {2} · {1}"),
    ("vmulhsu", "100110", _U, lambda t: mulh(_S[_U.index(t)], t), "vmul", "high half of signed {2} · unsigned {1}"),
    ("vmulh", "100111", _U, lambda t: mulh(_S[_U.index(t)], _S[_U.index(t)]), "vmul", "high half of {2} · {1}, signed"),
)
_ACCUMULATE: tuple[tuple[str, str, Make, str], ...] = (
    ("vmadd", "101001", madd, "{1} · vd[e] + {2}"),
    ("vnmsub", "101011", nmsub, "{2} - {1} · vd[e]"),
    ("vmacc", "101101", macc, "vd[e] + {1} · {2}"),
    ("vnmsac", "101111", nmsac, "vd[e] - {1} · {2}"),
)
SECOND = {"v": "vs1[e]", "x": "x[rs1]", "i": "imm", "f": "f[rs1]"}


def formula(text: str, form: str) -> str:
    """The manual's sentence for one form."""
    return f"vd[e] = {text.replace('{1}', SECOND[form]).replace('{2}', 'vs2[e]')}, for active e."


for _name, _high, _forms, _kinds, _make, _unsigned, _timing, _text in _BASIC:
    for _form in _forms:
        _token, _operand = operand(_form, _unsigned)
        row(
            f"{_name}.v{_form} vd, vs2, {_operand}[, vm]", f"{_high} vm vs2 {_token} {FORMS[_form][1]} vd 1010111",
            formula(_text, _form), timing=_timing, meaning=binary(_kinds, _make, _form),
        )  # fmt: skip
for _name, _high, _kinds, _make, _timing, _text in _MULTIPLY:
    for _form in "vx":
        row(
            f"{_name}.v{_form} vd, vs2, {FORMS[_form][0]}[, vm]",
            f"{_high} vm vs2 {FORMS[_form][0]} {FORMS[_form][2]} vd 1010111",
            formula(_text, _form), timing=_timing, meaning=binary(_kinds, _make, _form),
        )  # fmt: skip
for _name, _high, _make, _text in _ACCUMULATE:
    for _form in "vx":
        row(
            f"{_name}.v{_form} vd, {FORMS[_form][0]}, vs2[, vm]",
            f"{_high} vm vs2 {FORMS[_form][0]} {FORMS[_form][2]} vd 1010111",
            formula(_text, _form), timing="vmac", reads=("vd",), meaning=binary(_U, _make, _form),
        )  # fmt: skip


# comparisons


def equal(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> boolean:
        return a == b

    return op


def differ(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> boolean:
        return a != b

    return op


def below(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> boolean:
        return a < b

    return op


def at_most(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> boolean:
        return a <= b

    return op


def above(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> boolean:
        return a > b

    return op


_COMPARE: tuple[tuple[str, str, str, Any, Make, str], ...] = (
    ("vmseq", "011000", "vxi", _U, equal, "{2} = {1}"),
    ("vmsne", "011001", "vxi", _U, differ, "{2} and {1} differ"),
    ("vmsltu", "011010", "vx", _U, below, "{2} < {1}, unsigned"),
    ("vmslt", "011011", "vx", _S, below, "{2} < {1}, signed"),
    ("vmsleu", "011100", "vxi", _U, at_most, "{2} <= {1}, unsigned"),
    ("vmsle", "011101", "vxi", _S, at_most, "{2} <= {1}, signed"),
    ("vmsgtu", "011110", "xi", _U, above, "{2} > {1}, unsigned"),
    ("vmsgt", "011111", "xi", _S, above, "{2} > {1}, signed"),
)
for _name, _high, _forms, _kinds, _make, _text in _COMPARE:
    for _form in _forms:
        _token, _operand = operand(_form)
        _what = _text.replace("{1}", SECOND[_form]).replace("{2}", "vs2[e]")
        row(
            f"{_name}.v{_form} vd, vs2, {_operand}[, vm]", f"{_high} vm vs2 {_token} {FORMS[_form][1]} vd 1010111",
            f"Bit e of vd = 1 if {_what}, else 0, for active e.", timing="valu",
            meaning=by_width([comparison(t, _make(t), _form) for t in _kinds], (MASK, 1, 1), _form),
        )  # fmt: skip
