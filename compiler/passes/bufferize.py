"""bufferize: tensors become buffers in local memory, in place where nothing else reads the old value."""

from __future__ import annotations

from typing import Any

from mtia.compiler.options import Options
from mtia.dialects.mlir import run_passes

__all__ = ["bufferize"]

# Allocations stay inside their loop: a buffer that lives for one iteration can be double-buffered later.
_PIPELINE = (
    "builtin.module(eliminate-empty-tensors,empty-tensor-to-alloc-tensor,"
    "one-shot-bufferize{allow-unknown-ops buffer-alignment=0},"
    "func.func(canonicalize,cse,loop-invariant-code-motion,canonicalize))"
)


def bufferize(module: Any, options: Options) -> None:
    """Bufferise every function of a module in place; arguments are buffers and scalars already."""
    run_passes(module, _PIPELINE)
