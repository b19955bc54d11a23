"""Transfers of runs without values: what `fi.dma_effect` is otherwise."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, i64, memset, u8, u32, u64

from .fi import first_column, last_column, move_row, region, row_address, row_valid
from .hazards import BOUNDS, element_bytes, fault
from .state import FI_IN, NO_OPERAND, Command, Machine, OpInfo, Pe
from .unmade import any_unmade, forget_run, is_address, note_unmade, run_made


@fn
def skip_row(
    m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo], row: u64, local: u64, cstride: i64
) -> u32:
    """Note that one row was not moved, or move it when it is made of addresses; a trap cause or 0."""
    g = addr(command.transfer.remote)
    size = element_bytes(g.dtype)
    columns = u64(g.size[g.rank - 1])
    inward = info.unit == FI_IN
    first = first_column(g)
    count = u64(max(last_column(g) - first, i64(0)))
    if not row_valid(g, row):
        count = 0
    low = u64(0)
    span = u64(0)
    if count > 0:
        stride = g.stride[g.rank - 1]
        low = row_address(g, command, info.index, row) + u64(first * stride)
        reach = u64(i64(count - 1) * stride)
        span = reach + size
        if stride < 0:
            low = low + reach
            span = size - reach
        if region(m, low, span) == 0:
            return fault(addr(m.trap), u32(BOUNDS), low, low + span, u32(0))
    shadow = pe.shadow + (local - u64(pe.ls))
    if is_address(g.dtype):
        if inward and (count == 0 or not any_unmade(m, low, span)):
            if cstride == i64(size):
                memset(Ptr[u8](shadow), 1, columns * size)
            else:
                for k in range(i64(0), i64(columns)):
                    memset(Ptr[u8](shadow + u64(k * cstride)), 1, size)
            return move_row(m, pe, command, info, row, local, cstride, True)
        if not inward and run_made(pe, local + u64(first * cstride), cstride, count, size):
            return move_row(m, pe, command, info, row, local, cstride, False)
    if inward:
        forget_run(shadow, cstride, columns, size)
    elif count > 0:
        note_unmade(m, low, span, u8(1))
    return 0


@fn
def skip_dma(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo]) -> u32:
    """What a completed transfer has not moved; a trap cause or 0."""
    if info.local == NO_OPERAND:
        return 0
    o = addr(command.operand[info.local])
    for row in range(u64(0), command.transfer.rows):
        cause = skip_row(m, pe, command, info, row, u64(o.ptr) + row * u64(o.rstride), o.cstride)
        if cause != 0:
            return cause
    return 0
