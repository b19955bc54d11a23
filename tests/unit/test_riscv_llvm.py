"""The table against LLVM's disassembler over whole fields: what LLVM decodes we decode alike, the rest is illegal."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from hart_runner import DATA, TEXT, Reference
from mtia.isa.asm import assemble, disassemble
from mtia.isa.decode import decode
from mtia.isa.state import ILLEGAL
from test_riscv import FEATURES, MC, needs_mc

PRIVILEGED = ("sret", "mret", "dret", "sfence.vma")  # LLVM knows them always; the harts have no privilege levels
# Longer than 32 bits, or not 32-bit at all: the low five bits are ones.
WHOLE = (0x07, 0x27, 0x33, 0x3B, 0x53, 0x57)  # where most bits are opcode
MAJORS = [major for major in range(3, 128, 4) if major & 31 != 31]


def llvm(words: list[int], size: int) -> list[str | None]:
    """LLVM's text of each word, None where it refuses."""
    assert MC is not None
    code = "\n".join(" ".join(f"0x{b:02x}" for b in word.to_bytes(size, "little")) for word in words)
    command = [MC, "--disassemble", "--triple=riscv64", f"-mattr={FEATURES}", "-M", "no-aliases"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=60)
    refused = {int(line) for line in re.findall(r"<stdin>:(\d+):\d+: warning: invalid instruction", done.stderr)}
    lines = iter(re.findall(r"^\t(\S.*)$", done.stdout.replace("\t.text", ""), re.MULTILINE))
    return [None if n in refused else next(lines).replace("\t", " ").strip() for n in range(1, len(words) + 1)]


def ours(word: int) -> str | None:
    """Our text in LLVM's way of writing it; None for an illegal word and for an instruction of Xmtia."""
    found = decode(word)
    if found is None or found.row.extension.name.startswith("Xmtia"):
        return None
    text = disassemble(word)
    return text.replace(".raw ", " ")


def same(word: int, mine: str | None, theirs: str | None) -> bool:
    """Whether both mean the same; LLVM has names for control registers that our harts lack."""
    if mine is not None and mine.startswith(("fence ", "fence.i ")):  # LLVM refuses reserved fields, harts ignore them
        return theirs is None or mine == theirs
    if mine is None or theirs is None:
        refused = theirs is None or theirs.split()[0] in PRIVILEGED
        return mine is None and refused
    if mine == theirs or theirs == "unimp":
        return True
    if mine.startswith("csr"):
        return re.sub(r", \w+,", ",", mine) == re.sub(r", \w+,", ",", theirs)
    return mine.removesuffix(", dyn") == theirs.removesuffix(", dyn")


def differences(words: list[int], size: int) -> list[tuple[str, str | None, str | None]]:
    pairs = zip(words, llvm(words, size), strict=True)
    found = [(f"{word:#x}", ours(word), theirs) for word, theirs in pairs]
    return [case for case in found if not same(int(case[0], 16), case[1], case[2])]


@needs_mc
def test_all_16_bit_words() -> None:
    words = [word for word in range(1 << 16) if word & 3 != 3]
    assert not differences(words, 2)


def sweep(major: int, step: int = 1) -> Iterator[int]:
    """Every funct7, rs2 and funct3, with a few rd and rs1; every funct7, rs1 and funct3, with a few rd and rs2.

    Where these are no opcode but part of an immediate, every `step`th is enough.
    """
    for function in range(8):
        for high in range(0, 1 << 12, step):
            rd, rs1 = ((0, 0), (12, 11), (31, 1), (8, 31))[(high ^ function ^ high >> 7) & 3]
            yield high << 20 | rs1 << 15 | function << 12 | rd << 7 | major
        for high in range(0, 1 << 7, step):
            for rs1 in range(32):
                rs2, rd = ((0, 1), (16, 8), (3, 31), (24, 0))[(high ^ function ^ rs1) & 3]
                yield high << 25 | rs2 << 20 | rs1 << 15 | function << 12 | rd << 7 | major


@needs_mc
@pytest.mark.parametrize("major", MAJORS, ids=hex)
def test_32_bit_words(major: int) -> None:
    words = list(sweep(major, 1 if major in WHOLE else 17))
    wrong = differences(words, 4)
    assert not wrong, f"{len(wrong)} of {len(words)}: {wrong[:8]}"


def test_longer_encodings_are_illegal() -> None:
    for major in (0x1F, 0x3F, 0x5F, 0x7F):
        assert all(decode(high << 12 | major) is None for high in range(0, 1 << 20, 77))


def test_the_word_zero_is_illegal_at_run_time() -> None:
    found = decode(0)
    assert found is not None and found.row.name == "c.unimp"
    assert Reference(assemble("c.unimp\n.data\n.zero 8", text_base=TEXT, data_base=DATA), 0).run() == ILLEGAL
