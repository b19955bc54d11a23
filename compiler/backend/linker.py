"""From LLVM's relocatable object to a PE executable.

One object is placed at the fixed addresses of the machine (`isa.elf`), its relocations are applied, and every
patchpoint becomes the Xmtia word that its 64-bit id holds.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtia.isa import elf
from mtia.isa.elf import ElfFile, Relocation, Section, Symbol

__all__ = ["LinkError", "link", "make_executable"]

METADATA_SECTION = ".mtia"
STACKMAPS = ".llvm_stackmaps"
SHT_RISCV_ATTRIBUTES = 0x7000_0003
EF_RISCV_RVC_DOUBLE = 5  # compressed instructions, double-float ABI


class LinkError(Exception):
    """An object that this linker cannot place: always a fault of the compiler, never of the user."""


# --- relocation arithmetic (RISC-V psABI, chapter "Relocations"; S symbol, A addend, P place) -------------------------


def _add(width: int, sign: int) -> Callable[[bytearray, int, int, int], None]:
    def apply(data: bytearray, at: int, value: int, place: int) -> None:
        size = width // 8
        old = int.from_bytes(data[at : at + size], "little")
        data[at : at + size] = ((old + sign * value) % (1 << width)).to_bytes(size, "little")

    return apply


def _set(width: int) -> Callable[[bytearray, int, int, int], None]:
    def apply(data: bytearray, at: int, value: int, place: int) -> None:
        data[at : at + width // 8] = (value % (1 << width)).to_bytes(width // 8, "little")

    return apply


def _or_word(data: bytearray, at: int, clear: int, bits: int, width: int = 4) -> None:
    old = int.from_bytes(data[at : at + width], "little")
    data[at : at + width] = (old & ~clear | bits).to_bytes(width, "little")


def _check_range(value: int, bits: int) -> None:
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise LinkError(f"relocation out of range: {value:#x} does not fit in {bits} bits")


def _hi20(value: int) -> int:
    if not -(1 << 31) <= value + 0x800 < 1 << 31:
        raise LinkError(f"address {value:#x} is out of reach of lui/auipc")
    return (value + 0x800) & 0xFFFFF000


def _apply_hi20(data: bytearray, at: int, value: int, place: int) -> None:
    _or_word(data, at, 0xFFFFF000, _hi20(value))


def _apply_lo12_i(data: bytearray, at: int, value: int, place: int) -> None:
    _or_word(data, at, 0xFFF00000, (value & 0xFFF) << 20)


def _apply_lo12_s(data: bytearray, at: int, value: int, place: int) -> None:
    _or_word(data, at, 0xFE000F80, (value >> 5 & 0x7F) << 25 | (value & 0x1F) << 7)


def _apply_pcrel_hi20(data: bytearray, at: int, value: int, place: int) -> None:
    _or_word(data, at, 0xFFFFF000, _hi20(value - place))


def _apply_call(data: bytearray, at: int, value: int, place: int) -> None:
    _apply_pcrel_hi20(data, at, value, place)
    _apply_lo12_i(data, at + 4, value - place, place)


def _apply_branch(data: bytearray, at: int, value: int, place: int) -> None:
    v = value - place
    _check_range(v, 13)
    bits = (v >> 12 & 1) << 31 | (v >> 5 & 0x3F) << 25 | (v >> 1 & 0xF) << 8 | (v >> 11 & 1) << 7
    _or_word(data, at, 0xFE000F80, bits)


def _apply_jal(data: bytearray, at: int, value: int, place: int) -> None:
    v = value - place
    _check_range(v, 21)
    bits = (v >> 20 & 1) << 31 | (v >> 1 & 0x3FF) << 21 | (v >> 11 & 1) << 20 | (v >> 12 & 0xFF) << 12
    _or_word(data, at, 0xFFFFF000, bits)


PCREL_LO12 = {24: _apply_lo12_i, 25: _apply_lo12_s}
RELAX = 51
_APPLY: dict[int, Callable[[bytearray, int, int, int], None]] = {
    1: _set(32),
    2: _set(64),
    16: _apply_branch,
    17: _apply_jal,
    18: _apply_call,
    19: _apply_call,
    23: _apply_pcrel_hi20,
    26: _apply_hi20,
    27: _apply_lo12_i,
    28: _apply_lo12_s,
    33: _add(8, 1),
    34: _add(16, 1),
    35: _add(32, 1),
    36: _add(64, 1),
    37: _add(8, -1),
    38: _add(16, -1),
    39: _add(32, -1),
    40: _add(64, -1),
    54: _set(8),
    55: _set(16),
    56: _set(32),
}


# --- layout ----------------------------------------------------------------------------------------------------------


@dataclass
class _Placed:
    """An input section inside an output section: its output name, address and bytes (shared after joining)."""

    output: str
    offset: int
    source: Section
    data: bytearray
    address: int = 0


@dataclass
class _Output:
    name: str
    section: Section
    members: list[int] = field(default_factory=list)
    size: int = 0


def _output_name(section: Section) -> str | None:
    """The output section an input section goes to; None drops it."""
    if section.name == STACKMAPS or section.name.startswith(".note"):
        return None
    if section.flags & elf.SHF_ALLOC:
        if section.flags & elf.SHF_EXECINSTR:
            return ".text"
        if section.type == elf.SHT_NOBITS:
            return ".bss"
        return ".data" if section.flags & elf.SHF_WRITE else ".rodata"
    keeps = section.name.startswith(".debug_") or section.type == SHT_RISCV_ATTRIBUTES
    return section.name if keeps else None


def _place(obj: ElfFile) -> tuple[dict[int, _Placed], dict[str, _Output]]:
    """Assign every kept input section its output section, offset and address."""
    placed: dict[int, _Placed] = {}
    outputs: dict[str, _Output] = {}
    for index, section in enumerate(obj.sections):
        name = _output_name(section)
        if name is None:
            continue
        out = outputs.get(name)
        if out is None:
            shape = Section(name, section.type, section.flags & 7, align=1, entry_size=0)
            out = outputs[name] = _Output(name, shape)
        align = max(section.align, 1)
        out.size += -out.size % align
        out.section.align = max(out.section.align, align)
        placed[index] = _Placed(name, out.size, section, bytearray(section.data or bytes(section.size)))
        out.members.append(index)
        out.size += section.size
    data_end = elf.DATA_BASE
    for name in (".text", ".rodata", ".data", ".bss"):
        out = outputs.get(name)
        if out is None:
            continue
        if name == ".text":
            out.section.address = elf.TEXT_BASE
        else:
            data_end += -data_end % out.section.align
            out.section.address = data_end
            data_end += out.size
    for item in placed.values():
        item.address = outputs[item.output].section.address + item.offset
    return placed, outputs


def _symbol_value(obj: ElfFile, placed: dict[int, _Placed], number: int) -> int:
    symbol = obj.symbols[number]
    if symbol.section == 0:
        raise LinkError(f"LLVM asked for the library function {symbol.name!r}, which PE programs do not have")
    if symbol.section >= elf.SHN_LORESERVE:
        return symbol.value
    home = placed.get(symbol.section)
    if home is None:
        raise LinkError(f"symbol {symbol.name!r} lies in dropped section {obj.sections[symbol.section].name}")
    return home.address + symbol.value


def _relocate(obj: ElfFile, placed: dict[int, _Placed], target: int, entries: list[Relocation]) -> None:
    home = placed[target]
    for entry in entries:
        if entry.type == RELAX:
            continue
        place = home.address + entry.offset
        value = _symbol_value(obj, placed, entry.symbol) + entry.addend
        if entry.type in PCREL_LO12:
            # The symbol marks the auipc; its own relocation holds the target.
            high = next(e for e in entries if e.type == 23 and home.address + e.offset == value)
            distance = _symbol_value(obj, placed, high.symbol) + high.addend - value
            PCREL_LO12[entry.type](home.data, entry.offset, distance, place)
            continue
        apply = _APPLY.get(entry.type)
        if apply is None:
            raise LinkError(f"unknown RISC-V relocation type {entry.type} in {home.source.name}")
        apply(home.data, entry.offset, value, place)


def _write_commands(obj: ElfFile, placed: dict[int, _Placed]) -> None:
    """Write the Xmtia word at each patchpoint: LLVM's stack map (version 3) gives function, offset and id."""
    index = next((i for i, section in enumerate(obj.sections) if section.name == STACKMAPS), None)
    if index is None:
        return
    data = obj.sections[index].data
    starts = {
        entry.offset: (obj.symbols[entry.symbol].section, obj.symbols[entry.symbol].value + entry.addend)
        for target, entries in obj.relocations()
        if target == index
        for entry in entries
    }
    version, function_count, constant_count, _ = struct.unpack_from("<BxxxIII", data)
    if version != 3:
        raise LinkError(f"stack map version {version} is not known")
    at = 16 + 24 * function_count + 8 * constant_count
    for function in range(function_count):
        section, start = starts[16 + 24 * function]
        text = placed[section].data
        (record_count,) = struct.unpack_from("<Q", data, 32 + 24 * function)
        for _ in range(record_count):
            word, offset, location_count = struct.unpack_from("<QIxxH", data, at)
            at += 16 + 12 * location_count
            at += -at % 8
            (live_out_count,) = struct.unpack_from("<xxH", data, at)
            at += 4 + 4 * live_out_count
            at += -at % 8
            if word >> 32:
                raise LinkError(f"patchpoint id {word:#x} is not an instruction word")
            text[start + offset : start + offset + 4] = word.to_bytes(4, "little")


