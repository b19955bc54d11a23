"""Each instruction with each element width at the edges of its operands, against qemu-riscv64."""

from __future__ import annotations

import pytest
from mtia.tools.verify.riscv import each, execute, rows, shapes

needs_qemu = pytest.mark.skipif(execute.QEMU is None, reason="qemu-riscv64 is not installed")


def nothing(done: int, total: int) -> None:
    """No progress is shown."""


@needs_qemu
def test_each_instruction_ends_as_on_qemu() -> None:
    report = each.run(seed=20261121, progress=nothing)
    assert not report.failures, "\n".join(report.failures[:40])
    assert report.counts["cases"] > 8_000 and report.counts["executions"] > 150_000
    # Atomics at offsets 1 to 15: 12 are no multiples of 4, 14 none of 8; and at the last byte of memory. qemu lets a
    # misaligned sc pass when it fails anyway: of the rows of each width 4 are sc, the other 40 trap on both sides.
    assert report.counts["accesses: left out: sc"] == 4 * (12 + 14 + 2)
    assert report.counts["accesses: misaligned"] == 40 * (12 + 14 + 2)
    assert report.counts["registers: no trap"] > 1_000 and report.counts["registers: illegal"] > 1_000


def test_each_row_of_arithmetic_has_cases() -> None:
    """Every element width that a vector row has, in whole groups, masked, and from a later element where it may."""
    import random

    texts = {case.text for case in each.Vectors(random.Random(1), False).cases()}
    for row in rows.rows_of("vector"):
        for width in (8, 16, 32, 64):
            if any(shapes.groups(row, width, e, (32, 64)) for e in (8, 16, 32, 64)):
                own = [text for text in texts if text.startswith(f"{row.name} e{width},")]
                assert len(own) >= 4 and any("masked" in text for text in own), (row.name, width)
