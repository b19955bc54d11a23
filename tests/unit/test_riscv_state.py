"""What depends on control registers and memory: vstart, vtype, CSRs, loads that stop at the first fault, traps."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
from hart_runner import DATA, TEXT, Reference, build, run_qemu, run_reference
from mtia.compiler.backend.assembled import assemble_program
from mtia.isa import state, table
from mtia.isa.asm import assemble, render
from mtia.isa.chip import load_chip
from mtia.isa.decode import fields
from mtia.isa.encode import encode
from mtia.runtime import elf
from mtia.runtime.device import Device
from mtia.runtime.launch import LaunchResult, launch
from test_hart_vector import OUT, ROWS, case, needs_qemu

# Illegal unless vstart is 0: what does not go element by element.
AT_START = ("vred", "vwred", "vfred", "vfwred", "vcpop", "vfirst", "vmsbf", "vmsif", "vmsof", "viota", "vcompress")

# qemu 7.2 does not clear vstart after these, so that what follows starts in the middle too
LEFT = ("vslideup.vx", "vslideup.vi", "vmv.x.s", "vmv.s.x", "vfmv.f.s", "vfmv.s.f")
CHUNK = 250  # cases of one program


@needs_qemu
def test_rows_from_the_middle_against_qemu() -> None:
    random_ = random.Random(3)
    cases = []
    for row in ROWS:
        if row.timing == "vset" or row.name.startswith(AT_START) or row.name in LEFT or "seg" in row.name:
            continue
        text, data = case(row, random_)
        head, found, rest = text.rpartition(row.name + " ")
        # not beyond vl: there qemu 7.2 leaves vstart as it is
        most = 8 if "re" in row.name else 32  # a whole register may have but 8 elements
        start = random_.randrange(max(min(int(re.findall(r"li t2, (\d+)", text)[0]), most), 1))
        # the results are stored with the vstart that is left, which must be 0
        text = f"{head}csrwi vstart, {start}; {found}{rest}"
        text = text.replace("csrr a2, vxsat;", "csrr a2, vxsat; csrr a3, vstart; add a2, a2, a3;")
        cases.append((text, data))
    wrong = [text for at in range(0, len(cases), CHUNK) for text in differences(cases[at : at + CHUNK])]
    assert not wrong, (len(wrong), len(cases), "\n".join(wrong[:40]))


def differences(cases: list[tuple[str, bytes]]) -> list[str]:
    """The instructions whose results, flags or vstart differ from qemu's."""
    size = OUT * len(cases)
    program = build("\n".join(text for text, _ in cases), b"".join(data for _, data in cases), size)
    theirs, ours = run_qemu(program, size), run_reference(program, size)
    return [
        text[text.index("li t2") : text.index("vs8r")]
        for n, (text, _) in enumerate(cases)
        if theirs[OUT * n : OUT * (n + 1)] != ours[OUT * n : OUT * (n + 1)]
    ]


def single(text: str) -> Reference:
    """A hart that has run a program up to its end, a trap or an access outside."""
    return Reference(assemble(f"{text}\necall\n.data\n.zero 8", text_base=TEXT, data_base=DATA), 0)


@pytest.mark.parametrize("name", AT_START)
def test_what_cannot_start_in_the_middle_is_illegal(name: str) -> None:
    for row in ROWS:
        if row.name.startswith(name):
            values = {"vd": 8, "rd": 10, "vs2": 16, "vs1": 24, "vm": 1}
            text = render(row, {o.name: values[o.name] for o in row.operands})
            width = 32 if "f" in row.name else 8
            assert single(f"vsetivli x0, 4, e{width}, m1, ta, ma; {text}").run() == state.ECALL
            assert single(f"vsetivli x0, 4, e{width}, m1, ta, ma; csrwi vstart, 1; {text}").run() == state.ILLEGAL


def test_vstart_at_vl_or_beyond_changes_nothing_and_is_cleared() -> None:
    for text in ("vadd.vi v8, v8, 1", "vmv.v.i v8, 3", "vle8.v v8, (a1)", "vmseq.vi v8, v9, 0", "vfadd.vv v8, v9, v9"):
        for start in (4, 7):
            machine = single(f"vsetivli x0, 4, e32, m1, ta, ma; csrwi vstart, {start}; {text}")
            machine.hart.x[11] = DATA
            assert machine.run() == state.ECALL
            assert bytes(machine.hart.v[512:576]) == bytes(64) and machine.hart.vstart == 0


