"""The machine's functions put together: loop, handlers of the harts, meanings and timings of the units."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mtia.isa import table
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError
from mtia.isa.lang import Fn

from . import hart, hart_program
from .engine import Fast, Interpreter, Reference
from .host import Host, Region

__all__ = ["decoded", "functions", "handler_address", "interpreter", "make_machine", "operations", "prepare"]


@functools.cache
def functions() -> Mapping[str, Fn]:
    """Every function that the host or the machine reaches by its address."""
    from mtia.isa.xmtia.engines import meanings, timings

    from . import loop, memory, unmade

    found: dict[str, Any] = {
        "run_machine": loop.run_machine,
        "run_program": loop.run_program,
        "start_harts": loop.start_harts,
        "note_unmade": unmade.note_unmade,
        "flush_llc": memory.flush_llc,
        "warm_llc": memory.warm_llc,
    }
    found |= {f"meaning of {name}": function for name, function in meanings().items()}
    found |= {f"timing of {name}": function for name, function in timings().items()}
    return found


def operations() -> bytes:
    """The table of instructions for `Host.set_ops`."""
    from . import optable

    return optable.table_of(table.all())


@functools.cache
def interpreter(name: str) -> Interpreter:
    """The interpreter of that name, made once."""
    if name == "fast":
        return Fast(functions, "machine")
    if name == "reference":
        return Reference(functions())
    raise UserError(f"unknown interpreter '{name}'; accepted: fast, reference")


def prepare() -> None:
    """Compile all of the machine's native code into the user's cache, where it is not there yet."""
    interpreter("fast")
    hart.native().load()


def handler_address(interpreter: str, name: str) -> int:
    """Address of a hart's handler, by the row's name."""
    return hart.native().addr(name) if interpreter == "fast" else hart.reference_address(name)


def decoded(text: bytes, base: int, chip: Chip, interpreter: str, vector: bool) -> hart_program.Program:
    """A text section ready for the harts of a machine; without `vector`, vector instructions are illegal."""
    if interpreter == "fast":
        harts = hart.native()
        return hart_program.Program(text, base, chip, harts.addr, vector, harts.load, harts.keep)
    return hart_program.Program(text, base, chip, hart.reference_address, vector)


def make_machine(chip: Chip, name: str, dram: Region | None = None) -> Host:
    """A machine that is ready to start harts."""
    engine = interpreter(name)
    host = Host(chip, engine, dram)
    host.set_ops(engine.keep("ops", operations), engine.addresses())
    host.machine.run_hart = engine.address("run_program")
    return host
