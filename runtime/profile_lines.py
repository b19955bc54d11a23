"""A recorded launch by source line: what its commands kept busy, what they moved and held up, and the harts' cycles."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mtia.runtime.machine.state import (
    FI_OUT,
    H_MEMORY,
    HART_STATES,
    RANK_HART,
    S_DEPENDENCY,
    S_ELEMENT,
    S_SPACE,
    UNIT_NAMES,
)
from mtia.runtime.profile import NO_COMMAND, Profile

__all__ = ["Line", "by_line", "held_up", "source_text"]

_TIME_BITS = 40  # of a cycle in a key of unit and time
Array = np.ndarray[Any, Any]


@dataclass
class Line:
    """One source line; cycles are sums over all PEs."""

    file: str
    line: int
    folder: str = ""  # that a relative name starts from
    commands: int = 0
    busy: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # of its commands, by unit
    bytes: int = 0  # moved by its DMA
    caused: int = 0  # cycles that units with queued commands waited for its commands
    suffered: int = 0  # cycles that a unit waited until one of its commands could start
    hart: int = 0  # cycles of the harts at its instructions, waits included
    waits: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # of these, by what they waited for
    instructions: int = 0

    @property
    def text(self) -> str:
        """The source text, empty when the file is not there."""
        return source_text(self.folder, self.file, self.line)

    def row(self) -> dict[str, Any]:
        """The line as plain data."""
        return {
            "file": self.file, "line": self.line, "text": self.text, "commands": self.commands, "busy": dict(self.busy),
            "bytes": self.bytes, "caused": self.caused, "suffered": self.suffered, "hart": self.hart,
            "waits": dict(self.waits), "instructions": self.instructions,
        }  # fmt: skip


def source_text(folder: str, file: str, line: int) -> str:
    """A line of a file, empty when the file is not there; a relative name starts from `folder`."""
    lines = _source(str(Path(folder) / file))
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


@functools.cache
def _source(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def held_up(profile: Profile) -> tuple[Array, Array]:
    """Cycles that units waited with a command queued, by the command that started then and by the one it waited for.

    Both are by row of `Profile.commands`; what waited for the other hart counts in the first only.
    """
    commands = profile.commands
    suffered, caused = np.zeros(len(commands), np.int64), np.zeros(len(commands), np.int64)
    spans = profile.spans[np.isin(profile.spans["kind"], (S_DEPENDENCY, S_ELEMENT, S_SPACE))]
    spans = spans[spans["track"] < len(UNIT_NAMES)]
    if not len(commands) or not len(spans):
        return suffered, caused
    keys = _key(commands["pe"], commands["unit"], commands["start"])
    order = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys[order], _key(spans["pe"], spans["track"], spans["end"]))
    inside = place < len(order)
    rows, spans = order[place[inside]], spans[inside]
    same = (commands["pe"][rows] == spans["pe"]) & (commands["unit"][rows] == spans["track"])
    rows, length = rows[same], (spans["end"] - spans["start"]).astype(np.int64)[same]
    np.add.at(suffered, rows, length)
    blocker = commands["blocker"][rows]
    np.add.at(caused, blocker[blocker != NO_COMMAND], length[blocker != NO_COMMAND])
    return suffered, caused


def _key(pe: Array, unit: Array, time: Array) -> Array:
    place = pe.astype(np.int64) * len(UNIT_NAMES) + unit
    return np.asarray(place << _TIME_BITS | time.astype(np.int64))


def by_line(profiles: Sequence[Profile]) -> list[Line]:
    """All source lines of some launches, in the order of file and line; instructions without a line are left out."""
    found: dict[tuple[str, int], Line] = {}
    for profile in profiles:
        _add_commands(found, profile)
        _add_harts(found, profile)
    return [found[key] for key in sorted(found)]


def _line(found: dict[tuple[str, int], Line], profile: Profile, pc: int) -> Line | None:
    place = profile.program.source(pc)
    return None if place is None else found.setdefault(place, Line(*place, profile.program.folder))


def _add_commands(found: dict[tuple[str, int], Line], profile: Profile) -> None:
    commands = profile.commands
    suffered, caused = held_up(profile)
    took = (commands["end"] - commands["start"]).astype(np.int64)
    keys = np.stack([commands["pc"].astype(np.int64), commands["unit"].astype(np.int64)], -1)
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    columns = (np.ones(len(commands), np.int64), took, commands["bytes"].astype(np.int64), caused, suffered)
    sums = [np.bincount(which.reshape(-1), column, len(kinds)).astype(np.int64).tolist() for column in columns]
    for (pc, unit), count, busy, moved, held, waited in zip(kinds.tolist(), *sums, strict=True):
        line = _line(found, profile, pc)
        if line is not None:
            line.commands += count
            line.busy[UNIT_NAMES[unit]] += busy
            line.bytes += moved if unit <= FI_OUT else 0
            line.caused += held
            line.suffered += waited


def _add_harts(found: dict[tuple[str, int], Line], profile: Profile) -> None:
    for rows in profile.visits:
        totals = zip(profile.pcs.tolist(), rows["cycles"].sum(axis=0).tolist(), rows["count"].sum(axis=0).tolist(),
                     strict=True)  # fmt: skip
        for pc, cycles, count in totals:
            line = _line(found, profile, pc) if cycles else None
            if line is not None:
                line.hart += cycles
                line.instructions += count
    spans = profile.spans[profile.spans["track"] >= RANK_HART]
    keys = np.stack([spans["pc"].astype(np.int64), spans["kind"].astype(np.int64)], -1)
    kinds, which = np.unique(keys, axis=0, return_inverse=True)
    sums = np.bincount(which.reshape(-1), (spans["end"] - spans["start"]).astype(np.float64), len(kinds))
    for (pc, kind), cycles in zip(kinds.tolist(), sums.tolist(), strict=True):
        line = _line(found, profile, pc)
        if line is not None:
            line.waits["memory" if kind == H_MEMORY else HART_STATES[kind]] += int(cycles)
