"""Programs of several harts: producer and consumer through a circular buffer, neighbours' accumulators, barriers.

Each is a random program whose outcome does not depend on time; the models of its harts are run one after the other in
an order in which nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mtia.isa.chip import load_chip
from mtia.isa.xmtia.codes import DType, Info, Space
from mtia.runtime.machine.memory import DRAM_BASE
from mtia.tools.verify.unit_programs import DATA, Outcome, Pool, Script, device, run
from mtia.tools.verify.xmtia_model import Hart, Pe
from mtia.tools.verify.xmtia_values import Array, as_f32, from_f32, random_elements

__all__ = ["PROGRAMS", "Cluster", "difference"]

TYPES = (DType.F32, DType.F16, DType.BF16, DType.I32, DType.U8)
RIGHT, DOWN, LEFT, UP = range(4)


class Actor:
    """A hart of a cluster: its script and its model."""

    def __init__(self, pool: Pool, pe: Pe, core: int, info: dict[Info, int]) -> None:
        self.script, self.hart = Script(pool), Hart(pe, core, info)

    def do(self, name: str, rs1: int | None = None, rs2: int | None = None, **fields: int) -> None:
        """Issue an instruction; the model executes it at once."""
        self.script.do(name, rs1, rs2, **fields)
        self.hart.execute(name, rs1 or 0, rs2 or 0, **fields)

    def tile(self, td: int, cb: int, dtype: DType, shape: tuple[int, int], *, side: int = 1, offset: int = 0) -> None:
        """A dense view of a buffer's current slot."""
        self.do("xm.td.local", cb | side << 8 | int(dtype) << 16, offset, td=td)
        strides = shape[1] * dtype.bytes | dtype.bytes << 32
        self.do("xm.td.shape", shape[0] | shape[1] << 32, strides, td=td)
        self.do("xm.td.inc", 0, td=td)


class Cluster:
    """Harts on one or more PEs with the same first bytes in local memory, and a buffer of device memory."""

    def __init__(self, chip: str, rng: np.random.Generator, remote: int = 1 << 14) -> None:
        self.name, self.chip, self.rng, self.pool = chip, load_chip(chip), rng, Pool()
        self.first = rng.integers(0, 256, self.chip.ls.bytes - 2 * 8192, np.uint8)
        self.first_dram = rng.integers(0, 256, remote, np.uint8)
        self.buffer = device(chip).alloc(remote)
        self.dram = self.first_dram.copy()
        self.pes: dict[int, Pe] = {}
        self.actors: dict[tuple[int, int], Actor] = {}

    def actor(self, pe: int, core: int = 0) -> Actor:
        """The hart of this PE and core."""
        if pe not in self.pes:
            self.pes[pe] = Pe(self.chip, self.first.copy(), self.dram, self.buffer.address - DRAM_BASE)
        if (pe, core) not in self.actors:
            self.actors[pe, core] = Actor(self.pool, self.pes[pe], core, {})
        return self.actors[pe, core]

    def put(self, offset: int, raw: Array) -> None:
        """First bytes of every PE's local memory; before the harts are made."""
        data = np.ascontiguousarray(raw).view(np.uint8).ravel()
        self.first[offset : offset + data.size] = data

    def run(self, interpreter: str) -> Outcome:
        device(self.name).view(self.buffer)[:] = self.first_dram
        scripts = {key: actor.script for key, actor in sorted(self.actors.items())}
        return run(self.name, scripts, self.first[DATA:].tobytes(), interpreter)

    def difference(self, interpreter: str = "fast") -> tuple[str | None, int]:
        """What is not as the models left it, or None; and the cycles."""
        outcome = self.run(interpreter)
        end = self.first.size
        if outcome.trap is not None:
            return str(outcome.trap), 0
        for index, pe in self.pes.items():
            if (pe.ls[DATA:end] != outcome.ls[index, DATA:end]).any():
                return f"local memory of PE {index}", outcome.cycles
            if (pe.acc != outcome.acc[index]).any():
                return f"accumulators of PE {index}", outcome.cycles
        if (device(self.name).view(self.buffer) != self.dram).any():
            return "device memory", outcome.cycles
        return None, outcome.cycles


def stream(c: Cluster) -> None:
    """Hart A fills a buffer slot by slot, hart B takes from it: a DMA or a unit writes, another unit reads."""
    rng = c.rng
    dtype = TYPES[int(rng.integers(0, len(TYPES)))]
    shape = (int(rng.integers(1, 9)), int(rng.integers(1, 33)))
    size = shape[0] * shape[1] * dtype.bytes
    slots, turns = int(rng.integers(1, 5)), int(rng.integers(1, 12))
    ring, out = DATA, DATA + slots * size
    give, take = c.actor(0, 0), c.actor(0, 1)
    space = ring | Space.LS << 32
    by_dma = rng.random() < 0.5
    give.do("xm.cb.init", space, size | slots << 32, cb=0)
    give.do("xm.cb.init", out + turns * size, turns * size | 1 << 32, cb=1)
    give.tile(0, 0, dtype, shape)
    give.do("xm.gd.base", c.buffer.address, int(dtype) | 1 << 8, gd=8)
    give.do("xm.gd.dim", shape[0] * shape[1], dtype.bytes, gd=8, k=0)
    give.do("xm.td.inc", size, td=8)
    give.tile(1, 1, dtype, shape)
    give.do("xm.td.inc", size, td=1)
    if by_dma:
        give.tile(0, 0, dtype, (1, shape[0] * shape[1]))
    take.do("xm.barrier", 1)
    give.do("xm.barrier", 1)  # the buffer is defined
    take.do("xm.cb.init", out, size * turns | 1 << 32, cb=2)
    take.tile(4, 16, dtype, shape, side=0)
    take.tile(5, 2, dtype, shape)
    take.do("xm.td.inc", size, td=5)
    command = ("xm.se.cvt", "xm.mlu.copy")[int(rng.integers(0, 2))]
    for _ in range(turns):
        if by_dma:
            give.do("xm.dma.in", d=0, gd=8)
        else:
            give.do("xm.se.neg", d=0, a=1)
        give.do("xm.cb.push", cb=0)
        take.do(command, d=5, a=4)
        take.do("xm.cb.pop", cb=16)


