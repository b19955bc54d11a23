"""Campaign: programs of others, compiled by gcc and LLVM at -O0 to -O3, on the machine and under qemu-riscv64.

The sources are Debian's: headers of -dev packages and three source packages that tools/setup.sh unpacks. Drivers in
tests/programs include them. A case is one executable: program, compiler, level and the seed of its input; both sides
must print the same and leave with the same exit code.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtia.isa.errors import UserError
from mtia.tools.verify.common import Progress, Report

__all__ = ["COMPILERS", "PROGRAMS", "SIZE", "Case", "add_arguments", "build", "cases", "differences", "missing", "run"]

DRIVERS = Path(__file__).resolve().parents[2] / "tests" / "programs"
UNPACKED = Path(sys.prefix) / "share" / "mtiac" / "sources"  # where tools/setup.sh puts source packages
PICOLIBC = Path("/usr/lib/picolibc/riscv64-unknown-elf")
CPU = "rv64,v=true,vlen=512,elen=64,vext_spec=v1.0,zba=true,zbb=true,zbs=true"
GCC, CLANG, QEMU = "riscv64-unknown-elf-gcc", "clang-22", "qemu-riscv64"
LEVELS = ("-O0", "-O1", "-O2", "-O3")
COMPILERS = {"gcc": GCC, "llvm": CLANG}
LIMIT = 120  # seconds for one run of one side

_SCALAR, _VECTOR = "rv64gc_zba_zbb_zbs", "rv64gcv_zvl512b_zba_zbb_zbs"
_ABI = ["-mabi=lp64d", "-mcmodel=medany", "-nostdlib", "-w"]


@dataclass(frozen=True)
class Source:
    """What a program is made of: files that must be there, and folders of unpacked source packages to look in."""

    needs: tuple[str, ...]
    folders: tuple[str, ...] = ()


PROGRAMS = {
    "hash": Source(("/usr/include/xxhash.h", "/usr/include/uthash.h")),
    "sort": Source(("/usr/include/uthash.h", "/usr/include/utlist.h")),
    "compress": Source(("/usr/include/stb/stb_image_write.h",), ("lz4/lib",)),
    "image": Source(("/usr/include/stb/stb_image_write.h",)),
    "floats": Source(("/usr/include/cglm/cglm.h",), ("kissfft",)),
    "loops": Source(("/usr/include/simde/x86/avx2.h",), ("gsl/cblas",)),
}


@dataclass(frozen=True)
class Case:
    """One executable of the campaign."""

    program: str
    compiler: str
    level: str
    seed: int

    def __str__(self) -> str:
        return f"--program {self.program} --compiler {self.compiler} --level {self.level[1:]} --seed {self.seed}"


SIZE = 3 * len(PROGRAMS) * len(COMPILERS) * len(LEVELS)


def missing(program: str, compiler: str = "") -> list[str]:
    """What a program needs and this host does not have."""
    source = PROGRAMS[program]
    tools = [GCC, QEMU] + ([COMPILERS[compiler]] if compiler else list(COMPILERS.values()))
    files = (
        [Path(need) for need in source.needs] + [UNPACKED / folder for folder in source.folders] + [PICOLIBC, DRIVERS]
    )
    found = [tool for tool in dict.fromkeys(tools) if not shutil.which(tool)]
    return found + [str(file) for file in files if not file.exists()]


@functools.cache
def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _compile(case: Case, source: str, target: Path, scale: int, march: str) -> None:
    folders = [f"-I{UNPACKED / folder}" for folder in PROGRAMS[case.program].folders]
    headers = ["-isystem", str(PICOLIBC / "include"), f"-I{DRIVERS}", *folders, "-idirafter", "/usr/include"]
    options = [f"-march={march}", *_ABI, case.level, f"-DSEED={case.seed}", f"-DSCALE={scale}"]
    command = [COMPILERS[case.compiler], *options]
    if case.compiler == "llvm":
        resources = _output(CLANG, "-print-resource-dir")
        command += ["--target=riscv64-unknown-elf", "-nostdinc", "-isystem", f"{resources}/include"]
    _do([*command, *headers, "-c", str(DRIVERS / source), "-o", str(target)], case)


def build(case: Case, folder: Path, scale: int = 1, march: str = "") -> Path:
    """Compile and link a case into `folder`; returns the executable. LLVM's code uses the vector unit."""
    march = march or (_VECTOR if case.compiler == "llvm" else _SCALAR)
    objects = [folder / "program.o", folder / "support.o"]
    _compile(case, f"{case.program}.c", objects[0], scale, march)
    _compile(case, "support.c", objects[1], scale, march)
    library = PICOLIBC / "lib" / _output(GCC, "-march=rv64gc", "-mabi=lp64d", "-print-multi-directory")
    executable = folder / f"{case.program}.elf"
    link = [GCC, "-march=rv64gc", *_ABI, "-static", *map(str, objects), f"-L{library}", "-lm", "-lc", "-lgcc"]
    _do([*link, "-o", str(executable)], case)
    return executable


