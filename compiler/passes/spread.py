"""`spread`: a model as linalg on tensors becomes kernels whose programs are tiles, and a plan of their launches.

Each kernel is a function over global memrefs with a program id, just as a Triton kernel is at the `memref` stage, so
all later passes serve both. Tensors between kernels live in device memory, in one scratch area shared by lifetime.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.compiler.options import Options
from mtia.compiler.passes.spread_emit import emit_phase, phase_buffers
from mtia.compiler.passes.spread_fuse import fuse, merge_dims
from mtia.compiler.passes.spread_graph import Graph, Group, build_graph, source_line
from mtia.compiler.passes.spread_pack import Packing, pack_parameters
from mtia.compiler.passes.spread_tile import ENGINE_TYPES, TileLimits, choose_tiles, element_bytes
from mtia.compiler.passes.spread_views import Buffer, Dim
from mtia.dialects.mlir import ir, run_passes
from mtia.isa.chip import Chip
from mtia.isa.plan import PhaseCall, Plan, TensorSpec, numpy_type
from numpy.typing import NDArray

__all__ = ["Spread", "spread", "spread_model"]

ALIGN = 256  # bytes between tensors in device memory: whole lines, whole DRAM bursts


@dataclass(frozen=True)
class Spread:
    """Kernels (one module per distinct kernel, by name) and the plan of their launches.

    `constants` are values by tensor name; `packings` say how a rearranged parameter is made.
    """

    kernels: Mapping[str, Any]
    plan: Plan
    constants: Mapping[str, NDArray[Any]]
    packings: Mapping[str, Packing]

    def values(self, params: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The values of all parameters and constants of the plan by name, from the model's parameters."""
        packed = {name: packing.apply(params[packing.source]) for name, packing in self.packings.items()}
        return {**params, **self.constants, **packed}


def spread(module: Any, options: Options) -> None:
    """The pass on a module: `main`, all of whose arguments are inputs, is replaced by the kernels it becomes."""
    function = module.body.operations[0]
    count = len(ir.FunctionType(function.attributes["function_type"].value).inputs)
    made = spread_model(module, ["input"] * count, [f"arg{n}" for n in range(count)], options.chip)
    function.operation.erase()
    for kernel in made.kernels.values():
        kernel.body.operations[0].operation.clone(ip=ir.InsertionPoint(module.body))


def spread_model(module: Any, kinds: Sequence[str], names: Sequence[str], chip: Chip) -> Spread:
    """Spread the `main` function of a module over the PEs of a chip.

    `kinds` (`input` or `param`) and `names` describe the arguments of `main`.
    """
    function = next(op for op in module.body.operations if op.operation.name == "func.func")
    with module.context, ir.Location.unknown():
        graph = build_graph(function, kinds, names)
        fuse(graph)
        for group in graph.groups:
            merge_dims(group)
        packings = pack_parameters(graph)
        return _Planner(graph, chip).run(module, packings)


