"""Pass `select-engines`: every operation on local buffers becomes a command of one engine, or a loop on the hart.

An engine is taken only where it computes exactly what the operation says; everything else keeps its general lowering.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes import hart_loops
from mtia.compiler.passes.select_engines_bodies import CONVERSIONS, BodyTranslator
from mtia.compiler.passes.select_engines_commands import HANDLERS
from mtia.compiler.passes.select_engines_elementwise import select_elementwise, select_reduction
from mtia.compiler.passes.select_engines_layout import turn_transfers, view_factors
from mtia.compiler.passes.select_engines_matmul import (
    accumulator_room,
    contractions,
    find_accumulators,
    is_contraction,
    select_matmul,
)
from mtia.compiler.passes.select_engines_moves import select_copy, select_transpose
from mtia.compiler.passes.select_engines_operands import NotOnEngine, check_type
from mtia.compiler.passes.select_engines_order import hoist_products
from mtia.compiler.passes.select_engines_split import split_body
from mtia.compiler.passes.select_engines_views import View, Views, create
from mtia.dialects.mlir import ir, run_passes
from mtia.dialects.mtia import ACCUMULATORS, EIGHT_BIT_FLOATS, GLOBAL, LOCAL, SE_TYPES, memory_space

__all__ = ["Choice", "Selection", "select_engines"]

FLOAT_SCALARS = frozenset(name for name in HANDLERS if name.startswith(("arith.", "math.")) and name[-1] == "f") | {
    "math.exp",
    "math.exp2",
    "math.log",
    "math.log2",
    "math.sqrt",
    "math.rsqrt",
    "math.tanh",
    "math.erf",
    "arith.extf",
    "arith.truncf",
}
LARGE_FILL = 1024  # elements from which the memory layout unit fills beside the SIMD engine


@dataclasses.dataclass(frozen=True)
class Choice:
    """Where one operation went, and why: a line of `--explain`."""

    location: str
    operation: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.location}: {self.operation}: {self.path}" + (f" ({self.reason})" if self.reason else "")


class Selection:
    """The state of the pass over one function."""

    def __init__(self, function: Any, options: Options) -> None:
        self.function = function
        self.chip = options.chip
        self.harts = options.chip.hart.count if options.use_dual_core else 1
        self.stage_bytes = (
            options.chip.re.bytes // 4
        )  # of the accumulators, for products whose sums live in local memory
        self.stages: dict[Any, Any] = {}
        self.fuse = options.enable_fp_fusion
        self.types = SE_TYPES if self.chip.se.fp8 else SE_TYPES - EIGHT_BIT_FLOATS
        self.views = Views()
        self.choices: list[Choice] = []
        self.raised: dict[Any, View] = {}
        self.scalars: list[Any] = []
        self.zeroed: dict[Any, Any] = {}
        self.filled: dict[Any, tuple[Any, list[Any]]] = {}

    # -- helpers for the selectors ----------------------------------------------------------------------------------

    def explain(self, op: Any, path: str, reason: str = "") -> None:
        """Record where an operation went."""
        self.choices.append(Choice(location_text(op.location), op.name, path, reason))

    def translator(self, rows: int, cols: int, ip: Any, loc: Any) -> BodyTranslator:
        """A body translator that knows the scalars which stand in local memory."""
        body = BodyTranslator(self.views, rows, cols, ip, loc)
        body.raised = self.raised
        body.fuse = self.fuse
        body.types = self.types
        return body

    def take_fill(self, root: Any, accepted: Callable[[Any], bool]) -> bool:
        """Drop the fill that just initialised a whole buffer, if its constant is accepted; says whether it did."""
        found = self.filled.get(root)
        if found is None or not accepted(found[0]):
            return False
        for op in reversed(found[1]):
            op.erase()
        del self.filled[root]
        return True

    # -- the walk ---------------------------------------------------------------------------------------------------

    def block(self, block: Any) -> None:
        """Select for every operation of a block and of the regions in it."""
        for op in list(block.operations):
            operation = op.operation
            name = operation.name
            nested = not name.startswith("linalg.") and len(operation.regions) > 0
            if nested:
                self.filled.clear()
                self.stale(written_roots(operation, self.views))
                for region in operation.regions:
                    for inner in region.blocks:
                        self.block(inner)
                self.filled.clear()
                continue
            self.operation(name, operation)

    def operation(self, name: str, op: Any) -> None:
        """Select for one operation without regions of its own level."""
        if self.raised:
            self.stale(written_by(operation=op, views=self.views))
        if name == "linalg.fill":
            self.fill(op)
        elif name.startswith("linalg."):
            touched = self.buffers(op) if self.filled else []
            self.linalg(name, op)  # may replace the operation
            for root in touched:
                self.filled.pop(root, None)
        elif name == "memref.copy":
            touched = [self.views.root(value) for value in op.operands]
            select_copy(self, op)
            for root in touched:
                self.filled.pop(root, None)
        elif name == "memref.load":
            self.raise_load(op)
        elif name == "memref.store":
            self.forget(op)
            self.lower_store(op)
        elif name == "memref.dealloc":
            op.erase()
        elif name in FLOAT_SCALARS and any(value in self.raised for value in op.operands):
            self.raise_scalar(op)
        elif name.startswith("mtia."):
            self.forget(op)

    def stale(self, roots: set[Any]) -> None:
        """Scalars whose buffer is written again are no longer there."""
        for value in [value for value, view in self.raised.items() if view.root in roots]:
            del self.raised[value]

    def forget(self, op: Any) -> None:
        """A buffer that an operation touches is no longer just filled."""
        if self.filled:
            for root in self.buffers(op):
                self.filled.pop(root, None)

    def buffers(self, op: Any) -> list[Any]:
        """The buffers an operation touches."""
        return [self.views.root(value) for value in op.operands if isinstance(value.type, ir.MemRefType)]

    def linalg(self, name: str, op: Any) -> None:
        try:
            if is_contraction(op):
                select_matmul(self, op)
            elif name == "linalg.transpose" and select_transpose(self, op):
                return
            elif select_reduction(self, op):
                return
            else:
                select_elementwise(self, op)
        except NotOnEngine as reason:
            op = self.begin_on_hart(op)
            self.explain(op, "hart loop", str(reason))
            self.drain_operands(op)
            hart_loops.lower(op, self.views)

    def begin_on_hart(self, op: Any) -> Any:
        """Let the SIMD engine do what it can of an operation that is the hart's; gives the operation that is left."""
        parts = split_body(op, self.types)
        if parts is None:
            return op
        first, second = parts
        try:
            select_elementwise(self, second)
        except NotOnEngine:
            for part in parts:  # the buffer between them goes with what is dead
                part.erase()
            return op
        op.erase()
        return first

    def drain_operands(self, op: Any) -> None:
        """Harts do not reach the accumulators: an operation that stays on the hart reads a copy in local memory."""
        ip, loc = ir.InsertionPoint(op), op.location
        copies: dict[Any, Any] = {}
        for position, value in enumerate(op.operands):
            if not isinstance(value.type, ir.MemRefType) or memory_space(value.type) != ACCUMULATORS:
                continue
            view = self.views.of(value)
            if view.root not in copies:
                kind = ir.MemRefType.get(list(view.root.type.shape), view.element)
                segments = ir.DenseI32ArrayAttr.get([0, 0])
                copies[view.root] = create("memref.alloc", [], [kind], ip, loc, operandSegmentSizes=segments)
                create("mtia.re_drain", [view.root, copies[view.root]], [], ip, loc)
            op.operands[position] = self.views.memref(dataclasses.replace(view, root=copies[view.root]), ip, loc)

    def fill(self, op: Any) -> None:
        """A fill is a conversion of a constant on the SIMD engine, or zeroes accumulators."""
        value, target = op.operands
        view = self.views.of(target)
        loc, ip = op.location, ir.InsertionPoint(op)
        whole = target == view.root or view.shape == tuple(view.root.type.shape)
        if memory_space(target.type) == ACCUMULATORS:
            made = [ir.Operation.create("mtia.re_zero", operands=[view.root], loc=loc, ip=ip)]
            self.explain(op, "RE")
        else:
            try:
                made = self.fill_local(op, value, view)
            except NotOnEngine as reason:
                self.explain(op, "hart loop", str(reason))
                hart_loops.lower(op, self.views)
                return
            self.explain(op, "MLU" if made[-1].name == "mtia.fill" else "SE")
        op.erase()
        self.filled.pop(view.root, None)
        if whole:
            self.filled[view.root] = (value, made)

    def fill_local(self, op: Any, value: Any, view: View) -> list[Any]:
        if memory_space(view.root.type) != LOCAL or not view.static:
            raise NotOnEngine("only a local buffer of constant shape is filled by an engine")
        check_type(view.element, self.types)
        flat = flatten(view)
        if flat.shape[0] * flat.shape[1] >= LARGE_FILL:
            ip, loc = ir.InsertionPoint(op), op.location
            target = self.views.memref(flat, ip, loc)
            return [ir.Operation.create("mtia.fill", operands=[value, target], loc=loc, ip=ip)]
        body = self.translator(flat.shape[0], flat.shape[1], ir.InsertionPoint(op), op.location)
        target = self.views.memref(flat, body.ip, body.loc)
        body.emit("mtia.simd_unary", [body.source(body.get(value)), target], [], kind=ir.StringAttr.get("cvt"))
        return body.made

    # -- scalars that stand in local memory -------------------------------------------------------------------------

    def raise_load(self, op: Any) -> None:
        """A float scalar read from local memory is used from there, so that the hart need not wait for it."""
        source = op.operands[0]
        if str(op.results[0].type) not in ("f16", "bf16", "f32"):
            return
        if memory_space(source.type) == GLOBAL:
            self.fetch_scalar(op)
            return
        view = self.views.of(source)
        if any(size != 1 for size in view.shape) or view.terms:
            return
        self.raised[op.results[0]] = view
        self.scalars.append(op)

    def fetch_scalar(self, op: Any) -> None:
        """A float scalar of device memory that only engines use is brought to local memory by DMA."""
        value = op.results[0]
        if not all(on_engines(use.owner.operation) for use in value.uses):
            return
        ip, loc = ir.InsertionPoint(op), op.location
        source, *indices = op.operands
        window = self.views.of(source)
        terms = tuple(zip(indices, window.strides, strict=True))
        remote = self.views.memref(window.moved(terms=terms).shaped((1, 1), (1, 1)), ip, loc)
        kind = ir.MemRefType.get([1, 1], value.type)
        local = create("memref.alloc", [], [kind], ip, loc, operandSegmentSizes=ir.DenseI32ArrayAttr.get([0, 0]))
        segments = ir.DenseI32ArrayAttr.get([1, 1, 0, 0, 0])
        create("mtia.dma_in", [remote, local], [], ip, loc, operandSegmentSizes=segments)
        self.explain(op, "FI", "scalar to local memory")
        self.raised[value] = self.views.of(local)
        self.scalars.append(op)

    def raise_scalar(self, op: Any) -> None:
        """Arithmetic on such a scalar is a 1 × 1 command."""
        body = self.translator(1, 1, ir.InsertionPoint(op), op.location)
        try:
            check_type(op.results[0].type, self.types)
            operands = [body.get(value) for value in op.operands]
            if op.name in CONVERSIONS:
                made = body.convert(op.name, operands[0], op.results[0])
            else:
                made = HANDLERS[op.name](body, op, operands)
        except NotOnEngine:
            body.undo()
            return
        self.raised[op.results[0]] = made.view  # type: ignore[union-attr]
        self.scalars.append(op)

    def lower_store(self, op: Any) -> None:
        """A scalar from local memory that goes to device memory is sent by DMA."""
        value, target, *indices = op.operands
        view = self.raised.get(value)
        if view is None or memory_space(target.type) != GLOBAL:
            return
        ip, loc = ir.InsertionPoint(op), op.location
        body = self.translator(1, 1, ip, loc)
        if view.element != target.type.element_type:
            staged = body.temporary(target.type.element_type)
            source = self.views.memref(view.shaped((1, 1), (1, 1)), ip, loc)
            body.emit("mtia.simd_unary", [source, body.memref(staged)], [], kind=ir.StringAttr.get("cvt"))
            view = staged
        window = self.views.of(target)
        terms = tuple(zip(indices, window.strides, strict=True))
        remote = self.views.memref(window.moved(terms=terms).shaped((1, 1), (1, 1)), ip, loc)
        local = self.views.memref(view.shaped((1, 1), (1, 1)), ip, loc)
        segments = ir.DenseI32ArrayAttr.get([1, 1, 0, 0])
        body.emit("mtia.dma_out", [local, remote], [], operandSegmentSizes=segments)
        self.explain(op, "FI", "scalar from local memory")
        op.erase()


