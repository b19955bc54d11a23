"""What the benchmarks share: rows out as a table or JSON, and medians."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["Row", "emit", "machine_name", "median_seconds"]

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
    import os

    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as info:
            processor = next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"


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
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{title} ({machine_name()})")
    for key in collected[0]:
        table.add_column(key, justify="left" if isinstance(collected[0][key], str) else "right")
    for row in collected:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
