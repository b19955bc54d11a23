"""Meanings of scalar rows against qemu-riscv64: the same program runs on both, its results are compared."""

from __future__ import annotations

import random
import struct

import pytest
from hart_runner import QEMU, build, run_qemu, run_reference
from mtia.isa import table
from mtia.isa.asm import render

needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-riscv64 is not installed")

# qemu 7.2 counts 64 bits where the word of ctzw is zero
SKIPPED = {"ecall", "ebreak", "fence", "fence.i", "fence.tso", "c.ebreak", "c.unimp", "wfi", "ctzw"}

INTEGERS = [0, 1, (1 << 64) - 1, 1 << 63, (1 << 63) - 1, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 63, 64]
SINGLES = [0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1, 0x807FFFFF, 0x3F800000, 0x4F000000,
           0xCF000000, 0x5F000000, 0x7F7FFFFF, 0x3F000000, 0xBFC00000]  # fmt: skip
DOUBLES = [0, 1 << 63, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, 0x7FF << 52 | 1, 1, 0x3FF << 52, 0x41E << 52,
           0x43E << 52, 0xC3E << 52, 0x7FE << 52, 0x3FE << 52]  # fmt: skip
HALVES = [0, 0x8000, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 1, 0x3C00, 0x7BFF, 0x3800, 0xBE00, 0x03FF]


def float_bits(suffix: str, random_: random.Random) -> int:
    """A NaN-boxed value of a format: special, near one, or any bits; sometimes not boxed."""
    special, width, low, least, most = {
        "s": (SINGLES, 32, 23, 110, 150),
        "d": (DOUBLES, 64, 52, 1000, 1090),
        "h": (HALVES, 16, 10, 8, 24),
    }[suffix]
    around = random_.getrandbits(1) << width - 1 | random_.randrange(least, most) << low
    kind = random_.random()
    value = (
        random_.choice(special)
        if kind < 0.3
        else around | random_.getrandbits(low)
        if kind < 0.85
        else random_.getrandbits(width)
    )
    boxed = random_.random() < 0.97
    return value | ((1 << 64) - (1 << width) if boxed else 0)


def operands(row: table.Instruction, random_: random.Random) -> list[int]:
    """Three input double-words for rs1, rs2, rs3."""
    if row.extension.name in ("F", "D", "Zfh") and any(o.kind.name == "f" and o.reads for o in row.operands):
        source = row.name.split(".")[-1]
        suffix = {"w": "s", "x": "s"}.get(source, source)
        return [float_bits(suffix if suffix in "sdh" else "d", random_) for _ in range(3)]
    return [random_.choice(INTEGERS) if random_.random() < 0.3 else random_.getrandbits(64) for _ in range(3)]


def case(row: table.Instruction, random_: random.Random, number: int) -> str:
    """Assembly that executes the row once between loading its inputs and storing what it changed."""
    values: dict[str, int] = {}
    for operand in row.operands:
        if operand.kind.register:
            name = operand.name.rstrip("c").replace("f", "r")
            values[operand.name] = {"rd": 10, "rs1": 11, "rs2": 12, "rs3": 13}[name]
        elif operand.kind.name in ("rm", "rm0"):
            values[operand.name] = random_.choice([0, 0, 1, 2, 3, 4, 7])
        elif operand.name == "target":
            values[operand.name] = row.size + 4
        else:
            values[operand.name] = 0
            while operand.problem(values[operand.name]) or values[operand.name] == 0:
                values[operand.name] = operand.extract(random_.getrandbits(32) & operand.bits)
    before, after = "", ""
    if "(rs1" in row.syntax or "(sp)" in row.syntax:
        offset = values.get("imm", values.get("uimm", 0))
        base = "sp" if "(sp)" in row.syntax else "a1"
        before = f"la {base}, scratch + 2048 - {offset}; la s1, scratch + 2048; sd a3, 0(s1); "
        after = "la s1, scratch + 2048; ld a4, 0(s1); xor a0, a0, a4;"
        if row.name.startswith("sc."):
            before += f"lr.{row.name[3]} a4, (a1); "
    if " sp, " in row.syntax:
        before, after = "la sp, scratch;", "add a0, a0, sp;"
    if row.name in ("c.jr", "c.jalr"):
        before, after = f"la a1, jump{number}; ", f"addi a0, x0, 1; jump{number}: sub a0, x0, a0;"
    if row.flow is table.Flow.INDIRECT:
        values["imm"] = 0
        before = f"la a1, jump{number}; "
        after = f"addi a0, x0, 1; jump{number}: sub a0, x0, a0;"
    if "target" in values:
        after = "addi a0, x0, 1;"
    if "target" in values:
        before += "li a0, 0; "
    text = render(row, values)
    return (
        f"ld a1, 0(t0); ld a2, 8(t0); ld a3, 16(t0); fld fa1, 0(t0); fld fa2, 8(t0); fld fa3, 16(t0); csrwi fcsr, 0;"
        f"li a0, 0; fmv.d.x fa0, x0; {before} {text}; {after} sd a0, 0(t1); fsd fa0, 8(t1); csrr a0, fcsr; "
        "sd a0, 16(t1); addi t0, t0, 24; addi t1, t1, 24"
    )


