# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V: loads and stores. Whole ranges go in one access; the others element by element, restarting at vstart."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from mtia.isa.lang import Fn, Ptr, boolean, fn, local, memcpy, u8, u16, u32, u64, unlikely, unroll, vload, vstore
from mtia.isa.riscv.vconfig import row
from mtia.isa.riscv.vector import active, group
from mtia.isa.riscv.vlegal import aligned, fits, overlap
from mtia.isa.state import (
    EXTERNAL,
    ILLEGAL,
    LOAD_FAULT,
    OK,
    READ,
    VLENB,
    WRITE,
    Hart,
    Insn,
    reach,
    reach_any,
    reach_first,
)

WIDTHS = ((8, u8, "000"), (16, u16, "101"), (32, u32, "110"), (64, u64, "111"))


@fn
def fields_of(i: Ptr[Insn]) -> u64:
    """Fields of a segment access: 1 to 8."""
    return u64(i.word >> 29) + 1


@fn
def legal(h: Ptr[Hart], i: Ptr[Insn], eighths: u32, fields: u64) -> u32:
    """OK when `fields` groups from rd on exist, with vtype set, and the mask is not among them."""
    register = i.rd
    one = max(eighths >> 3, u32(1))
    if h.vsew == 0 or not aligned(register, eighths) or (i.vm == 0 and register == 0):
        return ILLEGAL
    if fields * u64(one) > 8 or u64(register) + fields * u64(one) > 32:
        return ILLEGAL
    return OK


@fn
def move(store: u32, memory: u64, register: u64, size: u64) -> None:
    """Copy one element of 1, 2, 4 or 8 bytes to or from memory."""
    to = register
    source = memory
    if store == WRITE:
        to = memory
        source = register
    if size == 4:
        Ptr[u32](to)[0] = Ptr[u32](source)[0]
    elif size == 2:
        Ptr[u16](to)[0] = Ptr[u16](source)[0]
    elif size == 8:
        Ptr[u64](to)[0] = Ptr[u64](source)[0]
    else:
        Ptr[u8](to)[0] = Ptr[u8](source)[0]


@fn
def element(
    h: Ptr[Hart], i: Ptr[Insn], e: u64, address: u64, size: u64, eighths: u32, fields: u64, direction: u32
) -> u32:
    """Move the fields of one element; they lie next to each other in memory, a group apart in registers."""
    p = reach_any(h, address, size * fields, direction)
    if unlikely(p == 0):
        h.vstart = e
        return EXTERNAL
    apart = u64(max(eighths >> 3, u32(1))) * VLENB
    at = group(h, i.rd) + e * size
    for f in range(fields):
        move(direction, p + f * size, at + f * apart, size)
    return OK


def _range(direction: int) -> Fn:
    """Move `size` bytes between one address range and registers from rd on."""

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn], size: u64) -> u32:
        if size == 0:
            return OK
        p = reach_any(h, h.x[i.rs1], size, direction)
        if unlikely(p == 0):
            return EXTERNAL
        to = Ptr[u8](group(h, i.rd))
        source = Ptr[u8](p)
        if direction == WRITE:
            to = Ptr[u8](p)
            source = Ptr[u8](group(h, i.rd))
        if size & (VLENB - 1) != 0:
            memcpy(to, source, size)
            return OK
        for k in range(u64(0), size, VLENB):
            vstore(to + k, vload(source + k, VLENB))
        return OK

    return run


