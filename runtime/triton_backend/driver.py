"""Triton's driver interface over the simulated device; Triton imports this module whenever it is imported itself.

Arguments are mtia tensors, which are on the device, or CPU tensors: of these each storage is copied to the device once
per launch, and back where the kernel changed it. Time is simulated time.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from mtia.isa.errors import UserError
from mtia.runtime import devices
from mtia.runtime.triton_backend.overlap import Variants
from mtia.runtime.triton_backend.timing import Clock, DeviceInterface
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase

__all__ = ["MtiaDriver"]

BACKEND = "mtia"
ANY_WARPS = 1 << 30  # Triton compares warps with this: they mean nothing here
ANY_REGISTERS = 1 << 16  # programs are counted with this: a program has its hart's registers to itself
_NUMBERS: dict[str, int] = {}  # of chips that are not the one of torch's devices, from `MOST` on


def _torch_device() -> Any:
    """The module that registers torch's mtia device, once it has."""
    module = sys.modules.get("mtia.runtime.torch_backend.load")
    return module if module is not None and module.registered() else None


def _gpu_is_there() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


class Utils:
    """What Triton asks for by name: loading, and properties of the device."""

    def __init__(self, driver: MtiaDriver) -> None:
        self.driver = driver

    def load_binary(self, name: str, executable: bytes, shared: int, device: int) -> tuple[Any, Any, int, int, int]:
        """(module, function, tile registers in use, bytes a hart spills, threads allowed) of an executable."""
        from mtia.runtime import elf

        program = elf.load(executable)
        return program, program, int(program.metadata.get("tile_registers", 1)), sum(program.scratch), ANY_WARPS

    def get_device_properties(self, device: int) -> dict[str, int]:
        """The chip in Triton's words; clock rates are in kHz, the bus width in bits."""
        chip = self.driver.chip
        clock_khz = chip.clock_hz // 1000
        return {
            "max_shared_mem": chip.ls.bytes,
            "max_num_regs": ANY_REGISTERS,
            "max_threads_per_sm": chip.hart.count,
            "multiprocessor_count": chip.pes,
            "sm_clock_rate": clock_khz,
            "mem_clock_rate": clock_khz,
            "mem_bus_width": round(chip.dram.bytes_per_second * 8 / (2 * chip.clock_hz)),
            "warpSize": 1,
        }


class Launcher:
    """Launches one compiled kernel; Triton makes one for each."""

    def __init__(self, source: Any, metadata: Any) -> None:
        self.kinds = list(source.signature.values())
        self.variants = Variants(source, metadata)

    def __call__(
        self, x: int, y: int, z: int, stream: int, program: Any, metadata: Any, launch_metadata: Any,
        enter_hook: Callable[..., Any] | None, exit_hook: Callable[..., Any] | None, *values: Any,
    ) -> None:  # fmt: skip
        """Run the kernel over the grid and wait for it."""
        from triton.runtime import driver

        if min(x, y, z) <= 0:
            return
        if enter_hook is not None:
            enter_hook(launch_metadata)
        arguments = _runtime_values(self.kinds, values)
        driver.active.run(self.variants.of(program, arguments), (x, y, z), arguments, stream)
        if exit_hook is not None:
            exit_hook(launch_metadata)


