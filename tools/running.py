"""Kernels from the command line: what `mtiac run` and `mtiac prof` share, from the arguments to the launch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools import files

__all__ = ["Prepared", "Runnable", "add_input_arguments", "execute", "prepare"]


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what says which program runs on which data."""
    parser.add_argument("input", help="FILE.py::kernel, FILE.ttir, FILE.elf, FILE.s, FILE.pt2 or FILE.mtia")
    parser.add_argument("--signature", help='types and constants in order ("*fp32,*fp32,i32,1024"), or name=entry')
    parser.add_argument("--grid", help="programs of a kernel, as 64 or 8x8 or 4x4x2")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE", help="of a dynamic dimension")
    parser.add_argument(
        "--arg", action="append", default=[], dest="args", metavar="NAME=VALUE",
        help="randn:SHAPE:DTYPE, zeros:SHAPE:DTYPE, …, a .npy file, or a number; once for each argument",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the random arguments")
    parser.add_argument("--state", choices=("cold", "llc"), default="cold", help="caches empty, or arguments resident")
    parser.add_argument("--interpreter", choices=("fast", "reference"), default="fast", help="of the machine")
    parser.add_argument(
        "--allow", metavar="CHECK,…",
        help="checks of the machine to switch off: unwritten, races, buffers (what they do: mtiac isa --manual)",
    )  # fmt: skip


@dataclass(frozen=True)
class Runnable:
    """An executable, the names of its launch arguments in order, constexpr values, and its kernel in a Python file."""

    program: Any
    names: list[str]
    constants: Mapping[str, Any]
    kernel: tuple[str, str] | None


@dataclass(frozen=True)
class Prepared:
    """A launch that can be made: the program, its grid and its arguments, on a chip; `empty` are left uninitialised."""

    chip: Any
    runnable: Runnable
    grid: tuple[int, ...]
    values: dict[str, Any]
    empty: frozenset[str]


def prepare(arguments: argparse.Namespace) -> Prepared:
    """Compile where needed and make the arguments."""
    options = files.options_from(arguments)
    grid = _grid(arguments.grid)
    runnable = _runnable(arguments, options)
    values = _values(arguments, runnable)
    specs = {_name_given(runnable, place, spec): spec for place, spec in enumerate(arguments.args)}
    empty = {name for name, spec in specs.items() if spec.partition("=")[2].startswith("empty:")}
    return Prepared(options.chip, runnable, grid, values, frozenset(empty))


def execute(prepared: Prepared, arguments: argparse.Namespace, **options: Any) -> tuple[Any, dict[int, str]]:
    """Launch: the `LaunchResult`, and the arguments' names by device address.

    Arrays among the values hold what the program wrote after. `options` are further ones of `launch`.
    """
    import numpy as np
    from mtia.runtime.checks import all_but
    from mtia.runtime.device import Buffer, Device
    from mtia.runtime.launch import launch

    device = Device(prepared.chip)
    values = prepared.values
    buffers = {
        name: v
        if not isinstance(v, np.ndarray)
        else device.alloc(v.nbytes)
        if name in prepared.empty
        else device.copy_in(v)
        for name, v in values.items()
    }
    result = launch(
        device, prepared.runnable.program, prepared.grid, list(buffers.values()), state=arguments.state,
        interpreter=arguments.interpreter, strict=all_but(arguments.allow), **options,
    )  # fmt: skip
    result.check()
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            device.copy_out(buffers[name], value)
    places = {buffer.address: name for name, buffer in buffers.items() if isinstance(buffer, Buffer)}
    return result, places


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
