"""What a profile says to its reader: sentences with the figures that make them true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mtia.runtime.counters import roofs
from mtia.runtime.machine.state import H_MEMORY, RANK_HART
from mtia.runtime.profile_lines import by_line
from mtia.tools.prof_report import Launch, hottest, shares

__all__ = ["hints"]

BOUND = 75.0  # percent of a roof from which a kernel is called bound by it
MUCH = 0.15  # share of the PE·cycles from which a category is worth a sentence


def hints(launches: Sequence[Launch]) -> list[str]:
    """The sentences for these launches, the most important first."""
    found = [text for launch in launches[:1] if len(launches) == 1 for text in _of_launch(launch)]
    share = shares(launches)
    lines = by_line([launch.profile for launch in launches])
    waits = hottest(lines, "caused")
    if share["dependency"] >= MUCH:
        where = f"; units waited longest for {_place(waits)}" if waits and waits.caused else ""
        found.append(f"dependencies take {100 * share['dependency']:.0f} % of the PE·cycles{where}")
    runs = hottest(lines, "hart")
    if share["issue"] >= MUCH:
        where = f"; they spend most at {_place(runs)}" if runs else ""
        found.append(f"the harts do not issue fast enough in {100 * share['issue']:.0f} % of the PE·cycles{where}")
    single = _outside(launches)
    if single >= MUCH:
        slow = max(lines, key=lambda line: line.waits.get("memory", 0))
        found.append(
            f"harts wait for single accesses to device memory in {100 * single:.0f} % of the PE·cycles, longest at "
            f"{_place(slow)}: blocks through DMA would not"
        )
    if share["local memory"] >= MUCH / 3:
        part = 100 * share["local memory"]
        found.append(f"local memory's bandwidth lengthens compute by {part:.0f} % of the PE·cycles")
    return found


def _outside(launches: Sequence[Launch]) -> float:
    """The share of the PE·cycles in which a hart waits for memory outside its PE; at most one hart is counted."""
    waited, whole = 0.0, 0
    for launch in launches:
        spans = launch.profile.spans[launch.profile.spans["kind"] == H_MEMORY]
        spans = spans[spans["track"] >= RANK_HART]
        by_hart = np.bincount(spans["track"], (spans["end"] - spans["start"]).astype(float))
        waited, whole = waited + float(by_hart.max(initial=0)), whole + launch.pe_cycles
    return waited / max(whole, 1)


def _place(line: object) -> str:
    name = getattr(line, "file", "").rpartition("/")[2]
    return f"{name}:{getattr(line, 'line', 0)}"


def _of_launch(launch: Launch) -> list[str]:
    """Sentences about one launch: its roof, its start, its spread over the PEs."""
    profile, chip = launch.profile, launch.profile.chip
    roof, percent = launch.roof()
    memory, used = launch.top.shares["DRAM"], 100 * roofs(chip, profile.counters)["DRAM"] / max(profile.cycles, 1)
    begin = int(profile.alive[:, :, 0].min(initial=profile.cycles))
    short = begin / max(profile.cycles, 1) >= MUCH
    found = []
    if percent >= BOUND:
        found.append(f"{roof}-bound: {percent:.0f} % of {_capacity(launch, roof)}")
    elif memory >= MUCH:
        advice = "" if short or used >= BOUND else ": more loads in flight or larger blocks would use more of it"
        found.append(
            f"PEs wait for DRAM in {100 * memory:.0f} % of their cycles, {used:.0f} % of its bandwidth is used{advice}"
        )
    if launch.top.shares["NoC"] >= MUCH:
        part = 100 * launch.top.shares["NoC"]
        found.append(
            f"PEs wait for their port and the network in {part:.0f} % of their cycles: larger blocks use each byte "
            "more often"
        )
    if (used := profile.counters["pes_used"]) < chip.pes:
        found.append(f"{used} of {chip.pes} PEs have a program: a larger grid would use the others")
    if short:
        found.append(f"the launch itself takes {begin} of {profile.cycles} cycles")
    ended = profile.alive[:, :, 1].max(axis=1)
    spread = (int(ended.max()) - int(np.median(ended))) / max(profile.cycles, 1)
    if spread >= MUCH:
        half = int(np.median(ended))
        found.append(f"uneven: half of the PEs have finished by cycle {half}, the last at {ended.max()}")
    return found


def _capacity(launch: Launch, roof: str) -> str:
    chip = launch.profile.chip
    rates = {
        "DRAM": f"the DRAM's {chip.dram_bytes_per_clk * chip.clock_hz / 1e9:.0f} GB/s",
        "SRAM": f"the shared SRAM's {chip.sram.bytes_per_clk * chip.clock_hz / 1e9:.0f} GB/s",
        "DPE": f"what the {chip.pes} DPEs can multiply",
        "SE": f"what the {chip.pes} SIMD engines can compute",
    }
    return rates[roof]
