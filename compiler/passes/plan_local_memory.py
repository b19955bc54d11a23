"""Pass `plan-local-memory`: every buffer gets its circular buffer, slots and offset; the program loop is made.

A buffer that only the SIMD engine touches lies in one scratch circular buffer, where buffers whose lives do not overlap
share bytes; one that only the hart touches lies in plain memory. Every other buffer has a circular buffer of its own
with several slots, which `mtia.cb_next` advances at the end of the block that allocates it, so that the next turn of
the loop can fill one slot while this turn uses another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.plan_local_memory_ahead import fetch_ahead
from mtia.compiler.passes.plan_local_memory_constants import constant_bytes
from mtia.compiler.passes.plan_local_memory_program import make_program_loop
from mtia.compiler.passes.plan_local_memory_waits import insert_waits
from mtia.compiler.passes.select_engines_views import create
from mtia.dialects.mlir import ir, run_passes
from mtia.dialects.mtia import ACCUMULATORS, memory_space
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError

__all__ = [
    "CIRCULAR_BUFFERS",
    "FIRST_BYTE",
    "LS_ADDRESS",
    "STACK_BYTES",
    "LocalMemoryFull",
    "element_bytes",
    "plan_local_memory",
]

LS_ADDRESS = 0x1000_0000
DATA_BYTES = 4096  # constants of the program, after the page of the launch block
FIRST_BYTE = 4096 + DATA_BYTES
STACK_BYTES = 8192  # of one hart, at the top of local memory
ALIGNMENT = 64
CIRCULAR_BUFFERS = "mtia_circular_buffers"  # function attribute: [cb, space, base, slot bytes, slots] each

IN_FLIGHT_BYTES = 32 << 10  # per hart: what hides the latency of device memory at its bandwidth
MOST_SLOTS = 8
MOST_HARDWARE_SLOTS = 64

VIEW_OPS = frozenset(
    (
        "memref.reinterpret_cast",
        "memref.collapse_shape",
        "memref.expand_shape",
        "memref.subview",
        "memref.cast",
        "memref.transpose",
        "memref.memory_space_cast",
    )
)
ELEMENTWISE = frozenset(("mtia.simd_unary", "mtia.simd_binary", "mtia.simd_ternary"))
UNITS = {
    "mtia.dma_in": "in",
    "mtia.dma_out": "out",
    "mtia.dma_in_indexed": "in",
    "mtia.dma_out_indexed": "out",
    "mtia.matmul": "dpe",
    "mtia.simd_unary": "se",
    "mtia.simd_binary": "se",
    "mtia.simd_ternary": "se",
    "mtia.simd_reduce": "se",
    "mtia.iota": "se",
    "mtia.mask": "se",
    "mtia.fill": "mlu",
    "mtia.copy": "mlu",
    "mtia.transpose": "mlu",
    "mtia.gather": "mlu",
    "mtia.re_zero": "re",
    "mtia.re_scale": "re",
    "mtia.re_load": "re",
    "mtia.re_drain": "re",
}


@dataclasses.dataclass
class Buffer:
    """One allocation: where it lives, who touches it, and from which to which operation it is alive."""

    alloc: Any
    bytes: int
    space: int
    block: Any
    units: set[str]
    start: int
    end: int
    first: Any = None  # the operation of its block that uses it first, and the last one
    last: Any = None
    offset: int = 0


@dataclasses.dataclass
class Ring:
    """A circular buffer to be: buffers side by side in every slot.

    Loops that follow each other share one: `turns` are the blocks at whose ends it advances, none for one slot.
    """

    buffers: list[Buffer]
    bytes: int
    space: int
    turns: list[Any]
    span: tuple[int, int]  # first and last operation of the loops it belongs to
    slots: int
    fills: bool  # DMA brings data in
    base: int = 0

    @property
    def depth(self) -> int:
        """How many loops are around the innermost place where it advances."""
        return max((loops_around(block) for block in self.turns), default=0)

    @property
    def total(self) -> int:
        """Bytes of all slots."""
        return self.bytes * self.slots


def loops_around(block: Any) -> int:
    """The number of operations with regions that a block is in, its function not counted."""
    owner = block.owner.operation
    return 0 if owner.name in ("func.func", "builtin.module") else 1 + loops_around(owner.block)


def element_bytes(element: Any) -> int:
    """Bytes of one element in memory; i1 takes a byte."""
    if isinstance(element, ir.IndexType):
        return 8
    return max(1, int(element.width) // 8)


def align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def buffer_bytes(kind: Any) -> int:
    """Bytes of a buffer of a static memref type."""
    if not kind.has_static_shape:
        raise UserError(f"a local buffer of dynamic shape {kind} cannot be placed")
    total = element_bytes(kind.element_type)
    for size in kind.shape:
        total *= size
    return align(total)


class Lives:
    """Program order of a function's operations, and the life of each buffer in it."""

    def __init__(self, region: Any) -> None:
        self.first: dict[Any, int] = {}
        self.last: dict[Any, int] = {}
        self.buffers: list[Buffer] = []
        self.count = 0
        self.allocs: list[Any] = []
        self.number(region)
        for alloc in self.allocs:
            self.add(alloc)

    def number(self, region: Any) -> None:
        for block in region.blocks:
            for op in block.operations:
                operation = op.operation
                self.count += 1
                self.first[operation] = self.count
                if operation.name == "memref.alloc":
                    self.allocs.append(operation)
                for inner in operation.regions:
                    self.number(inner)
                self.last[operation] = self.count

    def span(self, block: Any) -> tuple[int, int]:
        """First and last operation of the operation whose region a block is, or of one branch of two."""
        owner = block.owner.operation
        if owner.name == "scf.if":
            operations = block.operations
            return self.first[operations[0].operation], self.last[operations[len(operations) - 1].operation]
        return self.first.get(owner, 0), self.last.get(owner, self.count)

    def add(self, alloc: Any) -> None:
        value = alloc.results[0]
        start = self.first[alloc]
        buffer = Buffer(alloc, buffer_bytes(value.type), memory_space(value.type), alloc.block, set(), start, start)
        self.follow(value, buffer)
        if buffer.first is not None:
            buffer.start = self.first[buffer.first]
        self.buffers.append(buffer)

    def follow(self, value: Any, buffer: Buffer) -> None:
        """Extend a buffer's life over all uses of it and of views of it."""
        for use in value.uses:
            op = use.owner.operation
            if op.name in VIEW_OPS:
                self.follow(op.results[0], buffer)
                continue
            if op.name != "memref.dealloc":
                buffer.units.add(UNITS.get(op.name, "hart"))
            while op.block != buffer.block:
                op = op.block.owner.operation
            if buffer.first is None or self.first[op] < self.first[buffer.first]:
                buffer.first = op
            if self.last[op] > buffer.end:
                buffer.end, buffer.last = self.last[op], op