def exchange(c: Cluster) -> None:
    """Accumulators go to a neighbour, which adds them, and on to the next; a sum along a row or a column."""
    rng, cols = c.rng, c.chip.grid.cols
    vertical = rng.random() < 0.4
    count = int(rng.integers(2, 4))
    chain = [n * cols for n in range(count)] if vertical else list(range(count))
    forth, back = (DOWN, UP) if vertical else (RIGHT, LEFT)
    if rng.random() < 0.5:
        chain, forth, back = chain[::-1], back, forth
    dtype = (DType.F32, DType.I32)[int(rng.integers(0, 2))]
    shape = (int(rng.integers(1, 17)), int(rng.integers(1, 40)))
    size = shape[0] * shape[1] * 4
    values = random_elements(rng, dtype, (count, *shape))
    if dtype is DType.F32:
        values = from_f32(as_f32(values, dtype), dtype)
    c.put(DATA, values)
    for pe in range(max(chain) + 1):
        actor = c.actor(pe)
        if pe not in chain:
            continue
        actor.do("xm.cb.init", DATA + chain.index(pe) * size, size | 1 << 32, cb=0)
        actor.do("xm.cb.init", Space.RE << 32, size | 1 << 32, cb=1)
        actor.tile(0, 0, dtype, shape)
        actor.tile(1, 1, dtype, shape)
        actor.do("xm.re.load", acc=1, a=0)
    for before, after in zip(chain, chain[1:], strict=False):
        sent = c.actor(before).hart.operand(c.actor(before).hart.td[1])
        c.actor(before).do("xm.re.send", acc=1, dir=forth)
        c.actor(after).script.do("xm.re.recv", acc=1, dir=back)
        c.actor(after).hart.receive("xm.re.recv", sent, acc=1)
    c.actor(chain[-1]).do("xm.re.drain", d=0, acc=1)


def meeting(c: Cluster) -> None:
    """PEs write to device memory, meet at a barrier, and read what the others wrote; the last word is `xm.exit`."""
    rng = c.rng
    count, rounds = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    size = int(rng.integers(1, 17)) * 4
    for pe in range(count):
        actor = c.actor(pe)
        actor.do("xm.cb.init", DATA, size | 8 << 32, cb=0)
        actor.tile(0, 0, DType.F32, (1, size // 4))
        actor.do("xm.gd.base", 0, int(DType.F32) | 1 << 8, gd=1)
        actor.do("xm.gd.dim", size // 4, 4, gd=1, k=0)
    for turn in range(rounds):
        for pe in range(count):
            actor = c.actor(pe)
            actor.do("xm.td.imm", int(rng.integers(0, 1 << 23)), int(DType.F32), td=2)
            actor.do("xm.mlu.fill", d=0, a=2)
            actor.do("xm.gd.addr", c.buffer.address + (turn * 8 + pe) * size, gd=1)
            actor.do("xm.dma.out", gd=1, s=0)
            actor.do("xm.barrier", 7 * turn)
        for pe in range(count):
            actor = c.actor(pe)
            actor.do("xm.cb.next", cb=0)
            actor.do("xm.gd.addr", c.buffer.address + (turn * 8 + (pe + 1) % count) * size, gd=1)
            actor.do("xm.dma.in", d=0, gd=1)
            actor.do("xm.cb.next", cb=0)
    for pe in range(count):
        c.actor(pe).script.instruction("xm.exit")
        c.actor(pe).script.do("xm.mlu.fill", d=0, a=2)  # never reached


PROGRAMS: dict[str, Callable[[Cluster], None]] = {"stream": stream, "exchange": exchange, "meeting": meeting}


def difference(chip: str, seed: int, number: int, both: bool = False) -> str | None:
    """Make and run a program; what differs from the models, or between the interpreters, or None."""
    name = list(PROGRAMS)[number % len(PROGRAMS)]
    cluster = Cluster(chip, np.random.default_rng((seed, number)))
    try:
        PROGRAMS[name](cluster)
        found, cycles = cluster.difference()
        if found is None and both:
            found, slow = cluster.difference("reference")
            found = found or (None if slow == cycles else f"the interpreters differ: {cycles}, {slow} cycles")
    finally:
        device(chip).free(cluster.buffer)
    return None if found is None else f"{chip} --seed {seed}, {name} {number}: {found}"
