# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V: merges, additions with carry, moves between registers and to and from scalars."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Fn, Ptr, boolean, fn, i64, memmove, select, u8, u32, u64, unlikely
from mtia.isa.riscv.floats import Float
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import SIGNED, UNSIGNED, by_float, by_width, group, lanewise, mask_bit, scalar
from mtia.isa.riscv.vint import FORMS, SECOND, operand
from mtia.isa.riscv.vlegal import MASK, MASKED
from mtia.isa.state import ILLEGAL, OK, VLENB, Hart, Insn


def _body(kind: Any, op: Fn, form: str, masked: bool) -> Fn:
    """vd[e] = op(vs2[e], second, bit e of v0 or 0) for every e below vl."""
    value = scalar(kind, form)
    vectors = form == "v"

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[kind](group(h, i.rd))
        a = Ptr[kind](group(h, i.rs2))
        b = Ptr[kind](group(h, i.rs1))
        s = kind(0)
        if not vectors:
            s = value(h, i)
        for e in range(h.vstart, h.vl):
            if vectors:
                s = b[e]
            d[e] = op(a[e], s, masked and mask_bit(h, 0, e))

    return run


def _carry_out(kind: Any, op: Fn, form: str, masked: bool) -> Fn:
    """Bit e of vd = op(vs2[e], second, bit e of v0 or 0) for every e below vl."""
    value = scalar(kind, form)
    vectors = form == "v"

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[u8](group(h, i.rd))
        a = Ptr[kind](group(h, i.rs2))
        b = Ptr[kind](group(h, i.rs1))
        s = kind(0)
        if not vectors:
            s = value(h, i)
        for e in range(h.vstart, h.vl):
            if vectors:
                s = b[e]
            bit = op(a[e], s, masked and mask_bit(h, 0, e))
            place = u8(1) << u8(e & 7)
            d[e >> 3] = select(bit, d[e >> 3] | place, d[e >> 3] & ~place)

    return run


def _merge(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, m: boolean) -> t:
        return select(m, b, a)

    return op


def _adc(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, m: boolean) -> t:
        return a + b + t(m)

    return op


def _sbc(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, m: boolean) -> t:
        return a - b - t(m)

    return op


def _carries(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, m: boolean) -> boolean:
        total = a + b
        return total < a or (m and total + 1 == 0)

    return op


def _borrows(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, m: boolean) -> boolean:
        return a < b or (m and a == b)

    return op


for _name, _high, _make, _forms, _text in (
    ("vmerge", "010111", _merge, "vxi", "{1} where bit e of v0 is set, else vs2[e]"),
    ("vadc", "010000", _adc, "vxi", "vs2[e] + {1} + bit e of v0"),
    ("vsbc", "010010", _sbc, "vx", "vs2[e] - {1} - bit e of v0"),
):
    for _form in _forms:
        _token, _operand = operand(_form)
        row(
            f"{_name}.v{_form}m vd, vs2, {_operand}, v0", f"{_high} 0 vs2 {_token} {FORMS[_form][1]} vd 1010111",
            f"vd[e] = {_text.replace('{1}', SECOND[_form])}, for every e below vl.", timing="valu",
            meaning=by_width([_body(t, _make(t), _form, True) for t in UNSIGNED], (1, 1, 1), _form, how=MASKED),
        )  # fmt: skip
for _name, _high, _make, _forms, _text in (
    ("vmadc", "010001", _carries, "vxi", "carry out of vs2[e] + {1}"),
    ("vmsbc", "010011", _borrows, "vx", "borrow of vs2[e] - {1}"),
):
    for _form in _forms:
        _token, _operand = operand(_form)
        for _bit, _suffix, _tail, _plus in (("0", "m", ", v0", " with bit e of v0"), ("1", "", "", "")):
            row(
                f"{_name}.v{_form}{_suffix} vd, vs2, {_operand}{_tail}",
                f"{_high} {_bit} vs2 {_token} {FORMS[_form][1]} vd 1010111",
                f"Bit e of vd = {_text.replace('{1}', SECOND[_form])}{_plus}, for every e below vl.", timing="valu",
                meaning=by_width(
                    [_carry_out(t, _make(t), _form, bool(_tail)) for t in UNSIGNED], (MASK, 1, 1), _form,
                    how=MASKED * bool(_tail),
                ),
            )  # fmt: skip


