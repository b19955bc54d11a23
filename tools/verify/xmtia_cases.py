"""Random programs of unit commands for one hart, and the model's answer to them.

A case is a command on operands of random types, shapes, views, slots and increments, issued one to three times; a batch
has as many cases as local memory holds. Cases do not wait for each other unless the manual asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mtia.isa import table
from mtia.isa.chip import Chip, load_chip
from mtia.isa.xmtia.codes import DType, Info, Space, Unit
from mtia.runtime.machine.memory import DRAM_BASE
from mtia.tools.verify.unit_programs import DATA, Outcome, Script, device, run
from mtia.tools.verify.xmtia_model import Either, Hart, Pe, as_bytes
from mtia.tools.verify.xmtia_values import Array, random_elements

__all__ = ["Batch", "Case", "Full", "Tile"]

STACK = 8192
DRAM_BYTES = 1 << 20  # half of it to read, half of it to write
VALUES = 150  # constants that one case needs at most
WORDS = 12000  # instructions after which a batch takes no more cases
UNIT_BITS = {"fi.read": Unit.FI_IN, "fi.write": Unit.FI_OUT, "mlu": Unit.MLU, "dpe": Unit.DPE, "re": Unit.RE,
             "se": Unit.SE}  # fmt: skip
_T0 = 5


class Full(Exception):
    """The batch has no room for another case."""


@dataclass(frozen=True)
class Case:
    """A case of a batch: its command, and where its local, accumulator and device memory begin."""

    name: str
    ls: int
    acc: int
    dram: int

    @property
    def starts(self) -> tuple[int, int, int]:
        return self.ls, self.acc, self.dram


@dataclass
class Tile:
    """An operand that has been set up: its tile register and its circular buffer's number."""

    td: int
    cb: int = -1
    reads: bool = False  # it names the read side


