"""`expand-floats`: what the hart has no instruction for in narrow floats becomes integer arithmetic.

That is every operation on 8-bit floats, rounding toward zero, and f64 to bf16 in one rounding; arithmetic on bf16 is
done in f32. A value that is too large for an 8-bit float becomes its largest finite one, infinities too, as on the SIMD
engine.
"""

from __future__ import annotations

from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.expand_floats_formats import FORMATS, Values, is_narrow
from mtia.compiler.passes.expand_math import replace_each
from mtia.dialects.mlir import arith, ir

__all__ = ["expand_floats"]

MOVES = frozenset(("arith.constant", "arith.select", "arith.bitcast"))  # no arithmetic: the bits stay as they are
TO_ZERO = 3  # the value of `roundingmode`


def expand_floats(module: Any, options: Options) -> None:
    """Replace such operations by ones that LLVM lowers for the hart, in place."""
    replace_each(module, _needs_expansion, _expand)


def _needs_expansion(operation: Any) -> bool:
    if not operation.name.startswith(("arith.", "math.")) or operation.name in MOVES or len(operation.results) != 1:
        return False
    kinds = [_element(value.type) for value in (*operation.operands, *operation.results)]
    if any(is_narrow(kind) for kind in kinds):
        return True
    if operation.name == "arith.truncf":
        return _rounds_to_zero(operation) or _skips_f32(*kinds)
    return operation.name != "arith.extf" and any(isinstance(kind, ir.BF16Type) for kind in kinds)


def _skips_f32(source: Any, target: Any) -> bool:
    """f64 to bf16 through f32 would round twice."""
    return isinstance(source, ir.F64Type) and isinstance(target, ir.BF16Type)


def _element(kind: Any) -> Any:
    return kind.element_type if isinstance(kind, ir.VectorType) else kind


def _rounds_to_zero(operation: Any) -> bool:
    return (
        "roundingmode" in operation.attributes and ir.IntegerAttr(operation.attributes["roundingmode"]).value == TO_ZERO
    )


def _expand(operation: Any) -> Any:
    values = Values(operation.results[0].type)
    if operation.name == "arith.extf":
        return _widen(values, operation.operands[0], operation.results[0].type)
    if operation.name == "arith.truncf":
        return _narrow(values, operation.operands[0], operation.results[0].type, _rounds_to_zero(operation))
    return _in_f32(values, operation)


def _in_f32(values: Values, operation: Any) -> Any:
    """Arithmetic on 8-bit floats and bf16: in f32, rounded at the end of every operation."""
    f32 = values.type(ir.F32Type.get())
    operands = [_widen(values, x, f32) if _is_short(_element(x.type)) else x for x in operation.operands]
    kind = operation.results[0].type
    narrow = _is_short(_element(kind))
    attributes = {name: operation.attributes[name] for name in operation.attributes}
    made = ir.Operation.create(operation.name, [f32 if narrow else kind], operands, attributes).results[0]
    return _narrow(values, made, kind, to_zero=False) if narrow else made


def _is_short(element: Any) -> bool:
    """Whether a type has no arithmetic on the hart."""
    return is_narrow(element) or isinstance(element, ir.BF16Type)


def _widen(values: Values, source: Any, kind: Any) -> Any:
    """Exact: an 8-bit float or bf16 to f32, and from there to `kind`, which holds it too."""
    if not is_narrow(_element(source.type)):
        return arith.extf(kind, source)
    wide = FORMATS[str(_element(source.type))].decode(values, source)
    if isinstance(_element(kind), ir.F32Type):
        return wide
    return (arith.extf if isinstance(_element(kind), ir.F64Type) else arith.truncf)(kind, wide)


def _narrow(values: Values, source: Any, kind: Any, to_zero: bool) -> Any:
    """Round once to `kind`."""
    element = _element(kind)
    if is_narrow(element):
        return FORMATS[str(element)].encode(values, _to_f32(values, source), to_zero, kind)
    if to_zero:
        return _truncate(values, source, kind)
    return arith.truncf(kind, _to_f32(values, source))


def _to_f32(values: Values, source: Any) -> Any:
    """The value in f32; f64 is rounded to odd, so that one more rounding to a narrower type is the only one."""
    element = _element(source.type)
    f32 = values.type(ir.F32Type.get())
    if isinstance(element, ir.F32Type):
        return source
    if is_narrow(element):
        return FORMATS[str(element)].decode(values, source)
    if not isinstance(element, ir.F64Type):
        return arith.extf(f32, source)
    toward_zero = _truncate(values, source, f32)
    inexact = values.compare(arith.CmpFPredicate.ONE, arith.extf(source.type, toward_zero), source)
    odd = values.float_of(arith.ori(values.bits_of(toward_zero, 32), values.integer(1, 32)), ir.F32Type.get())
    return arith.select(inexact, odd, toward_zero)


def _truncate(values: Values, source: Any, kind: Any) -> Any:
    """Rounded toward zero: where rounding to nearest went away from zero, one step back."""
    source_type, width = source.type, _element(kind).width
    if _skips_f32(_element(source_type), _element(kind)):
        return _truncate(values, _truncate(values, source, values.type(ir.F32Type.get())), kind)
    nearest = arith.truncf(kind, source)
    back = arith.extf(source_type, nearest)
    away = values.compare(arith.CmpFPredicate.OGT, values.magnitude(back), values.magnitude(source))
    step = arith.subi(values.bits_of(nearest, width), values.integer(1, width))
    return arith.select(away, values.float_of(step, _element(kind)), nearest)
