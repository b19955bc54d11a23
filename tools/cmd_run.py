"""Run a kernel on the simulated chip, check its numbers, and say where the cycles went.

INPUT is FILE.py::kernel (with --signature), FILE.ttir, an executable (.elf), PE assembly (.s, with --signature), an
exported PyTorch program (.pt2) or an archive compiled from one (.mtia). Kernels are checked against Triton's
interpreter or against --reference module:function, which is called with the arguments by name (torch tensors and
numbers) and writes its results in place; programs against torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools import files
from mtia.tools.running import Prepared, Runnable, add_input_arguments, execute, prepare

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_input_arguments(parser)
    parser.add_argument("--reference", metavar="MODULE:FUNCTION", help="what to check against")
    parser.add_argument("--no-check", action="store_true", help="do not check the numbers")
    parser.add_argument(
        "--no-values", action="store_true", help="only count cycles; for programs whose control does not depend on data"
    )
    parser.add_argument("--rtol", type=float, help="relative tolerance (default: from the type)")
    parser.add_argument("--atol", type=float, help="absolute tolerance (default: from the type and the largest value)")
    parser.add_argument("--save", action="append", default=[], metavar="NAME=FILE.npy", help="write an argument after")
    parser.add_argument(
        "--trace", metavar="FILE", help="write a trace that Perfetto opens; `text` prints a hart's instructions"
    )
    parser.add_argument("--trace-hart", metavar="PE.HART", help="which hart --trace=text follows, as 3.0 or 3.B")
    parser.add_argument("--trace-limit", type=int, metavar="N", help="instructions that --trace=text prints (10000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    files.add_compile_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compile where needed, launch, check, report."""
    import numpy as np
    from mtia.tools import arrays

    if arguments.no_values and arguments.save:
        raise UserError("--save writes values, and --no-values makes none")
    unchecked = "--no-values" if arguments.no_values else "--no-check" if arguments.no_check else None
    if unchecked and arguments.reference:
        raise UserError(f"--reference is what to check against, and {unchecked} checks nothing")
    source = files.source_of(arguments.input)
    if source.kind in ("pt2", "mtia"):
        from mtia.tools.model_commands import run_file

        if arguments.trace:
            raise UserError("--trace is for kernels; `mtiac prof --trace FILE` writes one of a model", arguments.input)
        return run_file(arguments, source)
    prepared = prepare(arguments)
    runnable, grid, values = prepared.runnable, prepared.grid, prepared.values
    before = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}
    observer = _stepper(arguments, prepared)
    trace_file = None if observer else arguments.trace
    values_made = not arguments.no_values
    result, places = execute(prepared, arguments, trace_file=trace_file, observer=observer, values=values_made)
    checked, comparisons = _check(arguments, runnable, grid, before, values)
    _save(arguments.save, values)
    written = arrays.changed(list(before.values()), list(values.values()))
    reads = [read.text(places.get(read.buffer)) for read in result.device_reads]
    _report(arguments, runnable, result, checked, comparisons, [list(values)[place] for place in written], reads)
    return 0 if all(comparison.ok for comparison in comparisons) else 1


def _stepper(arguments: argparse.Namespace, prepared: Prepared) -> Any:
    """Who prints the instructions of a hart, for --trace=text."""
    if arguments.trace != "text":
        given = "--trace-hart" if arguments.trace_hart else "--trace-limit" if arguments.trace_limit else None
        if given:
            raise UserError(f"{given} goes with --trace=text")
        return None
    from mtia.runtime.profile_steps import LIMIT, Stepper

    limit = LIMIT if arguments.trace_limit is None else arguments.trace_limit
    if limit < 1:
        raise UserError(f"--trace-limit is {limit}, must be at least 1")
    pe, hart = _trace_hart(arguments.trace_hart) if arguments.trace_hart else (0, _working_hart(arguments, prepared))
    out = sys.stderr if arguments.json else sys.stdout
    return Stepper(lambda line: print(line, file=out), pe, hart, limit)


