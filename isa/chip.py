"""A chip: every number that compiler and machine need, read from one TOML file with the source of each number.

A file holds one table per section below; a number is `key = { value = 8, source = "ISCA25 §3.1" }`. The source is a
paper and section, `derived: …` (arithmetic from published numbers) or `defined: …` (chosen here, nothing is published).
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from mtia.isa.errors import UserError

__all__ = ["Chip", "known_chips", "load_chip"]

_TARGETS = Path(__file__).parent / "targets"
_POWERS_OF_TWO = (
    "noc.line_bytes", "noc.coalesce_lines", "sram.block_lines", "dram.page_bytes", "dram.interleave_bytes",
    "dram.banks",
)  # fmt: skip
_DPE_BYTES = {"fp16": 2, "bf16": 2, "int8": 1, "fp8": 1, "tf32": 4}  # of a value that the DPE takes


def _number(low: int, high: int) -> Any:
    """A dataclass field for one number and the range a chip file may give it."""
    return dataclasses.field(metadata={"low": low, "high": high})


def _latency() -> Any:
    return _number(1, 10_000)


def _rate() -> Any:
    """Work per clock; 0 means that the unit does not take this type or function."""
    return _number(0, 1 << 20)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The PE array."""

    rows: int = _number(1, 64)
    cols: int = _number(1, 64)


@dataclasses.dataclass(frozen=True)
class Hart:
    """The two RISC-V cores of a PE: latencies in clocks from issue to the use of the result."""

    count: int = _number(1, 2)
    vector_mask: int = _number(0, 3)  # bit n: hart n has the vector extension
    vlen_bits: int = _number(128, 512)
    vector_datapath_bits: int = _number(64, 2048)
    alu: int = _latency()
    mul: int = _latency()
    div: int = _latency()
    load: int = _latency()
    fp_add: int = _latency()
    fp_mul: int = _latency()
    fp_fma: int = _latency()
    fp_div: int = _latency()
    fp_sqrt: int = _latency()
    fp_cvt: int = _latency()
    fp_move: int = _latency()
    csr: int = _latency()
    branch_taken: int = _number(0, 100)  # clocks lost by a taken branch or jump
    v_alu: int = _latency()
    v_mul: int = _latency()
    v_fp: int = _latency()
    v_div: int = _latency()
    v_div_rate: int = _number(1, 64)  # clocks a datapath-wide group of a divide or square root occupies the unit
    v_reduce: int = _latency()
    v_permute: int = _latency()
    v_load: int = _latency()
    v_set: int = _latency()
    v_element_rate: int = _number(1, 64)  # elements a clock of strided and indexed vector memory accesses
    skew: int = _number(1, 10**6)  # clocks that one hart of a PE may run ahead of the other between its commands


@dataclasses.dataclass(frozen=True)
class LocalMemory:
    """The local memory (LS) of a PE."""

    bytes: int = _number(16 << 10, 16 << 20)
    bytes_per_clk: int = _number(1, 1 << 16)


@dataclasses.dataclass(frozen=True)
class Sram:
    """The shared on-chip memory: part hardware cache (LLC), part scratch (LLS)."""

    bytes: int = _number(1 << 20, 1 << 32)
    lls_bytes: int = _number(0, 1 << 32)
    granule_bytes: int = _number(1 << 16, 1 << 30)
    banks: int = _number(1, 1024)
    bytes_per_clk: int = _number(1, 1 << 20)
    latency: int = _latency()
    ways: int = _number(1, 64)
    block_lines: int = _number(1, 16)  # lines under one tag of the LLC
    drain_lines: int = _number(0, 1 << 16)  # a whole dirty block is written back while its channels hold fewer lines


