"""Launching executables: arguments, memory states, counters, trace, traps with their source line."""

from __future__ import annotations

import gzip
import json
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_written import program
from mtia.compiler.backend.assembled import assemble_program
from mtia.isa.errors import UserError
from mtia.runtime import counters, elf
from mtia.runtime.device import Buffer, Device
from mtia.runtime.faults import MachineTrap
from mtia.runtime.launch import launch

# Each PE copies 1024 i32 through local memory and adds one to them on hart A; both harts count themselves.
ADD_ONE = """
.globl _start_add_one
_start_add_one:
  ld t0, 48(a0)
  li t1, 1
  amoadd.w zero, t1, (t0)
  bnez a2, done
  ld t0, 32(a0)
  ld t1, 40(a0)
  li t2, 4096
  mul t3, a1, t2
  add t0, t0, t3
  add t1, t1, t3
  li t4, 0x2000
  li t5, 1
  slli t5, t5, 32
  or t5, t5, t2
  xm.cb.init cb0, t4, t5
  li t6, 0xC0100
  xm.td.local td0, t6, zero
  li t4, 1024
  slli t4, t4, 32
  addi t4, t4, 1
  li t5, 4
  slli t5, t5, 32
  or t5, t5, t2
  xm.td.shape td0, t4, t5
  li t6, 0x10C
  xm.gd.base td1, t0, t6
  li t5, 1024
  li t4, 4
  xm.gd.dim td1, t5, t4, 0
  xm.dma.in td0, td1
  xm.gd.base td2, t1, t6
  xm.gd.dim td2, t5, t4, 0
  xm.cb.waitw cb0
  li t4, 0x10002000
  li t5, 1024
loop:
  lw t6, 0(t4)
  addi t6, t6, 1
  sw t6, 0(t4)
  addi t4, t4, 4
  addi t5, t5, -1
  bnez t5, loop
  xm.dma.out td2, td0
done:
  ret
"""


@pytest.fixture(scope="module")
def device() -> Device:
    return Device("mtia200")


def run_add_one(device: Device, **options: Any) -> tuple[Any, np.ndarray[Any, Any], int]:
    x = np.arange(16 * 1024, dtype=np.int32)
    buffers = [device.copy_in(a) for a in (x, np.zeros_like(x), np.zeros(4, np.int32))]
    code = program(ADD_ONE, "*i32", "*i32", "*i32", cores=2)
    result = launch(device, code, (16,), buffers, **options).check()
    out, count = np.zeros_like(x), np.zeros(4, np.int32)
    device.copy_out(buffers[1], out)
    device.copy_out(buffers[2], count)
    for buffer in buffers:
        device.free(buffer)
    assert np.array_equal(out, x + 1)
    return result, out, int(count[0])


def test_both_interpreters_agree(device: Device) -> None:
    fast, _, count = run_add_one(device)
    again, _, _ = run_add_one(device)
    slow, _, _ = run_add_one(device, interpreter="reference")
    assert count == 32
    assert fast.cycles == again.cycles == slow.cycles
    assert fast.counters == again.counters == slow.counters


def test_cycles_do_not_depend_on_other_threads(device: Device) -> None:
    quiet = run_add_one(device)[0].cycles
    stop = threading.Event()
    busy = [threading.Thread(target=lambda: [sum(range(1000)) for _ in iter(stop.is_set, True)]) for _ in range(3)]
    for thread in busy:
        thread.start()
    try:
        assert run_add_one(device)[0].cycles == quiet
    finally:
        stop.set()
        for thread in busy:
            thread.join()


def test_memory_states(device: Device) -> None:
    """Cold: input comes from DRAM and all output goes back. Resident: no input comes, output may stay."""
    cold, warm = run_add_one(device, state="cold")[0], run_add_one(device, state="llc")[0]
    size, line = 65536, device.chip.noc.line_bytes
    assert cold.counters["memory"]["dram_read_bytes"] == size + line  # and the line of the counter
    assert cold.counters["memory"]["dram_write_bytes"] == size + line
    assert warm.counters["memory"]["dram_read_bytes"] == 0
    assert warm.counters["memory"]["dram_write_bytes"] < size
    assert warm.cycles < cold.cycles
    assert cold.time_us == pytest.approx(cold.cycles / 1350)


