"""Elementwise operations and reductions on the SIMD engine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mtia.compiler.passes.select_engines_bodies import BodyTranslator
from mtia.compiler.passes.select_engines_domain import Access, Domain, collapse, domain_of, structure_of
from mtia.compiler.passes.select_engines_operands import Affine, NotOnEngine, Tile, check_type
from mtia.compiler.passes.select_engines_views import View, create, loop_nest
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import ACCUMULATORS, GLOBAL, memory_space

if TYPE_CHECKING:
    from mtia.compiler.passes.select_engines import Selection

__all__ = ["select_elementwise", "select_reduction"]

# combining operation → (row reduction, column reduction, combining command, neutral element)
COMBINERS: dict[str, tuple[str, str, str, float]] = {
    "arith.addf": ("rsum", "csum", "add", 0.0),
    "arith.maximumf": ("rmax", "cmax", "max", float("-inf")),
    "arith.maxnumf": ("rmaxn", "cmaxn", "maxn", float("nan")),
    "arith.minimumf": ("rmin", "cmin", "min", float("inf")),
    "arith.minnumf": ("rminn", "cminn", "minn", float("nan")),
    "arith.addi": ("rsum", "csum", "add", 0),
    "arith.maxsi": ("rmax", "cmax", "max", -(1 << 31)),
    "arith.minsi": ("rmin", "cmin", "min", (1 << 31) - 1),
}


def select_elementwise(selection: Selection, op: Any) -> None:
    """Translate an all-parallel operation to SIMD commands, or raise NotOnEngine."""
    domain = local_domain(selection, op)
    if any(domain.reductions):
        raise NotOnEngine("a reduction that no engine does")
    body = op.regions[0].blocks[0]
    if select_rescale(selection, op, domain, body):
        return
    refuse_accumulator_writes(domain)
    operations = [inner.operation for inner in body.operations]
    merged = collapse(domain, indexed(operations))
    run_tiles(selection, op, merged, lambda tiles, translator: translate(op, operations, tiles, translator))
    selection.explain(op, "MLU" if {inner.name for inner in operations[:-1]} == {"arith.bitcast"} else "SE")
    op.erase()


def local_domain(selection: Selection, op: Any) -> Domain:
    """The domain of an operation on local buffers of constant shape."""
    structure = structure_of(op)
    if structure is None:
        raise NotOnEngine("accesses that are no permutation of the loops")
    domain = domain_of(structure, op, selection.views)
    if domain is None:
        raise NotOnEngine("a shape that is not constant")
    for access in domain.accesses:
        if access.view is not None and memory_space(access.view.root.type) == GLOBAL:
            raise NotOnEngine("an operand in device memory")
    return domain


def refuse_accumulator_writes(domain: Domain) -> None:
    for access in domain.accesses[domain.inputs :]:
        if access.view is not None and memory_space(access.view.root.type) == ACCUMULATORS:
            raise NotOnEngine("accumulators are written by the matrix engine only")


def indexed(operations: list[Any]) -> frozenset[int]:
    """Loop dimensions whose index the body reads."""
    return frozenset(ir.IntegerAttr(op.attributes["dim"]).value for op in operations if op.name == "linalg.index")


@dataclasses.dataclass(frozen=True)
class Tiles:
    """One rows × cols part of a domain: the operands' windows and where each operation dimension went."""

    rows: int
    cols: int
    operands: tuple[Any, ...]  # View, or the value of a scalar
    index: dict[int, Affine]
    inputs: int


def run_tiles(selection: Selection, op: Any, domain: Domain, emit: Callable[[Tiles, BodyTranslator], None]) -> None:
    """Call `emit` for the two innermost dimensions, inside loops over the others; undo all if it does not fit."""
    loc = op.location
    outer = max(0, len(domain.sizes) - 2)
    nest, indices, ip = loop_nest(domain.sizes[:outer], ir.InsertionPoint(op), loc)
    rows, cols = (1, 1, *domain.sizes[outer:])[-2:]
    operands = tuple(window(access, indices, outer, rows, cols) for access in domain.accesses)
    translator = selection.translator(rows, cols, ip, loc)
    tiles = Tiles(rows, cols, operands, index_values(domain, indices, outer), domain.inputs)
    try:
        emit(tiles, translator)
    except NotOnEngine:
        translator.undo()
        if nest is not None:
            nest.erase()
        raise


