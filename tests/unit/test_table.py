"""The table's checks on itself, and the manual written from it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from mtia.isa import manual, table
from mtia.isa.decode import decode, expand
from mtia.isa.operands import KINDS
from mtia.isa.table import TableError, extension


@pytest.fixture
def row() -> Iterator[table.Extension]:
    """An extension whose rows are dropped again after the test."""
    table.all()
    count = len(table._rows)
    yield extension("Test", "For tests.")
    del table._rows[count:]


@pytest.mark.parametrize(
    ("syntax", "encoding", "text", "message"),
    [
        ("t rd", "0000000 00000 00000 000 rd 000101", "T.", "has 31 bits"),
        ("t rd", "0000000 00000 00000 000 xd 0001011", "T.", "unknown operand `xd`"),
        ("t rd, rs1", "0000000 00000 00000 000 rd 0001011", "T.", "the syntax names ['rs1']"),
        ("t rd", "0000000 00000 rs1 000 rd 0001011", "T.", "the syntax leaves out ['rs1']"),
        ("t rd", "0000000 00000 00000 000 rd 0001011", "", "manual text is missing"),
        ("t rd", "0000000 00000 00000 000 rd 0001011", "no sentence", "manual text is missing"),
        ("t imm", "imm[11:5] 00000 00000 000 imm[5:1] 0001011", "T.", "`imm` has a bit twice"),
        ("t imm", "imm[11:5] 00000 00000 0000 imm[3:0] 0001011", "T.", "`imm` misses bits"),
        ("t [rd]", "0000000 00000 00000 000 rd 0001011", "T.", "`rd` is optional but has no default"),
        ("t a", "0000000 00000 00000 000 a:zz 0001011", "T.", "unknown operand kind `zz`"),
        ("t rd", "0000000 0x000 00000 000 rd 0001011", "T.", "`0x000` is neither bits nor an operand"),
    ],
)
def test_a_row_is_checked_when_it_is_declared(
    row: table.Extension, syntax: str, encoding: str, text: str, message: str
) -> None:
    with pytest.raises(TableError, match=re.escape(message)):
        row(syntax, encoding, text, timing="alu")


def test_the_table_agrees_with_itself() -> None:
    table.check(table.all())


def test_overlap_missing_meaning_and_double_names_are_found(row: table.Extension) -> None:
    row("t.a rd, rs1", "0000000 11111 rs1 000 rd 0110011", "T.", timing="alu", meaning=1)
    with pytest.raises(TableError, match="share encodings"):
        table.check(table._rows)
    table._rows.pop()
    row("add rd", "0000000 00000 00000 000 rd 1111011", "T.", timing="alu", meaning=1)
    with pytest.raises(TableError, match="add is declared twice"):
        table.check(table._rows)
    table._rows.pop()
    row("t.b rd", "0000000 00000 00000 000 rd 1111011", "T.", timing="alu")
    with pytest.raises(TableError, match="needs a meaning"):
        table.check(table._rows)
    table._rows.pop()
    row("t.c rd", "0000000 00000 00000 000 rd 1111001", "T.", timing="alu", meaning=1)
    with pytest.raises(TableError, match="contradict its size"):
        table.check(table._rows)


def test_every_row_decodes_to_itself_and_draws_all_its_bits() -> None:
    for row in table.all():
        # a `rest` row has only words that others leave: large values are reserved ones
        word = row.match | sum(
            operand.insert(
                next(v for v in candidates(operand.kind.name)[:: -1 if row.rest else 1] if operand.problem(v) is None)
            )
            for operand in row.operands
        )
        found = decode(word)
        assert found is not None and found.row is row
        assert expand(found).row.expands == ""
        numbers, boxes = manual.drawing(row).splitlines()
        ends = [int(n) for n in numbers.split()]
        assert ends[0] == row.size * 8 - 1 and ends[-1] == 0
        assert boxes.count("|") == len(manual._fields(row)) + 1


def candidates(kind: str) -> list[int]:
    """Values of which every operand of a kind accepts one."""
    return sorted(KINDS[kind].shown) + [0, 1, 16, 300, 4096]


def test_the_manual_is_up_to_date() -> None:
    assert manual.FILE.read_text() == manual.manual(), "run `python -m mtia.isa.manual`"
