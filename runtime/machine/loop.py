"""The machine's loop: takes events in order and lets harts run between them."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, i64, local, u32, u64
from mtia.isa.state import (
    AMO,
    CONDITIONAL,
    FIRST,
    LOAD_FAULT,
    READ,
    RESERVE,
    STORE_FAULT,
    Insn,
    all_written,
    changes,
)

from .areas import check_area
from .cp import issue, units_idle, wait_for
from .events import event, first_event, pop_event, push_event
from .fi import dma_step, region
from .hart_handlers import CAUSE_SHIFT, NOWHERE, Code, find, run_code
from .hazards import fault
from .memory import read_line, write_line
from .races import hart_race
from .record import note_span, sample
from .reserve import break_external
from .shadow import UNWRITTEN
from .state import (
    AT_ACCESS,
    AT_COMMAND,
    AT_EXIT,
    AT_HORIZON,
    DO_ACCESS,
    DO_EXIT,
    DO_ISSUE,
    DO_RUN,
    DONE,
    ENDED,
    FAULTED,
    FI_IN,
    FI_OUT,
    FINISHED,
    H_MEMORY,
    HARTS,
    ISSUED,
    MLU,
    NEVER,
    NO_DETAIL,
    NO_UNIT,
    RANK_HART,
    RANK_STEP,
    RING_MASK,
    RUN,
    STOPPED,
    STUCK,
    TICK_SHIFT,
    TOO_LONG,
    TRAPPED,
    UNITS,
    WAIT_BARRIER,
    WAIT_UNITS,
    Event,
    HartControl,
    Machine,
    Pe,
)
from .units import blame, complete_compute, complete_dma, start_units, wake, wake_harts
from .unmade import DEPENDS, access_unmade

AMO_OPCODE = 0b0101111
HORIZON = 1_000_000  # cycles that a hart may run alone at most, so that the stop flag is seen


@fn
def dma_bound(pe: Ptr[Pe], n: u32, unit: u32) -> u64:
    """A cycle before which no DMA of a channel takes effect."""
    channel = addr(pe.channels[n])
    if channel.retired == channel.started:
        return NEVER
    command = addr(channel.ring[channel.retired & RING_MASK])
    if command.finished != NEVER:
        return command.finished
    return max(command.transfer.latest, pe.engines[unit].next_issue) >> TICK_SHIFT


@fn
def horizon(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, now: u64) -> u64:
    """The cycle until which a hart may run alone: the next effect in its PE, or the other hart plus the skew."""
    bound = now + HORIZON
    if m.limit < bound:
        bound = m.limit + 1
    for unit in range(u32(MLU), u32(UNITS)):
        bound = min(bound, pe.units[unit].end)
    for unit in range(u32(FI_IN), u32(FI_OUT + 1)):
        bound = min(bound, dma_bound(pe, unit, unit))
        bound = min(bound, dma_bound(pe, unit + UNITS, unit))
    other = addr(pe.harts[1 - hart])
    if other.state == RUN:
        bound = min(bound, max(other.hart.time, m.time) + u64(m.chip.hart_skew))
    return max(bound, now + 1)


@fn
def next_first(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, time: u64) -> boolean:
    """Whether the queue holds an event before this hart's at `time`."""
    if m.event_count == 0:
        return False
    top = event(m, first_event(m))
    key = (u64(pe.index) << 48) | (u64(hart + RANK_HART) << 40)
    return top.time < time or (top.time == time and top.key < key)


@fn
def blame_hart(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], now: u64) -> None:
    """Complete the record of a trap that an instruction of a hart caused."""
    t = addr(m.trap)
    t.pe = pe.index
    t.hart = hart
    t.unit = NO_UNIT
    t.word = c.insn.word if u64(c.insn) != 0 else u32(0)
    t.pc = c.hart.pc
    t.time = now


@fn
def local_access(
    m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], inside: u64, size: u64, now: u64
) -> boolean:
    """Let a hart's access to local memory that a check has stopped go on without taking time; False if it trapped."""
    h = c.hart
    if pe.watch != 0 and hart_race(m, pe, inside, size, h.want_kind) != 0:
        blame_hart(m, pe, hart, c, now)
        return False
    reads = h.want_kind == READ or h.want_kind == RESERVE or h.want_kind == AMO
    if reads and not all_written(h.ls_shadow + inside, size):
        if m.skip != 0:
            fault(addr(m.trap), u32(DEPENDS), h.want_addr, size, u32(NO_DETAIL))
        else:
            fault(addr(m.trap), u32(UNWRITTEN), inside, size, u32(NO_DETAIL))
        blame_hart(m, pe, hart, c, now)
        return False
    h.grant_base = h.want_addr
    h.grant_size = size
    return True


