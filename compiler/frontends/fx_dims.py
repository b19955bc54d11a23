"""Dynamic dimensions of an exported program: what they are called, and giving them a size.

A kernel's tiles have constant shapes, so a program is compiled for given sizes; phases of equal shape share kernels and
the compile cache, so a second size (the last, short batch) is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mtia.isa.errors import UserError

__all__ = ["DynamicDim", "dims_of_inputs", "dynamic_dims", "sized"]


@dataclass(frozen=True)
class DynamicDim:
    """A dimension that was exported as dynamic: its names (the best first), bounds, and an input that has it."""

    symbol: Any
    names: tuple[str, ...]
    low: int
    high: int
    place: tuple[int, int]


def dynamic_dims(program: Any) -> list[DynamicDim]:
    """The dynamic dimensions of a program, in the order of the inputs."""
    found: dict[Any, DynamicDim] = {}
    for position, node in enumerate(_user_inputs(program)):
        value = node.meta.get("val")
        for axis, size in enumerate(getattr(value, "shape", ())):
            symbol = getattr(getattr(size, "node", None), "expr", None)
            if symbol is None or not symbol.is_Symbol or symbol in found:
                continue
            given = _given_name(value, node.name, axis)
            names = tuple(name for name in (given, f"{node.name}.{axis}", str(symbol)) if name)
            bounds = program.range_constraints.get(symbol)
            low = int(bounds.lower) if bounds is not None else 1
            high = int(bounds.upper) if bounds is not None and bounds.upper.is_finite else (1 << 31) - 1
            found[symbol] = DynamicDim(symbol, names, low, high, (position, axis))
    return list(found.values())


def dims_of_inputs(program: Any, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """The sizes of the dynamic dimensions that inputs of the given shapes have."""
    return {dim.names[0]: shapes[dim.place[0]][dim.place[1]] for dim in dynamic_dims(program)}


@contextmanager
def sized(program: Any, sizes: Mapping[str, int]) -> Iterator[None]:
    """Within the context the program's inputs have the given sizes; a dimension without one is a UserError."""
    dims = dynamic_dims(program)
    known = {name for dim in dims for name in dim.names}
    for name in sizes:
        if name not in known:
            there = ", ".join(dim.names[0] for dim in dims) or "none"
            raise UserError(f"the program has no dynamic dimension '{name}'; dynamic dimensions: {there}")
    values = {dim.symbol: _size_of(dim, sizes) for dim in dims}
    saved = []
    for node in _user_inputs(program):
        value = node.meta.get("val")
        shape = getattr(value, "shape", ())
        # Types only: comparing a symbolic size with a number would make torch specialise the program to that number.
        if any(not isinstance(size, int) for size in shape):
            saved.append((node, value))
            node.meta["val"] = _fake(value, [_resolved(size, values) for size in shape])
    try:
        yield
    finally:
        for node, value in saved:
            node.meta["val"] = value


def _size_of(dim: DynamicDim, sizes: Mapping[str, int]) -> int:
    size = next((sizes[name] for name in dim.names if name in sizes), None)
    if size is None:
        raise UserError(f"dimension '{dim.names[0]}' is dynamic: give it a size with --dim {dim.names[0]}=SIZE")
    if not dim.low <= size <= dim.high:
        raise UserError(f"dimension '{dim.names[0]}' is {size}; it was exported for {dim.low} to {dim.high}")
    return size


def _resolved(size: Any, values: Mapping[Any, int]) -> int:
    expression = getattr(getattr(size, "node", None), "expr", None)
    return int(size if expression is None else expression.subs(values))


def _fake(value: Any, shape: list[int]) -> Any:
    import torch

    with value.fake_mode:
        return torch.empty(shape, dtype=value.dtype)


def _given_name(value: Any, name: str, axis: int) -> str | None:
    """The name of `torch.export.Dim`, which a saved file no longer has."""
    environment = getattr(getattr(value, "fake_mode", None), "shape_env", None)
    names = getattr(environment, "source_name_to_debug_name", {})
    found = names.get(f"L['{name}'].size()[{axis}]")
    return str(found) if found else None


def _user_inputs(program: Any) -> list[Any]:
    from torch.export.graph_signature import InputKind

    specs = program.graph_signature.input_specs
    user = {spec.arg.name for spec in specs if spec.kind == InputKind.USER_INPUT}
    return [node for node in program.graph.nodes if node.op == "placeholder" and node.name in user]
