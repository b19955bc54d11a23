"""ELF64 little-endian RISC-V files: sections, symbols and segments, read and written.

One small reader and writer serves the linker, the assembler and the loader. It knows only what those need; the layout
is that of the System V ABI (gABI chapters 4 and 5) and of the RISC-V psABI.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import UserError

__all__ = [
    "DATA_BASE",
    "SHF_ALLOC",
    "SHF_EXECINSTR",
    "SHF_WRITE",
    "SHN_LORESERVE",
    "SHT_NOBITS",
    "SHT_NULL",
    "SHT_PROGBITS",
    "SHT_RELA",
    "STT_FUNC",
    "STT_OBJECT",
    "STT_SECTION",
    "TEXT_BASE",
    "ElfFile",
    "Relocation",
    "Section",
    "Segment",
    "Symbol",
    "read",
    "write",
]

TEXT_BASE = 0x4000_0000  # where .text runs (design, section 4)
DATA_BASE = 0x1000_1000  # where .rodata, .data and .bss lie in local memory (design, section 4)

EM_RISCV = 243
ET_REL, ET_EXEC = 1, 2
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOBITS = 0, 1, 2, 3, 4, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE = 0, 1, 2, 3, 4
SHN_UNDEF, SHN_LORESERVE, SHN_ABS = 0, 0xFF00, 0xFFF1
PT_LOAD = 1

_LONGEST = 4096  # bytes of a name
_OVERLAP = 4  # times its size that a file's sections, or its segments, may be together

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_PHDR = struct.Struct("<IIQQQQQQ")
_SYM = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QIIq")


@dataclass
class Section:
    """One section; `size` counts bytes in memory, which for SHT_NOBITS are not in `data`."""

    name: str
    type: int = SHT_PROGBITS
    flags: int = 0
    address: int = 0
    data: bytes = b""
    size: int = 0
    link: int = 0
    info: int = 0
    align: int = 1
    entry_size: int = 0


@dataclass(frozen=True)
class Symbol:
    """One symbol; `section` is the section index, SHN_UNDEF (0) or SHN_ABS."""

    name: str
    value: int
    size: int
    type: int
    is_global: bool
    section: int


@dataclass(frozen=True)
class Relocation:
    """One entry of a .rela section: patch `offset` with a value made from symbol number `symbol` plus `addend`."""

    offset: int
    type: int
    symbol: int
    addend: int


@dataclass(frozen=True)
class Segment:
    """One PT_LOAD segment: `data` is placed at `address`, followed by zeros up to `size` bytes."""

    address: int
    data: bytes
    size: int
    flags: int


@dataclass
class ElfFile:
    """An ELF file in memory; `sections[0]` is the null section, section indices are those of the file."""

    type: int = ET_EXEC
    entry: int = 0
    flags: int = 0
    sections: list[Section] = field(default_factory=lambda: [Section("", SHT_NULL)])
    symbols: list[Symbol] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    def section(self, name: str) -> Section | None:
        """The first section of this name."""
        return next((section for section in self.sections if section.name == name), None)

    def symbol(self, name: str) -> Symbol | None:
        """The first symbol of this name."""
        return next((symbol for symbol in self.symbols if symbol.name == name), None)

    def relocations(self) -> Iterator[tuple[int, list[Relocation]]]:
        """Every patched section's index with its relocations."""
        for section in self.sections:
            if section.type == SHT_RELA:
                yield section.info, [Relocation(o, t, s, a) for o, t, s, a in _RELA.iter_unpack(section.data)]


def _string(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset, offset + _LONGEST)].decode("utf-8", "replace")


def read(data: bytes, file: str | None = None) -> ElfFile:
    """Parse an ELF64 little-endian RISC-V file; anything else, also a cut-off file, is a `UserError`."""
    if len(data) < _EHDR.size or data[:4] != b"\x7fELF":
        raise UserError("not an ELF file", file)
    ident, kind, machine, _, entry, phoff, shoff, flags, _, phsize, phnum, shsize, shnum, shstrndx = _EHDR.unpack_from(
        data
    )
    if ident[4:6] != b"\x02\x01" or machine != EM_RISCV:
        raise UserError("not a 64-bit little-endian RISC-V ELF file", file)
    if shnum and shsize != _SHDR.size or phnum and phsize != _PHDR.size:
        raise UserError("ELF file with header entries of an unknown size", file)
    try:
        elf = ElfFile(kind, entry, flags)
        elf.sections = _read_sections(data, shoff, shnum, shstrndx)
        symtab = next((section for section in elf.sections if section.type == SHT_SYMTAB), None)
        if symtab is not None:
            elf.symbols = _read_symbols(symtab, elf.sections[symtab.link].data)
        for index in range(phnum):
            ptype, pflags, offset, vaddr, _, filesz, memsz, _ = _PHDR.unpack_from(data, phoff + index * _PHDR.size)
            if ptype != PT_LOAD:
                continue
            if offset + filesz > len(data) or filesz > memsz:
                raise ValueError("segment outside the file")
            if sum(len(segment.data) for segment in elf.segments) + filesz > _OVERLAP * len(data):
                raise ValueError("segments overlap")
            elf.segments.append(Segment(vaddr, data[offset : offset + filesz], memsz, pflags))
    except (struct.error, ValueError, IndexError, OverflowError) as problem:
        raise UserError(f"damaged or cut-off ELF file ({problem})", file) from None
    return elf


