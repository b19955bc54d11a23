"""Index runs that are cut off at a limit in `convert-tt-to-linalg`: `where(i < n, i, 0)` and `minimum(i, n - 1)`.

Kernels keep the rows of a partial block inside the array that way. The run stays a formula, so that an access through
it is a strided transfer where the block is whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, elementwise, lowers
from mtia.compiler.passes.convert_tt_to_linalg_values import Affine, Compare, Index, Mask, Wrap, same
from mtia.dialects.mlir import arith, ir
from mtia.dialects.tt import element_type

__all__ = ["chosen_run"]


def chosen_run(c: Converter, condition: Any, run: Affine | None, other: Affine | None) -> Affine | None:
    """`run` where it is less than a scalar and a scalar elsewhere, as a formula; None where it is not that."""
    axis = _axis_of_run(run)
    if run is None or axis is None or other is None or not other.uniform or not isinstance(condition, Mask):
        return None
    if len(condition.terms) != 1 or not isinstance(term := condition.terms[0], Compare):
        return None
    if term.predicate != "slt" or not term.rhs.uniform or term.rhs.wrapped or not _equal(term.lhs, run):
        return None
    return _cut_off(c, run, axis, term.rhs.base, other.base)


def _equal(a: Affine, b: Affine) -> bool:
    return a.shape == b.shape and same(a.base, b.base) and all(map(same, a.strides, b.strides)) and a.wraps == b.wraps


def _axis_of_run(run: Affine | None) -> int | None:
    """The only dimension along which a formula grows, by one."""
    if run is None or run.wrapped or len(run.varying()) != 1:
        return None
    axis = run.varying()[0]
    return axis if same(run.strides[axis], 1) else None


def _cut_off(c: Converter, run: Affine, axis: int, limit: Index, beyond: Index) -> Affine:
    """The run up to `limit`, then `beyond`; the scalars are computed here, outside of the loops that use them."""
    end = c.index.value(c.index.add(run.base, run.shape[axis]))
    whole = arith.CmpIOp(arith.CmpIPredicate.sle, end, c.index.value(limit)).result
    wrap = Wrap(run.base, limit, run.base, whole, beyond)
    return replace(run, base=0, wraps=tuple(wrap if at == axis else None for at in range(len(run.shape))))


@lowers("arith.minsi")
def _minimum(c: Converter, op: Any) -> None:
    if isinstance(op.results[0].type, ir.RankedTensorType) and str(element_type(op.results[0].type)) != "i1":
        left, right = (c.affine(value) for value in op.operands)
        for run, most in ((left, right), (right, left)):
            axis = _axis_of_run(run)
            if run is not None and axis is not None and most is not None and most.uniform:
                c.set(op.results[0], _cut_off(c, run, axis, c.index.add(most.base, 1), most.base))
                return
    elementwise(c, op)
