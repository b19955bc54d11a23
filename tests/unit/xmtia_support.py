"""Numpy arrays as operands of unit commands: a command on the whole machine, and its clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from mtia.isa import table
from mtia.isa.chip import Chip, load_chip
from mtia.isa.xmtia.codes import Cause, DType, Form, Space
from mtia.isa.xmtia.engines import timings
from mtia.isa.xmtia.state import ChipParams, Operand, fill_chip_params
from mtia.runtime.machine.memory import DRAM_BASE
from mtia.tools.verify import unit_programs
from mtia.tools.verify.unit_programs import DATA, Script, set_global, set_tile

Array = Any  # numpy arrays of ml_dtypes have no static type

NUMPY: dict[DType, Any] = {
    DType.F32: np.float32, DType.F16: np.float16, DType.BF16: ml_dtypes.bfloat16, DType.TF32: np.float32,
    DType.F64: np.float64, DType.E4M3: ml_dtypes.float8_e4m3fn, DType.E5M2: ml_dtypes.float8_e5m2,
    DType.I8: np.int8, DType.U8: np.uint8, DType.I16: np.int16, DType.U16: np.uint16, DType.I32: np.int32,
    DType.U32: np.uint32, DType.I64: np.int64, DType.U64: np.uint64,
}  # fmt: skip
CODES: dict[Any, DType] = {np.dtype(v): k for k, v in NUMPY.items() if k is not DType.TF32}


@dataclass(frozen=True)
class Imm:
    """An immediate operand: one value of a type."""

    value: float
    dtype: DType

    @property
    def bits(self) -> int:
        return int.from_bytes(np.array([self.value], NUMPY[self.dtype]).tobytes(), "little")


@dataclass
class Tile:
    """A dense array in LS or RE, with another type code than numpy's where given; or a valid range (GLOBAL).

    A `turned` one lies column by column.
    """

    array: Array
    dtype: DType | None = None
    space: Space = Space.LS
    form: Form = Form.LOCAL
    valid: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    flags: int = 0
    seed: int = 0
    turned: bool = False

    @property
    def code(self) -> DType:
        return CODES[self.array.dtype] if self.dtype is None else self.dtype


def acc(array: Array) -> Tile:
    """An array in accumulators."""
    return Tile(array, space=Space.RE)


def run(name: str, *items: Any, chip: str = "mtia200", in_place: bool = False) -> int:
    """Execute `xm.<name>` on operands in the order of its syntax; returns the trap cause or 0.

    Arrays are dense; what the command writes comes back into the first one. `in_place`, the first one is the source
    after it too, and is given once.
    """
    script, data, place, held = Script(), [], DATA, 0
    tiles = [item if isinstance(item, (Imm, Tile)) else Tile(item) for item in items]
    for td, tile in enumerate(tiles):
        if isinstance(tile, Imm):
            script.do("xm.td.imm", tile.bits, int(tile.dtype), td=td)
            continue
        if tile.form is Form.GLOBAL:
            dims = list(zip(tile.array.shape, tile.array.strides, strict=True))
            set_global(script, td, DRAM_BASE, tile.code, dims, dict(enumerate(tile.valid)))
            continue
        size, itemsize = tile.array.nbytes, tile.array.itemsize
        rows, cols = tile.array.shape
        strides = (itemsize, rows * itemsize) if tile.turned else (cols * itemsize, itemsize)
        script.cb(td, place, size)
        set_tile(script, td, td, tile.code, tile.array.shape, strides, flags=tile.flags)
        if tile.space is Space.RE:
            whole = DType.I32 if tile.code is DType.I32 else DType.F32
            script.cb(31, place, size)
            script.cb(td, held, size, space=Space.RE)
            for number in (31, td):
                set_tile(script, number, number, whole, (1, size // 4), (0, 4))
            script.do("xm.re.load", acc=td, a=31)
            set_tile(script, td, td, tile.code, tile.array.shape, strides, flags=tile.flags)
            held += size
        if tile.flags:
            script.do("xm.td.seed", tile.seed, td=td)
        stored = tile.array.T if tile.turned else tile.array
        data.append(np.ascontiguousarray(stored).view(np.uint8).tobytes())
        place += size
    numbers = [0] * in_place + list(range(len(tiles)))
    script.do(f"xm.{name}", **dict(zip(_names(name), numbers, strict=True)))
    outcome = unit_programs.run(chip, script, b"".join(data))
    if outcome.trap is not None:
        return int(Cause[outcome.trap.cause])
    first = tiles[0]
    assert isinstance(first, Tile)
    memory, start = (outcome.acc, 0) if first.space is Space.RE else (outcome.ls, DATA)
    written = memory[0, start : start + first.array.nbytes].view(first.array.dtype)
    first.array[...] = written.reshape(first.array.shape)
    return 0


def _names(name: str) -> list[str]:
    row = table.find(f"xm.{name}")
    assert row is not None
    return [n for n, _ in row.elements if n in row.by_name]


def clocks(name: str, *items: Any, chip: str | Chip = "mtia200") -> int:
    """Clocks that `xm.<name>` occupies its unit with these operands."""
    params = ChipParams.alloc()
    fill_chip_params(ChipParams.view(params.addr), load_chip(chip) if isinstance(chip, str) else chip)
    memory = Operand.alloc(len(items))
    for n, item in enumerate(items):
        o = Operand.view(memory.addr + n * Operand.size)
        tile = item if isinstance(item, Tile) else None
        array = tile.array if tile else item
        if isinstance(item, Imm):
            o.form, o.dtype = int(Form.IMMEDIATE), int(item.dtype)
            continue
        o.dtype = int(tile.code if tile else CODES[array.dtype])
        (o.rows, o.cols), (o.rstride, o.cstride) = array.shape, array.strides
    return int(timings()[f"xm.{name}"](params, memory))


def equal_bits(a: Array, b: Array) -> bool:
    """Same type, same shape, same bits, where any NaN equals any NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    width = f"u{a.dtype.itemsize}"
    same = a.view(width) == b.view(width)
    if a.dtype.kind not in "iu":
        same |= np.isnan(a.astype(np.float64)) & np.isnan(b.astype(np.float64))
    return bool(same.all())
