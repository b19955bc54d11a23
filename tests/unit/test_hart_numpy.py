"""Meanings that qemu 7.2 does not have (Zvfh, bf16, Zicond) or cannot translate, against numpy and ml_dtypes."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hart_runner import DATA, TEXT, Reference
from mtia.isa.asm import assemble
from mtia.isa.riscv.floats import HALF

f16, f32, f64, bf16 = np.float16, np.float32, np.float64, ml_dtypes.bfloat16
Array = Any


def execute(instruction: str, width: int, count: int, registers: list[bytes], scalar: int = 0) -> Reference:
    """Run one vector instruction on v8, v16, v24 (8 registers each), f11 and x11; v8 is stored at `out`."""
    source = f"""
        la t0, table
        vl8re8.v v8, (t0); addi t0, t0, 512
        vl8re8.v v16, (t0); addi t0, t0, 512
        vl8re8.v v24, (t0); addi t0, t0, 512
        fld fa1, 0(t0); ld a1, 0(t0)
        li t2, {count}; vsetvli x0, t2, e{width}, m1, tu, mu
        {instruction}
        la t1, out; vs8r.v v8, (t1); ecall
        .data
        table: .zero 1544
        .balign 64
        out: .zero 512
    """
    program = assemble(source, text_base=TEXT, data_base=DATA)
    data = program.sections[".data"]
    inputs = b"".join(register.ljust(512, b"\0") for register in registers) + struct.pack("<Q", scalar)
    filled = dataclasses.replace(data, data=inputs + data.data[len(inputs) :])
    machine = Reference(dataclasses.replace(program, sections=program.sections | {".data": filled}), 0)
    machine.run()
    return machine


def floats(kind: Any, seed: int, count: int) -> Array:
    """Random values of a type, with zeros, infinities, NaN and subnormals among them."""
    random = np.random.default_rng(seed)
    width = np.dtype(kind).itemsize * 8
    bits = random.integers(0, 1 << width, count, dtype=np.uint64).astype(f"u{width // 8}")
    values = bits.view(kind).copy()
    near = random.normal(0, 4, count).astype(kind)
    values[: count * 2 // 3] = near[: count * 2 // 3]
    values[:6] = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 6e-8], dtype=f32).astype(kind)
    return random.permutation(values)


def canonical(values: Array) -> Array:
    """Bits, every NaN the canonical one."""
    kind = values.dtype
    width = kind.itemsize
    bits = values.view(f"u{width}").copy()
    nan = {f16: 0x7E00, f32: 0x7FC00000, f64: 0x7FF8 << 48, bf16: 0x7FC0}[kind.type]
    bits[np.isnan(values.astype(f64))] = nan
    return bits


def half_fma(a: Array, b: Array, d: Array) -> Array:
    """The exact fused multiply-add, which the scalar tests check against qemu."""
    run = HALF.exact.fma
    flags = np.zeros(1, np.uint32)
    triples = np.stack([v.view("u2") for v in (a, b, d)], axis=1).tolist()
    bits = [run(x, y, z, 0, flags.ctypes.data) for x, y, z in triples]
    return np.array(bits, "u2").view(f16)


def wide(kind: Any) -> Callable[[Array], Array]:
    return lambda values: values.astype(kind)


W = wide(f32)
# instruction, types of vs2, vs1 and vd, expected (vs2, vs1, vd)
FLOATS: tuple[tuple[str, Any, Any, Any, Callable[[Array, Array, Array], Array]], ...] = (
    ("vfadd.vv v8, v16, v24", f16, f16, f16, lambda a, b, d: a + b),
    ("vfsub.vv v8, v16, v24", f16, f16, f16, lambda a, b, d: a - b),
    ("vfmul.vv v8, v16, v24", f16, f16, f16, lambda a, b, d: a * b),
    ("vfdiv.vv v8, v16, v24", f16, f16, f16, lambda a, b, d: a / b),
    ("vfsqrt.v v8, v16", f16, f16, f16, lambda a, b, d: np.sqrt(a)),
    ("vfmin.vv v8, v16, v24", f16, f16, f16, lambda a, b, d: np.fmin(a, b)),
    ("vfmax.vv v8, v16, v24", f16, f16, f16, lambda a, b, d: np.fmax(a, b)),
    ("vfmacc.vv v8, v24, v16", f16, f16, f16, half_fma),
    ("vfnmsac.vv v8, v24, v16", f16, f16, f16, lambda a, b, d: half_fma(-a, b, d)),
    ("vfwadd.vv v8, v16, v24", f16, f16, f32, lambda a, b, d: W(a) + W(b)),
    ("vfwmul.vv v8, v16, v24", f16, f16, f32, lambda a, b, d: W(a) * W(b)),
    ("vfwmacc.vv v8, v24, v16", f16, f16, f32, lambda a, b, d: W(a) * W(b) + d),
    ("vfwsub.wv v8, v16, v24", f32, f16, f32, lambda a, b, d: a - W(b)),
    ("vfwmaccbf16.vv v8, v24, v16", bf16, bf16, f32, lambda a, b, d: (a.astype(f64) * b.astype(f64) + d).astype(f32)),
    ("vfwcvt.f.f.v v8, v16", f16, f16, f32, lambda a, b, d: W(a)),
    ("vfncvt.f.f.w v8, v16", f32, f16, f16, lambda a, b, d: a.astype(f16)),
    ("vfwcvtbf16.f.f.v v8, v16", bf16, bf16, f32, lambda a, b, d: W(a)),
    ("vfncvtbf16.f.f.w v8, v16", f32, bf16, bf16, lambda a, b, d: a.astype(bf16)),
)


@pytest.mark.parametrize("case", FLOATS, ids=lambda case: case[0].split()[0])
def test_half_and_bf16_vectors(case: tuple[str, Any, Any, Any, Callable[..., Array]]) -> None:
    instruction, ka, kb, kd, expected = case
    count = 32
    width = 16
    d, a, b = (floats(kind, seed, count) for seed, kind in enumerate((kd, ka, kb)))
    if kd is f32 and "bf16.vv" in instruction:  # the oracle rounds twice unless product and addend are near each other
        a, b, d = (np.clip(np.nan_to_num(v.astype(f32)), -8, 8).astype(v.dtype) for v in (a, b, d))
    with np.errstate(all="ignore"):
        want = canonical(np.asarray(expected(a, b, d), dtype=kd))
    machine = execute(instruction, width, count, [v.tobytes() for v in (d, a, b)])
    got = np.frombuffer(machine.output(512), want.dtype)[:count]
    moved = want.copy()
    np.testing.assert_array_equal(got, moved)


@pytest.mark.parametrize(("source", "width"), [(f16, 16), (f32, 32), (f64, 64)])
@pytest.mark.parametrize("signed", [True, False])
def test_truncating_conversions(source: Any, width: int, signed: bool) -> None:
    count = 512 // width
    values = floats(source, 5, count)
    name = "x" if signed else "xu"
    machine = execute(f"vfcvt.rtz.{name}.f.v v8, v16", width, count, [b"", values.tobytes(), b""])
    got = np.frombuffer(machine.output(512), f"{'i' if signed else 'u'}{width // 8}")[:count]
    low = -(1 << width - 1) if signed else 0
    high = (1 << width - signed) - 1
    want = [
        high if np.isnan(v) else min(max(int(v), low), high) if np.isfinite(v) else (high if v > 0 else low)
        for v in values
    ]
    assert got.tolist() == want


def test_comparison_and_scalar_forms_of_half() -> None:
    values = floats(f16, 7, 32)
    limit = f16(0.5)
    boxed = 0xFFFFFFFFFFFF0000 | int(limit.view("u2"))
    machine = execute("vmflt.vf v8, v16, fa1", 16, 32, [b"", values.tobytes(), b""], boxed)
    bits = int.from_bytes(machine.output(512)[:4], "little")
    assert [bool(bits >> n & 1) for n in range(32)] == (values < limit).tolist()
    machine = execute("vfrsub.vf v8, v16, fa1", 16, 32, [b"", values.tobytes(), b""], boxed)
    with np.errstate(all="ignore"):
        want = canonical(limit - values)
    np.testing.assert_array_equal(np.frombuffer(machine.output(512), "u2")[:32], want)
    machine = execute("vfmv.v.f v8, fa1", 16, 32, [b"", b"", b""], 0x3800)  # not NaN-boxed
    assert np.frombuffer(machine.output(512), "u2")[:32].tolist() == [0x7E00] * 32


def test_scalar_bf16_and_conditional_zero() -> None:
    for value in floats(bf16, 3, 24):
        bits = 0xFFFFFFFFFFFF0000 | int(value.view("u2"))
        machine = execute("fcvt.s.bf16 fa0, fa1", 16, 1, [b"", b"", b""], bits)
        assert machine.hart.f[10] & 0xFFFFFFFF == int(canonical(np.array([value]).astype(f32))[0])
    for single in floats(f32, 4, 24):
        bits = 0xFFFFFFFF00000000 | int(single.view("u4"))
        machine = execute("fcvt.bf16.s fa0, fa1", 16, 1, [b"", b"", b""], bits)
        assert machine.hart.f[10] & 0xFFFF == int(canonical(np.array([single]).astype(bf16))[0])
    for test, zero in ((0, True), (5, False)):
        machine = execute(
            f"li a2, 7; li a3, {test}; czero.eqz a4, a2, a3; czero.nez a5, a2, a3", 16, 1, [b"", b"", b""]
        )
        assert (machine.hart.x[14], machine.hart.x[15]) == ((0, 7) if zero else (7, 0))