def _runtime_values(kinds: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """The values that are arguments of the compiled kernel: no constants, tuples flattened."""
    found: list[Any] = []
    for kind, value in zip(kinds, values, strict=True):
        if isinstance(kind, tuple):
            found += _runtime_values(kind, value)
        elif isinstance(kind, str) and kind.startswith("tensordesc"):
            if getattr(value, "padding", "zero") != "zero":  # the kernel that is compiled pads with 0
                raise UserError(
                    "a TensorDescriptor of the host pads with 0 here; make it in the kernel to pad with NaN"
                )
            found += [value.base, *value.shape, *value.strides]
        elif kind != "constexpr":
            found.append(value)
    return found


def _ieee_by_default() -> None:
    """Make an fp32 `tl.dot` that names no precision IEEE fp32, where Triton would write tf32."""
    from triton import knobs

    if knobs.language.fp32_default is None:
        knobs.language.fp32_default = "ieee"


class MtiaDriver(DriverBase):  # type: ignore[misc, unused-ignore]
    """Simulated devices of one chip: `MTIA_TARGET` names it, otherwise MTIA 200.

    They are those of torch's mtia device, unless `target` is changed to another chip. `memory_state` is the state
    launches start in (`cold` or `llc`), `last` the result of the latest launch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.target = devices.target()
        self.memory_state = "cold"
        self.last: Any = None
        self.clock = Clock()
        self.utils = Utils(self)
        self.launcher_cls = Launcher
        self._device: Any = None
        self._lock = threading.RLock()  # autograd launches from threads of its own
        _ieee_by_default()

    @staticmethod
    def is_active() -> bool:
        """Whether Triton should use us: when asked to, or when there is no GPU."""
        asked = os.environ.get("TRITON_DEFAULT_BACKEND")
        return asked == BACKEND if asked else not _gpu_is_there()

    @property
    def device(self) -> Any:
        """The current simulated device, made at first use."""
        if self._shared():
            return devices.device(self._index())
        if self._device is None:
            from mtia.runtime.device import Device

            self._device = Device(self.target)
        return self._device

    @property
    def chip(self) -> Any:
        """The chip's numbers."""
        from mtia.isa.chip import load_chip

        return load_chip(self.target)

    def _shared(self) -> bool:
        """Whether kernels run on the devices that torch knows."""
        return _torch_device() is not None and self.target == devices.target()

    def _index(self) -> int:
        import torch

        return int(torch.mtia.current_device())

    def run(self, program: Any, grid: tuple[int, int, int], values: Sequence[Any], stream: int = 0) -> None:
        """Launch a loaded program on tensors and numbers, and wait for it."""
        with self._lock:
            self._run(program, grid, values, stream)

    def _run(self, program: Any, grid: tuple[int, int, int], values: Sequence[Any], stream: int) -> None:
        from mtia.runtime.launch import launch
        from mtia.runtime.triton_backend.arguments import Arguments

        index = self._index() if self._shared() else None
        key = (id(program), grid, tuple(v.data_ptr() if hasattr(v, "data_ptr") else v for v in values))
        known_us = self.clock.skip(key)
        if known_us is not None:
            self._note_time(index, stream, known_us)
            return
        if index is not None:
            self._note_host_writes()
        with Arguments(self.device, values) as arguments:
            result = launch(self.device, program, grid, arguments.encoded, state=self.memory_state)
            self.last = result
            result.check()
            arguments.copy_back()
        self.clock.add(key, result.time_us)
        self._note_time(index, stream, result.time_us)

    def _note_time(self, index: int | None, stream: int, time_us: float) -> None:
        if index is not None:
            _torch_device().native().launched(index, stream, time_us)

    def _note_host_writes(self) -> None:
        ranges = _torch_device().native().take_written()
        if ranges:
            from mtia.runtime.torch_backend import simulator

            simulator.note_written(ranges)

    def map_python_to_cpp_type(self, kind: str) -> str:
        """The C++ type of an argument."""
        if kind.startswith("*"):
            return "void*"
        floats = {"fp16": "_Float16", "bf16": "__bf16", "fp32": "float", "f32": "float", "fp64": "double"}
        return floats.get(kind) or f"{'u' * kind.startswith('u')}int{kind.lstrip('iu')}_t"

    def get_current_target(self) -> GPUTarget:
        """The chip kernels are compiled for."""
        return GPUTarget(BACKEND, self.target, 1)

    def get_current_device(self) -> int:
        """torch's number of the device; Triton keeps executables by it, so another chip has another number."""
        if self.target == devices.target():
            return self._index() if self._shared() else 0
        return _NUMBERS.setdefault(self.target, devices.MOST + len(_NUMBERS))

    def set_current_device(self, device: int) -> None:
        """Choose the device of the next launches."""
        if self._shared():
            import torch

            torch.mtia.set_device(device)

    def get_current_stream(self, device: int | None = None) -> int:
        """torch's current stream of a device."""
        if not self._shared():
            return 0
        import torch

        return int(torch._C._mtia_getCurrentRawStream(self._index() if device is None else device))

    def get_active_torch_device(self) -> Any:
        """Where PyTorch tensors for kernels live."""
        import torch

        if self.target == devices.target() and torch.mtia.is_available():
            return torch.device("mtia", self._index())
        return torch.device("cpu")

    def get_device_interface(self) -> Any:
        """Events and synchronisation, in simulated time."""
        return DeviceInterface(self.clock)

    def get_benchmarker(self) -> Callable[..., Any]:
        """A benchmark that launches once: the simulation is the same every time."""
        return self.clock.benchmark

    def get_empty_cache_for_benchmark(self) -> Any:
        """Called by `triton.testing.do_bench` when it starts to measure."""
        self.clock.begin_measurement()

    def clear_cache(self, cache: Any) -> None:
        """Nothing: a launch starts in the state `memory_state` names, whatever ran before."""
