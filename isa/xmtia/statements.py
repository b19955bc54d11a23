"""The nonlinear functions as a chapter of the manual: their very statements and coefficients."""

from __future__ import annotations

import inspect

from mtia.isa.lang import Fn
from mtia.isa.xmtia import functions

__all__ = ["chapter"]

_INTRODUCTION = """## Nonlinear functions

Numerics to the bit: these are the statements that the machine executes, in a subset of Python. `f64(x)` of an `f32` is
exact and `f32(x)` of an `f64` rounds once to nearest even; `fma` rounds once; `bits` and `from_bits` reinterpret;
`select(c, a, b)` chooses a value; integers wrap. Against the true value the result is off by at most 0.51 ulp of f32,
subnormal results included. A polynomial is evaluated by Horner's rule with `fma`, from the highest coefficient down.
"""
_CONSTANTS = (
    "LOG2_E", "LN_2", "MAGIC", "ONE", "ROOT_HALF", "INF32", "NAN32", "LARGE", "FRACTION", "PIO2", "TWO_OVER_PI",
)  # fmt: skip
_POLYNOMIALS = ("EXP2", "ARTANH", "ERF", "ERFCX", "SIN", "COS")
_TABLES = ("exp2_table", "log_table", "gelu_table", "lut_tanh", "lut_sigmoid")


def _number(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_number, value))
    return value.hex() if isinstance(value, float) else hex(value) if isinstance(value, int) else str(value)


def _source(function: Fn) -> str:
    return inspect.getsource(function.python).partition("\n")[2].rstrip()  # without the decorator


def chapter() -> str:
    """Return the chapter as Markdown."""
    shared = vars(functions)
    statements = {
        name: value
        for name, value in shared.items()
        if isinstance(value, Fn) and name == value.name and name not in _TABLES
    }
    lines = [_INTRODUCTION]
    lines += ["| name | value, or coefficients from the lowest |", "|---|---|"]
    lines += [f"| {name} | {_number(shared[name])} |" for name in _CONSTANTS + _POLYNOMIALS]
    lines += ["", "```python", "\n\n".join(_source(function) for function in statements.values()), "```", ""]
    lines += [
        "Sine and cosine are `sine_small` below 2**20 and `sine_large` from there on, with a shift of 0 and 1. A table "
        "form takes `n` equal segments of `[low, high]`: entry k is the precise value at `low + k (high - low) / n`, "
        "and between entries it is linear, `fma(position - k, right - left, left)`, all in f32.",
        "",
    ]
    return "\n".join(lines)
