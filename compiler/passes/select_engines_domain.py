"""The iteration domain of a linalg operation, collapsed to the fewest dimensions its operands allow."""

from __future__ import annotations

import dataclasses
from typing import Any

from mtia.compiler.passes.select_engines_views import View, Views
from mtia.dialects.mlir import ir

__all__ = ["Access", "Domain", "Structure", "collapse", "domain_of", "structure_of"]

Map = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a linalg operation iterates over; a map gives per operand dimension the loop (None = index 0)."""

    maps: tuple[Map, ...]
    reductions: tuple[bool, ...]
    inputs: int


@dataclasses.dataclass(frozen=True)
class Access:
    """An operand: a window and its stride along every loop dimension (0 = the same element); None for a scalar."""

    view: View | None
    strides: tuple[int, ...]
    value: Any


@dataclasses.dataclass(frozen=True)
class Domain:
    """Loop sizes, which loops reduce, and how the operands move along them."""

    sizes: tuple[int, ...]
    reductions: tuple[bool, ...]
    accesses: tuple[Access, ...]
    groups: tuple[tuple[int, ...], ...]  # per dimension here, the dimensions of the operation it stands for
    inputs: int


# Named operations that a builder may leave without maps: operand → loop dimensions; the last is the result.
NAMED: dict[str, tuple[Map, ...]] = {
    "linalg.matmul": ((0, 2), (2, 1), (0, 1)),
    "linalg.batch_matmul": ((0, 1, 3), (0, 3, 2), (0, 1, 2)),
    "linalg.matvec": ((0, 1), (1,), (0,)),
    "linalg.vecmat": ((1,), (1, 0), (0,)),
    "linalg.dot": ((0,), (0,), ()),
    "linalg.batch_matvec": ((0, 1, 2), (0, 2), (0, 1)),
}
# Named operations whose operands all have the iteration's shape.
ELEMENTWISE = frozenset(
    "linalg." + name
    for name in (
        "exp log abs ceil floor negf reciprocal round sqrt rsqrt square tanh erf add sub mul div div_unsigned max min "
        "powf select copy map"
    ).split()
)

_maps: dict[Any, Map | None] = {}


def _read_map(attribute: Any) -> Map | None:
    """An indexing map as loop dimensions; None when it is no projected permutation."""
    text = str(attribute)
    if text not in _maps:
        found: list[int | None] = []
        for expression in ir.AffineMapAttr(attribute).value.results:
            if isinstance(expression, ir.AffineDimExpr):
                found.append(ir.AffineDimExpr(expression).position)
            elif isinstance(expression, ir.AffineConstantExpr) and ir.AffineConstantExpr(expression).value == 0:
                found.append(None)
            else:
                _maps[text] = None
                return None
        _maps[text] = tuple(found)
    return _maps[text]


def structure_of(op: Any) -> Structure | None:
    """The iteration structure of a linalg operation; None when its accesses are no projected permutations."""
    name = op.name
    attributes = op.attributes
    operands = list(op.operands)
    if name == "linalg.reduce":
        return _reduce_structure(op, operands)
    if name == "linalg.broadcast":
        rank = operands[1].type.rank
        added = set(ir.DenseI64ArrayAttr(attributes["dimensions"]))
        kept = tuple(dim for dim in range(rank) if dim not in added)
        return Structure((kept, tuple(range(rank))), (False,) * rank, 1)
    if name == "linalg.transpose":
        permutation = list(ir.DenseI64ArrayAttr(attributes["permutation"]))
        rank = len(permutation)
        source = tuple(permutation.index(dim) for dim in range(rank))
        return Structure((source, tuple(range(rank))), (False,) * rank, 1)
    inputs = len(operands) - 1
    if "operandSegmentSizes" in attributes:
        inputs = list(ir.DenseI32ArrayAttr(attributes["operandSegmentSizes"]))[0]
    if "indexing_maps" in attributes:
        return _mapped_structure(attributes, inputs)
    if name in NAMED:
        maps = NAMED[name]
        loops = 1 + max(dim for map_ in maps for dim in map_ if dim is not None)
        return Structure(maps, tuple(dim not in maps[-1] for dim in range(loops)), inputs)
    if name not in ELEMENTWISE:
        return None
    rank = operands[-1].type.rank
    if any(hasattr(value.type, "rank") and value.type.rank != rank for value in operands):
        return None
    same = tuple(range(rank))
    return Structure(
        tuple(same if isinstance(value.type, ir.MemRefType) else () for value in operands), (False,) * rank, inputs
    )


def _mapped_structure(attributes: Any, inputs: int) -> Structure | None:
    maps: list[Map] = []
    loops = 0
    for attribute in ir.ArrayAttr(attributes["indexing_maps"]):
        found = _read_map(attribute)
        if found is None:
            return None
        loops = max(loops, *(dim + 1 for dim in found if dim is not None), 0)
        maps.append(found)
    if "iterator_types" in attributes:
        kinds = tuple("reduction" in str(kind) for kind in ir.ArrayAttr(attributes["iterator_types"]))
    else:
        kinds = tuple(dim not in maps[-1] for dim in range(loops))
    return Structure(tuple(maps), kinds, inputs)


def _reduce_structure(op: Any, operands: list[Any]) -> Structure:
    reduced = set(ir.DenseI64ArrayAttr(op.attributes["dimensions"]))
    inputs = len(operands) // 2
    rank = operands[0].type.rank
    whole = tuple(range(rank))
    kept = tuple(dim for dim in whole if dim not in reduced)
    return Structure(
        (whole,) * inputs + (kept,) * (len(operands) - inputs), tuple(dim in reduced for dim in whole), inputs
    )


def domain_of(structure: Structure, op: Any, views: Views) -> Domain | None:
    """Sizes and strides of an operation; None when a size or stride is dynamic."""
    rank = len(structure.reductions)
    sizes = [1] * rank
    accesses = []
    for value, dims in zip(op.operands, structure.maps, strict=True):
        if not isinstance(value.type, ir.MemRefType):
            accesses.append(Access(None, (0,) * rank, value))
            continue
        view = views.of(value)
        if not view.static:
            return None
        strides = [0] * rank
        for size, stride, dim in zip(view.shape, view.strides, dims, strict=True):
            if dim is not None:
                sizes[dim] = size
                strides[dim] += stride
        accesses.append(Access(view, tuple(strides), value))
    return Domain(
        tuple(sizes),
        structure.reductions,
        tuple(accesses),
        tuple((dim,) for dim in range(rank)),
        structure.inputs,
    )


def collapse(domain: Domain, pinned: frozenset[int] = frozenset()) -> Domain:
    """Drop dimensions of size 1 and merge neighbours that every operand walks as one; `pinned` ones stay alone."""
    dims: list[list[int]] = []
    for dim, size in enumerate(domain.sizes):
        if size == 1:
            continue
        previous = dims[-1][-1] if dims else None
        if (
            previous is not None
            and dim not in pinned
            and previous not in pinned
            and domain.reductions[dim] == domain.reductions[previous]
            and all(access.strides[previous] == access.strides[dim] * size for access in domain.accesses)
        ):
            dims[-1].append(dim)
        else:
            dims.append([dim])
    sizes = []
    for group in dims:
        total = 1
        for dim in group:
            total *= domain.sizes[dim]
        sizes.append(total)
    last = [group[-1] for group in dims]
    return Domain(
        tuple(sizes),
        tuple(domain.reductions[dim] for dim in last),
        tuple(
            Access(access.view, tuple(access.strides[dim] for dim in last), access.value) for access in domain.accesses
        ),
        tuple(tuple(group) for group in dims),
        domain.inputs,
    )
