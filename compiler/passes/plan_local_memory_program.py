"""The loop over the programs of a launch: in round n, hart h of H runs program nH + h, or nH + (H-1-h) where n is odd.

Ids ascend on every hart, so waiting for a lower id always makes progress. The turn of every other round evens out
kernels whose work grows with an id, such as causal attention: a hart with a short program next gets a long one.
"""

from __future__ import annotations

from typing import Any

from mtia.compiler.passes.select_engines_views import create
from mtia.dialects import pe
from mtia.dialects.mlir import ir
from mtia.isa.xmtia.codes import Info

__all__ = ["LAUNCH_BLOCK", "make_program_loop"]

LAUNCH_BLOCK = 0x1000_0000  # u32 grid[3], u32 programs, … (written by the work queue engine)
PROGRAMS = 3


def make_program_loop(function: Any, harts: int, vector_mask: int) -> None:
    """Put the body of a kernel into the program loop, and replace program_id and num_programs.

    `harts` is the number of harts of a PE; when only some of them have the vector unit (bits of `vector_mask`) and the
    kernel has vector code, the others run no programs.
    """
    block = function.regions[0].blocks[0]
    operations = [op.operation for op in block.operations]
    *body, last = operations
    loc = function.location
    start = ir.InsertionPoint.at_block_begin(block)
    with start, loc:
        i64 = ir.IntegerType.get_signless(64)
        address = create("arith.constant", [], [i64], start, loc, value=ir.IntegerAttr.get(i64, LAUNCH_BLOCK))
        kind = ir.MemRefType.get([4], ir.IntegerType.get_signless(32))
        launch = create("pe.view", [address], [kind], start, loc)
        rank, core, pes, cores = (
            pe.command("xm.rdinfo", k=int(item)) for item in (Info.RANK, Info.CORE, Info.PES, Info.CORES)
        )
        grid = Grid(launch, start, loc)
        first = grid.binary("arith.addi", rank, grid.binary("arith.muli", core, pes))
        number = first
        step = grid.binary("arith.muli", pes, cores)
        programs = grid.size(PROGRAMS)
        if has_vectors(function.regions[0]):
            function.attributes["mtia.vector"] = ir.BoolAttr.get(True)
            if vector_mask != (1 << harts) - 1:
                first, step = rank, pes
                programs = grid.programs_of(core, vector_mask.bit_length() - 1, programs)
        rounds, zero, one = grid.rounds(first, step, programs)
    loop = ir.Operation.create("scf.for", operands=[zero, rounds, one], regions=1, loc=loc, ip=ir.InsertionPoint(last))
    inner = loop.regions[0].blocks.append(ir.IndexType.get(), arg_locs=[loc])
    end = ir.Operation.create("scf.yield", loc=loc, ip=ir.InsertionPoint(inner))
    for op in body:
        if op.name != "arith.constant":
            op.move_before(end)
    grid.ip = ir.InsertionPoint(loop)  # what stood first in the block may be in the loop now
    replace_ids(inner, grid, inner.arguments[0], first, step)
    for op in collect(inner, [], ("mtia.hart_number",)):
        place = create("arith.index_cast", [number], [ir.IndexType.get()], ir.InsertionPoint(loop), loc)
        op.results[0].replace_all_uses_with(place)
        op.erase()


