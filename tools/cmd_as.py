"""Assemble a PE program to an executable that launches like a compiled kernel."""

from __future__ import annotations

import argparse

from mtia.tools import files

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", help="an assembly file; its entry is the label _start_NAME, or the first instruction")
    parser.add_argument("--signature", default="", help='types of the launch arguments, such as "*fp32,*fp32,i32"')
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1, help="cores of each PE that run the program")
    parser.add_argument("--target", help="the chip it is written for; checked at launch")
    parser.add_argument("-o", dest="output", help="where to write (default: the input's name with .elf)")


def run(arguments: argparse.Namespace) -> int:
    """Assemble and write."""
    from mtia.compiler.backend.assembled import assemble_program
    from mtia.isa.chip import load_chip

    path = files.source_of(arguments.input).path
    chip = load_chip(arguments.target).name if arguments.target else None
    types = files.argument_types(arguments.signature)
    program = assemble_program(files.read_text(path), str(path), types, chip, arguments.cores)
    files.write_output(program, arguments.output or str(path.with_suffix(".elf")))
    return 0
