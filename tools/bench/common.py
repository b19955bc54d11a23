"""What the benchmarks share: rows out as a table or JSON, and medians."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["Row", "emit", "machine_name", "median_seconds", "speed_row"]

Row = Mapping[str, Any]


def median_seconds(run: Callable[[], object], repeats: int, warm: int = 1) -> float:
    """The median wall time of `run` in seconds, after `warm` unmeasured calls."""
    for _ in range(warm):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def machine_name() -> str:
    """The host in one line, for figures that are quoted: processor, cores, Python."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as info:
            processor = next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"


def speed_row(
    name: str, value: float, unit: str, least: float | None = None, most: float | None = None,
    peer: str = "", peer_value: float = 0.0, ok: bool = True, of: str = "value",
) -> dict[str, Any]:  # fmt: skip
    """A row about the host's speed: `met` says whether the value (or the ratio) is inside its bound, `ok` whether what
    the measured work computed is right. `load` is the host's average of a minute: where it is `loaded`, others ran
    beside this process and a missed bound says little.
    """
    ratio = peer_value / value if peer_value and value else 0.0
    judged = {"value": value, "ratio": ratio}[of]
    texts = [] if least is None else [f"at least {least:g}"]
    texts += [] if most is None else [f"at most {most:g}"]
    load = os.getloadavg()[0]
    return {
        "name": name, "value": round(value, 4), "unit": unit, "peer": peer, "peer_value": round(peer_value, 4),
        "ratio": round(ratio, 2), "bound": " ".join([*([of] if of != "value" and texts else []), ", ".join(texts)]),
        "met": (least is None or judged >= least) and (most is None or judged <= most), "ok": ok,
        "load": round(load, 2), "loaded": load > 1.5,
    }  # fmt: skip


def emit(rows: Iterable[Row], as_json: bool, title: str) -> None:
    """Print rows as they come: one JSON object a line, or a table at the end."""
    if as_json:
        for row in rows:
            print(json.dumps(dict(row)), flush=True)
        return
    collected = [dict(row) for row in rows]
    if not collected:
        print(f"{title}: no rows", file=sys.stderr)
        return
    from mtia.tools.console import Console
    from rich.table import Table

    table = Table(title=f"{title} ({machine_name()})")
    keys = {key: isinstance(value, str) for row in reversed(collected) for key, value in row.items()}
    order = sorted(keys, key=[*dict.fromkeys(key for row in collected for key in row)].index)
    for key in order:
        table.add_column(key, justify="left" if keys[key] else "right")
    for row in collected:
        values = [row.get(key, "") for key in order]
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
