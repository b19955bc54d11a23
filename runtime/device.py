"""A simulated MTIA device: its memory, and buffers in it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError
from mtia.runtime.machine.host import Host, Region
from mtia.runtime.machine.library import make_machine
from mtia.runtime.machine.memory import DRAM_BASE

__all__ = ["Buffer", "Device"]

ALIGN = 4096  # of a buffer, bytes


@dataclass(frozen=True)
class Buffer:
    """A range of device memory: address as the kernels see it, size in bytes."""

    address: int
    size: int


class Device:
    """One chip with its DRAM; launches run on it one after another."""

    def __init__(self, chip: Chip | str) -> None:
        self.chip = load_chip(chip) if isinstance(chip, str) else chip
        self.dram = Region(self.chip.dram.bytes)
        self._free: list[tuple[int, int]] = [(DRAM_BASE, self.chip.dram.bytes)]  # (address, size), by address
        self._used: dict[int, int] = {}
        self._machines: dict[str, Host] = {}
        self.launched = False  # whether a launch has run, so that another can replace it

    def alloc(self, size: int) -> Buffer:
        """Reserve `size` bytes, aligned to 4096; their contents are undefined."""
        need = -(-max(size, 1) // ALIGN) * ALIGN
        for place, (address, room) in enumerate(self._free):
            if room >= need:
                self._free[place : place + 1] = [(address + need, room - need)] if room > need else []
                self._used[address] = need
                return Buffer(address, size)
        raise UserError(f"out of device memory: {size} bytes wanted, {self.chip.dram.bytes} in the device")

    def free(self, buffer: Buffer) -> None:
        """Give a buffer back."""
        size = self._used.pop(buffer.address, None)
        if size is None:
            raise UserError(f"no buffer at {buffer.address:#x}")
        place = bisect.bisect(self._free, (buffer.address, 0))
        start, end = buffer.address, buffer.address + size
        if place < len(self._free) and self._free[place][0] == end:
            end += self._free.pop(place)[1]
        if place and sum(self._free[place - 1]) == start:
            start = self._free.pop(place - 1)[0]
            place -= 1
        self._free.insert(place, (start, end - start))

    def view(self, buffer: Buffer) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The buffer's bytes, shared with the device."""
        return np.frombuffer(self.dram.bytes(buffer.address - DRAM_BASE, buffer.size), np.uint8)

    def copy_in(self, array: np.ndarray[Any, Any], buffer: Buffer | None = None) -> Buffer:
        """Copy an array to a buffer, a new one if none is given."""
        data = np.ascontiguousarray(array)
        target = buffer if buffer is not None else self.alloc(data.nbytes)
        if data.nbytes > target.size:
            raise UserError(f"an array of {data.nbytes} bytes does not fit a buffer of {target.size}")
        self.view(target)[: data.nbytes] = data.reshape(-1).view(np.uint8)
        return target

    def copy_out(self, buffer: Buffer, array: np.ndarray[Any, Any]) -> None:
        """Copy a buffer's start to an array, which must be contiguous."""
        if array.nbytes > buffer.size:
            raise UserError(f"a buffer of {buffer.size} bytes does not fill an array of {array.nbytes}")
        array.reshape(-1).view(np.uint8)[:] = self.view(buffer)[: array.nbytes]

    def machine(self, interpreter: str) -> Host:
        """The machine of this device for an interpreter, made at first use; both share the device's memory."""
        if interpreter not in self._machines:
            self._machines[interpreter] = make_machine(self.chip, interpreter, self.dram)
        return self._machines[interpreter]
