"""Programs as harts run them: a text section decoded once to `Insn` records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from mtia.isa import decode, table
from mtia.isa.chip import Chip
from mtia.isa.lang import Memory
from mtia.isa.operands import KINDS
from mtia.isa.state import Insn

from .hart_handlers import GROUPS, NOWHERE, Code, dense_name, dense_sizes
from .hart_pairs import NAMES, first_of, pair_name
from .hart_timing import TIMINGS, is_dense, is_vector, timing_of

__all__ = ["TIMINGS", "Make", "Program"]

Make = Callable[[], bytes]

_DTYPES = {"u8": "u1", "u16": "u2", "u32": "u4", "u64": "u8", "i64": "i8"}
_INSN: Any = np.dtype(
    {
        "names": list(Insn.fields),
        "formats": [_DTYPES[f.type.name] for f in Insn.fields.values()],
        "offsets": [f.offset for f in Insn.fields.values()],
        "itemsize": Insn.size,
    }
)
_UNUSED = ("imm", "row", "rd", "rs1", "rs2", "rs3", "rm", "vm", "latency", "occupancy", "a", "b")
_VECTOR_REGISTERS = {number for name, number in KINDS["csr"].names.items() if name.startswith("v")}
_FLAG_REGISTERS = {KINDS["csr"].names[name] for name in ("fflags", "fcsr")}


class Program:
    """A decoded text section; `addr` is its `Code`, `exact` says that it looks at floating-point flags.

    `address_of` maps a row's name (or `illegal`, `fell_off`) to the handler's address, native or reference. Without
    `vector`, vector instructions are illegal. `prepare` hears which handlers will be asked for, and `keep` may know the
    records of a text from an earlier run.
    """

    def __init__(
        self, text: bytes, base: int, chip: Chip, address_of: Callable[[str], int], vector: bool = True,
        prepare: Callable[[Iterable[str]], None] | None = None, keep: Callable[[str, Make], bytes] | None = None,
    ) -> None:  # fmt: skip
        self.base, self.size = base, len(text)

        def make() -> bytes:
            return _Decoder(base, chip, vector).records(text)

        what = f"{base} {vector} {chip!r}".encode() + text
        data = make() if keep is None else keep(f"program-{hashlib.sha256(what).hexdigest()[:32]}", make)
        start = 8 + int.from_bytes(data[:8], "little")
        handlers, self.exact = json.loads(data[8:start])
        self.handlers: list[str] = handlers
        self._insns = Memory(len(data) - start)
        self._insns.bytes[:] = data[start:]
        records = self.records
        self._index = Memory(4 * max(-(-self.size // 2), 1))
        index = np.frombuffer(self._index.bytes, np.uint32)
        index[:] = NOWHERE
        index[(records["pc"][:-1] - np.uint64(base)) >> np.uint64(1)] = np.arange(len(records) - 1, dtype=np.uint32)
        if prepare is not None:
            prepare(handlers)
        self._code = Code.alloc()
        code = Code.view(self._code.addr)
        code.base, code.size, code.insns, code.index = base, self.size & ~1, self._insns.addr, self._index.addr
        self._addresses = {name: address_of(name) for name in handlers}
        records["handler"] = np.array([self._addresses[name] for name in handlers], np.uint64)[records["handler"]]
        records["target"] = np.uint64(self._insns.addr) + records["target"] * np.uint64(Insn.size)
        records["a"] *= np.uint64(self._code.addr)

    @property
    def addr(self) -> int:
        """Host address of the `Code`."""
        return self._code.addr

    @property
    def insns(self) -> int:
        """Host address of the first `Insn`."""
        return self._insns.addr

    def alone(self) -> Any:
        """The instructions' handlers without those of pairs, for who must see every instruction."""
        handlers = self.records["handler"].copy()
        for name, address in self._addresses.items():
            handlers[handlers == address] = self._addresses[first_of(name)]
        return handlers

    @property
    def records(self) -> Any:
        """The instructions as a numpy array with the fields of `Insn`; the last stands behind the end of the text."""
        return np.frombuffer(self._insns.bytes, _INSN)

