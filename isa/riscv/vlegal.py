# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V: which registers an instruction may name under the current vtype; everything reserved is illegal.

The rules (RISC-V "V" 1.0, sections 3.4.2, 5.2, 5.3 and those of the instructions): a group starts at a multiple of
its size and has at most 8 registers; a destination overlaps a source of another element width only where nothing is
lost; a masked instruction does not write v0, unless it writes a mask or one element; no register is read with two
element widths, a mask counting as one bit wide.

A shape says what a register operand is: a multiple of the element width (2, 1, 1/2 …), or one of the names below.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from mtia.isa.lang import Fn, Ptr, boolean, fn, u8, u32
from mtia.isa.state import Hart, Insn

__all__ = [
    "APART", "INDEX16", "MASK", "MASKED", "NOT_V0", "ONE", "READS_D", "WIDE_ONE", "aligned", "fits", "lawful",
]  # fmt: skip

MASK = -1  # a mask: one register, one bit an element
ONE = -2  # element 0 of one register
WIDE_ONE = -3  # the same, of twice the element width
INDEX16 = -4  # 16-bit indices, as many as elements

# Further rules of an instruction.
APART = 1  # vd overlaps no source
NOT_V0 = 2  # a mask is written, but not over v0 when masked
MASKED = 4  # v0 is read whatever bit 25 says
READS_D = 8  # vd is a source too

_SINGLE = 3  # codes up to here occupy one register


def _code(shape: float) -> int:
    if shape > 0:
        return int(shape * 64)
    return int(-shape)


@fn
def aligned(register: u8, eighths: u32) -> boolean:
    """Whether a register may start a group of `eighths`/8 registers."""
    return eighths != 0 and eighths <= 64 and (eighths <= 8 or u32(register) & (eighths >> 3) - 1 == 0)


@fn
def width_of(h: Ptr[Hart], code: u32) -> u32:
    """The element width of an operand, in bits."""
    if code == 1:
        return u32(1)
    if code == 2:
        return h.vsew * 8
    if code == 3:
        return h.vsew * 16
    if code == 4:
        return u32(16)
    return h.vsew * code >> 3


@fn
def size_of(h: Ptr[Hart], code: u32) -> u32:
    """The size of an operand's group, in eighths of a register."""
    if code <= _SINGLE:
        return u32(8)
    if code == 4:
        return h.vlmul8 * 2 // h.vsew
    return h.vlmul8 * code >> 6


@fn
def overlap(a: u32, a_count: u32, b: u32, b_count: u32) -> boolean:
    """Whether two runs of registers have one in common."""
    return a < b + b_count and b < a + a_count


@fn
def fits(d: u32, d_size: u32, d_width: u32, s: u32, s_size: u32, s_width: u32) -> boolean:
    """Whether a destination group may be where it is beside a source group.

    Sizes in eighths of a register, element widths in bits.
    """
    d_count = max(d_size >> 3, u32(1))
    s_count = max(s_size >> 3, u32(1))
    if d_width == s_width or not overlap(d, d_count, s, s_count):
        return True
    if d_width < s_width:
        return d == s
    return s_size >= 8 and s_width != 1 and d + d_count == s + s_count


@fn
def source_fits(h: Ptr[Hart], i: Ptr[Insn], code: u32, register: u8, d_code: u32, how: u32) -> boolean:
    """The rules of one source: by itself, beside vd, and beside the mask."""
    if code == 0:
        return True
    size = size_of(h, code)
    width = width_of(h, code)
    if code > _SINGLE and not aligned(register, size):
        return False
    if (i.vm == 0 or how & MASKED != 0) and width != 1 and register == 0:
        return False
    if d_code == 0 or d_code == 2 or d_code == 3:
        return True
    d = u32(i.rd)
    s = u32(register)
    d_size = size_of(h, d_code)
    if how & (APART | READS_D) != 0 and overlap(d, max(d_size >> 3, u32(1)), s, max(size >> 3, u32(1))):
        return how & APART == 0 and width == width_of(h, d_code)
    return fits(d, d_size, width_of(h, d_code), s, size, width)


@fn(inline="never")
def lawful_groups(h: Ptr[Hart], i: Ptr[Insn], d: u32, a: u32, b: u32, how: u32) -> boolean:
    """Whether vd, vs2 and vs1 are where they may be, by the codes of their shapes."""
    if h.vsew == 0:
        return False
    if d > _SINGLE and not aligned(i.rd, size_of(h, d)):
        return False
    if (i.vm == 0 or how & MASKED != 0) and i.rd == 0 and (d > _SINGLE or how & NOT_V0 != 0):
        return False
    if not source_fits(h, i, a, i.rs2, d, how) or not source_fits(h, i, b, i.rs1, d, how):
        return False
    if a != 0 and b != 0 and width_of(h, a) != width_of(h, b):
        first = max(size_of(h, a) >> 3, u32(1))
        return not overlap(u32(i.rs2), first, u32(i.rs1), max(size_of(h, b) >> 3, u32(1)))
    return True


@cache
def lawful(shapes: Sequence[float], how: int = 0) -> Fn:
    """A function of (hart, instruction): whether vd, vs2 and vs1 of these shapes are where they may be."""
    d, a, b = map(_code, shapes)
    plain = {d, a, b} <= {0, 64} and how & APART == 0
    has_d, has_a, has_b, masked = d != 0, a != 0, b != 0, how & MASKED != 0

    @fn
    def legal(h: Ptr[Hart], i: Ptr[Insn]) -> boolean:
        if not plain:
            return lawful_groups(h, i, d, a, b, how)
        else:
            together = u32(0)
            clear = boolean(True)  # of v0
            if has_d:
                together |= u32(i.rd)
                clear = clear and i.rd != 0
            if has_a:
                together |= u32(i.rs2)
                clear = clear and i.rs2 != 0
            if has_b:
                together |= u32(i.rs1)
                clear = clear and i.rs1 != 0
            if not masked:
                clear = clear or i.vm != 0
            return clear and together & (max(h.vlmul8 >> 3, u32(1)) - 1) == 0

    return legal
