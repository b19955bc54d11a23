"""Transfers for a hart's next program, issued before the hart stops for the present one.

Commands run behind the hart's back, so loads of the next programs are under way while a program computes, unless the
hart itself waits: for a lock, for an atomic's value, for a buffer that it computes on. What the next program begins
with is then asked for before the wait, into the next slot of its circular buffer. Programs are independent up to their
first atomic, so the order does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes.select_engines_views import create
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import GLOBAL, memory_space

__all__ = ["SLOT", "fetch_ahead"]

SLOT = "mtia.slot"  # of an allocation: how many slots behind the current one, 0 where there is none
STOPS = frozenset(("mtia.wait", "memref.atomic_rmw", "memref.generic_atomic_rmw"))
PURE = ("arith.", "memref.reinterpret_cast")


def fetch_ahead(function: Any) -> None:
    """Issue the first transfers of programs ahead in the program loop of a planned kernel."""
    for op in function.regions[0].blocks[0].operations:
        if op.operation.name == "scf.for":
            _ahead(op.operation)
            return


def _ahead(loop: Any) -> None:
    block = loop.regions[0].blocks[0]
    operations = [op.operation for op in block.operations]
    stop = next((at for at, op in enumerate(operations) if _stops(op, operations[:at])), None)
    if stop is None:
        return
    advanced = {_number(op, "cb") for op in operations if op.name == "mtia.cb_next"}
    first = [op for op in operations[:stop] if op.name == "mtia.dma_in" and _may_move(op, block, advanced)]
    if not first:
        return
    number, (lower, upper, step) = block.arguments[0], list(loop.operands)[:3]
    ip, loc = ir.InsertionPoint(operations[stop]), loop.location
    after = create("arith.addi", [number, step], [number.type], ip, loc)
    inner = ir.InsertionPoint(_branch(2, after, upper, ip, loc))
    known = {number: after}
    for op in first:
        operands = [_again(value, known, block, inner) for value in op.operands]
        ir.Operation.create("mtia.dma_in", [], operands, dict(_attributes(op)), loc=op.location, ip=inner)
    for op in first:
        op.move_before(_branch(0, number, lower, ir.InsertionPoint(op), loc))


def _stops(op: Any, before: Sequence[Any]) -> bool:
    """Whether the hart waits in an operation for a unit or for device memory."""
    if op.name == "mtia.hart_wait":  # for a command, unless the buffer only has to be free
        return any(user in before for user in _commands(op.operands[0]))
    if op.name in STOPS or (op.name == "memref.load" and memory_space(op.operands[0].type) == GLOBAL):
        return True
    inner = [each.operation for region in op.regions for block in region.blocks for each in block.operations]
    return any(_stops(each, before) for each in inner)


def _commands(value: Any) -> list[Any]:
    """The operations on a buffer or on windows of it."""
    found = []
    for use in value.uses:
        op = use.owner.operation
        found += _commands(op.results[0]) if op.name == "memref.reinterpret_cast" else [op]
    return found


def _may_move(op: Any, block: Any, advanced: set[int]) -> bool:
    """Whether a transfer's buffer has a slot for the next program, and its operands follow from the round's number."""
    source, buffer, *rest = op.operands
    alloc = buffer.owner
    if isinstance(alloc, ir.Block) or alloc.name != "memref.alloc" or "mtia.cb" not in alloc.attributes:
        return False
    return _number(alloc, "mtia.cb") in advanced and all(_follows(value, block) for value in (source, *rest))


def _follows(value: Any, block: Any) -> bool:
    if isinstance(value.owner, ir.Block) or value.owner.operation.block != block:
        return True
    return value.owner.name.startswith(PURE) and all(_follows(operand, block) for operand in value.owner.operands)


def _again(value: Any, known: dict[Any, Any], block: Any, ip: Any) -> Any:
    """A value as the next program has it; a buffer is the next slot's."""
    if value in known:
        return known[value]
    if isinstance(value.owner, ir.Block) or value.owner.operation.block != block:
        return value
    op = value.owner.operation
    operands = [_again(operand, known, block, ip) for operand in op.operands]
    copy = op.clone(ip=ip)
    for position, operand in enumerate(operands):
        copy.operands[position] = operand
    if op.name == "memref.alloc":
        copy.attributes[SLOT] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 1)
    known.update(zip(op.results, copy.results, strict=True))
    return known[value]


def _branch(predicate: int, left: Any, right: Any, ip: Any, loc: Any) -> Any:
    """A branch taken where a comparison of two numbers holds; gives the operation that ends it."""
    number = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), predicate)
    holds = create("arith.cmpi", [left, right], [ir.IntegerType.get_signless(1)], ip, loc, predicate=number)
    branch = ir.Operation.create("scf.if", [], [holds], regions=2, loc=loc, ip=ip)
    block = branch.regions[0].blocks.append()
    return ir.Operation.create("scf.yield", loc=loc, ip=ir.InsertionPoint(block))


def _attributes(op: Any) -> list[tuple[str, Any]]:
    return [(name, op.attributes[name]) for name in op.attributes]


def _number(op: Any, name: str) -> int:
    return int(ir.IntegerAttr(op.attributes[name]).value)
