"""Numpy arrays as operands of unit commands, run natively or by the reference."""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np
from mtia.isa.chip import load_chip
from mtia.isa.lang import Library, build
from mtia.isa.xmtia.codes import DType, Form, Space
from mtia.isa.xmtia.engines import meanings, timings
from mtia.isa.xmtia.state import ChipParams, Operand, fill_chip_params

Array = Any  # numpy arrays of ml_dtypes have no static type

NUMPY: dict[DType, Any] = {
    DType.F32: np.float32, DType.F16: np.float16, DType.BF16: ml_dtypes.bfloat16, DType.TF32: np.float32,
    DType.F64: np.float64, DType.E4M3: ml_dtypes.float8_e4m3fn, DType.E5M2: ml_dtypes.float8_e5m2,
    DType.I8: np.int8, DType.U8: np.uint8, DType.I16: np.int16, DType.U16: np.uint16, DType.I32: np.int32,
    DType.U32: np.uint32, DType.I64: np.int64, DType.U64: np.uint64,
}  # fmt: skip
CODES: dict[Any, DType] = {np.dtype(v): k for k, v in NUMPY.items() if k is not DType.TF32}


class Imm:
    """An immediate operand: one value of a type."""

    def __init__(self, value: float, dtype: DType) -> None:
        self.dtype = dtype
        raw = np.array([value], NUMPY[dtype]).tobytes()
        self.bits = int.from_bytes(raw, "little")


class Tile:
    """An array in LS (or RE) as an operand, with another type code than numpy's or another shape where given."""

    def __init__(
        self,
        array: Array,
        *,
        dtype: DType | None = None,
        space: Space = Space.LS,
        form: Form = Form.LOCAL,
        valid: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        flags: int = 0,
        seed: int = 0,
    ) -> None:
        self.array, self.space, self.form, self.valid = array, space, form, valid
        self.flags, self.seed = flags, seed
        self.dtype = CODES[array.dtype] if dtype is None else dtype


@functools.cache
def library() -> Library:
    """Every unit command, compiled."""
    roots = {f"m.{name}": f for name, f in meanings().items()} | {f"t.{name}": f for name, f in timings().items()}
    return build(roots, "xmtia-tests")


@functools.cache
def chip_memory(name: str) -> Any:
    memory = ChipParams.alloc()
    fill_chip_params(ChipParams.view(memory.addr), load_chip(name))
    return memory


def operands(items: tuple[Any, ...]) -> Any:
    """Memory with the operands of a command."""
    memory = Operand.alloc(len(items))
    for n, item in enumerate(items):
        o = Operand.view(memory.addr + n * Operand.size)
        if isinstance(item, Imm):
            o.form, o.dtype, o.bits = int(Form.IMMEDIATE), int(item.dtype), item.bits
            continue
        tile = item if isinstance(item, Tile) else Tile(item)
        array = tile.array
        o.form, o.dtype, o.space = int(tile.form), int(tile.dtype), int(tile.space)
        o.flags, o.bits = int(tile.flags), tile.seed
        o.ptr = array.ctypes.data
        o.rows, o.cols = array.shape
        o.rstride, o.cstride = array.strides
        for k in (0, 1):
            o.lo[k], o.hi[k] = tile.valid[k]
    return memory


def run(name: str, *items: Any, chip: str = "mtia200", reference: bool = False) -> int:
    """Execute `xm.<name>` on operands in the order of its syntax; returns the trap cause or 0."""
    memory = operands(items)
    if reference:
        return int(meanings()[f"xm.{name}"](chip_memory(chip), memory))
    return int(library().call(f"m.xm.{name}", chip_memory(chip), memory))


def clocks(name: str, *items: Any, chip: str = "mtia200") -> int:
    """Clocks of `xm.<name>` on these operands."""
    memory = operands(items)
    native = int(library().call(f"t.xm.{name}", chip_memory(chip), memory))
    assert native == timings()[f"xm.{name}"](chip_memory(chip), memory)
    return native


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, scale: float = 1.0) -> Array:
    """Random values of a type, with every kind of special value among floats and the whole range of integers."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    values = (rng.standard_normal(shape) * scale).astype(dtype)
    if values.size >= 8:
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-40], np.float32).astype(dtype)
        places = rng.choice(values.size, 8, replace=False)
        values.reshape(-1)[places] = special
    return values


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
