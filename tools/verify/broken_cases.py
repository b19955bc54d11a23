"""Cases of `mtiac verify broken`: damaged executables and random programs, each made from a seed and a number."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.isa import elf as isa_elf
from mtia.isa import table
from mtia.isa.asm import listing
from mtia.isa.errors import UserError
from mtia.isa.xmtia.codes import DType
from mtia.runtime import elf
from mtia.runtime.device import Buffer, Device
from mtia.runtime.launch import launch
from mtia.tools.verify.unit_programs import TEXT, Script, device, set_global, set_tile

__all__ = ["KINDS", "Broken", "Case", "execute", "executables", "make"]

LIMIT = 20_000  # cycles of a run
CHIPS = ("mtia200", "mtia300")
_MASK = (1 << 64) - 1
LS, DRAM, LLS = 0x1000_0000, 0x80_0000_0000, 0x10_0000_0000
# Values that sit at an edge of something: of types, of memories, of sizes.
EDGES = (
    0, 1, 2, 4, 7, 8, 31, 32, 63, 64, 65, 255, 256, 4096, 65535, 65536, 0x5F000, 0x60000, 0x7FFFF, 0x80000,
    *((1 << n) - d for n in (20, 31, 32, 33, 44, 60, 62, 63, 64) for d in (0, 1, 4)),
    *(base + d for base in (LS, LS + 0x60000, LS + 0x80000, TEXT, LLS, DRAM) for d in (-64, -8, -1, 0, 8, 64)),
    DRAM + (64 << 30) - 64, DRAM + (128 << 30) - 4,
)  # fmt: skip

Rng = np.random.Generator


class Broken(Exception):
    """A run left something that no run may leave."""


@dataclass(frozen=True)
class Case:
    """What is executed: an executable's bytes, or a program for a chip."""

    kind: str
    source: bytes | elf.Program
    chip: str
    interpreter: str = "fast"


def _value(rng: Rng) -> int:
    """A 64-bit value, often one at an edge."""
    if rng.random() < 0.7:
        return EDGES[rng.integers(len(EDGES))] & _MASK
    return int(rng.integers(0, 1 << 64, dtype=np.uint64)) >> int(rng.integers(64))


def _word(rng: Rng) -> int:
    """A random word, mostly one that is an instruction."""
    if rng.random() < 0.05:
        return int(rng.integers(1 << 32))
    row = _rows()[rng.integers(len(_rows()))]
    word: int = row.match | int(rng.integers(1 << 32)) & ~row.mask & ((1 << 8 * row.size) - 1)
    return word


@functools.cache
def _rows() -> tuple[table.Instruction, ...]:
    """The table, Xmtia and memory accesses more often."""
    rows = table.all()
    often = [row for row in rows if row.name.startswith("xm.")]
    memory = [row for row in rows if row.timing in ("load", "store", "amo", "vload", "vstore")]
    return (*rows, *often, *often, *memory)


def _pack(words: list[int]) -> bytes:
    """Instructions of two and four bytes as text."""
    return b"".join(word.to_bytes(4, "little")[: 4 if word & 3 == 3 else 2] for word in words)


def _words(rng: Rng, chip: str) -> Case:
    """Random instructions on registers full of edge values."""
    script = Script()
    for register in range(1, 32):
        if register != 8:
            script.load(register, _value(rng))
    body = [_word(rng) for _ in range(int(rng.integers(4, 60)))]
    text = struct.pack("<I", 0x10001437) + _pack(script.words) + _pack(body) + struct.pack("<H", 0x8082)
    return _program("words", text, script, rng, chip)


def _program(kind: str, text: bytes, script: Script, rng: Rng, chip: str) -> Case:
    """A program with its constants, on one hart or two."""
    images = ((0x1000, struct.pack(f"<{len(script.pool.values)}Q", *script.pool.values)),)
    cores = 1 + int(rng.random() < 0.3)
    program = elf.Program(kind, TEXT, TEXT, text, images, {"cores": cores}, {}, b"")
    return Case(kind, program, chip, "reference" if rng.random() < 0.02 else "fast")


def _small(rng: Rng, weird: float) -> int:
    """A small number, now and then an edge value."""
    return _value(rng) if rng.random() < weird else int(rng.integers(0, 20))


