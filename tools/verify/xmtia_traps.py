"""What a command refuses: for each command and operand every type, form, space and shape, and places outside a slot.

One thing is wrong at a time; what must come of it (a trap cause, or a result) is what the statements say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from mtia.isa import table
from mtia.isa.chip import Chip, load_chip
from mtia.isa.xmtia.codes import Cause, DType, Flag, Form, Space
from mtia.runtime.machine.memory import DRAM_BASE
from mtia.tools.verify.unit_programs import DATA, Script, run, set_tile
from mtia.tools.verify.xmtia_model import TRANSFERS, Hart, Pe
from mtia.tools.verify.xmtia_operands import Refused
from mtia.tools.verify.xmtia_statements import STATEMENTS, dpe_rate

__all__ = ["Wrong", "answer", "trials"]

SIDE = 4  # rows and columns of most operands
SLOT = 1024  # bytes: rows 64 and columns 8 bytes apart leave room for two more of each
STRIDES = (64, 8)
LINKED = {"xm.re.send", "xm.re.recv"}  # there is no second PE here


@dataclass(frozen=True)
class Wrong:
    """An operand of a command, and what it is given instead of what fits."""

    dtype: DType = DType.F32
    shape: tuple[int, int] = (SIDE, SIDE)
    form: Form = Form.LOCAL
    space: Space = Space.LS
    offset: int = 0
    slot: int = 0
    defined: bool = True
    flags: int = 0


def fitting(chip: Chip, name: str) -> dict[str, Wrong]:
    """Operands that a command takes."""
    row = table.find(name)
    assert row is not None
    names = [n for n, _ in row.elements if n in row.by_name and row.by_name[n].kind.name == "td"]
    found = {n: Wrong(DType.F32, form=Form.GLOBAL if n == "gd" else Form.LOCAL) for n in names}
    short = name.removeprefix("xm.")
    if "acc" in found:
        found["acc"] = Wrong(DType.F32, space=Space.RE)
    if short.startswith("dpe"):
        found |= {n: Wrong(DType.F16) for n in "ab"}
    if short in ("mlu.gather", "dma.ini", "dma.outi"):
        found["b" if "b" in found else "idx"] = Wrong(DType.I32, (SIDE, 1))
    if short == "mlu.fill":
        found["a"] = Wrong(form=Form.IMMEDIATE)
    if short == "mlu.cat":
        found["d"] = Wrong(shape=(SIDE, 2 * SIDE))
    if short == "re.scale":
        found["a"] = Wrong(shape=(SIDE, 1))
    if short in ("se.and", "se.or", "se.xor", "se.iota") or short.startswith("se.mask."):
        found |= {n: Wrong(DType.I32) for n in found}
    if row.unit in ("se", "re") and (short[3:4] == "r" and short[4:7] in ("sum", "max", "min", "owm")):
        found["d"] = Wrong(shape=(SIDE, 1))
    if short[:4] == "se.c" and short[4:7] in ("sum", "max", "min"):
        found["d"] = Wrong(shape=(1, SIDE))
    return found


def changes(chip: Chip, operand: Wrong) -> Iterator[Wrong]:
    """An operand with one thing changed."""
    yield from (replace(operand, dtype=dtype) for dtype in DType if dtype is not operand.dtype)
    if operand.form is Form.GLOBAL:
        yield replace(operand, form=Form.LOCAL)
        yield replace(operand, form=Form.IMMEDIATE)
        return
    yield from (replace(operand, form=form) for form in Form if form is not operand.form)
    if operand.form is Form.LOCAL:
        rows, cols = operand.shape
        yield replace(operand, space=Space.LS if operand.space is Space.RE else Space.RE)
        yield replace(operand, shape=(rows + 1, cols))
        yield replace(operand, shape=(rows, cols + 1))
        yield replace(operand, offset=SLOT - 8)
        yield replace(operand, offset=-8)
        yield replace(operand, slot=2)
        yield replace(operand, defined=False)
        yield replace(operand, flags=int(Flag.STOCHASTIC))


def trials(chip: Chip) -> Iterator[tuple[str, dict[str, Wrong]]]:
    """Every command with every change of one operand, and the product's pairs of types."""
    for row in table.all():
        if row.name in LINKED or row.name not in STATEMENTS and row.name not in TRANSFERS:
            continue
        good = fitting(chip, row.name)
        yield row.name, good
        for name, operand in good.items():
            yield from ((row.name, good | {name: changed}) for changed in changes(chip, operand))
    for a in DType:
        for b in DType:
            if not dpe_rate(chip, a, b) or a is not b:
                yield "xm.dpe.mma", fitting(chip, "xm.dpe.mma") | {"a": Wrong(a), "b": Wrong(b)}


