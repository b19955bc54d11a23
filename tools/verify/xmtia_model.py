"""A PE as the manual describes it, one instruction after the other: registers, circular buffers, memory, commands.

Time does not exist here. A program whose commands wait for each other as the manual demands leaves on the machine what
this model leaves, whatever runs side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mtia.isa import table
from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import Cause, DType, Form, Info, Space
from mtia.runtime.machine.memory import DRAM_BASE, LS_BASE
from mtia.tools.verify.xmtia_operands import Operand, need
from mtia.tools.verify.xmtia_statements import STATEMENTS, accumulates
from mtia.tools.verify.xmtia_values import Array, as_i64, width_of

__all__ = ["CONTROL", "Hart", "Pe", "Register", "statements"]

_MASK = (1 << 64) - 1


def signed(value: int, bits: int = 64) -> int:
    """The two's complement value of the low bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


@dataclass
class Register:
    """A tile register."""

    form: Form = Form.LOCAL
    cb: int = 0
    side: int = 0
    slot: int = 0
    dtype: int = 0
    flags: int = 0
    offset: int = 0
    rows: int = 0
    cols: int = 0
    rstride: int = 0
    cstride: int = 0
    inc: int = 0
    bits: int = 0
    base: int = 0
    rank: int = 0
    size: list[int] = field(default_factory=lambda: [0] * 4)
    stride: list[int] = field(default_factory=lambda: [0] * 4)
    valid: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * 4)


@dataclass
class Ring:
    """A circular buffer."""

    space: Space
    base: int
    slot_bytes: int
    slots: int
    pushed: int = 0
    popped: int = 0


@dataclass
class Either:
    """Elements of which each may have one of two values: places in a memory, and the values' bits."""

    memory: Array
    places: Array
    low: Array
    high: Array


class Pe:
    """What the harts of a PE share."""

    def __init__(self, chip: Chip, ls: Array, dram: Array, dram_offset: int = 0) -> None:
        self.chip, self.ls, self.dram, self.dram_offset = chip, ls, dram, dram_offset
        self.acc = np.zeros(chip.re.bytes, np.uint8)
        self.rings: dict[int, Ring] = {}
        self.either: list[Either] = []


class Hart:
    """One hart's Xmtia instructions; `x` holds what the last instruction wrote to its destination register."""

    def __init__(self, pe: Pe, core: int = 0, info: dict[Info, int] | None = None) -> None:
        self.pe, self.core, self.info = pe, core, info or {}
        self.td = [Register() for _ in range(32)]
        self.x = 0

    def execute(self, name: str, rs1: int = 0, rs2: int = 0, **fields: int) -> None:
        """Execute an instruction with the values of its source registers and its other fields."""
        if name in CONTROL:
            CONTROL[name](self, rs1 & _MASK, rs2 & _MASK, fields)
            return
        row = table.find(name)
        assert row is not None
        names = [n for n, _ in row.elements if n in row.by_name and row.by_name[n].kind.name == "td"]
        registers = [self.td[fields[n]] for n in names]
        for n, register in zip(names, registers, strict=True):
            written = n != "gd" and row.by_name[n].slot == "rd"
            need(n == "gd" or register.form is not Form.GLOBAL, Cause.FORM)
            need(not written or register.form is Form.LOCAL, Cause.FORM)
        if name in TRANSFERS:
            TRANSFERS[name](self, dict(zip(names, registers, strict=True)))
        else:
            self.store(registers[0], STATEMENTS[name](self.pe.chip, [self.operand(r) for r in registers]))
        self.advance([fields[n] for n in names])

    def receive(self, name: str, sent: Operand, acc: int) -> None:
        """Execute a command that takes what a neighbour's `re.send` names."""
        take(self, {"acc": self.td[acc]}, sent)
        self.advance([acc])

    def advance(self, numbers: Sequence[int]) -> None:
        """Post-increment: each register that a command named, once."""
        for number in set(numbers):
            register = self.td[number]
            if register.form is Form.GLOBAL:
                register.base = register.base + register.inc & _MASK
            else:
                register.offset = register.offset + register.inc & _MASK

    def ring(self, number: int) -> Ring:
        """A circular buffer by its number: 16 and up are the other hart's."""
        index = (self.core << 4) ^ number
        need(index in self.pe.rings, Cause.BUFFER)
        return self.pe.rings[index]

    def places(self, register: Register) -> tuple[Array, Array]:
        """The memory that a local register names, and the places of its elements' bytes (rows, columns, bytes)."""
        ring = self.ring(register.cb)
        need(register.slot < ring.slots, Cause.BUFFER)
        number = (ring.pushed if register.side else ring.popped) + register.slot
        r, c = np.indices((register.rows, register.cols))
        offset = signed(register.offset) + r * register.rstride + c * register.cstride
        size = DType(register.dtype).bytes
        if offset.size:
            need(int(offset.min()) >= 0 and int(offset.max()) + size <= ring.slot_bytes, Cause.BOUNDS)
        start = ring.base + number % ring.slots * ring.slot_bytes
        memory = self.pe.acc if ring.space is Space.RE else self.pe.ls
        return memory, start + offset[..., None] + np.arange(size)

    def operand(self, register: Register) -> Operand:
        """What a command sees of a register at issue."""
        dtype = DType(register.dtype)
        if register.form is Form.IMMEDIATE:
            width = width_of(dtype) if dtype.bytes else np.uint8
            raw = np.array([[register.bits & (1 << 8 * dtype.bytes) - 1]], np.uint64).astype(width)
            return Operand(dtype, raw, Form.IMMEDIATE)
        if register.form is Form.GLOBAL:
            rank = register.rank
            none = np.zeros((0, 0), np.uint8)
            return Operand(dtype, none, Form.GLOBAL, sizes=register.size[:rank], valid=register.valid[:rank])
        memory, places = self.places(register)
        raw = np.zeros(places.shape[:2], np.uint8)
        if dtype.bytes:
            raw = np.ascontiguousarray(memory[places]).view(width_of(dtype)).reshape(places.shape[:2])
        return Operand(dtype, raw, space=self.ring(register.cb).space, flags=register.flags, seed=register.bits)

    def store(self, register: Register, result: Array | tuple[Array, Array]) -> None:
        """Write a destination."""
        memory, places = self.places(register)
        low, high = result if isinstance(result, tuple) else (result, result)
        if low is not high:
            self.pe.either.append(Either(memory, places, as_bytes(low), as_bytes(high)))
        memory[places] = as_bytes(low)


