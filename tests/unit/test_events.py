"""The event queue against a sorted list: order by time, then PE, rank and sequence, near and far."""

from __future__ import annotations

import heapq
import random
import time
from typing import Any

import pytest
from mtia.isa.lang import Library, Ptr, build, fn, local, u32, u64
from mtia.runtime.machine.events import pop_event, push_event
from mtia.runtime.machine.host import Region
from mtia.runtime.machine.state import WHEEL, Cycle, Event, Machine


@pytest.fixture(scope="module")
def native() -> Library:
    return build([push_event, pop_event], "events-test")


def queue(room: int) -> tuple[Any, list[Region]]:
    """A machine with nothing but an empty event queue."""
    machine = Machine.alloc()
    m, regions = Machine.view(machine.addr), []
    sizes = {"events": Event.size * room, "far": 4 * room, "wheel": Cycle.size * WHEEL, "wheel_bits": WHEEL // 8}
    for name, size in sizes.items():
        regions.append(Region(size))
        setattr(m, name, regions[-1].addr)
    return machine, regions


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("interpreter", ["fast", "reference"])
def test_events_come_in_order(seed: int, interpreter: str, native: Library) -> None:
    source, out = random.Random(seed), Event.alloc()
    machine, kept = queue(400)
    m, e, sequence = Machine.view(machine.addr), Event.view(out.addr), 0
    waiting: list[tuple[int, int, int, int]] = []
    reach = (3, 70, WHEEL + 50, 3 * WHEEL)[seed]
    for step in range(1500 if interpreter == "reference" else 20_000):
        grows = len(waiting) < 300 and source.random() < (0.7 if step % 900 < 450 else 0.4)
        if grows or not waiting:
            cycle, pe, rank = m.time + int(source.random() ** 2 * reach), source.randrange(300), source.randrange(10)
            sequence += 1
            heapq.heappush(waiting, (cycle, pe, rank, sequence))
            given = (machine, cycle, pe, rank, sequence)
            native.call("push_event", *given) if interpreter == "fast" else push_event(*given)
            continue
        native.call("pop_event", machine, out) if interpreter == "fast" else pop_event(machine, out)
        assert (e.time, e.key >> 48, e.key >> 40 & 255, e.data) == heapq.heappop(waiting)
        m.time = e.time
    assert m.event_count == len(waiting) and kept


@fn
def wake_all(m: Ptr[Machine], pes: u32, later: u64) -> u32:
    """Let all PEs have an event in cycle 1 and each then add one `later` cycles after; how many come out of order."""
    e = local(Event, 1)
    wrong = u32(0)
    time = u64(0)
    key = u64(0)
    for pe in range(u32(0), pes):
        push_event(m, u64(1), pe, u32(5), u64(0))
    while m.event_count > 0:
        pop_event(m, e)
        if e.time < time or (e.time == time and e.key < key):
            wrong += 1
        time = e.time
        key = e.key
        m.time = time
        if (key >> 40) & 255 == 5:
            push_event(m, time + later, u32(key >> 48), u32(8), u64(0))
    return wrong


def test_events_between_others_of_a_cycle_cost_what_those_at_the_end_do() -> None:
    """Walking past the events of all PEs that come later costs hundreds of times as much."""
    native = build([wake_all], "events-test-wakes")

    def seconds(later: int) -> float:
        machine, kept = queue(40_000)
        start = time.process_time()
        assert native.call("wake_all", machine, 20_000, later) == 0 and kept
        return time.process_time() - start

    assert min(seconds(0) for _ in range(3)) < 8 * min(seconds(1) for _ in range(3))