def _trace_hart(text: str) -> tuple[int, int]:
    pe, _, hart = text.partition(".")
    harts = {"": 0, "0": 0, "1": 1, "A": 0, "B": 1}
    if not pe.isdigit() or hart.upper() not in harts:
        raise UserError(f"--trace-hart is '{text}', must be PE.HART, as 0.1 or 12.B")
    return int(pe), harts[hart.upper()]


def _working_hart(arguments: argparse.Namespace, prepared: Prepared) -> int:
    """The hart of PE 0 that executes most: cycles are exact, so a run before says it."""
    import copy

    if prepared.runnable.program.cores == 1:
        return 0
    result, _ = execute(copy.deepcopy(prepared), arguments)
    harts = result.counters["pes"][0]["harts"]
    return max(range(len(harts)), key=lambda hart: harts[hart]["instructions"])


def _check(
    arguments: argparse.Namespace, runnable: Runnable, grid: tuple[int, ...], before: dict[str, Any],
    after: dict[str, Any],
) -> tuple[str, list[Any]]:  # fmt: skip
    """What the numbers were checked against, and a comparison for every array."""
    import numpy as np
    from mtia.tools import arrays, reference

    if arguments.no_values:
        return "unchecked (--no-values)", []
    if arguments.no_check:
        return "unchecked (--no-check)", []
    if runnable.kernel is None and arguments.reference is None:
        return "unchecked (no reference; --reference module:function names one)", []
    try:
        wanted = reference.expected(runnable.kernel, arguments.reference, grid, before, runnable.constants)
    except reference.Unchecked as reason:
        return f"unchecked ({reason})", []
    against = arguments.reference or "Triton's interpreter"
    found = [
        arrays.compare(name, value, wanted[name], arguments.rtol, arguments.atol)
        for name, value in after.items()
        if isinstance(value, np.ndarray)
        and (value.tobytes() != before[name].tobytes() or wanted[name].tobytes() != before[name].tobytes())
    ]
    return against, found


def _save(wanted: list[str], values: dict[str, Any]) -> None:
    import io

    import numpy as np

    for spec in wanted:
        name, _, place = spec.partition("=")
        if name not in values or not place:
            raise UserError(f"--save {spec}: write NAME=FILE.npy with one of {', '.join(values)}")
        data = io.BytesIO()
        np.save(data, values[name])
        files.write_output(data.getvalue(), str(Path(place)))


def _report(
    arguments: argparse.Namespace, runnable: Runnable, result: Any, checked: str, comparisons: list[Any],
    written: list[str], reads: list[str],
) -> None:  # fmt: skip
    from mtia.runtime import counters

    roof, percent = counters.roofline(result)
    ok = all(comparison.ok for comparison in comparisons) if comparisons else None
    worst = max((comparison.max_error for comparison in comparisons), default=None)
    if arguments.json:
        row = {
            "kernel": runnable.program.kernel, "target": result.chip.name, "ok": ok, "checked": checked,
            "max_error": worst, "cycles": result.cycles, "time_us": round(result.time_us, 3), "roof": roof,
            "percent": round(percent, 2), "written": written, "device_reads": reads,
            "counters": {key: value for key, value in result.counters.items() if key != "pes"},
        }  # fmt: skip
        print(json.dumps(row))
        return
    from mtia.tools.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for comparison in comparisons:
        verdict = "[green]ok[/]" if comparison.ok else f"[red]WRONG[/] in {comparison.wrong} elements"
        console.print(f"{comparison.name:<12} {verdict}, max error {comparison.max_error:.3g}")
    console.print(f"check        against {checked}" if comparisons else f"check        {checked}")
    console.print(f"cycles       {result.cycles}  ({result.time_us:.2f} µs on {result.chip.name})")
    console.print(f"roof         {roof}, {percent:.1f} % of it reached; {result.counters['pes_used']} PEs busy")
    for read in reads:
        console.print(f"[yellow]note[/]         {read}", soft_wrap=True)
    table = Table("unit", "its time went on", "%", title="stalls")
    for unit, cause, share in counters.stall_table(result.counters):
        if share >= 0.05:
            table.add_row(unit, cause, f"{share:.1f}")
    console.print(table)
