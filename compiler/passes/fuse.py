"""fuse: elementwise chains become one `linalg.generic`; named operations (matmul, reduce) stay."""

from __future__ import annotations

from typing import Any

from mtia.compiler.options import Options
from mtia.dialects.mlir import ir, run_passes

__all__ = ["fuse"]

# No CSE and no hoisting on tensors: merged or hoisted fills and index formulas would become shared buffers and copies,
# where one for each use fuses or is overwritten in place.
_ELEMENTWISE = "builtin.module(func.func(convert-elementwise-to-linalg,linalg-fuse-elementwise-ops))"
_CLEAN = "builtin.module(func.func(canonicalize))"


def fuse(module: Any, options: Options) -> None:
    """Fuse every function of a module in place.

    A repeated (broadcast) tensor is read through its consumer's indexing map, but what computes it is not fused into
    the consumer, where it would be computed once for every repetition.
    """
    run_passes(module, _CLEAN)
    _widen_at_each_use(module)
    run_passes(module, _ELEMENTWISE)
    broadcasts: list[Any] = []

    def collect(op: Any) -> Any:
        if op.name == "linalg.broadcast":
            broadcasts.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for op in broadcasts:
        _absorb(op)
    run_passes(module, _CLEAN)


def _widen_at_each_use(module: Any) -> None:
    """Give every user its own `arith.extf` of a tensor: engines widen while they read, so a shared copy only costs."""
    shared: list[Any] = []

    def collect(op: Any) -> Any:
        if op.name == "arith.extf" and isinstance(op.results[0].type, ir.RankedTensorType):
            shared.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for op in shared:
        for use in list(op.results[0].uses)[1:]:
            user = use.owner.operation
            user.operands[use.operand_number] = op.clone(ip=ir.InsertionPoint(user)).results[0]


def _absorb(broadcast: Any) -> None:
    """Read the source of a broadcast directly in every `linalg.generic` that uses it as an input."""
    source, result = broadcast.operands[0], broadcast.results[0]
    repeated = set(ir.DenseI64ArrayAttr(broadcast.attributes["dimensions"]))
    rank = len(result.type.shape)
    kept = [axis for axis in range(rank) if axis not in repeated]
    for use in list(result.uses):
        consumer = use.owner.operation
        if consumer.name != "linalg.generic" or use.operand_number >= _inputs(consumer):
            continue
        maps = list(ir.ArrayAttr(consumer.attributes["indexing_maps"]))
        map_ = ir.AffineMapAttr(maps[use.operand_number]).value
        reduced = ir.AffineMap.get(map_.n_dims, 0, [map_.results[axis] for axis in kept])
        maps[use.operand_number] = ir.AffineMapAttr.get(reduced)
        if not _sizes_known(maps):
            continue  # the repeated tensor alone says how far a loop goes, as in the sum of repeated numbers
        consumer.operands[use.operand_number] = source
        consumer.attributes["indexing_maps"] = ir.ArrayAttr.get(maps)
    if not list(result.uses):
        broadcast.erase()


def _sizes_known(maps: list[Any]) -> bool:
    """Whether every loop is the index of a dimension of some operand, which says how far it goes."""
    values = [ir.AffineMapAttr(one).value for one in maps]
    found = {str(result) for value in values for result in value.results}
    return all(str(ir.AffineDimExpr.get(dim)) in found for dim in range(values[0].n_dims))


def _inputs(generic: Any) -> int:
    return len(generic.operands) - len(generic.results)
