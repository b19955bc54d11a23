"""The operators that `mtiac verify libraries` runs, with their meaning in plain torch."""

from __future__ import annotations

import random
from typing import Any

import torch
from mtia.tools.verify.libraries import Case
from torch.nn import functional as F

__all__ = ["fla_cases", "liger_cases"]


def liger_cases() -> list[Case]:
    """Operators of Liger-Kernel with random shapes of at most a few thousand elements."""
    return [*_liger_norms(), *_liger_activations(), *_liger_losses(), _liger_rope()]


def _rows(most: int = 40) -> int:
    return random.Random(torch.randint(1 << 30, ()).item()).randint(1, most)


def _rms(x: Any, w: Any, eps: float = 1e-6) -> Any:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w


def _liger_norms() -> list[Case]:
    from liger_kernel.ops.fused_add_rms_norm import LigerFusedAddRMSNormFunction
    from liger_kernel.ops.group_norm import LigerGroupNormFunction
    from liger_kernel.ops.layer_norm import LigerLayerNormFunction
    from liger_kernel.ops.rms_norm import LigerRMSNormFunction

    rows, columns, channels = _rows(), _rows(700), 4 * _rows(6)
    x, w, b = torch.randn(rows, columns), torch.randn(columns), torch.randn(columns)
    image = torch.randn(3, channels, 40)
    return [
        Case(
            "liger rms_norm",
            lambda x, w: LigerRMSNormFunction.apply(x, w, 1e-6, 0.0, "llama", False),
            _rms,
            (x, w),
            rows + columns,
        ),
        Case(
            "liger rms_norm gemma",
            lambda x, w: LigerRMSNormFunction.apply(x, w, 1e-6, 1.0, "gemma", False),
            lambda x, w: _rms(x, w + 1),
            (x, w),
            rows + columns,
        ),
        Case(
            "liger fused_add_rms_norm",
            lambda x, r, w: LigerFusedAddRMSNormFunction.apply(x, r, w, 1e-6, 0.0, "llama", False),
            lambda x, r, w: _rms(x + r, w),
            (x, torch.randn_like(x), w),
            rows + columns,
        ),
        Case(
            "liger layer_norm",
            lambda x, w, b: LigerLayerNormFunction.apply(x, w, b, 1e-5),
            lambda x, w, b: F.layer_norm(x, (x.shape[-1],), w, b, 1e-5),
            (x, w, b),
            rows + columns,
        ),
        Case(
            "liger group_norm",
            lambda x, w, b: LigerGroupNormFunction.apply(x, w, b, channels, 4, 1e-5),
            lambda x, w, b: F.group_norm(x, 4, w, b, 1e-5),
            (image, torch.randn(channels), torch.randn(channels)),
            40 * channels,
        ),
    ]


def _liger_activations() -> list[Case]:
    from liger_kernel.ops.geglu import LigerGELUMulFunction
    from liger_kernel.ops.softmax import LigerSoftmaxFunction
    from liger_kernel.ops.sparsemax import LigerSparsemaxFunction
    from liger_kernel.ops.swiglu import LigerSiLUMulFunction

    rows, columns = _rows(), _rows(700)
    x, y = torch.randn(rows, columns), torch.randn(rows, columns)
    return [
        Case("liger swiglu", LigerSiLUMulFunction.apply, lambda a, b: F.silu(a) * b, (x, y), 1),
        Case("liger geglu", LigerGELUMulFunction.apply, lambda a, b: F.gelu(a, approximate="tanh") * b, (x, y), 1),
        Case("liger softmax", LigerSoftmaxFunction.apply, lambda a: torch.softmax(a, -1), (x,), columns),
        Case("liger sparsemax", lambda a: LigerSparsemaxFunction.apply(a, -1), _sparsemax, (x,), columns),
    ]


def _sparsemax(x: Any) -> Any:
    """The projection on the simplex: subtract what makes the positive rest sum to one."""
    ordered = torch.sort(x, -1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    support = (ordered * torch.arange(1, x.shape[-1] + 1) > excess).sum(-1, keepdim=True)
    return torch.clamp(x - excess.gather(-1, support - 1) / support, min=0)


def _liger_losses() -> list[Case]:
    from liger_kernel.ops.cross_entropy import LigerCrossEntropyFunction
    from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction
    from liger_kernel.ops.kl_div import LigerKLDivLossFunction

    rows, words = _rows(), 2 + _rows(900)
    labels = torch.randint(0, words, (rows,))
    return [
        Case(
            "liger cross_entropy",
            lambda x, t: LigerCrossEntropyFunction.apply(x, t, None, -100, 0.0, 0.1, "mean", None, False),
            lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1),
            (torch.randn(rows, words), labels),
            rows + words,
        ),
        Case(
            "liger fused_linear_cross_entropy",
            lambda x, w, t: LigerFusedLinearCrossEntropyFunction.apply(x, w, t, None, None, -100, 0.0, 0.0, "mean"),
            lambda x, w, t: F.cross_entropy(x @ w.T, t),
            (torch.randn(rows, 64), torch.randn(words, 64) / 8, labels),
            rows + words + 64,
        ),
        Case(
            "liger kl_div",
            lambda a, b: LigerKLDivLossFunction.apply(a, b, "batchmean", False),
            lambda a, b: F.kl_div(a, b, reduction="batchmean"),
            (torch.log_softmax(torch.randn(rows, words), -1), torch.softmax(torch.randn(rows, words), -1)),
            rows + words,
        ),
    ]


