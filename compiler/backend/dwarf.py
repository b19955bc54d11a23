"""A DWARF 4 line table for assembled programs: one compile unit, one file, one row an instruction.

Layout from the DWARF 4 standard, sections 6.2 (line table), 7.5 (debugging information) and 3.1 (compile units).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from mtia.isa.elf import Section

__all__ = ["line_sections"]

DW_TAG_COMPILE_UNIT = 0x11
DW_AT_NAME, DW_AT_STMT_LIST, DW_AT_LOW_PC, DW_AT_HIGH_PC, DW_AT_COMP_DIR = 0x03, 0x10, 0x11, 0x12, 0x1B
DW_FORM_ADDR, DW_FORM_DATA8, DW_FORM_STRING, DW_FORM_SEC_OFFSET = 0x01, 0x07, 0x08, 0x17
DW_LNS_COPY, DW_LNS_ADVANCE_PC, DW_LNS_ADVANCE_LINE = 1, 2, 3
DW_LNE_END_SEQUENCE, DW_LNE_SET_ADDRESS = 1, 2
OPERANDS_OF_STANDARD_OPCODES = bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1))


def _uleb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        done = value == (-1 if low & 0x40 else 0)
        out.append(low | (0 if done else 0x80))
        if done:
            return bytes(out)


def _line_program(lines: Sequence[tuple[int, int]], end: int) -> bytes:
    address, line = lines[0][0], 1
    out = bytearray(b"\0\x09" + bytes([DW_LNE_SET_ADDRESS]) + struct.pack("<Q", address))
    for at, number in lines:
        if at != address:
            out += bytes([DW_LNS_ADVANCE_PC]) + _uleb(at - address)
        if number != line:
            out += bytes([DW_LNS_ADVANCE_LINE]) + _sleb(number - line)
        out.append(DW_LNS_COPY)
        address, line = at, number
    out += bytes([DW_LNS_ADVANCE_PC]) + _uleb(end - address) + b"\0\x01" + bytes([DW_LNE_END_SEQUENCE])
    return bytes(out)


def line_sections(file: str, lines: Sequence[tuple[int, int]], end: int) -> list[Section]:
    """The `.debug_*` sections that map `(address, line)` pairs, up to address `end`, to lines of `file`."""
    if not lines:
        return []
    name, folder = Path(file).name.encode() + b"\0", str(Path(file).resolve().parent).encode() + b"\0"
    fields = (
        (DW_AT_NAME, DW_FORM_STRING), (DW_AT_COMP_DIR, DW_FORM_STRING), (DW_AT_STMT_LIST, DW_FORM_SEC_OFFSET),
        (DW_AT_LOW_PC, DW_FORM_ADDR), (DW_AT_HIGH_PC, DW_FORM_DATA8),
    )  # fmt: skip
    abbreviation = bytes([1, DW_TAG_COMPILE_UNIT, 0]) + b"".join(map(bytes, fields)) + b"\0\0\0"
    start = lines[0][0]
    unit = struct.pack("<HIBB", 4, 0, 8, 1) + name + folder + struct.pack("<IQQ", 0, start, end - start)
    # minimum instruction length, operations per instruction, is_stmt, line base, line range, opcode base
    head = struct.pack("<BBBbBB", 1, 1, 1, -5, 14, 13) + OPERANDS_OF_STANDARD_OPCODES
    head += b"\0" + name + b"\0\0\0" + b"\0"
    table = struct.pack("<HI", 4, len(head)) + head + _line_program(lines, end)
    return [
        Section(".debug_abbrev", data=abbreviation),
        Section(".debug_info", data=struct.pack("<I", len(unit)) + unit),
        Section(".debug_line", data=struct.pack("<I", len(table)) + table),
    ]
