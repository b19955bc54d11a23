"""Index arithmetic that folds what is known while it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtia.compiler.passes.spread_views import Affine, Dim
from mtia.dialects.mlir import arith, ir

__all__ = ["Index", "IndexWriter"]

Index = int | Any  # a Python int where the value is known, else an MLIR index


class IndexWriter:
    """Writes index expressions at the current insertion point."""

    def const(self, value: int) -> Any:
        return arith.ConstantOp(ir.IndexType.get(), value).result

    def value(self, index: Index) -> Any:
        return self.const(index) if isinstance(index, int) else index

    def add(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        if isinstance(left, int) and left == 0:
            return right
        if isinstance(right, int) and right == 0:
            return left
        return arith.AddIOp(self.value(left), self.value(right)).result

    def mul(self, left: Index, right: int) -> Index:
        if isinstance(left, int):
            return left * right
        return left if right == 1 else arith.MulIOp(left, self.const(right)).result

    def clamp(self, index: Index, low: int, high: int) -> Index:
        if isinstance(index, int):
            return min(max(index, low), high)
        raised = arith.MaxSIOp(index, self.const(low)).result
        return arith.MinSIOp(raised, self.const(high)).result

    def place(self, expression: Affine, at: Mapping[Dim, Index]) -> Index:
        """The value of an expression at the given dimension values."""
        result: Index = expression.const
        for dim, factor in expression.terms.items():
            result = self.add(result, self.mul(at[dim], factor))
        return result

    def clip_range(self, first: Index, lo: int, hi: int, factor: int, size: int) -> tuple[Index, Index]:
        """Steps `j` in `[0, size)` with `lo <= first + factor·j < hi`; all or none of them if `factor` is 0."""
        step = max(factor, 1)
        below = self.add(lo + step - 1, self.mul(first, -1))
        above = self.add(hi + step - 1, self.mul(first, -1))
        if factor == 0:  # valid for every j or for none: stretch each bound past the tile
            low = self.mul(self.clamp(below, 0, 1), size)
            high = self.mul(self.clamp(above, 0, 1), size)
            return low, high
        return self.clamp(self.floor_div(below, step), 0, size), self.clamp(self.floor_div(above, step), 0, size)

    def floor_div(self, index: Index, by: int) -> Index:
        if isinstance(index, int):
            return index // by
        return index if by == 1 else arith.FloorDivSIOp(index, self.const(by)).result

    def larger(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return max(left, right)
        return right if left == 0 else arith.MaxSIOp(self.value(left), self.value(right)).result

    def smaller(self, left: Index, right: Index) -> Index:
        if isinstance(left, int) and isinstance(right, int):
            return min(left, right)
        return arith.MinSIOp(self.value(left), self.value(right)).result
