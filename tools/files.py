"""What the commands share: inputs named on the command line, and output that is whole or not there."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtia.isa.errors import UserError

__all__ = [
    "Source",
    "add_compile_options",
    "argument_types",
    "load_kernel",
    "options_from",
    "parse_signature",
    "read_text",
    "source_of",
    "write_output",
]


@dataclass(frozen=True)
class Source:
    """`FILE` or `FILE.py::kernel`; `kind` is the file's suffix without the dot."""

    path: Path
    kernel: str | None

    @property
    def kind(self) -> str:
        """The file's suffix: py, ttir, mlir, ll, pt2, elf, s."""
        return self.path.suffix.removeprefix(".")


def source_of(text: str) -> Source:
    """Read `FILE` or `FILE.py::kernel`; a missing file is a user error."""
    name, _, kernel = text.partition("::")
    path = Path(name)
    if not path.is_file():
        raise UserError("no such file" if not path.is_dir() else "is a directory", name)
    return Source(path, kernel or None)


def read_text(path: Path) -> str:
    """The text of a file; bytes that are no UTF-8 are a user error."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError("not a text file", str(path)) from None
    except OSError as problem:
        raise UserError(problem.strerror or str(problem), str(path)) from None


def write_output(data: str | bytes, place: str | None) -> None:
    """Write to a file, whole or not at all, or to standard output when `place` is None or `-`."""
    raw = data.encode() if isinstance(data, str) else data
    if place is None or place == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        return
    target = Path(place)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as problem:
        raise UserError(f"cannot write: {problem.strerror}", place) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except OSError as problem:
        raise UserError(f"cannot write: {problem.strerror}", place) from None
    finally:
        Path(temporary).unlink(missing_ok=True)


# --- Triton kernels in Python files ----------------------------------------------------------------------------------


def _is_kernel(value: Any) -> bool:
    """Whether a value is a kernel, also one wrapped by autotune or heuristics (they hold the function in `fn`)."""
    return hasattr(value, "arg_names") and hasattr(value, "fn")


def load_kernel(source: Source) -> tuple[Any, Any]:
    """The kernel that `source` names as (what the file calls it, the `@triton.jit` function inside).

    The file is executed. One without a kernel, or with several and none named, is a user error.
    """
    file = str(source.path)
    spec = importlib.util.spec_from_file_location(f"_mtiac_user_{source.path.stem}", source.path)
    if spec is None or spec.loader is None:
        raise UserError("not a Python file", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(source.path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as problem:
        raise UserError(problem.msg, problem.filename or file, problem.lineno, problem.offset) from None
    except Exception as problem:
        line = _line_in(problem, file)
        raise UserError(f"the file cannot be run: {type(problem).__name__}: {problem}", file, line) from None
    kernels = {name: value for name, value in vars(module).items() if _is_kernel(value)}
    if source.kernel is not None:
        if source.kernel not in kernels:
            known = f"; kernels: {', '.join(kernels)}" if kernels else ""
            raise UserError(f"no Triton kernel '{source.kernel}'{known}", file)
        found = kernels[source.kernel]
    elif len(kernels) == 1:
        found = next(iter(kernels.values()))
    elif kernels:
        raise UserError(f"several kernels; name one as {source.path.name}::NAME ({', '.join(kernels)})", file)
    else:
        raise UserError("no Triton kernel (a function under @triton.jit) in this file", file)
    inner = found
    while hasattr(inner.fn, "arg_names"):
        inner = inner.fn
    return found, inner


def _line_in(problem: BaseException, file: str) -> int | None:
    line, trace = None, problem.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == Path(file).resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _constant(text: str) -> Any:
    """A constexpr's value: a number, True, False, None or a quoted or plain name."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for kind in (lambda t: int(t, 0), float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


_TYPES = frozenset("i1 i8 i16 i32 i64 u1 u8 u16 u32 u64 fp16 bf16 fp32 fp64 fp8e4nv fp8e5".split())