def as_bytes(raw: Array) -> Array:
    """Elements as bytes, in a last dimension."""
    raw = np.ascontiguousarray(raw)
    return raw.view(np.uint8).reshape(*raw.shape, raw.dtype.itemsize)


# The instructions that the hart or the command processor executes, with the values of rs1, rs2 and the fields.
Control = Callable[[Hart, int, int, dict[str, int]], None]


def cb_init(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.pe.rings[(h.core << 4) ^ f["cb"]] = Ring(Space(a >> 32 & 255), a & 0xFFFFFFFF, b & 0xFFFFFFFF, b >> 32 & 0xFFFF)


def cb_push(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.ring(f["cb"]).pushed += 1


def cb_pop(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.ring(f["cb"]).popped += 1


def cb_next(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    cb_push(h, a, b, f)
    cb_pop(h, a, b, f)


def cb_ptr(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    ring = h.ring(f["cb"])
    need(ring.space is Space.LS, Cause.SPACE)
    number = ring.pushed if f["side"] else ring.popped
    h.x = LS_BASE + ring.base + number % ring.slots * ring.slot_bytes


def cb_avail(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    ring = h.ring(f["cb"])
    h.x = ring.pushed - ring.popped


def td_local(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    t = h.td[f["td"]]
    t.form, t.cb, t.side, t.slot = Form.LOCAL, a & 255, a >> 8 & 15, a >> 12 & 15
    t.dtype, t.flags, t.offset = a >> 16 & 255, a >> 24 & 255, b


def td_shape(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    t = h.td[f["td"]]
    t.rows, t.cols, t.rstride, t.cstride = a & 0xFFFFFFFF, a >> 32, signed(b, 32), signed(b >> 32, 32)


def td_off(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.td[f["td"]].offset = a


def td_inc(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.td[f["td"]].inc = signed(a)


def td_imm(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    t = h.td[f["td"]]
    t.form, t.bits, t.dtype = Form.IMMEDIATE, a, b & 255


def td_seed(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.td[f["td"]].bits = a


def gd_base(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    t = h.td[f["gd"]]
    t.form, t.base, t.dtype, t.rank, t.flags = Form.GLOBAL, a, b & 255, b >> 8 & 255, b >> 16 & 255


def gd_addr(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.td[f["gd"]].base = a


def gd_dim(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    t, k = h.td[f["gd"]], f["k"]
    t.size[k], t.stride[k], t.valid[k] = a, signed(b), (0, a)


def gd_clip(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.td[f["gd"]].valid[f["k"]] = signed(a), signed(b)


def gd_fill(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.td[f["gd"]].bits = a


def rdinfo(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    h.x = h.info.get(Info(f["k"]), 0) if f["k"] in set(Info) else 0


def nothing(h: Hart, a: int, b: int, f: dict[str, int]) -> None:
    """Waiting changes no value."""


CONTROL: dict[str, Control] = {
    "xm.cb.init": cb_init, "xm.cb.push": cb_push, "xm.cb.pop": cb_pop, "xm.cb.next": cb_next, "xm.cb.waitr": nothing,
    "xm.cb.waitw": nothing, "xm.cb.ptr": cb_ptr, "xm.cb.avail": cb_avail, "xm.wait": nothing, "xm.barrier": nothing,
    "xm.exit": nothing, "xm.td.local": td_local, "xm.td.shape": td_shape, "xm.td.off": td_off, "xm.td.inc": td_inc,
    "xm.td.imm": td_imm, "xm.td.seed": td_seed, "xm.gd.base": gd_base, "xm.gd.addr": gd_addr, "xm.gd.dim": gd_dim,
    "xm.gd.clip": gd_clip, "xm.gd.fill": gd_fill, "xm.rdinfo": rdinfo,
}  # fmt: skip


def elements(h: Hart, g: Register, rows: Array | None) -> tuple[Array, Array]:
    """Addresses of a global view's elements as rows and columns, and which are valid.

    `rows` replaces the index of dimension 0 for the address, not for the valid range.
    """
    sizes = g.size[: g.rank]
    index = np.array(list(itertools.product(*map(range, sizes))), np.int64).reshape(-1, g.rank)
    valid = np.ones(len(index), bool)
    for k, (low, high) in enumerate(g.valid[: g.rank]):
        valid &= (index[:, k] >= low) & (index[:, k] < high)
    if rows is not None:
        index[:, 0] = rows[index[:, 0]]
    address = g.base - DRAM_BASE - h.pe.dram_offset + index @ np.array(g.stride[: g.rank], np.int64)
    shape = (-1, sizes[-1])
    return address.reshape(shape), valid.reshape(shape)


def transfer(h: Hart, local: Register, g: Register, idx: Register | None) -> tuple[Operand, Array, Array]:
    """Check a transfer; returns the local operand and the places and validity of the global elements."""
    need(g.form is Form.GLOBAL, Cause.FORM)
    for register in (local, idx or local):
        need(register.form is Form.LOCAL, Cause.FORM)
        need(h.ring(register.cb).space is Space.LS, Cause.SPACE)
    operand = h.operand(local)
    size = DType(g.dtype).bytes
    need(size != 0 and size == operand.dtype.bytes, Cause.TYPE)
    rows = None
    if idx is not None:
        index = h.operand(idx)
        need(index.dtype in (DType.I32, DType.I64), Cause.TYPE)
        need(index.shape[1] == 1 and index.shape[0] >= operand.shape[0], Cause.SHAPE)
        rows = as_i64(index.raw, index.dtype)[:, 0]
    address, valid = elements(h, g, rows)
    need(operand.shape == address.shape, Cause.SHAPE)
    inside = (address >= 0) & (address + size <= h.pe.dram.size)
    need(bool(inside[valid].all()), Cause.BOUNDS)
    return operand, np.where(valid, address, 0)[..., None] + np.arange(size), valid


def bring(h: Hart, r: dict[str, Register]) -> None:
    """dma.in and dma.ini."""
    _, places, valid = transfer(h, r["d"], r["gd"], r.get("idx"))
    raw = as_bytes(np.array([r["gd"].bits & _MASK], np.uint64))[0, : places.shape[-1]]
    h.store(r["d"], np.where(valid[..., None], h.pe.dram[places], raw).view(width_of(DType(r["gd"].dtype)))[..., 0])


def send_out(h: Hart, r: dict[str, Register]) -> None:
    """dma.out and dma.outi; rows ascending."""
    operand, places, valid = transfer(h, r["s"], r["gd"], r.get("idx"))
    for row, bytes_, keep in zip(places, as_bytes(operand.raw), valid, strict=True):
        h.pe.dram[row[keep]] = bytes_[keep]


def prefetch(h: Hart, r: dict[str, Register]) -> None:
    """dma.pre changes no value."""
    need(r["gd"].form is Form.GLOBAL, Cause.FORM)
    need(DType(r["gd"].dtype).bytes != 0, Cause.TYPE)


def take(h: Hart, r: dict[str, Register], other: Operand) -> None:
    """re.recv of what a neighbour's re.send names."""
    h.store(r["acc"], accumulates(h.operand(r["acc"]), other))


TRANSFERS: dict[str, Any] = {
    "xm.dma.in": bring, "xm.dma.ini": bring, "xm.dma.out": send_out, "xm.dma.outi": send_out,
    "xm.dma.pre": prefetch, "xm.re.send": lambda h, r: None, "xm.re.recv": None,  # see Hart.receive
}  # fmt: skip


def statements() -> set[str]:
    """The mnemonics that have a statement."""
    return set(CONTROL) | set(TRANSFERS) | set(STATEMENTS)
