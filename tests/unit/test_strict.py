"""Strict checks on whole programs: the full message of each, on both interpreters."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtia.compiler.backend.assembled import assemble_program
from mtia.isa.errors import UserError
from mtia.runtime.device import Buffer, Device
from mtia.runtime.launch import LaunchResult, launch
from mtia.tools import cli

# td0: a row of 64 bytes of fp32 in cb0 at LS 0x2000; td1: such a row in device memory, at argument 0. Line 18 is next.
HEAD = """
.globl _start_k
_start_k:
  li t4, 0x2000
  li t5, 0x100000040
  xm.cb.init cb0, t4, t5
  li t6, 0x100
  xm.td.local td0, t6, zero
  li t4, 0x1000000001
  li t5, 0x400000040
  xm.td.shape td0, t4, t5
  ld s0, 32(a0)
  li t6, 0x100
  xm.gd.base td1, s0, t6
  li t5, 16
  li t4, 4
  xm.gd.dim td1, t5, t4, 0
"""
DMA_PC, NEXT_PC = 0x40000050, 0x40000054


@pytest.fixture(scope="module")
def device() -> Device:
    return Device("mtia200")


@pytest.fixture(params=["fast", "reference"])
def interpreter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(device: Device, body: str, *args: Buffer, cores: int = 1, head: str = HEAD, **options: Any) -> LaunchResult:
    program = assemble_program(head + body, "k.s", ["*fp32"] * len(args), None, cores)
    return launch(device, program, (1,), args, limit=20_000, **options)


def trap(device: Device, body: str, *args: Buffer, **options: Any) -> str:
    found = run(device, body, *args, **options).trap
    assert found is not None
    return str(found)


def test_a_load_of_what_a_transfer_writes(device: Device, interpreter: str) -> None:
    x = device.copy_in(np.ones(16, np.float32))
    body = "  xm.dma.in td0, td1\n  lui t0, 0x10002\n  lw t1, 16(t0)\n  ret\n"
    found = run(device, body, x, interpreter=interpreter)
    message = str(found.trap).replace(f"cycle {found.cycles}", "cycle N")
    assert message == (
        "k.s:20: trap: race: hart A reads local memory 0x10002010 to 0x10002013, which fi.in of hart A writes; "
        f"neither waits for the other (PE 0, hart A, pc {NEXT_PC + 4:#x}, lw t1, 16(t0), cycle N)\n"
        f"  first: PE 0, fi.in of hart A, pc {DMA_PC:#x}, xm.dma.in td0, td1 (k.s:18)"
    )
    run(device, body.replace("  lui", "  xm.wait zero\n  lui"), x, interpreter=interpreter).check()
    run(device, body.replace("lw t1, 16", "sd t1, 64"), x, interpreter=interpreter).check()
    run(device, body, x, interpreter=interpreter, strict=["buffers"]).check()
    device.free(x)


def test_a_load_long_after_the_transfer_is_still_a_race(device: Device, interpreter: str) -> None:
    """No wait orders the two, though the transfer has long completed."""
    x = device.copy_in(np.ones(16, np.float32))
    delay = "  li t2, 2000\n1: addi t2, t2, -1\n  bnez t2, 1b\n"
    body = f"  xm.dma.in td0, td1\n{delay}  lui t0, 0x10002\n  lw t1, 0(t0)\n  ret\n"
    assert "race: hart A reads local memory 0x10002000 to 0x10002003, which fi.in" in trap(
        device, body, x, interpreter=interpreter
    )
    device.free(x)


ALIAS = """
  li t4, 0x2020
  li t5, 0x100000040
  xm.cb.init cb1, t4, t5
  li t6, 0x101
  xm.td.local td2, t6, zero
  li t4, 0x1000000001
  li t5, 0x400000040
  xm.td.shape td2, t4, t5
  xm.td.imm td3, zero, zero
"""


def test_units_on_buffers_that_overlap(device: Device, interpreter: str) -> None:
    x = device.copy_in(np.ones(16, np.float32))
    body = ALIAS + "  xm.dma.in td0, td1\n{}  xm.mlu.fill td2, td3\n  ret\n"
    message = trap(device, body.format(""), x, interpreter=interpreter)
    assert "race: mlu of hart A touches local memory 0x10002020 to 0x1000203f, which fi.in of hart A writes" in message
    run(device, body.format("  li t0, 1\n  xm.wait t0\n"), x, interpreter=interpreter).check()
    run(device, body.format("").replace("0x2020", "0x2040"), x, interpreter=interpreter).check()
    run(device, body.format(""), x, interpreter=interpreter, strict=["unwritten"]).check()
    device.free(x)


def test_accumulators_are_written_before_they_are_read(device: Device, interpreter: str) -> None:
    body = """
  li t4, 0x100000000
  li t5, 0x100000040
  xm.cb.init cb2, t4, t5
  li t6, 0x102
  xm.td.local td2, t6, zero
  li t4, 0x1000000001
  li t5, 0x400000040
  xm.td.shape td2, t4, t5
  {}
  xm.re.drain td0, td2
  ret