def _descriptors(rng: Rng, chip: str) -> Case:
    """Circular buffers, tile registers and commands that are nearly right."""
    weird = float(rng.choice([0.0, 0.02, 0.1, 0.3]))
    script = Script()
    for cb in range(6):
        space = 1 if cb > 3 and rng.random() > weird else _small(rng, 1.0) & 0xFF if rng.random() < weird else 0
        base = _small(rng, weird) * 64 + (0 if space else 0x8000)
        script.cb(cb, base & 0xFFFFFFFF, 64 * int(rng.integers(1, 64)), int(rng.integers(1, 4)), space)
    for td in range(12):
        dtype = int(rng.choice([0, 1, 2, 5, 8, 9, 12, 14])) if rng.random() > weird else int(rng.integers(256))
        shape = _small(rng, weird) & 0xFFFFFFFF, _small(rng, weird) & 0xFFFFFFFF
        size = DType(dtype).bytes if dtype in set(DType) else 4
        if td < 8:
            strides = _stride(rng, weird, shape[1] * size), _stride(rng, weird, size)
            cb = int(rng.integers(0, 6)) if rng.random() > weird else int(rng.integers(256))
            offset = 0 if rng.random() > weird else _value(rng)
            slot = int(rng.random() < weird) * int(rng.integers(16))
            set_tile(script, td, cb, dtype, shape, strides, offset, 1, slot, _small(rng, weird))
        else:
            address = DRAM + 64 * int(rng.integers(64)) if rng.random() > weird else _value(rng)
            columns = _stride(rng, weird, size)
            dims = [(_small(rng, weird), _stride(rng, weird, shape[1] * size)) for _ in range(int(rng.integers(0, 3)))]
            set_global(script, td, address, DType.F32, [*dims, (shape[1], columns)])
            script.do("xm.gd.base", address, dtype | (len(dims) + 1) << 8, gd=td)
    for _ in range(int(rng.integers(1, 30))):
        row = _commands()[rng.integers(len(_commands()))]
        fields = {operand.name: _field(rng, row, operand.name, weird) for operand in row.operands}
        values = {name: fields.pop(name) for name in ("rs1", "rs2") if name in fields}
        script.do(row.name, values.get("rs1"), values.get("rs2"), **fields)
    text = struct.pack("<I", 0x10001437) + _pack(script.words) + struct.pack("<H", 0x8082)
    return _program("descriptors", text, script, rng, chip)


def _stride(rng: Rng, weird: float, usual: int) -> int:
    if rng.random() < weird:
        return _value(rng)
    return (usual, 0, -usual, 4)[rng.choice(4, p=[0.8, 0.08, 0.06, 0.06])]


@functools.cache
def _commands() -> tuple[table.Instruction, ...]:
    return tuple(row for row in table.all() if row.name.startswith("xm.") and row.unit != "hart")


def _field(rng: Rng, row: table.Instruction, name: str, weird: float) -> int:
    """An operand's number, of the right sort unless something weird is wanted."""
    if name in ("rs1", "rs2"):
        return _value(rng)
    if row.by_name[name].kind.name == "td":
        remote = name == "gd" and rng.random() > weird
        return int(rng.integers(8, 12) if remote else rng.integers(0, 8) if rng.random() > weird else rng.integers(32))
    if name == "cb":
        return int(rng.integers(0, 6) if rng.random() > weird else rng.integers(32))
    return int(rng.integers(1, 32) if row.by_name[name].kind.register else rng.integers(2))


# --- executables -----------------------------------------------------------------------------------------------------

_SOURCE = """
.globl _start_k
_start_k:
  ld s0, 32(a0)
  la t0, table
  lw t1, 0(t0)
1:
  addi t1, t1, -1
  sw t1, 4(t0)
  bnez t1, 1b
  li t4, 0x8000
  li t5, 0x100000040
  xm.cb.init cb0, t4, t5
  ret
.data
table:
  .word 5, 6, 7, 8
"""


@functools.cache
def executables() -> tuple[bytes, ...]:
    """Sound executables: assembled ones, and kernels that the compiler made."""
    from mtia.compiler.backend.assembled import assemble_program
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options
    from mtia.tools.bench import kernels

    found = [assemble_program(_SOURCE, "k.s", ["*fp32"], None, cores) for cores in (1, 2)]
    for problem, hart_only in ((kernels.add(1024), False), (kernels.softmax(4, 256), True)):
        import importlib

        kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{problem.case.module}"), problem.case.kernel)
        options = Options(target=CHIPS[0], hart_only=hart_only)
        found.append(compile_triton(kernel, problem.signature(), problem.constants, options).elf)
    return tuple(found)


