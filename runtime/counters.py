"""Counters of a launch per PE and unit, their totals, and the roof that binds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.isa.chip import Chip
from mtia.isa.xmtia.state import TICKS
from mtia.runtime.machine.host import Host
from mtia.runtime.machine.state import (
    DONE,
    H_MEMORY,
    HART_OFF,
    HART_STATES,
    HARTS,
    UNIT_NAMES,
    UNIT_STATES,
    WAIT_QUEUE,
)
from numpy.lib.recfunctions import repack_fields

__all__ = ["Snapshot", "roofline", "stall_table"]

_ENGINE = {
    "bytes": "bytes", "lines": "lines", "llc_hits": "llc_hits", "llc_misses": "llc_misses",
    "coalesced": "coalesced_lines", "wait_noc": "wait_noc", "wait_sram": "wait_sram", "wait_dram": "wait_dram",
    "wait_window": "wait_window",
}  # fmt: skip
_MEMORY = {
    "dram_read_bytes": "dram_reads", "dram_write_bytes": "dram_writes", "sram_read_bytes": "sram_reads",
    "sram_write_bytes": "sram_writes", "sram_fill_bytes": "sram_fills", "llc_evictions": "evictions",
    "dram_row_misses": "row_misses",
}  # fmt: skip
_LINES = ("bytes", "lines", "llc_hits", "llc_misses", "coalesced_lines")
_HART_STALLS = {**{n: HART_STATES[n] for n in range(WAIT_QUEUE, DONE)}, H_MEMORY: "memory"}


@dataclass(frozen=True)
class Snapshot:
    """The counters of a launch as they lie in the machine: arrays by PE, of the PEs that took part."""

    cycles: int
    numbers: np.ndarray[Any, Any]
    units: np.ndarray[Any, Any]
    engines: np.ndarray[Any, Any]
    harts: np.ndarray[Any, Any]
    instructions: np.ndarray[Any, Any]
    memory: dict[str, int]

    @classmethod
    def of(cls, host: Host, cycles: int) -> Snapshot:
        """Copy the counters of the launch that has ended."""
        used = host.pes["harts"]["state"].min(axis=1) != HART_OFF
        fields = ["state", "since", "stall", "start", "end", "commands"]
        m = host.machine
        return cls(
            cycles,
            host.pes["index"][used],
            host.pes["units"][used],
            repack_fields(host.pes["engines"][list(_ENGINE)])[used],
            repack_fields(host.pes["harts"][fields])[used],
            host.registers["instret"][used],
            {name: int(getattr(m, key)) for name, key in _MEMORY.items()},
        )

    def table(self) -> dict[str, Any]:
        """Everything counted: `pes` has one entry per PE that took part, `total` the sums, `memory` bytes by level.

        For every unit and hart busy + stalled + idle = cycles.
        """
        pes = [self._pe(place) for place in range(len(self.numbers))]
        lines = {key: sum(e[key] for pe in pes for e in pe["dma"].values()) for key in _LINES}
        memory = self.memory | lines
        return {"cycles": self.cycles, "pes_used": len(pes), "pes": pes, "total": _total(pes), "memory": memory}

    def _pe(self, place: int) -> dict[str, Any]:
        on = [h for h in range(HARTS) if self.harts["state"][place, h] != HART_OFF]
        return {
            "pe": int(self.numbers[place]),
            "units": {name: self._unit(self.units[place, u]) for u, name in enumerate(UNIT_NAMES)},
            "harts": [self._hart(self.harts[place, h], int(self.instructions[place, h])) for h in on],
            "dma": {UNIT_NAMES[u]: _dma(self.engines[place, u]) for u in range(2)},
        }

    def _unit(self, unit: Any) -> dict[str, Any]:
        spent = dict(zip(UNIT_STATES, unit["cycles"].tolist(), strict=True))
        spent[UNIT_STATES[unit["state"]]] += max(self.cycles - int(unit["since"]), 0)
        busy, idle = spent.pop("busy"), spent.pop("idle")
        return {
            "busy": busy, "idle": idle, "stalled": spent, "commands": int(unit["commands"]), "work": int(unit["work"]),
            "ideal_ticks": int(unit["ideal"]),
        }  # fmt: skip

    def _hart(self, control: Any, instructions: int) -> dict[str, Any]:
        state, stall = int(control["state"]), control["stall"].tolist()
        stalled = {name: stall[n] for n, name in _HART_STALLS.items()}
        if WAIT_QUEUE <= state < DONE:
            stalled[HART_STATES[state]] += max(self.cycles - int(control["since"]), 0)
        end = int(control["end"]) if state == DONE else self.cycles
        busy = max(end - int(control["start"]) - sum(stalled.values()), 0)
        return {
            "busy": busy, "idle": self.cycles - busy - sum(stalled.values()), "stalled": stalled,
            "instructions": instructions, "commands": int(control["commands"]),
        }  # fmt: skip


def _dma(engine: Any) -> dict[str, Any]:
    counted = {_ENGINE[key]: int(engine[key]) for key in _ENGINE}
    return {key: value // TICKS if key.startswith("wait") else value for key, value in counted.items()}


def _total(pes: list[dict[str, Any]]) -> dict[str, Any]:
    units = {name: _sum(pe["units"][name] for pe in pes) for name in UNIT_NAMES}
    harts = _sum(hart for pe in pes for hart in pe["harts"])
    return {"units": units, "harts": harts, "dma": {n: _sum(pe["dma"][n] for pe in pes) for n in UNIT_NAMES[:2]}}


def _sum(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for row in rows:
        for key, value in row.items():
            if isinstance(value, dict):
                total[key] = _sum([total.get(key, {}), value])
            else:
                total[key] = total.get(key, 0) + value
    return total


def roofs(chip: Chip, found: dict[str, Any], dram_bytes: int | None = None) -> dict[str, float]:
    """Least cycles that each resource needs for the launch's work, by name."""
    total, memory = found["total"]["units"], found["memory"]
    moved = memory["dram_read_bytes"] + memory["dram_write_bytes"] if dram_bytes is None else dram_bytes
    return {
        "DPE": total["dpe"]["ideal_ticks"] / TICKS / chip.pes,
        "SE": total["se"]["ideal_ticks"] / TICKS / chip.pes,
        "DRAM": moved / chip.dram_bytes_per_clk,
        "SRAM": (memory["sram_read_bytes"] + memory["sram_write_bytes"]) / chip.sram.bytes_per_clk,
    }


def roofline(result: Any, dram_bytes: int | None = None) -> tuple[str, float]:
    """The roof that binds a `LaunchResult` and the percent of it that was reached.

    `dram_bytes` are the bytes that the algorithm must move; by default those that were moved.
    """
    least = roofs(result.chip, result.counters, dram_bytes)
    name = max(least, key=lambda key: least[key])
    return name, 100.0 * least[name] / max(result.cycles, 1)


def stall_table(found: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Rows (unit, what its time went on, percent of all its time), over all PEs that took part."""
    rows: list[tuple[str, str, float]] = []
    total = found["total"]
    for name, unit in [*total["units"].items(), ("hart", total["harts"])]:
        spent = {"busy": unit["busy"], **unit["stalled"], "idle": unit["idle"]}
        whole = max(sum(spent.values()), 1)
        rows += [(name, cause, 100.0 * value / whole) for cause, value in spent.items() if value]
    return rows
