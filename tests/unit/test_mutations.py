"""The campaign of table mutations: mutants are drawn, made in a process of their own, and noticed there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from mtia.tools.verify import mutations
from mtia.tools.verify.mutants import ALONE, FAST, KINDS, RANGE, SHARED_CHANGES, UNREAD, draw, population, unused

HERE = Path(__file__).parent


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_mutants_and_a_seed_gives_the_same(kind: str) -> None:
    first, second = (draw(kind, random.Random("7 0 0")) for _ in range(2))
    assert first.kind == kind and (first.row, first.text) == (second.row, second.text)


def test_a_wrong_encoding_is_noticed_and_the_table_left_alone() -> None:
    mutations.load_all(HERE)
    mutant = draw("bit", random.Random("1 0 0"))
    files = [str(HERE / "test_table.py")]
    assert mutations.in_child(mutant, files).verdict == "caught"
    assert mutations.in_child(None, files).verdict == "survived"


def test_every_test_file_that_is_searched_exists() -> None:
    for names in mutations.TESTS.values():
        for name in names:
            assert (HERE / f"{name}.py").is_file(), name


def test_every_rule_about_changes_that_are_not_made_is_needed() -> None:
    assert unused() == []
    counts = population()
    rules = [counts[why] for why in (FAST, RANGE, ALONE, UNREAD)]
    assert min(rules) > 100 and counts["changes"] > 7 * sum(rules)
    assert 0 < counts[SHARED_CHANGES] < 0.1 * counts["changes"]
