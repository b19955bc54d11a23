"""The report of `mtiac prof`: the figures of recorded launches as plain data, and as text."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.runtime.counters import roofs
from mtia.runtime.machine.state import (
    H_MEMORY,
    HART_CAUSES,
    HART_NAMES,
    HART_STATES,
    RANK_HART,
    S_IDLE,
    UNIT_NAMES,
    UNIT_STATES,
)
from mtia.runtime.profile import Profile
from mtia.runtime.profile_lines import Line, by_line
from mtia.runtime.profile_topdown import CATEGORIES, TopDown, top_down

__all__ = ["Launch", "figures", "print_text", "rules"]

SHADES = " ▁▂▃▄▅▆▇█"
LINES = 16  # of the source table
HART_WAITS = {**dict(enumerate(HART_STATES)), H_MEMORY: "memory"}
WIDTH = 160  # of the text when it does not go to a terminal
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Launch:
    """A recorded launch, what it is called in the report, and where its cycles went."""

    name: str
    profile: Profile
    top: TopDown

    @classmethod
    def of(cls, name: str, profile: Profile) -> Launch:
        """Analyse a launch."""
        return cls(name, profile, top_down(profile))

    @property
    def pe_cycles(self) -> int:
        """Cycles of all PEs that took part."""
        return self.profile.cycles * self.profile.pes

    def roof(self) -> tuple[str, float]:
        """The roof that binds and the percent of it that was reached."""
        least = roofs(self.profile.chip, self.profile.counters)
        name = max(least, key=lambda key: least[key])
        return name, 100.0 * least[name] / max(self.profile.cycles, 1)


def rules() -> str:
    """The categories of the top-down table, one a line, as `--help` shows them."""
    import textwrap

    return "\n".join(
        textwrap.fill(text, 100, initial_indent=f"  {name:<13}", subsequent_indent=" " * 15)
        for name, text in CATEGORIES.items()
    )


def shares(launches: Sequence[Launch]) -> dict[str, float]:
    """Fractions of all PE·cycles by category; the sum is 1."""
    whole = max(sum(launch.pe_cycles for launch in launches), 1)
    return {
        name: sum(float(launch.top.cycles[:, k].sum()) for launch in launches) / whole
        for k, name in enumerate(CATEGORIES)
    }


def units(launches: Sequence[Launch]) -> dict[str, dict[str, Any]]:
    """By unit and hart: commands or instructions, and fractions of its time by state; a row's fractions sum to 1."""
    whole = max(sum(launch.pe_cycles for launch in launches), 1)
    found: dict[str, dict[str, Any]] = {}
    for unit, name in enumerate(UNIT_NAMES):
        spent = np.zeros(len(UNIT_STATES))
        commands = 0
        for launch in launches:
            spans = launch.profile.spans[launch.profile.spans["track"] == unit]
            spent += np.bincount(spans["kind"], (spans["end"] - spans["start"]).astype(float), len(UNIT_STATES))
            commands += int((launch.profile.commands["unit"] == unit).sum())
        spent[S_IDLE] = whole - spent.sum()
        states = {state: float(value) / whole for state, value in zip(UNIT_STATES, spent, strict=True)}
        found[name] = {"commands": commands, **states}
    for hart in range(max(launch.profile.harts for launch in launches)):
        found[HART_NAMES[hart]] = _hart(launches, hart, whole)
    return found


def _hart(launches: Sequence[Launch], hart: int, whole: int) -> dict[str, Any]:
    alive = count = 0
    waits = np.zeros(HART_CAUSES)
    for profile in (launch.profile for launch in launches if hart < launch.profile.harts):
        alive += int((profile.alive[:, hart, 1] - profile.alive[:, hart, 0]).sum())
        spans = profile.spans[profile.spans["track"] == RANK_HART + hart]
        waits += np.bincount(spans["kind"], (spans["end"] - spans["start"]).astype(float), HART_CAUSES)
        count += int(profile.visits[hart]["count"].sum()) if profile.visits else 0
    causes = {HART_WAITS[kind]: float(cycles) / whole for kind, cycles in enumerate(waits) if cycles}
    return {"instructions": count, "idle": 1 - alive / whole, "busy": (alive - waits.sum()) / whole, **causes}


