"""The same source gives the same executable, whatever the process's hash seed and memory layout."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, importlib
from mtia.compiler.driver import compile_triton
from mtia.compiler.options import Options
from mtia.tools.bench.compile_cases import CASES
for case in CASES:
    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{case.module}"), case.kernel)
    made = compile_triton(kernel, case.signature, case.constants, Options(target=TARGET))
    print(case.name, hashlib.sha256(made.elf).hexdigest())
"""


@pytest.mark.parametrize("target", ["mtia200", "mtia300"])
def test_compilation_is_deterministic(target: str) -> None:
    def outcome(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "MTIA_CACHE": "off"}
        program = PROGRAM.replace("TARGET", repr(target))
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert outcome("1") == outcome("2")
