"""Tensors as strided windows of buffers, and loops as affine addresses: the algebra under `spread`.

A reshape, transpose, slice, pad or broadcast of a tensor that lives in device memory moves nothing: it is another way
to walk the same buffer, which the DMA engine walks as well. So each tensor value is a `View`, and what an operation
reads is an `Access`: an affine address over its loop dimensions plus the ranges in which it is backed by memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from typing import Any

__all__ = [
    "Access",
    "Affine",
    "Buffer",
    "Clip",
    "Dim",
    "View",
    "contiguous",
    "delinearize",
    "refine",
    "row_major",
    "split_dims",
]


@dataclass(eq=False)
class Dim:
    """One loop dimension: its trip count, and whether iterations are summed up (`reduction`)."""

    extent: int
    reduction: bool = False

    def __repr__(self) -> str:
        return f"{'r' if self.reduction else 'p'}{self.extent}"


@dataclass(frozen=True)
class Affine:
    """`const + Σ terms[dim] · dim`; terms with a zero factor are left out."""

    const: int = 0
    terms: Mapping[Dim, int] = field(default_factory=dict)

    @staticmethod
    def of(dim: Dim, factor: int = 1) -> Affine:
        """`factor · dim`, zero for a dimension of one iteration."""
        return Affine(0, {dim: factor} if factor and dim.extent > 1 else {})

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.const + other, self.terms)
        terms = dict(self.terms)
        for dim, factor in other.terms.items():
            terms[dim] = terms.get(dim, 0) + factor
        return Affine(self.const + other.const, {dim: factor for dim, factor in terms.items() if factor})

    def __mul__(self, factor: int) -> Affine:
        terms = {dim: old * factor for dim, old in self.terms.items()} if factor else {}
        return Affine(self.const * factor, terms)

    def __hash__(self) -> int:
        return hash((self.const, frozenset(self.terms.items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and self.const == other.const and dict(self.terms) == dict(other.terms)

    def factor(self, dim: Dim) -> int:
        """The step of this address for one iteration of `dim`."""
        return self.terms.get(dim, 0)

    def put(self, by: Mapping[Dim, Affine]) -> Affine:
        """This expression with dimensions replaced by expressions."""
        result = Affine(self.const)
        for dim, factor in self.terms.items():
            result = result + by.get(dim, Affine.of(dim)) * factor
        return result


@dataclass(frozen=True)
class Clip:
    """An index that must lie in `lo <= index < hi` for the element to be backed by memory."""

    index: Affine
    lo: int
    hi: int


@dataclass(eq=False)
class Buffer:
    """A piece of device memory, or a value that is never stored.

    `kind`: `input`, `param`, `const`, `temp`, `output`, or `splat` (every element is `value`, an MLIR attribute).
    """

    kind: str
    dtype: Any
    elements: int
    shape: tuple[int, ...]
    name: str = ""
    value: Any = None


@dataclass(frozen=True)
class Access:
    """The elements of a buffer that an operation touches: address per iteration, valid ranges, value outside them."""

    buffer: Buffer
    at: Affine
    clips: tuple[Clip, ...] = ()
    fill: Any = None

    def put(self, by: Mapping[Dim, Affine]) -> Access:
        """This access with dimensions replaced by expressions."""
        clips = tuple(Clip(clip.index.put(by), clip.lo, clip.hi) for clip in self.clips)
        return replace(self, at=self.at.put(by), clips=clips)


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of a dense row-major tensor."""
    return tuple(prod(shape[position + 1 :]) for position in range(len(shape)))


