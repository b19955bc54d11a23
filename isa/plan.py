"""What a compiled model tells the runtime: its tensors, and the phases to launch one after another."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from mtia.isa.errors import UserError
from numpy.typing import NDArray

__all__ = ["DTYPE_BYTES", "CompiledModel", "PhaseCall", "Plan", "TensorSpec", "numpy_type"]

DTYPE_BYTES = {
    "f64": 8, "i64": 8, "f32": 4, "i32": 4, "f16": 2, "bf16": 2, "i16": 2, "i8": 1, "i1": 1, "ui8": 1,
}  # fmt: skip


@dataclass(frozen=True)
class TensorSpec:
    """A dense row-major tensor in device memory.

    `kind`: `input`, `param`, `const`, `temp` or `output`; `name` is the input's or parameter's name in the model;
    `node` is the graph node whose value it holds (empty for a part of one); `offset` is the place of a `temp` in the
    scratch area, bytes.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    name: str = ""
    node: str = ""
    offset: int = 0

    @property
    def bytes(self) -> int:
        """Size in device memory."""
        return prod(self.shape) * DTYPE_BYTES[self.dtype]


@dataclass(frozen=True)
class PhaseCall:
    """One launch: a kernel of the program on `grid` programs; `args` are tensor numbers in argument order."""

    kernel: str
    grid: int
    args: tuple[int, ...]
    node: str = ""
    macs: int = 0
    engine_macs: int = 0


@dataclass(frozen=True)
class Plan:
    """A whole model: run `phases` in order; `scratch` bytes hold all temporaries."""

    tensors: tuple[TensorSpec, ...]
    phases: tuple[PhaseCall, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    scratch: int

    def to_json(self) -> str:
        """The plan as text."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Plan:
        """The plan that `to_json` wrote."""
        raw = json.loads(text)
        tensors = tuple(TensorSpec(**{**spec, "shape": tuple(spec["shape"])}) for spec in raw["tensors"])
        phases = tuple(PhaseCall(**{**call, "args": tuple(call["args"])}) for call in raw["phases"])
        return Plan(tensors, phases, tuple(raw["inputs"]), tuple(raw["outputs"]), raw["scratch"])


def numpy_type(dtype: str) -> np.dtype[Any]:
    """The numpy type of a plan's element type."""
    if dtype == "bf16":
        brain: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return brain
    if dtype == "i1":
        return np.dtype(np.bool_)
    found: np.dtype[Any] = np.dtype(f"{dtype[0]}{DTYPE_BYTES[dtype]}")
    return found


@dataclass(frozen=True)
class CompiledModel:
    """A model ready to run: the plan, an executable per kernel, the values of parameters and constants by name.

    On disk it is a zip archive: `plan.json`, `<kernel>.elf`, and `values/<tensor>` (bytes).
    """

    plan: Plan
    target: str
    programs: Mapping[str, bytes]
    values: Mapping[str, NDArray[Any]]

    def to_bytes(self) -> bytes:
        """The archive."""
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("target", self.target)
            archive.writestr("plan.json", self.plan.to_json())
            for name, program in self.programs.items():
                archive.writestr(f"{name}.elf", program)
            for number, spec in enumerate(self.plan.tensors):
                if spec.kind in ("param", "const"):
                    value = np.ascontiguousarray(self.values[spec.name]).astype(numpy_type(spec.dtype), copy=False)
                    archive.writestr(f"values/{number}", value.tobytes())
        return whole.getvalue()

    @staticmethod
    def from_bytes(data: bytes, file: str | None = None) -> CompiledModel:
        """The model of an archive; a damaged or foreign one is a UserError."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                plan = Plan.from_json(archive.read("plan.json").decode())
                programs = {name: archive.read(f"{name}.elf") for name in {call.kernel for call in plan.phases}}
                values = {
                    spec.name: np.frombuffer(archive.read(f"values/{number}"), numpy_type(spec.dtype)).reshape(
                        spec.shape
                    )
                    for number, spec in enumerate(plan.tensors)
                    if spec.kind in ("param", "const")
                }
                return CompiledModel(plan, archive.read("target").decode(), programs, values)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise UserError(f"no compiled model, or a damaged one ({error})", file) from None

    @staticmethod
    def load(path: str | Path) -> CompiledModel:
        """The model in a file."""
        try:
            return CompiledModel.from_bytes(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise UserError(f"cannot read: {error.strerror}", str(path)) from None
