"""Pass `lower-tiles-to-pe`: tile operations become instructions of the units.

Tile registers are set apart from commands: what never changes is set once before the program loop, so that a command in
a loop costs its own issue slot, and a DMA command that and the address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.lower_tiles_to_pe_registers import Registers
from mtia.compiler.passes.plan_local_memory import CIRCULAR_BUFFERS, LS_ADDRESS, VIEW_OPS
from mtia.compiler.passes.select_engines_views import Views, create
from mtia.dialects import pe
from mtia.dialects.mlir import ir
from mtia.isa.xmtia.codes import Info

__all__ = ["lower_tiles_to_pe"]

WRITE_SIDE = 1


class Lowering:
    """Lowers one kernel."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.views = Views()
        *_, self.loop, _ = [op.operation for op in function.regions[0].blocks[0].operations]
        self.prologue = ir.InsertionPoint(self.loop)
        self.loc = function.location
        attributes = function.attributes
        self.rings = [list(ir.DenseI64ArrayAttr(entry)) for entry in ir.ArrayAttr(attributes[CIRCULAR_BUFFERS])]
        self.core_bytes = ir.IntegerAttr(attributes["mtia.core_bytes"]).value
        self.accumulator_bytes = ir.IntegerAttr(attributes["mtia.core_accumulators"]).value
        self.core: Any = None
        self.registers = Registers(self.views, self.prologue, self.loop, self.loc)

    def constant(self, value: int) -> Any:
        """An i64 constant, made once."""
        return self.registers.constant(value)

    def shifted(self, base: int, core_bytes: int) -> Any:
        """A base in the part of memory that belongs to this hart."""
        if not core_bytes:
            return self.constant(base)
        with self.prologue, self.loc:
            if self.core is None:
                self.core = pe.command("xm.rdinfo", k=int(Info.CORE))
        i64 = ir.IntegerType.get_signless(64)
        part = create("arith.muli", [self.core, self.constant(core_bytes)], [i64], self.prologue, self.loc)
        return create("arith.addi", [part, self.constant(base)], [i64], self.prologue, self.loc)

    def define_rings(self) -> None:
        """Define every circular buffer once."""
        for cb, space, base, slot_bytes, slots in self.rings:
            first = self.shifted(base | space << 32, self.accumulator_bytes if space else self.core_bytes)
            size = self.constant(slot_bytes | slots << 32)
            with self.prologue, self.loc:
                pe.command("xm.cb.init", first, size, cb=cb)

    # -- operations -------------------------------------------------------------------------------------------------

    def commands(self, block: Any, found: list[Any]) -> list[Any]:
        """All tile operations in program order."""
        for op in block.operations:
            operation = op.operation
            if operation.name.startswith("mtia."):
                found.append(operation)
            for region in operation.regions:
                for inner in region.blocks:
                    self.commands(inner, found)
        return found

    def lower(self) -> None:
        """Lower all of the kernel."""
        found: list[Any] = []
        self.commands(self.loop.regions[0].blocks[0], found)
        self.define_rings()
        for op in found:
            self.registers.count(op)
        self.registers.assign()
        i64 = ir.IntegerType.get_signless(64)
        self.function.attributes["mtia.tile_registers"] = ir.IntegerAttr.get(i64, self.registers.used)
        for op in found:
            with ir.InsertionPoint(op), op.location:
                self.operation(op)
        for op in found:
            op.erase()
        self.hart_memory()

    def operation(self, op: Any) -> None:
        name = op.name.removeprefix("mtia.")
        handler = HANDLERS.get(name)
        if handler is not None:
            handler(self, op)
            return
        mnemonic = MNEMONICS[name]
        if mnemonic.endswith("."):
            key = "predicate" if name == "mask" else "kind"
            mnemonic += ir.StringAttr(op.attributes[key]).value
        self.issue(op, mnemonic)

    def issue(self, op: Any, mnemonic: str) -> None:
        """Issue the command of an operation; its fields are the tile registers of the operands."""
        numbers = self.registers.prepare(op)
        fields = [field.name for field in pe.immediates(pe.OPS[mnemonic].row)]
        pe.command(mnemonic, loc=op.location, **dict(zip(fields, numbers, strict=True)))

    def hart_memory(self) -> None:
        """Give the buffers that the hart touches itself an address, and drop the others."""
        views: list[Any] = []
        allocs: list[Any] = []
        collect(self.function.regions[0].blocks[0], views, allocs)
        for op in reversed(views):
            if not list(op.results[0].uses):
                op.erase()
        for alloc in allocs:
            value = alloc.results[0]
            if list(value.uses):
                with ir.InsertionPoint(alloc), alloc.location:
                    view = create(
                        "pe.view", [self.address(alloc)], [value.type], ir.InsertionPoint(alloc), alloc.location
                    )
                value.replace_all_uses_with(view)
            alloc.erase()

    def address(self, alloc: Any) -> Any:
        """The hart's address of a buffer, in the current slot of its circular buffer."""
        attributes = alloc.attributes
        if "mtia.address" in attributes:
            return self.shifted(LS_ADDRESS + ir.IntegerAttr(attributes["mtia.address"]).value, self.core_bytes)
        cb = ir.IntegerAttr(attributes["mtia.cb"]).value
        offset = ir.IntegerAttr(attributes["mtia.offset"]).value
        _, _, base, _, slots = self.rings[cb]
        if slots == 1:
            return self.shifted(LS_ADDRESS + base + offset, self.core_bytes)
        slot = pe.command("xm.cb.ptr", cb=cb, side=WRITE_SIDE)
        if not offset:
            return slot
        i64 = ir.IntegerType.get_signless(64)
        return ir.Operation.create("arith.addi", results=[i64], operands=[slot, self.constant(offset)]).results[0]


