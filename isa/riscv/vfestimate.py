# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V, Zvfh: 7-bit estimates of the reciprocal and of the reciprocal square root."""

from __future__ import annotations

from functools import partial

from mtia.isa.lang import Fn, Ptr, clz, f64, floor, fn, i64, select, sqrt, u64
from mtia.isa.riscv.exact import DZ, NV, NX, OF, RDN, RTZ, RUP
from mtia.isa.riscv.floats import Float, rounding
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import by_float, stepwise
from mtia.isa.state import Hart, Insn


def _estimate(t: Float, root: bool) -> Fn:
    """The 7-bit estimate of 1/x or 1/sqrt(x): the tables of the specification are these quotients, rounded."""
    raw, fraction, infinity, nan, is_signaling = t.raw, t.form.fraction, t.form.infinity, t.form.nan, t.is_signaling
    bias, sign_bit, below = (1 << t.form.exponent - 1) - 1, 1 << t.form.width - 1, (1 << t.form.fraction) - 1

    @fn
    def op(h: Ptr[Hart], i: Ptr[Insn], a_: raw, b: raw, d: raw) -> raw:
        a = u64(a_)
        sign = a & sign_bit
        size = a & (sign_bit - 1)
        if size > infinity or (root and sign != 0 and size != 0):
            if size <= infinity or is_signaling(a):
                h.fflags |= NV
            return raw(nan)
        if size == 0:
            h.fflags |= DZ
            return raw(sign | infinity)
        if size == infinity:
            return raw(sign)
        exp = i64(size >> fraction)
        sig = size & below
        if exp == 0:
            zeros = u64(clz(sig)) - (64 - fraction)
            exp = 0 - i64(zeros)
            sig = sig << (zeros + 1) & below
        if root:
            # the middle of the interval of six bits, between 1 and 2 or between 2 and 4
            middle = f64(129 + 2 * i64(sig >> (fraction - 6))) * 0.0078125
            if exp & 1 == 0:
                middle = middle * 2.0
            near = u64(i64(floor(256.0 / sqrt(middle) + 0.5)))
            return raw(u64(3 * bias - 1 - exp >> 1) << fraction | (near - 128) << (fraction - 7))
        if exp < -1:
            h.fflags |= OF | NX
            rm = rounding(h, i)
            short = rm == RTZ or (rm == RDN and sign == 0) or (rm == RUP and sign != 0)
            return raw(sign | select(short, u64(infinity - 1), u64(infinity)))
        divisor = 257 + 2 * (sig >> (fraction - 7))
        result = ((131072 + divisor) // (2 * divisor)) << (fraction - 7)  # with its top bit
        exp = 2 * bias - 1 - exp
        if exp <= 0:
            return raw(sign | result >> u64(1 - exp))
        return raw(sign | u64(exp) << fraction | result & below)

    return stepwise(raw, raw, raw, op, "x")


for _name, _code, _root, _text in (
    ("vfrsqrt7", "00100", True, "1 / square root of vs2[e]"), ("vfrec7", "00101", False, "1 / vs2[e]")
):  # fmt: skip
    row(
        f"{_name}.v vd, vs2[, vm]", f"010011 vm vs2 {_code} 001 vd 1010111",
        f"vd[e] = {_text} to 7 bits, the table's value, for active e.", timing="vfcvt",
        meaning=by_float(partial(_estimate, root=_root), (1, 1, 0), "x"),
    )  # fmt: skip
