# mypy: disable-error-code="valid-type, no-any-return, operator"
"""Floating-point values in registers: formats, NaN boxing, rounding, comparisons on bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtia.isa.lang import Fn, Ptr, addr, bf16, bits, boolean, f16, f32, f64, fn, select, u8, u16, u32, u64
from mtia.isa.riscv.exact import NV, Exact, Format, exact
from mtia.isa.state import Hart, Insn

__all__ = ["BF16", "DOUBLE", "FORMATS", "HALF", "SINGLE", "Float", "careful", "rounding", "flags_of", "valid_rounding"]


@dataclass(frozen=True)
class Float:
    """A floating-point type: its language types, its exact operations and its functions on bits (in a u64)."""

    suffix: str  # of mnemonics
    code: str  # bits of the `fmt` field
    text: str
    kind: Any
    raw: Any
    form: Format
    exact: Exact
    get: Fn  # (h, register) -> bits, the canonical NaN when not NaN-boxed
    put: Fn  # (h, register, bits)
    canonical: Fn  # (value) -> bits
    is_nan: Fn  # (bits) -> boolean
    is_signaling: Fn  # (bits) -> boolean
    less: Fn  # (bits, bits) -> boolean, -0 below +0; no NaN
    equal: Fn  # (bits, bits) -> boolean, -0 equals +0; no NaN
    minimum: Fn  # (bits, bits, flags) -> bits
    maximum: Fn


def _get(form: Format) -> Fn:
    width, nan = form.width, form.nan
    if width == 64:

        @fn
        def get64(h: Ptr[Hart], register: u8) -> u64:
            return h.f[register]

        return get64
    high = (1 << 64 - width) - 1
    mask = (1 << width) - 1

    @fn
    def get(h: Ptr[Hart], register: u8) -> u64:
        value = h.f[register]
        return select(value >> width == high, value & mask, u64(nan))

    return get


def _put(form: Format) -> Fn:
    boxes = (1 << 64) - (1 << form.width)

    @fn
    def put(h: Ptr[Hart], register: u8, value: u64) -> None:
        h.f[register] = value | boxes

    return put


def _canonical(kind: Any) -> Fn:
    @fn
    def canonical(value: kind) -> u64:
        return u64(bits(value))  # which gives every NaN as the canonical one

    return canonical


def _is_nan(form: Format) -> Fn:
    infinity, magnitude = form.infinity, (1 << form.width - 1) - 1

    @fn
    def is_nan(value: u64) -> boolean:
        return (value & magnitude) > infinity

    return is_nan


def _is_signaling(form: Format, is_nan: Fn) -> Fn:
    quiet = 1 << form.fraction - 1

    @fn
    def is_signaling(value: u64) -> boolean:
        return is_nan(value) and value & quiet == 0

    return is_signaling


def _less(form: Format) -> Fn:
    top = form.width - 1

    @fn
    def less(a: u64, b: u64) -> boolean:
        if a >> top != 0:
            return b >> top == 0 or a > b
        return b >> top == 0 and a < b

    return less


def _equal(form: Format) -> Fn:
    magnitude = (1 << form.width - 1) - 1

    @fn
    def equal(a: u64, b: u64) -> boolean:
        return a == b or ((a | b) & magnitude) == 0

    return equal


def _choose(form: Format, is_nan: Fn, is_signaling: Fn, less: Fn, largest: bool) -> Fn:
    nan = form.nan

    @fn
    def choose(a: u64, b: u64, flags: Ptr[u32]) -> u64:
        if is_nan(a) or is_nan(b):
            if is_signaling(a) or is_signaling(b):
                flags[0] |= NV
            if is_nan(b):
                return select(is_nan(a), u64(nan), a)
            return b
        if largest:
            return select(less(a, b), b, a)
        return select(less(b, a), b, a)

    return choose


def _float(suffix: str, code: str, text: str, kind: Any, raw: Any, form: Format) -> Float:
    is_nan, less = _is_nan(form), _less(form)
    is_signaling = _is_signaling(form, is_nan)
    return Float(
        suffix, code, text, kind, raw, form, exact(form), _get(form), _put(form), _canonical(kind), is_nan,
        is_signaling, less, _equal(form), _choose(form, is_nan, is_signaling, less, False),
        _choose(form, is_nan, is_signaling, less, True),
    )  # fmt: skip


SINGLE = _float("s", "00", "fp32", f32, u32, Format(8, 23))
DOUBLE = _float("d", "01", "fp64", f64, u64, Format(11, 52))
HALF = _float("h", "10", "fp16", f16, u16, Format(5, 10))
BF16 = _float("bf16", "10", "bf16", bf16, u16, Format(8, 7))
FORMATS = (SINGLE, DOUBLE, HALF)


@fn
def careful(h: Ptr[Hart], i: Ptr[Insn]) -> boolean:
    """Whether an operation must take the exact path: flags are observed, or rounding is not to nearest even."""
    return h.exact != 0 or (i.rm != 0 and (i.rm != 7 or h.frm != 0))


@fn
def rounding(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
    """The rounding mode of an instruction; 5 to 7 are invalid."""
    return select(i.rm == 7, h.frm, u32(i.rm))


@fn
def valid_rounding(h: Ptr[Hart], i: Ptr[Insn]) -> boolean:
    """Whether the rounding mode is defined."""
    return i.rm != 7 or h.frm < 5


@fn
def flags_of(h: Ptr[Hart]) -> Ptr[u32]:
    """Where exception flags are collected."""
    return addr(h.fflags)