@dataclasses.dataclass(frozen=True)
class Dram:
    """The off-chip memory."""

    bytes: int = _number(1 << 28, 1 << 42)
    bytes_per_second: int = _number(10**9, 10**15)
    efficiency_permille: int = _number(1, 1000)  # what ECC leaves of the peak rate
    channels: int = _number(1, 1024)
    latency: int = _latency()
    page_bytes: int = _number(64, 1 << 16)
    interleave_bytes: int = _number(32, 1 << 16)  # consecutive bytes in one channel
    banks: int = _number(1, 256)  # of a channel, each with one open row (page)
    row_miss: int = _number(0, 1000)  # clocks a bank needs to close a row and open another
    refresh_interval: int = _number(1, 10**6)  # clocks between two refreshes of a bank
    refresh: int = _number(0, 10_000)  # clocks that a bank is away for one
    write_lines: int = _number(1, 1024)  # lines that a channel collects before it writes
    turnaround: int = _number(0, 1000)  # clocks that a channel loses by turning to writes and back


@dataclasses.dataclass(frozen=True)
class Noc:
    """The network between PEs and memories."""

    kind: str = dataclasses.field(metadata={"choices": ("crossbar", "mesh")})
    base_latency: int = _number(0, 10_000)  # clocks one way, without hops
    hop_latency: int = _number(0, 100)
    link_bytes_per_clk: int = _number(1, 1 << 16)
    line_bytes: int = _number(32, 1024)
    cluster_rows: int = _number(1, 64)  # PEs of one router of a mesh; a crossbar has none
    cluster_cols: int = _number(1, 64)
    coalesce_window: int = _number(0, 1 << 20)  # clocks in which reads of one line by a row or column become one
    coalesce_lines: int = _number(1, 1 << 20)  # lines that a row or column remembers for it
    reduce_hop_latency: int = _latency()  # the PE-to-PE reduction network
    reduce_bytes_per_clk: int = _number(1, 1 << 16)


@dataclasses.dataclass(frozen=True)
class Fabric:
    """The fabric interface (FI): one DMA engine that reads and one that writes."""

    read_bytes_per_clk: int = _number(1, 1 << 16)
    write_bytes_per_clk: int = _number(1, 1 << 16)
    start: int = _number(0, 10_000)
    commands: int = _number(1, 256)  # commands in flight per engine
    read_lines: int = _number(1, 1 << 16)  # lines in flight
    write_lines: int = _number(1, 1 << 16)
    align_bytes: int = _number(1, 64)
    turn: int = _number(1, 10_000)  # clocks of requests that an engine sends before others have their turn


@dataclasses.dataclass(frozen=True)
class Command:
    """The command processor (CP)."""

    queue_depth: int = _number(1, 256)  # commands waiting per unit and hart
    window: int = _number(1, 63)  # commands of a queue that have been issued and are not yet complete, in order
    circular_buffers: int = _number(1, 16)
    usable_circular_buffers: int = _number(1, 16)
    issue: int = _number(1, 100)
    dispatch: int = _number(0, 1000)  # clocks from issue to the earliest start
    barrier: int = _latency()


@dataclasses.dataclass(frozen=True)
class Dpe:
    """The dot product engine: multiply-accumulates per clock by type."""

    start: int = _number(0, 10_000)
    tiles: int = _number(1, 64)
    tile: int = _number(1, 256)  # rows of a and columns of b in a tile, and the clocks it takes
    slice_bytes: int = _number(4, 256)  # bytes of k that one tile consumes at a time
    fp16: int = _rate()
    bf16: int = _rate()
    int8: int = _rate()
    fp8: int = _rate()
    tf32: int = _rate()


@dataclasses.dataclass(frozen=True)
class Reduction:
    """The reduction engine (RE): accumulators and what moves them."""

    start: int = _number(0, 10_000)
    bytes: int = _number(4 << 10, 16 << 20)
    elements_per_clk: int = _rate()


@dataclasses.dataclass(frozen=True)
class Simd:
    """The SIMD engine (SE)."""

    start: int = _number(0, 10_000)
    elements_per_clk: int = _rate()
    precise_factor: int = _number(1, 64)  # passes that a precise nonlinear function takes; a LUT form takes one
    reduce_rows: int = _number(1, 1 << 16)  # rows that one column reduction takes
    int8: int = _number(0, 1)  # quantisation to and from 8-bit integers; as plain integers they are always there
    fp8: int = _number(0, 1)
    stochastic: int = _number(0, 1)  # stochastic rounding


