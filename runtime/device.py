"""A simulated MTIA device: its memory, and buffers in it."""

from __future__ import annotations

import bisect
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError
from mtia.runtime.machine.arrays import numpy_type
from mtia.runtime.machine.host import Host, Region
from mtia.runtime.machine.library import make_machine
from mtia.runtime.machine.memory import DRAM_BASE, LLS_BASE
from mtia.runtime.machine.state import Area

__all__ = ["Buffer", "Device"]

ALIGN = 4096  # of a buffer, bytes


@dataclass(frozen=True)
class Buffer:
    """A range of device memory: address as the kernels see it, size in bytes."""

    address: int
    size: int


@dataclass
class _Allocation:
    """A buffer as it was asked for; `room` with its padding, `written` as a whole by the host or only by `bits`."""

    size: int
    room: int
    written: bool = False
    dirty: bool = False  # some of its bits may be set


class Device:
    """One chip with its DRAM; launches run on it one after another.

    A bit per byte of DRAM says whether anything has written it, but for buffers that the host has written as a whole.
    `map_at` is where the host should see DRAM.
    """

    def __init__(self, chip: Chip | str, map_at: int | None = None) -> None:
        self.chip = load_chip(chip) if isinstance(chip, str) else chip
        self.dram = Region(self.chip.dram.bytes, map_at)
        self._free: list[tuple[int, int]] = [(DRAM_BASE, self.chip.dram.bytes)]  # (address, size), by address
        self._used: dict[int, _Allocation] = {}
        self._starts: list[int] = []  # of the used ones, ascending
        self._bits = Region(self.chip.dram.bytes // 8)
        self._areas: np.ndarray[Any, Any] | None = None
        self._machines: dict[str, Host] = {}
        self.launched = False  # whether a launch has run, so that another can replace it

    def alloc(self, size: int) -> Buffer:
        """Reserve `size` bytes, aligned to 4096; their contents are undefined."""
        need = -(-max(size, 1) // ALIGN) * ALIGN
        for place, (address, room) in enumerate(self._free):
            if room >= need:
                self._free[place : place + 1] = [(address + need, room - need)] if room > need else []
                return self._use(address, size, need)
        raise UserError(f"out of device memory: {size} bytes wanted, {self.chip.dram.bytes} in the device")

    def _use(self, address: int, size: int, room: int) -> Buffer:
        self._used[address] = _Allocation(max(size, 1), room)
        bisect.insort(self._starts, address)
        self._areas = None
        return Buffer(address, size)

    def free(self, buffer: Buffer) -> None:
        """Give a buffer back."""
        self.release(buffer.address, self.keep(buffer))

    def keep(self, buffer: Buffer) -> int:
        """Take a buffer from the kernels but keep its place; the bytes of the place."""
        allocation = self._used.pop(buffer.address, None)
        if allocation is None:
            raise UserError(f"no buffer at {buffer.address:#x}")
        del self._starts[bisect.bisect_left(self._starts, buffer.address)]
        self._areas = None
        if allocation.dirty:
            self._forget(buffer.address, allocation.room)
        return allocation.room

    def reuse(self, address: int, size: int, room: int) -> Buffer:
        """Make a buffer in a place that was kept; its contents are undefined."""
        return self._use(address, size, room)

    def release(self, address: int, room: int) -> None:
        """Give a place back that was kept."""
        place = bisect.bisect(self._free, (address, 0))
        start, end = address, address + room
        if place < len(self._free) and self._free[place][0] == end:
            end += self._free.pop(place)[1]
        if place and sum(self._free[place - 1]) == start:
            start = self._free.pop(place - 1)[0]
            place -= 1
        self._free.insert(place, (start, end - start))

    def _forget(self, address: int, room: int) -> None:
        """Clear the bits of a range that is a multiple of `ALIGN`; whole pages of them go back to the system."""
        first, end = (address - DRAM_BASE) // 8, (address - DRAM_BASE + room) // 8
        low, high = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if low >= high:
            low = high = end
        else:
            self._bits.clear(low, high - low)
        for start, size in ((first, low - first), (high, end - high)):
            self._bits.bytes(start, size)[:] = bytes(size)

    def _note_written(self, address: int, size: int) -> None:
        """The host has written, or may write, a range."""
        place = bisect.bisect_right(self._starts, address)
        if not place:
            return
        start = self._starts[place - 1]
        allocation = self._used[start]
        if allocation.written or address >= start + allocation.room:
            return
        if address == start and size >= allocation.size:
            allocation.written = True
            self._areas = None
            return
        allocation.dirty = True
        first = address - DRAM_BASE
        bits = np.frombuffer(self._bits.bytes(first // 8, (first + size + 7) // 8 - first // 8), np.uint8)
        flags = np.zeros(len(bits) * 8, np.uint8)
        flags[first % 8 : first % 8 + size] = 1
        bits |= np.packbits(flags, bitorder="little")

    @property
    def first_address(self) -> int:
        """The lowest address of device memory."""
        return DRAM_BASE

    def largest_free(self) -> int:
        """The largest buffer there is room for, bytes."""
        return max((size for _, size in self._free), default=0)

    def areas(self, host: Host) -> np.ndarray[Any, Any]:
        """The buffers as the machine checks accesses against them, by address: the scratch SRAM, then DRAM's."""
        if self._areas is None:
            used = sorted(self._used.items())
            rows = np.zeros(1 + len(used), numpy_type(Area))
            rows["start"] = [LLS_BASE, *(address for address, _ in used)]
            rows["size"] = [self.chip.sram.lls_bytes, *(a.size for _, a in used)]
            rows["room"] = [self.chip.sram.lls_bytes, *(a.room for _, a in used)]
            rows["bits"] = [
                0, *(0 if a.written else self._bits.addr + (address - DRAM_BASE) // 8 for address, a in used)
            ]  # fmt: skip
            for _, allocation in used:
                allocation.dirty |= not allocation.written
            self._areas = rows
        self._areas["bits"][0] = host.lls_bits
        self._areas["unwritten"] = self._areas["past"] = 0
        return self._areas

    def view(self, buffer: Buffer) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The buffer's bytes, shared with the device; they count as written."""
        self._note_written(buffer.address, buffer.size)
        return self._content(buffer)

    def _content(self, buffer: Buffer) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.frombuffer(self.dram.bytes(buffer.address - DRAM_BASE, buffer.size), np.uint8)

    def copy_in(self, array: np.ndarray[Any, Any], buffer: Buffer | None = None) -> Buffer:
        """Copy an array to a buffer, a new one if none is given."""
        data = np.ascontiguousarray(array)
        target = buffer if buffer is not None else self.alloc(data.nbytes)
        if data.nbytes > target.size:
            raise UserError(f"an array of {data.nbytes} bytes does not fit a buffer of {target.size}")
        self._content(target)[: data.nbytes] = data.reshape(-1).view(np.uint8)
        self.written(target.address, data.nbytes)
        return target

    def written(self, address: int, size: int) -> None:
        """The host has written device memory by itself."""
        self._note_written(address, size)
        for machine in self._machines.values():
            machine.written(address, size)

    def copy_out(self, buffer: Buffer, array: np.ndarray[Any, Any]) -> None:
        """Copy a buffer's start to an array, which must be contiguous."""
        if array.nbytes > buffer.size:
            raise UserError(f"a buffer of {buffer.size} bytes does not fill an array of {array.nbytes}")
        array.reshape(-1).view(np.uint8)[:] = self._content(buffer)[: array.nbytes]

    def machine(self, interpreter: str) -> Host:
        """The machine of this device for an interpreter, made at first use; both share the device's memory."""
        if interpreter not in self._machines:
            self._machines[interpreter] = make_machine(self.chip, interpreter, self.dram)
        return self._machines[interpreter]
