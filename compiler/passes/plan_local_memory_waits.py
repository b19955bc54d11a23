"""Where the hart must wait for the units: before it touches a buffer itself, and before device memory is read back."""

from __future__ import annotations

from typing import Any

from mtia.compiler.passes.plan_local_memory_origins import Origins
from mtia.compiler.passes.select_engines_views import Views, create
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import GLOBAL, memory_space
from mtia.isa.xmtia.codes import Unit

__all__ = ["insert_waits"]

NO_ACCESS = frozenset(
    (
        "memref.alloc",
        "memref.dealloc",
        "memref.reinterpret_cast",
        "memref.collapse_shape",
        "memref.expand_shape",
        "memref.subview",
        "memref.cast",
        "memref.transpose",
        "memref.memory_space_cast",
        "memref.dim",
        "memref.extract_strided_metadata",
        "memref.extract_aligned_pointer_as_index",
        "mtia.hart_wait",
        "mtia.cb_next",
    )
)
READS = frozenset(("memref.load", "vector.load"))  # all else that touches device memory may be a signal to others


class Waits:
    """Walks a function in program order and knows which buffers no command may still touch."""

    def __init__(self) -> None:
        self.views = Views()
        self.origins = Origins(self.views)
        self.settled: set[Any] = set()
        self.sent: set[Any] = set()

    def block(self, block: Any) -> None:
        """Insert waits in a block."""
        for op in list(block.operations):
            operation = op.operation
            if not len(operation.regions):
                self.simple(operation)
                continue
            if has_commands(operation):
                self.settled.clear()
                if operation.name != "scf.if":
                    self.sent |= sent_roots(operation, self.views)
                for region in operation.regions:
                    for inner in region.blocks:
                        self.block(inner)
                self.settled.clear()
            else:
                self.wait(operation, touched(operation, self.views), only_reads(operation, self.views))

    def simple(self, op: Any) -> None:
        name = op.name
        if name in NO_ACCESS:
            return
        roots = roots_of(op, self.views)
        if name.startswith("mtia."):
            self.settled -= roots
            settled = "mtia.settled" in op.attributes  # nothing in the same loop writes what it reads
            if name in ("mtia.dma_in", "mtia.dma_in_indexed") and not settled and self.may_read_back(roots):
                self.drain(op)
            if name in ("mtia.dma_out", "mtia.dma_out_indexed"):
                self.sent |= {root for root in roots if memory_space(root.type) == GLOBAL}
            return
        if name.startswith(("memref.", "vector.")):
            self.wait(op, roots, name in READS)

    def may_read_back(self, roots: set[Any]) -> bool:
        """Whether something that was sent to device memory may be in these buffers."""
        return self.origins.overlap(self.sent, {root for root in roots if memory_space(root.type) == GLOBAL})

    def wait(self, op: Any, roots: set[Any], reads: bool) -> None:
        """The hart touches these buffers in an operation without commands.

        What it writes may tell other programs that what was sent before is there.
        """
        if self.may_read_back(roots) if reads else any(memory_space(root.type) == GLOBAL for root in roots):
            if self.sent:
                self.drain(op)
        local = [
            root for root in roots if memory_space(root.type) != GLOBAL and root not in self.settled and circular(root)
        ]
        for root in sorted(local, key=_place):  # sets have no order of their own; the same input gives the same program
            create("mtia.hart_wait", [root], [], ir.InsertionPoint(op), op.location)
            self.settled.add(root)

    def drain(self, op: Any) -> None:
        """What was sent to device memory must be there before it is read back."""
        units = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 1 << Unit.FI_OUT)
        create("mtia.wait", [], [], ir.InsertionPoint(op), op.location, units=units)


def _place(root: Any) -> tuple[int, ...]:
    attributes = root.owner.attributes
    return tuple(ir.IntegerAttr(attributes[name]).value for name in ("mtia.cb", "mtia.offset") if name in attributes)


def circular(root: Any) -> bool:
    """Whether commands touch a buffer at all."""
    owner = root.owner
    return not isinstance(owner, ir.Block) and "mtia.cb" in owner.attributes


def roots_of(op: Any, views: Views) -> set[Any]:
    """The buffers that an operation names."""
    return {views.root(value) for value in op.operands if isinstance(value.type, ir.MemRefType)}


def has_commands(op: Any) -> bool:
    """Whether an operation contains commands of the units."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                if inner.operation.name.startswith("mtia.") or has_commands(inner.operation):
                    return True
    return False


def only_reads(op: Any, views: Views) -> bool:
    """Whether an operation without commands writes no device memory."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                operation = inner.operation
                if len(operation.regions) and not only_reads(operation, views):
                    return False
                roots = roots_of(operation, views) if operation.name not in NO_ACCESS else set()
                if operation.name not in READS and any(memory_space(root.type) == GLOBAL for root in roots):
                    return False
    return True


def touched(op: Any, views: Views) -> set[Any]:
    """All buffers that the hart touches inside an operation without commands."""
    found: set[Any] = set()
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                operation = inner.operation
                if operation.name not in NO_ACCESS:
                    found |= roots_of(operation, views)
                if len(operation.regions):
                    found |= touched(operation, views)
    return {root for root in found if not inside(root, op)}


def inside(root: Any, op: Any) -> bool:
    """Whether a buffer is made inside an operation."""
    block = root.owner if isinstance(root.owner, ir.Block) else root.owner.operation.block
    while True:
        owner = block.owner.operation
        if owner == op:
            return True
        if owner.name in ("func.func", "builtin.module"):
            return False
        block = owner.block


def sent_roots(op: Any, views: Views) -> set[Any]:
    """Device-memory arguments that DMA writes inside a loop; the next turn may read them."""
    found: set[Any] = set()
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                operation = inner.operation
                if operation.name in ("mtia.dma_out", "mtia.dma_out_indexed"):
                    found |= {root for root in roots_of(operation, views) if memory_space(root.type) == GLOBAL}
                if len(operation.regions):
                    found |= sent_roots(operation, views)
    return found


def insert_waits(function: Any) -> None:
    """Insert all waits of a kernel; programs are independent of each other."""
    for block in function.regions[0].blocks:
        for op in block.operations:
            if op.operation.name == "scf.for":
                for inner in op.operation.regions[0].blocks:
                    Waits().block(inner)
