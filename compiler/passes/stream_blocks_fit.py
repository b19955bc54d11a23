"""Engine selection for kernels of any block size: what does not fit local memory is streamed, as little as needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes.plan_local_memory import (
    FIRST_BYTE,
    STACK_BYTES,
    LocalMemoryFull,
    buffer_bytes,
    plan_local_memory,
)
from mtia.compiler.passes.plan_local_memory_constants import constant_bytes
from mtia.compiler.passes.single_trip import keep_loops
from mtia.compiler.passes.stream_blocks import LEVELS, TooLarge, stream_blocks
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import ACCUMULATORS, memory_space

__all__ = ["select_to_fit"]

Select = Callable[[Any, Options], list[Any] | None]


def select_to_fit(module: Any, options: Options, select: Select) -> tuple[Any, list[Any]]:
    """The module after `select`, or if its buffers do not fit, one whose large blocks are streamed; and the choices."""
    original = module.operation.clone()
    choices = select(module, options) or []
    full = _full(module, options)
    if full is None:
        return module, choices
    if keep_loops(original):
        module = original.operation.clone()
        choices = select(module, options) or []
        if _full(module, options) is None:
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
    chip = options.chip
    local, accumulators = _buffers(module.operation)
    needed = sum(constant_bytes(op) for op in module.body.operations)
    if local + needed <= chip.ls.bytes - FIRST_BYTE - chip.hart.count * STACK_BYTES and accumulators <= chip.re.bytes:
        return None  # they would fit even side by side
    trial = module.operation.clone()
    try:
        plan_local_memory(trial, options)
    except LocalMemoryFull as reason:
        return reason
    return None


def _buffers(module: Any) -> tuple[int, int]:
    """Bytes of all buffers in local memory, and in the accumulators."""
    total = [0, 0]

    def collect(op: Any) -> Any:
        if op.name == "memref.alloc":
            kind = op.results[0].type
            total[memory_space(kind) == ACCUMULATORS] += buffer_bytes(kind)
        return ir.WalkResult.ADVANCE

    module.walk(collect)
    return total[0], total[1]
