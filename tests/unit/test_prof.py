"""Recorded launches: nothing changes, everything adds up to the counters, and figures worked out by hand."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_written import program
from mtia.isa.chip import load_chip
from mtia.runtime.device import Device
from mtia.runtime.launch import LaunchResult, launch
from mtia.runtime.machine import host as machine_host
from mtia.runtime.machine.record import MARGIN
from mtia.runtime.machine.state import (
    DPE,
    FI_IN,
    FI_OUT,
    H_MEMORY,
    HART_STATES,
    RANK_HART,
    S_BUSY,
    S_DEPENDENCY,
    S_MEMORY,
    SE,
    UNIT_NAMES,
    UNIT_STATES,
    WAIT_BARRIER,
    WAIT_UNITS,
)
from mtia.runtime.profile import NO_COMMAND, Profile, Recorder
from mtia.runtime.profile_counters import lanes, over_time
from mtia.runtime.profile_lines import by_line, held_up
from mtia.runtime.profile_topdown import CATEGORIES, mean_way, top_down
from test_machine_launch import ADD_ONE
from timing_rules import way

COUNT = """.globl _start_k
_start_k:
  ld t0, 32(a0)
  li t2, 100
1:
  addi t2, t2, -1
  bnez t2, 1b
  lw t1, 0(t0)
  ret
"""
MATMUL = {"M": 256, "N": 256, "K": 256}


def add_one(observer: Recorder | None = None, interpreter: str = "fast") -> LaunchResult:
    device = Device("mtia200")
    x = np.arange(16 * 1024, dtype=np.int32)
    buffers = [device.copy_in(a) for a in (x, np.zeros_like(x), np.zeros(4, np.int32))]
    code = program(ADD_ONE, "*i32", "*i32", "*i32", cores=2)
    return launch(device, code, (16,), buffers, observer=observer, interpreter=interpreter).check()


@functools.cache
def matmul_program() -> Any:
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options
    from mtia.runtime import elf
    from mtia.tools.kernels.matmul import matmul_kernel

    names = [name for name in matmul_kernel.arg_names if not name.isupper() or len(name) == 1]
    types = {name: "*fp16" if name.endswith("_ptr") else "i32" for name in names}
    blocks = {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 32, "GROUP_SIZE_M": 8, "ACTIVATION": ""}
    return elf.load(compile_triton(matmul_kernel, types, blocks, Options()).elf)


def matmul(observer: Recorder | None) -> LaunchResult:
    device = Device("mtia200")
    m, n, k = MATMUL.values()
    rng = np.random.default_rng(0)
    shapes = ((m, k), (k, n), (m, n))
    buffers = [device.copy_in(rng.standard_normal(shape).astype(np.float16)) for shape in shapes]
    return launch(
        device, matmul_program(), (m // 64 * (n // 64),), [*buffers, m, n, k, k, 1, n, 1, n, 1], observer=observer
    ).check()


@functools.cache
def recorded(name: str) -> tuple[LaunchResult, Profile]:
    recorder = Recorder()
    result = {"matmul": matmul, "add_one": add_one}[name](recorder)
    return result, recorder.profile


BOTH = pytest.mark.parametrize("name", ["matmul", "add_one"])


@BOTH
def test_observation_changes_nothing(name: str) -> None:
    plain = {"matmul": matmul, "add_one": add_one}[name](None)
    watched = recorded(name)[0]
    assert watched.cycles == plain.cycles
    assert watched.counters == plain.counters


def test_the_reference_leaves_the_same_profile() -> None:
    fast, slow = recorded("add_one")[1], Recorder()
    add_one(slow, "reference")
    other = slow.profile
    for name in ("commands", "spans", "samples", "alive", "pcs"):
        assert np.array_equal(getattr(fast, name), getattr(other, name)), name
    for mine, theirs in zip(fast.visits, other.visits, strict=True):
        assert np.array_equal(mine, theirs)


def test_small_buffers_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine stops whenever a buffer is nearly full, and goes on as if it had not."""
    whole = recorded("matmul")[1]
    monkeypatch.setattr(machine_host, "ROOM", MARGIN + 6)
    recorder = Recorder()
    assert matmul(recorder).cycles == whole.cycles
    assert len(recorder._chunks["spans"]) > 10
    assert np.array_equal(recorder.profile.commands, whole.commands)
    assert np.array_equal(recorder.profile.spans, whole.spans)


