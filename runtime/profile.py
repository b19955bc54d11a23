"""A recorded run: every command, what each unit and hart spent its cycles on, and the harts' cycles by instruction.

`Recorder` observes a launch without changing a cycle of it; `Profile` is what it saw, as numpy arrays. `topdown.py`,
`profile_lines.py`, `trace.py` and the tools read it.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from mtia.isa.chip import Chip
from mtia.runtime.elf import Program
from mtia.runtime.machine.hart_watch import Watcher
from mtia.runtime.machine.host import Host
from mtia.runtime.machine.library import decoded, handler_address
from mtia.runtime.machine.record import DRAIN
from mtia.runtime.machine.state import CHANNELS, DONE, HART_OFF, HARTS, RANK_HART, S_IDLE, UNITS, WAIT_QUEUE

__all__ = ["NO_COMMAND", "Observer", "Profile", "Recorder", "Result", "watch"]

PERIOD = 256  # cycles between two samples of the memories' counters
NO_COMMAND = -1
TRAFFIC_NAMES = ("lines", "llc_misses", "coalesced", "wait_noc", "wait_sram", "wait_dram", "wait_window")
_KEPT = ("issued", "start", "end", "pc", "address", "bytes", "op", "rows", "cols", "depth", "dtype", "slowed", "pe",
         "unit", "channel")  # fmt: skip
Array = np.ndarray[Any, Any]


class Result(Protocol):
    """What an observer is told at the end of a launch (`launch.LaunchResult`)."""

    @property
    def chip(self) -> Chip:
        """The chip."""

    @property
    def cycles(self) -> int:
        """Clocks from the doorbell to the end."""

    @property
    def counters(self) -> dict[str, Any]:
        """See `counters.Snapshot.table`."""


class Observer(Protocol):
    """Who follows a launch. The machine leaves its loop between events when something waits for the observer."""

    def begin(self, host: Host, program: Program, interpreter: str, harts: int) -> None:
        """The harts are ready, nothing has run."""

    def resume(self) -> bool:
        """The machine stopped; False when it is not the observer that it waits for."""

    def end(self, result: Result) -> None:
        """The launch is over."""


@dataclass(frozen=True)
class Profile:
    """One launch, recorded.

    `commands` has a row per completed command, in order of completion: `issued start end` (cycles), `pc op unit channel
    pe`, operands (`rows cols depth dtype address`), `bytes`, `slowed` (cycles added by local memory's bandwidth), the
    counters of `TRAFFIC_NAMES` (DMA; waits in ticks), `blocker` (row of the command that it waited for last, or
    `NO_COMMAND`) and `ready` (the cycle from which no other command was in its way). `spans` has one per stretch of
    time of a unit or hart (`machine.state.Span`), `samples` the memories' counters. `visits[hart]` is by PE and
    instruction of `pcs`: `count` and `cycles`.
    """

    chip: Chip
    program: Program
    cycles: int
    ended: int  # the last hart's end
    counters: dict[str, Any] = field(repr=False)
    numbers: Array  # of the PEs that took part; `pe` everywhere else is a place in this list
    harts: int
    commands: Array = field(repr=False)
    spans: Array = field(repr=False)
    samples: Array = field(repr=False)
    alive: Array = field(repr=False)  # (PE, hart, 2): first and last cycle of a hart
    pcs: Array = field(repr=False)
    visits: tuple[Array, ...] = field(repr=False)

    @property
    def pes(self) -> int:
        """How many PEs took part."""
        return len(self.numbers)

    def of_pe(self, pe: int) -> Profile:
        """The same launch as one PE saw it; counters and samples stay those of the chip."""
        mine = self.commands["pe"] == pe
        commands = self.commands[mine]
        places = np.append(np.cumsum(mine) - 1, NO_COMMAND)
        commands["blocker"] = places[commands["blocker"]]
        spans = self.spans[self.spans["pe"] == pe]
        commands["pe"], spans["pe"] = 0, 0
        visits = tuple(rows[pe : pe + 1] for rows in self.visits)
        return dataclasses.replace(
            self, numbers=self.numbers[pe : pe + 1], commands=commands, spans=spans, alive=self.alive[pe : pe + 1],
            visits=visits,
        )  # fmt: skip

    @functools.cached_property
    def lines(self) -> dict[int, tuple[str, int]]:
        """Source line (file, line) of every instruction that has one."""
        found = ((int(pc), self.program.source(int(pc))) for pc in self.pcs)
        return {pc: line for pc, line in found if line is not None}


class Recorder:
    """Observes a launch and leaves a `Profile`. Without `lines`, harts are not watched instruction by instruction."""

    def __init__(self, lines: bool = True) -> None:
        self._watches = lines
        self._chunks: dict[str, list[Array]] = {"trace": [], "spans": [], "samples": []}
        self._watchers: list[Watcher] = []
        self._profile: Profile | None = None

    @property
    def profile(self) -> Profile:
        """What was recorded; there once the launch is over."""
        if self._profile is None:
            raise RuntimeError("nothing has been recorded yet")
        return self._profile

    def begin(self, host: Host, program: Program, interpreter: str, harts: int) -> None:
        self._host, self._program, self._harts = host, program, harts
        self._pes = int((host.pes["harts"]["state"].min(axis=1) != HART_OFF).sum())
        host.record(PERIOD)
        if not self._watches:
            return
        for core in range(harts):
            watcher = watch(host, program, interpreter, core, "profiled", range(self._pes))
            for pe in range(self._pes):
                watcher.watch(pe).time = int(host.pes["harts"]["start"][pe, core])
            self._watchers.append(watcher)

    def resume(self) -> bool:
        if self._host.machine.stop != DRAIN:
            return False
        self._take()
        return True

    def _take(self) -> None:
        for name, rows in self._host.drain().items():
            self._chunks[name].append(rows)

    def end(self, result: Result) -> None:
        host = self._host
        self._take()
        trace, spans, samples = (np.concatenate(self._chunks[name]) for name in ("trace", "spans", "samples"))
        last = np.zeros(1, samples.dtype)
        last["time"] = result.cycles
        for name in ("dram_reads", "dram_writes", "sram_reads", "sram_writes"):
            last[name] = getattr(host.machine, name)
        controls = host.pes["harts"][: self._pes, : self._harts]
        ended = np.where(controls["state"] == DONE, controls["end"], result.cycles)
        for core, watcher in enumerate(self._watchers):
            # A hart that has returned waits for its commands at address 0: the time is its last instruction's.
            returned = (spans["track"] == RANK_HART + core) & (spans["pc"] == 0)
            last_pcs = watcher.program.records["pc"][
                [watcher.finish(pe, int(ended[pe, core])) for pe in range(self._pes)]
            ]
            spans["pc"][returned] = last_pcs[spans["pe"][returned]]
        records = self._watchers[0].program.records[:-1] if self._watchers else None
        self._profile = Profile(
            result.chip, self._program, result.cycles, int(ended.max(initial=0)), result.counters,
            host.pes["index"][: self._pes].copy(), self._harts, _commands(trace),
            np.concatenate([spans, _unfinished(host, self._pes, self._harts, result.cycles, spans.dtype)]),
            np.concatenate([samples, last]), np.stack([controls["start"], ended], axis=-1),
            np.array(records["pc"] if records is not None else np.unique(trace["pc"])),
            tuple(watcher.visits[:, :-1].copy() for watcher in self._watchers),
        )  # fmt: skip
        host.record(0)


def watch(host: Host, program: Program, interpreter: str, core: int, name: str, pes: Any) -> Watcher:
    """Let a hart of some PEs run a freshly decoded program through one of the watching handlers."""
    vector = bool(host.chip.hart.vector_mask >> core & 1)
    own = decoded(program.text, program.text_base, host.chip, interpreter, vector)
    watcher = Watcher(own, name, len(pes), functools.partial(handler_address, interpreter))
    for number, pe in enumerate(pes):
        host.pes["harts"]["code"][pe, core] = own.addr
        host.registers["watch"][pe, core] = watcher.address(number)
    return watcher


def _unfinished(host: Host, pes: int, harts: int, cycles: int, kind: Any) -> Array:
    """Spans that had not ended when the machine stopped: of units, and of harts that wait (after a trap)."""
    rows = []
    for pe in range(pes):
        units, controls = host.pes["units"][pe], host.pes["harts"][pe]
        open_ = [(u, int(units["state"][u]), int(units["since"][u]), 0) for u in range(UNITS)]
        for hart in range(harts):
            state = int(controls["state"][hart])
            if WAIT_QUEUE <= state < DONE:
                since, pc = int(controls["since"][hart]), int(host.registers["pc"][pe, hart])
                open_.append((RANK_HART + hart, state, since, pc))
        started = [row for row in open_ if row[1] != S_IDLE and row[2] < cycles]
        rows += [(since, cycles, pc, 0, pe, track, state) for track, state, since, pc in started]
    names = ["start", "end", "pc", "arg", "pe", "track", "kind"]
    found = np.zeros(len(rows), kind)
    for place, name in enumerate(names):
        found[name] = [row[place] for row in rows]
    return found


def _commands(trace: Array) -> Array:
    """The rows of `Profile.commands`: the counters of the traffic by name, and what each command waited for."""
    extra = [*((name, np.int64) for name in TRAFFIC_NAMES), ("blocker", np.int64), ("ready", np.uint64)]
    kind = np.dtype([(name, trace.dtype[name]) for name in _KEPT] + extra)
    found = np.zeros(len(trace), kind)
    for name in _KEPT:
        found[name] = trace[name]
    for place, name in enumerate(TRAFFIC_NAMES):
        found[name] = trace["traffic"][:, place]
    # Commands of a channel complete in the order of their sequence numbers, which start at 1.
    key = trace["pe"].astype(np.int64) * CHANNELS + trace["channel"]
    order = np.lexsort((trace["seq"], key))
    first = np.searchsorted(key[order], np.arange(key.max(initial=-1) + 2))
    blocker = np.full(len(trace), NO_COMMAND)
    latest = np.zeros(len(trace), np.uint64)
    base = trace["pe"].astype(np.int64) * CHANNELS
    for channel in range(CHANNELS):
        need = trace["need"][:, channel].astype(np.int64)
        waits = np.flatnonzero(need)
        rows = order[first[base[waits] + channel] + need[waits] - 1]
        ends = trace["end"][rows]
        later = ends > latest[waits]
        blocker[waits[later]], latest[waits[later]] = rows[later], ends[later]
    found["blocker"], found["ready"] = blocker, np.maximum(latest, trace["issued"])
    return found


assert HARTS * UNITS == CHANNELS
