"""The checks of strict runs by name, and what they count without stopping the program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mtia.isa.errors import UserError

__all__ = ["CHECKS", "DeviceRead", "all_but", "checks_of"]

CHECKS = {
    "unwritten": "local memory and accumulators are read only where something was written (trap UNWRITTEN)",
    "races": "of two accesses to the same local bytes, one of them a write, one waits for the other (trap RACE)",
    "buffers": "device memory is accessed only inside buffers (trap OUTSIDE); reads of bytes that nothing has "
    "written, and of the padding behind a buffer, are counted and reported",
}


def checks_of(strict: bool | Iterable[str]) -> frozenset[str]:
    """The names of the checks that are on: all, none, or those given."""
    if isinstance(strict, bool):
        return frozenset(CHECKS if strict else ())
    names = frozenset([strict] if isinstance(strict, str) else strict)
    unknown = sorted(names - CHECKS.keys())
    if unknown:
        raise UserError(f"unknown check '{unknown[0]}'; checks: {', '.join(CHECKS)}")
    return names


def all_but(allowed: str | None) -> frozenset[str]:
    """The checks without those of a list with commas, as the command line takes it; None: all of them."""
    if allowed is None:
        return checks_of(True)
    return checks_of(True) - checks_of(part.strip() for part in allowed.split(","))


@dataclass(frozen=True)
class DeviceRead:
    """Bytes of a buffer that a launch read though nothing had written them, or in the padding behind it.

    The first access: its device address, PE, hart, unit (None: the hart itself), instruction and source line.
    """

    buffer: int
    size: int
    padding: bool
    bytes: int
    address: int
    pe: int
    hart: int
    unit: str | None
    pc: int
    file: str | None = None
    line: int | None = None

    def text(self, name: str | None = None) -> str:
        """One line for the user; `name` is the argument's."""
        from mtia.runtime.machine.state import HART_NAMES

        where = "in the padding behind" if self.padding else "that nothing had written in"
        buffer = f"{name or 'the buffer'} ({self.size} bytes at {self.buffer:#x})"
        who = f"PE {self.pe}, {self.unit or HART_NAMES[self.hart]}, pc {self.pc:#x}"
        place = f"{self.file}:{self.line}: " if self.file else ""
        return f"{place}read {self.bytes} bytes {where} {buffer}, first at {self.address:#x} ({who})"
