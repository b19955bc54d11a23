"""Real kernels: what is counted agrees at every level, no roof is broken, and cycles depend on nothing else."""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machine_rig import Rig, Script
from mtia.compiler.driver import compile_triton
from mtia.compiler.options import Options
from mtia.isa.errors import UserError
from mtia.runtime.device import Device
from mtia.runtime.launch import LaunchResult, launch
from mtia.runtime.machine.memory import DRAM_BASE
from mtia.runtime.machine.state import ENDED
from mtia.tools.bench import kernels
from timing_rules import TICKS, bank_ticks, dram_ticks, fi_ticks, link_ticks, routers

CHIPS = ["mtia200", "mtia300"]
PROBLEMS: Mapping[str, tuple[Callable[[], kernels.Problem], Mapping[str, int]]] = {
    "add": (lambda: kernels.add(1 << 16), {}),
    "softmax": (lambda: kernels.softmax(96, 512), {}),
    "layer_norm": (lambda: kernels.layer_norm(80, 1024), {}),
    "layer_norm_row": (lambda: kernels.layer_norm_row(96, 512), {}),
    "matmul": (
        lambda: kernels.gemm(256, 256, 128),
        {"BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 64, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 4},
    ),
    "flash_attention": (lambda: kernels.flash_attention(2, 256, 64), {"BLOCK_M": 64, "BLOCK_N": 64}),
}
SMALL: Mapping[str, tuple[Callable[[], kernels.Problem], Mapping[str, int]]] = {
    "add": (lambda: kernels.add(1000), {"BLOCK_SIZE": 256}),
    "softmax": (lambda: kernels.softmax(3, 100), {}),
    "matmul": (
        lambda: kernels.gemm(32, 32, 32),
        {"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 16, "GROUP_SIZE_M": 1},
    ),
}


@functools.cache
def prepared(name: str, target: str, small: bool = False) -> tuple[kernels.Problem, dict[str, Any], bytes]:
    """A problem, its constants, and the executable."""
    made, constants = (SMALL if small else PROBLEMS)[name]
    problem = made()
    meta = {**problem.constants, **constants}
    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{problem.case.module}"), problem.case.kernel)
    return problem, meta, compile_triton(kernel, problem.signature(), meta, Options(target=target)).elf


def run(name: str, target: str, small: bool = False, **options: Any) -> tuple[LaunchResult, bytes, Device]:
    """Launch a problem on a new device: the result, the output's bytes, the device."""
    problem, meta, elf = prepared(name, target, small)
    device = Device(target)
    arguments = [device.copy_in(a) if hasattr(a, "nbytes") else a for a in problem.host_arguments()]
    result = launch(device, elf, problem.grid(meta), arguments, **options).check()
    return result, device.view(arguments[problem.output]).tobytes(), device


@functools.cache
def outcome(name: str, target: str, state: str) -> tuple[LaunchResult, bytes, Device]:
    return run(name, target, state=state)


EVERY = [(name, target, state) for name in PROBLEMS for target in CHIPS for state in ("cold", "llc")]


@pytest.mark.parametrize(("name", "target", "state"), EVERY)
def test_time_is_accounted_for(name: str, target: str, state: str) -> None:
    """Of every unit and hart busy + stalled + idle is the launch's time."""
    result, _, _ = outcome(name, target, state)
    for pe in result.counters["pes"]:
        for part in [*pe["units"].values(), *pe["harts"]]:
            assert part["busy"] + part["idle"] + sum(part["stalled"].values()) == result.cycles
            assert min(part["busy"], part["idle"], *part["stalled"].values()) >= 0


@pytest.mark.parametrize(("name", "target", "state"), EVERY)
def test_bytes_agree(name: str, target: str, state: str) -> None:
    """DMA, network, SRAM and DRAM count the same lines; what is shared, held or rewritten accounts for the rest."""
    result, output, _ = outcome(name, target, state)
    found, line = result.counters, result.chip.noc.line_bytes
    memory, (read, written) = found["memory"], found["total"]["dma"].values()
    assert read["bytes"] <= read["lines"] * line
    assert written["bytes"] <= written["lines"] * line
    assert memory["sram_read_bytes"] + memory["sram_fill_bytes"] == (read["lines"] - read["coalesced_lines"]) * line
    assert memory["sram_write_bytes"] == written["lines"] * line
    asked = read["lines"] - read["coalesced_lines"] + written["lines"]
    assert memory["llc_hits"] + memory["llc_misses"] == asked, "no scratch memory is used"
    least = read["llc_misses"] * line
    assert least <= memory["dram_read_bytes"] <= least + written["llc_misses"] * line
    if state == "llc":
        assert memory["dram_read_bytes"] == 0
    else:
        assert len(output) <= memory["dram_write_bytes"] <= memory["sram_write_bytes"]
    if name == "add":  # whole lines, each once
        assert (read["bytes"], written["bytes"]) == (2 * len(output), len(output))
        assert (read["lines"], read["coalesced_lines"]) == (2 * len(output) // line, 0)
        assert memory["dram_read_bytes"] == (2 * len(output) if state == "cold" else 0)
        assert memory["dram_write_bytes"] == len(output) if state == "cold" else True


@pytest.mark.parametrize(("name", "target", "state"), EVERY)
def test_no_roof_is_broken(name: str, target: str, state: str) -> None:
    """No resource does more than its rate in the simulated time."""
    result, _, device = outcome(name, target, state)
    chip, found = result.chip, result.counters
    host = device.machine("fast")
    memory = found["memory"]
    moved = memory["sram_read_bytes"] + memory["sram_write_bytes"] + memory["sram_fill_bytes"]
    lines = moved // chip.noc.line_bytes
    dram_lines = (memory["dram_read_bytes"] + memory["dram_write_bytes"]) // chip.noc.line_bytes
    dma = [pe["dma"] for pe in found["pes"]]
    port = max(max(d["fi.in"]["lines"] - d["fi.in"]["coalesced_lines"], d["fi.out"]["lines"]) for d in dma)
    rows, _ = routers(chip)
    ends = (memory["sram_read_bytes"] + memory["sram_write_bytes"]) // chip.noc.line_bytes / (4 * rows)
    least = {
        "DPE": max(pe["units"]["dpe"]["ideal_ticks"] for pe in found["pes"]) / TICKS,
        "SE": max(pe["units"]["se"]["ideal_ticks"] for pe in found["pes"]) / TICKS,
        "LS": int(host.pes["ls_passed"].max()) / chip.ls.bytes_per_clk,
        "FI": max(d["fi.in"]["bytes"] for d in dma) / chip.fi.read_bytes_per_clk,
        "NoC": (ends if chip.noc.kind == "mesh" else port) * link_ticks(chip) / TICKS,
        "SRAM": lines * bank_ticks(chip) / TICKS / chip.sram.banks,
        "DRAM": dram_lines * dram_ticks(chip) / TICKS / chip.dram.channels,
    }
    assert all(0 <= clocks <= result.cycles for clocks in least.values()), (result.cycles, least)
    assert least["LS"] > 0
    assert least["SRAM"] > 0


@pytest.mark.parametrize("target", CHIPS)
@pytest.mark.parametrize("name", SMALL)
def test_interpreters_and_checks_change_nothing(name: str, target: str, tmp_path: Path) -> None:
    """The same bits, cycles and counters from both interpreters, with checks on and off, and while a trace is kept."""
    first, bits, _ = run(name, target, small=True)
    for options in (
        {"interpreter": "reference"}, {"strict": False}, {"trace_file": tmp_path / "trace.json.gz"}, {},
    ):  # fmt: skip
        again, same, _ = run(name, target, small=True, **options)
        assert (again.cycles, same, again.counters) == (first.cycles, bits, first.counters), options


def test_processes_agree() -> None:
    """New processes with other hash seeds give the same cycles."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_timing_kernels import run\n"
        "print([run('matmul', target, small=True)[0].cycles for target in ('mtia200', 'mtia300')])\n"
    )
    here = str(Path(__file__).parent)
    expected = str([run("matmul", target, small=True)[0].cycles for target in CHIPS])
    for seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program, here]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize("target", CHIPS)
def test_launch(target: str) -> None:
    """A first launch and one that replaces another differ by what the chip file says, and by nothing else."""
    problem, meta, elf = prepared("add", target, small=True)
    device = Device(target)
    arguments = [device.copy_in(a) if hasattr(a, "nbytes") else a for a in problem.host_arguments()]

    def begin(start: str) -> LaunchResult:
        return launch(device, elf, problem.grid(meta), arguments, state="llc", start=start).check()

    with pytest.raises(UserError, match="can replace only a launch before it"):
        begin("replace")
    first, second = begin("first"), begin("replace")
    chip = device.chip
    assert (first.launch_cycles, second.launch_cycles) == (chip.launch.first, chip.launch.replace)
    assert first.cycles - second.cycles == chip.launch.first - chip.launch.replace
    with pytest.raises(UserError, match="unknown start 'warm'; accepted: first, replace"):
        begin("warm")


@pytest.mark.parametrize("target", CHIPS)
def test_random_transfers(target: str) -> None:
    """Random programs of DMA on both interpreters: the same cycles, all lines accounted for."""
    rng = np.random.default_rng(8)
    rigs = [Rig(interpreter, target) for interpreter in ("reference", "fast")]
    line = rigs[0].chip.noc.line_bytes
    for _ in range(12):
        pes = rng.choice(rigs[0].chip.pes, 6, replace=False)
        scripts = {}
        for k, pe in enumerate(pes):
            s = Script().cb(0, 4096, 4096, 2)
            for n in range(int(rng.integers(1, 4))):
                size = int(rng.integers(1, 1500))
                source = DRAM_BASE + int(rng.integers(0, 1 << 16))
                target_address = DRAM_BASE + (1 << 20) + (k * 8 + n) * 4096 + int(rng.integers(0, 64))
                s.local(0, 0, (1, size), "u8").remote(1, source, [(size, 1)], "u8")
                s.remote(2, target_address, [(size, 1)], "u8")
                s.do("xm.dma.in", d=0, gd=1).do("xm.dma.out", s=0, gd=2).do("xm.cb.next", cb=0)
            scripts[int(pe), int(rng.integers(0, 2))] = s
        seen = []
        for rig in rigs:
            assert rig.run(scripts) == ENDED
            m = rig.host.machine
            inward, outward = (rig.host.pes["engines"][:, n] for n in range(2))
            booked = int(inward["lines"].sum() - inward["coalesced"].sum())
            assert m.sram_reads == booked * line
            assert m.sram_writes == int(outward["lines"].sum()) * line
            hits, misses = (int(inward[key].sum() + outward[key].sum()) for key in ("llc_hits", "llc_misses"))
            assert hits + misses == booked + int(outward["lines"].sum())
            assert m.dram_reads <= misses * line
            engine = rig.chip.fi
            assert rig.cycles * engine.read_bytes_per_clk >= int(inward["bytes"].max())
            assert rig.cycles * TICKS >= int(inward["lines"].max() - 1) * fi_ticks(rig.chip)
            seen.append((rig.cycles, hits, misses, m.dram_reads, m.row_misses))
        assert seen[0] == seen[1]
