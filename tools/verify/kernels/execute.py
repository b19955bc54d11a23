"""Running a program: compiled and on the machine, or by Triton's interpreter; and comparing arrays."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from mtia.tools.verify.kernels.evaluate import GUARD, Memory
from mtia.tools.verify.kernels.interpret import rewritten
from mtia.tools.verify.kernels.kinds import KINDS
from mtia.tools.verify.kernels.operations import Array, source
from mtia.tools.verify.kernels.program import Program

__all__ = ["Outcome", "differences", "function", "interpreted", "on_machine"]

_LIMIT = 200_000_000  # cycles of a launch; sorting 16 × 1024 numbers takes 22 million


@dataclass(frozen=True)
class Outcome:
    """What became of a program: `same`, `different`, `refused`, `error`, `crash` or `hang`, and the details."""

    verdict: str
    text: str = ""

    @property
    def failed(self) -> bool:
        """Whether it counts as a failure."""
        return self.verdict not in ("same", "refused")


def function(source: str, name: str = "kernel") -> Any:
    """The `@triton.jit` function of a source text; Triton reads its lines."""
    import triton
    import triton.language as tl

    file = f"<{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names: dict[str, Any] = {"triton": triton, "tl": tl, "__name__": "generated"}
    exec(compile(source, file, "exec"), names)
    return names["kernel"]


@lru_cache(maxsize=4)
def _device(chip: str) -> Any:
    from mtia.runtime.device import Device

    return Device(chip)


def on_machine(program: Program, arrays: Mapping[str, Memory]) -> dict[str, Array]:
    """The written arrays after a launch on the simulated chip; raises what compiler or machine raise."""
    from mtia.compiler import pipeline
    from mtia.compiler.frontends.triton_source import to_ttir
    from mtia.compiler.options import Options
    from mtia.runtime.launch import launch

    names = program.arguments()
    signature = {n: f"*{arrays[n].pointer.kind}" if n in arrays else program.scalars[n][0] for n in names}
    aligned = program.options["aligned"]
    attributes: dict[tuple[int, ...], list[list[Any]]] = {
        (k,): [["tt.divisibility", 16]] for k, n in enumerate(names) if n in arrays and aligned
    }
    options = Options.of(dict(program.options))
    text = to_ttir(function(source(program)), signature, {}, attributes)
    executable = pipeline.run(text, "ttir", "elf", pipeline.Job(options))
    device = _device(options.target)
    buffers = {name: device.copy_in(memory.before) for name, memory in arrays.items()}
    try:
        values = [buffers[name] if name in buffers else program.scalars[name][1] for name in names]
        launch(device, executable, program.grid, values, limit=_LIMIT).check()
        found = {}
        for name, memory in arrays.items():
            found[name] = np.empty_like(memory.before)
            device.copy_out(buffers[name], found[name])
        return found
    finally:
        for buffer in buffers.values():
            device.free(buffer)


def interpreted(program: Program, arrays: Mapping[str, Memory]) -> dict[str, Array]:
    """The written arrays after a run of Triton's interpreter; the process must have been started for it."""
    import torch

    names = program.arguments()
    tensors = {name: _tensor(memory.pointer.kind, memory.before) for name, memory in arrays.items()}
    values = [tensors[name] if name in tensors else program.scalars[name][1] for name in names]
    function(source(rewritten(program)))[program.grid](*values)
    bits = {name: value.view(torch.uint8).numpy() for name, value in tensors.items()}
    return {name: bits[name].view(arrays[name].before.dtype) for name in arrays}


def _tensor(kind: str, array: Array) -> Any:
    """A torch tensor of the same bytes and type."""
    import torch

    if np.dtype(KINDS[kind].numpy).isbuiltin == 1:
        return torch.from_numpy(array.copy())
    name = {"bf16": "bfloat16", "fp8e5": "float8_e5m2", "fp8e4nv": "float8_e4m3fn"}[kind]
    return torch.from_numpy(array.view(np.uint8).copy()).view(getattr(torch, name))


def differences(arrays: Mapping[str, Memory], got: Mapping[str, Array]) -> str:
    """The first elements that differ, or nothing."""
    for name, memory in arrays.items():
        wrong = _wrong(memory, got[name])
        places = np.flatnonzero(wrong)
        if not len(places):
            continue
        shown = []
        for at in places[:4]:
            allowed = "" if memory.error is None or not memory.error[at] else f" ± {memory.error[at]:.3g}"
            where = " (behind the last element)" if at >= len(wrong) - GUARD else ""
            shown.append(f"{name}[{at}]{where} is {got[name][at]!s}, not {memory.after[at]!s}{allowed}")
        return f"{len(places)} of {len(wrong) - GUARD} elements differ: {'; '.join(shown)}"
    return ""


def _wrong(memory: Memory, got: Array) -> Array:
    want, kind = memory.after, KINDS[memory.pointer.kind]
    if not kind.precision:
        return np.asarray(want != got)
    with np.errstate(all="ignore"):
        a, b = want.astype(np.float64), got.astype(np.float64)
        fine = (a == b) | (np.isnan(a) & np.isnan(b))
        if memory.error is not None:
            unknown = ~np.isfinite(memory.error) | (np.isnan(a) & (memory.error != 0))
            over = (np.abs(a) + memory.error >= kind.most) & (np.isinf(b) | (np.abs(b) == kind.most))
            fine = fine | unknown | over | (np.abs(a - b) <= memory.error)
    return np.asarray(~fine)
