"""A: load-reserved, store-conditional and atomic memory operations."""

# mypy: disable-error-code="valid-type, no-any-return, operator"
from __future__ import annotations

from mtia.isa.lang import Fn, Ptr, fn, i32, i64, select, u32, u64, unlikely
from mtia.isa.lang.types import Scalar
from mtia.isa.state import (
    AMO,
    CONDITIONAL,
    EXTERNAL,
    GRANULE,
    LOAD_MISALIGNED,
    OK,
    RESERVE,
    STORE_MISALIGNED,
    Hart,
    Insn,
    reach,
)
from mtia.isa.table import extension

row = extension("A", "Atomic memory operations on naturally aligned words; a misaligned address traps.")


@fn(inline="never")
def misaligned(h: Ptr[Hart], address: u64, cause: u32) -> u32:
    """Note the address of a trap."""
    h.want_addr = address
    return cause


@fn(inline="never")
def watch(h: Ptr[Hart], address: u64) -> None:
    """Let the PE's other hart know what is reserved in local memory: the granule of an address, or nothing."""
    if h.peer != 0:
        inside = (address - h.ls_base) & ~u64(GRANULE - 1)
        Ptr[Hart](h.peer).claimed = select(inside < h.ls_size, h.ls_ptr + inside, u64(0))


def _load_reserved(kind: Scalar) -> Fn:
    size = kind.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        address = h.x[i.rs1]
        if unlikely(address & (size - 1) != 0):
            return misaligned(h, address, u32(LOAD_MISALIGNED))
        p = reach(h, address, size, RESERVE)
        if unlikely(p == 0):
            return EXTERNAL
        h.x[i.rd] = u64(i64(Ptr[kind](p)[0]))
        h.reservation = address
        h.reservation_valid = 1
        watch(h, address)
        return OK

    return meaning


def _store_conditional(kind: Scalar) -> Fn:
    size = kind.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        address = h.x[i.rs1]
        if unlikely(address & (size - 1) != 0):
            return misaligned(h, address, u32(STORE_MISALIGNED))
        failed = h.reservation_valid == 0 or h.reservation != address
        if not failed:
            p = reach(h, address, size, CONDITIONAL)
            if unlikely(p == 0):
                return EXTERNAL
            Ptr[kind](p)[0] = kind(h.x[i.rs2])
        h.reservation_valid = 0
        watch(h, h.ls_base - 1)
        h.x[i.rd] = u64(failed)
        return OK

    return meaning


def _amo(kind: Scalar, op: Fn) -> Fn:
    size = kind.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        address = h.x[i.rs1]
        if unlikely(address & (size - 1) != 0):
            return misaligned(h, address, u32(STORE_MISALIGNED))
        p = reach(h, address, size, AMO)
        if unlikely(p == 0):
            return EXTERNAL
        old = Ptr[kind](p)[0]
        Ptr[kind](p)[0] = op(old, kind(h.x[i.rs2]))
        h.x[i.rd] = u64(i64(old))
        return OK

    return meaning


def _swap(kind: Scalar) -> Fn:
    @fn
    def op(old: kind, new: kind) -> kind:
        return new

    return op


def _add(kind: Scalar) -> Fn:
    @fn
    def op(old: kind, new: kind) -> kind:
        return old + new

    return op


def _xor(kind: Scalar) -> Fn:
    @fn
    def op(old: kind, new: kind) -> kind:
        return old ^ new

    return op


def _and(kind: Scalar) -> Fn:
    @fn
    def op(old: kind, new: kind) -> kind:
        return old & new

    return op


def _or(kind: Scalar) -> Fn:
    @fn
    def op(old: kind, new: kind) -> kind:
        return old | new

    return op


def _min(kind: Scalar) -> Fn:
    @fn
    def op(old: kind, new: kind) -> kind:
        return min(old, new)

    return op


def _max(kind: Scalar) -> Fn:
    @fn
    def op(old: kind, new: kind) -> kind:
        return max(old, new)

    return op


def _minu(kind: Scalar) -> Fn:
    wide = u32 if kind is i32 else u64

    @fn
    def op(old: kind, new: kind) -> kind:
        return kind(min(wide(old), wide(new)))

    return op


def _maxu(kind: Scalar) -> Fn:
    wide = u32 if kind is i32 else u64

    @fn
    def op(old: kind, new: kind) -> kind:
        return kind(max(wide(old), wide(new)))

    return op


_AMOS = (
    ("amoswap", _swap, "00001", "x[rs2]"),
    ("amoadd", _add, "00000", "old + x[rs2]"),
    ("amoxor", _xor, "00100", "old ^ x[rs2]"),
    ("amoand", _and, "01100", "old & x[rs2]"),
    ("amoor", _or, "01000", "old | x[rs2]"),
    ("amomin", _min, "10000", "smaller of old and x[rs2], signed"),
    ("amomax", _max, "10100", "larger of old and x[rs2], signed"),
    ("amominu", _minu, "11000", "smaller of old and x[rs2], unsigned"),
    ("amomaxu", _maxu, "11100", "larger of old and x[rs2], unsigned"),
)
_ORDERS = (
    ("", "00", ""),
    (".rl", "01", " Release: after all earlier accesses of the hart."),
    (".aq", "10", " Acquire: before all later accesses of the hart."),
    (".aqrl", "11", " Acquire and release."),
)
for _letter, _kind, _low in (("w", i32, "010"), ("d", i64, "011")):
    _lr, _sc = _load_reserved(_kind), _store_conditional(_kind)
    _meanings = {name: _amo(_kind, make(_kind)) for name, make, _, _ in _AMOS}
    for _suffix, _bits, _order in _ORDERS:
        row(
            f"lr.{_letter}{_suffix} rd, (rs1)", f"00010 {_bits} 00000 rs1 {_low} rd 0101111",
            f"x[rd] = sign-extended memory at x[rs1]; the 64 bytes around it are reserved.{_order}",
            timing="load", meaning=_lr,
        )  # fmt: skip
        row(
            f"sc.{_letter}{_suffix} rd, rs2, (rs1)", f"00011 {_bits} rs2 rs1 {_low} rd 0101111",
            f"If x[rs1] is still reserved: memory = x[rs2], x[rd] = 0; else x[rd] = 1.{_order}",
            timing="amo", meaning=_sc,
        )  # fmt: skip
        for _name, _, _high, _text in _AMOS:
            row(
                f"{_name}.{_letter}{_suffix} rd, rs2, (rs1)", f"{_high} {_bits} rs2 rs1 {_low} rd 0101111",
                f"old = memory at x[rs1]; memory = {_text}; x[rd] = old, sign-extended.{_order}",
                timing="amo", meaning=_meanings[_name],
            )  # fmt: skip
