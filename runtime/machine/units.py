"""Units: which command starts when, what completes, and what the cycles were spent on."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, u32, u64
from mtia.isa.xmtia.accumulators import accumulate
from mtia.isa.xmtia.codes import DType
from mtia.isa.xmtia.state import TICKS, ChipParams

from .events import push_event
from .fi import dma_effect, pass_local, start_dma
from .hazards import IN_LS, LOCAL, element_bytes, fault, readable, writable
from .links import has_room, head, head_state, link_cycles, neighbour, partner_channel
from .races import check_start
from .record import note_command, note_span
from .reserve import break_local
from .shadow import check_sources, mark_results
from .skipped import skip_dma
from .state import (
    DPE,
    FI_IN,
    FI_OUT,
    HARTS,
    MLU,
    NEVER,
    NO_DETAIL,
    NO_LINK,
    RANK_HART,
    RECEIVES,
    RING_MASK,
    RUN,
    S_BUSY,
    S_IDLE,
    S_MEMORY,
    SE,
    UNITS,
    WAIT_POP,
    WAIT_PUSH,
    WAIT_QUEUE,
    WAIT_READ,
    WAIT_UNITS,
    WAIT_WRITE,
    Command,
    HartControl,
    Machine,
    OpInfo,
    Pe,
    Unit,
)
from .unmade import skip_results

NONE_READY = 255
F16, BF16, TF32, E4M3, E5M2 = (int(t) for t in (DType.F16, DType.BF16, DType.TF32, DType.E4M3, DType.E5M2))
I8, U8 = int(DType.I8), int(DType.U8)


@fn
def enter(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, state: u32, now: u64) -> None:
    """Book the cycles since the last change and go on in another state."""
    u = addr(pe.units[unit])
    if u.state == state:
        return
    if now > u.since:
        u.cycles[u.state] += now - u.since
        if m.span_capacity != 0 and u.state != S_IDLE:
            note_span(m, pe, unit, u.state, u.since, now, u64(0), u32(0))
        u.since = now
    u.state = state


@fn
def choose(m: Ptr[Machine], pe: Ptr[Pe], unit: u32) -> u32:
    """The channel whose head starts next on a unit: the older ready one. NONE_READY + cause when none may."""
    a = head_state(m, pe, unit)
    b = head_state(m, pe, unit + UNITS)
    if a == S_BUSY and b == S_BUSY:
        first = addr(pe.channels[unit])
        second = addr(pe.channels[unit + UNITS])
        if first.ring[first.started & RING_MASK].order < second.ring[second.started & RING_MASK].order:
            return unit
        return unit + UNITS
    if a == S_BUSY:
        return unit
    if b == S_BUSY:
        return unit + UNITS
    if a != S_IDLE:
        return NONE_READY + a
    return NONE_READY + b


@fn
def local_bytes(chip: Ptr[ChipParams], unit: u32, command: Ptr[Command]) -> u64:
    """Bytes that a command reads and writes in local memory; broadcast elements count once a row.

    The DPE keeps a tile's rows of a and streams b past them, so it reads b once for each such block of rows.
    """
    total = u64(0)
    for k in range(u32(0), command.operands):
        o = addr(command.operand[k])
        if o.form == LOCAL and o.space == IN_LS:
            elements = u64(o.rows)
            if o.cstride != 0:
                elements *= u64(o.cols)
            if unit == DPE and k == 2:
                elements *= u64((command.operand[1].rows + chip.dpe_tile - 1) // chip.dpe_tile)
            total += elements * element_bytes(o.dtype)
    return total


@fn
def occupy(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, n: u32, start: u64, end: u64) -> None:
    """Let a channel's head run on a unit from `start` to `end`."""
    u = addr(pe.units[unit])
    channel = addr(pe.channels[n])
    command = addr(channel.ring[channel.started & RING_MASK])
    enter(m, pe, unit, S_BUSY, start)
    channel.started += 1
    command.started = start
    command.finished = end
    u.busy = 1
    u.end = end
    push_event(m, end, pe.index, unit, u64(n))


