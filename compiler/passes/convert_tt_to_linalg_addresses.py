"""Pointers as 64-bit addresses and back in `convert-tt-to-linalg`: where a pointer is data, or its argument unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_clamps import chosen_run
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, elementwise, lowers, refuse
from mtia.compiler.passes.convert_tt_to_linalg_values import Affine, Pointers, Splat, View
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.mtia import MemoryAt
from mtia.dialects.tt import Ptr, element_type, pointee, shape_of

__all__ = ["address_of", "memory_element", "memory_type", "pointers_at", "retyped_memory"]


def memory_element(type_: Any) -> Any:
    """The type a pointee has in memory: a boolean is a byte, a pointer its address; only descriptors know signs."""
    if isinstance(type_, ir.IntegerType):
        return ir.IntegerType.get_signless(max(8, type_.width))
    return _i64() if isinstance(type_, Ptr) else type_


def memory_type(type_: Any) -> Any:
    """The memref of a kernel's pointer argument."""
    return build.global_type(memory_element(pointee(type_)))


def _i64() -> Any:
    return ir.IntegerType.get_signless(64)


def _bytes(element: Any) -> int:
    return max(1, int(element.width) // 8)


def _start(memory: Any) -> Any:
    """The address of a memory's first element, as index."""
    return memref.ExtractAlignedPointerAsIndexOp(memory).result


def address_of(c: Converter, pointers: Pointers) -> Any:
    """Addresses: an i64 for a scalar pointer, a formula or a tensor of i64 for a tensor of pointers."""
    size = _bytes(pointers.memory.type.element_type)
    offset = c.index.scale(replace(pointers.offset, element=_i64()), size)
    made_of = None if pointers.extra is None else c.addresses.get(pointers.extra.source)
    if made_of is not None:  # places in all of memory
        original = c.materialise(replace(pointers.extra, source=made_of))
        return original if _is_zero(offset) else arith.AddIOp(original, c.materialise(offset)).result
    offset = replace(offset, base=c.index.add(_start(pointers.memory), offset.base))
    if not pointers.shape:
        return c.index.to_scalar(offset.base, _i64())
    if pointers.extra is None:
        return offset
    extra = c.materialise(pointers.extra)
    wide = build.tensor_type(pointers.shape, _i64())
    extra = extra if extra.type == wide else arith.ExtSIOp(wide, extra).result
    scaled = arith.MulIOp(extra, build.fill(c.index.constant(size, _i64()), pointers.shape)).result
    return arith.AddIOp(scaled, c.materialise(offset)).result


def _is_zero(offset: Affine) -> bool:
    return offset.uniform and isinstance(offset.base, int) and offset.base == 0


def pointers_at(c: Converter, addresses: Any, element: Any) -> Pointers:
    """Pointers to `element` from addresses: a scalar, or what a tensor of i64 became."""
    element = memory_element(element)
    type_ = build.global_type(element)
    if isinstance(addresses, ir.Value) and not isinstance(addresses.type, ir.ShapedType):
        memory = MemoryAt(addresses, type_).result
        return Pointers(memory, element, Affine((), c.index.index, 0, (), ()))
    memory = MemoryAt(c.index.constant(0, _i64()), type_).result
    tensor = c.materialise(addresses)
    shape = tuple(tensor.type.shape)
    shift = build.fill(c.index.constant(_bytes(element).bit_length() - 1, _i64()), shape)
    places = arith.ShRUIOp(tensor, shift).result
    c.addresses[places] = tensor  # an address that is no multiple of the size must not lose its low bits
    flat = Affine(shape, c.index.index, 0, (0,) * len(shape), (None,) * len(shape))
    return Pointers(memory, element, flat, View(shape, places, tuple(range(len(shape)))))


def retyped_memory(c: Converter, memory: Any, element: Any) -> Any:
    """The same memory seen with another element type."""
    if memory.type.element_type == element:
        return memory
    address = c.index.to_scalar(_start(memory), _i64())
    return MemoryAt(address, build.global_type(element)).result


@lowers("tt.ptr_to_int")
def _ptr_to_int(c: Converter, op: Any) -> None:
    c.set(op.result, address_of(c, c.get(op.src)))


@lowers("tt.int_to_ptr")
def _int_to_ptr(c: Converter, op: Any) -> None:
    c.set(op.result, pointers_at(c, c.get(op.src), pointee(op.result.type)))


@lowers("tt.bitcast")
def _bitcast(c: Converter, op: Any) -> None:
    known, type_ = c.get(op.src), op.result.type
    if isinstance(known, Pointers):
        c.set(op.result, _bitcast_pointers(c, op, known, memory_element(pointee(type_))))
    elif isinstance(known, Splat):
        c.set(op.result, Splat(known.shape, arith.BitcastOp(element_type(type_), known.value).result))
    else:
        value = c.materialise(known) if shape_of(type_) else known
        c.set(op.result, arith.BitcastOp(type_, value).result)


def _bitcast_pointers(c: Converter, op: Any, pointers: Pointers, element: Any) -> Pointers:
    """Pointers to another type; of the same width they stay pointers into the same memory."""
    have, want = (_bytes(x) for x in (pointers.element, element))
    if have == want:
        return replace(pointers, element=element)
    if pointers.extra is not None or pointers.element != pointers.memory.type.element_type:
        return pointers_at(c, address_of(c, pointers), element)
    start = c.index.add(_start(pointers.memory), c.index.mul(pointers.offset.base, have))
    strides = []
    for stride in pointers.offset.strides:
        if have > want:
            strides.append(c.index.mul(stride, have // want))
        elif isinstance(stride, int) and stride * have % want == 0:
            strides.append(stride * have // want)
        else:
            raise refuse(op, f"steps of {pointers.element} cannot be proven to be whole {element} elements")
    memory = MemoryAt(c.index.to_scalar(start, _i64()), build.global_type(element)).result
    return Pointers(memory, element, replace(pointers.offset, base=0, strides=tuple(strides)))


@lowers("arith.select")
def _select(c: Converter, op: Any) -> None:
    condition, left, right = (c.get(value) for value in op.operands)
    shape = shape_of(op.result.type)
    if isinstance(left, Pointers):
        c.set(op.result, _select_pointers(c, op, condition, left, right))
    elif shape and (run := _select_run(c, op, condition)) is not None:
        c.set(op.result, run)
    elif shape and not shape_of(op.operands[0].type):
        a, b = (c.materialise(value) for value in (left, right))
        c.set(op.result, arith.SelectOp(build.fill(condition, shape), a, b).result)
    else:
        elementwise(c, op)


def _select_run(c: Converter, op: Any, condition: Any) -> Affine | None:
    """A run of integers that a comparison cuts off, as a formula."""
    if str(element_type(op.result.type)) not in ("i32", "i64"):
        return None
    return chosen_run(c, condition, *(c.affine(value) for value in list(op.operands)[1:]))


def _select_pointers(c: Converter, op: Any, condition: Any, left: Pointers, right: Pointers) -> Pointers:
    if not left.shape and left.memory == right.memory and left.element == right.element:
        a, b = (c.index.value(pointers.offset.base) for pointers in (left, right))
        return replace(left, offset=c.index.affine(Splat((), arith.SelectOp(condition, a, b).result)))
    a, b = (address_of(c, pointers) for pointers in (left, right))
    if left.shape:
        a, b = c.materialise(a), c.materialise(b)
        condition = c.materialise(condition) if shape_of(op.operands[0].type) else build.fill(condition, left.shape)
    return pointers_at(c, arith.SelectOp(condition, a, b).result, left.element)
