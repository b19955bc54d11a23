"""Circular buffers: resolving operands, hazards per slot, push and pop."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, i64, u8, u32, u64
from mtia.isa.xmtia.codes import Cause, DType, Form, Space
from mtia.isa.xmtia.state import MAX_RANK, TileReg

from .state import (
    A_WRITE,
    CHANNELS,
    MAX_ELEMENTS,
    MUST_BE_GLOBAL,
    P_ELEMENT,
    P_NONE,
    P_SPACE,
    RING_MASK,
    TOO_MANY,
    UNDEFINED,
    UNITS,
    Cb,
    Channel,
    Command,
    Machine,
    Pe,
    Slot,
    Trap,
)

LOCAL, IMMEDIATE, GLOBAL = int(Form.LOCAL), int(Form.IMMEDIATE), int(Form.GLOBAL)
IN_LS, IN_RE = int(Space.LS), int(Space.RE)
BOUNDS, BUFFER, FORM, TYPE = int(Cause.BOUNDS), int(Cause.BUFFER), int(Cause.FORM), int(Cause.TYPE)
SHAPE, SPACE = int(Cause.SHAPE), int(Cause.SPACE)
LEAST, MOST = -(1 << 63), (1 << 63) - 1
SIZES = sum(dtype.bytes.bit_length() << 4 * dtype for dtype in DType if dtype < 16)


@fn
def element_bytes(dtype: u32) -> u64:
    """Bytes of one element, 0 for a type that no present unit takes."""
    if dtype >= 16:
        return 0
    code = (u64(SIZES) >> u64(dtype * 4)) & 15
    return (u64(1) << code) >> 1


@fn
def cb_index(hart: u32, cb: u32) -> u32:
    """Place of a circular buffer in the PE: 0-15 are the hart's own, 16-31 the other hart's."""
    return (hart << 4) ^ cb


@fn
def fault(t: Ptr[Trap], cause: u32, value: u64, limit: u64, detail: u32) -> u32:
    """Fill in what a trap is about; the caller adds who and when."""
    t.cause = cause
    t.value = value
    t.limit = limit
    t.detail = detail
    return cause


@fn
def in_slot(td: Ptr[TileReg], limit: u64) -> boolean:
    """Whether every element of a local tile, which has at most MAX_ELEMENTS, lies inside its slot."""
    if td.rows == 0 or td.cols == 0:
        return True
    if td.offset > limit:
        return False
    low = i64(td.offset)
    high = low + i64(element_bytes(td.dtype))
    across = i64(td.rstride) * i64(td.rows - 1)
    along = i64(td.cstride) * i64(td.cols - 1)
    if across < 0:
        low = low + across
    else:
        high = high + across
    if along < 0:
        low = low + along
    else:
        high = high + along
    return low >= 0 and high <= i64(limit)


@fn
def own_hazards(slot: Ptr[Slot], command: Ptr[Command], access: u32) -> None:
    """Wait for the hart's own earlier commands on the slot.

    Commands of one channel take effect in order, so a write never waits for its own channel.
    """
    first = (command.channel // UNITS) * UNITS
    for c in range(first, first + UNITS):
        if access & A_WRITE == 0 or c != command.channel:
            command.need[c] = max(command.need[c], slot.write[c])
        if access & A_WRITE != 0 and c != command.channel:
            command.need[c] = max(command.need[c], slot.read[c])


@fn
def settle(cb: Ptr[Cb], command: Ptr[Command], k: u32) -> boolean:
    """Try the element or space check of an operand; when it holds, take over what the slot remembers."""
    w = addr(command.wait[k])
    slot = addr(cb.slot[w.number % cb.slots])
    if w.kind == P_ELEMENT:
        if i64(cb.pushed) <= i64(w.number):
            return False
        for c in range(u32(0), u32(CHANNELS)):
            command.need[c] = max(command.need[c], slot.ready[c])
    else:
        if i64(w.number) >= i64(cb.popped) + i64(cb.slots):
            return False
        for c in range(u32(0), u32(CHANNELS)):
            if c != command.channel:
                command.need[c] = max(command.need[c], slot.free[c])
    w.kind = P_NONE
    return True


@fn
def resolve_local(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, td: Ptr[TileReg], command: Ptr[Command], k: u32, access: u32
) -> u32:
    """Resolve a local tile: address, hazards, element or space check; returns a trap cause or 0."""
    index = cb_index(hart, td.cb)
    if index >= 32:
        return fault(addr(m.trap), BUFFER, u64(td.cb), u64(0), u32(UNDEFINED))
    cb = addr(pe.cbs[index])
    if cb.valid == 0:
        return fault(addr(m.trap), BUFFER, u64(td.cb), u64(0), u32(UNDEFINED))
    if td.slot >= cb.slots:
        return fault(addr(m.trap), BUFFER, u64(td.slot), u64(cb.slots), k)
    if not in_slot(td, u64(cb.slot_bytes)):
        return fault(addr(m.trap), BOUNDS, td.offset, u64(cb.slot_bytes), k)
    number = cb.popped + td.slot
    cb.users |= u32(1) << hart
    if cb.users == 3:
        cb.shared = 1
    kind = u32(P_ELEMENT)
    if td.side != 0:
        number = cb.pushed + td.slot
        kind = u32(P_SPACE)
    place = u64(cb.base) + u64(number % cb.slots) * u64(cb.slot_bytes) + td.offset
    o = addr(command.operand[k])
    o.ptr = pe.ls + place
    if cb.space == IN_RE:
        o.ptr = pe.acc + place
    o.space = cb.space
    o.rstride = i64(td.rstride)
    o.cstride = i64(td.cstride)
    own_hazards(addr(cb.slot[number % cb.slots]), command, access)
    w = addr(command.wait[k])
    w.kind = kind
    w.cb = index
    w.number = number
    if not settle(cb, command, k):
        command.pending = command.pending + 1
        cb.waiting = cb.waiting + 1
    return 0


@fn
def resolve(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, td: Ptr[TileReg], command: Ptr[Command], k: u32, access: u32, remote: u32
) -> u32:
    """Turn a tile register into operand k of a command; returns a trap cause or 0."""
    o = addr(command.operand[k])
    o.form = td.form
    o.dtype = td.dtype
    o.flags = td.flags
    o.rows = td.rows
    o.cols = td.cols
    o.bits = td.bits
    o.space = 0
    command.wait[k].kind = P_NONE
    command.wait[k].cb = 32
    elements = u64(max(td.rows, u32(1))) * u64(max(td.cols, u32(1)))  # an empty tile has no more rows or columns either
    if td.form != GLOBAL and elements > MAX_ELEMENTS:
        return fault(addr(m.trap), SHAPE, elements, u64(MAX_ELEMENTS), u32(TOO_MANY))
    if remote == MUST_BE_GLOBAL and td.form != GLOBAL:
        return fault(addr(m.trap), FORM, u64(td.form), u64(GLOBAL), k)
    if td.form == LOCAL:
        return resolve_local(m, pe, hart, td, command, k, access)
    if td.form == IMMEDIATE:
        o.rstride = 0
        o.cstride = 0
        if access & A_WRITE != 0:
            return fault(addr(m.trap), FORM, u64(td.form), u64(LOCAL), k)
        return 0
    if remote == 0:
        return fault(addr(m.trap), FORM, u64(td.form), u64(LOCAL), k)
    if td.rank == 0 or td.rank > MAX_RANK:
        return fault(addr(m.trap), SHAPE, u64(td.rank), u64(MAX_RANK), k)
    o.ptr = Ptr[u8](0)
    o.lo[0] = LEAST
    o.hi[0] = MOST
    for d in range(u32(0), u32(2)):
        if td.rank + d >= 2:
            o.lo[d] = td.lo[td.rank + d - 2]
            o.hi[d] = td.hi[td.rank + d - 2]
    return 0


@fn
def record_access(pe: Ptr[Pe], command: Ptr[Command], k: u32, access: u32) -> None:
    """Note in the operand's slot that this command uses it."""
    w = addr(command.wait[k])
    if w.cb >= 32:
        return
    cb = addr(pe.cbs[w.cb])
    slot = addr(cb.slot[w.number % cb.slots])
    if access & A_WRITE != 0:
        slot.write[command.channel] = command.seq
    else:
        slot.read[command.channel] = command.seq


