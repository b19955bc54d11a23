"""Harts: the native library of all handlers, the reference beside it, and programs that run on one hart alone.

    python -m mtia.runtime.machine.hart prog.elf [--reference] [--chip NAME] [--time]

runs a static RV64 ELF (system calls write and exit) on one hart and leaves with its exit code.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mtia.isa as isa_package
from mtia.isa import elf, table
from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError
from mtia.isa.lang import Fn, Library, build, sources_key
from mtia.isa.state import ECALL, FIRST, LOAD_MISALIGNED, READ, RESERVE, STORE_FAULT, WATCH_SHIFT, Hart

from .engine import show_compiled
from .hart_handlers import CAUSE_SHIFT, dense_handlers, fell_off, handler_of, illegal, run_code
from .hart_pairs import pair_handlers
from .hart_program import Program
from .hart_timing import is_vector
from .hart_watch import HANDLERS
from .state import AT_ACCESS, AT_COMMAND, AT_EXIT, AT_HORIZON, AT_TRAP

__all__ = ["HartTrap", "Runner", "functions", "native", "reference_address", "run_elf"]

_FOREVER = (1 << 63) - 1
_HEAP = 16 << 20  # bytes for brk and the stack of a program that runs alone
_ENOSYS = -38


@functools.cache
def functions() -> dict[str, Fn]:
    """Every handler by its row's name, and the functions that start and stop them."""
    found = {"illegal": illegal, "fell_off": fell_off, "run_code": run_code, **HANDLERS}
    for row in table.all():
        if row.unit != "hart" or row.meaning is not None:
            found[row.name] = handler_of(row)
            found |= dense_handlers(row)
    return found | pair_handlers()


@functools.cache
def native() -> Library:
    """The compiled handlers, from the cache on disk when nothing they are made of has changed."""
    isa, here = Path(isa_package.__file__).parent, Path(__file__).parent
    parts = [isa / name for name in ("lang", "riscv", "xmtia", "state.py", "table.py", "operands.py")]
    parts += [isa / "encode.py", isa / "decode.py", here / "hart_program.py"]  # for the decoded programs kept beside
    parts += [here / "state.py", here / "hart.py"]
    parts += [here / f"hart_{name}.py" for name in ("handlers", "pairs", "timing", "watch")]
    key = sources_key(*parts)
    return build(functions, "hart", key, quick=True, part_of=part_of, progress=show_compiled)


def part_of(name: str) -> str:
    """The part of the library with a handler: its extension; for the vector unit, whose code is large, its row."""
    row = table.find(name.partition(" ")[0])
    if row is None:
        return "control"
    return row.name if is_vector(row) else re.sub(r"\W+", "-", row.extension.name)


def reference_address(name: str) -> int:
    """The number of a handler in reference runs."""
    from mtia.isa.lang.python_emitter import handle

    return handle(functions()[name])


class HartTrap(Exception):
    """A program that runs alone did something wrong: a cause, the pc, and the address where there is one."""

    def __init__(self, cause: int, pc: int, address: int) -> None:
        super().__init__(f"trap: cause {cause} at pc {pc:#x}, address {address:#x}")
        self.cause, self.pc, self.address = cause, pc, address


