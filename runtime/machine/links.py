"""Which command of a queue may start, and the reduction network, where two neighbours' commands start together."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, memcpy, sizeof, u32, u64
from mtia.isa.xmtia.state import Operand

from .state import (
    CHANNELS,
    HART_OFF,
    HARTS,
    NO_LINK,
    P_ELEMENT,
    RE,
    RECEIVES,
    RING_MASK,
    S_BUSY,
    S_DEPENDENCY,
    S_ELEMENT,
    S_IDLE,
    S_SPACE,
    UNITS,
    Channel,
    Command,
    Machine,
    Pe,
)

NOWHERE = 0xFFFF_FFFF
RIGHT, DOWN, LEFT, UP = range(4)


@fn
def has_room(m: Ptr[Machine], channel: Ptr[Channel]) -> boolean:
    """Whether a queue takes another command."""
    waiting = channel.issued - channel.started
    return waiting < m.chip.cp_queue_depth and channel.issued - channel.retired < m.chip.cp_window


@fn
def head(pe: Ptr[Pe], n: u32) -> Ptr[Command]:
    """The next command of a channel to start."""
    channel = addr(pe.channels[n])
    found: Ptr[Command] = addr(channel.ring[channel.started & RING_MASK])
    return found


@fn
def own_state(pe: Ptr[Pe], n: u32) -> u32:
    """What the next command of a channel waits for in its PE; S_BUSY for nothing, S_IDLE when there is none."""
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
def neighbour(m: Ptr[Machine], pe: Ptr[Pe], direction: u32) -> u32:
    """Index of the PE next to this one, NOWHERE at the edge of the grid or of the launch."""
    found = pe.index
    if direction == RIGHT:
        if pe.col + 1 == m.chip.grid_cols:
            return NOWHERE
        found += 1
    elif direction == LEFT:
        if pe.col == 0:
            return NOWHERE
        found -= 1
    elif direction == DOWN:
        if pe.row + 1 == m.chip.grid_rows:
            return NOWHERE
        found += m.chip.grid_cols
    else:
        if pe.row == 0:
            return NOWHERE
        found -= m.chip.grid_cols
    if m.pe[found].harts[0].state == HART_OFF and m.pe[found].harts[1].state == HART_OFF:
        return NOWHERE
    return found


@fn
def partner_channel(m: Ptr[Machine], pe: Ptr[Pe], command: Ptr[Command]) -> u32:
    """The neighbour's channel whose next command is ready to be the other end of this one, NOWHERE if there is none."""
    other = addr(m.pe[neighbour(m, pe, command.direction)])
    if other.units[RE].busy != 0:
        return NOWHERE
    for hart in range(u32(0), u32(HARTS)):
        n = hart * UNITS + RE
        if own_state(other, n) == S_BUSY:
            candidate = head(other, n)
            link = m.ops[candidate.op].link
            opposite = candidate.direction == (command.direction ^ 2)
            if opposite and link != NO_LINK and link != m.ops[command.op].link:
                return n
    return NOWHERE


@fn
def head_state(m: Ptr[Machine], pe: Ptr[Pe], n: u32) -> u32:
    """What the next command of a channel waits for, its neighbour included."""
    state = own_state(pe, n)
    if state == S_BUSY:
        command = head(pe, n)
        if m.ops[command.op].link != NO_LINK and partner_channel(m, pe, command) == NOWHERE:
            return S_DEPENDENCY
    return state


@fn
def connect(sender: Ptr[Command], receiver: Ptr[Command]) -> None:
    """Make what is sent the receiver's second operand."""
    memcpy(addr(receiver.operand[1]), addr(sender.operand[0]), sizeof(Operand))


@fn
def link_cycles(m: Ptr[Machine], a: Ptr[Command], b: Ptr[Command]) -> u64:
    """Connect two ends and return the clocks that both are busy."""
    if m.ops[b.op].link == RECEIVES:
        connect(a, b)
    else:
        connect(b, a)
    return m.ops[a.op].timing(addr(m.chip), addr(a.operand[0]))