def window(access: Access, indices: list[Any], outer: int, rows: int, cols: int) -> Any:
    """The rows × cols window of an operand at the outer loops' indices."""
    if access.view is None:
        return access.value
    terms = tuple((index, stride) for index, stride in zip(indices, access.strides, strict=False) if stride)
    inner = access.strides[outer:]
    row_stride, col_stride = (0, 0, *inner)[-2:]
    if len(inner) < 2 and rows == 1:
        row_stride = col_stride * cols
    if not inner:
        row_stride = col_stride = 1
    return access.view.moved(terms=terms).shaped((rows, cols), (row_stride, col_stride))


def index_values(domain: Domain, indices: list[Any], outer: int) -> dict[int, Affine]:
    """What `linalg.index` gives per dimension of the operation; dimensions of size 1 are absent and always 0."""
    found = {}
    inner = len(domain.sizes) - outer
    for position, group in enumerate(domain.groups):
        if len(group) != 1:
            continue
        if position < outer:
            found[group[0]] = Affine(0, 0, indices[position])
        elif position == outer + inner - 1:
            found[group[0]] = Affine(0, 1, 0)
        else:
            found[group[0]] = Affine(1, 0, 0)
    return found


def translate(op: Any, operations: list[Any], tiles: Tiles, body: BodyTranslator) -> None:
    """The whole body of an elementwise operation."""
    outputs = tiles.operands[tiles.inputs :]
    if operations[-1].name != "linalg.yield":
        raise NotOnEngine("a body that does not end in a yield")
    bind(op, tiles, body)
    results = list(operations[-1].operands)
    plan_destinations(operations, results, outputs, tiles, body)
    translate_operations(operations[:-1], tiles, body)
    for value, view in zip(results, outputs, strict=True):
        body.store(value, view)


def bind(op: Any, tiles: Tiles, body: BodyTranslator) -> None:
    """Body arguments are the operands' windows."""
    for argument, operand in zip(op.regions[0].blocks[0].arguments, tiles.operands, strict=True):
        if isinstance(operand, View):
            body.env[argument] = Tile(operand)
        else:
            body.env[argument] = body.get(operand)


def translate_operations(operations: list[Any], tiles: Tiles, body: BodyTranslator) -> None:
    body.fold_narrowing(operations)
    body.fold_products(operations)
    body.work_in_place(operations)
    for inner in operations:
        if inner.name == "linalg.index":
            dim = ir.IntegerAttr(inner.attributes["dim"]).value
            body.env[inner.results[0]] = tiles.index.get(dim, Affine(0, 0, 0))
        else:
            body.translate(inner)


def plan_destinations(
    operations: list[Any], results: list[Any], outputs: tuple[Any, ...], tiles: Tiles, body: BodyTranslator
) -> None:
    """Let commands write results in place, where no later command still reads the buffer they write."""
    roots = [operand.root for operand in tiles.operands[: tiles.inputs] if isinstance(operand, View)]
    reads_output = any(list(argument.uses) for argument in operations[-1].block.arguments[tiles.inputs :])
    last = operations[-2].results[0] if len(operations) > 1 and operations[-2].results else None
    for value, view in zip(results, outputs, strict=True):
        busy = reads_output or any(root == view.root for root in roots) or len(outputs) > 1
        overlaps = busy and (last is None or value != last or len(outputs) > 1)
        if not overlaps and isinstance(value.owner, ir.Operation | ir.OpView) and value not in body.destinations:
            if value.owner.operation.block == operations[-1].block:
                body.destinations[value] = view
                if not busy:
                    body.private.add(value)