@BOTH
def test_spans_are_the_counters(name: str) -> None:
    result, profile = recorded(name)
    spans, total = profile.spans, result.counters["total"]
    length = (spans["end"] - spans["start"]).astype(np.int64)
    for unit, title in enumerate(UNIT_NAMES):
        counted = {"busy": total["units"][title]["busy"], **total["units"][title]["stalled"]}
        for kind, state in enumerate(UNIT_STATES):
            if state != "idle":
                mine = (spans["track"] == unit) & (spans["kind"] == kind)
                assert length[mine].sum() == counted[state], (title, state)
    harts = spans["track"] >= RANK_HART
    for kind, cause in [*enumerate(HART_STATES), (H_MEMORY, "memory")]:
        if cause in total["harts"]["stalled"]:
            assert length[harts & (spans["kind"] == kind)].sum() == total["harts"]["stalled"][cause], cause


@BOTH
def test_commands_are_the_counters(name: str) -> None:
    result, profile = recorded(name)
    commands, total = profile.commands, result.counters["total"]["units"]
    for unit, title in enumerate(UNIT_NAMES):
        mine = commands[commands["unit"] == unit]
        assert len(mine) == total[title]["commands"]
        if unit > FI_OUT:
            assert (mine["end"] - mine["start"]).sum() == total[title]["busy"]
    dma = commands[commands["unit"] <= FI_OUT]
    assert dma["bytes"].sum() == result.counters["memory"]["bytes"]
    atomics = {"matmul": 0, "add_one": 32}[name]  # of the harts: a line each
    assert dma["lines"].sum() + atomics == result.counters["memory"]["lines"]
    assert (commands["issued"] <= commands["start"]).all() and (commands["start"] <= commands["end"]).all()
    held = commands[commands["blocker"] != NO_COMMAND]
    blockers = commands[held["blocker"]]
    assert (blockers["pe"] == held["pe"]).all() and (blockers["end"] <= held["start"]).all()


@BOTH
def test_every_cycle_has_one_category(name: str) -> None:
    result, profile = recorded(name)
    found = top_down(profile)
    assert np.allclose(found.cycles.sum(axis=1), result.cycles, rtol=1e-12)
    assert sum(found.shares.values()) == pytest.approx(1, abs=1e-12)
    assert (found.cycles >= 0).all()
    # The launch's own clocks are nobody's work, and the main engine's cycles are its busy ones.
    assert (found.cycles[:, list(CATEGORIES).index("idle")] >= profile.chip.launch.first).all()
    if name == "matmul":
        assert found.main == "dpe"
        assert found.cycles[:, :2].sum() == pytest.approx(result.counters["total"]["units"]["dpe"]["busy"])


def test_one_pe_is_its_part_of_the_whole() -> None:
    profile = recorded("matmul")[1]
    whole = top_down(profile).cycles
    for pe in (0, 5, 15):
        part = profile.of_pe(pe)
        assert part.numbers.tolist() == [pe] and part.pes == 1
        assert np.allclose(top_down(part).cycles[0], whole[pe])
        mine = part.commands[part.commands["blocker"] != NO_COMMAND]
        assert (part.commands[mine["blocker"]]["end"] <= mine["start"]).all()


def test_a_hart_alone_is_compute_and_memory() -> None:
    """No command at all: the hart's cycles are compute but for its one access outside local memory."""
    device = Device("mtia200")
    buffer = device.copy_in(np.zeros(16, np.int32))
    recorder = Recorder()
    result = launch(device, program(COUNT, "*i32"), (1,), [buffer], observer=recorder).check()
    found = top_down(recorder.profile)
    cycles = dict(zip(CATEGORIES, found.cycles[0], strict=True))
    hart = result.counters["total"]["harts"]
    assert found.main == "hart"
    assert cycles["compute"] == hart["busy"]
    assert cycles["NoC"] + cycles["SRAM"] + cycles["DRAM"] == pytest.approx(hart["stalled"]["memory"])
    assert cycles["idle"] == device.chip.launch.first
    [lines] = [line for line in by_line([recorder.profile]) if line.line == 6]
    taken = 1 + device.chip.hart.branch_taken
    assert lines.instructions == 100
    [branch] = [line for line in by_line([recorder.profile]) if line.line == 7]
    assert branch.hart == 99 * taken + 1  # the last one falls through