def test_counters_add_up(device: Device) -> None:
    result = run_add_one(device)[0]
    found = result.counters
    assert found["pes_used"] == 16
    for pe in found["pes"]:
        for part in [*pe["units"].values(), *pe["harts"]]:
            assert part["busy"] + part["idle"] + sum(part["stalled"].values()) == result.cycles
    assert found["total"]["units"]["fi.in"]["commands"] == 16
    assert found["total"]["harts"]["commands"] == 32
    assert found["memory"]["bytes"] == 2 * 65536
    name, percent = counters.roofline(result)
    assert name == "DRAM"
    assert 0 < percent <= 100
    assert any(unit == "hart" and cause == "busy" for unit, cause, _ in counters.stall_table(found))


def test_trace(device: Device, tmp_path: Path) -> None:
    result = run_add_one(device, trace_file=tmp_path / "t.json.gz")[0]
    whole = json.loads(gzip.decompress((tmp_path / "t.json.gz").read_bytes()))
    spans = [event for event in whole["traceEvents"] if event["ph"] == "X"]
    assert all(0 <= span["ts"] and span["ts"] + span["dur"] <= result.cycles for span in spans)
    commands = [span for span in spans if span["cat"] == "command"]
    assert len(commands) == 32
    assert {span["name"] for span in commands} == {"dma.in", "dma.out"}
    assert all(span["args"]["line"].startswith("hand.s:") for span in commands)


def trap_of(device: Device, text: str, *args: Any, kinds: tuple[str, ...] = (), **options: Any) -> Any:
    with pytest.raises(MachineTrap) as caught:
        launch(device, program(".globl _start_k\n_start_k:\n" + text, *kinds), (1,), args, **options).check()
    return caught.value.trap


@pytest.mark.parametrize("interpreter", ["fast", "reference"])
@pytest.mark.parametrize(
    ("text", "cause", "line", "message"),
    [
        ("  li t0, 64\n  lw t1, 0(t0)\n", "LOAD_OUTSIDE_MEMORY", 4, "load outside memory of 4 bytes at 0x40"),
        ("  li t0, 0x7fffffff\n  nop\n  sb t1, 0(t0)\n", "STORE_OUTSIDE_MEMORY", 5, "at 0x7fffffff"),
        ("  .word 0\n", "ILLEGAL_INSTRUCTION", None, "illegal instruction"),
        ("  li t0, 12\n  jr t0\n", "JUMP_TO_AN_ADDRESS_WITHOUT_CODE", None, "pc 0xc"),
        ("  xm.dma.in td0, td1\n", "BUFFER", 3, "xm.dma.in td0, td1"),
        ("  xm.cb.push cb2\n", "BUFFER", 3, "circular buffer cb2 is not defined"),
    ],
)
def test_traps_name_the_line(
    device: Device, interpreter: str, text: str, cause: str, line: int | None, message: str
) -> None:
    trap = trap_of(device, text, interpreter=interpreter)
    assert (trap.cause, trap.line if line else None, trap.pe, trap.hart) == (cause, line, 0, 0)
    assert message in str(trap)
    if line:
        assert str(trap).startswith(f"hand.s:{line}: trap: ")


def test_runaway_program_is_stopped(device: Device) -> None:
    trap = trap_of(device, "again:\n  j again\n", limit=3_000_000)
    assert trap.cause == "RUNAWAY"
    assert trap.time < 5_000_000


def test_control_c_stops_the_machine(device: Device) -> None:
    """The stop flag is seen within a horizon."""
    machine = device.machine("fast").machine
    timer = threading.Timer(0.2, lambda: setattr(machine, "stop", 1))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        launch(device, program(".globl _start_k\n_start_k:\n  j _start_k\n"), (1,), ())


