"""The calibration page: how errors are counted, and that the committed table has every claim."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from mtia.isa.chip import load_chip
from mtia.isa.errors import UserError
from mtia.tools.bench import published, rates
from mtia.tools.bench.published import CLAIMS, Claim

PAGE = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"


@pytest.mark.parametrize(
    ("least", "most", "simulated", "error"),
    [(92, math.inf, 96, 0), (92, math.inf, 46, 50), (10, 10, 12, 20), (10, 10, 8, 20), (0, 1, 2, 100), (5, 20, 7, 0)],
)
def test_the_error_is_the_distance_from_what_was_published(
    least: float, most: float, simulated: float, error: float
) -> None:
    claim = Claim("work", "mtia200", "text", least, most, "us", "source", lambda chip: 0.0)
    assert claim.error(simulated) == pytest.approx(error)


def test_the_page_has_a_row_for_every_claim_and_its_means() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "mtia" in line]
    for claim in CLAIMS:
        assert sum(line.startswith(f"| {claim.what} | {claim.chip} |") for line in rows) >= 1, claim.what
    assert len(CLAIMS) >= 20 and f"Mean error of all rows ({len(CLAIMS)}):" in text


@pytest.mark.parametrize("only", ["launch", "GEMM 1024x1024x1024"])
def test_the_page_is_of_this_machine(only: str) -> None:
    """The quick rows, simulated again; `mtiac bench published --write docs/calibration.md` renews them all."""
    text = PAGE.read_text(encoding="utf-8")
    for row in published.rows(only=only):
        names = ("what", "chip", "clock", "ecc", "published", "simulated", "error_percent", "kind", "source")
        assert "| " + " | ".join(str(row[name]) for name in names) + " |" in text


def test_the_page_names_the_defined_numbers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    old, new = load_chip("mtia200"), load_chip("mtia300")
    sides = [f"{chip.sram.latency} / {chip.dram.latency}" for chip in (old, new)]
    ways = (
        f"{old.noc.base_latency} + {old.noc.hop_latency} one way",
        f"{new.noc.base_latency} + {new.noc.hop_latency} a hop",
    )
    ports = (f"{old.noc.link_bytes_per_clk}", f"row ends carry {new.noc.link_bytes_per_clk} (derived)")
    starts = (f"{old.dpe.start} (DPE), {old.se.start} (SE)", f"{new.dpe.start}, {new.se.start}")
    scratch = [f"{chip.sram.lls_bytes >> 20} MiB scratch" for chip in (old, new)]
    windows = [str(chip.noc.coalesce_window) for chip in (old, new)]
    for pair in (sides, ways, ports, starts, scratch, windows):
        assert f"| {pair[0]} | {pair[1]} |" in text


def test_a_table_replaces_the_one_before() -> None:
    row = {
        "what": "w", "chip": "c", "clock": "1 GHz", "ecc": "none", "published": "1", "simulated": "2",
        "error_percent": 100.0, "kind": "result", "source": "s", "why": "reason", "ok": True,
    }  # fmt: skip
    empty = "before\n<!-- mtiac bench published: begin --><!-- end -->\nafter\n"
    once = published.page(empty, [row])
    assert once.startswith("before\n") and once.endswith("\nafter\n") and "* w (c): reason." in once
    assert published.page(once, [row]) == once
    with pytest.raises(UserError, match="no place for the table"):
        published.page("nothing", [row])


def test_another_clock_keeps_times_and_rates() -> None:
    chip = load_chip("mtia200")
    slow = published.at_clock(chip, chip.clock_hz // 2)
    assert slow.dram.latency == chip.dram.latency // 2 and slow.launch.first == chip.launch.first // 2
    assert slow.dram_bytes_per_clk == pytest.approx(2 * chip.dram_bytes_per_clk)
    assert published.at_clock(chip, 0) is chip


def test_rates_follow_the_chip_file() -> None:
    """Half as many multiply-adds a clock, half the rate: what is measured is the machine, not a constant."""
    chip = load_chip("mtia200")
    halved = dataclasses.replace(chip, dpe=dataclasses.replace(chip.dpe, fp16=chip.dpe.fp16 // 2))
    whole, half = rates.matrix_rate(chip, "fp16", 1), rates.matrix_rate(halved, "fp16", 1)
    peak = 2.0 * chip.dpe.fp16 * chip.clock_hz
    assert 0.98 * peak <= whole <= peak and 0.98 * peak <= 2 * half <= peak
