"""Strided windows over buffers: where an operand of a tile operation lies, in elements of its root buffer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from mtia.dialects.mlir import ir

__all__ = ["View", "Views", "create", "index_constant", "loop_nest", "strided_type"]

DYNAMIC_SIZE = ir.ShapedType.get_dynamic_size()
DYNAMIC_STRIDE = ir.ShapedType.get_dynamic_stride_or_offset()

_SAME_OFFSET = frozenset(
    ("memref.expand_shape", "memref.collapse_shape", "memref.cast", "memref.transpose", "memref.memory_space_cast")
)


def create(name: str, operands: list[Any], results: list[Any], ip: Any, loc: Any, **attributes: Any) -> Any:
    """Build one operation without regions at an insertion point; gives its first result, or the operation itself."""
    made = ir.Operation.create(name, results=results, operands=operands, attributes=attributes, loc=loc, ip=ip)
    return made.results[0] if results else made


def index_constant(value: int, ip: Any, loc: Any) -> Any:
    """An index constant."""
    index = ir.IndexType.get()
    return create("arith.constant", [], [index], ip, loc, value=ir.IntegerAttr.get(index, value))


def strided_type(shape: list[int], strides: list[int], offset: int | None, element: Any, space: Any) -> Any:
    """A memref type with explicit strides and offset (None = dynamic), in elements."""
    layout = ir.StridedLayoutAttr.get(DYNAMIC_STRIDE if offset is None else offset, strides)
    return ir.MemRefType.get(shape, element, layout, space)


def loop_nest(sizes: Sequence[Any], ip: Any, loc: Any, steps: Sequence[int] = ()) -> tuple[Any, list[Any], Any]:
    """Loops from 0 to each size: the outermost one (None without sizes), the indices, the innermost insertion point."""
    nest = None
    indices: list[Any] = []
    for position, size in enumerate(sizes):
        step = steps[position] if steps else 1
        bounds = [value if isinstance(value, ir.Value) else index_constant(value, ip, loc) for value in (0, size, step)]
        loop = ir.Operation.create("scf.for", operands=bounds, regions=1, loc=loc, ip=ip)
        nest = nest or loop
        block = loop.regions[0].blocks.append(ir.IndexType.get(), arg_locs=[loc])
        ip = ir.InsertionPoint(ir.Operation.create("scf.yield", loc=loc, ip=ir.InsertionPoint(block)))
        indices.append(block.arguments[0])
    return nest, indices, ip


@dataclasses.dataclass(frozen=True)
class View:
    """A window: element (i, j, …) is at `offset + Σ term·factor + Σ index·stride` of the root buffer."""

    root: Any
    offset: int
    terms: tuple[tuple[Any, int], ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    element: Any

    @property
    def static(self) -> bool:
        """Whether size and strides are constants."""
        return DYNAMIC_SIZE not in self.shape and DYNAMIC_STRIDE not in self.strides

    def moved(self, offset: int = 0, terms: tuple[tuple[Any, int], ...] = ()) -> View:
        """The same window further on."""
        return dataclasses.replace(self, offset=self.offset + offset, terms=self.terms + terms)

    def shaped(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> View:
        """Another shape and other strides from the same first element."""
        return dataclasses.replace(self, shape=shape, strides=strides)


class Views:
    """Windows of memref values and memref values of windows, each made once."""

    def __init__(self) -> None:
        self._of: dict[Any, View] = {}
        self._made: dict[tuple[Any, ...], Any] = {}

    def of(self, value: Any) -> View:
        """The window that a memref value is."""
        found = self._of.get(value)
        if found is None:
            found = self._of[value] = self._find(value)
        return found

    def root(self, value: Any) -> Any:
        """The buffer that a memref value points into."""
        return self.of(value).root

    def _find(self, value: Any) -> View:
        kind = value.type
        strides, offset = kind.get_strides_and_offset()
        shape, strides = tuple(kind.shape), tuple(strides)
        owner = value.owner
        name = "" if isinstance(owner, ir.Block) else owner.name
        if name in _SAME_OFFSET:
            source = self.of(owner.operands[0])
            return dataclasses.replace(source, shape=shape, strides=strides)
        if name == "memref.subview":
            return self._subview(owner, shape, strides)
        if name == "memref.reinterpret_cast":
            root = self.root(owner.operands[0])
            static = list(ir.DenseI64ArrayAttr(owner.attributes["static_offsets"]))[0]
            terms: tuple[tuple[Any, int], ...] = ()
            if static == DYNAMIC_STRIDE:
                static, terms = 0, ((owner.operands[1], 1),)
            return View(root, static, terms, shape, strides, kind.element_type)
        return View(value, 0 if offset == DYNAMIC_STRIDE else offset, (), shape, strides, kind.element_type)

    def _subview(self, owner: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> View:
        source = self.of(owner.operands[0])
        offset, terms = source.offset, list(source.terms)
        dynamic = iter(list(owner.operands)[1:])
        for start, stride in zip(ir.DenseI64ArrayAttr(owner.attributes["static_offsets"]), source.strides, strict=True):
            if start == DYNAMIC_STRIDE:
                terms.append((next(dynamic), stride))
            else:
                offset += start * stride
        return View(source.root, offset, tuple(terms), shape, strides, source.element)

    def memref(self, view: View, ip: Any, loc: Any) -> Any:
        """A memref value for a window; a constant one is made once, beside its root buffer."""
        root_type = view.root.type
        strides, offset = root_type.get_strides_and_offset()
        if (
            not view.terms
            and view.offset == offset
            and (tuple(root_type.shape), tuple(strides))
            == (
                view.shape,
                view.strides,
            )
        ):
            return view.root
        key = (view.root, view.offset, view.shape, view.strides)
        if not view.terms:
            made = self._made.get(key)
            if made is not None:
                return made
            owner = view.root.owner
            if isinstance(owner, ir.Block):
                ip = ir.InsertionPoint.at_block_begin(owner)
            else:
                ip, loc = ir.InsertionPoint.after(owner), owner.location
        made = self._cast(view, ip, loc)
        self._of[made] = view
        if not view.terms:
            self._made[key] = made
        return made

    def _cast(self, view: View, ip: Any, loc: Any) -> Any:
        dynamic = [self.offset_value(view, ip, loc)] if view.terms else []
        kind = strided_type(
            list(view.shape),
            list(view.strides),
            None if view.terms else view.offset,
            view.element,
            view.root.type.memory_space,
        )
        array = ir.DenseI64ArrayAttr.get
        return create(
            "memref.reinterpret_cast",
            [view.root, *dynamic],
            [kind],
            ip,
            loc,
            operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, len(dynamic), 0, 0]),
            static_offsets=array([DYNAMIC_STRIDE if dynamic else view.offset]),
            static_sizes=array(list(view.shape)),
            static_strides=array(list(view.strides)),
        )

    def offset_value(self, view: View, ip: Any, loc: Any) -> Any:
        """The offset of a window's first element as an index value."""
        index = ir.IndexType.get()
        total = index_constant(view.offset, ip, loc) if view.offset or not view.terms else None
        for term, factor in view.terms:
            if factor != 1:
                term = create("arith.muli", [term, index_constant(factor, ip, loc)], [index], ip, loc)
            total = term if total is None else create("arith.addi", [total, term], [index], ip, loc)
        return total
