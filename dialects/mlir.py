"""The MLIR Python bindings: the only module that knows which package carries them.

`torch_mlir` ships the full upstream bindings; where a user has the upstream `mlir` package, that is taken.
Everything else writes `from mtia.dialects.mlir import ir, arith, ...`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol

try:
    from torch_mlir import ir, passmanager, rewrite
    from torch_mlir.dialects import (
        affine,
        arith,
        bufferization,
        builtin,
        cf,
        ext,
        func,
        linalg,
        llvm,
        math,
        memref,
        scf,
        tensor,
        transform,
        ub,
        vector,
    )
except ModuleNotFoundError as missing:
    if missing.name is None or missing.name.partition(".")[0] != "torch_mlir":
        raise
    from mlir import ir, passmanager, rewrite
    from mlir.dialects import (
        affine,
        arith,
        bufferization,
        builtin,
        cf,
        ext,
        func,
        linalg,
        llvm,
        math,
        memref,
        scf,
        tensor,
        transform,
        ub,
        vector,
    )

__all__ = [
    "PythonDialect",
    "affine",
    "arith",
    "bufferization",
    "builtin",
    "cf",
    "context",
    "ext",
    "func",
    "ir",
    "linalg",
    "llvm",
    "math",
    "memref",
    "passmanager",
    "rewrite",
    "run_passes",
    "scf",
    "tensor",
    "transform",
    "ub",
    "using",
    "vector",
]


class PythonDialect(Protocol):
    """A dialect defined with `ext.Dialect`."""

    def load(self) -> None:
        """Register the dialect with the current context."""


def context(*dialects: PythonDialect) -> Any:
    """A new single-threaded `ir.Context` with all upstream dialects and the given Python-defined ones loaded."""
    made = ir.Context()
    made.enable_multithreading(False)
    with made, ir.Location.unknown():
        for dialect in dialects:
            dialect.load()
            _note_loaded(dialect.__dict__["DIALECT_NAMESPACE"])
    return made


def _note_loaded(namespace: str) -> None:
    """Keep the bindings from searching the disk for a dialect's module at every operation they wrap.

    They import `<package>.dialects.<namespace>` for a class of the operation and do not remember a failure.
    """
    name = f"{ir.__name__.rpartition('.')[0]}.dialects.{namespace}"
    sys.modules.setdefault(name, ModuleType(name))


@contextmanager
def using(made: Any) -> Iterator[Any]:
    """Enter a context together with an unknown default location, so that builders need neither."""
    with made, ir.Location.unknown():
        yield made


def run_passes(module: Any, pipeline: str) -> None:
    """Run an upstream pass pipeline, as text such as `builtin.module(canonicalize,cse)`, on a module in place.

    The module is not verified after every pass; the stage list does that once a stage.
    """
    with module.context:
        manager = passmanager.PassManager.parse(pipeline)
        manager.enable_verifier(False)
        manager.run(module.operation)
