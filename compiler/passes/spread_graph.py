"""From linalg on tensors to groups of loops: what `spread` works on.

Reshapes, transposes, slices, pads and broadcasts become views; every other `linalg.generic` becomes a group: loop
dimensions, a tree of scalar expressions over accesses, and the buffers it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from mtia.compiler.passes.spread_views import Access, Affine, Buffer, Dim, View, contiguous
from mtia.dialects.mlir import ir
from mtia.isa.errors import UserError

__all__ = [
    "Accumulated",
    "Expr",
    "Graph",
    "Group",
    "Leaf",
    "Output",
    "build_graph",
    "source_line",
    "user_error",
    "user_error_at",
]


MATRIX_SUMS = ("f16", "bf16", "f32")  # result types of products that are made tile by tile as matrices


@dataclass(frozen=True)
class Accumulated:
    """The finished value of a group's reduction number `number`, as an operand of its epilogue."""

    number: int


@dataclass
class Expr:
    """A scalar expression: a linalg body with an operand for each of its input arguments.

    `index[i]` is what `linalg.index i` means; `captures` are tensors the body reads element by element; without a
    `block` the value is the only operand.
    """

    block: Any
    args: list[Leaf]
    index: list[Affine]
    captures: dict[Any, View] = field(default_factory=dict)

    def put(self, by: dict[Dim, Affine]) -> Expr:
        """The expression with loop dimensions replaced."""
        args = [arg if isinstance(arg, Accumulated) else arg.put(by) for arg in self.args]
        return Expr(self.block, args, [index.put(by) for index in self.index], self.captures)

    def walk(self) -> list[Expr]:
        """This expression and all below it."""
        return [self, *(inner for arg in self.args if isinstance(arg, Expr) for inner in arg.walk())]

    def accesses(self) -> list[Access]:
        """All memory operands, in operand order."""
        found = [arg for expr in self.walk() for arg in expr.args if isinstance(arg, Access)]
        return [access for access in found if access.buffer.kind not in ("splat", "unused")]

    def map(self, change: Callable[[Leaf], Leaf]) -> Expr:
        """The expression with every leaf (access or accumulated value) changed."""
        args = [arg.map(change) if isinstance(arg, Expr) else change(arg) for arg in self.args]
        return Expr(self.block, args, self.index, self.captures)

    @property
    def element_wise(self) -> bool:
        """Whether every operand comes through tiles, none element by element."""
        return not any(expr.captures for expr in self.walk())


Leaf = Access | Expr | Accumulated


@dataclass
class Output:
    """Where a group's result number `n` goes, and (for a reduction) what it starts from."""

    access: Access
    init: Leaf | None = None


@dataclass
class Group:
    """Loops that are compiled into one phase.

    `node` names the model's graph node whose value output 0 is (empty where it is a part of one), `label` the one it
    belongs to. `root` is evaluated for every iteration; with reduction dimensions its yielded values are folded into
    `outputs` (the accumulators come after its inputs in the body's arguments); `epilogue`, if any, makes the stored
    value of output 0. `keep` is the yielded value that is kept, where the body makes more than the group stores.
    """

    dims: list[Dim]
    root: Expr
    outputs: list[Output]
    where: Any
    contraction: bool = False
    epilogue: Expr | None = None
    node: str = ""
    label: str = ""
    keep: int | None = None

    @property
    def reduces(self) -> bool:
        """Whether the group folds iterations."""
        return any(dim.reduction for dim in self.dims)

    @property
    def parallel(self) -> list[Dim]:
        """The dimensions whose iterations are independent."""
        return [dim for dim in self.dims if not dim.reduction]

    def accesses(self) -> list[Access]:
        """Everything the group reads."""
        found = self.root.accesses() + (self.epilogue.accesses() if self.epilogue else [])
        for output in self.outputs:
            found += [output.init] if isinstance(output.init, Access) else []
            found += output.init.accesses() if isinstance(output.init, Expr) else []
        return found

    def captured(self) -> list[View]:
        """Views that are read element by element."""
        trees = self.root.walk() + (self.epilogue.walk() if self.epilogue else [])
        return [view for expr in trees for view in expr.captures.values()]

    def rewrite(self, dims: list[Dim], by: dict[Dim, Affine]) -> None:
        """Replace the loop dimensions; `by` gives the old ones in terms of the new."""
        self.dims = dims
        self.root = self.root.put(by)
        self.epilogue = self.epilogue.put(by) if self.epilogue else None
        for output in self.outputs:
            output.access = output.access.put(by)
            if isinstance(output.init, Access | Expr):
                output.init = output.init.put(by)

    def iterations(self) -> int:
        """Product of all trip counts."""
        return prod(dim.extent for dim in self.dims)


