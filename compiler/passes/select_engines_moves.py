"""Copies and transposes: DMA, the memory layout unit, or the SIMD engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mtia.compiler.passes import hart_loops
from mtia.compiler.passes.select_engines_bodies import BodyTranslator
from mtia.compiler.passes.select_engines_domain import Access, Domain, collapse
from mtia.compiler.passes.select_engines_elementwise import Tiles, local_domain, run_tiles
from mtia.compiler.passes.select_engines_operands import NotOnEngine
from mtia.compiler.passes.select_engines_views import DYNAMIC_SIZE, DYNAMIC_STRIDE, View, create, index_constant
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import ACCUMULATORS, GLOBAL, MAX_DMA_RANK, SE_TYPES, memory_space

if TYPE_CHECKING:
    from mtia.compiler.passes.select_engines import Selection

__all__ = ["select_copy", "select_transpose"]

ONLY_MOVED = frozenset("f8E4M3FN f8E5M2 f8E4M3FNUZ f8E5M2FNUZ".split())  # the SIMD engine would rewrite NaN


def select_copy(selection: Selection, op: Any) -> None:
    """A copy between device and local memory is DMA; inside local memory the SIMD engine, else the hart."""
    source, target = op.operands
    spaces = memory_space(source.type), memory_space(target.type)
    try:
        if spaces[0] == GLOBAL and spaces[1] == GLOBAL:
            raise NotOnEngine("a copy inside device memory")
        if GLOBAL in spaces:
            copy_remote(selection, op, source, target, to_local=spaces[0] == GLOBAL)
            return
        copy_local(selection, op, source, target)
    except NotOnEngine as reason:
        selection.explain(op, "hart loop", str(reason))
        hart_loops.lower_copy(op)


def copy_local(selection: Selection, op: Any, source: Any, target: Any) -> None:
    if source == target:
        op.erase()
        return
    views = [selection.views.of(value) for value in (source, target)]
    if not all(view.static for view in views):
        raise NotOnEngine("a shape that is not constant")
    if memory_space(target.type) == ACCUMULATORS:
        raise NotOnEngine("accumulators are written by the matrix engine only")
    rank = len(views[0].shape)
    domain = Domain(
        views[0].shape,
        (False,) * rank,
        tuple(Access(view, view.strides, view.root) for view in views),
        tuple((dim,) for dim in range(rank)),
        1,
    )
    unit = move_tiles(selection, op, collapse(domain))
    selection.explain(op, unit)
    op.erase()


def move_tiles(selection: Selection, op: Any, domain: Domain) -> str:
    """Copy by tiles; gives the unit. The SIMD engine keeps chains of its own results in one unit."""
    element = str(domain.accesses[1].view.element)  # type: ignore[union-attr]

    def emit(tiles: Tiles, body: BodyTranslator) -> None:
        memrefs = [body.memref(operand) for operand in tiles.operands]
        if memory_space(tiles.operands[0].root.type) == ACCUMULATORS:
            body.emit("mtia.re_drain", memrefs, [])
        elif element in ONLY_MOVED:
            body.emit("mtia.copy", memrefs, [])
        elif element in SE_TYPES:
            body.emit("mtia.simd_unary", memrefs, [], kind=ir.StringAttr.get("cvt"))
        else:
            raise NotOnEngine(f"no unit copies {element}")

    run_tiles(selection, op, domain, emit)
    if memory_space(domain.accesses[0].view.root.type) == ACCUMULATORS:  # type: ignore[union-attr]
        return "RE"
    return "MLU" if element in ONLY_MOVED else "SE"


def select_transpose(selection: Selection, op: Any) -> bool:
    """A transpose is the memory layout unit's; False when it needs other means."""
    domain = collapse(local_domain(selection, op))
    element = domain.accesses[1].view.element  # type: ignore[union-attr]
    if memory_space(domain.accesses[0].view.root.type) == ACCUMULATORS:  # type: ignore[union-attr]
        return False
    if not (isinstance(element, ir.FloatType) or isinstance(element, ir.IntegerType)):
        return False
    if str(element) in ("f64", "i64"):
        return False

    def emit(tiles: Tiles, body: BodyTranslator) -> None:
        source, target = tiles.operands
        if source.strides[1] == 1 or target.strides[1] != 1:
            body.emit("mtia.copy", [body.memref(source), body.memref(target)], [])
            return
        turned = source.shaped(source.shape[::-1], source.strides[::-1])
        body.emit("mtia.transpose", [body.memref(turned), body.memref(target)], [])

    run_tiles(selection, op, domain, emit)
    selection.explain(op, "MLU")
    op.erase()
    return True


