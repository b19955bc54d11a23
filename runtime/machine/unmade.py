"""Runs without values: units take their time but compute and move nothing, so some bytes are never made.

In such a run `Pe.shadow` says which bytes of local memory hold their true value (1), and `Machine.unmade` which 64
bytes of device memory do not (1). A hart that reads what was not made stops the run: its control or its addresses may
depend on it. Transfers of 32- and 64-bit integers, of which addresses are made, move their values where those are true.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, i64, memset, u8, u32, u64
from mtia.isa.state import WRITE, Hart, all_written
from mtia.isa.xmtia.codes import Cause, DType
from mtia.isa.xmtia.state import Operand

from .hazards import IN_LS, LOCAL, element_bytes, fault
from .memory import DRAM_BASE, LLS_BASE, LS_BASE
from .state import A_WRITE, Command, Machine, OpInfo, Pe

GRANULE_SHIFT = 6  # log2 of the bytes of device memory that are made or not together
DEPENDS = int(Cause.DEPENDS)
I32, U32, I64, U64 = (int(t) for t in (DType.I32, DType.U32, DType.I64, DType.U64))


@fn
def unmade_at(m: Ptr[Machine], address: u64) -> Ptr[u8]:
    """The flag of an address in DRAM or LLS."""
    offset = address - DRAM_BASE
    if address < DRAM_BASE:
        offset = m.dram_bytes + (address - LLS_BASE)
    flag: Ptr[u8] = m.unmade + (offset >> GRANULE_SHIFT)
    return flag


@fn
def any_unmade(m: Ptr[Machine], address: u64, size: u64) -> boolean:
    """Whether some byte of a range of device memory was not made."""
    flags = unmade_at(m, address)
    for k in range(u64(0), ((address + size - 1) >> GRANULE_SHIFT) - (address >> GRANULE_SHIFT) + 1):
        if flags[k] != 0:
            return True
    return False


@fn
def note_unmade(m: Ptr[Machine], address: u64, size: u64, flag: u8) -> None:
    """Note that a range of device memory would have been written (1), or that the host has written it (0)."""
    count = ((address + size - 1) >> GRANULE_SHIFT) - (address >> GRANULE_SHIFT) + 1
    memset(unmade_at(m, address), flag, count)


@fn
def forget_run(shadow: u64, stride: i64, n: u64, size: u64) -> None:
    """Note that n elements of local memory were not made."""
    if stride == i64(size):
        memset(Ptr[u8](shadow), 0, n * size)
        return
    for k in range(i64(0), i64(n)):
        memset(Ptr[u8](shadow + u64(k * stride)), 0, size)


@fn
def skip_results(pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo]) -> None:
    """Note that the local tiles which a unit's command writes were not made."""
    for k in range(u32(0), info.operands):
        o = addr(command.operand[k])
        if info.access[k] == A_WRITE and o.form == LOCAL and o.space == IN_LS:
            size = element_bytes(o.dtype)
            shadow = pe.shadow + (u64(o.ptr) - u64(pe.ls))
            if o.cstride == i64(size) and o.rstride == i64(u64(o.cols) * size):
                memset(Ptr[u8](shadow), 0, u64(o.rows) * u64(o.cols) * size)
            else:
                for row in range(i64(0), i64(o.rows)):
                    forget_run(shadow + u64(row * o.rstride), o.cstride, u64(o.cols), size)


@fn
def is_address(dtype: u32) -> boolean:
    """Whether transfers of an element type move their values."""
    return dtype == I32 or dtype == U32 or dtype == I64 or dtype == U64


@fn
def run_made(pe: Ptr[Pe], local: u64, stride: i64, n: u64, size: u64) -> boolean:
    """Whether n elements of local memory hold their true values."""
    shadow = pe.shadow + (local - u64(pe.ls))
    if stride == i64(size):
        return all_written(shadow, n * size)
    for k in range(i64(0), i64(n)):
        if not all_written(shadow + u64(k * stride), size):
            return False
    return True


@fn
def list_unmade(m: Ptr[Machine], pe: Ptr[Pe], o: Ptr[Operand], rows: u64) -> u32:
    """Trap when the index list of a transfer was not made."""
    if run_made(pe, u64(o.ptr), o.rstride, rows, element_bytes(o.dtype)):
        return 0
    return fault(addr(m.trap), u32(DEPENDS), LS_BASE + (u64(o.ptr) - u64(pe.ls)), u64(0), u32(1))


@fn
def access_unmade(m: Ptr[Machine], h: Ptr[Hart]) -> boolean:
    """Trap when a hart asks to read device memory that was not made."""
    if m.skip == 0 or h.want_kind == WRITE or not any_unmade(m, h.want_addr, u64(h.want_size)):
        return False
    fault(addr(m.trap), u32(DEPENDS), h.want_addr, u64(h.want_size), u32(0))
    return True