@dataclass
class Graph:
    """A model: its groups in order, and the buffers between them."""

    groups: list[Group]
    inputs: list[Buffer]
    results: list[Buffer]


def user_error(op: Any, message: str) -> UserError:
    """A UserError at the Python source line that an operation was imported from."""
    return user_error_at(op.location, message)


def user_error_at(location: Any, message: str) -> UserError:
    """A UserError at the Python source line of a location."""
    return UserError(message, *source_line(location))


def source_line(location: Any) -> tuple[str | None, int | None]:
    """File and line of a location; the import writes the graph node's name before the file as `node@file`."""
    text = str(location)
    if not text.startswith('loc("'):
        return None, None
    name, _, rest = text[5:].rpartition('":')
    line = int(rest.split(":")[0])
    file = name.split("@", 1)[-1]
    return (file, line) if file and line else (None, None)


def node_name(location: Any) -> str:
    """The graph node that an operation was imported from, or nothing."""
    text = str(location)
    return text[5:].partition("@")[0] if text.startswith('loc("') and "@" in text else ""


def _moved_from(op: Any) -> Any:
    """The operation of the same graph node whose value `op` only gives another shape."""
    while op.operation.name in ("tensor.expand_shape", "tensor.collapse_shape"):
        source = op.operands[0].owner
        if isinstance(source, ir.Block) or node_name(source.location) != node_name(op.location):
            break
        op = source.opview
    return op


