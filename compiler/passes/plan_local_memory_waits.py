"""Where the hart must wait for the units: before it touches a buffer itself; before device memory that was sent is read
back, and before device memory that is still being read is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mtia.compiler.passes.memory_origins import Origins
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
SENDS = ("mtia.dma_out", "mtia.dma_out_indexed")
FETCHES = ("mtia.dma_in", "mtia.dma_in_indexed")
ACCUMULATE = ("mtia.matmul", "mtia.re_load")  # what they write they also read, or write in part
READS = frozenset(("memref.load", "vector.load"))  # all else that touches device memory may be a signal to others


class Waits:
    """Walks a function in program order and knows which buffers no command may still touch."""

    def __init__(self, overlapping: Sequence[Sequence[int]] = ()) -> None:
        self.views = Views()
        self.origins = Origins(self.views, overlapping)
        self.settled: set[Any] = set()
        self.sent: set[Any] = set()
        self.reading: dict[Any, Any] = {}  # buffer that DMA may still be filling → device memory it comes from
        self.behind: dict[Any, frozenset[Any]] = {}  # buffer → buffers that were filled before it could be computed

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
                    self.reading |= read_roots(operation, self.views)
                self.regions(operation)
                self.settled.clear()
            else:
                self.wait(operation, touched(operation, self.views), only_reads(operation, self.views))

    def regions(self, op: Any) -> None:
        """Insert waits in the regions of an operation; what one branch waited for says nothing in the other."""
        reading, behind = dict(self.reading), dict(self.behind)
        ends = []
        for region in op.regions:
            if op.name == "scf.if":
                self.settled.clear()
                self.reading, self.behind = dict(reading), dict(behind)
            for inner in region.blocks:
                self.block(inner)
            ends.append((dict(self.reading), dict(self.behind)))
        self.reading = {buffer: source for end, _ in ends for buffer, source in end.items()}
        known = {buffer for _, end in ends for buffer in end}
        self.behind = {
            buffer: frozenset.intersection(*(end.get(buffer, frozenset()) for _, end in ends)) for buffer in known
        }

    def simple(self, op: Any) -> None:
        name = op.name
        if name in NO_ACCESS:
            return
        roots = roots_of(op, self.views)
        if name.startswith("mtia."):
            self.settled -= roots
            settled = "mtia.settled" in op.attributes  # nothing in the same loop writes what it reads
            if name in FETCHES and not settled and self.may_read_back(roots):
                self.drain(op)
            if name in SENDS:
                sent = {root for root in roots if memory_space(root.type) == GLOBAL}
                self.overtake(op, sent, self.waited_for(roots - sent))
                self.sent |= sent
            else:
                self.follow(op)
            return
        if name.startswith(("memref.", "vector.")):
            self.wait(op, roots, name in READS)

    def follow(self, op: Any) -> None:
        """Note what the buffer that a command writes waits for."""
        buffers = [self.views.root(value) for value in op.operands if isinstance(value.type, ir.MemRefType)]
        if not buffers:
            return
        if op.name in FETCHES:
            self.reading[buffers[1]] = buffers[0]
            self.behind[buffers[1]] = self.waited_for(buffers[1:]) | {buffers[1]}
            return
        target = buffers[0] if op.name == "mtia.re_scale" else buffers[-1]
        own = {target} if op.name in ACCUMULATE else set()
        self.behind[target] = self.waited_for({*buffers[:-1], *own} if target == buffers[-1] else buffers)

    def waited_for(self, buffers: Iterable[Any]) -> frozenset[Any]:
        """Buffers that were filled before these could be."""
        return frozenset().union(*(self.behind.get(buffer, frozenset()) for buffer in buffers))

    def overtake(self, op: Any, sent: set[Any], before: frozenset[Any]) -> None:
        """A store must not come to device memory before an earlier load of it that it does not depend on."""
        open_ = [source for buffer, source in self.reading.items() if buffer not in before]
        if self.origins.overlap(open_, sent):
            self.drain(op, Unit.FI_IN)
            self.reading.clear()

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
        if not reads:
            self.overtake(op, {root for root in roots if memory_space(root.type) == GLOBAL}, frozenset())
        local = [
            root for root in roots if memory_space(root.type) != GLOBAL and root not in self.settled and circular(root)
        ]
        for root in sorted(local, key=_place):  # sets have no order of their own; the same input gives the same program
            create("mtia.hart_wait", [root], [], ir.InsertionPoint(op), op.location)
            self.settled.add(root)
            for buffer in (*self.waited_for([root]), root):
                self.reading.pop(buffer, None)

    def drain(self, op: Any, unit: int = Unit.FI_OUT) -> None:
        """What was sent to device memory must be there before it is read back (or what is read, before it changes)."""
        units = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 1 << unit)
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
                if operation.name in SENDS:
                    found |= {root for root in roots_of(operation, views) if memory_space(root.type) == GLOBAL}
                if len(operation.regions):
                    found |= sent_roots(operation, views)
    return found


def read_roots(op: Any, views: Views) -> dict[Any, Any]:
    """Buffers that DMA fills inside a loop, with the device memory; the next turn may write it."""
    found: dict[Any, Any] = {}
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                operation = inner.operation
                if operation.name in FETCHES:
                    found[views.root(operation.operands[1])] = views.root(operation.operands[0])
                if len(operation.regions):
                    found |= read_roots(operation, views)
    return found


def insert_waits(function: Any, overlapping: Sequence[Sequence[int]] = ()) -> None:
    """Insert all waits of a kernel; programs are independent of each other.

    `overlapping` are groups of arguments, by number, that may share memory.
    """
    for block in function.regions[0].blocks:
        for op in block.operations:
            if op.operation.name == "scf.for":
                for inner in op.operation.regions[0].blocks:
                    waits = Waits(overlapping)
                    waits.block(inner)
                    waits.origins.note(function)
