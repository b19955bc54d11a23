"""The stages from Triton's IR to a PE executable: the one list that names them for `--emit`, dumps, cache and docs.

A stage takes what the one before it made: TTIR text, then one MLIR module that is changed in place, then LLVM IR text,
then the bytes of the executable. After every stage the value has a text form.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mtia.compiler.options import Options
from mtia.isa.errors import UserError

__all__ = [
    "STAGES",
    "Job",
    "Stage",
    "advance",
    "context",
    "naming",
    "parse",
    "pass_names",
    "run",
    "run_pass",
    "stage",
    "value_of",
]


@dataclass
class Job:
    """One compilation on its way: the options, what the source is called, and what the stages learn for the loader."""

    options: Options
    file: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    choices: list[Any] = field(default_factory=list)  # where each operation went; each prints as one line


@dataclass(frozen=True)
class Stage:
    """One stage: `make(value, job)` gives its value from the one before."""

    name: str
    suffix: str
    what: str
    make: Callable[[Any, Job], Any]

    def text(self, value: Any) -> str | bytes:
        """The printable form of a value of this stage; only the executable is bytes."""
        if isinstance(value, str | bytes):
            return value
        text: str = value.operation.get_asm(enable_debug_info=True, assume_verified=True)
        return text


# --- the makers; each imports what it needs when it runs, so that naming stages costs nothing -------------------------


def run_pass(name: str, module: Any, options: Options) -> Any:
    """Run the pass `some-name`: the function `some_name` of `compiler/passes/some_name.py`, on a module in place.

    Gives what the function returns.
    """
    function = name.replace("-", "_")
    path = f"mtia.compiler.passes.{function}"
    if importlib.util.find_spec(path) is None or not hasattr(importlib.import_module(path), function):
        raise UserError(f"unknown pass '{name}'; passes: {', '.join(pass_names())}")
    from mtia.dialects import mlir

    with mlir.using(module.context):
        return getattr(importlib.import_module(path), function)(module, options)


def pass_names() -> list[str]:
    """The names of all passes, from the files in `compiler/passes`."""
    from mtia.compiler import passes

    found = [module.name for module in pkgutil.iter_modules(passes.__path__)]
    return [name.replace("_", "-") for name in found if _is_pass(name)]


def _is_pass(name: str) -> bool:
    return hasattr(importlib.import_module(f"mtia.compiler.passes.{name}"), name)


def _pass(*names: str) -> Callable[[Any, Job], Any]:
    def make(module: Any, job: Job) -> Any:
        for name in names:
            run_pass(name, module, job.options)
        return module

    return make


def _tiles(module: Any, job: Job) -> Any:
    from mtia.compiler.passes.lower_to_hart import lower_to_hart
    from mtia.compiler.passes.select_engines import select_engines
    from mtia.compiler.passes.stream_blocks_fit import select_to_fit
    from mtia.dialects import mlir

    accesses = _accesses(module)
    with mlir.using(module.context):
        select = lower_to_hart if job.options.hart_only else select_engines
        module, choices = select_to_fit(module, job.options, select)
    job.choices = [*accesses, *choices]
    return module


def _accesses(module: Any) -> list[str]:
    """How every access of a Triton kernel is done, as `convert-tt-to-linalg` noted it."""
    from mtia.dialects.mlir import ir

    noted = [op.attributes["tt.accesses"] for op in module.body.operations if "tt.accesses" in op.attributes]
    return [ir.StringAttr(line).value for lines in noted for line in ir.ArrayAttr(lines)]


def _tt(text: str, job: Job) -> Any:
    from mtia.compiler.frontends import ttir
    from mtia.dialects import mlir

    with mlir.using(context()):
        return ttir.parse(text, job.file)


def _llvm(module: Any, job: Job) -> Any:
    from mtia.compiler.passes.lower_pe_to_llvm import lower_pe_to_llvm

    job.metadata |= _describe(module, job.options)
    lower_pe_to_llvm(module, job.options)
    return module


def _hart(job: Job) -> Any:
    """The kind of hart a kernel is generated for: with vectors where all that run it have them."""
    from mtia.compiler.backend.features import Hart

    chip = job.options.chip.hart
    vectors = chip.vector_mask == (1 << chip.count) - 1
    if job.options.hart_only:
        return Hart.PORTABLE if vectors else Hart.PORTABLE_SCALAR
    return Hart.VECTOR if vectors or job.metadata.get("vector", False) else Hart.SCALAR


def _ll(module: Any, job: Job) -> str:
    from mtia.compiler.passes.lower_pe_to_llvm import to_llvm_ir

    return to_llvm_ir(module, _hart(job))


def _elf(text: str, job: Job) -> bytes:
    from mtia.compiler.backend import linker, worker
    from mtia.compiler.backend.features import feature_string
    from mtia.compiler.passes.lower_pe_to_llvm import ENTRY_PREFIX

    code = worker.generate(text, feature_string(_hart(job)), job.options.level)
    return linker.link(code, ENTRY_PREFIX + job.metadata["kernel"], job.metadata, job.metadata.get("data_limit"))


def _asm(executable: bytes, job: Job) -> str:
    from mtia.isa import asm, elf

    file = elf.read(executable)
    text = file.section(".text")
    assert text is not None
    symbols = {symbol.name: symbol.value for symbol in file.symbols if not symbol.name.startswith("$")}
    listing: str = asm.listing(text.data, text.address, symbols)
    return listing


def _describe(module: Any, options: Options) -> dict[str, Any]:
    """What the loader must know: read from the kernel's signature and the planner's attributes at stage `pe`."""
    from mtia.dialects.mlir import ir

    kernels = [op for op in module.body.operations if op.operation.name == "func.func"]
    if not kernels:
        raise UserError("the module has no kernel")
    function = kernels[0]
    attributes = function.attributes
    inputs = list(ir.FunctionType(function.type).inputs)
    if "mtia.scratch" in attributes:  # the launcher adds these
        inputs = inputs[: -len(ir.StringAttr(attributes["mtia.scratch"]).value.split(","))]
    if "mtia.messages" in attributes:
        inputs.pop()  # the launch gives this one
    described: dict[str, Any] = {
        "kernel": ir.StringAttr(attributes["sym_name"]).value,
        "arguments": [_argument(kind) for kind in inputs],
        "chip": options.chip.name,
        "cores": options.chip.hart.count if options.use_dual_core else 1,
    }
    for name in attributes:
        if name.startswith("mtia."):
            described[name.removeprefix("mtia.")] = _plain(attributes[name])
    return described


def _argument(kind: Any) -> str:
    """Triton's name of an argument type: `*fp32`, `i32`, …"""
    from mtia.dialects.mlir import ir

    if isinstance(kind, ir.MemRefType):
        return "*" + _argument(kind.element_type)
    text = str(kind)
    return {"index": "i64", "f16": "fp16", "f32": "fp32", "f64": "fp64"}.get(text, text)


