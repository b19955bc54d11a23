"""`mtiac bench published`: what Meta has published beside the same work on the machine.

A published bound (`> 92 %`) is met by anything beyond it, a published value by itself; the error is the distance in
percent of the published number. Rows marked `input` only confirm that the machine reaches a rate its chip file was
given; the others are results that no number of the chip file states. Nothing is tuned to make a row come true.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError
from mtia.tools.bench import rates
from mtia.tools.bench.common import Row
from mtia.tools.bench.kernels import Problem, add, gemm, layer_norm_row, measure, softmax

__all__ = ["CLAIMS", "Claim", "page", "rows"]

_ECC = {"mtia200": "takes 12.5 %", "mtia300": "beside the data"}
_BLOCKS = {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 64}
_WIDE = {**_BLOCKS, "BLOCK_SIZE_M": 128}
_TALL = {"BLOCK_SIZE_M": 256, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 2}
_SLOW_HZ = 1_100_000_000  # the clock that MTIA 200 was designed for (ISCA25 §5.2)


@dataclass(frozen=True)
class Claim:
    """A published number and what makes the same on the machine.

    `least` and `most` bound what agrees with the publication, in `unit`; `clock_hz` 0 is the chip's own.
    """

    what: str
    chip: str
    published: str
    least: float
    most: float
    unit: str
    source: str
    run: Callable[[Chip], float]
    given: bool = False  # the chip file was made from this number
    clock_hz: int = 0
    why: str = ""  # the reason of a gap

    def error(self, simulated: float) -> float:
        """Percent by which a value misses the published range."""
        if simulated < self.least:
            return 100.0 * (self.least - simulated) / self.least
        return 100.0 * max(simulated - self.most, 0.0) / self.most


def at_clock(chip: Chip, hz: int) -> Chip:
    """The chip at another clock: what takes a time (DRAM, launch) takes other clocks, rates of DRAM stay in seconds."""
    if not hz or hz == chip.clock_hz:
        return chip

    def scaled(part: Any, *names: str) -> Any:
        return dataclasses.replace(part, **{name: round(getattr(part, name) * hz / chip.clock_hz) for name in names})

    dram = scaled(chip.dram, "latency", "row_miss", "refresh_interval", "refresh", "turnaround")
    return dataclasses.replace(chip, clock_hz=hz, dram=dram, launch=scaled(chip.launch, "first", "replace"))


def _percent(problem: Callable[[], Problem], state: str, constants: Mapping[str, Any]) -> Callable[[Chip], float]:
    return lambda chip: float(measure(problem(), chip, state, constants)["percent"])


def _microseconds(problem: Callable[[], Problem], state: str, configs: Sequence[Mapping[str, Any]]) -> Any:
    """The fastest of some configurations."""

    def run(chip: Chip) -> float:
        cycles = min(int(measure(problem(), chip, state, config)["cycles"]) for config in configs)
        return float(cycles / chip.clock_hz * 1e6)

    return run


@cache
def _int8(chip: Chip) -> tuple[float, float, float]:
    """Microseconds of the fp16 product, the INT8 product and the quantisation of its left operand, 2048 cubed."""
    from mtia.tools.bench import quantized

    plain = _microseconds(lambda: gemm(2048, 2048, 2048), "llc", [_BLOCKS, _WIDE])(chip)
    return plain, quantized.product_us(chip, 2048), quantized.rows_us(chip, 2048, measured=True)


def _quantise(size: int) -> Callable[[Chip], float]:
    def run(chip: Chip) -> float:
        from mtia.tools.bench import quantized

        return quantized.rows_us(chip, size, measured=False)

    return run


def _faster(chip: Chip) -> float:
    """Percent by which kernels gain from 1.1 to 1.35 GHz, the geometric mean of five."""
    slow = at_clock(chip, _SLOW_HZ)
    work: tuple[tuple[Callable[[], Problem], str, Mapping[str, Any]], ...] = (
        (lambda: gemm(1024, 1024, 1024), "llc", _BLOCKS),
        (lambda: gemm(512, 4096, 1024), "cold", _BLOCKS),
        (lambda: softmax(4096, 2048), "cold", {}),
        (lambda: layer_norm_row(4096, 2048), "llc", {}),
        (lambda: add(1 << 22, "fp16"), "cold", {}),
    )
    gains = []
    for problem, state, constants in work:
        before, after = (measure(problem(), at, state, constants)["cycles"] / at.clock_hz for at in (slow, chip))
        gains.append(before / after)
    return float(100.0 * (math.prod(gains) ** (1 / len(gains)) - 1.0))


def _tera(rate: Callable[..., float], *what: Any) -> Callable[[Chip], float]:
    return lambda chip: rate(chip, *what) / 1e12


Run = Callable[[Chip], float]


def _value(what: str, chip: str, value: float, unit: str, source: str, run: Run, **more: Any) -> Claim:
    """A claim of one published value."""
    return Claim(what, chip, f"{value:g} {unit}", value, value, unit, source, run, **more)


def _bound(what: str, chip: str, least: float, unit: str, source: str, run: Run, **more: Any) -> Claim:
    """A claim of a lower bound."""
    return Claim(what, chip, f"> {least:g} {unit}", least, math.inf, unit, source, run, **more)


_SIMD_300 = "128 elements a clock and PE, which the same paper states, give 35.0; the table's 42.5 does not follow"
_VECTOR_300 = "two 64 B units a PE, one operation a lane and clock, give 4.4; the table does not say what it counts"
_MTIA200: tuple[Claim, ...] = (
    _value("matrix engines, fp16", "mtia200", 177, "TFLOPS", "ISCA25 T2", _tera(rates.matrix_rate, "fp16"), given=True),
    _value("matrix engines, int8", "mtia200", 354, "TOPS", "ISCA25 T2", _tera(rates.matrix_rate, "int8"), given=True),
    _value("matrix engine of one PE, fp16", "mtia200", 2.76, "TFLOPS", "ISCA25 §3.2",
           _tera(rates.matrix_rate, "fp16", 1)),
    _value("SIMD engines, fp16", "mtia200", 5.5, "TFLOPS", "ISCA25 T2", _tera(rates.simd_rate, "fp16"), given=True),
    _value("SIMD engines, fp32", "mtia200", 5.5, "TFLOPS", "ISCA25 T2", _tera(rates.simd_rate, "fp32"), given=True),
    _value("vector units, int8", "mtia200", 5.5, "TOPS", "ISCA25 T2", _tera(rates.vector_rate, "int8")),
    _value("vector units, fp16", "mtia200", 2.8, "TFLOPS", "ISCA25 T2", _tera(rates.vector_rate, "fp16")),
    _value("vector units, fp32", "mtia200", 1.4, "TFLOPS", "ISCA25 T2", _tera(rates.vector_rate, "fp32")),
    _value("fp16 product : fp32 SIMD", "mtia200", 32, ": 1", "ISCA25 §3.2",
           lambda chip: rates.matrix_rate(chip, "fp16") / rates.simd_rate(chip, "fp32")),
    _value("SIMD engine : vector unit, fp32", "mtia200", 4, ": 1", "ISCA25 §3.2",
           lambda chip: rates.simd_rate(chip, "fp32") / rates.vector_rate(chip, "fp32")),
    _value("SRAM, reads of all PEs", "mtia200", 2.7, "TB/s", "ISCA25 T2", _tera(rates.dma_bytes, "llc"), given=True),
    Claim("DRAM, reads of all PEs", "mtia200", "204.8 GB/s less 10-15 % for ECC", 174.1, 184.3, "GB/s",
          "ISCA25 T2, §5.1", lambda chip: rates.dma_bytes(chip, "dram") / 1e9, given=True),
    _bound("GEMM 2048x2048x2048 fp16", "mtia200", 92, "% of peak", "ISCA25 §3.3",
           _percent(lambda: gemm(2048, 2048, 2048), "llc", _BLOCKS)),
    _bound("GEMM 4096x2048x4096 fp16, operands in SRAM", "mtia200", 93, "% of peak", "ISCA25 §4.2",
           _percent(lambda: gemm(4096, 2048, 4096), "llc", _BLOCKS)),
    _bound("GEMM 512x26592x2048 fp16, weights in DRAM", "mtia200", 95, "% of DRAM", "ISCA25 §4.2",
           _percent(lambda: gemm(512, 26592, 2048), "cold", _TALL),
           why="theirs preloads activations and prefetches weights into SRAM; this is the stock Triton matmul, with "
               "the write-back of the result inside the timed region"),
    _value("INT8 against fp16, product of 2048x2048x2048", "mtia200", 2, "x", "ISCA25 §4.4",
           lambda chip: _int8(chip)[0] / _int8(chip)[1]),
    _value("the same with quantisation and scaling", "mtia200", 1.6, "x", "ISCA25 §4.4",
           lambda chip: _int8(chip)[0] / (_int8(chip)[1] + _int8(chip)[2])),
    _value("GEMM 2048x2048x2048 fp16", "mtia200", 127.8, "us", "FBG 44fc10a3c",
           _microseconds(lambda: gemm(2048, 2048, 2048), "llc", [_BLOCKS, _WIDE]), clock_hz=_SLOW_HZ,
           why="chip and clock are not named; 93 % of the peak at 1.1 GHz"),
    _value("GEMM 1024x1024x1024 fp16", "mtia200", 20.3, "us", "FBG 44fc10a3c",
           _microseconds(lambda: gemm(1024, 1024, 1024), "llc", [_BLOCKS, _WIDE]), clock_hz=_SLOW_HZ,
           why="chip and clock are not named"),
    _value("quantisation of 1024x1024 fp16 to INT8", "mtia200", 5.1, "us", "FBG 44fc10a3c", _quantise(1024),
           clock_hz=_SLOW_HZ, why="chip, clock and where the operands lie are not named; here they lie in SRAM"),
    _value("quantisation of 2048x2048 fp16 to INT8", "mtia200", 9.6, "us", "FBG 44fc10a3c", _quantise(2048),
           clock_hz=_SLOW_HZ, why="chip, clock and where the operands lie are not named; here they lie in SRAM"),
    Claim("kernels at 1.35 instead of 1.1 GHz", "mtia200", "5-20 % faster", 5, 20, "%", "ISCA25 §5.2", _faster,
          why="theirs are whole models, these five kernels"),
    Claim("launch", "mtia200", "< 1 us", 0, 1, "us", "ISCA25 §3.3", lambda chip: rates.launch_us(chip)[0], given=True),
    Claim("launch that replaces another", "mtia200", "< 0.5 us", 0, 0.5, "us", "ISCA25 §3.3",
          lambda chip: rates.launch_us(chip)[1], given=True),
)  # fmt: skip
_MTIA300: tuple[Claim, ...] = (
    _value("matrix engines, bf16", "mtia300", 560, "TFLOPS", "ISCA26 T1", _tera(rates.matrix_rate, "bf16"), given=True),
    _value("matrix engines, fp8", "mtia300", 1120, "TFLOPS", "ISCA26 T1", _tera(rates.matrix_rate, "fp8"), given=True),
    _value("matrix engine of one PE, bf16", "mtia300", 7.82, "TFLOPS", "ISCA26 §II-C",
           _tera(rates.matrix_rate, "bf16", 1), why="560 TFLOPS over 72 PEs are 7.78; the paper prints 7.82"),
    _value("bf16 product : SIMD", "mtia300", 16, ": 1", "ISCA26 §II-C",
           lambda chip: rates.matrix_rate(chip, "bf16") / rates.simd_rate(chip, "fp32"),
           why="a SIMD command pays its start"),
    _value("SIMD engines, fp32", "mtia300", 42.5, "TFLOPS", "ISCA26 T1", _tera(rates.simd_rate, "fp32"), why=_SIMD_300),
    _value("vector units, fp32", "mtia300", 21.3, "TFLOPS", "ISCA26 T1", _tera(rates.vector_rate, "fp32"),
           why=_VECTOR_300),
    _value("SRAM, reads of all PEs", "mtia300", 11.4, "TB/s", "ISCA26 T1", _tera(rates.dma_bytes, "llc"), given=True),
    _value("HBM, reads of all PEs", "mtia300", 6.1, "TB/s", "ISCA26 T1", _tera(rates.dma_bytes, "dram"), given=True),
    _value("bf16 add of 64 Mi elements", "mtia300", 91, "% of HBM", "ISCA26 §V-A",
           _percent(lambda: add(64 << 20), "cold", {"BLOCK_SIZE": 4096})),
    _bound("GEMM 4096x4096x4096 bf16, > 400 operations a byte", "mtia300", 90, "% of peak", "ISCA26 §V-A",
           _percent(lambda: gemm(4096, 4096, 4096, "bf16"), "cold", _WIDE)),
)  # fmt: skip
CLAIMS = _MTIA200 + _MTIA300


def rows(target: str = "", only: str = "", repeats: int = 1) -> Iterator[Row]:
    """One row for each claim, one run each: simulated cycles do not vary."""
    for claim in CLAIMS:
        if target not in claim.chip or only not in claim.what:
            continue
        chip = at_clock(load_chip(claim.chip), claim.clock_hz)
        simulated = claim.run(chip)
        error = claim.error(simulated)
        yield {
            "what": claim.what, "chip": claim.chip, "clock": f"{chip.clock_hz / 1e9:g} GHz", "ecc": _ECC[claim.chip],
            "published": claim.published, "simulated": f"{simulated:.4g} {claim.unit}",
            "error_percent": round(error, 1), "kind": "input" if claim.given else "result",
            "source": claim.source, "why": claim.why,
            "ok": error <= 25.0 or bool(claim.why),
        }  # fmt: skip


_START, _END = "<!-- mtiac bench published: begin -->", "<!-- end -->"


def page(text: str, found: Sequence[Row]) -> str:
    """A page with its table, between two marks, made anew from rows."""
    before, start, rest = text.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise UserError(f"the page has no place for the table: it needs the lines {_START} and {_END}")
    columns = ("what", "chip", "clock", "ecc", "published", "simulated", "error_percent", "kind", "source")
    titles = "| work | chip | clock | ECC | published | simulated | error, % | kind | source |"
    lines = ["", titles, "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[name]) for name in columns) + " |" for row in found]
    lines += ["", _mean(found, "all"), _mean(found, "result"), "", "Reasons:", ""]
    lines += [f"* {row['what']} ({row['chip']}): {row['why']}." for row in found if row["why"] and row["error_percent"]]
    return "\n".join([before + start, *lines, end + after])


def _mean(found: Sequence[Row], kind: str) -> str:
    errors = [float(row["error_percent"]) for row in found if kind in ("all", row["kind"])]
    of = "all rows" if kind == "all" else "rows that are results"
    return f"Mean error of {of} ({len(errors)}): {sum(errors) / max(len(errors), 1):.1f} %.  "


def write(file: Path, found: Sequence[Row]) -> None:
    """Put the table into a page."""
    file.write_text(page(file.read_text(encoding="utf-8"), found), encoding="utf-8")