class Batch:
    """A program of one hart on one PE, made and modelled side by side."""

    def __init__(self, chip: str, rng: np.random.Generator) -> None:
        self.chip: Chip = load_chip(chip)
        self.rng = rng
        self.script = Script()
        self.limit = self.chip.ls.bytes - STACK
        self.first = rng.integers(0, 256, self.chip.ls.bytes, np.uint8)
        self.first_dram = rng.integers(0, 256, DRAM_BYTES, np.uint8)
        self.buffer = device(chip).alloc(DRAM_BYTES)
        self.pe = Pe(self.chip, self.first.copy(), self.first_dram.copy(), self.buffer.address - DRAM_BASE)
        info = {Info.PES: 1, Info.CORES: 1, Info.ROWS: self.chip.grid.rows, Info.COLS: self.chip.grid.cols}
        self.hart = Hart(self.pe, info=info)
        self.free = {Space.LS: DATA, Space.RE: 0}
        self.remote = [0, DRAM_BYTES // 2]
        self.tds, self.cbs = 0, 0
        self.cases: list[Case] = []
        self.log: list[str] = []

    def start(self, name: str, rng: np.random.Generator) -> None:
        """Begin a case of a command, with numbers of its own."""
        if self.script.pool.room < VALUES or len(self.script.words) > WORDS:
            raise Full
        self.rng = rng
        self.cases.append(Case(name, self.free[Space.LS], self.free[Space.RE], self.remote[1]))

    def do(self, name: str, rs1: int | None = None, rs2: int | None = None, **fields: int) -> None:
        """Issue an instruction, on the machine and in the model."""
        given = [f"{k}={v:#x}" for k, v in (("rs1", rs1), ("rs2", rs2)) if v is not None]
        self.log.append(" ".join([name, *(f"{k}={v}" for k, v in fields.items()), *given]))
        self.script.do(name, rs1, rs2, **fields)
        self.hart.execute(name, rs1 or 0, rs2 or 0, **fields)

    def allocate(self, space: Space, size: int, align: int = 1) -> int:
        """Room in local or accumulator memory, with a few bytes around it that nothing may touch."""
        start = -(-self.free[space] // align) * align
        self.free[space] = start + size + int(self.rng.integers(0, 9)) * (4 if space is Space.RE else 1)
        if self.free[space] > (self.limit if space is Space.LS else self.chip.re.bytes):
            raise Full
        return start

    def next_td(self) -> int:
        self.tds += 1
        return self.tds % 32

    def next_cb(self) -> int:
        self.cbs += 1
        return self.cbs % 32

    def result(self) -> None:
        """Store the register t0 in local memory, where it is compared."""
        offset = self.allocate(Space.LS, 8)
        self.script.store(_T0, offset)
        self.pe.ls[offset : offset + 8] = np.array([self.hart.x & (1 << 64) - 1], np.uint64).view(np.uint8)

    def ask(self, name: str, **fields: int) -> None:
        """An instruction whose destination register is compared."""
        self.do(name, rd=_T0, **fields)
        self.result()

    def put(self, places: Array, raw: Array) -> None:
        """Give fresh local memory its first bytes."""
        self.first[places] = raw
        self.pe.ls[places] = raw

    def strides(self, rows: int, cols: int, size: int, source: bool, unit: int) -> tuple[int, int]:
        """A view: dense, transposed, spread, reversed, or (of a source) broadcast; `unit` divides the strides."""
        rng = self.rng
        kind = int(rng.integers(0, 8))
        gap = int(rng.integers(0, 3)) * (unit if unit > 1 else int(rng.choice([1, size])))
        row, col = cols * size + gap, size
        if kind == 1:
            row, col = size, rows * size + gap
        elif kind == 2:
            col = size * int(rng.integers(2, 4))
            row = col * cols + gap
        elif kind == 3 and unit == 1:
            col = size + int(rng.integers(1, 4))
            row = col * cols + gap
        elif kind == 4 and source:
            row, col = [(0, size), (row, 0), (0, 0)][int(rng.integers(0, 3))]
        if rng.random() < 0.15:
            row = -row
        if rng.random() < 0.15:
            col = -col
        return row, col

    def tile(
        self, dtype: DType, shape: tuple[int, int], *, space: Space = Space.LS, source: bool = True, inc: bool = True,
        flags: int = 0, raw: Array = None, mode: int | None = None,
    ) -> Tile:  # fmt: skip
        """A view of fresh memory that holds random values of the type, or `raw`, wherever the view will come."""
        rng, size = self.rng, dtype.bytes
        unit = 4 if space is Space.RE else 1
        row, col = self.strides(*shape, size, source, unit)
        corners = [r * row + c * col for r in (0, max(shape[0] - 1, 0)) for c in (0, max(shape[1] - 1, 0))]
        span = max(corners) - min(corners) + size
        step = 0
        if inc and raw is None and rng.random() < 0.4:
            step = int(rng.choice([-1, 1])) * int(rng.choice([unit, size, span + unit * 3]))
        before = int(rng.integers(0, 4)) * unit
        slot_bytes = before + span + 2 * abs(step) + int(rng.integers(0, 4)) * unit
        slots = int(rng.integers(1, 5))
        if space is Space.RE:
            slot_bytes = -(-slot_bytes // 4) * 4
        start = self.allocate(space, slots * slot_bytes, unit)
        self.fill(space, start, slots * slot_bytes, dtype, mode)
        tile = Tile(self.next_td(), self.next_cb(), bool(rng.random() < 0.3))
        self.do("xm.cb.init", start | space << 32, slot_bytes | slots << 32, cb=tile.cb)
        ahead = self.turn(tile, slots)
        offset = before - min(corners) + (-2 * step if step < 0 else 0)
        self.local(tile, dtype, shape, (row, col), offset, ahead, step, flags)
        if raw is not None:
            self.put(self.hart.places(self.hart.td[tile.td])[1], as_bytes(raw))
        elif space is Space.LS:
            self.seed_values(tile, dtype, mode)
        return tile

    def fill(self, space: Space, start: int, size: int, dtype: DType, mode: int | None) -> None:
        """Give accumulators values, by `re.load`; local memory gets its own where the view lies."""
        if space is Space.LS:
            return
        dtype = dtype if dtype is DType.I32 else DType.F32
        source = self.allocate(Space.LS, size)
        raw = random_elements(self.rng, dtype, (size // 4,), mode)
        self.put(np.arange(source, source + size), raw.view(np.uint8))
        held, shown = Tile(self.next_td(), self.next_cb()), Tile(self.next_td(), self.next_cb())
        self.do("xm.wait", 0)
        self.do("xm.cb.init", start | Space.RE << 32, size | 1 << 32, cb=held.cb)
        self.do("xm.cb.init", source, size | 1 << 32, cb=shown.cb)
        for tile in (held, shown):
            self.local(tile, dtype, (1, size // 4), (size, 4), 0, 0, 0, 0)
        self.do("xm.re.load", acc=held.td, a=shown.td)
        self.do("xm.wait", 0)  # other buffers will name the same accumulators

    def seed_values(self, tile: Tile, dtype: DType, mode: int | None) -> None:
        """Put values of the type under the view as it will be for each of up to three commands."""
        register = self.hart.td[tile.td]
        offset = register.offset
        for _ in range(3):
            places = self.hart.places(register)[1]
            self.put(places, as_bytes(random_elements(self.rng, dtype, places.shape[:2], mode)))
            register.offset = register.offset + register.inc & (1 << 64) - 1
        register.offset = offset

    def turn(self, tile: Tile, slots: int) -> int:
        """Move the buffer's pointers; returns how many slots ahead the operand lies."""
        ahead, turns = int(self.rng.integers(0, slots)), int(self.rng.integers(0, 2 * slots + 1))
        if tile.reads:
            for _ in range(turns):
                self.do("xm.cb.push", cb=tile.cb)
                self.do("xm.cb.pop", cb=tile.cb)
            for _ in range(ahead + 1):
                self.do("xm.cb.push", cb=tile.cb)
        else:
            for _ in range(turns):
                self.do("xm.cb.next", cb=tile.cb)
        return ahead

    def local(
        self, tile: Tile, dtype: int, shape: tuple[int, int], strides: tuple[int, int], offset: int, ahead: int,
        step: int, flags: int,
    ) -> None:  # fmt: skip
        """Set a tile register up."""
        td = tile.td
        word = tile.cb | (not tile.reads) << 8 | ahead << 12 | int(dtype) << 16 | flags << 24
        later = self.rng.random() < 0.3
        self.do("xm.td.local", word, 0 if later else offset, td=td)
        if later:
            self.do("xm.td.off", offset, td=td)
        packed = strides[0] & 0xFFFFFFFF | (strides[1] & 0xFFFFFFFF) << 32
        self.do("xm.td.shape", shape[0] | shape[1] << 32, packed, td=td)
        self.do("xm.td.inc", step, td=td)
        if flags:
            self.do("xm.td.seed", int(self.rng.integers(0, 1 << 32)), td=td)

    def immediate(self, dtype: DType, mode: int | None = None) -> Tile:
        """An immediate of random bits."""
        td = self.next_td()
        raw = int(random_elements(self.rng, dtype, (1,), mode)[0])
        self.do("xm.td.imm", raw, int(dtype), td=td)
        return Tile(td)

    def transfer_view(self, dtype: DType, rank: int, indexed: bool, write: bool) -> tuple[int, int, int]:
        """A view of device memory in a global register; returns the register, rows and columns."""
        rng, size = self.rng, dtype.bytes
        sizes = [int(rng.integers(1, 5)) for _ in range(rank - 1)] + [int(rng.integers(1, 24))]
        strides = [0] * rank
        room = size
        order = list(rng.permutation(rank)) if rng.random() < 0.3 else list(range(rank))[::-1]
        for k in order:
            strides[k] = room + int(rng.integers(0, 2)) * int(rng.integers(0, 9))
            room = strides[k] * sizes[k]
        if not write and rng.random() < 0.2:
            strides[int(rng.integers(0, rank))] = 0
        signs = [int(rng.choice([1, 1, 1, -1])) for _ in range(rank)]
        strides = [s * sign for s, sign in zip(strides, signs, strict=True)]
        reach = [abs(strides[k]) * (12 if indexed and k == 0 else sizes[k]) for k in range(rank)]
        total = sum(reach) + size
        start = self.remote[write]
        self.remote[write] = start + 2 * total
        if self.remote[write] > (write + 1) * DRAM_BYTES // 2:
            raise Full
        gd = self.next_td()
        address = self.buffer.address + start + total
        self.do("xm.gd.base", 0 if rng.random() < 0.3 else address, int(dtype) | rank << 8, gd=gd)
        self.do("xm.gd.addr", address, gd=gd)
        for k in range(rank):
            self.do("xm.gd.dim", sizes[k], strides[k], gd=gd, k=k)
            if rng.random() < 0.4:
                low = int(rng.integers(-2, sizes[k] + 1))
                self.do("xm.gd.clip", low, int(rng.integers(low - 1, sizes[k] + 3)), gd=gd, k=k)
        self.do("xm.gd.fill", int(rng.integers(0, 1 << 63)), gd=gd)
        self.do("xm.td.inc", 0, td=gd)
        return gd, int(np.prod(sizes[:-1])), sizes[-1]

    def settle(self, name: str, tile: Tile | None) -> None:
        """Sometimes let the hart wait for a destination in local memory and read its first byte."""
        if tile is None or tile.cb < 0 or self.rng.random() > 0.3:
            return
        register = self.hart.td[tile.td]
        ring = self.hart.ring(register.cb)
        if ring.space is Space.RE or not register.rows or not register.cols:
            return
        back = register.offset - register.inc & (1 << 64) - 1
        row = table.find(name)
        assert row is not None
        if register.slot == 0 and self.rng.random() < 0.5:
            self.do("xm.cb.waitr" if tile.reads else "xm.cb.waitw", cb=tile.cb)
        else:
            self.do("xm.wait", self.rng.choice([0, 1 << UNIT_BITS[row.timing]]).item())
        number = (ring.pushed if register.side else ring.popped) + register.slot
        place = ring.base + number % ring.slots * ring.slot_bytes + back
        if any(e.memory is self.pe.ls and (e.places == place).any() for e in self.pe.either):
            return
        self.script.load(_T0, 0x1000_0000 + place)
        self.script.instruction("lbu", rd=_T0, rs1=_T0, imm=0)
        self.hart.x = int(self.pe.ls[place])
        self.result()

    def go_on(self, tile: Tile) -> None:
        """Sometimes move on to the next slot of an operand's buffer."""
        if tile.cb >= 0 and self.rng.random() < 0.3:
            self.do("xm.cb.next", cb=tile.cb)

    def run(self, interpreter: str = "fast") -> Outcome:
        """Run the program on the machine."""
        device(self.chip.name).view(self.buffer)[:] = self.first_dram
        return run(self.chip.name, self.script, self.first[DATA : self.limit].tobytes(), interpreter)

    def release(self) -> None:
        """Give the device memory back."""
        device(self.chip.name).free(self.buffer)

    def differences(self, outcome: Outcome) -> list[int]:
        """The cases in whose memory the machine and the model differ by a byte; -1 for what belongs to none."""
        if outcome.trap is not None:
            return [-1]
        remote = device(self.chip.name).view(self.buffer)
        parts = ((self.pe.ls, outcome.ls[0], 0), (self.pe.acc, outcome.acc[0], 1), (self.pe.dram, remote, 2))
        found: set[int] = set()
        for expected, actual, part in parts:
            expected = expected.copy()
            for choice in self.pe.either:
                if choice.memory is (self.pe.ls, self.pe.acc, self.pe.dram)[part]:
                    settle_either(choice, expected, actual)
            wrong = np.flatnonzero(expected != actual)
            wrong = wrong[(wrong >= DATA) & (wrong < self.limit)] if part == 0 else wrong
            starts = [case.starts[part] for case in self.cases]
            found |= {int(np.searchsorted(starts, place, "right")) - 1 for place in wrong[:1000]}
        return sorted(found)


def settle_either(choice: Either, expected: Array, actual: Array) -> None:
    """Take the machine's elements where each is one of the two that may be."""
    have = actual[choice.places]
    fits = (have == choice.low).all(axis=-1) | (have == choice.high).all(axis=-1)
    expected[choice.places] = np.where(fits[..., None], have, choice.low)
