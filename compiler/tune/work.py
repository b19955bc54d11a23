"""What one program of a kernel does, counted on its TTIR without compiling it: matrix work, SIMD work, bytes, commands.

Loops weigh with their trip count, found by evaluating the scalar integers of the kernel for given arguments and a few
sample programs; what cannot be evaluated counts once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mtia.dialects import tt
from mtia.dialects.mlir import ir

__all__ = ["Work", "count_work"]


@dataclasses.dataclass
class Work:
    """The work of one program."""

    macs16: float = 0.0  # multiply-accumulates of 16-bit and narrower matrix products
    macs32: float = 0.0  # of fp32 products, which run on the vector hart
    dots: float = 0.0  # matrix commands
    simd_elements: float = 0.0  # elements through the SIMD engine
    simd_commands: float = 0.0
    chain: float = 0.0  # commands that wait for the one before them
    read_bytes: float = 0.0
    write_bytes: float = 0.0
    dmas: float = 0.0
    scalar_waits: float = 0.0  # reductions whose result a hart reads
    tile_bytes: float = 0.0  # local memory of loaded and stored blocks, one slot each
    value_bytes: float = 0.0  # local memory of the largest intermediate values
    accumulator_bytes: float = 0.0
    dot_shapes: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)  # M, N, K, bytes, times

    def scaled(self, factor: float, space: bool = False) -> Work:
        """This work times a factor; the local memory it needs stays, unless `space` is set."""
        made = Work()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "dot_shapes":
                made.dot_shapes = [(*shape, weight * factor) for *shape, weight in value]
            else:
                setattr(made, field.name, value if field.name in _SPACE and not space else value * factor)
        return made

    def __add__(self, other: Work) -> Work:
        made = Work()
        for field in dataclasses.fields(self):
            setattr(made, field.name, getattr(self, field.name) + getattr(other, field.name))
        return made


_SPACE = ("tile_bytes", "value_bytes", "accumulator_bytes")
_INT_OPS: Mapping[str, Callable[[int, int], int]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.minsi": min,
    "arith.maxsi": max,
    "arith.minui": min,
    "arith.maxui": max,
    "arith.divsi": lambda a, b: int(a / b) if b else 0,
    "arith.divui": lambda a, b: a // b if b else 0,
    "arith.remsi": lambda a, b: int(math.fmod(a, b)) if b else 0,
    "arith.remui": lambda a, b: a % b if b else 0,
    "arith.ceildivsi": lambda a, b: -(-a // b) if b else 0,
    "arith.andi": lambda a, b: a & b,
    "arith.ori": lambda a, b: a | b,
    "arith.shli": lambda a, b: a << b,
    "arith.shrsi": lambda a, b: a >> b,
}
_COMPARE: Sequence[Callable[[int, int], bool]] = (
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: abs(a) < abs(b),
    lambda a, b: abs(a) <= abs(b),
    lambda a, b: abs(a) > abs(b),
    lambda a, b: abs(a) >= abs(b),
)
_SAME = ("arith.extsi", "arith.extui", "arith.trunci", "arith.index_cast", "arith.bitcast")


def _tensor(type_: Any) -> tuple[int, Any] | None:
    """Number of elements and element type of a tensor."""
    if not isinstance(type_, ir.RankedTensorType):
        return None
    shaped = ir.RankedTensorType(type_)
    return math.prod(shaped.shape), shaped.element_type


def _bytes(element: Any) -> int:
    if tt.is_pointer(element):
        return 8
    return max(1, int(element.width) // 8)


class _Counter:
    """Walks one program; `values` holds what is known of scalar integers."""

    def __init__(self, arguments: Sequence[int | None], program: Sequence[int], grid: Sequence[int]) -> None:
        self.arguments = arguments
        self.program = program
        self.grid = grid
        self.values: dict[Any, int] = {}

    def function(self, op: Any) -> Work:
        block = op.regions[0].blocks[0]
        for value, known in zip(block.arguments, self.arguments, strict=True):
            if known is not None:
                self.values[value] = known
        return self.block(block)

    def known(self, value: Any) -> int | None:
        return self.values.get(value)

    def block(self, block: Any) -> Work:
        total = Work()
        for op in block.operations:
            total = self.add(total, op.operation)
        return total

    def add(self, total: Work, op: Any) -> Work:
        name = op.name
        if name == "scf.for":
            return self.loop(total, op)
        if name == "scf.if":
            taken = self.known(op.operands[0])
            branches = [self.block(region.blocks[0]) for region in op.regions if len(region.blocks)]
            if taken is not None:
                branches = branches[:1] if taken else branches[1:]
            for branch in branches:
                total = total + branch
            return total
        if name == "scf.while":
            for region in op.regions:
                total = total + self.block(region.blocks[0])
            return total
        if name in ("tt.load", "tt.store", "tt.descriptor_load", "tt.descriptor_store"):
            return self.access(total, op, "load" in name)
        if name == "tt.dot":
            return self.dot(total, op)
        if name in ("tt.reduce", "tt.scan"):
            return self.reduce(total, op)
        self.evaluate(op)
        return self.elementwise(total, op)

    def loop(self, total: Work, op: Any) -> Work:
        low, high, step = (self.known(value) for value in op.operands[:3])
        trips = 1.0
        body = op.regions[0].blocks[0]
        if low is not None and high is not None and step:
            trips = max(0, -(-(high - low) // step))
            self.values[body.arguments[0]] = low + step * int(trips // 2)
        return total + self.block(body).scaled(trips)

    def evaluate(self, op: Any) -> None:
        name, results = op.name, op.results
        if len(results) != 1:
            return
        if name == "arith.constant" and isinstance(op.attributes["value"], ir.IntegerAttr):
            self.values[results[0]] = ir.IntegerAttr(op.attributes["value"]).value
        elif name == "tt.get_program_id":
            self.values[results[0]] = self.program[ir.IntegerAttr(op.attributes["axis"]).value]
        elif name == "tt.get_num_programs":
            self.values[results[0]] = self.grid[ir.IntegerAttr(op.attributes["axis"]).value]
        else:
            operands = [self.known(value) for value in op.operands]
            if any(value is None for value in operands) or not operands:
                return
            known = [value for value in operands if value is not None]
            if name in _INT_OPS:
                self.values[results[0]] = _INT_OPS[name](known[0], known[1])
            elif name in _SAME:
                self.values[results[0]] = known[0]
            elif name == "arith.cmpi":
                predicate = ir.IntegerAttr(op.attributes["predicate"]).value
                self.values[results[0]] = int(_COMPARE[predicate](known[0], known[1]))
            elif name == "arith.select":
                self.values[results[0]] = known[1] if known[0] else known[2]

    def access(self, total: Work, op: Any, load: bool) -> Work:
        type_ = op.results[0].type if load else op.operands[1].type
        shape = _tensor(type_)
        if shape is None:
            total.scalar_waits += 1 if load else 0
            return total
        size = shape[0] * _bytes(shape[1])
        if load:
            total.read_bytes += size
        else:
            total.write_bytes += size
        total.dmas += 1
        total.tile_bytes += size
        return total

    def dot(self, total: Work, op: Any) -> Work:
        left, right = (ir.RankedTensorType(value.type) for value in op.operands[:2])
        m, k = left.shape[-2:]
        n = right.shape[-1]
        batch = math.prod(left.shape[:-2])
        size = _bytes(left.element_type)
        if size <= 2:
            total.macs16 += batch * m * n * k
            total.dot_shapes.append((m, n, k, size, float(batch)))
            total.accumulator_bytes += m * n * 4
        else:
            total.macs32 += batch * m * n * k
            total.value_bytes += m * n * 4
        total.dots += batch
        return total

    def reduce(self, total: Work, op: Any) -> Work:
        shape = _tensor(op.operands[0].type)
        assert shape is not None
        total.simd_elements += shape[0]
        total.simd_commands += 1
        total.chain += 1
        if _tensor(op.results[0].type) is None:
            total.scalar_waits += 1
        return total

    def elementwise(self, total: Work, op: Any) -> Work:
        if not len(op.results) or not op.name.startswith(("arith.", "math.", "tt.extern", "tt.precise", "tt.clamp")):
            return total
        shape = _tensor(op.results[0].type)
        if shape is None or not isinstance(shape[1], ir.FloatType) or op.name == "arith.constant":
            return total
        if op.name in ("arith.extf", "arith.truncf"):  # folded into the neighbour
            return total
        total.simd_elements += shape[0]
        total.simd_commands += 1
        total.chain += 1
        total.value_bytes = max(total.value_bytes, shape[0] * 4)
        return total


def count_work(module: Any, arguments: Sequence[int | None], grid: Sequence[int], samples: int = 5) -> Work:
    """The average work of a program: `arguments` are the kernel's (None where unknown), `grid` its three sizes."""
    kernel = next(op.operation for op in module.body.operations if op.operation.name == "func.func")
    programs = math.prod(grid)
    total = Work()
    chosen = sorted({(2 * i + 1) * programs // (2 * samples) for i in range(samples)})
    for index in chosen:
        program = (index % grid[0], index // grid[0] % grid[1], index // (grid[0] * grid[1]))
        total = total + _Counter(arguments, program, grid).function(kernel)
    return total.scaled(1 / len(chosen), space=True)