def select_rescale(selection: Selection, op: Any, domain: Domain, body: Any) -> bool:
    """acc = acc * column, in place on accumulators, is the reduction engine's scale."""
    output = domain.accesses[-1]
    if output.view is None or memory_space(output.view.root.type) != ACCUMULATORS:
        return False
    factor = rescale_factor(op, domain, body)
    if factor is None:
        return False
    rows, cols = domain.sizes
    view = domain.accesses[factor].view
    assert view is not None
    ip, loc = ir.InsertionPoint(op), op.location
    column = view.shaped((rows, 1), (domain.accesses[factor].strides[0], 1))
    create("mtia.re_scale", [output.view.root, selection.views.memref(column, ip, loc)], [], ip, loc)
    selection.explain(op, "RE")
    op.erase()
    return True


def rescale_factor(op: Any, domain: Domain, body: Any) -> int | None:
    """Which operand is the row factor when the body is exactly `acc * factor` in place; None otherwise."""
    operations = [inner.operation for inner in body.operations]
    if len(operations) != 2 or operations[0].name != "arith.mulf" or len(domain.sizes) != 2:
        return None
    if operations[1].operands[0] != operations[0].results[0]:
        return None
    output = domain.accesses[-1]
    arguments = list(body.arguments)
    positions = [arguments.index(value) if value in arguments else None for value in operations[0].operands]
    if None in positions:
        return None
    for mine, other in (positions, positions[::-1]):
        assert mine is not None and other is not None
        access, factor = domain.accesses[mine], domain.accesses[other]
        if access.view is None or factor.view is None or access.view != output.view:
            continue
        if access.strides == output.strides and factor.strides[1] == 0 and factor.view.root != output.view.root:
            return int(other)
    return None


def select_reduction(selection: Selection, op: Any) -> bool:
    """Translate a reduction with one combining operation; False when the operation does not reduce."""
    structure = structure_of(op)
    if structure is None or not any(structure.reductions):
        return False
    domain = local_domain(selection, op)
    if len(domain.accesses) - domain.inputs != 1:
        raise NotOnEngine("a reduction with several results")
    refuse_accumulator_writes(domain)
    block = op.regions[0].blocks[0]
    operations = [inner.operation for inner in block.operations]
    combine, value = combining(operations, block)
    rsum = COMBINERS[combine.name]
    output = domain.accesses[-1].view
    assert output is not None
    check_type(output.element, selection.types)
    merged = reorder(collapse(domain, indexed(operations)))
    plain = all(not isinstance(argument, ir.OpResult) for argument in (value,))
    fresh = selection.take_fill(output.root, lambda constant: is_neutral(constant, rsum[3]))

    def emit(tiles: Tiles, body: BodyTranslator) -> None:
        bind(op, tiles, body)
        body.env.pop(block.arguments[len(tiles.operands) - 1], None)
        if not plain:
            translate_operations([inner for inner in operations[:-1] if inner != combine], tiles, body)
        source = body.get(value)
        if not isinstance(source, Tile):
            raise NotOnEngine("a reduction of a value that does not vary")
        check_type(source.view.element, selection.types)
        reduce_tile(merged, source.view, tiles.operands[-1], rsum, fresh, body)

    try:
        run_tiles(selection, op, merged, emit)
    except NotOnEngine:
        if fresh:
            refill(op, combine, output, rsum[3])
        raise
    selection.explain(op, "SE")
    op.erase()
    return True


def refill(op: Any, combine: Any, output: View, neutral: float) -> None:
    """Put back the initial value of a reduction that stays on the hart."""
    element = output.element
    attribute = (
        ir.IntegerAttr.get(element, int(neutral))
        if isinstance(element, ir.IntegerType)
        else ir.FloatAttr.get(element, neutral)
    )
    ip, loc = ir.InsertionPoint(op), op.location
    constant = create("arith.constant", [], [element], ip, loc, value=attribute)
    create("mtia.fill", [constant, op.operands[len(op.operands) - 1]], [], ip, loc)


