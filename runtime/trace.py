"""The trace: a recorded launch as Chrome trace JSON, which Perfetto opens. A microsecond there is a clock here.

A process per PE: a track per compute unit with its commands and, between them, what it waited for; for each DMA engine
a track with its state and as many as commands were in flight together; a track per hart. Another process holds counters
of the whole chip. Events are written as they are made, in the order of PE, track and time.
"""

from __future__ import annotations

import dataclasses
import gzip
import heapq
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from mtia.isa import table
from mtia.isa.errors import UserError
from mtia.isa.xmtia.codes import DType
from mtia.runtime.machine.state import (
    DONE,
    FI_OUT,
    H_MEMORY,
    HART_NAMES,
    HART_STATES,
    RANK_HART,
    S_BUSY,
    UNIT_NAMES,
    UNIT_STATES,
    WAIT_QUEUE,
)
from mtia.runtime.profile import NO_COMMAND, Profile
from mtia.runtime.profile_counters import lanes

__all__ = ["CHIP", "write"]

CHIP = 1_000_000  # process of the chip's counters
TRACKS = 32  # of a unit or hart at most: its own and one for each command in flight
LEVEL = 4  # of gzip: higher ones take longer than all the rest
_CHUNK = 1 << 14  # events formatted at once
Array = np.ndarray[Any, Any]


def write(profiles: Profile | Sequence[Profile], path: str | Path) -> None:
    """Write the trace of one launch or of several in a row, compressed when the name ends in `.gz`."""
    launches = [profiles] if isinstance(profiles, Profile) else list(profiles)
    chip = launches[0].chip
    with _opened(Path(path)) as file:
        file.write('{"displayTimeUnit":"ns","otherData":' + json.dumps({"chip": chip.name, "unit": "clock"}))
        file.write(',"traceEvents":[\n' + _metadata(CHIP, "process_name", "name", chip.name))
        _name_track(file, CHIP, 0, "launches")
        named: set[tuple[int, int]] = set()
        begin = flow = 0
        for profile in launches:
            _write_launch(file, profile, begin, flow, named)
            begin, flow = begin + profile.cycles, flow + len(profile.commands)
        file.write("\n]}\n")


