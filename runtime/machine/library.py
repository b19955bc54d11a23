"""The machine's functions put together: loop, handlers of the harts, meanings and timings of the units."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mtia.isa.chip import Chip
from mtia.isa.errors import UserError
from mtia.isa.lang import Fn
from mtia.isa.xmtia.engines import meanings, timings

from . import hart, loop, memory
from .engine import Fast, Interpreter, Reference
from .host import Host, Region

__all__ = ["functions", "handler_address", "make_machine", "prepare"]

_MEANING, _TIMING = "meaning of ", "timing of "


@functools.cache
def functions() -> Mapping[str, Fn]:
    """Every function that the host or the machine reaches by its address."""
    found: dict[str, Any] = {
        "run_machine": loop.run_machine,
        "run_program": loop.run_program,
        "start_harts": loop.start_harts,
        "flush_llc": memory.flush_llc,
        "warm_llc": memory.warm_llc,
    }
    found |= {_MEANING + name: function for name, function in meanings().items()}
    found |= {_TIMING + name: function for name, function in timings().items()}
    return found


@functools.cache
def _engine(interpreter: str) -> Interpreter:
    if interpreter == "fast":
        return Fast(functions, "machine")
    if interpreter == "reference":
        return Reference(functions())
    raise UserError(f"unknown interpreter '{interpreter}'; accepted: fast, reference")


def prepare() -> None:
    """Compile the machine's native code into the user's cache, where it is not there yet."""
    _engine("fast")
    hart.native()


def handler_address(interpreter: str, name: str) -> int:
    """Address of a hart's handler, by the row's name."""
    return hart.native().addr(name) if interpreter == "fast" else hart.reference_address(name)


def make_machine(chip: Chip, interpreter: str, dram: Region | None = None) -> Host:
    """A machine that is ready to start harts."""
    engine = _engine(interpreter)
    host = Host(chip, engine, dram)
    host.set_ops(
        {name: engine.address(_TIMING + name) for name in timings()},
        {name: engine.address(_MEANING + name) for name in meanings()},
    )
    host.machine.run_hart = engine.address("run_program")
    return host
