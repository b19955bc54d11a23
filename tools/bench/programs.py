"""What `bench simulate` runs on one hart: programs of others by gcc and LLVM, and loops of vector instructions.

Timing and all strict checks are on. The scalar programs are those of `mtiac verify programs`, repeated.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mtia.isa import elf, table
from mtia.isa.asm import assemble
from mtia.isa.chip import load_chip
from mtia.runtime.machine.hart import Runner, native
from mtia.runtime.machine.hart_watch import Watcher
from mtia.tools.verify.programs import COMPILERS, Case, build, missing

__all__ = ["executables", "loops", "mix", "speed"]

# How often each program repeats its work, for some tenths of a second; its rounds differ.
REPEATED = {"hash": 20, "sort": 30, "compress": 4, "image": 15, "floats": 60}
MARCH = "rv64gc_zba_zbb_zbs"

_TEXT, _BODY, _ROUNDS = 0x4000_0000, 32, 400_000
_KINDS = {
    "arithmetic, integers": ("vadd.vv", "vsub.vv", "vmul.vv", "vand.vv", "vmax.vv", "vsll.vv", "vmacc.vv", "vadd.vx"),
    "arithmetic, floats": ("vfadd.vv", "vfsub.vv", "vfmul.vv", "vfmacc.vv", "vfmax.vv", "vfadd.vf"),
    "loads": ("vle{}.v",),
    "stores": ("vse{}.v",),
}


def executables(folder: Path) -> Iterator[tuple[str, elf.ElfFile]]:
    """The scalar programs at -O2, by name; one that cannot be compiled here is named on standard error."""
    for program, scale in REPEATED.items():
        for compiler in COMPILERS:
            if absent := missing(program, compiler):
                print(f"{program} by {compiler} is left out, not installed: {', '.join(absent)}", file=sys.stderr)
                continue
            path = build(Case(program, compiler, "-O2", 1), folder, scale, MARCH)
            yield f"{program}, {compiler} -O2", elf.read(path.read_bytes(), str(path))


def _operands(name: str, k: int) -> str:
    first, second, to = 8 + k % 8, 16 + k % 8, 24 + k % 8
    if name.startswith(("vle", "vse")):
        return f"{name} v{to}, (a0)"
    last = {"vx": "a1", "vf": "fa0"}.get(name.rpartition(".")[2], f"v{second}")
    if name.startswith(("vmacc", "vfmacc")):
        return f"{name} v{to}, {last}, v{first}"
    return f"{name} v{to}, v{first}, {last}"


def loops() -> Iterator[tuple[str, elf.ElfFile]]:
    """Loops of vector instructions at LMUL 1, by name."""
    for width in (32, 16):
        for kind, names in _KINDS.items():
            body = [_operands(names[k % len(names)].format(width), k) for k in range(_BODY)]
            start = [f"vsetvli t0, zero, e{width}, m1, ta, ma", "addi a0, sp, -256", f"vse{width}.v v8, (a0)"]
            lines = [*start, f"li t1, {_ROUNDS}", "loop:", *body, "addi t1, t1, -1", "bnez t1, loop", "ret"]
            text = assemble("\n".join(lines) + "\n").text
            yield f"e{width} {kind}", elf.ElfFile(entry=_TEXT, segments=[elf.Segment(_TEXT, text, len(text), 5)])


def speed(file: elf.ElfFile) -> float:
    """Instructions a second on one hart of MTIA 200, by processor time."""
    runner = Runner(file, load_chip("mtia200"), strict=True)
    start = time.process_time()
    runner.run()
    return float(runner.hart.instret) / (time.process_time() - start)


def mix(file: elf.ElfFile) -> dict[str, float]:
    """The executed instructions by timing class, per cent, the most frequent first."""
    runner = Runner(file, load_chip("mtia200"), strict=True)
    watcher = Watcher(runner.program, "profiled", 1, native().addr)
    runner.hart.watch = watcher.address(0)
    runner.run()
    rows, counts = table.all(), Counter[str]()
    for row, count in zip(runner.program.records["row"], watcher.visits["count"][0], strict=True):
        counts[rows[int(row)].timing] += int(count)
    total = float(np.sum(watcher.visits["count"]))
    return {timing: round(100 * count / total, 2) for timing, count in counts.most_common() if count / total > 5e-5}
