"""Random programs out of the instruction table."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from mtia.isa import encode, table
from mtia.isa.operands import Operand
from mtia.isa.table import Instruction

from . import shapes
from .program import EDGE, MOST_CHECKPOINTS, Item, Jump, Layout, Loop, Node, Program, Roles, Straight, items, word
from .quirks import FLOATS, quirk_of
from .rows import base_row, rows_of, vector_rows
from .values import KINDS, Store

__all__ = ["Generator"]

# How often a kind of instruction is chosen in straight code.
_WEIGHTS = {
    "integer": 24, "memory": 10, "atomic": 4, "float": 18, "csr": 4, "vector": 28, "vmemory": 12,
}  # fmt: skip
_CSR_WRITES = {1: 32, 2: 0, 3: 0, 9: 2, 10: 4, 15: 8}  # csr -> values; rounding modes have their own rule
_CSR_READS = (1, 2, 3, 8, 9, 10, 15, 0xC20, 0xC21, 0xC22)
_FLAG_CSRS = (1, 3)
_CONFIGURATIONS = [(8 << w, e) for w in range(4) for e in (1, 2, 4, 8, 16, 32, 64) if e >= 1 << w]

_WHOLE = [(width, eighths) for width, eighths in _CONFIGURATIONS if eighths >= 8]


class Generator:
    """Makes the program of a seed."""

    def __init__(self, seed: int) -> None:
        self._store = Store(seed)
        self._seed = seed
        self.skipped: Counter[str] = Counter()

    def program(self, number: int, flags: bool, instructions: int = 10000) -> Program:
        """A program that executes about `instructions`; with `flags` it looks at the exception flags."""
        rng = random.Random(f"{self._seed}/{number}")
        writer = _Writer(rng, flags)
        nodes = writer.nodes(instructions)
        self.skipped += writer.skipped
        store = self._store
        return Program(
            f"{self._seed}/{number}", nodes, writer.roles, flags, store.vectors(rng), store.numbers(rng, 32),
            store.numbers(rng, 32), store.pool(rng), store.index(rng), store.take(rng, Layout.ARENA_SIZE),
            store.take(rng, 4096),
        )  # fmt: skip


def _roles(rng: random.Random) -> Roles:
    while True:
        picked = rng.sample(range(3, 32), 8)
        if sum(8 <= r < 16 for r in picked) <= 4:
            anchor, pool, values, dump, link, spare, *counters = picked
            return Roles(anchor, pool, values, dump, link, spare, (counters[0], counters[1]))


class _Writer:
    """Writes the nodes of one program."""

    def __init__(self, rng: random.Random, flags: bool) -> None:
        self.rng, self.flags = rng, flags
        self.roles = _roles(rng)
        taken = self.roles.taken()
        self.free = [r for r in range(1, 32) if r not in taken]
        self.few = [r for r in range(8, 16) if r not in taken]
        self.width, self.eighths = 8, 8
        self.vl: int | None = 0
        self.checkpoints = 0
        # Whole registers with every element active and rounding to nearest have handlers of their own in our harts.
        self.dense = not flags and rng.random() < 0.7
        self.skipped: Counter[str] = Counter()
        weights = {kind: weight * rng.choice((0.3, 1, 1, 2)) for kind, weight in _WEIGHTS.items()}
        weights["vector"] *= 1 + self.dense
        self._kinds = rng.choices(list(weights), list(weights.values()), k=2000)
        self._at = 0

    # nodes

    def nodes(self, instructions: int) -> list[Node]:
        """Top-level nodes that execute about so many instructions."""
        found: list[Node] = []
        done = 0
        while done < instructions:
            node = self.loop(0, 1) if self.rng.random() < 0.9 else self.straight(1)
            found.append(node)
            done += _length(node)
        return found

    def loop(self, depth: int, times: int) -> Loop:
        """A loop, perhaps with a loop inside."""
        rng = self.rng
        count = rng.randrange(2, 36) if depth == 0 else rng.randrange(2, 8)
        times *= count
        body: list[Node] = [self.straight(times)]
        for _ in range(rng.randrange(1, 4)):
            pick = rng.random()
            if pick < 0.3 and depth == 0:
                body.append(self.loop(1, times))
            elif pick < 0.6:
                body.append(self.jump())
            else:
                body.append(self.straight(times))
        return Loop(self.roles.counters[depth], count, body)

    def jump(self) -> Jump:
        """A forward jump over straight code."""
        rng = self.rng
        body: list[Node] = [self.straight(0) for _ in range(rng.randrange(1, 3))]
        size = 4 * sum(len(item.words) for item in items(body))
        while True:
            row = rng.choice(rows_of("jump"))
            target = row.by_name.get("target")
            if size < (1 << (target.width - 1)) - 16 if target else size < 2000:
                break
        values = {}
        for operand in row.operands:
            if operand.name == "target":
                continue
            if operand.kind.name == "imm":
                values[operand.name] = rng.getrandbits(1)
            elif "target" not in row.by_name and operand.reads:
                values[operand.name] = rng.choice(self.free)
            else:
                values[operand.name] = self.operand(operand)
        return Jump(row, values, body)

    def straight(self, times: int) -> Straight:
        """Straight code; `times` it is executed, 0 when that is not known."""
        rng = self.rng
        head = self.head()
        found = [self.item() for _ in range(rng.randrange(4, 16))]
        checkpoint = 0 < times < 16 and rng.random() < 0.5 and self.checkpoints + times < MOST_CHECKPOINTS - 2
        self.checkpoints += times * checkpoint
        return Straight(head, found, checkpoint)

    # items

    def item(self) -> Item:
        """An instruction of a random kind, with what it needs before it."""
        while True:
            self._at = (self._at + 1) % len(self._kinds)
            kind = self._kinds[self._at]
            made = _MAKERS[kind](self)
            if made is not None:
                return made

    def head(self) -> list[Item]:
        """What straight code starts with: vtype and vl, perhaps rounding modes."""
        rng = self.rng
        found = []
        pick = rng.random()
        if pick < 0.03:  # an unsupported vtype, seen in vl and vtype
            bad = rng.choice((4, 0x20, 0x100, 0x1F, 6 | 2 << 3, 1 << 63, 5 | 3 << 3))
            found.append(self.bad_vtype(bad))
        if rng.random() < (0.02 if self.dense else 0.35):
            found.append(self.csr_item("csrrwi", 2, rng.randrange(5)))
        if rng.random() < 0.25:
            found.append(self.csr_item("csrrwi", 10, rng.randrange(4)))
        self.width, self.eighths = rng.choice(_WHOLE if self.dense and rng.random() < 0.8 else _CONFIGURATIONS)
        found.append(self.configure())
        if rng.random() < 0.15:
            ratio = self.eighths / self.width
            other = rng.choice([c for c in _CONFIGURATIONS if c[1] / c[0] == ratio])
            self.width, self.eighths = other
            row = table.find(rng.choice(("vsetvli", "vsetvl")))
            assert row is not None
            found.append(self.vset(row, 0, 0, []))
        return found

    def bad_vtype(self, vtype: int) -> Item:
        """Ask for an unsupported vtype; vl and vtype are read afterwards."""
        a, b = self.rng.sample(self.free, 2)
        raw = [row for row in rows_of("vset") if "uimm" in row.by_name]
        if raw and vtype < 256:
            row = self.rng.choice(raw)
            values = {operand.name: self.operand(operand) for operand in row.operands}
            words = [encode.encode(row, values | {"rd": b})]
            words += [word("csrrs", rd=a, csr=0xC20, rs1=0), word("csrrs", rd=b, csr=0xC21, rs1=0)]
            return self.made(words, row)
        if vtype >> 63:
            words = [word("addi", rd=a, rs1=0, imm=1), word("slli", rd=a, rs1=a, shamt=63)]
        else:
            words = [word("addi", rd=a, rs1=0, imm=vtype)]
        words.append(word("vsetvl", rd=b, rs1=b, rs2=a))
        words += [word("csrrs", rd=a, csr=0xC20, rs1=0), word("csrrs", rd=b, csr=0xC21, rs1=0)]
        return self.made(words, table.find("vsetvl"))

    @staticmethod
    def made(words: list[int], *rows: Instruction | None) -> Item:
        """An item of words."""
        return Item(tuple(words), tuple(row for row in rows if row is not None))

    def configure(self) -> Item:
        """Set `self.width` and `self.eighths` with some vl, by a random row."""
        rng = self.rng
        row = rng.choice([row for row in rows_of("vset") if "uimm" not in row.by_name])
        most = 64 * self.eighths // self.width
        pick = rng.random()
        if self.dense and rng.random() < 0.7 and "rs2" not in row.by_name and "zimm" not in row.by_name:
            pick = 0.55
        if "zimm" in row.by_name:
            wanted = rng.randrange(32)
        elif pick < 0.04:
            wanted = 0
        elif pick < 0.1:
            wanted = 1
        elif pick < 0.4:
            wanted = most
        elif pick < 0.5:
            wanted = rng.randrange(most, 2 * most + 2)
        elif pick < 0.6:
            self.vl = most
            return self.vset(row, rng.choice(self.free), 0, [])
        else:
            wanted = rng.randrange(most + 1)
        self.vl = min(wanted, most)
        if "zimm" in row.by_name:
            return self.vset(row, self.destination(), wanted, [])
        register = rng.choice(self.free)
        return self.vset(row, self.destination(), register, [word("addi", rd=register, rs1=0, imm=wanted)])

    def vset(self, row: Instruction, rd: int, source: int, before: list[int]) -> Item:
        """One of the vset rows with the current width and size; `source` is the register or value of the length."""
        rng = self.rng
        size = {8: 0, 16: 1, 32: 2, 64: 3, 4: 7, 2: 6, 1: 5}[self.eighths]
        width, tail, mask = self.width.bit_length() - 4, rng.getrandbits(1), rng.getrandbits(1)
        values = {"rd": rd, "vsew": width, "vlmul": size, "vta": tail, "vma": mask}
        words = list(before)
        if "rs2" in row.by_name:
            register = rng.choice([r for r in self.free if r != source])
            values["rs2"] = register
            words.append(word("addi", rd=register, rs1=0, imm=size | width << 3 | tail << 6 | mask << 7))
        values["zimm" if "zimm" in row.by_name else "rs1"] = source
        words.append(encode.encode(row, values))
        return self.made(words, row)

    def destination(self) -> int:
        """An integer register to write."""
        return 0 if self.rng.random() < 0.04 else self.rng.choice(self.free)

    def operand(self, operand: Operand) -> int:
        """A random value of an operand."""
        rng = self.rng
        kind = operand.kind.name
        if kind in ("f", "v", "fc"):
            return rng.randrange(32) if kind != "fc" else rng.randrange(8, 16)
        if kind == "xc":
            return rng.choice(self.few) if operand.writes else rng.randrange(8, 16)
        if kind == "x":
            value = 0
            while value in operand.excludes or value == 0:
                value = self.destination() if operand.writes else rng.randrange(32)
                if value == 0 and 0 not in operand.excludes:
                    break
            return value
        if not operand.kind.number:
            return rng.choice(list(operand.kind.shown))
        span = operand.width - operand.low
        while True:
            bits = rng.getrandbits(span)
            if rng.random() < 0.2:
                bits = rng.choice((0, 1, (1 << span) - 1, 1 << span - 1, (1 << span - 1) - 1))
            value = bits << operand.low
            if operand.kind.signed and value >> operand.width - 1:
                value -= 1 << operand.width
            if value not in operand.excludes:
                return value

    def fresh(self, kind: str) -> int:
        """An offset from `values` where there are values of a kind."""
        size = Layout.PERIOD // len(KINDS)
        place = KINDS.index(kind) * size + self.rng.randrange(0, size, 8)
        return place if place < 2048 else place - Layout.PERIOD

    def again(self, row: Instruction, values: dict[str, int], names: tuple[str, str], chance: float) -> None:
        """Sometimes let two sources be the same register."""
        first, second = names
        if first in values and second in values and self.rng.random() < chance:
            if values[first] not in row.by_name[second].excludes:
                values[second] = values[first]

    def float(self) -> Item:
        """Scalar floating point, often on operands just loaded in its format."""
        rng = self.rng
        row = rng.choice(rows_of("float"))
        values = {operand.name: self.operand(operand) for operand in row.operands}
        self.again(row, values, ("fs1", "fs2"), 0.15)
        kind = row.name.split(".")[-1]
        load = {"d": "fld", "s": "flw", "h": "flh"}.get(kind)
        words = []
        for name in ("fs1", "fs2", "fs3"):
            if load and name in values and rng.random() < 0.5:
                words.append(word(load, fd=values[name], rs1=self.roles.values, imm=self.fresh(kind)))
        return self.made([*words, encode.encode(row, values)], row)

    def integer(self) -> Item:
        """Integer arithmetic, sometimes on an operand just loaded."""
        row = self.rng.choice(rows_of("integer"))
        values = {operand.name: self.operand(operand) for operand in row.operands}
        self.again(row, values, ("rs1", "rs2"), 0.08)
        words = []
        for name in ("rs1", "rs2"):
            if self.rng.random() < 0.25 and values.get(name) in self.free:
                words.append(word("ld", rd=values[name], rs1=self.roles.values, imm=self.fresh("x")))
        return self.plain(row, values, words)

    def plain(self, row: Instruction, values: dict[str, int], before: list[int]) -> Item:
        """A row without memory."""
        words = [*before, encode.encode(row, values)]
        if self.skips(row, "low word zero"):
            register = self.rng.choice(self.free)
            words[-1:] = [word("ori", rd=register, rs1=values["rs1"], imm=1 << self.rng.randrange(11))]
            words.append(encode.encode(row, values | {"rs1": register}))
        if row.expands.startswith("addi x2, x2"):  # sp must come back
            if values["imm"] == -512:
                values["imm"] = 16
            words = [encode.encode(row, values), encode.encode(row, {"imm": -values["imm"]})]
        return self.made(words, row)

    def base(self, store: bool, align: int = 1) -> tuple[int, int]:
        """A register that points at memory, and an offset to add within a page of it."""
        rng = self.rng
        register = self.roles.anchor if store or rng.random() < 0.4 else self.roles.values
        offset = rng.randrange(-1024, 1024)
        if align > 1 or rng.random() < 0.5:
            offset &= -max(align, 8)
        return register, offset

    def memory(self) -> Item:
        """A scalar load or store."""
        rng = self.rng
        row = rng.choice(rows_of("memory"))
        values = {operand.name: self.operand(operand) for operand in row.operands}
        words = []
        register, offset = self.base(base_row(row).timing == "store")
        if "rs1c" in row.by_name:
            values["rs1c"] = rng.choice(self.few)
            words.append(word("addi", rd=values["rs1c"], rs1=register, imm=offset))
        elif "rs1" in row.by_name:
            values["rs1"] = register
            if rng.random() < 0.5:
                values["rs1"] = rng.choice(self.free)
                words.append(word("addi", rd=values["rs1"], rs1=register, imm=offset))
        words.append(encode.encode(row, values))
        return self.made(words, row)

    def atomic(self) -> Item:
        """An atomic operation; a reservation mostly with its conditional store."""
        rng = self.rng
        row = rng.choice(rows_of("atomic"))
        at = rng.choice(self.free)
        size = 4 if ".w" in row.name else 8
        _, offset = self.base(True, size)
        words = [word("addi", rd=at, rs1=self.roles.anchor, imm=offset)]
        rows = [row]
        values = {operand.name: self.operand(operand) for operand in row.operands} | {"rs1": at}
        if row.name.startswith("sc."):  # right after a reservation of its size: all else may succeed or fail
            rows.insert(0, rng.choice([r for r in rows_of("atomic") if r.name.startswith("lr" + row.name[2:4])]))
            to = rng.choice([r for r in self.free if r != at])
            words.append(encode.encode(rows[0], {"rd": to, "rs1": at}))
            if rng.random() < 0.2:
                words.append(word("addi", rd=at, rs1=at, imm=rng.choice((0, size, -size))))
        words.append(encode.encode(row, values))
        return self.made(words, *rows)

    def csr_item(self, name: str, csr: int, value: int) -> Item:
        """Write a CSR with an immediate; the old value is kept."""
        return self.made([word(name, rd=self.destination(), csr=csr, zimm=value)], table.find(name))

    def csr(self) -> Item | None:
        """A read or write of a CSR; a rounding mode stays a valid one."""
        rng = self.rng
        row = rng.choice(rows_of("csr"))
        immediate = "zimm" in row.by_name
        source = "zimm" if immediate else "rs1"
        swaps = row.name.startswith("csrrw")
        values = {"rd": self.destination(), source: 0}
        words: list[int] = []
        if not swaps and rng.random() < 0.4:
            values["csr"] = rng.choice(_CSR_READS)
        else:
            values["csr"] = csr = rng.choice(list(_CSR_WRITES))
            limit = _CSR_WRITES[csr]
            if csr in (2, 3):
                mode = rng.randrange(5) if not row.name.startswith("csrrs") else 0
                value = mode if csr == 2 else mode << 5 | rng.getrandbits(5)
            else:
                value = rng.randrange(limit)
            if immediate:
                values[source] = value & 31
            else:
                values[source] = rng.choice(self.free)
                words.append(word("addi", rd=values[source], rs1=0, imm=value))
        if values["csr"] in _FLAG_CSRS and not self.flags:
            return None
        words.append(encode.encode(row, values))
        return self.made(words, row)

    # vectors

    def vector(self) -> Item | None:
        """A vector operation that does not touch memory."""
        chosen = self.choose("vector")
        if chosen is None:
            return None
        row, values = chosen
        before = self.loaded(row, values)
        if self.skips(row, "no rounding instruction before it"):
            before.append(word("fcvt.s.l", fd=self.rng.randrange(32), rs1=self.rng.randrange(32), rm=7))
            return replace(self.made([*before, encode.encode(row, values)], row), close=True)
        return self.from_start(row, before, encode.encode(row, values))

    def loaded(self, row: Instruction, values: dict[str, int]) -> list[int]:
        """Sometimes load a source group with values of the row's type."""
        rng = self.rng
        made = shapes.groups(row, self.width, self.eighths, FLOATS)
        assert made is not None
        words = []
        for group in made:
            place = values[group.operand]
            if group.read and group.width > 1 and rng.random() < 0.3 and (place > 0 or values.get("vm", 1)):
                kind = {32: "s", 64: "d"}.get(group.width, "x") if shapes.floats(row, self.width) else "x"
                at = rng.choice([r for r in self.free if r not in (values.get("rs1"), values.get("rs2"))])
                words.append(word("addi", rd=at, rs1=self.roles.values, imm=self.fresh(kind) & -64))
                words.append(word(f"vl{group.count}re8.v", vd=place, rs1=at))
        return words

    def choose(self, kind: str) -> tuple[Instruction, dict[str, int]] | None:
        """A vector row that is legal now, with legal operands."""
        rng = self.rng
        row, made = rng.choice(vector_rows(kind, self.width, self.eighths))
        values = {operand.name: self.operand(operand) for operand in row.operands}
        if "vm" in values:
            values["vm"] = rng.random() < (0.85 if self.dense else 0.6)
        for _ in range(20):
            for group in made:
                values[group.operand] = rng.randrange(0, 32, group.count)
            if rng.random() < 0.1:
                self.again(row, values, ("vs2", "vs1"), 1)
            if not shapes.reserved(row, made, values):
                return row, values
        return None

    def skips(self, row: Instruction, case: str) -> bool:
        """Whether qemu does this case of a row wrong; counted."""
        found = quirk_of(row, case)
        if found:
            self.skipped[found.name] += 1
        return found is not None

    def from_start(self, row: Instruction, before: list[int], last: int) -> Item:
        """The item, sometimes begun at a later element; vstart is seen to be zero afterwards."""
        rng = self.rng
        words = list(before)
        late = self.vl is not None and self.vl > 1 and not shapes.needs_start(row) and rng.random() < 0.06
        if late and not self.skips(row, "vstart"):
            assert self.vl is not None
            most = self.vl
            if end := shapes.whole(row, self.width):
                most = min(end, 511) if self.skips(row, "past the end") else 511
            start = rng.randrange(1, most)
            if start < 32:
                words.append(word("csrrwi", rd=0, csr=8, zimm=start))
            else:
                busy = (last >> 15 & 31, last >> 20 & 31)  # where an address or a stride may be
                register = rng.choice([r for r in self.free if r not in busy])
                words += [word("addi", rd=register, rs1=0, imm=start), word("csrrw", rd=0, csr=8, rs1=register)]
        words.append(last)
        if len(words) > len(before) + 1:
            words.append(word("csrrs", rd=self.destination(), csr=8, rs1=0))
        return self.made(words, row)

    def vmemory(self) -> Item | None:
        """A vector load or store, with its address, stride or indices set up."""
        chosen = self.choose("vmemory")
        if chosen is None:
            return None
        rng = self.rng
        row, values = chosen
        how = shapes.memory(row)
        assert how is not None
        at, other = rng.sample(self.free, 2)
        register, offset = self.base(how.store)
        words: list[int] = []
        values["rs1"] = at
        if how.way == "s":
            values["rs2"] = other
            most = min(2000, 4000 * self.width // (64 * self.eighths))
            element = how.width // 8 * how.fields
            stride = rng.choice((0, element, -element, rng.randint(-most, most), rng.randint(-most, most)))
            words.append(word("addi", rd=other, rs1=0, imm=max(-most, min(most, stride))))
        elif how.way in ("ux", "ox"):
            if values["vs2"] == 0 and values["vm"] == 0:
                return None
            words += self.indices(row, values["vs2"], how.width, other)
        if how.first_fault:
            self.vl = None
            if rng.random() < 0.6:
                words += self.edge(at, how)
            else:
                words.append(word("addi", rd=at, rs1=register, imm=offset))
            words.append(encode.encode(row, values))
            if self.skips(row, "no CSR access after it"):
                words.append(word("csrrs", rd=self.destination(), csr=0xC20, rs1=0))
            return self.made(words, row)
        words.append(word("addi", rd=at, rs1=register, imm=offset))
        return self.from_start(row, words, encode.encode(row, values))

    def indices(self, row: Instruction, register: int, width: int, at: int) -> list[int]:
        """Load a group of bounded offsets."""
        made = shapes.groups(row, self.width, self.eighths, FLOATS)
        assert made is not None
        count = next(group.count for group in made if group.operand == "vs2")
        place = Layout.INDEX - Layout.POOL - Layout.START + 1024 * (width.bit_length() - 4)
        place += self.rng.randrange(0, 1025 - 64 * count, width // 8)
        high = place + 0x800 & -0x1000
        words = [word("lui", rd=at, upper=high), word("add", rd=at, rs1=at, rs2=self.roles.pool)]
        words.append(word("addi", rd=at, rs1=at, imm=place - high))
        words.append(word(f"vl{count}re{width}.v", vd=register, rs1=at))
        return words

    def edge(self, register: int, how: shapes.Memory) -> list[int]:
        """An address whose first element still is inside memory."""
        near = self.rng.choice((1, self.rng.randrange(1, 8), self.rng.randrange(1, 80)))
        back = how.width // 8 * how.fields * near + self.rng.choice((0, 0, 1, 3))
        return [word("lui", rd=register, upper=EDGE), word("addi", rd=register, rs1=register, imm=-min(back, 2048))]


_MAKERS: dict[str, Callable[[_Writer], Item | None]] = {
    "integer": _Writer.integer,
    "float": _Writer.float,
    "memory": _Writer.memory,
    "atomic": _Writer.atomic,
    "csr": _Writer.csr,
    "vector": _Writer.vector,
    "vmemory": _Writer.vmemory,
}


def _length(node: Node) -> int:
    """About how many instructions a node executes."""
    if isinstance(node, Straight):
        return sum(len(item.words) for item in (*node.head, *node.items))
    inner = sum(map(_length, node.body))
    return node.count * (inner + 2) + 3 if isinstance(node, Loop) else inner // 2 + 1
