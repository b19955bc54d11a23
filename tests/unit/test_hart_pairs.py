"""Handlers of pairs: nothing but the host's time tells them from the two handlers they stand for."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from mtia.isa.asm import assemble
from mtia.isa.chip import load_chip
from mtia.isa.lang import Memory
from mtia.isa.state import Hart
from mtia.runtime.machine.hart import native
from mtia.runtime.machine.hart_handlers import run_code
from mtia.runtime.machine.hart_pairs import NAMES, first_of
from mtia.runtime.machine.hart_program import Program
from mtia.runtime.machine.hart_watch import Watcher
from mtia.runtime.machine.state import AT_COMMAND, AT_HORIZON

TEXT, DATA, SIZE = 0x4000_0000, 0x1000_0000, 4096
CHIP = load_chip("mtia200")

_LOADS, _STORES, _BRANCHES = ("lbu", "lw", "ld", "fld", "flw"), ("sb", "sd", "fsd"), ("bne",)


def line(name: str, k: int) -> str:
    """An instruction of that name; the second of a pair (k = 1) reads what the first writes where it can."""
    to, one, other = ("a2", "a3", "a4") if k == 0 else ("a5", "a2", "a3")
    if name.startswith("f"):
        to, one, other = (f"f{register}" for register in (to, one, other))
    if name in _LOADS:
        return f"{name} {to}, {8 * k}(a0)"
    if name in _STORES:
        return f"{name} {one}, {64 + 8 * k}(a0)"
    if name in _BRANCHES:
        return f"{name} {one}, {other}, away"
    if name == "jal":
        return "jal t0, away"
    if name == "jalr":
        return "jalr t0, 0(s1)"
    if name == "auipc":
        return f"auipc {to.removeprefix('f')}, 3"
    if name in ("addi", "slli", "srli"):
        return f"{name} {to}, {one}, 5"
    return f"{name} {to}, {one}, {other}" + (f", {one}" if "fmadd" in name else "")


def program_of(lines: list[str]) -> bytes:
    return assemble("\n".join(lines) + "\n").text


class One:
    """A hart on a program, with pairs or without them."""

    def __init__(self, text: bytes, pairs: bool, horizon: int = 1 << 62) -> None:
        self.program = Program(text, TEXT, CHIP, native().addr, prepare=native().load)
        self.used = {name for name in self.program.handlers if name != first_of(name)}
        if not pairs:
            self.program.records["handler"] = self.program.alone()
        self.memory, self.block = Memory(SIZE), Hart.alloc()
        np.frombuffer(self.memory.bytes, np.float64)[:16] = np.arange(16) * 1.25 + 1
        self.hart: Any = Hart.view(self.block.addr)
        h = self.hart
        h.pc, h.horizon, h.exact = TEXT, horizon, 1
        h.ls_base, h.ls_size, h.ls_ptr = DATA, SIZE, self.memory.addr
        for number in range(10, 18):
            h.x[number] = 0x1234_5678_9ABC_DEF0 * number & (1 << 64) - 1
            h.f[number] = np.array(number / 3.0).view(np.uint64).item()
        h.x[10] = DATA

    def run(self) -> int:
        run: Any = partial(native().call, "run_code")
        return int(run(self.block, self.program)) & 255

    def state(self) -> bytes:
        self.hart.ls_ptr = 0
        found = bytes(self.block.bytes) + bytes(self.memory.bytes)
        self.hart.ls_ptr = self.memory.addr
        return found


def body(name: str) -> bytes:
    """A program with the pair in it; where it may jump to also ends."""
    first, second = name.split(" + ")
    start = ["la s1, away", "j begin", "away: addi s2, s2, 1", "xm.exit", "begin: nop"]
    return program_of([*start, line(first, 0), line(second, 1), "xm.exit"])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_same_state_cycles_and_count(name: str) -> None:
    paired, alone = One(body(name), True), One(body(name), False)
    assert name in paired.used
    assert paired.run() == alone.run() == AT_COMMAND
    assert paired.hart.instret == alone.hart.instret > 5
    assert paired.state() == alone.state()


def test_a_branch_to_the_second_runs_it_alone() -> None:
    hart = One(program_of(["j second", "addi a2, a2, 1", "second: addi a3, a3, 2", "xm.exit"]), True)
    before = hart.hart.x[12], hart.hart.x[13]
    assert hart.run() == AT_COMMAND
    assert (hart.hart.x[12], hart.hart.x[13]) == (before[0], before[1] + 2 & (1 << 64) - 1)
    assert hart.hart.instret == 3


def test_a_horizon_between_the_two_stops_there() -> None:
    hart = One(program_of(["addi a2, a2, 1", "ld a3, 0(a0)", "xm.exit"]), True, horizon=1)
    assert "addi + ld" in hart.used
    assert hart.run() == AT_HORIZON
    assert (hart.hart.pc, hart.hart.instret, hart.hart.time) == (TEXT + 4, 1, 1)
    hart.hart.horizon = 1 << 62
    assert hart.run() == AT_COMMAND
    assert hart.hart.instret == 3


def test_who_watches_sees_both() -> None:
    text = program_of(["addi a2, a2, 1", "addi a3, a3, 2", "add a4, a2, a3", "xm.exit"])
    hart = One(text, True)
    assert hart.used == {"addi + addi", "addi + add"}
    watcher = Watcher(hart.program, "profiled", 1, native().addr)
    hart.hart.watch = watcher.address(0)
    assert hart.run() == AT_COMMAND
    assert watcher.visits["count"][0].tolist()[:4] == [1, 1, 1, 1]


def test_reference_has_the_same_pairs() -> None:
    from mtia.runtime.machine.hart import reference_address

    text = body("addi + bne")
    fast = One(text, True)
    slow = One(text, True)
    slow.program = Program(text, TEXT, CHIP, reference_address)
    assert fast.run() == int(run_code(slow.block, slow.program)) & 255
    assert fast.state() == slow.state()
