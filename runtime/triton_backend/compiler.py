"""Triton's compiler interface over our stage list; Triton imports this module whenever it is imported itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from mtia.compiler.frontends.triton_source import SourceOptions, codegen_functions, optimise
from triton.backends.compiler import BaseBackend, GPUTarget

__all__ = ["MtiaBackend", "TritonOptions"]

BACKEND = "mtia"


@dataclass(frozen=True)
class TritonOptions(SourceOptions):
    """Triton's launch options with ours; warps and CTAs mean nothing on a PE and are accepted."""

    num_warps: int = 4
    sanitize_overflow: bool = True  # only where a kernel is compiled for debugging
    num_stages: int = 2
    maxnreg: int | None = None
    ir_override: str | None = None
    instrumentation_mode: str = ""
    cb_multiplier: int = 1
    use_dual_core: bool = True
    precision: str = "ieee"
    hart_only: bool = False
    overlapping: tuple[tuple[int, ...], ...] = ()  # arguments that may share memory; the launcher finds them itself
    # Hints of other vendors' back ends, which configurations of public kernels carry; they mean nothing on a PE.
    matrix_instr_nonkdim: int = 0
    kpack: int = 1
    waves_per_eu: int = 0
    schedule_hint: str = "none"

    def __post_init__(self) -> None:
        assert self.num_warps > 0 and self.num_warps & (self.num_warps - 1) == 0, "num_warps must be a power of 2"

    def hash(self) -> str:
        """What Triton's cache key takes for these options."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


class _Value:
    """The value of a stage; Triton asks for its text when it writes the stage's file."""

    def __init__(self, stage: Any, value: Any) -> None:
        self.stage = stage
        self.value = value

    def __str__(self) -> str:
        return str(self.stage.text(self.value))


class MtiaBackend(BaseBackend):  # type: ignore[misc, unused-ignore]
    """Compiles a kernel for the chip that the target's `arch` names."""

    binary_ext = "elf"

    @staticmethod
    def supports_target(target: GPUTarget) -> bool:
        """Whether the target is one of ours."""
        return bool(target.backend == BACKEND)

    def hash(self) -> str:
        """Changes with the compiler's sources and the chip's numbers."""
        from mtia.compiler.cache import fingerprint
        from mtia.isa.chip import load_chip

        return f"{BACKEND}-{fingerprint()}-{hashlib.sha256(load_chip(self.target.arch).key().encode()).hexdigest()}"

    def parse_options(self, options: dict[str, Any]) -> TritonOptions:
        """Pick the options we know; Triton itself refuses unknown ones at a launch."""
        known = {name: options[name] for name in TritonOptions.__dataclass_fields__ if options.get(name) is not None}
        libraries = known.get("extern_libs")
        if libraries is not None:  # a dict of the user's, or pairs that have been through JSON
            known["extern_libs"] = tuple((name, path) for name, path in dict(libraries).items())
        return TritonOptions(**(known | {"arch": self.target.arch, "backend_name": BACKEND}))

    def add_stages(self, stages: dict[str, Callable[..., Any]], options: TritonOptions, language: Any = None) -> None:
        """Our stage list, one Triton stage each, so that `kernel.asm` holds the text of all of them."""
        from mtia.compiler import pipeline
        from mtia.compiler.backend import worker

        worker.start()  # while Triton's front end runs
        job = pipeline.Job(self._options(options))
        stages["ttir"] = _ttir
        for step in pipeline.STAGES[1:]:
            stages[step.name] = _runner(step, job)

    def _options(self, options: TritonOptions) -> Any:
        from mtia.compiler.options import Options

        return Options.of(vars(options) | {"target": self.target.arch})

    def pack_metadata(self, metadata: Any) -> Any:
        """What the launcher gets with every launch."""
        return metadata.mtia

    def get_codegen_implementation(self, options: TritonOptions) -> dict[str, Callable[..., Any]]:
        """The functions Triton's code generator asks for."""
        return codegen_functions()

    def get_module_map(self) -> dict[str, ModuleType]:
        """Device libraries by the name kernels import them under."""
        from mtia.runtime.triton_backend import libdevice

        return {"triton.language.extra.libdevice": libdevice}

    def load_dialects(self, context: Any) -> None:
        """Nothing: our dialects live in another MLIR."""


def _ttir(module: Any, metadata: dict[str, Any]) -> Any:
    optimise(module)
    return module


def _runner(step: Any, job: Any) -> Callable[[Any, dict[str, Any]], Any]:
    def run(source: Any, metadata: dict[str, Any]) -> Any:
        if step.name == "tt":
            source = str(source)
        from mtia.compiler.pipeline import advance

        value = advance(step, source.value if isinstance(source, _Value) else source, job)
        if step.name == "elf":
            metadata["mtia"] = job.metadata
            metadata["name"] = job.metadata["kernel"]
            metadata["shared"] = job.metadata.get("local_bytes", 0)
        return value if isinstance(value, str | bytes) else _Value(step, value)

    return run
