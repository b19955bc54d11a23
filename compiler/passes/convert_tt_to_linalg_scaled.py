"""Lowering of products with microscaling factors in `convert-tt-to-linalg`.

No chip here multiplies blocks with factors, so `tt.dot_scaled` becomes what it stands for: both sides are widened to
one type, multiplied by their factors in f32 and rounded once, and then multiplied. That type is bf16, which holds every
8-bit element times a power of two; f16 where one side is f16 (as Triton does); f32 for f16 times bf16, which share no
narrower one. Harts turn factors into f32 and unpack 4-bit elements to e4m3; the SIMD engine multiplies as it converts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers
from mtia.compiler.passes.convert_tt_to_linalg_dots import apart, multiply
from mtia.dialects.mlir import arith, ir, memref

__all__: list[str] = []

F32_MANTISSA = 23
SMALLEST, NAN = 0x00400000, 0x7FC00000  # the f32 bits of 2**-127 and NaN, which shifting an exponent does not give
E4M3_HALF = 0x30  # 0.5 as e4m3


@lowers("tt.dot_scaled")
def _dot_scaled(c: Converter, op: Any) -> None:
    formats = [ir.StringAttr(op.attributes[name]).value for name in ("lhs", "rhs")]
    element = _common_type(formats)
    c.explain(op, f"a product in {element}", f"{c.chip.name} does not multiply blocks with factors")
    sides = []
    for name, elements, factors, format_ in zip(
        ("lhs", "rhs"), (op.a, op.b), (op.a_scale, op.b_scale), formats, strict=True
    ):
        tensor = c.tensor(elements)
        if factors is None and tensor.type.element_type == element:
            sides.append(tensor)
            continue
        is_packed = format_ == "e2m1"
        along_k = _flag(op, f"{name}_k_pack")
        sides.append(
            Side(build.buffer_of(tensor), _factors(c, factors), is_packed, along_k, name == "lhs").widened(element)
        )
    left, right = sides
    c.set(op.result, multiply(left, right, c.tensor(op.c)))


def _common_type(formats: Sequence[str]) -> Any:
    if "fp16" not in formats:
        return ir.BF16Type.get()
    return ir.F32Type.get() if "bf16" in formats else ir.F16Type.get()


def _flag(op: Any, name: str) -> bool:
    """An attribute that Triton leaves out where it is true."""
    return name not in op.attributes or bool(ir.BoolAttr(op.attributes[name]).value)


def _factors(c: Converter, value: Any) -> Any:
    """The factors as f32: e8m0 codes are exponents of f32, e4m3 ones are widened."""
    if value is None:
        return None
    source = build.buffer_of(c.tensor(value))
    body = _from_e8m0 if isinstance(source.type.element_type, ir.IntegerType) else _extend
    return apart([source], ir.F32Type.get(), body)


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
    """One factor of the product: elements (batch, m, k) or (batch, k, n), factors (batch, m or n, k / group).

    Both are buffers: on tensors, what widens the elements would be fused with the product.
    """

    elements: Any
    factors: Any
    packed: bool  # two 4-bit elements a byte, the first in the low bits
    along_k: bool  # which dimension is packed
    is_left: bool

    def widened(self, element: Any) -> Any:
        """A tensor of the elements times their factors, in another type."""
        shape = list(self.elements.type.shape)
        if self.packed:
            shape[self._packed_dim] *= 2
        out = memref.AllocOp(build.buffer_type(shape, element), [], []).result
        if not self.packed:
            self._write(out)
            return build.tensor_of(out)
        for place in range(2):
            elements, factors = _unpack(self.elements, place), self.factors
            if factors is not None and not self.along_k:
                factors = _every_second(factors, len(shape) - 2, place)
            half = replace(self, elements=elements, factors=factors, packed=False)
            half._write(_every_second(out, self._packed_dim, place))
        return build.tensor_of(out)

    @property
    def _k(self) -> int:
        """Which dimension of the elements is k."""
        return len(self.elements.type.shape) - (1 if self.is_left else 2)

    @property
    def _packed_dim(self) -> int:
        other = len(self.elements.type.shape) - (2 if self.is_left else 1)
        return self._k if self.along_k else other

    def _write(self, out: Any) -> None:
        """Elements of at least a byte each, widened into `out`."""
        element, source, k = out.type.element_type, self.elements, self._k
        if self.factors is None:
            same = build.identity_map(len(source.type.shape))
            build.generic([source], [out], [same, same], lambda x, _: [_convert(x, element)])
            return
        groups = self.factors.type.shape[-1]
        source, out = _split(source, k, groups), _split(out, k, groups)
        rank = len(source.type.shape)
        # Loops are the elements' dimensions in the order that makes a group the outer one of a tile: a tile is
        # (rows, places in the group) or (places, columns), and a factor is the same along one of the two.
        order = [*range(rank - 3), rank - 2, rank - 3, rank - 1] if self.is_left else list(range(rank))
        rows = rank - 3 if self.is_left else rank - 1
        whole = build.projection(rank, [order.index(dim) for dim in range(rank)])
        some = build.projection(rank, [order.index(dim) for dim in (*range(rank - 3), rows, k)])

        def body(x: Any, factor: Any, _: Any) -> list[Any]:
            return [_convert(arith.mulf(_convert(x, ir.F32Type.get()), factor), element)]

        build.generic([source, self.factors], [out], [whole, some, whole], body)


def _split(buffer: Any, dim: int, parts: int) -> Any:
    """A view of a buffer whose dimension `dim` is two: parts, and places in a part."""
    shape = list(buffer.type.shape)
    strides, offset = buffer.type.get_strides_and_offset()
    size = shape[dim] // parts
    groups = [[at + (at > dim)] if at != dim else [dim, dim + 1] for at in range(len(shape))]
    sizes = [*shape[:dim], parts, size, *shape[dim + 1 :]]
    strides = [*strides[:dim], strides[dim] * size, *strides[dim:]]
    layout = ir.StridedLayoutAttr.get(offset, strides)
    plain = ir.MemRefType.get(sizes, buffer.type.element_type)
    kind = ir.MemRefType.get(sizes, buffer.type.element_type, layout=layout)
    if plain.get_strides_and_offset() == (strides, offset):
        kind = plain
    return memref.ExpandShapeOp(kind, buffer, build.reassociation(groups), [], sizes).result


def _every_second(buffer: Any, dim: int, place: int) -> Any:
    """A view of the even (0) or odd (1) places of a buffer along a dimension."""
    shape = list(buffer.type.shape)
    strides, _ = buffer.type.get_strides_and_offset()
    offsets = [place if at == dim else 0 for at in range(len(shape))]
    sizes = [size // 2 if at == dim else size for at, size in enumerate(shape)]
    steps = [2 if at == dim else 1 for at in range(len(shape))]
    layout = ir.StridedLayoutAttr.get(
        place * strides[dim], [stride * step for stride, step in zip(strides, steps, strict=True)]
    )
    kind = ir.MemRefType.get(sizes, buffer.type.element_type, layout=layout)
    return memref.SubViewOp(kind, buffer, [], [], [], offsets, sizes, steps).result


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
            size, sign = arith.shrui(code, byte(4)), arith.andi(code, byte(-128))
        else:
            size, sign = code, arith.shli(arith.andi(code, byte(8)), byte(4))
        size = arith.andi(size, byte(7))
        normal = arith.addi(arith.shli(size, byte(2)), byte(E4M3_HALF))
        small = arith.muli(size, byte(E4M3_HALF))  # 0 or 0.5
        magnitude = arith.select(arith.cmpi(arith.CmpIPredicate.ult, size, byte(2)), small, normal)
        return arith.bitcast(kind, arith.ori(magnitude, sign))

    return apart([codes], kind, body)
