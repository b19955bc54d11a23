"""An assembled PE program as an executable, so that hand-written code is loaded and launched like a compiled kernel."""

from __future__ import annotations

from collections.abc import Sequence

from mtia.compiler.backend import dwarf, linker
from mtia.isa import asm, elf
from mtia.isa.elf import Section, Symbol
from mtia.isa.errors import UserError

__all__ = ["assemble_program"]

ENTRY_PREFIX = "_start_"


def assemble_program(
    text: str, file: str, arguments: Sequence[str] = (), chip: str | None = None, cores: int = 1
) -> bytes:
    """Assemble `text` to an executable with lines and symbols.

    The entry is the symbol `_start_<kernel>` (the first, where there are several), or the start of `.text`.
    `arguments` are the types the program finds in the launch block: `*fp32`, `i32`, ….
    """
    program = asm.assemble(text, file)
    if not program.text:
        raise UserError("no instruction in this program", file)
    flags = {".text": elf.SHF_ALLOC | elf.SHF_EXECINSTR, ".rodata": elf.SHF_ALLOC}
    sections = [
        Section(part.name, flags=flags.get(part.name, elf.SHF_ALLOC | elf.SHF_WRITE), address=part.address,
                data=part.data, size=len(part.data), align=1)
        for part in program.sections.values()
        if part.data
    ]  # fmt: skip
    symbols = [_symbol(program, name, value, sections) for name, value in program.symbols.items()]
    entries = sorted((s.value, s.name) for s in symbols if s.name.startswith(ENTRY_PREFIX))
    start = entries[0][0] if entries else program.sections[".text"].address
    kernel = entries[0][1].removeprefix(ENTRY_PREFIX) if entries else "program"
    end = program.sections[".text"].address + len(program.text)
    sections += dwarf.line_sections(file, sorted(program.lines), end)
    metadata = {"kernel": kernel, "arguments": list(arguments), "chip": chip, "cores": cores}
    return linker.make_executable(sections, symbols, start, metadata)


def _symbol(program: asm.Program, name: str, value: int, sections: Sequence[Section]) -> Symbol:
    """The section of a symbol is the one its address lies in; one outside all of them is absolute."""
    homes = (n for n, s in enumerate(sections, 1) if s.address <= value <= s.address + s.size)
    home = next(homes, elf.SHN_ABS)
    kind = elf.STT_FUNC if home != elf.SHN_ABS and sections[home - 1].name == ".text" else elf.STT_OBJECT
    return Symbol(name, value, 0, kind, name in program.globals or name.startswith(ENTRY_PREFIX), home)
