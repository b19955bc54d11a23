"""The kernels that `mtiac bench compile` compiles: those of Triton's tutorials, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """A kernel with the signature and constants it is compiled for."""

    name: str
    module: str
    kernel: str
    signature: dict[str, str]
    constants: dict[str, Any]


def _strides(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "i32")


def _typed(text: str) -> dict[str, str]:
    """A signature from `type: names; type: names`."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        kind, names = part.split(":")
        found |= dict.fromkeys(names.split(), kind.strip())
    return found


CASES = (
    Case(
        "add",
        "add",
        "add_kernel",
        {"x_ptr": "*fp32", "y_ptr": "*fp32", "out_ptr": "*fp32", "n_elements": "i32"},
        {"BLOCK_SIZE": 1024},
    ),
    Case(
        "softmax",
        "softmax",
        "softmax_kernel",
        {
            "out_ptr": "*fp16",
            "in_ptr": "*fp16",
            **_strides("in_row_stride", "out_row_stride", "n_rows", "n_cols"),
        },
        {"BLOCK_SIZE": 4096},
    ),
    Case(
        "matmul",
        "matmul",
        "matmul_kernel",
        {
            "a_ptr": "*fp16",
            "b_ptr": "*fp16",
            "c_ptr": "*fp16",
            **_strides("M", "N", "K", "stride_am", "stride_ak", "stride_bk", "stride_bn", "stride_cm", "stride_cn"),
        },
        {"BLOCK_SIZE_M": 128, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 8, "ACTIVATION": "leaky_relu"},
    ),
    Case(
        "layer_norm",
        "layer_norm",
        "layer_norm_kernel",
        {
            **dict.fromkeys(("x_ptr", "y_ptr", "weight_ptr", "bias_ptr"), "*fp16"),
            **dict.fromkeys(("mean_ptr", "rstd_ptr"), "*fp32"),
            **_strides("row_stride", "n_cols"),
            "eps": "fp32",
        },
        {"BLOCK_SIZE": 4096},
    ),
    Case(
        "layer_norm_row",
        "layer_norm",
        "layer_norm_row_kernel",
        {
            **dict.fromkeys(("x_ptr", "y_ptr", "weight_ptr", "bias_ptr"), "*fp16"),
            **_strides("row_stride", "n_cols"),
            "eps": "fp32",
        },
        {"BLOCK_SIZE": 4096},
    ),
    Case(
        "flash_attention",
        "flash_attention",
        "attention_kernel",
        {
            **dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), "*fp16"),
            **_strides("stride_h", "stride_n", "seq_len"),
            "sm_scale": "fp32",
        },
        {"HEAD_DIM": 64, "BLOCK_M": 128, "BLOCK_N": 64},
    ),
    Case(
        "attention_forward",
        "fused_attention",
        "attention_forward",
        _typed("fp32: scale; *fp32: log_sum_ptr; *fp16: q_ptr k_ptr v_ptr out_ptr; i32: heads"),
        {"LENGTH": 4096, "HEAD_DIM": 64, "BLOCK_M": 128, "BLOCK_N": 64, "CAUSAL": True, "SPECIALIZE": False},
    ),
    Case(
        "attention_backward",
        "fused_attention",
        "attention_backward",
        _typed(
            "*fp16: q_ptr k_ptr v_ptr dout_ptr dq_ptr dk_ptr dv_ptr; fp32: scale; *fp32: log_sum_ptr product_ptr;"
            "i32: stride_z stride_h stride heads length"
        ),
        {"BLOCK_M1": 32, "BLOCK_N1": 128, "BLOCK_M2": 128, "BLOCK_N2": 32, "SLICES": 2, "HEAD_DIM": 64, "CAUSAL": True},
    ),
    Case(
        "layer_norm_backward",
        "layer_norm",
        "layer_norm_backward_kernel",
        _typed(
            "*fp16: dx_ptr dy_ptr dw_ptr db_ptr x_ptr weight_ptr; *fp32: mean_ptr rstd_ptr; *i32: lock_ptr;"
            "i32: row_stride n_cols"
        ),
        {"GROUPS": 64, "BLOCK_SIZE": 4096},
    ),
    Case(
        "dropout",
        "dropout",
        "seeded_dropout_kernel",
        _typed("*fp32: x_ptr out_ptr; i32: n_elements seed; fp32: p"),
        {"BLOCK_SIZE": 1024},
    ),
    Case(
        "grouped_gemm",
        "grouped_gemm",
        "grouped_gemm_kernel",
        _typed("*i64: a_addresses b_addresses c_addresses; *i32: sizes strides; i32: groups"),
        {"PROGRAMS": 64, "BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64},
    ),
    Case(
        "persistent_matmul",
        "persistent_matmul",
        "persistent_matmul_kernel",
        _typed("*fp16: a_ptr b_ptr c_ptr; i32: M N K stride_am stride_ak stride_bk stride_bn stride_cm stride_cn"),
        {"BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64, "GROUP_M": 8, "PROGRAMS": 64},
    ),
)