@fn
def start_compute(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, n: u32, now: u64) -> None:
    """Start a channel's head on MLU, DPE, RE or SE; on the reduction network the neighbour's command starts with it."""
    command = head(pe, n)
    info = addr(m.ops[command.op])
    start = max(command.issued + u64(m.chip.cp_dispatch), now)
    if pe.watch != 0 and check_start(m, pe, command) != 0:
        blame(m, pe, unit, command, now)
        return
    if info.link != NO_LINK:
        other = addr(m.pe[neighbour(m, pe, command.direction)])
        partner = partner_channel(m, pe, command)
        if pe.watch != 0 and check_start(m, other, head(other, partner)) != 0:
            blame(m, other, unit, head(other, partner), now)
            return
        cycles = link_cycles(m, command, head(other, partner))
        occupy(m, other, unit, partner, start, start + cycles)
        occupy(m, pe, unit, n, start, start + cycles)
        return
    end = start + info.timing(addr(m.chip), addr(command.operand[0]))
    command.bytes = local_bytes(addr(m.chip), unit, command)
    after = max(end, pass_local(m, pe, start, command.bytes))
    command.slowed = u32(after - end)
    occupy(m, pe, unit, n, start, after)


@fn
def start_units(m: Ptr[Machine], pe: Ptr[Pe], now: u64) -> None:
    """Start whatever can start now, and note why the other units with queued commands cannot."""
    for unit in range(u32(0), u32(FI_OUT + 1)):
        e = addr(pe.engines[unit])
        if e.active == 0:
            n = choose(m, pe, unit)
            if n < NONE_READY and e.flight < m.chip.fi_commands:
                enter(m, pe, unit, S_BUSY, now)
                if start_dma(m, pe, unit, n, now) != 0:
                    channel = addr(pe.channels[n])
                    blame(m, pe, unit, addr(channel.ring[channel.started & RING_MASK]), now)
            elif n < NONE_READY or e.flight > 0:
                enter(m, pe, unit, S_MEMORY, now)
            else:
                enter(m, pe, unit, n - NONE_READY, now)
    for unit in range(u32(MLU), u32(UNITS)):
        if pe.units[unit].busy == 0:
            n = choose(m, pe, unit)
            if n < NONE_READY:
                start_compute(m, pe, unit, n, now)
            else:
                enter(m, pe, unit, n - NONE_READY, now)


@fn
def blame(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, command: Ptr[Command], now: u64) -> None:
    """Complete the record of a trap that a command caused."""
    t = addr(m.trap)
    t.pe = pe.index
    t.hart = command.channel // UNITS
    t.unit = unit
    t.word = command.word
    t.pc = command.pc
    t.time = now


@fn
def dpe_rate(chip: Ptr[ChipParams], dtype: u32) -> u64:
    """Multiply-accumulates per clock for a source type, at least 1."""
    rate = u32(1)
    if dtype == F16:
        rate = chip.dpe_fp16
    elif dtype == BF16:
        rate = chip.dpe_bf16
    elif dtype == TF32:
        rate = chip.dpe_tf32
    elif dtype == I8 or dtype == U8:
        rate = chip.dpe_int8
    elif dtype == E4M3 or dtype == E5M2:
        rate = chip.dpe_fp8
    return u64(max(rate, u32(1)))


@fn
def count_work(chip: Ptr[ChipParams], u: Ptr[Unit], unit: u32, command: Ptr[Command]) -> None:
    """Count a command's multiply-accumulates (DPE) or elements, and the ticks they take at the unit's rate."""
    o = addr(command.operand[0])
    work = u64(o.rows) * u64(o.cols)
    if unit == DPE:
        a = addr(command.operand[1])
        work *= u64(a.cols)
        u.ideal += work * TICKS // dpe_rate(chip, a.dtype)
    elif unit == SE:
        for k in range(u32(1), command.operands):
            source = addr(command.operand[k])
            if source.form == LOCAL:
                work = max(work, u64(source.rows) * u64(source.cols))
        u.ideal += work * TICKS // u64(chip.se_elements_per_clk)
    u.work += work


