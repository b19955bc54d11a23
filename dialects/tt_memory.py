"""Operations of the `tt` dialect on device memory: pointers, loads, stores, atomics, block pointers and descriptors."""

# The bindings carry no types, and `ext` reads annotations as objects, so they must not be strings
# (no `from __future__ import annotations` here).
# mypy: disable-error-code="misc, call-arg, name-defined"

from collections.abc import Sequence
from typing import Any

from mtia.dialects.mlir import ext, ir
from mtia.dialects.tt_types import (
    TT,
    Descriptor,
    block,
    element_type,
    fail,
    is_pointer,
    pointee,
    same_shape,
    shape_of,
    show,
)


def _pointers(op: Any, type_: Any) -> bool:
    return is_pointer(type_) or fail(op, f"expects a pointer or a tensor of pointers, got {type_}")


def _values_fit(op: Any, pointers: Any, *values: Any) -> bool:
    """Every value has the shape of the pointers and their pointee as element (a block pointer counts as its block)."""
    wanted, element = shape_of(pointers), pointee(pointers)
    if isinstance(element, ir.RankedTensorType):
        wanted, element = tuple(element.shape), element.element_type
    for value in values:
        if shape_of(value.type) != wanted:
            return fail(op, f"value has shape {show(shape_of(value.type))}, the pointers have {show(wanted)}")
        if element_type(value.type) != element:
            return fail(op, f"value has element type {element_type(value.type)}, the pointers point to {element}")
    return True


def _mask_fits(op: Any, pointers: Any, mask: Any) -> bool:
    if mask is None:
        return True
    if str(element_type(mask.type)) != "i1":
        return fail(op, f"mask has element type {element_type(mask.type)}, not i1")
    if shape_of(mask.type) != shape_of(pointers):
        return fail(op, f"mask has shape {show(shape_of(mask.type))}, pointers have {show(shape_of(pointers))}")
    return True


class AddPtr(TT.Operation, name="addptr", traits=[ext.Pure]):
    """Pointers moved by a number of elements."""

    ptr: ext.Operand[Any]
    offset: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _pointers(self, self.ptr.type) and same_shape(self, self.ptr.type, self.offset.type, self.result.type)


class Advance(TT.Operation, name="advance", traits=[ext.Pure]):
    """A block pointer moved by one offset a dimension."""

    ptr: ext.Operand[Any]
    offsets: Sequence[ext.Operand[Any]]
    result: ext.Result[Any]


class Load(TT.Operation, name="load"):
    """Values behind pointers; lanes whose mask is false read `other`."""

    ptr: ext.Operand[Any]
    mask: ext.Operand[Any] | None
    other: ext.Operand[Any] | None
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        others = [] if self.other is None else [self.other]
        return (
            _pointers(self, self.ptr.type)
            and _values_fit(self, self.ptr.type, self.result, *others)
            and _mask_fits(self, self.ptr.type, self.mask)
        )


class Store(TT.Operation, name="store"):
    """Values written behind pointers; lanes whose mask is false write nothing."""

    ptr: ext.Operand[Any]
    value: ext.Operand[Any]
    mask: ext.Operand[Any] | None

    def verify_invariants(self) -> bool:
        return (
            _pointers(self, self.ptr.type)
            and _values_fit(self, self.ptr.type, self.value)
            and _mask_fits(self, self.ptr.type, self.mask)
        )


ATOMIC_KINDS = frozenset("and or xor add fadd max min umax umin exch".split())


class AtomicRMW(TT.Operation, name="atomic_rmw"):
    """Atomic update of what pointers point to; gives the old values."""

    ptr: ext.Operand[Any]
    value: ext.Operand[Any]
    mask: ext.Operand[Any] | None
    kind: ir.StringAttr
    sem: ir.StringAttr
    scope: ir.StringAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        kind = ir.StringAttr(self.attributes["kind"]).value
        if kind not in ATOMIC_KINDS:
            return fail(self, f"kind '{kind}' is not one of {', '.join(sorted(ATOMIC_KINDS))}")
        return (
            _pointers(self, self.ptr.type)
            and _values_fit(self, self.ptr.type, self.value, self.result)
            and _mask_fits(self, self.ptr.type, self.mask)
        )


class AtomicCAS(TT.Operation, name="atomic_cas"):
    """Atomic compare and swap; gives the old values."""

    ptr: ext.Operand[Any]
    cmp: ext.Operand[Any]
    value: ext.Operand[Any]
    sem: ir.StringAttr
    scope: ir.StringAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        values = (self.cmp, self.value, self.result)
        return _pointers(self, self.ptr.type) and _values_fit(self, self.ptr.type, *values)


class MakeTensorPtr(TT.Operation, name="make_tensor_ptr", traits=[ext.Pure]):
    """A block pointer: base, shape, strides and first element of the block."""

    base: ext.Operand[Any]
    shape: Sequence[ext.Operand[Any]]
    strides: Sequence[ext.Operand[Any]]
    offsets: Sequence[ext.Operand[Any]]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        rank = len(shape_of(pointee(self.result.type)))
        counts = {len(part) for part in (self.shape, self.strides, self.offsets)}
        return counts == {rank} or fail(self, f"needs {rank} sizes, strides and offsets for {self.result.type}")


class MakeTensorDescriptor(TT.Operation, name="make_tensor_descriptor", traits=[ext.Pure]):
    """A tensor descriptor: base, shape, strides; attribute `padding` 2 reads NaN outside the shape, else 0."""

    base: ext.Operand[Any]
    shape: Sequence[ext.Operand[Any]]
    strides: Sequence[ext.Operand[Any]]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        rank = len(shape_of(block(self.result.type)))
        counts = {len(part) for part in (self.shape, self.strides)}
        return counts == {rank} or fail(self, f"needs {rank} sizes and strides for {self.result.type}")


def _described(op: Any, desc: Any, indices: int) -> bool:
    if not isinstance(desc.type, Descriptor):
        return fail(op, f"expects a tensor descriptor, got {desc.type}")
    rank = len(shape_of(block(desc.type)))
    return indices == rank or fail(op, f"has {indices} indices for a descriptor of rank {rank}")


class DescriptorLoad(TT.Operation, name="descriptor_load"):
    """A block of a described tensor."""

    desc: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _described(self, self.desc, len(self.indices))


class DescriptorStore(TT.Operation, name="descriptor_store"):
    """A block written into a described tensor."""

    desc: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    src: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        return _described(self, self.desc, len(self.indices))


class DescriptorReduce(TT.Operation, name="descriptor_reduce"):
    """A block folded atomically into a described tensor."""

    desc: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    src: ext.Operand[Any]
    kind: ir.StringAttr

    def verify_invariants(self) -> bool:
        return _described(self, self.desc, len(self.indices))


class DescriptorGather(TT.Operation, name="descriptor_gather"):
    """Rows x_offsets of a described matrix, from column y_offset."""

    desc: ext.Operand[Any]
    x_offsets: ext.Operand[Any]
    y_offset: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _described(self, self.desc, 2)


class DescriptorScatter(TT.Operation, name="descriptor_scatter"):
    """Rows written to rows x_offsets of a described matrix, from column y_offset."""

    desc: ext.Operand[Any]
    x_offsets: ext.Operand[Any]
    y_offset: ext.Operand[Any]
    src: ext.Operand[Any]

    def verify_invariants(self) -> bool:
        return _described(self, self.desc, 2)