def _read_sections(data: bytes, shoff: int, shnum: int, shstrndx: int) -> list[Section]:
    headers = [_SHDR.unpack_from(data, shoff + index * _SHDR.size) for index in range(shnum)]
    sections = []
    if sum(size for _, kind, _, _, _, size, *_ in headers if kind not in (SHT_NULL, SHT_NOBITS)) > _OVERLAP * len(data):
        raise ValueError("sections overlap")
    for _, kind, flags, address, offset, size, link, info, align, entry_size in headers:
        content = b"" if kind in (SHT_NULL, SHT_NOBITS) else data[offset : offset + size]
        if kind not in (SHT_NULL, SHT_NOBITS) and len(content) != size:
            raise ValueError("section outside the file")
        sections.append(Section("", kind, flags, address, content, size, link, info, align, entry_size))
    if sections:
        names = sections[shstrndx].data
        for section, header in zip(sections, headers, strict=True):
            section.name = _string(names, header[0]) if names else ""
    return sections


def _read_symbols(symtab: Section, names: bytes) -> list[Symbol]:
    return [
        Symbol(_string(names, name), value, size, info & 15, info >> 4 != 0, section)
        for name, info, _, section, value, size in _SYM.iter_unpack(symtab.data)
    ]


class _Strings:
    """A string table under construction, each string once."""

    def __init__(self) -> None:
        self.data = bytearray(1)
        self._offsets: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        offset = self._offsets.get(text)
        if offset is None:
            offset = self._offsets[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return offset


def _symtab(symbols: list[Symbol], strings: _Strings) -> tuple[bytes, int]:
    """Symbol table bytes and the number of local entries; locals come first, as the gABI requires."""
    ordered = [symbol for symbol in symbols if not symbol.is_global]
    local_count = len(ordered) + 1
    ordered += [symbol for symbol in symbols if symbol.is_global]
    out = bytearray(_SYM.size)
    for symbol in ordered:
        info = symbol.is_global << 4 | symbol.type
        out += _SYM.pack(strings.add(symbol.name), info, 0, symbol.section, symbol.value, symbol.size)
    return bytes(out), local_count


def _is_loaded(section: Section) -> bool:
    return bool(section.flags & SHF_ALLOC and (section.data or section.size))


def write(elf: ElfFile) -> bytes:
    """The bytes of an executable: every SHF_ALLOC section gets its own PT_LOAD segment; symbol tables are made here.

    Symbols of `elf.symbols` must not contain the null symbol.
    """
    strings, names = _Strings(), _Strings()
    symtab, local_count = _symtab(elf.symbols, strings)
    sections = list(elf.sections)
    symtab_index = len(sections)
    sections.append(
        Section(
            ".symtab", SHT_SYMTAB, data=symtab, link=symtab_index + 1, info=local_count, align=8, entry_size=_SYM.size
        )
    )
    sections.append(Section(".strtab", SHT_STRTAB, data=bytes(strings.data)))
    name_offsets = [names.add(section.name) for section in sections] + [names.add(".shstrtab")]
    sections.append(Section(".shstrtab", SHT_STRTAB, data=bytes(names.data)))

    load_count = sum(map(_is_loaded, sections))
    body = bytearray(_EHDR.size + load_count * _PHDR.size)
    headers, segments = bytearray(), bytearray()
    for section, name in zip(sections, name_offsets, strict=True):
        align = max(section.align, 1)
        body += bytes((section.address - len(body)) % align)
        offset = 0 if section.type == SHT_NULL else len(body)
        size = section.size if section.type == SHT_NOBITS else len(section.data)
        headers += _SHDR.pack(
            name,
            section.type,
            section.flags,
            section.address,
            offset,
            size,
            section.link,
            section.info,
            section.align if section.type != SHT_NULL else 0,
            section.entry_size,
        )
        if _is_loaded(section):
            flags = 4 | (section.flags & SHF_WRITE) << 1 | (section.flags & SHF_EXECINSTR) >> 2
            segments += _PHDR.pack(
                PT_LOAD, flags, offset, section.address, section.address, len(section.data), size, align
            )
        body += section.data
    body += bytes(-len(body) % 8)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    body[: _EHDR.size] = _EHDR.pack(
        ident, elf.type, EM_RISCV, 1, elf.entry, _EHDR.size if load_count else 0, len(body), elf.flags, _EHDR.size,
        _PHDR.size, load_count, _SHDR.size, len(sections), len(sections) - 1,
    )  # fmt: skip
    body[_EHDR.size : _EHDR.size + len(segments)] = segments
    return bytes(body + headers)