@fn
def releases(i: Ptr[Insn]) -> boolean:
    """Whether an instruction is an atomic with the release bit: it waits until the hart's transfers out are done."""
    return i.word & 127 == AMO_OPCODE and i.word >> 25 & 1 == 1


@fn
def existing(m: Ptr[Machine], address: u64, size: u64) -> u64:
    """How many of `size` bytes from an address on there are."""
    least = u64(0)
    most = size
    while least < most:
        middle = most - (most - least) // 2
        if region(m, address, middle) != 0:
            least = middle
        else:
            most = middle - 1
    return least


@fn
def access(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], now: u64) -> boolean:
    """Time a hart's access outside its local memory and let the instruction run; False if it trapped.

    The access takes effect now; the hart goes on when the last line has answered.
    """
    h = c.hart
    kind = h.want_kind
    size = u64(h.want_size)
    inside = h.want_addr - h.ls_base
    if inside < h.ls_size and size <= h.ls_size - inside:
        return local_access(m, pe, hart, c, inside, size, now)
    host = region(m, h.want_addr, size)
    if host == 0 and kind == FIRST:
        size = existing(m, h.want_addr, size)
        host = region(m, h.want_addr, size)
    elif host == 0:
        cause = u32(STORE_FAULT) if changes(kind) else u32(LOAD_FAULT)
        fault(addr(m.trap), cause, h.want_addr, size, u32(0))
        blame_hart(m, pe, hart, c, now)
        return False
    checked = h.want_kind != FIRST and m.area_count != 0
    if checked and check_area(m, pe, hart, u32(NO_UNIT), h.pc, h.want_addr, i64(size), u64(1), size, h.want_kind) != 0:
        blame_hart(m, pe, hart, c, now)
        return False
    if access_unmade(m, h):
        blame_hart(m, pe, hart, c, now)
        return False
    t = now << TICK_SHIFT
    done = t
    line_bytes = u64(1) << u64(m.line_shift)
    at = h.want_addr
    end = h.want_addr + size
    while at < end:
        if not changes(kind):
            done = max(done, read_line(m, pe, addr(pe.engines[0]), at, t))
        else:
            done = max(done, write_line(m, pe, addr(pe.engines[1]), at, False, t))
        at = (at & ~(line_bytes - 1)) + line_bytes
    after = (done + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT
    c.stall[H_MEMORY] += after - now
    note_span(m, pe, hart + RANK_HART, u32(H_MEMORY), now, after, h.pc, u32(0))
    h.time = after
    h.grant_base = h.want_addr
    h.grant_size = max(size, u64(1))
    h.grant_ptr = host
    if kind == RESERVE:
        m.reservations = 1
    elif changes(kind) and (kind != CONDITIONAL or h.reservation_valid != 0):
        break_external(m, h.want_addr, size, h)
    return True


@fn
def finish(m: Ptr[Machine], pe: Ptr[Pe], c: Ptr[HartControl], now: u64) -> None:
    """End a hart."""
    c.state = DONE
    c.hart.reservation_valid = 0
    c.end = now
    pe.alive -= 1
    m.harts_alive -= 1


@fn
def perform(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl], now: u64) -> boolean:
    """Do what the hart has pending; False when it cannot run on."""
    if c.pending == DO_ISSUE:
        status = issue(m, pe, hart, c.insn, now)
        if status == ISSUED:
            c.hart.time = now + u64(m.chip.cp_issue)
            c.hart.pc += 4
        elif status == FINISHED:
            finish(m, pe, c, now)
        elif status == TRAPPED:
            blame_hart(m, pe, hart, c, now)
        if m.changed != 0:
            m.changed = 0
            wake_harts(m, pe, now)
        if status != ISSUED:
            return False
    elif c.pending == DO_ACCESS:
        if releases(c.insn) and units_idle(pe, hart, u64(1 << FI_OUT)) == 0:
            wait_for(c, u32(WAIT_UNITS), u32(1 << FI_OUT), now)
            return False
        if not access(m, pe, hart, c, now):
            return False
    elif c.pending == DO_EXIT:
        if units_idle(pe, hart, u64(0)) == 0:
            wait_for(c, u32(WAIT_UNITS), u32(0), now)
        else:
            finish(m, pe, c, now)
        return False
    c.pending = DO_RUN
    return True


