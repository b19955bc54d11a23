"""Campaign: the extensions that qemu 7.2 lacks against exact arithmetic on integers, rounded once.

Zfh, Zfbfmin, Zvfh, Zvfbfmin, Zvfbfwma and Zicond; every rounding mode, every flag, NaN boxes. A program runs an
instruction over a table of operands on the native handlers: with flags observed (the exact path, one element at a
time), with the rounding mode in the instruction, without flags (the fast path) and over whole registers (the dense
handlers); a sample also runs on the Python reference. Vector instructions also run at every group size under random vl,
mask and vstart (`exact_groups`). `--size` is the number of operand tuples per operation and
rounding mode; one operand of 16 bits is exhausted as soon as that is 65,536.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mtia.isa import table
from mtia.isa.errors import UserError
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.exact_forms import Form, Kind, Operation, operations
from mtia.tools.verify.exact_groups import Groups
from mtia.tools.verify.exact_machine import HERE, Array, execute
from mtia.tools.verify.exact_operands import tuples
from mtia.tools.verify.rational import Format

__all__ = ["SIZE", "add_arguments", "run"]

SIZE = 1 << 16
SAMPLE = 6  # of a thousand tuples run on the reference
MOST = 20  # failures of one form that are printed
MODES = ("rne", "rtz", "rdn", "rup", "rmm")

# s0: operands a, b, d and fcsr of each case; s1: results from v8 or a5, from fa5, and flags; s2: cases.
_HEAD = (
    "la s0, count; ld s2, 0(s0); addi s0, s0, 64; la s1, count; ld s1, 8(s1); vsetvli t0, zero, e8, m1, ta, ma;"
    "vmset.m v0\n"
)
_LOAD = "loop: ld a0, 0(s0); ld a1, 8(s0); ld a2, 16(s0); fmv.d.x fa0, a0; fmv.d.x fa1, a1; fmv.d.x fa2, a2\n"
_LOAD_V = (
    "vsetivli zero, 1, e64, m1, ta, ma; vle64.v v16, (s0); addi t0, s0, 8; vle64.v v24, (t0); addi t0, s0, 16;"
    "vle64.v v8, (t0)\n"
)
_STORE_V = "vsetivli zero, 1, e64, m1, ta, ma; vse64.v v8, (s1)\n"
_STORE = "fsd fa5, 8(s1); addi s1, s1, 24; addi s0, s0, 32; addi s2, s2, -1; bnez s2, loop; li a7, 93; ecall\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--only", default="", help="only operations and instructions whose name contains this")


@dataclass(frozen=True)
class Cases:
    """Operand tuples of an operation with their rounding modes, and what comes of them."""

    operands: list[tuple[int, ...]]
    modes: list[int]
    results: list[int]
    flags: list[int]


def solve(operation: Operation, size: int, random_: random.Random) -> Cases:
    """The cases of an operation: at most `size` tuples in each rounding mode that matters."""
    found = Cases([], [], [], [])
    for mode in range(5 if operation.rounds else 1):
        for operands in itertools.islice(tuples(operation, size, random_), size):
            result, flags = operation.oracle(*operands, mode)
            found.operands.append(operands)
            found.modes.append(mode)
            found.results.append(result)
            found.flags.append(flags)
    return found


def program(form: Form, flags: bool) -> str:
    """Assembly that executes the instruction at `HERE` for each case."""
    before, after = ("lw t1, 24(s0); csrw fcsr, t1", "csrr t1, fflags; sd t1, 16(s1)") if flags else ("", "")
    if not form.sew:
        return f"{_HEAD}{_LOAD}{before}\n{HERE}\n{after}\nsd a5, 0(s1)\n{_STORE}"
    configure = f"vsetivli zero, {form.vl}, e{form.sew}, m1, ta, ma"
    return f"{_HEAD}{_LOAD}{_LOAD_V}{before}\n{configure}\n{HERE}\n{after}\n{_STORE_V}{_STORE}"


def dense(form: Form, widths: dict[str, int]) -> str:
    """Assembly that executes an instruction on whole registers; operands lie 512 bytes apart, f[b] is the first."""
    store = "vsm.v v8, (s1)" if form.result == "m" else f"vse{widths['v']}.v v8, (s1)"
    return f"""{_HEAD}
