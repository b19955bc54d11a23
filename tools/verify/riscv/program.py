"""Random programs as trees, and the executables made of them.

A program is a list of nodes: straight code, counted loops and forward jumps over nodes. `lower` lays it out. Around
it are a prologue that loads every register from memory, and a routine that appends every register to a buffer (a
checkpoint); at the end, scratch memory and buffer go to standard output. Several programs share an executable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from mtia.isa import encode, table

__all__ = [
    "CHECKPOINT", "DATA", "EDGE", "MOST_CHECKPOINTS", "PAGE", "REGION", "TEXT", "Code", "Item", "Jump", "Layout",
    "Loop", "Node", "Program", "Roles", "Straight", "build", "executable", "executed", "items", "load_address", "lower",
    "output_size", "word",
]  # fmt: skip

TEXT = 0x1080_0000
DATA = 0x1000_0000
EDGE = 0x1100_0000  # the first address behind the program's memory; the page below holds data
PAGE = 4096


class Layout:
    """Offsets in the data of one program."""

    STATE = 0x0000  # initial registers: v 2048, x 256, f 256 bytes
    POOL = 0x1000  # values to load, read-only
    POOL_SIZE = 0x4000
    START = 0x1000  # of the part of the pool that loops move in
    PERIOD = 0x800  # bytes after which the kinds of values repeat
    INDEX = 0x5000  # bounded offsets of 8, 16, 32 and 64 bits, 1 KiB each, read-only
    ARENA = 0x6000  # memory to write
    ARENA_SIZE = 0x4000
    DUMP = 0xA000


REGION = 0x40000  # bytes between the data of two programs of an executable
STATE_SIZE = 2048 + 256 + 256
CHECKPOINT = 2048 + 31 * 8 + 8 + 32 * 8 + 64  # v, x1-x31, f, then vl vtype vstart vcsr and fcsr or frm
MOST_CHECKPOINTS = (REGION - Layout.DUMP) // CHECKPOINT


@dataclass(frozen=True)
class Item:
    """Instructions that belong together, as words with their rows; if `close`, on one page, so that qemu joins them."""

    words: tuple[int, ...]
    rows: tuple[table.Instruction, ...]
    close: bool = False


@dataclass
class Straight:
    """`head` fixes vtype, vl and rounding for the items after it."""

    head: list[Item]
    items: list[Item]
    checkpoint: bool = False


@dataclass
class Loop:
    """The body `count` times, counted down in register `counter`."""

    counter: int
    count: int
    body: list[Node]


@dataclass
class Jump:
    """A branch or jump over the body; `before` prepares the target's register when the row has one."""

    row: table.Instruction
    values: dict[str, int]
    body: list[Node]
    before: tuple[int, ...] = ()  # words after an `auipc`


Node = Straight | Loop | Jump


@dataclass(frozen=True)
class Roles:
    """Registers with a fixed task; random code reads them but never writes them."""

    anchor: int  # the middle of the arena
    pool: int  # the start of the pool
    values: int  # inside the pool, moved by loops
    dump: int
    link: int
    spare: int
    counters: tuple[int, int]

    def taken(self) -> frozenset[int]:
        """Every register with a task; sp points into the arena."""
        return frozenset((2, self.anchor, self.pool, self.values, self.dump, self.link, self.spare, *self.counters))


@dataclass
class Program:
    """A program: what runs, registers and memory at its start, and whether it looks at the exception flags."""

    seed: str
    nodes: list[Node]
    roles: Roles
    flags: bool
    vectors: bytes  # v0 to v31
    integers: list[int]  # x0 to x31, but those with a task
    floats: list[int]
    pool: bytes
    index: bytes
    arena: bytes
    edge: bytes = field(default=b"", repr=False)


@cache
def word(name: str, /, **values: int) -> int:
    """The word of an instruction by name."""
    return encode.word(name, **values)


def items(nodes: Sequence[Node]) -> Iterator[Item]:
    """Every item, heads included, each once."""
    for node in nodes:
        if isinstance(node, Straight):
            yield from node.head
            yield from node.items
        else:
            yield from items(node.body)


def executed(nodes: Sequence[Node], times: int = 1) -> Iterator[tuple[table.Instruction, int]]:
    """Rows that run whatever the data are, with how often; what a jump may skip is not among them."""
    for node in nodes:
        if isinstance(node, Straight):
            for item in (*node.head, *node.items):
                for row in item.rows:
                    yield row, times
        elif isinstance(node, Loop):
            yield from executed(node.body, times * node.count)
        else:
            yield node.row, times