def test_instructions_are_counted_by_line() -> None:
    """The loop of ADD_ONE runs 1024 times on hart A of 16 PEs; all cycles of all harts belong to some instruction."""
    _, profile = recorded("add_one")
    by_text = {line.line: line for line in by_line([profile])}
    source = ADD_ONE.splitlines()
    for text in ("  lw t6, 0(t4)", "  sw t6, 0(t4)", "  bnez t5, loop"):
        assert by_text[source.index(text) + 1].instructions == 16 * 1024
    assert by_text[source.index("  amoadd.w zero, t1, (t0)") + 1].instructions == 32
    alive = (profile.alive[:, :, 1] - profile.alive[:, :, 0]).astype(np.int64)
    assert sum(int(rows["cycles"].sum()) for rows in profile.visits) == alive.sum()
    for hart, rows in enumerate(profile.visits):
        assert (rows["cycles"].sum(axis=1) == alive[:, hart]).all()


def test_blame_is_shared_out_once() -> None:
    _, profile = recorded("matmul")
    suffered, caused = held_up(profile)
    spans = profile.spans[(profile.spans["track"] < RANK_HART) & np.isin(profile.spans["kind"], (2, 3, 4))]
    assert suffered.sum() == (spans["end"] - spans["start"]).sum()
    assert 0 < caused.sum() <= suffered.sum()
    lines = by_line([profile])
    assert sum(line.caused for line in lines) == caused.sum()
    assert sum(line.bytes for line in lines) == profile.counters["memory"]["bytes"]


def test_amounts_over_time_are_kept() -> None:
    edges = np.array([0.0, 10, 20, 30])
    found = over_time(np.array([5, 10]), np.array([15, 30]), np.array([100.0, 40.0]), edges)
    assert found == pytest.approx([50, 50 + 20, 20])
    assert over_time(np.zeros(0), np.zeros(0), np.zeros(0), edges).tolist() == [0, 0, 0]


def test_lanes_add_up_to_the_counters() -> None:
    result, profile = recorded("matmul")
    found = {name: (times, values) for name, times, values in lanes(profile)}
    ends = np.append(found["DRAM reads GB/s"][0][1:], result.cycles)

    def total(name: str) -> float:
        times, values = found[name]
        return float((values * (ends - times)).sum())

    chip = profile.chip
    seconds = 1 / chip.clock_hz
    for name, rate in (("DRAM", chip.dram_bytes_per_clk), ("SRAM", chip.sram.bytes_per_clk)):
        both = found[f"{name} reads GB/s"][1] + found[f"{name} writes GB/s"][1]
        assert both[:-1].max() <= rate * chip.clock_hz / 1e9 * (1 + 1e-9)
    memory, units = result.counters["memory"], result.counters["total"]["units"]
    assert total("DRAM reads GB/s") * 1e9 * seconds == pytest.approx(memory["dram_read_bytes"])
    assert total("SRAM writes GB/s") * 1e9 * seconds == pytest.approx(memory["sram_write_bytes"])
    assert total("DPE busy %") / 100 * profile.pes == pytest.approx(units["dpe"]["busy"])


def test_the_page_has_the_rules() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "profiling.md").read_text()
    for name, rule in CATEGORIES.items():
        assert f"| {name} | {rule} |" in page