loop: vsetvli t0, zero, e{form.sew}, m1, ta, ma
addi t1, s0, 512; addi t2, s0, 1024; fld fa1, 1536(s0)
vle{widths["a"]}.v v16, (s0); vle{widths["b"]}.v v24, (t1); vle{widths["d"]}.v v8, (t2)
{HERE}
{store}
addi s1, s1, 512; addi s0, s0, 1024; addi s0, s0, 1024; addi s2, s2, -1; bnez s2, loop; li a7, 93; ecall
"""


class Campaign:
    """One run: what was compared, and what differed."""

    def __init__(self, report: Report, random_: random.Random) -> None:
        self.report, self.random = report, random_
        self.counts: Counter[str] = Counter()
        self.groups = Groups(report, self.counts, random_)

    def form(self, operation: Operation, form: Form, cases: Cases) -> None:
        """Run an instruction in all ways over the cases of its operation."""
        everything = range(len(cases.operands))
        self.loop(operation, form, cases, everything, form.text, "with flags", flags=True)
        nearest = [n for n in everything if cases.modes[n] == 0]
        self.loop(operation, form, cases, nearest, form.text, "without flags", flags=False)
        few = [n for n in everything if self.random.randrange(1000) < SAMPLE][:200]
        self.loop(operation, form, cases, few, form.text, "on the reference", flags=True, reference=True)
        row = table.find(form.name)
        if row is not None and "rm" in row.by_name:
            for mode, name in enumerate(MODES):
                own = [n for n in everything if cases.modes[n] == mode][-2000:]
                self.loop(operation, form, cases, own, f"{form.text}, {name}", "with its own mode", True, mode=mode)
        if form.boxed:
            self.unboxed(operation, form, cases)
        if form.sew and form.vl == 1 and form.result in "vm":
            self.dense(operation, form, cases, nearest)
        if form.sew:
            self.groups.form(operation, form)

    def table(self, form: Form, operation: Operation, cases: Cases, which: Sequence[int], mode: int | None) -> Array:
        """The operands of cases where the form wants them, f registers NaN-boxed, and fcsr."""
        rows = np.zeros((len(which), 4), np.uint64)
        for k, place in enumerate(form.places):
            kind = operation.kinds[k]
            values = np.array([cases.operands[n][k] for n in which], np.uint64)
            if place in form.boxed and isinstance(kind, Format) and kind.width < 64:
                values |= np.uint64((1 << 64) - (1 << kind.width))
            rows[:, "abd".index(place)] = values
        modes = np.array([cases.modes[n] for n in which], np.uint64)
        # another mode in fcsr than the one in the instruction
        rows[:, 3] = (modes if mode is None else np.full(len(which), (mode + 1) % 5, np.uint64)) << np.uint64(5)
        return rows

    def loop(
        self, operation: Operation, form: Form, cases: Cases, which: Sequence[int], text: str, how: str, flags: bool,
        reference: bool = False, mode: int | None = None,
    ) -> None:  # fmt: skip
        """Run cases one at a time and compare."""
        if not which:
            return
        rows = self.table(form, operation, cases, which, mode)
        got = execute(program(form, flags), text, len(which), rows, 24 * len(which), reference)
        results = np.array([cases.results[n] for n in which], np.uint64)
        raised = np.array([cases.flags[n] for n in which], np.uint64)
        self.compare(operation, form, how, rows, got.view(np.uint64).reshape(-1, 3), results, raised if flags else None)

    def compare(
        self, operation: Operation, form: Form, how: str, rows: Array, got: Array, results: Array, raised: Array | None
    ) -> None:
        """Count and note differences; `got` is (v8 or a5, fa5, flags)."""
        self.counts[f"results {how}"] += len(rows)
        found = got[:, 1 if form.result == "f" else 0].copy()
        width = operation.width
        if form.result in "vm":
            found &= np.uint64((1 << width) - 1)
        elif form.result == "f" and width < 64:
            results = results | np.uint64((1 << 64) - (1 << width))
        elif form.result == "x" and width == 32:
            results = results.astype(np.uint32).view(np.int32).astype(np.int64).view(np.uint64)
        wrong = found != results
        if raised is not None:
            wrong |= got[:, 2] != raised
        for n in np.flatnonzero(wrong)[:MOST]:
            flags = "" if raised is None else f", flags {int(got[n, 2])} for {int(raised[n])}"
            self.report.failures.append(
                f"{form.text} {how}: a {int(rows[n, 0]):#x}, b {int(rows[n, 1]):#x}, d {int(rows[n, 2]):#x}, mode "
                f"{int(rows[n, 3]) >> 5}: {int(found[n]):#x} for {int(results[n]):#x}{flags}"
            )

    def unboxed(self, operation: Operation, form: Form, cases: Cases) -> None:
        """A value without its NaN box in one of the f registers is the canonical NaN."""
        for place in form.boxed:
            k = form.places.index(place)
            kind = operation.kinds[k]
            if not isinstance(kind, Format) or kind.width == 64:
                continue
            some = self.random.sample(range(len(cases.operands)), min(64, len(cases.operands)))
            rows = self.table(form, operation, cases, some, None)
            bare = rows[:, "abd".index(place)] & np.uint64((1 << kind.width) - 1)
            high = np.array([self.random.getrandbits(63 - kind.width) for _ in some], np.uint64) << np.uint64(
                kind.width
            )
            rows[:, "abd".index(place)] = bare | high
            solved = []
            for n in some:
                operands = list(cases.operands[n])
                operands[k] = kind.nan
                solved.append(operation.oracle(*operands, cases.modes[n]))
            got = execute(program(form, True), form.text, len(some), rows, 24 * len(some)).view(np.uint64)
            results, raised = (np.array(column, np.uint64) for column in zip(*solved, strict=True))
            self.compare(operation, form, "without a NaN box", rows, got.reshape(-1, 3), results, raised)

    def dense(self, operation: Operation, form: Form, cases: Cases, which: Sequence[int]) -> None:
        """Whole registers of elements, without flags; the operand in an f register must be the same for all."""
        lanes = 512 // form.sew
        places = dict(zip(form.places, range(9), strict=False))
        width = {place: _width(operation.kinds[k]) for place, k in places.items()}
        widths = {place: width.get(place, form.sew) for place in "abd"} | {"v": operation.width}
        blocks = []
        for start in range(0, len(which) - lanes + 1, lanes):
            block = which[start : start + lanes]
            if form.boxed and len({cases.operands[n][places["b"]] for n in block}) > 1:
                continue
            blocks.append(block)
        if not blocks:
            return
        inputs = np.zeros((len(blocks), 2048), np.uint8)
        for place, k in places.items():
            kind = f"u{width[place] // 8}"
            values = np.array([[cases.operands[n][k] for n in block] for block in blocks], np.uint64)
            at = "abd".index(place) * 512
            if place in form.boxed:
                boxed = values[:, :1] | np.uint64((1 << 64) - (1 << width[place]) & (1 << 64) - 1)
                inputs[:, 1536:1544] = boxed.astype("u8").view(np.uint8)
            else:
                data = values.astype(kind).view(np.uint8)
                inputs[:, at : at + data.shape[1]] = data
        got = execute(dense(form, widths), form.text, len(blocks), inputs, 512 * len(blocks)).reshape(len(blocks), 512)
        if form.result == "m":
            found = np.unpackbits(got[:, : lanes // 8], axis=1, bitorder="little").astype(np.uint64)
        else:
            found = got[:, : lanes * operation.width // 8].copy().view(f"u{operation.width // 8}").astype(np.uint64)
        flat = [n for block in blocks for n in block]
        rows = self.table(form, operation, cases, flat, None)
        results = np.array([cases.results[n] for n in flat], np.uint64)
        self.compare(operation, form, "in whole registers", rows, np.stack([found.ravel()] * 2, axis=1), results, None)


def _width(kind: Kind) -> int:
    return kind.width if isinstance(kind, Format) else abs(kind)


def run(seed: int, size: int, progress: Progress, only: str = "") -> Report:
    """Run every operation with `size` operand tuples in each rounding mode."""
    report = Report("exact", seed, size)
    todo = [o for o in operations() if only in o.name or any(only in form.name for form in o.forms)]
    if not todo:
        raise UserError(f"no operation or instruction has '{only}' in its name")
    campaign = Campaign(report, random.Random(seed))
    for done, operation in enumerate(todo):
        cases = solve(operation, size, random.Random(f"{seed} {operation.name}"))
        for form in operation.forms:
            campaign.form(operation, form, cases)
        progress(done + 1, len(todo))
    report.counts["operations"] = len(todo)
    report.counts["instructions"] = len({form.name for operation in todo for form in operation.forms})
    report.counts |= dict(sorted(campaign.counts.items()))
    return report