def on_engines(op: Any) -> bool:
    """Whether an operation is arithmetic on floats inside a tile operation, or such arithmetic that ends in some."""
    if op.name not in FLOAT_SCALARS:
        return False
    inside = op.block.owner.operation.name.startswith("linalg.")
    return inside or all(on_engines(use.owner.operation) for use in op.results[0].uses)


def flatten(view: View) -> View:
    """A window as rows × cols: contiguous ones as one row."""
    dims = [(size, stride) for size, stride in zip(view.shape, view.strides, strict=True) if size != 1]
    merged: list[tuple[int, int]] = []
    for size, stride in dims:
        if merged and merged[-1][1] == stride * size:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    if len(merged) > 2:
        raise NotOnEngine("a window of more than two strides")
    while len(merged) < 2:
        merged.insert(0, (1, 1 if not merged else merged[0][0] * merged[0][1]))
    (rows, row_stride), (cols, col_stride) = merged
    return view.shaped((rows, cols), (row_stride, col_stride))


def location_text(location: Any) -> str:
    """`file:line:column` of the user's line: the outermost call that a location names."""
    while True:
        if isinstance(location, ir.CallSiteLoc) and hasattr(location, "caller"):
            location = location.caller
        elif isinstance(location, ir.NameLoc):
            location = location.child_loc
        elif isinstance(location, ir.FusedLoc) and list(location.locations):
            location = list(location.locations)[0]
        else:
            break
    if isinstance(location, ir.FileLineColLoc):
        return f"{location.filename}:{location.start_line}:{location.start_col}"
    return "?"


