"""Running the cases of the language table: kernels written to a module, launched, and compared."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mtia.isa.errors import UserError
from mtia.tools.verify.language.case import NUMPY, Case, N, inputs_of

__all__ = ["Outcome", "Runner"]

SUPPORTED, REFUSED, TRITON, WRONG = "supported", "refused", "Triton refuses", "WRONG"
_TORCH = {
    "int1": "bool", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "fp64": "float64", "fp8e5": "float8_e5m2",
    "fp8e4nv": "float8_e4m3fn",
}  # fmt: skip
_HEAD = "import triton\nimport triton.language as tl\nfrom triton.language.extra import libdevice\n"


@dataclass(frozen=True)
class Outcome:
    """What came of a case for one type: `how` is one of this module's words, `why` a refusal's or a fault's text."""

    case: Case
    kind: str
    how: str
    why: str = ""


class Runner:
    """Kernels of cases in one module, launched one at a time."""

    def __init__(self, cases: Sequence[Case], folder: Path | None = None) -> None:
        self._keep = None if folder else tempfile.TemporaryDirectory(prefix="mtiac-language-")
        self.path = (folder or Path(self._keep.name if self._keep else "")) / "language_kernels.py"
        texts = [_HEAD, *{case.preamble: None for case in cases if case.preamble}]
        texts += [_kernel(number, case) for number, case in enumerate(cases)]
        self.path.write_text("\n\n".join(texts))
        spec = importlib.util.spec_from_file_location("language_kernels", self.path)
        assert spec is not None and spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        self.cases = list(cases)

    def run(self, number: int, kind: str, seed: int = 1) -> Outcome:
        """Launch case `number` with x of a type."""
        from triton.compiler.errors import CompilationError

        case = self.cases[number]
        kernel = getattr(self.module, f"kernel_{number}")
        values = inputs_of(case, kind, seed)
        try:
            wanted = np.atleast_1d(np.asarray(case.oracle(*(_wide(v) for v in values)))).reshape(-1)
        except TypeError:  # numpy has no such operation on these types; Triton should have none either
            wanted = np.full(2 * N, np.nan)
        out_type = NUMPY[kind if case.result == "same" else case.result]
        out = np.zeros(wanted.size, out_type)
        tensor = _tensor(out)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # what kernels print
                kernel[(case.grid,)](*map(_tensor, values), tensor, N=N, debug=case.name == "tl.device_assert")
        except UserError as error:
            return self._refused(case, kind, error)
        except CompilationError as error:
            cause: BaseException = error
            while cause.__cause__ is not None and not isinstance(cause, UserError):
                cause = cause.__cause__
            if isinstance(cause, UserError):  # Triton shows the line
                return Outcome(case, kind, REFUSED, cause.message)
            return Outcome(case, kind, TRITON, _last_line(error))
        except Exception as error:
            if "error encountered during parsing" in str(error):  # Triton's own checks of the IR it makes
                return Outcome(case, kind, TRITON, "Triton makes no valid IR of it")
            return Outcome(case, kind, WRONG, f"{type(error).__name__}: {str(error)[:300]}")
        made = _wide(_numpy(tensor, out_type))
        bad = _differences(made, wanted, out_type, case.ulps)
        if bad is None:
            return Outcome(case, kind, SUPPORTED)
        x = [_wide(v)[bad % N] for v in values]
        return Outcome(case, kind, WRONG, f"element {bad} is {made[bad]!r}, must be {wanted[bad]!r} (of {x})")

    def _refused(self, case: Case, kind: str, error: UserError) -> Outcome:
        """A refusal must name the operation and the line."""
        if error.file is None or error.line is None:
            return Outcome(case, kind, WRONG, f"a refusal without its line: {error.message}")
        return Outcome(case, kind, REFUSED, error.message)


def _kernel(number: int, case: Case) -> str:
    lines = [
        "@triton.jit",
        f"def kernel_{number}(x_ptr, y_ptr, z_ptr, out_ptr, N: tl.constexpr):",
        "    at = tl.arange(0, N)",
        "    pid = tl.program_id(0)",
    ]
    body = case.body.strip("\n")
    if "tl.store" not in body and "\n" not in body and not body.startswith("r = "):
        body = f"r = {body}"
    for name in "xyz":
        lines.append(f"    {name} = tl.load({name}_ptr + at)")
    lines += [f"    {line}" for line in body.splitlines()]
    if "out_ptr" not in body:
        lines.append("    tl.store(out_ptr + at, r)")
    return "\n".join(lines) + "\n"


def _tensor(values: Any) -> Any:
    """A torch tensor that shares an array's memory, whatever its type."""
    import torch

    kind = next(name for name, type_ in NUMPY.items() if values.dtype == type_)
    raw = torch.from_numpy(values.view(np.uint8))
    return raw.view(getattr(torch, _TORCH.get(kind, kind)))


def _numpy(tensor: Any, type_: Any) -> Any:
    import torch

    return tensor.view(torch.uint8).numpy().view(type_)


def _wide(values: Any) -> Any:
    """Values as an oracle computes with them: integers as they are, others in double precision."""
    return values if values.dtype.kind in "iub" else values.astype(np.float64)


def _differences(made: Any, wanted: Any, type_: Any, ulps: float) -> int | None:
    """The first element that is not right; None if all are."""
    if np.dtype(type_).kind in "iub":
        bad = np.nonzero(made != wanted.astype(type_))[0]
        return int(bad[0]) if bad.size else None
    wanted = np.asarray(wanted, np.float64)
    with np.errstate(all="ignore"):
        rounded = wanted.astype(type_).astype(np.float64)
        unit = _ulp(rounded, type_)
        same = (made == rounded) | (np.isnan(made) & np.isnan(rounded)) | (np.abs(made - wanted) <= ulps * unit)
    bad = np.nonzero(~same)[0]
    return int(bad[0]) if bad.size else None


def _ulp(values: Any, type_: Any) -> Any:
    import ml_dtypes

    info = ml_dtypes.finfo(type_)
    smallest = float(info.smallest_normal)
    exponent = np.floor(np.log2(np.maximum(np.abs(values), smallest)))
    return 2.0**exponent * float(info.eps)


def _last_line(error: BaseException) -> str:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return (getattr(cause, "error_message", None) or str(cause)).strip().splitlines()[-1][:160]