def in_place(old: Buffer, new: Buffer) -> bool:
    """Whether the last command that reads one buffer may write the other over it, element by element."""
    op = old.last
    if op is None or op != new.first or op.name not in ELEMENTWISE or old.bytes != new.bytes:
        return False
    mine = (old.alloc.results[0], new.alloc.results[0])
    if len({element_bytes(value.type.element_type) for value in mine}) > 1:  # small buffers are padded to one size
        return False
    windows = set()
    for value in op.operands:
        root = value
        while not isinstance(root.owner, ir.Block) and root.owner.name in VIEW_OPS:
            root = root.owner.operands[0]
        if root in mine:
            strides, offset = value.type.get_strides_and_offset()
            width = element_bytes(value.type.element_type)  # sizes are rounded up, so they do not tell
            windows.add((offset, width, tuple(value.type.shape), tuple(strides)))
    return len(windows) == 1 and next(iter(windows))[0] == 0


def pack(buffers: Iterable[Buffer]) -> int:
    """Give offsets such that buffers alive at the same time do not overlap; gives the bytes needed."""
    placed: list[Buffer] = []
    total = 0
    for buffer in sorted(buffers, key=lambda item: item.start):
        offset = 0
        living = [
            other
            for other in placed
            if other.end >= buffer.start and other.start <= buffer.end and not in_place(other, buffer)
        ]
        for other in sorted(living, key=lambda item: item.offset):
            if offset + buffer.bytes <= other.offset:
                break
            offset = max(offset, other.offset + other.bytes)
        buffer.offset = offset
        placed.append(buffer)
        total = max(total, offset + buffer.bytes)
    return total


