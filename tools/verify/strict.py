"""Campaign: small programs that are known to be right or wrong, under strict checks.

Each faulty program must stop with its cause, at its line, and name what it names; each sound one, mostly a faulty one
with one thing put right, must run to its end. `--only TEXT` takes the programs whose name contains it.
"""

from __future__ import annotations

import argparse

import numpy as np
from mtia.compiler.backend.assembled import assemble_program
from mtia.isa.errors import UserError
from mtia.runtime.device import Device
from mtia.runtime.launch import LaunchResult, launch
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.strict_cases import BUFFER, corpus
from mtia.tools.verify.strict_programs import Strict

__all__ = ["SIZE", "add_arguments", "run"]

SIZE = 0  # all programs
LIMIT = 50_000  # cycles
_FILE = "p.s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--only", default="", metavar="TEXT", help="programs whose name contains this")
    parser.add_argument("--interpreter", choices=("fast", "reference"), default="fast", help="of the machine")


def run(seed: int, size: int, progress: Progress, only: str = "", interpreter: str = "fast") -> Report:
    """Run all programs of the corpus, or `size` of them in an order that the seed gives."""
    programs = [program for program in corpus() if only in program.name]
    if not programs:
        raise UserError(f"no program has '{only}' in its name")
    if size:
        order = np.random.default_rng(seed).permutation(len(programs))[:size]
        programs = [programs[place] for place in sorted(order)]
    report = Report("strict", seed, len(programs))
    report.counts = {"faulty programs": 0, "sound programs": 0, "missed": 0, "false alarms": 0}
    device = Device("mtia200")
    for done, program in enumerate(programs):
        faulty = program.cause is not None
        report.counts["faulty programs" if faulty else "sound programs"] += 1
        wrong = _wrong(program, _launch(device, program, interpreter))
        if wrong:
            report.counts["missed" if faulty else "false alarms"] += 1
            report.failures.append(f"{program.name}: {wrong}")
        progress(done + 1, len(programs))
    return report


def _launch(device: Device, program: Strict, interpreter: str) -> LaunchResult:
    """Run a program on two buffers, of which the host has written the first."""
    text = assemble_program(program.text, _FILE, ["*u8", "*u8"], None, program.cores)
    second, guard, first = device.alloc(BUFFER), device.alloc(4096), device.copy_in(np.zeros(BUFFER, np.uint8))
    device.free(guard)
    try:
        return launch(device, text, (program.pes,), [first, second], limit=LIMIT, interpreter=interpreter)
    finally:
        device.free(first)
        device.free(second)


def _wrong(program: Strict, result: LaunchResult) -> str:
    """What is not as it must be; empty when all is."""
    trap = result.trap
    reads = tuple((read.bytes, read.padding) for read in result.device_reads)
    if program.cause is None:
        if trap is not None:
            return f"stopped with {trap}"
        return "" if reads == program.reads else f"reported {reads}, not {program.reads}"
    if trap is None:
        return f"ran to its end, {program.cause} expected"
    text = str(trap)
    missing = [part for part in program.says if part not in text]
    first = program.line("# first")
    if first is not None and f"({_FILE}:{first})" not in text:
        missing.append(f"({_FILE}:{first})")
    place = (trap.cause, trap.line, trap.unit if program.unit else None)
    wanted = (program.cause, program.line("# here"), program.unit)
    if place != wanted or missing:
        return f"stopped at {place}, expected {wanted}{f', without {missing}' if missing else ''}: {text}"
    return ""
