"""List the chips, or show every number of one with its source."""

from __future__ import annotations

import argparse
import dataclasses
import json

from mtia.isa import chip

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("target", nargs="?", help="a chip, or the path of a chip file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """List or show."""
    if arguments.target is None:
        chips = [chip.load_chip(name) for name in chip.known_chips()]
        if arguments.json:
            print(json.dumps([{"name": c.name, "pes": c.pes, "clock_hz": c.clock_hz} for c in chips]))
            return 0
        for c in chips:
            print(
                f"{c.name:<10} {c.grid.rows}x{c.grid.cols} PEs at {c.clock_hz / 1e9:.2f} GHz, "
                f"{c.ls.bytes >> 10} KiB local memory, {c.sram.bytes >> 20} MiB SRAM, "
                f"{c.dram.bytes_per_second / 1e9:.0f} GB/s DRAM"
            )
        return 0
    shown = chip.load_chip(arguments.target)
    values = {
        f"{section.name}.{field.name}": getattr(getattr(shown, section.name), field.name)
        for section in dataclasses.fields(shown)
        if dataclasses.is_dataclass(getattr(shown, section.name))
        for field in dataclasses.fields(getattr(shown, section.name))
    }
    values["clock_hz"] = shown.clock_hz
    if arguments.json:
        print(json.dumps({"name": shown.name, **values}))
        return 0
    width = max(map(len, values))
    for key, value in values.items():
        print(f"{key:<{width}}  {value!s:>14}  {shown.sources.get(key, '')}")
    return 0
