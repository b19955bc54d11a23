"""Counters of a launch per PE and unit, their totals, and the roof that binds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    UNITS,
    WAIT_QUEUE,
)

__all__ = ["collect", "roofline", "stall_table"]

_LINES = ("bytes", "lines", "llc_hits", "llc_misses", "coalesced_lines")
_HART_STALLS = {**{n: HART_STATES[n] for n in range(WAIT_QUEUE, DONE)}, H_MEMORY: "memory"}


def collect(host: Host, cycles: int) -> dict[str, Any]:
    """Everything counted: `pes` has one entry per PE that took part, `total` the sums, `memory` the bytes by level.

    For every unit and hart busy + stalled + idle = cycles.
    """
    used = [host.pe(index) for index in range(host.chip.pes) if host.pe(index).harts[0].state != HART_OFF]
    pes = [_pe(pe, cycles) for pe in used]
    m = host.machine
    engines = [e for pe in pes for e in pe["dma"].values()]
    memory = {
        "dram_read_bytes": m.dram_reads,
        "dram_write_bytes": m.dram_writes,
        "sram_read_bytes": m.sram_reads,
        "sram_write_bytes": m.sram_writes,
        "llc_evictions": m.evictions,
        **{
            key: sum(e[key] for e in engines) for key in ("bytes", "lines", "llc_hits", "llc_misses", "coalesced_lines")
        },
    }
    return {"cycles": cycles, "pes_used": len(pes), "pes": pes, "total": _total(pes), "memory": memory}


def _pe(pe: Any, cycles: int) -> dict[str, Any]:
    return {
        "pe": pe.index,
        "units": {UNIT_NAMES[u]: _unit(pe.units[u], cycles) for u in range(UNITS)},
        "harts": [_hart(pe.harts[h], cycles) for h in range(HARTS) if pe.harts[h].state != HART_OFF],
        "dma": {UNIT_NAMES[u]: _dma(pe.engines[u]) for u in range(2)},
    }


def _unit(unit: Any, cycles: int) -> dict[str, Any]:
    spent = {UNIT_STATES[state]: unit.cycles[state] for state in range(len(UNIT_STATES))}
    spent[UNIT_STATES[unit.state]] += max(cycles - unit.since, 0)
    busy, idle = spent.pop("busy"), spent.pop("idle")
    return {
        "busy": busy, "idle": idle, "stalled": spent, "commands": unit.commands, "work": unit.work,
        "ideal_ticks": unit.ideal,
    }  # fmt: skip


def _hart(control: Any, cycles: int) -> dict[str, Any]:
    from mtia.isa.state import Hart

    h: Any = Hart.view(control.hart)
    stalled = {name: control.stall[state] for state, name in _HART_STALLS.items()}
    if WAIT_QUEUE <= control.state < DONE:
        stalled[HART_STATES[control.state]] += max(cycles - control.since, 0)
    end = control.end if control.state == DONE else cycles
    active = max(end - control.start, 0)
    busy = max(active - sum(stalled.values()), 0)
    return {
        "busy": busy, "idle": cycles - busy - sum(stalled.values()), "stalled": stalled,
        "instructions": h.instret, "commands": control.commands,
    }  # fmt: skip


def _dma(engine: Any) -> dict[str, Any]:
    return {
        "bytes": engine.bytes, "lines": engine.lines, "llc_hits": engine.llc_hits, "llc_misses": engine.llc_misses,
        "coalesced_lines": engine.coalesced, "wait_noc": engine.wait_noc // TICKS,
        "wait_sram": engine.wait_sram // TICKS, "wait_dram": engine.wait_dram // TICKS,
        "wait_window": engine.wait_window // TICKS,
    }  # fmt: skip


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
