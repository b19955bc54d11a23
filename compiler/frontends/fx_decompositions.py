"""How composite torch operators are taken apart before import.

The rule for 16-bit models: what torch computes in fp32 inside one operator stays in fp32 here (softmax, normalisation,
GELU …) and is rounded once; matrix products keep their 16-bit operands and are summed in fp32.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

__all__ = ["decompositions"]

WIDENED = (
    "silu.default sigmoid.default tanh.default exp.default log.default sqrt.default rsqrt.default "
    "erf.default sin.default cos.default softplus.default elu.default mish.default log1p.default expm1.default "
    "mean.dim mean.default sum.dim_IntList sum.default avg_pool2d.default"
).split()


@functools.cache
def decompositions() -> dict[Any, Callable[..., Any]]:
    """Table for `ExportedProgram.run_decompositions`."""
    import torch
    from torch_mlir.extras.fx_decomp_util import get_decomposition_table

    aten = torch.ops.aten
    table: dict[Any, Callable[..., Any]] = dict(get_decomposition_table())
    for name in WIDENED:
        packet, overload = name.split(".")
        op = getattr(getattr(aten, packet), overload)
        table[op] = _widened(op)
    table[aten._softmax.default] = _softmax
    table[aten._log_softmax.default] = _log_softmax
    table[aten.var_mean.correction] = _var_mean
    table[aten.scaled_dot_product_attention.default] = _attention
    table[aten._scaled_dot_product_flash_attention_for_cpu.default] = _flash_attention
    table[aten.addmm.default] = _addmm
    table[aten.pow.Tensor_Scalar] = _power
    table[aten.gelu.default] = _gelu
    return table


def _narrow(tensor: Any) -> bool:
    return bool(tensor.is_floating_point() and tensor.element_size() < 4)


def _widened(op: Any) -> Callable[..., Any]:
    """The operator on fp32 values, rounded once to the 16-bit type of its operand."""

    def decomposed(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not _narrow(x) or kwargs.get("dtype") is not None:
            return NotImplemented
        return op(x.float(), *args, **kwargs).to(x.dtype)

    return decomposed


def _softmax(x: Any, dim: int, half_to_float: bool) -> Any:
    wide = x.float() if _narrow(x) else x
    shifted = (wide - wide.amax(dim, keepdim=True)).exp()
    result = shifted / shifted.sum(dim, keepdim=True)
    return result if half_to_float else result.to(x.dtype)


def _log_softmax(x: Any, dim: int, half_to_float: bool) -> Any:
    wide = x.float() if _narrow(x) else x
    shifted = wide - wide.amax(dim, keepdim=True)
    result = shifted - shifted.exp().sum(dim, keepdim=True).log()
    return result if half_to_float else result.to(x.dtype)


def _var_mean(x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> Any:
    """Two passes, in the type of the operand (fp32 for 16-bit ones)."""
    wide = x.float() if _narrow(x) else x
    axes = list(range(x.dim())) if dim is None else list(dim)
    count = math.prod(x.shape[axis] for axis in axes)
    mean = wide.sum(axes, keepdim=True) * (1.0 / count)
    delta = wide - mean
    total = (delta * delta).sum(axes, keepdim=keepdim)
    variance = total * (1.0 / max(count - (1 if correction is None else correction), 1e-30))
    kept = mean if keepdim else wide.sum(axes) * (1.0 / count)
    return variance.to(x.dtype), kept.to(x.dtype)


def _gelu(x: Any, *, approximate: str = "none") -> Any:
    """0.5 · x · (1 + erf(x/√2)), or its tanh form with the cube as a product."""
    wide = x.float() if _narrow(x) else x
    if approximate == "tanh":
        inner = (wide + wide * wide * wide * 0.044715) * math.sqrt(2 / math.pi)
        return (0.5 * wide * (1 + inner.tanh())).to(x.dtype)
    return (0.5 * wide * (1 + (wide * math.sqrt(0.5)).erf())).to(x.dtype)


def _power(x: Any, exponent: Any) -> Any:
    """Small whole powers are products, as torch computes them; a general power function would lose digits."""
    if not x.is_floating_point() or exponent not in (2, 3, 4):
        return NotImplemented
    wide = x.float() if _narrow(x) else x
    square = wide * wide
    return {2: square, 3: square * wide, 4: square * square}[exponent].to(x.dtype)


def _addmm(bias: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    if not _narrow(a):
        total = a @ b
        total = total if alpha == 1 else total * alpha
        return total + (bias if beta == 1 else bias * beta)
    total = a.float() @ b.float()
    total = total if alpha == 1 else total * alpha
    return (total + (bias.float() if beta == 1 else bias.float() * beta)).to(a.dtype)


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Scores summed and soft-maxed in fp32; probabilities in the model's type feed the second product."""
    import torch

    if dropout_p or enable_gqa:
        return NotImplemented
    narrow = query.dtype
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query.float(), key.float().transpose(-2, -1)) * factor
    rows, columns = query.shape[-2], key.shape[-2]
    if is_causal:
        row = torch.arange(rows, device=query.device).unsqueeze(1)
        column = torch.arange(columns, device=query.device).unsqueeze(0)
        scores = torch.where(column <= row, scores, float("-inf"))
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = torch.where(attn_mask, scores, float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask.float()
    weights = torch.softmax(scores, -1).to(narrow)
    return torch.matmul(weights.float(), value.float()).to(narrow)


def _flash_attention(
    query: Any,
    key: Any,
    value: Any,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Any = None,
    scale: float | None = None,
) -> Any:
    import torch

    result = _attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)
    shape = (query.shape[0], query.shape[1], query.shape[2])
    return result, torch.zeros(shape, dtype=torch.float32, device=query.device)