def collect(block: Any, views: list[Any], allocs: list[Any]) -> None:
    for op in block.operations:
        operation = op.operation
        if operation.name in VIEW_OPS:
            views.append(operation)
        elif operation.name == "memref.alloc":
            allocs.append(operation)
        for region in operation.regions:
            for inner in region.blocks:
                collect(inner, views, allocs)


MNEMONICS = {
    "simd_unary": "xm.se.",
    "simd_binary": "xm.se.",
    "simd_ternary": "xm.se.",
    "simd_reduce": "xm.se.",
    "mask": "xm.se.mask.",
    "iota": "xm.se.iota",
    "fill": "xm.mlu.fill",
    "copy": "xm.mlu.copy",
    "transpose": "xm.mlu.trans",
    "gather": "xm.mlu.gather",
    "re_zero": "xm.re.zero",
    "re_scale": "xm.re.scale",
    "re_load": "xm.re.load",
    "re_drain": "xm.re.drain",
    "dma_in": "xm.dma.in",
    "dma_out": "xm.dma.out",
    "dma_in_indexed": "xm.dma.ini",
    "dma_out_indexed": "xm.dma.outi",
    "prefetch": "xm.dma.pre",
}


def _matmul(lowering: Lowering, op: Any) -> None:
    zero = ir.IntegerAttr(op.attributes["zero"]).value
    lowering.issue(op, "xm.dpe.mmz" if zero else "xm.dpe.mma")


def _cb_next(lowering: Lowering, op: Any) -> None:
    pe.command("xm.cb.next", loc=op.location, cb=ir.IntegerAttr(op.attributes["cb"]).value)


def _wait(lowering: Lowering, op: Any) -> None:
    pe.command("xm.wait", lowering.constant(ir.IntegerAttr(op.attributes["units"]).value), loc=op.location)


def _barrier(lowering: Lowering, op: Any) -> None:
    pe.command("xm.barrier", lowering.constant(0), loc=op.location)


def _hart_wait(lowering: Lowering, op: Any) -> None:
    owner = lowering.views.root(op.operands[0]).owner
    pe.command("xm.cb.waitw", loc=op.location, cb=ir.IntegerAttr(owner.attributes["mtia.cb"]).value)


HANDLERS: dict[str, Callable[[Lowering, Any], None]] = {
    "matmul": _matmul,
    "cb_next": _cb_next,
    "wait": _wait,
    "barrier": _barrier,
    "hart_wait": _hart_wait,
}


def _view_memory(function: Any) -> None:
    """Device memory at a computed address is a view for the hart, as local memory is."""
    found: list[Any] = []

    def collect_memory(op: Any) -> Any:
        if op.name == "mtia.memory_at":
            found.append(op)
        return ir.WalkResult.ADVANCE

    function.operation.walk(collect_memory)
    for op in found:
        view = create("pe.view", [op.operands[0]], [op.results[0].type], ir.InsertionPoint(op), op.location)
        op.results[0].replace_all_uses_with(view)
        op.erase()


def _does_something(function: Any) -> bool:
    """Whether there is a program loop: that of an empty kernel has been removed."""
    return any(op.operation.name == "scf.for" for op in function.regions[0].blocks[0].operations)


def lower_tiles_to_pe(module: Any, options: Options) -> None:
    """Lower all kernels of a module in place."""
    with module.context, ir.Location.unknown():
        for op in module.body.operations:
            if op.operation.name == "func.func" and CIRCULAR_BUFFERS in op.attributes:
                if _does_something(op):
                    _view_memory(op)
                    Lowering(op).lower()
                del op.attributes[CIRCULAR_BUFFERS]
