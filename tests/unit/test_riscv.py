"""RISC-V rows against LLVM's assembler and disassembler."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from mtia.isa import table
from mtia.isa.asm import assemble, disassemble, render
from mtia.isa.decode import Decoded, decode
from mtia.isa.encode import encode
from mtia.isa.pseudo import PSEUDO

FEATURES = "+m,+a,+f,+d,+c,+v,+zfh,+zvfh,+zfbfmin,+zvfbfmin,+zvfbfwma,+zba,+zbb,+zbs,+zicond,+zifencei,+zihintpause"
MC = shutil.which("llvm-mc", path="/usr/lib/llvm-22/bin") or shutil.which("llvm-mc")
needs_mc = pytest.mark.skipif(MC is None, reason="llvm-mc (LLVM 22) is not installed")

ROWS = [row for row in table.all() if not row.extension.name.startswith("Xmtia")]


def sample(row: table.Instruction, random_: random.Random) -> dict[str, int]:
    """Random operand values that the row accepts."""
    values: dict[str, int] = {}
    for operand in row.operands:
        while True:
            raw = random_.getrandbits(32)
            value = operand.extract(raw & operand.bits)
            if operand.kind.name == "vm" and random_.random() < 0.5:
                value = 1
            if operand.valid(value) and operand.problem(value) is None:
                break
        values[operand.name] = value
    return legal(row, values)


def legal(row: table.Instruction, values: dict[str, int]) -> dict[str, int]:
    """Move vector registers to where LLVM's overlap rules are met: destination, sources and mask apart."""
    groups = {"vd": 8, "vs3": 8, "vs2": 16, "vs1": 24}
    for name in values:
        if name in groups and row.size == 4:
            values[name] = groups[name]
    return values


# LLVM has no text for fences with reserved fields.
LLVM_ROWS = tuple(row for row in ROWS if not (row.rest and row.timing == "fence"))


def samples(
    count: int, rows: Sequence[table.Instruction] = ROWS
) -> list[tuple[table.Instruction, dict[str, int], int]]:
    random_ = random.Random(1)
    out = []
    for row in rows:
        for _ in range(count if row.operands else 1):
            values = sample(row, random_)
            while row.rest and decode(encode(row, values)) != Decoded(encode(row, values), row, values):
                values = sample(row, random_)
            out.append((row, values, encode(row, values)))
    return out


def run_mc(arguments: list[str], text: str) -> str:
    assert MC is not None
    done = subprocess.run(
        [MC, "--triple=riscv64", f"-mattr={FEATURES}", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


@needs_mc
def test_llvm_encodes_our_text_to_our_words() -> None:
    cases = samples(3, LLVM_ROWS)
    text = "\n".join(render(row, values).replace(".raw ", " ") for row, values, _ in cases)
    out = run_mc(["--show-encoding", "-M", "no-aliases"], ".option exact\n" + text + "\n")
    found = [bytes(int(b, 16) for b in m.split(",")) for m in re.findall(r"encoding: \[([0-9a-fx,]+)\]", out)]
    assert len(found) == len(cases)
    wrong = [
        (render(row, values), word.to_bytes(row.size, "little").hex(), theirs.hex())
        for (row, values, word), theirs in zip(cases, found, strict=True)
        if word.to_bytes(row.size, "little") != theirs
    ]
    assert not wrong, wrong[:10]


@needs_mc
def test_llvm_disassembly_assembles_to_our_words() -> None:
    cases = samples(3, LLVM_ROWS)
    code = "\n".join(" ".join(f"0x{b:02x}" for b in word.to_bytes(row.size, "little")) for row, _, word in cases)
    out = run_mc(["--disassemble", "-M", "no-aliases"], code)
    lines = [line.strip().replace("\t", " ") for line in out.splitlines() if line.strip() and line.strip() != ".text"]
    assert len(lines) == len(cases)
    wrong = []
    for (row, _, word), line in zip(cases, lines, strict=True):
        ours = assemble(line).text
        if ours != word.to_bytes(row.size, "little"):
            wrong.append((row.name, f"{word:08x}", line, ours.hex()))
    assert not wrong, wrong[:10]


def test_every_row_round_trips() -> None:
    for row, values, word in samples(3, table.all()):
        text = disassemble(word)
        assert text == render(row, values)
        assert assemble(text).text == word.to_bytes(row.size, "little"), text


OPERANDS = {  # what stands for $1, $2, $3 of a pseudo-instruction, by the kind its first instruction has there
    "x": ("a0", "a1", "a2"), "f": ("fa0", "fa1", "fa2"), "v": ("v8", "v16", "v24"), "csr": ("frm", "frm", "frm"),
    "target": ("8", "8", "8"), "zimm": ("1", "2", "3"), "upper": ("0x12345", "0x12345", "0x12345"),
}  # fmt: skip


@needs_mc
def test_pseudo_instructions_mean_what_llvm_means() -> None:
    texts = []
    for (name, count), rule in PSEUDO.items():
        if rule == "constant" or "%" in rule or name in ("call", "tail", "zext.b", "vsetvli", "vsetivli"):
            continue  # built from values or addresses; call and tail have LLVM's longer form
        base = table.find(rule.split(";")[0].split()[0])
        assert base is not None
        written = re.findall(r"\$?\w+", rule.split(";")[0].partition(" ")[2])
        elements = [element for element, _ in base.elements if element in base.by_name]
        kinds = {text: base.by_name[element].kind.name for text, element in zip(written, elements, strict=False)}
        args = [OPERANDS[kinds[f"${n + 1}"]][n] for n in range(count)]
        if name.endswith("r.v"):
            args[1] = "(a1)"
        texts.append(f"{name} {', '.join(args)}".strip())
    out = run_mc(["--show-encoding"], ".option exact\n" + "\n".join(texts) + "\n")
    found = [bytes(int(b, 16) for b in m.split(",")) for m in re.findall(r"encoding: \[([0-9a-fx,]+)\]", out)]
    assert len(found) == len(texts)
    assert not [(t, theirs.hex()) for t, theirs in zip(texts, found, strict=True) if assemble(t).text != theirs]