def _plain(attribute: Any) -> Any:
    from mtia.dialects.mlir import ir

    for kind in (ir.BoolAttr, ir.IntegerAttr, ir.StringAttr):
        if isinstance(attribute, kind):
            return attribute.value
    return str(attribute)


STAGES: tuple[Stage, ...] = (
    Stage("ttir", ".ttir", "Triton's optimised IR", lambda text, job: text),
    Stage("tt", ".mlir", "the same module held by our tt dialect", _tt),
    Stage("linalg", ".mlir", "linalg on tensors; loads are DMA into fresh buffers", _pass("convert-tt-to-linalg")),
    Stage("fused", ".mlir", "elementwise chains fused", _pass("single-trip", "fuse")),
    Stage("memref", ".mlir", "bufferised", _pass("bufferize")),
    Stage("tiles", ".mlir", "every op on local buffers is one of an engine, or a hart loop", _tiles),
    Stage("planned", ".mlir", "buffers placed, program loop made", _pass("plan-local-memory")),
    Stage("pe", ".mlir", "one op for each instruction of the units", _pass("lower-tiles-to-pe")),
    Stage("llvm", ".mlir", "LLVM dialect", _llvm),
    Stage("ll", ".ll", "LLVM IR", _ll),
    Stage("elf", ".elf", "RV64GCV and Xmtia executable", _elf),
    Stage("asm", ".s", "disassembly of the executable", _asm),
)


def stage(name: str) -> Stage:
    """The stage of that name; an unknown one is a user error that lists them."""
    for candidate in STAGES:
        if candidate.name == name:
            return candidate
    raise UserError(f"unknown stage '{name}'; stages: {', '.join(s.name for s in STAGES)}")


_local = threading.local()
_turn = threading.RLock()  # the bindings keep what they know of Python-defined dialects in tables of the process


