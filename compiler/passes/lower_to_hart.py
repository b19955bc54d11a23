"""`lower-to-hart`: a kernel without the units, as loops of loads and stores on the hart.

It stands where `select-engines` stands when the option `hart_only` asks for code that any RV64GCV hart with Zfh runs.
"""

from __future__ import annotations

from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes import hart_loops
from mtia.compiler.passes.select_engines_views import Views, create, index_constant
from mtia.dialects.mlir import arith, ir, run_passes

__all__ = ["lower_to_hart"]


def lower_to_hart(module: Any, options: Options) -> None:
    """Replace linalg operations, copies and DMA by loops, in place."""
    found: list[Any] = []

    def collect(operation: Any) -> Any:
        if operation.name.startswith(("linalg.", "mtia.")) or operation.name == "memref.copy":
            found.append(operation)
            return ir.WalkResult.SKIP
        return ir.WalkResult.ADVANCE

    with module.context, ir.Location.unknown():
        module.operation.walk(collect, ir.WalkOrder.PRE_ORDER)
        views = Views()
        for operation in found:
            name = operation.name
            if name == "memref.copy":
                hart_loops.lower_copy(operation)
            elif name.startswith("linalg."):
                hart_loops.lower(operation, views)
            elif name == "mtia.wait":
                operation.erase()  # there is no unit to wait for
            elif name in _TRANSFERS:
                _lower_transfer(operation)
    run_passes(module, "builtin.module(func.func(convert-linalg-to-loops))")


# name → whether it goes from device memory to local memory, whether rows are indexed
_TRANSFERS = {
    "mtia.dma_in": (True, False),
    "mtia.dma_out": (False, False),
    "mtia.dma_in_indexed": (True, True),
    "mtia.dma_out_indexed": (False, True),
    "mtia.prefetch": (True, False),
}


class _Loops:
    """A nest of loops under construction: `indices` of the loops made so far, `ip` inside the innermost."""

    def __init__(self, op: Any) -> None:
        self.loc = op.location
        self.ip = ir.InsertionPoint(op)
        self.indices: list[Any] = []

    def constant(self, value: int) -> Any:
        return index_constant(value, self.ip, self.loc)

    def enter(self, low: Any, high: Any) -> None:
        """Open a loop from low to high (index values)."""
        loop = ir.Operation.create(
            "scf.for", operands=[low, high, self.constant(1)], regions=1, loc=self.loc, ip=self.ip
        )
        block = loop.regions[0].blocks.append(ir.IndexType.get(), arg_locs=[self.loc])
        self.ip = ir.InsertionPoint(ir.Operation.create("scf.yield", loc=self.loc, ip=ir.InsertionPoint(block)))
        self.indices.append(block.arguments[0])

    def load(self, source: Any, place: list[Any]) -> Any:
        return create("memref.load", [source, *place], [source.type.element_type], self.ip, self.loc)

    def store(self, value: Any, target: Any, place: list[Any]) -> None:
        create("memref.store", [value, target, *place], [], self.ip, self.loc)


def _lower_transfer(op: Any) -> None:
    is_in, is_indexed = _TRANSFERS[op.name]
    if op.name != "mtia.prefetch":
        segments = list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))
        source, target, *rest = op.operands
        index = rest.pop(0) if is_indexed else None
        count = segments[3 if is_indexed else 2]
        low, high, fill = rest[:count], rest[count : 2 * count], rest[2 * count :]
        if is_in and count:
            _fill(op, target, fill[0] if fill else None)
        _move(op, source, target, index, low, high, is_in)
    op.erase()


def _fill(op: Any, target: Any, value: Any) -> None:
    """Write the fill value everywhere: what lies outside the valid range keeps it."""
    loops = _Loops(op)
    if value is None:
        element = target.type.element_type
        zero = ir.FloatAttr.get(element, 0.0) if isinstance(element, ir.FloatType) else ir.IntegerAttr.get(element, 0)
        value = create("arith.constant", [], [element], loops.ip, loops.loc, value=zero)
    for size in target.type.shape:
        loops.enter(loops.constant(0), loops.constant(size))
    loops.store(value, target, loops.indices)


def _move(op: Any, source: Any, target: Any, index: Any, low: list[Any], high: list[Any], is_in: bool) -> None:
    """Copy the valid range element by element; rows of the device's side go through the index list."""
    local = (target if is_in else source).type
    loops = _Loops(op)
    for dim, size in enumerate(local.shape):
        with loops.ip, loops.loc:
            first = arith.maxsi(low[dim], loops.constant(0)) if low else loops.constant(0)
            last = arith.minsi(high[dim], loops.constant(size)) if high else loops.constant(size)
        loops.enter(first, last)
    remote = list(loops.indices)
    if index is not None:
        row = loops.load(index, loops.indices[:1])
        remote[0] = create("arith.index_cast", [row], [ir.IndexType.get()], loops.ip, loops.loc)
    places = (remote, loops.indices) if is_in else (loops.indices, remote)
    loops.store(loops.load(source, places[0]), target, places[1])
