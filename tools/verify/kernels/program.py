"""Triton programs as typed statements, and their source text.

Extents are products of named dimensions, so that a program stays well-formed when a dimension gets another size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Extent", "Operand", "Pointer", "Program", "Shape", "Size", "Statement", "Var", "extent", "walk"]

Extent = tuple[str, ...]  # names of dimensions, sorted; `2` is the number
Shape = tuple[Extent, ...]


def extent(dims: Mapping[str, int], names: Extent) -> int:
    """The size of an extent."""
    return math.prod(2 if name == "2" else dims[name] for name in names)


@dataclass(frozen=True)
class Size:
    """A number that depends on the dimensions: factor · product of the named ones + add, at least `least`."""

    names: Extent
    factor: int = 1
    add: int = 0
    least: int = -(1 << 40)

    def of(self, dims: Mapping[str, int]) -> int:
        """Its value."""
        return max(self.factor * extent(dims, self.names) + self.add, self.least)


@dataclass(frozen=True)
class Var:
    """A value: `exact` is False where sides may differ by rounding, `bound` the magnitude of a whole number.

    `finite` says that there is no NaN and no infinity, `product` that it is a product of fp32 which may be fused,
    `terms` how many products a float dot without a start adds: what is added to it may become its start.
    """

    name: str
    kind: str
    shape: Shape = ()
    exact: bool = True
    bound: float | None = None
    finite: bool = True
    product: bool = False
    terms: Size | None = None
    plain: bool = False  # its bits are defined, the sign of zero too

    def __str__(self) -> str:
        return self.name


Operand = str | int | float | bool | Size | None  # a string is the name of a value or a pointer


@dataclass(frozen=True)
class Statement:
    """One statement: operation, results, operands, what else the operation needs, and blocks under it."""

    op: str
    out: tuple[Var, ...] = ()
    args: tuple[Operand, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    body: tuple[Statement, ...] = ()
    other: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Pointer:
    """An argument that is an array: its type, where its contents begin in which pool, whether it is written."""

    kind: str
    flavour: str
    begin: int = 0
    written: bool = False


@dataclass(frozen=True)
class Program:
    """A kernel, its launch and its compile options."""

    dims: Mapping[str, int]
    grid: tuple[int, ...]
    pointers: Mapping[str, Pointer]
    scalars: Mapping[str, tuple[str, int | float]]  # type and value
    body: tuple[Statement, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def size(self, shape: Shape) -> tuple[int, ...]:
        """A shape in numbers."""
        return tuple(extent(self.dims, one) for one in shape)

    def number(self, operand: Operand) -> Any:
        """An operand with its size put in."""
        return operand.of(self.dims) if isinstance(operand, Size) else operand

    @property
    def programs(self) -> int:
        """Programs of the grid."""
        return math.prod(self.grid)

    def arguments(self) -> list[str]:
        """Names of the arguments that the body uses, in the kernel's order."""
        used = {arg for one in walk(self.body) for arg in one.args if isinstance(arg, str)}
        return [name for name in (*self.pointers, *self.scalars) if name in used]

    def with_body(self, body: tuple[Statement, ...]) -> Program:
        """The same launch of another body."""
        return replace(self, body=body)


def walk(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    """All statements, those of blocks after the one that holds them."""
    for one in statements:
        yield one
        yield from walk(one.body)
        yield from walk(one.other)
