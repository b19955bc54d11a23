"""What `convert-tt-to-linalg` knows about a tensor without computing it, and index arithmetic that folds constants.

Triton computes addresses and masks with tensors. Here such a tensor stays a formula in the indices of its elements
for as long as its operations allow, so that a load can become one strided transfer with a valid range.
Index arithmetic is assumed not to overflow, as everywhere in Triton's own analyses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtia.dialects.mlir import arith, ir

__all__ = [
    "Affine",
    "Block",
    "Compare",
    "Guard",
    "Index",
    "IndexBuilder",
    "Mask",
    "Pointers",
    "Splat",
    "View",
    "Wrap",
]

Index = Any
"""An `int`, or an SSA value of type `index`."""


@dataclass(frozen=True)
class Wrap:
    """The index i of a dimension is replaced by (start + i) remainder limit, rounded to zero as in C; or, where there
    is `beyond`, by start + i while that is less than the limit, and by `beyond` from there on.

    `first` is the index of i = 0; `whole`, an i1, says that the indices are first + i for all i.
    """

    start: Index
    limit: Index
    first: Index
    whole: Any
    beyond: Index | None = None

    def place(self, index: Any, start: Any, limit: Any, beyond: Any = None) -> Any:
        """What an index becomes, all as SSA values of one integer type."""
        at = arith.AddIOp(start, index).result
        if beyond is None:
            return arith.RemSIOp(at, limit).result
        inside = arith.CmpIOp(arith.CmpIPredicate.slt, at, limit).result
        return arith.SelectOp(inside, at, beyond).result

    def scalars(self) -> tuple[Index, ...]:
        """What `place` takes after the index."""
        return (self.start, self.limit) if self.beyond is None else (self.start, self.limit, self.beyond)


@dataclass(frozen=True)
class Affine:
    """Integers base + sum over dimensions of stride * i (or of stride * its wrapped index)."""

    shape: tuple[int, ...]
    element: Any
    base: Index
    strides: tuple[Index, ...]
    wraps: tuple[Wrap | None, ...]

    @property
    def uniform(self) -> bool:
        """Whether all elements are the same."""
        return all(isinstance(stride, int) and stride == 0 for stride in self.strides)

    @property
    def wrapped(self) -> bool:
        """Whether any dimension wraps."""
        return any(wrap is not None for wrap in self.wraps)

    def varying(self) -> list[int]:
        """Dimensions whose index matters."""
        return [axis for axis, stride in enumerate(self.strides) if not (isinstance(stride, int) and stride == 0)]

    def expand(self, axis: int) -> Affine:
        """A new dimension of size 1."""
        return replace(
            self,
            shape=(*self.shape[:axis], 1, *self.shape[axis:]),
            strides=(*self.strides[:axis], 0, *self.strides[axis:]),
            wraps=(*self.wraps[:axis], None, *self.wraps[axis:]),
        )

    def permute(self, order: Sequence[int]) -> Affine:
        """Dimension i of the result is dimension order[i]."""
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in order),
            strides=tuple(self.strides[axis] for axis in order),
            wraps=tuple(self.wraps[axis] for axis in order),
        )


@dataclass(frozen=True)
class Splat:
    """One scalar everywhere."""

    shape: tuple[int, ...]
    value: Any


@dataclass(frozen=True)
class View:
    """A tensor seen with more dimensions: its dimension k is dimension dims[k] here, the others repeat it."""

    shape: tuple[int, ...]
    source: Any
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Compare:
    """lhs predicate rhs, for each element; `predicate` is the name `arith.cmpi` prints."""

    predicate: str
    lhs: Affine
    rhs: Affine


@dataclass(frozen=True)
class Guard:
    """A scalar condition."""

    value: Any


@dataclass(frozen=True)
class Mask:
    """All terms hold; no terms is true everywhere."""

    shape: tuple[int, ...]
    terms: tuple[Compare | Guard, ...]

    def reshape(self, shape: tuple[int, ...], sides: Any) -> Mask:
        """The mask in another shape, where `sides` maps each side of a comparison."""
        terms = (
            term if isinstance(term, Guard) else Compare(term.predicate, sides(term.lhs), sides(term.rhs))
            for term in self.terms
        )
        return Mask(shape, tuple(terms))


@dataclass(frozen=True)
class Pointers:
    """Addresses of elements of `memory`: offset + extra, counted in elements; a scalar pointer has no dimensions."""

    memory: Any
    element: Any
    offset: Affine
    extra: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor of pointers."""
        return self.offset.shape


@dataclass(frozen=True)
class Block:
    """A block of a tensor in `memory`: block pointer (with offsets) or tensor descriptor (offsets given at use)."""

    memory: Any
    element: Any
    start: Index
    sizes: tuple[Index, ...]
    strides: tuple[Index, ...]
    offsets: tuple[Index, ...]
    shape: tuple[int, ...]
    padding: str = "zero"


