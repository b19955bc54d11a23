"""Programs as harts run them: a text section decoded once to `Insn` records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mtia.isa import decode, table
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError
from mtia.isa.lang import Memory
from mtia.isa.operands import KINDS
from mtia.isa.state import Insn

from .hart_handlers import NOWHERE, Code, pack_occupancy

__all__ = ["Program"]

_DTYPES = {"u8": "u1", "u16": "u2", "u32": "u4", "u64": "u8", "i64": "i8"}
_INSN = np.dtype(
    {
        "names": list(Insn.fields),
        "formats": [_DTYPES[f.type.name] for f in Insn.fields.values()],
        "offsets": [f.offset for f in Insn.fields.values()],
        "itemsize": Insn.size,
    }
)
_FLAG_REGISTERS = {KINDS["csr"].names[name] for name in ("fflags", "fcsr")}


class Program:
    """A decoded text section; `addr` is its `Code`, `exact` says that it looks at floating-point flags.

    `address_of` maps a row's name (or `illegal`, `fell_off`) to the handler's address, native or reference. Without
    `vector`, vector instructions are illegal.
    """

    def __init__(
        self, text: bytes, base: int, chip: Chip, address_of: Callable[[str], int], vector: bool = True
    ) -> None:
        self.base, self.size = base, len(text)
        self.exact = False
        self._chip, self._address_of, self._vector = chip, address_of, vector
        self._handlers: dict[str, int] = {}
        self._numbers = {row: number for number, row in enumerate(table.all())}
        walked = list(decode.walk(text, base))
        self._insns = Memory(Insn.size * (len(walked) + 1))
        self._index = Memory(4 * max(self.size // 2, 1))
        self._code = Code.alloc()
        index = np.frombuffer(self._index.bytes, np.uint32)
        index[:] = NOWHERE
        starts = [(address - base) >> 1 for address, _ in walked]
        index[starts] = np.arange(len(walked), dtype=np.uint32)
        code = Code.view(self._code.addr)
        code.base, code.size, code.insns, code.index = base, self.size & ~1, self._insns.addr, self._index.addr
        self._fill(walked, index)

    @property
    def addr(self) -> int:
        """Host address of the `Code`."""
        return self._code.addr

    def _handler(self, name: str) -> int:
        if name not in self._handlers:
            self._handlers[name] = self._address_of(name)
        return self._handlers[name]

    def _fill(self, walked: list[tuple[int, int]], index: Any) -> None:
        records = np.frombuffer(self._insns.bytes, _INSN)
        last = len(walked)
        records["handler"] = self._handler("illegal")
        records["handler"][last] = self._handler("fell_off")
        records["pc"][last] = self.base + self.size
        columns: dict[str, list[int]] = {name: [] for name in _INSN.names or () if name not in ("target", "pad", "b")}
        for address, word in walked:
            for name, value in self._record(address, word).items():
                columns[name].append(value)
        for name, values in columns.items():
            records[name][:last] = values
        offsets = records["pc"][:last] + records["imm"][:last].astype(np.uint64) - np.uint64(self.base)
        targets = offsets >> np.uint64(1)
        inside = targets < len(index)
        numbers = np.where(inside, index[np.where(inside, targets, 0)], NOWHERE)
        numbers = np.where(numbers == NOWHERE, last, numbers).astype(np.uint64)
        records["target"][:last] = np.uint64(self._insns.addr) + numbers * np.uint64(Insn.size)

    def _record(self, address: int, word: int) -> dict[str, int]:
        """The fields of one instruction, but for those that name other instructions."""
        found = decode.fields(word)
        if found is None or not self._runs(found.row):
            record = dict.fromkeys(("imm", "row", "rd", "rs1", "rs2", "rs3", "rm", "vm", "latency", "occupancy"), 0)
            size = 2 if word & 3 != 3 else 4
            return record | {"handler": self._handler("illegal"), "pc": address, "word": word, "size": size, "a": 0}
        row = found.row
        if row.timing == "csr" and found.imm in _FLAG_REGISTERS:
            self.exact = True
        latency, occupancy = timing_of(self._chip, row)
        return {
            "handler": self._handler(row.name), "pc": address, "imm": found.imm, "word": word,
            "row": self._numbers[row], "rd": found.rd, "rs1": found.rs1, "rs2": found.rs2, "rs3": found.rs3,
            "rm": found.rm, "vm": found.vm, "size": found.size, "latency": latency, "occupancy": occupancy,
            "a": self._code.addr,
        }  # fmt: skip

    def _runs(self, row: table.Instruction) -> bool:
        """Whether the hart has the instruction."""
        if row.unit == "hart" and row.meaning is None:
            return False
        return self._vector or not row.timing.startswith("v_")


def timing_of(chip: Chip, row: table.Instruction) -> tuple[int, int]:
    """Latency in cycles and the vector occupancy of a row; of a branch or jump, the cycles when taken."""
    hart, name = chip.hart, row.timing
    if name in ("branch", "jump"):
        return 1 + hart.branch_taken, 1
    if name == "amo":
        return hart.load, 1
    if not name.startswith("v_"):
        return getattr(hart, name, 1), 1
    if name.endswith("_element"):
        return getattr(hart, name.removesuffix("_element"), 1), pack_occupancy(_power(hart.v_element_rate), True)
    factor = hart.v_div_rate if name == "v_div" else 1
    return getattr(hart, name, 1), pack_occupancy(_power(hart.vector_datapath_bits // 8), False, factor)


def _power(rate: int) -> int:
    if rate & (rate - 1):
        raise UserError(f"the hart's vector rates must be powers of two, not {rate}")
    return rate
