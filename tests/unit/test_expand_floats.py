"""Conversions of narrow floats in hart code against ml_dtypes and exact halves, run natively on this machine."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from test_expand_math import run_native

EIGHT = {
    "f8E4M3FN": ml_dtypes.float8_e4m3fn,
    "f8E5M2": ml_dtypes.float8_e5m2,
    "f8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "f8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}
WIDE = {"f32": np.float32, "f64": np.float64}  # a host has no instructions for the others: test_casts.py runs those
SIZE = 4096


def run(operation: str, source: str, target: str, x: Any, lanes: int = 1, mode: str = "") -> Any:
    """One conversion of 4096 elements."""
    have, want = (f"vector<{lanes}x{kind}>" if lanes > 1 else kind for kind in (source, target))
    access = "vector" if lanes > 1 else "memref"
    loaded, stored = (f", {kind}" if lanes > 1 else "" for kind in (have, want))
    out = np.zeros(SIZE, (EIGHT | WIDE)[target])
    run_native(
        f"""func.func @k(%p: i64, %q: i64) {{
        %from = "pe.view"(%p) : (i64) -> memref<{SIZE}x{source}>
        %to = "pe.view"(%q) : (i64) -> memref<{SIZE}x{target}>
        %first = arith.constant 0 : index
        %last = arith.constant {SIZE} : index
        %step = arith.constant {lanes} : index
        scf.for %i = %first to %last step %step {{
          %x = {access}.load %from[%i] : memref<{SIZE}x{source}>{loaded}
          %y = arith.{operation} %x {mode} : {have} to {want}
          {access}.store %y, %to[%i] : memref<{SIZE}x{target}>{stored}
        }}
        return
      }}""",
        x,
        out,
    )
    return out


def same(got: Any, want: Any) -> bool:
    """Equal to the bit, NaN equal to NaN."""
    nan = np.isnan(got.astype(np.float64)) & np.isnan(want.astype(np.float64))
    width = f"u{got.itemsize}"
    return bool((nan | (got.view(width) == want.view(width))).all())


def samples(kind: Any, low: int, high: int) -> Any:
    """Numbers of all sizes, exact halves between neighbours among them, and the special ones."""
    rng = np.random.default_rng(7)
    x = rng.integers(-40, 41, SIZE) / 8 * 2.0 ** rng.integers(low, high, SIZE)
    x[::3] *= rng.uniform(0.99, 1.01, len(x[::3]))
    x[:12] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e9, -1e9, 448, 464, 480, 57344, 61440]
    with np.errstate(over="ignore"):
        return x.astype(kind)


@pytest.mark.parametrize("source", EIGHT)
@pytest.mark.parametrize("target", WIDE)
def test_every_code_widens_exactly(source: str, target: str) -> None:
    codes = np.resize(np.arange(256, dtype=np.uint8), SIZE).view(EIGHT[source])
    for lanes in (1, 8) if target == "f32" else (1,):
        assert same(run("extf", source, target, codes, lanes), codes.astype(np.float32).astype(WIDE[target]))


@pytest.mark.parametrize("target", EIGHT)
@pytest.mark.parametrize("source", WIDE)
def test_narrowing_rounds_once_and_saturates(source: str, target: str) -> None:
    x, kind = samples(WIDE[source], -20, 18), EIGHT[target]
    largest = float(ml_dtypes.finfo(kind).max)
    want = np.clip(x.astype(np.float64), -largest, largest).astype(kind)
    for lanes in (1, 8) if source == "f32" else (1,):
        assert same(run("truncf", source, target, x, lanes), want)


def toward_zero(x: Any, kind: Any) -> Any:
    """The nearest value of a type, or its neighbour nearer to zero; too large ones become the largest finite one."""
    largest = float(ml_dtypes.finfo(kind).max)
    clipped = np.where(np.isinf(x) & (np.dtype(kind).itemsize > 1), x, np.clip(x, -largest, largest))
    with np.errstate(over="ignore"):
        near = clipped.astype(kind)
    away = np.abs(near.astype(np.float64)) > np.abs(clipped)
    bits = near.view(f"u{near.itemsize}").copy()
    bits[away] -= 1
    if "fnuz" in np.dtype(kind).name:  # there is no -0
        bits[away & (bits == 0x80)] = 0
    return bits.view(kind)


@pytest.mark.parametrize(("source", "target"), [("f64", "f32"), *(("f32", kind) for kind in EIGHT)])
def test_toward_zero(source: str, target: str) -> None:
    x = samples(WIDE[source], -30, 20)
    want = toward_zero(x.astype(np.float64), (EIGHT | WIDE)[target])
    assert same(run("truncf", source, target, x, mode="toward_zero"), want)
