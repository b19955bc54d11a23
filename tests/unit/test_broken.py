"""Broken executables and programs: a sample of `mtiac verify broken`, and what it has found."""

from __future__ import annotations

import struct
import sys

import pytest
from mtia.compiler.backend.assembled import assemble_program
from mtia.isa import elf as isa_elf
from mtia.isa.errors import UserError
from mtia.runtime import elf, lines
from mtia.runtime.device import Device
from mtia.runtime.launch import launch
from mtia.runtime.machine.host import Region
from mtia.tools.verify import broken


def test_a_sample_of_the_campaign() -> None:
    report = broken.run(3, 250, lambda done, total: None)
    assert not report.failures
    assert sum(report.counts.values()) == 250 and min(report.counts.values()) > 5


def test_the_campaign_notices_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that dies is a finding that names its case, and the cases after it run."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    report = broken.run(1, 3, lambda done, total: None, first=5)
    assert [failure.split(";")[0] for failure in report.failures] == [f"case {n}: no message" for n in (5, 6, 7)]
    assert report.failures[0].endswith("mtiac verify broken --seed 1 --first 5 --size 1")


def test_memory_lies_between_pages_that_cannot_be_accessed() -> None:
    region = Region(100)
    region.bytes(0, 100)[:] = bytes(range(100))
    with open("/proc/self/maps") as maps:
        ranges = [line.split()[:2] for line in maps]
    closed = {tuple(int(end, 16) for end in place.split("-")) for place, rights in ranges if rights == "---p"}
    assert any(end == region.addr for _, end in closed)
    assert any(start == region.addr + 4096 for start, _ in closed)
    region.clear()
    assert not any(region.bytes(0, 100))


def whole() -> bytes:
    return assemble_program("_start_k:\n  ret\n.data\n  .word 1\n", "k.s")


def test_a_segment_that_claims_more_than_any_memory() -> None:
    data = bytearray(whole())
    for number in range(data[56]):
        at = 64 + 56 * number
        if isa_elf.read(bytes(data)).segments[number].address < elf.LS_ADDRESS + (1 << 20):
            data[at + 40 : at + 48] = struct.pack("<Q", 1 << 62)
    with pytest.raises(UserError, match="a segment of 0x4000000000000000 bytes at 0x10001000 fits no chip"):
        elf.load(bytes(data))


def test_a_note_of_brackets() -> None:
    sound = isa_elf.read(whole())
    note = sound.section(".mtia")
    assert note is not None
    note.data = b"[" * 100_000
    sections = [s for s in sound.sections if s.name not in (".symtab", ".strtab", ".shstrtab")]
    with pytest.raises(UserError, match="damaged `.mtia` section"):
        elf.load(isa_elf.write(isa_elf.ElfFile(sound.type, sound.entry, sound.flags, sections)))


def test_a_line_table_without_end() -> None:
    """Its header counts 2**28 files, each of no bytes: a reader that believes it does not return."""
    sound = isa_elf.read(whole()).section(".debug_line")
    assert sound is not None and lines.plausible(sound.data)
    head = struct.pack("<HBBIBBBbBB", 5, 8, 0, 0, 1, 1, 1, -5, 14, 1)  # as DWARF 5, 6.2.4 orders them; no lengths
    many = b"\xff\xff\xff\x7f"
    none, one_byte = b"\0\0", b"\1\1\x0b"  # an empty format and no entries; entries of one byte
    for tables in (b"\0" + many + none, none + b"\0" + many, one_byte + b"\xff\x7f" + none):
        body = head + tables
        assert not lines.plausible(struct.pack("<I", len(body)) + body)
    for tables in (none + none, one_byte + b"\2.." + none):
        body = head + tables
        assert lines.plausible(struct.pack("<I", len(body)) + body)


WILD = """
.globl _start_k
_start_k:
  li t4, 0x2000
  li t5, 0x100000040
  xm.cb.init cb0, t4, t5
  li t6, 0x100
  li t3, {offset}
  xm.td.local td0, t6, t3
  li t4, {shape}
  li t5, 0x400000040
  xm.td.shape td0, t4, t5
  li t3, 0x8000000000
  li t6, {kind}
  xm.gd.base td1, t3, t6
  li t5, {size}
  li t4, {stride}
  xm.gd.dim td1, t5, t4, 0
  {command}
  xm.wait zero
  ret
"""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"offset": (1 << 63) - 2}, "operand 1 reaches outside its memory: 0x7ffffffffffffffe of 0x40"),
        ({"shape": (1 << 20) << 32 | (1 << 20)}, "a tile has at most 1048576 elements, not 1099511627776"),
        ({"stride": 1 << 63}, "operand 1 reaches outside its memory: 0x8000000000000000 of 0x1000000000000000"),
        ({"stride": (1 << 63) // 3 + 1}, "operand 1 reaches outside its memory: 0x2aaaaaaaaaaaaaab of "),
        ({"size": 1 << 33, "command": "xm.dma.pre td1"}, "a tile has at most 1048576 elements, not 8589934592"),
    ],
)
def test_sizes_that_wrap(given: dict[str, object], message: str) -> None:
    values = {"offset": 0, "shape": 4 << 32 | 1, "kind": 1 << 8, "size": 4, "stride": 4}
    text = WILD.format(**{**values, "command": "xm.dma.in td0, td1", **given})
    device = Device("mtia200")
    device.alloc(4096)
    found = launch(device, assemble_program(text, "k.s"), (1,), [], limit=100_000).trap
    assert found is not None and message in found.message


@pytest.mark.parametrize("shape", [1 << 20 << 32, 1 << 20])
def test_empty_tiles_are_not_looked_at(shape: int) -> None:
    """No rows of a million columns, a million rows of none, at any offset: nothing is read or written."""
    values = {
        "offset": 1 << 40,
        "shape": shape,
        "kind": 1 << 8,
        "size": 4,
        "stride": 4,
        "command": "xm.se.neg td0, td0",
    }
    text = WILD.format(**values).replace("li t5, 0x400000040\n  xm.td.shape", "li t5, 0\n  xm.td.shape")
    launch(Device("mtia200"), assemble_program(text, "k.s"), (1,), [], limit=100_000).check()
    wider = text.replace(f"li t4, {shape}", f"li t4, {shape * 2}")
    found = launch(Device("mtia200"), assemble_program(wider, "k.s"), (1,), [], limit=100_000).trap
    assert found is not None and found.message == "a tile has at most 1048576 elements, not 2097152"
