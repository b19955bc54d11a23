"""The `tt` dialect: Triton's operations, held as Triton 3.7 defines them.

Three spellings differ, because the dialect is defined at run time: `tt.func`, `tt.return` and `tt.call` are `func`
operations, a dot inside an operation name is an underscore (`tt.reduce_return`), and enumerations are strings.
"""

# The bindings carry no types, and `ext` reads annotations as objects, so they must not be strings
# (no `from __future__ import annotations` here).
# mypy: disable-error-code="misc, call-arg, name-defined"

from collections.abc import Sequence
from typing import Any

from mtia.dialects import tt_memory  # noqa: F401  (its operations are of the dialect too)
from mtia.dialects.mlir import ext, ir
from mtia.dialects.tt_types import (
    TT,
    VALUES,
    Descriptor,
    Ptr,
    Values,
    ValuesToResults,
    axis_fits,
    block,
    element_type,
    fail,
    integer,
    is_pointer,
    pointee,
    same_shape,
    shape_of,
    show,
)  # fmt: skip

__all__ = ["TT", "VALUES", "Descriptor", "Ptr", "block", "element_type", "is_pointer", "pointee", "shape_of"]


class _Elementwise(TT.Operation):
    def verify_invariants(self) -> bool:
        return same_shape(self, *(value.type for value in (*self.operands, *self.results)))


class IntToPtr(_Elementwise, name="int_to_ptr", traits=[ext.Pure]):
    """Pointers from 64-bit addresses."""

    src: ext.Operand[Any]
    result: ext.Result[Any]


class PtrToInt(_Elementwise, name="ptr_to_int", traits=[ext.Pure]):
    """64-bit addresses of pointers."""

    src: ext.Operand[Any]
    result: ext.Result[Any]


class Bitcast(_Elementwise, name="bitcast", traits=[ext.Pure]):
    """The same bits as another type of the same width."""

    src: ext.Operand[Any]
    result: ext.Result[Any]


class FpToFp(_Elementwise, name="fp_to_fp", traits=[ext.Pure]):
    """Float conversion; attribute `rounding` is `rtne` or `rtz` where the result is narrower."""

    src: ext.Operand[Any]
    result: ext.Result[Any]


class Clampf(_Elementwise, name="clampf", traits=[ext.Pure]):
    """min(max(x, min), max); `propagateNan` is `none` or `all`."""

    x: ext.Operand[Any]
    min: ext.Operand[Any]
    max: ext.Operand[Any]
    propagateNan: ir.StringAttr
    result: ext.Result[Any]


class PreciseSqrt(_Elementwise, name="precise_sqrt", traits=[ext.Pure]):
    """Square root, IEEE rounded."""

    x: ext.Operand[Any]
    result: ext.Result[Any]


class PreciseDivf(_Elementwise, name="precise_divf", traits=[ext.Pure]):
    """Quotient, IEEE rounded."""

    x: ext.Operand[Any]
    y: ext.Operand[Any]
    result: ext.Result[Any]


class MulhiUI(_Elementwise, name="mulhiui", traits=[ext.Pure]):
    """Upper half of the unsigned product."""

    x: ext.Operand[Any]
    y: ext.Operand[Any]
    result: ext.Result[Any]


class ExternElementwise(Values, name="extern_elementwise"):
    """An elementwise function of a device library, named by `symbol`."""

    symbol: ir.StringAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return same_shape(self, *(value.type for value in (*self.operands, *self.results)))


class InlineAsm(ValuesToResults, name="elementwise_inline_asm"):
    """Assembly text on elements."""

    asm_string: ir.StringAttr


class Splat(TT.Operation, name="splat", traits=[ext.Pure]):
    """A tensor with one value everywhere."""

    src: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        same = element_type(self.result.type) == element_type(self.src.type)
        return same or fail(self, f"cannot splat {self.src.type} to {self.result.type}")


class Unsplat(TT.Operation, name="unsplat", traits=[ext.Pure]):
    """The only element of a tensor."""

    src: ext.Operand[Any]
    result: ext.Result[Any]


class ExpandDims(TT.Operation, name="expand_dims", traits=[ext.Pure]):
    """A new dimension of size 1 at `axis`."""

    src: ext.Operand[Any]
    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        shape = list(shape_of(self.src.type))
        if not axis_fits(self, len(shape) + 1):
            return False
        shape.insert(integer(self, "axis"), 1)
        same = list(shape_of(self.result.type)) == shape
        return same or fail(self, f"result has shape {show(shape_of(self.result.type))}, expected {show(shape)}")


class Reshape(TT.Operation, name="reshape", traits=[ext.Pure]):
    """The same elements in another shape, in row-major order."""

    src: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        sizes = [_product(shape_of(value.type)) for value in (self.src, self.result)]
        return sizes[0] == sizes[1] or fail(self, f"cannot reshape {sizes[0]} elements to {sizes[1]}")


