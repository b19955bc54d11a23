"""Matrix products on the dot-product engine, with accumulators in the reduction engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mtia.compiler.passes import hart_matmul
from mtia.compiler.passes.plan_local_memory import FIRST_BYTE, STACK_BYTES, Buffer, Lives, pack
from mtia.compiler.passes.select_engines_domain import Domain, collapse, domain_of, structure_of
from mtia.compiler.passes.select_engines_elementwise import (
    is_neutral,
    local_domain,
    refuse_accumulator_writes,
    rescale_factor,
)
from mtia.compiler.passes.select_engines_layout import split_versions
from mtia.compiler.passes.select_engines_operands import NotOnEngine
from mtia.compiler.passes.select_engines_views import View, create, loop_nest
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import ACCUMULATORS, EIGHT_BIT_FLOATS, LOCAL, memory_space

if TYPE_CHECKING:
    from mtia.compiler.passes.select_engines import Selection

__all__ = [
    "accumulator_room",
    "contractions",
    "find_accumulators",
    "is_contraction",
    "select_matmul",
]

VIEW_OPS = frozenset(("memref.reinterpret_cast", "memref.collapse_shape", "memref.expand_shape", "memref.subview"))
WIDENINGS = frozenset(("arith.extf", "arith.extsi"))
F32 = "f32"
STAGE_SHARE = 4  # this part of the accumulators is for products whose sums live in local memory
MOST_PARTS = 8  # of a staged product written one after the other; more are a loop
# whether a loop moves a, b and the accumulator
LOOP_KINDS = {
    (True, False, True): "m",
    (False, True, True): "n",
    (True, True, False): "k",
    (True, True, True): "batch",
}


@dataclasses.dataclass(frozen=True)
class Product:
    """acc[m, n] += a[m, k] · b[k, n] as windows, below `batch` outer loops."""

    a: View
    b: View
    acc: View
    batch: tuple[int, ...]
    batch_strides: tuple[tuple[int, ...], ...]


def is_contraction(op: Any) -> bool:
    """Whether the body of a linalg operation with two inputs is `acc + a · b`, inputs possibly widened."""
    if len(op.operands) != 3 or len(op.regions) != 1:
        return False
    block = op.regions[0].blocks[0]
    *rest, last = [inner.operation for inner in block.operations]
    if len(block.arguments) != 3 or last.name != "linalg.yield" or len(last.operands) != 1:
        return False
    if any(inner.name not in WIDENINGS and inner.name[:9] not in ("arith.mul", "arith.add") for inner in rest):
        return False
    total = last.operands[0].owner
    if isinstance(total, ir.Block) or total.name not in ("arith.addf", "arith.addi"):
        return False
    left, right = total.operands
    accumulator = block.arguments[2]
    product = right if left == accumulator else left
    if accumulator not in (left, right) or isinstance(product.owner, ir.Block):
        return False
    if product.owner.name not in ("arith.mulf", "arith.muli"):
        return False
    factors = [narrow(value) for value in product.owner.operands]
    return set(factors) == {block.arguments[0], block.arguments[1]}


def narrow(value: Any) -> Any:
    """A value before widening."""
    while not isinstance(value.owner, ir.Block) and value.owner.name in WIDENINGS:
        value = value.owner.operands[0]
    return value


def product_of(domain: Domain) -> Product:
    """Sort the loops of a contraction into m, n, k and batch."""
    a, b, acc = (access.view for access in domain.accesses)
    if a is None or b is None or acc is None:
        raise NotOnEngine("a product with a scalar")
    groups: dict[str, list[int]] = {"m": [], "n": [], "k": [], "batch": []}
    for dim in range(len(domain.sizes)):
        in_a, in_b, in_acc = (bool(access.strides[dim]) for access in domain.accesses)
        kind = LOOP_KINDS.get((in_a, in_b, in_acc))
        if kind is None:
            raise NotOnEngine("a product that sums one operand alone")
        groups[kind].append(dim)
    if len(groups["k"]) > 1:
        raise NotOnEngine("a product over two dimensions that are not neighbours")
    outer = [*groups["batch"], *groups["m"][:-1], *groups["n"][:-1]]

    def size_and_strides(kind: str) -> tuple[int, tuple[int, ...]]:
        if not groups[kind]:
            return 1, (0, 0, 0)
        dim = groups[kind][-1]
        return domain.sizes[dim], tuple(access.strides[dim] for access in domain.accesses)

    (m, ms), (n, ns), (k, ks) = map(size_and_strides, "mnk")
    return Product(
        a.shaped((m, k), (ms[0] or k * (ks[0] or 1), ks[0] or 1)),
        b.shaped((k, n), (ks[1] or n * (ns[1] or 1), ns[1] or 1)),
        acc.shaped((m, n), (ms[2] or n * (ns[2] or 1), ns[2] or 1)),
        tuple(domain.sizes[dim] for dim in outer),
        tuple(tuple(access.strides[dim] for dim in outer) for access in domain.accesses),
    )


def engine_reason(selection: Selection, product: Product, precision: str) -> str:
    """Why the dot-product engine cannot take a product; empty when it can."""
    kinds = [str(view.element) for view in (product.a, product.b, product.acc)]
    dpe, eight_bits = selection.chip.dpe, EIGHT_BIT_FLOATS.issuperset(kinds[:2])
    if kinds[0] != kinds[1] and not eight_bits:
        return f"a product of {kinds[0]} and {kinds[1]}"
    rates = {"f16": dpe.fp16, "bf16": dpe.bf16, "i8": dpe.int8, F32: dpe.tf32 if precision == "tf32" else 0}
    if not (dpe.fp8 if eight_bits else rates.get(kinds[0], 0)):
        wanted = "tf32" if kinds[0] == F32 and precision == "tf32" else kinds[0]
        return f"the dot-product engine of {selection.chip.name} has no {wanted}"
    sums = ("i32",) if kinds[0] == "i8" else (F32, "f16") if eight_bits else (F32, kinds[0])
    return "" if kinds[2] in sums else f"the dot-product engine does not accumulate {kinds[2]}"


def precision_of(op: Any) -> str:
    """How f32 factors of a product may be rounded."""
    return str(ir.StringAttr(op.attributes["mtia.precision"]).value) if "mtia.precision" in op.attributes else "ieee"


def select_matmul(selection: Selection, op: Any) -> None:
    """A product is a command of the dot-product engine, or a vector loop with the same order of sums."""
    domain = collapse(local_domain(selection, op))
    product = product_of(domain)
    reason = engine_reason(selection, product, precision_of(op))
    root = product.acc.root
    if reason:
        refuse_accumulator_writes(domain)
    else:
        zero = selection.take_fill(root, lambda constant: is_neutral(constant, 0.0))
    _, indices, ip = loop_nest(product.batch, ir.InsertionPoint(op), op.location)
    a, b, acc = (
        view.moved(terms=tuple((index, stride) for index, stride in zip(indices, strides, strict=True) if stride))
        for view, strides in zip((product.a, product.b, product.acc), product.batch_strides, strict=True)
    )
    if reason:
        hart_matmul.lower_product(a, with_rows(selection, b, ip, op.location), acc, selection.views, ip, op.location)
        selection.explain(op, "hart vector product", reason)
        op.erase()
        return
    if memory_space(root.type) == ACCUMULATORS:
        multiply(selection, a, b, acc, zero, ip, op.location)
    else:
        multiply_staged(selection, a, b, acc, zero, ip, op.location)
    selection.explain(op, "DPE")
    op.erase()


def with_rows(selection: Selection, b: View, ip: Any, loc: Any) -> View:
    """A matrix with contiguous rows: itself, or a copy that the memory layout unit turns."""
    if b.strides[1] == 1 or b.strides[0] != 1 or str(b.element) != F32:
        return b
    kind = ir.MemRefType.get(list(b.shape), b.element)
    root = create("memref.alloc", [], [kind], ip, loc, operandSegmentSizes=ir.DenseI32ArrayAttr.get([0, 0]))
    turned = b.shaped(b.shape[::-1], b.strides[::-1])
    create("mtia.transpose", [selection.views.memref(turned, ip, loc), root], [], ip, loc)
    return View(root, 0, (), b.shape, (b.shape[1], 1), b.element)


def multiply(selection: Selection, a: View, b: View, acc: View, zero: bool, ip: Any, loc: Any) -> None:
    memrefs = [selection.views.memref(view, ip, loc) for view in (a, b, acc)]
    flag = ir.IntegerAttr.get(ir.IntegerType.get_signless(1), int(zero))
    create("mtia.matmul", memrefs, [], ip, loc, zero=flag)


def multiply_staged(selection: Selection, a: View, b: View, acc: View, zero: bool, ip: Any, loc: Any) -> None:
    """A product whose sums live in local memory: accumulate rows that fit the reduction engine, then drain them."""
    rows, cols = acc.shape
    element = ir.IntegerType.get_signless(32) if str(acc.element) == "i32" else ir.F32Type.get()
    most = selection.stage_bytes
    step = rows
    while step * cols * 4 > most:
        if step % 2:
            raise NotOnEngine(f"a product of {rows}x{cols} that does not fit the accumulators in parts")
        step //= 2
    parts = rows // step
    unrolled = parts if parts <= MOST_PARTS else 1
    _, indices, ip = loop_nest((rows,) if unrolled < parts else (), ip, loc, (step,))
    a, acc = (view.moved(terms=tuple((index, view.strides[0]) for index in indices)) for view in (a, acc))
    stages = [stage_buffer(selection, number, (step, cols), element, ip, loc) for number in range(min(unrolled, 2))]
    targets = [
        selection.views.memref(window.shaped((step, cols), acc.strides), ip, loc)
        for window in (acc.moved(offset=part * step * acc.strides[0]) for part in range(unrolled))
    ]

    def load(part: int) -> None:
        if part < unrolled and not zero:
            create("mtia.re_load", [targets[part], stages[part % 2].root], [], ip, loc)

    load(0)
    for part in range(unrolled):
        load(part + 1)  # the engine loads sums beside the product of the part before, not behind its drain
        rows_of_a = a.moved(offset=part * step * a.strides[0]).shaped((step, a.shape[1]), a.strides)
        multiply(selection, rows_of_a, b, stages[part % 2], zero, ip, loc)
        create("mtia.re_drain", [stages[part % 2].root, targets[part]], [], ip, loc)


def stage_buffer(selection: Selection, number: int, shape: tuple[int, int], element: Any, ip: Any, loc: Any) -> View:
    """One of the two accumulators that the staged products of a block use in turn."""
    key = (ip.block, number, shape, str(element))
    root = selection.stages.get(key)
    if root is None:
        kind = ir.MemRefType.get(list(shape), element, None, space_attribute(ACCUMULATORS))
        segments = ir.DenseI32ArrayAttr.get([0, 0])
        root = create("memref.alloc", [], [kind], ip, loc, operandSegmentSizes=segments)
        selection.stages[key] = root
    return View(root, 0, (), shape, (shape[1], 1), element)


def space_attribute(space: int) -> Any:
    """The attribute of a memory space."""
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), space)


def find_accumulators(selection: Selection) -> None:
    """Move buffers into the accumulators where every use of them is one that the reduction engine serves."""
    chosen: list[Any] = []
    staged = False
    for op in contractions(selection.function.regions[0]):
        structure = structure_of(op)
        domain = domain_of(structure, op, selection.views) if structure else None
        try:
            product = product_of(collapse(domain)) if domain else None
        except NotOnEngine:
            continue
        if product is None or engine_reason(selection, product, precision_of(op)):
            continue
        split_versions(op, selection.views)
        root = selection.views.root(op.operands[2])
        if root in chosen:
            continue
        if not accumulates(selection, product, root):
            staged = True
            continue
        chosen.append(root)
    for root in place_sums(selection, chosen, staged):
        retype(root)


def place_sums(selection: Selection, chosen: list[Any], staged: bool) -> list[Any]:
    """Which of these sums stay in the accumulators.

    Where a loop works on its products between them, two harts must share the engines for these to be busy, so each has
    its part of the accumulators: first for the products of the loops' turns, then for sums that live longer. Otherwise
    one hart keeps the matrix engine busy, and may have all.
    """
    capacity = selection.chip.re.bytes
    buffers = Lives(selection.function.regions[0]).buffers
    sums = [buffer for buffer in buffers if buffer.alloc.results[0] in chosen]
    sums.sort(key=lambda buffer: chosen.index(buffer.alloc.results[0]))
    inner = [buffer for buffer in sums if in_loop(buffer)]
    part = capacity // selection.harts
    reserve = capacity // STAGE_SHARE
    if inner and bytes_needed(sums) > part:
        sums = inner + [buffer for buffer in sums if buffer not in inner]
        if selection.harts > 1 and fits_local(selection, [buffer for buffer in buffers if buffer not in inner]):
            capacity = part
        staged = True
        selection.stage_bytes = part // STAGE_SHARE
        reserve = 2 * selection.stage_bytes
    if staged or bytes_needed(sums) > capacity:
        capacity -= reserve
    kept: list[Buffer] = []
    for buffer in sums:
        if bytes_needed([*kept, buffer]) <= capacity:
            kept.append(buffer)
    return [buffer.alloc.results[0] for buffer in kept]


def fits_local(selection: Selection, buffers: list[Buffer]) -> bool:
    """Whether buffers have room in each hart's part of local memory, loads in loops twice."""
    chip = selection.chip
    share = (chip.ls.bytes - FIRST_BYTE - chip.hart.count * STACK_BYTES) // selection.harts
    loads = (buffer for buffer in buffers if "in" in buffer.units and in_loop(buffer))
    return pack(buffers) + sum(buffer.bytes for buffer in loads) <= share