@fn
def hart_event(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, now: u64) -> None:
    """Let a hart run until another event comes first, it sleeps, ends or traps."""
    c = addr(pe.harts[hart])
    h = c.hart
    time = now
    while perform(m, pe, hart, c, time) and m.trap.cause == 0:
        h.horizon = h.time + 1 if h.grant_size != 0 else horizon(m, pe, hart, h.time)
        result = m.run_hart(c)
        reason = result & 255
        h.grant_size = 0
        time = h.time
        if reason == AT_COMMAND:
            c.pending = DO_ISSUE
        elif reason == AT_ACCESS:
            c.pending = DO_ACCESS
        elif reason == AT_EXIT:
            c.pending = DO_EXIT
        elif reason != AT_HORIZON:
            fault(addr(m.trap), result >> CAUSE_SHIFT, h.want_addr, u64(h.want_size), u32(0))
            blame_hart(m, pe, hart, c, time)
            return
        if next_first(m, pe, hart, time) or m.stop != 0 or time > m.limit:
            push_event(m, time, pe.index, hart + RANK_HART, u64(0))
            return
        m.time = time


@fn
def run_program(c: Ptr[HartControl]) -> u32:
    """Let a hart's decoded program run; notes the instruction at which it stopped."""
    code = Ptr[Code](c.code)
    reason = run_code(c.hart, code)
    number = find(code, c.hart.pc)
    c.insn = Ptr[Insn](0) if number == NOWHERE else code.insns + number
    return reason


@fn
def open_barrier(m: Ptr[Machine]) -> None:
    """Let every hart that waits at the barrier go on."""
    for p in range(u32(0), m.pes):
        pe = addr(m.pe[p])
        for hart in range(u32(0), u32(HARTS)):
            c = addr(pe.harts[hart])
            if c.state == WAIT_BARRIER:
                c.released = 1
                wake(m, pe, hart, m.barrier_open)
    m.barrier_open = 0


@fn
def unit_event(m: Ptr[Machine], pe: Ptr[Pe], rank: u32, e: Ptr[Event]) -> None:
    """A DMA goes on, or a command completes."""
    if rank >= RANK_STEP:
        unit = rank - RANK_STEP
        engine = addr(pe.engines[unit])
        command = addr(pe.channels[engine.channel].ring[(engine.seq - 1) & RING_MASK])
        if dma_step(m, pe, unit, e.time) != 0:
            if m.trap.cause != 0:
                blame(m, pe, unit, command, e.time)
            else:
                start_units(m, pe, e.time)
        return
    cause = u32(0)
    if rank <= FI_OUT:
        cause = complete_dma(m, pe, rank, u32(e.data >> 32), u32(e.data & 0xFFFFFFFF), e.time)
    else:
        cause = complete_compute(m, pe, rank, u32(e.data), e.time)
    if cause == 0:
        start_units(m, pe, e.time)
        wake_harts(m, pe, e.time)


@fn
def start_hart(m: Ptr[Machine], index: u32, hart: u32, time: u64) -> None:
    """Make a hart take part from `time` on."""
    pe = addr(m.pe[index])
    c = addr(pe.harts[hart])
    c.state = RUN
    c.start = time
    c.hart.time = time
    pe.alive += 1
    m.harts += 1
    m.harts_alive += 1
    push_event(m, time, index, hart + RANK_HART, u64(0))


@fn
def start_harts(m: Ptr[Machine], pes: u32, cores: u32, time: u64) -> None:
    """Make the first harts of the first PEs take part."""
    for index in range(u32(0), pes):
        for hart in range(u32(0), cores):
            start_hart(m, index, hart, time)


@fn
def run_machine(m: Ptr[Machine]) -> u32:
    """Run until every hart has ended and every unit is idle, or something is wrong; says which."""
    e = local(Event, 1)
    while m.event_count > 0:
        if m.stop != 0:
            return STOPPED
        pop_event(m, e)
        m.time = e.time
        if e.time >= m.sample_at:
            sample(m, e.time)
        if e.time > m.limit:
            return TOO_LONG
        pe = addr(m.pe[e.key >> 48])
        rank = u32(e.key >> 40) & 255
        if rank >= RANK_HART:
            hart_event(m, pe, rank - RANK_HART, e.time)
            if m.barrier_open != 0:
                open_barrier(m)
        else:
            unit_event(m, pe, rank, e)
        if m.trap.cause != 0:
            return FAULTED
    if m.harts_alive > 0:
        return STUCK
    return ENDED
