"""Lowering of `tl.device_print` and `tl.device_assert` in `convert-tt-to-linalg`: records for the host.

A kernel with messages has one more argument, a buffer of 64-bit words. Word 0 counts the words in use, word 1 says how
many there are. A record is the number of the message, the program's index on each axis, and the values; one that does
not fit is left out. What the messages say is in the function's attribute `mtia.messages`; `runtime/messages.py` reads
both. A failed assertion is a record with the element's number and ends the launch with a trap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from mtia.compiler.locations import place_of
from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_addresses import address_of
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.mtia import ProgramId
from mtia.dialects.tt import element_type, is_pointer, shape_of

__all__: list[str] = []

AXES = 3
BREAKPOINT = "0010007300008067"  # ebreak; ret


def _i64() -> Any:
    return ir.IntegerType.get_signless(64)


def _record(c: Converter, number: int, size: int, values: Callable[[Callable[[Any, Any], None]], None]) -> None:
    """Write a record of `size` values; `values(store)` stores each by its place."""
    buffer, words = c.message_buffer(), 1 + AXES + size
    add = arith.AtomicRMWKind.addi
    start = memref.AtomicRMWOp(add, c.index.constant(words, _i64()), buffer, [c.index.constant(0)]).result
    capacity = memref.LoadOp(buffer, [c.index.constant(1)]).result
    end = arith.AddIOp(start, c.index.constant(words, _i64())).result
    fits = arith.CmpIOp(arith.CmpIPredicate.ule, end, capacity).result

    def write() -> list[Any]:
        first = arith.IndexCastOp(c.index.index, start).result

        def store(value: Any, place: Any) -> None:
            memref.StoreOp(value, buffer, [arith.AddIOp(first, place).result])

        store(c.index.constant(number, _i64()), c.index.constant(0))
        for axis in range(AXES):
            axis_attribute = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), axis)
            program = ProgramId(axis_attribute, ir.IntegerType.get_signless(32)).result
            store(arith.ExtSIOp(_i64(), program).result, c.index.constant(1 + axis))
        values(store)
        return []

    build.if_(fits, write)


def _bits(value: Any) -> Any:
    """A scalar's bits in a 64-bit word."""
    if isinstance(value.type, ir.FloatType):
        value = arith.BitcastOp(ir.IntegerType.get_signless(value.type.width), value).result
    return value if value.type == _i64() else arith.ExtUIOp(_i64(), value).result


def _describe(op: Any, kind: str, text: str) -> dict[str, Any]:
    file, line, _ = place_of(op.location)
    return {"kind": kind, "text": text, "file": file, "line": line}


@lowers("tt.print")
def _print(c: Converter, op: Any) -> None:
    operands = [address_of(c, c.get(value)) if is_pointer(value.type) else c.get(value) for value in op.operands]
    types = [value.type for value in op.operands]
    known = [c.materialise(v) if shape_of(type_) else v for v, type_ in zip(operands, types, strict=True)]
    signed = list(ir.DenseI32ArrayAttr(op.attributes["isSigned"])) if "isSigned" in op.attributes else []
    described = _describe(op, "print", ir.StringAttr(op.attributes["prefix"]).value)
    described["hex"] = bool(ir.BoolAttr(op.attributes["hex"]).value)
    described["operands"] = [
        [list(shape_of(type_)), "ptr" if is_pointer(type_) else str(element_type(type_)), bool(sign)]
        for type_, sign in zip(types, signed or [1] * len(types), strict=True)
    ]

    def values(store: Callable[[Any, Any], None]) -> None:
        place = 1 + AXES
        for value, type_ in zip(known, types, strict=True):
            _store_elements(c, value, shape_of(type_), place, store)
            place += math.prod(shape_of(type_))

    _record(c, c.message(described), sum(math.prod(shape_of(type_)) for type_ in types), values)


def _store_elements(
    c: Converter, value: Any, shape: Sequence[int], place: int, store: Callable[[Any, Any], None]
) -> None:
    def element(indices: list[Any]) -> None:
        at = _linear(c, shape, indices)
        store(_bits(build.extract(value, indices) if shape else value), c.index.value(c.index.add(at, place)))

    build.loops(shape, c.index.constant, element)


def _linear(c: Converter, shape: Sequence[int], indices: Sequence[Any]) -> Any:
    """The number of an element in row-major order."""
    at: Any = 0
    for index, extent in zip(indices, shape, strict=True):
        at = c.index.add(c.index.mul(at, extent), index)
    return at


@lowers("tt.assert")
def _assert(c: Converter, op: Any) -> None:
    condition = op.operands[0]
    shape = shape_of(condition.type)
    known = c.tensor(condition) if shape else c.scalar(condition)
    described = _describe(op, "assert", ir.StringAttr(op.attributes["message"]).value)
    number = c.message(described | {"shape": list(shape)})

    def element(indices: list[Any]) -> None:
        holds = build.extract(known, indices) if shape else known
        true = c.index.constant(1, ir.IntegerType.get_signless(1))

        def fail() -> list[Any]:
            at = arith.IndexCastOp(_i64(), c.index.value(_linear(c, shape, indices))).result
            _record(c, number, 1, lambda store: store(at, c.index.constant(1 + AXES)))
            build.call_code(BREAKPOINT, [], 0)
            return []

        build.if_(arith.XOrIOp(holds, true).result, fail)

    build.loops(shape, c.index.constant, element)
