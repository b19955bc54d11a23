"""Units: which command starts when, what completes, and what the cycles were spent on."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, u16, u32, u64

from .events import push_event
from .fi import dma_effect, start_dma
from .state import (
    CHANNELS,
    FI_OUT,
    HARTS,
    MLU,
    NEVER,
    P_ELEMENT,
    P_NONE,
    RANK_HART,
    RING_MASK,
    RUN,
    S_BUSY,
    S_DEPENDENCY,
    S_ELEMENT,
    S_IDLE,
    S_MEMORY,
    S_SPACE,
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

NONE_READY = 255


@fn
def enter(u: Ptr[Unit], state: u32, now: u64) -> None:
    """Book the cycles since the last change and go on in another state."""
    if now > u.since:
        u.cycles[u.state] += now - u.since
        u.since = now
    u.state = state


@fn
def head_state(pe: Ptr[Pe], n: u32) -> u32:
    """What the next command of a channel waits for; S_BUSY when it may start, S_IDLE when there is none."""
    channel = addr(pe.channels[n])
    if channel.started == channel.issued:
        return S_IDLE
    command = addr(channel.ring[channel.started & RING_MASK])
    if command.pending > 0:
        for k in range(u32(0), command.operands):
            if command.wait[k].kind == P_ELEMENT:
                return S_ELEMENT
        return S_SPACE
    for c in range(u32(0), u32(CHANNELS)):
        if pe.channels[c].retired < command.need[c]:
            return S_DEPENDENCY
    return S_BUSY


@fn
def choose(pe: Ptr[Pe], unit: u32) -> u32:
    """The channel whose head starts next on a unit: the older ready one. NONE_READY + cause when none may."""
    a = head_state(pe, unit)
    b = head_state(pe, unit + UNITS)
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
def local_memory(m: Ptr[Machine], pe: Ptr[Pe], start: u64, end: u64, moved: u64) -> u64:
    """Pass a command's bytes through the shared local memory; returns its end, later when others use the bandwidth."""
    busy_from = pe.ls_next
    if busy_from < start:
        busy_from = start
    pe.ls_next = busy_from + moved // u64(m.chip.ls_bytes_per_clk)
    if pe.ls_next > end:
        return pe.ls_next
    return end


@fn
def start_compute(m: Ptr[Machine], pe: Ptr[Pe], unit: u32, n: u32, now: u64) -> u32:
    """Start a channel's head on MLU, DPE, RE or SE; returns a trap cause or 0."""
    u = addr(pe.units[unit])
    channel = addr(pe.channels[n])
    command = addr(channel.ring[channel.started & RING_MASK])
    start = command.issued + u64(m.chip.cp_dispatch)
    if start < now:
        start = now
    info = addr(m.ops[command.op])
    cycles = info.timing(addr(m.chip), addr(command.operand[0]))
    end = local_memory(m, pe, start, start + cycles, local_bytes(command))
    enter(u, u32(S_BUSY), start)
    channel.started += 1
    command.started = start
    command.finished = end
    u.busy = 1
    u.running = n
    u.end = end
    push_event(m, end, pe.index, unit, u64(n))
    return 0


@fn
def start_units(m: Ptr[Machine], pe: Ptr[Pe], now: u64) -> None:
    """Start whatever can start now, and note why the other units with queued commands cannot."""
    for unit in range(u32(0), u32(FI_OUT + 1)):
        u = addr(pe.units[unit])
        e = addr(pe.engines[unit])
        if e.active == 0:
            n = choose(pe, unit)
            if n < NONE_READY and e.flight < m.chip.fi_commands:
                start_dma(m, pe, unit, n, now)
                enter(u, u32(S_BUSY), now)
            elif e.flight > 0:
                enter(u, u32(S_MEMORY), now)
            else:
                enter(u, n - NONE_READY, now)
    for unit in range(u32(MLU), u32(UNITS)):
        u = addr(pe.units[unit])
        if u.busy == 0:
            n = choose(pe, unit)
            if n < NONE_READY:
                start_compute(m, pe, unit, n, now)
            else:
                enter(u, n - NONE_READY, now)
