"""The device library's functions that C has too: one operation each, a `tt.extern_elementwise` with C's name.

They take fp16, bf16, fp32 and fp64; the compiler computes f16 and bf16 as f32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.runtime.triton_backend.libdevice_bits import exponent
from triton.language import core

__all__ = ["FUNCTIONS", "exponent"]

_ONE = (
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh erf erfc exp exp2 expm1 floor log log10 log1p log2 nearbyint "
    "rint round rsqrt sin sinh sqrt tan tanh trunc"
).split()
_FAST = "cos exp log log10 log2 sin tan tanh".split()

# Triton's name → C's name and the number of operands
FUNCTIONS: dict[str, tuple[str, int]] = (
    {name: (name, 1) for name in _ONE}
    | {f"fast_{name}f": (name, 1) for name in _FAST}
    | {name: (name, 2) for name in ("atan2", "copysign", "fmod", "pow")}
    | {"fast_powf": ("pow", 2), "fma": ("fma", 3)}
)


def _function(name: str, symbol: str, arity: int) -> Callable[..., Any]:
    kinds = [core.dtype(kind) for kind in ("fp16", "bf16", "fp32", "fp64")]
    symbols = {(kind,) * arity: (symbol, kind) for kind in kinds}

    def call(*arguments: Any, _semantic: Any = None) -> Any:
        given = _alike(arguments, _semantic)
        return core.extern_elementwise("", "", given, symbols, is_pure=True, _semantic=_semantic)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"C's {symbol}."
    made: Callable[..., Any] = core.extern(call)
    return made


def _alike(arguments: Any, semantic: Any) -> list[Any]:
    """The arguments in the type of the first tensor: Python's numbers, and pow's integers."""
    kind = next((value.dtype for value in arguments if isinstance(value, core.tensor)), core.float32)
    return [
        (semantic.cast(value, kind) if value.dtype.is_int() else value)
        if isinstance(value, core.tensor)
        else semantic.scalar_constant(core._unwrap_if_constexpr(value), kind)
        for value in arguments
    ]


globals().update({name: _function(name, *how) for name, how in FUNCTIONS.items()})