@cache
def _whole_registers(count: int, direction: int) -> Fn:
    """Move a fixed number of registers."""
    size = count * VLENB

    @fn(inline="never")
    def rest(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        # from element vstart on; the element width is in the encoding
        done = h.vstart << (u64(i.word >> 12) & 3)
        if done < size:
            p = reach_any(h, h.x[i.rs1] + done, size - done, direction)
            if p == 0:
                return EXTERNAL
            registers = group(h, i.rd) + done
            if direction == WRITE:
                memcpy(Ptr[u8](p), Ptr[u8](registers), size - done)
            else:
                memcpy(Ptr[u8](registers), Ptr[u8](p), size - done)
        h.vstart = 0
        return OK

    @fn
    def run(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(h.vstart != 0):
            return rest(h, i)
        p = reach(h, h.x[i.rs1], count * VLENB, direction)
        if unlikely(p == 0):
            return EXTERNAL
        memory = Ptr[u8](p)
        registers = Ptr[u8](group(h, i.rd))
        for k in unroll(range(0, count * VLENB, VLENB)):
            if direction == WRITE:
                vstore(memory + k, vload(registers + k, VLENB))
            else:
                vstore(registers + k, vload(memory + k, VLENB))
        return OK

    return run


def _strided(width: int, direction: int, unit: bool) -> Fn:
    """Elements of a fixed width at a constant distance."""
    size = width // 8
    whole = _range(direction)

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        # The usual case first, without divisions: elements of SEW, all of them, no segments.
        if unit and i.vm != 0 and i.word >> 29 == 0 and h.vsew == size and h.vstart == 0 and aligned(i.rd, h.vlmul8):
            return whole(h, i, h.vl * size)
        fields = fields_of(i)
        eighths = u32(0)
        if h.vsew != 0:
            eighths = h.vlmul8 * size // h.vsew
        status = legal(h, i, eighths, fields)
        if unlikely(status != OK):
            return status
        if unit and i.vm != 0 and fields == 1 and h.vstart == 0:
            return whole(h, i, h.vl * size)
        stride = fields * size
        if not unit:
            stride = h.x[i.rs2]
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                status = element(h, i, e, h.x[i.rs1] + e * stride, size, eighths, fields, direction)
                if unlikely(status != OK):
                    return status
        h.vstart = 0
        return OK

    meaning.made_of["widths"] = {"rd": size}
    if unit:
        meaning.made_of["dense"] = {size: partial(_whole_registers, direction=direction)}
    return meaning


@fn
def indices_fit(h: Ptr[Hart], i: Ptr[Insn], size: u32, fields: u64, direction: u32) -> boolean:
    """Whether the indices, of `size` bytes each, are a group that may be beside the data."""
    eighths = h.vlmul8 * size // h.vsew
    if not aligned(i.rs2, eighths) or (i.vm == 0 and i.rs2 == 0):
        return False
    data = u32(fields) * max(h.vlmul8 >> 3, u32(1))
    if not overlap(u32(i.rd), data, u32(i.rs2), max(eighths >> 3, u32(1))):
        return True
    if direction == WRITE:
        return size == h.vsew
    return fields == 1 and fits(u32(i.rd), h.vlmul8, h.vsew * 8, u32(i.rs2), eighths, size * 8)


def _indexed(kind: Any, direction: int) -> Fn:
    """Elements of SEW at byte offsets from a vector of a fixed width."""
    size = kind.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        fields = fields_of(i)
        status = legal(h, i, h.vlmul8, fields)
        if unlikely(status != OK):
            return status
        if unlikely(not indices_fit(h, i, u32(size), fields, direction)):
            return ILLEGAL
        offsets = Ptr[kind](group(h, i.rs2))
        for e in range(h.vstart, h.vl):
            if active(h, i, e):
                address = h.x[i.rs1] + u64(offsets[e])
                status = element(h, i, e, address, u64(h.vsew), h.vlmul8, fields, direction)
                if unlikely(status != OK):
                    return status
        h.vstart = 0
        return OK

    meaning.made_of["shapes"] = (1, 0, 0)
    meaning.made_of["widths"] = {"rs2": size}
    return meaning


@cache
def _first(width: int) -> Fn:
    """Unit-stride elements; where memory ends after the first, vl is what there was."""
    size = width // 8

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        fields = fields_of(i)
        eighths = u32(0)
        if h.vsew != 0:
            eighths = h.vlmul8 * size // h.vsew
        if unlikely(legal(h, i, eighths, fields) != OK):
            return ILLEGAL
        apart = u64(max(eighths >> 3, u32(1))) * VLENB
        step = fields * size
        got = local(u64, 1)
        together = u64(1)  # elements of one access
        if i.vm != 0:
            together = max(h.vl, h.vstart) - h.vstart
        e = h.vstart
        while e < h.vl:
            if active(h, i, e):
                address = h.x[i.rs1] + e * step
                p = reach_first(h, address, together * step, got)
                if unlikely(p == 0):
                    h.vstart = e
                    return EXTERNAL
                there = got[0] // step
                for n in range(there):
                    for f in range(fields):
                        move(READ, p + n * step + f * size, group(h, i.rd) + (e + n) * size + f * apart, size)
                if unlikely(there < together):
                    if e + there == 0:
                        h.want_addr = address
                        h.want_size = u32(step)
                        h.want_kind = READ
                        return LOAD_FAULT
                    h.vl = e + there
                    h.v_dense = 0
            e += together
        h.vstart = 0
        return OK

    meaning.made_of["widths"] = {"rd": size}
    return meaning


def _mask(direction: int) -> Fn:
    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(h.vsew == 0):
            return ILLEGAL
        size = (h.vl + 7) >> 3
        if h.vstart < size:
            p = reach_any(h, h.x[i.rs1] + h.vstart, size - h.vstart, direction)
            if unlikely(p == 0):
                return EXTERNAL
            registers = group(h, i.rd) + h.vstart
            if direction == WRITE:
                memcpy(Ptr[u8](p), Ptr[u8](registers), size - h.vstart)
            else:
                memcpy(Ptr[u8](registers), Ptr[u8](p), size - h.vstart)
        h.vstart = 0
        return OK

    return meaning


def _registers(count: int, direction: int) -> Fn:
    whole = _whole_registers(count, direction=direction)  # called as for dense handlers: the same functions

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        return whole(h, i)

    meaning.made_of["registers"] = count
    return meaning


_DIRECTIONS = (
    (READ, "l", "vd", "0000111", "load", "vd[e] = {0} at {1}"),
    (WRITE, "s", "vs3", "0100111", "store", "{0} at {1} = vs3[e]"),
)


def _declare(direction: int, letter: str, data: str, major: str, what: str, text: str) -> None:
    timing = f"v{what}"
    for width, kind, code in WIDTHS:
        unit, strided = _strided(width, direction, True), _strided(width, direction, False)
        indexed = _indexed(kind, direction)
        for fields in range(1, 9):
            segment = f"seg{fields}" if fields > 1 else ""
            many = f" and the {fields - 1} after it (in the next register groups)" if fields > 1 else ""
            nf = f"{fields - 1:03b}"
            row(
                f"v{letter}{segment}e{width}.v {data}, (rs1)[, vm]", f"{nf} 0 00 vm 00000 rs1 {code} {data} {major}",
                text.format(f"the {width}-bit element", f"x[rs1] + e · {width // 8 * fields}")
                + f"{many}, for active e.",
                timing=timing, meaning=unit,
            )  # fmt: skip
            if direction == READ:
                row(
                    f"vl{segment}e{width}ff.v vd, (rs1)[, vm]", f"{nf} 0 00 vm 10000 rs1 {code} vd {major}",
                    text.format(f"the {width}-bit element", f"x[rs1] + e · {width // 8 * fields}")
                    + f"{many}, for active e. Where there is no memory after element 0, vl becomes what there was.",
                    timing=timing, meaning=_first(width),
                )  # fmt: skip
            row(
                f"v{letter}s{segment}e{width}.v {data}, (rs1), rs2[, vm]",
                f"{nf} 0 10 vm rs2 rs1 {code} {data} {major}",
                text.format(f"the {width}-bit element", "x[rs1] + e · x[rs2]") + f"{many}, for active e.",
                timing=timing, meaning=strided,
            )  # fmt: skip
            for order, mop, how in (("u", "01", "any order"), ("o", "11", "in order")):
                row(
                    f"v{letter}{order}x{segment}ei{width}.v {data}, (rs1), vs2[, vm]",
                    f"{nf} 0 {mop} vm vs2 rs1 {code} {data} {major}",
                    text.format("the element", f"x[rs1] + vs2[e] ({width}-bit offsets)") + f"{many}, {how}.",
                    timing=timing, meaning=indexed,
                )  # fmt: skip
    row(
        f"v{letter}m.v {data}, (rs1)", f"000 0 00 1 01011 rs1 000 {data} {major}",
        f"{what.capitalize()} ceil(vl / 8) bytes of a mask at x[rs1].", timing=timing, meaning=_mask(direction),
    )  # fmt: skip
    for count in (1, 2, 4, 8):
        meaning = _registers(count, direction)
        for width, _, code in WIDTHS if direction == READ else WIDTHS[:1]:
            name = f"vl{count}re{width}.v" if direction == READ else f"vs{count}r.v"
            row(
                f"{name} {data}, (rs1)", f"{count - 1:03b} 0 00 1 01000 rs1 {code} {data} {major}",
                f"{what.capitalize()} {count} whole register{'s' * (count > 1)} at x[rs1], whatever vl.",
                timing=timing, meaning=meaning, excludes={data: [r for r in range(32) if r % count]},
            )  # fmt: skip


for _direction in _DIRECTIONS:
    _declare(*_direction)
