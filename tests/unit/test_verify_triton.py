"""The campaign over Triton's own tests, on a small suite made here: no end of a test escapes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mtia.isa.errors import UserError
from mtia.tools.verify import triton
from mtia.tools.verify.triton_reasons import LATER, OURS, VENDOR, Result, judge

CONFTEST = """
import pytest
def pytest_addoption(parser):
    parser.addoption("--device", default="cuda")
@pytest.fixture
def device(request):
    return request.config.getoption("--device")
"""
TESTS = """
import ctypes, os, signal, time, pytest, torch
CAPABILITY = torch.cuda.get_device_capability()
@pytest.mark.parametrize("n", [1, 2, 3])
def test_passes(device, n):
    assert device == "mtia" and CAPABILITY == (0, 0)
@pytest.mark.parametrize("n", [1, 2])
def test_wrong(n):
    assert torch.equal(torch.tensor([n]), torch.tensor([0]))
def test_raises():
    raise ValueError("of ours, 12")
def test_crashes():
    os.abort()
def test_is_slow():
    time.sleep(60)
def test_is_stuck():
    ctypes.PyDLL(None).pause.restype = ctypes.c_int
    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        ctypes.PyDLL(None).pause()
def test_skips():
    pytest.skip("only for CUDA")
def test_vendor():
    {}["ptx"]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    tests = tmp_path / "python/test"
    (tests / "unit/language").mkdir(parents=True)
    (tests / "unit/runtime").mkdir()
    (tests / "conftest.py").write_text(CONFTEST)
    (tests / "unit/language/test_some.py").write_text(TESTS)
    (tests / "unit/runtime/test_conversions.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_typeconvert_downcast(n):\n    assert False\n"
    )
    (tests / "unit/language/test_import.py").write_text("from triton.language import not_there_at_all\n")
    return tmp_path


def test_every_end_of_a_test_is_counted(suite: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    report = triton.run(1, 0, lambda done, total: None, str(suite), jobs=1, limit=5, write=str(table))
    place = "unit/language/test_some.py::"
    kinds = {
        name.removeprefix(place): [kind for kind, n in counts.items() if n]
        for name, counts in report.functions.items()
    }  # fmt: skip
    assert kinds == {
        "test_passes": ["passed"], "test_wrong": ["wrong"], "test_raises": ["failed"], "test_crashes": ["crashed"],
        "test_is_slow": ["hung"], "test_is_stuck": ["hung"], "test_skips": ["skipped"], "test_vendor": ["failed"],
        "unit/runtime/test_conversions.py::test_typeconvert_downcast": ["not run"],
        "unit/language/test_import.py::(the file itself)": ["failed"],
    }  # fmt: skip
    assert report.counts["passed"] == 3 and report.counts["wrong"] == 2
    assert report.counts["of another vendor"] == 2 and report.counts["of a later Triton"] == 1
    assert report.counts["passed of ours that ran, percent"] == 27.27  # 3 of 3 + 2 wrong + 4 + 2 not run
    assert len(report.failures) == 5
    text = table.read_text()
    assert "| language/test_some.py::test_vendor | 1 | failed | looks into ptx, another maker's stage |" in text
    assert "ValueError: of ours, #" in text


def test_a_sample_is_that_of_its_seed(suite: Path) -> None:
    def names(seed: int) -> list[str]:
        report = triton.run(seed, 2, lambda done, total: None, str(suite), only="passes", jobs=2, limit=30)
        assert report.counts["passed"] <= 2
        return list(report.files)

    assert names(3) == names(3) == [f"unit/{name}.py" for name in ("language/test_import", "language/test_some")]


def test_kept_results_are_of_several_runs(suite: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    def passed(only: str) -> float:
        report = triton.run(1, 0, lambda done, total: None, str(suite), only=only, jobs=1, results=str(kept))
        return report.counts["passed"]

    assert passed("passes and 1") == 1
    with kept.open("a") as file:
        file.write('{"test": "cut o')  # the run was ended
    assert passed("passes") == 3
    assert sum("test_passes" in line for line in kept.read_text().splitlines()) == 3


def test_a_folder_that_is_no_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no tree of Triton"):
        triton.run(1, 0, lambda done, total: None, str(tmp_path))


@pytest.mark.parametrize(
    ("outcome", "message", "kind", "mark"),
    [
        ("failed", "AssertionError: Torch not compiled with CUDA enabled", "failed", VENDOR),
        ("failed", "ImportError: cannot import name 'x' from 'triton.tools'", "failed", LATER),
        ("failed", "AssertionError: \nNot equal to tolerance rtol=0\nMismatched elements: 3 / 4", "wrong", OURS),
        ("failed", "AssertionError: text", "failed", OURS),
        ("skipped", "Requires compute capability >= 9", "skipped", VENDOR),
        ("skipped", "not for this dtype", "skipped", OURS),
        ("crashed", "worker 'gw0' crashed while running 'x'", "crashed", OURS),
    ],
)
def test_what_a_result_means(outcome: str, message: str, kind: str, mark: str) -> None:
    verdict = judge(Result("unit/language/test_x.py::test_y[1]", outcome, message))
    assert (verdict.kind, verdict.mark) == (kind, mark)
