"""The scalar side of a phase: expression trees written into linalg bodies or plain loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mtia.compiler.passes.spread_graph import Accumulated, Expr, Leaf, user_error
from mtia.compiler.passes.spread_views import Access, Affine
from mtia.dialects.mlir import arith, ir

__all__ = ["BodyWriter", "leaf_key", "slice_of"]

Read = Callable[[Access | Accumulated], Any]


def leaf_key(leaf: Access | Accumulated) -> Any:
    """Equal for operands that hold the same values."""
    if isinstance(leaf, Accumulated):
        return leaf.number
    clips = tuple((clip.index, clip.lo, clip.hi) for clip in leaf.clips)
    return id(leaf.buffer), leaf.at, clips


def slice_of(block: Any, wanted: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """The operations of a body (in order) and its arguments that some yielded values depend on."""
    operations = list(block.operations)
    needed = {operations[-1].operands[number] for number in wanted}
    kept = []
    for op in reversed(operations[:-1]):
        if any(result in needed for result in op.results):
            kept.append(op)
            needed |= set(op.operands)
    return kept[::-1], [argument for argument in block.arguments if argument in needed]


class BodyWriter:
    """Writes expression trees at an insertion point.

    `read(leaf)` gives an operand's scalar, `index(expression)` the value of an index expression,
    `element(tree, tensor, indices)` an element of a captured tensor.
    """

    def __init__(
        self,
        read: Read,
        index: Callable[[Affine], Any],
        outside: Any,
        element: Callable[[Expr, Any, list[Any]], Any] | None = None,
    ) -> None:
        self.read = read
        self.index = index
        self.outside = outside
        self.element = element
        self.constants: dict[Any, Any] = {}

    def leaf(self, leaf: Leaf) -> Any:
        """The scalar of an operand."""
        if isinstance(leaf, Expr):
            return self.expr(leaf, [])[0]
        if isinstance(leaf, Access) and leaf.buffer.kind == "splat":
            return self.constant(leaf.buffer.value, leaf.buffer.dtype)
        return self.read(leaf)

    def constant(self, attribute: Any, kind: Any) -> Any:
        """A scalar constant, written once in front of the body."""
        key = str(attribute)
        if key not in self.constants:
            with self.outside:
                self.constants[key] = arith.ConstantOp(kind, attribute).result
        return self.constants[key]

    def expr(self, tree: Expr, accumulators: list[Any], keep: int | None = None) -> list[Any]:
        """The yielded values of a tree, or only number `keep`.

        `accumulators` are bound to the body arguments after its inputs (to argument `keep` of them, if given).
        """
        if tree.block is None:
            return [self.leaf(tree.args[0])]
        values: dict[Any, Any] = {}
        arguments = list(tree.block.arguments)
        for argument, arg in zip(arguments, tree.args, strict=False):
            if not (isinstance(arg, Access) and arg.buffer.kind == "unused"):
                values[argument] = self.leaf(arg)
        free = arguments[len(tree.args) :]
        for argument, value in zip(free if keep is None else free[keep:], accumulators, strict=False):
            values[argument] = value
        yielded = list(tree.block.operations)[-1]
        wanted = list(range(len(yielded.operands))) if keep is None else [keep]
        for op in slice_of(tree.block, wanted)[0]:
            name = op.operation.name
            if name == "linalg.index":
                position = ir.IntegerAttr(op.attributes["dim"]).value
                values[op.results[0]] = self.index(tree.index[position])
            elif name == "tensor.extract":
                indices = [self.operand(op, value, values) for value in list(op.operands)[1:]]
                assert self.element is not None
                values[op.results[0]] = self.element(tree, op.operands[0], indices)
            else:
                self.clone(op, values)
        return [self.operand(yielded, yielded.operands[number], values) for number in wanted]

    def clone(self, op: Any, values: dict[Any, Any]) -> None:
        if len(list(op.regions)):
            raise user_error(op, f"'{op.operation.name}' inside an elementwise body has no lowering yet")
        operands = [self.operand(op, value, values) for value in op.operands]
        copy = op.operation.clone(ir.InsertionPoint.current)
        for position, operand in enumerate(operands):
            copy.operands[position] = operand
        for old, new in zip(op.results, copy.results, strict=True):
            values[old] = new

    def operand(self, op: Any, value: Any, values: Mapping[Any, Any]) -> Any:
        if value in values:
            return values[value]
        owner = value.owner
        if isinstance(owner, ir.Block) or owner.name != "arith.constant":
            raise user_error(op, "a scalar that is computed outside its operation has no lowering yet")
        return self.constant(owner.attributes["value"], value.type)
