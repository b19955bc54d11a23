"""The cost model: cycles of a launch, from the steps of its programs and the numbers of the chip file.

The programs of one PE are laid out in time as the PE would run them: every hart issues its steps in order, every unit
takes the steps of a hart in order, a step waits for its sources and for a free slot of its circular buffer, and both
harts share the units. Long loops and many programs are cut short and continued in a straight line. The memories that
all PEs share lower the rate of a PE's DMA engines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mtia.compiler.tune.memory import Slots
from mtia.compiler.tune.work import LINE, Loop, Program, Step
from mtia.isa.chip import Chip

__all__ = ["Estimate", "Rates", "estimate", "shared_rates"]

ISSUE: Mapping[str, float] = {"fi_in": 10.0, "fi_out": 10.0}  # instructions around a command: addresses, clips
ISSUE_OTHER = 5.0
PROGRAM = 30.0  # decoding the program id, the prologue of the kernel
HART_MACS = 14.0  # fp32 multiply-accumulates a clock of vector code, of 16 lanes
MOST_PROGRAMS = 3  # of a hart that are laid out
MOST_TRIPS = 8


@dataclass(frozen=True)
class Estimate:
    """Cycles of a launch, and how many of them each unit of the busiest PE works."""

    cycles: float
    parts: Mapping[str, float]

    @property
    def bound(self) -> str:
        """The unit that works longest."""
        return max(self.parts, key=lambda name: self.parts[name]) if self.parts else "hart"


@dataclass(frozen=True)
class Rates:
    """Bytes a clock of one PE's DMA engines while all work, clocks of latency, and of moving all data off the chip."""

    read: float
    write: float
    latency: float
    floor: float


def shared_rates(chip: Chip, programs: int, moved: tuple[float, float], footprint: float, resident: bool) -> Rates:
    """What the memories leave to each PE.

    `moved` is bytes that all programs read and write, `footprint` the bytes of all distinct operands. Operands that are
    read several times are shared by rows and columns of PEs; each line then passes the memory less often.
    """
    active = min(programs, chip.grid.rows * chip.grid.cols)
    read, written = moved
    again = max(1.0, read / max(1.0, footprint - written))
    share = math.sqrt(min(again, float(max(chip.grid.rows, chip.grid.cols))))
    total = chip.sram.bytes_per_clk / active
    floor = 0.0
    if not resident:
        floor = footprint * chip.clock_hz / (chip.dram.bytes_per_second * chip.dram.efficiency_permille / 1000)
    latency = float(2 * chip.noc.base_latency + chip.sram.latency + (0 if resident else chip.dram.latency))
    latency += chip.noc.hop_latency * (chip.grid.rows + chip.grid.cols) / 2
    read_rate = min(
        float(chip.fi.read_bytes_per_clk), total * share, chip.fi.read_lines * chip.noc.line_bytes / latency
    )
    return Rates(read_rate, min(float(chip.fi.write_bytes_per_clk), total), latency, floor)


def cycles_of(step: Step, chip: Chip, rates: Rates) -> float:
    """Clocks that a step occupies its unit."""
    if step.unit == "fi_in":
        return step.lines * LINE / rates.read
    if step.unit == "fi_out":
        return step.lines * LINE / rates.write
    if step.unit == "se":
        return (
            chip.se.start + step.elements * (chip.se.precise_factor if step.precise else 1) / chip.se.elements_per_clk
        )
    if step.unit == "re":
        return chip.re.start + step.elements / chip.re.elements_per_clk
    if step.unit == "dpe":
        rows, cols = step.shape[-2:]
        tile = chip.dpe.tile
        blocks = math.ceil(rows / tile) * math.ceil(cols / tile) * math.prod(step.shape[:-2])
        depth = math.ceil(step.inner * step.size / chip.dpe.slice_bytes)
        return chip.dpe.start + math.ceil(blocks * depth / chip.dpe.tiles) * tile
    return step.elements * step.inner / HART_MACS


@dataclass
class _Hart:
    """A hart that is being laid out: its time, and when each value is there."""

    steps: Iterator[Step]
    time: float
    waiting: Step | None = None
    ready: dict[int, float] = field(default_factory=dict)
    released: dict[int, list[float]] = field(default_factory=dict)  # of each value: when its instances were last read
    queue: dict[str, list[float]] = field(default_factory=dict)


