"""Every pass has a lit test of its name, and that test notices when the pass does nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mtia.compiler import pipeline

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import mutate_passes  # noqa: E402

NAMES = pipeline.pass_names()


def test_every_pass_has_its_lit_test() -> None:
    present = {path.stem for path in (TESTS / "lit" / "passes").glob("*.mlir")}
    assert set(NAMES) <= present


def test_a_function_loses_its_body_only() -> None:
    source = 'def f(x):\n    """Doc."""\n    return g(x)\n\n\ndef g(x):\n    return x\n'
    changed = mutate_passes.without_body(source, "f")
    assert changed == "def f(x):\n    return None\n\n\ndef g(x):\n    return x\n"


def test_the_copied_compiler_passes() -> None:
    assert mutate_passes.lit_passes("fuse", mutate=False)


@pytest.mark.parametrize("name", NAMES)
def test_lit_notices_an_empty_pass(name: str) -> None:
    assert not mutate_passes.lit_passes(name)