def _write_launch(file: IO[str], profile: Profile, begin: int, flow: int, named: set[tuple[int, int]]) -> None:
    """Everything about a launch that starts at cycle `begin`; its arrows have numbers from `flow` on."""
    name = json.dumps(profile.program.kernel)
    file.write(_slice(CHIP, 0) + f',"cat":"launch","ts":{begin},"dur":{profile.cycles},"name":{name}}}')
    _write_counters(file, profile, begin)
    commands, spans = profile.commands.copy(), profile.spans.copy()
    for rows, names in ((commands, ("issued", "start", "end", "ready")), (spans, ("start", "end"))):
        for name in names:
            rows[name] += begin
    later = dataclasses.replace(profile, commands=commands, spans=spans, alive=profile.alive + begin)
    flows = _flows(later, flow)
    by_pe = [np.argsort(rows["pe"], kind="stable") for rows in (commands, spans)]
    bounds = [
        np.searchsorted(rows["pe"][order], np.arange(profile.pes + 1))
        for rows, order in zip((commands, spans), by_pe, strict=True)
    ]
    for pe in range(profile.pes):
        mine, states = (order[bound[pe] : bound[pe + 1]] for order, bound in zip(by_pe, bounds, strict=True))
        _write_pe(file, later, pe, mine, spans[states], flows, named)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """A text file that is there whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        with gzip.open(part, "wt", LEVEL) if path.suffix == ".gz" else open(part, "w") as file:
            yield file
        part.replace(path)
    except OSError as problem:
        raise UserError(f"cannot write: {problem.strerror}", str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def _metadata(pid: int, kind: str, key: str, value: Any, tid: int = 0) -> str:
    return json.dumps({"ph": "M", "pid": pid, "tid": tid, "name": kind, "args": {key: value}}, separators=(",", ":"))


def _write_counters(file: IO[str], profile: Profile, begin: int) -> None:
    """One lane for each counter."""
    for name, times, values in lanes(profile):
        head = f',\n{{"ph":"C","pid":{CHIP},"name":{json.dumps(name)}'.replace("%", "%%")
        head += ',"ts":%d,"args":{"value":%.6g}}'
        file.write("".join([head % pair for pair in zip((times + begin).tolist(), values.tolist(), strict=True)]))


def _write_pe(
    file: IO[str], profile: Profile, place: int, rows: Array, spans: Array, flows: dict[str, Array],
    named: set[tuple[int, int]],
) -> None:  # fmt: skip
    """Everything about one PE; `rows` are its commands' places in `profile.commands`."""
    pe = int(profile.numbers[place])

    def track(tid: int, name: str) -> int:
        if (pe, tid) not in named:
            named.add((pe, tid))
            _name_track(file, pe, tid, name)
        return tid

    if (pe, -1) not in named:
        named.add((pe, -1))
        file.write(",\n" + _metadata(pe, "process_name", "name", f"PE {pe}"))
        file.write(",\n" + _metadata(pe, "process_sort_index", "sort_index", pe))
    for unit, name in enumerate(UNIT_NAMES):
        mine = rows[profile.commands["unit"][rows] == unit]
        mine = mine[np.argsort(profile.commands["start"][mine], kind="stable")]
        states = spans[spans["track"] == unit]
        tid = track(unit * TRACKS, name)
        tids = np.full(len(mine), tid)
        if unit <= FI_OUT:
            tids += 1 + _lanes(profile.commands["start"][mine], profile.commands["end"][mine])
            for number in np.unique(tids).tolist():
                track(number, f"{name} command {number - tid}")
        else:
            states = states[states["kind"] != S_BUSY]
        _write_states(file, pe, tid, states)
        _write_commands(file, profile, pe, mine, tids)
        _write_flows(file, pe, mine, tids, flows)
    for hart in range(profile.harts):
        tid = track((len(UNIT_NAMES) + hart) * TRACKS, HART_NAMES[hart])
        waits = spans[spans["track"] == RANK_HART + hart]
        _write_hart(file, profile, pe, tid, waits[np.argsort(waits["start"])], profile.alive[place, hart])


def _name_track(file: IO[str], pe: int, tid: int, name: str) -> None:
    file.write(",\n" + _metadata(pe, "thread_name", "name", name, tid))
    file.write(",\n" + _metadata(pe, "thread_sort_index", "sort_index", tid, tid))


