"""Running a compiled model on a device: its phases one after another, with the result of every layer on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.isa.errors import UserError
from mtia.isa.plan import CompiledModel, TensorSpec, numpy_type
from mtia.runtime import elf
from mtia.runtime.device import Buffer, Device
from mtia.runtime.launch import LaunchResult, launch
from mtia.runtime.profile import Observer
from numpy.typing import NDArray

__all__ = ["LoadedModel", "ModelRun"]


@dataclass(frozen=True)
class ModelRun:
    """What one run gave: results in the model's order, values by graph node (if kept), and every launch's outcome."""

    outputs: tuple[NDArray[Any], ...]
    layers: Mapping[str, NDArray[Any]]
    launches: tuple[LaunchResult, ...]

    @property
    def cycles(self) -> int:
        """Clocks of all launches together."""
        return sum(result.cycles for result in self.launches)

    @property
    def time_us(self) -> float:
        """Simulated microseconds of all launches together."""
        return sum(result.time_us for result in self.launches)


class LoadedModel:
    """A compiled model in the memory of a device: parameters are copied once, inputs at each run."""

    def __init__(self, device: Device, model: CompiledModel) -> None:
        self.device = device
        self.plan = model.plan
        self.programs = {name: elf.load(program) for name, program in model.programs.items()}
        self.scratch = device.alloc(max(model.plan.scratch, 1))
        self.buffers: list[Buffer] = []
        for spec in self.plan.tensors:
            if spec.kind == "temp":
                self.buffers.append(Buffer(self.scratch.address + spec.offset, spec.bytes))
                continue
            buffer = device.alloc(max(spec.bytes, 1))
            if spec.kind in ("param", "const"):
                self._write(spec, buffer, model.values[spec.name])
            self.buffers.append(buffer)

    def __call__(
        self, *inputs: NDArray[Any], keep_layers: bool = False, state: str = "cold", interpreter: str = "fast",
        strict: bool | Iterable[str] = True, values: bool = True, observer: Callable[[], Observer] | None = None,
    ) -> ModelRun:  # fmt: skip
        """Run the model on arrays of the shapes it was compiled for.

        With `keep_layers` the value of every graph node that reaches device memory is copied out as soon as it is made.
        `state`, `interpreter`, `strict` and `values` are those of `launch`; `observer` makes one for each launch.
        """
        self._copy_inputs(inputs)
        layers: dict[str, NDArray[Any]] = {}
        results: list[LaunchResult] = []
        for call in self.plan.phases:
            arguments = [self.buffers[number] for number in call.args]
            result = launch(
                self.device, self.programs[call.kernel], (call.grid,), arguments, state=state,
                interpreter=interpreter, strict=strict, values=values,
                observer=observer() if observer else None,
            )  # fmt: skip
            results.append(result.check())
            if keep_layers and call.node:
                made = [number for number in call.args if self.plan.tensors[number].node == call.node]
                layers.update((call.node, self._read(number)) for number in made)
        outputs = tuple(self._read(number) for number in self.plan.outputs)
        return ModelRun(outputs, layers, tuple(results))

    def free(self) -> None:
        """Give the device memory back."""
        for spec, buffer in zip(self.plan.tensors, self.buffers, strict=True):
            if spec.kind != "temp":
                self.device.free(buffer)
        self.device.free(self.scratch)

    def _copy_inputs(self, inputs: Sequence[NDArray[Any]]) -> None:
        if len(inputs) != len(self.plan.inputs):
            raise UserError(f"the model takes {len(self.plan.inputs)} inputs, {len(inputs)} given")
        for number, array in zip(self.plan.inputs, inputs, strict=True):
            spec = self.plan.tensors[number]
            wanted = numpy_type(spec.dtype)
            if tuple(array.shape) != spec.shape:
                raise UserError(f"input '{spec.name}' has shape {tuple(array.shape)}, compiled for {spec.shape}")
            if array.dtype != wanted:
                raise UserError(f"input '{spec.name}' has type {array.dtype}, compiled for {wanted}")
            self._write(spec, self.buffers[number], array)

    def _write(self, spec: TensorSpec, buffer: Buffer, array: NDArray[Any]) -> None:
        self.device.copy_in(np.ascontiguousarray(array).astype(numpy_type(spec.dtype), copy=False), buffer)

    def _read(self, number: int) -> NDArray[Any]:
        spec = self.plan.tensors[number]
        array = np.empty(spec.shape, numpy_type(spec.dtype))
        self.device.copy_out(self.buffers[number], array)
        return array
