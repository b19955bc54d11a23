"""Rules of the machine, on scripts of Xmtia instructions."""

from __future__ import annotations

import numpy as np
import pytest
from machine_rig import Rig, Script
from mtia.runtime.machine.state import ENDED


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig()


def test_dma_in_and_out(rig: Rig) -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    y = np.zeros_like(x)
    src, dst = rig.put(x), rig.put(y)
    s = Script().cb(0, 4096, 1024, 2).local(0, 0, (4, 6)).remote(1, src, [(4, 24), (6, 4)])
    s.remote(2, dst, [(4, 24), (6, 4)]).do("xm.dma.in", d=0, gd=1).do("xm.dma.out", s=0, gd=2)
    assert rig.run({(0, 0): s}) == ENDED
    assert np.array_equal(rig.get(dst, y), x)
