"""How far a result may be from its reference: bounds from the type and the length of the sums, never fitted."""

from __future__ import annotations

from typing import Any

__all__ = ["UNIT_ROUNDOFF", "max_error", "within"]

# Half the distance from 1 to the next number.
UNIT_ROUNDOFF = {"fp16": 2.0**-11, "bf16": 2.0**-8, "fp32": 2.0**-24, "fp64": 2.0**-53}


def max_error(got: Any, want: Any) -> float:
    """The largest absolute difference of two torch tensors of any types."""
    import torch

    if got.numel() == 0:
        return 0.0
    return float((got.to(torch.float64) - want.to(torch.float64)).abs().nan_to_num(float("inf")).max())


def within(
    got: Any, want: Any, dtype: str, length: int = 1, magnitude: Any = None, steps: int = 1, inner: str = "fp32"
) -> bool:
    """Whether `got` is `want` up to rounding.

    `want` is the result in higher precision. The bound is one rounding to `dtype`, plus `length` additions (a sum of
    that many terms) and `steps` further operations in `inner` precision on values as large as `magnitude` (a tensor or
    a number: the sum of the terms' absolute values; default |want|). Twice the classical bound γₙ, as both sides may
    round.
    """
    import torch

    exact = want.to(torch.float64)
    size = exact.abs() if magnitude is None else torch.as_tensor(magnitude, dtype=torch.float64)
    bound = 2 * UNIT_ROUNDOFF[dtype] * exact.abs() + 2 * (length + steps) * UNIT_ROUNDOFF[inner] * size
    bound = bound + (2.0**-24 if dtype == "fp16" else 2.0**-126)  # the smallest subnormal, or underflow
    return bool(((got.to(torch.float64) - exact).abs() <= bound).all())
