"""The command processor: what happens when a hart issues an Xmtia instruction."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, memcpy, memset, select, sizeof, u32, u64
from mtia.isa.state import Hart, Insn
from mtia.isa.xmtia.codes import Cause
from mtia.isa.xmtia.state import TileReg

from .hazards import (
    BUFFER,
    GLOBAL,
    IN_LS,
    IN_RE,
    cb_index,
    fault,
    pop_slot,
    push_slot,
    readable,
    record_access,
    resolve,
    settle_waiting,
    writable,
)
from .links import NOWHERE, has_room, neighbour
from .memory import LS_BASE
from .races import enter_watch, learn_slot, learn_units, note_shared
from .state import (
    BAD_SIZE,
    BAD_SLOTS,
    CHANNELS,
    FINISHED,
    ISSUED,
    MAX_SLOTS,
    NO_LINK,
    NO_UNIT,
    RING_MASK,
    TRAFFIC,
    TRAPPED,
    UNDEFINED,
    UNITS,
    WAIT_BARRIER,
    WAIT_POP,
    WAIT_PUSH,
    WAIT_QUEUE,
    WAIT_READ,
    WAIT_UNITS,
    WAIT_WRITE,
    WAITING,
    Cb,
    Channel,
    Command,
    HartControl,
    Machine,
    OpInfo,
    Pe,
    Slot,
)
from .units import start_units

# Actions of the command processor, by instruction.
CP_ACTIONS = {
    "xm.cb.init": 0,
    "xm.cb.push": 1,
    "xm.cb.pop": 2,
    "xm.cb.next": 3,
    "xm.cb.waitr": 4,
    "xm.cb.waitw": 5,
    "xm.cb.ptr": 6,
    "xm.cb.avail": 7,
    "xm.wait": 8,
    "xm.barrier": 9,
    "xm.exit": 10,
}
INIT, PUSH, POP, NEXT, WAITR, WAITW, PTR, AVAIL, WAIT, BARRIER, EXIT = range(11)
SPACE = int(Cause.SPACE)
DMA_UNITS = 3  # mask of both DMA engines


@fn
def register_number(i: Ptr[Insn], field: u32) -> u32:
    """The number in one of the register fields."""
    if field == 0:
        return u32(i.rd)
    if field == 1:
        return u32(i.rs1)
    if field == 2:
        return u32(i.rs2)
    return u32(i.rs3)


@fn
def wait_for(c: Ptr[HartControl], state: u32, arg: u32, now: u64) -> u32:
    """Put the hart to sleep; the instruction runs again when what it waits for holds."""
    c.state = state
    c.arg = arg
    c.since = now
    return WAITING


@fn
def units_idle(pe: Ptr[Pe], hart: u32, mask: u64) -> u32:
    """1 when all of the hart's commands on the units of the mask have completed."""
    for u in range(u32(0), u32(UNITS)):
        channel = addr(pe.channels[hart * UNITS + u])
        if (mask == 0 or (mask >> u64(u)) & 1 == 1) and channel.retired != channel.issued:
            return 0
    return 1


@fn
def cb_init(m: Ptr[Machine], pe: Ptr[Pe], index: u32, place: u64, shape: u64) -> u32:
    """Define a circular buffer; returns a trap cause or 0."""
    cb = addr(pe.cbs[index])
    base = place & 0xFFFFFFFF
    space = u32((place >> 32) & 0xFF)
    slot_bytes = shape & 0xFFFFFFFF
    slots = (shape >> 32) & 0xFFFF
    size = u64(m.chip.ls_bytes)
    if space == IN_RE:
        size = u64(m.chip.re_bytes)
    elif space != IN_LS:
        return fault(addr(m.trap), SPACE, u64(space), u64(IN_RE), u32(0))
    if slots == 0 or slots > MAX_SLOTS:
        return fault(addr(m.trap), BUFFER, slots, u64(MAX_SLOTS), u32(BAD_SLOTS))
    if base + slots * slot_bytes > size:
        return fault(addr(m.trap), BUFFER, base + slots * slot_bytes, size, u32(BAD_SIZE))
    if cb.valid != 0 and pe.watch != 0:
        for s in range(u32(0), cb.slots):
            learn_slot(m, pe, cb, s, True)
    memset(addr(cb.slot[0]), 0, slots * sizeof(Slot))
    cb.base = u32(base)
    cb.slot_bytes = u32(slot_bytes)
    cb.slots = u32(slots)
    cb.space = space
    cb.pushed = 0
    cb.popped = 0
    cb.valid = 1
    cb.users = 0
    note_shared(pe, index)
    return 0


