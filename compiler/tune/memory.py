"""Local memory as the compiler divides it: slots of each value that one unit hands to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtia.compiler.passes.plan_local_memory import (
    FIRST_BYTE,
    IN_FLIGHT_BYTES,
    MOST_HARDWARE_SLOTS,
    MOST_SLOTS,
    STACK_BYTES,
)
from mtia.compiler.tune.work import Loop, Program, Step
from mtia.isa.chip import Chip

__all__ = ["Slots", "plan"]


@dataclass(frozen=True)
class Slots:
    """How many harts run programs, and the slots of each value by its number."""

    cores: int
    slots: dict[int, int]

    def of(self, step: Step) -> int:
        """Slots of what a step makes."""
        return self.slots.get(step.result, MOST_HARDWARE_SLOTS)


def _steps(program: Program) -> Iterator[Step]:
    for item in program:
        if isinstance(item, Loop):
            yield from _steps(item.body)
        else:
            yield item


def _fit(rings: dict[int, int], slots: dict[int, int], available: float) -> bool:
    """Take slots away, the largest ring first, until all fit."""
    while sum(size * slots[number] for number, size in rings.items()) > available:
        many = [number for number in rings if slots[number] > 1]
        if not many:
            return False
        deep = [number for number in many if slots[number] > 3] or [n for n in many if slots[n] > 2] or many
        slots[max(deep, key=lambda number: rings[number])] -= 1
    return True


def plan(program: Program, chip: Chip, cores: int, stages: int, multiplier: int) -> Slots | None:
    """The slots under given options, with one hart where two find no room; None where one finds none either."""
    steps = list(_steps(program))
    read_by: dict[int, set[str]] = {}
    for step in steps:
        for source in step.sources:
            read_by.setdefault(source, set()).add(step.unit)
    local: dict[int, int] = {}
    accumulators: dict[int, int] = {}
    wanted: dict[int, int] = {}
    scratch = 0
    loaded = {step.shape for step in steps if step.unit == "fi_in"}
    carried = set(_carried(program))
    for step in steps:
        if step.result < 0 or step.unit == "re" or step.elements == 1:
            continue
        if step.unit == "dpe":
            if not carried.intersection(step.sources) or step.result not in carried:
                accumulators[step.result] = step.elements * 4
                wanted[step.result] = stages * multiplier
            continue
        if step.unit == "se" and read_by.get(step.result, set()) <= {"se"}:
            scratch = max(scratch, 2 * step.elements * 4)
            continue
        size = step.bytes if step.unit == "fi_in" else step.elements * 2
        count = max(2, stages)
        if step.unit == "fi_in" or step.shape in loaded:  # a result may take the place of a tile that was loaded
            count = max(count, min(MOST_SLOTS, -(-IN_FLIGHT_BYTES // size)))
        local[step.result] = size
        wanted[step.result] = min(count * multiplier, MOST_HARDWARE_SLOTS)
    for parts in (cores, 1):
        slots = dict(wanted)
        room = (chip.ls.bytes - FIRST_BYTE - chip.hart.count * STACK_BYTES) / parts - scratch
        if _fit(local, slots, room) and _fit(accumulators, slots, chip.re.bytes / parts):
            return Slots(parts, slots)
    return None


def _carried(program: Program) -> Iterator[int]:
    for item in program:
        if isinstance(item, Loop):
            for inside, _, after in item.carried:
                yield inside
                yield after
            yield from _carried(item.body)
