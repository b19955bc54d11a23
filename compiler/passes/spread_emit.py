"""One phase: a group at chosen tile sizes, written as a kernel over global memrefs like any Triton kernel.

A program is one tile of the independent dimensions: DMA the operand tiles in, compute on local memrefs with linalg,
carry accumulators over the tiles of the folded dimensions, DMA the result out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from mtia.compiler.passes.spread_body import BodyWriter, leaf_key
from mtia.compiler.passes.spread_graph import Accumulated, Expr, Group, Leaf, user_error_at
from mtia.compiler.passes.spread_index import Index, IndexWriter
from mtia.compiler.passes.spread_layout import (
    contraction_parts,
    kept_dims,
    merge_local,
    natural_order,
    overlapping_dims,
    swapped,
    window_dims,
)
from mtia.compiler.passes.spread_tile import MAX_TAPS
from mtia.compiler.passes.spread_views import Access, Affine, Buffer, Dim, row_major
from mtia.dialects.mlir import arith, func, ir, linalg, memref, scf
from mtia.dialects.mtia import GLOBAL, MAX_DMA_RANK, DmaIn, DmaOut, ProgramId

__all__ = ["emit_phase", "phase_buffers"]


def phase_buffers(group: Group) -> list[Buffer]:
    """The buffers a phase takes as arguments, in order: what it reads, then what it writes."""
    found = [access.buffer for access in group.accesses()] + [view.buffer for view in group.captured()]
    found += [output.access.buffer for output in group.outputs]
    unique: dict[int, Buffer] = {}
    for buffer in found:
        if buffer.kind not in ("splat", "unused"):
            unique.setdefault(id(buffer), buffer)
    return list(unique.values())


def emit_phase(group: Group, tiles: Mapping[Dim, int], name: str, where: Any) -> tuple[Any, int]:
    """Write `func.func @name` at the current insertion point; returns it and its number of programs."""
    buffers = phase_buffers(group)
    dynamic = ir.ShapedType.get_dynamic_size()
    space = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), GLOBAL)
    types = [ir.MemRefType.get([dynamic], buffer.dtype, memory_space=space) for buffer in buffers]
    with where:
        function = func.FuncOp(name, (types, []))
        block = function.add_entry_block()
        with ir.InsertionPoint(block):
            emitter = _Emitter(group, tiles, dict(zip(map(id, buffers), block.arguments, strict=True)))
            emitter.run()
            func.ReturnOp([])
    return function, emitter.programs


@dataclass
class _Local:
    """A tile in local memory: the memref, and which loop dimension each of its dimensions is."""

    value: Any
    dims: list[Dim]
    strided: bool = False


class _Emitter(IndexWriter):
    def __init__(self, group: Group, tiles: Mapping[Dim, int], args: Mapping[int, Any]) -> None:
        self.group = group
        self.args = args
        self.origin: dict[Dim, Index] = {dim: 0 for dim in group.dims}
        self.programs = prod(-(-dim.extent // tiles[dim]) for dim in group.parallel)
        self.unit = Dim(1)
        self.tiles = {**tiles, self.unit: 1}
        self.origin[self.unit] = 0
        self.seed: Access | None = None

    def run(self) -> None:
        self.locate_program()
        if not self.group.root.element_wise:
            self.scalar_loops()
        elif self.group.contraction:
            self.contraction()
        elif self.group.reduces:
            self.reduction()
        else:
            output = self.group.outputs[0]
            local = self.compute(self.group.root, output.access.buffer.dtype, self.wide(self.group.parallel), {})
            self.store(local, output.access)

    # -- the program grid ---------------------------------------------------------------------------------------------

    def locate_program(self) -> None:
        """Take the program id apart into tile origins, last dimension fastest."""
        split = [dim for dim in self.group.parallel if self.tiles[dim] < dim.extent]
        if not split:
            return
        axis = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 0)
        rest = ProgramId(axis, ir.IndexType.get()).result
        for dim in reversed(split):
            count = -(-dim.extent // self.tiles[dim])
            last = dim is split[0]
            number = rest if last else arith.RemUIOp(rest, self.const(count)).result
            self.origin[dim] = self.mul(number, self.tiles[dim])
            rest = rest if last else arith.DivUIOp(rest, self.const(count)).result

    def wide(self, dims: Sequence[Dim]) -> list[Dim]:
        """The dimensions that have more than one element in a tile."""
        return [dim for dim in dims if self.tiles[dim] > 1]

    # -- moving tiles -------------------------------------------------------------------------------------------------

    def window(
        self, access: Access, dims: Sequence[Dim], at: Mapping[Dim, Index]
    ) -> tuple[Any, list[Index], list[Index]]:
        """The global tile of an access and its valid range per dimension (empty lists where all is valid)."""
        offset = self.place(access.at, at)
        sizes = [self.tiles[dim] for dim in dims]
        strides = [access.at.factor(dim) for dim in dims]
        source = self.args[id(access.buffer)]
        static = isinstance(offset, int) and offset >= 0  # a padded window may start before its memory
        layout_attr = ir.StridedLayoutAttr.get(
            offset if static else ir.ShapedType.get_dynamic_stride_or_offset(), strides
        )
        space = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), GLOBAL)
        kind = ir.MemRefType.get(sizes, access.buffer.dtype, layout_attr, space)
        view = memref.ReinterpretCastOp(
            kind,
            source,
            [] if static else [self.value(offset)],
            [],
            [],
            [offset if static else ir.ShapedType.get_dynamic_size()],
            sizes,
            strides,
        ).result
        lows, highs = self.bounds(access, dims, at)
        full = all(isinstance(low, int) and low == 0 for low in lows) and all(
            isinstance(high, int) and high == size for high, size in zip(highs, sizes, strict=True)
        )
        return view, ([] if full else lows), ([] if full else highs)

    def bounds(self, access: Access, dims: Sequence[Dim], at: Mapping[Dim, Index]) -> tuple[list[Index], list[Index]]:
        """Valid range per tile dimension: inside the tensor, and inside the memory under a padded view."""
        lows: list[Index] = [0] * len(dims)
        highs: list[Index] = []
        for dim in dims:
            size = self.tiles[dim]
            whole = dim.extent % size == 0
            rest = self.add(dim.extent, self.mul(at[dim], -1)) if not whole else size
            highs.append(self.clamp(rest, 0, size) if not whole else size)
        for clip in access.clips:
            first = self.place(clip.index, at)
            free = [dim for dim in dims if clip.index.factor(dim)]
            position = dims.index(free[0]) if free else 0
            if not dims:
                continue
            factor = clip.index.factor(free[0]) if free else 0
            low, high = self.clip_range(first, clip.lo, clip.hi, factor, self.tiles[dims[position]])
            lows[position] = self.larger(lows[position], low)
            highs[position] = self.smaller(highs[position], high)
        return lows, highs

    def load(self, access: Access, order: Sequence[Dim]) -> _Local | None:
        """DMA a tile of an operand in; None for an operand that does not vary inside the tile (a hart load)."""
        dims = [dim for dim in order if dim in kept_dims(access) and self.tiles[dim] > 1]
        if not dims:
            return None
        kind = ir.MemRefType.get([self.tiles[dim] for dim in dims], access.buffer.dtype)
        local = memref.AllocOp(kind, [], []).result
        if access.buffer.kind == "splat":
            linalg.fill(self.scalar(access.buffer.value, access.buffer.dtype), outs=[local])
            return _Local(local, dims)
        windows = [dim for dim in dims if dim in window_dims(access)]
        if len(dims) - len(windows) > MAX_DMA_RANK:
            windows = [dim for dim in dims if dim in overlapping_dims(access)]
        windows += [dim for dim in dims if dim not in windows][:-MAX_DMA_RANK]
        if windows:
            for point in product(*(range(self.tiles[dim]) for dim in windows)):
                self.load_window(access, local, dims, dict(zip(windows, point, strict=True)))
        else:
            self.transfer_in(access, local, dims, self.origin)
        return _Local(local, dims)

    def load_window(self, access: Access, local: Any, dims: Sequence[Dim], point: Mapping[Dim, int]) -> None:
        """DMA the part of a tile at one position of the window, so that each valid range is a plain interval."""
        rest = [dim for dim in dims if dim not in point]
        strides = row_major([self.tiles[dim] for dim in dims])
        offset = sum(strides[dims.index(dim)] * number for dim, number in point.items())
        inner = [strides[dims.index(dim)] for dim in rest]
        sizes = [self.tiles[dim] for dim in rest]
        kind = ir.MemRefType.get(sizes, access.buffer.dtype, ir.StridedLayoutAttr.get(offset, inner))
        part = memref.ReinterpretCastOp(kind, local, [], [], [], [offset], sizes, inner).result
        at = {**self.origin, **{dim: self.add(self.origin[dim], number) for dim, number in point.items()}}
        self.transfer_in(access, part, rest, at)

    def transfer_in(self, access: Access, local: Any, dims: Sequence[Dim], at: Mapping[Dim, Index]) -> None:
        view, lows, highs = self.window(access, dims, at)
        fill = None
        if lows or highs:
            fill = self.scalar(access.fill, access.buffer.dtype) if access.fill is not None else None
        DmaIn(view, local, [self.value(low) for low in lows], [self.value(high) for high in highs], fill=fill)

    def store(self, local: _Local, access: Access) -> None:
        """DMA a finished tile out."""
        view, lows, highs = self.window(access, local.dims, self.origin)
        DmaOut(local.value, view, [self.value(low) for low in lows], [self.value(high) for high in highs])

    # -- computing on tiles -------------------------------------------------------------------------------------------

    def scalar(self, attribute: Any, kind: Any) -> Any:
        return arith.ConstantOp(kind, attribute).result

    def compute(
        self, tree: Expr, dtype: Any, dims: list[Dim], given: Mapping[int, _Local], into: _Local | None = None
    ) -> _Local:
        """Evaluate an expression for a tile; `given` holds tiles of accumulated values."""
        source = tree.args[0] if tree.block is None and into is None else None
        if isinstance(source, Access) and source.buffer.kind not in ("splat", "unused"):
            local = self.load(source, dims)
            if local is not None and local.dims == dims:
                return local
        if into is None:
            into = self.tile(dims, dtype)
        self.generic(tree, dims, given, [into], [])
        return into

    def tile(self, dims: list[Dim], dtype: Any) -> _Local:
        """A fresh local tile; at least one dimension, so that a descriptor can name it."""
        dims = dims or [self.unit]
        return _Local(memref.AllocOp(ir.MemRefType.get(self.sizes(dims), dtype), [], []).result, dims)

    def generic(
        self, tree: Expr, dims: list[Dim], given: Mapping[int, _Local], outs: list[_Local], folded: list[_Local]
    ) -> None:
        """One linalg.generic that evaluates a tree over `dims` into `outs`; with `folded`, into its accumulators."""
        leaves, scalars = self.operands(tree, given)
        self.apply(tree, dims, leaves, scalars, outs, folded)

    def operands(self, tree: Expr, given: Mapping[int, _Local]) -> tuple[dict[Any, _Local], dict[Any, Any]]:
        """Bring all operands of a tree near: tiles, and scalars."""
        leaves: dict[Any, _Local] = {}
        scalars: dict[Any, Any] = {}
        for leaf in _leaves(tree):
            key = leaf_key(leaf)
            if isinstance(leaf, Accumulated):
                leaves[key] = given[leaf.number]
                if self.seed is not None:
                    self.gather_leaf(self.seed, leaves, scalars)
            else:
                self.gather_leaf(leaf, leaves, scalars)
        return leaves, scalars

    def apply(
        self,
        tree: Expr,
        dims: list[Dim],
        leaves: Mapping[Any, _Local],
        scalars: Mapping[Any, Any],
        outs: list[_Local],
        folded: list[_Local],
    ) -> None:
        """The linalg.generic over tiles that are already local."""
        dims = dims if all(out.dims != [self.unit] for out in outs) else [self.unit, *dims]
        held = [*leaves.values(), *outs]
        indexed = {dim for expr in tree.walk() for index in expr.index for dim in index.terms if _reads_index(expr)}
        fixed = set(dims) if any(local.strided for local in held) else indexed
        groups = merge_local(dims, [local.dims for local in held], fixed)
        values = [self.merged(local, groups) for local in held]
        count = len(groups)
        maps = [self.indexing(local, groups, count) for local in held]
        kinds = ["reduction" if part[0].reduction else "parallel" for part in groups]
        iterators = ir.ArrayAttr.get([ir.Attribute.parse(f"#linalg.iterator_type<{kind}>") for kind in kinds])
        split = len(leaves)
        op = linalg.GenericOp([], values[:split], values[split:], ir.ArrayAttr.get(maps), iterators)
        block = op.regions[0].blocks.append(*[value.type.element_type for value in values])
        tiles = dict(zip(leaves, block.arguments, strict=False))
        self.fill_body(op, block, tree, tiles, scalars, groups, split, folded)

    def gather_leaf(self, leaf: Access, leaves: dict[Any, _Local], scalars: dict[Any, Any]) -> None:
        """Bring an operand near: a tile, or a scalar where it does not vary inside the tile."""
        key = leaf_key(leaf)
        if leaf.buffer.kind in ("splat", "unused") or key in leaves or key in scalars:
            return
        local = self.load(leaf, natural_order(leaf, kept_dims(leaf)))
        if local is not None:
            leaves[key] = local
        else:
            scalars[key] = self.load_scalar(leaf)

    def load_scalar(self, access: Access) -> Any:
        """A value that is the same for the whole tile, as a hart register."""
        local = self.tile([], access.buffer.dtype)
        self.transfer_in(access, local.value, local.dims, self.origin)
        return memref.LoadOp(local.value, [self.const(0)]).result

    def fill_body(
        self,
        op: Any,
        block: Any,
        tree: Expr,
        tiles: Mapping[Any, Any],
        scalars: Mapping[Any, Any],
        groups: list[list[Dim]],
        split: int,
        folded: list[_Local],
    ) -> None:
        outside = ir.InsertionPoint(op)

        def index(expression: Affine) -> Any:
            with outside:
                total = self.place(expression, self.origin)
            for position, part in enumerate(groups):
                factor = expression.factor(part[0])
                if factor:
                    total = self.add(total, self.mul(linalg.IndexOp(position).result, factor))
            return self.value(total)

        def read(leaf: Access | Accumulated) -> Any:
            key = leaf_key(leaf)
            value = tiles[key] if key in tiles else scalars[key]
            return self.seeded(value, writer) if isinstance(leaf, Accumulated) else value

        writer = BodyWriter(read, index, outside)
        with ir.InsertionPoint(block):
            accumulators = list(block.arguments)[split:] if folded else []
            linalg.YieldOp(writer.expr(tree, accumulators, self.group.keep if folded else None))

    def seeded(self, value: Any, writer: BodyWriter) -> Any:
        """A contraction's sum with its start value, rounded once to the type the model gave it."""
        if not self.group.contraction:
            return value
        if self.seed is not None:
            start = writer.leaf(self.seed)
            if start.type != value.type:
                start = _widen(start, value.type)
            integer = isinstance(value.type, ir.IntegerType)
            value = (arith.AddIOp if integer else arith.AddFOp)(value, start).result
        wanted = self.group.root.block.arguments[2].type
        return value if wanted == value.type else arith.TruncFOp(wanted, value).result

    def merged(self, local: _Local, groups: list[list[Dim]]) -> Any:
        """A tile with the dimensions of each group as one."""
        shape = [prod(self.sizes(part)) for part in groups if part[0] in local.dims]
        order = [part[0] for part in groups if part[0] in local.dims]
        firsts = [dim for dim in local.dims if dim in order]
        by_first = dict(zip(order, shape, strict=True))
        return self.reshape(local.value, [by_first[dim] for dim in firsts])

    def indexing(self, local: _Local, groups: list[list[Dim]], count: int) -> Any:
        position = {part[0]: number for number, part in enumerate(groups)}
        results = [ir.AffineDimExpr.get(position[dim]) for dim in local.dims if dim in position]
        return ir.AffineMapAttr.get(ir.AffineMap.get(count, 0, results))

    def sizes(self, dims: Sequence[Dim]) -> list[int]:
        return [self.tiles[dim] for dim in dims]

    def reduction(self) -> None:
        """Accumulators in local memory, a loop nest over tiles of the folded dimensions, then the epilogue."""
        group = self.group
        accumulators: list[_Local] = []
        for output in group.outputs:
            dims = self.wide([dim for dim in group.parallel if dim in output.access.at.terms])
            local = self.tile(dims, self.accumulator_type(len(accumulators)))
            self.start(local, output.init)
            accumulators.append(local)
        self.fold([dim for dim in group.dims if dim.reduction], lambda: self.fold_tile(accumulators))
        self.finish(accumulators)

    def accumulator_type(self, number: int) -> Any:
        """The type a reduction is folded in; its epilogue may store another."""
        root = self.group.root
        return root.block.arguments[len(root.args) + (number if self.group.keep is None else self.group.keep)].type

    def start(self, local: _Local, init: Leaf | None) -> None:
        if isinstance(init, Access) and init.buffer.kind == "splat":
            constant = self.scalar(init.buffer.value, local.value.type.element_type)
            linalg.fill(constant, outs=[local.value])
            return
        assert isinstance(init, Access | Expr)
        tree = init if isinstance(init, Expr) else Expr(None, [init], [])
        self.compute(tree, local.value.type.element_type, local.dims, {}, local)

    def fold(self, dims: list[Dim], inside: Any) -> None:
        """Loops over the tiles of the folded dimensions around `inside`."""
        if not dims:
            inside()
            return
        dim, size = dims[0], self.tiles[dims[0]]
        if size >= dim.extent:
            self.fold(dims[1:], inside)
            return
        loop = scf.ForOp(self.const(0), self.const(dim.extent), self.const(size), [])
        with ir.InsertionPoint(loop.body):
            self.origin[dim] = loop.induction_variable
            self.fold(dims[1:], inside)
            scf.YieldOp([])
        self.origin[dim] = 0

    def fold_tile(self, accumulators: list[_Local]) -> None:
        """Fold one tile; a window's taps one after another, each a strided view, so that tiles stay rows × columns."""
        tree, dims = self.group.root, self.wide(self.group.dims)
        taps = [dim for dim in dims if dim.reduction]
        leaves, scalars = self.operands(tree, {})
        if len(taps) < 2 or prod(self.sizes(taps)) > MAX_TAPS:
            self.apply(tree, dims, leaves, scalars, accumulators, accumulators)
            return
        rest = [dim for dim in dims if not dim.reduction]
        starts = {dim: self.origin[dim] for dim in taps}
        for point in product(*(range(self.tiles[dim]) for dim in taps)):
            at = dict(zip(taps, point, strict=True))
            self.origin.update({dim: self.add(starts[dim], number) for dim, number in at.items()})
            views = {key: self.tap(local, at) for key, local in leaves.items()}
            self.apply(tree, rest, views, scalars, accumulators, accumulators)
        self.origin.update(starts)

    def tap(self, local: _Local, at: Mapping[Dim, int]) -> _Local:
        """The part of a tile at one position of some of its dimensions."""
        if not any(dim in at for dim in local.dims):
            return local
        strides = dict(zip(local.dims, row_major(self.sizes(local.dims)), strict=True))
        rest = [dim for dim in local.dims if dim not in at] or [self.unit]
        offset = sum(strides[dim] * number for dim, number in at.items() if dim in strides)
        steps = [strides.get(dim, 1) for dim in rest]
        layout = ir.StridedLayoutAttr.get(offset, steps)
        kind = ir.MemRefType.get(self.sizes(rest), local.value.type.element_type, layout)
        view = memref.ReinterpretCastOp(kind, local.value, [], [], [], [offset], self.sizes(rest), steps).result
        return _Local(view, rest, strided=True)

    def finish(self, accumulators: list[_Local]) -> None:
        """The epilogue on the finished accumulators, and the way out."""
        group = self.group
        if group.epilogue is None:
            for local, output in zip(accumulators, group.outputs, strict=True):
                self.store(local, output.access)
            return
        output = group.outputs[0]
        local = self.compute(
            group.epilogue, output.access.buffer.dtype, self.wide(group.parallel), {0: accumulators[0]}
        )
        self.store(local, output.access)

    def contraction(self) -> None:
        """Matrix tiles: operands as rows × k and k × columns, accumulated in fp32 (int8: int32) over the k tiles."""
        group = self.group
        parts = contraction_parts(group)
        rows, columns, inner = (self.wide(part) for part in (parts.rows, parts.columns, parts.inner))
        narrow = str(parts.left.buffer.dtype)
        wide_type = ir.IntegerType.get_signless(32) if narrow == "i8" else ir.F32Type.get()
        shape = [prod(self.tiles[dim] for dim in part) for part in (rows, columns)]
        acc = memref.AllocOp(ir.MemRefType.get(shape, wide_type), [], []).result
        zero = ir.IntegerAttr.get(wide_type, 0) if narrow == "i8" else ir.FloatAttr.get(wide_type, 0.0)
        linalg.fill(self.scalar(zero, wide_type), outs=[acc])

        def inside() -> None:
            left = self.matrix(parts.left, rows, inner)
            right = self.matrix(parts.right, inner, columns)
            linalg.matmul(left, right, outs=[acc])

        self.fold(parts.inner, inside)
        self.finish_contraction(acc, rows, columns)

    def matrix(self, access: Access, first: list[Dim], second: list[Dim]) -> Any:
        """A tile as a matrix of `first` × `second`, kept in local memory in the order that DMA reads well."""
        turned = swapped(access, first, second)
        order = [*second, *first] if turned else [*first, *second]
        local = self.load(access, order)
        sizes = [prod(self.tiles[dim] for dim in part) for part in (first, second)]
        if local is None:
            local = self.tile([], access.buffer.dtype)
            if access.buffer.kind == "splat":
                linalg.fill(self.scalar(access.buffer.value, access.buffer.dtype), outs=[local.value])
            else:
                self.transfer_in(access, local.value, local.dims, self.origin)
            return self.reshape(local.value, [1, 1])
        held = sizes[::-1] if turned else sizes
        value = self.reshape(local.value, held)
        if not turned:
            return value
        layout_attr = ir.StridedLayoutAttr.get(0, [1, sizes[0]])
        kind = ir.MemRefType.get(sizes, access.buffer.dtype, layout_attr)
        return memref.TransposeOp(kind, value, ir.AffineMap.get_permutation([1, 0])).result

    def reshape(self, value: Any, shape: Sequence[int]) -> Any:
        """A dense tile in another shape."""
        if list(value.type.shape) == list(shape):
            return value
        kind = ir.MemRefType.get(list(shape), value.type.element_type)
        return memref.ReinterpretCastOp(kind, value, [], [], [], [0], list(shape), list(row_major(shape))).result

    def finish_contraction(self, acc: Any, rows: list[Dim], columns: list[Dim]) -> None:
        group, output = self.group, self.group.outputs[0]
        bare = isinstance(output.init, Access) and output.init.buffer.kind == "splat" and _is_zero(output.init)
        dims = [*rows, *columns] or [self.unit]
        held = _Local(self.reshape(acc, self.sizes(dims)), dims)
        dtype = output.access.buffer.dtype
        if group.epilogue is None and bare and acc.type.element_type == dtype:
            self.store(held, output.access)
            return
        assert isinstance(output.init, Access)
        self.seed = None if bare else output.init
        local = self.compute(group.epilogue or Expr(None, [Accumulated(0)], []), dtype, dims, {0: held})
        self.store(local, output.access)

    # -- the general path: element by element -------------------------------------------------------------------------

    def scalar_loops(self) -> None:
        """Operands that are addressed by data: the hart walks the tile and loads what the body asks for."""
        group, output = self.group, self.group.outputs[0]
        if group.reduces or len(group.outputs) != 1:
            raise user_error_at(group.where, "a reduction over elements that are addressed by data has no lowering yet")
        dims = self.wide(group.parallel)
        leaves: dict[Any, _Local] = {}
        scalars: dict[Any, Any] = {}
        for leaf in _leaves(group.root):
            assert isinstance(leaf, Access)
            self.gather_leaf(leaf, leaves, scalars)
        local = self.tile(dims, output.access.buffer.dtype)
        before = ir.InsertionPoint.current
        loops: dict[Dim, Any] = {}
        self.walk(dims, loops, lambda: self.element(local, leaves, scalars, loops))
        assert before is not None
        self.store(local, output.access)

    def walk(self, dims: list[Dim], loops: dict[Dim, Any], inside: Any) -> None:
        """A loop per tile dimension around `inside`."""
        if not dims:
            inside()
            return
        loop = scf.ForOp(self.const(0), self.const(self.tiles[dims[0]]), self.const(1), [])
        with ir.InsertionPoint(loop.body):
            loops[dims[0]] = loop.induction_variable
            self.walk(dims[1:], loops, inside)
            scf.YieldOp([])

    def element(
        self, local: _Local, leaves: Mapping[Any, _Local], scalars: Mapping[Any, Any], loops: Mapping[Dim, Any]
    ) -> None:
        """One element of a data-addressed operation; indices are kept inside the tensor."""
        zero = self.const(0)

        def at(tile: _Local) -> list[Any]:
            return [loops.get(dim, zero) for dim in tile.dims]

        def read(leaf: Access | Accumulated) -> Any:
            key = leaf_key(leaf)
            return memref.LoadOp(leaves[key].value, at(leaves[key])).result if key in leaves else scalars[key]

        def index(expression: Affine) -> Any:
            here = {dim: self.add(self.origin[dim], loops.get(dim, 0)) for dim in expression.terms}
            return self.value(self.place(expression, here))

        def gathered(tree: Expr, tensor: Any, indices: list[Any]) -> Any:
            view = tree.captures[tensor]
            address: Index = view.offset
            for number, size, stride in zip(indices, view.shape, view.strides, strict=True):
                address = self.add(address, self.mul(self.clamp(number, 0, size - 1), stride))
            return memref.LoadOp(self.args[id(view.buffer)], [self.value(address)]).result

        writer = BodyWriter(read, index, ir.InsertionPoint.current, gathered)
        values = writer.expr(self.group.root, [])
        memref.StoreOp(values[0], local.value, at(local))


def _leaves(tree: Expr) -> list[Access | Accumulated]:
    """The operands of a tree that are read (not constants)."""
    found = [arg for expr in tree.walk() for arg in expr.args if not isinstance(arg, Expr)]
    return [leaf for leaf in found if isinstance(leaf, Accumulated) or leaf.buffer.kind not in ("splat", "unused")]


def _reads_index(expr: Expr) -> bool:
    return expr.block is not None and any(op.operation.name == "linalg.index" for op in expr.block.operations)


def _is_zero(access: Access) -> bool:
    value = access.buffer.value
    return bool(value.value == 0)


def _widen(value: Any, kind: Any) -> Any:
    integer = isinstance(kind, ir.IntegerType)
    return (arith.ExtSIOp if integer else arith.ExtFOp)(kind, value).result
