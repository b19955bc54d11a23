"""The roofline plot of `mtiac prof`: what the chip can do at every arithmetic intensity, and what the launches did.

Ceilings and slopes are the chip file's; a launch is a point for each memory, at the operations it made for each byte
that passed there. Operations are those of the units: two for a multiply-accumulate of the DPE, one for an element of
the SE.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtia.isa.chip import Chip
from mtia.isa.errors import UserError
from mtia.tools.prof_report import Launch

__all__ = ["ceilings", "check_output", "draw", "points", "slopes"]

_MARKS = {"DRAM": "o", "SRAM": "s", "local memory": "^"}
_COLOURS = {"DRAM": "tab:red", "SRAM": "tab:orange", "local memory": "tab:green"}
_SIZES = {"DRAM": 11, "SRAM": 7, "local memory": 8}
_SHAPE = 8.3, 5.2  # of the plot's field in inches
_BESIDE = 6  # launches whose names fit into the plot
_VECTOR_BITS = 32  # the element width that the vector ceiling is for


def check_output(path: str) -> None:
    """Refuse a plot that could not be written, before anything is run."""
    if Path(path).suffix not in (".svg", ".png"):
        raise UserError(f"--roofline {path}: the name must end in .svg or .png")
    _library()


def _library() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise UserError("--roofline needs matplotlib: pip install 'mtiac[plot]'") from None
    matplotlib.use("agg")
    import matplotlib.pyplot as plot

    return plot


def ceilings(chip: Chip) -> dict[str, float]:
    """Peak rates of the whole chip in operations a second, by what makes them."""
    found = {
        f"DPE {kind}": 2.0 * getattr(chip.dpe, kind) * chip.pes * chip.clock_hz
        for kind in ("fp8", "int8", "fp16", "bf16", "tf32")
    }
    found["SE"] = float(chip.se.elements_per_clk * chip.pes * chip.clock_hz)
    vectors = bin(chip.hart.vector_mask).count("1")
    found["vector fp32"] = 2.0 * vectors * chip.hart.vector_datapath_bits / _VECTOR_BITS * chip.pes * chip.clock_hz
    return {name: rate for name, rate in found.items() if rate}


def slopes(chip: Chip) -> dict[str, float]:
    """Bandwidths in bytes a second, by memory."""
    return {
        "DRAM": chip.dram_bytes_per_clk * chip.clock_hz,
        "SRAM": float(chip.sram.bytes_per_clk * chip.clock_hz),
        "local memory": float(chip.ls.bytes_per_clk * chip.pes * chip.clock_hz),
    }


def points(launch: Launch) -> tuple[float, dict[str, float]]:
    """Operations a second, and operations for each byte by memory, of a launch."""
    profile = launch.profile
    total, memory = profile.counters["total"]["units"], profile.counters["memory"]
    operations = 2.0 * total["dpe"]["work"] + total["se"]["work"]
    moved = {
        "DRAM": memory["dram_read_bytes"] + memory["dram_write_bytes"],
        "SRAM": memory["sram_read_bytes"] + memory["sram_write_bytes"],
        "local memory": int(profile.commands["bytes"].sum()),
    }
    seconds = max(profile.cycles, 1) / profile.chip.clock_hz
    return operations / seconds, {name: operations / size for name, size in moved.items() if size}


def draw(launches: Sequence[Launch], path: str) -> None:
    """Write the plot; the suffix chooses SVG or PNG."""
    plot = _library()
    chip = launches[0].profile.chip
    figure, axes = plot.subplots(figsize=(9, 6), constrained_layout=True)
    found = [(launch.name, *points(launch)) for launch in launches]
    intensities = [value for _, _, by_memory in found for value in by_memory.values() if value]
    roofs = list(ceilings(chip).values())
    left, right = min([0.1, *intensities]) / 2, max([max(roofs) / slopes(chip)["DRAM"], *intensities]) * 4
    low = min([*roofs, *(rate for _, rate, _ in found if rate)]) / 20
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(low, max(roofs) * 2))
    axes.set(xlabel="operations per byte", ylabel="operations per second", title=_title(launches))
    axes.grid(True, which="major", alpha=0.3)
    _draw_roofs(axes, chip, left, right, low)
    for number, (name, rate, by_memory) in enumerate(found):
        if rate:
            fill = f"C{number % 10}"
            for memory, intensity in by_memory.items():
                axes.plot(intensity, rate, _MARKS[memory], color=fill, ms=_SIZES[memory], mec=_COLOURS[memory], mew=2)
            axes.plot([], [], "o", color=fill, label=f"{name}: {_rate(rate, 'op/s')}")
    for memory, mark in _MARKS.items():
        axes.plot([], [], mark, color="white", mec=_COLOURS[memory], mew=2, label=f"per byte of {memory}")
    aside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if len(found) > _BESIDE else {"loc": "lower right"}
    axes.legend(fontsize=8, **aside)
    _save(figure, path)
    plot.close(figure)


def _draw_roofs(axes: Any, chip: Chip, left: float, right: float, low: float) -> None:
    """The slopes of the memories up to the highest ceiling, and the ceilings from the fastest memory on."""
    peak = max(ceilings(chip).values())
    width, height = (math.log10(end / start) for start, end in (axes.get_xlim(), axes.get_ylim()))
    angle = math.degrees(math.atan2(_SHAPE[1] / height, _SHAPE[0] / width))
    for name, bandwidth in slopes(chip).items():
        axes.plot([left, peak / bandwidth], [left * bandwidth, peak], color=_COLOURS[name], lw=1.5)
        start = max(left, low / bandwidth) * 1.3
        axes.text(start, start * bandwidth * 1.2, f"{name} {_rate(bandwidth, 'B/s')}", rotation=angle, fontsize=8,
                  rotation_mode="anchor", color=_COLOURS[name])  # fmt: skip
    fastest = max(slopes(chip).values())
    levels: dict[float, list[str]] = {}
    for name, rate in ceilings(chip).items():
        levels.setdefault(rate, []).append(name)
    for rate, names in levels.items():
        axes.plot([rate / fastest, right], [rate, rate], color="0.4", lw=1, ls="--")
        text = f"{', '.join(names)}  {_rate(rate, 'op/s')} "
        axes.annotate(text, (right, rate), ha="right", va="bottom", fontsize=8)


def _title(launches: Sequence[Launch]) -> str:
    chip = launches[0].profile.chip
    return f"{launches[0].name if len(launches) == 1 else f'{len(launches)} launches'} on {chip.name}"


def _rate(value: float, unit: str) -> str:
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def _save(figure: Any, path: str) -> None:
    """Write the file whole or not at all."""
    part = Path(path).with_name(f".{Path(path).name}.part{Path(path).suffix}")
    try:
        figure.savefig(part, dpi=150)
        os.replace(part, path)
    except OSError as problem:
        raise UserError(f"cannot write: {problem.strerror}", path) from None
    finally:
        part.unlink(missing_ok=True)
