"""The state of `convert-tt-to-linalg`: what each Triton value became, and tensors made from formulas when needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mtia.compiler.locations import place_of
from mtia.compiler.options import Options
from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_values import (
    Affine,
    Compare,
    Guard,
    IndexBuilder,
    Mask,
    Pointers,
    Splat,
    View,
)
from mtia.dialects.mlir import arith, ir, linalg
from mtia.dialects.tt import element_type, shape_of
from mtia.isa.errors import UserError

__all__ = ["ELEMENTS", "LOWERINGS", "STRIDED", "Converter", "lowers", "refuse"]

Lowering = Callable[["Converter", Any], None]

LOWERINGS: dict[str, Lowering] = {}
"""Operation name to the function that lowers it."""


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Register the lowering of operations."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, function))
        return function

    return register


def refuse(op: Any, reason: str) -> UserError:
    """The error of an operation that cannot be compiled, at the user's line."""
    return UserError(f"{op.operation.name}: {reason}", *place_of(op.location))


STRIDED, ELEMENTS = "strided transfer", "element loop"  # paths of an access


class Converter:
    """Lowers the operations of one function, in order, into the current insertion point."""

    def __init__(self, entry: Any, options: Options, callees: Mapping[str, Any] | None = None) -> None:
        self.chip = options.chip
        self.hart_only = options.hart_only
        self.callees = callees or {}
        self.calls: list[str] = []
        self.addresses: dict[Any, Any] = {}  # of a tensor of places made from addresses, those addresses
        self.values: dict[Any, Any] = {}
        self.index = IndexBuilder(entry)
        self.notes: list[str] = []
        self.accesses: list[str] = []
        self.messages: list[dict[str, Any]] = []  # what records for the host mean
        self._entry = entry
        self._message_buffer: Any = None

    def block(self, operations: Iterable[Any]) -> Any:
        """Lower operations up to the terminator, which is returned."""
        for op in operations:
            name = op.operation.name
            lowering = LOWERINGS.get(name)
            if lowering is None:
                if name in TERMINATORS:
                    return op
                lowering = _default_of(name)
            if lowering is None:
                raise refuse(op, "not supported")
            with op.location:
                lowering(self, op)
        return None

    def note(self, op: Any, text: str) -> None:
        """Remember something the user should hear."""
        self.notes.append(self._at(op, text))

    def explain(self, op: Any, path: str, reason: str = "") -> None:
        """Remember how an access is done, and why not better."""
        self.accesses.append(self._at(op, f"{op.operation.name}: {path}" + (f" ({reason})" if reason else "")))

    def message(self, described: dict[str, Any]) -> int:
        """The number of a message for the host."""
        self.messages.append(described)
        return len(self.messages) - 1

    def message_buffer(self) -> Any:
        """The memory of records for the host: one more argument of the kernel, of 64-bit words."""
        if self._message_buffer is None:
            words = build.global_type(ir.IntegerType.get_signless(64))
            self._message_buffer = self._entry.add_argument(words, ir.Location.unknown())
        return self._message_buffer

    def _at(self, op: Any, text: str) -> str:
        file, line, column = place_of(op.location)
        return f"{file}:{line}:{column}: {text}" if file else text

    def get(self, value: Any) -> Any:
        """What a Triton value became: an SSA value, or one of the formulas of `convert_tt_to_linalg_values`."""
        return self.values[value]

    def set(self, value: Any, became: Any) -> None:
        """Say what a Triton value became."""
        self.values[value] = became

    def scalar(self, value: Any) -> Any:
        """The SSA value of a scalar."""
        return self.values[value]

    def affine(self, value: Any) -> Affine | None:
        """The formula of an integer tensor or scalar, where there is one."""
        known = self.values[value]
        if isinstance(known, Affine):
            return known
        if isinstance(known, Splat) and isinstance(known.value.type, (ir.IntegerType, ir.IndexType)):
            return self.index.affine(known)
        if isinstance(known, ir.Value) and not isinstance(known.type, ir.ShapedType):
            return self.index.affine(Splat((), known))
        return None

    def mask(self, value: Any) -> Mask | None:
        """The formula of a tensor or scalar of i1, where there is one."""
        known = self.values[value]
        if isinstance(known, Mask):
            return known
        if isinstance(known, Splat):
            return mask_of_scalar(known.shape, known.value)
        if isinstance(known, ir.Value) and not isinstance(known.type, ir.ShapedType):
            return mask_of_scalar((), known)
        return None

    def tensor(self, value: Any) -> Any:
        """The SSA tensor of a Triton tensor, computed here when it was a formula."""
        return self.materialise(self.values[value])

    def materialise(self, known: Any) -> Any:
        """The SSA tensor of a formula; masks and index formulas are made anew at each use, so that they fuse there."""
        if isinstance(known, Splat):
            return build.fill(known.value, known.shape)
        if isinstance(known, View):
            return self._view(known)
        if isinstance(known, Affine):
            if known.uniform:
                return build.fill(self.index.to_scalar(known.base, known.element), known.shape)
            return self._formula(known.shape, known.element, self.elements(known))
        if isinstance(known, Mask):
            return self._formula(known.shape, ir.IntegerType.get_signless(1), self.holds(known))
        if isinstance(known, Pointers):
            raise AssertionError("a tensor of pointers has no values of its own")
        return known

    def _view(self, view: View) -> Any:
        if tuple(view.source.type.shape) == view.shape:
            return view.source
        if all(view.shape[axis] == 1 for axis in range(len(view.shape)) if axis not in view.dims):
            return (
                build.expand(view.source, view.shape, _groups(len(view.shape), view.dims))
                if view.dims
                else (build.broadcast(view.source, view.shape, view.dims))
            )
        return build.broadcast(view.source, view.shape, view.dims)

    def _formula(self, shape: Sequence[int], element: Any, at: Callable[[Sequence[Any]], Any]) -> Any:
        out = build.empty(shape, element)

        def body(_: Any) -> list[Any]:
            return [at([linalg.IndexOp(axis).result for axis in range(len(shape))])]

        return build.generic([], [out], [build.identity_map(len(shape))], body)[0]

    def elements(self, affine: Affine) -> Callable[[Sequence[Any]], Any]:
        """A function from index values to the element, in the formula's own integer type; scalars are computed here."""
        type_, to_scalar = affine.element, self.index.to_scalar
        base = to_scalar(affine.base, type_)
        varying = affine.varying()
        strides = {axis: to_scalar(affine.strides[axis], type_) for axis in varying}
        wraps = {
            axis: (wrap, [to_scalar(scalar, type_) for scalar in wrap.scalars()])
            for axis in varying
            if (wrap := affine.wraps[axis]) is not None
        }

        def at(indices: Sequence[Any]) -> Any:
            total = None
            for axis in varying:
                index = arith.IndexCastOp(type_, indices[axis]).result if type_ != self.index.index else indices[axis]
                if axis in wraps:
                    wrap, scalars = wraps[axis]
                    index = wrap.place(index, *scalars)
                if affine.strides[axis] != 1:
                    index = arith.MulIOp(index, strides[axis]).result
                total = index if total is None else arith.AddIOp(total, index).result
            if total is None:
                return base
            return total if affine.base == 0 else arith.AddIOp(total, base).result

        return at

    def holds(self, mask: Mask) -> Callable[[Sequence[Any]], Any]:
        """A function from index values to whether the mask holds; scalars are computed here."""
        tests: list[Callable[[Sequence[Any]], Any]] = []
        for term in mask.terms:
            if isinstance(term, Guard):
                tests.append(_always(term.value))
            else:
                tests.append(self._test(term))

        def at(indices: Sequence[Any]) -> Any:
            result = None
            for test in tests:
                value = test(indices)
                result = value if result is None else arith.AndIOp(result, value).result
            return true if result is None else result

        true = self.index.constant(1, ir.IntegerType.get_signless(1)) if not tests else None
        return at

    def _test(self, term: Compare) -> Callable[[Sequence[Any]], Any]:
        left, right = self.elements(term.lhs), self.elements(term.rhs)
        predicate = PREDICATES[term.predicate]
        return lambda indices: arith.CmpIOp(predicate, left(indices), right(indices)).result