class _Timeline:
    """One PE in time."""

    def __init__(self, chip: Chip, rates: Rates, slots: Slots) -> None:
        self.chip = chip
        self.rates = rates
        self.slots = slots
        self.free: dict[str, float] = {}
        self.busy: dict[str, float] = {}
        self.end = 0.0
        self.costs: dict[Step, float] = {}

    def start(self, hart: _Hart, step: Step) -> float:
        """When a hart's next step may start."""
        at = max(hart.time, self.free.get(step.unit, 0.0))
        for source in step.sources:
            at = max(at, hart.ready.get(source, 0.0))
        released = hart.released.get(step.result)
        count = self.slots.of(step)
        if released is not None and len(released) >= count:
            at = max(at, released[-count])
        return at

    def run(self, hart: _Hart, step: Step) -> None:
        """Let a hart's next step run."""
        at = self.start(hart, step)
        cost = self.costs.get(step)
        if cost is None:
            cost = self.costs[step] = cycles_of(step, self.chip, self.rates)
        self.free[step.unit] = at + cost
        self.busy[step.unit] = self.busy.get(step.unit, 0.0) + cost
        done = at + cost
        if step.unit in ("fi_in", "fi_out"):
            done += self.rates.latency + self.chip.fi.start
        else:
            done += self.chip.cp.dispatch
        for source in step.sources:
            released = hart.released.get(source)
            if released:
                released[-1] = max(released[-1], done)
        if step.result >= 0:
            hart.ready[step.result] = done
            hart.released.setdefault(step.result, []).append(done)
        queue = hart.queue.setdefault(step.unit, [])
        queue.append(at)
        hart.time += ISSUE.get(step.unit, ISSUE_OTHER)
        self.busy["hart"] = self.busy.get("hart", 0.0) + ISSUE.get(step.unit, ISSUE_OTHER)
        depth = self.chip.cp.queue_depth
        if len(queue) > depth:
            hart.time = max(hart.time, queue[-depth - 1])
        self.end = max(self.end, done)

    def lay_out(self, harts: Sequence[_Hart]) -> None:
        """Run all steps; of the harts' next steps the one that can start first goes first."""
        running = list(harts)
        for hart in harts:
            hart.waiting = next(hart.steps, None)
        while running := [hart for hart in running if hart.waiting is not None]:
            hart = min(running, key=lambda hart: self.start(hart, hart.waiting))  # type: ignore[arg-type]
            assert hart.waiting is not None
            self.run(hart, hart.waiting)
            hart.waiting = next(hart.steps, None)


def _flat(program: Program, part: float, hart: Callable[[], _Hart]) -> Iterator[Step]:
    """The steps of a program with a part of each loop's trips."""
    for item in program:
        if isinstance(item, Step):
            yield item
            continue
        ready = hart().ready
        trips = math.ceil(item.trips * part)
        for trip in range(trips):
            for inside, first, after in item.carried:
                ready[inside] = ready.get(after if trip else first, 0.0)
            yield from _flat(item.body, part, hart)
        for inside, _, after in item.carried:
            if trips:
                ready[inside] = ready.get(after, 0.0)


def _most_trips(program: Program) -> int:
    trips = [max(item.trips, _most_trips(item.body)) for item in program if isinstance(item, Loop)]
    return max(trips, default=0)


def _pe(
    harts: Sequence[Sequence[Program]], part: float, chip: Chip, rates: Rates, slots: Slots
) -> tuple[float, Mapping[str, float]]:
    """Cycles of one PE whose harts run these programs, and of each unit."""
    timeline = _Timeline(chip, rates, slots)
    made: list[_Hart] = []
    for number, programs in enumerate(harts):

        def steps(number: int = number, programs: Sequence[Program] = programs) -> Iterator[Step]:
            for program in programs:
                made[number].time += PROGRAM
                yield from _flat(program, part, lambda: made[number])

        made.append(_Hart(steps(), 0.0))
    timeline.lay_out(made)
    return timeline.end, timeline.busy


def _whole(
    harts: Sequence[Sequence[Program]], chip: Chip, rates: Rates, slots: Slots
) -> tuple[float, Mapping[str, float]]:
    """As `_pe`, with long loops continued in a straight line."""
    trips = max((_most_trips(program) for programs in harts for program in programs), default=0)
    if trips <= 2 * MOST_TRIPS:
        return _pe(harts, 1.0, chip, rates, slots)
    some, more = (count / trips for count in (MOST_TRIPS, 2 * MOST_TRIPS))
    (few, used), (end, busy) = (_pe(harts, part, chip, rates, slots) for part in (some, more))
    ahead = (1 - more) / (more - some)
    return end + (end - few) * ahead, {name: busy[name] + (busy[name] - used.get(name, 0.0)) * ahead for name in busy}


def estimate(pes: Sequence[Sequence[Sequence[Program]]], chip: Chip, rates: Rates, slots: Slots) -> Estimate:
    """Cycles of a launch: the slowest of some PEs, each given as the programs of its harts, in order."""
    best = Estimate(0.0, {})
    for harts in pes:
        rounds = max((len(programs) for programs in harts), default=0)
        cycles, parts = _whole([programs[:MOST_PROGRAMS] for programs in harts], chip, rates, slots)
        if rounds > MOST_PROGRAMS:
            before, _ = _whole([programs[: MOST_PROGRAMS - 1] for programs in harts], chip, rates, slots)
            laid = sum(min(len(programs), MOST_PROGRAMS) for programs in harts)
            ahead = (sum(len(programs) for programs in harts) - laid) / len([p for p in harts if p])
            cycles += (cycles - before) * ahead
            parts = {name: value * (1 + ahead / MOST_PROGRAMS) for name, value in parts.items()}
        if cycles > best.cycles:
            best = Estimate(cycles, parts)
    # Where both bounds are close, each is late at times and the other waits.
    memory = rates.floor + rates.latency if rates.floor else 0.0
    total = math.hypot(best.cycles**2, memory**2) ** 0.5 + chip.launch.first
    return Estimate(total, dict(best.parts) | ({"dram": rates.floor} if rates.floor else {}))