def _kept_symbols(obj: ElfFile, placed: dict[int, _Placed], numbers: Mapping[str, int]) -> list[Symbol]:
    kept = []
    for symbol in obj.symbols:
        home = placed.get(symbol.section)
        if not symbol.name or symbol.name.startswith(".L") or home is None:
            continue
        if not home.source.flags & elf.SHF_ALLOC:
            continue
        value = home.address + symbol.value
        kept.append(Symbol(symbol.name, value, symbol.size, symbol.type, symbol.is_global, numbers[home.output]))
    return kept


def link(obj_bytes: bytes, entry: str, metadata: Mapping[str, Any], data_limit: int | None = None) -> bytes:
    """Link one relocatable object into an executable whose entry is the symbol `entry`.

    `data_limit` is the first local-memory address that belongs to planned buffers: constants must end before it.
    """
    obj = elf.read(obj_bytes)
    placed, outputs = _place(obj)
    _write_commands(obj, placed)
    for target, entries in obj.relocations():
        if target in placed:
            _relocate(obj, placed, target, entries)
    sections: list[Section] = []
    for out in outputs.values():
        if not out.size:
            continue
        joined = bytearray(out.size)
        for member in out.members:
            item = placed[member]
            joined[item.offset : item.offset + len(item.data)] = item.data
        out.section.size = out.size
        out.section.data = b"" if out.section.type == elf.SHT_NOBITS else bytes(joined)
        sections.append(out.section)
        is_data = out.section.flags & elf.SHF_ALLOC and out.name != ".text"
        if data_limit is not None and is_data and out.section.address + out.size > data_limit:
            raise LinkError(f"{out.name} ends at {out.section.address + out.size:#x}, past {data_limit:#x}")
    numbers = {section.name: index for index, section in enumerate(sections, 1)}
    symbols = _kept_symbols(obj, {k: v for k, v in placed.items() if v.output in numbers}, numbers)
    start = next((symbol.value for symbol in symbols if symbol.name == entry), None)
    if start is None:
        raise LinkError(f"no symbol {entry!r} in the object")
    return make_executable(sections, symbols, start, metadata, obj.flags)


def make_executable(
    sections: list[Section],
    symbols: list[Symbol],
    entry: int,
    metadata: Mapping[str, Any],
    flags: int = EF_RISCV_RVC_DOUBLE,
) -> bytes:
    """An executable ELF of placed sections (numbered from 1 in symbols), with `metadata` as JSON in section `.mtia`."""
    note = Section(METADATA_SECTION, data=json.dumps(metadata, sort_keys=True).encode())
    file = ElfFile(entry=entry, flags=flags, sections=[Section("", elf.SHT_NULL), *sections, note], symbols=symbols)
    return elf.write(file)
