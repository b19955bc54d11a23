"""Atomics across harts and PEs: nothing is lost, reservations are broken by writes and by nothing else, locks hold."""

from __future__ import annotations

import hand_written
import pytest
from mtia.runtime.device import Device

PES = 64
ROUNDS = 12
# s1: a line of local memory that hart A has cleared, s2: the same in SRAM, s3: a line of the buffer's own
PLACES = """
  li s1, 0x10002000
  li s2, 0x1000000100
  mv s3, s0
  bnez a2, ready
  sd zero, 0(s1)
  sd zero, 8(s1)
  bnez a1, ready
  sd zero, 0(s2)
  sd zero, 8(s2)
ready:
  xm.barrier zero
"""


@pytest.fixture(scope="module")
def device() -> Device:
    return Device("mtia200")


def run(device: Device, text: str, words: int, grid: int, cores: int = 2, interpreter: str = "fast") -> list[int]:
    """Run a program whose argument is a zeroed buffer; returns the buffer as 64-bit words."""
    return hand_written.run(device, text, words, grid, cores, interpreter)[0]


def increments() -> str:
    """Each hart adds one to six words: by an AMO and by LR/SC, in local memory, SRAM and DRAM."""
    body = "".join(
        f"""
  amoadd.d zero, s5, ({place})
  addi s6, {place}, 8
again_{place}:
  lr.d s7, (s6)
  addi s7, s7, 1
  sc.d s8, s7, (s6)
  bnez s8, again_{place}"""
        for place in ("s1", "s2", "s3")
    )
    return f"""{PLACES}
  li s4, {ROUNDS}
  li s5, 1
loop:{body}
  addi s4, s4, -1
  bnez s4, loop
  xm.barrier zero
  bnez a2, done
  slli t0, a1, 5
  add t0, t0, s0
  ld t1, 0(s1)
  ld t2, 8(s1)
  sd t1, 64(t0)
  sd t2, 72(t0)
  ld t1, 0(s2)
  ld t2, 8(s2)
  sd t1, 80(t0)
  sd t2, 88(t0)
done:
  ret
"""


def test_no_increment_is_lost(device: Device) -> None:
    out = run(device, increments(), 8 + 4 * PES, PES)
    total = 2 * PES * ROUNDS
    assert out[:2] == [total, total]
    assert out[8:] == [2 * ROUNDS, 2 * ROUNDS, total, total] * PES


# What happens between the LR of hart A of PE 0 and its SC; `w` is whoever writes. The reserved word holds 5.
BREAKS = {
    "nothing": ("", False),
    "a store of its own": ("bnez a1, next; bnez a2, next; sd t2, 8(s4); next:", False),
    "another value and the first one again": ("bne s9, s8, next; sd t2, 0(s4); sd t1, 0(s4); next:", True),
    "a byte beside it": ("bne s9, s8, next; sb t2, 63(s4); next:", True),
    "a byte of the next line": ("bne s9, s8, next; sb t2, 64(s4); next:", False),
    "an atomic": ("bne s9, s8, next; amoor.d zero, zero, (s4); next:", True),
    "a vector": ("bne s9, s8, next; addi t4, s4, 16; vsetivli zero, 4, e8, m1, ta, ma; vse8.v v8, (t4); next:", True),
}


@pytest.mark.parametrize("interpreter", ["fast", "reference"])
@pytest.mark.parametrize("place", ["local", "sram", "dram"])
@pytest.mark.parametrize("name", list(BREAKS))
def test_what_breaks_a_reservation(device: Device, name: str, place: str, interpreter: str) -> None:
    between, breaks = BREAKS[name]
    address = {"local": "s1", "sram": "s2", "dram": "s3"}[place]
    # the writer is hart B of PE 0 for local memory, of PE 1 elsewhere; its number is 2 · PE + hart
    writer = 1 if place == "local" else 3
    text = f"""
  li s1, 0x10002000
  li s2, 0x1000000200
  addi s3, s0, 64
  mv s4, {address}
  li t1, 5
  li t2, 7
  slli s9, a1, 1
  add s9, s9, a2
  li s8, {writer}
  bnez s9, first
  sd t1, 0(s4)
  sd t1, 8(s4)
  lr.d t0, (s4)
first:
  xm.barrier zero
  {between.replace(";", chr(10))}
  xm.barrier zero
  bnez s9, done
  sc.d t3, t2, (s4)
  ld t4, 0(s4)
  sd t3, 0(s0)
  sd t4, 8(s0)
done:
  ret
"""
    out = run(device, text, 32, 2, interpreter=interpreter)
    assert out[:2] == ([1, 5] if breaks else [0, 7])


