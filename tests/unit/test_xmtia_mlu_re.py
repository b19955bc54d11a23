"""The memory layout unit and the reduction engine against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mtia.isa.lang import build
from mtia.isa.xmtia.accumulators import accumulate
from mtia.isa.xmtia.codes import Cause, DType, Form, Space
from mtia.isa.xmtia.state import Operand
from xmtia_support import NUMPY, Imm, Tile, clocks, equal_bits, operands, random, run

TYPES = [np.uint8, np.float16, np.float32, np.float64]


def acc(array: Any) -> Tile:
    return Tile(array, space=Space.RE)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 64), (64, 5), (33, 47)])
def test_copy_and_transpose(dtype: Any, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    rows, cols = shape
    plain = random(rng, shape, dtype)
    spread = random(rng, (rows * 2, cols * 3), dtype)[::2, ::3]
    turned = random(rng, (cols, rows), dtype).T
    column = np.broadcast_to(random(rng, (rows, 1), dtype), shape)
    for a in (plain, spread, turned, column):
        d = np.zeros(shape, dtype)
        assert run("mlu.copy", d, a) == 0
        assert equal_bits(d, np.array(a))
        t = np.zeros((rows, cols), dtype).T
        assert run("mlu.copy", t.T, a) == 0
        assert equal_bits(np.array(t.T), np.array(a))
        back = np.zeros((cols, rows), dtype)
        assert run("mlu.trans", back, a) == 0
        assert equal_bits(back, np.array(a.T))


@pytest.mark.parametrize("dtype", TYPES)
def test_fill_cat_gather(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    code = {np.uint8: DType.U8, np.float16: DType.F16, np.float32: DType.F32, np.float64: DType.F64}[dtype]
    room = np.zeros((6, 20), dtype)
    assert run("mlu.fill", room[:, 3:9], Imm(5, code)) == 0
    assert (room[:, 3:9] == 5).all() and room.astype(np.float64).sum() == 5 * 36
    a, b = random(rng, (6, 7), dtype), random(rng, (6, 13), dtype)
    assert run("mlu.cat", room, a, b) == 0
    assert equal_bits(room, np.concatenate([a, b], axis=1))
    tall = np.zeros((20, 6), dtype)
    assert run("mlu.cat", tall, a.T, b.T) == 0
    assert equal_bits(tall, np.concatenate([a.T, b.T]))
    assert run("mlu.cat", tall, a, b) == Cause.SHAPE
    table = random(rng, (30, 20), dtype)
    for index_type in (np.int32, np.int64):
        index = rng.integers(0, 30, (6, 1)).astype(index_type)
        assert run("mlu.gather", room, table, index) == 0
        assert equal_bits(room, table[index[:, 0]])
    index[3] = 30
    assert run("mlu.gather", room, table, index) == Cause.INDEX
    index[3] = -1
    assert run("mlu.gather", room, table, index) == Cause.INDEX


def test_mlu_traps_and_clocks() -> None:
    h, f = np.zeros((8, 8), np.float16), np.zeros((8, 8), np.float32)
    assert run("mlu.copy", h, f) == Cause.TYPE
    assert run("mlu.copy", acc(f), f) == Cause.SPACE and run("mlu.copy", f, acc(f)) == 0
    assert run("mlu.copy", f, f[:4]) == Cause.SHAPE and run("mlu.trans", f, f[:4]) == Cause.SHAPE
    assert run("mlu.fill", f, f) == Cause.FORM and run("mlu.copy", f, Imm(1, DType.F32)) == Cause.FORM
    assert run("mlu.copy", Tile(h, dtype=DType.I16), h) == 0, "only the size counts"
    x = np.zeros((64, 64), np.float16)
    assert clocks("mlu.copy", x, x) == 4 + 8192 // 128
    assert clocks("mlu.copy", x, x.T) == clocks("mlu.trans", x, x) == 4 + 8192 // 64
    assert clocks("mlu.fill", x, Imm(0, DType.F16), chip="mtia300") == 4 + 8192 // 256


@pytest.mark.parametrize("dtype", [np.float16, np.float32, NUMPY[DType.BF16]])
def test_load_drain_zero_scale(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    a = random(rng, (9, 70), dtype)
    held = np.ones((9, 70), np.float32)
    with np.errstate(all="ignore"):
        assert run("re.load", acc(held), a) == 0
        assert equal_bits(held, a.astype(np.float32))
        factor = random(rng, (9, 1), dtype)
        assert run("re.scale", acc(held), factor) == 0
        expected = a.astype(np.float32) * factor.astype(np.float32)
        assert equal_bits(held, expected)
        d = np.zeros(a.shape, dtype)
        assert run("re.drain", d, acc(held)) == 0
        assert equal_bits(d, expected.astype(dtype))
    turned = np.ones((70, 9), np.float32)
    assert run("re.zero", acc(turned.T)) == 0 and not turned.any()
    assert run("re.zero", acc(held)) == 0 and not held.any()


def test_row_extremes_and_integers() -> None:
    rng = np.random.default_rng(4)
    held = rng.standard_normal((9, 70)).astype(np.float32)
    held[4, 9] = np.nan
    d = np.zeros((9, 1), np.float32)
    assert run("re.rowmax", d, acc(held)) == 0 and equal_bits(d, held.max(axis=1, keepdims=True))
    assert run("re.rowmin", d, acc(held)) == 0 and equal_bits(d, held.min(axis=1, keepdims=True))
    whole = rng.integers(-(2**31), 2**31, (9, 70), np.int64).astype(np.int32)
    wide = np.zeros(whole.shape, np.float32)
    assert run("re.drain", wide, acc(whole)) == 0 and equal_bits(wide, whole.astype(np.float32))


def test_re_traps_and_clocks() -> None:
    f, h = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float16)
    assert run("re.load", f, h) == Cause.SPACE and run("re.load", acc(h), h) == Cause.TYPE
    assert run("re.drain", f, h) == Cause.SPACE and run("re.drain", acc(f), acc(f)) == Cause.SPACE
    assert run("re.load", acc(f), h[:4]) == Cause.SHAPE and run("re.scale", acc(f), h) == Cause.SHAPE
    assert run("re.scale", acc(f), Tile(h[:, :1], form=Form.GLOBAL)) == Cause.FORM
    assert run("re.rowmax", h, acc(f)) == Cause.SHAPE
    x = np.zeros((64, 64), np.float32)
    assert clocks("re.drain", x, acc(x)) == 4 + 4096 // 64
    assert clocks("re.send", acc(x)) == 4 + 8 + 4096 * 4 // 128


def test_adding_a_neighbours_accumulators() -> None:
    rng = np.random.default_rng(5)
    native = build({"accumulate": accumulate}, "xmtia-accumulate-test")
    for dtype in (np.float32, np.int32):
        mine, other = random(rng, (7, 33), dtype), random(rng, (7, 33), dtype)
        twice = mine.copy()
        with np.errstate(all="ignore"):
            expected = mine + other
        for target, call in ((mine, lambda p: native.call("accumulate", p, p + Operand.size)), (twice, accumulate_py)):
            memory = operands((acc(target), acc(other)))
            assert call(memory.addr) == 0
            assert equal_bits(target, expected)


def accumulate_py(address: int) -> Any:
    return accumulate(address, address + Operand.size)


def test_reference_gives_the_same_bits() -> None:
    rng = np.random.default_rng(6)
    for name, shapes in (("mlu.trans", ((3, 5), (5, 3))), ("mlu.copy", ((3, 5), (3, 5)))):
        a = random(rng, shapes[1], np.float16)
        native, reference = np.zeros(shapes[0], np.float16), np.zeros(shapes[0], np.float16)
        assert run(name, native, a) == run(name, reference, a, reference=True) == 0
        assert equal_bits(native, reference)
