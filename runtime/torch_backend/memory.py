"""A caching allocator over a simulated device's memory, with statistics, a history and out-of-memory observers."""

from __future__ import annotations

import collections
import mmap
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from mtia.isa.errors import UserError
from mtia.runtime.device import ALIGN, Buffer, Device

__all__ = ["DeviceMemory", "History", "OutOfMemory"]

LARGE = 1 << 20  # bytes; the host gets the pages of larger places back while nothing is in them
_UNITS = ("bytes", "KiB", "MiB", "GiB")


class OutOfMemory(MemoryError):
    """There is no room on the device; torch raises it as `torch.OutOfMemoryError`."""


def size_text(size: int) -> str:
    """A size for people, such as `1.50 GiB`."""
    number, unit = float(size), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.2f} {_UNITS[unit]}" if unit else f"{size} bytes"


class History:
    """What allocators did, as `torch.mtia.record_memory_history` asks: nothing, live blocks' stacks, or all events."""

    def __init__(self) -> None:
        self.enabled: str | None = None
        self.events: collections.deque[dict[str, Any]] = collections.deque(maxlen=1)

    def start(self, enabled: str | None, entries: int) -> None:
        """Begin, or stop with None."""
        if enabled not in (None, "state", "all"):
            raise UserError(f"unknown kind of memory history '{enabled}'; accepted: None, state, all")
        self.enabled = enabled
        self.events = collections.deque(maxlen=entries or None)

    def frames(self) -> list[dict[str, Any]]:
        """The Python stack, innermost call first, if stacks are recorded."""
        if self.enabled is None:
            return []
        stack = traceback.extract_stack()[:-3]
        return [{"name": f.name, "filename": f.filename, "line": f.lineno} for f in reversed(stack)]

    def note(self, action: str, device: int, address: int, size: int, frames: list[dict[str, Any]]) -> None:
        """Record an event."""
        if self.enabled == "all":
            self.events.append(
                {"action": action, "device": device, "addr": address, "size": size, "stream": 0,
                 "time_us": time.time_ns() // 1000, "frames": frames}
            )  # fmt: skip


class DeviceMemory:
    """Allocations on one device; addresses are the host's, and what is freed is kept for the next of that size."""

    def __init__(self, index: int, device: Device, history: History) -> None:
        self.index, self.device, self.history = index, device, history
        self.offset = device.dram.addr - device.first_address  # from an address of the device to one of the host
        self.observers: list[Callable[[int, int, int, int], Any]] = []
        self.allocated = self.peak = self.reserved = self.peak_reserved = self.made = self.refused = self.retries = 0
        self._live: dict[int, tuple[Buffer, int, list[dict[str, Any]]]] = {}  # host address → buffer, room, frames
        self._kept: dict[int, list[int]] = {}  # bytes of the place → device addresses
        self._lock = threading.RLock()  # autograd has threads of its own

    @property
    def total(self) -> int:
        """Bytes of the device's memory."""
        return self.device.chip.dram.bytes

    def allocate(self, size: int) -> int:
        """The host address of `size` new bytes."""
        with self._lock:
            room = -(-size // ALIGN) * ALIGN
            kept = self._kept.get(room)
            if kept:
                buffer = self.device.reuse(kept.pop(), size, room)
            else:
                buffer = self._fresh(size, room)
                self.reserved += room
                self.peak_reserved = max(self.peak_reserved, self.reserved)
            address = buffer.address + self.offset
            frames = self.history.frames()
            self._live[address] = buffer, room, frames
            self.made += 1
            self.allocated += room
            self.peak = max(self.peak, self.allocated)
            self.history.note("alloc", self.index, address, size, frames)
            return address

    def _fresh(self, size: int, room: int) -> Buffer:
        for attempt in range(2):
            try:
                return self.device.alloc(size)
            except UserError:
                if attempt == 0:
                    self.retries += 1
                    self.empty_cache()
        self.refused += 1
        free = self.total - self.allocated
        self.history.note("oom", self.index, free, size, self.history.frames())
        for observer in self.observers:
            observer(self.index, size, self.total, free)
        chip = self.device.chip.name
        raise OutOfMemory(
            f"mtia:{self.index} is out of memory: {size_text(size)} wanted; {chip} has {size_text(self.total)}, "
            f"of which {size_text(self.allocated)} are in use and {size_text(free)} free, in pieces of at most "
            f"{size_text(self.device.largest_free())}"
        )

    def release(self, address: int) -> int:
        """Keep the place of an allocation for the next one; the bytes of the place."""
        with self._lock:
            buffer, room, frames = self._live.pop(address)
            self.device.keep(buffer)
            offset = buffer.address - self.device.first_address
            if room >= LARGE and offset % mmap.PAGESIZE == 0 and room % mmap.PAGESIZE == 0:
                self.device.dram.clear(offset, room)
            self._kept.setdefault(room, []).append(buffer.address)
            self.allocated -= room
            self.history.note("free_completed", self.index, address, buffer.size, frames)
            return room

    def empty_cache(self) -> None:
        """Give the places that are kept back to the device."""
        with self._lock:
            for room, addresses in self._kept.items():
                for address in addresses:
                    self.device.release(address, room)
                    self.reserved -= room
            self._kept = {}

    def reset_peak(self) -> None:
        """Let the peaks start from now."""
        self.peak, self.peak_reserved = self.allocated, self.reserved

    def owns(self, address: int) -> bool:
        """Whether a host address is in this device's memory."""
        return 0 <= address - self.device.dram.addr < self.total

    def statistics(self) -> dict[str, Any]:
        """What `torch.mtia.memory_stats` gives; sizes in bytes."""
        dram = {
            "allocated_bytes": self.allocated, "peak_bytes": self.peak, "reserved_bytes": self.reserved,
            "peak_reserved_bytes": self.peak_reserved, "total_bytes": self.total,
            "free_bytes": self.total - self.allocated, "allocations": len(self._live), "num_allocations": self.made,
            "num_alloc_retries": self.retries, "num_ooms": self.refused,
        }  # fmt: skip
        return {"dram": dram}

    def segments(self) -> list[dict[str, Any]]:
        """The places, each a segment of one block, in the form of torch's memory viewer."""
        live = [(at, buffer.size, room, frames) for at, (buffer, room, frames) in list(self._live.items())]
        found = [self._segment(*block, state="active_allocated") for block in live]
        for room, addresses in self._kept.items():
            found += [self._segment(a + self.offset, 0, room, [], state="inactive") for a in addresses]
        return sorted(found, key=lambda segment: int(segment["address"]))

    def _segment(self, address: int, size: int, room: int, frames: list[dict[str, Any]], state: str) -> dict[str, Any]:
        used = room if size else 0
        block = {"address": address, "size": room, "requested_size": size, "state": state, "frames": frames}
        return {
            "device": self.index, "address": address, "total_size": room, "allocated_size": used, "active_size": used,
            "requested_size": size, "stream": 0, "segment_type": "large", "segment_pool_id": (0, 0),
            "is_expandable": False, "frames": frames, "blocks": [block],
        }  # fmt: skip
