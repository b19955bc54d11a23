"""The timing rules of the harts, one micro-benchmark each: cycles by hand from the chip file, on both interpreters.

`H` is the chip's `[hart]` table, `c` the clocks a whole vector register takes. A program ends with `xm.exit`, which
waits for nothing: its time is one clock, or a vector instruction's clocks, after the last instruction's issue.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from mtia.isa.asm import assemble
from mtia.isa.chip import Chip, load_chip
from mtia.isa.lang import Memory
from mtia.isa.state import Hart
from mtia.isa.xmtia.state import CpState
from mtia.runtime.machine.hart import native, reference_address
from mtia.runtime.machine.hart_handlers import run_code
from mtia.runtime.machine.hart_program import Program
from mtia.runtime.machine.state import AT_COMMAND

TEXT, DATA, SIZE = 0x4000_0000, 0x1000_0000, 16384


def odd_chip() -> Chip:
    """A chip whose hart has a number of its own for everything, and half the datapath."""
    chip = load_chip("mtia200")
    names = [f.name for f in dataclasses.fields(chip.hart)]
    first = names.index("alu")
    numbers = {name: 3 + 2 * k for k, name in enumerate(names[first:])}
    numbers |= {"vector_datapath_bits": 256, "v_element_rate": 4, "branch_taken": 5, "v_div_rate": 3}
    return dataclasses.replace(chip, hart=dataclasses.replace(chip.hart, **numbers))


CHIPS = {"mtia200": load_chip("mtia200"), "mtia300": load_chip("mtia300"), "odd": odd_chip()}
Expected = Callable[[Any, int], int]


def run(lines: str, chip: Chip, reference: bool) -> Any:
    """The hart after a program, a0 and s0 pointing to its memory."""
    text = assemble("\n".join(part.strip() for part in lines.split(";")) + "\nxm.exit\n").text
    program = Program(text, TEXT, chip, reference_address if reference else native().addr)
    memory, block, unit = Memory(SIZE), Hart.alloc(), CpState.alloc()
    hart: Any = Hart.view(block.addr)
    hart.pc, hart.horizon, hart.unit = TEXT, 1 << 62, unit.addr
    hart.ls_base, hart.ls_size, hart.ls_ptr = DATA, SIZE, memory.addr
    hart.x[10] = hart.x[8] = DATA
    start: Any = run_code if reference else partial(native().call, "run_code")
    assert start(block, program) & 255 == AT_COMMAND
    result = {"time": hart.time, "instret": hart.instret, "x": list(hart.x[:32])}
    ready = [list(getattr(hart, f"ready_{kind}")[:32]) for kind in "xfv"]
    return result | {"ready": ready}


def cycles(lines: str, chip: Chip) -> int:
    """The time at the end, which both interpreters agree on."""
    fast, reference = (run(lines, chip, interpreter) for interpreter in (False, True))
    assert fast == reference
    return int(fast["time"])


def cost(elements: int, rate: int) -> int:
    """Clocks for so many elements."""
    return -(-elements // rate)


SCALAR: dict[str, tuple[str, Expected]] = {
    "independent stream": ("addi a1, a0, 1; addi a2, a0, 2; addi a3, a0, 3; addi a4, a0, 4", lambda H, c: 4),
    "dependent chain": ("addi a1, a0, 1; addi a1, a1, 1; addi a1, a1, 1", lambda H, c: 2 * H.alu + 1),
    "later write of a register": ("div a1, a0, a0; addi a1, a0, 1; addi a2, a1, 1", lambda H, c: 1 + H.alu + 1),
    "multiply, use": ("mul a1, a0, a0; addi a2, a1, 1", lambda H, c: H.mul + 1),
    "multiplies are pipelined": ("mul a1, a0, a0; mul a2, a0, a0; mul a3, a0, a0", lambda H, c: 3),
    "divide, use": ("div a1, a0, a0; addi a2, a1, 1", lambda H, c: H.div + 1),
    "divide, remainder": ("div a1, a0, a0; remuw a2, a0, a0", lambda H, c: H.div + 1),
    "three divides, use": ("div a1, a0, a0; divu a2, a0, a0; divw a3, a0, a0; addi a4, a3, 1",
                           lambda H, c: 3 * H.div + 1),
    "divide beside others": ("div a1, a0, a0; addi a2, a0, 1; mul a3, a0, a0; fdiv.d f1, f2, f3", lambda H, c: 4),
    "floating divide, root": ("fdiv.s f1, f2, f3; fsqrt.d f4, f5", lambda H, c: H.fp_div + 1),
    "root, half divide, use": ("fsqrt.s f1, f2; fdiv.h f4, f5, f6; fadd.d f7, f4, f4",
                               lambda H, c: H.fp_sqrt + H.fp_div + 1),
    "add, use": ("fadd.d f1, f2, f3; fadd.d f4, f1, f1", lambda H, c: H.fp_add + 1),
    "product, use": ("fmul.s f1, f2, f3; fadd.s f4, f1, f1", lambda H, c: H.fp_mul + 1),
    "fused, use": ("fmadd.d f1, f2, f3, f4; fadd.d f4, f1, f1", lambda H, c: H.fp_fma + 1),
    "addend of a fused waits": ("fmul.d f1, f2, f3; fmadd.d f4, f2, f3, f1", lambda H, c: H.fp_mul + 1),
    "conversion, use": ("fcvt.d.l f1, a0; fcvt.l.d a1, f1; addi a1, a1, 1", lambda H, c: 2 * H.fp_cvt + 1),
    "move, use": ("fmv.d.x f1, a0; fsgnj.d f2, f1, f1; fmv.x.d a1, f2; addi a1, a1, 1", lambda H, c: 3 * H.fp_move + 1),
    "comparison, use": ("feq.d a1, f1, f2; addi a1, a1, 1", lambda H, c: H.fp_move + 1),
    "load, use": ("lw a1, 0(a0); addi a2, a1, 1", lambda H, c: H.load + 1),
    "load, other": ("lw a1, 0(a0); addi a2, a0, 1; lbu a3, 3(a0)", lambda H, c: 3),
    "misaligned load, use": ("ld a1, 3(a0); addi a2, a1, 1", lambda H, c: H.load + 1),
    "floating load, use": ("fld f1, 0(a0); fadd.d f2, f1, f1", lambda H, c: H.load + 1),
    "pointer chase": ("sd a0, 0(a0); ld a1, 0(a0); ld a1, 0(a1); ld a1, 0(a1)", lambda H, c: 1 + 2 * H.load + 1),
    "store waits for its value": ("mul a1, a0, a0; sd a1, 0(a0)", lambda H, c: H.mul + 1),
    "store, load of the same": ("sd a0, 0(a0); ld a1, 0(a0)", lambda H, c: 2),
    "atomic, use": ("amoadd.d a1, a0, (a0); addi a2, a1, 1", lambda H, c: H.load + 1),
    "fence": ("fence; fence", lambda H, c: 2),
    "branch not taken": ("beq a0, zero, 8; bne zero, zero, 4; addi a1, a0, 1", lambda H, c: 3),
    "branch taken": ("beq a0, a0, 8; addi a1, a0, 1; addi a1, a0, 1", lambda H, c: 1 + H.branch_taken + 1),
    "branch waits": ("mul a1, a0, a0; beq a1, zero, 8", lambda H, c: H.mul + 1),
    "loop": ("addi a1, zero, 5; addi a1, a1, -1; bne a1, zero, -4",
             lambda H, c: H.alu + 5 * H.alu + 4 * (1 + H.branch_taken) + 1),
    "jump": ("jal a1, 8; addi a2, a0, 1; addi a2, a1, 1", lambda H, c: 1 + H.branch_taken + 1),
    "indirect jump": ("auipc a1, 0; jalr a2, 12(a1); addi a3, a0, 1; addi a3, a2, 1",
                      lambda H, c: H.alu + 1 + H.branch_taken + 1),
    "CSR, use": ("csrrs a1, vlenb, zero; addi a2, a1, 1", lambda H, c: H.csr + 1),
}  # fmt: skip

# Behind `vsetvli t0, zero, eE, mM` (issued at 0) unless the line begins with its own.
VECTOR: dict[str, tuple[str, Expected]] = {
    "vset, use": ("vsetvli t0, zero, e32, m1, ta, ma; addi a1, t0, 1", lambda H, c: H.v_set + 1),
    "vset waits": ("mul a1, a0, a0; vsetvli t0, a1, e32, m1, ta, ma", lambda H, c: H.mul + 1),
    "m1": ("e32, m1: vadd.vv v8, v16, v24", lambda H, c: 1 + c),
    "m2": ("e8, m2: vadd.vv v8, v16, v24", lambda H, c: 1 + 2 * c),
    "m4": ("e16, m4: vadd.vv v8, v16, v24", lambda H, c: 1 + 4 * c),
    "m8": ("e64, m8: vadd.vv v8, v16, v24", lambda H, c: 1 + 8 * c),
    "mf2": ("e8, mf2: vadd.vv v8, v16, v24", lambda H, c: 1 + (c + 1) // 2),
    "masked": ("e16, m4: vadd.vv v8, v16, v24, v0.t", lambda H, c: 1 + 4 * c),
    "part of vl": ("vsetivli t0, 5, e64, m8, ta, ma; vadd.vv v8, v16, v24", lambda H, c: 1 + cost(5 * 64, 512 // c)),
    "vl = 0": ("vsetivli t0, 0, e64, m8, ta, ma; vadd.vv v8, v16, v24", lambda H, c: 1 + 1),
    "vl = 0 writes nothing": ("e32, m1: vle32.v v8, (a0); vsetivli t0, 0, e32, m1, ta, ma; vadd.vv v16, v8, v8",
                              lambda H, c: 1 + c + 1 + 1),
    "chain m1": ("e32, m1: vadd.vv v8, v16, v24; vadd.vv v9, v8, v8", lambda H, c: 1 + H.v_alu + c - 1 + c),
    "chain m4": ("e32, m4: vfadd.vv v8, v16, v24; vfadd.vv v12, v8, v8",
                 lambda H, c: max(1 + 4 * c, 1 + H.v_fp + c - 1) + 4 * c),
    "chain m8, general": ("e32, m8: vfmul.vv v8, v16, v24; vfmul.vv v16, v8, v8, v0.t",
                          lambda H, c: max(1 + 8 * c, 1 + H.v_fp + c - 1) + 8 * c),
    "middle of a group": ("e32, m1: vmul.vv v10, v16, v24; vsetvli t0, zero, e32, m4, ta, ma; vadd.vv v12, v8, v8",
                          lambda H, c: max(1 + c + 1, 1 + H.v_mul + c - 1 - 2 * c) + 4 * c),
    "beyond vl of a group": ("e32, m1: vdiv.vv v11, v16, v24; vsetivli t0, 31, e32, m4, ta, ma; vadd.vv v12, v8, v8",
                             lambda H, c: 1 + c * H.v_div_rate + 1 + 2 * c),
    "scalar operand": ("e32, m1: mul a1, a0, a0; vadd.vx v8, v16, a1", lambda H, c: 1 + H.mul + c),
    "multiply-add of vd": ("e32, m1: vmacc.vv v8, v16, v24; vmacc.vv v8, v16, v24",
                           lambda H, c: 1 + H.v_mul + c - 1 + c),
    "mask of a comparison": ("e32, m4: vmseq.vv v0, v8, v12; vadd.vv v16, v20, v24, v0.t",
                             lambda H, c: 1 + H.v_alu + 4 * c - 1 + 4 * c),
    "mask logic": ("e8, m8: vmand.mm v1, v2, v3; vmor.mm v4, v1, v1", lambda H, c: 1 + H.v_alu + 1),
    "count of a mask": ("e8, m8: vcpop.m a1, v1; addi a2, a1, 1", lambda H, c: 1 + H.v_permute + 1),
    "first element to a register": ("e32, m8: vmv.x.s a1, v8; addi a2, a1, 1", lambda H, c: 1 + H.v_permute + 1),
    "first element to f": ("e32, m8: vfmv.f.s f1, v8; fadd.s f2, f1, f1", lambda H, c: 1 + H.v_permute + 1),
    "widening": ("e16, m1: vwadd.vv v8, v16, v24", lambda H, c: 1 + 2 * c),
    "second register of a widening": (
        "e16, m1: vwmul.vv v8, v16, v24; vadd.vv v10, v9, v9",
        lambda H, c: max(1 + 2 * c, 1 + H.v_mul + 2 * c - 1) + c,
    ),
    "first register of a widening": (
        "e16, m1: vwmul.vv v8, v16, v24; vadd.vv v10, v8, v8",
        lambda H, c: max(1 + 2 * c, 1 + H.v_mul + c - 1) + c,
    ),
    "narrowing": ("e16, m1: vnsrl.wi v8, v16, 3; vadd.vv v9, v8, v8", lambda H, c: 1 + H.v_alu + 2 * c - 1 + c),
    "narrowing waits for both": ("e16, m1: vmul.vv v17, v8, v8; vnsrl.wi v9, v16, 3",
                                 lambda H, c: max(1 + c, 1 + H.v_mul + c - 1 - c) + 2 * c),
    "extension": ("e32, m4: vzext.vf4 v8, v16", lambda H, c: 1 + 4 * c),
    "extension reads one register": ("e32, m4: vmul.vv v16, v8, v8; vzext.vf4 v12, v16",
                                     lambda H, c: max(1 + 4 * c, 1 + H.v_mul + c - 1) + 4 * c),
    "reduction": ("e32, m4: vredsum.vs v1, v8, v2; vmv.x.s a1, v1; addi a1, a1, 1",
                  lambda H, c: 1 + H.v_reduce + 4 * c - 1 + H.v_permute + 1),
    "reduction start value": ("e32, m1: vadd.vv v2, v8, v8; vredsum.vs v1, v8, v2",
                              lambda H, c: 1 + H.v_alu + c - 1 + c),
    "divide": ("e32, m2: vdiv.vv v8, v16, v24", lambda H, c: 1 + 2 * c * H.v_div_rate),
    "divide, use": ("e32, m1: vdiv.vv v8, v16, v24; vadd.vv v9, v8, v8",
                    lambda H, c: 1 + H.v_div + c * H.v_div_rate - 1 + c),
    "scalar beside a divide": ("e32, m1: vfdiv.vv v8, v16, v24; addi a1, a0, 1", lambda H, c: 1 + c * H.v_div_rate + 1),
    "permutation waits for all": ("e32, m2: vle32.v v8, (a0); vslidedown.vi v12, v8, 1",
                                  lambda H, c: 1 + H.v_load + 2 * c - 1 + 2 * c),
    "gather waits for its indices": ("e32, m1: vmul.vv v16, v8, v8; vrgather.vv v12, v8, v16",
                                     lambda H, c: 1 + H.v_mul + c - 1 + c),
    "load m1, use": ("e32, m1: vle32.v v8, (a0); vadd.vv v9, v8, v8", lambda H, c: 1 + H.v_load + c - 1 + c),
    "load m8, chained": ("e8, m8: vle8.v v8, (a0); vadd.vv v16, v8, v8",
                         lambda H, c: max(1 + 8 * c, 1 + H.v_load + c - 1) + 8 * c),
    "loads": ("e32, m1: vle32.v v8, (a0); vle32.v v9, (a0); vle32.v v10, (a0)", lambda H, c: 1 + 3 * c),
    "load of another width": ("e32, m4: vle8.v v8, (a0); vadd.vv v12, v8, v8",
                              lambda H, c: max(1 + c, 1 + H.v_load + c - 1) + 4 * c),
    "store waits": ("e32, m1: vfmul.vv v8, v16, v24; vse32.v v8, (a0)", lambda H, c: 1 + H.v_fp + c - 1 + c),
    "strided": ("e32, m1: vlse32.v v8, (a0), zero", lambda H, c: 1 + cost(16, H.v_element_rate)),
    "strided, use": ("e32, m1: vlse32.v v8, (a0), zero; vadd.vv v9, v8, v8",
                     lambda H, c: 1 + H.v_load + cost(16, H.v_element_rate) - 1 + c),
    "strided store": ("e64, m2: vsse64.v v8, (a0), a1", lambda H, c: 1 + cost(16, H.v_element_rate)),
    "indexed": ("e16, m1: vluxei32.v v8, (a0), v16", lambda H, c: 1 + cost(32, H.v_element_rate)),
    "indices chain": ("e16, m1: vmul.vv v17, v8, v8; vluxei32.v v9, (a0), v16",
                      lambda H, c: max(1 + c, 1 + H.v_mul + c - 1 - 16 // H.v_element_rate)
                      + cost(32, H.v_element_rate)),
    "segments": ("e32, m1: vlseg3e32.v v8, (a0)", lambda H, c: 1 + cost(48, H.v_element_rate)),
    "last field of a segment": ("e32, m1: vlseg3e32.v v8, (a0); vadd.vv v12, v10, v10",
                                lambda H, c: 1 + H.v_load + cost(48, H.v_element_rate) - 1 + c),
    "segment store waits for all": ("e32, m1: vdiv.vv v9, v16, v16; vsseg2e32.v v8, (a0)",
                                    lambda H, c: 1 + H.v_div + c * H.v_div_rate - 1 + cost(32, H.v_element_rate)),
    "whole registers": ("vsetivli t0, 1, e8, m1, ta, ma; vl4re32.v v8, (a0)", lambda H, c: 1 + 4 * c),
    "whole registers, use": ("vsetivli t0, 1, e8, m1, ta, ma; vl2re8.v v8, (a0); vadd.vv v10, v9, v9",
                             lambda H, c: 1 + H.v_load + 2 * c - 1 + 1),
    "whole move": ("vsetivli t0, 1, e8, m1, ta, ma; vmv8r.v v8, v16", lambda H, c: 1 + 8 * c),
    "mask load": ("e8, m8: vlm.v v0, (a0); vadd.vv v8, v8, v8, v0.t", lambda H, c: 1 + H.v_load + 8 * c),
    "new vtype at once": ("e32, m1: vsetvli t1, zero, e8, m2, ta, ma; vadd.vv v8, v16, v24", lambda H, c: 2 + 2 * c),
}  # fmt: skip


def check(lines: str, expected: Expected, chip: Chip) -> None:
    setting, colon, rest = lines.partition(": ")
    if colon:
        lines = f"vsetvli t0, zero, {setting}, ta, ma; {rest}"
    assert cycles(lines, chip) == expected(chip.hart, 512 // chip.hart.vector_datapath_bits)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("rule", SCALAR)
def test_scalar(rule: str, chip: str) -> None:
    check(*SCALAR[rule], CHIPS[chip])


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("rule", VECTOR)
def test_vector(rule: str, chip: str) -> None:
    check(*VECTOR[rule], CHIPS[chip])


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(
    "row, name",
    [
        ("vfcvt.x.f.v v1, v2", "v_fp"), ("vfncvt.f.f.w v1, v2", "v_fp"), ("vfclass.v v1, v2", "v_alu"),
        ("vfsqrt.v v1, v2", "v_div"), ("vfmacc.vv v1, v2, v3", "v_fp"), ("vfadd.vv v1, v2, v3", "v_fp"),
        ("vfmul.vv v1, v2, v3", "v_fp"), ("vmul.vv v1, v2, v3", "v_mul"), ("vmacc.vv v1, v2, v3", "v_mul"),
        ("vdiv.vv v1, v2, v3", "v_div"), ("vadd.vv v1, v2, v3", "v_alu"), ("vfredusum.vs v1, v2, v3", "v_reduce"),
        ("vredsum.vs v1, v2, v3", "v_reduce"), ("vslidedown.vi v1, v2, 1", "v_permute"),
        ("vmand.mm v1, v2, v3", "v_alu"), ("vle32.v v1, (a0)", "v_load"),
    ],
)  # fmt: skip
def test_the_latency_of_each_vector_class(row: str, name: str, chip: str) -> None:
    """An instruction that uses the result waits a latency longer than one that does not."""
    latency = getattr(CHIPS[chip].hart, name)
    once = f"vsetivli t0, 16, e32, m1, ta, ma; {row}"
    assert cycles(f"{once}; vmv.x.s a1, v1", CHIPS[chip]) == cycles(once, CHIPS[chip]) + latency


@pytest.mark.parametrize("chip", CHIPS)
def test_counters_read_the_simulated_values(chip: str) -> None:
    reads = "; ".join(f"csrrs a{k}, {name}, zero" for k, name in enumerate(("cycle", "time", "instret", "cycle"), 2))
    lines = f"mul a1, a0, a0; addi a1, a1, 1; {reads}"
    hart = CHIPS[chip].hart
    for reference in (False, True):
        x = run(lines, CHIPS[chip], reference)["x"]
        assert x[12:16] == [hart.mul + 1, hart.mul + 2, 4, hart.mul + 4]


def test_every_latency_of_the_chip_file_is_used() -> None:
    """Another number in the chip file changes some benchmark above."""
    chip = odd_chip()
    for field in dataclasses.fields(chip.hart)[4:]:
        if field.name == "skew":
            continue  # between two harts: test_timing_policies.py
        other = dataclasses.replace(chip.hart, **{field.name: 2 * getattr(chip.hart, field.name)})
        changed = [
            expected(chip.hart, 2) != expected(other, 512 // other.vector_datapath_bits)
            for _, expected in [*SCALAR.values(), *VECTOR.values()]
        ]
        assert any(changed), field.name
