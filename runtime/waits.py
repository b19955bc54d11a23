"""Who waits for whom when a run has stopped: every hart and unit that stands, what it needs, and the circle, if any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mtia.isa import table
from mtia.runtime.elf import Program
from mtia.runtime.machine.state import (
    DO_EXIT,
    DONE,
    HART_NAMES,
    HART_OFF,
    HART_STATES,
    HARTS,
    NO_LINK,
    P_ELEMENT,
    RE,
    RING_MASK,
    RUN,
    UNIT_NAMES,
    UNITS,
    WAIT_BARRIER,
    WAIT_POP,
    WAIT_PUSH,
    WAIT_QUEUE,
    WAIT_READ,
    WAIT_UNITS,
    WAIT_WRITE,
    OpInfo,
    ring_of,
    slots_of,
)

__all__ = ["Wait", "circle", "summary", "waits"]

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # row and column towards a neighbour: right, down, left, up
_DIRECTIONS = ("right", "down", "left", "up")


@dataclass(frozen=True, order=True)
class Who:
    """A hart (channel None) or the next command of one of its queues."""

    pe: int
    hart: int
    channel: int | None = None

    @property
    def unit(self) -> str | None:
        """The unit's name."""
        return None if self.channel is None else UNIT_NAMES[self.channel % UNITS]

    def __str__(self) -> str:
        hart = HART_NAMES[self.hart]
        return f"{self.unit} of {hart}" if self.unit else hart


@dataclass(frozen=True)
class Wait:
    """Who waits for what at which instruction, and who could end it."""

    who: Who
    why: str
    pc: int
    blockers: tuple[Who, ...] = ()