def _checkpoints(nodes: Sequence[Node]) -> int:
    total = 0
    for node in nodes:
        if isinstance(node, Straight):
            total += node.checkpoint
        elif isinstance(node, Loop):
            total += node.count * _checkpoints(node.body)
    return total


def output_size(program: Program) -> int:
    """Bytes that the program writes."""
    return Layout.ARENA_SIZE + (_checkpoints(program.nodes) + 1) * CHECKPOINT


class Code:
    """Machine code under construction."""

    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, *words: int) -> None:
        """Add instructions."""
        for one in words:
            self.data += one.to_bytes(4 if one & 3 == 3 else 2, "little")


def lower(nodes: Sequence[Node], roles: Roles, at: int, checkpoint: int) -> bytes:
    """The code of nodes at an address; `checkpoint` is the routine's address."""
    code = Code()
    for node in nodes:
        here = at + len(code.data)
        if isinstance(node, Straight):
            for item in (*node.head, *node.items):
                while item.close and -(at + len(code.data)) % PAGE < 4 * len(item.words):
                    code.add(word("c.nop", hint=0))
                code.add(*item.words)
            if node.checkpoint:
                code.add(encode.word("jal", rd=roles.link, target=checkpoint - at - len(code.data)))
        elif isinstance(node, Loop):
            _lower_loop(code, node, roles, here, checkpoint)
        else:
            _lower_jump(code, node, roles, here, checkpoint)
    return bytes(code.data)


def _lower_loop(code: Code, node: Loop, roles: Roles, here: int, checkpoint: int) -> None:
    start = (word("addi", rd=node.counter, rs1=0, imm=node.count),)
    step = (
        word("andi", rd=roles.spare, rs1=node.counter, imm=3),
        word("slli", rd=roles.spare, rs1=roles.spare, shamt=Layout.PERIOD.bit_length() - 1),
        word("add", rd=roles.values, rs1=roles.pool, rs2=roles.spare),
    )
    body = lower(node.body, roles, here + 16, checkpoint)
    code.add(*start, *step)
    code.data += body
    code.add(word("addi", rd=node.counter, rs1=node.counter, imm=-1))
    back = -(len(body) + 16)
    if back >= -4096:
        code.add(encode.word("bne", rs1=node.counter, rs2=0, target=back))
    else:
        code.add(word("beq", rs1=node.counter, rs2=0, target=8), encode.word("jal", rd=0, target=back - 4))


def _lower_jump(code: Code, node: Jump, roles: Roles, here: int, checkpoint: int) -> None:
    values = dict(node.values)
    size = node.row.size
    if "target" in node.row.by_name:
        body = lower(node.body, roles, here + size, checkpoint)
        values["target"] = size + len(body)
        code.add(encode.encode(node.row, values))
    else:
        prepared = 8 if "imm" not in values else 4
        body = lower(node.body, roles, here + prepared + size, checkpoint)
        over = prepared + size + len(body)
        register = values["rs1"]
        code.add(word("auipc", rd=register, upper=0))
        if "imm" in values:
            values["imm"] |= over  # bit 0 of the target is cleared
        else:
            code.add(encode.word("addi", rd=register, rs1=register, imm=over))
        code.add(encode.encode(node.row, values))
    code.data += body


def _routine(roles: Roles, flags: bool) -> bytes:
    """Append every register to the buffer; all keep their values but `dump`, `link` and `spare`."""
    code = Code()
    base, spare = roles.dump, roles.spare
    code.add(word("csrrs", rd=spare, csr=8, rs1=0), word("csrrwi", rd=0, csr=8, zimm=0))
    for first in (0, 8, 16, 24):
        code.add(word("vs8r.v", vs3=first, rs1=base), word("addi", rd=base, rs1=base, imm=512))
    code.add(word("sd", rs2=spare, rs1=base, imm=528))
    for number in range(1, 32):
        code.add(word("sd", rs2=number, rs1=base, imm=8 * number - 8))
    for number in range(32):
        code.add(word("fsd", fs2=number, rs1=base, imm=256 + 8 * number))
    for place, csr in ((512, 0xC20), (520, 0xC21), (536, 0xF), (544, 3 if flags else 2)):
        code.add(word("csrrs", rd=spare, csr=csr, rs1=0), word("sd", rs2=spare, rs1=base, imm=place))
    code.add(word("addi", rd=base, rs1=base, imm=CHECKPOINT - 2048), word("jalr", rd=0, rs1=roles.link, imm=0))
    return bytes(code.data)


