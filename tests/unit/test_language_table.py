"""The table of the language: it names all there is, says nothing is wrong, and a sample of its kernels is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

from mtia.tools.verify.language import run
from mtia.tools.verify.language.random_numbers import philox
from mtia.tools.verify.language.table import public_names

TABLE = Path(__file__).parents[2] / "docs" / "language.md"


def test_the_table_names_every_public_name() -> None:
    named = set(re.findall(r"^\| `([^`]+)` \|", TABLE.read_text(), re.MULTILINE))
    assert [name for name in public_names() if name not in named] == []


def test_the_table_has_nothing_wrong() -> None:
    assert "wrong" not in TABLE.read_text().lower().replace("nothing wrong", "")


def test_a_sample_of_the_kernels() -> None:
    report = run(seed=7, size=20, progress=lambda done, total: None)
    assert report.failures == [] and sum(report.counts.values()) == 20


def test_the_oracle_of_random_numbers() -> None:
    """Known answers of Salmon et al.'s Philox, from the paper's reference implementation."""
    assert philox((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    assert philox((ones,) * 4, (ones, ones)) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