@fn
def settle_waiting(pe: Ptr[Pe], index: u32) -> None:
    """After a push or pop: try the checks of all queued commands that wait on this buffer."""
    cb = addr(pe.cbs[index])
    for c in range(u32(0), u32(CHANNELS)):
        channel = addr(pe.channels[c])
        n = channel.started
        while n < channel.issued and cb.waiting > 0:
            command = addr(channel.ring[n & RING_MASK])
            if command.pending > 0:
                for k in range(u32(0), command.operands):
                    w = addr(command.wait[k])
                    if w.kind != P_NONE and w.cb == index and settle(cb, command, k):
                        command.pending = command.pending - 1
                        cb.waiting = cb.waiting - 1
            n = n + 1


@fn
def retired(channel: Ptr[Channel], seq: u32) -> boolean:
    """Whether a channel's command of that sequence number has completed."""
    return channel.retired >= seq


@fn
def push_slot(pe: Ptr[Pe], hart: u32, cb: Ptr[Cb]) -> None:
    """Hand the current write-side slot to the readers."""
    slot = addr(cb.slot[cb.pushed % cb.slots])
    for c in range(hart * UNITS, hart * UNITS + UNITS):
        slot.ready[c] = max(slot.write[c], slot.read[c])
    cb.pushed = cb.pushed + 1


@fn
def pop_slot(pe: Ptr[Pe], hart: u32, cb: Ptr[Cb]) -> None:
    """Give the current read-side slot back to the writers."""
    slot = addr(cb.slot[cb.popped % cb.slots])
    for c in range(hart * UNITS, hart * UNITS + UNITS):
        slot.free[c] = max(slot.write[c], slot.read[c])
    cb.popped = cb.popped + 1


@fn
def readable(pe: Ptr[Pe], cb: Ptr[Cb]) -> boolean:
    """Whether the hart itself may read the current read-side slot."""
    if cb.pushed == cb.popped:
        return False
    slot = addr(cb.slot[cb.popped % cb.slots])
    for c in range(u32(0), u32(CHANNELS)):
        if pe.channels[c].retired < max(slot.ready[c], slot.write[c]):
            return False
    return True


@fn
def writable(pe: Ptr[Pe], cb: Ptr[Cb]) -> boolean:
    """Whether the hart itself may write (and so also read) the current write-side slot."""
    if cb.pushed - cb.popped >= cb.slots:
        return False
    slot = addr(cb.slot[cb.pushed % cb.slots])
    for c in range(u32(0), u32(CHANNELS)):
        need = max(slot.free[c], max(slot.write[c], slot.read[c]))
        if pe.channels[c].retired < need:
            return False
    return True