def test_configuration_that_is_reserved() -> None:
    good, bad = "vsetivli x0, 8, e32, m1, ta, ma", "csrr a0, vtype; csrr a1, vl"
    for text, vill in (
        ("vsetvli x0, x0, e32, m1, ta, mu", False),
        ("vsetvli x0, x0, e16, mf2, ta, mu", False),  # the same VLMAX
        ("vsetvli x0, x0, e16, m1, ta, mu", True),
        ("vsetvli a2, x0, e16, m1, ta, mu", False),
        ("li a3, 0x100; vsetvl x0, x0, a3", True),
        ("li a3, 4; vsetvl a2, x0, a3", True),
        ("vsetvli a2, x0, 32", True),  # SEW 256
        ("vsetivli a2, 3, 31", True),  # e64, LMUL 1/2
        ("vsetvli a2, x0, e64, mf2, ta, ma", True),
        ("vsetvli a2, x0, e32, mf2, ta, ma", False),
        ("vsetvli a2, x0, e16, mf8, ta, ma", True),
    ):
        machine = single(f"{good}; {text}; {bad}")
        assert machine.run() == state.ECALL
        vtype, vl = machine.hart.x[10], machine.hart.x[11]
        assert (vtype >> 63 == 1) == vill, text
        if vill:
            assert (vtype, vl) == (1 << 63, 0)
            assert single(f"{good}; {text}; vadd.vi v8, v8, 1").run() == state.ILLEGAL


READ_ONLY = (0xC00, 0xC01, 0xC02, 0xC20, 0xC21, 0xC22, 0xF14)  # cycle, time, instret, vl, vtype, vlenb, mhartid
WRITABLE = (0x001, 0x002, 0x003, 0x008, 0x009, 0x00A, 0x00F)  # fflags, frm, fcsr, vstart, vxsat, vxrm, vcsr


def test_every_control_register() -> None:
    """Each of the 4096 numbers, by every instruction: read, written, or illegal."""
    machine = single("")
    for number in range(1 << 12):
        for name, writes in (
            ("csrrw", True), ("csrrs", False), ("csrrc", False), ("csrrwi", True), ("csrrsi", False), ("csrrci", False),
        ):  # fmt: skip
            for source in (0, 1):
                values = {"rd": 10, "csr": number, "zimm" if name.endswith("i") else "rs1": source}
                row = table.find(name)
                assert row is not None
                legal = number in WRITABLE or (number in READ_ONLY and not writes and source == 0)
                assert (step(machine, encode(row, values)) == state.OK) == legal, (name, hex(number), source)


def step(machine: Reference, code: int) -> int:
    """Execute one word."""
    block = state.Insn.alloc()
    insn, known = state.Insn.view(block.addr), fields(code)
    assert known is not None
    for name in ("rd", "rs1", "imm"):
        setattr(insn, name, getattr(known, name))
    meaning: Any = known.row.meaning
    return int(meaning(machine.block.addr, block.addr))


@pytest.fixture(scope="module")
def device() -> Device:
    return Device("mtia200")


def run(device: Device, text: str, interpreter: str, strict: bool = False) -> tuple[LaunchResult, list[int]]:
    """Run on hart B of PE 0 with a zeroed buffer of 64 words as s0."""
    buffer = device.copy_in(np.zeros(64, np.int64))
    head = ".globl _start_k\n_start_k:\n  ld s0, 32(a0)\n  beqz a2, done\n"
    code = elf.load(assemble_program(f"{head}{text}\ndone:\n  ret\n", "hand.s", ("*i64",), None, 2))
    result = launch(device, code, (1,), (buffer,), interpreter=interpreter, strict=strict)
    out = np.zeros(64, np.int64)
    device.copy_out(buffer, out)
    device.free(buffer)
    return result, [int(word) for word in out]


CHIP = load_chip("mtia200")
ENDS = {"local": 0x1000_0000 + CHIP.ls.bytes, "sram": 0x10_0000_0000 + CHIP.sram.lls_bytes,
        "dram": 0x80_0000_0000 + CHIP.dram.bytes}  # fmt: skip


