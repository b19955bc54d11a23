"""Compile a kernel to a PE executable, or print any stage on the way.

INPUT is FILE.py::kernel (with --signature), TTIR text (.ttir), text of a later stage (.mlir with --from), or an
exported PyTorch program (.pt2), which becomes an archive of executables and the order they run in.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools import files

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", help="FILE.py::kernel, FILE.ttir, FILE.mlir or MODEL.pt2")
    parser.add_argument("--signature", help='types and constants in order ("*fp32,*fp32,i32,1024"), or name=entry')
    parser.add_argument(
        "--emit", metavar="STAGE", default="elf",
        help="ttir, tt, linalg, fused, memref, tiles, planned, pe, llvm, ll, elf (default) or asm",
    )  # fmt: skip
    parser.add_argument("--from", dest="first", metavar="STAGE", help="the stage an .mlir file is at")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE", help="of a dynamic dimension")
    parser.add_argument("-o", dest="output", help="where to write; text goes to standard output otherwise")
    parser.add_argument("--dump", metavar="FOLDER", help="also write every stage to this folder")
    parser.add_argument("--explain", action="store_true", help="say on standard error which path each operation took")
    parser.add_argument("--json", action="store_true", help="print what was made as one JSON line")
    files.add_compile_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compile and write."""
    from mtia.compiler import pipeline

    source = files.source_of(arguments.input)
    if source.kind == "pt2":
        from mtia.tools.model_commands import compile_file

        return compile_file(arguments, source)
    wanted = pipeline.stage(arguments.emit)
    options = files.options_from(arguments)
    start = time.perf_counter()
    text, first = _source_text(arguments, source)
    job = pipeline.Job(options, str(source.path))
    texts: dict[str, str | bytes] = {}

    def keep(step: Any, value: Any) -> None:
        if arguments.dump or step.name in (wanted.name, "elf"):
            texts[step.name + step.suffix] = step.text(value)

    pipeline.run(pipeline.value_of(text, first, str(source.path)), first, wanted.name, job, keep)
    if arguments.explain:
        for choice in job.choices:
            print(choice, file=sys.stderr)
    made = texts[wanted.name + wanted.suffix]
    _write_dump(arguments.dump, texts)
    output = arguments.output
    if output is None and isinstance(made, bytes):
        output = f"{job.metadata['kernel']}{wanted.suffix}"
    if arguments.json:
        if output is not None:
            files.write_output(made, output)
        seconds = time.perf_counter() - start
        print(json.dumps({"stage": wanted.name, "output": output, "bytes": len(made), "seconds": round(seconds, 4),
                          "target": options.chip.name, **job.metadata}))  # fmt: skip
        return 0
    files.write_output(made, output)
    if output not in (None, "-") and arguments.output is None:
        print(f"wrote {output}")
    return 0


def _source_text(arguments: argparse.Namespace, source: files.Source) -> tuple[str, str]:
    """The text of the input and the stage it is at."""
    file = str(source.path)
    if source.kind == "py":
        from mtia.compiler.frontends.triton_source import to_ttir

        _, kernel = files.load_kernel(source)
        signature = files.parse_signature(arguments.signature, kernel, file)
        return to_ttir(kernel, signature.types, signature.constants, signature.attributes), "ttir"
    if source.kind == "ttir":
        return files.read_text(source.path), arguments.first or "ttir"
    if source.kind == "mlir":
        if arguments.first is None:
            raise UserError("say which stage this file is at with --from", file)
        return files.read_text(source.path), arguments.first
    raise UserError("not a kind of file this compiles: .py, .ttir, .mlir or .pt2", file)


def _write_dump(folder: str | None, texts: dict[str, str | bytes]) -> None:
    if folder is None:
        return
    from pathlib import Path

    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"cannot write: {problem.strerror}", folder) from None
    for place, (name, text) in enumerate(texts.items()):
        files.write_output(text, str(Path(folder) / f"{place:02}-{name}"))
