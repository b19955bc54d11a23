"""Show instructions: one by its mnemonic, those of a unit, or all."""

from __future__ import annotations

import argparse
import difflib

from mtia.isa import table
from mtia.isa.errors import UserError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("mnemonic", nargs="?", help="an instruction, such as xm.se.add or vfmacc.vv")
    parser.add_argument("--unit", help="list the instructions of a unit: hart, se, dpe, …")
    parser.add_argument("--manual", action="store_true", help="print the whole manual")


def run(arguments: argparse.Namespace) -> int:
    """Look up and print."""
    if arguments.manual:
        from mtia.isa import manual

        print(manual.manual(), end="")
        return 0
    rows = table.all()
    if arguments.mnemonic is None:
        units = sorted({row.unit for row in rows})
        if arguments.unit is not None and arguments.unit not in units:
            raise UserError(f"unknown unit '{arguments.unit}'; units: {', '.join(units)}")
        for row in rows:
            if arguments.unit in (None, row.unit):
                print(f"{row.syntax:<40} {' '.join(row.text.split())}")
        return 0
    found = table.find(arguments.mnemonic)
    if found is None:
        close = difflib.get_close_matches(arguments.mnemonic, [row.name for row in rows], 3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise UserError(f"no instruction '{arguments.mnemonic}'{hint}")
    print(found.syntax)
    print(f"  encoding   {found.encoding}")
    print(f"  extension  {found.extension.name}")
    print(f"  unit       {found.unit}")
    print(f"  timing     {found.timing}")
    print(f"  {' '.join(found.text.split())}")
    return 0