@dataclasses.dataclass(frozen=True)
class Layout:
    """The memory layout unit (MLU)."""

    start: int = _number(0, 10_000)
    bytes_per_clk: int = _rate()
    strided_bytes_per_clk: int = _rate()  # where source or destination columns are not contiguous


@dataclasses.dataclass(frozen=True)
class Launch:
    """What a launch costs before the first instruction, in clocks."""

    first: int = _number(0, 10**7)
    replace: int = _number(0, 10**7)


@dataclasses.dataclass(frozen=True)
class Chip:
    """One MTIA chip; `sources["grid.rows"]` says where a number comes from."""

    name: str
    arch: str
    clock_hz: int
    grid: Grid
    hart: Hart
    ls: LocalMemory
    sram: Sram
    dram: Dram
    noc: Noc
    fi: Fabric
    cp: Command
    dpe: Dpe
    re: Reduction
    se: Simd
    mlu: Layout
    launch: Launch
    sources: Mapping[str, str] = dataclasses.field(compare=False, repr=False, hash=False)

    @property
    def pes(self) -> int:
        """Number of PEs."""
        return self.grid.rows * self.grid.cols

    @property
    def llc_bytes(self) -> int:
        """The part of the shared SRAM that works as a cache."""
        return self.sram.bytes - self.sram.lls_bytes

    @property
    def dram_bytes_per_clk(self) -> float:
        """Usable DRAM bandwidth of the chip in bytes per clock, after ECC."""
        return self.dram.bytes_per_second * self.dram.efficiency_permille / 1000 / self.clock_hz

    def key(self) -> str:
        """A text that changes exactly when a number does (for caches)."""
        return repr(self)


def known_chips() -> list[str]:
    """Names of the chips that come with the package."""
    return sorted(path.stem for path in _TARGETS.glob("*.toml"))


def load_chip(name_or_path: str) -> Chip:
    """The chip of that name, or the one in the TOML file at that path; a UserError names the wrong key."""
    path = _TARGETS / f"{name_or_path}.toml"
    if "/" in name_or_path or not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(known_chips())
        raise UserError(f"unknown target '{name_or_path}'; known targets: {known} (or the path of a chip file)")
    state = path.stat()
    return _load(path, state.st_mtime_ns, state.st_size)


