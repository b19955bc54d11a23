"""How a tile lies in local memory, and which loop dimensions play which part in a matrix product."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtia.compiler.passes.spread_graph import Group
from mtia.compiler.passes.spread_views import Access, Dim

__all__ = [
    "Contraction",
    "contraction_parts",
    "kept_dims",
    "merge_local",
    "natural_order",
    "overlapping_dims",
    "swapped",
    "window_dims",
]


@dataclass(frozen=True)
class Contraction:
    """Operands and loops of out[batch, rows, columns] += left[batch, rows, inner] · right[batch, inner, columns]."""

    left: Access
    right: Access
    batch: list[Dim]
    rows: list[Dim]
    columns: list[Dim]
    inner: list[Dim]


def kept_dims(access: Access) -> set[Dim]:
    """The dimensions along which an operand's tile extends."""
    return set(access.at.terms) | {dim for clip in access.clips for dim in clip.index.terms}


def window_dims(access: Access) -> set[Dim]:
    """Folded dimensions whose position shifts the valid range of another one (the taps of a padded window)."""
    shifting = [clip.index.terms for clip in access.clips if len(clip.index.terms) > 1]
    return {dim for terms in shifting for dim in terms if dim.reduction}


def overlapping_dims(access: Access) -> set[Dim]:
    """Folded dimensions that walk over elements other dimensions walk over too (the taps of any window)."""
    found = window_dims(access)
    reach = sorted(access.at.terms, key=access.at.factor)
    for position, dim in enumerate(reach):
        span = 1 + sum(access.at.factor(inner) * (inner.extent - 1) for inner in reach[:position])
        if access.at.factor(dim) < span:
            found |= {inner for inner in reach[: position + 1] if inner.reduction}
    return found


def contraction_parts(group: Group) -> Contraction:
    """Sort the dimensions of a contraction by the operands they index.

    The operand that has the result's contiguous dimension is the right one, so that result rows are contiguous.
    """
    first, second = (arg for arg in group.root.args if isinstance(arg, Access))
    a, b = kept_dims(first), kept_dims(second)
    out = group.outputs[0].access.at
    free = [dim for dim in group.parallel if dim in a | b]
    exclusive = [dim for dim in free if (dim in a) != (dim in b)]
    last = min(exclusive, key=out.factor, default=None)
    left, right = (first, second) if last is None or last in b else (second, first)
    a, b = kept_dims(left), kept_dims(right)
    # Window taps come first: each is a DMA of its own, whose rows in local memory must be evenly spaced.
    taps = overlapping_dims(left) | overlapping_dims(right)
    inner = [dim for dim in group.dims if dim.reduction]
    return Contraction(
        left,
        right,
        [dim for dim in group.parallel if (dim in a) == (dim in b)],
        [dim for dim in group.parallel if dim in a and dim not in b],
        [dim for dim in group.parallel if dim in b and dim not in a],
        [dim for dim in inner if dim in taps] + [dim for dim in inner if dim not in taps],
    )


def natural_order(access: Access, dims: Iterable[Dim]) -> list[Dim]:
    """The dimensions of a tile in the order in which they lie in device memory, contiguous one last."""
    return sorted((dim for dim in dims if dim in kept_dims(access)), key=access.at.factor, reverse=True)


def swapped(access: Access, first: Sequence[Dim], second: Sequence[Dim]) -> bool:
    """Whether a `first` × `second` matrix lies in device memory with `first` contiguous."""
    steps = [[access.at.factor(dim) for dim in part if access.at.factor(dim)] for part in (first, second)]
    return bool(steps[0]) and (not steps[1] or min(steps[0]) < min(steps[1]))


def merge_local(dims: Sequence[Dim], tiles: Sequence[Sequence[Dim]], fixed: set[Dim]) -> list[list[Dim]]:
    """Groups of neighbouring dimensions that every local tile holds side by side (or not at all)."""
    groups: list[list[Dim]] = []
    for dim in dims:
        last = groups[-1][-1] if groups else None
        if last is None or last.reduction != dim.reduction or dim in fixed or last in fixed:
            groups.append([dim])
        elif all(_side_by_side(tile, last, dim) for tile in tiles):
            groups[-1].append(dim)
        else:
            groups.append([dim])
    return groups


def _side_by_side(tile: Sequence[Dim], outer: Dim, inner: Dim) -> bool:
    if outer not in tile and inner not in tile:
        return True
    if outer not in tile or inner not in tile:
        return False
    return list(tile).index(inner) == list(tile).index(outer) + 1
