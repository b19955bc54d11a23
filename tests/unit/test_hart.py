"""Harts: native handlers against the reference (registers, memory and cycles) and against qemu."""

from __future__ import annotations

import random
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mtia.isa import decode, table
from mtia.isa.asm import assemble
from mtia.isa.chip import load_chip
from mtia.isa.lang import Memory
from mtia.isa.state import Hart
from mtia.isa.xmtia.state import CpState
from mtia.runtime.machine.hart import HartTrap, native, reference_address, run_elf
from mtia.runtime.machine.hart_handlers import CAUSE_SHIFT, dense_sizes, run_code
from mtia.runtime.machine.hart_program import TIMINGS, Program
from mtia.runtime.machine.state import AT_ACCESS, AT_COMMAND, AT_EXIT, AT_HORIZON, AT_TRAP

TEXT, DATA, SIZE = 0x4000_0000, 0x1000_0000, 8192
CHIP = load_chip("mtia200")


def words(*lines: str) -> bytes:
    """Assembly lines as text."""
    return assemble("\n".join(lines) + "\n").text


class One:
    """A hart of one interpreter with a program and zeroed local memory."""

    def __init__(self, text: bytes, reference: bool) -> None:
        address = reference_address if reference else native().addr
        self.program = Program(text, TEXT, CHIP, address)
        self.memory, self.block, self.unit = Memory(SIZE), Hart.alloc(), CpState.alloc()
        self.hart: Any = Hart.view(self.block.addr)
        self.reference = reference
        h = self.hart
        h.pc, h.horizon = TEXT, 1 << 62
        h.ls_base, h.ls_size, h.ls_ptr = DATA, SIZE, self.memory.addr
        h.unit = self.unit.addr
        h.exact = self.program.exact

    def run(self) -> tuple[int, int]:
        """The reason for leaving, and the cause of a trap."""
        run: Any = run_code if self.reference else partial(native().call, "run_code")
        result = int(run(self.block, self.program))
        return result & 255, result >> CAUSE_SHIFT

    def state(self) -> bytes:
        """All of the hart but the host addresses, and its memory."""
        h = self.hart
        h.ls_ptr, h.unit = 0, 0
        found = bytes(self.block.bytes) + bytes(self.memory.bytes) + bytes(self.unit.bytes)
        h.ls_ptr, h.unit = self.memory.addr, self.unit.addr
        return found


def both(text: bytes) -> list[One]:
    return [One(text, False), One(text, True)]


def test_every_timing_class_is_known() -> None:
    special = {"branch", "jump", "expanded"}
    assert {row.timing for row in table.all() if row.unit == "hart"} - special <= set(TIMINGS)


def test_scoreboard() -> None:
    # A load's result is used at once: the add waits for its latency; the independent add does not.
    for hart in both(words("lui a0, 0x10000", "lw a1, 0(a0)", "addi a2, a1, 1", "addi a3, a0, 1", "xm.exit")):
        assert hart.run() == (AT_COMMAND, 0)
        assert hart.hart.time == 1 + CHIP.hart.load + 1 + 1
        assert hart.hart.instret == 5 and hart.hart.x[13] == DATA + 1


def test_taken_branch_costs() -> None:
    for hart in both(words("addi a0, zero, 3", "addi a0, a0, -1", "bne a0, zero, -4", "xm.exit")):
        assert hart.run() == (AT_COMMAND, 0)
        assert hart.hart.time == 1 + 3 * 2 + 2 * CHIP.hart.branch_taken


def test_leaving_and_resuming() -> None:
    text = words("lui a0, 0x10002", "lw a1, 4(a0)", "addi a1, a1, 1", "sw a1, 4(a0)", "ecall", "jalr zero, 0(zero)")
    for hart in both(text):
        h = hart.hart
        assert hart.run() == (AT_ACCESS, 0) and (h.pc, h.want_addr, h.want_size) == (TEXT + 4, DATA + SIZE + 4, 4)
        outside = Memory(64)
        outside.bytes[0] = 41
        h.grant_base, h.grant_size, h.grant_ptr = DATA + SIZE + 4, 4, outside.addr
        assert hart.run() == (AT_ACCESS, 0) and h.pc == TEXT + 12 and h.want_kind == 1
        h.grant_base, h.grant_size, h.grant_ptr = DATA + SIZE + 4, 4, outside.addr
        assert hart.run() == (AT_TRAP, 8) and h.pc == TEXT + 16
        assert outside.bytes[0] == 42
        h.pc += 4
        assert hart.run() == (AT_EXIT, 0)


