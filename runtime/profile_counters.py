"""Counters over time from a recorded launch: rates of the memories, use of the units, depth of the queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mtia.runtime.machine.state import DPE, FI_OUT, SE
from mtia.runtime.profile import PERIOD, Profile

__all__ = ["lanes", "over_time"]

POINTS = 2000  # of a lane at most
Array = np.ndarray[Any, Any]


def over_time(starts: Array, ends: Array, amounts: Array, edges: Array) -> Array:
    """How much of the amounts, each spread evenly over its time, falls between two neighbouring edges."""
    long = np.maximum(ends.astype(np.float64) - starts, 1e-9)
    slope = amounts / long
    times = np.concatenate([starts, ends]).astype(np.float64)
    order = np.argsort(times, kind="stable")
    times, change = times[order], np.concatenate([slope, -slope])[order]
    rate = np.cumsum(change)
    passed = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(times))]) if len(times) else np.zeros(1)
    if not len(times):
        return np.zeros(len(edges) - 1)
    return np.asarray(np.maximum(np.diff(np.interp(edges, times, passed)), 0))  # sums of rounded slopes may go below 0


def _served(profile: Profile, memory: str, rate: float, edges: Array) -> tuple[Array, Array]:
    """Bytes that a memory has read and written by every edge, in the order of the requests and at most at its rate.

    The machine counts a line when it is asked for; a queue of the memory's rate says when it passed.
    """
    samples = profile.samples
    asked = [np.interp(edges, samples["time"], samples[f"{memory}_{way}"]) for way in ("reads", "writes")]
    total = asked[0] + asked[1]
    passed = np.zeros(len(edges))
    for k in range(1, len(edges)):
        passed[k] = min(total[k], passed[k - 1] + rate * (edges[k] - edges[k - 1]))
    passed[-1] = total[-1]
    reads, writes = (np.interp(passed, total, way) for way in asked)
    return reads, writes


def lanes(profile: Profile) -> Iterator[tuple[str, Array, Array]]:
    """Name, cycles and values of every lane; a value holds from its cycle to the next."""
    chip, commands = profile.chip, profile.commands
    step = max(PERIOD, -(-profile.cycles // POINTS))
    edges = np.append(np.arange(0, max(profile.cycles, 1), step), max(profile.cycles, 1)).astype(np.float64)
    width = np.diff(edges)
    gigabytes = chip.clock_hz / 1e9 / width
    for memory, rate in (("dram", chip.dram_bytes_per_clk), ("sram", float(chip.sram.bytes_per_clk))):
        for way, served in zip(("reads", "writes"), _served(profile, memory, rate, edges), strict=True):
            yield f"{memory.upper()} {way} GB/s", edges[:-1], np.diff(served) * gigabytes
    dma = commands[commands["unit"] <= FI_OUT]
    carried = (dma["lines"] - dma["coalesced"]) * chip.noc.line_bytes
    yield "NoC GB/s", edges[:-1], over_time(dma["start"], dma["end"], carried, edges) * gigabytes
    local = over_time(commands["start"], commands["end"], commands["bytes"], edges)
    yield "local memory %", edges[:-1], 100 * local / width / (chip.ls.bytes_per_clk * profile.pes)
    for unit, name in ((DPE, "DPE"), (SE, "SE")):
        mine = commands[commands["unit"] == unit]
        spent = over_time(mine["start"], mine["end"], (mine["end"] - mine["start"]).astype(np.float64), edges)
        yield f"{name} busy %", edges[:-1], 100 * spent / width / profile.pes
    waiting = (commands["start"] - commands["issued"]).astype(np.float64)
    queued = commands[waiting > 0]
    depth = over_time(queued["issued"], queued["start"], waiting[waiting > 0], edges)
    yield "commands in queues", edges[:-1], depth / width
