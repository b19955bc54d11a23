"""Lowering of matrix products in `convert-tt-to-linalg`."""

from __future__ import annotations

from typing import Any

from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers
from mtia.dialects.mlir import ir, linalg

__all__ = ["multiply"]


@lowers("tt.dot")
def _dot(c: Converter, op: Any) -> None:
    a, b, acc = (c.tensor(value) for value in op.operands)
    precision = op.attributes["inputPrecision"] if "inputPrecision" in op.attributes else None
    c.set(op.result, multiply(a, b, acc, precision))


def multiply(a: Any, b: Any, acc: Any, precision: Any = None) -> Any:
    """acc + a · b of matrices or of batches of them; `precision` says how f32 factors may be rounded."""
    kind = linalg.MatmulOp if len(acc.type.shape) == 2 else linalg.BatchMatmulOp
    product = kind([acc.type], [a, b], [acc])
    linalg.fill_builtin_region(product.operation)
    if precision is not None and isinstance(a.type.element_type, ir.F32Type):
        product.operation.attributes["mtia.precision"] = precision
    return product.results[0]