@functools.cache
def _load(path: Path, changed: int, size: int) -> Chip:
    """Read a chip file; the last two arguments tell versions of a user's file apart."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not a TOML file: {error}", str(path)) from error
    return _Reader(str(path)).chip(table)


class _Reader:
    """Turns a TOML table into a Chip and says which key is wrong."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sources: dict[str, str] = {}

    def error(self, message: str) -> UserError:
        return UserError(message, self.path)

    def chip(self, table: Mapping[str, Any]) -> Chip:
        types = get_type_hints(Chip)
        sections = {key: kind for key, kind in types.items() if dataclasses.is_dataclass(kind)}
        self.reject_unknown("", table, {*sections, "name", "arch", "clock_hz"})
        values: dict[str, Any] = {key: self.text(table, key) for key in ("name", "arch")}
        values["clock_hz"] = self.number("clock_hz", self.get(table, "clock_hz", ""), 10**6, 10**11)
        for key, kind in sections.items():
            section = self.get(table, key, "")
            if not isinstance(section, Mapping):
                raise self.error(f"'{key}' must be a table")
            values[key] = self.section(key, kind, section)
        chip = Chip(sources=self.sources, **values)
        self.check(chip)
        return chip

    def section(self, name: str, kind: Any, table: Mapping[str, Any]) -> Any:
        fields = dataclasses.fields(kind)
        self.reject_unknown(f"{name}.", table, {field.name for field in fields})
        values: dict[str, Any] = {}
        for field in fields:
            key = f"{name}.{field.name}"
            entry = self.get(table, field.name, f"{name}.")
            if "choices" in field.metadata:
                values[field.name] = self.choice(key, entry, field.metadata["choices"])
            else:
                values[field.name] = self.number(key, entry, field.metadata["low"], field.metadata["high"])
        return kind(**values)

    def get(self, table: Mapping[str, Any], key: str, prefix: str) -> Any:
        if key not in table:
            raise self.error(f"'{prefix}{key}' is missing")
        return table[key]

    def text(self, table: Mapping[str, Any], key: str) -> str:
        value = self.get(table, key, "")
        if not isinstance(value, str) or not value:
            raise self.error(f"'{key}' must be a non-empty text")
        return value

    def sourced(self, key: str, entry: Any) -> Any:
        """The value of `{ value = …, source = "…" }`, its source remembered."""
        if not isinstance(entry, Mapping) or set(entry) != {"value", "source"}:
            raise self.error(f"'{key}' must be {{ value = …, source = \"…\" }}")
        if not isinstance(entry["source"], str) or not entry["source"]:
            raise self.error(f"'{key}' needs a source: a section of a paper, 'derived: …' or 'defined: …'")
        self.sources[key] = entry["source"]
        return entry["value"]

    def number(self, key: str, entry: Any, low: int, high: int) -> int:
        value = self.sourced(key, entry)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(f"'{key}' is {value!r}; accepted: an integer from {low} to {high}")
        return value

    def choice(self, key: str, entry: Any, choices: tuple[str, ...]) -> str:
        value = self.sourced(key, entry)
        if value not in choices:
            raise self.error(f"'{key}' is {value!r}; accepted: {', '.join(choices)}")
        return str(value)

    def reject_unknown(self, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                raise self.error(f"unknown key '{prefix}{key}'; accepted: {', '.join(sorted(known))}")

    def check(self, chip: Chip) -> None:
        """Rules between numbers."""
        sram, cp = chip.sram, chip.cp
        if sram.lls_bytes > sram.bytes or sram.lls_bytes % sram.granule_bytes:
            raise self.error(
                f"'sram.lls_bytes' is {sram.lls_bytes}; accepted: a multiple of sram.granule_bytes "
                f"({sram.granule_bytes}) up to sram.bytes ({sram.bytes})"
            )
        if cp.usable_circular_buffers > cp.circular_buffers:
            raise self.error(
                f"'cp.usable_circular_buffers' is {cp.usable_circular_buffers}; accepted: up to "
                f"cp.circular_buffers ({cp.circular_buffers})"
            )
        for key in _POWERS_OF_TWO:
            value = getattr(getattr(chip, key.partition(".")[0]), key.partition(".")[2])
            if value & (value - 1):
                raise self.error(f"'{key}' is {value}; accepted: a power of two")
        if not chip.noc.line_bytes <= chip.dram.interleave_bytes <= chip.dram.page_bytes:
            raise self.error(
                f"'dram.interleave_bytes' is {chip.dram.interleave_bytes}; accepted: from noc.line_bytes "
                f"({chip.noc.line_bytes}) to dram.page_bytes ({chip.dram.page_bytes})"
            )
        self.check_dpe(chip.dpe)

    def check_dpe(self, dpe: Dpe) -> None:
        """A tile takes `tile` rows, `tile` columns and a slice of k in `tile` clocks: that is the rate of a type."""
        for name, size in _DPE_BYTES.items():
            rate, whole = getattr(dpe, name), dpe.tiles * dpe.tile * dpe.slice_bytes
            if rate and rate * size != whole:
                raise self.error(
                    f"'dpe.{name}' is {rate}; accepted: 0 (not supported) or tiles x tile x slice_bytes / bytes of a "
                    f"value = {dpe.tiles} x {dpe.tile} x {dpe.slice_bytes} / {size} = {whole / size:g}"
                )
