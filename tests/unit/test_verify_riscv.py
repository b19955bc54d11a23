"""The campaign against qemu-riscv64: a small sample, and that it finds and shrinks a wrong instruction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from mtia.isa import table
from mtia.runtime.machine import hart
from mtia.tools.verify import riscv
from mtia.tools.verify.riscv import execute, rows, shapes

needs_qemu = pytest.mark.skipif(execute.QEMU is None, reason="qemu-riscv64 is not installed")


def nothing(done: int, total: int) -> None:
    """No progress is shown."""


@needs_qemu
def test_random_programs_end_as_on_qemu() -> None:
    report = riscv.run(seed=20261120, size=64, progress=nothing)
    assert not report.failures, "\n".join(report.failures)
    assert report.counts["instructions"] > 500_000
    generated = sum(bool(rows.category(row)) for row in table.all())
    assert report.counts["rows executed"] > 0.9 * generated


@needs_qemu
def test_reference_and_native_code_agree_on_the_same_programs() -> None:
    report = riscv.run(seed=7, size=2, progress=nothing, instructions=300, reference=True)
    assert not report.failures, "\n".join(report.failures)


@needs_qemu
def test_wrong_instructions_trap_as_on_qemu() -> None:
    report = riscv.run(seed=5, size=3000, progress=nothing, traps=True)
    assert not report.failures, "\n".join(report.failures)
    for what in ("illegal", "no memory", "misaligned", "no trap"):
        assert report.counts[what] > 20


class Wrong:
    """The native handlers, some taken for others."""

    def __init__(self, library: Any, pattern: str, other: str) -> None:
        self._library, self._pattern, self._other = library, re.compile(pattern), other
        self.call = library.call

    def addr(self, name: str) -> int:
        return int(self._library.addr(self._pattern.sub(self._other, name)))

    def load(self, names: Iterable[str]) -> None:
        self._library.load([self._pattern.sub(self._other, name) for name in names])


@needs_qemu
@pytest.mark.parametrize(
    "pattern, other, shown",
    [
        (r"^vmulhu\.vx$", "vmulh.vx", "vmulhu.vx"),
        (r"^fle\.d$", "flt.d", "fle.d"),
        (r"^vmin(u?\..* e)", r"vmax\1", "vmin"),  # only the handlers for whole registers
    ],
)
def test_a_wrong_instruction_is_found_and_shrunk(
    pattern: str, other: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Wrong(hart.native(), pattern, other)
    monkeypatch.setattr(hart, "native", lambda: wrong)
    report = riscv.run(seed=3, size=400, progress=nothing, instructions=3000, failures=1)
    assert len(report.failures) == 1
    code = [line for line in report.failures[0].splitlines() if line.startswith("  ") and "#" not in line]
    instructions = [line for line in code if ": qemu" not in line]
    assert any(line.strip().startswith(shown) for line in instructions)
    assert len(instructions) <= 16, report.failures[0]


def test_every_row_is_generated_or_has_a_reason() -> None:
    for row in table.all():
        if row.unit == "hart" and not row.extension.name.startswith("X"):
            kind = rows.category(row)
            assert kind or rows.left_out()[row.name]
            sizes = [(w, e) for w in (8, 16, 32, 64) for e in (1, 2, 4, 8, 16, 32, 64) if 8 * e >= w]
            assert (
                not kind.startswith("v") or kind == "vset" or any(shapes.groups(row, *size, (32, 64)) for size in sizes)
            )


@pytest.mark.parametrize(
    "name, width, eighths, values, reason",
    [
        ("vadd.vv", 32, 16, {"vd": 2, "vs2": 4, "vs1": 6}, ""),
        ("vadd.vv", 32, 16, {"vd": 3, "vs2": 4, "vs1": 6}, "alignment"),
        ("vadd.vv", 32, 8, {"vd": 0, "vs2": 4, "vs1": 6, "vm": 0}, "mask overwritten"),
        ("vwadd.vv", 32, 8, {"vd": 4, "vs2": 5, "vs1": 8}, ""),
        ("vwadd.vv", 32, 8, {"vd": 4, "vs2": 4, "vs1": 8}, "overlap below the highest part"),
        ("vnsrl.wi", 32, 8, {"vd": 4, "vs2": 4, "uimm": 0}, ""),
        ("vnsrl.wi", 32, 8, {"vd": 5, "vs2": 4, "uimm": 0}, "overlap above the lowest part"),
        ("vrgather.vv", 32, 8, {"vd": 4, "vs2": 4, "vs1": 8}, "destination overlaps a source"),
        ("vloxei8.v", 16, 64, {"vd": 8, "vs2": 12, "rs1": 1}, ""),
        ("vluxseg2ei32.v", 32, 8, {"vd": 8, "vs2": 9, "rs1": 1}, "destination overlaps a source"),
        ("vmseq.vv", 32, 8, {"vd": 0, "vs2": 4, "vs1": 5, "vm": 0}, ""),
        ("vmsbf.m", 32, 8, {"vd": 0, "vs2": 4, "vm": 0}, "mask overwritten"),
    ],
)
def test_reserved_register_numbers(name: str, width: int, eighths: int, values: dict[str, int], reason: str) -> None:
    row = table.find(name)
    assert row is not None
    made = shapes.groups(row, width, eighths, (16, 32, 64))
    assert made is not None
    assert shapes.reserved(row, made, {"vm": 1} | values) == reason
