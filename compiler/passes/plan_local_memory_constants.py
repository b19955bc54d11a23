"""How much of local memory a kernel's constants need beyond the page that every program has for them."""

from __future__ import annotations

from typing import Any

from mtia.dialects.mlir import ir

__all__ = ["constant_bytes"]

PAGE_SHARE = 2048  # bytes of the constants that are counted here; the rest of the page is for what later stages add
ALIGNMENT = 64
IMMEDIATE_BITS = 32  # a hart makes integers of so many bits without memory


def constant_bytes(function: Any) -> int:
    """Bytes for the distinct constants of a function that code generation may put into memory; 0 if they are few."""
    found: dict[str, int] = {}

    def collect(op: Any) -> Any:
        if op.name == "arith.constant":
            value = op.attributes["value"]
            kind = op.results[0].type
            count = 1
            if isinstance(kind, ir.VectorType | ir.RankedTensorType):
                for size in kind.shape:
                    count *= size
                kind = kind.element_type
            width = 64 if isinstance(kind, ir.IndexType) else int(kind.width)
            if isinstance(kind, ir.FloatType) or width > IMMEDIATE_BITS:
                found[str(value)] = count * max(1, width // 8)
        return ir.WalkResult.ADVANCE

    function.operation.walk(collect)
    total = sum(found.values())
    return -(-total // ALIGNMENT) * ALIGNMENT if total > PAGE_SHARE else 0
