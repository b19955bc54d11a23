"""From an exported PyTorch program to a compiled model: an executable per distinct kernel, and the plan of launches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtia.compiler import driver
from mtia.compiler.frontends.fx import Imported, import_program
from mtia.compiler.options import Options
from mtia.compiler.passes.spread import Spread, spread_model
from mtia.isa.errors import UserError
from mtia.isa.plan import CompiledModel

__all__ = ["MODEL_STAGES", "compile_imported", "compile_model", "model_text"]

MODEL_STAGES = ("linalg", "memref", "tiles", "planned", "pe", "llvm", "ll", "asm")
SEPARATOR = "\n// -----\n\n"  # MLIR's own mark between modules in one file


def compile_model(program: Any, options: Options | None = None, dims: Mapping[str, int] | None = None) -> CompiledModel:
    """Compile a `torch.export.ExportedProgram`; `dims` gives sizes to dynamic dimensions by name."""
    return compile_imported(import_program(program, dims), options or Options())


def compile_imported(imported: Imported, options: Options) -> CompiledModel:
    """Compile a program that is already linalg."""
    made = spread_model(imported.module, imported.kinds, imported.names, options.chip)
    programs = {
        name: driver.compile_text(_text(kernel), "memref", options).elf for name, kernel in made.kernels.items()
    }
    return CompiledModel(made.plan, options.target, programs, made.values(imported.params))


def model_text(program: Any, stage: str, options: Options | None = None, dims: Mapping[str, int] | None = None) -> str:
    """The text of a stage: the whole model at `linalg`, then all kernels one after another."""
    options = options or Options()
    if stage not in MODEL_STAGES:
        raise UserError(f"a model has no stage '{stage}'; stages: {', '.join(MODEL_STAGES)}")
    imported = import_program(program, dims)
    if stage == "linalg":
        return _text(imported.module)
    made: Spread = spread_model(imported.module, imported.kinds, imported.names, options.chip)
    texts = [driver.stage_text(_text(kernel), "memref", stage, options) for kernel in made.kernels.values()]
    mark = SEPARATOR if stage not in ("ll", "asm") else "\n"
    return mark.join(str(text) for text in texts)


def _text(module: Any) -> str:
    return str(module.operation.get_asm(enable_debug_info=True))
