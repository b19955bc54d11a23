"""What a kernel's results should be: Triton's own interpreter, or a function the user names.

Both run in a process of their own (`python -m mtia.tools.reference JOB`), for the interpreter is chosen by an
environment variable when Triton is imported. The job is a JSON file; arrays travel beside it as .npy files of bytes.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mtia.isa.errors import UserError
from mtia.tools.arrays import DTYPES, type_name

__all__ = ["Unchecked", "expected", "to_tensor"]


class Unchecked(Exception):
    """There is no reference; the message says why."""


def expected(
    source: tuple[str, str] | None,
    function: str | None,
    grid: Sequence[int],
    values: Mapping[str, Any],
    constants: Mapping[str, Any],
) -> dict[str, Any]:
    """The arrays of `values` as the reference leaves them.

    `source` is a Python file and the name of the kernel in it; `function` is `module:function` and takes precedence: it
    is called with the kernel's arguments by name, as torch tensors and numbers, and writes its results in place.
    """
    with tempfile.TemporaryDirectory(prefix="mtiac-reference-") as folder:
        job: dict[str, Any] = {
            "source": source, "function": function, "grid": list(grid), "constants": dict(constants), "arrays": {},
            "numbers": {name: value for name, value in values.items() if not isinstance(value, np.ndarray)},
        }  # fmt: skip
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                job["arrays"][name] = [type_name(value), list(value.shape)]
                np.save(Path(folder) / f"{name}.npy", _raw(value))
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job))
        environment = {**os.environ, "TRITON_INTERPRET": "1"} if function is None else dict(os.environ)
        environment.pop("TRITON_DEFAULT_BACKEND", None)
        done = subprocess.run(
            [sys.executable, "-m", "mtia.tools.reference", str(path)], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            if function is not None:
                raise UserError(f"--reference {function} failed: {last}")
            raise Unchecked(f"Triton's interpreter failed: {last}")
        return {name: _array(Path(folder) / f"{name}.npy", *shape) for name, shape in job["arrays"].items()}


def _raw(array: Any) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _array(path: Path, kind: str, shape: list[int]) -> Any:
    return np.load(path).view(DTYPES[kind]).reshape(shape)


def to_tensor(array: Any) -> Any:
    """A torch tensor that shares the array's memory."""
    import torch

    kind = type_name(array)
    if kind == "bf16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    if kind.startswith("fp8"):
        return torch.from_numpy(array.view(np.uint8)).view(
            torch.float8_e4m3fn if kind == "fp8e4nv" else torch.float8_e5m2
        )
    return torch.from_numpy(array)


def _call_function(name: str, arguments: dict[str, Any]) -> None:
    module_name, _, function = name.partition(":")
    sys.path.insert(0, os.getcwd())
    getattr(importlib.import_module(module_name), function)(**arguments)


def _call_kernel(source: list[str], grid: list[int], arguments: dict[str, Any]) -> None:
    from mtia.tools.files import Source, load_kernel

    found, inner = load_kernel(Source(Path(source[0]), source[1]))
    kernel = inner if hasattr(inner, "__getitem__") else found
    kernel[tuple(grid)](**arguments)


def main() -> None:
    """Run the job named on the command line and write its arrays back."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text())
    arrays = {name: _array(path.parent / f"{name}.npy", *shape) for name, shape in job["arrays"].items()}
    arguments = {name: to_tensor(array) for name, array in arrays.items()} | job["numbers"]
    if job["function"] is not None:
        _call_function(job["function"], arguments)
    else:
        _call_kernel(job["source"], job["grid"], arguments | job["constants"])
    for name, array in arrays.items():
        np.save(path.parent / f"{name}.npy", _raw(array))


if __name__ == "__main__":
    main()
