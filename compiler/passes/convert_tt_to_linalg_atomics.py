"""Lowering of atomics in `convert-tt-to-linalg`: one element at a time, by the hart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_addresses import retyped_memory
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers, refuse
from mtia.compiler.passes.convert_tt_to_linalg_elements import element_mask, element_offset, lanes
from mtia.compiler.passes.convert_tt_to_linalg_values import Pointers
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.tt import element_type, shape_of

__all__ = ["ATOMIC_KINDS"]

ATOMIC_KINDS = {
    "add": arith.AtomicRMWKind.addi,
    "fadd": arith.AtomicRMWKind.addf,
    "and": arith.AtomicRMWKind.andi,
    "or": arith.AtomicRMWKind.ori,
    "xor": arith.AtomicRMWKind.xori,
    "max": arith.AtomicRMWKind.maxs,
    "min": arith.AtomicRMWKind.mins,
    "umax": arith.AtomicRMWKind.maxu,
    "umin": arith.AtomicRMWKind.minu,
    "exch": arith.AtomicRMWKind.assign,
    "fmax": arith.AtomicRMWKind.maxnumf,
    "fmin": arith.AtomicRMWKind.minnumf,
}
"""Triton's kinds, and those of floats in tensor descriptors."""

_BITWISE = frozenset(("and", "or", "xor"))

Update = Callable[[Any, Any, Sequence[Any]], Any]
"""(memory, offset, lane indices) to the old value of one element."""


@lowers("tt.atomic_rmw")
def _atomic_rmw(c: Converter, op: Any) -> None:
    name = ir.StringAttr(op.attributes["kind"]).value
    kind = ATOMIC_KINDS[name]
    element = element_type(op.value.type)
    if name in _BITWISE and isinstance(element, ir.FloatType):
        raise refuse(op, f"no atomic '{name}' on {element}")
    value = c.tensor(op.value) if shape_of(op.value.type) else c.scalar(op.value)

    def update(memory: Any, offset: Any, indices: Sequence[Any]) -> Any:
        operand = build.extract(value, indices) if indices else value
        return memref.AtomicRMWOp(kind, operand, memory, [offset]).result

    _update(c, op, update)


@lowers("tt.atomic_cas")
def _atomic_cas(c: Converter, op: Any) -> None:
    expected, desired = (c.tensor(v) if shape_of(v.type) else c.scalar(v) for v in (op.cmp, op.value))

    def update(memory: Any, offset: Any, indices: Sequence[Any]) -> Any:
        old, new = (build.extract(v, indices) if indices else v for v in (expected, desired))
        swap = memref.GenericAtomicRMWOp(memory.type.element_type, memory, [offset])
        block = swap.regions[0].blocks.append(memory.type.element_type)
        with ir.InsertionPoint(block):
            found = block.arguments[0]
            memref.AtomicYieldOp(arith.SelectOp(_same_bits(found, old), new, found).result)
        return swap.result

    _update(c, op, update)


def _same_bits(a: Any, b: Any) -> Any:
    """Whether two scalars are the same bits."""
    if isinstance(a.type, ir.FloatType):
        bits = ir.IntegerType.get_signless(a.type.width)
        a, b = (arith.BitcastOp(bits, x).result for x in (a, b))
    return arith.CmpIOp(0, a, b).result


def _update(c: Converter, op: Any, update: Update) -> None:
    """Apply the update to a scalar pointer or to every active lane."""
    pointers: Pointers = c.get(op.ptr)
    if not isinstance(pointers, Pointers):
        raise refuse(op, "works on pointers, not on block pointers")
    memory = retyped_memory(c, pointers.memory, pointers.element)
    if pointers.shape:
        c.set(op.result, _update_lanes(c, op, pointers, memory, update))
        return
    offset = c.index.value(pointers.offset.base)
    mask = getattr(op, "mask", None)
    if mask is None:
        c.set(op.result, update(memory, offset, []))
        return
    zero = c.index.constant(0, pointers.element)
    active = c.scalar(mask)
    c.set(op.result, build.if_(active, lambda: [update(memory, offset, [])], lambda: [zero], [zero.type])[0])


def _update_lanes(c: Converter, op: Any, pointers: Pointers, memory: Any, update: Update) -> Any:
    """Old values of a tensor of pointers; 0 where a lane is not active. None when nobody asks for them."""
    wanted = bool(list(op.result.uses))
    buffer = memref.AllocOp(build.buffer_type(pointers.shape, pointers.element), [], []).result if wanted else None
    zero = c.index.constant(0, pointers.element)
    mask = getattr(op, "mask", None)
    active = None if mask is None else element_mask(c, mask)

    def lane(indices: Sequence[Any], offset: Any) -> None:
        old = update(memory, offset, indices)
        if buffer is not None:
            memref.StoreOp(old, buffer, list(indices))

    def inactive(indices: Sequence[Any]) -> None:
        if buffer is not None:
            memref.StoreOp(zero, buffer, list(indices))

    lanes(c, pointers.shape, element_offset(c, pointers), active, lane, inactive)
    return None if buffer is None else build.tensor_of(buffer)
