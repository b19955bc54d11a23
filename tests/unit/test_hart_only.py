"""Kernels compiled without the units, on qemu-riscv64 and on our machine, against torch."""

from __future__ import annotations

import dataclasses
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtia.compiler import driver
from mtia.compiler.backend import linker
from mtia.compiler.cache import Cache
from mtia.compiler.frontends.triton_source import to_ttir
from mtia.compiler.options import Options
from mtia.isa import asm, elf
from mtia.isa.elf import Section
from mtia.runtime.device import Device
from mtia.runtime.launch import encode_arguments, launch
from mtia.tools.kernels import add, flash_attention, layer_norm, matmul, reduction, softmax

QEMU = shutil.which("qemu-riscv64")
CPU = "rv64,v=true,vlen=512,elen=64,vext_spec=v1.0,Zfh=true"
LS, LS_BYTES, HARNESS, MEMORY = 0x1000_0000, 384 << 10, 0x2000_0000, 0x6000_0000
PES, CORES = 2, 2
WRITABLE = elf.SHF_ALLOC | elf.SHF_WRITE


@dataclasses.dataclass(frozen=True)
class Address:
    """A pointer argument for the launch block's encoder."""

    address: int


def for_qemu(executable: bytes, grid: tuple[int, int, int], words: list[int], memory: bytes) -> bytes:
    """A Linux program that calls the kernel for every PE and core in turn and writes the memory to standard output."""
    kernel = elf.read(executable)
    programs = grid[0] * grid[1] * grid[2]
    image = bytearray(LS_BYTES)
    block = struct.pack("<6I", *grid, programs, PES, 0).ljust(32, b"\0") + struct.pack(f"<{len(words)}Q", *words)
    image[: len(block)] = block
    for segment in kernel.segments:
        if segment.address < elf.TEXT_BASE:
            image[segment.address - LS : segment.address - LS + len(segment.data)] = segment.data
    text = kernel.section(".text")
    assert text is not None
    calls = "".join(
        f"li a0, {LS}; li a1, {rank}; li a2, {core}; li a3, {CORES}; li sp, {LS + LS_BYTES}; li t0, {kernel.entry}\n"
        "jalr ra, 0(t0)\n"
        for rank in range(PES)
        for core in range(CORES)
    )
    ends = f"li a7, 64; li a0, 1; li a1, {MEMORY}; li a2, {len(memory)}; ecall; li a7, 93; li a0, 0; ecall"
    code = without_rtz(text.data)
    harness = asm.assemble(calls + ends + "\n", text_base=HARNESS)
    sections = [
        Section(".text", flags=elf.SHF_ALLOC | elf.SHF_EXECINSTR, address=elf.TEXT_BASE, data=code, align=4096),
        Section(".harness", flags=elf.SHF_ALLOC | elf.SHF_EXECINSTR, address=HARNESS, data=harness.text, align=4096),
        Section(".ls", flags=WRITABLE, address=LS, data=bytes(image), align=4096),
        Section(".memory", flags=WRITABLE, address=MEMORY, data=memory, align=4096),
    ]
    return linker.make_executable(sections, [], HARNESS, {})


def without_rtz(text: bytes) -> bytes:
    """The text with `vfcvt.x.f.v` for `vfcvt.rtz.x.f.v`, on which qemu 7.2 fails an assertion of its own.

    Here both mean the same: only values that were rounded before are converted.
    """
    made, at = bytearray(text), 0
    while at < len(text):
        size = 4 if text[at] & 3 == 3 else 2
        word = int.from_bytes(text[at : at + size], "little")
        if word & 0xFC0FF07F == 0x48039057 & 0xFC0FF07F:
            made[at : at + 4] = (word & ~0xF8000 | 0x8000).to_bytes(4, "little")
        at += size
    return bytes(made)


def run_qemu(executable: bytes, grid: tuple[int, int, int], values: list[Any], folder: Path) -> list[Any]:
    """The arrays of `values` after the kernel ran over the grid."""
    from mtia.runtime.elf import load

    memory, arguments, places = bytearray(), [], []
    for value in values:
        if isinstance(value, np.ndarray):
            memory += bytes(-len(memory) % 64)
            places.append(len(memory))
            arguments.append(Address(MEMORY + len(memory)))
            memory += value.tobytes()
        else:
            arguments.append(value)
    program = load(executable)
    words = [
        value.address if isinstance(value, Address) else encode_arguments(_only(program, kind), [value])[0]
        for kind, value in zip(program.arguments, arguments, strict=True)
    ]
    path = folder / "kernel"
    path.write_bytes(for_qemu(executable, grid, words, bytes(memory)))
    path.chmod(0o755)
    assert QEMU is not None
    done = subprocess.run([QEMU, "-cpu", CPU, path], capture_output=True, timeout=120)
    assert done.returncode == 0, done
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    return [
        np.frombuffer(done.stdout, array.dtype, array.size, place).reshape(array.shape)
        for array, place in zip(arrays, places, strict=True)
    ]


def _only(program: Any, kind: str) -> Any:
    return dataclasses.replace(program, metadata={**program.metadata, "arguments": [kind]})


def run_machine(executable: bytes, grid: tuple[int, int, int], values: list[Any], target: str) -> list[Any]:
    device = Device(target)
    buffers = [device.copy_in(value) if isinstance(value, np.ndarray) else value for value in values]
    launch(device, executable, grid, buffers).check()
    out = []
    for value, buffer in zip(values, buffers, strict=True):
        if isinstance(value, np.ndarray):
            got = np.empty_like(value)
            device.copy_out(buffer, got)
            out.append(got)
    return out


