"""Accesses outside local memory: the request, the grant and the restart, element by element for vectors."""

from __future__ import annotations

import pytest
from hart_runner import DATA, TEXT, Reference, build, run_qemu, run_reference
from mtia.isa import state
from mtia.isa.asm import assemble
from mtia.isa.lang import Memory
from test_hart_scalar import needs_qemu

FAR = 0x80_0000_0000


def machine(text: str) -> Reference:
    """A hart whose a1 points to memory that it cannot reach by itself."""
    program = assemble(f"{text}\necall\n.data\ntable: .zero 64", text_base=TEXT, data_base=DATA)
    found = Reference(program, 0)
    found.hart.x[11] = FAR
    return found


def finish(hart: Reference, memory: Memory) -> list[tuple[int, int, int]]:
    """Run to the end, granting every request; returns the requests as (offset, size, kind)."""
    requests = []
    view = hart.hart
    view.pc = TEXT
    while (cause := hart.run(view.pc)) == state.EXTERNAL:
        requests.append((view.want_addr - FAR, view.want_size, view.want_kind))
        view.grant_base, view.grant_size = view.want_addr, view.want_size
        view.grant_ptr = memory.addr + view.want_addr - FAR
    assert cause == state.ECALL
    return requests


def test_scalar_load_store_and_atomic() -> None:
    memory = Memory(256)
    memory.bytes[8:16] = (1234).to_bytes(8, "little")
    hart = machine("ld a0, 8(a1); sw a0, 16(a1); amoadd.d a2, a0, (a1); sh a0, -2(a1)")
    requests = finish(hart, memory)
    assert requests == [(8, 8, state.READ), (16, 4, state.WRITE), (0, 8, state.AMO), (-2, 2, state.WRITE)]
    assert hart.hart.x[10] == 1234 and hart.hart.x[12] == 0
    assert memory.bytes[16:20] == (1234).to_bytes(4, "little")
    assert memory.bytes[0:8] == (1234).to_bytes(8, "little")


def test_a_whole_vector_is_one_request() -> None:
    memory = Memory(256)
    memory.bytes[:256] = bytes(range(256))
    hart = machine("li a0, 24; vsetvli x0, a0, e32, m2, ta, ma; vle32.v v8, (a1); addi a1, a1, 128; vse8.v v8, (a1)")
    assert finish(hart, memory) == [(0, 96, state.READ), (128, 24, state.WRITE)]
    assert bytes(hart.hart.v[8 * 64 : 8 * 64 + 96]) == bytes(range(96))
    assert memory.bytes[128:152] == bytes(range(24))


def test_strided_and_masked_elements_restart_at_vstart() -> None:
    memory = Memory(1024)
    memory.bytes[:1024] = bytes(n % 251 for n in range(1024))
    hart = machine("li a0, 5; vsetvli x0, a0, e16, m1, ta, mu; li a2, 48; vlse16.v v8, (a1), a2, v0.t")
    hart.hart.v[0] = 0b10110
    assert finish(hart, memory) == [(48, 2, state.READ), (96, 2, state.READ), (192, 2, state.READ)]
    assert hart.hart.vstart == 0
    elements = [int.from_bytes(bytes(hart.hart.v[512 + 2 * n : 514 + 2 * n]), "little") for n in range(5)]
    source = bytes(memory.bytes)
    want = [0, *(int.from_bytes(source[48 * n : 48 * n + 2], "little") for n in (1, 2)), 0]
    assert elements == [*want, int.from_bytes(source[192:194], "little")]


def test_segments_ask_for_all_fields_of_an_element() -> None:
    memory = Memory(256)
    memory.bytes[:256] = bytes(range(256))
    hart = machine("vsetivli x0, 2, e8, m1, ta, ma; vlseg3e8.v v8, (a1)")
    assert finish(hart, memory) == [(0, 3, state.READ), (3, 3, state.READ)]
    assert [list(hart.hart.v[64 * r : 64 * r + 2]) for r in (8, 9, 10)] == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("lr.w a0, (a1)", state.LOAD_MISALIGNED),
        ("amoadd.d a0, a2, (a1)", state.STORE_MISALIGNED),
        ("ebreak", state.BREAKPOINT),
        ("csrr a0, 0x7c0", state.ILLEGAL),
        ("csrw cycle, a0", state.ILLEGAL),
        ("vadd.vv v8, v8, v8", state.ILLEGAL),  # vtype is not set
        ("vsetivli x0, 1, e8, m2, ta, ma; vadd.vv v9, v8, v8", state.ILLEGAL),
        ("vsetivli x0, 1, e64, m1, ta, ma; vwadd.vv v8, v10, v12", state.ILLEGAL),
        ("csrwi frm, 5; fadd.s fa0, fa0, fa0", state.ILLEGAL),
        ("csrwi frm, 5; vsetivli x0, 1, e32, m1, ta, ma; vfadd.vv v8, v8, v8", state.ILLEGAL),
    ],
)
def test_traps(text: str, cause: int) -> None:
    hart = machine(text)
    hart.hart.x[11] = DATA + 1
    assert hart.run() == cause


@needs_qemu
def test_vector_configuration_against_qemu() -> None:
    lines, data = [], b""
    for vtype in [*range(256), 256, 1 << 63]:
        data += vtype.to_bytes(8, "little")
        lines.append(
            "ld a1, 0(t0); addi t0, t0, 8; li a2, 37; vsetvl a0, a2, a1; csrr a3, vtype; csrr a4, vl; sd a0, 0(t1);"
            "sd a3, 8(t1); vsetvl a5, x0, a1; sd a5, 16(t1); sd a4, 24(t1); addi t1, t1, 32"
        )
    size = 32 * len(lines)
    program = build("\n".join(lines), data, size)
    assert run_qemu(program, size) == run_reference(program, size)


@needs_qemu
def test_registers_of_control_against_qemu() -> None:
    lines = []
    steps = ("csrrw a0, {}, a1", "csrrs a0, {}, a2", "csrrc a0, {}, a3", "csrrwi a0, {}, 1", "csrrci a0, {}, 1")
    for name in ("fflags", "frm", "fcsr", "vxsat", "vxrm", "vcsr", "vstart"):
        for step in steps:
            value = 1 if name[0] == "v" else 86  # qemu 7.2 keeps bits of vxrm that are zero by the specification
            lines.append(f"li a1, {value}; li a2, 1; li a3, 2; {step.format(name)}; sd a0, 0(t1); csrr a0, {name};"
                         "sd a0, 8(t1); csrwi vstart, 0; csrwi frm, 0; addi t1, t1, 16")  # fmt: skip
    size = 16 * len(lines)
    program = build("\n".join(lines), bytes(8), size)
    assert run_qemu(program, size) == run_reference(program, size)
