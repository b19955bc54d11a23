"""Launching a program on a device: the work descriptor, the run, and what came of it."""

from __future__ import annotations

import contextlib
import functools
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError
from mtia.isa.xmtia.codes import Info
from mtia.runtime import counters, elf, profile, trace
from mtia.runtime.checks import DeviceRead, checks_of
from mtia.runtime.device import Buffer, Device
from mtia.runtime.elf import Program
from mtia.runtime.faults import MachineTrap, Trap, device_reads, trap_of
from mtia.runtime.machine import hart_program
from mtia.runtime.machine.host import Host
from mtia.runtime.machine.library import decoded
from mtia.runtime.machine.memory import LS_BASE
from mtia.runtime.machine.state import ENDED, STOPPED
from mtia.runtime.messages import Messages, asserted
from mtia.runtime.profile import Observer

__all__ = ["Argument", "LaunchResult", "launch"]

Argument = Buffer | int | float | np.generic

STACK = 8192  # bytes per hart, at the top of local memory (design, section 4)
ARGUMENTS = 32  # offset of the arguments in the launch block
_FLOATS: dict[str, Any] = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16, "fp32": np.float32, "fp64": np.float64}
DEFAULT_LIMIT = 20_000_000_000  # cycles


@dataclass(frozen=True)
class LaunchResult:
    """What a launch did: clocks from the doorbell to the end, what was counted, and a trap or None.

    `device_reads` are reads of device memory that nothing had written, and of padding, by buffer (check `buffers`).
    """

    chip: Chip
    cycles: int
    counted: counters.Snapshot = field(repr=False)
    trap: Trap | None
    launch_cycles: int = 0  # of them before the first instruction
    device_reads: tuple[DeviceRead, ...] = ()

    @property
    def time_us(self) -> float:
        """Simulated microseconds."""
        return self.cycles / self.chip.clock_hz * 1e6

    @functools.cached_property
    def counters(self) -> dict[str, Any]:
        """Counters by PE and unit, with totals: see `counters.Snapshot.table`."""
        return self.counted.table()

    def check(self) -> LaunchResult:
        """Return the result, or raise `MachineTrap`."""
        if self.trap is not None:
            raise MachineTrap(self.trap)
        return self


def launch(
    device: Device,
    program: Program | bytes | str | Path,
    grid: Sequence[int],
    args: Sequence[Argument],
    *,
    cores: int | None = None,
    state: str = "cold",
    start: str = "first",
    interpreter: str = "fast",
    limit: int | None = None,
    trace_file: str | Path | None = None,
    strict: bool | Iterable[str] = True,
    values: bool = True,
    observer: Observer | None = None,
) -> LaunchResult:
    """Run a program over a grid on all PEs of the device.

    `cores` is the number of harts per PE (default: what the program was made for). `state` is `cold` (empty LLC; dirty
    lines are written back inside the timed region) or `llc` (buffers given as arguments are resident). `start` is
    `first` (the device is idle) or `replace` (behind another launch, which hid the fetch of the work descriptor).
    `limit` is the number of cycles after which a runaway program is stopped. `strict` says which of the checks
    of `checks.CHECKS` are on: all, none, or those named. Without `values` only time passes, in the same cycles:
    nothing is computed or moved, and a program whose control or addresses depend on such data is stopped with
    `DEPENDS`. An `observer` (such as `profile.Recorder`) follows the run; a `trace_file` is written by one. Neither
    changes a cycle.
    """
    if not isinstance(program, Program):
        program = elf.load(program)
    shape = _grid(grid)
    words = encode_arguments(program, args)
    made_for = program.metadata.get("chip") or device.chip.name
    if made_for != device.chip.name:
        raise UserError(f"{program.kernel} was compiled for {made_for}, the device is {device.chip.name}")
    if state not in ("cold", "llc"):
        raise UserError(f"unknown memory state '{state}'; accepted: cold, llc")
    if start not in ("first", "replace"):
        raise UserError(f"unknown start '{start}'; accepted: first, replace")
    if start == "replace" and not device.launched:
        raise UserError("a launch can replace only a launch before it on the same device")
    harts = cores if cores is not None else program.cores
    if not 1 <= harts <= device.chip.hart.count:
        raise UserError(f"cores must be 1 to {device.chip.hart.count}, not {harts}")
    messages = Messages(device, program.metadata["messages"]) if "messages" in program.metadata else None
    if messages is not None:
        words.append(messages.buffer.address)
    with _scratch(device, program, math.prod(shape), harts) as scratch:
        host = device.machine(interpreter)
        host.reset()
        checks = checks_of(strict)
        host.strict("unwritten" in checks, "races" in checks)
        host.areas(device.areas(host) if "buffers" in checks else None)
        host.without_values(not values)
        host.machine.limit = limit or DEFAULT_LIMIT
        host.record(0)
        if trace_file and observer is None:
            observer = profile.Recorder(lines=False)
        if state == "llc":
            for argument in args:
                if isinstance(argument, Buffer):
                    host.engine.call("warm_llc", host.machine, argument.address, argument.size)
        begin = device.chip.launch.first if start == "first" else device.chip.launch.replace
        _start(host, interpreter, program, shape, words + scratch, harts, begin)
        device.launched = True
        if observer is not None:
            observer.begin(host, program, interpreter, harts)
        ended = host.engine.run("run_machine", host.machine)
        while ended == STOPPED:
            if observer is None or not observer.resume():
                raise KeyboardInterrupt
            ended = host.engine.run("run_machine", host.machine)
        trap = None if ended == ENDED else trap_of(ended, host, program)
        if messages is not None:
            lines, failed, place = messages.read()
            if lines:
                print("\n".join(lines), flush=True)
            trap = asserted(trap, failed, place)
        cycles = int(host.machine.time)
        if state == "cold" and trap is None:
            cycles = max(cycles, int(host.engine.call("flush_llc", host.machine, cycles)))
        reads = device_reads(host, program) if "buffers" in checks else ()
        result = LaunchResult(device.chip, cycles, counters.Snapshot.of(host, cycles), trap, begin, reads)
        if observer is not None:
            observer.end(result)
        if trace_file and isinstance(observer, profile.Recorder):
            trace.write(observer.profile, trace_file)
        return result


