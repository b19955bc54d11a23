"""Races: accesses to the same local bytes, one of them a write, that no dependency orders.

Order is kept as vectors of sequence numbers, one per channel, for commands of a channel complete in order.
`Command.after` says what has completed before a command starts: what it waits for, what those waited for, and what a
hart of the PE had waited for when it was issued (`Pe.known`). A command is compared, when it starts, with those that
have started and are not in its vector; only operands whose circular buffer is `shared` can meet another command's
bytes without a dependency. Harts are stopped by `state.watched` at blocks that a command outside `Pe.known` names,
and the exact answer is found here. The rings hold the last 63 commands of a channel: that far back it looks.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, i64, u16, u32, u64
from mtia.isa.state import WATCH_SHIFT, changes
from mtia.isa.xmtia.codes import Cause
from mtia.isa.xmtia.state import Operand

from .hazards import IN_LS, LOCAL, element_bytes, fault
from .state import A_WRITE, CHANNELS, HARTS, RING_MASK, UNITS, Cb, Channel, Command, Machine, Pe

RACE = int(Cause.RACE)
APART = (1 << 64) - 1


@fn
def ring_entry(channel: Ptr[Channel], seq: u32) -> Ptr[Command]:
    """A channel's command by its sequence number."""
    found: Ptr[Command] = addr(channel.ring[(seq - 1) & RING_MASK])
    return found


@fn
def oldest(channel: Ptr[Channel]) -> u32:
    """The number before the first command that the ring still holds."""
    return channel.issued - RING_MASK if channel.issued > RING_MASK else u32(0)


@fn
def lowest(o: Ptr[Operand]) -> u64:
    """Host address of the first byte of a tile that is not empty."""
    low = i64(u64(o.ptr))
    low += min(o.rstride * i64(o.rows - 1), i64(0)) + min(o.cstride * i64(o.cols - 1), i64(0))
    return u64(low)


@fn
def highest(o: Ptr[Operand]) -> u64:
    """Host address behind the last byte of a tile that is not empty."""
    high = i64(u64(o.ptr)) + i64(element_bytes(o.dtype))
    high += max(o.rstride * i64(o.rows - 1), i64(0)) + max(o.cstride * i64(o.cols - 1), i64(0))
    return u64(high)


@fn
def is_tile(o: Ptr[Operand]) -> boolean:
    """Whether an operand has bytes in the PE."""
    return o.form == LOCAL and o.rows != 0 and o.cols != 0


# --- what harts may touch -------------------------------------------------------------------------------------------


@fn
def count_blocks(counts: u64, first: u64, end: u64, more: u16) -> None:
    """Add to the counts of the blocks of a byte range."""
    block = Ptr[u16](counts)
    for b in range(first >> WATCH_SHIFT, (end + ((1 << WATCH_SHIFT) - 1)) >> WATCH_SHIFT):
        block[b] = block[b] + more


@fn
def watch(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], more: u16) -> None:
    """Count a command (or, with -1, no longer count it) in the blocks of local memory that it names."""
    info = addr(m.ops[command.op])
    for k in range(u32(0), command.operands):
        o = addr(command.operand[k])
        if is_tile(o) and o.space == IN_LS:
            counts = pe.watch
            if info.access[k] & A_WRITE == 0:
                counts += u64(m.chip.ls_bytes >> WATCH_SHIFT) * 2
            count_blocks(counts, lowest(o) - u64(pe.ls), highest(o) - u64(pe.ls), more)


@fn
def forget(m: Ptr[Machine], pe: Ptr[Pe], c: u32, seq: u32) -> None:
    """The commands of a channel up to a number are known to have completed."""
    channel = addr(pe.channels[c])
    while pe.known[c] < seq:
        pe.known[c] = pe.known[c] + 1
        watch(m, pe, ring_entry(channel, pe.known[c]), u16(0xFFFF))


@fn
def learn(m: Ptr[Machine], pe: Ptr[Pe], c: u32, seq: u32) -> None:
    """A hart has waited for a command of a channel: it is known, and with it what came before it."""
    if seq <= pe.known[c]:
        return
    command = ring_entry(addr(pe.channels[c]), seq)
    for other in range(u32(0), u32(CHANNELS)):
        forget(m, pe, other, command.after[other])
    forget(m, pe, c, seq)


@fn
def learn_units(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, mask: u64) -> None:
    """A hart has waited for all its commands on the units of a mask (0: on all units)."""
    for u in range(u32(0), u32(UNITS)):
        if mask == 0 or (mask >> u64(u)) & 1 == 1:
            c = hart * UNITS + u
            learn(m, pe, c, pe.channels[c].issued)


@fn
def learn_slot(m: Ptr[Machine], pe: Ptr[Pe], cb: Ptr[Cb], number: u32, writes: boolean) -> None:
    """A hart has waited until it may read (or also write) a slot."""
    slot = addr(cb.slot[number % cb.slots])
    for c in range(u32(0), u32(CHANNELS)):
        learn(m, pe, c, max(slot.write[c], slot.ready[c]))
        if writes:
            learn(m, pe, c, max(slot.read[c], slot.free[c]))


@fn
def enter_watch(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command]) -> None:
    """Note a command that has been issued, its operands resolved."""
    channel = addr(pe.channels[command.channel])
    for c in range(u32(0), u32(CHANNELS)):
        command.after[c] = pe.known[c]
    watch(m, pe, command, u16(1))
    if command.seq > RING_MASK:
        forget(m, pe, command.channel, oldest(channel))


