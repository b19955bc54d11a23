"""The trace: every command of a launch as Chrome trace JSON, compressed, which Perfetto opens."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from mtia.isa import table
from mtia.runtime.elf import Program
from mtia.runtime.machine.arrays import numpy_type
from mtia.runtime.machine.host import Host
from mtia.runtime.machine.state import UNIT_NAMES, Record

__all__ = ["CAPACITY", "write"]

CAPACITY = 1 << 22  # commands


def records(host: Host) -> np.ndarray[Any, Any]:
    """The commands kept, in order of completion: start, end, pc, op, pe, unit."""
    m, kind = host.machine, numpy_type(Record)
    count = min(m.trace_count, m.trace_capacity)
    return np.frombuffer(host.regions["trace"].bytes(0, count * Record.size), kind) if count else np.zeros(0, kind)


def write(host: Host, path: str | Path, program: Program | None = None) -> None:
    """Write the trace: a process per PE, a thread per unit, times in microseconds of the chip's clock."""
    scale = 1e6 / host.chip.clock_hz
    found = records(host)
    names = [row.name.removeprefix("xm.") for row in table.all()]
    events: list[dict[str, Any]] = []
    for pe in np.unique(found["pe"]):
        events.append({"ph": "M", "pid": int(pe), "name": "process_name", "args": {"name": f"PE {pe}"}})
        for unit, name in enumerate(UNIT_NAMES):
            events.append({"ph": "M", "pid": int(pe), "tid": unit, "name": "thread_name", "args": {"name": name}})
    lines: dict[int, str] = {}
    for record in found:
        pc = int(record["pc"])
        if pc not in lines:
            source = program.source(pc) if program else None
            lines[pc] = f"{source[0]}:{source[1]}" if source else ""
        start, end = int(record["start"]), int(record["end"])
        args: dict[str, Any] = {"pc": hex(pc), "start": start, "end": end}
        if lines[pc]:
            args["line"] = lines[pc]
        events.append(
            {
                "ph": "X", "pid": int(record["pe"]), "tid": int(record["unit"]), "name": names[int(record["op"])],
                "ts": start * scale, "dur": (end - start) * scale, "args": args,
            }
        )  # fmt: skip
    whole = {"displayTimeUnit": "ns", "traceEvents": events, "otherData": {"chip": host.chip.name}}
    target = Path(path)
    data = json.dumps(whole, separators=(",", ":")).encode()
    target.write_bytes(gzip.compress(data, 6) if target.suffix == ".gz" else data)
