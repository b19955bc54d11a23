"""Disassemble a PE executable, Xmtia instructions included, with the source lines where it knows them."""

from __future__ import annotations

import argparse
import json

from mtia.isa.errors import UserError
from mtia.tools import files

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", help="an ELF file made by `mtiac compile` or `mtiac as`")
    parser.add_argument("--metadata", action="store_true", help="print the loader's metadata instead")
    parser.add_argument("-o", dest="output", help="where to write instead of standard output")


def run(arguments: argparse.Namespace) -> int:
    """Read and print."""
    from mtia.isa import asm, elf

    path = files.source_of(arguments.input).path
    file = elf.read(path.read_bytes(), str(path))
    if arguments.metadata:
        note = file.section(".mtia")
        if note is None:
            raise UserError("this ELF file has no .mtia section", str(path))
        files.write_output(json.dumps(json.loads(note.data), indent=2) + "\n", arguments.output)
        return 0
    text = file.section(".text")
    if text is None:
        raise UserError("this ELF file has no .text section", str(path))
    symbols = {symbol.name: symbol.value for symbol in file.symbols if not symbol.name.startswith("$")}
    files.write_output(asm.listing(text.data, text.address, symbols), arguments.output)
    return 0