def per_pe(launch: Launch) -> dict[str, Any]:
    """How evenly the launch was spread: compute of every PE in percent of its cycles, and when PEs finished."""
    compute = 100 * launch.top.cycles[:, 0] / max(launch.profile.cycles, 1)
    ended = launch.profile.alive[:, :, 1].max(axis=1)
    mean = float(compute.mean())
    return {
        "compute_percent": {"min": float(compute.min()), "median": float(np.median(compute)),
                            "max": float(compute.max())},
        "imbalance": float(compute.max()) / mean - 1 if mean else 0.0,
        "finished": {"first": int(ended.min()), "median": int(np.median(ended)), "last": int(ended.max())},
        "by_pe": {int(number): round(float(value), 2)
                  for number, value in zip(launch.profile.numbers, compute, strict=True)},
    }  # fmt: skip


def figures(launches: Sequence[Launch], hints: Sequence[str]) -> dict[str, Any]:
    """Everything the report says, as plain data."""
    first = launches[0].profile
    cycles = sum(launch.profile.cycles for launch in launches)
    rows = [
        {
            "name": launch.name, "kernel": launch.profile.program.kernel, "cycles": launch.profile.cycles,
            "pes": launch.profile.pes, "main": launch.top.main, "roof": launch.roof()[0],
            "percent": round(launch.roof()[1], 2), "roofs": _rounded(roofs(first.chip, launch.profile.counters), 1),
            "topdown": _rounded(launch.top.shares), "per_pe": per_pe(launch),
        }
        for launch in launches
    ]  # fmt: skip
    return {
        "target": first.chip.name, "cycles": cycles, "time_us": round(cycles / first.chip.clock_hz * 1e6, 3),
        "topdown": _rounded(shares(launches)), "units": {k: _rounded(v) for k, v in units(launches).items()},
        "lines": [line.row() for line in by_line([launch.profile for launch in launches])], "launches": rows,
        "hints": list(hints),
    }  # fmt: skip


def _rounded(values: Mapping[str, Any], digits: int = 6) -> dict[str, Any]:
    return {name: round(value, digits) if isinstance(value, float) else value for name, value in values.items()}


# --- text -------------------------------------------------------------------------------------------------------------


def print_text(launches: Sequence[Launch], hints: Sequence[str]) -> None:
    """Print the report."""
    from mtia.tools.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    cycles = sum(launch.profile.cycles for launch in launches)
    chip = launches[0].profile.chip
    console.print(f"cycles       {cycles}  ({cycles / chip.clock_hz * 1e6:.2f} µs on {chip.name})")
    if len(launches) == 1:
        roof, percent = launches[0].roof()
        used = launches[0].profile.counters["pes_used"]
        console.print(f"roof         {roof}, {percent:.1f} % of it reached; {used} of {chip.pes} PEs used")
    for hint in hints:
        console.print(f"hint         {hint}", soft_wrap=True)
    if len(launches) > 1:
        console.print(_layers(launches))
    console.print(_top_down(launches))
    console.print(_units(launches))
    if len(launches) == 1:
        _print_pes(console, launches[0])
    console.print(_lines(launches))


def _percent(value: float) -> str:
    return "" if value < 0.0005 else f"{100 * value:.1f}"


def _layers(launches: Sequence[Launch]) -> Any:
    from rich.table import Table

    total = sum(launch.profile.cycles for launch in launches)
    table = Table("layer", "kernel", "PEs", "cycles", "%", "roof", "% of roof", *CATEGORIES, title="layers")
    for launch in launches:
        roof, percent = launch.roof()
        table.add_row(
            launch.name, launch.profile.program.kernel, str(launch.profile.pes), str(launch.profile.cycles),
            _percent(launch.profile.cycles / total), roof, f"{percent:.1f}",
            *(_percent(share) for share in launch.top.shares.values()),
        )  # fmt: skip
    return table