def by_hand() -> Profile:
    """One PE with two harts for 1000 cycles: see `test_categories_by_hand`."""
    like = recorded("add_one")[1].of_pe(0)
    spans: Any = np.zeros(11, like.spans.dtype)
    rows = [  # track, kind, start, end
        (DPE, S_DEPENDENCY, 140, 200), (DPE, S_BUSY, 200, 300), (DPE, S_DEPENDENCY, 300, 340), (DPE, S_BUSY, 340, 400),
        (SE, S_BUSY, 300, 330), (FI_IN, S_BUSY, 120, 160), (FI_IN, S_MEMORY, 160, 200), (FI_OUT, S_BUSY, 500, 520),
        (FI_OUT, S_MEMORY, 520, 600), (RANK_HART, WAIT_UNITS, 150, 800), (RANK_HART + 1, WAIT_BARRIER, 100, 900),
    ]  # fmt: skip
    for place, name in enumerate(("track", "kind", "start", "end")):
        spans[name] = [row[place] for row in rows]
    commands: Any = np.zeros(5, like.commands.dtype)
    for place, name in enumerate(("unit", "start", "end", "slowed", "lines", "llc_misses")):
        commands[name] = [
            row[place]
            for row in (
                (DPE, 200, 300, 20, 0, 0), (DPE, 340, 400, 0, 0, 0), (SE, 300, 330, 0, 0, 0),
                (FI_IN, 120, 200, 0, 40, 40), (FI_OUT, 500, 600, 0, 20, 0),
            )
        ]  # fmt: skip
    commands["blocker"] = NO_COMMAND
    alive = np.array([[[100, 800], [100, 900]]], np.uint64)
    return dataclasses.replace(like, cycles=1000, ended=900, spans=spans, commands=commands, alive=alive, visits=())


def test_categories_by_hand() -> None:
    """What the rules say of every stretch of a made-up run, and how the two transfers divide."""
    profile = by_hand()
    chip = profile.chip
    found = top_down(profile)
    cycles = dict(zip(CATEGORIES, found.cycles[0], strict=True))
    assert found.main == "dpe"
    assert cycles["compute"] == 80 + 60
    assert cycles["local memory"] == 20
    assert cycles["issue"] == 40  # 100 to 140: hart A runs, the DPE's queue is empty
    # The SE executes, then nothing; harts that only wait, twice; hart B alone at the barrier.
    assert cycles["dependency"] == 30 + 10 + 100 + 200 + 100
    assert cycles["idle"] == 100
    way = 2 * (chip.noc.base_latency + chip.noc.hop_latency)
    read = np.array([way, chip.sram.latency, chip.dram.latency], float)
    write = np.array([way, chip.sram.latency, 0], float)
    port = np.array([1.0, 0, 0])
    # 40 lines at one a clock in 80 cycles, of which 60 count; 20 lines in 100 cycles.
    wanted = 60 * (0.5 * port + 0.5 * read / read.sum()) + 100 * (0.2 * port + 0.8 * write / write.sum())
    wanted[2] += 100  # the write-back after the last hart's end
    assert [cycles["NoC"], cycles["SRAM"], cycles["DRAM"]] == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["mtia200", "mtia300"])
def test_the_mean_way_is_that_of_all_pes_and_banks(name: str) -> None:
    chip = load_chip(name)
    ways = [way(chip, pe, bank) for pe in range(chip.pes) for bank in range(chip.sram.banks)]
    assert mean_way(chip) == pytest.approx(sum(ways) / len(ways))


def test_harts_that_compute_are_the_main_engine() -> None:
    """The same run, had the harts spent longer at a floating-point instruction than the DPE at its commands."""
    profile = by_hand()
    text = program("_start_k:\n  fadd.s ft0, ft0, ft0\n  addi t0, t0, 1\n  ret\n")
    pcs = np.array([text.text_base, text.text_base + 4], np.uint64)
    for cycles, main in (((161, 0), "hart"), ((160, 0), "dpe"), ((0, 900), "dpe")):
        rows = np.array([[(1, cycles[0]), (1, cycles[1])]], [("count", np.uint64), ("cycles", np.uint64)])
        changed = dataclasses.replace(profile, program=text, pcs=pcs, visits=(rows,))
        assert top_down(changed).main == main


def test_a_run_that_traps_leaves_a_profile() -> None:
    recorder = Recorder()
    wait = "  li t4, 0x2000\n  li t5, 1\n  slli t5, t5, 32\n  addi t5, t5, 256\n  xm.cb.init cb0, t4, t5\n"
    code = program(f".globl _start_k\n_start_k:\n{wait}  xm.cb.waitr cb0\n  ret\n")
    result = launch(Device("mtia200"), code, (2,), [], observer=recorder)
    assert result.trap is not None and result.trap.cause == "DEADLOCK"
    assert np.allclose(top_down(recorder.profile).cycles.sum(axis=1), result.cycles)