def compiled(kernel: Any, signature: dict[str, str], constants: dict[str, Any], target: str) -> driver.CompiledKernel:
    made = driver.compile_text(
        to_ttir(kernel, signature, constants), options=Options(hart_only=True, target=target), cache=Cache(None)
    )
    assert "xm." not in str(made.asm["asm"])
    return made


def check(kernel: Any, signature: dict[str, str], constants: dict[str, Any], grid: tuple[int, int, int],
          values: list[Any], place: int, want: Any, folder: Path, tolerance: float = 0.0) -> None:  # fmt: skip
    """Both runs give the same bits, and the array at `place` is what it should be.

    MTIA 200 has a hart without vectors, so its code is scalar; that of MTIA 300 is vector code.
    """
    for target in ("mtia200", "mtia300"):
        executable = compiled(kernel, signature, constants, target).elf
        ours = run_machine(executable, grid, values, target)
        np.testing.assert_allclose(ours[place].astype(np.float64), want.astype(np.float64), tolerance, tolerance)
        if QEMU is None:
            pytest.skip("qemu-riscv64 is not installed")
        theirs = run_qemu(executable, grid, values, folder)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


def test_add(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal(1500).astype(np.float32) for _ in range(2))
    check(add.add_kernel, {"x_ptr": "*fp32", "y_ptr": "*fp32", "out_ptr": "*fp32", "n_elements": "i32"},
          {"BLOCK_SIZE": 256}, (6, 1, 1), [x, y, np.zeros_like(x), 1500], 2, x + y, tmp_path)  # fmt: skip


def test_softmax_in_half_precision(tmp_path: Path) -> None:
    x = np.random.default_rng(2).standard_normal((7, 50)).astype(np.float16)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    check(softmax.softmax_kernel,
          {"out_ptr": "*fp16", "in_ptr": "*fp16", "in_row_stride": "i32", "out_row_stride": "i32", "n_rows": "i32",
           "n_cols": "i32"}, {"BLOCK_SIZE": 64}, (4, 1, 1), [np.zeros_like(x), x, 50, 50, 7, 50], 0,
          e / e.sum(1, keepdims=True), tmp_path, 2e-3)  # fmt: skip


def test_matmul_in_bf16_without_bf16_instructions(tmp_path: Path) -> None:
    import ml_dtypes

    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(shape).astype(ml_dtypes.bfloat16) for shape in ((20, 24), (24, 18)))
    c = np.zeros((20, 18), ml_dtypes.bfloat16)
    strides = "stride_am stride_ak stride_bk stride_bn stride_cm stride_cn".split()
    check(matmul.matmul_kernel,
          {**dict.fromkeys(("a_ptr", "b_ptr", "c_ptr"), "*bf16"), **dict.fromkeys([*"MNK", *strides], "i32")},
          {"BLOCK_SIZE_M": 16, "BLOCK_SIZE_N": 16, "BLOCK_SIZE_K": 16, "GROUP_SIZE_M": 8, "ACTIVATION": "leaky_relu"},
          (4, 1, 1), [a, b, c, 20, 18, 24, 24, 1, 18, 1, 18, 1], 2,
          _leaky(a.astype(np.float64) @ b.astype(np.float64)), tmp_path, 2e-2)  # fmt: skip


def _leaky(x: Any) -> Any:
    return np.where(x >= 0, x, 0.01 * x)


def test_reduction(tmp_path: Path) -> None:
    x = np.random.default_rng(4).standard_normal((5, 300)).astype(np.float32)
    check(reduction.partial_sums_kernel, {"x_ptr": "*fp32", "parts_ptr": "*fp32", "n_cols": "i32", "n_parts": "i32"},
          {"BLOCK_SIZE": 512}, (5, 1, 1), [x, np.zeros((5, 1), np.float32), 300, 1], 1,
          x.astype(np.float64).sum(1, keepdims=True), tmp_path, 1e-4)  # fmt: skip


def test_layer_norm_in_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((5, 50)).astype(np.float32)
    weight, bias = (rng.standard_normal(50).astype(np.float32) for _ in range(2))
    exact = x.astype(np.float64)
    spread = np.sqrt(exact.var(1, keepdims=True) + 1e-5)
    pointers = ("x_ptr", "y_ptr", "weight_ptr", "bias_ptr", "mean_ptr", "rstd_ptr")
    check(layer_norm.layer_norm_kernel,
          {**dict.fromkeys(pointers, "*fp32"), "row_stride": "i32", "n_cols": "i32", "eps": "fp32"},
          {"BLOCK_SIZE": 32}, (5, 1, 1),
          [x, np.zeros_like(x), weight, bias, np.zeros(5, np.float32), np.zeros(5, np.float32), 50, 50, 1e-5], 1,
          (exact - exact.mean(1, keepdims=True)) / spread * weight + bias, tmp_path, 1e-5)  # fmt: skip


def test_causal_attention(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    q, k, v = (rng.standard_normal((2, 21, 16)).astype(np.float16) for _ in range(3))
    scores = np.einsum("hid,hjd->hij", q.astype(np.float64), k.astype(np.float64)) / 4
    p = np.exp(np.where(np.tril(np.ones((21, 21), bool)), scores, -np.inf))
    check(flash_attention.attention_kernel,
          {**dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), "*fp16"),
           **dict.fromkeys(("stride_h", "stride_n", "seq_len"), "i32"), "sm_scale": "fp32"},
          {"HEAD_DIM": 16, "BLOCK_M": 16, "BLOCK_N": 16}, (2, 2, 1),
          [q, k, v, np.zeros_like(q), 21 * 16, 16, 21, 0.25], 3,
          p / p.sum(2, keepdims=True) @ v.astype(np.float64), tmp_path, 4e-3)  # fmt: skip
