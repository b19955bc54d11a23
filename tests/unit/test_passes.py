"""Every pass has a lit test of its name, and that test notices when the pass does nothing."""

from __future__ import annotations

import ast
import random
from pathlib import Path
from typing import Any

import pytest
from mtia.compiler import pipeline
from mtia.compiler.options import Options
from mtia.dialects import mlir
from mtia.tools.verify import passes
from mtia.tools.verify.pass_mutants import KINDS, draw, files, without_body

TESTS = Path(__file__).resolve().parents[1]
NAMES = pipeline.pass_names()


def test_every_pass_has_its_lit_test() -> None:
    present = {path.stem for path in (TESTS / "lit" / "passes").glob("*.mlir")}
    assert set(NAMES) <= present


def test_an_invalid_module_names_the_stage_that_made_it() -> None:
    def without_end(module: Any, job: pipeline.Job) -> Any:
        module.body.operations[0].regions[0].blocks[0].operations[0].erase()
        return module

    stage = pipeline.Stage("fused", ".mlir", "a module without its end", without_end)
    with mlir.using(pipeline.context()):
        module = pipeline.parse("func.func @f() {\n  return\n}")
        with pytest.raises(RuntimeError, match=r"stage 'fused' made an invalid module: .*empty block"):
            pipeline.advance(stage, module, pipeline.Job(Options("mtia300")))


def test_a_function_loses_its_body_only() -> None:
    source = 'def f(x):\n    """Doc."""\n    return g(x)\n\n\ndef g(x):\n    return x\n'
    changed = without_body(source, "f")
    assert changed == "def f(x):\n    return None\n\n\ndef g(x):\n    return x\n"


def test_the_copied_compiler_passes() -> None:
    assert passes.lit_passes("fuse", mutate=False)


@pytest.mark.parametrize("name", NAMES)
def test_lit_notices_an_empty_pass(name: str) -> None:
    assert not passes.lit_passes(name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_is_one_change_of_a_copy(kind: str) -> None:
    first, second = (draw(kind, random.Random("7 0")) for _ in range(2))
    assert first == second and first.kind == kind
    before, after = files()[first.file].read_text(), first.sources[first.file]
    tree = ast.unparse(ast.parse(before)).splitlines()
    changed = [line for line in after.splitlines() if line not in tree]
    assert after != ast.unparse(ast.parse(before)) + "\n" and len(changed) <= 2
