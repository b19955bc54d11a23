"""Watching a hart: handlers that stand before an instruction's own and count its cycles, or stop the machine there.

A watched program is decoded as usual, then every instruction's handler is replaced; the own ones are kept in a list.
A watching handler does its work and goes on with the instruction's own at the same time and count: no cycle changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mtia.isa.lang import Fn, Memory, Ptr, Struct, fn, sizeof, struct, tailcall, u32, u64
from mtia.isa.state import Hart, Insn

from .hart_handlers import HANDLER, leave
from .hart_program import Program
from .state import AT_HORIZON, NEVER, Machine

__all__ = ["HANDLERS", "STEP", "Watch", "Watcher"]

STEP = 3  # `Machine.stop`: a stepped hart stands before an instruction


@struct
class Visits(Struct):
    """How often a hart executed an instruction, and the cycles from there to the hart's next instruction."""

    count: u64
    cycles: u64


@struct
class Watch(Struct):
    """What the watching handlers know of one hart; `Hart.watch` is its address."""

    insns: u64  # host address of the decoded instructions
    handlers: Ptr[u64]  # the instructions' own handlers
    visits: Ptr[Visits]  # by instruction
    last: Ptr[Visits]  # of the instruction executed last
    time: u64  # at which it was reached
    until: u64  # instructions executed: of the last one, or of the one that may execute now


@fn(cc="handler")
def profiled(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
    """Give the cycles since the last instruction to it; an instruction that starts again is the same visit."""
    w = Ptr[Watch](h.watch)
    number = (u64(i) - w.insns) // sizeof(Insn)
    last = w.last
    last.cycles += t - w.time
    here = w.visits + number
    if n != w.until:
        here.count += 1
    w.until = n
    w.last = here
    w.time = t
    return tailcall(HANDLER(w.handlers[number]), h, i, t, n, horizon)


@fn(cc="handler")
def stepped(h: Ptr[Hart], i: Ptr[Insn], t: u64, n: u64, horizon: u64) -> u32:
    """Stop the machine before an instruction, unless it is the one that may execute now."""
    w = Ptr[Watch](h.watch)
    if n != w.until:
        Ptr[Machine](h.machine).stop = STEP
        return leave(h, i.pc, t, n, u32(AT_HORIZON))
    return tailcall(HANDLER(w.handlers[(u64(i) - w.insns) // sizeof(Insn)]), h, i, t, n, horizon)


HANDLERS: dict[str, Fn] = {"profiled": profiled, "stepped": stepped}


class Watcher:
    """A decoded program whose instructions all go through the handler `name` first, for some harts.

    `visits` has a row for each hart and an entry (`count`, `cycles`) for each instruction of `program`.
    """

    def __init__(self, program: Program, name: str, harts: int, address_of: Callable[[str], int]) -> None:
        self.program = program
        records = program.records
        self._handlers = Memory(8 * len(records))
        np.frombuffer(self._handlers.bytes, np.uint64)[:] = program.alone()
        records["handler"] = address_of(name)
        self._visits = Memory(Visits.size * len(records) * harts)
        kind = np.dtype([("count", np.uint64), ("cycles", np.uint64)])
        self.visits = np.frombuffer(self._visits.bytes, kind).reshape(harts, len(records))
        self._watches = Memory(Watch.size * harts)
        for number in range(harts):
            watch = self.watch(number)
            watch.insns, watch.handlers = program.insns, self._handlers.addr
            watch.visits = watch.last = self._visits.addr + Visits.size * len(records) * number
            watch.until = NEVER

    def watch(self, number: int) -> Any:
        """The `Watch` of a hart."""
        return Watch.view(self.address(number))

    def finish(self, number: int, time: int) -> int:
        """Give the cycles until a hart's end to its last instruction; returns its number."""
        watch = self.watch(number)
        Visits.view(watch.last).cycles += max(time - watch.time, 0)
        watch.time = time
        return int((watch.last - self._visits.addr) // Visits.size % self.visits.shape[1])

    def address(self, number: int) -> int:
        """What `Hart.watch` of a hart must be."""
        return int(self._watches.addr + Watch.size * number)