def test_horizon_stops_before_memory_and_at_jumps() -> None:
    text = words("lui a0, 0x10000", "addi a1, a1, 1", "sw a1, 0(a0)", "jal zero, -8")
    for hart in both(text):
        h = hart.hart
        for horizon in range(1, 60):
            h.horizon = horizon
            while h.time < horizon:
                assert hart.run() == (AT_HORIZON, 0)
            assert int.from_bytes(hart.memory.bytes[:4], "little") in (h.x[11], h.x[11] - 1)
    # A store at or after the horizon has not happened.
    hart = One(text, False)
    hart.hart.horizon = 2
    assert hart.run() == (AT_HORIZON, 0) and hart.hart.pc == TEXT + 8 and hart.memory.bytes[0] == 0


def test_traps() -> None:
    for hart in both((0).to_bytes(4, "little")):
        assert hart.run() == (AT_TRAP, 2)
    for hart in both(words("addi a0, zero, 1")):
        assert hart.run() == (AT_TRAP, 1) and hart.hart.pc == TEXT + 4
    for hart in both(words("jal zero, 4096")):
        assert hart.run() == (AT_TRAP, 1)
    for hart in both(words("lui a0, 0x40000", "jalr ra, 2(a0)")):
        assert hart.run() == (AT_TRAP, 1) and hart.hart.pc == TEXT + 2


def random_word(row: table.Instruction, source: random.Random) -> int:
    """A word of a row with random operands; memory accesses stay near x8."""
    while True:
        word = (source.getrandbits(32) & ~row.mask | row.match) & ((1 << 8 * row.size) - 1)
        if "rs1" in row.by_name and row.timing in ("load", "store", "amo"):
            word = word & ~(31 << 15) | 8 << 15
        found = decode.decode(word)
        if found is not None and found.row is row and 8 not in {
            value for name, value in found.values.items() if row.by_name[name].writes and name.startswith("r")
        }:  # fmt: skip
            return word


STRAIGHT = [
    row
    for row in table.all()
    if row.unit == "hart" and row.meaning is not None and row.flow is table.Flow.NEXT and row.timing != "system"
]


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_agree_in_both_interpreters(seed: int) -> None:
    source = random.Random(seed)
    text = b"".join(random_word(source.choice(STRAIGHT), source).to_bytes(4, "little") for _ in range(400))
    fast, reference = both(text)
    for register in range(1, 32):
        value = source.choice([source.getrandbits(64), source.getrandbits(8), 1 << 63, 0x7FF0 << 48])
        boxed = source.choice([value, value | 0xFFFF_FFFF << 32, value | 0xFFFF_FFFF_FFFF << 16])
        for hart in (fast, reference):
            hart.hart.x[register] = value if register != 8 else DATA + 4096
            hart.hart.f[register] = boxed
    while fast.hart.pc < TEXT + len(text):
        results = fast.run(), reference.run()
        assert results[0] == results[1]
        assert fast.state() == reference.state()
        # Skip what trapped: misaligned atomics, reserved rounding modes, accesses outside.
        for hart in (fast, reference):
            hart.hart.pc += 4


DENSE = [row for row in STRAIGHT if dense_sizes(row)]


def vector_program(source: random.Random, size: int, registers: int) -> bytes:
    """Configuration, then unmasked instructions on aligned groups that have dense handlers."""
    text = words(f"vsetvli t0, zero, e{8 * size}, m{registers}, ta, ma")
    while len(text) < 4 * 40:
        row = source.choice(DENSE)
        word = random_word(row, source) | 1 << 25
        for operand in row.operands:
            if operand.kind.name == "v":
                word &= ~((registers - 1) << operand.pieces[0].word)
        found = decode.decode(word)
        if found is not None and found.row is row:
            text += word.to_bytes(4, "little")
    return text


