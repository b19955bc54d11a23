"""From a kernel to a compiled one: the doors that the command line, Triton and PyTorch come through."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mtia.compiler import cache as disk
from mtia.compiler import pipeline
from mtia.compiler.options import Options

__all__ = ["CompiledKernel", "compile_text", "compile_triton", "compile_ttir", "stage_text"]


@dataclass(frozen=True)
class CompiledKernel:
    """An executable with the text of the stages it came through.

    `metadata` is what the executable's `.mtia` section holds; `asm` maps stage names to text, as in Triton.
    """

    elf: bytes
    metadata: Mapping[str, Any]
    asm: Mapping[str, str | bytes] = field(repr=False)

    @property
    def name(self) -> str:
        """The kernel's name."""
        return cast(str, self.metadata["kernel"])

    @property
    def arguments(self) -> tuple[str, ...]:
        """Triton's type name of every argument: `*fp32`, `i32`, …"""
        return tuple(self.metadata["arguments"])


class _Texts(dict[str, "str | bytes"]):
    """Stage texts; the disassembly is made when it is asked for."""

    def __missing__(self, name: str) -> str | bytes:
        if name != "asm":
            raise KeyError(name)
        made = pipeline.stage("asm").make(self["elf"], pipeline.Job(Options()))
        self[name] = cast(str, made)
        return self[name]


def compile_text(
    text: str,
    first: str = "ttir",
    options: Options | None = None,
    file: str | None = None,
    cache: disk.Cache | None = None,
) -> CompiledKernel:
    """Compile the text of a stage (`ttir`, or a later one as `--emit` prints it)."""
    options = options or Options()
    cache = disk.from_environment() if cache is None else cache
    key = _key(text, first, file, options)
    found = _unpack(cache.load(key))
    if found is not None:
        return found
    job = pipeline.Job(options, file)
    texts = _Texts()

    def keep(step: pipeline.Stage, value: Any) -> None:
        texts[step.name] = step.text(value)

    executable = cast(bytes, pipeline.run(pipeline.value_of(text, first, file), first, "elf", job, keep))
    made = CompiledKernel(executable, job.metadata, texts)
    cache.store(key, _pack(made))
    return made


def stage_text(
    text: str, first: str, last: str, options: Options | None = None, file: str | None = None
) -> str | bytes:
    """The text of stage `last`, made from the text of stage `first`."""
    value = pipeline.run(pipeline.value_of(text, first, file), first, last, pipeline.Job(options or Options(), file))
    return pipeline.stage(last).text(value)


def compile_ttir(text: str, options: Options | None = None, file: str | None = None) -> CompiledKernel:
    """Compile TTIR text, as Triton prints it."""
    return compile_text(text, "ttir", options, file)


def compile_triton(
    function: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any] | None = None,
    options: Options | None = None,
    attributes: Mapping[tuple[int, ...], list[list[Any]]] | None = None,
) -> CompiledKernel:
    """Compile a `@triton.jit` function: Triton's type name of every argument, and the values of the constexpr ones."""
    from mtia.compiler.frontends.triton_source import to_ttir

    return compile_ttir(to_ttir(function, signature, constants, attributes), options)


def _key(text: str, first: str, file: str | None, options: Options) -> str:
    parts = (disk.fingerprint(), options.key, first, file or "", text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _pack(kernel: CompiledKernel) -> bytes:
    texts = {name: text for name, text in kernel.asm.items() if isinstance(text, str)}
    whole = {"metadata": dict(kernel.metadata), "asm": texts, "elf": base64.b64encode(kernel.elf).decode()}
    return json.dumps(whole).encode()


def _unpack(data: bytes | None) -> CompiledKernel | None:
    """A cached kernel; None where there is none, or something else put its bytes there."""
    if data is None:
        return None
    try:
        whole = json.loads(data)
        executable = base64.b64decode(whole["elf"])
        return CompiledKernel(executable, whole["metadata"], _Texts(whole["asm"], elf=executable))
    except (ValueError, KeyError, TypeError):
        return None
