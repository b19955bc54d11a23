# mypy: disable-error-code="valid-type, no-any-return, operator"
"""Forms of vector meanings: how a pure function of elements is applied to registers under vl, mask and vstart.

Elements are taken a block of one result register (or of the widest operand) at a time: the block is computed as if
every element were active and then only active elements are stored. Functions of elements are therefore total. Tail and
masked-off elements keep their values, which both policies allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from mtia.isa.lang import (
    Fn,
    Ptr,
    addr,
    boolean,
    fn,
    i8,
    i16,
    i32,
    i64,
    local,
    memcpy,
    select,
    u8,
    u16,
    u32,
    u64,
    unlikely,
    unroll,
)
from mtia.isa.riscv.floats import BF16, DOUBLE, HALF, SINGLE, Float
from mtia.isa.riscv.vlegal import lawful
from mtia.isa.state import ILLEGAL, OK, VLENB, Hart, Insn

__all__ = [
    "FLOATS", "SIGNED", "UNSIGNED", "WIDE", "active", "active_bits", "by_float", "by_width", "comparison",
    "group", "lanewise", "mask_bit", "scalar", "stepwise",
]  # fmt: skip

UNSIGNED = (u8, u16, u32, u64)
SIGNED = (i8, i16, i32, i64)
WIDE = {u8: u16, u16: u32, u32: u64, i8: i16, i16: i32, i32: i64}
FLOATS = (HALF, SINGLE, DOUBLE)

Make = Callable[..., Fn]


@fn
def group(h: Ptr[Hart], register: u8) -> u64:
    """The host address of a vector register."""
    return u64(addr(h.v[u64(register) * VLENB]))


@fn
def mask_bit(h: Ptr[Hart], register: u8, element: u64) -> boolean:
    """One bit of a mask register."""
    return h.v[u64(register) * VLENB + (element >> 3)] >> u8(element & 7) & 1 != 0


@fn
def active(h: Ptr[Hart], i: Ptr[Insn], element: u64) -> boolean:
    """Whether an element below vl is to be computed."""
    return i.vm != 0 or mask_bit(h, 0, element)


@fn
def active_bits(h: Ptr[Hart], i: Ptr[Insn], element: u64, lanes: u64) -> u64:
    """The active elements of a block that starts at `element` (a multiple of 8), as bits."""
    found = ~u64(0) >> (64 - lanes)
    if i.vm == 0:
        found &= Ptr[u64](addr(h.v[element >> 3]))[0]
    if h.vl - element < lanes:
        found &= (u64(1) << (h.vl - element)) - 1
    if unlikely(h.vstart > element):
        found = (found >> (h.vstart - element)) << (h.vstart - element)
    return found


def scalar(kind: Any, form: str) -> Fn:
    """The second operand of a scalar form: `x` integer, `f` floating-point, `b` bf16 register, `i` immediate."""
    if form == "x":

        @fn
        def from_x(h: Ptr[Hart], i: Ptr[Insn]) -> kind:
            return kind(h.x[i.rs1])

        return from_x
    if form in ("f", "b"):
        found = BF16 if form == "b" else next(t for t in FLOATS if t.raw is kind)
        get = found.get

        @fn
        def from_f(h: Ptr[Hart], i: Ptr[Insn]) -> kind:
            return kind(get(h, i.rs1))

        return from_f

    @fn
    def from_i(h: Ptr[Hart], i: Ptr[Insn]) -> kind:
        return kind(i.imm)

    return from_i


def lanewise(first: Any, second: Any, result: Any, op: Fn, form: str) -> Fn:
    """vd[e] = op(vs2[e], vs1[e] or the scalar, vd[e]) for active e; types of vs2, vs1 and vd are given."""
    lanes = VLENB // max(first.size, second.size if form == "v" else 1, result.size)
    size = result.size
    value = scalar(second, form)
    vectors = form == "v"

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[result](group(h, i.rd))
        a = Ptr[first](group(h, i.rs2))
        b = Ptr[second](group(h, i.rs1))
        block = local(result, lanes)
        s = second(0)
        if not vectors:
            s = value(h, i)
        dense = i.vm != 0 and h.vstart == 0
        end = h.vl
        e = h.vstart & ~u64(lanes - 1)
        while e < end:
            for k in range(u64(lanes)):
                if vectors:
                    block[k] = op(a[e + k], b[e + k], d[e + k])
                else:
                    block[k] = op(a[e + k], s, d[e + k])
            if dense and end - e >= lanes:
                memcpy(d + e, block, lanes * size)
            else:
                todo = active_bits(h, i, e, lanes)
                for k in range(u64(lanes)):
                    d[e + k] = select(todo >> k & 1 != 0, block[k], d[e + k])
            e += lanes

    @fn
    def one_block(d: Ptr[result], a: Ptr[first], b: Ptr[second], s: second) -> None:
        block = local(result, lanes)
        for k in range(u64(lanes)):
            if vectors:
                block[k] = op(a[k], b[k], d[k])
            else:
                block[k] = op(a[k], s, d[k])
        memcpy(d, block, lanes * size)

    def dense(blocks: int) -> Fn:
        @fn
        def run_all(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
            d = Ptr[result](group(h, i.rd))
            a = Ptr[first](group(h, i.rs2))
            b = Ptr[second](group(h, i.rs1))
            s = second(0)
            if not vectors:
                s = value(h, i)
            if blocks <= 2:
                for n in unroll(range(blocks)):
                    one_block(d + n * lanes, a + n * lanes, b + n * lanes, s)
            else:
                for e in range(u64(0), u64(lanes * blocks), lanes):
                    one_block(d + e, a + e, b + e, s)
            return OK

        return run_all

    run.made_of["dense"] = cache(dense)
    return run


def stepwise(first: Any, second: Any, result: Any, op: Fn, form: str) -> Fn:
    """As `lanewise`, but op(h, i, a, b, d) runs only for active elements, in order, and may change flags."""
    value = scalar(second, form)
    vectors = form == "v"

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = Ptr[result](group(h, i.rd))
        a = Ptr[first](group(h, i.rs2))
        b = Ptr[second](group(h, i.rs1))
        s = second(0)
        if not vectors:
            s = value(h, i)
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                if vectors:
                    s = b[e]
                d[e] = op(h, i, a[e], s, d[e])

    return run


def comparison(kind: Any, op: Fn, form: str) -> Fn:
    """Bit e of vd = op(vs2[e], vs1[e] or the scalar) for active e."""
    lanes = VLENB // kind.size
    store = {8: u8, 16: u16, 32: u32, 64: u64}[lanes]
    value = scalar(kind, form)
    vectors = form == "v"

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> None:
        d = group(h, i.rd)
        a = Ptr[kind](group(h, i.rs2))
        b = Ptr[kind](group(h, i.rs1))
        s = kind(0)
        if not vectors:
            s = value(h, i)
        e = h.vstart & ~u64(lanes - 1)
        while e < h.vl:
            todo = active_bits(h, i, e, lanes)
            found = u64(0)
            for k in range(u64(lanes)):
                if vectors:
                    found |= u64(op(a[e + k], b[e + k])) << k
                else:
                    found |= u64(op(a[e + k], s)) << k
            p = Ptr[store](d + (e >> 3))
            p[0] = store(u64(p[0]) & ~todo | found & todo)
            e += lanes

    return run


def by_width(
    runs: Sequence[Fn | None], shapes: tuple[float, float, float], form: str, floating: bool = False, how: int = 0
) -> Fn:
    """Choose by element width (1, 2, 4, 8 bytes; None is illegal).

    `shapes` are those of vd, vs2 and vs1 as in `vlegal`; without a vs1 (another form than `v`) the third is ignored.
    A `floating` operation needs a valid frm, whether it rounds or not.
    """
    one, two, four, eight = (run or _nothing for run in runs)
    has = tuple(run is not None for run in runs)
    has1, has2, has4, has8 = has
    legal = lawful((*shapes[:2], shapes[2] if form == "v" else 0), how)

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        good = legal(h, i)
        if floating:
            good = good and h.frm < 5
        if unlikely(not good):
            return ILLEGAL
        if has4 and h.vsew == 4:
            four(h, i)
        elif has2 and h.vsew == 2:
            two(h, i)
        elif has8 and h.vsew == 8:
            eight(h, i)
        elif has1 and h.vsew == 1:
            one(h, i)
        else:
            return ILLEGAL
        h.vstart = 0
        return OK

    meaning.made_of["shapes"] = shapes
    if shapes[0] == 1 and set(shapes) <= {0, 1} and not how:
        # The same for a group of whole registers with every element active: element width -> registers -> function.
        meaning.made_of["dense"] = {
            1 << p: run.made_of["dense"] for p, run in enumerate(runs) if run is not None and "dense" in run.made_of
        }
    return meaning


@fn
def _nothing(h: Ptr[Hart], i: Ptr[Insn]) -> None:
    pass


def by_float(make: Callable[[Float], Fn | None], shapes: tuple[float, float, float], form: str, how: int = 0) -> Fn:
    """As `by_width` for floating-point types: 2, 4 and 8 bytes."""
    return by_width((None, *(make(t) for t in FLOATS)), shapes, form, floating=True, how=how)