def _lanes(starts: Array, ends: Array) -> Array:
    """For commands in order of start: the lowest lane that is free, so that slices of one lane do not overlap."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    found = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, lane))
        found.append(lane)
    return np.array(found, np.int64)


def _events(file: IO[str], template: str, columns: list[list[Any]]) -> None:
    """Write an event for every row of the columns."""
    for at in range(0, len(columns[0]), _CHUNK):
        part = zip(*(column[at : at + _CHUNK] for column in columns), strict=True)
        file.write("".join([template % row for row in part]))


def _slice(pe: int, tid: int) -> str:
    """The beginning of a slice on a track."""
    return f',\n{{"ph":"X","pid":{pe},"tid":{tid}'


def _write_states(file: IO[str], pe: int, tid: int, spans: Array) -> None:
    """What a unit did or waited for."""
    names = [f'"{"issuing lines" if k == S_BUSY else f"waits: {name}"}"' for k, name in enumerate(UNIT_STATES)]
    template = _slice(pe, tid) + ',"cat":"stall","ts":%d,"dur":%d,"name":%s}'
    spans = spans[np.argsort(spans["start"])]
    named = [names[kind] for kind in spans["kind"].tolist()]
    _events(file, template, [spans["start"].tolist(), (spans["end"] - spans["start"]).tolist(), named])


def _write_commands(file: IO[str], profile: Profile, pe: int, rows: Array, tids: Array) -> None:
    commands = profile.commands[rows]
    same = np.stack([commands[name].astype(np.int64) for name in ("pc", "op", "rows", "cols", "depth", "dtype")], -1)
    kinds, kind = np.unique(same, axis=0, return_inverse=True)
    texts = [_describe(profile, *values) for values in kinds.tolist()]
    heads = [texts[k] for k in kind.reshape(-1).tolist()]
    template = ',\n{"ph":"X","pid":' + str(pe) + ',"tid":%d,"ts":%d,"dur":%d,%s,"bytes":%d,"issued":%d}}'
    _events(
        file, template,
        [tids.tolist(), commands["start"].tolist(), (commands["end"] - commands["start"]).tolist(), heads,
         commands["bytes"].tolist(), commands["issued"].tolist()],
    )  # fmt: skip


def _describe(profile: Profile, pc: int, op: int, rows: int, cols: int, depth: int, dtype: int) -> str:
    """Name and arguments of a command as JSON, without the last bracket."""
    row = table.all()[op]
    shape = f"{rows}x{cols}" + (f"x{depth}" if row.unit == "dpe" else "")
    args = {"pc": hex(pc), "shape": f"{shape} {DType(dtype).name.lower() if dtype in set(DType) else dtype}"}
    line = profile.program.source(pc)
    if line:
        args["line"] = f"{line[0]}:{line[1]}"
    name = json.dumps(row.name.removeprefix("xm."))
    return f'"cat":"command","name":{name},"args":{json.dumps(args, separators=(",", ":"))[:-1]}'


def _write_hart(file: IO[str], profile: Profile, pe: int, tid: int, waits: Array, alive: Array) -> None:
    """A hart's runs and waits, alternating."""
    starts, ends = waits["start"].astype(np.int64), waits["end"].astype(np.int64)
    gaps = np.concatenate([alive[:1].astype(np.int64), ends]), np.concatenate([starts, alive[1:].astype(np.int64)])
    runs = gaps[1] > gaps[0]
    run = np.stack([gaps[0][runs], gaps[1][runs]], -1)
    template = _slice(pe, tid) + ',"cat":"hart","ts":%d,"dur":%d,"name":"run"}'
    _events(file, template, [run[:, 0].tolist(), (run[:, 1] - run[:, 0]).tolist()])
    names = {kind: f"waits: {HART_STATES[kind]}" for kind in range(WAIT_QUEUE, DONE)} | {H_MEMORY: "waits: memory"}
    heads = [
        f'{json.dumps(names[kind])},"args":{{"pc":"{pc:#x}"'
        + (f',"line":{json.dumps(f"{line[0]}:{line[1]}")}' if (line := profile.program.source(pc)) else "")
        for kind, pc in zip(waits["kind"].tolist(), waits["pc"].tolist(), strict=True)
    ]
    template = _slice(pe, tid) + ',"cat":"stall","ts":%d,"dur":%d,"name":%s}}'
    _events(file, template, [starts.tolist(), (ends - starts).tolist(), heads])


def _flows(profile: Profile, first: int) -> dict[str, Array]:
    """Arrows from a command to those that it kept waiting: which rows begin and end one, and its number."""
    commands = profile.commands
    held = np.flatnonzero((commands["blocker"] != NO_COMMAND) & (commands["ready"] > commands["issued"]))
    ends = np.zeros(len(commands), np.int64)
    ends[held] = held + 1
    begins = np.zeros(len(commands), bool)
    begins[commands["blocker"][held]] = True
    return {"from": commands["blocker"], "ends": ends, "begins": begins, "start": commands["start"],
            "end": commands["end"], "first": np.array(first)}  # fmt: skip


def _write_flows(file: IO[str], pe: int, rows: Array, tids: Array, flows: dict[str, Array]) -> None:
    """An arrow leaves the last cycle of a command, with the number of that command, and ends at those it released."""
    head = ',\n{"cat":"dependency","name":"dependency","pid":' + str(pe)
    out = flows["begins"][rows]
    _events(
        file, head + ',"ph":"s","id":%d,"tid":%d,"ts":%d}',
        [(rows[out] + flows["first"]).tolist(), tids[out].tolist(), (flows["end"][rows[out]] - 1).tolist()],
    )  # fmt: skip
    into = flows["ends"][rows] > 0
    _events(
        file, head + ',"ph":"f","bp":"e","id":%d,"tid":%d,"ts":%d}',
        [(flows["from"][rows[into]] + flows["first"]).tolist(), tids[into].tolist(),
         flows["start"][rows[into]].tolist()],
    )  # fmt: skip
