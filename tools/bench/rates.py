"""Rates that the machine reaches in hand-written programs: matrix engine, SIMD engine, vector unit, SRAM, DRAM, launch.

Each program repeats one thing on every PE, twice as often in a second launch: the rate is that of the difference, so
that starts and ends do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import DType

__all__ = ["dma_bytes", "launch_us", "matrix_rate", "simd_rate", "vector_rate"]

_TYPES = {
    "fp16": DType.F16, "bf16": DType.BF16, "fp32": DType.F32, "int8": DType.I8, "fp8": DType.E4M3, "tf32": DType.TF32,
}  # fmt: skip
_ARGUMENTS = 32  # offset of the arguments in the launch block
_BASE = 0x2000  # first byte of local memory that is not the launch block's


def _load(register: str, *parts: tuple[int, int]) -> str:
    """Set a register to fields ORed together: (value, place of its lowest bit)."""
    return f"li {register}, {sum(value << place for value, place in parts):#x}"


def _buffer(cb: int, base: int, slot_bytes: int, slots: int = 1, space: int = 0) -> list[str]:
    place, shape = _load("t0", (base, 0), (space, 32)), _load("t1", (slot_bytes, 0), (slots, 32))
    return [place, shape, f"xm.cb.init cb{cb}, t0, t1"]


def _tile(td: int, cb: int, rows: int, cols: int, dtype: DType) -> list[str]:
    """A tile register on the write side of a buffer, rows one after the other."""
    return [
        _load("t0", (cb, 0), (1, 8), (int(dtype), 16)), f"xm.td.local td{td}, t0, zero",
        _load("t0", (rows, 0), (cols, 32)), _load("t1", (cols * dtype.bytes, 0), (dtype.bytes, 32)),
        f"xm.td.shape td{td}, t0, t1",
    ]  # fmt: skip


def _one(td: int, dtype: DType) -> list[str]:
    """An immediate tile register that holds 0."""
    return ["li t0, 0", _load("t1", (int(dtype), 0)), f"xm.td.imm td{td}, t0, t1"]


def _program(setup: Sequence[str], body: Sequence[str], times: int, core: int = 0) -> str:
    """A program whose `core` runs `body` so many times after `setup`; other cores end at once."""
    text = [".globl _start_rate", "_start_rate:", f"li t0, {core}", "bne a2, t0, done", *setup]
    text += ["li t0, 0", "xm.wait t0", f"li s1, {times}", "again:", *body, "addi s1, s1, -1", "bnez s1, again"]
    return "\n".join([*text, "li t0, 0", "xm.wait t0", "done:", "xm.exit", ""])


def _cycles(
    chip: Chip, text: str, arguments: Sequence[Any] = (), pes: int = 0, cores: int = 1, device: Any = None, **more: Any
) -> Any:
    """Launch a program on `pes` PEs (all, if 0) with the memory cold; returns the result."""
    from mtia.compiler.backend.assembled import assemble_program
    from mtia.runtime import elf
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    kinds = ["*fp32" for _ in arguments]
    program = elf.load(assemble_program(text, "rate.s", kinds, None, cores))
    return launch(device or Device(chip), program, (pes or chip.pes,), arguments, cores=cores, **more).check()


def _clocks(chip: Chip, setup: Sequence[str], body: Sequence[str], times: int, core: int = 0, pes: int = 0) -> float:
    """Clocks for `times` repetitions of `body`."""
    texts = [_program(setup, body, count, core) for count in (times, 2 * times)]
    took = [_cycles(chip, text, pes=pes, cores=core + 1).cycles for text in texts]
    return float(took[1] - took[0])


def matrix_rate(chip: Chip, dtype: str, pes: int = 0) -> float:
    """Multiply-adds a second, times two, of products of 128 x 128 x 128 in local memory."""
    kind, size, times = _TYPES[dtype], 128, 64
    bytes_ = size * size * kind.bytes
    setup = [*_buffer(0, _BASE, bytes_), *_buffer(1, _BASE + bytes_, bytes_), *_buffer(2, 0, size * size * 4, space=1)]
    wide = DType.I32 if dtype == "int8" else DType.F32
    setup += [*_tile(0, 0, size, size, kind), *_tile(1, 1, size, size, kind), *_tile(2, 2, size, size, wide)]
    setup += [*_one(3, kind), "xm.mlu.fill td0, td3", "xm.mlu.fill td1, td3", "xm.re.zero td2"]
    clocks = _clocks(chip, setup, ["xm.dpe.mma td2, td0, td1"], times, pes=pes)
    return 2.0 * size**3 * times * (pes or chip.pes) * chip.clock_hz / clocks


def simd_rate(chip: Chip, dtype: str) -> float:
    """Operations a second of the SIMD engines: a fused multiply-add on each element counts two."""
    kind, rows, cols, times = _TYPES[dtype], 128, 256, 32
    bytes_ = rows * cols * kind.bytes
    setup = [*_buffer(0, _BASE, bytes_), *_buffer(1, _BASE + bytes_, bytes_)]
    setup += [*_tile(0, 0, rows, cols, kind), *_tile(1, 1, rows, cols, kind), *_one(2, kind), "xm.mlu.fill td0, td2"]
    clocks = _clocks(chip, setup, ["xm.se.fma td1, td0, td2, td2"], times)
    return 2.0 * rows * cols * times * chip.pes * chip.clock_hz / clocks


def vector_rate(chip: Chip, dtype: str) -> float:
    """Operations a second of the vector units of all harts that have one; an operation on a lane counts one."""
    bits = {"int8": 8, "fp16": 16, "fp32": 32}[dtype]
    name = "vadd.vv" if dtype == "int8" else "vfadd.vv"
    core = chip.hart.vector_mask.bit_length() - 1
    body = [f"{name} v{8 * (n % 3 + 1)}, v0, v0" for n in range(30)]
    setup = [f"vsetvli t0, zero, e{bits}, m8, ta, ma", "vmv.v.i v0, 0"]
    clocks = _clocks(chip, setup, body, 64, core)
    elements = 8 * chip.hart.vlen_bits // bits * len(body) * 64
    return float(elements * chip.pes * chip.hart.vector_mask.bit_count() * chip.clock_hz / clocks)


def dma_bytes(chip: Chip, where: str) -> float:
    """Bytes a second that all PEs together read, in tiles of 16 KiB from `llc` or `dram`."""
    from mtia.runtime.device import Device

    tile, slots, tiles = 16384, 4, 32 if where == "llc" else 128
    device = Device(chip)
    buffers = [device.alloc(2 * tiles * tile * chip.pes)]
    level, state = ("sram", "llc") if where == "llc" else ("dram", "cold")

    def once(count: int) -> tuple[int, int]:
        result = _cycles(chip, _stream(tile, slots, count), buffers, device=device, state=state)
        memory = result.counters["memory"]
        return result.cycles, memory[f"{level}_read_bytes"]

    first, second = once(tiles), once(2 * tiles)
    return (second[1] - first[1]) * chip.clock_hz / (second[0] - first[0])


def _stream(tile: int, slots: int, tiles: int) -> str:
    """A PE reads its own tiles one after the other."""
    text = [".globl _start_rate", "_start_rate:", *_buffer(0, _BASE, tile, slots)]
    text += _tile(0, 0, 1, tile // 4, DType.F32)
    text += [
        f"li s1, {tiles}", f"ld t2, {_ARGUMENTS}(a0)", f"li t3, {tile * tiles}", "mul t3, t3, a1", "add t2, t2, t3",
        f"li t1, {int(DType.F32) | 1 << 8}", "xm.gd.base td1, t2, t1", f"li t0, {tile // 4}", "li t1, 4",
        "xm.gd.dim td1, t0, t1, 0", f"li t0, {tile}", "xm.td.inc td1, t0",
        "again:", "xm.dma.in td0, td1", "xm.cb.next cb0", "addi s1, s1, -1", "bnez s1, again",
    ]  # fmt: skip
    return "\n".join([*text, "li t0, 0", "xm.wait t0", "xm.exit", ""])


def launch_us(chip: Chip) -> tuple[float, float]:
    """Simulated microseconds of a launch on every PE whose program ends at once: the first, and a replacement."""
    from mtia.runtime.device import Device

    device = Device(chip)
    text = "_start_rate:\n    xm.exit\n"
    first, second = (float(_cycles(chip, text, device=device, start=start).time_us) for start in ("first", "replace"))
    return first, second