def _always(value: Any) -> Callable[[Sequence[Any]], Any]:
    return lambda _: value


def mask_of_scalar(shape: tuple[int, ...], value: Any) -> Mask:
    """A mask that is one scalar everywhere; a constant true has no terms."""
    owner = value.owner
    if not isinstance(owner, ir.Block) and owner.operation.name == "arith.constant":
        if ir.IntegerAttr(owner.attributes["value"]).value != 0:
            return Mask(shape, ())
    return Mask(shape, (Guard(value),))


def _groups(rank: int, dims: Sequence[int]) -> list[list[int]]:
    """Result dimensions of each source dimension, new ones put with the nearest."""
    groups: list[list[int]] = [[] for _ in dims]
    current = 0
    for axis in range(rank):
        if current + 1 < len(dims) and axis >= dims[current + 1]:
            current += 1
        groups[current].append(axis)
    return groups


PREDICATES = {name: number for number, name in enumerate("eq ne slt sle sgt sge ult ule ugt uge".split())}
TERMINATORS = frozenset(
    "func.return scf.yield scf.condition tt.reduce_return tt.scan_return tt.map_elementwise_return".split()
)


def _default_of(name: str) -> Lowering | None:
    """Upstream arithmetic is elementwise on tensors as it is."""
    return elementwise if name.partition(".")[0] in ("arith", "math") else None


def elementwise(converter: Converter, op: Any) -> None:
    """The same operation on the lowered operands; repeated vectors are computed once, before they are repeated."""
    operation = op.operation
    if all(not isinstance(value.type, ir.ShapedType) for value in (*operation.operands, *operation.results)):
        operands = [converter.scalar(value) for value in operation.operands]
        _clone(converter, operation, operands, None)
        return
    known = [converter.get(value) for value in operation.operands]
    views = [value for value in known if isinstance(value, View)]
    if views and all(isinstance(value, (View, Splat)) for value in known):
        first = views[0]
        if all(view.dims == first.dims and view.shape == first.shape for view in views):
            shape = tuple(first.source.type.shape)
            operands = [v.source if isinstance(v, View) else build.fill(v.value, shape) for v in known]
            _clone(converter, operation, operands, first)
            return
    if known and all(isinstance(value, Splat) for value in known):
        _clone(converter, operation, [value.value for value in known], known[0])
        return
    _clone(converter, operation, [converter.materialise(value) for value in known], None)


def _clone(converter: Converter, operation: Any, operands: Sequence[Any], around: View | Splat | None) -> None:
    copy = operation.clone()
    for number, operand in enumerate(operands):
        copy.operands[number] = operand
    for old, new in zip(operation.results, copy.results, strict=True):
        became: Any = new
        if around is not None:
            element = element_type(old.type)
            inner = around.source.type.shape if isinstance(around, View) else None
            new.set_type(element if inner is None else build.tensor_type(inner, element))
            shape = shape_of(old.type)
            became = View(shape, new, around.dims) if isinstance(around, View) else Splat(shape, new)
        converter.set(old, became)