@pytest.mark.parametrize("interpreter", ["fast", "reference"])
@pytest.mark.parametrize("place", list(ENDS))
def test_loads_that_stop_where_memory_ends(device: Device, place: str, interpreter: str) -> None:
    """20 bytes before the end: 20 bytes, 5 words, 3 segments of 6 bytes; under a mask of only bytes 1 and 40, 40."""
    text = f"""
  li s1, {ENDS[place] - 20}
  li t0, 0x0102030405060708
  sd t0, 0(s1)
  sd t0, 8(s1)
  sw t0, 16(s1)
  vsetivli zero, 31, e8, m1, ta, ma
  vmv.v.i v8, -1
  vle8ff.v v8, (s1)
  csrr t1, vl
  sd t1, 0(s0)
  vse8.v v8, (s0)
  sd t1, 0(s0)
  li t0, 64
  vsetvli zero, t0, e32, m4, ta, ma
  vle32ff.v v8, (s1)
  csrr t1, vl
  sd t1, 8(s0)
  vsetivli zero, 31, e16, m1, ta, ma
  vlseg3e16ff.v v8, (s1)
  csrr t1, vl
  sd t1, 16(s0)
  li t0, 64
  vsetvli zero, t0, e8, m1, ta, ma
  vmv.v.i v0, 0
  li t0, 2
  vsetivli zero, 1, e64, m1, tu, mu
  vmv.s.x v0, t0
  li t0, 1
  slli t0, t0, 40
  addi t0, t0, 2
  vmv.s.x v0, t0
  li t0, 64
  vsetvli zero, t0, e8, m1, ta, mu
  vmv.v.i v8, 0
  vle8ff.v v8, (s1), v0.t
  csrr t1, vl
  sd t1, 24(s0)
  vmv.x.s t1, v8
  sd t1, 32(s0)
"""
    result, out = run(device, text, interpreter)
    result.check()
    assert out[:5] == [20, 5, 3, 40, 0]


@pytest.mark.parametrize("interpreter", ["fast", "reference"])
@pytest.mark.parametrize("place", list(ENDS))
def test_the_first_element_that_does_not_exist_traps(device: Device, place: str, interpreter: str) -> None:
    text = f"""
  li s1, {ENDS[place] - 2}
  sh zero, 0(s1)
  vsetivli zero, 8, e32, m1, ta, ma
  vle32ff.v v8, (s1)
"""
    result, _ = run(device, text, interpreter)
    assert result.trap is not None and result.trap.cause == "LOAD_OUTSIDE_MEMORY", result.trap
    assert f"{ENDS[place] - 2:#x}" in str(result.trap)


def test_local_memory_that_nothing_wrote_ends_a_load(device: Device) -> None:
    text = """
  li s1, 0x10020000
  sw zero, 0(s1)
  sw zero, 4(s1)
  sh zero, 8(s1)
  vsetivli zero, 8, e32, m1, ta, ma
  vle32ff.v v8, (s1)
  csrr t1, vl
  sd t1, 0(s0)
"""
    result, out = run(device, text, "fast", strict=True)
    result.check()
    assert out[0] == 2


@pytest.mark.parametrize("place", list(ENDS))
@pytest.mark.parametrize("store", [False, True])
def test_an_access_across_the_end_traps(device: Device, place: str, store: bool) -> None:
    text = f"li s1, {ENDS[place] - 3}\n" + ("sw zero, 0(s1)" if store else "lw t0, 0(s1)")
    result, _ = run(device, text, "fast")
    assert result.trap is not None and result.trap.cause == ("STORE" if store else "LOAD") + "_OUTSIDE_MEMORY"
    assert f"{ENDS[place] - 3:#x}" in str(result.trap)


@pytest.mark.parametrize("text", ["lr.w t0, (s1)", "sc.w t0, t0, (s1)", "amoadd.w t0, t0, (s1)"])
def test_a_misaligned_atomic_names_its_address(device: Device, text: str) -> None:
    result, _ = run(device, f"li s1, 0x10020002\n{text}", "fast")
    assert result.trap is not None and result.trap.cause.startswith("MISALIGNED") and "0x10020002" in str(result.trap)
