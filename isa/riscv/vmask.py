# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V: mask logic and counting, integer reductions, slides, gathers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.isa.lang import Fn, Ptr, boolean, fn, popcount, select, u8, u16, u32, u64, unlikely
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import (
    SIGNED,
    UNSIGNED,
    WIDE,
    active,
    active_bits,
    by_width,
    group,
    mask_bit,
    scalar,
)
from mtia.isa.riscv.vlegal import APART, INDEX16, MASK, ONE, WIDE_ONE
from mtia.isa.state import ILLEGAL, OK, Hart, Insn


def at_start(inner: Fn) -> Fn:
    """The same, but illegal in the middle of a vector: reductions and others that do not go element by element."""

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(h.vstart != 0):
            return ILLEGAL
        return inner(h, i)

    meaning.made_of.update({key: value for key, value in inner.made_of.items() if key == "shapes"})
    return meaning


# logic of masks


def _logic(op: Fn) -> Fn:
    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(h.vsew == 0):
            return ILLEGAL
        d = Ptr[u64](group(h, i.rd))
        a = Ptr[u64](group(h, i.rs2))
        b = Ptr[u64](group(h, i.rs1))
        e = h.vstart & ~u64(63)
        while e < h.vl:
            todo = active_bits(h, i, e, 64)
            w = e >> 6
            d[w] = d[w] & ~todo | op(a[w], b[w]) & todo
            e += 64
        h.vstart = 0
        return OK

    return meaning


@fn
def _and(a: u64, b: u64) -> u64:
    return a & b


@fn
def _nand(a: u64, b: u64) -> u64:
    return ~(a & b)


@fn
def _andn(a: u64, b: u64) -> u64:
    return a & ~b


@fn
def _or(a: u64, b: u64) -> u64:
    return a | b


@fn
def _nor(a: u64, b: u64) -> u64:
    return ~(a | b)


@fn
def _orn(a: u64, b: u64) -> u64:
    return a | ~b


@fn
def _xor(a: u64, b: u64) -> u64:
    return a ^ b


@fn
def _xnor(a: u64, b: u64) -> u64:
    return ~(a ^ b)


for _name, _high, _op, _text in (
    ("vmandn", "011000", _andn, "vs2 & ~vs1"), ("vmand", "011001", _and, "vs2 & vs1"),
    ("vmor", "011010", _or, "vs2 | vs1"), ("vmxor", "011011", _xor, "vs2 ^ vs1"),
    ("vmorn", "011100", _orn, "vs2 | ~vs1"), ("vmnand", "011101", _nand, "~(vs2 & vs1)"),
    ("vmnor", "011110", _nor, "~(vs2 | vs1)"), ("vmxnor", "011111", _xnor, "~(vs2 ^ vs1)"),
):  # fmt: skip
    row(
        f"{_name}.mm vd, vs2, vs1", f"{_high} 1 vs2 vs1 010 vd 1010111", f"Mask vd = {_text}, for bits below vl.",
        timing="vmask", meaning=_logic(_op),
    )  # fmt: skip