def accumulates(selection: Selection, product: Product, root: Any) -> bool:
    """Whether a product's sums are a whole f32 buffer that only the reduction engine's operations use."""
    if isinstance(root.owner, ir.Block) or root.owner.name != "memref.alloc" or root.type.rank != 2:
        return False
    if memory_space(root.type) != LOCAL or str(product.acc.element) != F32:
        return False
    return serves(selection, root, root)


def bytes_needed(chosen: list[Buffer]) -> int:
    """Bytes of accumulators; sums that do not live together and loops that follow each other share theirs."""
    outside, inside = list[Buffer](), dict[Any, int]()
    for buffer in chosen:
        if in_loop(buffer):
            inside[buffer.block] = inside.get(buffer.block, 0) + buffer.bytes
        else:
            outside.append(buffer)
    return pack(outside) + max(inside.values(), default=0)


def accumulator_room(selection: Selection) -> Callable[[], bool]:
    """Says whether there are accumulators for as many harts as now, as the function's operations stand when asked."""

    def needed() -> int:
        buffers = Lives(selection.function.regions[0]).buffers
        return bytes_needed([buffer for buffer in buffers if buffer.space == ACCUMULATORS])

    part = selection.chip.re.bytes // selection.harts
    limit = part if needed() <= part else selection.chip.re.bytes
    return lambda: needed() <= limit