def _liger_rope() -> Case:
    from liger_kernel.ops.rope import LigerRopeFunction

    steps = _rows()
    angles = torch.arange(steps)[:, None] * 10000 ** (-torch.arange(0, 64, 2) / 64)
    cos, sin = torch.cat([angles.cos()] * 2, -1)[None], torch.cat([angles.sin()] * 2, -1)[None]

    def turned(x: Any) -> Any:
        low, high = x.chunk(2, -1)
        return (x * cos.double() + torch.cat([-high, low], -1) * sin.double()).flatten()

    def on_device(q: Any, k: Any) -> Any:
        return torch.cat([part.flatten() for part in LigerRopeFunction.apply(q, k, cos.to("mtia"), sin.to("mtia"))])

    q, k = torch.randn(2, 4, steps, 64), torch.randn(2, 2, steps, 64)
    return Case("liger rope", on_device, lambda q, k: torch.cat([turned(q), turned(k)]), (q, k), 2)


def fla_cases() -> list[Case]:
    """Operators of flash-linear-attention on short sequences, with heads of 32."""
    from fla.modules.l2norm import l2norm
    from fla.modules.layernorm import layer_norm

    x, w, b = torch.randn(_rows(), 96), torch.randn(96), torch.randn(96)
    return [
        Case("fla l2norm", l2norm, lambda x: x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + 1e-6), (x,), 96),
        Case("fla layer_norm", layer_norm, lambda x, w, b: F.layer_norm(x, (96,), w, b), (x, w, b), 96 + len(x)),
        *_fla_attention(),
        *_fla_delta(),
    ]


def _fla_attention() -> list[Case]:
    from fla.ops.attn import parallel_attn
    from fla.ops.gla import fused_recurrent_gla
    from fla.ops.linear_attn import chunk_linear_attn
    from fla.ops.retention import chunk_retention

    steps = 20 + _rows(100)
    q, k, v = (torch.randn(1, steps, 2, 32) / 2 for _ in range(3))
    gates = F.logsigmoid(torch.randn(1, steps, 2, 32))
    length = 2 * steps + 32
    return [
        Case("fla attention", parallel_attn, _softmax_attention, (q, k, v), length),
        Case(
            "fla chunked linear attention",
            lambda q, k, v: chunk_linear_attn(q, k, v, normalize=False),
            lambda q, k, v: _weighted(q, k, v, torch.ones(2, steps, steps)),
            (q, k, v),
            length,
        ),
        Case("fla chunked retention", chunk_retention, _retention, (q, k, v), length),
        Case("fla recurrent gated linear attention", fused_recurrent_gla, _gated, (q, k, v, gates), length),
    ]


def _weighted(q: Any, k: Any, v: Any, weights: Any) -> Any:
    """Causal attention without softmax; `weights` of shape heads × steps × steps."""
    scores = torch.einsum("bihd,bjhd->bhij", q * q.shape[-1] ** -0.5, k) * weights
    return torch.einsum("bhij,bjhd->bihd", scores.tril(), v)


def _softmax_attention(q: Any, k: Any, v: Any) -> Any:
    steps = q.shape[1]
    scores = torch.einsum("bihd,bjhd->bhij", q * q.shape[-1] ** -0.5, k)
    hidden = torch.ones(steps, steps).triu(1).bool()
    return torch.einsum("bhij,bjhd->bihd", scores.masked_fill(hidden, float("-inf")).softmax(-1), v)


def _retention(q: Any, k: Any, v: Any) -> Any:
    """Retention: the weight of a step falls by 1 - 2^(-5 - head) with every step."""
    decay = torch.log1p(-(2.0 ** (-5 - torch.arange(q.shape[2], dtype=torch.float64))))
    steps = torch.arange(q.shape[1], dtype=torch.float64)
    distance = (steps[:, None] - steps).clamp(min=0)
    return _weighted(q, k, v, torch.exp(distance * decay[:, None, None]))


def _gated(q: Any, k: Any, v: Any, gates: Any) -> Any:
    """A state of keys × values that decays by a gate per key."""
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    found = []
    for t in range(q.shape[1]):
        state = state * gates[:, t].exp()[..., None] + k[:, t, ..., None] * v[:, t, :, None]
        found.append(torch.einsum("bhk,bhkv->bhv", q[:, t] * q.shape[-1] ** -0.5, state))
    return torch.stack(found, 1)


def _fla_delta() -> list[Case]:
    from fla.ops.delta_rule import chunk_delta_rule, fused_recurrent_delta_rule
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    steps = 20 + _rows(80)
    q, k, v = (torch.randn(1, steps, 2, 32) / 2 for _ in range(3))
    k, beta, gates = F.normalize(k, dim=-1), torch.rand(1, steps, 2), F.logsigmoid(torch.randn(1, steps, 2))
    half = [value.bfloat16() for value in (q, k, v, gates, beta)]
    length = 4 * steps + 32
    return [
        Case("fla recurrent delta rule", fused_recurrent_delta_rule, _delta, (q, k, v, beta), length),
        Case("fla chunked delta rule", chunk_delta_rule, _delta, (*half[:3], half[4]), length),
        Case("fla chunked gated delta rule", chunk_gated_delta_rule, _gated_delta, tuple(half), length),
    ]


def _delta(q: Any, k: Any, v: Any, beta: Any) -> Any:
    return _gated_delta(q, k, v, torch.zeros_like(beta), beta)


def _gated_delta(q: Any, k: Any, v: Any, gates: Any, beta: Any) -> Any:
    """The delta rule: a state that is corrected by what it gets wrong about the step's value."""
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    found = []
    for t in range(q.shape[1]):
        state = state * gates[:, t].exp()[..., None, None]
        wrong = v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], state)
        state = state + k[:, t, ..., None] * (wrong * beta[:, t, :, None])[:, :, None]
        found.append(torch.einsum("bhk,bhkv->bhv", q[:, t] * q.shape[-1] ** -0.5, state))
    return torch.stack(found, 1)