@fn
def buffer_idle(pe: Ptr[Pe], cb: Ptr[Cb]) -> u32:
    """1 when every command that uses the buffer has completed."""
    if cb.valid == 0:
        return 1
    if cb.waiting > 0:
        return 0
    for s in range(u32(0), cb.slots):
        for c in range(u32(0), u32(CHANNELS)):
            last = max(cb.slot[s].write[c], cb.slot[s].read[c])
            if pe.channels[c].retired < last:
                return 0
    return 1


@fn
def barrier(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], number: u64, now: u64) -> u32:
    """Wait for the hart's DMA, then for all harts of the launch; the last to come opens it."""
    if c.released != 0:
        c.released = 0
        return ISSUED
    if units_idle(pe, hart, u64(DMA_UNITS)) == 0:
        return wait_for(c, u32(WAIT_UNITS), u32(DMA_UNITS), now)
    if pe.watch != 0:
        learn_units(m, pe, hart, u64(DMA_UNITS))
    if m.barrier_waiting == 0:
        m.barrier_number = number
    elif m.barrier_number != number:
        fault(addr(m.trap), u32(int(Cause.DEADLOCK)), number, m.barrier_number, u32(1))
        return TRAPPED
    m.barrier_waiting += 1
    if m.barrier_waiting == m.harts:
        m.barrier_waiting = 0
        m.barrier_open = now + u64(m.chip.cp_barrier)
    return wait_for(c, u32(WAIT_BARRIER), u32(0), now)


@fn
def cb_action(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], code: u32, i: Ptr[Insn], field: u32, now: u64
) -> u32:
    """Execute a circular-buffer instruction."""
    h = c.hart
    number = register_number(i, field)
    index = cb_index(hart, number)
    cb = addr(pe.cbs[index])
    if code == INIT:
        if buffer_idle(pe, cb) == 0:
            return wait_for(c, u32(WAIT_UNITS), u32(0), now)
        return select(cb_init(m, pe, index, h.x[i.rs1], h.x[i.rs2]) == 0, u32(ISSUED), u32(TRAPPED))
    if cb.valid == 0:
        fault(addr(m.trap), BUFFER, u64(number), u64(0), u32(UNDEFINED))
        return TRAPPED
    if code == PUSH:
        if cb.pushed - cb.popped >= cb.slots:
            return wait_for(c, u32(WAIT_PUSH), index, now)
        push_slot(pe, hart, cb)
    elif code == POP:
        if cb.pushed == cb.popped:
            return wait_for(c, u32(WAIT_POP), index, now)
        pop_slot(pe, hart, cb)
    elif code == NEXT:
        cb.pushed += 1
        cb.popped += 1
    elif code == WAITR:
        if not readable(pe, cb):
            return wait_for(c, u32(WAIT_READ), index, now)
        if pe.watch != 0:
            learn_slot(m, pe, cb, cb.popped, False)
        return ISSUED
    elif code == WAITW:
        if not writable(pe, cb):
            return wait_for(c, u32(WAIT_WRITE), index, now)
        if pe.watch != 0:
            learn_slot(m, pe, cb, cb.pushed, True)
        return ISSUED
    elif code == PTR:
        return cb_pointer(m, h, cb, i)
    else:
        h.x[i.rd] = u64(cb.pushed - cb.popped)
        return ISSUED
    if cb.waiting > 0:
        settle_waiting(pe, index)
        start_units(m, pe, now)
    m.changed = 1
    return ISSUED


@fn
def cb_pointer(m: Ptr[Machine], h: Ptr[Hart], cb: Ptr[Cb], i: Ptr[Insn]) -> u32:
    """`xm.cb.ptr`: the hart address of a buffer's current slot."""
    if cb.space == IN_RE:
        fault(addr(m.trap), SPACE, u64(IN_RE), u64(IN_LS), u32(0))
        return TRAPPED
    number = cb.popped
    if i.imm & 1 == 1:
        number = cb.pushed
    h.x[i.rd] = u64(LS_BASE) + u64(cb.base) + u64(number % cb.slots) * u64(cb.slot_bytes)
    return ISSUED