class Runner:
    """One hart with flat memory, no units: runs an ELF with the native or the reference handlers.

    A `strict` run traps when it reads memory of the stack or the heap that nothing has written. With `keep`, what the
    text was decoded to stays on disk for the next run.
    """

    def __init__(
        self, file: elf.ElfFile, chip: Chip, reference: bool = False, strict: bool = False, keep: bool = True
    ) -> None:
        text = next((s for s in file.segments if s.flags & 1), None)
        if text is None:
            raise UserError("the ELF file has no executable segment")
        self.low = min(s.address for s in file.segments) & ~4095
        self.end = -(-max(s.address + s.size for s in file.segments) // 4096) * 4096
        self.memory = _zeroed(self.end - self.low + _HEAP)
        for segment in file.segments:
            start = segment.address - self.low
            self.memory.bytes[start : start + len(segment.data)] = segment.data
        self.output = bytearray()
        self.break_at = self.end
        address_of = reference_address if reference else native().addr
        prepare = None if reference else native().load
        kept = native().keep if keep and not reference else None
        self.program = Program(text.data, text.address, chip, address_of, prepare=prepare, keep=kept)
        self._run: Callable[[Any, Any], int] = run_code if reference else functools.partial(native().call, "run_code")
        self._hart = Hart.alloc()
        self.hart: Any = Hart.view(self._hart.addr)
        self.hart.pc, self.hart.horizon = file.entry, _FOREVER
        self.hart.exact = self.program.exact
        self.hart.ls_base, self.hart.ls_size, self.hart.ls_ptr = self.low, self.memory.size, self.memory.addr
        self.hart.x[2] = self.low + self.memory.size - 4096
        if strict:
            self._written = _zeroed(self.memory.size)
            self._written.bytes[: self.end - self.low] = b"\1" * (self.end - self.low)
            self._watched = _zeroed(4 * (self.memory.size >> WATCH_SHIFT))
            self.hart.ls_shadow, self.hart.ls_watch = self._written.addr, self._watched.addr

    def run(self) -> int:
        """Run to the end; returns the exit code."""
        while True:
            result = self._run(self._hart, self.program)
            reason, cause = result & 255, result >> CAUSE_SHIFT
            if reason == AT_EXIT:
                return int(self.hart.x[10]) & 255
            if reason == AT_TRAP and cause == ECALL:
                code = self._system_call()
                if code is not None:
                    return code
                self.hart.pc += 4
            elif reason == AT_ACCESS and self.hart.want_kind == FIRST:
                self.hart.grant_base, self.hart.grant_size, self.hart.grant_ptr = self.hart.want_addr, 1, 0
            elif reason == AT_ACCESS:
                raise HartTrap(5 if self.hart.want_kind in (READ, RESERVE) else 7, self.hart.pc, self.hart.want_addr)
            elif reason in (AT_TRAP, AT_COMMAND):
                accessed = LOAD_MISALIGNED <= cause <= STORE_FAULT
                raise HartTrap(cause, self.hart.pc, self.hart.want_addr if accessed else self.hart.pc)
            elif reason != AT_HORIZON:
                raise RuntimeError(f"a hart left for the unknown reason {reason}")

    def _system_call(self) -> int | None:
        """Do a Linux system call; the exit code when it ends the program."""
        x = self.hart.x
        number, a0, a1, a2 = x[17], x[10], x[11], x[12]
        result = _ENOSYS
        if number in (93, 94):
            return int(a0) & 255
        if number == 64 and a1 - self.low + a2 <= self.memory.size:
            self.output += self.memory.bytes[a1 - self.low : a1 - self.low + a2]
            result = a2
        elif number == 214:
            if self.end <= a0 < self.low + self.memory.size // 2:
                self.break_at = a0
            result = self.break_at
        x[10] = result & (1 << 64) - 1
        return None


def _zeroed(size: int) -> Any:
    from .host import Region

    return _Flat(Region(size))


class _Flat:
    """Zeroed memory with the interface of `lang.Memory`, taken from the system page by page."""

    def __init__(self, region: Any) -> None:
        import ctypes

        self._region = region
        self.addr, self.size = region.addr, region.size
        self.bytes = memoryview((ctypes.c_ubyte * region.size).from_address(region.addr)).cast("B")


def run_elf(
    path: str | os.PathLike[str], chip: str = "mtia200", reference: bool = False, strict: bool = False
) -> Runner:
    """Load a static ELF for one hart; `Runner.run()` runs it."""
    return Runner(elf.read(Path(path).read_bytes(), str(path)), load_chip(chip), reference, strict)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run a static RV64 ELF on one hart.")
    parser.add_argument("elf")
    parser.add_argument("--chip", default="mtia200")
    parser.add_argument("--reference", action="store_true", help="run the Python reference")
    parser.add_argument("--time", action="store_true", help="print instructions, cycles and speed")
    options = parser.parse_args(arguments)
    runner = run_elf(options.elf, options.chip, options.reference)
    start = time.process_time()
    code = runner.run()
    seconds = time.process_time() - start
    sys.stdout.buffer.write(runner.output)
    sys.stdout.flush()
    if options.time:
        count, cycles = runner.hart.instret, runner.hart.time
        print(f"{count} instructions, {cycles} cycles, {count / seconds / 1e6:.0f} M instructions/s", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
