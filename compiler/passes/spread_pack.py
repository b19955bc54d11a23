"""Parameters laid out for the matrix tiles that read them: result columns (or k) contiguous, window taps outermost.

The values are rearranged once, when the model is compiled; a DMA of a tile then reads whole lines.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from mtia.compiler.passes.spread_graph import Graph, Group
from mtia.compiler.passes.spread_layout import contraction_parts
from mtia.compiler.passes.spread_views import Access, Affine, Buffer, Dim, row_major
from numpy.typing import NDArray

__all__ = ["Packing", "pack_parameters"]


@dataclass(frozen=True)
class Packing:
    """How a packed parameter is made from the original: view it as `shape`, then transpose by `order`."""

    source: str
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def apply(self, value: NDArray[Any]) -> NDArray[Any]:
        """The packed values."""
        return np.ascontiguousarray(value.reshape(self.shape).transpose(self.order))


def pack_parameters(graph: Graph) -> dict[str, Packing]:
    """Give parameters that one contraction alone reads a layout of its liking, in place; how to make each, by name."""
    readers = Counter(id(access.buffer) for group in graph.groups for access in group.accesses())
    readers.update(id(view.buffer) for group in graph.groups for view in group.captured())
    readers.update(id(buffer) for buffer in graph.results)
    made: dict[str, Packing] = {}
    for group in graph.groups:
        if not group.contraction:
            continue
        parts = contraction_parts(group)
        for access, order in (
            (parts.left, [*parts.batch, *parts.rows, *parts.inner]),
            (parts.right, [*parts.batch, *parts.inner, *parts.columns]),
        ):
            if access.buffer.kind == "param" and readers[id(access.buffer)] == 1:
                _pack(graph, group, access, [dim for dim in order if dim in access.at.terms], made)
    return made


def _pack(graph: Graph, group: Group, access: Access, order: list[Dim], made: dict[str, Packing]) -> None:
    held = sorted(access.at.terms, key=access.at.factor, reverse=True)
    shape = tuple(dim.extent for dim in held)
    dense = all(access.at.factor(dim) == step for dim, step in zip(held, row_major(shape), strict=True))
    if held == order or not dense or access.clips or access.at.const or prod(shape) != access.buffer.elements:
        return
    old = access.buffer
    packed = Buffer("param", old.dtype, old.elements, tuple(dim.extent for dim in order), f"{old.name}:packed")
    at = Affine()
    for dim, step in zip(order, row_major(packed.shape), strict=True):
        at = at + Affine.of(dim, step)
    group.root.args = [replace(arg, buffer=packed, at=at) if arg is access else arg for arg in group.root.args]
    graph.inputs = [packed if buffer is old else buffer for buffer in graph.inputs]
    made[packed.name] = Packing(old.name, shape, tuple(held.index(dim) for dim in order))
