"""Campaign: operators of public Triton libraries, kernels unchanged, on `device="mtia"` against torch in float64.

`--liger` and `--fla` name source trees of Liger-Kernel and flash-linear-attention (the directory with the package).
`--size` is how many rounds there are; each round draws shapes and values anew. Forward results and the gradients of all
inputs are compared. Torch around the kernels may use the CPU; the report says which operators did.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools.verify.common import Progress, Report

__all__ = ["SIZE", "Case", "add_arguments", "compare", "run"]

SIZE = 1


@dataclass(frozen=True)
class Case:
    """One operator: what it is on the device, what it means, and its inputs.

    `length` is the longest sum behind one result, `roundings` how often a value on the way is stored in the inputs'
    type; they make the tolerance.
    """

    name: str
    operator: Callable[..., Any]
    meaning: Callable[..., Any]
    inputs: tuple[Any, ...]
    length: int
    roundings: int = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--liger", type=Path, help="src/ of a Liger-Kernel source tree")
    parser.add_argument("--fla", type=Path, help="a flash-linear-attention source tree")
    parser.add_argument("--only", help="only operators whose name contains this")


def run(
    seed: int,
    size: int,
    progress: Progress,
    liger: Path | None = None,
    fla: Path | None = None,
    only: str | None = None,
) -> Report:
    """Compare every operator of the given libraries, `size` rounds of each.

    Raises:
        UserError: no library is named, or its directory does not hold the package.
    """
    os.environ.setdefault("MTIA_FALLBACK", "quiet")  # read when torch is imported
    from mtia.tools.verify.libraries_cases import fla_cases, liger_cases

    sources = [(liger, "liger_kernel", liger_cases), (fla, "fla", fla_cases)]
    if liger is None and fla is None:
        raise UserError("which library? --liger PATH, --fla PATH: source trees of Liger-Kernel, flash-linear-attention")
    import torch

    report = Report("libraries", seed, size)
    makers: list[Callable[[], list[Case]]] = []
    for path, package, cases in sources:
        if path is None:
            continue
        if not (path / package / "__init__.py").is_file():
            raise UserError(f"{path} holds no package '{package}'")
        sys.path.insert(0, str(path))
        makers.append(cases)
    for turn in range(size):
        torch.manual_seed(seed + turn)
        chosen = [case for cases in makers for case in cases() if only is None or only in case.name]
        for done, case in enumerate(chosen):
            progress(turn * len(chosen) + done, size * len(chosen))
            _judge(case, report)
    fallbacks = torch.mtia.fallbacks()
    report.counts["operators of torch run by the CPU"] = sum(fallbacks.values())
    report.notes.append("run by the CPU: " + ", ".join(f"{name} {count}" for name, count in sorted(fallbacks.items())))
    return report


def _judge(case: Case, report: Report) -> None:
    """Compare one operator, and count it."""
    report.counts["operators"] = report.counts.get("operators", 0) + 1
    shapes = ", ".join("×".join(map(str, value.shape)) for value in case.inputs)
    try:
        worst, bound = compare(case)
    except Exception as error:  # a library's or our own: every one is a failure, with its text
        report.failures.append(f"{case.name} ({shapes}): {type(error).__name__}: {str(error).strip()[:400]}")
        return
    text = f"{case.name} ({shapes}): error {worst:.2g} of the largest value, bound {bound:.2g}"
    (report.notes if worst <= bound else report.failures).append(text)


def compare(case: Case) -> tuple[float, float]:
    """The largest error of result and gradients, as a part of the largest value, and what it may be."""
    import torch

    exact = [_leaf(value.double() if value.is_floating_point() else value) for value in case.inputs]
    given = [_leaf(value.to("mtia")) for value in case.inputs]
    want, got = case.meaning(*exact), case.operator(*given)
    got = got[0] if isinstance(got, tuple) else got
    gradient = torch.randn(want.shape).to(got.dtype)
    want.backward(gradient.double())
    got.backward(gradient.to("mtia"))
    pairs = [(want, got)]
    pairs += [
        (a.grad, b.grad) for a, b in zip(exact, given, strict=True) if a.is_floating_point() and b.grad is not None
    ]
    worst = max(_error(a.detach(), b.detach().cpu().double()) for a, b in pairs)
    kind = next(value.dtype for value in case.inputs if value.is_floating_point())
    unit, single = torch.finfo(kind).eps / 2, torch.finfo(torch.float32).eps / 2
    return worst, case.roundings * unit + case.length * single


def _leaf(value: Any) -> Any:
    return value.detach().clone().requires_grad_(value.is_floating_point())


def _error(want: Any, got: Any) -> float:
    """The largest difference as a part of the largest value; infinite for a wrong shape or a result that is none."""
    if want.shape != got.shape or not bool(got.isfinite().all()):
        return float("inf")
    return float((want - got).abs().max() / want.abs().max().clamp(min=1e-30))
