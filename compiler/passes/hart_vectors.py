"""Elementwise operations on the vector hart: whole vectors along the contiguous dimension, then the rest one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes.select_engines_domain import Access, Domain, Structure, collapse, domain_of
from mtia.compiler.passes.select_engines_views import Views, create, index_constant, loop_nest
from mtia.dialects.mlir import ir

__all__ = ["lower_vectors"]

GROUP_BITS = 2048  # four registers of 512 bits; a short dimension takes two or one
MEMORY_TYPES = frozenset("f32 bf16 f16 f8E4M3FN f8E5M2 f8E4M3FNUZ f8E5M2FNUZ i8 i16 i32 i64".split())
VALUE_TYPES = MEMORY_TYPES | {"i1", "index"}
MATH = frozenset(("math.absf", "math.fma", "math.sqrt"))


def lower_vectors(op: Any, structure: Structure, views: Views) -> bool:
    """Replace an elementwise operation by vector loops; False when it does not fit them."""
    if any(structure.reductions):
        return False
    operations = [inner.operation for inner in op.regions[0].blocks[0].operations]
    if not all(map(fits, operations[:-1])):
        return False
    domain = domain_of(structure, op, views)
    if domain is None:
        return False
    pinned = frozenset(ir.IntegerAttr(o.attributes["dim"]).value for o in operations if o.name == "linalg.index")
    domain = collapse(domain, pinned)
    most = GROUP_BITS // widest(op, operations)
    lanes = next((lanes for lanes in (most, most // 2, most // 4) if domain.sizes and domain.sizes[-1] >= lanes), 0)
    if not lanes or not all(map(contiguous, domain.accesses)):
        return False
    if any(access.strides[-1] != 1 for access in domain.accesses[domain.inputs :]):
        return False
    Loops(op, operations, domain, lanes, views).emit()
    op.erase()
    return True


def fits(op: Any) -> bool:
    """Whether an operation works on vectors as on scalars."""
    if op.name == "linalg.index":
        return True
    if op.regions and len(op.regions) or not (op.name.startswith("arith.") or op.name in MATH):
        return False
    return all(str(value.type) in VALUE_TYPES for value in (*op.operands, *op.results))


def contiguous(access: Access) -> bool:
    """Whether an operand is one value or consecutive elements of a type that vectors load."""
    if access.view is None:
        return str(access.value.type) in VALUE_TYPES
    return access.strides[-1] in (0, 1) and str(access.view.element) in MEMORY_TYPES


def widest(op: Any, operations: Sequence[Any]) -> int:
    """Bits of the widest type in a body."""
    places = [o.results[0] for o in operations if o.name == "linalg.index" and narrow_place(o)]
    types = [value.type for inner in operations for value in (*inner.operands, *inner.results) if value not in places]
    return max(
        64 if isinstance(kind, ir.IndexType) else kind.width
        for kind in (*types, *(argument.type for argument in op.regions[0].blocks[0].arguments))
    )


def narrow_place(op: Any) -> Any:
    """The type of at most 32 bits that every use of a `linalg.index` casts it to, or None."""
    users = [use.owner for use in op.results[0].uses]
    kinds = {str(user.results[0].type) for user in users}
    if any(user.name not in ("arith.index_cast", "arith.index_castui") for user in users) or len(kinds) != 1:
        return None
    kind = users[0].results[0].type
    return kind if isinstance(kind, ir.IntegerType) and kind.width <= 32 else None


class Loops:
    """The loops of one operation."""

    def __init__(self, op: Any, operations: Sequence[Any], domain: Domain, lanes: int, views: Views) -> None:
        self.op = op
        self.operations = operations
        self.domain = domain
        self.lanes = lanes
        self.views = views
        self.loc = op.location

    def emit(self) -> None:
        """Loops over the outer dimensions, and in them one over vectors and one over the rest."""
        ip = ir.InsertionPoint(self.op)
        *outer, size = self.domain.sizes
        _, indices, ip = loop_nest(outer, ip, self.loc)
        rows = [self.row(access, indices, ip) for access in self.domain.accesses]
        full = size // self.lanes * self.lanes
        _, (place,), body = loop_nest((full,), ip, self.loc, (self.lanes,))
        self.body(rows, [*indices, place], self.lanes, body)
        if full < size:
            bounds = [index_constant(value, ip, self.loc) for value in (full, size, 1)]
            loop = ir.Operation.create("scf.for", operands=bounds, regions=1, loc=self.loc, ip=ip)
            block = loop.regions[0].blocks.append(ir.IndexType.get(), arg_locs=[self.loc])
            end = ir.Operation.create("scf.yield", loc=self.loc, ip=ir.InsertionPoint(block))
            self.body(rows, [*indices, block.arguments[0]], 1, ir.InsertionPoint(end))

    def row(self, access: Access, indices: Sequence[Any], ip: Any) -> Any:
        """An operand along the innermost dimension as a memref, or the scalar that it is."""
        if access.view is None:
            return access.value
        terms = tuple((index, stride) for index, stride in zip(indices, access.strides, strict=False) if stride)
        size = self.domain.sizes[-1] if access.strides[-1] else 1
        return self.views.memref(access.view.moved(terms=terms).shaped((size,), (1,)), ip, self.loc)

    def body(self, rows: Sequence[Any], places: Sequence[Any], lanes: int, ip: Any) -> None:
        """Load, compute and store `lanes` elements."""
        block = self.op.regions[0].blocks[0]
        known: dict[Any, Any] = {}
        for argument, row, access in zip(block.arguments, rows, self.domain.accesses, strict=True):
            if len(list(argument.uses)):
                known[argument] = self.load(row, access, argument.type, places[-1], lanes, ip)
        for op in self.operations[:-1]:
            if op.name == "linalg.index":
                known[op.results[0]] = self.index(op, places, lanes, ip)
                continue
            operands = [self.value(value, known, lanes, ip) for value in op.operands]
            if op.name.startswith("arith.index_cast") and operands[0].type == self.kind(op.results[0].type, lanes):
                known[op.results[0]] = operands[0]  # the place is as narrow already
                continue
            kinds = [self.kind(result.type, lanes) for result in op.results]
            attributes = {name: op.attributes[name] for name in op.attributes}
            if op.name == "arith.constant":
                scalar = op.clone(ip=ip).results[0]
                known[op.results[0]] = self.spread(scalar, lanes, ip)
                continue
            made = ir.Operation.create(op.name, kinds, operands, attributes, loc=self.loc, ip=ip)
            known.update(zip(op.results, made.results, strict=True))
        outputs = rows[self.domain.inputs :]
        for value, row in zip(self.operations[-1].operands, outputs, strict=True):
            name = "vector.store" if lanes > 1 else "memref.store"
            create(name, [self.value(value, known, lanes, ip), row, places[-1]], [], ip, self.loc)

    def kind(self, element: Any, lanes: int) -> Any:
        return element if lanes == 1 else ir.VectorType.get([lanes], element)

    def value(self, value: Any, known: dict[Any, Any], lanes: int, ip: Any) -> Any:
        """A body value; one from outside is the same in every lane."""
        return known[value] if value in known else self.spread(value, lanes, ip)

    def spread(self, value: Any, lanes: int, ip: Any) -> Any:
        if lanes == 1:
            return value
        return create("vector.broadcast", [value], [self.kind(value.type, lanes)], ip, self.loc)

    def load(self, row: Any, access: Access, element: Any, place: Any, lanes: int, ip: Any) -> Any:
        if access.view is None:
            return self.spread(row, lanes, ip)
        if access.strides[-1] == 0:
            zero = index_constant(0, ip, self.loc)
            return self.spread(create("memref.load", [row, zero], [element], ip, self.loc), lanes, ip)
        name = "vector.load" if lanes > 1 else "memref.load"
        return create(name, [row, place], [self.kind(element, lanes)], ip, self.loc)

    def index(self, op: Any, places: Sequence[Any], lanes: int, ip: Any) -> Any:
        """`linalg.index` of a dimension of the operation, as narrow as its uses allow; one of size 1 is always 0."""
        dim = ir.IntegerAttr(op.attributes["dim"]).value
        position = next((at for at, group in enumerate(self.domain.groups) if group == (dim,)), None)
        kind = narrow_place(op) or ir.IndexType.get()

        def narrow(value: Any, lanes: int) -> Any:
            if kind == ir.IndexType.get():
                return value
            return create("arith.index_cast", [value], [self.kind(kind, lanes)], ip, self.loc)

        place = index_constant(0, ip, self.loc) if position is None else places[position]
        spread = self.spread(narrow(place, 1), lanes, ip)
        if lanes == 1 or position is None or position < len(places) - 1:
            return spread
        steps = create("vector.step", [], [self.kind(ir.IndexType.get(), lanes)], ip, self.loc)
        return create("arith.addi", [spread, narrow(steps, lanes)], [self.kind(kind, lanes)], ip, self.loc)
