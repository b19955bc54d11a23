"""The assembler: programs, data, pseudo-instructions, and what it says about mistakes."""

from __future__ import annotations

import pytest
from mtia.isa.asm import DATA_BASE, TEXT_BASE, assemble, disassemble, listing
from mtia.isa.decode import decode, expand, fields, walk
from mtia.isa.encode import word
from mtia.isa.errors import UserError

PROGRAM = """
# sum of a table
.equ COUNT, 4
.globl main
.text
main:
    la   a0, table          // address
    li   a1, COUNT * 1
    li   a2, 0
1:  ld   a3, 0(a0)
    add  a2, a2, a3; addi a0, a0, 8
    addi a1, a1, -1
    bnez a1, 1b
    beqz a2, done           /* never */
    mv   a0, a2
done:
    ret
.data
table: .dword 1, 2, 3, -4
text:  .asciz "hi"
       .align 2
       .word table + 8, 0x10
       .float 1.5
"""


def test_program() -> None:
    program = assemble(PROGRAM)
    assert program.symbols["main"] == TEXT_BASE
    assert program.symbols["table"] == DATA_BASE
    data = program.sections[".data"].data
    assert data[:16] == (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
    assert data[32:36] == b"hi\0\0"
    assert data[36:] == (DATA_BASE + 8).to_bytes(4, "little") + b"\x10\0\0\0" + b"\0\0\xc0\x3f"
    assert program.globals == ("main",)
    words = [w for _, w in walk(program.text)]
    assert words[0] == word("lui", rd=10, upper=DATA_BASE + 0x800 & ~0xFFF)
    assert words[8] == word("bne", rs1=11, rs2=0, target=-16)
    assert dict(program.lines)[TEXT_BASE] == 7


def test_listing_assembles_to_the_same_bytes() -> None:
    program = assemble(PROGRAM)
    text = listing(program.text, TEXT_BASE, {k: v for k, v in program.symbols.items() if v >= TEXT_BASE})
    assert "main:" in text
    assert assemble(text).text == program.text


_CONSTANTS = [
    0, 1, -1, 2047, -2048, 2048, 0x7FFFFFFF, -(1 << 31), 1 << 31, 0xDEADBEEF, 1 << 63, 0x123456789ABCDEF0,
    (1 << 64) - 1, 0x7FFFFFFFFFFFFFFF, 0x800, 0xFFFFF800,
]  # fmt: skip


@pytest.mark.parametrize("value", _CONSTANTS)
def test_li_builds_the_constant(value: int) -> None:
    register = 0
    for _, found in walk(assemble(f"li a0, {value}").text):
        row = decode(found)
        assert row is not None
        match row.row.name, row.values:
            case "addi", {"rs1": source, "imm": imm}:
                register = (register if source else 0) + imm
            case "addiw", {"imm": imm}:
                register = ((register + imm + (1 << 31)) % (1 << 32)) - (1 << 31)
            case "lui", {"upper": imm}:
                register = imm
            case "slli", {"shamt": shamt}:
                register <<= shamt
    assert register % (1 << 64) == value % (1 << 64)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("nop\nadd a0, a1\n", 2, 1, "add takes `rd, rs1, rs2`, found 2 operands"),
        ("  addd a0, a1, a2", 1, 3, "`addd` is not an instruction; did you mean `add`"),
        ("add a0, a1, 5", 1, 13, "`rs2` must be an integer register"),
        ("addi a0, a1, 4096", 1, 14, "`imm` is 4096, must be -2048 to 2047"),
        ("ld a0, a1", 1, 8, "`imm(rs1)` is expected here"),
        ("beqz a0, nowhere", 1, 10, "`nowhere` is not defined"),
        ("beq a0, a1, 3", 1, 13, "must be a multiple of 2"),
        ("x: nop\nx: nop", 2, 1, "label `x` is already on line 1"),
        ("add a0,, a1", 1, 8, "`,` is not expected here"),
        (".wurd 1", 1, 1, "`.wurd` is not a directive; did you mean `.word`"),
        (".globl f", 1, 8, "`f` is global but nowhere defined"),
        (".byte 256", 1, 7, "256 does not fit into 1 bytes"),
        ("li a0, 1/0", 1, 9, "division by zero"),
        ("j 1f", 1, 3, "there is no label `1:` after this line"),
        ("add a0, a1, ~", 1, 14, "the end of the line is not expected here"),
        ("a0: nop", 1, 1, "`a0` is a register"),
        ("nop ^", 1, 5, "is not expected here"),
        ("nop `", 1, 5, "cannot start a word"),
    ],
)
def test_errors_point_at_the_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        assemble(text, "k.s")
    assert message in caught.value.message
    assert (caught.value.file, caught.value.line, caught.value.column) == ("k.s", line, column)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("-4+1", -3),
        ("1<<4|3", 19),
        ("10-2-3", 5),
        ("~0&0xf", 15),
        ("7/2", 3),
        ("'a'", 97),
        ("0b11", 3),
    ],
)
def test_expressions(text: str, value: int) -> None:
    assert assemble(f"addi a0, x0, {text}").text == assemble(f"addi a0, x0, {value}").text


def test_illegal_words_become_data() -> None:
    assert disassemble(0xFFFFFFFF) == ".word 0xffffffff"
    assert disassemble(0x8000) == ".half 0x8000"
    assert decode(0xFFFFFFFF) is None and fields(0x8000) is None


def test_compressed_rows_expand() -> None:
    found = decode(word("c.ldsp", rd=10, uimm=16))
    assert found is not None
    base = expand(found)
    assert base.word == word("ld", rd=10, rs1=2, imm=16)
    slots = fields(word("c.addi", rd=5, imm=-1))
    assert slots is not None and (slots.row.name, slots.rd, slots.rs1, slots.imm, slots.size) == ("addi", 5, 5, -1, 2)


def test_x0_as_destination_decodes_to_the_dump() -> None:
    slots = fields(word("add", rd=0, rs1=1, rs2=2))
    assert slots is not None and slots.rd == 32
