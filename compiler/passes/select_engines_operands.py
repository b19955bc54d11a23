"""What a value of an elementwise body is: a tile, a scalar, an affine integer, a predicate."""

from __future__ import annotations

import dataclasses
from typing import Any

from mtia.compiler.passes.select_engines_views import View

__all__ = ["Affine", "NotOnEngine", "Operand", "Predicate", "Scalar", "Tile", "check_type", "parts"]


class NotOnEngine(Exception):
    """No engine takes this operation; the text says why."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """A value that differs per element: a rows × cols window; `value_type` is the type it stands for."""

    view: View


@dataclasses.dataclass(frozen=True)
class Scalar:
    """A value that is the same for every element."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Affine:
    """The integer `a·row + b·col + k`; coefficients are ints or index values."""

    a: Any
    b: Any
    k: Any


@dataclasses.dataclass(frozen=True)
class Predicate:
    """True where every affine integer compares so with 0: pairs of integer and comparison."""

    parts: tuple[tuple[Affine, str], ...]


Operand = Tile | Scalar | Affine | Predicate


def parts(affine: Affine) -> tuple[Any, Any, Any]:
    """The coefficients in order."""
    return affine.a, affine.b, affine.k


def check_type(element: Any, types: frozenset[str]) -> None:
    """Raise NotOnEngine for an element type that the SIMD engine of a chip does not compute on."""
    if str(element) not in types:
        raise NotOnEngine(f"the SIMD engine has no {element}")