def answer(chip_name: str, name: str, operands: dict[str, Wrong], interpreter: str = "fast") -> str | None:
    """Issue a command; what the machine does that the statements do not say, or None."""
    chip = load_chip(chip_name)
    script = Script()
    ls = np.random.default_rng(1).integers(0, 3, chip.ls.bytes, np.uint8)  # small numbers: indices are valid
    hart = Hart(Pe(chip, ls.copy(), np.zeros(8, np.uint8)))
    fields: dict[str, int] = {}
    expected: Cause | None = None
    script.cb(31, 0, 8 * SLOT, space=Space.RE)
    set_tile(script, 31, 31, DType.F32, (1, 2 * SLOT), (0, 4))
    script.do("xm.re.zero", acc=31)  # nobody may read what nobody has written
    script.do("xm.wait", 0)
    for number, (key, operand) in enumerate(operands.items()):
        fields[key] = number + 1
        for instruction, rs1, rs2, extra in setup(number, operand):
            script.do(instruction, rs1, rs2, **extra)
            hart.execute(instruction, rs1, rs2 or 0, **extra)
    script.do("xm.wait", 0)
    script.do(name, **fields)
    first = ls[DATA : DATA + 16 * SLOT].tobytes()
    try:
        hart.execute(name, **fields)
    except Refused as refused:
        expected = refused.cause
    outcome = run(chip_name, script, first, interpreter)
    got = outcome.trap.cause if outcome.trap is not None else None
    if got != (expected.name if expected is not None else None):
        wrong = "; ".join(f"{key} {operand}" for key, operand in operands.items())
        return f"{chip_name} {name}: {got or 'no trap'}, expected {expected.name if expected else 'none'} ({wrong})"
    return None


def setup(number: int, operand: Wrong) -> Iterator[tuple[str, int, int | None, dict[str, int]]]:
    """The instructions that make tile register `number` + 1 the operand, in a buffer of its own."""
    td, dtype = number + 1, int(operand.dtype)
    if operand.form is Form.IMMEDIATE:
        yield "xm.td.imm", 1, dtype, {"td": td}
        return
    if operand.form is Form.GLOBAL:
        yield "xm.gd.base", DRAM_BASE, dtype | 2 << 8, {"gd": td}
        for k in (0, 1):
            yield "xm.gd.dim", operand.shape[k], (64, 8)[k], {"gd": td, "k": k}
            yield "xm.gd.clip", 0, 0, {"gd": td, "k": k}
        return
    base = number * 2 * SLOT + (DATA if operand.space is Space.LS else 0)
    if operand.defined:
        yield "xm.cb.init", base | operand.space << 32, SLOT | 2 << 32, {"cb": number}
    yield (
        "xm.td.local",
        number | 1 << 8 | operand.slot << 12 | dtype << 16 | operand.flags << 24,
        operand.offset,
        {"td": td},
    )
    yield "xm.td.shape", operand.shape[0] | operand.shape[1] << 32, STRIDES[0] | STRIDES[1] << 32, {"td": td}
