"""`mtiac bench compile`: Triton source to binary, beside Triton's own NVIDIA and AMD back ends in the same process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mtia.tools.bench.common import Row, median_seconds

__all__ = ["CASES", "Case", "rows"]


@dataclass(frozen=True)
class Case:
    """A kernel with the signature and constants it is compiled for."""

    name: str
    module: str
    kernel: str
    signature: dict[str, str]
    constants: dict[str, Any]


def _strides(*names: str) -> dict[str, str]:
    return {name: "i32" for name in names}


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
)


def rows(target: str = "mtia200", repeats: int = 5, only: str = "") -> Iterator[Row]:
    """Median milliseconds of each kernel for our target and the two GPU targets, all caches off, process warm."""
    import importlib

    os.environ["TRITON_ALWAYS_COMPILE"] = "1"
    os.environ["MTIA_CACHE"] = "off"
    with tempfile.TemporaryDirectory(prefix="mtiac-bench-") as cache:
        os.environ["TRITON_CACHE_DIR"] = cache
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        targets = {
            "ours": GPUTarget("mtia", target, 1),
            "cuda": GPUTarget("cuda", 90, 32),
            "hip": GPUTarget("hip", "gfx942", 64),
        }
        for case in CASES:
            if only not in case.name:
                continue
            kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{case.module}"), case.kernel)
            signature = {**case.signature, **dict.fromkeys(case.constants, "constexpr")}
            order = [name for name in kernel.arg_names if name in signature]
            source = ASTSource(kernel, {name: signature[name] for name in order}, case.constants, {})
            ms = {
                name: 1e3 * median_seconds(lambda s=source, t=chip: triton.compile(s, target=t), repeats)  # type: ignore[misc]
                for name, chip in targets.items()
            }
            yield {
                "kernel": case.name,
                "ours_ms": round(ms["ours"], 2),
                "cuda_ms": round(ms["cuda"], 2),
                "hip_ms": round(ms["hip"], 2),
                "ratio": round(ms["ours"] / ms["cuda"], 3),
                "ratio_hip": round(ms["ours"] / ms["hip"], 3),
            }
