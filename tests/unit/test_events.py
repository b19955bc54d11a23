"""The event queue against a sorted list: order by time, then PE, rank and sequence, near and far."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest
from mtia.isa.lang import Library, build
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
            time, pe, rank = m.time + int(source.random() ** 2 * reach), source.randrange(300), source.randrange(10)
            sequence += 1
            heapq.heappush(waiting, (time, pe, rank, sequence))
            given = (machine, time, pe, rank, sequence)
            native.call("push_event", *given) if interpreter == "fast" else push_event(*given)
            continue
        native.call("pop_event", machine, out) if interpreter == "fast" else pop_event(machine, out)
        assert (e.time, e.key >> 48, e.key >> 40 & 255, e.data) == heapq.heappop(waiting)
        m.time = e.time
    assert m.event_count == len(waiting) and kept