@fn
def take_effect(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command], info: Ptr[OpInfo]) -> u32:
    """Make a compute command's result, unless the run is without values; a trap cause or 0."""
    if m.skip != 0:
        skip_results(pe, command, info)
        return 0
    if pe.shadow != 0 and check_sources(m, pe, command, info) != 0:
        return m.trap.cause
    cause = u32(0)
    if info.link == NO_LINK:
        cause = info.meaning(addr(m.chip), addr(command.operand[0]))
    elif info.link == RECEIVES:
        cause = accumulate(addr(command.operand[0]), addr(command.operand[1]))
    if cause != 0:
        return fault(addr(m.trap), cause, u64(0), u64(0), u32(NO_DETAIL))
    if pe.shadow != 0:
        mark_results(pe, command, info)
    return 0


@fn
def complete_compute(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, n: u32, now: u64) -> u32:
    """A command on MLU, DPE, RE or SE is done: its result becomes visible; a trap cause or 0."""
    u = addr(pe.units[unit])
    channel = addr(pe.channels[n])
    command = addr(channel.ring[channel.retired & RING_MASK])
    info = addr(m.ops[command.op])
    cause = take_effect(m, pe, command, info)
    if cause != 0:
        blame(m, pe, unit, command, now)
        return cause
    break_local(pe)
    channel.retired += 1
    u.busy = 0
    u.end = NEVER
    u.commands += 1
    count_work(addr(m.chip), u, unit, command)
    enter(m, pe, unit, S_IDLE, now)
    note_command(m, pe, unit, command)
    return 0


@fn
def complete_dma(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, n: u32, seq: u32, now: u64) -> u32:
    """The last line of a DMA has arrived; commands of a channel take effect in order. A trap cause or 0."""
    channel = addr(pe.channels[n])
    channel.transfers[(seq - 1) & RING_MASK].done = 1
    pe.engines[unit].flight -= 1
    while channel.retired < channel.started:
        command = addr(channel.ring[channel.retired & RING_MASK])
        if command.transfer.done == 0:
            break
        info = addr(m.ops[command.op])
        cause = skip_dma(m, pe, command, info) if m.skip != 0 else dma_effect(m, pe, command, info)
        if cause != 0:
            blame(m, pe, unit, command, now)
            return cause
        if unit == FI_IN:
            break_local(pe)
        channel.retired += 1
        pe.units[unit].commands += 1
        note_command(m, pe, unit, command)
    return 0


@fn
def may_go_on(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, c: Ptr[HartControl]) -> boolean:
    """Whether what a sleeping hart waits for holds now."""
    if c.state == WAIT_QUEUE:
        return has_room(m, addr(pe.channels[c.arg]))
    if c.state == WAIT_UNITS:
        for u in range(u32(0), u32(UNITS)):
            channel = addr(pe.channels[hart * UNITS + u])
            if (c.arg == 0 or (c.arg >> u) & 1 == 1) and channel.retired != channel.issued:
                return False
        return True
    cb = addr(pe.cbs[c.arg & 31])
    if c.state == WAIT_PUSH:
        return cb.pushed - cb.popped < cb.slots
    if c.state == WAIT_POP:
        return cb.pushed != cb.popped
    if c.state == WAIT_READ:
        return readable(pe, cb)
    if c.state == WAIT_WRITE:
        return writable(pe, cb)
    return False


@fn
def wake(m: Ptr[Machine], pe: Ptr[Pe], hart: u32, now: u64) -> None:
    """Let a sleeping hart execute its instruction again at `now`."""
    c = addr(pe.harts[hart])
    c.stall[c.state] += now - c.since
    note_span(m, pe, hart + RANK_HART, c.state, c.since, now, c.hart.pc, c.arg)
    c.state = RUN
    c.hart.time = now
    push_event(m, now, pe.index, hart + RANK_HART, u64(0))


@fn
def wake_harts(m: Ptr[Machine], pe: Ptr[Pe], now: u64) -> None:
    """Wake the PE's harts whose condition holds."""
    for hart in range(u32(0), u32(HARTS)):
        c = addr(pe.harts[hart])
        if c.state >= WAIT_QUEUE and c.state <= WAIT_WRITE and may_go_on(m, pe, hart, c):
            wake(m, pe, hart, now)