@dataclass(frozen=True)
class Signature:
    """Argument types by name, constexpr values by name, and Triton's attributes (divisibility by 16)."""

    types: Mapping[str, str]
    constants: Mapping[str, Any]
    attributes: Mapping[tuple[int, ...], list[list[Any]]]


def parse_signature(text: str | None, kernel: Any, file: str) -> Signature:
    """Read `*fp32, *fp32:16, i32, 1024`, one entry for each argument in order, or `name=entry` in any order.

    An entry is a Triton type (`:16` says divisible by 16) or the value of a constexpr argument.
    """
    names = list(kernel.arg_names)
    wanted = f"kernel '{kernel.__name__}' has the arguments {', '.join(names)}"
    if text is None:
        raise UserError(f"--signature is missing: {wanted}", file)
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    given: dict[str, str] = {}
    for place, entry in enumerate(entries):
        name, equals, value = entry.partition("=")
        if not equals:
            if place >= len(names):
                raise UserError(f"--signature has {len(entries)} entries; {wanted}", file)
            name, value = names[place], entry
        if name.strip() not in names:
            raise UserError(f"--signature names '{name.strip()}'; {wanted}", file)
        given[name.strip()] = value.strip()
    missing = [name for name in names if name not in given and name not in _defaults(kernel)]
    if missing:
        raise UserError(f"--signature leaves out '{missing[0]}'; {wanted}", file)
    types: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    constexprs = {parameter.name for parameter in kernel.params if parameter.is_constexpr}
    for name, entry in given.items():
        kind, _, hint = entry.partition(":")
        if kind.lstrip("*") in _TYPES and name not in constexprs:
            types[name] = kind
            if hint == "16":
                attributes[(names.index(name),)] = [["tt.divisibility", 16]]
        elif kind.startswith("*") or (name not in constexprs and not _is_number(entry)):
            known = ", ".join(sorted(_TYPES))
            raise UserError(
                f"--signature gives '{name}' the unknown type '{entry}'; types: {known}, * for pointers", file
            )
        else:
            constants[name] = _constant(entry)
    for name, value in _defaults(kernel).items():
        if name not in given:
            constants[name] = value
    return Signature(types, constants, attributes)


def argument_types(text: str) -> list[str]:
    """The types of `*fp32, i32`: what a program that is no Triton kernel finds in its launch block."""
    types = [entry.strip() for entry in text.split(",") if entry.strip()]
    for entry in types:
        if entry.lstrip("*") not in _TYPES:
            raise UserError(f"--signature has the unknown type '{entry}'; types: {', '.join(sorted(_TYPES))}")
    return types


def _defaults(kernel: Any) -> dict[str, Any]:
    return {p.name: p.default for p in kernel.params if p.has_default}


def _is_number(text: str) -> bool:
    return not isinstance(_constant(text), str)


# --- options that several commands take ------------------------------------------------------------------------------


def add_compile_options(parser: argparse.ArgumentParser) -> None:
    """The options of `mtia.compiler.options.Options` as arguments."""
    group = parser.add_argument_group("compilation")
    group.add_argument("--target", help="a chip (see `mtiac targets`; mtia200 by default) or the path of a chip file")
    group.add_argument("--num-stages", type=int, help="loop iterations whose DMA may be in flight")
    group.add_argument("--cb-multiplier", type=int, help="multiplies the slots of circular buffers inside loops")
    group.add_argument(
        "--dual-core", action=argparse.BooleanOptionalAction, dest="use_dual_core", default=None,
        help="use both cores of every PE (the default)",
    )  # fmt: skip
    group.add_argument("--precision", help="of fp32 matrix products: ieee, the only one yet")
    group.add_argument("--hart-only", action="store_true", default=None, help="no unit instructions: any RV64GCV")


def options_from(arguments: argparse.Namespace) -> Any:
    """The compiler options that parsed arguments ask for; the target is checked."""
    from mtia.compiler.options import Options

    options = Options.of(vars(arguments))
    options.chip  # noqa: B018  (an unknown target is reported now, not by the stage that first needs it)
    return options
