"""Rows of `mtiac bench simulate`: bounds on one or both sides, wrong results, and the table that shows them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

import pytest
from mtia.tools import cmd_bench
from mtia.tools.bench import simulate
from mtia.tools.bench.common import Row, speed_row


@pytest.mark.parametrize(
    ("value", "least", "most", "met"),
    [(0.79, 0.8, 1.2, False), (0.8, 0.8, 1.2, True), (1.2, 0.8, 1.2, True), (1.21, 0.8, 1.2, False),
     (399.0, 400.0, None, False), (0.3, None, 0.3, True), (7.0, None, None, True)],
)  # fmt: skip
def test_bounds(value: float, least: float | None, most: float | None, met: bool) -> None:
    assert speed_row("a", value, "x", least, most)["met"] is met


def test_a_ratio_is_judged() -> None:
    row = speed_row("a", 2.0, "s", least=30.0, peer="b", peer_value=58.0, of="ratio")
    assert (row["ratio"], row["met"], row["bound"]) == (29.0, False, "ratio at least 30")


@pytest.mark.parametrize(("load", "loaded"), [(1.0, False), (4.6, True)])
def test_load(monkeypatch: pytest.MonkeyPatch, load: float, loaded: bool) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 9.0, 9.0))
    row = speed_row("a", 1.0, "x")
    assert (row["load"], row["loaded"]) == (load, loaded)


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("json", [True, False])
def test_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ok: bool, code: int, json: bool
) -> None:
    """A wrong result is an error, a missed bound is shown; rows may have columns of their own."""

    def rows() -> Iterator[Row]:
        yield speed_row("slow", 1.0, "x", least=2.0)
        yield {**speed_row("checked", 1.0, "x", ok=ok), "mix": "half"}

    monkeypatch.setattr(simulate, "rows", rows)
    given = argparse.Namespace(name="simulate", target=None, repeats=None, only=None, write=None, json=json)
    assert cmd_bench.run(given) == code
    shown = capsys.readouterr().out
    assert ("at least 2" in shown) and "half" in shown