def copy_remote(selection: Selection, op: Any, source: Any, target: Any, to_local: bool) -> None:
    """A copy with device memory on one side, of constant or of clipped size."""
    local, remote = (target, source) if to_local else (source, target)
    ip, loc = ir.InsertionPoint(op), op.location
    if local.type.rank > MAX_DMA_RANK:
        raise NotOnEngine(f"a DMA of more than {MAX_DMA_RANK} dimensions")
    lo: list[Any] = []
    hi: list[Any] = []
    if not local.type.has_static_shape:
        local, remote, lo, hi = clipped(selection, local, remote, ip, loc)
    operands, name = ([remote, local], "mtia.dma_in") if to_local else ([local, remote], "mtia.dma_out")
    segments = [1, 1, len(lo), len(hi)] + ([0] if to_local else [])
    create(name, [*operands, *lo, *hi], [], ip, loc, operandSegmentSizes=ir.DenseI32ArrayAttr.get(segments))
    selection.explain(op, "FI")
    op.erase()


def clipped(selection: Selection, local: Any, remote: Any, ip: Any, loc: Any) -> tuple[Any, Any, list[Any], list[Any]]:
    """A copy of a part of dynamic size as one of the whole local tile with a valid range per dimension."""
    part = local.owner
    if isinstance(part, ir.Block) or part.name != "memref.subview":
        raise NotOnEngine("a dynamic size that is no part of a tile")
    whole = part.operands[0]
    if not whole.type.has_static_shape or whole.type.rank != local.type.rank:
        raise NotOnEngine("a dynamic size that is no part of a tile")
    attributes = part.attributes
    segments = list(ir.DenseI32ArrayAttr(attributes["operandSegmentSizes"]))
    values = list(part.operands)[1:]
    starts, sizes = values[: segments[1]], values[segments[1] : segments[1] + segments[2]]
    offsets = mixed(attributes["static_offsets"], starts, DYNAMIC_STRIDE, ip, loc)
    extents = mixed(attributes["static_sizes"], sizes, DYNAMIC_SIZE, ip, loc)
    if any(stride != 1 for stride in ir.DenseI64ArrayAttr(attributes["static_strides"])):
        raise NotOnEngine("a part with gaps")
    index = ir.IndexType.get()
    lo = [value if isinstance(value, ir.Value) else index_constant(value, ip, loc) for value in offsets]
    hi = []
    for start, low, size in zip(offsets, lo, extents, strict=True):
        extent = size if isinstance(size, ir.Value) else index_constant(size, ip, loc)
        hi.append(extent if start == 0 else create("arith.addi", [low, extent], [index], ip, loc))
    return whole, remote_tile(selection, remote, whole, offsets, ip, loc), lo, hi


def mixed(static: Any, dynamic: list[Any], marker: int, ip: Any, loc: Any) -> list[Any]:
    """Static and dynamic entries of a subview in order."""
    rest = iter(dynamic)
    return [next(rest) if value == marker else value for value in ir.DenseI64ArrayAttr(static)]


def remote_tile(selection: Selection, remote: Any, whole: Any, offsets: list[Any], ip: Any, loc: Any) -> Any:
    """The device-memory window for the whole local tile, so that its part at `offsets` is where the copy went."""
    view = selection.views.of(remote)
    strides = dynamic_strides(remote, view)
    array = ir.DenseI64ArrayAttr.get
    index = ir.IndexType.get()
    start = selection.views.offset_value(view, ip, loc)
    for offset, stride in zip(offsets, strides, strict=True):
        if isinstance(offset, int) and offset == 0:
            continue
        step = stride if isinstance(stride, ir.Value) else index_constant(stride, ip, loc)
        count = offset if isinstance(offset, ir.Value) else index_constant(offset, ip, loc)
        back = create("arith.muli", [count, step], [index], ip, loc)
        start = create("arith.subi", [start, back], [index], ip, loc)
    values = [stride for stride in strides if isinstance(stride, ir.Value)]
    static = [DYNAMIC_STRIDE if isinstance(stride, ir.Value) else stride for stride in strides]
    shape = list(whole.type.shape)
    layout = ir.StridedLayoutAttr.get(DYNAMIC_STRIDE, static)
    kind = ir.MemRefType.get(shape, view.element, layout, view.root.type.memory_space)
    return create(
        "memref.reinterpret_cast",
        [view.root, start, *values],
        [kind],
        ip,
        loc,
        operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 1, 0, len(values)]),
        static_offsets=array([DYNAMIC_STRIDE]),
        static_sizes=array(shape),
        static_strides=array(static),
    )


def dynamic_strides(remote: Any, view: View) -> list[Any]:
    """Strides of a device-memory window, dynamic ones as the values that its reinterpret_cast names."""
    if DYNAMIC_STRIDE not in view.strides:
        return list(view.strides)
    owner = remote.owner
    while not isinstance(owner, ir.Block) and owner.name == "memref.subview":
        owner = owner.operands[0].owner
    if isinstance(owner, ir.Block) or owner.name != "memref.reinterpret_cast":
        raise NotOnEngine("strides that nothing names")
    segments = list(ir.DenseI32ArrayAttr(owner.attributes["operandSegmentSizes"]))
    values = iter(list(owner.operands)[sum(segments[:3]) :])
    return [next(values) if stride == DYNAMIC_STRIDE else stride for stride in view.strides]