class _Decoder:
    """Makes the records of a text section, in which handlers and targets are numbers instead of addresses."""

    def __init__(self, base: int, chip: Chip, vector: bool) -> None:
        self.base, self.exact = base, False
        self._chip, self._vector = chip, vector
        self._numbers = {row: number for number, row in enumerate(table.all())}

    def records(self, text: bytes) -> bytes:
        """The names of the handlers and `Program.exact` as JSON after its length, then the records."""
        walked = list(decode.walk(text, self.base))
        last = len(walked)
        records = np.zeros(last + 1, _INSN)
        records["pc"][last] = self.base + len(text)
        columns: dict[str, list[int]] = {
            name: [] for name in _INSN.names or () if name not in ("handler", "target", "pad")
        }
        handlers = []
        group = (0, 0)
        for address, word in walked:
            group = _group_after(word, group)
            handler, record = self._record(address, word, group)
            handlers.append(handler)
            for name, value in record.items():
                columns[name].append(value)
        for name, values in columns.items():
            records[name][:last] = values
        joined = map(pair_name, handlers, handlers[1:])
        paired = [pair if pair in NAMES else alone for pair, alone in zip(joined, handlers, strict=False)]
        handlers = [*paired, *handlers[-1:]]
        names = sorted({*handlers, *map(first_of, handlers), "illegal", "fell_off"})
        place = {name: number for number, name in enumerate(names)}
        records["handler"] = [place[name] for name in (*handlers, "fell_off")]
        records["target"] = last
        numbers = {address: number for number, (address, _) in enumerate(walked)}
        targets = (records["pc"][:last] + records["imm"][:last].astype(np.uint64)).tolist()
        records["target"][:last] = [numbers.get(target & ~1, last) for target in targets]
        head = json.dumps([names, self.exact]).encode()
        return len(head).to_bytes(8, "little") + head + records.tobytes()

    def _record(self, address: int, word: int, group: tuple[int, int]) -> tuple[str, dict[str, int]]:
        """One instruction's handler and the fields of its record, but for those that name other instructions.

        `group` is the element width and group size that the code around it seems to run with: it chooses a dense
        handler, which looks again.
        """
        found = decode.fields(word)
        if found is None or not self._runs(found.row, found.imm):
            record = dict.fromkeys(("imm", "row", "rd", "rs1", "rs2", "rs3", "rm", "vm", "latency", "occupancy"), 0)
            size = 2 if word & 3 != 3 else 4
            return "illegal", record | {"pc": address, "word": word, "size": size, "a": 0, "b": 0}
        row = found.row
        if "csr" in row.by_name and found.imm in _FLAG_REGISTERS:
            self.exact = True
        latency, occupancy = timing_of(self._chip, row)
        name, registers = row.name, self._dense(found, group) if is_dense(self._chip, occupancy) else 0
        if registers:
            name = dense_name(row, group[0], registers)
        return name, {
            "pc": address, "imm": found.imm, "word": word,
            "row": self._numbers[row], "rd": found.rd, "rs1": found.rs1, "rs2": found.rs2, "rs3": found.rs3,
            "rm": found.rm, "vm": found.vm, "size": found.size, "latency": latency, "occupancy": occupancy,
            "a": 1, "b": 0,
        }  # fmt: skip

    def _dense(self, found: decode.Fields, group: tuple[int, int]) -> int:
        """The registers of a group when the dense handler for it fits the instruction, else 0."""
        size, registers = group
        row = found.row
        if not found.vm or size not in dense_sizes(row) or registers not in GROUPS[size]:
            return 0
        numbers = [getattr(found, o.slot) for o in row.operands if o.kind.name == "v"]
        return registers if all(number % registers == 0 for number in numbers) else 0

    def _runs(self, row: table.Instruction, imm: int) -> bool:
        """Whether the hart has the instruction, and the control register that it names."""
        if row.unit == "hart" and row.meaning is None:
            return False
        return self._vector or not (is_vector(row) or ("csr" in row.by_name and imm in _VECTOR_REGISTERS))


def _group_after(word: int, group: tuple[int, int]) -> tuple[int, int]:
    """Element bytes and registers of a group after an instruction in straight-line code; (0, 0) if unknown."""
    found = decode.fields(word)
    if found is None or found.row.timing != "vset":
        return group
    if "vlmul" not in found.row.by_name or found.imm & 7 > 3:
        return 0, 0
    return 1 << (found.imm >> 3 & 7), 1 << (found.imm & 7)