def written_by(operation: Any, views: Views) -> set[Any]:
    """The buffers that an operation without tile regions may write."""
    name = operation.name
    if name == "memref.load" or not len(operation.operands):
        return set()
    operands = list(operation.operands)
    if name == "memref.copy":
        operands = operands[1:]
    elif name.startswith("linalg.") and "operandSegmentSizes" in operation.attributes:
        operands = operands[list(ir.DenseI32ArrayAttr(operation.attributes["operandSegmentSizes"]))[0] :]
    elif not name.startswith(("linalg.", "memref.store", "vector.", "mtia.")):
        return set()
    return {views.root(value) for value in operands if isinstance(value.type, ir.MemRefType)}


def written_roots(op: Any, views: Views) -> set[Any]:
    """The buffers that operations inside an operation may write."""
    found: set[Any] = set()
    for inner in [inner for region in op.regions for inner in walk(region)]:
        found |= written_by(inner, views)
    return found


def remove_dead(function: Any) -> None:
    """Erase temporaries that nothing reads, with the commands that write them."""
    changed = True
    while changed:
        changed = False
        for alloc in [op for op in walk(function.regions[0]) if op.name == "memref.alloc"]:
            writers = dead_writers(alloc.results[0])
            if writers is None:
                continue
            for op in writers:
                op.erase()
            alloc.erase()
            changed = True


