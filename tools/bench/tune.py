"""`mtiac bench tune`: the tuner's first choice and its choice after 8 runs, against an exhaustive run of its space."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtia.tools.bench.common import Row
from mtia.tools.bench.kernels import Problem, add, flash_attention, gemm, layer_norm, softmax

__all__ = ["PAIRS", "Pair", "rows"]

_VECTOR_BLOCKS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_STAGES = {"cb_multiplier": (1, 2), "num_stages": (2, 3), "use_dual_core": (True, False)}
_MATMUL = {
    "BLOCK_SIZE_M": (32, 64, 128),
    "BLOCK_SIZE_N": (32, 64, 128),
    "BLOCK_SIZE_K": (32, 64),
    "GROUP_SIZE_M": (1, 8),
    **_STAGES,
}
_WIDE = {"cb_multiplier": (1, 2, 3, 4), "num_stages": (2, 3, 4, 5), "use_dual_core": (True, False)}
_WHOLE_ROWS = {
    "BLOCK_SIZE": (1024, 2048, 4096, 8192, 16384, 32768, 65536),
    **_WIDE,
    "cb_multiplier": (1, 2, 3, 4, 6),
}
_ROW_BLOCKS = (64, 128, 256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class Pair:
    """A kernel with a shape, a chip and the axes of its space."""

    problem: Callable[[], Problem]
    target: str
    state: str
    axes: Mapping[str, Sequence[Any]]


PAIRS = (
    Pair(lambda: gemm(512, 512, 512), "mtia200", "llc", _MATMUL),
    Pair(lambda: gemm(1024, 512, 256), "mtia200", "llc", _MATMUL),
    Pair(lambda: gemm(256, 1024, 512), "mtia200", "cold", _MATMUL),
    Pair(lambda: gemm(512, 512, 512, "bf16"), "mtia300", "llc", _MATMUL),
    Pair(lambda: gemm(300, 700, 200), "mtia300", "llc", _MATMUL),
    Pair(lambda: add(1 << 20), "mtia200", "llc", {"BLOCK_SIZE": _VECTOR_BLOCKS, **_WIDE}),
    Pair(lambda: add(1 << 20), "mtia300", "cold", {"BLOCK_SIZE": _VECTOR_BLOCKS, **_WIDE}),
    Pair(lambda: layer_norm(1024, 2048), "mtia200", "cold", {"BLOCK_SIZE": _ROW_BLOCKS, **_WIDE}),
    Pair(lambda: layer_norm(2048, 1024), "mtia300", "cold", {"BLOCK_SIZE": _ROW_BLOCKS, **_WIDE}),
    Pair(lambda: softmax(1024, 1000), "mtia300", "cold", _WHOLE_ROWS),
    Pair(
        lambda: flash_attention(4, 512, 64), "mtia300", "llc",
        {"BLOCK_M": (16, 32, 64, 128), "BLOCK_N": (16, 32, 64, 128), **_STAGES, "cb_multiplier": (1, 2, 4, 8)},
    ),
    Pair(
        lambda: flash_attention(2, 512, 64), "mtia200", "llc",
        {"BLOCK_M": (16, 32, 64, 128), "BLOCK_N": (16, 32, 64, 128), **_STAGES, "cb_multiplier": (1, 2, 4, 8)},
    ),
)  # fmt: skip


def _row(pair: Pair) -> Row:
    from mtia.compiler.tune.search import search
    from mtia.compiler.tune.space import Space
    from mtia.tools import tuning

    problem = pair.problem()
    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{problem.case.module}"), problem.case.kernel)
    names = [name for name in kernel.arg_names if name in problem.case.signature]
    values = dict(zip(names, problem.host_arguments(), strict=True))
    subject = tuning.Subject(
        kernel, problem.signature(), problem.constants, values, problem.grid, pair.target, pair.state
    )
    space = Space.around(problem.constants, pair.axes, factor=1)
    measure = tuning.measurer(subject)
    with contextlib.suppress(ValueError):  # the machine itself is compiled at its first launch ever
        measure(next(iter(space)))
    start = time.perf_counter()
    found, _ = tuning.candidates(subject, space)
    tuned = search(found, measure, 8)
    seconds = time.perf_counter() - start
    first, eighth = tuned.measured[0], tuned.best
    valid = 0
    best = float("inf")
    known = {candidate.config: candidate.cycles for candidate in tuned.measured}
    for config in space:  # also what the model refused
        try:
            cycles = known.get(config) or measure(config)
        except ValueError:
            continue
        valid += 1
        best = min(best, cycles)
    return {
        "kernel": "gemm" if problem.kernel == "matmul" else problem.kernel,
        "shape": problem.shape,
        "target": pair.target,
        "configs": valid,
        "first_percent": round(100 * best / first.cycles, 1) if first.cycles else 0.0,
        "after8_percent": round(100 * best / eighth.cycles, 1) if eighth and eighth.cycles else 0.0,
        "seconds": round(seconds, 1),
        "first": str(first.config),
        "best_cycles": best,
    }


def rows(target: str = "", only: str = "", repeats: int = 1) -> Iterator[Row]:
    """One row for each pair; the exhaustive run behind it takes a minute or so."""
    for number, pair in enumerate(PAIRS):
        if target in pair.target and (not only or only in f"{pair.problem().kernel}-{number}"):
            yield _row(pair)
