"""What Triton has around its language: compiling in threads, options of launches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import triton
import triton.language as tl
from triton import knobs


def test_kernels_compile_in_threads() -> None:
    @triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
    def add(x, n, STEP: tl.constexpr):  # type: ignore[no-untyped-def]
        i = tl.arange(0, 64)
        tl.store(x + i, tl.load(x + i) + STEP + n)

    x = torch.zeros(64)
    with knobs.runtime.scope(), ThreadPoolExecutor(4) as pool, triton.AsyncCompileMode(pool):
        for step in range(6):
            add.warmup(x, 1, STEP=step, grid=(1,))
    for step in range(6):
        add[(1,)](x, 1, STEP=step)
    assert torch.equal(x, torch.full((64,), 6.0 + 15.0))


def test_extern_libs_are_pairs_as_with_other_targets() -> None:
    seen: dict[str, Any] = {}

    def note(*args: Any, **given: Any) -> None:
        seen.update(given["compile"])

    @triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
    def nothing(x):  # type: ignore[no-untyped-def]
        pass

    with knobs.runtime.scope():
        knobs.runtime.jit_post_compile_hook = note
        nothing[(1,)](1, extern_libs={"some": "/some/where.bc"})
    assert seen["extern_libs"] == (("some", "/some/where.bc"),)
