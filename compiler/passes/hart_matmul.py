"""Matrix products on the vector hart: rows of the result stay in vector registers while k ascends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes.select_engines_views import View, Views, create, index_constant, loop_nest
from mtia.dialects.mlir import ir

__all__ = ["lower_product"]

GROUPS = (2048, 1024, 512)  # bits at LMUL 4, 2 and 1 (VLEN 512)
ROWS = 6  # six rows of sums and one row of b are 28 of the 32 vector registers at LMUL 4


def lower_product(a: View, b: View, acc: View, views: Views, ip: Any, loc: Any) -> None:
    """Emit acc += a · b, every element one fused multiply-add a step with k ascending."""
    floats = str(acc.element) in ("f32", "f64") and a.element == b.element == acc.element
    if floats and b.strides[1] == acc.strides[1] == 1:
        VectorProduct(a, b, acc, views, loc).emit(ip)
    else:
        scalar_product(a, b, acc, views, ip, loc)


class VectorProduct:
    """An f32 or f64 product whose b and acc have contiguous rows."""

    def __init__(self, a: View, b: View, acc: View, views: Views, loc: Any) -> None:
        self.a, self.b, self.acc = a, b, acc
        self.views = views
        self.loc = loc

    def emit(self, ip: Any) -> None:
        """All tiles: full ones in loops, then the rest of rows and columns."""
        (m, k), n = self.a.shape, self.b.shape[1]
        memrefs = [self.views.memref(view, ip, self.loc) for view in (self.a, self.b, self.acc)]
        column = 0
        for lanes in (bits // self.acc.element.width for bits in GROUPS):
            count = (n - column) // lanes
            if count:
                self.columns(memrefs, m, k, column, column + count * lanes, lanes, ip)
                column += count * lanes
        if column < n:
            rest = (n - column,)
            views = (
                self.a,
                self.b.moved(offset=column).shaped((k, *rest), self.b.strides),
                self.acc.moved(offset=column).shaped((m, *rest), self.acc.strides),
            )
            scalar_product(*views, self.views, ip, self.loc)

    def columns(self, memrefs: Sequence[Any], m: int, k: int, first: int, last: int, lanes: int, ip: Any) -> None:
        """Columns [first, last) in tiles of `lanes`."""
        start, stop, step = (index_constant(value, ip, self.loc) for value in (first, last, lanes))
        loop = ir.Operation.create("scf.for", operands=[start, stop, step], regions=1, loc=self.loc, ip=ip)
        block = loop.regions[0].blocks.append(ir.IndexType.get(), arg_locs=[self.loc])
        inner = ir.InsertionPoint(ir.Operation.create("scf.yield", loc=self.loc, ip=ir.InsertionPoint(block)))
        column = block.arguments[0]
        full = m // ROWS * ROWS
        if full:
            _, (row,), body = loop_nest((full,), inner, self.loc, (ROWS,))
            self.tile(memrefs, row, column, ROWS, k, lanes, body)
        if full < m:
            self.tile(memrefs, index_constant(full, inner, self.loc), column, m - full, k, lanes, inner)

    def tile(self, memrefs: Sequence[Any], row: Any, column: Any, rows: int, k: int, lanes: int, ip: Any) -> None:
        """One tile of rows × lanes sums in registers."""
        loc, index = self.loc, ir.IndexType.get()
        a, b, acc = memrefs
        kind = ir.VectorType.get([lanes], self.acc.element)
        places = [row]
        for offset in range(1, rows):
            places.append(create("arith.addi", [row, index_constant(offset, ip, loc)], [index], ip, loc))
        sums = [create("vector.load", [acc, place, column], [kind], ip, loc) for place in places]
        bounds = [index_constant(value, ip, loc) for value in (0, k, 1)]
        loop = ir.Operation.create(
            "scf.for", results=[kind] * rows, operands=[*bounds, *sums], regions=1, loc=loc, ip=ip
        )
        block = loop.regions[0].blocks.append(index, *[kind] * rows, arg_locs=[loc] * (rows + 1))
        body = ir.InsertionPoint(block)
        depth, *carried = block.arguments
        right = create("vector.load", [b, depth, column], [kind], body, loc)
        results = []
        for place, total in zip(places, carried, strict=True):
            left = create("memref.load", [a, place, depth], [self.a.element], body, loc)
            spread = create("vector.broadcast", [left], [kind], body, loc)
            results.append(create("vector.fma", [spread, right, total], [kind], body, loc))
        ir.Operation.create("scf.yield", operands=results, loc=loc, ip=body)
        for place, total in zip(places, loop.results, strict=True):
            create("vector.store", [total, acc, place, column], [], ip, loc)


def scalar_product(a: View, b: View, acc: View, views: Views, ip: Any, loc: Any) -> None:
    """Any types and strides, one element at a time with the sum in a register."""
    memrefs = [views.memref(view, ip, loc) for view in (a, b, acc)]
    (m, k), n = a.shape, b.shape[1]
    kind = acc.element
    _, (row, column), ip = loop_nest((m, n), ip, loc)
    first = create("memref.load", [memrefs[2], row, column], [kind], ip, loc)
    bounds = [index_constant(value, ip, loc) for value in (0, k, 1)]
    loop = ir.Operation.create("scf.for", results=[kind], operands=[*bounds, first], regions=1, loc=loc, ip=ip)
    block = loop.regions[0].blocks.append(ir.IndexType.get(), kind, arg_locs=[loc, loc])
    body = ir.InsertionPoint(block)
    depth, total = block.arguments
    left = create("memref.load", [memrefs[0], row, depth], [a.element], body, loc)
    right = create("memref.load", [memrefs[1], depth, column], [b.element], body, loc)
    ir.Operation.create("scf.yield", operands=[multiply_add(left, right, total, body, loc)], loc=loc, ip=body)
    create("memref.store", [loop.results[0], memrefs[2], row, column], [], ip, loc)


def multiply_add(left: Any, right: Any, total: Any, ip: Any, loc: Any) -> Any:
    """left · right + total in the type of total; floats are rounded once."""
    kind = total.type
    floating = not isinstance(kind, ir.IntegerType)
    widen = "arith.extf" if floating else "arith.extsi"
    left, right = (value if value.type == kind else create(widen, [value], [kind], ip, loc) for value in (left, right))
    if floating:
        return create("math.fma", [left, right, total], [kind], ip, loc)
    product = create("arith.muli", [left, right], [kind], ip, loc)
    return create("arith.addi", [product, total], [kind], ip, loc)
