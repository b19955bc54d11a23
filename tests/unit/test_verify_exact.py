"""The campaign `exact`: its oracle against numpy and ml_dtypes, what it covers, and a bounded sample of it."""

from __future__ import annotations

import random
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hart_runner import QEMU, build, run_qemu
from mtia.isa import table
from mtia.tools.verify import exact, exact_groups
from mtia.tools.verify import rational as q
from mtia.tools.verify.exact_forms import operations

Array = np.ndarray[Any, Any]
COVERED = ("Zfh", "Zfbfmin", "Zvfbfmin", "Zvfbfwma", "Zicond")


def halves(seed: int, count: int = 4000) -> Array:
    return np.random.default_rng(seed).integers(0, 1 << 16, count).astype(np.uint16).view(np.float16)


def bits(values: Array, f: q.Format) -> list[int]:
    """Bits of values, every NaN the canonical one."""
    raw = values.view(f"u{f.width // 8}").astype(np.uint64)
    return [int(b) if b & (1 << f.width - 1) - 1 <= f.infinity else f.nan for b in raw]


def test_the_oracle_rounds_as_numpy_does() -> None:
    a, b = halves(1), halves(2)
    pairs = list(zip(bits(a, q.FP16), bits(b, q.FP16), strict=True))
    h = q.FP16
    with np.errstate(all="ignore"):
        assert [q.add(h, h, h, x, y, 0)[0] for x, y in pairs] == bits(a + b, h)
        assert [q.add(h, h, h, x, y, 0, True)[0] for x, y in pairs] == bits(a - b, h)
        assert [q.mul(h, h, x, y, 0)[0] for x, y in pairs] == bits(a * b, h)
        assert [q.div(h, x, y, 0)[0] for x, y in pairs] == bits(a / b, h)
        assert [q.sqrt(h, x, 0)[0] for x, _ in pairs] == bits(np.sqrt(a), h)
        singles = np.random.default_rng(3).integers(0, 1 << 32, 4000, dtype=np.uint32).view(np.float32)
        singles[:2000] = (halves(4, 2000).astype(np.float32) * np.float32(1.0009)).astype(np.float32)
        for f, kind in ((q.FP16, np.float16), (q.BF16, ml_dtypes.bfloat16)):
            assert [q.convert(f, q.FP32, x, 0)[0] for x in bits(singles, q.FP32)] == bits(singles.astype(kind), f)


@pytest.mark.parametrize("mode", range(5))
def test_directed_roundings_enclose_the_nearest(mode: int) -> None:
    """Down ≤ nearest ≤ up with neighbours between, and the sign decides which of them truncation is."""
    random_ = random.Random(mode)
    for _ in range(500):
        m, e = random_.getrandbits(40) + 1, random_.randrange(-60, 10)
        up, down = q.round_to(q.FP16, False, m, e, q.RUP), q.round_to(q.FP16, False, m, e, q.RDN)
        found = q.round_to(q.FP16, False, m, e, mode)
        assert up[0] - down[0] == (up[1] & q.NX) and found[0] in (up[0], down[0])
        assert q.round_to(q.FP16, True, m, e, q.RUP)[0] == down[0] | 0x8000
        assert q.round_to(q.FP16, False, m, e, q.RTZ)[0] == down[0]


def test_every_instruction_that_qemu_lacks_is_covered() -> None:
    names = {form.name for operation in operations() for form in operation.forms}
    rows = [row for row in table.all() if row.extension.name in COVERED and row.name != "fsh"]
    floating = [row for row in table.all() if row.extension.name == "V" and row.name.startswith(("vf", "vmf"))]
    missing = {row.name for row in [*rows, *floating]} - names - {"vfirst.m"}
    assert not missing


def test_a_sample_of_the_campaign() -> None:
    report = exact.run(11, 128, lambda done, total: None)
    assert not report.failures, report.failures[:10]
    assert report.counts["instructions"] >= 140 and report.counts["results in whole registers"] > 5_000
    vectors = [(operation, form) for operation in operations() for form in operation.forms if form.sew]
    blocks = [len(exact_groups.group_sizes(*v)) * (1 + (v[1].name not in exact_groups.UNMASKED)) for v in vectors]
    assert min(blocks) >= 4 and report.counts["executions in groups with flags"] == sum(blocks)
    assert report.counts["active elements in groups with flags"] > 10_000