class _Builder:
    """Walks the main function once and keeps a view for every tensor value."""

    def __init__(self) -> None:
        self.views: dict[Any, View] = {}
        self.groups: list[Group] = []
        self.empty: set[Any] = set()
        self.last: dict[str, Any] = {}

    def build(self, function: Any, kinds: Sequence[str], names: Sequence[str]) -> Graph:
        block = function.regions[0].blocks[0]
        inputs = []
        for argument, kind, name in zip(block.arguments, kinds, names, strict=True):
            buffer = self.buffer(kind, argument.type, name)
            self.views[argument] = View.whole(buffer)
            inputs.append(buffer)
        results: list[Buffer] = []
        self.last = {node_name(op.location): _moved_from(op) for op in block.operations}
        for op in block.operations:
            if op.operation.name == "func.return":
                results = [self.result(op, value, number) for number, value in enumerate(op.operands)]
            else:
                self.visit(op)
        return Graph(self.groups, inputs, results)

    def buffer(self, kind: str, tensor: Any, name: str = "", value: Any = None) -> Buffer:
        shape = tuple(tensor.shape)
        return Buffer(kind, tensor.element_type, prod(shape), shape, name, value)

    def visit(self, op: Any) -> None:
        name = op.operation.name
        handler = getattr(self, "visit_" + name.replace(".", "_"), None)
        if handler is not None:
            handler(op)
        elif any(isinstance(result.type, ir.RankedTensorType) for result in op.results):
            node = node_name(op.location).removesuffix("[]")
            raise user_error(
                op, f"no lowering for graph node '{node}' ('{name}')" if node else f"no lowering for '{name}'"
            )

    def view(self, op: Any, value: Any) -> View:
        if value not in self.views:
            raise user_error(op, f"operand of '{op.operation.name}' has no known layout")
        return self.views[value]

    def set(self, op: Any, view: View | None, source: View, again: Callable[[View], View | None]) -> None:
        """Bind the result; where the window cannot be expressed on `source`, copy that first."""
        if view is None:
            view = again(self.copy(op, source))
        assert view is not None
        self.views[op.results[0]] = view

    def copy(self, op: Any, source: View, into: View | None = None) -> View:
        """A group that copies a view, into a fresh dense buffer unless told where."""
        buffer = Buffer("temp", source.buffer.dtype, prod(source.shape), source.shape)
        target = into or View.whole(buffer)
        dims = [Dim(size) for size in source.shape]
        index = [Affine.of(dim) for dim in dims]
        root = Expr(None, [source.access(index)], index)
        self.append(op, Group(dims, root, [Output(target.access(index))], op.location))
        return target

    def append(self, op: Any, group: Group) -> None:
        """Add a group; it holds a node's value if its operation is the last one imported from that node."""
        group.label = node_name(op.location)
        whole = self.last.get(group.label) == op and not group.label.endswith("[]")
        group.node = group.label if whole else ""
        self.groups.append(group)

    def result(self, op: Any, value: Any, number: int) -> Buffer:
        view = self.view(op, value)
        taken = view.buffer.kind != "temp" or not contiguous(view)
        buffer = self.copy(op, view).buffer if taken else view.buffer
        buffer.kind, buffer.name = "output", f"output{number}"
        buffer.shape = view.shape
        return buffer

    def visit_arith_constant(self, op: Any) -> None:
        value = op.results[0]
        if not isinstance(value.type, ir.RankedTensorType):
            return
        attribute = op.attributes["value"]
        splat = isinstance(attribute, ir.DenseElementsAttr) and attribute.is_splat
        if splat:
            buffer = self.buffer("splat", value.type, value=attribute.get_splat_value())
        else:
            buffer = self.buffer("const", value.type, value=attribute)
        self.views[value] = View.whole(buffer)

    def visit_tensor_empty(self, op: Any) -> None:
        self.empty.add(op.results[0])
        self.views[op.results[0]] = View.whole(self.buffer("temp", op.results[0].type))

    def visit_tensor_cast(self, op: Any) -> None:
        self.views[op.results[0]] = self.view(op, op.operands[0])

    def reassociation(self, op: Any) -> list[list[int]]:
        return [[int(i.value) for i in group] for group in op.attributes["reassociation"]]

    def visit_tensor_expand_shape(self, op: Any) -> None:
        source, groups = self.view(op, op.operands[0]), self.reassociation(op)
        shape = tuple(op.results[0].type.shape)
        groups = groups or [[]] * len(source.shape)
        self.set(op, source.expand(groups, shape), source, lambda view: view.expand(groups, shape))
        self.keep_empty(op)

    def visit_tensor_collapse_shape(self, op: Any) -> None:
        source, groups = self.view(op, op.operands[0]), self.reassociation(op)
        self.set(op, source.collapse(groups), source, lambda view: view.collapse(groups))
        self.keep_empty(op)

    def keep_empty(self, op: Any) -> None:
        if op.operands[0] in self.empty:
            self.empty.add(op.results[0])
            self.views[op.results[0]] = View.whole(self.buffer("temp", op.results[0].type))

    def visit_tensor_extract_slice(self, op: Any) -> None:
        source = self.view(op, op.operands[0])
        offsets, sizes, steps = (list(op.attributes[f"static_{name}"]) for name in ("offsets", "sizes", "strides"))
        if len(op.operands) > 1:
            raise user_error(op, "a slice whose bounds are computed at run time has no lowering yet")
        full = source.slice(offsets, sizes, steps)
        shape = list(op.results[0].type.shape)

        def drop(view: View | None) -> View | None:
            if view is None or len(shape) == len(view.shape):
                return view
            groups: list[list[int]] = [[] for _ in shape]
            wanted, position = list(shape), -1
            for dim, size in enumerate(view.shape):
                if position + 1 < len(wanted) and size == wanted[position + 1]:
                    position += 1
                groups[max(position, 0)].append(dim)
            return view.collapse(groups)

        self.set(op, drop(full), source, lambda view: drop(view.slice(offsets, sizes, steps)))

    def visit_tensor_pad(self, op: Any) -> None:
        source = self.view(op, op.operands[0])
        low = list(op.attributes["static_low"])
        yielded = op.regions[0].blocks[0].operations[-1].operands[0]
        shape = tuple(op.results[0].type.shape)
        constant = yielded.owner
        if isinstance(constant, ir.Block) or constant.name != "arith.constant" or len(op.operands) > 1:
            raise user_error(op, "padding by amounts or with a value computed at run time has no lowering yet")
        fill = constant.attributes["value"]
        self.set(op, source.pad(low, shape, fill), source, lambda view: view.pad(low, shape, fill))

    def visit_tensor_insert_slice(self, op: Any) -> None:
        source, into = self.view(op, op.operands[0]), op.operands[1]
        offsets, sizes, steps = (list(op.attributes[f"static_{name}"]) for name in ("offsets", "sizes", "strides"))
        if len(op.operands) > 2:
            raise user_error(op, "a slice whose bounds are computed at run time has no lowering yet")
        fresh = View.whole(self.buffer("temp", op.results[0].type))
        if into not in self.empty:
            self.copy(op, self.view(op, into), fresh)
        window = fresh.slice(offsets, sizes, steps)
        assert window is not None
        self.copy(op, source.expand(*_regroup(source.shape, sizes)) or source, window)
        self.views[op.results[0]] = fresh

    def visit_tensor_concat(self, op: Any) -> None:
        axis = int(ir.IntegerAttr(op.attributes["dim"]).value)
        fresh = View.whole(self.buffer("temp", op.results[0].type))
        first = 0
        for operand in op.operands:
            part = self.view(op, operand)
            offsets = [first if dim == axis else 0 for dim in range(len(part.shape))]
            window = fresh.slice(offsets, part.shape, [1] * len(part.shape))
            assert window is not None
            self.copy(op, part, window)
            first += part.shape[axis]
        self.views[op.results[0]] = fresh

    def visit_linalg_generic(self, op: Any) -> None:
        maps = [attribute.value for attribute in op.attributes["indexing_maps"]]
        inputs = len(op.inputs)
        body = op.regions[0].blocks[0]
        dims = self.loops(op, maps)
        index = [Affine.of(dim) for dim in dims]
        if self.as_view(op, body, maps, dims):
            return
        args: list[Leaf] = [
            self.operand(op, value, [_affine(result, index) for result in map_.results])
            if any(True for _ in argument.uses)
            else Access(Buffer("unused", None, 0, ()), Affine())
            for argument, value, map_ in zip(body.arguments, op.operands[:inputs], maps[:inputs], strict=False)
        ]
        root = Expr(body, args, index, self.captured(op, body))
        outputs: list[Output] = []
        for result, start, map_ in zip(op.results, op.operands[inputs:], maps[inputs:], strict=True):
            indices = [_affine(expression, index) for expression in map_.results]
            fresh = View.whole(self.buffer("temp", result.type))
            used = any(True for _ in body.arguments[inputs + len(outputs)].uses)
            init = self.operand(op, start, indices) if used and start not in self.empty else None
            outputs.append(Output(fresh.access(indices), init))
            self.views[result] = fresh
        group = Group(dims, root, outputs, op.location)
        if not group.reduces:
            root.args += [output.init for output in outputs if output.init is not None]
            if any(output.init for output in outputs) and any(output.init is None for output in outputs):
                raise user_error(op, "an operation that updates one of several results in place has no lowering yet")
        elif any(output.init is None for output in outputs):
            raise user_error(op, "a reduction without a start value has no lowering yet")
        summed = str(outputs[0].access.buffer.dtype)
        group.contraction = group.reduces and _multiplies(body) and len(args) == 2 and summed in MATRIX_SUMS
        self.append(op, group)

    def loops(self, op: Any, maps: Sequence[Any]) -> list[Dim]:
        """Loop dimensions with their trip counts, from the operands that a plain dimension indexes."""
        kinds = [str(kind) for kind in op.attributes["iterator_types"]]
        dims = [Dim(0, "reduction" in kind) for kind in kinds]
        for value, map_ in zip(op.operands, maps, strict=True):
            if not isinstance(value.type, ir.RankedTensorType):
                continue
            shape = value.type.shape
            if not value.type.has_static_shape:
                raise user_error(op, "a tensor whose size is only known at run time has no lowering yet")
            for size, expression in zip(shape, map_.results, strict=False):
                if isinstance(expression, ir.AffineDimExpr):
                    dims[expression.position].extent = size
        return dims

    def as_view(self, op: Any, body: Any, maps: Sequence[Any], dims: Sequence[Dim]) -> bool:
        """A body that only hands its input (or a constant) on is a view of it."""
        yielded = list(body.operations)[-1].operands
        if len(yielded) != 1 or any(dim.reduction for dim in dims):
            return False
        value = yielded[0]
        shape = tuple(op.results[0].type.shape)
        places = [_position(expression) for expression in maps[-1].results]
        if None in places or len(set(places)) != len(dims):
            return False
        scalar = _constant(value)
        if scalar is None and isinstance(value, ir.BlockArgument) and value.owner == body:
            source = op.operands[value.arg_number] if value.arg_number < len(op.inputs) else None
            if source is None:
                return False
            scalar = _constant(source)
            if scalar is None and source in self.views:
                map_ = maps[value.arg_number]
                index = [_affine(expression, [Affine.of(dim) for dim in dims]) for expression in map_.results]
                view = _window(self.views[source], index, [dims[place] for place in places if place is not None])
                if view is not None:
                    self.views[op.results[0]] = view
                return view is not None
        if scalar is None:
            return False
        splat = Buffer("splat", op.results[0].type.element_type, prod(shape), shape, value=scalar)
        self.views[op.results[0]] = View.whole(splat)
        return True

    def operand(self, op: Any, value: Any, indices: Sequence[Affine]) -> Access:
        scalar = _constant(value)
        if scalar is not None:
            return Access(Buffer("splat", value.type, 1, (), value=scalar), Affine())
        return self.view(op, value).access(indices)

    def captured(self, op: Any, body: Any) -> dict[Any, View]:
        found: dict[Any, View] = {}
        for inner in body.operations:
            if inner.operation.name == "tensor.extract":
                view = self.view(op, inner.operands[0])
                if view.padded or view.buffer.kind == "splat":
                    view = self.copy(op, view)
                found[inner.operands[0]] = view
        return found