def dead_writers(value: Any) -> list[Any] | None:
    """Users to erase first when a buffer is only written by commands; None when something reads it."""
    found = []
    for use in value.uses:
        op = use.owner.operation
        if op.name in ("memref.reinterpret_cast", "memref.collapse_shape", "memref.expand_shape", "memref.subview"):
            inner = dead_writers(op.results[0])
            if inner is None:
                return None
            found += [*inner, op]
        elif op.name in ("mtia.simd_unary", "mtia.simd_binary", "mtia.simd_ternary", "mtia.simd_reduce"):
            if use.operand_number != len(op.operands) - 1:
                return None
            found.append(op)
        elif op.name in ("mtia.iota", "mtia.mask"):
            found.append(op)
        else:
            return None
    return found


def walk(region: Any) -> list[Any]:
    """All operations of a region and inside, outer ones first."""
    found = []
    for block in region.blocks:
        for op in block.operations:
            operation = op.operation
            found.append(operation)
            for inner in operation.regions:
                found += walk(inner)
    return found


def select_engines(module: Any, options: Options) -> list[Choice]:
    """Rewrite all functions of a module in place; gives the choices in program order."""
    with module.context, ir.Location.unknown():
        return _select(module, options)


def _select(module: Any, options: Options) -> list[Choice]:
    choices: list[Choice] = []
    for op in module.body.operations:
        if op.operation.name != "func.func" or not op.regions[0].blocks:
            continue
        selection = Selection(op, options)
        turn_transfers(op, selection.views)
        view_factors(contractions(op.regions[0]), selection.views)
        find_accumulators(selection)
        for block in op.regions[0].blocks:
            selection.block(block)
        for scalar in reversed(selection.scalars):
            if not any(list(result.uses) for result in scalar.results):
                scalar.erase()
        remove_dead(op)
        fits = accumulator_room(selection)
        for block in op.regions[0].blocks:
            hoist_products(block, fits)
        choices += selection.choices
        if any(op.name.startswith("linalg.") for op in walk(op.regions[0])):
            run_passes(module, "builtin.module(func.func(convert-linalg-to-loops))")
    return choices
