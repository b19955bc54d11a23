"""Where the PE·cycles of a recorded launch went: every cycle of every PE in exactly one category.

The rules are in `CATEGORIES`, in the order in which they are tried; documentation and `mtiac prof --help` print them. A
stretch of waiting for memory is divided among NoC, SRAM and DRAM as the time of the DMA commands in flight divides.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.isa import decode
from mtia.isa.chip import Chip
from mtia.isa.xmtia.state import TICKS
from mtia.runtime.machine.hart_timing import is_vector
from mtia.runtime.machine.state import (
    DPE,
    FI_IN,
    FI_OUT,
    H_MEMORY,
    MLU,
    RANK_HART,
    RE,
    S_BUSY,
    S_IDLE,
    S_MEMORY,
    SE,
    UNIT_NAMES,
    UNITS,
)
from mtia.runtime.profile import Profile

__all__ = ["CATEGORIES", "TopDown", "mean_way", "top_down"]

ENGINES = (MLU, DPE, RE, SE)
CATEGORIES = {
    "compute": "the main engine executes: the one of DPE, RE, SE and MLU that executed longest in this launch; or a "
    "hart runs, where no unit got a command or the harts' vector and floating-point instructions took longer",
    "local memory": "the main engine executes, and only because local memory's bandwidth made its command longer",
    "dependency": "the main engine does not execute while another of these engines does, or its next command waits "
    "for the other hart or a neighbour; also harts that wait for each other at a barrier",
    "NoC": "the main engine has nothing it may execute, and DMA is in flight: the part that requests spend in the "
    "engine's own port, in the network and in its queues",
    "SRAM": "the same: the part in SRAM banks and their queues",
    "DRAM": "the same: the part in DRAM channels and their queues; and the write-back after the last hart's end",
    "issue": "the main engine's queues are empty and a hart runs: it has not issued the next command yet",
    "idle": "none of these: the launch itself, and PEs that have finished before others",
}
COMPUTE, LOCAL, DEPENDENCY, NOC, SRAM, DRAM, ISSUE, IDLE = range(len(CATEGORIES))
_SHARED = 100  # a segment of waiting for DMA, to be divided
_OUTSIDE = 101  # … for an access of a hart to outside memory
_FLOATING = ("fadd", "fmul", "fma", "fdiv", "fsqrt")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TopDown:
    """PE·cycles by category.

    `cycles` is by PE that took part and category of `CATEGORIES`; a row's sum is the launch's cycles. `main` is the
    main engine's name, `hart`, or None when nothing computed.
    """

    cycles: Array
    main: str | None

    @functools.cached_property
    def shares(self) -> dict[str, float]:
        """Fractions of the PE·cycles of the PEs that took part, by category; their sum is 1."""
        whole = max(float(self.cycles.sum()), 1.0)
        return {name: float(self.cycles[:, k].sum()) / whole for k, name in enumerate(CATEGORIES)}


def main_unit(profile: Profile) -> int | None:
    """The engine that executed longest; `RANK_HART` when harts did the work; None when there was only DMA."""
    commands = profile.commands
    if not len(commands):
        return RANK_HART
    spent = np.bincount(commands["unit"], (commands["end"] - commands["start"]).astype(np.float64), UNITS)
    best = max(ENGINES, key=lambda unit: spent[unit])
    if _hart_arithmetic(profile) > spent[best]:
        return RANK_HART
    return best if spent[best] else None


def _hart_arithmetic(profile: Profile) -> int:
    """Cycles of all harts at vector and floating-point instructions; 0 when they were not watched."""
    text, base = profile.program.text, profile.program.text_base
    wanted = np.zeros(len(profile.pcs), bool)
    for place, pc in enumerate(profile.pcs.tolist()):
        at = pc - base
        found = decode.fields(int.from_bytes(text[at : at + decode.size_at(text[at])], "little"))
        wanted[place] = found is not None and (is_vector(found.row) or found.row.timing in _FLOATING)
    return sum(int(rows["cycles"][:, wanted].sum()) for rows in profile.visits)


def top_down(profile: Profile) -> TopDown:
    """Divide the PE·cycles of a launch."""
    main = main_unit(profile)
    order = np.lexsort((profile.spans["start"], profile.spans["pe"]))
    spans = profile.spans[order]
    commands = profile.commands[np.argsort(profile.commands["pe"], kind="stable")]
    dma = commands[commands["unit"] <= FI_OUT]
    weights = _dma_shares(profile.chip, dma)
    found = np.zeros((profile.pes, len(CATEGORIES)))
    bounds = np.arange(profile.pes + 1)
    of_span, of_command, of_dma = (np.searchsorted(rows["pe"], bounds) for rows in (spans, commands, dma))
    for pe in range(profile.pes):
        mine = slice(of_dma[pe], of_dma[pe + 1])
        work = _Pe(
            profile, pe, spans[of_span[pe] : of_span[pe + 1]], commands[of_command[pe] : of_command[pe + 1]],
            dma[mine], weights[mine], main,
        )  # fmt: skip
        found[pe] = work.divide()
    name = None if main is None else "hart" if main == RANK_HART else UNIT_NAMES[main]
    return TopDown(found, name)


def mean_way(chip: Chip) -> float:
    """Clocks of a line one way, the mean over all PEs and SRAM banks: on a mesh along its row, then along a column."""
    hops = 1.0
    if chip.noc.kind == "mesh":
        rows, cols = (
            math.ceil(chip.grid.rows / chip.noc.cluster_rows),
            math.ceil(chip.grid.cols / chip.noc.cluster_cols),
        )
        hops = (cols + 1) / 2 + (rows * rows - 1) / (3 * rows)
    return chip.noc.base_latency + hops * chip.noc.hop_latency


def _dma_shares(chip: Chip, dma: Array) -> Array:
    """The fractions of every DMA command's time that belong to NoC, SRAM and DRAM: one row each, sum 1.

    The time in which the engine could send its requests at its own rate is the NoC's. The rest is divided as the times
    of the single lines: network both ways and its queues, bank and its queue, channel and its queue.
    """
    lines = dma["lines"].astype(np.float64)
    asked = lines - dma["coalesced"]
    reads = dma["unit"] == FI_IN
    way = mean_way(chip)
    parts = np.stack(
        [
            dma["wait_noc"] / TICKS + 2 * way * asked + chip.noc.base_latency * dma["coalesced"],
            dma["wait_sram"] / TICKS + chip.sram.latency * asked,
            dma["wait_dram"] / TICKS + np.where(reads, chip.dram.latency * dma["llc_misses"], 0),
        ],
        axis=-1,
    )
    parts[parts.sum(axis=1) == 0, 0] = 1.0
    parts /= parts.sum(axis=1, keepdims=True)
    rate = np.where(reads, chip.fi.read_bytes_per_clk, chip.fi.write_bytes_per_clk)
    took = np.maximum((dma["end"] - dma["start"]).astype(np.float64), 1.0)
    port = np.minimum(lines * chip.noc.line_bytes / rate / took, 1.0)[:, None]
    return np.asarray((1 - port) * parts + port * np.array([1.0, 0.0, 0.0]))


class _Pe:
    """One PE's time, cut where anything changes."""

    def __init__(
        self, profile: Profile, pe: int, spans: Array, commands: Array, dma: Array, weights: Array, main: int | None
    ) -> None:
        self.profile, self.spans, self.main = profile, spans, main
        self.dma, self.weights = dma, weights
        self.alive = profile.alive[pe].astype(np.int64)
        slowed = commands[commands["slowed"] > 0]
        slowed = slowed[slowed["unit"] == (UNITS if main is None else main)]
        self.slow = slowed["end"] - slowed["slowed"], slowed["end"]
        edges = [spans["start"], spans["end"], dma["start"], dma["end"], self.slow[0]]
        cuts = np.concatenate(
            [*(e.astype(np.int64) for e in edges), self.alive.reshape(-1), [0, profile.ended, profile.cycles]]
        )
        self.edges = np.unique(np.clip(cuts, 0, profile.cycles))
        self.starts = self.edges[:-1]

    def state(self, track: int) -> Array:
        """The kind of the track's span in every segment, 0 where there is none."""
        mine = self.spans[self.spans["track"] == track]
        return _inside(self.starts, mine["start"], mine["end"], mine["kind"].astype(np.int64))

    def divide(self) -> Array:
        """Cycles by category."""
        units = [self.state(unit) for unit in range(UNITS)]
        waits = [self.state(RANK_HART + hart) for hart in range(self.profile.harts)]
        running = np.zeros(len(self.starts), bool)
        outside = np.zeros(len(self.starts), bool)
        living = np.zeros(len(self.starts), bool)
        for wait, (first, end) in zip(waits, self.alive, strict=True):
            alive = (self.starts >= first) & (self.starts < end)
            living |= alive
            running |= alive & (wait == 0)
            outside |= wait == H_MEMORY
        moving = np.isin(units[FI_IN], (S_BUSY, S_MEMORY)) | np.isin(units[FI_OUT], (S_BUSY, S_MEMORY))
        engine = np.any([units[unit] == S_BUSY for unit in ENGINES], axis=0)
        main = units[self.main] if self.main is not None and self.main < UNITS else np.zeros(len(self.starts), np.int64)
        busy = running if self.main == RANK_HART else main == S_BUSY
        queued = (main != S_IDLE) & ~busy
        slow = _inside(self.starts, *self.slow, np.ones(len(self.slow[0]), np.int64))
        rules = [
            (busy & (slow > 0), LOCAL), (busy, COMPUTE), (engine, DEPENDENCY), (queued & moving, _SHARED),
            (queued, DEPENDENCY), (running, ISSUE), (moving, _SHARED), (outside, _OUTSIDE), (living, DEPENDENCY),
            (self.starts >= self.profile.ended, DRAM),
        ]  # fmt: skip
        category = np.select([rule for rule, _ in rules], [code for _, code in rules], IDLE)
        return self._sum(category)

    def _sum(self, category: Array) -> Array:
        length = np.diff(self.edges).astype(np.float64)
        found = np.bincount(category[category < _SHARED], length[category < _SHARED], len(CATEGORIES))
        shared = category == _SHARED
        found[NOC : DRAM + 1] += (self._in_flight()[shared] * length[shared, None]).sum(axis=0)
        outside = self.spans[self.spans["kind"] == H_MEMORY]
        cut = category == _OUTSIDE
        length_of = (outside["end"] - outside["start"]).astype(np.int64)
        took = np.maximum(_inside(self.starts[cut], outside["start"], outside["end"], length_of), 1)
        found[NOC : DRAM + 1] += (_access_shares(self.profile.chip, took) * length[cut, None]).sum(axis=0)
        return found

    def _in_flight(self) -> Array:
        """The mean shares of the DMA commands in flight, for every segment."""
        total = np.zeros((len(self.starts), 4))
        rows = np.column_stack([self.weights, np.ones(len(self.weights))])
        for edge, sign in (("start", 1), ("end", -1)):
            order = np.argsort(self.dma[edge], kind="stable")
            passed = np.concatenate([np.zeros((1, 4)), np.cumsum(rows[order], axis=0)])
            total += sign * passed[np.searchsorted(self.dma[edge][order], self.starts, "right")]
        none = total[:, 3] < 0.5
        total[none] = [1, 0, 0, 1]
        shares = np.maximum(total[:, :3], 0)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _inside(at: Array, starts: Array, ends: Array, values: Array) -> Array:
    """The value of the interval that holds each time, 0 outside; the intervals do not overlap."""
    if not len(starts):
        return np.zeros(len(at), np.int64)
    order = np.argsort(starts, kind="stable")
    place = np.searchsorted(starts[order], at, "right") - 1
    row = order[np.maximum(place, 0)]
    return np.where((place >= 0) & (at < ends[row]), values[row], 0)


def _access_shares(chip: Chip, took: Array) -> Array:
    """NoC, SRAM and DRAM of a hart's access that took some cycles: the latencies of the first two, the rest DRAM's."""
    noc = np.minimum(2.0 * mean_way(chip), took)
    sram = np.minimum(chip.sram.latency, took - noc)
    return np.asarray(np.stack([noc, sram, took - noc - sram], axis=-1) / took[:, None])