@pytest.mark.parametrize("way", ["in", "out"])
def test_a_transfer_breaks_a_reservation(device: Device, way: str) -> None:
    """The DMA writes 64 bytes over the reserved word: of local memory (in), of device memory (out)."""
    text = f"""
  li s1, 0x10002000
  addi s2, s0, 64
  li t2, 8
clear:
  sd zero, 0(s1)
  addi s1, s1, 8
  addi t2, t2, -1
  bnez t2, clear
  li t4, 0x2000
  li t5, 1
  slli t5, t5, 32
  addi t5, t5, 64
  xm.cb.init cb0, t4, t5
  li t6, 0xC0100
  xm.td.local td0, t6, zero
  li t4, 16
  slli t4, t4, 32
  addi t4, t4, 1
  li t5, 4
  slli t5, t5, 32
  addi t5, t5, 64
  xm.td.shape td0, t4, t5
  li t6, 0x10C
  xm.gd.base td1, s2, t6
  li t5, 16
  li t4, 4
  xm.gd.dim td1, t5, t4, 0
  li s3, 0x10002000
  mv s4, {"s3" if way == "in" else "s2"}
  lr.w t0, (s4)
  xm.dma.{way} {"td0, td1" if way == "in" else "td1, td0"}
  xm.wait zero
  sc.w t1, zero, (s4)
  sd t1, 0(s0)
  lr.w t0, (s4)
  sc.w t1, zero, (s4)
  sd t1, 8(s0)
  ret
"""
    assert run(device, text, 32, 1, cores=1)[:2] == [1, 0]


LOCKS = {
    "amoswap": ("amoswap.w.aq t1, t0, (s2); bnez t1, take", "amoswap.w.rl zero, zero, (s2)"),
    "lr/sc": ("lr.w.aq t1, (s2); bnez t1, take; sc.w t1, t0, (s2); bnez t1, take", "sw zero, 0(s2)"),
}


@pytest.mark.parametrize("name", list(LOCKS))
def test_a_lock_is_handed_over(device: Device, name: str) -> None:
    """Under the lock, two words in different places are read, waited with, and written: they stay equal."""
    take, leave = LOCKS[name]
    text = f"""{PLACES}
  li s4, 4
  li t0, 1
take:
  {take.replace(";", chr(10))}
  ld t2, 0(s3)
  ld t3, 8(s2)
  bne t2, t3, bad
  li t4, 20
pause:
  addi t4, t4, -1
  bnez t4, pause
  addi t2, t2, 1
  sd t2, 0(s3)
  sd t2, 8(s2)
  {leave}
  addi s4, s4, -1
  bnez s4, take
  ret
bad:
  ebreak
"""
    assert run(device, text, 8, 16)[0] == 2 * 16 * 4


@pytest.mark.parametrize("release", ["", ".rl"])
def test_release_waits_for_transfers_out(device: Device, release: str) -> None:
    """A transfer of 4 KiB, then an atomic, then a plain load of the transfer's last word: seen if the atomic waited."""
    text = f"""
  li s1, 0x10002000
  li t2, 512
  li t1, 9
fill:
  sd t1, 0(s1)
  addi s1, s1, 8
  addi t2, t2, -1
  bnez t2, fill
  li t4, 0x2000
  li t2, 4096
  li t5, 1
  slli t5, t5, 32
  add t5, t5, t2
  xm.cb.init cb0, t4, t5
  li t6, 0xC0100
  xm.td.local td0, t6, zero
  li t4, 1024
  slli t4, t4, 32
  addi t4, t4, 1
  li t5, 4
  slli t5, t5, 32
  add t5, t5, t2
  xm.td.shape td0, t4, t5
  addi s2, s0, 64
  li t6, 0x10C
  xm.gd.base td1, s2, t6
  li t5, 1024
  li t4, 4
  xm.gd.dim td1, t5, t4, 0
  add s3, s2, t2
  xm.dma.out td1, td0
  amoadd.d{release} zero, zero, (s0)
  ld t1, -8(s3)
  sd t1, 0(s0)
  ret
"""
    assert run(device, text, 1024, 1, cores=1)[0] == (9 if release else 0)
