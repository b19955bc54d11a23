"""The types of the `tt` dialect, what is asked of them, and the checks that several of its operations share."""

# The bindings carry no types, and `ext` reads annotations as objects, so they must not be strings
# (no `from __future__ import annotations` here).
# mypy: disable-error-code="misc, call-arg, name-defined"

from collections.abc import Sequence
from typing import Any

from mtia.dialects.mlir import ext, ir

__all__ = [
    "TT", "VALUES", "Descriptor", "Ptr", "Values", "ValuesToResults", "axis_fits", "block", "element_type", "fail",
    "integer", "is_pointer", "pointee", "same_shape", "shape_of", "show",
]  # fmt: skip


def shape_of(type_: Any) -> tuple[int, ...]:
    """Shape of a tensor type; a scalar has the empty shape."""
    return tuple(type_.shape) if isinstance(type_, ir.RankedTensorType) else ()


def element_type(type_: Any) -> Any:
    """Element type of a tensor type; a scalar is its own element."""
    return type_.element_type if isinstance(type_, ir.RankedTensorType) else type_


def is_pointer(type_: Any) -> bool:
    """Whether the type is a pointer, or a tensor of pointers."""
    return isinstance(element_type(type_), Ptr)


def pointee(type_: Any) -> Any:
    """What a pointer, or each pointer of a tensor, points to: an element type, or the tensor type of a block."""
    return ir.TypeAttr(element_type(type_).pointee).value


def block(type_: Any) -> Any:
    """Tensor type of the blocks a descriptor reads and writes."""
    return ir.TypeAttr(type_.block).value


def fail(op: Any, reason: str) -> bool:
    """Report what is wrong with an operation; False, for `verify_invariants`."""
    op.location.emit_error(f"'{op.operation.name}' op {reason}")
    return False


def show(shape: Sequence[int]) -> str:
    """A shape for a message."""
    return "x".join(map(str, shape)) or "scalar"


def same_shape(op: Any, *types: Any) -> bool:
    """Whether types have one shape; reported if not."""
    shapes = [shape_of(type_) for type_ in types]
    for shape in shapes:
        if shape != shapes[0]:
            return fail(op, f"operands have shapes {show(shapes[0])} and {show(shape)}")
    return True


def integer(op: Any, name: str) -> int:
    """The value of an integer attribute."""
    return int(ir.IntegerAttr(op.attributes[name]).value)


def axis_fits(op: Any, rank: int) -> bool:
    """Whether attribute `axis` is one of a tensor of that rank; reported if not."""
    axis = integer(op, "axis")
    return 0 <= axis < rank or fail(op, f"axis {axis} is outside a tensor of rank {rank}")


class TT(ext.Dialect, name="tt"):
    """Triton's dialect."""


class Ptr(TT.Type, name="ptr"):
    """Pointer to an element in device memory, or to a block (`!tt.ptr<tensor<…>>`)."""

    pointee: ir.TypeAttr


class Descriptor(TT.Type, name="tensordesc"):
    """Descriptor of a tensor in device memory, read and written in blocks of the given type."""

    block: ir.TypeAttr


# A variadic operand of a dialect defined at run time has one type for all its values. Operations whose values differ in
# type have an optional operand (and result) for each value instead.


class Values(TT.Operation):
    """An operation with up to eight operands of any types."""

    v0: ext.Operand[Any] | None
    v1: ext.Operand[Any] | None
    v2: ext.Operand[Any] | None
    v3: ext.Operand[Any] | None
    v4: ext.Operand[Any] | None
    v5: ext.Operand[Any] | None
    v6: ext.Operand[Any] | None
    v7: ext.Operand[Any] | None


class ValuesToResults(Values):
    """And with up to eight results of any types."""

    r0: ext.Result[Any] | None
    r1: ext.Result[Any] | None
    r2: ext.Result[Any] | None
    r3: ext.Result[Any] | None
    r4: ext.Result[Any] | None
    r5: ext.Result[Any] | None
    r6: ext.Result[Any] | None
    r7: ext.Result[Any] | None


VALUES = 8
"""How many values of different types an operation may take or give."""
