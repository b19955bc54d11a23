"""Run passes over IR text: our passes by name, stages of the pipeline, or an upstream pass pipeline.

mtiac opt --pass=fuse,bufferize FILE.mlir       passes, in order
mtiac opt --from=linalg --to=pe FILE.mlir       stages of the pipeline
mtiac opt --pipeline='builtin.module(cse)' FILE upstream passes
mtiac opt FILE.ttir                             parse, verify and print
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools import files

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", help="FILE.mlir, FILE.ttir, or - for standard input")
    parser.add_argument("--pass", dest="passes", default="", help="names of our passes, with commas between them")
    parser.add_argument("--pipeline", help="an upstream pass pipeline, such as builtin.module(canonicalize,cse)")
    parser.add_argument("--from", dest="first", metavar="STAGE", help="the stage the text is at")
    parser.add_argument("--to", dest="last", metavar="STAGE", help="the stage to print")
    parser.add_argument("--locations", action="store_true", help="print source locations")
    parser.add_argument("-o", dest="output", help="where to write instead of standard output")
    files.add_compile_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run and print."""
    from mtia.compiler import pipeline

    options = files.options_from(arguments)
    path = Path(arguments.input) if arguments.input == "-" else files.source_of(arguments.input).path
    text, file = files.read_text(path), str(path)
    if arguments.last is not None:
        first = arguments.first or ("ttir" if path.suffix == ".ttir" else None)
        if first is None:
            raise UserError("--to needs --from", file)
        value = pipeline.run(pipeline.value_of(text, first, file), first, arguments.last, pipeline.Job(options, file))
        made: Any = value
    else:
        made = pipeline.parse(text, file)
        for name in filter(None, arguments.passes.split(",")):
            with pipeline.naming(file):
                pipeline.run_pass(name.strip(), made, options)
        if arguments.pipeline:
            _run_upstream(made, arguments.pipeline)
    if not isinstance(made, str | bytes):
        made = made.operation.get_asm(enable_debug_info=arguments.locations) + "\n"
    files.write_output(made, arguments.output)
    return 0


def _run_upstream(module: Any, text: str) -> None:
    from mtia.dialects.mlir import ir, run_passes

    try:
        run_passes(module, text)
    except ValueError as problem:
        raise UserError(f"--pipeline: {str(problem).strip()}") from None
    except ir.MLIRError as problem:
        raise UserError(problem.error_diagnostics[0].message) from None