def test_any_size_has_cases() -> None:
    """Fewer tuples than share an operand are still some of every instruction."""
    report = exact.run(3, 5, lambda done, total: None, only="fmadd.h")
    assert not report.failures and report.counts["results with flags"] == 25 * report.counts["instructions"]


def test_a_wrong_rounding_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = q._up
    monkeypatch.setattr(q, "_up", lambda rm, *rest: right(q.RNE if rm == q.RMM else rm, *rest))
    assert exact.run(1, 512, lambda done, total: None, only="fadd.h").failures


@pytest.mark.parametrize(
    "rule",
    [
        lambda case: list(range(case.start, case.vl)),
        lambda case: [e for e in range(case.vl) if not case.masked or case.mask >> e & 1],
        lambda case: [e for e in range(case.start, case.vl + (case.vl < 8)) if not case.masked or case.mask >> e & 1],
    ],
    ids=["mask", "vstart", "tail"],
)
@pytest.mark.parametrize("name", ["vfwadd.wv", "vmfle.vf", "vfncvt.f.f.w"])
def test_a_wrong_choice_of_elements_is_found(name: str, rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_groups, "active", rule)
    assert any("in groups" in line for line in exact.run(1, 4096, lambda done, total: None, only=name).failures)


def test_a_machine_that_writes_its_tail_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policies allow ones there, the chip's manual does not."""

    def ones(*arguments: Any) -> Array:
        found = exact_groups_execute(*arguments).copy()
        found[exact_groups.GROUP - 1] ^= 0xFF  # the last byte of v15: past every e16, mf4 group
        return found

    exact_groups_execute = exact_groups.execute
    monkeypatch.setattr(exact_groups, "execute", ones)
    failures = exact.run(1, 128, lambda done, total: None, only="vfadd.vv").failures
    assert any("byte 511" in line for line in failures)


def test_group_sizes_are_those_where_both_widths_exist() -> None:
    found = {form.name: exact_groups.group_sizes(o, form) for o in operations() for form in o.forms if form.sew < 32}
    assert found["vfadd.vv"] == found["vfredosum.vs"] == found["vfwredosum.vs"] == [2, 4, 8, 16, 32, 64]
    assert found["vfwadd.wv"] == found["vfncvt.f.f.w"] == found["vfwmaccbf16.vf"] == [2, 4, 8, 16, 32]
    assert found["vfwcvt.f.x.v"] == [1, 2, 4, 8, 16, 32] and found["vmfeq.vv"] == [2, 4, 8, 16, 32, 64]


@pytest.mark.skipif(QEMU is None, reason="qemu-riscv64 is not installed")
@pytest.mark.parametrize(("name", "root"), [("vfrec7", False), ("vfrsqrt7", True)])
def test_the_estimates_of_the_oracle_are_those_of_the_tables(name: str, root: bool) -> None:
    """Every entry of both tables, at exponents where the result is normal, subnormal, or too large; all modes."""
    exponents = (0, 1, 2, 126, 127, 128, 252, 253, 254)
    values = [s << 31 | e << 23 | top << 16 for e in exponents for top in range(128) for s in (0, 1)]
    data = struct.pack(f"<{len(values)}I", *values)
    loop = (
        f"csrwi frm, {{}}; li t3, {len(values) // 16}\n1: vsetivli x0, 16, e32, m1, ta, ma; vle32.v v8, (t0);"
        f"{name}.v v9, v8; vse32.v v9, (t1); addi t0, t0, 64; addi t1, t1, 64; addi t3, t3, -1; bnez t3, 1b"
    )
    for mode in range(5):
        theirs = struct.unpack(f"<{len(values)}I", run_qemu(build(loop.format(mode), data, len(data)), len(data)))
        assert list(theirs) == [q.estimate(q.FP32, value, root, mode)[0] for value in values]
