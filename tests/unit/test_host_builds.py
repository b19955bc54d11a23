"""Native code for other hosts: the same bits from every build."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mtia.tools.bench.scale import OLD_HOST

# Products of random tiles with special values, odd sizes and turned operands; prints a digest of all results.
_PRODUCTS = """
import hashlib, ml_dtypes, numpy as np, sys
from mtia.isa.lang import build
from mtia.isa.xmtia import matmul
from mtia.isa.xmtia.codes import DType, Space
from mtia.isa.chip import load_chip
from mtia.isa.xmtia.state import ChipParams, Operand, fill_chip_params
def values(rng, shape, kind):
    made = rng.standard_normal(shape).astype(np.float32)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-40, 6e-8, 7e4], np.float32)
    places = rng.random(shape) < 0.1
    return np.where(places, rng.choice(special, shape), made).astype(kind)

def operands(*items):
    memory = Operand.alloc(len(items))
    for place, (array, code, space) in enumerate(items):
        o = Operand.view(memory.addr + place * Operand.size)
        o.dtype, o.space, o.ptr = int(code), int(space), array.ctypes.data
        (o.rows, o.cols), (o.rstride, o.cstride) = array.shape, array.strides
    return memory

chip = ChipParams.alloc()
fill_chip_params(ChipParams.view(chip.addr), load_chip("mtia300"))
library = build({"mma": matmul.mma}, "host-builds-test")
rng, digest = np.random.default_rng(7), hashlib.sha256()
kinds = {DType.F16: np.float16, DType.BF16: ml_dtypes.bfloat16, DType.E4M3: ml_dtypes.float8_e4m3fn}
for code, kind in kinds.items():
    for rows, cols, depth in ((9, 33, 17), (64, 64, 130), (1, 5, 3)):
        for turned in (False, True):
            a = values(rng, (rows, depth), kind)
            b = values(rng, (cols, depth) if turned else (depth, cols), kind)
            acc = values(rng, (rows, cols), np.float32)
            sources = (a, code, Space.LS), (b.T if turned else b, code, Space.LS)
            kept = acc.copy()
            cause = library.call("mma", chip, operands((acc, DType.F32, Space.RE), *sources))
            assert cause == 0
            if len(sys.argv) > 1 and rows < 64:
                again = kept.copy()
                matmul.mma(chip, operands((again, DType.F32, Space.RE), *sources))
                same = (acc.view(np.uint32) == again.view(np.uint32)) | (np.isnan(acc) & np.isnan(again))
                assert same.all(), (kind, rows)
            acc[np.isnan(acc)] = np.nan
            digest.update(acc.tobytes())
print(digest.hexdigest())
"""


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(Path(__file__).parent), *(path for path in sys.path if path)])
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )  # fmt: skip


def flags() -> set[str]:
    """The features of this host's processor as Linux names them."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return set(next((line.split(":")[1].split() for line in text.splitlines() if line.startswith("flags")), []))


@pytest.fixture(scope="module")
def own() -> str:
    """The digest of the build for this host, which is checked against the reference."""
    done = run(_PRODUCTS, "reference")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not {"avx2", "fma", "f16c"} <= flags(), reason="the host has no AVX2, FMA and F16C")
@pytest.mark.parametrize("cpu", [OLD_HOST, "x86-64-v2"])
def test_products_have_the_same_bits_on_older_hosts(cpu: str, own: str) -> None:
    """Without AVX-512, and without FMA and conversions of half precision."""
    old = run(_PRODUCTS, MTIAC_HOST_CPU=cpu)
    assert old.returncode == 0, old.stderr
    assert own == old.stdout