@dataclass(frozen=True)
class View:
    """A tensor value as a window of a buffer: element `i` at `offset + Σ i·strides`, or `fill` outside `[lo, hi)`."""

    buffer: Buffer
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    lo: tuple[int, ...]
    hi: tuple[int, ...]
    fill: Any = None

    @staticmethod
    def whole(buffer: Buffer) -> View:
        """The dense view of a whole buffer in its own shape."""
        shape = buffer.shape
        return View(buffer, 0, shape, row_major(shape), (0,) * len(shape), shape)

    @property
    def padded(self) -> bool:
        """Whether some elements lie outside the memory that backs the view."""
        return any(lo > 0 for lo in self.lo) or any(hi < size for hi, size in zip(self.hi, self.shape, strict=True))

    def access(self, indices: Sequence[Affine]) -> Access:
        """What a loop nest touches that reads this view at `indices` (one expression per view dimension)."""
        at = Affine(self.offset)
        clips = []
        for index, size, stride, lo, hi in zip(indices, self.shape, self.strides, self.lo, self.hi, strict=True):
            at = at + index * stride
            if lo > 0 or hi < size:
                clips.append(Clip(index, lo, hi))
        return Access(self.buffer, at, tuple(clips), self.fill)

    def permute(self, order: Sequence[int]) -> View:
        """The view whose dimension `i` is this one's dimension `order[i]`."""
        shape, strides, lo, hi = (
            tuple(part[dim] for dim in order) for part in (self.shape, self.strides, self.lo, self.hi)
        )
        return View(self.buffer, self.offset, shape, strides, lo, hi, self.fill)

    def slice(self, offsets: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> View | None:
        """The sub-window, or None where a padded dimension would be read with a step."""
        ranges = zip(steps, self.lo, self.hi, self.shape, strict=True)
        if any(step != 1 and (lo > 0 or hi < size) for step, lo, hi, size in ranges):
            return None
        offset = self.offset + sum(first * stride for first, stride in zip(offsets, self.strides, strict=True))
        lo = tuple(max(0, old - first) for old, first in zip(self.lo, offsets, strict=True))
        hi = tuple(
            size if step != 1 else max(0, min(size, old - first))
            for old, first, size, step in zip(self.hi, offsets, sizes, steps, strict=True)
        )
        strides = tuple(stride * step for stride, step in zip(self.strides, steps, strict=True))
        return View(self.buffer, offset, tuple(sizes), strides, lo, hi, self.fill)

    def pad(self, low: Sequence[int], shape: Sequence[int], fill: Any) -> View | None:
        """The view with `low` elements of `fill` before each dimension, or None if it is padded already."""
        if self.padded:
            return None
        offset = self.offset - sum(before * stride for before, stride in zip(low, self.strides, strict=True))
        hi = tuple(before + size for before, size in zip(low, self.shape, strict=True))
        return View(self.buffer, offset, tuple(shape), self.strides, tuple(low), hi, fill)

    def expand(self, groups: Sequence[Sequence[int]], shape: Sequence[int]) -> View | None:
        """Each dimension split into the group of result dimensions, or None where a padded one would be split."""
        strides, lo, hi = [0] * len(shape), [0] * len(shape), list(shape)
        for dim, group in enumerate(groups):
            wide = [position for position in group if shape[position] > 1]
            step = self.strides[dim]
            for position in reversed(group):
                strides[position] = step
                step *= shape[position]
            if self.lo[dim] > 0 or self.hi[dim] < self.shape[dim]:
                if len(wide) > 1 or not group:
                    return None
                keep = wide[0] if wide else group[0]
                lo[keep], hi[keep] = self.lo[dim], self.hi[dim]
        return View(self.buffer, self.offset, tuple(shape), tuple(strides), tuple(lo), tuple(hi), self.fill)

    def collapse(self, groups: Sequence[Sequence[int]]) -> View | None:
        """Each group of dimensions merged into one, or None where the elements are not evenly spaced."""
        shape, strides, lo, hi = [], [], [], []
        for group in groups:
            wide = [dim for dim in group if self.shape[dim] > 1]
            padded = [dim for dim in group if self.lo[dim] > 0 or self.hi[dim] < self.shape[dim]]
            if padded and (len(wide) > 1 or len(padded) > 1 or (wide and padded != wide)):
                return None
            for outer, inner in pairwise(wide):
                if self.strides[outer] != self.strides[inner] * self.shape[inner]:
                    return None
            shape.append(prod(self.shape[dim] for dim in group))
            strides.append(self.strides[wide[-1]] if wide else 0)
            lo.append(self.lo[padded[0]] if padded else 0)
            hi.append(self.hi[padded[0]] if padded else shape[-1])
        return View(self.buffer, self.offset, tuple(shape), tuple(strides), tuple(lo), tuple(hi), self.fill)


def contiguous(view: View) -> bool:
    """Whether the view is exactly its whole buffer, dense and in row-major order."""
    steps = zip(view.shape, view.strides, row_major(view.shape), strict=True)
    dense = all(size == 1 or step == want for size, step, want in steps)
    return dense and view.offset == 0 and prod(view.shape) == view.buffer.elements and not view.padded


def delinearize(at: Affine, shape: Sequence[int]) -> list[Affine] | tuple[Dim, int] | None:
    """Index per dimension of a dense tensor that a flat address stands for.

    A pair `(dim, inner)` asks the caller to split that loop dimension (inner trip count given) and try again; None says
    that the address is not affine in those dimensions.
    """
    strides = row_major(shape)
    rest, indices = at.const, []
    for stride, size in zip(strides, shape, strict=True):
        indices.append(Affine(rest // stride if size > 1 else 0))
        rest = rest % stride if size > 1 else rest
    for dim, step in at.terms.items():
        place = next((j for j, stride in enumerate(strides) if shape[j] > 1 and 0 < stride <= step), None)
        if place is None or step % strides[place]:
            return None
        factor, size = step // strides[place], shape[place]
        if factor * (dim.extent - 1) >= size:
            inner = size // factor
            if size % factor or inner < 2 or dim.extent % inner:
                return None
            return dim, inner
        indices[place] = indices[place] + Affine.of(dim, factor)
    for index, size in zip(indices, shape, strict=True):
        if index.const + sum(factor * (dim.extent - 1) for dim, factor in index.terms.items()) >= size:
            return None
    return indices


def refine(left: Sequence[int], right: Sequence[int]) -> list[int] | None:
    """The coarsest list of trip counts that both lists can be split into, or None if there is none."""
    result: list[int] = []
    mine, yours = list(reversed(left)), list(reversed(right))
    while mine and yours:
        inner = min(mine[-1], yours[-1])
        if max(mine[-1], yours[-1]) % inner:
            return None
        result.append(inner)
        for stack in (mine, yours):
            stack[-1] //= inner
            if stack[-1] == 1:
                stack.pop()
    return result if not mine and not yours else None


def split_dims(dims: Sequence[Dim], extents: Sequence[int]) -> tuple[list[Dim], dict[Dim, Affine]]:
    """New dimensions of the given trip counts (innermost last), and what each old dimension is in terms of them."""
    fresh = [Dim(extent) for extent in extents]
    by: dict[Dim, Affine] = {}
    rest = list(fresh)
    for dim in reversed(dims):
        expression, step = Affine(), 1
        while step < dim.extent:
            part = rest.pop()
            part.reduction = dim.reduction
            expression = expression + Affine.of(part, step)
            step *= part.extent
        by[dim] = expression
    return fresh, by
