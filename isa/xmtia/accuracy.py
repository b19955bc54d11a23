"""How exact the SIMD engine's nonlinear functions are: what is promised, and what has been measured.

The measured figures are written by `mtiac verify functions --write`.
"""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["FIGURES", "LUT_BOUNDS", "ULPS", "chapter"]

FIGURES = Path(__file__).parents[1] / "chapters" / "functions.json"
# Units of the last place of the destination's type.
ULPS = {"bf16": 1.0, "f16": 1.0, "f32": 0.51}
# Of linear interpolation: width**2 / 8 times the largest second derivative, and the roundings; of exp relative.
LUT_BOUNDS = {"exp": 2.1e-5, "tanh": 3.8e-4, "sigm": 1.9e-4, "gelu": 4e-4, "log": 3.5e-5}

_INTRODUCTION = """### Measured errors

The worst error in units of the last place of the result's type: over all numbers of bf16 and f16, and over {size:,}
numbers of f32, spread over all patterns, with the ends of every exponent (`mtiac verify functions`). `pow` is
measured with sixteen exponents for every 16-bit base.
"""


def chapter() -> str:
    """Return the measured errors as Markdown."""
    figures = json.loads(FIGURES.read_text())
    lines = [_INTRODUCTION.format(size=figures["size"])]
    lines += ["| function | bf16 | f16 | f32 |", "|---|---|---|---|"]
    lines += [
        f"| {name} | " + " | ".join(f"{row[key]:.4f}" for key in ("bf16", "f16", "f32")) + " |"
        for name, row in figures["functions"].items()
    ]
    lines += ["", "| table form | worst error in f32 | promised |", "|---|---|---|"]
    lines += [
        f"| lut.{name} | {error:.2e} {'of the value' if name == 'exp' else ''}".rstrip()
        + f" | {LUT_BOUNDS[name]:.1e} |"
        for name, error in figures["tables"].items()
    ]
    return "\n".join([*lines, ""])