def _do(command: list[str], case: Case) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{case}: {' '.join(command)}: {done.stderr[-2000:]}")


def differences(executable: Path, counts: dict[str, int | float]) -> str:
    """Run an executable on both sides; what differs, or nothing."""
    from mtia.runtime.machine.hart import HartTrap, run_elf

    wanted = subprocess.run([QEMU, "-cpu", CPU, str(executable)], capture_output=True, timeout=LIMIT)
    runner = run_elf(executable)
    try:
        code = runner.run()
    except HartTrap as trap:
        return str(trap)
    counts["instructions"] = counts.get("instructions", 0) + int(runner.hart.instret)
    if code != wanted.returncode:
        return f"exit code {code}, under qemu {wanted.returncode}"
    ours, theirs = bytes(runner.output).decode().splitlines(), wanted.stdout.decode().splitlines()
    for number, (a, b) in enumerate(itertools.zip_longest(ours, theirs, fillvalue="(nothing)")):
        if a != b:
            return f"line {number + 1} is `{a}`, under qemu `{b}`"
    if not theirs:
        return "nothing was printed"
    return ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose cases."""
    parser.add_argument("--program", choices=list(PROGRAMS), help="only this program")
    parser.add_argument("--compiler", choices=list(COMPILERS), help="only this compiler")
    parser.add_argument("--level", choices=[level[1:] for level in LEVELS], help="only this optimisation level")


def cases(
    seed: int, program: str | None = None, compiler: str | None = None, level: str | None = None
) -> Iterator[Case]:
    """All combinations, again and again, with the next seed each time round."""
    for count in itertools.count():
        for name, made_by, by in itertools.product(PROGRAMS, COMPILERS, LEVELS):
            if program in (None, name) and compiler in (None, made_by) and level in (None, by[1:]):
                yield Case(name, made_by, by, seed + count)


def run(
    seed: int,
    size: int,
    progress: Progress,
    program: str | None = None,
    compiler: str | None = None,
    level: str | None = None,
) -> Report:
    """Compile and run `size` cases; a case that this host cannot compile is noted, not counted."""
    report = Report("programs", seed, size, counts={"executables": 0, "instructions": 0})
    absent = {(name, made_by): missing(name, made_by) for name in PROGRAMS for made_by in COMPILERS}
    if all(absent.values()):
        raise UserError(f"not installed: {', '.join(sorted(set(itertools.chain(*absent.values()))))}")
    for number, case in enumerate(itertools.islice(cases(seed, program, compiler, level), size)):
        lacks = absent[case.program, case.compiler]
        if lacks:
            note = f"{case.program} by {case.compiler} is left out, not installed: {', '.join(lacks)}"
            if note not in report.notes:
                report.notes.append(note)
            continue
        with tempfile.TemporaryDirectory(prefix="mtiac-programs-") as folder:
            found = differences(build(case, Path(folder)), report.counts)
        report.counts["executables"] += 1
        if found:
            report.failures.append(f"{case} --size 1: {found}")
        progress(number + 1, size)
    return report
