"""Campaign: the SIMD engine's nonlinear functions against true values, in units of the last place.

Every bf16 and f16 number goes through every function; of f32 every n-th pattern (n odd, so that all low bits come by)
and the edges of all exponents. `--size` is how many f32 numbers each function gets. The table forms are measured
against the function they stand for. `--write` puts the figures where the manual takes them from; run
`python -m mtia.isa.manual` after it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from mtia.isa.xmtia.accuracy import FIGURES, LUT_BOUNDS, ULPS
from mtia.isa.xmtia.codes import DType
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.function_oracles import LUT_BASES, ORACLES
from mtia.tools.verify.unit_programs import DATA, Script, device, run_in_place, set_global, set_tile
from mtia.tools.verify.xmtia_values import Array, as_f32, from_f32, width_of

__all__ = ["SIZE", "add_arguments", "apply", "run", "sixteen_bits", "sweep", "table_error", "ulps"]

SIZE = 1 << 24
BLOCK = 8192  # elements of a command
PIECE = 1 << 21  # numbers of a launch
# Bits of mantissa, exponents of the smallest normal and the largest finite number.
SHAPES = {DType.F32: (23, -126, 127), DType.F16: (10, -14, 15), DType.BF16: (7, -126, 127)}
NAMES = {DType.F32: "f32", DType.F16: "f16", DType.BF16: "bf16"}
POWERS = (0.5, 2.0, -1.0, 3.0, 1 / 3, -2.5, 7.0, 0.01, -0.1, 17.0, 1.5, -40.0, 0.7, -3.0, 10.0, 1.001)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--write", action="store_true", help="renew the figures that the manual prints")


def apply(name: str, sources: Sequence[Array], dtype: DType, chip: str = "mtia200") -> Array:
    """The bits that a SIMD engine command gives for arrays of bits of one type, streamed through local memory."""
    size = sources[0].size
    blocks = -(-size // BLOCK)
    padded = [np.pad(s, (0, blocks * BLOCK - size)) for s in sources]
    machine = device(chip)
    buffers = [machine.copy_in(s) for s in [*padded, np.zeros_like(padded[0])]]
    script, step = Script(), BLOCK * dtype.bytes
    for k, buffer in enumerate(buffers):
        script.cb(k, DATA + 2 * k * step, step, 2)
        set_tile(script, k, k, dtype, (1, BLOCK), (0, dtype.bytes))
        set_global(script, 8 + k, buffer.address, dtype, [(BLOCK, dtype.bytes)], inc=step)
    fields = dict(zip("ab", range(len(sources)), strict=False)) | {"d": len(sources)}
    for _ in range(blocks):
        for k in range(len(sources)):
            script.instruction("xm.dma.in", d=k, gd=8 + k)
        script.instruction(f"xm.se.{name}", **fields)
        script.instruction("xm.dma.out", gd=8 + len(sources), s=len(sources))
        for k in range(len(buffers)):
            script.instruction("xm.cb.next", cb=k)
    run_in_place(chip, script)
    out = machine.view(buffers[-1])[: size * dtype.bytes].view(width_of(dtype)).copy()
    for buffer in buffers:
        machine.free(buffer)
    return out


def ulps(value: Array, exact: Array, dtype: DType) -> tuple[float, int]:
    """The worst error in units of the last place of the true value, and where; infinite for a wrong NaN or sign of 0.

    A value past the largest number counts as the power of two after it, as rounding sees it.
    """
    mantissa, least, most = SHAPES[dtype]
    end = 2.0 ** (most + 1)
    with np.errstate(all="ignore"):
        size = np.clip(np.abs(exact), 2.0**least, end)
        unit = 2.0 ** (np.minimum(np.floor(np.log2(size)), most) - mantissa)
        error = np.abs(np.clip(value, -end, end) - np.clip(exact, -end, end)) / unit
        wrong = np.isnan(value) != np.isnan(exact)
        wrong |= (exact == 0) & (np.signbit(value) != np.signbit(exact)) & ~np.isnan(value)
    error = np.where(wrong, np.inf, np.where(np.isnan(exact), 0.0, error))
    at = int(np.argmax(error))
    return float(error[at]), at


def oracle(name: str, sources: Iterable[Array]) -> Array:
    with np.errstate(all="ignore"):
        return ORACLES[name](*(x.astype(np.float64) for x in sources))


def sixteen_bits(name: str, dtype: DType, chip: str = "mtia200") -> float:
    """The worst error over all numbers of a 16-bit type (of pow: as bases, each with sixteen exponents)."""
    every = np.arange(1 << 16, dtype=np.uint16)
    sources = [every]
    if name == "pow":
        powers = from_f32(np.array(POWERS, np.float32), dtype)
        sources = [np.tile(every, len(powers)), np.repeat(powers, every.size)]
    got = apply(name, sources, dtype, chip)
    exact = oracle(name, (as_f32(s, dtype) for s in sources))
    return ulps(as_f32(got, dtype).astype(np.float64), exact, dtype)[0]


def sweep(size: int, seed: int) -> Array:
    """Bits of f32 numbers: every n-th, and for each sign and exponent those around its ends and middle."""
    step = (1 << 32) // size | 1
    patterns = np.arange(seed % step, 1 << 32, step, dtype=np.uint64).astype(np.uint32)
    ends = np.array([0, 1, 2, 0x3FFFFF, 0x400000, 0x400001, 0x7FFFFE, 0x7FFFFF], np.uint32)
    edges = (np.arange(512, dtype=np.uint32)[:, None] << np.uint32(23) | ends).ravel()
    return np.concatenate([patterns, edges])


def sources_of(name: str, size: int, seed: int) -> list[Array]:
    """The f32 inputs of a function; pow gets exponents that keep most results in range, and some that do not."""
    x = sweep(size, seed)
    if name != "pow":
        return [x]
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        base = np.abs(np.log2(np.abs(x.view(np.float32).astype(np.float64))))
        y = rng.uniform(-150, 150, x.size) / np.where(np.isfinite(base) & (base > 0), base, 1.0)
    y = np.where(rng.random(x.size) < 0.3, np.rint(y), y).astype(np.float32).view(np.uint32)
    return [x, np.where(rng.random(x.size) < 0.05, rng.permutation(x), y)]


def pieces(name: str, size: int, seed: int) -> Iterator[list[Array]]:
    """The f32 inputs of a function, piece by piece."""
    sources = sources_of(name, size, seed)
    for start in range(0, sources[0].size, PIECE):
        yield [s[start : start + PIECE] for s in sources]


def f32_error(name: str, size: int, seed: int) -> tuple[float, str]:
    """The worst error of a function over the f32 sweep, and its operands."""
    worst, where = 0.0, ""
    for sources in pieces(name, size, seed):
        got = apply(name, sources, DType.F32).view(np.float32).astype(np.float64)
        error, at = ulps(got, oracle(name, (s.view(np.float32) for s in sources)), DType.F32)
        if error >= worst:
            worst, where = error, ", ".join(f"{int(s[at]):#010x}" for s in sources)
    return worst, where


def table_error(name: str, size: int, seed: int) -> float:
    """The worst error of a table form over the f32 sweep: of exp relative, of the others absolute."""
    worst = 0.0
    for sources in pieces(name, size, seed):
        got = apply(f"lut.{name}", sources, DType.F32).view(np.float32).astype(np.float64)
        exact = oracle(name, (s.view(np.float32) for s in sources))
        with np.errstate(all="ignore"):
            finite = np.isfinite(exact) & (np.abs(exact) < 2.0**127 * 1.99)
            scale = np.maximum(np.abs(exact), 2.0**-126) if name == "exp" else 1.0
            off = np.where(np.isnan(exact) == np.isnan(got), 0.0, np.inf)
            worst = max(worst, float(np.where(finite, np.abs(got - exact) / scale, off).max()))
    return worst


def run(seed: int, size: int, progress: Progress, write: bool = False) -> Report:
    """Measure every function and table form."""
    report = Report("functions", seed, size)
    total = len(ORACLES) + len(LUT_BASES)
    figures: dict[str, Any] = {"size": int(sweep(size, seed).size), "functions": {}, "tables": {}}
    for n, name in enumerate(ORACLES):
        row = {}
        for dtype in (DType.BF16, DType.F16):
            row[NAMES[dtype]] = max(sixteen_bits(name, dtype, chip) for chip in ("mtia200", "mtia300"))
        row["f32"], where = f32_error(name, size, seed)
        figures["functions"][name] = {key: round(value, 4) for key, value in row.items()}
        report.failures += [f"{name} in {key}: {value:.4f} ulp{f' at {where}' if key == 'f32' else ''}"
                            for key, value in row.items() if not value <= ULPS[key]]  # fmt: skip
        report.notes.append(f"{name:<8}" + "  ".join(f"{key} {value:.4f}" for key, value in row.items()) + " ulp")
        progress(n + 1, total)
    for n, name in enumerate(LUT_BASES):
        error = table_error(name, size, seed)
        figures["tables"][name] = float(f"{error:.2e}")
        report.notes.append(f"lut.{name:<6}{error:.2e} {'relative' if name == 'exp' else 'absolute'}")
        if not error <= LUT_BOUNDS[name]:
            report.failures.append(f"lut.{name}: {error:.3e}, stated {LUT_BOUNDS[name]:.1e}")
        progress(len(ORACLES) + n + 1, total)
    report.counts = {"f32 numbers of a function": int(sweep(size, seed).size), "functions": total}
    if write and not report.failures:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    return report
