"""Profile a kernel or model on the simulated chip: where the cycles went, by category, unit, PE and source line.

The input and its arguments are those of `mtiac run`; numbers are not checked. Profiling does not change a cycle.

The top-down table puts every cycle of every PE that took part in one category, the first whose rule holds:
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools import files
from mtia.tools.running import add_input_arguments

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from mtia.tools.prof_report import rules

    parser.description = f"{__doc__}\n{rules()}\n"
    add_input_arguments(parser)
    parser.add_argument("--trace", metavar="FILE", help="write a trace that Perfetto opens (.json or .json.gz)")
    parser.add_argument("--roofline", metavar="FILE", help="draw a roofline plot (.svg or .png; needs matplotlib)")
    parser.add_argument("--pe", type=int, metavar="N", help="look at one PE only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    files.add_compile_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run under observation, report."""
    if arguments.roofline:
        from mtia.tools.prof_roofline import check_output

        check_output(arguments.roofline)
    source = files.source_of(arguments.input)
    profiles = _models(arguments, source) if source.kind in ("pt2", "mtia") else _kernel(arguments)
    if arguments.roofline:
        from mtia.tools.prof_report import Launch
        from mtia.tools.prof_roofline import draw

        draw([Launch.of(name, profile) for name, profile in profiles], arguments.roofline)
    _report(arguments, profiles if arguments.pe is None else _narrowed(profiles, arguments.pe))
    return 0


def _narrowed(profiles: list[tuple[str, Any]], number: int) -> list[tuple[str, Any]]:
    """The launches in which a PE had a program, as that PE saw them."""
    chip = profiles[0][1].chip
    if not 0 <= number < chip.pes:
        raise UserError(f"--pe is {number}; {chip.name} has PEs 0 to {chip.pes - 1}")
    found = [
        (name, profile.of_pe(place))
        for name, profile in profiles
        for place, pe in enumerate(profile.numbers.tolist())
        if pe == number
    ]
    if not found:
        raise UserError(f"PE {number} had no program: {max(profile.pes for _, profile in profiles)} PEs were used")
    return found


def _kernel(arguments: argparse.Namespace) -> list[tuple[str, Any]]:
    from mtia.runtime.profile import Recorder
    from mtia.tools.running import execute, prepare

    recorder = Recorder()
    prepared = prepare(arguments)
    execute(prepared, arguments, observer=recorder)
    return [(prepared.runnable.program.kernel, recorder.profile)]


def _models(arguments: argparse.Namespace, source: files.Source) -> list[tuple[str, Any]]:
    from mtia.runtime.checks import all_but
    from mtia.runtime.device import Device
    from mtia.runtime.model import LoadedModel
    from mtia.runtime.profile import Recorder
    from mtia.tools.model_commands import prepare

    recorders: list[Recorder] = []

    def observer() -> Recorder:
        recorders.append(Recorder())
        return recorders[-1]

    model, _, inputs = prepare(arguments, source)
    loaded = LoadedModel(Device(model.target), model)
    loaded(
        *inputs, state=arguments.state, interpreter=arguments.interpreter, strict=all_but(arguments.allow),
        observer=observer,
    )  # fmt: skip
    phases = zip(model.plan.phases, recorders, strict=True)
    return [(call.node or call.kernel, recorder.profile) for call, recorder in phases]


def _report(arguments: argparse.Namespace, profiles: list[tuple[str, Any]]) -> None:
    from mtia.tools.prof_hints import hints
    from mtia.tools.prof_report import Launch, figures, print_text

    if arguments.trace:
        from mtia.runtime import trace

        trace.write([profile for _, profile in profiles], arguments.trace)
    launches = [Launch.of(name, profile) for name, profile in profiles]
    said = hints(launches)
    if arguments.json:
        print(json.dumps(figures(launches, said)))
    else:
        print_text(launches, said)
