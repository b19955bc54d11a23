"""What the native part of the device asks Python for: memory, properties, statistics."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError
from mtia.runtime import devices
from mtia.runtime.device import Buffer
from mtia.runtime.torch_backend.memory import DeviceMemory, History, OutOfMemory

__all__ = ["Properties", "buffer_of", "chip", "memory", "note_written"]

history = History()


def init() -> None:
    """Check what the user chose, when the device is used for the first time."""
    try:
        devices.count()
        chip()
    except UserError as error:
        raise RuntimeError(error.message) from None


@functools.cache
def chip() -> Chip:
    """The chip of all devices."""
    return load_chip(devices.target())


@functools.cache
def memory(index: int) -> DeviceMemory:
    """The memory of a device."""
    return DeviceMemory(index, devices.device(index), history)


def _made() -> list[DeviceMemory]:
    return [memory(index) for index in range(devices.count())]


def _owner(address: int) -> DeviceMemory:
    for found in _made():
        if found.owns(address):
            return found
    raise RuntimeError(f"{address:#x} is not in the memory of an mtia device")


def allocate(index: int, size: int) -> int:
    """The host address of `size` bytes on a device."""
    try:
        return memory(index).allocate(size)
    except OutOfMemory:
        raise
    except UserError as error:
        raise RuntimeError(error.message) from None


def release(address: int) -> int:
    """Free what `allocate` gave; the bytes it took."""
    return _owner(address).release(address)


def device_of(address: int) -> int:
    """The device whose memory holds a host address."""
    return _owner(address).index


def buffer_of(index: int, address: int, size: int) -> Buffer:
    """The part of device memory at a host address, for a launch."""
    return Buffer(address - memory(index).offset, size)


def note_written(ranges: Sequence[tuple[int, int]]) -> None:
    """Tell the devices which ranges of host addresses the host has written since the last launch."""
    for begin, end in ranges:
        found = _owner(begin)
        found.device.written(begin - found.offset, end - begin)


def empty_cache() -> None:
    """Give back what no tensor uses, on all devices."""
    for found in _made():
        found.empty_cache()


def memory_stats(index: int) -> dict[str, Any]:
    """Sizes and counts of a device's allocations."""
    return memory(index).statistics()


def counts(index: int) -> tuple[int, int, int, int, int]:
    """(allocated, its peak, reserved, its peak, refused) for `torch.accelerator`; bytes."""
    found = memory(index)
    return found.allocated, found.peak, found.reserved, found.peak_reserved, found.refused


def memory_info(index: int) -> tuple[int, int]:
    """(free, total) bytes."""
    found = memory(index)
    return found.total - found.allocated, found.total


def reset_peak(index: int) -> None:
    """Let a device's peak start from now."""
    memory(index).reset_peak()


def record_history(enabled: str | None, stacks: str, entries: int) -> None:
    """Begin to record allocations, or stop; only Python stacks are recorded."""
    history.start(enabled, entries)


def snapshot() -> dict[str, Any]:
    """Segments and events in the form of torch's memory viewer."""
    traces = [[event for event in history.events if event["device"] == found.index] for found in _made()]
    return {"segments": [segment for found in _made() for segment in found.segments()], "device_traces": traces}


def attach_observer(observer: Callable[[int, int, int, int], Any]) -> None:
    """Call `observer(device, size wanted, total, free)` when a device is out of memory; bytes."""
    for found in _made():
        found.observers.append(observer)


def warn_fallback(name: str) -> None:
    """Tell the user that an operator ran on the CPU."""
    warnings.warn(
        f"{name} has no kernel for the mtia device and runs on the CPU (said once for each operator; "
        "MTIA_FALLBACK=quiet or error changes that)",
        RuntimeWarning,
        stacklevel=2,
    )


def capability(index: int) -> tuple[int, int]:
    """(generation, 0): 2 for MTIA 200, 3 for MTIA 300."""
    digits = "".join(filter(str.isdigit, chip().name))
    return int(digits) // 100, int(digits) % 100


def _let_inductor_measure() -> None:
    """Give Inductor a benchmark of our own: a simulated launch always takes the same time, so once is enough.

    Inductor asks for the properties before it measures anything, and is imported then.
    """
    benchmarking = sys.modules.get("torch._inductor.runtime.benchmarking")
    if benchmarking is not None and "mtia" not in benchmarking._BENCHMARK_DISPATCH:
        benchmarking.register_benchmarker("mtia", _measure)


def _measure(benchmarker: Any, call: Callable[[], Any], **unused: Any) -> float:
    """Simulated milliseconds of one call."""
    import torch

    start, end = torch.mtia.Event(enable_timing=True), torch.mtia.Event(enable_timing=True)
    start.record()
    call()
    end.record()
    return float(start.elapsed_time(end))


class Properties(dict[str, Any]):
    """A device's properties: a dict, as `torch.mtia` documents, whose entries Inductor reads as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def properties(index: int) -> Properties:
    """The chip in torch's words; sizes in bytes.

    The grid's height and width are PEs; `multi_processor_count` is what runs programs independently, two harts a PE.
    """
    _let_inductor_measure()
    c = chip()
    major, minor = capability(index)
    return Properties(
        name=c.arch, arch=c.name, major=major, minor=minor, total_memory=c.dram.bytes,
        max_grid_height=c.grid.rows, max_grid_width=c.grid.cols, multi_processor_count=c.pes * c.hart.count,
        warp_size=1, max_threads_per_block=1024, L2_cache_size=c.llc_bytes, local_memory=c.ls.bytes,
        sram=c.sram.bytes, clock_rate=c.clock_hz // 1000,
    )  # fmt: skip