def in_loop(buffer: Buffer) -> bool:
    """Whether a buffer is made anew in every turn of a loop."""
    return bool(buffer.block.owner.operation.name != "func.func")


def contractions(region: Any) -> list[Any]:
    """All contractions in a region."""
    found = []
    for block in region.blocks:
        for op in block.operations:
            operation = op.operation
            if operation.name.startswith("linalg."):
                if is_contraction(operation):
                    found.append(operation)
            else:
                for inner in operation.regions:
                    found += contractions(inner)
    return found


def serves(selection: Selection, value: Any, root: Any) -> bool:
    """Whether all uses of a buffer are ones that accumulators have."""
    for use in value.uses:
        op, position = use.owner.operation, use.operand_number
        name = op.name
        if name in VIEW_OPS:
            if not op.results[0].type.has_static_shape or not serves(selection, op.results[0], root):
                return False
        elif name == "linalg.fill":
            if not is_neutral(op.operands[0], 0.0) or value != root:
                return False
        elif name == "memref.copy":
            if position != 0 or memory_space(op.operands[1].type) != LOCAL:
                return False
        elif name.startswith("linalg.") and op.regions:
            if not serves_linalg(selection, op, position, value, root):
                return False
        elif name != "memref.dealloc":
            return False
    return True


def serves_linalg(selection: Selection, op: Any, position: int, value: Any, root: Any) -> bool:
    if is_contraction(op):
        return position == 2 and value == root
    segments = (
        list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))
        if "operandSegmentSizes" in op.attributes
        else [len(op.operands) - 1]
    )
    writes = root in [
        selection.views.root(out) for out in list(op.operands)[segments[0] :] if isinstance(out.type, ir.MemRefType)
    ]
    structure = structure_of(op)
    if structure is None or op.name == "linalg.transpose":
        return False
    if not writes:
        return True
    domain = domain_of(structure, op, selection.views)
    return domain is not None and value == root and rescale_factor(op, domain, op.regions[0].blocks[0]) is not None


def retype(value: Any) -> None:
    """Give a buffer and the views of it memory space 2."""
    kind = value.type
    value.set_type(ir.MemRefType.get(list(kind.shape), kind.element_type, kind.layout, space_attribute(ACCUMULATORS)))
    for use in value.uses:
        op = use.owner.operation
        if op.name in VIEW_OPS:
            retype(op.results[0])
