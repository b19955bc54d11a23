"""The campaign over Triton's tutorials, on files in their form; the tutorials themselves are not in the project."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

from mtia.isa.errors import UserError
from mtia.tools.verify import tutorials
from mtia.tools.verify.tutorials_child import CHECKS, answered

ADD = """
import tabulate
import torch
import triton
import triton.language as tl

@triton.jit
def add_kernel(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n) * {factor}, mask=i < n)

def add(x, y):
    out = torch.empty_like(x)
    add_kernel[(triton.cdiv(x.numel(), 64),)](x, y, out, x.numel(), BLOCK=64, matrix_instr_nonkdim=16)
    return out

x, y = torch.rand(300, device="cuda"), torch.rand(300, device="cuda")
assert x.is_cuda
output_torch, output_triton = x + y, add(x, y)
print(tabulate.tabulate([["sum", *output_triton.tolist()]]))

@triton.testing.perf_report(triton.testing.Benchmark(
    x_names=["n"], x_vals=[64, 128, 256], line_arg="provider", line_vals=["torch", "triton"],
    line_names=["", ""], plot_name="add", args={{}}))
def figure(n, provider):
    x = torch.rand(n, device="cuda")
    ms = triton.testing.do_bench((lambda: x + x) if provider == "torch" else lambda: add(x, x))
    return 1 / ms

figure.run(print_data=True)
"""


def _suite(folder: Path, factor: float) -> Path:
    (folder / "01-vector-add.py").write_text(ADD.format(factor=factor))
    return folder


def test_a_right_and_a_wrong_file(tmp_path: Path) -> None:
    good = tutorials.run(1, 2, lambda done, total: None, str(_suite(tmp_path, 1.0)), "01")
    assert good.failures == [] and good.counts == {"files": 1, "passed": 1}
    wrong = tutorials.run(1, 1, lambda done, total: None, str(_suite(tmp_path, 1.5)), "01")
    assert len(wrong.failures) == 1 and "off by" in wrong.failures[0]


def test_a_folder_without_the_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="08-grouped-gemm"):
        tutorials.run(1, 1, lambda done, total: None, str(tmp_path), "grouped")


def test_every_file_has_a_check_and_the_surroundings_are_put_back() -> None:
    import torch
    import triton

    assert list(CHECKS) == [name[:2] for name in tutorials.FILES]
    before = triton.testing.perf_report
    with answered(1):
        assert triton.testing.perf_report is not before
    assert triton.testing.perf_report is before and not torch.ones(1).is_cuda