class _Planner:
    def __init__(self, graph: Graph, chip: Chip) -> None:
        self.graph = graph
        self.limits = TileLimits.of(chip)
        self.numbers: dict[int, int] = {}
        self.buffers: list[Buffer] = []
        self.nodes: dict[int, str] = {}

    def run(self, module: Any, packings: Mapping[str, Packing]) -> Spread:
        kernels: dict[str, Any] = {}
        known: dict[str, str] = {}
        calls: list[PhaseCall] = []
        inputs = tuple(self.number(buffer) for buffer in self.graph.inputs if buffer.kind == "input")
        for group in self.graph.groups:
            tiles = choose_tiles(group, self.limits)
            kernel, programs = _kernel(group, tiles)
            text = kernel.operation.get_asm(enable_debug_info=False)
            if text not in known:
                known[text] = f"phase{len(known)}"
                kernels[known[text]] = _named(kernel, known[text])
            args = tuple(self.number(buffer) for buffer in phase_buffers(group))
            self.nodes[id(group.outputs[0].access.buffer)] = group.node
            macs = group.iterations() if group.contraction else 0
            engine = macs if macs and str(group.root.accesses()[0].buffer.dtype) in ENGINE_TYPES else 0
            calls.append(PhaseCall(known[text], programs, args, group.label, macs, engine))
        outputs = tuple(self.number(buffer) for buffer in self.graph.results)
        offsets, size = self.place(calls)
        tensors = tuple(self.spec(number, buffer, offsets) for number, buffer in enumerate(self.buffers))
        pairs = zip(tensors, self.buffers, strict=True)
        constants = {spec.name: _array(buffer, module) for spec, buffer in pairs if spec.kind == "const"}
        return Spread(kernels, Plan(tensors, tuple(calls), inputs, outputs, size), constants, packings)

    def number(self, buffer: Buffer) -> int:
        if id(buffer) not in self.numbers:
            self.numbers[id(buffer)] = len(self.buffers)
            self.buffers.append(buffer)
        return self.numbers[id(buffer)]

    def spec(self, number: int, buffer: Buffer, offsets: Mapping[int, int]) -> TensorSpec:
        name = buffer.name or (f"const{number}" if buffer.kind == "const" else "")
        node = self.nodes.get(id(buffer), "")
        return TensorSpec(buffer.kind, _dtype(buffer.dtype), buffer.shape, name, node, offsets.get(number, 0))

    def place(self, calls: Sequence[PhaseCall]) -> tuple[dict[int, int], int]:
        """Offsets of the temporaries in the scratch area: first fit among those alive at the same time."""
        life: dict[int, tuple[int, int]] = {}
        for time, call in enumerate(calls):
            for number in call.args:
                if self.buffers[number].kind == "temp":
                    life[number] = (life.get(number, (time, time))[0], time)
        offsets: dict[int, int] = {}
        total = 0
        for number, (born, dead) in sorted(life.items(), key=lambda item: item[1][0]):
            size = -(-self.size(number) // ALIGN) * ALIGN
            taken = sorted(
                (offsets[other], offsets[other] + -(-self.size(other) // ALIGN) * ALIGN)
                for other in offsets
                if life[other][0] <= dead and born <= life[other][1]
            )
            at = 0
            for start, end in taken:
                if at + size <= start:
                    break
                at = max(at, end)
            offsets[number] = at
            total = max(total, at + size)
        return offsets, total

    def size(self, number: int) -> int:
        buffer = self.buffers[number]
        return buffer.elements * element_bytes(buffer.dtype)


def _kernel(group: Group, tiles: Mapping[Dim, int]) -> tuple[Any, int]:
    file, line = source_line(group.where)
    where = ir.Location.file(file or "model", line or 1, 0)  # debug information wants some line
    module = ir.Module.create()
    with ir.InsertionPoint(module.body):
        _, programs = emit_phase(group, tiles, "phase", where)
    run_passes(module, "builtin.module(canonicalize,cse)")
    return module, programs


def _named(module: Any, name: str) -> Any:
    module.body.operations[0].attributes["sym_name"] = ir.StringAttr.get(name)
    return module


def _dtype(kind: Any) -> str:
    return "i64" if str(kind) == "index" else re.sub(r"^[su]i", "i", str(kind))


def _array(buffer: Buffer, module: Any) -> NDArray[Any]:
    """The elements of a dense constant, or of one kept as a resource of the module."""
    found = re.match(r"dense_resource<(\S+)>", str(buffer.value))
    if found is None:
        values = np.array(buffer.value)
    else:  # the bindings give no access to resources but the module's text: alignment (4 bytes), then the elements
        text = module.operation.get_asm(large_elements_limit=0)
        blob = re.search(rf'\b{re.escape(found.group(1))}: "0x([0-9A-Fa-f]*)"', text)
        assert blob is not None
        values = np.frombuffer(bytes.fromhex(blob.group(1))[4:], numpy_type(_dtype(buffer.dtype)))
    return np.broadcast_to(values.reshape(-1), (buffer.elements,)).reshape(buffer.shape)