# moves


def _second(t: Any) -> Fn:
    @fn
    def op(a: t, b: t, d: t) -> t:
        return b

    return op


for _form in "vxi":
    _token, _operand = operand(_form)
    row(
        f"vmv.v.{_form} vd, {_operand}", f"010111 1 00000 {_token} {FORMS[_form][1]} vd 1010111",
        f"vd[e] = {SECOND[_form]}, for e below vl.", timing="valu",
        meaning=by_width([lanewise(t, t, t, _second(t), _form) for t in UNSIGNED], (1, 0, 1), _form),
    )  # fmt: skip


def _fill(t: Float) -> Fn:
    return lanewise(t.raw, t.raw, t.raw, _second(t.raw), "f")


def _float_merge(t: Float) -> Fn:
    return _body(t.raw, _merge(t.raw), "f", True)


row(
    "vfmv.v.f vd, fs1", "010111 1 00000 fs1 101 vd 1010111", "vd[e] = f[rs1], for e below vl.", timing="valu",
    meaning=by_float(_fill, (1, 0, 0), "f"),
)  # fmt: skip
row(
    "vfmerge.vfm vd, vs2, fs1, v0", "010111 0 vs2 fs1 101 vd 1010111",
    "vd[e] = f[rs1] where bit e of v0 is set, else vs2[e], for e below vl.", timing="valu",
    meaning=by_float(_float_merge, (1, 1, 0), "f", MASKED),
)  # fmt: skip


def _to_x(t: Any) -> Fn:
    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        h.x[i.rd] = u64(i64(Ptr[t](group(h, i.rs2))[0]))

    return run


def _from_x(t: Any, form: str) -> Fn:
    value = scalar(t, form)

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        if h.vstart < h.vl:
            Ptr[t](group(h, i.rd))[0] = value(h, i)

    return run


def _to_f(t: Float) -> Fn:
    raw, put = t.raw, t.put

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        put(h, i.rd, u64(Ptr[raw](group(h, i.rs2))[0]))

    return run


row(
    "vmv.x.s rd, vs2", "010000 1 vs2 00000 010 rd 1010111", "x[rd] = vs2[0], sign-extended, even when vl = 0.",
    timing="vtoscalar", meaning=by_width([_to_x(t) for t in SIGNED], (0, 0, 0), "x"),
)  # fmt: skip
row(
    "vmv.s.x vd, rs1", "010000 1 00000 rs1 110 vd 1010111", "vd[0] = x[rs1] unless vl = 0.",
    timing="valu", reads=("vd",), meaning=by_width([_from_x(t, "x") for t in UNSIGNED], (0, 0, 0), "x"),
)  # fmt: skip
row(
    "vfmv.f.s fd, vs2", "010000 1 vs2 00000 001 fd 1010111", "f[rd] = vs2[0], NaN-boxed, even when vl = 0.",
    timing="vtoscalar", meaning=by_float(_to_f, (0, 0, 0), "f"),
)  # fmt: skip
row(
    "vfmv.s.f vd, fs1", "010000 1 00000 fs1 101 vd 1010111", "vd[0] = f[rs1] unless vl = 0.",
    timing="valu", reads=("vd",), meaning=by_float(lambda t: _from_x(t.raw, "f"), (0, 0, 0), "f"),
)  # fmt: skip


def _whole(count: int) -> Fn:
    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(h.vsew == 0):
            return ILLEGAL
        done = min(h.vstart * u64(h.vsew), u64(count * VLENB))
        memmove(Ptr[u8](group(h, i.rd)) + done, Ptr[u8](group(h, i.rs2)) + done, count * VLENB - done)
        h.vstart = 0
        return OK

    meaning.made_of["registers"] = count
    return meaning


for _count in (1, 2, 4, 8):
    row(
        f"vmv{_count}r.v vd, vs2", f"100111 1 vs2 {_count - 1:05b} 011 vd 1010111",
        f"Copy {_count} whole register{'s' * (_count > 1)}, whatever vl.", timing="valu", meaning=_whole(_count),
        excludes={name: [r for r in range(32) if r % _count] for name in ("vd", "vs2")},
    )  # fmt: skip