@needs_qemu
@pytest.mark.parametrize("name", ["I", "M", "A", "Zba", "Zbb", "Zbs", "F", "D", "Zfh", "C"])
def test_extension_against_qemu(name: str) -> None:
    rows = [row for row in table.all() if row.extension.name == name and row.name not in SKIPPED]
    assert rows
    random_ = random.Random(name)
    text: list[str] = []
    data: list[list[int]] = []
    names: list[list[str]] = []
    for row in rows:
        for _ in range({"A": 1, "F": 8, "D": 8, "Zfh": 8}.get(name, 4)):
            if row.name == "auipc" and len(text) > 1000:
                continue
            text.append(case(row, random_, len(text)))
            data.append(operands(row, random_))
            names.append(text[-1].split(";")[8:-6])
    size = 24 * len(text)
    inputs = b"".join(struct.pack("<QQQ", *three) for three in data)
    program = build("\n".join(text), inputs, size)
    theirs = run_qemu(program, size)
    for exact, compared in ((1, 24), (0, 16)):  # without exact flags only the two result registers
        ours = run_reference(program, size, exact)
        wrong = [
            (names[n // 24], [hex(v) for v in data[n // 24]], theirs[n : n + 24].hex(), ours[n : n + 24].hex())
            for n in range(0, size, 24)
            if theirs[n : n + compared] != ours[n : n + compared]
        ]
        assert not wrong, f"{len(wrong)} of {len(text)}: {wrong[:6]}"


@pytest.mark.parametrize(("suffix", "fraction", "bias"), [("h", 10, 15), ("s", 23, 127), ("d", 52, 1023)])
def test_each_dropped_bit_rounds(suffix: str, fraction: int, bias: int) -> None:
    """1 · 1 + 2**-k in every rounding mode: exact down to the last place of 1, below it one bit decides alone."""
    size, load, store = {"h": (2, "flh", "fsh"), "s": (4, "flw", "fsw"), "d": (8, "fld", "fsd")}[suffix]
    steps = range(1, bias + fraction)  # down to the smallest subnormal
    one = bias << fraction
    tiny = [(bias - k) << fraction if k < bias else 1 << fraction + bias - 1 - k for k in steps]
    text = f"{load} fa0, 0(t0); li t2, {len(steps)}\n1: addi t0, t0, {size}; {load} fa1, 0(t0)\n"
    for mode in range(5):
        text += f"csrwi fcsr, 0; csrwi frm, {mode}; fmadd.{suffix} fa2, fa0, fa0, fa1; frflags a0\n"
        text += f"{store} fa2, 0(t1); sb a0, {size}(t1); addi t1, t1, 16\n"
    text += "addi t2, t2, -1; bnez t2, 1b"
    count = 16 * 5 * len(steps)
    found = run_reference(build(text, b"".join(v.to_bytes(size, "little") for v in (one, *tiny)), count), count)
    for number, (k, mode) in enumerate((k, mode) for k in steps for mode in range(5)):
        inexact = k > fraction
        up = mode == 3 or (mode == 4 and k == fraction + 1)  # towards +∞, or a tie away from zero
        expected = one + (up if inexact else 1 << fraction - k)
        assert int.from_bytes(found[16 * number :][:size], "little") == expected, (k, mode)
        assert found[16 * number + size] == inexact, (k, mode)
