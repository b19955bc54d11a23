"""Lowering of products with microscaling factors in `convert-tt-to-linalg`.

No chip here multiplies blocks with factors, so `tt.dot_scaled` becomes what it stands for: both sides are widened to
one type, multiplied by their factors in f32 and rounded once, and then multiplied. That type is bf16, which holds every
8-bit element times a power of two; f16 where one side is f16 (as Triton does); f32 for f16 times bf16, which share no
narrower one. Harts turn factors into f32 and unpack 4-bit elements to e4m3; the SIMD engine multiplies as it converts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers
from mtia.compiler.passes.convert_tt_to_linalg_dots import multiply
from mtia.dialects.mlir import arith, ir, memref, tensor

__all__: list[str] = []

F32_MANTISSA = 23
SMALLEST, NAN = 0x00400000, 0x7FC00000  # the f32 bits of 2**-127 and NaN, which shifting an exponent does not give
E4M3_HALF = 0x30  # 0.5 as e4m3


@lowers("tt.dot_scaled")
def _dot_scaled(c: Converter, op: Any) -> None:
    formats = [ir.StringAttr(op.attributes[name]).value for name in ("lhs", "rhs")]
    element = _common_type(formats)
    acc = c.tensor(op.c)
    left = Side(
        c.tensor(op.a), _factors(c, op.a_scale), formats[0] == "e2m1", _k_packed(op, "lhs_k_pack"), is_left=True
    )
    right = Side(
        c.tensor(op.b), _factors(c, op.b_scale), formats[1] == "e2m1", _k_packed(op, "rhs_k_pack"), is_left=False
    )
    c.set(op.result, multiply(left.widened(element), right.widened(element), acc))


def _common_type(formats: Sequence[str]) -> Any:
    if "fp16" not in formats:
        return ir.BF16Type.get()
    return ir.F32Type.get() if "bf16" in formats else ir.F16Type.get()


def _k_packed(op: Any, name: str) -> bool:
    return name not in op.attributes or bool(ir.BoolAttr(op.attributes[name]).value)


def _factors(c: Converter, value: Any) -> Any:
    """The factors as f32: e8m0 codes are exponents of f32, e4m3 ones are widened."""
    if value is None:
        return None
    source = c.tensor(value)
    body = _from_e8m0 if isinstance(source.type.element_type, ir.IntegerType) else _extend
    return _apart(source, ir.F32Type.get(), body)


def _extend(x: Any) -> Any:
    return arith.extf(ir.F32Type.get(), x)


def _from_e8m0(code: Any) -> Any:
    i32 = ir.IntegerType.get_signless(32)

    def integer(value: int) -> Any:
        return arith.constant(i32, value)

    exponent = arith.extui(i32, code)
    bits = arith.shli(exponent, integer(F32_MANTISSA))
    bits = arith.select(arith.cmpi(arith.CmpIPredicate.eq, exponent, integer(0)), integer(SMALLEST), bits)
    bits = arith.select(arith.cmpi(arith.CmpIPredicate.eq, exponent, integer(0xFF)), integer(NAN), bits)
    return arith.bitcast(ir.F32Type.get(), bits)


@dataclass(frozen=True)
class Side:
    """One factor of the product: elements (batch, m, k) or (batch, k, n), factors (batch, m or n, k / group)."""

    elements: Any
    factors: Any
    packed: bool  # two 4-bit elements a byte, the first in the low bits
    along_k: bool  # which dimension is packed
    is_left: bool

    def widened(self, element: Any) -> Any:
        """The elements times their factors, in another type."""
        if not self.packed:
            return self._whole(element)
        dim = self._packed_dim
        shape = list(self.elements.type.shape)
        shape[dim] *= 2
        out = build.empty(shape, element)
        for place in range(2):
            sizes = list(self.elements.type.shape)
            offsets, strides = [0] * len(shape), [1] * len(shape)
            offsets[dim], strides[dim] = place, 2
            half = replace(self, elements=_unpack(self.elements, place), factors=self._factors_of(place), packed=False)
            piece = tensor.ExtractSliceOp(
                build.tensor_type(sizes, element), out, [], [], [], offsets, sizes, strides
            ).result
            made = half._whole(element, piece)
            out = tensor.InsertSliceOp(made, out, [], [], [], offsets, sizes, strides).result
        return out

    @property
    def _k(self) -> int:
        """Which dimension of the elements is k."""
        return len(self.elements.type.shape) - (1 if self.is_left else 2)

    @property
    def _packed_dim(self) -> int:
        other = len(self.elements.type.shape) - (2 if self.is_left else 1)
        return self._k if self.along_k else other

    def _factors_of(self, place: int) -> Any:
        """The factors of the elements in the low (0) or high bits: all, unless packing is along their rows."""
        if self.factors is None or self.along_k:
            return self.factors
        shape = list(self.factors.type.shape)
        rows = len(shape) - 2
        sizes = [size // 2 if dim == rows else size for dim, size in enumerate(shape)]
        offsets, strides = [0] * len(shape), [1] * len(shape)
        offsets[rows], strides[rows] = place, 2
        type_ = build.tensor_type(sizes, self.factors.type.element_type)
        return tensor.ExtractSliceOp(type_, self.factors, [], [], [], offsets, sizes, strides).result

    def _whole(self, element: Any, out: Any = None) -> Any:
        """Elements of at least a byte each, widened into `out` (a new tensor if absent)."""
        source = self.elements
        if self.factors is None:
            if source.type.element_type == element and out is None:
                return source
            same = build.identity_map(len(source.type.shape))
            target = build.empty(source.type.shape, element) if out is None else out
            return build.generic([source], [target], [same, same], lambda x, _: [_convert(x, element)])[0]
        shape, k = list(source.type.shape), self._k
        groups = self.factors.type.shape[-1]
        split = [*shape[:k], groups, shape[k] // groups, *shape[k + 1 :]]
        places = [[dim + (dim > k)] if dim != k else [k, k + 1] for dim in range(len(shape))]
        target = build.empty(split, element) if out is None else build.expand(out, split, places)
        made = self._multiply(build.expand(source, split, places), target, element)
        return build.collapse(made, shape, places)

    def _multiply(self, source: Any, target: Any, element: Any) -> Any:
        """Elements (…, groups, group, …) times their factors; a group is the same for a whole inner tile."""
        rank, k = len(source.type.shape), self._k
        # dimensions of the factors, as dimensions of the elements; the group comes before the rows it is the same for
        dims = [*range(rank - 3), rank - 3, k] if self.is_left else [*range(rank - 3), rank - 1, k]
        order = sorted(range(rank), key=lambda dim: (dim >= rank - 3, dim != k, dim))
        if not self.is_left:
            order = list(range(rank))
        loops = {dim: position for position, dim in enumerate(order)}
        whole = build.projection(rank, [loops[dim] for dim in range(rank)])
        some = build.projection(rank, [loops[dim] for dim in dims])

        def body(x: Any, factor: Any, _: Any) -> list[Any]:
            return [_convert(arith.mulf(_convert(x, ir.F32Type.get()), factor), element)]

        return build.generic([source, self.factors], [target], [whole, some, whole], body)[0]


def _apart(source: Any, element: Any, body: Callable[[Any], Any]) -> Any:
    """`body` of every element, not fused with what uses it: it is for the hart, what follows for the SIMD engine."""
    shape = list(source.type.shape)
    buffer = memref.AllocOp(build.buffer_type(shape, element), [], []).result
    same = build.identity_map(len(shape))
    build.generic([build.buffer_of(source)], [buffer], [same, same], lambda x, _: [body(x)])
    return build.tensor_of(buffer)


def _convert(x: Any, element: Any) -> Any:
    """A float in another type."""
    if x.type == element:
        return x
    if x.type.width < element.width:
        return arith.extf(element, x)
    if x.type.width > element.width:
        return arith.truncf(element, x)
    return arith.truncf(element, arith.extf(ir.F32Type.get(), x))


def _unpack(codes: Any, place: int) -> Any:
    """The low (0) or high 4-bit elements of bytes, as e4m3: e2m1 has the same fields, shorter, with another bias."""
    kind = ir.Float8E4M3FNType.get()

    def body(code: Any) -> Any:
        def byte(value: int) -> Any:
            return arith.constant(code.type, value)

        if place == 1:
            code = arith.shrui(code, byte(4))
        size = arith.andi(code, byte(7))
        sign = arith.shli(arith.andi(code, byte(8)), byte(4))
        normal = arith.addi(arith.shli(size, byte(2)), byte(E4M3_HALF))
        small = arith.select(arith.cmpi(arith.CmpIPredicate.eq, size, byte(0)), byte(0), byte(E4M3_HALF))
        magnitude = arith.select(arith.cmpi(arith.CmpIPredicate.ult, size, byte(2)), small, normal)
        return arith.bitcast(kind, arith.ori(magnitude, sign))

    return _apart(codes, kind, body)