@pytest.mark.parametrize(("size", "registers"), [(1, 1), (2, 2), (4, 1), (4, 2), (4, 8), (2, 4), (8, 2)])
def test_dense_handlers_agree_with_the_general_ones(size: int, registers: int) -> None:
    source = random.Random(100 * size + registers)
    text = vector_program(source, size, registers)
    fast, reference = both(text)
    general = One(text, False)
    general.hart.exact = 1  # turns the dense handlers off, and collects flags
    contents = source.randbytes(2048), source.randbytes(SIZE)
    for hart in (fast, reference, general):
        hart.hart.x[8] = DATA + 4096
        for k in range(2048):
            hart.hart.v[k] = contents[0][k]
        hart.memory.bytes[:] = contents[1]
    while fast.hart.pc < TEXT + len(text):
        results = fast.run(), reference.run(), general.run()
        assert results[0] == results[1] == results[2]
        assert fast.state() == reference.state()
        for name in ("time", "instret", "pc"):
            assert getattr(fast.hart, name) == getattr(general.hart, name)
        assert fast.hart.v[:] == general.hart.v[:] and fast.hart.ready_v[:] == general.hart.ready_v[:]
        assert bytes(fast.memory.bytes) == bytes(general.memory.bytes)
        for hart in (fast, reference, general):
            hart.hart.pc += 4
    assert fast.hart.v_dense == size | registers << 8 and general.hart.v_dense == 0


C_PROGRAM = """
static long call(long n, long a, long b, long c) {
  register long a7 __asm__("a7") = n, a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
  return a0;
}
static void show(unsigned long v) {
  char text[24]; int k = 24;
  text[--k] = '\\n';
  do { text[--k] = '0' + v % 10; v /= 10; } while (v);
  call(64, 1, (long)(text + k), 24 - k);
}
static unsigned char composite[4096];
static double table[64];
static float half(float x) { return x * 0.5f + 1.25f; }
static int work(void) {
  unsigned long h = 1469598103934665603ul, n = 0;
  for (int i = 2; i < SIZE; i++) {
    if (composite[i]) continue;
    n++;
    for (int j = 2 * i; j < SIZE; j += i) composite[j] = 1;
  }
  show(n);
  double sum = 0;
  float f = 3;
  for (int i = 0; i < 64; i++) {
    table[i] = (double)i / (1 + i % 7) - sum * 0.125;
    sum += table[i] * table[i];
    f = half(f) - (float)sum;
    h = (h ^ (unsigned long)(long)(sum * 1000) ^ (unsigned)(int)f) * 1099511628211ul;
  }
  show(h);
  return (int)(h % 97);
}
__attribute__((naked)) void _start(void) {
  __asm__ volatile(".option push\\n.option norelax\\nla gp, __global_pointer$\\n.option pop\\ncall run\\n");
}
__attribute__((used)) void run(void) { call(93, work(), 0, 0); for (;;); }
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C program of loops, divisions, floats and system calls."""
    if not shutil.which("riscv64-unknown-elf-gcc"):
        pytest.skip("no RISC-V C compiler")
    folder = tmp_path_factory.mktemp("elf")
    (folder / "program.c").write_text(C_PROGRAM)
    options = "-O2 -DSIZE=512 -march=rv64gc -mabi=lp64d -mcmodel=medany -nostdlib -static -ffreestanding".split()
    subprocess.run(
        ["riscv64-unknown-elf-gcc", *options, "program.c", "-o", "program"], cwd=folder, check=True, capture_output=True
    )
    return folder / "program"


def test_compiled_program_agrees_with_qemu(compiled: Path) -> None:
    runners = [run_elf(compiled), run_elf(compiled, reference=True)]
    codes = [runner.run() for runner in runners]
    fast, reference = runners
    assert codes[0] == codes[1] and fast.output == reference.output
    for name in ("time", "instret", "pc"):
        assert getattr(fast.hart, name) == getattr(reference.hart, name)
    assert fast.hart.x[:32] == reference.hart.x[:32] and fast.hart.f[:] == reference.hart.f[:]
    if shutil.which("qemu-riscv64"):
        oracle = subprocess.run(["qemu-riscv64", str(compiled)], capture_output=True, timeout=20)
        assert (oracle.stdout, oracle.returncode) == (bytes(fast.output), codes[0])


def test_an_access_outside_memory_is_a_trap(tmp_path: Path, compiled: Path) -> None:
    runner = run_elf(compiled)
    runner.hart.x[2] = 64
    with pytest.raises(HartTrap, match="cause [57] at pc"):
        runner.run()
