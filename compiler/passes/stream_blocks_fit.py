"""Engine selection for kernels of any block size: what does not fit local memory is streamed, as little as needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.plan_local_memory import LocalMemoryFull, buffer_bytes, plan_local_memory
from mtia.compiler.passes.stream_blocks import LEVELS, TooLarge, stream_blocks
from mtia.dialects.mlir import ir

__all__ = ["select_to_fit"]

Select = Callable[[Any, Options], list[Any] | None]


def select_to_fit(module: Any, options: Options, select: Select) -> tuple[Any, list[Any]]:
    """The module after `select`, or if its buffers do not fit, one whose large blocks are streamed; and the choices."""
    original = module.operation.clone()
    choices = select(module, options) or []
    full = _full(module, options)
    if full is None:
        return module, choices
    for level in range(LEVELS):
        candidate = original.clone()
        try:
            notes = stream_blocks(candidate, options, level)
            choices = select(candidate, options) or []
        except TooLarge:
            continue
        if _full(candidate, options) is None:
            return candidate, [*notes, *choices]
    raise full


def _full(module: Any, options: Options) -> LocalMemoryFull | None:
    """Why the buffers of a module do not fit, by planning a copy; None when they do."""
    needed = sum(_buffers(op.operation) for op in module.body.operations)
    if needed <= min(options.chip.ls.bytes // 2, options.chip.re.bytes):
        return None
    trial = module.operation.clone()
    try:
        plan_local_memory(trial, options)
    except LocalMemoryFull as reason:
        return reason
    return None


def _buffers(function: Any) -> int:
    """Bytes of all buffers of a function."""
    total = 0

    def collect(op: Any) -> Any:
        nonlocal total
        if op.name == "memref.alloc":
            total += buffer_bytes(op.results[0].type)
        return ir.WalkResult.ADVANCE

    function.walk(collect)
    return total
