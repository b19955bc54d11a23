"""Joining groups, so that what one loop makes is used where it is: fewer trips to device memory.

Three rules, tried in program order: a widening cast in front of a contraction is read through (the product of two fp16
or bf16 values is exact in fp32, so nothing changes); an elementwise group that follows a contraction or reduction
becomes its epilogue; an elementwise group with one reader is computed where it is read.
"""

from __future__ import annotations

from typing import Any

from mtia.compiler.passes.spread_body import slice_of
from mtia.compiler.passes.spread_graph import Accumulated, Expr, Graph, Group, Leaf
from mtia.compiler.passes.spread_views import Access, Affine, Buffer, Dim, delinearize, refine, split_dims

__all__ = ["fuse", "merge_dims"]

WIDENING = ("arith.extf", "arith.extsi")
CHEAP = (
    "arith.extf arith.truncf arith.addf arith.subf arith.mulf arith.negf arith.select arith.cmpf arith.addi arith.subi "
    "arith.muli arith.cmpi arith.andi arith.ori arith.index_cast arith.sitofp arith.extsi arith.extui arith.trunci "
    "arith.uitofp arith.maximumf arith.minimumf linalg.index linalg.yield"
).split()


def fuse(graph: Graph) -> None:
    """Join the groups of a graph in place, until no rule applies."""
    _Fuser(graph).run()


