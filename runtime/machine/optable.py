"""What the command processor needs to know about each Xmtia instruction, taken from the instruction table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mtia.isa.table import Instruction
from mtia.isa.xmtia.codes import Unit

from .arrays import numpy_type
from .cp import CP_ACTIONS
from .state import (
    A_READ,
    A_WRITE,
    MAY_BE_GLOBAL,
    MUST_BE_GLOBAL,
    NO_LINK,
    NO_OPERAND,
    NO_UNIT,
    NOT_GLOBAL,
    RECEIVES,
    SENDS,
    OpInfo,
)

__all__ = ["Op", "op_of", "table_of"]

_UNITS = {
    "fi.read": Unit.FI_IN,
    "fi.write": Unit.FI_OUT,
    "mlu": Unit.MLU,
    "dpe": Unit.DPE,
    "re": Unit.RE,
    "se": Unit.SE,
}
_LINKS = {"xm.re.send": SENDS, "xm.re.recv": RECEIVES}
_FIELDS = {"rd": 0, "rs1": 1, "rs2": 2, "rs3": 3}


@dataclass(frozen=True)
class Op:
    """One instruction as `state.OpInfo` holds it: operands in the order of the syntax."""

    unit: int
    code: int
    operands: tuple[tuple[int, int, int], ...]  # (access, field, form)
    local: int
    index: int
    link: int = NO_LINK


def _tile(row: Instruction, name: str) -> tuple[int, int, int]:
    operand = row.by_name[name]
    if name == "gd":
        return A_READ, _FIELDS[operand.slot], MUST_BE_GLOBAL if row.unit == "fi" else MAY_BE_GLOBAL
    access = A_READ if operand.slot != "rd" else A_WRITE | A_READ * operand.reads
    return access, _FIELDS[operand.slot], NOT_GLOBAL


def op_of(row: Instruction) -> Op | None:
    """The row's entry; None for what the hart executes itself."""
    if row.unit == "cp":
        cb = row.by_name.get("cb")
        field = _FIELDS[cb.slot] if cb else 0
        return Op(NO_UNIT, CP_ACTIONS[row.name], ((0, field, NOT_GLOBAL),), NO_OPERAND, NO_OPERAND)
    if row.timing not in _UNITS:
        return None
    names = [name for name, _ in row.elements if name in row.by_name and row.by_name[name].kind.name == "td"]
    local = [k for k, name in enumerate(names) if name in ("d", "s")]
    index = [k for k, name in enumerate(names) if name == "idx"]
    return Op(
        int(_UNITS[row.timing]),
        0,
        tuple(_tile(row, name) for name in names),
        local[0] if local and row.unit == "fi" else NO_OPERAND,
        index[0] if index else NO_OPERAND,
        _LINKS.get(row.name, NO_LINK),
    )


def table_of(rows: Sequence[Instruction]) -> bytes:
    """The machine's `OpInfo` records by row, functions left out, and before them the rows' names as JSON."""
    records = np.zeros(len(rows), numpy_type(OpInfo))
    for row, info in zip(rows, records, strict=True):
        op = op_of(row)
        if op is None:
            info["unit"], info["code"] = NO_UNIT, 255
            continue
        info["unit"], info["code"], info["operands"] = op.unit, op.code, len(op.operands)
        info["local"], info["index"], info["link"] = op.local, op.index, op.link
        for k, (access, field, form) in enumerate(op.operands):
            info["access"][k], info["field"][k], info["form"][k] = access, field, form
    head = json.dumps([row.name for row in rows]).encode()
    return len(head).to_bytes(8, "little") + head + records.tobytes()