@fn
def cp_action(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], info: Ptr[OpInfo], i: Ptr[Insn], now: u64
) -> u32:
    """Execute an instruction of the command processor itself."""
    code = info.code
    if code == WAIT:
        mask = c.hart.x[i.rs1]
        if units_idle(pe, hart, mask) == 0:
            return wait_for(c, u32(WAIT_UNITS), u32(mask), now)
        if pe.watch != 0:
            learn_units(m, pe, hart, mask)
        return ISSUED
    if code == BARRIER:
        return barrier(m, pe, hart, c, c.hart.x[i.rs1], now)
    if code == EXIT:
        if units_idle(pe, hart, u64(0)) == 0:
            return wait_for(c, u32(WAIT_UNITS), u32(0), now)
        return FINISHED
    return cb_action(m, pe, hart, c, code, i, u32(info.field[0]), now)


@fn
def advance(td: Ptr[TileReg]) -> None:
    """Add the post-increment of a tile register that a command named."""
    if td.form == GLOBAL:
        td.base += u64(td.inc)
    else:
        td.offset += u64(td.inc)


@fn
def begin_transfer(channel: Ptr[Channel], command: Ptr[Command], td: Ptr[TileReg]) -> None:
    """Give a command with an operand in the global form, as every DMA has, its further state."""
    transfer = addr(channel.transfers[channel.issued & RING_MASK])
    command.transfer = transfer
    memcpy(addr(transfer.remote), td, sizeof(TileReg))
    transfer.done = 0
    memset(addr(transfer.traffic[0]), 0, u64(TRAFFIC * 8))


@fn
def issue_command(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], info: Ptr[OpInfo], i: Ptr[Insn], now: u64
) -> u32:
    """Queue a command: resolve its operands, snapshot its hazards, start it if nothing is in the way."""
    n = hart * UNITS + info.unit
    channel = addr(pe.channels[n])
    if not has_room(m, channel):
        return wait_for(c, u32(WAIT_QUEUE), n, now)
    command = addr(channel.ring[channel.issued & RING_MASK])
    command.op = i.row
    command.operands = info.operands
    command.channel = n
    command.seq = channel.issued + 1
    command.order = pe.order
    command.issued = now
    command.pc = i.pc
    command.word = i.word
    command.pending = 0
    command.slowed = 0
    command.bytes = 0
    command.direction = u32(i.rs2) & 3
    memset(addr(command.need[0]), 0, u64(CHANNELS * 4))
    for k in range(u32(0), info.operands):
        td = addr(c.cp.td[register_number(i, u32(info.field[k]))])
        if resolve(m, pe, hart, td, command, k, u32(info.access[k]), u32(info.form[k])) != 0:
            return TRAPPED
        if info.form[k] != 0 and td.form == GLOBAL:
            begin_transfer(channel, command, td)
    if info.link != NO_LINK and neighbour(m, pe, command.direction) == NOWHERE:
        fault(addr(m.trap), u32(SPACE), u64(command.direction), u64(pe.index), u32(0))
        return TRAPPED
    for k in range(u32(0), info.operands):
        record_access(pe, command, k, u32(info.access[k]))
    advance_registers(c, info, i)
    channel.issued += 1
    if pe.watch != 0:
        enter_watch(m, pe, command)
    pe.order += 1
    c.commands += 1
    start_units(m, pe, now)
    return ISSUED


@fn
def advance_registers(c: Ptr[HartControl], info: Ptr[OpInfo], i: Ptr[Insn]) -> None:
    """Post-increment every tile register the command named, each once."""
    for k in range(u32(0), info.operands):
        number = register_number(i, u32(info.field[k]))
        seen = boolean(False)
        for j in range(u32(0), k):
            if register_number(i, u32(info.field[j])) == number:
                seen = True
        if not seen and c.cp.td[number].inc != 0:
            advance(addr(c.cp.td[number]))


@fn
def issue(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, i: Ptr[Insn], now: u64) -> u32:
    """Execute one Xmtia instruction at the hart's time; returns ISSUED, WAITING, FINISHED or TRAPPED."""
    c = addr(pe.harts[hart])
    info = addr(m.ops[i.row])
    if info.unit == NO_UNIT:
        return cp_action(m, pe, hart, c, info, i, now)
    return issue_command(m, pe, hart, c, info, i, now)