def waits(host: Any, running: bool = False) -> list[Wait]:
    """Everyone who waits; with `running` also the harts that do not."""
    found: list[Wait] = []
    taking_part = [p for p in range(host.chip.pes) if any(int(s) != HART_OFF for s in host.pes["harts"]["state"][p])]
    for index in taking_part:
        pe = host.pe(index)
        for hart in range(HARTS):
            state = int(pe.harts[hart].state)
            pc = int(host.registers["pc"][index, hart])
            if WAIT_QUEUE <= state < DONE:
                why, blockers = _hart(host, pe, index, hart)
                found.append(Wait(Who(index, hart), why, pc, tuple(blockers)))
            elif state == RUN and running:
                found.append(Wait(Who(index, hart), "runs", pc))
        for n in range(HARTS * UNITS):
            channel = pe.channels[n]
            if channel.started != channel.issued:
                command = ring_of(channel)[channel.started & RING_MASK]
                why, blockers = _command(host, pe, index, n, command)
                found.append(Wait(Who(index, n // UNITS, n), why, int(command.pc), tuple(blockers)))
    return found


def _hart(host: Any, pe: Any, index: int, hart: int) -> tuple[str, list[Who]]:
    """What a hart waits for, and who could end it."""
    control = pe.harts[hart]
    state, name = int(control.state), HART_STATES[int(control.state)]
    if state == WAIT_QUEUE:
        return f"{name} of {UNIT_NAMES[control.arg % UNITS]}", [Who(index, control.arg // UNITS, int(control.arg))]
    if state == WAIT_UNITS:
        name = "end of the program" if control.pending == DO_EXIT else name
        mask = int(control.arg) or (1 << UNITS) - 1
        channels = [hart * UNITS + u for u in range(UNITS) if mask >> u & 1]
        busy = [n for n in channels if pe.channels[n].retired != pe.channels[n].issued]
        text = ", ".join(UNIT_NAMES[n % UNITS] for n in busy)
        return f"{name} for {text}", [Who(index, hart, n) for n in busy]
    if state == WAIT_BARRIER:
        harts = host.pes["harts"]["state"]
        here = (WAIT_BARRIER, HART_OFF)
        away = [Who(p, h) for p in range(len(harts)) for h in range(HARTS) if harts[p, h] not in here]
        ended = [who for who in away if harts[who.pe, who.hart] == DONE]
        text = f", which {_names(ended)} will not reach: ended" if ended else ""
        return name + text, [who for who in away if who not in ended]
    cb = pe.cbs[control.arg]
    text = f"{name} of {_cb(pe, control.arg)}"
    full, empty = cb.pushed - cb.popped >= cb.slots, cb.pushed == cb.popped
    if state in (WAIT_PUSH, WAIT_WRITE) and full:
        return _missing(text, "full", "pops", pe, index, [1 - hart])
    if state in (WAIT_POP, WAIT_READ) and empty:
        return _missing(text, "empty", "pushes", pe, index, [1 - hart])
    slot = slots_of(cb)[(cb.popped if state == WAIT_READ else cb.pushed) % cb.slots]
    last = [max(slot.ready[c], slot.free[c], slot.write[c], slot.read[c]) for c in range(HARTS * UNITS)]
    late = [c for c in range(HARTS * UNITS) if pe.channels[c].retired < last[c]]
    return f"{text}, for {', '.join(UNIT_NAMES[c % UNITS] for c in late)}", [Who(index, c // UNITS, c) for c in late]


def _missing(
    text: str, state: str, verb: str, pe: Any, index: int, candidates: list[int]
) -> tuple[str, list[Who]]:  # fmt: skip
    """A wait for a push or a pop: who could do it."""
    able = [Who(index, hart) for hart in candidates if pe.harts[hart].state not in (DONE, HART_OFF)]
    if able:
        return f"{text}: it is {state} until {' or '.join(map(str, able))} {verb}", able
    why = {DONE: "has ended", HART_OFF: "does not take part"}
    reasons = [f"{HART_NAMES[hart]} {why[int(pe.harts[hart].state)]}" for hart in candidates]
    return f"{text}: it is {state} and nobody {verb}, {' and '.join(reasons)}", []


def _command(host: Any, pe: Any, index: int, n: int, command: Any) -> tuple[str, list[Who]]:
    """What the next command of a queue waits for, and who could end it."""
    hart = n // UNITS
    for k in range(command.operands):
        w = command.wait[k]
        if w.kind:
            element = w.kind == P_ELEMENT
            text = f"{'element' if element else 'space'} check of operand {k + 1}, slot {w.number} of {_cb(pe, w.cb)}"
            return _missing(
                text, "empty" if element else "full", "pushes" if element else "pops", pe, index, [hart, 1 - hart]
            )
    late = [c for c in range(HARTS * UNITS) if pe.channels[c].retired < command.need[c]]
    if late:
        whose = [Who(index, c // UNITS, c) for c in late]
        return ", ".join(f"command {command.need[who.channel]} of {who}" for who in whose), whose
    info: Any = OpInfo.view(host.machine.ops + int(command.op) * OpInfo.size)
    if info.link != NO_LINK:
        row, col = _STEPS[command.direction]
        other = index + row * host.chip.grid.cols + col
        channels = [h * UNITS + RE for h in range(HARTS)]
        heads = [c for c in channels if host.pe(other).channels[c].started != host.pe(other).channels[c].issued]
        blockers = [Who(other, c // UNITS, c) for c in heads] or [
            Who(other, h) for h in range(HARTS) if host.pe(other).harts[h].state not in (DONE, HART_OFF)
        ]
        tail = "" if blockers else ", whose harts have ended"
        opposite = _DIRECTIONS[command.direction ^ 2]
        what = "xm.re.recv" if "send" in table.all()[command.op].name else "xm.re.send"
        return f"{what} {opposite} of PE {other}{tail}", blockers
    return "its unit", [Who(index, hart, c) for c in (n ^ 0, (n + UNITS) % (HARTS * UNITS)) if c != n]


def _cb(pe: Any, index: int) -> str:
    cb = pe.cbs[index]
    return f"cb{index % 16} of {HART_NAMES[index // 16]} (pushed {cb.pushed}, popped {cb.popped}, {cb.slots} slots)"


def _names(who: list[Who]) -> str:
    """Harts in words, at most a few."""
    shown = [f"PE {w.pe} {w}" for w in who[:4]]
    return ", ".join(shown) + (f" and {len(who) - 4} more" if len(who) > 4 else "")


def circle(found: list[Wait]) -> list[Who]:
    """A circle of those who wait for each other, the first again at the end; empty if there is none."""
    edges = {wait.who: wait.blockers for wait in found}
    done: set[Who] = set()
    for start in edges:
        path: list[Who] = []
        stack: list[Iterator[Who]] = [iter([start])]
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                if path:
                    done.add(path.pop())
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following in edges and following not in done:
                path.append(following)
                stack.append(iter(edges[following]))
    return []


def summary(found: list[Wait], program: Program | None, limit: int = 24) -> list[str]:
    """A line for each wait; PEs that stand in the same way share one."""
    groups: dict[str, list[int]] = {}
    for wait in found:
        source = program.source(wait.pc) if program else None
        verb = "" if wait.why == "runs" else "waits: "
        place = f"pc {wait.pc:#x}" + (f", {source[0]}:{source[1]}" if source else "")
        groups.setdefault(f"{wait.who} {verb}{wait.why} ({place})", []).append(wait.who.pe)
    lines = [f"PE {_ranges(pes)} {text}" for text, pes in groups.items()]
    return lines if len(lines) <= limit else [*lines[:limit], f"… and {len(lines) - limit} more"]


def _ranges(numbers: list[int]) -> str:
    """Numbers as `0-3, 7`."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)
