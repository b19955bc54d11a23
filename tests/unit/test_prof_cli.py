"""`mtiac prof` and `mtiac run --trace=text`: what they print, the plot, and wrong options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtia.isa.chip import load_chip
from mtia.tools import cli, prof_example
from mtia.tools.prof_report import Launch
from mtia.tools.prof_roofline import ceilings, points, slopes
from test_cli import KERNEL, SIGNATURE
from test_prof import recorded

ARGUMENTS = (
    "scale.py", "--grid", "3", "--signature", SIGNATURE, "--arg", "x_ptr=randn:700:fp32", "--arg",
    "out_ptr=zeros:700:fp32", "--arg", "factor=2.0", "--arg", "n=700",
)  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scale.py").write_text(KERNEL)


def run(*arguments: str) -> int:
    return cli.main(arguments)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(*arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_a_kernel_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    cycles = printed(capsys, "run", *ARGUMENTS, "--json")["cycles"]
    found = printed(capsys, "prof", *ARGUMENTS, "--json", "--trace", "t.json.gz")
    assert found["cycles"] == cycles and Path("t.json.gz").stat().st_size > 0
    assert sum(found["topdown"].values()) == pytest.approx(1, abs=1e-5)
    for name, row in found["units"].items():
        states = [value for key, value in row.items() if key not in ("commands", "instructions")]
        assert sum(states) == pytest.approx(1, abs=1e-5), name
    assert found["launches"][0]["pes"] == 3 and set(found["launches"][0]["per_pe"]["by_pe"]) == {"0", "1", "2"}
    loads = [line for line in found["lines"] if "tl.load" in line["text"]]
    assert sum(line["bytes"] for line in loads) == 2 * 700 * 4  # the line loads and stores
    assert any("3 of 64 PEs" in hint for hint in found["hints"])


def test_a_kernel_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prof", *ARGUMENTS) == 0
    text = capsys.readouterr().out
    for part in ("top-down", "PEs without a program", "units", "source lines", "scale.py:9", "imbalance"):
        assert part in text
    assert run("prof", *ARGUMENTS, "--pe", "2") == 0
    assert "top-down of PE 2" in capsys.readouterr().out


def test_a_model_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)).eval()
    torch.export.save(torch.export.export(model, (torch.randn(4, 16),)), "model.pt2")
    found = printed(capsys, "prof", "model.pt2", "--json", "--trace", "m.json.gz")
    assert found["cycles"] == sum(row["cycles"] for row in found["launches"])
    assert len(found["launches"]) >= 2
    assert sum(found["topdown"].values()) == pytest.approx(1, abs=1e-5)
    assert run("prof", "model.pt2") == 0
    text = capsys.readouterr().out
    assert run("run", "model.pt2", "--trace", "t.json") == 2 and "mtiac prof --trace" in capsys.readouterr().err
    assert "layers" in text and f"cycles       {found['cycles']}" in text


def test_help_has_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("prof", "--help")
    assert "the launch itself, and PEs that have finished before others" in " ".join(capsys.readouterr().out.split())


WRONG = [
    (("prof", *ARGUMENTS, "--pe", "64"), "--pe is 64; mtia200 has PEs 0 to 63"),
    (("prof", *ARGUMENTS, "--pe", "9"), "PE 9 had no program: 3 PEs were used"),
    (("prof", *ARGUMENTS, "--roofline", "r.pdf"), "the name must end in .svg or .png"),
    (("prof", *ARGUMENTS, "--trace", "none/t.json"), "none/t.json: error: cannot write"),
    (("run", *ARGUMENTS, "--trace=text", "--trace-hart", "3"), "PE 3 has no program"),
    (("run", *ARGUMENTS, "--trace=text", "--trace-hart", "0.2"), "--trace-hart is '0.2'"),
    (("run", *ARGUMENTS, "--trace=text", "--trace-limit", "0"), "--trace-limit is 0"),
    (("run", *ARGUMENTS, "--trace-hart", "0.0"), "--trace-hart goes with --trace=text"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_options(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err


def test_text_trace(capsys: pytest.CaptureFixture[str]) -> None:
    cycles = printed(capsys, "run", *ARGUMENTS, "--json")["cycles"]
    assert run("run", *ARGUMENTS, "--trace=text") == 0
    text = capsys.readouterr().out
    assert "xm.dma.in" in text and "# scale.py:9  tl.store(" in text and f"cycles       {cycles}" in text


def test_plot(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    assert run("prof", *ARGUMENTS, "--json", "--roofline", "r.svg") == 0
    assert Path("r.svg").read_text().startswith("<?xml") and not list(Path().glob(".r*"))
    assert run("prof", *ARGUMENTS, "--json", "--roofline", "r.png") == 0
    assert Path("r.png").read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("prof", *ARGUMENTS, "--roofline", "r.svg") == 2
    assert "pip install 'mtiac[plot]'" in capsys.readouterr().err


def test_roofs_and_points_by_hand() -> None:
    """MTIA 200: 354 TOPS int8, 177 TFLOPS fp16, 2.7 TB/s SRAM, 204.8 GB/s DRAM less 12.5 % (ISCA25 T2)."""
    chip = load_chip("mtia200")
    assert ceilings(chip)["DPE int8"] == pytest.approx(354e12, rel=0.01)
    assert ceilings(chip)["DPE fp16"] == pytest.approx(177e12, rel=0.01)
    assert slopes(chip)["DRAM"] == pytest.approx(204.8e9 * 0.875)
    assert slopes(chip)["SRAM"] == pytest.approx(2.7e12)
    result, profile = recorded("matmul")
    rate, intensity = points(Launch.of("matmul", profile))
    # 256³ multiply-adds, and one conversion of each of the 256² results on the SE.
    operations = 2 * 256**3 + 256**2
    assert rate == pytest.approx(operations * chip.clock_hz / result.cycles)
    memory = result.counters["memory"]
    moved = memory["dram_read_bytes"] + memory["dram_write_bytes"]
    assert moved >= 3 * 256 * 256 * 2
    assert intensity["DRAM"] == pytest.approx(operations / moved)
    for name, value in intensity.items():
        assert rate <= slopes(chip)[name] * value * (1 + 1e-9)
    assert np.isfinite(list(intensity.values())).all()


def test_the_page_has_the_example() -> None:
    """Its figures come from `python -m mtia.tools.prof_example`, which runs these commands."""
    page = prof_example.PAGE.read_text()
    shown = page.split(prof_example.FIRST)[1].split(prof_example.LAST)[0]
    for said, name, block, options, _ in prof_example.SHOWN:
        assert said in shown and prof_example.command(name, block, options) in shown