def context() -> Any:
    """This thread's MLIR context with our dialects, made once."""
    made = getattr(_local, "context", None)
    if made is None:
        from mtia.dialects import mlir, mtia, pe, tt

        made = _local.context = mlir.context(tt.TT, mtia.MTIA, pe.PE)
    return made


def parse(text: str, file: str | None = None) -> Any:
    """An MLIR module from text, verified; a user error says where it is wrong."""
    from mtia.compiler.locations import place_of
    from mtia.dialects import mlir

    with mlir.using(context()):
        try:
            return mlir.ir.Module.parse(text)
        except mlir.ir.MLIRError as problem:
            first = problem.error_diagnostics[0]
            name, line, column = place_of(mlir.ir.Location.from_attr(first.location.attr))
            raise UserError(first.message, file if name in (None, "-") else name, line, column) from None


@contextlib.contextmanager
def naming(file: str | None) -> Iterator[None]:
    """User errors from inside that name no file, or text without source locations, get the text's file."""
    try:
        yield
    except UserError as problem:
        if problem.file in (None, "-"):
            problem.file = file
        raise


def value_of(text: str, first: str, file: str | None = None) -> Any:
    """The value of stage `first` from its text."""
    name = stage(first).name
    if name in ("elf", "asm"):
        raise UserError(f"stage '{name}' is the end of the pipeline; nothing is compiled from it", file)
    if name in ("ttir", "ll"):
        return text
    module = parse(text, file)
    with naming(file):
        _check_kernel(module, name)
    return module


def _check_kernel(module: Any, name: str) -> None:
    """Refuse a module that is not at stage `name`, by what its functions are."""
    from mtia.compiler.locations import place_of
    from mtia.dialects.mlir import ir
    from mtia.dialects.mtia import GLOBAL, memory_space

    wanted = {"tt": "tt.func", "llvm": "llvm.func"}.get(name, "func.func")
    for op in module.body.operations:
        place = place_of(op.operation.location)
        if name == "llvm" and not op.operation.name.startswith("llvm."):
            raise UserError(f"'{op.operation.name}' at stage 'llvm'; everything is of the LLVM dialect there", *place)
        if op.operation.name != wanted or wanted != "func.func":
            continue
        for number, kind in enumerate(ir.FunctionType(op.attributes["function_type"].value).inputs):
            given = isinstance(kind, ir.MemRefType) and memory_space(kind) == GLOBAL
            if not given and not isinstance(kind, ir.IntegerType | ir.FloatType | ir.IndexType):
                raise UserError(f"argument {number} is {kind}; a kernel takes numbers and memrefs in space 1", *place)
    if not any(op.operation.name == wanted for op in module.body.operations):
        raise UserError(f"the module has no kernel: no '{wanted}', which holds one at stage '{name}'")


def advance(step: Stage, value: Any, job: Job) -> Any:
    """The verified value of one stage from the value of the stage before; threads take turns."""
    from mtia.dialects.mlir import ir

    with _turn:
        try:
            with naming(job.file):
                made = step.make(value, job)
            if not isinstance(made, str | bytes):
                made.operation.verify()
        except ir.MLIRError as problem:
            found = "; ".join(f"{one.location}: {one.message}" for one in problem.error_diagnostics) or str(problem)
            raise RuntimeError(f"stage '{step.name}' made an invalid module: {found}") from problem
    return made


@contextlib.contextmanager
def _own_module(own: bool) -> Iterator[None]:
    """What LLVM's parser refuses is a user error when the user wrote the module."""
    if not own:
        yield
        return
    from mtia.compiler.backend.worker import CodegenError

    try:
        yield
    except CodegenError as problem:
        found = re.search(r"<string>:(\d+):(\d+): error: (.*)", str(problem))
        if found is None:
            raise
        raise UserError(found.group(3), None, int(found.group(1)), int(found.group(2))) from None


def run(
    value: Any,
    first: str,
    last: str,
    job: Job,
    keep: Callable[[Stage, Any], None] | None = None,
) -> Any:
    """Run the stages after `first`, whose value is given, up to and including `last`; `keep` sees every value made."""
    names = [candidate.name for candidate in STAGES]
    begin, end = names.index(stage(first).name), names.index(stage(last).name)
    if end < begin:
        raise UserError(f"stage '{last}' comes before '{first}'")
    if keep is not None:
        keep(STAGES[begin], value)
    for step in STAGES[begin + 1 : end + 1]:
        with naming(job.file), _own_module(first == "ll"):
            value = advance(step, value, job)
        if keep is not None:
            keep(step, value)
    return value