def _regroup(have: Sequence[int], want: Sequence[int]) -> tuple[list[list[int]], tuple[int, ...]]:
    """Reassociation that adds the unit dimensions which `want` has and `have` lacks."""
    groups: list[list[int]] = [[] for _ in have]
    position = -1
    for dim, size in enumerate(want):
        if position + 1 < len(have) and (size == have[position + 1]):
            position += 1
        groups[max(position, 0)].append(dim)
    return groups, tuple(want)


def _position(expression: Any) -> int | None:
    return expression.position if isinstance(expression, ir.AffineDimExpr) else None


def _constant(value: Any) -> Any:
    """The attribute of a scalar constant, or None."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        return None
    return None if isinstance(value.type, ir.RankedTensorType) else owner.attributes["value"]


def _affine(expression: Any, index: Sequence[Affine]) -> Affine:
    """An MLIR affine expression over loop indices."""
    if isinstance(expression, ir.AffineDimExpr):
        return index[int(expression.position)]
    if isinstance(expression, ir.AffineConstantExpr):
        return Affine(expression.value)
    binary = expression
    left, right = _affine(binary.lhs, index), _affine(binary.rhs, index)
    if isinstance(expression, ir.AffineAddExpr):
        return left + right
    if isinstance(expression, ir.AffineMulExpr):
        return left * right.const if not right.terms else right * left.const
    raise UserError(f"an operand that is indexed by {expression} has no lowering yet")


def _window(source: View, index: Sequence[Affine], order: Sequence[Dim]) -> View | None:
    """The view over `order` that reads `source` at `index`, where each dimension is used at most once and unscaled."""
    strides, lo, hi = [0] * len(order), [0] * len(order), [dim.extent for dim in order]
    offset = source.offset
    walk = zip(index, source.strides, source.lo, source.hi, source.shape, strict=True)
    for expression, stride, first, last, size in walk:
        padded = first > 0 or last < size
        if len(expression.terms) > 1 or (padded and (expression.const or not expression.terms)):
            return None
        offset += expression.const * stride
        for dim, factor in expression.terms.items():
            place = next(position for position, other in enumerate(order) if other is dim)
            if padded and (factor != 1 or strides[place]):
                return None
            strides[place] += stride * factor
            if padded:
                lo[place], hi[place] = first, last
    shape = tuple(dim.extent for dim in order)
    return View(source.buffer, offset, shape, tuple(strides), tuple(lo), tuple(hi), source.fill)


def _multiplies(body: Any) -> bool:
    """Whether a body is `acc + a * b`, with or without widening of `a` and `b`."""
    operations = [op for op in body.operations if op.operation.name not in ("arith.extf", "arith.extsi")]
    names = [op.operation.name for op in operations]
    if names not in (["arith.mulf", "arith.addf", "linalg.yield"], ["arith.muli", "arith.addi", "linalg.yield"]):
        return False
    factors = {_widened(value) for value in operations[0].operands}
    terms = set(operations[1].operands)
    arguments = list(body.arguments)
    return factors == {arguments[0], arguments[1]} and terms == {operations[0].results[0], arguments[2]}


def _widened(value: Any) -> Any:
    owner = value.owner
    if not isinstance(owner, ir.Block) and owner.name in ("arith.extf", "arith.extsi"):
        return owner.operands[0]
    return value


def build_graph(function: Any, kinds: Sequence[str], names: Sequence[str]) -> Graph:
    """The graph of a `func.func` of linalg on tensors; `kinds` (`input`, `param`, …) and `names` are per argument."""
    return _Builder().build(function, kinds, names)
