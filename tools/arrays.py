"""Launch arguments as the command line names them, and how results are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from mtia.isa.errors import UserError

__all__ = ["DTYPES", "Comparison", "changed", "compare", "make_argument", "type_name"]

Array = np.ndarray[Any, Any]

DTYPES: Mapping[str, Any] = {
    "fp64": np.float64, "fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16,
    "fp8e4nv": ml_dtypes.float8_e4m3fn, "fp8e5": ml_dtypes.float8_e5m2, "i64": np.int64, "i32": np.int32,
    "i16": np.int16, "i8": np.int8, "u64": np.uint64, "u32": np.uint32, "u16": np.uint16, "u8": np.uint8,
    "i1": np.bool_,
}  # fmt: skip

GENERATORS = "randn:SHAPE:DTYPE, rand:…, zeros:…, ones:…, empty:…, arange:…, randint:LOW:HIGH:SHAPE:DTYPE"


def type_name(array: Array) -> str:
    """Triton's name of an array's element type."""
    for name, kind in DTYPES.items():
        if array.dtype == np.dtype(kind):
            return name
    raise UserError(f"arrays of {array.dtype} are not supported; types: {', '.join(DTYPES)}")


def _shape(text: str, spec: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.replace(",", "x").split("x") if part)
    except ValueError:
        raise UserError(f"--arg {spec}: '{text}' is no shape; write it as 128x256") from None
    if not shape or min(shape) < 0 or math.prod(shape) > 1 << 34:
        raise UserError(f"--arg {spec}: the shape '{text}' is not usable")
    return shape


def _generate(spec: str, parts: list[str], rng: np.random.Generator) -> Array:
    kind = parts[0]
    if len(parts) != (5 if kind == "randint" else 3):
        raise UserError(f"--arg {spec}: write one of {GENERATORS}")
    shape, dtype = _shape(parts[-2], spec), DTYPES.get(parts[-1])
    if dtype is None:
        raise UserError(f"--arg {spec}: unknown type '{parts[-1]}'; types: {', '.join(DTYPES)}")
    if kind == "randint":
        return rng.integers(int(parts[1]), int(parts[2]), shape).astype(dtype)
    size = math.prod(shape)
    if kind == "randn":
        made: Array = rng.standard_normal(size, np.float32)
    elif kind == "rand":
        made = rng.random(size, np.float32)
    else:
        made = np.arange(size) if kind == "arange" else np.full(size, kind == "ones")
    return made.astype(dtype).reshape(shape)


def make_argument(spec: str, rng: np.random.Generator) -> Any:
    """An array (generated, or from a .npy file) or a number, as `--arg NAME=SPEC` gives it."""
    value = spec.partition("=")[2]
    parts = value.split(":")
    if parts[0] in ("randn", "rand", "zeros", "ones", "empty", "arange", "randint"):
        return _generate(spec, parts, rng)
    if value.endswith(".npy"):
        if not Path(value).is_file():
            raise UserError("no such file", value)
        try:
            return np.load(value)
        except (ValueError, OSError, EOFError) as problem:
            raise UserError(f"not a .npy file: {problem}", value) from None
    for kind in (lambda t: int(t, 0), float):
        try:
            return kind(value)
        except ValueError:
            continue
    if value in ("True", "False"):
        return value == "True"
    raise UserError(f"--arg {spec}: '{value}' is neither a number, a .npy file nor one of {GENERATORS}")


@dataclass(frozen=True)
class Comparison:
    """How far an array is from the wanted one: the largest difference, and whether all elements are close enough."""

    name: str
    ok: bool
    max_error: float
    wrong: int


# Rounding errors that a sum of ordinary length may collect, in units of the type's precision.
ALLOWED_ULPS = 16


def compare(name: str, got: Array, want: Array, rtol: float | None = None, atol: float | None = None) -> Comparison:
    """Compare two arrays of one shape; integers exactly, floats within `rtol`·|want| + `atol`.

    Without tolerances these are 16 units of the type's precision, relative to the element and to the largest element.
    """
    if np.dtype(got.dtype).kind in "iub":
        wrong = int((got != want).sum())
        difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
        return Comparison(name, wrong == 0, float(difference.max(initial=0.0)), wrong)
    unit = float(ml_dtypes.finfo(got.dtype).eps) * ALLOWED_ULPS
    g, w = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(w)
    scale = float(np.abs(w[finite]).max(initial=0.0))
    allowed = (unit if rtol is None else rtol) * np.abs(w) + (unit * scale if atol is None else atol)
    with np.errstate(invalid="ignore"):
        same = (g == w) | (np.isnan(g) & np.isnan(w))
        difference = np.where(same, 0.0, np.abs(g - w))
        close = same | (finite & (difference <= allowed))
    wrong = int((~close).sum())
    worst = float(np.where(np.isfinite(difference), difference, np.inf).max(initial=0.0))
    return Comparison(name, wrong == 0, worst, wrong)


def changed(before: Sequence[Any], after: Sequence[Any]) -> list[int]:
    """The positions of the arrays whose bytes differ."""
    return [
        place
        for place, (old, new) in enumerate(zip(before, after, strict=True))
        if isinstance(new, np.ndarray) and old.tobytes() != new.tobytes()
    ]
