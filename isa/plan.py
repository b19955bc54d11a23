"""What a compiled model tells the runtime: its tensors, and the phases to launch one after another."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from math import prod

__all__ = ["DTYPE_BYTES", "PhaseCall", "Plan", "TensorSpec"]

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