class Grid:
    """Sizes of the grid, read from the launch block where they are first needed."""

    def __init__(self, launch: Any, ip: Any, loc: Any) -> None:
        self.launch = launch
        self.ip = ip
        self.loc = loc
        self.sizes: dict[int, Any] = {}

    def binary(self, name: str, left: Any, right: Any, ip: Any = None) -> Any:
        """An integer operation of the type of its operands."""
        return create(name, [left, right], [left.type], ip or self.ip, self.loc)

    def index(self, value: Any) -> Any:
        """A value as an index."""
        return create("arith.index_cast", [value], [ir.IndexType.get()], self.ip, self.loc)

    def constant(self, number: int, like: Any, ip: Any = None) -> Any:
        """An integer constant of the type of `like`."""
        value = ir.IntegerAttr.get(like.type, number)
        return create("arith.constant", [], [like.type], ip or self.ip, self.loc, value=value)

    def compare(self, predicate: int, left: Any, right: Any, ip: Any = None) -> Any:
        """An integer comparison; `predicate` as in arith.cmpi."""
        kind = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), predicate)
        i1 = ir.IntegerType.get_signless(1)
        return create("arith.cmpi", [left, right], [i1], ip or self.ip, self.loc, predicate=kind)

    def place(self, odd: Any, first: Any, step: Any, ip: Any = None) -> Any:
        """Which program of a round is this hart's: `first`, or in odd rounds the one opposite."""
        ip = ip or self.ip
        last = self.binary("arith.subi", step, self.constant(1, step, ip), ip)
        opposite = self.binary("arith.subi", last, first, ip)
        return create("arith.select", [odd, opposite, first], [first.type], ip, self.loc)

    def rounds(self, first: Any, step: Any, programs: Any) -> tuple[Any, Any, Any]:
        """The number of rounds of this hart, with the constants 0 and 1, as indices."""
        count = create("arith.extui", [programs], [step.type], self.ip, self.loc)
        whole = self.binary("arith.divui", count, step)
        left = self.binary("arith.remui", count, step)
        odd = self.compare(1, self.binary("arith.andi", whole, self.constant(1, whole)), self.constant(0, whole))
        more = self.compare(6, self.place(odd, first, step), left)  # unsigned less than
        extra = create("arith.extui", [more], [step.type], self.ip, self.loc)
        numbers = (self.binary("arith.addi", whole, extra), self.constant(0, whole), self.constant(1, whole))
        rounds, zero, one = (self.index(number) for number in numbers)
        return rounds, zero, one

    def programs_of(self, core: Any, chosen: int, programs: Any) -> Any:
        """The number of programs on the chosen hart, 0 on the others."""
        i1, i32 = ir.IntegerType.get_signless(1), programs.type
        number = create(
            "arith.constant", [], [core.type], self.ip, self.loc, value=ir.IntegerAttr.get(core.type, chosen)
        )
        none = create("arith.constant", [], [i32], self.ip, self.loc, value=ir.IntegerAttr.get(i32, 0))
        equal = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)
        mine = create("arith.cmpi", [core, number], [i1], self.ip, self.loc, predicate=equal)
        return create("arith.select", [mine, programs, none], [i32], self.ip, self.loc)

    def size(self, item: int) -> Any:
        """Grid size on an axis, or with PROGRAMS their number, as i32."""
        found = self.sizes.get(item)
        if found is None:
            index = ir.IndexType.get()
            place = create("arith.constant", [], [index], self.ip, self.loc, value=ir.IntegerAttr.get(index, item))
            i32 = ir.IntegerType.get_signless(32)
            found = self.sizes[item] = create("memref.load", [self.launch, place], [i32], self.ip, self.loc)
        return found


def replace_ids(block: Any, grid: Grid, number: Any, first: Any, step: Any) -> None:
    """Compute the ids that the kernel reads from the number of the round; x runs fastest."""
    found = collect(block, [])
    if not found:
        return
    start = ir.InsertionPoint.at_block_begin(block)
    i32 = ir.IntegerType.get_signless(32)
    ids: dict[int, Any] = {}
    axes = {axis_of(op) for op in found if op.name == "mtia.program_id"}
    rest = None
    if axes:
        turn = create("arith.index_cast", [number], [step.type], start, grid.loc)
        low = grid.binary("arith.andi", turn, grid.constant(1, turn, start), start)
        odd = grid.compare(1, low, grid.constant(0, turn, start), start)
        base = grid.binary("arith.muli", turn, step, start)
        program = grid.binary("arith.addi", base, grid.place(odd, first, step, start), start)
        rest = create("arith.trunci", [program], [i32], start, grid.loc)
    for axis in range(max(axes, default=-1) + 1):
        size = grid.size(axis)
        if axis in axes:
            ids[axis] = rest if axis == 2 else grid.binary("arith.remui", rest, size, start)
        if axis < max(axes):
            rest = grid.binary("arith.divui", rest, size, start)
    for op in found:
        value = grid.size(axis_of(op)) if op.name == "mtia.num_programs" else ids[axis_of(op)]
        result = op.results[0]
        if result.type != i32:
            ip = ir.InsertionPoint(op)
            value = create("arith.index_cast", [value], [result.type], ip, op.location)
        result.replace_all_uses_with(value)
        op.erase()


def has_vectors(region: Any) -> bool:
    """Whether a region has operations on vectors."""
    return any(
        op.operation.name.startswith("vector.") or any(has_vectors(inner) for inner in op.operation.regions)
        for block in region.blocks
        for op in block.operations
    )


def collect(
    block: Any, found: list[Any], names: tuple[str, ...] = ("mtia.program_id", "mtia.num_programs")
) -> list[Any]:
    for op in block.operations:
        operation = op.operation
        if operation.name in names:
            found.append(operation)
        for region in operation.regions:
            for inner in region.blocks:
                collect(inner, found, names)
    return found


def axis_of(op: Any) -> int:
    return int(ir.IntegerAttr(op.attributes["axis"]).value)