class _Fuser:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.groups = list(graph.groups)
        self.maker: dict[int, Group] = {}

    def readers(self, buffer: Buffer) -> int:
        """How many groups (and results) use a buffer."""
        reading = sum(
            any(access.buffer is buffer for access in group.accesses())
            or any(view.buffer is buffer for view in group.captured())
            for group in self.groups
        )
        return reading + sum(result is buffer for result in self.graph.results)

    def run(self) -> None:
        for group in list(self.groups):
            if group.contraction:
                self.read_through_casts(group)
            elif not _is_cast(group.root):  # a cast stays apart: a contraction may read through it
                self.inline(group)
            if not group.reduces and len(group.outputs) == 1 and not _is_cast(group.root):
                joined = self.join_as_epilogue(group)
                if joined is not None:
                    self.groups.remove(joined)
                    self.groups[self.groups.index(group)] = joined
                    group = joined
            for output in group.outputs:
                self.maker[id(output.access.buffer)] = group
        self.graph.groups = self.needed()

    def needed(self) -> list[Group]:
        """The groups whose results are read."""
        kept: list[Group] = []
        needed = {id(buffer) for buffer in self.graph.results}
        for group in reversed(self.groups):
            if any(id(output.access.buffer) in needed for output in group.outputs):
                kept.append(group)
                _drop_unread(group, needed)
                needed |= {id(access.buffer) for access in group.accesses()}
                needed |= {id(view.buffer) for view in group.captured()}
        return list(reversed(kept))

    def is_map(self, buffer: Buffer) -> Group | None:
        """The elementwise group that makes a temporary buffer, if it can be computed anywhere."""
        group = self.maker.get(id(buffer))
        if group is None or buffer.kind != "temp" or group.reduces or len(group.outputs) != 1:
            return None
        output = group.outputs[0]
        return group if group.root.element_wise and not output.access.clips and _covers(output.access) else None

    def read_through_casts(self, group: Group) -> None:
        """Let a contraction read what stands in front of copies, and of casts if both operands then have one type."""
        for number in range(len(group.root.args)):
            while self.peel(group, number, casts=False):
                pass
        narrow = [self.narrowed(arg) for arg in group.root.args]
        if len(set(narrow)) == 1:
            for number in range(len(group.root.args)):
                while self.peel(group, number, casts=True):
                    pass

    def narrowed(self, arg: Leaf) -> str:
        """The element type an operand has in front of casts and copies."""
        if not isinstance(arg, Access):
            return ""
        maker = self.is_map(arg.buffer)
        through = maker is not None and (_is_cast(maker.root) or maker.root.block is None) and not arg.clips
        return self.narrowed(maker.root.args[0]) if maker is not None and through else str(arg.buffer.dtype)

    def peel(self, group: Group, number: int, casts: bool) -> bool:
        """Replace an operand by what the copy (or cast) that makes it reads."""
        arg = group.root.args[number]
        if not isinstance(arg, Access) or arg.clips:
            return False
        maker = self.is_map(arg.buffer)
        if maker is None or not (maker.root.block is None or (casts and _is_cast(maker.root))):
            return False
        if self.split_for(group, arg, maker):
            return True
        found = self.composed(group, arg, maker)
        if found is None or not isinstance(found.args[0], Access):
            return False
        group.root.args[number] = found.args[0]
        return True

    def inline(self, group: Group) -> None:
        """Compute single-reader elementwise operands inside the group."""
        while self.inline_one(group):
            pass

    def inline_one(self, group: Group) -> bool:
        for expr in group.root.walk():
            for number, arg in enumerate(expr.args):
                if isinstance(arg, Access) and self.worth_inlining(arg, group):
                    maker = self.maker[id(arg.buffer)]
                    if self.split_for(group, arg, maker):
                        return True
                    found = self.composed(group, arg, maker)
                    if found is not None:
                        expr.args[number] = found
                        if not any(access.buffer is arg.buffer for access in group.accesses()):
                            self.groups.remove(maker)
                        return True
        return False

    def worth_inlining(self, access: Access, group: Group) -> bool:
        maker = self.is_map(access.buffer)
        if maker is None or access.clips or self.readers(access.buffer) != 1:
            return False
        repeats = group.iterations() > maker.iterations()
        return not repeats or all(_cheap(expr) for expr in maker.root.walk())

    def split_for(self, group: Group, access: Access, maker: Group) -> bool:
        """Split one loop dimension that crosses dimensions of the maker; False when none does."""
        found = delinearize(access.at, [dim.extent for dim in _nested(maker.outputs[0].access)])
        if not isinstance(found, tuple):
            return False
        dim, inner = found
        parts = [Dim(dim.extent // inner, dim.reduction), Dim(inner, dim.reduction)]
        place = group.dims.index(dim)
        by = {dim: Affine.of(parts[0], inner) + Affine.of(parts[1])}
        group.rewrite([*group.dims[:place], *parts, *group.dims[place + 1 :]], by)
        return True

    def composed(self, group: Group, access: Access, maker: Group) -> Expr | None:
        """The maker's expression in terms of the group's dimensions, at the element that `access` reads."""
        dims = _nested(maker.outputs[0].access)
        indices = delinearize(access.at, [dim.extent for dim in dims])
        if not isinstance(indices, list):
            return None
        return maker.root.put(dict(zip(dims, indices, strict=True)))

    def join_as_epilogue(self, group: Group) -> Group | None:
        """Make an elementwise group the epilogue of the latest contraction or reduction it reads."""
        if not group.root.element_wise or group.outputs[0].access.clips or not _covers(group.outputs[0].access):
            return None
        for root in reversed(self.groups[: self.groups.index(group)]):
            buffer = root.outputs[0].access.buffer
            reads = [access for access in group.root.accesses() if access.buffer is buffer]
            if not reads or any(read.at != reads[0].at for read in reads):
                continue
            if root.reduces and len(root.outputs) == 1 and buffer.kind == "temp" and self.readers(buffer) == 1:
                if self.join(root, group, reads[0]):
                    return root
        return None

    def join(self, root: Group, group: Group, read: Access) -> bool:
        written = root.outputs[0].access
        mine = sorted((dim for dim in root.parallel if dim.extent > 1), key=written.at.factor, reverse=True)
        yours = sorted((dim for dim in group.dims if dim.extent > 1), key=read.at.factor, reverse=True)
        if read.clips or not _nest(written, mine) or not _nest(read, yours):
            return False
        common = refine([dim.extent for dim in mine], [dim.extent for dim in yours])
        if common is None:
            return False
        fresh, by_mine = split_dims(mine, common)
        places, rest = {}, list(fresh)
        for dim in yours:
            expression, count = Affine(), dim.extent
            while count > 1:
                part = rest.pop(0)
                count //= part.extent
                expression = expression + Affine.of(part, count)
            places[dim] = expression
        buffer = root.outputs[0].access.buffer
        reductions = [dim for dim in root.dims if dim.reduction]
        root.rewrite([*fresh, *reductions], by_mine)
        before: Leaf = root.epilogue if root.epilogue is not None else Accumulated(0)
        tail = group.root.put(places)
        root.epilogue = _substitute(tail, buffer, before)
        root.outputs[0].access = group.outputs[0].access.put(places)
        root.where, root.node, root.label = group.where, group.node, group.label
        return True


def _drop_unread(group: Group, needed: set[int]) -> None:
    """Keep one result of several where the others are neither read nor part of it (the index beside a maximum)."""
    read = [number for number, output in enumerate(group.outputs) if id(output.access.buffer) in needed]
    if len(group.outputs) < 2 or len(read) != 1:
        return
    block, inputs = group.root.block, len(group.root.args)
    used = {argument.arg_number - inputs for argument in slice_of(block, read)[1]}
    if used & set(range(len(group.outputs))) <= set(read):
        group.keep = read[0]
        group.outputs = [group.outputs[read[0]]]


def _substitute(expr: Expr, buffer: Buffer, value: Leaf) -> Expr:
    """The expression with reads of `buffer` replaced by `value`."""
    args = [
        _substitute(arg, buffer, value)
        if isinstance(arg, Expr)
        else value
        if isinstance(arg, Access) and arg.buffer is buffer
        else arg
        for arg in expr.args
    ]
    return Expr(expr.block, args, expr.index, expr.captures)


def _cheap(expr: Expr) -> bool:
    return expr.block is None or all(op.operation.name in CHEAP for op in expr.block.operations)


def _is_cast(expr: Expr) -> bool:
    if expr.block is None or len(expr.args) != 1:
        return False
    names = [op.operation.name for op in expr.block.operations]
    return len(names) == 2 and names[0] in WIDENING


def _covers(access: Access) -> bool:
    """Whether a write fills its whole buffer, densely."""
    return _nest(access, _nested(access))


def _nest(access: Access, dims: list[Dim]) -> bool:
    """Whether `dims`, outermost first, walk the whole buffer in row-major order."""
    step = 1
    for dim in reversed(dims):
        if access.at.factor(dim) != step:
            return False
        step *= dim.extent
    return access.at.const == 0 and step == access.buffer.elements and len(access.at.terms) == len(dims)


def _nested(write: Access) -> list[Dim]:
    """The dimensions of a dense write, outermost first."""
    return sorted(write.at.terms, key=write.at.factor, reverse=True)


def merge_dims(group: Group) -> None:
    """Join neighbouring loop dimensions that every access walks as one, and forget those of one iteration."""
    used = [expr for tree in (group.root, group.epilogue) if tree for expr in tree.walk()]
    accesses = [output.access for output in group.outputs] + group.accesses()
    indexed = {dim for expr in used if _reads_index(expr) for index in expr.index for dim in index.terms}
    clipped = {dim for access in accesses for clip in access.clips for dim in clip.index.terms}
    steps = {dim: tuple(access.at.factor(dim) for access in accesses) for dim in group.dims}
    order = sorted((dim for dim in group.dims if dim.extent > 1), key=lambda dim: _rank(group, dim))
    merged: list[Dim] = []
    by: dict[Dim, Affine] = {}
    for dim in order:
        last = merged[-1] if merged else None
        free = last is not None and not {dim, last} & (indexed | clipped) and last.reduction == dim.reduction
        if free and last is not None and steps[last] == tuple(step * dim.extent for step in steps[dim]):
            joined = Dim(last.extent * dim.extent, dim.reduction)
            # address = step · (last · dim.extent + dim), so the joined index takes the inner one's place
            by = {old: expression.put({last: Affine()}) for old, expression in by.items()}
            by[last] = Affine()
            by[dim] = Affine.of(joined)
            steps[joined] = steps[dim]
            merged[-1] = joined
        else:
            merged.append(dim)
    group.rewrite(merged, by)


def _rank(group: Group, dim: Dim) -> tuple[Any, ...]:
    """Sort key: independent dimensions first, larger steps of the result (then of the operands) first."""
    steps = [group.outputs[0].access.at.factor(dim)] + [access.at.factor(dim) for access in group.accesses()]
    return (dim.reduction, *(-step for step in steps))


def _reads_index(expr: Expr) -> bool:
    return expr.block is not None and any(op.operation.name == "linalg.index" for op in expr.block.operations)
