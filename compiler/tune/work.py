"""What one program of a kernel does, counted on its TTIR without compiling it: steps of units, and loops around them.

Loops have the trip count found by evaluating the scalar integers of the kernel for given arguments and one program;
what cannot be evaluated counts once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtia.compiler.tune.tiles import LINE, Tiles
from mtia.dialects import tt
from mtia.dialects.mlir import ir

__all__ = ["LINE", "Loop", "Program", "Step", "count_steps", "count_work", "moved_bytes"]


@dataclass(frozen=True)
class Step:
    """One command: its unit, the tile it makes or moves, and the values it reads and writes.

    `size` is bytes of an element that moves, or that a matrix product reads; `inner` is K of a product.
    """

    unit: str  # fi_in, fi_out, dpe, se, re, or hart for what no engine does
    shape: tuple[int, ...]
    size: int
    result: int
    sources: tuple[int, ...] = ()
    inner: int = 1
    precise: bool = False
    lines: int = 0  # of device memory that the transfer touches

    @property
    def elements(self) -> int:
        """Elements of the tile."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the tile."""
        return self.elements * self.size


@dataclass(frozen=True)
class Loop:
    """Steps that run `trips` times; (inside, first, next) of every carried value."""

    trips: int
    body: tuple[Step | Loop, ...]
    carried: tuple[tuple[int, int, int], ...] = ()


Program = tuple[Step | Loop, ...]
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
# Views of their operand, or conversions that the neighbouring command does on the way.
_VIEWS = (
    "tt.broadcast", "tt.expand_dims", "tt.reshape", "tt.splat", "tt.trans", "arith.extf", "arith.truncf", "tt.bitcast",
    "arith.bitcast",
)  # fmt: skip
_PRECISE = ("math.exp", "math.exp2", "math.log", "math.log2", "math.sqrt", "math.rsqrt", "math.sin", "math.cos",
            "math.tanh", "math.erf", "tt.extern_elementwise", "tt.precise_sqrt")  # fmt: skip
_NOTHING = -1  # no value


def _tensor(type_: Any) -> tuple[tuple[int, ...], Any] | None:
    """Shape and element type of a tensor."""
    if not isinstance(type_, ir.RankedTensorType):
        return None
    shaped = ir.RankedTensorType(type_)
    return tuple(shaped.shape), shaped.element_type