@contextlib.contextmanager
def _scratch(device: Device, program: Program, programs: int, harts: int) -> Iterator[list[int]]:
    """Device memory for what a program spills, a part for each hart that runs programs: the addresses."""
    count = min(device.chip.pes, programs) * harts
    buffers: list[Buffer] = []
    try:
        for size in program.scratch:
            buffers.append(device.alloc(size * count))
        yield [buffer.address for buffer in buffers]
    finally:
        for buffer in buffers:
            device.free(buffer)


def _grid(grid: Sequence[int]) -> tuple[int, int, int]:
    if not 1 <= len(grid) <= 3 or any(size < 1 for size in grid):
        raise UserError(f"the grid must be one to three positive sizes, not {tuple(grid)}")
    x, y, z = (*grid, 1, 1)[:3]
    if x * y * z >= 1 << 31:
        raise UserError(f"the grid {tuple(grid)} has too many programs")
    return int(x), int(y), int(z)


def encode_arguments(program: Program, args: Sequence[Argument]) -> list[int]:
    """The launch block's 64-bit words of the arguments."""
    kinds = program.arguments
    if len(kinds) != len(args):
        raise UserError(f"{program.kernel} takes {len(kinds)} arguments ({', '.join(kinds)}), {len(args)} given")
    return [_encode(kind, value, number) for number, (kind, value) in enumerate(zip(kinds, args, strict=True))]


def _encode(kind: str, value: Argument, number: int) -> int:
    if isinstance(value, Buffer):
        if not kind.startswith("*"):
            raise UserError(f"argument {number} is a {kind}, not a buffer")
        return value.address
    if kind in _FLOATS:
        raw = np.asarray(value).astype(_FLOATS[kind])
        return int.from_bytes(raw.tobytes(), "little")
    number_value = int(value)
    if number_value != value:
        raise UserError(f"argument {number} is a {kind}, not {value!r}")
    width = int(kind.lstrip("iu")) if kind.lstrip("iu").isdigit() else 64
    if not -(1 << width - 1) <= number_value < 1 << width:
        raise UserError(f"argument {number} is a {kind}, {number_value} does not fit")
    return number_value & (1 << 64) - 1


@functools.lru_cache(maxsize=64)
def _decoded(text: bytes, base: int, chip: Chip, interpreter: str, vector: bool) -> hart_program.Program:
    return decoded(text, base, chip, interpreter, vector)


def _start(
    host: Host,
    interpreter: str,
    program: Program,
    grid: tuple[int, int, int],
    words: list[int],
    cores: int,
    begin: int,
) -> None:
    """Do the work queue engine's part: local memory images, launch blocks, registers of every hart."""
    chip = host.chip
    programs = grid[0] * grid[1] * grid[2]
    pes = min(chip.pes, programs)
    block = struct.pack("<6I", *grid, programs, pes, 0).ljust(ARGUMENTS, b"\0")
    block += struct.pack(f"<{len(words)}Q", *words)
    images = [(0, block), *program.images]
    for offset, data in images:
        if offset + len(data) > chip.ls.bytes - cores * STACK:
            raise UserError(f"the program's data ends at {offset + len(data):#x}, past local memory of {chip.name}")
    for offset, data in images:
        host.write_ls(pes, offset, data)
    _info(host.configured["info"][:pes], chip, pes, cores)
    for core in range(cores):
        vector = bool(chip.hart.vector_mask >> core & 1)
        code = _decoded(program.text, program.text_base, chip, interpreter, vector)
        if host.machine.skip and any("ff." in name for name in code.handlers):
            raise UserError("a program with fault-only-first loads cannot run without values: they choose vl")
        host.pes["harts"]["code"][:pes, core] = code.addr
        h = host.registers[:pes, core]
        h["pc"], h["rank"], h["exact"] = program.entry, np.arange(pes), int(code.exact)
        x = h["x"]
        x[:, 2] = LS_BASE + chip.ls.bytes - core * STACK
        x[:, 10], x[:, 11], x[:, 12], x[:, 13] = LS_BASE, np.arange(pes), core, cores
    host.engine.call("start_harts", host.machine, pes, cores, begin)


def _info(info: np.ndarray[Any, Any], chip: Chip, pes: int, cores: int) -> None:
    """What `xm.rdinfo` reads; the launch's rectangle is the whole grid. `info` is by PE, hart and item."""
    rank = np.arange(pes)[:, None]
    values: dict[Info, Any] = {
        Info.RANK: rank, Info.CORE: np.arange(info.shape[1]), Info.PES: pes, Info.CORES: cores,
        Info.ROW: rank // chip.grid.cols, Info.COL: rank % chip.grid.cols,
        Info.ROWS: chip.grid.rows, Info.COLS: chip.grid.cols,
    }  # fmt: skip
    for key, value in values.items():
        info[:, :, int(key)] = value
