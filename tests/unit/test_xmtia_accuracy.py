"""Samples of `mtiac verify functions` and `mtiac verify matrix`, and the manual's figures."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from mtia.isa.xmtia.accuracy import FIGURES, LUT_BOUNDS, ULPS
from mtia.isa.xmtia.codes import DType
from mtia.tools.verify import functions, matrix
from mtia.tools.verify.function_oracles import LUT_BASES, ORACLES

RECORDED: dict[str, Any] = json.loads(FIGURES.read_text())


def test_every_function_has_its_figures() -> None:
    assert list(RECORDED["functions"]) == list(ORACLES) and list(RECORDED["tables"]) == list(LUT_BASES)
    assert RECORDED["size"] == functions.sweep(functions.SIZE, 1).size, "measured with the campaign's usual size"


@pytest.mark.parametrize("name", ORACLES)
def test_the_figures_of_the_manual(name: str) -> None:
    row = RECORDED["functions"][name]
    for key, dtype in (("bf16", DType.BF16), ("f16", DType.F16)):
        assert functions.sixteen_bits(name, dtype) == pytest.approx(row[key], abs=1.1e-4)
        assert row[key] <= ULPS[key]
    worst, where = functions.f32_error(name, 20_000, 3)
    assert worst <= row["f32"] + 1e-4 <= ULPS["f32"] + 1e-4, where


@pytest.mark.parametrize("name", LUT_BASES)
def test_the_figures_of_the_table_forms(name: str) -> None:
    worst = functions.table_error(name, 50_000, 4)
    assert RECORDED["tables"][name] / 2 < worst <= LUT_BOUNDS[name]
    assert RECORDED["tables"][name] <= LUT_BOUNDS[name]


@pytest.mark.parametrize("name", [name for name in ORACLES if name != "pow"])
def test_the_oracles(name: str) -> None:
    """Double precision against fifty digits."""
    mpmath = pytest.importorskip("mpmath")
    exact = {
        "exp2": lambda x: mpmath.mpf(2) ** x, "log2": lambda x: mpmath.log(x, 2), "rsqrt": lambda x: 1 / mpmath.sqrt(x),
        "rcp": lambda x: 1 / x, "sigm": lambda x: 1 / (1 + mpmath.exp(-x)),
        "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    }.get(name) or getattr(mpmath, name)  # fmt: skip
    rng = np.random.default_rng(5)
    x = (rng.standard_normal(300) * 10.0 ** rng.integers(-6, 2, 300)).astype(np.float32)
    x = np.abs(x) if name in ("log", "log2", "sqrt", "rsqrt") else np.clip(x, -12, 80)
    with mpmath.workdps(50):
        true = [exact(mpmath.mpf(float(v))) for v in x]
        found = ORACLES[name](x.astype(np.float64))
        assert all(abs(mpmath.mpf(float(y)) - t) <= abs(t) * 1e-13 for y, t in zip(found, true, strict=True))


def test_a_sample_of_the_matrix_campaign() -> None:
    report = matrix.run(seed=2, size=1500, progress=lambda done, total: None)
    assert report.failures == []
    assert len(matrix.pairs()) == 11 and report.counts["cases"] >= 11 * 1500


def test_a_host_without_fused_multiply_add() -> None:
    assert matrix.on_host("x86-64", 3, 200) == []


def test_the_exact_arithmetic_is_that_of_fractions() -> None:
    """The integers in units of a power of two against rational numbers and the nearest f32 by bisection."""
    rng = np.random.default_rng(6)
    for a_type, b_type in ((DType.F16, DType.F16), (DType.E4M3, DType.E5M2), (DType.TF32, DType.TF32)):
        for _ in range(150):
            a, b = (int(rng.integers(0, 1 << 8 * t.bytes)) for t in (a_type, b_type))
            acc = int(rng.integers(0, 1 << 32))
            got = matrix.fma(matrix.factor(a, a_type), matrix.factor(b, b_type), matrix.decode(acc, DType.F32, 300))
            parts = [numpy_value(a, a_type), numpy_value(b, b_type), numpy_value(acc, DType.F32)]
            if not all(np.isfinite(parts)):
                continue
            x, y, z = (Fraction(float(v)) for v in parts)
            assert matrix.encode(got) == nearest_f32(x * y + z) or x * y + z == 0


def numpy_value(bits: int, dtype: DType) -> float:
    from mtia.tools.verify.xmtia_values import as_f32, width_of

    return float(as_f32(np.array([bits], width_of(dtype)), dtype)[0])


def nearest_f32(value: Fraction) -> int:
    """Bits of the f32 nearest to a rational number, found by comparing rational numbers."""
    low, high = 0, 0x7F800000
    size = abs(value)
    while high - low > 1:
        middle = (low + high) // 2
        if Fraction(float(np.uint32(middle).view(np.float32))) <= size:
            low = middle
        else:
            high = middle
    ends = [Fraction(float(np.uint32(low).view(np.float32)))]
    ends.append(Fraction(2) ** 128 if high == 0x7F800000 else Fraction(float(np.uint32(high).view(np.float32))))
    below, above = size - ends[0], ends[1] - size
    bits = low if below < above or (below == above and low % 2 == 0) else high
    return bits | (value < 0) << 31
