"""The corpus of `mtiac verify strict`, in full."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from mtia.runtime.launch import LaunchResult, launch
from mtia.tools.verify import strict
from mtia.tools.verify.strict_cases import corpus


def test_the_corpus() -> None:
    report = strict.run(1, 0, lambda done, total: None)
    assert not report.failures
    assert report.counts["faulty programs"] >= 100 and report.counts["sound programs"] >= report.size // 2
    assert report.size >= 200


def test_a_sample_on_the_reference() -> None:
    assert not strict.run(2, 12, lambda done, total: None, interpreter="reference").failures


def test_the_corpus_has_every_check_and_names_differ() -> None:
    programs = corpus()
    assert max(Counter(program.name for program in programs).values()) == 1
    causes = Counter(program.cause for program in programs)
    assert {"UNWRITTEN", "RACE", "BOUNDS", "BUFFER", "OUTSIDE", "DEADLOCK", "RUNAWAY", "SPACE", None} <= causes.keys()
    assert sum(bool(program.reads) for program in programs) >= 3


def test_the_campaign_notices_what_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks the faulty programs of those causes run on, and the campaign says so."""

    def careless(*args: Any, **options: Any) -> LaunchResult:
        return launch(*args, **options, strict=False)

    monkeypatch.setattr("mtia.tools.verify.strict.launch", careless)
    report = strict.run(1, 0, lambda done, total: None, only="td5")
    assert report.counts["missed"] == report.counts["faulty programs"] == 16 and not report.counts["false alarms"]
    assert "ran to its end, UNWRITTEN expected" in report.failures[0]
