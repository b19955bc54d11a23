"""What the README and docs/ promise: commands parse and name what exists, examples run, excerpts are real."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mtia.tools import cli, tour
from mtia.tools.cmd_verify import campaign_arguments
from mtia.tools.verify.common import load

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
KERNEL_FILE = "tools/kernels/add.py"


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def command_lines(page: Path) -> list[list[str]]:
    """The words of every `mtiac …` line in the shell blocks of a page."""
    joined = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in joined.splitlines()]
    return [words[words.index("mtiac") + 1 :] for words in lines if "mtiac" in words]


COMMANDS = [words for page in PAGES for words in command_lines(page)]


def test_there_are_examples_of_every_command() -> None:
    assert {words[0] for words in COMMANDS} >= set(cli.COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_parses(words: list[str]) -> None:
    if words[0].startswith("-"):
        return
    module = importlib.import_module(f"mtia.tools.cmd_{words[0]}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    found = parser.parse_args([word for word in words[1:] if word != "--help"])
    if words[0] == "verify" and found.campaign:
        options = argparse.ArgumentParser(exit_on_error=False)
        campaign_arguments(options, load(found.campaign))
        options.parse_args(found.rest)
    for word in words:
        if (path := word.partition("::")[0]).startswith("tools/"):
            assert (ROOT / path).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_links_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([\w./:-]+)[)#]", re.sub(r"`[^`\n]*`", "", text)):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for name in re.findall(r"`((?:isa|dialects|compiler|runtime|tools|docs|tests)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name


def test_make_targets_exist() -> None:
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        used = {name for block in blocks(page, "sh") for name in re.findall(r"^make (\w+)", block, re.MULTILINE)}
        assert used <= rules


@pytest.mark.parametrize("target", ["mtia200", "mtia300"])
def test_first_kernel_runs(target: str, tmp_path: Path) -> None:
    [program] = blocks(ROOT / "README.md", "python")
    (tmp_path / "first.py").write_text(program)
    environment = {**os.environ, "MTIA_TARGET": target, "TRITON_DEFAULT_BACKEND": "mtia"}
    done = subprocess.run(
        [sys.executable, "first.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"\d+ cycles, [\d.]+ µs on {target}\n", done.stdout)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what the examples use, as the current one."""
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    (tmp_path / "double.s").write_text(blocks(ROOT / "README.md", "asm")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUNS = ("as", "isa", "targets", "opt", "objdump", "compile", "run", "prof")
QUICK = [words for words in COMMANDS if words[0] in RUNS]


def test_quick_examples_run(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """All but the measurements and the tuner, in the order of the pages: later ones use what earlier ones wrote."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)).eval()
    torch.export.save(torch.export.export(model, (torch.randn(8, 64),)), "model.pt2")
    for words in QUICK:
        assert cli.main(words) == 0, (words, capfd.readouterr().err)
    capfd.readouterr()


def skeleton(text: str) -> list[str]:
    """The lines without what a neighbouring change renumbers: value names, addresses and numbers."""
    return [re.sub(r"%[\w#]+|\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b", "_", line) for line in text.strip().splitlines()]


def test_tour_is_what_the_stages_print() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.split(tour.FIRST)[1].split(tour.LAST)[0]
    assert skeleton(shown) == skeleton(tour.tour()), "renew it with: python -m mtia.tools.tour"


def test_exit_codes_are_the_commands() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == ["0", "1", "2", "3", "70", "130"]
    said = cli.__doc__ or ""
    assert all(f"{code} " in said for code in (0, 1, 2, 3, 70, 130))