def combining(operations: list[Any], block: Any) -> tuple[Any, Any]:
    """The combining operation of a reduction body and the value it adds."""
    result = operations[-1].operands[0]
    owner = result.owner
    accumulator = list(block.arguments)[-1]
    if isinstance(owner, ir.Block) or owner.name not in COMBINERS:
        raise NotOnEngine("a reduction that no engine does")
    combine = owner.operation
    left, right = combine.operands
    if right != accumulator:
        left, right = right, left
    if right != accumulator or left == accumulator or len(list(accumulator.uses)) != 1:
        raise NotOnEngine("a reduction body that is not one combining operation")
    return combine, left


def is_neutral(constant: Any, neutral: float) -> bool:
    """Whether a fill value is the neutral element of a reduction."""
    owner = constant.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        return False
    attribute = owner.attributes["value"]
    if isinstance(attribute, ir.FloatAttr):
        value = ir.FloatAttr(attribute).value
        return bool(value == neutral or (math.isnan(value) and math.isnan(neutral)))
    return bool(ir.IntegerAttr(attribute).value == neutral)


def reorder(domain: Domain) -> Domain:
    """Bring the one reduced dimension and the parallel one beside it to the end."""
    reduced = [dim for dim, kind in enumerate(domain.reductions) if kind]
    if len(reduced) > 1:
        raise NotOnEngine("a reduction over dimensions that are not neighbours")
    if not reduced:
        raise NotOnEngine("a reduction over one element")
    parallel = [dim for dim, kind in enumerate(domain.reductions) if not kind]
    source = domain.accesses[0]
    if not parallel:
        order = reduced
    elif source.strides[reduced[0]] > source.strides[parallel[-1]]:
        order = [*parallel[:-1], *reduced, parallel[-1]]
    else:
        order = [*parallel, *reduced]
    return Domain(
        tuple(domain.sizes[dim] for dim in order),
        tuple(domain.reductions[dim] for dim in order),
        tuple(
            Access(access.view, tuple(access.strides[dim] for dim in order), access.value) for access in domain.accesses
        ),
        tuple(domain.groups[dim] for dim in order),
        domain.inputs,
    )


def reduce_tile(
    domain: Domain, source: View, target: View, kinds: tuple[str, str, str, float], fresh: bool, body: BodyTranslator
) -> None:
    """One reduction command, and one that adds the initial value unless it is neutral."""
    by_row = domain.reductions[-1]
    if not by_row and body.rows > COLUMN_ROWS_LIMIT:
        source = source.shaped((body.cols, body.rows), source.strides[::-1])
        column = target.shaped((body.cols, 1), (target.strides[1], 1))
        by_row = True
    elif by_row:
        column = target.shaped((body.rows, 1), (target.strides[0] if body.rows > 1 else 1, 1))
    else:
        column = target.shaped((1, body.cols), (body.cols, target.strides[1]))
    kind = ir.StringAttr.get(kinds[0] if by_row else kinds[1])
    if fresh:
        body.emit("mtia.simd_reduce", [body.memref(source), body.memref(column)], [], kind=kind)
        return
    partial = temporary(body, column.shape, column.element)
    body.emit("mtia.simd_reduce", [body.memref(source), body.memref(partial)], [], kind=kind)
    sources = [body.memref(partial), body.memref(column), body.memref(column)]
    body.emit("mtia.simd_binary", sources, [], kind=ir.StringAttr.get(kinds[2]))


COLUMN_ROWS_LIMIT = 128


def temporary(body: BodyTranslator, shape: tuple[int, ...], element: Any) -> View:
    """A fresh contiguous tile of another shape than the domain's."""
    kind = ir.MemRefType.get(list(shape), element)
    segments = ir.DenseI32ArrayAttr.get([0, 0])
    root = body.emit("memref.alloc", [], [kind], operandSegmentSizes=segments)
    return View(root, 0, (), shape, (shape[1], 1), element)
