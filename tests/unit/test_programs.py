"""Programs of others, compiled by gcc and by LLVM, print the same on the machine and under qemu."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mtia.tools.verify import programs
from mtia.tools.verify.programs import LEVELS, PROGRAMS, Case, build, differences, missing

# Every program by both compilers, every level; `mtiac verify programs` runs all combinations.
SAMPLE = [
    Case(name, compiler, LEVELS[(number + 2 * turn + 2) % 4], 1)
    for turn, compiler in enumerate(programs.COMPILERS)
    for number, name in enumerate(PROGRAMS)
]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: f"{case.program} {case.compiler} {case.level}")
def test_same_output_as_under_qemu(case: Case, tmp_path: Path) -> None:
    if absent := missing(case.program, case.compiler):
        pytest.skip(f"not installed: {', '.join(absent)}")
    assert not differences(build(case, tmp_path), {})


def test_cases_take_turns_and_change_the_seed() -> None:
    every = len(PROGRAMS) * 8
    chosen = [case for case, _ in zip(programs.cases(5), range(every + 1), strict=False)]
    assert len(set(chosen)) == every + 1 and chosen[-1] == replace(chosen[0], seed=6)
    only = next(programs.cases(3, "sort", "llvm", "O2"))
    assert only == Case("sort", "llvm", "-O2", 3)


def test_a_difference_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("sort", "gcc", "-O1", 1)
    if absent := missing(case.program, case.compiler):
        pytest.skip(f"not installed: {', '.join(absent)}")
    other = tmp_path / "other"
    other.mkdir()
    executable, wrong = build(case, tmp_path), build(Case("sort", "gcc", "-O1", 2), other)
    monkeypatch.setattr(programs, "QEMU", str(_pretender(tmp_path, wrong)))
    assert "under qemu" in differences(executable, {})


def _pretender(folder: Path, executable: Path) -> Path:
    """A command that takes qemu's arguments and runs another executable."""
    script = folder / "qemu"
    script.write_text(f'#!/bin/sh\nexec qemu-riscv64 -cpu "$2" {executable}\n')
    script.chmod(0o755)
    return script
