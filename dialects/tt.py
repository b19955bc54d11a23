"""The `tt` dialect: Triton's operations, held as Triton 3.7 defines them.

Three spellings differ, because the dialect is defined at run time: `tt.func`, `tt.return` and `tt.call` are `func`
operations, a dot inside an operation name is an underscore (`tt.reduce_return`), and enumerations are strings.
"""

# The bindings carry no types, and `ext` reads annotations as objects, so they must not be strings
# (no `from __future__ import annotations` here).
# mypy: disable-error-code="misc, call-arg, name-defined"

from collections.abc import Sequence
from typing import Any

from mtia.dialects.mlir import ext, ir

__all__ = ["TT", "Descriptor", "Ptr", "block", "element_type", "is_pointer", "pointee", "shape_of"]


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


def _fail(op: Any, reason: str) -> bool:
    op.location.emit_error(f"'{op.operation.name}' op {reason}")
    return False


def _show(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _same_shape(op: Any, *types: Any) -> bool:
    shapes = [shape_of(type_) for type_ in types]
    for shape in shapes:
        if shape != shapes[0]:
            return _fail(op, f"operands have shapes {_show(shapes[0])} and {_show(shape)}")
    return True


def _pointers(op: Any, type_: Any) -> bool:
    return is_pointer(type_) or _fail(op, f"expects a pointer or a tensor of pointers, got {type_}")


def _values_fit(op: Any, pointers: Any, *values: Any) -> bool:
    """Every value has the shape of the pointers and their pointee as element (a block pointer counts as its block)."""
    wanted, element = shape_of(pointers), pointee(pointers)
    if isinstance(element, ir.RankedTensorType):
        wanted, element = tuple(element.shape), element.element_type
    for value in values:
        if shape_of(value.type) != wanted:
            return _fail(op, f"value has shape {_show(shape_of(value.type))}, the pointers have {_show(wanted)}")
        if element_type(value.type) != element:
            return _fail(op, f"value has element type {element_type(value.type)}, the pointers point to {element}")
    return True


def _mask_fits(op: Any, pointers: Any, mask: Any) -> bool:
    if mask is None:
        return True
    if str(element_type(mask.type)) != "i1":
        return _fail(op, f"mask has element type {element_type(mask.type)}, not i1")
    if shape_of(mask.type) != shape_of(pointers):
        return _fail(op, f"mask has shape {_show(shape_of(mask.type))}, pointers have {_show(shape_of(pointers))}")
    return True


def _integer(op: Any, name: str) -> int:
    return int(ir.IntegerAttr(op.attributes[name]).value)


def _axis(op: Any, rank: int) -> bool:
    axis = _integer(op, "axis")
    return 0 <= axis < rank or _fail(op, f"axis {axis} is outside a tensor of rank {rank}")


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


class _Values(TT.Operation):
    v0: ext.Operand[Any] | None
    v1: ext.Operand[Any] | None
    v2: ext.Operand[Any] | None
    v3: ext.Operand[Any] | None
    v4: ext.Operand[Any] | None
    v5: ext.Operand[Any] | None
    v6: ext.Operand[Any] | None
    v7: ext.Operand[Any] | None


class _ValuesToResults(_Values):
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


class _Elementwise(TT.Operation):
    def verify_invariants(self) -> bool:
        return _same_shape(self, *(value.type for value in (*self.operands, *self.results)))


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


class ExternElementwise(_Values, name="extern_elementwise"):
    """An elementwise function of a device library, named by `symbol`."""

    symbol: ir.StringAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _same_shape(self, *(value.type for value in (*self.operands, *self.results)))


class InlineAsm(_ValuesToResults, name="elementwise_inline_asm"):
    """Assembly text on elements."""

    asm_string: ir.StringAttr


class AddPtr(TT.Operation, name="addptr", traits=[ext.Pure]):
    """Pointers moved by a number of elements."""

    ptr: ext.Operand[Any]
    offset: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _pointers(self, self.ptr.type) and _same_shape(self, self.ptr.type, self.offset.type, self.result.type)


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
            return _fail(self, f"kind '{kind}' is not one of {', '.join(sorted(ATOMIC_KINDS))}")
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


class Splat(TT.Operation, name="splat", traits=[ext.Pure]):
    """A tensor with one value everywhere."""

    src: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        same = element_type(self.result.type) == element_type(self.src.type)
        return same or _fail(self, f"cannot splat {self.src.type} to {self.result.type}")


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
        if not _axis(self, len(shape) + 1):
            return False
        shape.insert(_integer(self, "axis"), 1)
        same = list(shape_of(self.result.type)) == shape
        return same or _fail(self, f"result has shape {_show(shape_of(self.result.type))}, expected {_show(shape)}")


class Reshape(TT.Operation, name="reshape", traits=[ext.Pure]):
    """The same elements in another shape, in row-major order."""

    src: ext.Operand[Any]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        sizes = [_product(shape_of(value.type)) for value in (self.src, self.result)]
        return sizes[0] == sizes[1] or _fail(self, f"cannot reshape {sizes[0]} elements to {sizes[1]}")


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
        return fits or _fail(self, f"cannot broadcast {_show(source)} to {_show(wanted)}")


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
        return _same_shape(self, self.lhs.type, self.rhs.type)


class Split(TT.Operation, name="split", traits=[ext.Pure]):
    """The two halves of a last dimension of size 2."""

    src: ext.Operand[Any]
    lhs: ext.Result[Any]
    rhs: ext.Result[Any]

    def verify_invariants(self) -> bool:
        last = shape_of(self.src.type)[-1:]
        return last == (2,) or _fail(self, f"splits a last dimension of size 2, got {_show(shape_of(self.src.type))}")


class Trans(TT.Operation, name="trans", traits=[ext.Pure]):
    """Dimensions reordered: dimension i of the result is dimension order[i] of the source."""

    src: ext.Operand[Any]
    order: Any
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        order, source = list(ir.DenseI32ArrayAttr(self.attributes["order"])), shape_of(self.src.type)
        if sorted(order) != list(range(len(source))):
            return _fail(self, f"order {order} is no permutation of {len(source)} dimensions")
        same = shape_of(self.result.type) == tuple(source[axis] for axis in order)
        return same or _fail(self, f"result has shape {_show(shape_of(self.result.type))}")


class GetProgramId(TT.Operation, name="get_program_id", traits=[ext.Pure]):
    """Index of the program on a grid axis (0 to 2)."""

    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _axis(self, 3)


class GetNumPrograms(TT.Operation, name="get_num_programs", traits=[ext.Pure]):
    """Size of the grid on an axis (0 to 2)."""

    axis: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        return _axis(self, 3)


def _check_dot(op: Any, a: Any, b: Any, c: Any) -> bool:
    left, right, out = (shape_of(value.type) for value in (a, b, c))
    if not 2 <= len(left) == len(right) == len(out) <= 3:
        return _fail(op, f"multiplies matrices, or batches of them; got ranks {len(left)}, {len(right)}, {len(out)}")
    if left[-1] != right[-2] or out != (*left[:-1], right[-1]) or left[:-2] != right[:-2]:
        return _fail(op, f"shapes do not match: {_show(left)} times {_show(right)} into {_show(out)}")
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


class Reduce(_ValuesToResults, name="reduce"):
    """Fold along `axis` with a region of two arguments for every operand."""

    axis: ir.IntegerAttr
    combine: ext.Region

    def verify_invariants(self) -> bool:
        if not _axis(self, len(shape_of(self.operands[0].type))):
            return False
        return _same_shape(self, *(value.type for value in self.operands)) and _check_combine(self)


def _check_combine(op: Any) -> bool:
    arguments = len(op.regions[0].blocks[0].arguments)
    wanted = 2 * len(op.operands)
    return arguments == wanted or _fail(op, f"combine region takes {arguments} arguments, expected {wanted}")


class Scan(_ValuesToResults, name="scan"):
    """Inclusive prefix fold along `axis`, from the end where `reverse`."""

    axis: ir.IntegerAttr
    reverse: Any
    combine: ext.Region

    def verify_invariants(self) -> bool:
        if not _axis(self, len(shape_of(self.operands[0].type))):
            return False
        return _same_shape(self, *(value.type for value in self.operands)) and _check_combine(self)


class MapElementwise(_ValuesToResults, name="map_elementwise"):
    """A region applied to `pack` elements at a time."""

    pack: ir.IntegerAttr
    scalars: ext.Region


class ReduceReturn(_Values, name="reduce_return", traits=[ir.IsTerminatorTrait]):
    """End of a combine region of `tt.reduce`."""


class ScanReturn(_Values, name="scan_return", traits=[ir.IsTerminatorTrait]):
    """End of a combine region of `tt.scan`."""


class MapElementwiseReturn(_Values, name="map_elementwise_return", traits=[ir.IsTerminatorTrait]):
    """End of the region of `tt.map_elementwise`."""


class MakeRange(TT.Operation, name="make_range", traits=[ext.Pure]):
    """start, start + 1, …, end - 1."""

    start: ir.IntegerAttr
    end: ir.IntegerAttr
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        size = _integer(self, "end") - _integer(self, "start")
        shape = shape_of(self.result.type)
        return shape == (size,) or _fail(self, f"range of {size} elements has shape {_show(shape)}")


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
        return _axis(self, len(shape_of(self.src.type))) and _same_shape(self, self.indices.type, self.result.type)


class Print(_Values, name="print"):
    """Text and values for a human."""

    prefix: ir.StringAttr


class Assert(TT.Operation, name="assert"):
    """A condition that must hold."""

    condition: ext.Operand[Any]
    message: ir.StringAttr


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
        return counts == {rank} or _fail(self, f"needs {rank} sizes, strides and offsets for {self.result.type}")


class MakeTensorDescriptor(TT.Operation, name="make_tensor_descriptor", traits=[ext.Pure]):
    """A tensor descriptor: base, shape, strides; attribute `padding` 2 reads NaN outside the shape, else 0."""

    base: ext.Operand[Any]
    shape: Sequence[ext.Operand[Any]]
    strides: Sequence[ext.Operand[Any]]
    result: ext.Result[Any]

    def verify_invariants(self) -> bool:
        rank = len(shape_of(block(self.result.type)))
        counts = {len(part) for part in (self.shape, self.strides)}
        return counts == {rank} or _fail(self, f"needs {rank} sizes and strides for {self.result.type}")


def _described(op: Any, desc: Any, indices: int) -> bool:
    if not isinstance(desc.type, Descriptor):
        return _fail(op, f"expects a tensor descriptor, got {desc.type}")
    rank = len(shape_of(block(desc.type)))
    return indices == rank or _fail(op, f"has {indices} indices for a descriptor of rank {rank}")


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
