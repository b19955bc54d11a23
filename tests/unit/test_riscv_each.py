"""Each instruction with each element width at the edges of its operands, against qemu-riscv64."""

from __future__ import annotations

import random
from typing import Any

import pytest
from mtia.isa import elf, state
from mtia.isa.encode import encode
from mtia.isa.table import Instruction
from mtia.runtime.machine.hart import HartTrap, Runner
from mtia.runtime.machine.state import AT_ACCESS
from mtia.tools.verify.riscv import each, execute, rows, shapes
from mtia.tools.verify.riscv.program import TEXT, Code, executable, word

needs_qemu = pytest.mark.skipif(execute.QEMU is None, reason="qemu-riscv64 is not installed")


def nothing(done: int, total: int) -> None:
    """No progress is shown."""


@needs_qemu
def test_each_instruction_ends_as_on_qemu() -> None:
    report = each.run(seed=20261121, progress=nothing)
    assert not report.failures, "\n".join(report.failures[:40])
    assert report.counts["cases"] > 8_000 and report.counts["executions"] > 150_000
    # Atomics at offsets 1 to 15: 12 are no multiples of 4, 14 none of 8; and at the last byte of memory. qemu lets a
    # misaligned sc pass when it fails anyway: of the rows of each width 4 are sc, the other 40 trap on both sides.
    assert report.counts["accesses: left out: sc"] == 4 * (12 + 14 + 2)
    assert report.counts["accesses: misaligned"] == 40 * (12 + 14 + 2)
    assert report.counts["registers: no trap"] > 1_000 and report.counts["registers: illegal"] > 1_000


def test_each_row_of_arithmetic_has_cases() -> None:
    """Every element width that a vector row has, in whole groups, masked, and from a later element where it may."""
    texts = {case.text for case in each.Vectors(random.Random(1), False).cases()}
    for row in rows.rows_of("vector"):
        for width in (8, 16, 32, 64):
            if any(shapes.groups(row, width, e, (32, 64)) for e in (8, 16, 32, 64)):
                own = [text for text in texts if text.startswith(f"{row.name} e{width},")]
                assert len(own) >= 4 and any("masked" in text for text in own), (row.name, width)


def asked(row: Instruction) -> tuple[int, int, int]:
    """What an access of two elements at address 64 asks for: address, bytes and kind, from the row's name."""
    name, how = row.name, shapes.memory(row) if shapes.is_vector(row) else None
    if how is None:
        size = {"b": 1, "h": 2, "w": 4, "d": 8}[name.split(".")[1] if "." in name else name.lstrip("fls")[0]]
        if row.extension.name == "A":
            return 64, size, state.RESERVE if name.startswith("lr") else state.AMO
        return 64, size, state.WRITE if row.timing == "store" else state.READ
    kind = state.WRITE if how.store else state.FIRST if how.first_fault else state.READ
    width = 32 if how.way in ("ux", "ox") else how.width
    size = {"r": 64 * how.fields, "m": 1}.get(how.way, how.fields * width // 8)
    together = how.first_fault or (how.way == "" and how.fields == 1)
    return 64, size * (2 if together else 1), kind


def outside(row: Instruction, start: int = 0, cause: str = "[57]") -> Any:
    """The hart after two elements at address 64, where it has no memory, from element `start` on."""
    how = shapes.memory(row) if shapes.is_vector(row) else None
    values = {o.name: 11 if o.kind.name == "x" else 8 if o.kind.register else 0 for o in row.operands}
    values |= {name: value for name, value in (("vm", 1), ("vs2", 16)) if name in values}
    width = how.width if how is not None and how.width > 4 and how.way not in ("ux", "ox") else 32
    code = Code()
    code.add(word("addi", rd=11, rs1=0, imm=64))
    code.add(word("vsetivli", rd=0, zimm=2, vsew=width.bit_length() - 4, vlmul=0, vta=0, vma=0))
    code.add(word("addi", rd=12, rs1=0, imm=start), word("csrrw", rd=0, csr=8, rs1=12), encode(row, values))
    runner = Runner(elf.read(executable([(TEXT, 5, bytes(code.data), len(code.data) + 4)])), execute.chip(), keep=False)
    if how is not None and how.first_fault:
        assert runner._run(runner._hart, runner.program) & 255 == AT_ACCESS
    else:
        with pytest.raises(HartTrap, match=f"cause {cause} "):
            runner.run()
    return runner.hart


def test_each_access_asks_for_its_bytes() -> None:
    """Where local memory does not reach, the hart asks for the bytes of the access, to read, to write, or for both."""
    checked = 0
    for kind in ("memory", "atomic", "vmemory"):
        for row in rows.rows_of(kind):
            if row.size == 4 and not row.name.startswith("sc."):  # which asks for nothing without a reservation
                hart = outside(row)
                assert (hart.want_addr, hart.want_size, hart.want_kind) == asked(row), row.name
                checked += 1
    assert checked > 400


def test_each_copy_of_registers_from_a_later_element_asks_for_the_rest() -> None:
    """Elements of a store of whole registers are bytes, of a load as wide as its name says."""
    for row in rows.rows_of("vmemory"):
        how = shapes.memory(row)
        if how is not None and how.way == "r":
            hart, done = outside(row, 1), 1 if how.store else int(row.name.split("e")[1][:-2]) // 8
            expected = (64 + done, 64 * how.fields - done, state.WRITE if how.store else state.READ)
            assert (hart.want_addr, hart.want_size, hart.want_kind) == expected, row.name
            elements = 64 * how.fields // done
            last = outside(row, elements - 1)
            assert (last.want_addr, last.want_size) == (64 + 64 * how.fields - done, done), row.name
            for start in (elements, elements + 1):  # nothing is left: the program runs on, to where it has no code
                if start < 512:
                    assert outside(row, start, "1").vstart == 0, row.name
