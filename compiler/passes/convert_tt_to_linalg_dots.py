"""Lowering of matrix products in `convert-tt-to-linalg`.

What the chip's dot-product engine does not multiply is made of products that it has, where these are exact or as
precise as asked for: 8-bit floats and integers are widened, f32 is split into parts of fewer bits. The rest is for the
hart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers
from mtia.dialects.mlir import arith, ir, linalg, math, memref
from mtia.dialects.mtia import EIGHT_BIT_FLOATS

__all__ = ["apart", "multiply"]

# The parts of f32 factors: type, which kind of rounding cuts them, and which pairs are multiplied, small ones first.
TF32, BF16 = "tf32", "bf16"
PAIRS = {2: ((1, 0), (0, 1), (0, 0)), 3: ((1, 1), (2, 0), (0, 2), (1, 0), (0, 1), (0, 0))}
# what is asked for → kind and number of parts; a chip without tf32 needs more parts in bf16 for as many bits
SPLITS = {"tf32x3": (TF32, 2), "bf16x3": (BF16, 2), "bf16x6": (BF16, 3)}
INSTEAD = {"tf32": (BF16, 2), "tf32x3": (BF16, 3)}
TF32_BITS = -(1 << 13)  # the bits of f32 that tf32 has too
SPLIT_SHARE = 3  # parts may take up to this part of local memory
EXACT_SUM = 1 << 24  # integers up to here are exact in f32


@lowers("tt.dot")
def _dot(c: Converter, op: Any) -> None:
    a, b, acc = (c.tensor(value) for value in op.operands)
    precision = ir.StringAttr(op.attributes["inputPrecision"]).value if "inputPrecision" in op.attributes else "ieee"
    c.set(op.result, _product(c, op, a, b, acc, precision))


def _product(c: Converter, op: Any, a: Any, b: Any, acc: Any, precision: str) -> Any:
    element = a.type.element_type
    dpe = c.chip.dpe
    if c.hart_only:
        return multiply(a, b, acc)
    if element.width == 8 and isinstance(element, ir.FloatType):
        kinds = {str(value.type.element_type) for value in (a, b)}
        if not dpe.fp8 or not kinds <= EIGHT_BIT_FLOATS:
            c.explain(op, "in f16, which holds them", f"{c.chip.name} does not multiply {' and '.join(sorted(kinds))}")
            return multiply(_widened(a), _widened(b), acc)
    if element.width == 8 and not dpe.int8 and isinstance(element, ir.IntegerType):
        if 128 * 128 * a.type.shape[-1] <= EXACT_SUM:
            c.explain(op, "in f16 and f32, which are exact here", f"{c.chip.name} does not multiply i8")
            return _integer_product(a, b, acc)
    if isinstance(element, ir.F32Type) and precision != "ieee":
        return _split_product(c, op, a, b, acc, precision)
    return multiply(a, b, acc)


def multiply(a: Any, b: Any, acc: Any, precision: str = "ieee") -> Any:
    """acc + a · b of matrices or of batches of them; f32 factors may be rounded to tf32 where `precision` says so."""
    kind = linalg.MatmulOp if len(acc.type.shape) == 2 else linalg.BatchMatmulOp
    product = kind([acc.type], [a, b], [acc])
    linalg.fill_builtin_region(product.operation)
    if precision != "ieee":
        product.operation.attributes["mtia.precision"] = ir.StringAttr.get(precision)
    return product.results[0]


def apart(sources: Sequence[Any], element: Any, body: Callable[..., Any]) -> Any:
    """A new buffer with `body` of every element of buffers; on tensors it would be fused with what uses it."""
    shape = list(sources[0].type.shape)
    out = memref.AllocOp(build.buffer_type(shape, element), [], []).result
    maps = [build.identity_map(len(shape))] * (len(sources) + 1)
    build.generic(sources, [out], maps, lambda *values: [body(*values[:-1])])
    return out


def _widened(source: Any) -> Any:
    """8-bit floats or integers as f16, exactly."""
    kind = ir.F16Type.get()
    convert = arith.extf if isinstance(source.type.element_type, ir.FloatType) else arith.sitofp
    return build.tensor_of(apart([build.buffer_of(source)], kind, lambda x: convert(kind, x)))


def _integer_product(a: Any, b: Any, acc: Any) -> Any:
    """acc + a · b of 8-bit integers: every sum of the product is an integer that f32 holds."""
    f32 = ir.F32Type.get()
    zero = build.fill(arith.constant(f32, 0.0), acc.type.shape)
    product = multiply(_widened(a), _widened(b), zero)
    return arith.addi(arith.fptosi(acc.type, product), acc)


def _split_product(c: Converter, op: Any, a: Any, b: Any, acc: Any, precision: str) -> Any:
    """acc + a · b of f32 in a lower precision, or in f32 where parts would take too much local memory."""
    dpe = c.chip.dpe
    if precision == "tf32" and dpe.tf32:
        return multiply(a, b, acc, precision)
    kind, parts = SPLITS[precision] if precision in SPLITS else INSTEAD[precision]
    if kind == TF32 and not dpe.tf32:
        kind, parts = INSTEAD[precision]
    size = 4 if kind == TF32 else 2
    elements = sum(_size(value.type.shape) for value in (a, b))
    if not (dpe.tf32 if kind == TF32 else dpe.bf16):
        c.explain(op, "in f32 on the hart", f"{c.chip.name} does not multiply {kind}")
        return multiply(a, b, acc)
    if elements * size * parts > c.chip.ls.bytes // SPLIT_SHARE:
        c.explain(op, "in f32 on the hart", f"parts in {kind} would take {elements * size * parts} bytes")
        return multiply(a, b, acc)
    c.explain(op, f"{len(PAIRS[parts])} products in {kind}", f"{precision} was asked for")
    left, right = (_parts(value, kind, parts) for value in (a, b))
    for i, j in PAIRS[parts]:
        acc = multiply(left[i], right[j], acc, TF32 if kind == TF32 else "ieee")
    return acc


def _size(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _parts(source: Any, kind: str, count: int) -> list[Any]:
    """f32 as a sum of parts of fewer bits, the largest first; of an infinity the others are 0."""
    f32 = ir.F32Type.get()
    rest, parts = build.buffer_of(source), []
    for left in reversed(range(count)):
        part = apart([rest], f32 if kind == TF32 else ir.BF16Type.get(), _cut if kind == TF32 else _round)
        parts.append(build.tensor_of(part))
        if left:
            rest = apart([rest, part], f32, _remainder)
    return parts


def _round(x: Any) -> Any:
    return arith.truncf(ir.BF16Type.get(), x)


def _cut(x: Any) -> Any:
    i32 = ir.IntegerType.get_signless(32)
    return arith.bitcast(ir.F32Type.get(), arith.andi(arith.bitcast(i32, x), arith.constant(i32, TF32_BITS)))


def _remainder(x: Any, part: Any) -> Any:
    f32 = ir.F32Type.get()
    difference = arith.subf(x, part if part.type == f32 else arith.extf(f32, part))
    finite = arith.cmpf(arith.CmpFPredicate.OLT, math.absf(difference), arith.constant(f32, float("inf")))
    return arith.select(finite, difference, arith.constant(f32, 0.0))
