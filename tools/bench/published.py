"""`mtiac bench published`: results Meta has published beside the same work on the machine.

The chip files hold published or defined rates; nothing is tuned to make a row come true. docs/calibration.md has the
reason of each gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mtia.tools.bench.common import Row
from mtia.tools.bench.kernels import Problem, add, gemm, measure

__all__ = ["rows"]

_BLOCKS = {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 64}
_TALL = {"BLOCK_SIZE_M": 256, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 2}
# What was measured, what was published with its source, and what runs here: problem, chip, memory state, constants.
_RATES: tuple[tuple[str, str, str, Callable[[], Problem], str, str, Mapping[str, Any]], ...] = (
    ("2048x2048x2048 fp16, operands in SRAM", "> 92 % of DPE", "ISCA25 §3.3",
     lambda: gemm(2048, 2048, 2048), "mtia200", "llc", _BLOCKS),
    ("512x26592x2048 fp16, weights in DRAM", "> 95 % of DRAM", "ISCA25 §4.2",
     lambda: gemm(512, 26592, 2048), "mtia200", "cold", _TALL),
    ("bf16 add of 64 Mi elements", "91 % of DRAM", "ISCA26 §V-A",
     lambda: add(64 << 20), "mtia300", "cold", {"BLOCK_SIZE": 4096}),
    ("4096x4096x4096 bf16, > 400 operations a byte", "> 90 % of DPE", "ISCA26 §V-A",
     lambda: gemm(4096, 4096, 4096, "bf16"), "mtia300", "cold", {**_BLOCKS, "BLOCK_SIZE_M": 128}),
)  # fmt: skip


def _launch_us(target: str) -> float:
    """Simulated microseconds of a launch on every PE whose program ends at once."""
    from mtia.compiler.backend.assembled import assemble_program
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    device = Device(target)
    program = assemble_program("_start_empty:\n    xm.exit\n", "empty.s", [])
    return float(launch(device, program, (device.chip.pes,), []).check().time_us)


def rows(target: str = "", only: str = "", repeats: int = 1) -> Iterator[Row]:
    """One row for each published result, one run each: simulated cycles do not vary."""
    for what, published, source, problem, chip, state, constants in _RATES:
        if target in chip and only in what:
            row = measure(problem(), chip, state, constants)
            reached = f"{row['percent']} % of {row['roof']}"
            yield {
                "what": what, "target": chip, "published": published, "simulated": reached, "cycles": row["cycles"],
                "source": source, "ok": row["ok"],
            }  # fmt: skip
    if target in "mtia200" and only in "launch":
        took = f"{_launch_us('mtia200'):.2f} us"
        yield {
            "what": "launch", "target": "mtia200", "published": "< 1 us", "simulated": took, "cycles": 0,
            "source": "ISCA25 §3.3", "ok": True,
        }  # fmt: skip
