"""Elementary functions of hart code against mpmath, run natively on this machine (the arithmetic is the same)."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from mtia.compiler import pipeline
from mtia.compiler.options import Options

LANES = 8


def kernel(name: str, kind: str, arity: int, lanes: int) -> str:
    """A kernel that applies an operation to 4096 elements at the addresses in its arguments."""
    data = f"vector<{lanes}x{kind}>" if lanes > 1 else kind
    access = "vector" if lanes > 1 else "memref"
    suffix = f", {data}" if lanes > 1 else ""
    views, loads = "", ""
    for place in range(arity + 1):
        views += f'    %m{place} = "pe.view"(%a{place}) : (i64) -> memref<4096x{kind}>\n'
    for place in range(arity):
        loads += f"      %x{place} = {access}.load %m{place}[%i] : memref<4096x{kind}>{suffix}\n"
    operands = ", ".join(f"%x{place}" for place in range(arity))
    arguments = ", ".join(f"%a{place}: i64" for place in range(arity + 1))
    return f"""func.func @k({arguments}) {{
    %c0 = arith.constant 0 : index
    %n = arith.constant 4096 : index
    %step = arith.constant {lanes} : index
{views}    scf.for %i = %c0 to %n step %step {{
{loads}      %y = {name} {operands} : {data}
      {access}.store %y, %m{arity}[%i] : memref<4096x{kind}>{suffix}
    }}
    return
  }}"""


def run_native(text: str, *arrays: Any) -> None:
    """Compile a `pe` module for this machine and run it with a launch block of addresses."""
    module = pipeline.run(pipeline.parse(text), "pe", "ll", pipeline.Job(Options()))
    text = re.sub(r"^attributes #0 .*$|^target .*$", "", module, flags=re.MULTILINE).replace(" #0", "")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    with llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine) as engine:
        engine.finalize_object()
        block = (ctypes.c_uint64 * 16)()
        for place, array in enumerate(arrays):
            block[4 + place] = array.ctypes.data
        ctypes.CFUNCTYPE(None, ctypes.c_uint64)(engine.get_function_address("_start_k"))(ctypes.addressof(block))


def ulps(got: Any, want: Any) -> float:
    """The largest distance in units in the last place of the wanted value; both NaN or the same infinity is 0."""
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(all="ignore"):
        distance = np.abs(got.astype(np.float64) - want.astype(np.float64)) / np.spacing(np.abs(want))
    return float(np.where(same, 0.0, np.where(np.isfinite(distance), distance, np.inf)).max())


def exact(function: Callable[..., Any], *arrays: Any, dtype: Any) -> Any:
    """The function in 40 digits on finite values, rounded once."""
    out = np.empty(len(arrays[0]), dtype)
    with mpmath.workdps(40):
        for place, values in enumerate(zip(*arrays, strict=True)):
            try:
                result = function(*(mpmath.mpf(float(v)) for v in values))
                with np.errstate(over="ignore"):
                    out[place] = np.float64(float(result)) if isinstance(result, mpmath.mpf) else np.nan
            except (ValueError, ZeroDivisionError, OverflowError):
                out[place] = np.nan
    return out


RANGES = {
    "exp": (-100, 90), "exp2": (-140, 127), "expm1": (-20, 80), "log": (1e-38, 1e38), "log2": (1e-38, 1e38),
    "log10": (1e-30, 1e30), "log1p": (-0.999, 1e6), "tanh": (-12, 12), "sinh": (-80, 80), "cosh": (-80, 80),
    "sin": (-1e5, 1e5), "cos": (-1e5, 1e5), "tan": (-1e4, 1e4), "atan": (-50, 50), "asin": (-1, 1), "acos": (-1, 1),
    "erf": (-5, 5), "erfc": (-4, 9), "asinh": (-1e4, 1e4), "acosh": (1, 1e6), "atanh": (-0.99, 0.99),
    "rsqrt": (1e-30, 1e30), "cbrt": (-1e6, 1e6),
}  # fmt: skip
ORACLES: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: mpmath.power(2, x), "log2": lambda x: mpmath.log(x, 2), "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
}  # fmt: skip


def inputs(name: str, dtype: Any, rng: np.random.Generator) -> Any:
    low, high = RANGES[name]
    if low > 0:
        return np.exp(rng.uniform(math.log(low), math.log(high), 4096)).astype(dtype)
    near = rng.uniform(-1, 1, 1024) * 2.0 ** rng.uniform(-20, 0, 1024)
    return np.concatenate([rng.uniform(low, high, 3072), np.maximum(near, low)]).astype(dtype)


@pytest.mark.parametrize("name", RANGES)
def test_f32_within_one_ulp(name: str) -> None:
    x = inputs(name, np.float32, np.random.default_rng(1))
    got = np.zeros_like(x)
    run_native(kernel(f"math.{name}", "f32", 1, LANES), x, got)
    want = exact(ORACLES.get(name) or getattr(mpmath, name), x[::8], dtype=np.float32)
    assert ulps(got[::8], want) <= 1


@pytest.mark.parametrize("name", ["exp", "log", "sin", "tanh", "erf", "log1p", "expm1", "atan"])
def test_f64_within_few_ulps(name: str) -> None:
    x = inputs(name, np.float64, np.random.default_rng(2))
    got = np.zeros_like(x)
    run_native(kernel(f"math.{name}", "f64", 1, 1), x, got)
    want = exact(ORACLES.get(name) or getattr(mpmath, name), x[::16], dtype=np.float64)
    assert ulps(got[::16], want) <= 8


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38, -3e38, 0.5, -0.5, 2.0, 200.0, -200.0]
)


@pytest.mark.parametrize("name", sorted(set(RANGES) - {"rsqrt", "sin", "cos", "tan", "erf", "erfc"}))
def test_special_values_as_numpy(name: str) -> None:
    numpy_name = {
        "atan": "arctan",
        "asin": "arcsin",
        "acos": "arccos",
        "asinh": "arcsinh",
        "acosh": "arccosh",
        "atanh": "arctanh",
    }.get(name, name)
    x = np.resize(SPECIAL.astype(np.float32), 4096)
    got = np.zeros_like(x)
    run_native(kernel(f"math.{name}", "f32", 1, LANES), x, got)
    with np.errstate(all="ignore"):
        want = getattr(np, numpy_name)(x.astype(np.float64)).astype(np.float32)
    assert ulps(got[:16], want[:16]) <= 1
    assert (np.isnan(want[:2]) | (np.signbit(got[:2]) == np.signbit(want[:2]))).all()


@pytest.mark.parametrize(
    ("name", "numpy_name"), [("math.powf", "power"), ("math.atan2", "arctan2"), ("arith.remf", "fmod")]
)
def test_two_operands_as_numpy(name: str, numpy_name: str) -> None:
    rng = np.random.default_rng(3)
    a, b = (v.reshape(-1) for v in np.meshgrid(SPECIAL, SPECIAL))
    scale = 10.0 ** rng.uniform(-2, 2, (2, 4096 - 256))
    x, y = (
        np.concatenate([s, rng.standard_normal(4096 - 256) * k]).astype(np.float32)
        for s, k in ((a, scale[0]), (b, scale[1]))
    )
    got = np.zeros_like(x)
    run_native(kernel(name, "f32", 2, LANES), x, y, got)
    with np.errstate(all="ignore"):
        want = getattr(np, numpy_name)(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    assert ulps(got, want) <= (name != "arith.remf")
