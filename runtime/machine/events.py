"""The event queue: a binary heap ordered by time, then PE, rank and sequence."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, fn, u32, u64

from .state import Event, Machine


@fn
def before(a: Ptr[Event], b: Ptr[Event]) -> boolean:
    """Whether a comes before b."""
    return a.time < b.time or (a.time == b.time and a.key < b.key)


@fn
def event_key(m: Ptr[Machine], pe: u32, rank: u32) -> u64:
    """The order of an event among those of the same cycle."""
    m.sequence = m.sequence + 1
    return (u64(pe) << 48) | (u64(rank) << 40) | (m.sequence & 0xFFFFFFFFFF)


@fn
def push_event(m: Ptr[Machine], time: u64, pe: u32, rank: u32, data: u64) -> None:
    """Add an event."""
    key = event_key(m, pe, rank)
    i = m.event_count
    m.event_count = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        above = addr(m.events[parent])
        if above.time < time or (above.time == time and above.key < key):
            break
        m.events[i].time = above.time
        m.events[i].key = above.key
        m.events[i].data = above.data
        i = parent
    place = addr(m.events[i])
    place.time = time
    place.key = key
    place.data = data


@fn
def pop_event(m: Ptr[Machine], out: Ptr[Event]) -> None:
    """Take the earliest event; the queue must not be empty."""
    top = addr(m.events[0])
    out.time = top.time
    out.key = top.key
    out.data = top.data
    n = m.event_count - 1
    m.event_count = n
    last = addr(m.events[n])
    time = last.time
    key = last.key
    data = last.data
    i = u64(0)
    while True:
        child = i * 2 + 1
        if child >= n:
            break
        if child + 1 < n and before(addr(m.events[child + 1]), addr(m.events[child])):
            child = child + 1
        low = addr(m.events[child])
        if time < low.time or (time == low.time and key < low.key):
            break
        m.events[i].time = low.time
        m.events[i].key = low.key
        m.events[i].data = low.data
        i = child
    place = addr(m.events[i])
    place.time = time
    place.key = key
    place.data = data