def test_messages_between_pes(device: Device) -> None:
    """PE 1 waits for a flag in DRAM that PE 0 sets after its data: the data is there when the flag is seen."""
    text = """
  ld t0, 32(a0)
  bnez a1, reader
  li t1, 1234
  sw t1, 0(t0)
  fence rw, rw
  li t1, 1
  sw t1, 64(t0)
  ret
reader:
  lw t1, 64(t0)
  beqz t1, reader
  fence rw, rw
  lw t1, 0(t0)
  sw t1, 128(t0)
  ret
"""
    buffer = device.copy_in(np.zeros(64, np.int32))
    launch(device, program(".globl _start_k\n_start_k:" + text, "*i32"), (2,), (buffer,)).check()
    out = np.zeros(64, np.int32)
    device.copy_out(buffer, out)
    assert out[32] == 1234


def test_argument_words(device: Device) -> None:
    """Integers are sign-extended, floats are their bits in the declared type."""
    text = ".globl _start_k\n_start_k:\n  ld t0, 32(a0)\n" + "".join(
        f"  ld t1, {40 + 8 * n}(a0)\n  sd t1, {8 * n}(t0)\n" for n in range(5)
    )
    buffer = device.alloc(64)
    values = (-3, 1.5, 1.5, 2.5, np.int64(7))
    code = program(text + "  ret\n", "*i64", "i32", "fp16", "fp32", "bf16", "i64")
    launch(device, code, (1,), (buffer, *values)).check()
    words = np.zeros(5, np.uint64)
    device.copy_out(buffer, words)
    half, single = struct.unpack("<H", struct.pack("<e", 1.5))[0], struct.unpack("<I", struct.pack("<f", 1.5))[0]
    assert words.tolist() == [2**64 - 3, half, single, 0x4020, 7]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, p: launch(d, p, (1,), ()), "takes 1 arguments"),
        (lambda d, p: launch(d, p, (0,), (1,)), "the grid must be"),
        (lambda d, p: launch(d, p, (1,), (1.5,)), "argument 0 is a i32"),
        (lambda d, p: launch(d, p, (1,), (Buffer(0x80_0000_0000, 4),)), "argument 0 is a i32, not a buffer"),
        (lambda d, p: launch(d, p, (1,), (1,), state="warm"), "unknown memory state"),
        (lambda d, p: launch(d, p, (1,), (1,), cores=3), "cores must be 1 to 2"),
        (lambda d, p: launch(d, p, (1,), (1,), interpreter="slow"), "unknown interpreter"),
    ],
)
def test_bad_launches(device: Device, call: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(device, program(".globl _start_k\n_start_k:\n  ret\n", "i32"))


def test_bad_files(tmp_path: Path) -> None:
    good = assemble_program(".globl _start_k\n_start_k:\n  ret\n", "hand.s")
    for data, message in (
        (b"", "not an ELF file"),
        (b"#!/bin/sh\n" * 20, "not an ELF file"),
        (good[: len(good) // 2], "damaged or cut-off"),
        (good.replace(b".mtia\0", b".none\0"), "no `.mtia` section"),
        (good.replace(b'"cores": 1', b'"cores": 9'), "damaged `.mtia` section"),
    ):
        file = tmp_path / "bad.elf"
        file.write_bytes(data)
        with pytest.raises(UserError, match=message) as caught:
            elf.load(file)
        assert caught.value.file == str(file)


def test_device_memory(device: Device) -> None:
    a, b, c = device.alloc(5000), device.alloc(1), device.alloc(100)
    assert a.address + 8192 == b.address
    assert b.address + 4096 == c.address
    device.free(b)
    device.free(a)
    assert device.alloc(12288).address == a.address
    with pytest.raises(UserError, match="no buffer"):
        device.free(b)
    with pytest.raises(UserError, match="out of device memory"):
        device.alloc(device.chip.dram.bytes + 1)


UNWRITTEN_UNIT = """
  li t4, 0x2000
  li t5, 1
  slli t5, t5, 32
  addi t5, t5, 256
  xm.cb.init cb0, t4, t5
  li t6, 0x100
  xm.td.local td0, t6, zero
  li t4, 4
  slli t4, t4, 32
  addi t4, t4, 2
  li t5, 4
  slli t5, t5, 32
  addi t5, t5, 32
  xm.td.shape td0, t4, t5
  ld t0, 32(a0)
  li t6, 0x200
  xm.gd.base td1, t0, t6
  li t5, 2
  li t4, 16
  xm.gd.dim td1, t5, t4, 0
  li t5, 4
  xm.gd.dim td1, t5, t5, 1
  li t4, 0x10002000
  sd zero, 0(t4)
  sw zero, 8(t4)
  sd zero, 32(t4)
"""


@pytest.mark.parametrize("interpreter", ["fast", "reference"])
def test_reading_what_nobody_wrote(device: Device, interpreter: str) -> None:
    """The hart's load, a unit's source and a DMA's source; what is outside a DMA's valid range does not count."""
    load = trap_of(device, "  li t0, 0x10000800\n  sw t0, 0(t0)\n  ld t1, 0(t0)\n", interpreter=interpreter)
    assert (load.cause, load.line) == ("UNWRITTEN", 5)
    assert "local memory at 0x10000800 is read, but nothing was written there" in str(load)
    buffer = device.alloc(64)
    unit = UNWRITTEN_UNIT + "  xm.se.neg td0, td0\n  ret\n"
    trap = trap_of(device, unit, buffer, kinds=("*fp32",), interpreter=interpreter)
    assert (trap.cause, trap.unit) == ("UNWRITTEN", "se")
    assert "0x1000200c" in str(trap)
    trap = trap_of(
        device, UNWRITTEN_UNIT + "  xm.dma.out td1, td0\n  ret\n", buffer, kinds=("*fp32",), interpreter=interpreter
    )
    assert (trap.cause, trap.unit) == ("UNWRITTEN", "fi.out")
    clipped = UNWRITTEN_UNIT + "  li t5, 2\n  xm.gd.clip td1, zero, t5, 1\n  xm.dma.out td1, td0\n  ret\n"
    code = program(".globl _start_k\n_start_k:\n" + clipped, "*fp32")
    launch(device, code, (1,), (buffer,), interpreter=interpreter).check()
    careless = program(".globl _start_k\n_start_k:\n" + unit, "*fp32")
    launch(device, careless, (1,), (buffer,), interpreter=interpreter, strict=False).check()


def test_python_does_not_run_between_commands(device: Device) -> None:
    """The host makes the same number of Python calls for 10 commands as for 1000."""
    text = """
.globl _start_k
_start_k:
  ld t3, 40(a0)
  li t4, 0x2000
  li t5, 1
  slli t5, t5, 32
  addi t5, t5, 256
  xm.cb.init cb0, t4, t5
  li t6, 0x100
  xm.td.local td0, t6, zero
  li t4, 64
  slli t4, t4, 32
  addi t4, t4, 1
  li t5, 4
  slli t5, t5, 32
  xm.td.shape td0, t4, t5
  ld t0, 32(a0)
  li t6, 0x100
  xm.gd.base td1, t0, t6
  li t5, 64
  li t4, 4
  xm.gd.dim td1, t5, t4, 0
again:
  xm.dma.in td0, td1
  addi t3, t3, -1
  bnez t3, again
  ret
"""
    code, buffer = program(text, "*fp32", "i32"), device.alloc(256)

    def calls(count: int) -> int:
        made = [0]

        def note(frame: Any, event: str, arg: Any) -> None:
            made[0] += event == "call"

        sys.setprofile(note)
        try:
            result = launch(device, code, (64,), (buffer, count)).check()
        finally:
            sys.setprofile(None)
        assert result.counters["total"]["units"]["fi.in"]["commands"] == 64 * count
        return made[0]

    calls(1)
    assert abs(calls(1000) - calls(10)) < 64  # 63,360 commands more; waiting for the thread may take some calls
