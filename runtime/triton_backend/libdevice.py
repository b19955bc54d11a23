"""The device library that kernels import as `triton.language.extra.libdevice`, for the functions a PE can compute.

Most are C's mathematical functions: a `tt.extern_elementwise` with C's name as its symbol. f16 and bf16 work as f32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton
from triton.language import core

__all__ = ["FUNCTIONS", "div_rn", "finitef", "isfinited", "isinf", "isnan", "rcp_rn"]

_ONE = (
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh erf erfc exp exp2 expm1 floor log log10 log1p log2 nearbyint "
    "rint round rsqrt sin sinh sqrt tan tanh trunc"
).split()
_FAST = "cos exp log log10 log2 sin tan tanh".split()

# Triton's name → C's name and the number of operands
FUNCTIONS: dict[str, tuple[str, int]] = (
    {name: (name, 1) for name in _ONE}
    | {f"fast_{name}f": (name, 1) for name in _FAST}
    | {"abs": ("fabs", 1), "sqrt_rn": ("sqrt", 1)}
    | {name: (name, 2) for name in ("atan2", "copysign", "fmod", "pow")}
    | {"fast_powf": ("pow", 2), "fma": ("fma", 3), "fma_rn": ("fma", 3)}
)


def _function(name: str, symbol: str, arity: int) -> Callable[..., Any]:
    kinds = [core.dtype(kind) for kind in ("fp16", "bf16", "fp32", "fp64")]
    symbols = {(kind,) * arity: (symbol, kind) for kind in kinds}

    def call(*arguments: Any, _semantic: Any = None) -> Any:
        return core.extern_elementwise("", "", list(arguments), symbols, is_pure=True, _semantic=_semantic)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"C's {symbol}."
    made: Callable[..., Any] = core.extern(call)
    return made


globals().update({name: _function(name, *how) for name, how in FUNCTIONS.items()})


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def isnan(x):  # type: ignore[no-untyped-def]
    """Whether x is NaN."""
    return x != x


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def isinf(x):  # type: ignore[no-untyped-def]
    """Whether x is an infinity."""
    return (x == float("inf")) | (x == float("-inf"))


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def finitef(x):  # type: ignore[no-untyped-def]
    """Whether x is neither NaN nor an infinity."""
    return x - x == 0


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def isfinited(x):  # type: ignore[no-untyped-def]
    """Whether x is neither NaN nor an infinity."""
    return x - x == 0


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def div_rn(x, y):  # type: ignore[no-untyped-def]
    """x / y."""
    return x / y


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def rcp_rn(x):  # type: ignore[no-untyped-def]
    """1 / x."""
    return 1.0 / x
