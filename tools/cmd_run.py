"""Run a kernel on the simulated chip, check its numbers, and say where the cycles went.

INPUT is FILE.py::kernel (with --signature), FILE.ttir, an executable (.elf), PE assembly (.s, with --signature), an
exported PyTorch program (.pt2) or an archive compiled from one (.mtia). Kernels are checked against Triton's
interpreter or against --reference module:function, which is called with the arguments by name (torch tensors and
numbers) and writes its results in place; programs against torch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools import files

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", help="FILE.py::kernel, FILE.ttir, FILE.elf or FILE.s")
    parser.add_argument("--signature", help='types and constants in order ("*fp32,*fp32,i32,1024"), or name=entry')
    parser.add_argument("--grid", help="programs of a kernel, as 64 or 8x8 or 4x4x2")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE", help="of a dynamic dimension")
    parser.add_argument(
        "--arg", action="append", default=[], dest="args", metavar="NAME=VALUE",
        help="randn:SHAPE:DTYPE, zeros:SHAPE:DTYPE, …, a .npy file, or a number; once for each argument",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the random arguments")
    parser.add_argument("--reference", metavar="MODULE:FUNCTION", help="what to check against")
    parser.add_argument("--no-check", action="store_true", help="do not check the numbers")
    parser.add_argument("--rtol", type=float, help="relative tolerance (default: from the type)")
    parser.add_argument("--atol", type=float, help="absolute tolerance (default: from the type and the largest value)")
    parser.add_argument("--save", action="append", default=[], metavar="NAME=FILE.npy", help="write an argument after")
    parser.add_argument("--state", choices=("cold", "llc"), default="cold", help="caches empty, or arguments resident")
    parser.add_argument("--interpreter", choices=("fast", "reference"), default="fast", help="of the machine")
    parser.add_argument(
        "--allow", default="", metavar="CHECK,…",
        help="checks of the machine to switch off: unwritten, races, buffers (what they do: docs/design.md, section 6)",
    )  # fmt: skip
    parser.add_argument("--trace", metavar="FILE", help="write a trace that Perfetto opens")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    files.add_compile_options(parser)


@dataclass(frozen=True)
class Runnable:
    """An executable, the names of its launch arguments in order, constexpr values, and its kernel in a Python file."""

    program: Any
    names: list[str]
    constants: Mapping[str, Any]
    kernel: tuple[str, str] | None


def run(arguments: argparse.Namespace) -> int:
    """Compile where needed, launch, check, report."""
    import numpy as np
    from mtia.runtime.checks import all_but
    from mtia.runtime.device import Buffer, Device
    from mtia.runtime.launch import launch
    from mtia.tools import arrays

    source = files.source_of(arguments.input)
    if source.kind in ("pt2", "mtia"):
        from mtia.tools.model_commands import run_file

        return run_file(arguments, source)
    options = files.options_from(arguments)
    grid = _grid(arguments.grid)
    runnable = _runnable(arguments, options)
    values = _values(arguments, runnable)
    before = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}
    device = Device(options.chip)
    specs = {_name_given(runnable, place, spec): spec for place, spec in enumerate(arguments.args)}
    empty = {name for name, spec in specs.items() if spec.partition("=")[2].startswith("empty:")}
    buffers = {
        name: v if not isinstance(v, np.ndarray) else device.alloc(v.nbytes) if name in empty else device.copy_in(v)
        for name, v in values.items()
    }
    result = launch(
        device, runnable.program, grid, list(buffers.values()), state=arguments.state,
        interpreter=arguments.interpreter, trace_file=arguments.trace, strict=all_but(arguments.allow),
    )  # fmt: skip
    result.check()
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            device.copy_out(buffers[name], value)
    checked, comparisons = _check(arguments, runnable, grid, before, values)
    _save(arguments.save, values)
    written = arrays.changed(list(before.values()), list(values.values()))
    places = {buffer.address: name for name, buffer in buffers.items() if isinstance(buffer, Buffer)}
    reads = [read.text(places.get(read.buffer)) for read in result.device_reads]
    _report(arguments, runnable, result, checked, comparisons, [list(values)[place] for place in written], reads)
    return 0 if all(comparison.ok for comparison in comparisons) else 1


def _grid(text: str | None) -> tuple[int, ...]:
    if text is None:
        raise UserError("--grid is missing: the number of programs, as 64 or 8x8")
    try:
        grid = tuple(int(part) for part in text.replace(",", "x").split("x"))
    except ValueError:
        grid = ()
    if not 1 <= len(grid) <= 3 or min(grid) < 1:
        raise UserError(f"--grid is '{text}', must be one to three positive sizes, as 64 or 8x8")
    return grid


def _runnable(arguments: argparse.Namespace, options: Any) -> Runnable:
    from mtia.runtime import elf

    source = files.source_of(arguments.input)
    file = str(source.path)
    if source.kind == "py":
        from mtia.compiler.driver import compile_triton

        _, kernel = files.load_kernel(source)
        signature = files.parse_signature(arguments.signature, kernel, file)
        made = compile_triton(kernel, signature.types, signature.constants, options, signature.attributes)
        names = [name for name in kernel.arg_names if name in signature.types]
        return Runnable(elf.load(made.elf), names, signature.constants, (file, kernel.__name__))
    if source.kind == "ttir":
        from mtia.compiler.driver import compile_ttir

        program = elf.load(compile_ttir(files.read_text(source.path), options, file).elf)
    elif source.kind in ("s", "S"):
        from mtia.compiler.backend.assembled import assemble_program

        types = files.argument_types(arguments.signature or "")
        program = elf.load(assemble_program(files.read_text(source.path), file, types))
    elif source.kind == "elf":
        program = elf.load(source.path)
    else:
        raise UserError("not a kind of file this runs: .py, .ttir, .elf or .s", file)
    return Runnable(program, [f"arg{place}" for place in range(len(program.arguments))], {}, None)


def _name_given(runnable: Runnable, place: int, spec: str) -> str:
    """The argument that `--arg` number `place` is; where the kernel has no names, by its place."""
    if runnable.kernel is None and place < len(runnable.names):
        return runnable.names[place]
    return spec.partition("=")[0]


def _values(arguments: argparse.Namespace, runnable: Runnable) -> dict[str, Any]:
    """The value of every launch argument, in order; where the kernel has no names, in the order given."""
    import numpy as np
    from mtia.tools.arrays import make_argument, type_name

    given: dict[str, Any] = {}
    for place, spec in enumerate(arguments.args):
        if "=" not in spec:
            raise UserError(f"--arg {spec}: write NAME=VALUE")
        name = _name_given(runnable, place, spec)
        if name not in runnable.names:
            raise UserError(f"--arg {spec}: the kernel's arguments are {', '.join(runnable.names) or 'none'}")
        given[name] = make_argument(spec, np.random.default_rng([arguments.seed, place]))
    missing = [name for name in runnable.names if name not in given]
    if missing:
        raise UserError(f"--arg for '{missing[0]}' is missing")
    for name, kind in zip(runnable.names, runnable.program.arguments, strict=True):
        value = given[name]
        found = f"*{type_name(value)}" if isinstance(value, np.ndarray) else "a number"
        wanted = kind.replace("*u", "*i").replace("*i1", "*i8") if kind.startswith("*") else "a number"
        if found.replace("*u", "*i").replace("*i1", "*i8") != wanted:
            raise UserError(f"--arg {name}: the kernel wants {kind}, this is {found}")
    return {name: given[name] for name in runnable.names}


def _check(
    arguments: argparse.Namespace, runnable: Runnable, grid: tuple[int, ...], before: dict[str, Any],
    after: dict[str, Any],
) -> tuple[str, list[Any]]:  # fmt: skip
    """What the numbers were checked against, and a comparison for every array."""
    import numpy as np
    from mtia.tools import arrays, reference

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
    from rich.console import Console
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
