"""Rules of the machine, on scripts of Xmtia instructions."""

from __future__ import annotations

import numpy as np
import pytest
from machine_rig import Rig, Script
from mtia.runtime.machine.state import ENDED


@pytest.fixture(scope="module", params=["reference", "fast"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


def test_dma_in_and_out(rig: Rig) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    y = np.zeros_like(x)
    src, dst = rig.put(x), rig.put(y)
    s = Script().cb(0, 4096, 1024, 2).local(0, 0, (4, 6)).remote(1, src, [(4, 24), (6, 4)])
    s.remote(2, dst, [(4, 24), (6, 4)]).do("xm.dma.in", d=0, gd=1).do("xm.dma.out", s=0, gd=2)
    assert rig.run({(0, 0): s}) == ENDED
    assert np.array_equal(rig.get(dst, y), x)


def test_clip_and_fill(rig: Rig) -> None:
    """A tile that hangs over the edges of a matrix: the outside reads as the fill value and is not written."""
    x = np.arange(10 * 12, dtype=np.float32).reshape(10, 12)
    y = np.full_like(x, -1)
    src, dst = rig.put(x), rig.put(y)
    dims, clip = [(8, 48), (8, 4)], {0: (-3, 5), 1: (2, 7)}
    s = Script().cb(0, 4096, 1024, 1).local(0, 0, (8, 8)).remote(1, src, dims, clip=clip, fill=0x3F800000)
    s.do("xm.dma.in", d=0, gd=1).remote(2, dst, dims, clip={0: (1, 8), 1: (0, 8)}).do("xm.dma.out", s=0, gd=2)
    assert rig.run({(0, 0): s}) == ENDED
    tile = np.ones((8, 8), np.float32)
    tile[0:5, 2:7] = x[0:5, 2:7]
    assert np.array_equal(rig.ls(0, 4096, tile), tile)
    y[1:8, 0:8] = tile[1:8]
    assert np.array_equal(rig.get(dst, y), y)


def test_four_dimensions_and_strided_columns(rig: Rig) -> None:
    x = np.arange(3 * 4 * 5 * 6, dtype=np.int32).reshape(3, 4, 5, 6)
    view = x[::2, 1:3, ::-1, ::3]
    src = rig.put(x)
    base = src + 4 * (1 * 30 + 4 * 6)
    dims = [(n, st) for n, st in zip(view.shape, view.strides, strict=True)]
    s = Script().cb(0, 8192, 4096, 1).local(0, 0, (20, 2), "i32", strides=(4, 128)).remote(1, base, dims, "i32")
    s.do("xm.dma.in", d=0, gd=1)
    assert rig.run({(3, 1): s}) == ENDED
    got = rig.ls(3, 8192, np.zeros((2, 32), np.int32))[:, :20]
    assert np.array_equal(got, view.reshape(20, 2).T)


@pytest.mark.parametrize("dtype", ["i32", "i64"])
def test_indexed(rig: Rig, dtype: str) -> None:
    table = np.random.default_rng(0).integers(0, 255, (40, 24)).astype(np.uint8)
    index = np.array([5, 39, 0, 5, 17, 8], dtype={"i32": np.int32, "i64": np.int64}[dtype])
    out = np.zeros_like(table)
    src, idx, dst = rig.put(table), rig.put(index), rig.put(out)
    s = Script().cb(0, 4096, 512, 1).cb(1, 8192, 512, 1)
    s.local(0, 0, (6, 24), "u8").local(1, 1, (6, 1), dtype)
    s.remote(2, idx, [(6, index.itemsize), (1, index.itemsize)], dtype).do("xm.dma.in", d=1, gd=2)
    s.remote(3, src, [(6, 24), (24, 1)], "u8", clip={0: (0, 5)}).do("xm.dma.ini", d=0, gd=3, idx=1)
    s.remote(4, dst, [(6, 24), (24, 1)], "u8", clip={1: (3, 20)}).do("xm.dma.outi", s=0, gd=4, idx=1)
    assert rig.run({(1, 0): s}) == ENDED
    rows = table[index]
    rows[5] = 0
    assert np.array_equal(rig.ls(1, 4096, rows), rows)
    for r, i in enumerate(index):
        out[i, 3:20] = rows[r, 3:20]
    assert np.array_equal(rig.get(dst, out), out)


def test_post_increment_and_next(rig: Rig) -> None:
    """One hart streams eight tiles through two slots with `cb.next`: every hazard is a slot's own."""
    x = np.arange(8 * 64, dtype=np.float32)
    src, dst = rig.put(x), rig.put(np.zeros_like(x))
    s = Script().cb(0, 4096, 256, 2).local(0, 0, (1, 64))
    s.remote(1, src, [(64, 4)], inc=256).remote(2, dst, [(64, 4)], inc=256)
    for _ in range(8):
        s.do("xm.dma.in", d=0, gd=1).do("xm.dma.out", s=0, gd=2).do("xm.cb.next", cb=0)
    assert rig.run({(0, 0): s}) == ENDED
    assert np.array_equal(rig.get(dst, x), x)


def test_producer_and_consumer(rig: Rig) -> None:
    """Hart A pushes tiles that hart B pops, through two slots; B names A's buffer 0 as 16."""
    x = np.arange(16 * 64, dtype=np.float32)
    src, dst = rig.put(x), rig.put(np.zeros_like(x))
    a = Script().cb(0, 4096, 256, 2).local(0, 0, (1, 64)).remote(1, src, [(64, 4)], inc=256).do("xm.barrier")
    b = Script().do("xm.barrier").local(0, 16, (1, 64), side=0).remote(1, dst, [(64, 4)], inc=256)
    for _ in range(16):
        a.do("xm.dma.in", d=0, gd=1).do("xm.cb.push", cb=0)
        b.do("xm.dma.out", s=0, gd=1).do("xm.cb.pop", cb=16)
    assert rig.run({(0, 0): a, (0, 1): b}) == ENDED
    assert np.array_equal(rig.get(dst, x), x)
