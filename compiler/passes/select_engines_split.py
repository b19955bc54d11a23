"""Elementwise operations that only the hart can begin: it computes what no engine has, the SIMD engine the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes.hart_vectors import MEMORY_TYPES
from mtia.compiler.passes.select_engines_bodies import CONVERSIONS, INTEGER_CASTS
from mtia.compiler.passes.select_engines_commands import HANDLERS
from mtia.dialects.mlir import ir

__all__ = ["split_body"]

COMMANDS = frozenset(HANDLERS) | CONVERSIONS | INTEGER_CASTS
FREE = frozenset(("linalg.index", "arith.constant"))  # copied to both parts
LEAST = 4  # operations that are worth a buffer between the parts


def split_body(op: Any, types: frozenset[str]) -> tuple[Any, Any] | None:
    """Divide a `linalg.generic` on buffers: the hart's part and the SIMD engine's, which reads one value of it.

    They stand before `op`, which is left to the caller to erase, or to keep by erasing them. `types` are the element
    types that the engine computes on. None when it could do nothing behind the hart, or would need several values.
    """
    if op.name != "linalg.generic" or "reduction" in str(op.attributes["iterator_types"]):
        return None
    block = op.regions[0].blocks[0]
    *operations, end = [inner.operation for inner in block.operations]
    alone = {inner for inner in operations if not _has_command(inner, types)}
    while True:
        hart = _closed(operations, alone)
        made = {value for inner in hart for value in inner.results}
        rest = [inner for inner in operations if inner not in hart and inner.name not in FREE]
        readers = [inner for inner in rest if any(value in made for value in inner.operands)]
        crossing = {value for inner in readers for value in inner.operands if value in made}
        if len(crossing) < 2:
            break
        alone.add(readers[0])  # until one value is left that the engine reads
    if not crossing or len(end.operands) != 1 or end.operands[0] in made or len(rest) < LEAST:
        return None
    (value,) = crossing
    target = op.operands[len(op.operands) - 1]
    if str(value.type) not in MEMORY_TYPES & types or not target.type.has_static_shape:
        return None
    if list(block.arguments[len(op.operands) - 1].uses):
        return None
    return _divide(op, hart, value)


def _has_command(op: Any, types: frozenset[str]) -> bool:
    """Whether the SIMD engine may have a command for an operation."""
    known = all(str(value.type) in types | {"i1", "index"} for value in (*op.operands, *op.results))
    return op.name in FREE or (op.name in COMMANDS and known)


def _closed(operations: Sequence[Any], alone: set[Any]) -> list[Any]:
    """Some operations and what they are computed from, in order."""
    needed: set[Any] = set()
    part = []
    for inner in reversed(operations):
        if inner.name not in FREE and (inner in alone or any(result in needed for result in inner.results)):
            part.append(inner)
            needed.update(inner.operands)
    return part[::-1]


def _divide(op: Any, hart: Sequence[Any], value: Any) -> tuple[Any, Any]:
    """Two operations that compute what `op` does, with a buffer of `value` between them."""
    *inputs, target = list(op.operands)
    maps = list(ir.ArrayAttr(op.attributes["indexing_maps"]))
    block = op.regions[0].blocks[0]
    loc, ip = op.location, ir.InsertionPoint(op)
    kind = ir.MemRefType.get(list(target.type.shape), value.type)
    none = ir.DenseI32ArrayAttr.get([0, 0])
    alloc = ir.Operation.create("memref.alloc", [kind], [], {"operandSegmentSizes": none}, loc=loc, ip=ip).results[0]
    operations = [inner.operation for inner in block.operations][:-1]
    first = [inner for inner in operations if inner in hart or inner.name in FREE]
    second = [inner for inner in operations if inner not in hart]
    arguments = list(block.arguments)[:-1]
    made = []
    for part, extra, result, place in ((first, [], value, alloc), (second, [value], None, target)):
        used = {operand for inner in part for operand in inner.operands}
        end = block.operations[len(block.operations) - 1].operands[0] if result is None else result
        kept = [n for n, argument in enumerate(arguments) if argument in used or argument == end]
        sources = [*(inputs[n] for n in kept), *([alloc] if extra else [])]
        given = [*(arguments[n] for n in kept), *extra]
        where = ir.ArrayAttr.get([*(maps[n] for n in kept), *([maps[-1]] if extra else []), maps[-1]])
        made.append(_generic(op, part, given, sources, place, where, end))
    return made[0], made[1]


def _generic(
    op: Any, part: Sequence[Any], given: Sequence[Any], sources: Sequence[Any], target: Any, maps: Any, end: Any
) -> Any:
    """A `linalg.generic` of some operations of `op`'s body: `given` are the old values that its arguments stand for."""
    attributes = {
        "indexing_maps": maps,
        "iterator_types": op.attributes["iterator_types"],
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(sources), 1]),
    }
    ip, loc = ir.InsertionPoint(op), op.location
    made = ir.Operation.create("linalg.generic", [], [*sources, target], attributes, regions=1, loc=loc, ip=ip)
    kinds = [*(value.type for value in given), target.type.element_type]
    block = made.regions[0].blocks.append(*kinds, arg_locs=[loc] * len(kinds))
    known = dict(zip(given, block.arguments, strict=False))
    inside = ir.InsertionPoint(block)
    for inner in part:
        copy = inner.clone(ip=inside)
        for position, operand in enumerate(copy.operands):
            copy.operands[position] = known.get(operand, operand)
        known.update(zip(inner.results, copy.results, strict=True))
    ir.Operation.create("linalg.yield", [], [known.get(end, end)], loc=loc, ip=inside)
    return made