def _damage(rng: Rng, data: bytes) -> bytes:
    """Damage an executable in one of the ways files are damaged."""
    out = bytearray(data)
    way = int(rng.integers(7))
    shoff = int.from_bytes(out[40:48], "little")
    if way == 0:
        return bytes(out[: rng.integers(len(out) + 1)])
    if way == 1:
        for place in rng.integers(0, len(out), int(rng.integers(1, 9))):
            out[place] = rng.integers(256)
    elif way in (2, 3):  # a field of the file's, a segment's or a section's header
        segments = range(64, min(64 + 56 * out[56], len(out) - 8), 4)
        places = [*range(16, 64, 2), *segments, *range(shoff, len(out) - 8, 4)]
        width = int(rng.choice([2, 4, 8]))
        place = places[rng.integers(len(places))]
        out[place : place + width] = (_value(rng) & (1 << 8 * width) - 1).to_bytes(width, "little")
    elif way == 4:
        note = isa_elf.read(data).section(".mtia")
        start = data.index(note.data) if note else 0
        text = _note(rng, note.data if note else b"")
        size = len(note.data) if note else 0
        out[start : start + size] = text[:size].ljust(size)
    elif way == 5:
        a, b, n = (int(v) for v in rng.integers(0, len(out), 3))
        out[a : a + n % 512] = out[b : b + n % 512]
    else:
        section = isa_elf.read(data).section(".debug_line" if rng.random() < 0.5 else ".text")
        if section is not None and section.data:
            start = data.index(section.data)
            for place in rng.integers(start, start + len(section.data), int(rng.integers(1, 9))):
                out[place] = rng.integers(256)
    return bytes(out)


def _note(rng: Rng, data: bytes) -> bytes:
    """A note whose JSON is not what it should be."""
    made = json.loads(data or b"{}")
    wrong: tuple[Any, ...] = (
        [],
        {},
        None,
        "x",
        -1,
        1 << 70,
        1e308,
        [None],
        ["*"],
        ["i99999"],
        ["i"],
        {"a": 1},
        True,
        [[[[]]]],
    )
    name = ("kernel", "arguments", "chip", "cores", "options")[rng.integers(5)]
    made[name] = wrong[rng.integers(len(wrong))]
    return b"[" * len(data) if rng.random() < 0.1 else json.dumps(made).encode()


def _damaged(rng: Rng, chip: str) -> Case:
    return Case("damaged", _damage(rng, executables()[rng.integers(len(executables()))]), CHIPS[0])


KINDS: dict[str, Callable[[Rng, str], Case]] = {"damaged": _damaged, "words": _words, "descriptors": _descriptors}


def make(seed: int, number: int) -> Case:
    """The case of a number."""
    rng = np.random.default_rng((seed, number))
    return list(KINDS.values())[number % len(KINDS)](rng, CHIPS[int(rng.random() < 0.2)])


@functools.cache
def _buffer(chip: str) -> Buffer:
    return device(chip).alloc(8192)


def execute(case: Case) -> str:
    """Load and run a case: `error`, `trap` or `ran`. Anything else is an exception."""
    try:
        program = elf.load(case.source) if isinstance(case.source, bytes) else case.source
        if isinstance(case.source, bytes):
            listing(program.text[:4096], program.text_base, program.symbols)
        machine: Device = device(case.chip)
        buffer = _buffer(case.chip)
        arguments: list[Any] = [buffer if kind.startswith("*") else 3 for kind in program.arguments]
        result = launch(machine, program, (1,), arguments, limit=LIMIT, interpreter=case.interpreter)
    except UserError:
        return "error"
    if result.trap is not None:
        str(result.trap)
    _check_neighbour(machine, case)
    return "ran" if result.trap is None else "trap"


def _check_neighbour(machine: Device, case: Case) -> None:
    """The memories of PE 1, which takes no part, hold nothing."""
    host = machine.machine(case.interpreter)
    for name, size in (("ls", machine.chip.ls.bytes), ("acc", machine.chip.re.bytes)):
        if np.frombuffer(host.regions[name].bytes(size, size), np.uint64).any():
            raise Broken(f"a program on PE 0 wrote the {name} of PE 1")
