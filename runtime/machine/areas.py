"""Strict runs: which buffer of device memory an access meets, and which of its bytes have been written."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, i64, popcount, select, u8, u32, u64
from mtia.isa.state import CONDITIONAL, RESERVE, WRITE, changes
from mtia.isa.xmtia.codes import Cause

from .hazards import fault
from .state import IN_PADDING, NO_DETAIL, Area, Finding, Machine, Pe

OUTSIDE = int(Cause.OUTSIDE)
ALL = (1 << 64) - 1


@fn
def area_of(m: Ptr[Machine], address: u64) -> Ptr[Area]:
    """The buffer whose start is nearest below an address, the first one if there is none."""
    found: Ptr[Area] = addr(m.areas[m.area_last])
    if address - found.start < found.size:
        return found
    low = u32(0)
    high = m.area_count
    while high - low > 1:
        middle = (low + high) >> 1
        if m.areas[middle].start <= address:
            low = middle
        else:
            high = middle
    m.area_last = low
    nearest: Ptr[Area] = addr(m.areas[low])
    return nearest


@fn
def ones(n: u64) -> u64:
    """A word whose n lowest bits are set, n ≤ 64."""
    return select(n >= 64, u64(ALL), (u64(1) << (n & 63)) - 1)


@fn
def set_bits(bits: u64, first: u64, n: u64) -> None:
    """Set n bits from bit `first` on; `bits` is a multiple of 8."""
    at = first
    left = n
    while left > 0:
        word = Ptr[u64](bits) + (at >> 6)
        part = select(left < 64 - (at & 63), left, 64 - (at & 63))
        word[0] = word[0] | (ones(part) << (at & 63))
        at += part
        left -= part


@fn
def clear_bits(bits: u64, first: u64, n: u64) -> u64:
    """How many of n bits are clear."""
    at = first
    left = n
    count = u64(0)
    while left > 0:
        part = select(left < 64 - (at & 63), left, 64 - (at & 63))
        count += part - popcount((Ptr[u64](bits)[at >> 6] >> (at & 63)) & ones(part))
        at += part
        left -= part
    return count


@fn
def first_clear(bits: u64, first: u64) -> u64:
    """The first clear bit from `first` on; there is one."""
    at = first
    while (Ptr[u8](bits)[at >> 3] >> u8(at & 7)) & 1 != 0:
        at += 1
    return at


@fn
def find(f: Ptr[Finding], pe: Ptr[Pe], hart: u32, unit: u32, pc: u64, address: u64, count: u64) -> None:
    """Count bytes that should not have been read, and keep the first."""
    if f.bytes == 0:
        f.address = address
        f.pc = pc
        f.pe = pe.index
        f.hart = hart
        f.unit = unit
    f.bytes += count


@fn
def touch(
    a: Ptr[Area], pe: Ptr[Pe], hart: u32, unit: u32, pc: u64, first: u64, n: u64, kind: u32
) -> None:  # fmt: skip
    """Note a write of n bytes of a buffer, or count those of a read that nothing has written."""
    if kind != WRITE:
        missing = clear_bits(a.bits, first, n)
        if missing != 0:
            find(addr(a.unwritten), pe, hart, unit, pc, a.start + first_clear(a.bits, first), missing)
    if changes(kind):
        set_bits(a.bits, first, n)


@fn
def check_area(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, unit: u32, pc: u64,
    address: u64, stride: i64, n: u64, size: u64, kind: u32,
) -> u32:  # fmt: skip
    """Check n elements in device memory, `stride` bytes apart: a trap cause or 0.

    Outside every buffer is a trap; a read of the padding behind one, or of bytes that nothing has written, is counted.
    """
    if m.area_count == 0 or n == 0:
        return 0
    low = address
    span = (n - 1) * u64(stride) + size
    if stride < 0:
        low = address + (n - 1) * u64(stride)
        span = address + size - low
    a = area_of(m, low)
    inside = low - a.start
    if inside < a.size and span <= a.size - inside:
        if a.bits == 0:
            return 0
        if stride == i64(size):
            touch(a, pe, hart, unit, pc, inside, span, kind)
        else:
            for k in range(i64(0), i64(n)):
                touch(a, pe, hart, unit, pc, address + u64(k * stride) - a.start, size, kind)
        return 0
    return check_ends(m, pe, hart, unit, pc, address, stride, n, size, kind)


@fn(inline="never")
def check_ends(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, unit: u32, pc: u64,
    address: u64, stride: i64, n: u64, size: u64, kind: u32,
) -> u32:  # fmt: skip
    """As `check_area`, byte by byte, where not all lies inside one buffer."""
    for k in range(i64(0), i64(n)):
        for byte in range(u64(0), size):
            at = address + u64(k * stride) + byte
            a = area_of(m, at)
            inside = at - a.start
            if inside < a.size:
                if a.bits != 0:
                    touch(a, pe, hart, unit, pc, inside, u64(1), kind)
            elif inside < a.room:
                # Atomics of one or two bytes are made of these on the word around them, which may be a buffer's last.
                shared = (kind == RESERVE or kind == CONDITIONAL) and at - inside + a.size > address
                if shared:
                    continue
                if changes(kind):
                    return fault(addr(m.trap), u32(OUTSIDE), at, size, u32(IN_PADDING))
                find(addr(a.past), pe, hart, unit, pc, at, u64(1))
            else:
                return fault(addr(m.trap), u32(OUTSIDE), at, size, u32(NO_DETAIL))
    return 0
