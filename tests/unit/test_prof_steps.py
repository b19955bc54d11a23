"""Following a hart: cycles and values worked out by hand, nothing changes, and both interpreters say the same."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hand_written import program
from mtia.isa.errors import UserError
from mtia.runtime.device import Device
from mtia.runtime.launch import LaunchResult, launch
from mtia.runtime.machine.memory import DRAM_BASE, LS_BASE
from mtia.runtime.profile_steps import Stepper, _float
from test_machine_launch import ADD_ONE

STEPS = """.globl _start_k
_start_k:
  ld t0, 32(a0)
  li t2, 2
1:
  addi t2, t2, -1
  bnez t2, 1b
  lw t1, 4(t0)
  mul t1, t1, t1
  sw t1, 64(a0)
  fcvt.s.w ft0, t1
  fcvt.d.s ft1, ft0
  ret
"""
LINE = re.compile(r" *(?P<cycle>\d+) \+(?P<cycles>\d+) +(?P<pc>[0-9a-f]+)  (?P<text>.*)")


def follow(
    text: str, kinds: tuple[str, ...], arrays: list[Any], grid: int = 1, cores: int = 1, **options: Any
) -> tuple[LaunchResult, list[str]]:
    lines: list[str] = []
    device = Device("mtia200")
    buffers = [device.copy_in(array) for array in arrays]
    where = options.pop("where", (0, 0))
    stepper = Stepper(lines.append, *where, **({"limit": options.pop("steps")} if "steps" in options else {}))
    result = launch(device, program(text, *kinds, cores=cores), (grid,), buffers, observer=stepper, **options)
    return result, lines


def instructions(lines: list[str]) -> list[dict[str, str]]:
    return [found.groupdict() for line in lines if (found := LINE.fullmatch(line))]


def test_steps_by_hand() -> None:
    chip = Device("mtia200").chip
    result, lines = follow(STEPS, ("*i32",), [np.array([0, 7], np.int32)])
    assert result.check().cycles > 0
    found = instructions(lines)
    names = [row["text"].split()[0].removeprefix("c.") for row in found]
    assert names[:7] == ["ld", "addi", "addi", "bne", "addi", "bne", "lw"]
    start, taken = chip.launch.first, 1 + chip.hart.branch_taken
    cycles = [int(row["cycle"]) for row in found]
    assert cycles[:7] == [
        start,
        start + 1,
        start + 2,
        start + 3,
        start + 3 + taken,
        start + 4 + taken,
        start + 5 + taken,
    ]
    load, multiply, store = (
        next(row for row in found if row["text"].split()[0].endswith(name)) for name in ("lw", "mul", "sw")
    )
    assert f"[{DRAM_BASE + 4:#x}]  → t1=0x7" in load["text"] and "waited: memory" in load["text"]
    assert "→ t1=0x31" in multiply["text"]
    assert f"waited: operands {chip.hart.load - 1}" in multiply["text"]
    assert f"t1=0x31 a0={LS_BASE:#x}" in store["text"] or f"a0={LS_BASE:#x} t1=0x31" in store["text"]
    assert f"[{LS_BASE + 64:#x}]" in store["text"]
    assert any("→ ft0=49f" in row["text"] for row in found) and any("→ ft1=49" in row["text"] for row in found)
    for row, following in zip(found, found[1:], strict=False):
        assert int(row["cycle"]) + int(row["cycles"]) == int(following["cycle"])
    assert [line for line in lines if line.startswith("# hand.s:3")]


def add_one(interpreter: str, where: tuple[int, int] | None = (3, 0)) -> tuple[LaunchResult, list[str]]:
    x = np.arange(16 * 1024, dtype=np.int32)
    arrays = [x, np.zeros_like(x), np.zeros(4, np.int32)]
    kinds = ("*i32", "*i32", "*i32")
    if where is None:
        device = Device("mtia200")
        buffers = [device.copy_in(array) for array in arrays]
        return launch(device, program(ADD_ONE, *kinds, cores=2), (16,), buffers).check(), []
    return follow(ADD_ONE, kinds, arrays, 16, 2, where=where, interpreter=interpreter, steps=200)


@pytest.mark.parametrize("where", [(0, 0), (3, 0), (15, 1)])
def test_no_cycle_changes(where: tuple[int, int]) -> None:
    plain, _ = add_one("fast", None)
    stepped, lines = add_one("fast", where)
    assert stepped.check().cycles == plain.cycles and stepped.counters == plain.counters
    assert lines[0].startswith(f"# add_one: PE {where[0]}, hart {'AB'[where[1]]}")


def test_both_interpreters_say_the_same() -> None:
    assert add_one("fast")[1] == add_one("reference")[1]


def test_commands_show_their_operands() -> None:
    lines = add_one("fast")[1]
    [dma] = [row["text"] for row in instructions(lines) if row["text"].startswith("xm.dma.in")]
    assert f"{{{LS_BASE + 0x2000:#x} 1x1024 i32}}" in dma
    assert f"{{{DRAM_BASE + 3 * 4096:#x} 1024 i32}}" in dma
    [wait] = [row["text"] for row in instructions(lines) if row["text"].startswith("xm.cb.waitw")]
    assert re.search(r"waited: cb.waitw \d+", wait)


def test_limit_and_a_loop_of_one_instruction() -> None:
    result, lines = follow(".globl _start_k\n_start_k:\n1:\n  j 1b\n", (), [], limit=5000, steps=20)
    assert result.trap is not None and result.trap.cause == "RUNAWAY"
    assert len(instructions(lines)) == 20
    assert lines[-1] == "# … 20 instructions shown (--trace-limit)"


@pytest.mark.parametrize(("where", "message"), [((70, 0), "PE 70 has no program"), ((0, 1), "not hart B")])
def test_who_is_not_there(where: tuple[int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        follow(STEPS, ("*i32",), [np.zeros(2, np.int32)], where=where)


def test_float_registers() -> None:
    assert _float(0xFFFF_FFFF_3FC0_0000) == "1.5f"
    assert _float(0x3FF8_0000_0000_0000) == "1.5"
    assert _float(0xFFFF_FFFF_FFFF_3E00) == "0x3e00"


def test_vector_registers() -> None:
    text = """.globl _start_k
_start_k:
  beqz a2, done
  vsetivli zero, 8, e32, m1, ta, ma
  vid.v v4
  vadd.vi v5, v4, 3
done:
  ret
"""
    _, lines = follow(text, (), [], cores=2, where=(0, 1))
    texts = [row["text"] for row in instructions(lines)]
    assert "→ v4=[00000000 00000001 00000002 00000003 …]" in next(row for row in texts if row.startswith("vid.v"))
    add = next(row for row in texts if row.startswith("vadd.vi"))
    assert "v4=[00000000 00000001 00000002 00000003 …]" in add
    assert "→ v5=[00000003 00000004 00000005 00000006 …]" in add