def make_rings(lives: Lives, options: Options) -> tuple[list[Ring], list[Buffer]]:
    """The circular buffers wanted, and the buffers that only the hart touches."""
    scratch: list[Buffer] = []
    plain: list[Buffer] = []
    rings: list[Ring] = []
    for buffer in lives.buffers:
        if buffer.space != ACCUMULATORS and buffer.units <= {"hart"}:
            plain.append(buffer)
        elif buffer.space != ACCUMULATORS and buffer.units == {"se"}:
            scratch.append(buffer)
        else:
            fills = "in" in buffer.units
            slots = max(2, options.num_stages)
            if fills:
                slots = max(slots, min(MOST_SLOTS, -(-IN_FLIGHT_BYTES // buffer.bytes)))
            slots = min(slots * options.cb_multiplier, MOST_HARDWARE_SLOTS)
            span = lives.span(buffer.block)
            rings.append(Ring([buffer], buffer.bytes, buffer.space, [buffer.block], span, slots, fills))
    rings = overlay_rings(rings)
    if scratch:
        rings.append(Ring(scratch, pack(scratch), 0, [], (0, lives.count), 1, False))
    return rings, plain


def overlay_rings(rings: list[Ring]) -> list[Ring]:
    """Let loops that follow each other use the same circular buffers, so that dependencies between them are seen."""
    kept: list[Ring] = []
    for ring in sorted(rings, key=lambda ring: -ring.bytes):
        for other in kept:
            apart = ring.span[1] < other.span[0] or other.span[1] < ring.span[0]
            if ring.space == ACCUMULATORS:  # loops between those that share it already may share it too
                apart = not any(lives_beside(mine, theirs) for mine in ring.turns for theirs in other.turns)
            alike = ring.space == other.space and ring.fills == other.fills
            if apart and alike and (2 * ring.bytes > other.bytes or ring.space == ACCUMULATORS):
                other.buffers += ring.buffers
                other.turns += ring.turns
                other.span = min(other.span[0], ring.span[0]), max(other.span[1], ring.span[1])
                other.slots = min(other.slots, ring.slots)
                break
        else:
            kept.append(ring)
    return kept


def lives_beside(one: Any, other: Any) -> bool:
    """Whether one block is the other, or around it: what is made in both may live at the same time."""
    return is_inside(one, other) or is_inside(other, one)


def is_inside(block: Any, around: Any) -> bool:
    """Whether a block is another one or inside it."""
    while block != around:
        owner = block.owner.operation
        if owner.name in ("func.func", "builtin.module"):
            return False
        block = owner.block
    return True


def merge_rings(rings: list[Ring], most: int) -> list[Ring]:
    """Put buffers into shared circular buffers until there are few enough, side by side where they live together."""
    rings = sorted(rings, key=lambda ring: ring.bytes)
    while len(rings) > most:
        found = mergeable(rings)
        if found is None:
            for ring in rings:
                ring.slots, ring.turns = 1, []
            continue
        into, other = found
        rings.remove(other)
        into.buffers += other.buffers
        into.bytes = pack(into.buffers)
        into.slots = min(into.slots, other.slots)
        into.fills = into.fills or other.fills
    return rings


def share_slots(rings: list[Ring]) -> list[Ring]:
    """Let buffers that advance at the same place and never live together lie in the same bytes of a slot."""
    kept: list[Ring] = []
    for ring in sorted(rings, key=lambda ring: -ring.bytes):
        for other in kept:
            alike = ring.space == other.space and ring.turns == other.turns
            if alike and not any(in_the_way(mine, buffer) for mine in ring.buffers for buffer in other.buffers):
                other.buffers += ring.buffers
                other.bytes = pack(other.buffers)
                other.fills = other.fills or ring.fills
                break
        else:
            kept.append(ring)
    return kept


def in_the_way(one: Buffer, other: Buffer) -> bool:
    """Whether two buffers live at the same time."""
    return one.end >= other.start and one.start <= other.end


def mergeable(rings: list[Ring]) -> tuple[Ring, Ring] | None:
    """The two smallest circular buffers that advance at the same place in the same space."""
    for position, ring in enumerate(rings):
        for other in rings[position + 1 :]:
            if ring.space == other.space and ring.turns == other.turns:
                return ring, other
    return None


def fit(rings: list[Ring], available: int, space: int, where: str, alloc: Any | None) -> None:
    """Take slots away, from the largest first, until all fit; a user error when one slot each does not."""
    mine = [ring for ring in rings if (ring.space == ACCUMULATORS) == (space == ACCUMULATORS)]
    while (needed := sum(ring.total for ring in mine)) > available:
        for least in (3, 2, 1):
            candidates = [ring for ring in mine if ring.slots > least]
            if candidates:
                break
        else:
            largest = max(mine, key=lambda ring: ring.bytes)
            raise too_large(largest.buffers[0].alloc, where, needed, available)
        victim = max(candidates, key=lambda ring: (ring.bytes * (ring.slots > 2) * 1000 + ring.bytes, -ring.depth))
        victim.slots -= 1


class LocalMemoryFull(UserError):
    """The buffers of a kernel do not fit."""


def too_large(alloc: Any, where: str, needed: int, available: int) -> LocalMemoryFull:
    """The error for a kernel whose buffers do not fit."""
    file, line, column = place_of(alloc.location)
    return LocalMemoryFull(
        f"the blocks of this kernel need {needed} bytes of {where}, {available} are available; use smaller blocks",
        file,
        line,
        column,
    )


def place_of(location: Any) -> tuple[str | None, int | None, int | None]:
    """File, line and column of a location, as far as it has them."""
    while hasattr(location, "child_loc"):
        location = location.child_loc
    if hasattr(location, "filename"):
        return location.filename, location.start_line, location.start_col
    return None, None, None


def place(rings: list[Ring], first: int, plain_bytes: int) -> int:
    """Give bases; local memory from `first`, accumulators from 0. Gives the end in local memory."""
    local, accumulators = first + plain_bytes, 0
    for ring in rings:
        if ring.space == ACCUMULATORS:
            ring.base = accumulators
            accumulators += ring.total
        else:
            ring.base = local
            local += ring.total
    return local


def annotate(function: Any, rings: list[Ring], plain: list[Buffer], first: int) -> None:
    """Write the plan into the IR, and advance the circular buffers."""
    i64 = ir.IntegerType.get_signless(64)
    table = []
    for number, ring in enumerate(rings):
        space = int(ring.space == ACCUMULATORS)
        table.append(ir.DenseI64ArrayAttr.get([number, space, ring.base, ring.bytes, ring.slots]))
        for buffer in ring.buffers:
            buffer.alloc.attributes["mtia.cb"] = ir.IntegerAttr.get(i64, number)
            buffer.alloc.attributes["mtia.offset"] = ir.IntegerAttr.get(i64, buffer.offset)
        for block in ring.turns if ring.slots > 1 else []:
            last = block.operations[len(block.operations) - 1]
            loc = ring.buffers[0].alloc.location
            create("mtia.cb_next", [], [], ir.InsertionPoint(last), loc, cb=ir.IntegerAttr.get(i64, number))
    for buffer in plain:
        buffer.alloc.attributes["mtia.address"] = ir.IntegerAttr.get(i64, first + buffer.offset)
    function.attributes[CIRCULAR_BUFFERS] = ir.ArrayAttr.get(table)


def plan_function(function: Any, options: Options) -> None:
    """Plan one kernel."""
    chip = options.chip
    lives = Lives(function.regions[0])
    rings, plain = make_rings(lives, options)
    rings = merge_rings(rings, chip.cp.usable_circular_buffers)
    plain_bytes = align(pack(plain))
    first = FIRST_BYTE + constant_bytes(function)
    cores = chip.hart.count if options.use_dual_core else 1
    shared = "mtia.vector" in function.attributes and chip.hart.vector_mask != (1 << chip.hart.count) - 1
    parts = 1 if shared else cores
    try:
        available = fit_all(rings, plain, plain_bytes, chip, parts, first)
    except UserError:
        rings = share_slots(rings)
        try:
            available = fit_all(rings, plain, plain_bytes, chip, parts, first)
        except UserError:
            if parts == 1:
                raise
            cores = parts = 1
            available = fit_all(rings, plain, plain_bytes, chip, parts, first)
    if shared:
        cores = chip.hart.count  # the harts without a vector unit only end at once
    end = place(rings, first, plain_bytes)
    annotate(function, rings, plain, first)
    i64 = ir.IntegerType.get_signless(64)
    for name, value in (
        ("cores", cores),
        ("data_limit", LS_ADDRESS + first),
        ("core_bytes", available if parts > 1 else 0),
        ("core_accumulators", chip.re.bytes // parts if parts > 1 else 0),
        ("local_bytes", end - first),
    ):
        function.attributes[f"mtia.{name}"] = ir.IntegerAttr.get(i64, value)


def fit_all(rings: list[Ring], plain: list[Buffer], plain_bytes: int, chip: Chip, cores: int, first: int) -> int:
    """Fit both memories for a number of harts; gives the bytes of local memory that one hart has."""
    local = (chip.ls.bytes - first - chip.hart.count * STACK_BYTES) // cores // ALIGNMENT * ALIGNMENT
    if plain_bytes > local:
        raise too_large(plain[0].alloc, "local memory", plain_bytes, local)
    slots = [ring.slots for ring in rings]
    try:
        fit(rings, local - plain_bytes, 0, "local memory", None)
        fit(rings, chip.re.bytes // cores, ACCUMULATORS, "the accumulators", None)
    except UserError:
        for ring, count in zip(rings, slots, strict=True):
            ring.slots = count
        raise
    return local


def plan_local_memory(module: Any, options: Options) -> None:
    """Plan all kernels of a module in place."""
    with module.context, ir.Location.unknown():
        for op in module.body.operations:
            if op.operation.name == "func.func" and op.regions[0].blocks:
                make_program_loop(op, options.chip.hart.count, options.chip.hart.vector_mask)
        run_passes(module, "builtin.module(loop-invariant-code-motion,cse)")
        for op in module.body.operations:
            if op.operation.name == "func.func" and op.regions[0].blocks:
                plan_function(op, options)
                insert_waits(op, options.overlapping)
                fetch_ahead(op)
