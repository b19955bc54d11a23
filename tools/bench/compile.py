"""`mtiac bench compile`: Triton source to binary, beside Triton's own NVIDIA and AMD back ends in the same process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

from mtia.tools.bench.common import Row, median_seconds
from mtia.tools.bench.compile_cases import CASES

__all__ = ["rows"]


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
