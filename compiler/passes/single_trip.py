"""Pass `single-trip`: loops over blocks of the same data are also there as straight code, for data of one block.

A kernel that walks over a row several times, block by block, is mostly launched with blocks as large as the row: then
each loop makes one trip, and reads what the one before has read. Behind a comparison of the bounds the loops stand
without the loops, and memory that nothing has written since is loaded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.hart_loops import rebind
from mtia.compiler.passes.memory_origins import Origins
from mtia.compiler.passes.select_engines_views import Views
from mtia.dialects.mlir import ir

__all__ = ["keep_loops", "single_trip"]

MARK = "mtia.single_trip"
MOST = 500  # operations that are copied
FORMULAS = ("arith.", "memref.reinterpret_cast", "mtia.program_id", "mtia.num_programs")
HARMLESS = ("arith.", "math.", "linalg.", "tensor.", "bufferization.", "scf.yield", "mtia.dma_in", *FORMULAS)
BUFFERS = frozenset(("memref.alloc", "memref.load", "memref.dealloc"))
WRITES = {"memref.store": 1, "mtia.dma_out": 1}  # operand that says where


def single_trip(module: Any, options: Options) -> None:
    """Version the kernels of a module, in place."""
    with module.context, ir.Location.unknown():
        for op in module.body.operations:
            if op.operation.name == "func.func" and len(op.regions[0].blocks) == 1:
                origins = Origins(Views(), options.overlapping)
                _version(op.regions[0].blocks[0], origins)
                origins.note(op)


def keep_loops(module: Any) -> bool:
    """Take the straight code out again; says whether there was any."""
    found: list[Any] = []

    def collect(op: Any) -> Any:
        if MARK in op.attributes:
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for branch in found:
        *rest, _ = list(branch.regions[1].blocks[0].operations)
        for inner in rest:
            inner.operation.move_before(branch)
        branch.erase()
    return bool(found)


# --- when ----------------------------------------------------------------------------------------------------------


def _version(block: Any, origins: Origins) -> None:
    operations = [op.operation for op in block.operations]
    loops = _walked_again([op for op in operations if op.name == "scf.for" and _may_trip_once(op)])
    if not loops:
        return
    behind = operations[operations.index(loops[0]) : -1]
    if sum(map(_size, behind)) > MOST:
        return
    loc, ip = loops[0].location, ir.InsertionPoint(loops[0])
    lower, upper, step = list(loops[0].operands)[:3]
    bit = ir.IntegerType.get_signless(1)

    def make(name: str, operands: Sequence[Any], kind: Any, **attributes: Any) -> Any:
        return ir.Operation.create(name, [kind], operands, attributes, loc=loc, ip=ip).results[0]

    def compare(predicate: int, left: Any, right: Any) -> Any:
        number = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), predicate)
        return make("arith.cmpi", [left, right], bit, predicate=number)

    rest = make("arith.subi", [upper, lower], upper.type)
    zero = make("arith.constant", [], upper.type, value=ir.IntegerAttr.get(upper.type, 0))
    once = make("arith.andi", [compare(4, rest, zero), compare(3, rest, step)], bit)
    branch = ir.Operation.create("scf.if", [], [once], {MARK: ir.UnitAttr.get()}, regions=2, loc=loc, ip=ip)
    straight, looped = (region.blocks.append() for region in branch.regions)
    _copy(behind, {}, ir.InsertionPoint(straight), loops)
    ends = [ir.Operation.create("scf.yield", loc=loc, ip=ir.InsertionPoint(each)) for each in (straight, looped)]
    for op in behind:
        op.move_before(ends[1])
    _load_once(straight, origins)


def _may_trip_once(loop: Any) -> bool:
    """Whether a loop's bounds are known at run time only, and it does not add up products, which takes many trips."""
    bounds = [value.owner for value in list(loop.operands)[:3]]
    known = all(not isinstance(owner, ir.Block) and owner.name == "arith.constant" for owner in bounds)
    return not known and "unsignedCmp" not in loop.attributes and not any("matmul" in op.name for op in _body(loop))


