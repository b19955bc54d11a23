"""The event queue, ordered by time, then PE, rank and sequence.

Events of the next `WHEEL` cycles lie in a wheel: a list per cycle, sorted by key, and bits that say which lists are not
empty. PEs do their work in order, so an event's place is most often the end of its list or next to the event that was
added before: hundreds of PEs may complete commands in one cycle and each wake a hart in it. Later events wait in a
binary heap.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, boolean, ctz, fn, u32, u64

from .state import WHEEL, Cycle, Event, Machine

LAST = WHEEL - 1


@fn
def event_key(m: Ptr[Machine], pe: u32, rank: u32) -> u64:
    """The order of an event among those of the same cycle."""
    m.sequence = m.sequence + 1
    return (u64(pe) << 48) | (u64(rank) << 40) | (m.sequence & 0xFFFFFFFFFF)


@fn
def event(m: Ptr[Machine], n: u32) -> Ptr[Event]:
    """The event with a number; numbers start at 1."""
    found: Ptr[Event] = addr(m.events[n - 1])
    return found


@fn
def before(a: Ptr[Event], b: Ptr[Event]) -> boolean:
    """Whether a comes before b."""
    return a.time < b.time or (a.time == b.time and a.key < b.key)


@fn
def place_of(m: Ptr[Machine], cycle: Ptr[Cycle], key: u64) -> u32:
    """The event of a list after which one with this key comes, 0 if it comes first."""
    if cycle.last == 0 or event(m, cycle.last).key < key:
        return cycle.last
    after = cycle.near
    if event(m, after).key < key:
        following = event(m, after).next  # there is one, for the last event comes later
        while event(m, following).key < key:
            after = following
            following = event(m, after).next
        return after
    while after != 0 and event(m, after).key > key:
        after = event(m, after).prev
    return after


@fn
def put_near(m: Ptr[Machine], n: u32, e: Ptr[Event]) -> None:
    """Add an event to the list of its cycle."""
    slot = e.time & LAST
    cycle = addr(m.wheel[slot])
    after = place_of(m, cycle, e.key)
    e.prev = after
    if after == 0:
        e.next = cycle.first
        cycle.first = n
    else:
        e.next = event(m, after).next
        event(m, after).next = n
    if e.next == 0:
        cycle.last = n
    else:
        event(m, e.next).prev = n
    cycle.near = n
    m.wheel_bits[slot >> 6] = m.wheel_bits[slot >> 6] | (u64(1) << (slot & 63))
    m.wheel_words = m.wheel_words | (u64(1) << (slot >> 6))


@fn
def put_far(m: Ptr[Machine], n: u32, e: Ptr[Event]) -> None:
    """Add an event to the heap."""
    i = m.far_count
    m.far_count = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        if before(event(m, m.far[parent]), e):
            break
        m.far[i] = m.far[parent]
        i = parent
    m.far[i] = n


@fn
def push_event(m: Ptr[Machine], time: u64, pe: u32, rank: u32, data: u64) -> None:
    """Add an event."""
    n = m.event_free
    if n == 0:
        m.event_used += 1
        n = m.event_used
    else:
        m.event_free = event(m, n).next
    m.event_count += 1
    e = event(m, n)
    e.time = time
    e.key = event_key(m, pe, rank)
    e.data = data
    if time - m.time < WHEEL:
        put_near(m, n, e)
    else:
        put_far(m, n, e)


@fn
def nearest(m: Ptr[Machine]) -> u32:
    """The earliest event of the wheel, 0 if it is empty: the first list from the present cycle on."""
    if m.wheel_words == 0:
        return 0
    slot = m.time & LAST
    word = slot >> 6
    bits = (m.wheel_bits[word] >> (slot & 63)) << (slot & 63)
    if bits == 0:
        words = m.wheel_words >> 1 >> word << word << 1
        if words == 0:
            words = m.wheel_words
        word = ctz(words)
        bits = m.wheel_bits[word]
    return m.wheel[(word << 6) + ctz(bits)].first


@fn
def first_event(m: Ptr[Machine]) -> u32:
    """The number of the earliest event; the queue must not be empty."""
    n = nearest(m)
    if m.far_count != 0 and (n == 0 or before(event(m, m.far[0]), event(m, n))):
        return m.far[0]
    return n


@fn
def take_far(m: Ptr[Machine]) -> None:
    """Remove the heap's first event."""
    count = m.far_count - 1
    m.far_count = count
    last = event(m, m.far[count])
    n = m.far[count]
    i = u32(0)
    while True:
        child = i * 2 + 1
        if child >= count:
            break
        if child + 1 < count and before(event(m, m.far[child + 1]), event(m, m.far[child])):
            child = child + 1
        if before(last, event(m, m.far[child])):
            break
        m.far[i] = m.far[child]
        i = child
    m.far[i] = n


@fn
def take_near(m: Ptr[Machine], n: u32, e: Ptr[Event]) -> None:
    """Remove the first event of its cycle's list."""
    slot = e.time & LAST
    cycle = addr(m.wheel[slot])
    cycle.first = e.next
    if cycle.near == n:
        cycle.near = e.next
    if e.next != 0:
        event(m, e.next).prev = 0
        return
    cycle.last = 0
    bits = m.wheel_bits[slot >> 6] & ~(u64(1) << (slot & 63))
    m.wheel_bits[slot >> 6] = bits
    if bits == 0:
        m.wheel_words = m.wheel_words & ~(u64(1) << (slot >> 6))


@fn
def pop_event(m: Ptr[Machine], out: Ptr[Event]) -> None:
    """Take the earliest event; the queue must not be empty."""
    n = first_event(m)
    e = event(m, n)
    out.time = e.time
    out.key = e.key
    out.data = e.data
    if m.far_count != 0 and m.far[0] == n:
        take_far(m)
    else:
        take_near(m, n, e)
    m.event_count -= 1
    e.next = m.event_free
    m.event_free = n
