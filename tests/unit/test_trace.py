"""Traces against the Chrome trace event format and against the profile they are written from."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtia.isa.errors import UserError
from mtia.runtime import trace
from mtia.runtime.machine.state import RANK_HART, UNIT_NAMES
from test_prof import recorded

PHASES = {"M", "X", "C", "s", "f"}


def load(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    whole = json.loads(raw)
    assert isinstance(whole["traceEvents"], list)
    return list(whole["traceEvents"])


def check(events: list[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """The rules that a viewer relies on; returns the slices by track, in order of time."""
    tracks: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    named = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    processes = {e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    for event in events:
        assert event["ph"] in PHASES and isinstance(event["pid"], int) and isinstance(event["name"], str)
        assert event["pid"] in processes
        if event["ph"] != "M":
            assert isinstance(event["ts"], int) and event["ts"] >= 0
        if event["ph"] == "X":
            assert isinstance(event["dur"], int) and event["dur"] >= 0
            assert (event["pid"], event["tid"]) in named
            tracks[event["pid"], event["tid"]].append(event)
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) and value >= 0 for value in event["args"].values())
    for slices in tracks.values():
        slices.sort(key=lambda e: (e["ts"], e["ts"] + e["dur"]))
        for first, second in zip(slices, slices[1:], strict=False):
            assert first["ts"] + first["dur"] <= second["ts"], (first, second)
    for event in events:
        if event["ph"] in "sf":
            inside = [
                e for e in tracks[event["pid"], event["tid"]] if e["ts"] <= event["ts"] < e["ts"] + max(e["dur"], 1)
            ]
            assert inside and inside[0]["cat"] == "command"
    counters: dict[str, int] = {}
    for event in (e for e in events if e["ph"] == "C"):
        assert counters.get(event["name"], -1) < event["ts"]
        counters[event["name"]] = event["ts"]
    return tracks


@pytest.mark.parametrize("name", ["matmul", "add_one"])
def test_trace_is_the_profile(name: str, tmp_path: Path) -> None:
    result, profile = recorded(name)
    trace.write(profile, tmp_path / "t.json.gz")
    events = load(tmp_path / "t.json.gz")
    tracks = check(events)
    assert {pid for pid, _ in tracks} == {*range(profile.pes), trace.CHIP}
    slices = [e for e in events if e["ph"] == "X" and e.get("cat") == "command"]
    assert len(slices) == len(profile.commands)
    total = result.counters["total"]["units"]
    moved = dict.fromkeys(UNIT_NAMES, 0)
    counts = dict.fromkeys(UNIT_NAMES, 0)
    for event in slices:
        unit = UNIT_NAMES[event["tid"] // trace.TRACKS]
        counts[unit] += 1
        moved[unit] += event["args"]["bytes"]
    assert counts == {unit: total[unit]["commands"] for unit in UNIT_NAMES}
    assert moved["fi.in"] + moved["fi.out"] == result.counters["memory"]["bytes"]
    for hart in range(profile.harts):
        tid = (len(UNIT_NAMES) + hart) * trace.TRACKS
        alive = profile.alive[0, hart]
        assert sum(e["dur"] for e in tracks[0, tid]) == alive[1] - alive[0]
    stalls = [e for e in events if e["ph"] == "X" and e.get("cat") == "stall"]
    waits = profile.spans[profile.spans["track"] >= RANK_HART]
    assert (
        sum(e["dur"] for e in stalls if e["tid"] >= len(UNIT_NAMES) * trace.TRACKS)
        == (waits["end"] - waits["start"]).sum()
    )


def test_arrows_end_where_the_wait_ends(tmp_path: Path) -> None:
    _, profile = recorded("matmul")
    trace.write(profile, tmp_path / "t.json")
    events = load(tmp_path / "t.json")
    begins = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = [e for e in events if e["ph"] == "f"]
    assert ends and {e["id"] for e in ends} == set(begins)
    assert all(begins[e["id"]]["ts"] < e["ts"] and begins[e["id"]]["pid"] == e["pid"] for e in ends)


def test_launches_follow_each_other(tmp_path: Path) -> None:
    profiles = [recorded(name)[1] for name in ("matmul", "add_one")]
    trace.write(profiles, tmp_path / "t.json")
    tracks = check(load(tmp_path / "t.json"))
    launches = tracks[trace.CHIP, 0]
    first, second = (profile.cycles for profile in profiles)
    assert [(e["ts"], e["dur"]) for e in launches] == [(0, first), (first, second)]


def test_one_pe_keeps_its_number(tmp_path: Path) -> None:
    trace.write(recorded("matmul")[1].of_pe(3), tmp_path / "t.json")
    assert {pid for pid, _ in check(load(tmp_path / "t.json"))} == {3, trace.CHIP}


def test_commands_in_flight_have_tracks_of_their_own() -> None:
    lanes = trace._lanes(np.array([0, 1, 2, 10, 11]), np.array([5, 12, 3, 12, 13]))
    assert lanes.tolist() == [0, 1, 2, 0, 2]


def test_a_trace_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        trace.write(recorded("add_one")[1], tmp_path / "none" / "t.json")
    assert not list(tmp_path.iterdir())


def test_size_of_a_long_trace(tmp_path: Path) -> None:
    """A 64-PE matmul of 2048³ with 64 × 64 × 32 blocks has 198,000 commands; this one has fewer of the same kind."""
    profile = recorded("matmul")[1]
    trace.write(profile, tmp_path / "t.json.gz")
    each = (tmp_path / "t.json.gz").stat().st_size / len(profile.commands)
    assert each * 200_000 < 50e6
