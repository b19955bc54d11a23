"""Run programs on qemu-riscv64 and on our harts, and say where their states differ."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mtia.isa import elf
from mtia.isa.chip import Chip, load_chip
from mtia.isa.state import VLENB
from mtia.runtime.machine.hart import HartTrap, Runner

from .program import CHECKPOINT, Layout, Program, build, output_size
from .quirks import CPU

__all__ = ["QEMU", "Outcome", "chip", "compare", "describe", "first_difference", "native", "qemu", "split"]

QEMU = shutil.which("qemu-riscv64")
TIMEOUT = 60  # seconds; a program takes about 0.02


@dataclass(frozen=True)
class Outcome:
    """What a run gave: its output, and how it ended when not normally."""

    output: bytes
    problem: str = ""
    instructions: int = 0
    cycles: int = 0


@cache
def chip() -> Chip:
    """The chip whose harts run; any would do."""
    return load_chip("mtia200")


def qemu(executable: bytes) -> Outcome:
    """Run an executable on qemu."""
    assert QEMU is not None
    with tempfile.NamedTemporaryFile(suffix=".elf", delete=False) as file:
        file.write(executable)
    path = Path(file.name)
    path.chmod(0o700)
    try:
        done = subprocess.run([QEMU, "-cpu", CPU, str(path)], capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as late:
        return Outcome(late.stdout or b"", "runs for ever")
    finally:
        path.unlink()
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip().splitlines()
        return Outcome(done.stdout, f"ends with {done.returncode}: {text[0] if text else ''}")
    return Outcome(done.stdout)


def native(executable: bytes, reference: bool = False) -> Outcome:
    """Run an executable on our hart, by native code or on the reference."""
    runner = Runner(elf.read(executable), chip(), reference, keep=False)
    runner.hart.ls_size = runner.end - runner.low  # memory ends where the executable's does, as on qemu
    problem = ""
    try:
        runner.run()
    except HartTrap as trap:
        problem = str(trap)
    return Outcome(bytes(runner.output), problem, runner.hart.instret, runner.hart.time)


def split(output: bytes, programs: Sequence[Program]) -> list[bytes]:
    """The output of each program of an executable; empty for those that did not come so far."""
    parts, at = [], 0
    for program in programs:
        size = output_size(program)
        parts.append(output[at : at + size] if at + size <= len(output) else b"")
        at += size
    return parts


def first_difference(theirs: bytes, ours: bytes) -> int | None:
    """The number of the first checkpoint that differs; -1 when only memory does, None when nothing."""
    if theirs == ours:
        return None
    if len(theirs) != len(ours):
        return -1
    start = Layout.ARENA_SIZE
    for number in range((len(ours) - start) // CHECKPOINT):
        part = slice(start + number * CHECKPOINT, start + (number + 1) * CHECKPOINT)
        if theirs[part] != ours[part]:
            return number
    return -1


def _fields(part: bytes, flags: bool) -> dict[str, str]:
    """Every register of a checkpoint by name."""
    found = {f"v{n}": part[VLENB * n : VLENB * (n + 1)][::-1].hex() for n in range(32)}
    words = struct.unpack(f"<{(CHECKPOINT - 2048) // 8}Q", part[2048:])
    found |= {f"x{n}": f"{words[n - 1]:#x}" for n in range(1, 32)}
    found |= {f"f{n}": f"{words[32 + n]:#x}" for n in range(32)}
    names = ("vl", "vtype", "vstart", "vcsr", "fcsr" if flags else "frm")
    return found | {name: f"{words[64 + n]:#x}" for n, name in enumerate(names)}


def describe(theirs: bytes, ours: bytes, flags: bool) -> list[str]:
    """The registers that differ at the first checkpoint with a difference, and the first bytes of memory that do."""
    number = first_difference(theirs, ours)
    lines = []
    if number is not None and number >= 0:
        part = slice(Layout.ARENA_SIZE + number * CHECKPOINT, Layout.ARENA_SIZE + (number + 1) * CHECKPOINT)
        one, other = _fields(theirs[part], flags), _fields(ours[part], flags)
        lines += [f"{name}: qemu {one[name]}, we {other[name]}" for name in one if one[name] != other[name]]
    wrong = [k for k in range(Layout.ARENA_SIZE) if theirs[k : k + 1] != ours[k : k + 1]]
    if wrong:
        at = wrong[0] & ~7
        lines.append(f"memory + {at:#x}: qemu {theirs[at : at + 8].hex()}, we {ours[at : at + 8].hex()}")
    return lines


def compare(programs: Sequence[Program]) -> tuple[Outcome, Outcome]:
    """Both outcomes of an executable with these programs."""
    executable = build(programs)
    return qemu(executable), native(executable)