@fn
def run_meets(o: Ptr[Operand], first: u64, end: u64) -> u64:
    """The first byte of a range of host addresses that is also a tile's, APART if none is."""
    if first >= highest(o) or lowest(o) >= end:
        return APART
    size = element_bytes(o.dtype)
    found = u64(APART)
    for row in range(i64(0), i64(o.rows)):
        at = u64(o.ptr) + u64(row * o.rstride)
        if o.cstride == i64(size):
            if at < end and first < at + u64(o.cols) * size:
                found = min(found, max(at, first))
        else:
            for col in range(i64(0), i64(o.cols)):
                element = at + u64(col * o.cstride)
                if element < end and first < element + size:
                    found = min(found, max(element, first))
    return found


@fn
def report(m: Ptr[Machine], other: Ptr[Command], at: u64, end: u64, space: u32, writes: boolean) -> u32:
    """Fill in a race: the bytes `at` to `end`, and the command that was there first."""
    t = addr(m.trap)
    t.other_unit = other.channel % UNITS
    t.other_hart = other.channel // UNITS
    t.other_pc = other.pc
    return fault(t, u32(RACE), at, end, space * 2 + u32(writes))


@fn
def hart_race(m: Ptr[Machine], pe: Ptr[Pe], inside: u64, size: u64, kind: u32) -> u32:
    """Whether a hart's access to local memory meets a command that nothing has waited for; a trap cause or 0."""
    first = u64(pe.ls) + inside
    for c in range(u32(0), u32(CHANNELS)):
        channel = addr(pe.channels[c])
        for seq in range(pe.known[c] + 1, channel.issued + 1):
            command = ring_entry(channel, seq)
            info = addr(m.ops[command.op])
            for k in range(u32(0), command.operands):
                o = addr(command.operand[k])
                writes = info.access[k] & A_WRITE != 0
                if is_tile(o) and o.space == IN_LS and (writes or changes(kind)):
                    at = run_meets(o, first, first + size)
                    if at != APART:
                        end = min(first + size, highest(o)) - u64(pe.ls)
                        return report(m, command, at - u64(pe.ls), end, u32(0), writes)
    return 0


# --- commands among themselves --------------------------------------------------------------------------------------


@fn
def order(pe: Ptr[Pe], command: Ptr[Command]) -> None:
    """Complete, when a command starts, the vector of what has completed before."""
    for c in range(u32(0), u32(CHANNELS)):
        channel = addr(pe.channels[c])
        need = command.need[c]
        if c == command.channel:
            need = command.seq - 1
        if need != 0:
            earlier = ring_entry(channel, max(need, oldest(channel) + 1))
            for other in range(u32(0), u32(CHANNELS)):
                command.after[other] = max(command.after[other], earlier.after[other])
            command.after[c] = max(command.after[c], need)


@fn
def tiles_meet(a: Ptr[Operand], b: Ptr[Operand]) -> u64:
    """Host address of a byte that two tiles have in common, APART if there is none."""
    if lowest(a) >= highest(b) or lowest(b) >= highest(a):
        return APART
    size = element_bytes(a.dtype)
    for row in range(i64(0), i64(a.rows)):
        at = u64(a.ptr) + u64(row * a.rstride)
        if a.cstride == i64(size):
            found = run_meets(b, at, at + u64(a.cols) * size)
            if found != APART:
                return found
        else:
            for col in range(i64(0), i64(a.cols)):
                element = at + u64(col * a.cstride)
                single = run_meets(b, element, element + size)
                if single != APART:
                    return single
    return APART


@fn
def commands_race(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], other: Ptr[Command]) -> u32:
    """Whether two commands touch the same bytes and one writes them; a trap cause or 0."""
    mine = addr(m.ops[command.op])
    theirs = addr(m.ops[other.op])
    for k in range(u32(0), command.operands):
        a = addr(command.operand[k])
        if is_tile(a):
            for j in range(u32(0), other.operands):
                b = addr(other.operand[j])
                writes = theirs.access[j] & A_WRITE != 0
                if is_tile(b) and a.space == b.space and (writes or mine.access[k] & A_WRITE != 0):
                    at = tiles_meet(a, b)
                    if at != APART:
                        base = u64(pe.ls)
                        if a.space != IN_LS:
                            base = u64(pe.acc)
                        end = min(highest(a), highest(b)) - base
                        return report(m, other, at - base, end, a.space, writes)
    return 0


@fn
def check_start(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command]) -> u32:
    """When a command starts: order it, and compare it with those it is not ordered with; a trap cause or 0."""
    order(pe, command)
    shared = u32(0)
    for k in range(u32(0), command.operands):
        if command.wait[k].cb < 32:
            shared |= pe.cbs[command.wait[k].cb].shared
    if shared == 0:
        return 0
    for c in range(u32(0), u32(CHANNELS)):
        channel = addr(pe.channels[c])
        for seq in range(max(command.after[c], oldest(channel)) + 1, channel.started + 1):
            if c != command.channel or seq != command.seq:
                cause = commands_race(m, pe, command, ring_entry(channel, seq))
                if cause != 0:
                    return cause
    return 0


@fn
def note_shared(pe: Ptr[Pe], index: u32) -> None:
    """Mark a buffer that has just been defined, and the others of whose bytes it has some."""
    cb = addr(pe.cbs[index])
    end = u64(cb.base) + u64(cb.slots) * u64(cb.slot_bytes)
    for i in range(u32(0), u32(HARTS * 16)):
        other = addr(pe.cbs[i])
        if i != index and other.valid != 0 and other.space == cb.space:
            behind = u64(other.base) + u64(other.slots) * u64(other.slot_bytes)
            if u64(other.base) < end and u64(cb.base) < behind:
                other.shared = 1
                cb.shared = 1