@row(
    "vcpop.m rd, vs2[, vm]", "010000 vm vs2 10000 010 rd 1010111", "x[rd] = number of active set bits of vs2.",
    timing="vtoscalar",
)  # fmt: skip
@fn
def vcpop(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    if unlikely(h.vsew == 0 or h.vstart != 0):
        return ILLEGAL
    a = Ptr[u64](group(h, i.rs2))
    total = u64(0)
    e = u64(0)
    while e < h.vl:
        total += popcount(a[e >> 6] & active_bits(h, i, e, 64))
        e += 64
    h.x[i.rd] = total
    return OK


@row(
    "vfirst.m rd, vs2[, vm]", "010000 vm vs2 10001 010 rd 1010111",
    "x[rd] = index of the first active set bit of vs2, or -1.", timing="vtoscalar",
)  # fmt: skip
@fn
def vfirst(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    if unlikely(h.vsew == 0 or h.vstart != 0):
        return ILLEGAL
    found = ~u64(0)
    for e in range(h.vl):
        if active(h, i, e) and mask_bit(h, i.rs2, e):
            found = e
            break
    h.x[i.rd] = found
    return OK


def _first(before: bool, at: bool) -> Fn:
    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(h.vsew == 0 or h.vstart != 0 or i.rd == i.rs2 or (i.vm == 0 and i.rd == 0)):
            return ILLEGAL
        d = Ptr[u8](group(h, i.rd))
        seen = boolean(False)
        for e in range(h.vl):
            if active(h, i, e):
                here = not seen and mask_bit(h, i.rs2, e)
                bit = (here and at) or (before and not seen and not here)
                place = u8(1) << u8(e & 7)
                d[e >> 3] = select(bit, d[e >> 3] | place, d[e >> 3] & ~place)
                seen = seen or here
        return OK

    return meaning


for _name, _code, _before, _at, _text in (
    ("vmsbf", "00001", True, False, "before the first active set bit of vs2"),
    ("vmsof", "00010", False, True, "at the first active set bit of vs2"),
    ("vmsif", "00011", True, True, "up to and including the first active set bit of vs2"),
):
    row(
        f"{_name}.m vd, vs2[, vm]", f"010100 vm vs2 {_code} 010 vd 1010111", f"Active bits of vd = 1 {_text}, else 0.",
        timing="vmask", meaning=_first(_before, _at),
    )  # fmt: skip


def _iota(t: Any) -> Fn:
    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        total = u64(0)
        for e in range(h.vl):
            if active(h, i, e):
                d[e] = t(total)
                total += u64(mask_bit(h, i.rs2, e))

    return run


def _identity(t: Any) -> Fn:
    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                d[e] = t(e)

    return run


row(
    "viota.m vd, vs2[, vm]", "010100 vm vs2 10000 010 vd 1010111",
    "vd[e] = number of active set bits of vs2 below e, for active e.", timing="vmask",
    meaning=at_start(by_width([_iota(t) for t in UNSIGNED], (1, MASK, 0), "x", how=APART)),
)  # fmt: skip
row(
    "vid.v vd[, vm]", "010100 vm 00000 10001 010 vd 1010111", "vd[e] = e, for active e.", timing="valu",
    meaning=by_width([_identity(t) for t in UNSIGNED], (1, 0, 0), "x"),
)  # fmt: skip


# reductions


def reduction(element: Any, total: Any, op: Fn) -> Fn:
    """vd[0] = vs1[0] op every active vs2[e] in ascending order; nothing when vl = 0."""

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        a = Ptr[element](group(h, i.rs2))
        found = Ptr[total](group(h, i.rs1))[0]
        if i.vm != 0:
            for e in range(h.vl):
                found = op(found, total(a[e]))
        else:
            for e in range(h.vl):
                if mask_bit(h, 0, e):
                    found = op(found, total(a[e]))
        if h.vl != 0:
            Ptr[total](group(h, i.rd))[0] = found

    return run


def _reduce(kinds: Any, make: Callable[[Any], Fn]) -> Fn:
    return at_start(by_width([reduction(t, t, make(t)) for t in kinds], (ONE, 1, ONE), "v"))


def _sum(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> t:
        return a + b

    return op


def _all(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> t:
        return a & b

    return op


def _any(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> t:
        return a | b

    return op


def _parity(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> t:
        return a ^ b

    return op


def _least(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> t:
        return min(a, b)

    return op


def _most(t: Any) -> Fn:
    @fn
    def op(a: t, b: t) -> t:
        return max(a, b)

    return op


for _name, _high, _kinds, _make, _text in (
    ("vredsum", "000000", UNSIGNED, _sum, "sum"), ("vredand", "000001", UNSIGNED, _all, "and"),
    ("vredor", "000010", UNSIGNED, _any, "or"), ("vredxor", "000011", UNSIGNED, _parity, "exclusive or"),
    ("vredminu", "000100", UNSIGNED, _least, "unsigned minimum"), ("vredmin", "000101", SIGNED, _least, "minimum"),
    ("vredmaxu", "000110", UNSIGNED, _most, "unsigned maximum"), ("vredmax", "000111", SIGNED, _most, "maximum"),
):  # fmt: skip
    row(
        f"{_name}.vs vd, vs2, vs1[, vm]", f"{_high} vm vs2 vs1 010 vd 1010111",
        f"vd[0] = {_text} of vs1[0] and the active vs2[e].", timing="vred", reads=("vd",),
        meaning=_reduce(_kinds, _make),
    )  # fmt: skip
for _name, _high, _kinds, _text in (
    ("vwredsumu", "110000", UNSIGNED, "unsigned"), ("vwredsum", "110001", SIGNED, "signed")
):  # fmt: skip
    row(
        f"{_name}.vs vd, vs2, vs1[, vm]", f"{_high} vm vs2 vs1 000 vd 1010111",
        f"vd[0] = sum of vs1[0] and the active vs2[e], {_text}, twice as wide.", timing="vred", reads=("vd",),
        meaning=at_start(
            by_width(
                [*(reduction(t, WIDE[t], _sum(WIDE[t])) for t in _kinds[:3]), None], (WIDE_ONE, 1, WIDE_ONE), "v"
            )
        ),
    )  # fmt: skip


# slides and gathers


def _offset(form: str) -> Fn:
    return scalar(u64, form)


def _slide_up(t: Any, form: str) -> Fn:
    value = _offset(form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        a = Ptr[t](group(h, i.rs2))
        n = value(h, i)
        for e in range(max(h.vstart, n), h.vl):
            if active(h, i, e):
                d[e] = a[e - n]

    return run


def _slide_down(t: Any, form: str) -> Fn:
    value = _offset(form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        a = Ptr[t](group(h, i.rs2))
        n = min(value(h, i), h.vlmax)
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                if e + n < h.vlmax:
                    d[e] = a[e + n]
                else:
                    d[e] = 0

    return run


def slide_one(t: Any, form: str, up: bool) -> Fn:
    """Slide by one, with a scalar in the free place."""
    value = scalar(t, form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        a = Ptr[t](group(h, i.rs2))
        s = value(h, i)
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                if up:
                    if e == 0:
                        d[e] = s
                    else:
                        d[e] = a[e - 1]
                elif e + 1 == h.vl:
                    d[e] = s
                else:
                    d[e] = a[e + 1]

    return run


def _gather(t: Any, index: Any) -> Fn:
    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        a = Ptr[t](group(h, i.rs2))
        b = Ptr[index](group(h, i.rs1))
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                n = u64(b[e])
                if n < h.vlmax:
                    d[e] = a[n]
                else:
                    d[e] = 0

    return run


def _gather_one(t: Any, form: str) -> Fn:
    value = _offset(form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        n = value(h, i)
        s = t(0)
        if n < h.vlmax:
            s = Ptr[t](group(h, i.rs2))[n]
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                d[e] = s

    return run


def _compress(t: Any) -> Fn:
    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[t](group(h, i.rd))
        a = Ptr[t](group(h, i.rs2))
        n = u64(0)
        for e in range(h.vl):
            if mask_bit(h, i.rs1, e):
                d[n] = a[e]
                n += 1

    return run


for _form, _token, _operand, _low in (("x", "rs1", "rs1", "100"), ("i", "uimm[4:0]", "uimm", "011")):
    _n = "x[rs1]" if _form == "x" else "uimm"
    row(
        f"vslideup.v{_form} vd, vs2, {_operand}[, vm]", f"001110 vm vs2 {_token} {_low} vd 1010111",
        f"vd[e] = vs2[e - {_n}], for active e >= {_n}.", timing="vperm", reads=("vd",),
        meaning=by_width([_slide_up(t, _form) for t in UNSIGNED], (1, 1, 0), "x", how=APART),
    )  # fmt: skip
    row(
        f"vslidedown.v{_form} vd, vs2, {_operand}[, vm]", f"001111 vm vs2 {_token} {_low} vd 1010111",
        f"vd[e] = vs2[e + {_n}], 0 from VLMAX on, for active e.", timing="vperm",
        meaning=by_width([_slide_down(t, _form) for t in UNSIGNED], (1, 1, 0), "x"),
    )  # fmt: skip
    row(
        f"vrgather.v{_form} vd, vs2, {_operand}[, vm]", f"001100 vm vs2 {_token} {_low} vd 1010111",
        f"vd[e] = vs2[{_n}], 0 from VLMAX on, for active e.", timing="vperm",
        meaning=by_width([_gather_one(t, _form) for t in UNSIGNED], (1, 1, 0), "x", how=APART),
    )  # fmt: skip
for _up, _name, _high, _text in (
    (True, "vslide1up", "001110", "vd[0] = x[rs1], vd[e] = vs2[e - 1]"),
    (False, "vslide1down", "001111", "vd[vl - 1] = x[rs1], vd[e] = vs2[e + 1]"),
):
    row(
        f"{_name}.vx vd, vs2, rs1[, vm]", f"{_high} vm vs2 rs1 110 vd 1010111", f"{_text}, for active e.",
        timing="vperm", meaning=by_width([slide_one(t, "x", _up) for t in UNSIGNED], (1, 1, 0), "x", how=APART * _up),
    )  # fmt: skip
row(
    "vrgather.vv vd, vs2, vs1[, vm]", "001100 vm vs2 vs1 000 vd 1010111",
    "vd[e] = vs2[vs1[e]], 0 from VLMAX on, for active e.", timing="vperm",
    meaning=by_width([_gather(t, t) for t in UNSIGNED], (1, 1, 1), "v", how=APART),
)  # fmt: skip
row(
    "vrgatherei16.vv vd, vs2, vs1[, vm]", "001110 vm vs2 vs1 000 vd 1010111",
    "vd[e] = vs2[vs1[e]] with 16-bit indices, 0 from VLMAX on, for active e.", timing="vperm",
    meaning=by_width([_gather(t, u16) for t in UNSIGNED], (1, 1, INDEX16), "v", how=APART),
)  # fmt: skip
row(
    "vcompress.vm vd, vs2, vs1", "010111 1 vs2 vs1 010 vd 1010111",
    "Elements of vs2 whose bit in mask vs1 is set, packed into vd from 0 on.", timing="vperm", reads=("vd",),
    meaning=at_start(by_width([_compress(t) for t in UNSIGNED], (1, 1, MASK), "v", how=APART)),
)  # fmt: skip