def _walked_again(loops: Sequence[Any]) -> list[Any]:
    """The loops with the bounds of the first that is walked again: a later one loads from the same argument."""
    for position, first in enumerate(loops):
        bounds = list(first.operands)[:3]
        group = [loop for loop in loops[position:] if list(loop.operands)[:3] == bounds]
        seen: set[Any] = set()
        for loop in group:
            windows = [op.operands[0] for op in _body(loop) if op.name == "mtia.dma_in"]
            sources = {root for root in map(_root, windows) if root is not None}
            if seen & sources:
                return group
            seen |= sources
    return []


def _body(loop: Any) -> list[Any]:
    return [op.operation for op in loop.regions[0].blocks[0].operations]


def _size(op: Any) -> int:
    return 1 + sum(_size(inner.operation) for region in op.regions for block in region.blocks for inner in block)


def _root(value: Any) -> Any:
    """The kernel's argument behind a window of device memory; None for other memory."""
    while not isinstance(value.owner, ir.Block):
        if value.owner.name != "memref.reinterpret_cast":
            return None
        value = value.owner.operands[0]
    return value


# --- straight code -------------------------------------------------------------------------------------------------


def _copy(operations: Sequence[Any], known: dict[Any, Any], ip: Any, loops: Sequence[Any]) -> None:
    """Copies of some operations, with one trip in place of each of `loops`."""
    for op in operations:
        if op in loops:
            lower, _, _, *carried = op.operands
            body = op.regions[0].blocks[0]
            known.update(zip(body.arguments, [known.get(value, value) for value in (lower, *carried)], strict=True))
            *inside, end = _body(op)
            _copy(inside, known, ip, ())
            known.update(zip(op.results, [known.get(value, value) for value in end.operands], strict=True))
            continue
        made = op.clone(ip=ip)
        rebind(made, known)
        known.update(zip(op.results, made.results, strict=True))


def _load_once(block: Any, origins: Origins) -> None:
    """Loads of what has been loaded before, and not been written since, give the tensor that is there already."""
    there: list[Any] = []  # loads whose memory is unchanged
    for op in [op.operation for op in block.operations]:
        if op.name == "mtia.dma_in":
            tensor = _loaded(op)
            if tensor is None:
                continue
            same = next((old for old in there if _same_load(old, op)), None)
            if same is None:
                there.append(op)
                continue
            buffer = op.operands[1].owner
            tensor.replace_all_uses_with(_loaded(same))
            tensor.owner.erase()
            op.erase()
            buffer.erase()
        elif op.name in WRITES:
            root = _root(op.operands[WRITES[op.name]])
            there = [
                load for load in there if root is not None and not origins.overlap([_root(load.operands[0])], [root])
            ]
        elif not op.name.startswith(HARMLESS) and op.name not in BUFFERS:
            there = []


def _loaded(load: Any) -> Any:
    """The tensor that a load into a buffer of its own becomes; None for other loads."""
    buffer = load.operands[1]
    users = [use.owner.operation for use in buffer.uses if use.owner.operation != load]
    fresh = not isinstance(buffer.owner, ir.Block) and buffer.owner.name == "memref.alloc"
    if not fresh or len(users) != 1 or users[0].name != "bufferization.to_tensor":
        return None
    return users[0].results[0] if _root(load.operands[0]) is not None else None


def _same_load(one: Any, other: Any) -> bool:
    buffers = one.operands[1].type == other.operands[1].type
    operands = [list(load.operands)[:1] + list(load.operands)[2:] for load in (one, other)]
    segments = str(one.attributes) == str(other.attributes)
    return buffers and segments and all(map(_same, *operands))


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same, or the same formula of the same values."""
    if one == other:
        return True
    if isinstance(one.owner, ir.Block) or isinstance(other.owner, ir.Block):
        return False
    a, b = one.owner.operation, other.owner.operation
    if a.name != b.name or not a.name.startswith(FORMULAS) or str(a.attributes) != str(b.attributes):
        return False
    if one.type != other.type or list(a.results).index(one) != list(b.results).index(other):
        return False
    return len(a.operands) == len(b.operands) and all(map(_same, a.operands, b.operands))
