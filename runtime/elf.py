"""The loader: an executable as the machine takes it (code, local-memory image, arguments, symbols, source lines)."""

from __future__ import annotations

import bisect
import functools
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from mtia.isa import elf
from mtia.isa.errors import UserError
from mtia.runtime.lines import plausible

__all__ = ["LS_ADDRESS", "Program", "load"]

LS_ADDRESS = 0x1000_0000  # of local memory, as a hart sees it (design, section 4)
_METADATA = ".mtia"
_COMPRESSED = 0x800  # flag of a section
_LARGEST = 1 << 24  # bytes of data in local memory: more than any chip has


@dataclass(frozen=True)
class Program:
    """A loaded executable. `images` are (offset in local memory, bytes); `arguments` the types of the launch block."""

    kernel: str
    entry: int
    text_base: int
    text: bytes
    images: tuple[tuple[int, bytes], ...]
    metadata: Mapping[str, Any]
    symbols: Mapping[str, int]
    data: bytes = field(repr=False)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Types of the arguments: `*fp32`, `i32`, …."""
        return tuple(self.metadata.get("arguments", ()))

    @property
    def scratch(self) -> tuple[int, ...]:
        """Bytes of device memory that each hart needs beside the arguments, by buffer."""
        return tuple(int(size) for size in str(self.metadata.get("scratch", "")).split(",") if size)

    @functools.cached_property
    def apart(self) -> tuple[tuple[int, int], ...]:
        """Pairs of arguments, by number, that the kernel takes not to share memory."""
        pairs = (pair.split(",") for pair in self.metadata.get("apart", "").split())
        return tuple((int(one), int(other)) for one, other in pairs)

    @property
    def cores(self) -> int:
        """Harts per PE that the code was made for."""
        return int(self.metadata.get("cores", 1))

    @functools.cached_property
    def lines(self) -> list[tuple[int, str, int]]:
        """The line table: (address, file, line), sorted by address."""
        return sorted(_lines(self.data))

    def source(self, pc: int) -> tuple[str, int] | None:
        """File and line of an instruction."""
        at = bisect.bisect_right(self.lines, (pc, "\U0010ffff", 0)) - 1
        if at < 0 or not self.text_base <= pc < self.text_base + len(self.text):
            return None
        return self.lines[at][1:]

    @functools.cached_property
    def folder(self) -> str:
        """The folder that relative file names of the line table start from, empty when unknown."""
        return _folder(self.data)

    def symbol_at(self, pc: int) -> str | None:
        """The last symbol at or before an address in the text."""
        below = [(value, name) for name, value in self.symbols.items() if self.text_base <= value <= pc]
        return max(below)[1] if below else None


def load(source: bytes | str | Path) -> Program:
    """Load an executable from its bytes or a file; a damaged or foreign one is a `UserError`."""
    file = None if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else _read(Path(source))
    parsed = elf.read(data, file)
    note = parsed.section(_METADATA)
    if note is None:
        raise UserError("no `.mtia` section: this ELF file was not made for MTIA", file)
    try:
        metadata = json.loads(note.data)
        arguments = metadata.get("arguments", [])
        cores = metadata.get("cores", 1)
        if not isinstance(arguments, list) or not all(isinstance(a, str) for a in arguments) or cores not in (1, 2):
            raise ValueError("wrong arguments or cores")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"damaged `.mtia` section ({error})", file) from None
    return _program(parsed, metadata, data, file)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read: {error.strerror}", str(path)) from None


def _program(parsed: elf.ElfFile, metadata: Mapping[str, Any], data: bytes, file: str | None) -> Program:
    text: elf.Segment | None = None
    images: list[tuple[int, bytes]] = []
    for segment in parsed.segments:
        if segment.address >= elf.TEXT_BASE:
            if text is not None:
                raise UserError("more than one text segment", file)
            text = segment
        elif segment.address >= LS_ADDRESS:
            if segment.size > _LARGEST:
                raise UserError(f"a segment of {segment.size:#x} bytes at {segment.address:#x} fits no chip", file)
            images.append((segment.address - LS_ADDRESS, segment.data.ljust(segment.size, b"\0")))
        else:
            raise UserError(f"a segment at {segment.address:#x}, where no memory is", file)
    if text is None:
        raise UserError("no code in this ELF file", file)
    if not text.address <= parsed.entry < text.address + len(text.data):
        raise UserError(f"the entry {parsed.entry:#x} lies outside the code", file)
    symbols = {symbol.name: symbol.value for symbol in parsed.symbols if symbol.name}
    kernel = str(metadata.get("kernel", "program"))
    return Program(kernel, parsed.entry, text.address, text.data, tuple(images), metadata, symbols, data)


def _with_lines(data: bytes) -> ELFFile | None:
    """The file for the reader of line tables, if it has some that can be read."""
    file = ELFFile(io.BytesIO(data))
    section = file.get_section_by_name(".debug_line")
    if section is None or section["sh_flags"] & _COMPRESSED or not plausible(section.data()):
        return None
    return file if file.has_dwarf_info() else None


def _lines(data: bytes) -> list[tuple[int, str, int]]:
    """Rows of the DWARF line programs."""
    found: list[tuple[int, str, int]] = []
    try:
        file = _with_lines(data)
        if file is None:
            return found
        dwarf = file.get_dwarf_info(relocate_dwarf_sections=False)
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            if program is not None:
                found += _rows(program)
    except Exception:  # the reader of line tables has no error of its own for damaged ones: they end here
        return found
    return found


def _folder(data: bytes) -> str:
    """Where the compiler ran, by the first compile unit of the DWARF."""
    try:
        file = _with_lines(data)
        if file is None:
            return ""
        unit = next(iter(file.get_dwarf_info(relocate_dwarf_sections=False).iter_CUs()), None)
        found = unit.get_top_DIE().attributes.get("DW_AT_comp_dir") if unit is not None else None
        return _text(found.value) if found is not None else ""
    except Exception:  # as in `_lines`
        return ""


def _rows(program: Any) -> list[tuple[int, str, int]]:
    version = program["version"]
    folders = [_text(folder) for folder in program["include_directory"]]
    names: list[str] = []
    for entry in program["file_entry"]:
        folder = folders[entry.dir_index - (version < 5)] if 0 <= entry.dir_index - (version < 5) < len(folders) else ""
        names.append(str(Path(folder) / _text(entry.name)) if folder else _text(entry.name))
    rows = []
    for entry in program.get_entries():
        state = entry.state
        if state is not None and not state.end_sequence:
            index = state.file - (version < 5)
            rows.append((int(state.address), names[index] if 0 <= index < len(names) else "?", int(state.line)))
    return rows


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