def _bytes(element: Any) -> int:
    if tt.is_pointer(element):
        return 8
    return max(1, int(element.width) // 8)


def _narrows_a_copy(op: Any) -> bool:
    """Whether a conversion cannot be part of the command that makes its operand, which others read as it is."""
    return op.name == "arith.truncf" and len(list(op.operands[0].uses)) > 1


class _Counter:
    """Walks one program; `values` holds what is known of scalar integers, `numbers` names the values of steps."""

    def __init__(self, arguments: Sequence[int | None], program: Sequence[int], grid: Sequence[int]) -> None:
        self.arguments = arguments
        self.program = program
        self.grid = grid
        self.values: dict[Any, int] = {}
        self.numbers: dict[Any, int] = {}
        self.tiles = Tiles(self.values)
        self.next = 0

    def new(self) -> int:
        self.next += 1
        return self.next

    def function(self, op: Any) -> Program:
        block = op.regions[0].blocks[0]
        for value, known in zip(block.arguments, self.arguments, strict=True):
            if known is not None:
                self.values[value] = known
        return tuple(self.block(block))

    def sources(self, values: Sequence[Any]) -> tuple[int, ...]:
        return tuple(self.numbers[value] for value in values if value in self.numbers)

    def block(self, block: Any) -> Iterator[Step | Loop]:
        for op in block.operations:
            yield from self.steps(op.operation)

    def steps(self, op: Any) -> Iterator[Step | Loop]:
        name = op.name
        if name == "scf.for":
            yield self.loop(op)
        elif name == "scf.if":
            yield from self.branches(op)
        elif name == "scf.while":
            for region in op.regions:
                yield from self.block(region.blocks[0])
        elif name in ("tt.load", "tt.store", "tt.descriptor_load", "tt.descriptor_store"):
            yield self.access(op, "load" in name)
        elif name == "tt.dot":
            yield from self.dot(op)
        elif name in ("tt.reduce", "tt.scan"):
            yield self.reduce(op)
        elif name in _VIEWS and op.operands[0] in self.numbers and not _narrows_a_copy(op):
            self.numbers[op.results[0]] = self.numbers[op.operands[0]]
            self.tiles.evaluate(op)
        else:
            self.evaluate(op)
            self.tiles.evaluate(op)
            yield from self.elementwise(op)

    def branches(self, op: Any) -> Iterator[Step | Loop]:
        taken = self.values.get(op.operands[0])
        regions = [region for region in op.regions if len(region.blocks)]
        if taken is not None:
            regions = regions[:1] if taken else regions[1:]
        for region in regions:
            yield from self.block(region.blocks[0])
            ends = region.blocks[0].operations
            for result, value in zip(op.results, ends[len(ends) - 1].operation.operands, strict=False):
                if value in self.numbers:
                    self.numbers[result] = self.numbers[value]

    def loop(self, op: Any) -> Loop:
        low, high, step = (self.values.get(value) for value in op.operands[:3])
        trips = 1
        body = op.regions[0].blocks[0]
        if low is not None and high is not None and step:
            trips = max(0, -(-(high - low) // step))
            self.values[body.arguments[0]] = low + step * (trips // 2)
        inside = list(body.arguments)[1:]
        first = [self.numbers.get(value, _NOTHING) for value in list(op.operands)[3:]]
        for value, start in zip(inside, list(op.operands)[3:], strict=True):
            if _tensor(value.type) is not None:
                self.numbers[value] = self.new()
            self.tiles.same(value, start)
        steps = tuple(self.block(body))
        ends = body.operations
        after = [self.numbers.get(value, _NOTHING) for value in ends[len(ends) - 1].operation.operands]
        carried = []
        for value, start, end, result in zip(inside, first, after, op.results, strict=True):
            if value in self.numbers:
                carried.append((self.numbers[value], start, end))
                self.numbers[result] = self.numbers[value]
        return Loop(trips, steps, tuple(carried))

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
            operands = [self.values.get(value) for value in op.operands]
            known = [value for value in operands if value is not None]
            if not known or len(known) != len(operands):
                return
            if name in _INT_OPS:
                self.values[results[0]] = _INT_OPS[name](known[0], known[1])
            elif name in _SAME:
                self.values[results[0]] = known[0]
            elif name == "arith.cmpi":
                predicate = ir.IntegerAttr(op.attributes["predicate"]).value
                self.values[results[0]] = int(_COMPARE[predicate](known[0], known[1]))
            elif name == "arith.select":
                self.values[results[0]] = known[1] if known[0] else known[2]

    def made(self, op: Any) -> int:
        """The number of an operation's result."""
        number = self.numbers[op.results[0]] = self.new()
        return number

    def access(self, op: Any, load: bool) -> Step:
        moved = op.results[0] if load else op.operands[1]
        shape, element = _tensor(moved.type) or ((1,), moved.type)
        size = _bytes(element)
        lines = self.tiles.lines(op, shape, size, mask=1 if load else 2)
        if load:
            return Step("fi_in", shape, size, self.made(op), lines=lines)
        return Step("fi_out", shape, size, _NOTHING, self.sources([moved]), lines=lines)

    def dot(self, op: Any) -> Iterator[Step]:
        left, right = (ir.RankedTensorType(value.type) for value in op.operands[:2])
        size = _bytes(left.element_type)
        shape = (*left.shape[:-1], right.shape[-1])
        number = self.made(op)
        unit = "dpe" if size <= 2 else "hart"
        yield Step(unit, shape, size, number, self.sources(op.operands), left.shape[-1])

    def reduce(self, op: Any) -> Step:
        found = _tensor(op.operands[0].type)
        assert found is not None
        return Step("se", found[0], 4, self.made(op), self.sources(op.operands))

    def elementwise(self, op: Any) -> Iterator[Step]:
        """A command of the SIMD engine; an accumulator that goes on into a product is scaled where it is."""
        if not len(op.results) or op.name == "arith.constant":
            return
        if not op.name.startswith(("arith.", "math.", "tt.extern", "tt.precise", "tt.clamp")):
            return
        shape, element = _tensor(op.results[0].type) or ((1,), op.results[0].type)
        if not isinstance(element, ir.FloatType):
            return
        sources = self.sources(op.operands)
        if not sources:
            return
        if op.name == "arith.select" and op.operands[0] not in self.numbers:
            yield Step("se", shape, 1, self.new(), ())  # the mask
        into_product = any(use.owner.name == "tt.dot" and use.operand_number == 2 for use in op.results[0].uses)
        unit = "re" if into_product else "se"
        yield Step(unit, shape, 4, self.made(op), sources, precise=op.name in _PRECISE)


def count_work(module: Any, arguments: Sequence[int | None], grid: Sequence[int], program: int = 0) -> Program:
    """The steps of one program: `arguments` are the kernel's (None where unknown), `grid` its three sizes."""
    kernel = next(op.operation for op in module.body.operations if op.operation.name == "func.func")
    place = (program % grid[0], program // grid[0] % grid[1], program // (grid[0] * grid[1]))
    return _Counter(arguments, place, grid).function(kernel)


def moved_bytes(program: Program) -> tuple[float, float]:
    """Bytes of the lines that a program reads and writes."""
    read = written = 0.0
    for item in program:
        if isinstance(item, Loop):
            inner = moved_bytes(item.body)
            read, written = read + item.trips * inner[0], written + item.trips * inner[1]
        elif item.unit == "fi_in":
            read += item.lines * LINE
        elif item.unit == "fi_out":
            written += item.lines * LINE
    return read, written


def count_steps(program: Program) -> int:
    """The number of steps that a program runs."""
    return sum(item.trips * count_steps(item.body) if isinstance(item, Loop) else 1 for item in program)
