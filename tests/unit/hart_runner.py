"""Runs a program twice: on the meanings of the table (the Python reference) and on qemu-riscv64."""

from __future__ import annotations

import ctypes
import dataclasses
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from mtia.isa import state
from mtia.isa.asm import Program, assemble
from mtia.isa.decode import fields, size_at
from mtia.isa.lang import Memory
from mtia.isa.table import Flow, Instruction

QEMU = shutil.which("qemu-riscv64")
CPU = "rv64,v=true,vlen=512,elen=64,vext_spec=v1.0,zba=true,zbb=true,zbs=true,Zfh=true,Zicsr=true,Zifencei=true"
DATA = 0x1000_1000
DATA_SIZE = 1 << 20
TEXT = 0x4000_0000
EXIT = "li a7, 93; li a0, 0; ecall"


def elf(program: Program) -> bytes:
    """A static executable: one segment for each section, the data section followed by zeros."""
    sections = list(program.sections.values())
    head = 64 + 56 * len(sections)
    body, headers = b"", b""
    for section in sections:
        body += bytes(-(head + len(body) - section.address) % 4096)
        size = max(len(section.data), DATA_SIZE if section.address < TEXT else 0)
        headers += struct.pack(
            "<IIQQQQQQ", 1, 7, head + len(body), section.address, section.address, len(section.data), size, 4096
        )
        body += section.data
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return (
        ident
        + struct.pack("<HHIQQQIHHHHHH", 2, 243, 1, TEXT, 64, 0, 5, 64, 56, len(sections), 64, 0, 0)
        + headers
        + body
    )


def build(source: str, inputs: bytes, size: int) -> Program:
    """Assemble a program that reads `table`, has 8 KiB at `scratch` and ends by writing `size` bytes at `out`."""
    write = f"li a7, 64; li a0, 1; la a1, out; li a2, {size}; ecall; {EXIT}"
    data = f".data\ntable: .zero {len(inputs)}\n.balign 64\nscratch: .zero 8192\nout: .zero {size}"
    program = assemble(f"la t0, table; la t1, out\n{source}\n{write}\n{data}\n", text_base=TEXT, data_base=DATA)
    section = program.sections[".data"]
    filled = dataclasses.replace(section, data=inputs + section.data[len(inputs) :])
    return dataclasses.replace(program, sections=program.sections | {".data": filled})


def run_qemu(program: Program, size: int) -> bytes:
    """Run a program on qemu; returns what it writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program"
        path.write_bytes(elf(program))
        path.chmod(0o755)
        assert QEMU is not None
        done = subprocess.run([QEMU, "-cpu", CPU, str(path)], capture_output=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert len(done.stdout) == size
    return done.stdout


class Reference:
    """One hart on the Python reference, with its data section as local memory."""

    def __init__(self, program: Program, exact: int) -> None:
        self.program = program
        self.memory = Memory(DATA_SIZE)
        data = self.program.sections[".data"].data
        ctypes.memmove(self.memory.addr, data, len(data))
        self.block = state.Hart.alloc()
        self.hart = state.Hart.view(self.block.addr)
        self.hart.ls_base, self.hart.ls_size, self.hart.ls_ptr = DATA, DATA_SIZE, self.memory.addr
        self.hart.exact = exact
        self.insns: dict[int, tuple[Instruction, Memory]] = {}

    def insn(self, pc: int) -> tuple[Instruction, Memory]:
        """The decoded instruction at an address."""
        if pc not in self.insns:
            text = self.program.text[pc - TEXT :]
            word = int.from_bytes(text[: size_at(text[0])], "little")
            found = fields(word)
            assert found is not None, f"illegal instruction {word:#x}"
            block = state.Insn.alloc()
            view = state.Insn.view(block.addr)
            view.pc, view.word = pc, word
            for name in ("size", "rd", "rs1", "rs2", "rs3", "imm", "rm", "vm"):
                setattr(view, name, getattr(found, name))
            self.insns[pc] = found.row, block
        return self.insns[pc]

    def run(self, pc: int = TEXT) -> int:
        """Run from an address until something traps or needs memory outside; returns the status."""
        while True:
            row, block = self.insn(pc)
            insn = state.Insn.view(block.addr)
            result = row.meaning(self.block.addr, block.addr)  # type: ignore[operator]
            self.hart.grant_size = 0  # a grant is for one instruction
            if row.flow in (Flow.NEXT, Flow.JUMP) and result != state.OK:
                self.hart.pc = pc
                return int(result)
            if row.flow is Flow.INDIRECT:
                pc = result
            elif row.flow is Flow.JUMP or (row.flow is Flow.BRANCH and result):
                pc += insn.imm
            else:
                pc += insn.size

    def output(self, size: int) -> bytes:
        """The bytes at symbol `out`."""
        start = self.program.symbols["out"] - DATA
        return bytes(self.memory.bytes[start : start + size])


def run_reference(program: Program, size: int, exact: int = 1) -> bytes:
    """Run a program as `run_qemu` does, on the reference, up to its first system call."""
    machine = Reference(program, exact)
    assert machine.run() == state.ECALL, machine.hart.pc
    return machine.output(size)
