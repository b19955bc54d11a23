"""Strict runs: which bytes of local memory and accumulators have been written, and the trap for reading others."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, i64, memset, u8, u32, u64
from mtia.isa.state import all_written
from mtia.isa.xmtia.codes import Cause
from mtia.isa.xmtia.state import Operand

from .hazards import IN_RE, LOCAL, element_bytes, fault
from .state import A_READ, A_WRITE, IN_ACCUMULATORS, NO_DETAIL, Command, Machine, OpInfo, Pe

UNWRITTEN = int(Cause.UNWRITTEN)


@fn
def mark_run(shadow: u64, stride: i64, n: u64, size: u64) -> None:
    """Note that n elements, `stride` bytes apart, have been written."""
    if stride == i64(size):
        memset(Ptr[u8](shadow), 1, n * size)
        return
    for k in range(i64(0), i64(n)):
        memset(Ptr[u8](shadow + u64(k * stride)), 1, size)


@fn
def first_unwritten(shadow: u64, stride: i64, n: u64, size: u64) -> u64:
    """The first of n elements that has not been written, n if all have."""
    if stride == i64(size) and all_written(shadow, n * size):
        return n
    for k in range(i64(0), i64(n)):
        if not all_written(shadow + u64(k * stride), size):
            return u64(k)
    return n


@fn
def shadow_of(pe: Ptr[Pe], o: Ptr[Operand]) -> u64:
    """Shadow of a local tile's element (0, 0)."""
    if o.space == IN_RE:
        return pe.acc_shadow + (u64(o.ptr) - u64(pe.acc))
    return pe.shadow + (u64(o.ptr) - u64(pe.ls))


@fn
def check_tile(m: Ptr[Machine], pe: Ptr[Pe], o: Ptr[Operand]) -> u32:
    """Trap when a tile that a command reads has an element nobody wrote."""
    if o.rows == 0 or o.cols == 0:
        return 0
    size = element_bytes(o.dtype)
    start = shadow_of(pe, o)
    columns = u64(o.cols) if o.cstride != 0 else u64(1)
    rows = u64(o.rows) if o.rstride != 0 else u64(1)
    for row in range(u64(0), rows):
        place = start + row * u64(o.rstride)
        at = first_unwritten(place, o.cstride, columns, size)
        if at < columns:
            place += at * u64(o.cstride)
            if o.space == IN_RE:
                return fault(addr(m.trap), u32(UNWRITTEN), place - pe.acc_shadow, size, u32(IN_ACCUMULATORS))
            return fault(addr(m.trap), u32(UNWRITTEN), place - pe.shadow, size, u32(NO_DETAIL))
    return 0


@fn
def mark_tile(pe: Ptr[Pe], o: Ptr[Operand]) -> None:
    """Note that a command has written a tile."""
    start = shadow_of(pe, o)
    for row in range(u64(0), u64(o.rows)):
        mark_run(start + row * u64(o.rstride), o.cstride, u64(o.cols), element_bytes(o.dtype))


@fn
def check_sources(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo]) -> u32:
    """Check all local tiles that a command reads; a trap cause or 0."""
    for k in range(u32(0), info.operands):
        o = addr(command.operand[k])
        if info.access[k] & A_READ != 0 and o.form == LOCAL:
            cause = check_tile(m, pe, o)
            if cause != 0:
                return cause
    return 0


@fn
def mark_results(pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo]) -> None:
    """Note all local tiles that a command wrote."""
    for k in range(u32(0), info.operands):
        o = addr(command.operand[k])
        if info.access[k] == A_WRITE and o.form == LOCAL:
            mark_tile(pe, o)
