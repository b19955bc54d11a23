"""Loops over the elements of an access in `convert-tt-to-linalg`: the path that is always right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter
from mtia.compiler.passes.convert_tt_to_linalg_values import Pointers
from mtia.dialects.mlir import arith

__all__ = ["element_mask", "element_offset", "lanes"]


def element_offset(c: Converter, pointers: Pointers) -> Callable[[Sequence[Any]], Any]:
    """A function from index values to the offset of an element in its memory; tensors are computed here."""
    extra = None if pointers.extra is None else c.materialise(pointers.extra)

    def at(indices: Sequence[Any]) -> Any:
        offset = c.index.element(pointers.offset, indices)
        if extra is not None:
            picked = arith.IndexCastOp(c.index.index, build.extract(extra, indices)).result
            offset = c.index.add(offset, picked)
        return c.index.value(offset)

    return at


def element_mask(c: Converter, mask: Any) -> Callable[[Sequence[Any]], Any] | None:
    """A function from index values to whether the lane is active; None where all are."""
    known = c.mask(mask)
    if known is not None:
        return c.holds(known) if known.terms else None
    values = c.tensor(mask)
    return lambda indices: build.extract(values, indices)


def lanes(
    c: Converter,
    shape: Sequence[int],
    offset_at: Callable[[Sequence[Any]], Any],
    active: Callable[[Sequence[Any]], Any] | None,
    lane: Callable[[Sequence[Any], Any], None],
    inactive: Callable[[Sequence[Any]], None] | None = None,
) -> None:
    """Loops over the lanes of an access: `lane(indices, offset)` where active, else `inactive(indices)`."""

    def body(indices: list[Any]) -> None:
        def run() -> list[Any]:
            lane(indices, offset_at(indices))
            return []

        def skip() -> list[Any]:
            assert inactive is not None
            inactive(indices)
            return []

        if active is None:
            run()
        else:
            build.if_(active(indices), run, skip if inactive else None)

    build.loops(shape, c.index.constant, body)