"""
    x = device.copy_in(np.ones(16, np.float32))
    message = trap(device, body.format("nop"), x, interpreter=interpreter)
    assert message.startswith(
        "k.s:28: trap: the accumulator at byte 0x0 of RE is read, but nothing was written there (PE 0, re, pc "
    )
    run(device, body.format("xm.re.zero td2"), x, interpreter=interpreter).check()
    run(device, body.format("nop"), x, interpreter=interpreter, strict=False).check()
    device.free(x)


def test_device_memory_outside_every_buffer(device: Device, interpreter: str) -> None:
    x = device.copy_in(np.ones(16, np.float32))
    at = x.address + 4096
    load = trap(device, "  lui t0, 1\n  add t0, t0, s0\n  lw t1, 0(t0)\n  ret\n", x, interpreter=interpreter)
    assert load.startswith(
        f"k.s:20: trap: device memory at {at:#x} lies outside every buffer, 4032 bytes past the end of the buffer of "
        f"64 bytes at {x.address:#x} (PE 0, hart A, pc "
    )
    moved = "  lui t0, 1\n  addi t0, t0, -32\n  add t0, t0, s0\n  xm.gd.addr td1, t0\n  xm.dma.in td0, td1\n  ret\n"
    message = trap(device, moved, x, interpreter=interpreter)
    assert message.startswith(f"k.s:22: trap: device memory at {at:#x} lies outside every buffer, 4032 bytes past")
    assert "(PE 0, fi.in, pc" in message
    store = trap(device, "  sd zero, 64(s0)\n  ret\n", x, interpreter=interpreter)
    assert f"device memory at {x.address + 64:#x} is written, in the padding, 0 bytes past the end" in store
    run(device, moved, x, interpreter=interpreter, strict={"races", "unwritten"}).check()
    device.free(x)


def test_reads_of_unwritten_device_memory_and_padding_are_counted(device: Device, interpreter: str) -> None:
    x = device.alloc(56)
    device.copy_in(np.ones(5, np.float32), x)
    body = "  sd zero, 24(s0)\n  xm.dma.in td0, td1\n  xm.dma.in td0, td1\n  ret\n"
    reads = run(device, body, x, interpreter=interpreter).check().device_reads
    here = f"(56 bytes at {x.address:#x})"
    pc = f"(PE 0, fi.in, pc {NEXT_PC:#x})"
    assert [read.text("x") for read in reads] == [
        f"k.s:19: read 56 bytes that nothing had written in x {here}, first at {x.address + 20:#x} {pc}",
        f"k.s:19: read 16 bytes in the padding behind x {here}, first at {x.address + 56:#x} {pc}",
    ]
    again = run(device, "  ld t0, 24(s0)\n  lw t0, 20(s0)\n  ret\n", x, interpreter=interpreter).check().device_reads
    assert [(read.bytes, read.address, read.unit) for read in again] == [(4, x.address + 20, None)]
    device.free(x)
    y = device.alloc(56)
    assert y.address == x.address
    assert run(device, "  ld t0, 24(s0)\n  ret\n", y, interpreter=interpreter).device_reads[0].bytes == 8
    device.view(y)
    assert not run(device, "  ld t0, 24(s0)\n  ret\n", y, interpreter=interpreter).device_reads
    device.free(y)


def test_deadlock_names_the_circle(device: Device, interpreter: str) -> None:
    """Hart A waits for a transfer that needs a push of hart B, which waits for a pop of hart A."""
    body = """
  bnez a2, 1f
  xm.td.local td0, zero, zero
  xm.dma.out td1, td0
  xm.wait zero
  xm.cb.pop cb0
  ret
1:
  xm.cb.push cb1
  xm.cb.push cb1
  xm.cb.push cb16
  ret
"""
    x = device.copy_in(np.ones(16, np.float32))
    init = "  li t4, 0x3000\n  li t5, 0x100000040\n  xm.cb.init cb1, t4, t5\n"
    found = run(device, init + body, x, cores=2, interpreter=interpreter).trap
    assert found is not None and found.cause == "DEADLOCK"
    assert [re.sub("pc 0x[0-9a-f]+, ", "", line) for line in found.details] == [
        "PE 0 hart A waits: xm.wait for fi.out (k.s:25)",
        "PE 0 hart B waits: cb.push of cb1 of hart B (pushed 1, popped 0, 1 slots): it is full until hart A pops "
        "(k.s:30)",
        "PE 0 fi.out of hart A waits: element check of operand 2, slot 0 of cb0 of hart A (pushed 0, popped 0, "
        "1 slots): it is empty until hart A or hart B pushes (k.s:24)",
        "circle: hart A -> fi.out of hart A -> hart A",
    ]
    device.free(x)


def test_runaway_says_where_every_hart_is(device: Device) -> None:
    program = assemble_program(HEAD + "1:\n  bnez a2, 1b\n2:\n  j 2b\n", "k.s", ["*fp32"], None, 2)
    x = device.copy_in(np.ones(16, np.float32))
    found = launch(device, program, (3,), [x], limit=5000).trap
    assert found is not None and found.cause == "RUNAWAY"
    assert found.message == "the program ran longer than 5000 cycles"
    assert found.details == (
        "PE 0-2 hart A runs (pc 0x40000054, k.s:21)",
        "PE 0-2 hart B runs (pc 0x40000050, k.s:19)",
    )
    device.free(x)


def test_unknown_checks(device: Device, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="unknown check 'race'; checks: unwritten, races, buffers"):
        run(device, "  ret\n", head=".globl _start_k\n_start_k:\n", strict=["race"])
    file = tmp_path / "k.s"
    file.write_text(HEAD + "  xm.dma.in td0, td1\n  lui t0, 0x10002\n  lw t1, 0(t0)\n  ret\n")
    command = ["run", str(file), "--signature", "*fp32", "--grid", "1", "--arg", "x=empty:16:fp32"]
    assert cli.main(command) == 3
    assert cli.main([*command, "--allow", "races,race"]) == 2
    assert cli.main([*command, "--allow", "races,unwritten", "--json"]) == 0
    out = capfd.readouterr().out
    assert json.loads(out)["device_reads"][0].startswith("k.s:18: read 64 bytes that nothing had written in arg0 (64")
