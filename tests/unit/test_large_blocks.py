"""Blocks that local memory does not hold, up to Triton's limit of 2^20 elements, against numpy on both chips."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import triton
import triton.language as tl
from mtia.compiler.driver import CompiledKernel, compile_triton
from mtia.compiler.options import Options
from mtia.isa.errors import UserError
from mtia.runtime.device import Buffer, Device
from mtia.runtime.launch import LaunchResult, launch

Array = npt.NDArray[Any]
POINTERS = {"float64": "*fp64", "float32": "*fp32", "float16": "*fp16", "int32": "*i32"}
CHIPS = ("mtia200", "mtia300")


@triton.jit
def add(x, y, out, n, B: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.program_id(0) * B + tl.arange(0, B)
    m = i < n
    tl.store(out + i, tl.load(x + i, mask=m) + tl.load(y + i, mask=m), mask=m)


@triton.jit
def softmax(x, out, n, B: tl.constexpr):  # type: ignore[no-untyped-def]
    c = tl.arange(0, B)
    m = c < n
    row = tl.program_id(0) * n
    v = tl.load(x + row + c, mask=m, other=float("-inf"))
    e = tl.exp(v - tl.max(v, 0))
    tl.store(out + row + c, e / tl.sum(e, 0), mask=m)


@triton.jit
def layer_norm(x, w, b, out, n, B: tl.constexpr):  # type: ignore[no-untyped-def]
    c = tl.arange(0, B)
    m = c < n
    row = tl.program_id(0) * n
    v = tl.load(x + row + c, mask=m, other=0.0)
    d = tl.where(m, v - tl.sum(v, 0) / n, 0.0)
    r = 1 / tl.sqrt(tl.sum(d * d, 0) / n + 1e-5)
    tl.store(out + row + c, d * r * tl.load(w + c, mask=m) + tl.load(b + c, mask=m), mask=m)


@triton.jit
def scale_rows(x, y, out, M: tl.constexpr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, M)[:, None]
    j = tl.arange(0, N)[None, :]
    tl.store(out + i * N + j, tl.load(x + i * N + j) * 2 + tl.load(y + j))


@triton.jit
def sums(x, out, AXIS: tl.constexpr, M: tl.constexpr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    v = tl.load(x + tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :])
    tl.store(out + tl.arange(0, M if AXIS else N), tl.sum(v, AXIS))


@triton.jit
def transpose(x, out, M: tl.constexpr, N: tl.constexpr):  # type: ignore[no-untyped-def]
    i, j = tl.arange(0, M), tl.arange(0, N)
    v = tl.load(x + i[:, None] * N + j[None, :])
    tl.store(out + j[:, None] * M + i[None, :], tl.trans(v))


@triton.jit
def matmul(x, y, out, K, M: tl.constexpr, N: tl.constexpr, BK: tl.constexpr):  # type: ignore[no-untyped-def]
    i, j, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, BK)
    acc = tl.zeros((M, N), tl.float32)
    for t in range(0, K, BK):
        a = tl.load(x + i[:, None] * K + t + k[None, :])
        acc += tl.dot(a, tl.load(y + (t + k[:, None]) * N + j[None, :]), input_precision="ieee")
    tl.store(out + i[:, None] * N + j[None, :], acc)


@triton.jit
def square(x, out, N: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    v = tl.load(x + i)
    tl.store(out + i, tl.dot(v, v))


@triton.jit
def carried(x, out, n, B: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, B)
    acc = tl.zeros((B,), tl.float32)
    for t in range(n):
        acc += tl.load(x + t * B + i)
    tl.store(out + i, acc)


@triton.jit
def histogram(x, out, B: tl.constexpr, K: tl.constexpr):  # type: ignore[no-untyped-def]
    tl.store(out + tl.arange(0, K), tl.histogram(tl.load(x + tl.arange(0, B)), K))


@triton.jit
def cumsum(x, out, M: tl.constexpr, N: tl.constexpr, AXIS: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out + i, tl.cumsum(tl.load(x + i), AXIS, reverse=AXIS == 1))


@triton.jit
def gather(x, index, out, M: tl.constexpr, N: tl.constexpr, AXIS: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out + i, tl.gather(tl.load(x + i), tl.load(index + i), AXIS))


@triton.jit
def interleave(x, y, out, difference, B: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, B)
    both = tl.interleave(tl.load(x + i), tl.load(y + i))
    tl.store(out + tl.arange(0, 2 * B), both)
    a, b = tl.split(tl.reshape(both, (B, 2)))
    tl.store(difference + i, a - b)


@triton.jit
def chosen(x, y, out, B: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, B)
    m = tl.load(x + i) > 0
    v = tl.load(y + i, mask=m, other=7.0)
    tl.store(out + i, v - tl.max(v, 0), mask=m)


@triton.jit
def in_place(x, B: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, B)
    v = tl.load(x + i)
    tl.store(x + i, v - tl.sum(v, 0) / B)


@triton.jit
def constants(x, out, B: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.arange(0, B)
    v = tl.load(x + i)
    total = v * 0.0
    for k in tl.static_range(520):
        total = total * 0.5 + v * (k * 1.37 + 0.123456789)
    tl.store(out + i, total)


def run(
    kernel: Any, args: list[Array | int], constants: dict[str, int], grid: int, chip: str
) -> tuple[LaunchResult, CompiledKernel]:
    """Compile and launch; arrays hold what the kernel wrote."""
    names = [name for name in kernel.arg_names if name not in constants]
    signature = {
        name: POINTERS[str(value.dtype)] if isinstance(value, np.ndarray) else "i32"
        for name, value in zip(names, args, strict=True)
    }
    made = compile_triton(kernel, signature | dict.fromkeys(constants, "constexpr"), constants, Options(target=chip))
    device = Device(chip)
    given = [device.copy_in(value) if isinstance(value, np.ndarray) else value for value in args]
    result = launch(device, made.elf, (grid,), given).check()
    for value, buffer in zip(args, given, strict=True):
        if isinstance(value, np.ndarray) and isinstance(buffer, Buffer):
            device.copy_out(buffer, value)
    given_bytes = sum(value.nbytes + 4096 for value in args if not isinstance(value, int))
    assert device.largest_free() >= device.chip.dram.bytes - given_bytes  # scratch memory was given back
    return result, made


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def nothing(*shape: int) -> Array:
    return np.full(shape, np.nan, np.float32)


@pytest.mark.parametrize("chip", CHIPS)
def test_elementwise_at_the_limit(chip: str) -> None:
    x, y, out = normal(2**21 - 77), normal(2**21 - 77)[::-1].copy(), nothing(2**21 - 77)
    result, made = run(add, [x, y, out, len(x)], {"B": 2**20}, 2, chip)
    np.testing.assert_array_equal(out, x + y)
    assert "scratch" not in made.metadata
    copied = 12 * 2**20  # one PE moves its block at no less than half of what its port takes
    assert result.cycles < 2 * copied / min(result.chip.fi.read_bytes_per_clk, result.chip.fi.write_bytes_per_clk)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("columns", [2**16, 2**18 - 100])
def test_softmax_of_one_row(chip: str, columns: int) -> None:
    x, out = normal(2, columns), nothing(2, columns)
    _, made = run(softmax, [x, out, columns], {"B": triton.next_power_of_2(columns)}, 2, chip)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(out, e / e.sum(1, keepdims=True), rtol=1e-4)
    assert "scratch" not in made.metadata  # loads are repeated


@pytest.mark.parametrize("chip", CHIPS)
def test_layer_norm_of_one_row(chip: str) -> None:
    n = 2**17 - 5
    x, w, b, out = normal(1, n), normal(n), normal(n), nothing(1, n)
    run(layer_norm, [x, w, b, out, n], {"B": 2**17}, 1, chip)
    z = x.astype(np.float64)
    z = (z - z.mean()) / np.sqrt(z.var() + 1e-5) * w + b
    np.testing.assert_allclose(out, z, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("chip", CHIPS)
def test_rows_and_columns(chip: str) -> None:
    x, y, out = normal(1024, 1024), normal(1024), nothing(1024, 1024)
    run(scale_rows, [x, y, out], {"M": 1024, "N": 1024}, 1, chip)
    np.testing.assert_allclose(out, x * 2 + y, rtol=1e-6, atol=1e-6)
    turned = nothing(1024, 1024)
    run(transpose, [x, turned], {"M": 1024, "N": 1024}, 1, chip)
    np.testing.assert_array_equal(turned, x.T)


@pytest.mark.parametrize("shape", [(1024, 1024), (4, 2**18), (2**16, 16)])
@pytest.mark.parametrize("axis", [0, 1])
def test_sums(shape: tuple[int, int], axis: int) -> None:
    x = normal(*shape)
    out = nothing(shape[1 - axis])
    run(sums, [x, out], {"AXIS": axis, "M": shape[0], "N": shape[1]}, 1, "mtia200")
    np.testing.assert_allclose(out, x.astype(np.float64).sum(axis), rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("chip", CHIPS)
def test_a_product_larger_than_the_accumulators(chip: str) -> None:
    x, y, out = normal(512, 128).astype(np.float16), normal(128, 512).astype(np.float16), nothing(512, 512)
    _, made = run(matmul, [x, y, out, 128], {"M": 512, "N": 512, "BK": 64}, 1, chip)
    np.testing.assert_allclose(out, x.astype(np.float32) @ y.astype(np.float32), rtol=1e-3, atol=1e-2)


def test_a_block_times_itself() -> None:
    x, out = normal(512, 512).astype(np.float16), nothing(512, 512)
    run(square, [x, out], {"N": 512}, 1, "mtia200")  # tiles of rows and, of the same block, tiles of columns
    wide = x.astype(np.float32)
    np.testing.assert_allclose(out, wide @ wide, rtol=1e-3, atol=5e-2)


@pytest.mark.parametrize("chip", CHIPS)
def test_values_that_a_loop_carries_are_spilled(chip: str) -> None:
    x, out = normal(3, 2**18), nothing(2**18)
    _, made = run(carried, [x, out, 3], {"B": 2**18}, 1, chip)
    np.testing.assert_allclose(out, x.sum(0), rtol=1e-5, atol=1e-5)
    assert made.metadata["scratch"] == str(4 * 2**18)


def test_single_elements_of_a_spilled_block() -> None:
    x = np.random.default_rng(0).integers(0, 64, 2**17).astype(np.int32)
    out = np.zeros(64, np.int32)
    run(histogram, [x, out], {"B": 2**17, "K": 64}, 1, "mtia200")
    np.testing.assert_array_equal(out, np.bincount(x, minlength=64))


@pytest.mark.parametrize("axis", [0, 1])
def test_scans_walk_tiles(axis: int) -> None:
    x, out = normal(128, 1024), nothing(128, 1024)
    result, _ = run(cumsum, [x, out], {"M": 128, "N": 1024, "AXIS": axis}, 1, "mtia200")
    turned = np.flip(x.astype(np.float64), 1) if axis else x.astype(np.float64)
    wanted = turned.cumsum(axis)
    np.testing.assert_allclose(out, np.flip(wanted, 1) if axis else wanted, rtol=1e-3, atol=1e-2)
    assert result.cycles < 20 * x.size  # an access to device memory alone takes hundreds


@pytest.mark.parametrize("axis", [0, 1])
def test_gathers_are_indexed_transfers(axis: int) -> None:
    x, out = normal(128, 1024), nothing(128, 1024)
    index = np.random.default_rng(1).integers(0, x.shape[axis], x.shape).astype(np.int32)
    result, _ = run(gather, [x, index, out], {"M": 128, "N": 1024, "AXIS": axis}, 1, "mtia200")
    np.testing.assert_array_equal(out, np.take_along_axis(x, index, axis))
    assert result.cycles < 4 * x.size


def test_parts_of_a_spilled_block() -> None:
    x, y, out, difference = normal(2**16), normal(2**16)[::-1].copy(), nothing(2**17), nothing(2**16)
    run(interleave, [x, y, out, difference], {"B": 2**16}, 1, "mtia300")
    np.testing.assert_array_equal(out, np.stack([x, y], 1).ravel())
    np.testing.assert_array_equal(difference, x - y)


def test_masks_that_are_values() -> None:
    x, y, out = normal(2**17), normal(2**17)[::-1].copy(), np.zeros(2**17, np.float32)
    run(chosen, [x, y, out], {"B": 2**17}, 1, "mtia200")
    np.testing.assert_array_equal(out, np.where(x > 0, y - 7, 0).astype(np.float32))


def test_a_block_is_read_before_it_is_overwritten() -> None:
    x = normal(2**18)
    wanted = x - x.astype(np.float64).mean()
    run(in_place, [x], {"B": 2**18}, 1, "mtia200")
    np.testing.assert_allclose(x, wanted, rtol=1e-5, atol=1e-5)


def test_constants_of_more_than_a_page() -> None:
    x, out = np.random.default_rng(0).standard_normal(16), np.zeros(16)
    run(constants, [x, out], {"B": 16}, 1, "mtia200")
    total = x * 0
    for k in range(520):
        total = total * 0.5 + x * (k * 1.37 + 0.123456789)
    np.testing.assert_allclose(out, total, rtol=1e-12)


def test_more_than_triton_allows_is_refused() -> None:
    with pytest.raises(UserError, match="1048576"):
        run(add, [normal(8), normal(8), nothing(8), 8], {"B": 2**21}, 1, "mtia200")
