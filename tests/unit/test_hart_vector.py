"""Meanings of vector rows against qemu-riscv64: random configurations, masks and values, results and flags compared."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest
from hart_runner import QEMU, build, run_qemu, run_reference
from mtia.isa import table
from mtia.isa.asm import render

needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-riscv64 is not installed")
# qemu 7.2 aborts while it translates the conversions that name their rounding mode
ROWS = [row for row in table.all() if row.extension.name == "V" and ".rtz." not in row.name]
OUT = 536  # bytes of results: eight registers, x[rd], f[rd], fcsr


def widths(row: table.Instruction) -> list[int]:
    """Element widths for which qemu 7.2 (without Zvfh) has the row."""
    name = row.name
    head = name.split(".")[0]
    if head.startswith(("vfwcvt", "vfncvt")):
        kind = name.replace(".rtz", "").replace(".rod", "")
        return {"vfwcvt.f.x.v": [16, 32], "vfwcvt.f.xu.v": [16, 32], "vfncvt.x.f.w": [16, 32],
                "vfncvt.xu.f.w": [16, 32]}.get(kind, [32])  # fmt: skip
    if head.startswith("vfw"):
        return [32]
    if head.startswith(("vf", "vmf")) and head != "vfirst":
        return [32, 64]
    if head.startswith(("vw", "vn")) or ".w" in name:
        return [8, 16, 32]
    if "ext.vf" in name:
        return [width for width in (16, 32, 64) if width >= 8 * int(name[-1])]
    return [8, 16, 32, 64]


def element(row: table.Instruction, width: int, random_: random.Random) -> bytes:
    """One random element: floats near one and special, integers also at the limits."""
    pick = random_.random()
    if ("vf" in row.name or "vmf" in row.name) and width >= 32:
        sign = random_.getrandbits(1)
        exponent, fraction, bias = (8, 23, 127) if width == 32 else (11, 52, 1023)
        top = (1 << exponent) - 1
        if pick < 0.25:
            e, f = random_.choice(
                [(0, 0), (top, 0), (top, 1 << fraction - 1), (top, 1), (0, 1), (bias, 0), (top - 1, 0)]
            )
        else:
            e, f = bias + random_.randrange(-12, 20), random_.getrandbits(fraction)
        value = sign << width - 1 | e << fraction | f
    elif pick < 0.3:
        value = random_.choice([0, 1, (1 << width) - 1, 1 << width - 1, (1 << width - 1) - 1])
    else:
        value = random_.getrandbits(width)
    return value.to_bytes(width // 8, "little")


def registers(row: table.Instruction, width: int, random_: random.Random) -> bytes:
    """Contents of v8 to v31 and v0."""
    out = b""
    for number in range(3):
        wide = width * 2 if number == 0 and ("vw" in row.name or "vfw" in row.name) else width
        if number == 1 and (".w" in row.name or "vn" in row.name or "vfn" in row.name):
            wide = width * 2
        size = min(wide, 64)
        out += b"".join(element(row, size, random_) for _ in range(512 * 8 // size))
    return out + random_.randbytes(64)


def case(row: table.Instruction, random_: random.Random) -> tuple[str, bytes]:
    """Assembly and 1600 + 16 bytes of input."""
    width = random_.choice(widths(row))
    lmul = random_.choice([1, 2])
    values: dict[str, int] = {}
    for operand in row.operands:
        kind = operand.kind.name
        if kind == "v":
            values[operand.name] = {"vd": 8, "vs3": 8, "vs2": 16, "vs1": 24}[operand.name]
        elif kind in ("x", "f"):
            values[operand.name] = {"rd": 10, "rs1": 11, "rs2": 12}[operand.slot]
        elif kind == "vm":
            values[operand.name] = random_.getrandbits(1)
        else:
            values[operand.name] = operand.extract(random_.getrandbits(32) & operand.bits)
    data = registers(row, width, random_)
    first, second = random_.choice([random_.getrandbits(64), random_.randrange(0, 40)]), random_.randrange(3, 40)
    before, after = "", ""
    if "(rs1)" in row.syntax:
        before, after = "la a1, scratch;", "" if "vd" in row.by_name else "la a1, scratch; vl8re8.v v8, (a1);"
        digits = "".join(c for c in row.name.split("seg")[-1][1:] if c.isdigit()) if "seg" in row.name else ""
        eew = int(digits or "".join(c for c in row.name if c.isdigit()) or 8)
        many = "seg" in row.name
        if "xei" in row.name or "xseg" in row.name:
            lmul = 1
            while eew * lmul > width * 2 * lmul or width > eew * 8:
                width = random_.choice([8, 16, 32, 64])
            index = b"".join(random_.randrange(0, 200).to_bytes(eew // 8, "little") for _ in range(512 * 8 // eew))
            data = data[:512] + index + data[1024:]
        elif "re" not in row.name and not row.name.endswith(("r.v", "m.v")):
            width, lmul = eew, 1 if many else lmul
    if row.flow is table.Flow.NEXT and row.timing == "vset":
        return "", b""
    if data_float := ("fs1" in row.by_name):
        size = 64 if width == 64 else 32
        bits = int.from_bytes(element(row, size, random_), "little")
        first = bits | (0xFFFFFFFF << 32 if size == 32 else 0)
    count = random_.randrange(0, 512 // width * lmul + 1) if random_.random() < 0.8 else 512 // width * lmul
    mode = random_.choice([0, 0, 0, 1, 2, 3, 4]) if data_float or "vf" in row.name else 0
    text = (
        "vl8re8.v v8, (t0); addi t0, t0, 512; vl8re8.v v16, (t0); addi t0, t0, 512; vl8re8.v v24, (t0);"
        "addi t0, t0, 512; vl1re8.v v0, (t0); ld a1, 64(t0); ld a2, 72(t0); fld fa1, 64(t0); addi t0, t0, 80;"
        f"li a0, 0; fmv.d.x fa0, x0; csrwi fcsr, 0; csrwi frm, {mode}; csrwi vxrm, {random_.getrandbits(2)};"
        f"csrwi vxsat, 0; li t2, {count}; vsetvli x0, t2, e{width}, m{lmul}, tu, mu; {before} {render(row, values)};"
        f"{after} vs8r.v v8, (t1); addi t1, t1, 512; sd a0, 0(t1); fsd fa0, 8(t1); csrr a0, fcsr; csrr a2, vxsat;"
        "slli a2, a2, 16; add a0, a0, a2; sd a0, 16(t1); addi t1, t1, 24"
    )
    return text, data + struct.pack("<QQ", first, second)


GROUPS: dict[str, Callable[[table.Instruction], bool]] = {
    "memory": lambda row: "(rs1)" in row.syntax,
    "float": lambda row: row.timing.startswith("vf") or "vfs" in row.name or "vfm" in row.name,
    "wide": lambda row: row.name.startswith(("vw", "vn", "vs", "va", "vz")),
    "other": lambda row: True,
}


def group_of(row: table.Instruction) -> str:
    return next(name for name, test in GROUPS.items() if test(row))


@needs_qemu
@pytest.mark.parametrize("name", list(GROUPS))
def test_vector_rows_against_qemu(name: str) -> None:
    random_ = random.Random(name)
    cases = []
    for row in ROWS:
        if group_of(row) == name and row.timing != "vset":
            for _ in range(1 if "seg" in row.name else 2):
                text, data = case(row, random_)
                cases.append((row, text, data))
    size = OUT * len(cases)
    program = build("\n".join(text for _, text, _ in cases), b"".join(data for _, _, data in cases), size)
    theirs = run_qemu(program, size)
    for exact in (1, 0):
        ours = run_reference(program, size, exact)
        wrong = []
        for number, (_, text, _) in enumerate(cases):
            compared = OUT if exact else OUT - 8
            a, b = (out[number * OUT : number * OUT + compared] for out in (theirs, ours))
            if a != b:
                at = next(k for k in range(compared) if a[k] != b[k]) & ~7
                wrong.append(
                    (text[text.index("li t2") : text.index("vs8r")], at, a[at : at + 8].hex(), b[at : at + 8].hex())
                )
        assert not wrong, f"exact={exact}: {len(wrong)} of {len(cases)}: " + "\n".join(map(str, wrong[:20]))