def load_address(code: Code, register: int, value: int) -> None:
    """Add the two instructions that put an address below 2 GiB into a register."""
    low = (value & 0xFFF ^ 0x800) - 0x800
    code.add(
        encode.word("lui", rd=register, upper=value - low), encode.word("addi", rd=register, rs1=register, imm=low)
    )


def _prologue(roles: Roles, flags: bool, base: int) -> bytes:
    code = Code()
    at = roles.spare
    load_address(code, at, base + Layout.STATE)
    for first in (0, 8, 16, 24):
        code.add(word("vl8re8.v", vd=first, rs1=at), word("addi", rd=at, rs1=at, imm=512))
    for number in range(32):
        code.add(word("fld", fd=number, rs1=at, imm=256 + 8 * number))
    code.add(word("csrrwi", rd=0, csr=3 if flags else 2, zimm=0), word("csrrwi", rd=0, csr=0xF, zimm=0))
    code.add(word("csrrwi", rd=0, csr=8, zimm=0), word("vsetivli", rd=0, zimm=0, vsew=0, vlmul=0, vta=0, vma=0))
    for number in range(1, 32):
        if number != at:
            code.add(word("ld", rd=number, rs1=at, imm=8 * number))
    code.add(word("ld", rd=at, rs1=at, imm=8 * at))
    return bytes(code.data)


def _epilogue(size: int, base: int) -> bytes:
    code = Code()
    code.add(word("addi", rd=17, rs1=0, imm=64), word("addi", rd=10, rs1=0, imm=1))
    load_address(code, 11, base + Layout.ARENA)
    load_address(code, 12, size)
    code.add(word("ecall"))
    return bytes(code.data)


def _code(program: Program, at: int, base: int) -> bytes:
    """One program at an address; it falls through at its end."""
    routine = _routine(program.roles, program.flags)
    over = word("jal", rd=0, target=4 + len(routine)).to_bytes(4, "little")
    start = _prologue(program.roles, program.flags, base)
    before = at + len(over) + len(routine) + len(start)
    body = lower(program.nodes, program.roles, before, at + len(over))
    last = encode.word("jal", rd=program.roles.link, target=at + len(over) - before - len(body)).to_bytes(4, "little")
    return over + routine + start + body + last + _epilogue(output_size(program), base)


def _data(program: Program, base: int) -> bytes:
    roles, x = program.roles, list(program.integers)
    arena = base + Layout.ARENA
    x[2] = arena + 0x1000
    x[roles.anchor], x[roles.pool] = arena + Layout.ARENA_SIZE // 2, base + Layout.POOL + Layout.START
    x[roles.values], x[roles.dump] = x[roles.pool], base + Layout.DUMP
    out = bytearray(Layout.DUMP)
    out[:STATE_SIZE] = program.vectors + struct.pack("<64Q", *x, *program.floats)
    out[Layout.POOL : Layout.POOL + Layout.POOL_SIZE] = program.pool
    out[Layout.INDEX : Layout.INDEX + len(program.index)] = program.index
    out[Layout.ARENA : Layout.DUMP] = program.arena
    return bytes(out)


def build(programs: Sequence[Program]) -> bytes:
    """A static executable that runs programs one after the other and leaves with code 0."""
    text = bytearray()
    segments: list[tuple[int, int, bytes, int]] = []  # address, flags, data, size
    for number, program in enumerate(programs):
        base = DATA + number * REGION
        text += _code(program, TEXT + len(text), base)
        segments.append((base, 6, _data(program, base), REGION))
    end = Code()
    end.add(word("addi", rd=17, rs1=0, imm=93), word("addi", rd=10, rs1=0, imm=0), word("ecall"))
    text += end.data
    segments.append((TEXT, 5, bytes(text), len(text)))
    segments.append((EDGE - PAGE, 6, programs[0].edge.ljust(PAGE, b"\0"), PAGE))
    return executable(segments)


def executable(segments: Sequence[tuple[int, int, bytes, int]]) -> bytes:
    """A static executable of segments (address, flags, data, size in memory) that starts at `TEXT`."""
    head = 64 + 56 * len(segments)
    body, headers = bytearray(), bytearray()
    for address, flags, data, size in segments:
        body += bytes(-(head + len(body)) % PAGE)
        headers += struct.pack("<IIQQQQQQ", 1, flags, head + len(body), address, address, len(data), size, PAGE)
        body += data
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    file = struct.pack("<HHIQQQIHHHHHH", 2, 243, 1, TEXT, 64, 0, 5, 64, 56, len(segments), 64, 0, 0)
    return bytes(ident + file + headers + body)
