"""A sample of `mtiac verify xmtia`, and that no command is without its numpy statement."""

from __future__ import annotations

import pytest
from mtia.isa import table
from mtia.tools.verify import xmtia, xmtia_pairs
from mtia.tools.verify.xmtia_commands import CASES
from mtia.tools.verify.xmtia_model import CONTROL, statements

NAMES = {row.name for row in table.all() if row.name.startswith("xm.")}
ELSEWHERE = {"xm.re.send", "xm.re.recv", "xm.barrier", "xm.exit"}  # cases of more than one hart


def test_every_command_has_a_numpy_statement() -> None:
    assert statements() == NAMES


def test_every_command_is_in_a_case() -> None:
    seen: set[str] = set()
    for chip in xmtia.CHIPS:
        for number in range(0, 600, 40):
            batch, _ = xmtia.make(chip, 5, range(number, number + 40))
            batch.release()
            seen |= {line.split()[0] for line in batch.log}
    assert set(CASES) | set(CONTROL) - ELSEWHERE <= seen
    assert NAMES - seen <= ELSEWHERE


def test_a_sample_of_the_campaign() -> None:
    report = xmtia.run(seed=1, size=2000, progress=lambda done, total: None)
    assert report.failures == []
    assert report.counts["cases"] == 2000 and report.counts["cases on the reference too"] >= 8
    assert report.counts["wrong operands"] > 2_500  # each wrong thing of each family of commands


@pytest.mark.parametrize("number", range(0, len(CASES), 5))
def test_both_interpreters_give_the_same_bits_and_cycles(number: int) -> None:
    assert xmtia.on_both(xmtia.CHIPS[number % 2], 7, number) == []


@pytest.mark.parametrize("name", xmtia_pairs.PROGRAMS)
def test_programs_of_several_harts(name: str) -> None:
    number = list(xmtia_pairs.PROGRAMS).index(name)
    for chip in xmtia.CHIPS:
        for turn in range(3):
            assert xmtia_pairs.difference(chip, 4, number + 3 * turn, both=turn == 0) is None


def test_a_wrong_byte_is_found() -> None:
    """The comparison looks at all of local memory, accumulators and device memory."""
    batch, _ = xmtia.make("mtia200", 1, range(5))
    outcome = batch.run()
    assert batch.differences(outcome) == []
    outcome.ls[0, 0x9000] ^= 1
    assert batch.differences(outcome) != []
    outcome.ls[0, 0x9000] ^= 1
    outcome.acc[0, -1] ^= 1
    assert batch.differences(outcome) == [4]
    batch.release()