def _top_down(launches: Sequence[Launch]) -> Any:
    from rich.table import Table

    chip = launches[0].profile.chip
    cycles = sum(launch.profile.cycles for launch in launches)
    pes = sum(launch.profile.cycles * launch.profile.counters["pes_used"] for launch in launches)
    part = pes / max(cycles * chip.pes, 1)
    one = any(launch.profile.pes < launch.profile.counters["pes_used"] for launch in launches)
    title = f"top-down of PE {launches[0].profile.numbers[0]}" if one else "top-down"
    table = Table("PE·cycles went on", "%", "% of the chip", "", title=title)
    found = shares(launches)
    mains = sorted({launch.top.main or "none" for launch in launches})
    for name, share in found.items():
        label = f"{name} ({', '.join(mains)})" if name == "compute" else name
        of_chip = "" if one else f"{100 * share * part:.1f}"
        table.add_row(label, f"{100 * share:.1f}", of_chip, "█" * round(40 * share))
    if part < 1 and not one:
        table.add_row("PEs without a program", "", f"{100 * (1 - part):.1f}", "")
    table.add_row("sum", f"{100 * sum(found.values()):.1f}", "" if one else "100.0", "")
    return table


def _units(launches: Sequence[Launch]) -> Any:
    from rich.table import Table

    table = Table("unit", "commands", "busy %", "waits for %", "idle %", title="units")
    for name, row in units(launches).items():
        known = ("commands", "instructions", "busy", "idle")
        states = [(state, value) for state, value in row.items() if state not in known and value >= 0.0005]
        waits = ", ".join(f"{state} {_percent(value)}" for state, value in states)
        count = f"{row['instructions']} instr." if "instructions" in row else str(row["commands"])
        table.add_row(name, count, _percent(row["busy"]), waits, _percent(row["idle"]))
    return table


def _print_pes(console: Any, launch: Launch) -> None:
    found = per_pe(launch)
    compute, ended = found["compute_percent"], found["finished"]
    console.print(
        f"PEs          compute {compute['min']:.1f} / {compute['median']:.1f} / {compute['max']:.1f} % "
        f"(min/median/max), imbalance {100 * found['imbalance']:.1f} %; "
        f"finished at {ended['first']} … {ended['median']} … {ended['last']}"
    )
    chip = launch.profile.chip
    highest = max(compute["max"], 1e-9)
    console.print(f"             rows of PEs, compute from 0 to {compute['max']:.1f} %:")
    for row in range(chip.grid.rows):
        cells = [found["by_pe"].get(row * chip.grid.cols + col) for col in range(chip.grid.cols)]
        if any(cell is not None for cell in cells):
            shades = ["·" if c is None else SHADES[round(c / highest * (len(SHADES) - 1))] for c in cells]
            console.print("             " + "".join(2 * shade for shade in shades))


def _lines(launches: Sequence[Launch]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    found = by_line([launch.profile for launch in launches])
    weight = {id(line): sum(line.busy.values()) + line.caused + line.hart for line in found}
    shown = sorted(sorted(found, key=lambda line: -weight[id(line)])[:LINES], key=lambda line: (line.file, line.line))
    whole = max(sum(launch.pe_cycles for launch in launches), 1)
    table = Table("line", "source", "units busy %", "KB moved", "held up %", "harts %", "waiting %",
                  title="source lines, in percent of all PE·cycles")  # fmt: skip
    for line in shown:
        busy = ", ".join(f"{unit} {_percent(c / whole)}" for unit, c in line.busy.items() if c >= 0.0005 * whole)
        table.add_row(
            f"{line.file.rpartition('/')[2]}:{line.line}" if line.line else "(none)", escape(line.text[:60]), busy,
            f"{line.bytes / 1024:.0f}" if line.bytes else "", _percent(line.caused / whole),
            _percent(line.hart / whole), _percent(sum(line.waits.values()) / whole),
        )  # fmt: skip
    if len(found) > len(shown):
        table.caption = f"{len(found) - len(shown)} more lines with less"
    return table


def hottest(lines: Sequence[Line], key: str) -> Line | None:
    """The line with the most of `caused` or `hart`."""
    return max((line for line in lines if line.line), key=lambda line: getattr(line, key), default=None)
