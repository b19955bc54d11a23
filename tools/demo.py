"""The main job (`make demo`): kernels and models through the whole way on both chips, checked, in one table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

TARGETS = ("mtia200", "mtia300")


def _worker(target: str) -> int:
    """Run everything on one chip and print a JSON row each."""
    from mtia.tools import demo_kernels, demo_models

    for source in (demo_kernels.rows(), demo_models.rows(target)):
        for row in source:
            print(json.dumps(row), flush=True)
    return 0


def _collect(target: str) -> list[dict[str, Any]]:
    from mtia.tools.console import Console

    console = Console(stderr=True, highlight=False)
    environment = {**os.environ, "MTIA_TARGET": target, "TRITON_DEFAULT_BACKEND": "mtia"}
    command = [sys.executable, "-m", "mtia.tools.demo", "--worker", target]
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            row = json.loads(line)
            found.append(row)
            verdict = "[green]ok[/]" if row["ok"] else "[red]WRONG[/]"
            console.print(f"{target}  {row['what']} {row['shape']} {row['dtype']}: {verdict}")
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    return found


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title="Triton kernels and PyTorch models on simulated MTIA chips, checked against torch")
    for column in ("chip", "what", "shape", "type", "check"):
        table.add_column(column)
    for column in ("max error", "cycles", "µs", "bound by", "%", "MACs on DPE"):
        table.add_column(column, justify="right")
    for row in rows:
        percent = "" if row["percent"] is None else f"{row['percent']:.1f}"
        share = "" if row["dpe_share"] is None else f"{100 * row['dpe_share']:.0f} %"
        verdict = ("[green]ok[/]" if row["ok"] else "[red]WRONG[/]") + (f" {row['note']}" if row.get("note") else "")
        table.add_row(
            row["target"], row["what"], row["shape"], row["dtype"], verdict, f"{row['max_error']:.2g}",
            str(row["cycles"]), f"{row['time_us']:.1f}", row["roof"], percent, share,
        )  # fmt: skip
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 1 when any result is wrong."""
    parser = argparse.ArgumentParser(prog="python -m mtia.tools.demo", description=__doc__)
    parser.add_argument("--worker", metavar="CHIP", help=argparse.SUPPRESS)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this chip")
    parser.add_argument("--svg", type=Path, help="also write the table as a picture")
    options = parser.parse_args(arguments)
    if options.worker:
        return _worker(options.worker)
    from mtia.tools.console import Console

    start = time.perf_counter()
    rows = [row for target in options.target or TARGETS for row in _collect(target)]
    console = Console(record=True, width=170, highlight=False)
    console.print(_table(rows))
    wrong = sum(not row["ok"] for row in rows)
    console.print(f"{len(rows) - wrong} right, {wrong} wrong, in {time.perf_counter() - start:.0f} s")
    if options.svg:
        console.save_svg(str(options.svg), title="make demo")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