class IndexBuilder:
    """Index arithmetic at the current insertion point; plain integers fold."""

    def __init__(self, entry: Any) -> None:
        self._entry = entry
        self._constants: dict[tuple[str, Any], Any] = {}
        self.casts: dict[Any, Any] = {}
        self.index = ir.IndexType.get()

    def constant(self, value: Any, type_: Any = None) -> Any:
        """A constant at the start of the function; of type `index` unless told."""
        type_ = type_ or self.index
        key = (str(type_), str(value))
        if key not in self._constants:
            attribute = value if isinstance(value, ir.Attribute) else _attribute(type_, value)
            with ir.InsertionPoint.at_block_begin(self._entry):
                self._constants[key] = arith.ConstantOp(type_, attribute).result
        return self._constants[key]

    def value(self, index: Index) -> Any:
        """The SSA value of an index."""
        return self.constant(index) if isinstance(index, int) else index

    def from_scalar(self, scalar: Any) -> Index:
        """An integer scalar as index; the cast stands right after the scalar, so it can be reused."""
        if isinstance(scalar, int) or scalar.type == self.index:
            return scalar
        if scalar not in self.casts:
            known = constant_of(scalar)
            if known is not None:
                return known
            owner = scalar.owner
            at = (
                ir.InsertionPoint.at_block_begin(owner)
                if isinstance(owner, ir.Block)
                else ir.InsertionPoint.after(owner)
            )
            with at:
                self.casts[scalar] = arith.IndexCastOp(self.index, scalar).result
        return self.casts[scalar]

    def to_scalar(self, index: Index, type_: Any) -> Any:
        """An index as an integer scalar of `type_`."""
        if type_ == self.index:
            return self.value(index)
        if isinstance(index, int):
            return self.constant(index, type_)
        return arith.IndexCastOp(type_, index).result

    def add(self, a: Index, b: Index) -> Index:
        """a + b."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if isinstance(a, int) and a == 0:
            return b
        if isinstance(b, int) and b == 0:
            return a
        return arith.AddIOp(self.value(a), self.value(b)).result

    def sub(self, a: Index, b: Index) -> Index:
        """a - b."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        if isinstance(b, int) and b == 0:
            return a
        return arith.SubIOp(self.value(a), self.value(b)).result

    def mul(self, a: Index, b: Index) -> Index:
        """a * b."""
        for one, other in ((a, b), (b, a)):
            if isinstance(one, int) and one in (0, 1):
                return other if one else 0
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        return arith.MulIOp(self.value(a), self.value(b)).result

    def minimum(self, a: Index, b: Index) -> Index:
        """The smaller, signed."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return a if same(a, b) else arith.MinSIOp(self.value(a), self.value(b)).result

    def maximum(self, a: Index, b: Index) -> Index:
        """The larger, signed."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return a if same(a, b) else arith.MaxSIOp(self.value(a), self.value(b)).result

    def remainder(self, a: Index, b: Index) -> Index:
        """a remainder b, rounded to zero."""
        return arith.RemSIOp(self.value(a), self.value(b)).result

    def clamp(self, a: Index, size: int) -> Index:
        """a brought into 0 … size."""
        return self.minimum(self.maximum(a, 0), size)

    def affine(self, splat: Splat) -> Affine:
        """An integer splat as a formula."""
        rank = len(splat.shape)
        base = self.from_scalar(splat.value)
        return Affine(splat.shape, splat.value.type, base, (0,) * rank, (None,) * rank)

    def element(self, affine: Affine, indices: Sequence[Index]) -> Index:
        """The element at `indices`."""
        total = affine.base
        for index, stride, wrap in zip(indices, affine.strides, affine.wraps, strict=True):
            if isinstance(stride, int) and stride == 0:
                continue
            at = index if wrap is None else wrap.place(self.value(index), *map(self.value, wrap.scalars()))
            total = self.add(total, self.mul(at, stride))
        return total

    def sum(self, a: Affine, b: Affine) -> Affine | None:
        """a + b as a formula, where it is one."""
        if any(x is not None and y is not None for x, y in zip(a.wraps, b.wraps, strict=True)):
            return None
        strides: list[Index] = []
        wraps: list[Wrap | None] = []
        for axis, (x, y) in enumerate(zip(a.strides, b.strides, strict=True)):
            wrap = a.wraps[axis] or b.wraps[axis]
            if wrap is not None and not (same(x, 0) or same(y, 0)):
                return None
            strides.append(self.add(x, y))
            wraps.append(wrap)
        return replace(a, base=self.add(a.base, b.base), strides=tuple(strides), wraps=tuple(wraps))

    def scale(self, a: Affine, factor: Index) -> Affine:
        """a times a scalar."""
        strides = tuple(self.mul(stride, factor) for stride in a.strides)
        wraps = tuple(None if same(stride, 0) else wrap for stride, wrap in zip(strides, a.wraps, strict=True))
        return replace(a, base=self.mul(a.base, factor), strides=strides, wraps=wraps)


def same(a: Index, b: Index) -> bool:
    """Whether two indices are known to be equal."""
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    return bool(a == b)


def constant_of(scalar: Any) -> int | None:
    """The integer value of a constant scalar."""
    owner = scalar.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return None
    attribute = owner.attributes["value"]
    return int(attribute.value) if isinstance(attribute, ir.IntegerAttr) else None


def _attribute(type_: Any, value: Any) -> Any:
    if isinstance(type_, (ir.IntegerType, ir.IndexType)):
        return ir.IntegerAttr.get(type_, int(value))
    return ir.FloatAttr.get(type_, float(value))