def _product(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


class Broadcast(TT.Operation, name="broadcast", traits=[ext.Pure]):
    """Dimensions of size 1 repeated."""

    src: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        source, wanted = shape_of(self.src.type), shape_of(self.result.type)
        fits = len(source) == len(wanted) and all(have in (1, want) for have, want in zip(source, wanted, strict=True))
        return fits or fail(self, f"cannot broadcast {show(source)} to {show(wanted)}")


class Cat(TT.Operation, name="cat"):
    """Two tensors one after the other."""

    lhs: ext.Operand[Any]
    rhs: ext.Operand[Any]
    result: ext.Result[Any]


class Join(TT.Operation, name="join", traits=[ext.Pure]):
    """Two tensors along a new last dimension of size 2."""

    lhs: ext.Operand[Any]
    rhs: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return same_shape(self, self.lhs.type, self.rhs.type)


class Split(TT.Operation, name="split", traits=[ext.Pure]):
    """The two halves of a last dimension of size 2."""

    src: ext.Operand[Any]
    lhs: ext.Result[Any]
    rhs: ext.Result[Any]

    def verify_invariants(self) -> bool:
        last = shape_of(self.src.type)[-1:]
        return last == (2,) or fail(self, f"splits a last dimension of size 2, got {show(shape_of(self.src.type))}")


class Trans(TT.Operation, name="trans", traits=[ext.Pure]):
    """Dimensions reordered: dimension i of the result is dimension order[i] of the source."""

    src: ext.Operand[Any]
    order: Any
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        order, source = list(ir.DenseI32ArrayAttr(self.attributes["order"])), shape_of(self.src.type)
        if sorted(order) != list(range(len(source))):
            return fail(self, f"order {order} is no permutation of {len(source)} dimensions")
        same = shape_of(self.result.type) == tuple(source[axis] for axis in order)
        return same or fail(self, f"result has shape {show(shape_of(self.result.type))}")


class GetProgramId(TT.Operation, name="get_program_id", traits=[ext.Pure]):
    """Index of the program on a grid axis (0 to 2)."""

    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return axis_fits(self, 3)


class GetNumPrograms(TT.Operation, name="get_num_programs", traits=[ext.Pure]):
    """Size of the grid on an axis (0 to 2)."""

    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return axis_fits(self, 3)


def _check_dot(op: Any, a: Any, b: Any, c: Any) -> bool:
    left, right, out = (shape_of(value.type) for value in (a, b, c))
    if not 2 <= len(left) == len(right) == len(out) <= 3:
        return fail(op, f"multiplies matrices, or batches of them; got ranks {len(left)}, {len(right)}, {len(out)}")
    if left[-1] != right[-2] or out != (*left[:-1], right[-1]) or left[:-2] != right[:-2]:
        return fail(op, f"shapes do not match: {show(left)} times {show(right)} into {show(out)}")
    return True


class Dot(TT.Operation, name="dot", traits=[ext.Pure]):
    """c + a times b; attribute `inputPrecision` is how fp32 inputs may be rounded."""

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _check_dot(self, self.a, self.b, self.c)


class DotScaled(TT.Operation, name="dot_scaled", traits=[ext.Pure]):
    """c + a times b with microscaling factors for a and b."""

    a: ext.Operand[Any]
    a_scale: ext.Operand[Any] | None
    b: ext.Operand[Any]
    b_scale: ext.Operand[Any] | None
    c: ext.Operand[Any]
    result: ext.Result[Any]


class Reduce(ValuesToResults, name="reduce"):
    """Fold along `axis` with a region of two arguments for every operand."""

    axis: ir.IntegerAttr
    combine: ext.Region

    def verify_invariants(self) -> bool:
        if not axis_fits(self, len(shape_of(self.operands[0].type))):
            return False
        return same_shape(self, *(value.type for value in self.operands)) and _check_combine(self)


def _check_combine(op: Any) -> bool:
    arguments = len(op.regions[0].blocks[0].arguments)
    wanted = 2 * len(op.operands)
    return arguments == wanted or fail(op, f"combine region takes {arguments} arguments, expected {wanted}")


class Scan(ValuesToResults, name="scan"):
    """Inclusive prefix fold along `axis`, from the end where `reverse`."""

    axis: ir.IntegerAttr
    reverse: Any
    combine: ext.Region

    def verify_invariants(self) -> bool:
        if not axis_fits(self, len(shape_of(self.operands[0].type))):
            return False
        return same_shape(self, *(value.type for value in self.operands)) and _check_combine(self)


class MapElementwise(ValuesToResults, name="map_elementwise"):
    """A region applied to `pack` elements at a time."""

    pack: ir.IntegerAttr
    scalars: ext.Region


class ReduceReturn(Values, name="reduce_return", traits=[ir.IsTerminatorTrait]):
    """End of a combine region of `tt.reduce`."""


class ScanReturn(Values, name="scan_return", traits=[ir.IsTerminatorTrait]):
    """End of a combine region of `tt.scan`."""


class MapElementwiseReturn(Values, name="map_elementwise_return", traits=[ir.IsTerminatorTrait]):
    """End of the region of `tt.map_elementwise`."""


class MakeRange(TT.Operation, name="make_range", traits=[ext.Pure]):
    """start, start + 1, …, end - 1."""

    start: ir.IntegerAttr
    end: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        size = integer(self, "end") - integer(self, "start")
        shape = shape_of(self.result.type)
        return shape == (size,) or fail(self, f"range of {size} elements has shape {show(shape)}")


class Histogram(TT.Operation, name="histogram", traits=[ext.Pure]):
    """How often each of 0, …, bins - 1 occurs."""

    src: ext.Operand[Any]
    mask: ext.Operand[Any] | None
    result: ext.Result[Any]


class Gather(TT.Operation, name="gather", traits=[ext.Pure]):
    """Elements of a tensor picked by an index tensor along `axis`."""

    src: ext.Operand[Any]
    indices: ext.Operand[Any]
    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return axis_fits(self, len(shape_of(self.src.type))) and same_shape(self, self.indices.type, self.result.type)


class Print(Values, name="print"):
    """Text and values for a human."""

    prefix: ir.StringAttr


class Assert(TT.Operation, name="assert"):
    """A condition that must hold."""

    condition: ext.Operand[Any]
    message: ir.StringAttr
