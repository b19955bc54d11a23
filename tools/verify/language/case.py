"""A case of the language table: a public name in a small kernel, and what numpy says the kernel must give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

__all__ = [
    "ALL", "FLOATS", "FP8", "INTEGERS", "N", "NUMBERS", "NUMPY", "SIGNED", "UNSIGNED", "Case", "inputs_of", "many",
]  # fmt: skip

N = 32  # elements of a kernel's vectors
Array = np.ndarray[Any, Any]

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("fp16", "bf16", "fp32", "fp64")
FP8 = ("fp8e5", "fp8e4nv")
NUMBERS = INTEGERS + FLOATS
ALL = ("int1", *NUMBERS, *FP8)

NUMPY: dict[str, Any] = {
    "int1": np.bool_, "fp16": np.float16, "bf16": ml_dtypes.bfloat16, "fp32": np.float32, "fp64": np.float64,
    "fp8e5": ml_dtypes.float8_e5m2, "fp8e4nv": ml_dtypes.float8_e4m3fn,
} | {kind: getattr(np, kind) for kind in INTEGERS}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A name of the language with what tests it.

    `body` is an expression of x, y, z (vectors of N elements), `at`, `pid` and the pointers, or statements that store.
    `oracle` gives the wanted elements from the inputs in double precision or as integers. `result` is the type of what
    the kernel stores, `same` as x. `domain` names the inputs, `ulps` is the error allowed in units of the last place
    of the result.
    """

    name: str
    body: str
    oracle: Callable[..., Any]
    kinds: Sequence[str] = NUMBERS
    result: str = "same"
    domain: str = "any"
    ulps: float = 0
    y_kind: str = "same"
    grid: int = 1
    preamble: str = ""


def many(template: Case, names: Sequence[str], oracles: dict[str, Callable[..., Any]] | None = None) -> list[Case]:
    """The same case for several names; `NAME` in the body stands for the name."""
    return [
        replace(
            template,
            name=name,
            body=template.body.replace("NAME", name),
            oracle=oracles[name] if oracles else template.oracle,
        )
        for name in names
    ]


def inputs_of(case: Case, kind: str, seed: int) -> list[Array]:
    """The kernel's x, y and z."""
    rng = np.random.default_rng(seed)
    y_kind = kind if case.y_kind == "same" else case.y_kind
    return [_values(rng, case.domain, kind), _values(rng, case.domain, y_kind), _values(rng, case.domain, kind)]


def _values(rng: np.random.Generator, domain: str, kind: str) -> Array:
    type_ = NUMPY[kind]
    if kind == "int1":
        return rng.integers(0, 2, N).astype(np.bool_)
    if np.issubdtype(type_, np.integer):
        return _integers(rng, domain, np.iinfo(type_)).astype(type_)
    with np.errstate(over="ignore"):
        return np.asarray(_reals(rng, domain)).astype(type_)


def _integers(rng: np.random.Generator, domain: str, limits: Any) -> Array:
    if domain == "bits":
        return rng.integers(limits.min, limits.max, N, endpoint=True, dtype=limits.dtype)
    low = 1 if domain in ("positive", "above1", "unit", "nonzero") else max(limits.min, -20)
    values = rng.integers(low, 21, N)
    return np.where(values == 0, 7, values) if domain == "nonzero" else values


def _reals(rng: np.random.Generator, domain: str) -> Array:
    normal = rng.standard_normal(N) * 2
    if domain == "positive":
        return np.abs(normal) + 0.05
    if domain == "above1":
        return np.abs(normal) + 1.05
    if domain == "unit":
        return rng.uniform(-0.95, 0.95, N)
    if domain == "open":  # between 0 and 1
        return rng.uniform(0.02, 0.98, N)
    if domain == "nonzero":
        return np.where(np.abs(normal) < 0.1, 1.5, normal)
    if domain == "whole":
        return np.round(normal * 4)
    if domain == "wide":
        return normal * 10.0 ** rng.integers(-4, 5, N)
    return normal
