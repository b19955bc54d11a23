"""`expand-math`: elementary functions of hart code become arithmetic, for a PE has no library to call.

A function of f16, bf16 or f32 is computed in f64 and rounded once (bf16 and f16 through f32).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.expand_math_functions import FUNCTIONS, Builder
from mtia.dialects.mlir import arith, ir

__all__ = ["expand_math", "replace_each"]


def expand_math(module: Any, options: Options) -> None:
    """Replace every operation that LLVM would turn into a library call, in place."""
    replace_each(module, lambda operation: operation.name in FUNCTIONS, _expand)


def replace_each(module: Any, wanted: Callable[[Any], bool], made_of: Callable[[Any], Any]) -> None:
    """Replace the result of every wanted operation by the value made of it, in place."""
    found: list[Any] = []

    def collect(operation: Any) -> Any:
        if wanted(operation):
            found.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for operation in found:
        with ir.InsertionPoint(operation), operation.location:
            result = made_of(operation)
        operation.results[0].replace_all_uses_with(result)
        operation.erase()


def _expand(operation: Any) -> Any:
    kind = operation.results[0].type
    b = Builder(kind)
    operands = [_widen(b, operand) for operand in operation.operands]
    return _narrow(b, FUNCTIONS[operation.name](b, *operands), kind)


def _element(kind: Any) -> Any:
    return kind.element_type if isinstance(kind, ir.VectorType) else kind


def _widen(b: Builder, value: Any) -> Any:
    if isinstance(_element(value.type), ir.F64Type):
        return value
    source = value
    if isinstance(value, ir.OpResult) and value.owner.name == "arith.extf":
        source = value.owner.operands[0]
    if isinstance(source.type, ir.BF16Type):
        # LLVM looks through an extension for a sign, and cannot select the copy of a bf16's.
        i16, i32 = (ir.IntegerType.get_signless(width) for width in (16, 32))
        bits = arith.shli(arith.extui(i32, arith.bitcast(i16, source)), arith.constant(i32, 16))
        value = arith.bitcast(ir.F32Type.get(), bits)
    return arith.extf(b.f64, value)


def _narrow(b: Builder, value: Any, kind: Any) -> Any:
    element = _element(kind)
    if isinstance(element, ir.F64Type):
        return value
    if isinstance(element, ir.F32Type):
        return arith.truncf(kind, value)
    return arith.truncf(kind, arith.truncf(b.type(ir.F32Type.get()), value))
