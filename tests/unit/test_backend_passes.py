"""Kernels written at stage `memref`, compiled by the backend passes and run on the machine, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mtia.compiler import pipeline
from mtia.compiler.options import Options
from mtia.compiler.passes.select_engines import select_engines
from mtia.dialects import mlir
from mtia.runtime.device import Device
from mtia.runtime.launch import launch

TYPES = {"float32": "f32", "float16": "f16", "int32": "i32"}


def run(text: str, *arrays: np.ndarray[Any, Any], grid: int = 1, **options: Any) -> None:
    """Compile a kernel from stage `memref` and run it; every array is an argument and is copied back."""
    chosen = Options(**{"target": "mtia300", **options})
    job = pipeline.Job(chosen)
    with mlir.using(pipeline.context()):
        elf = pipeline.run(pipeline.parse(text), "memref", "elf", job)
    device = Device(chosen.chip)
    buffers = [device.copy_in(array) for array in arrays]
    launch(device, elf, (grid,), buffers).check()
    for buffer, array in zip(buffers, arrays, strict=True):
        device.copy_out(buffer, array)


def random(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def tile(array: np.ndarray[Any, Any]) -> str:
    """The local memref type of an array."""
    return f"memref<{'x'.join(map(str, array.shape))}x{TYPES[array.dtype.name]}>"


def kernel(body: str, *arrays: np.ndarray[Any, Any], outputs: int = 1) -> str:
    """A kernel that brings whole arrays in as %t0, %t1, …, runs `body`, and sends the last ones out."""
    arguments, lines, ends = [], [], []
    for number, array in enumerate(arrays):
        kind, element = tile(array), TYPES[array.dtype.name]
        sizes = ", ".join(map(str, array.shape))
        steps = [stride // array.itemsize for stride in array.strides]
        strides = ", ".join(map(str, steps))
        remote = f"{kind[:-1]}, strided<[{strides}]>, 1>"
        arguments.append(f"%a{number}: memref<?x{element}, 1>")
        lines.append(f"%t{number} = memref.alloc() : {kind}")
        lines.append(
            f"%r{number} = memref.reinterpret_cast %a{number} to offset: [0], sizes: [{sizes}], "
            f"strides: [{strides}] : memref<?x{element}, 1> to {remote}"
        )
        if number >= len(arrays) - outputs:
            ends.append(f"memref.copy %t{number}, %r{number} : {kind} to {remote}")
        lines.append(f"memref.copy %r{number}, %t{number} : {remote} to {kind}")
    inside = "\n  ".join([*lines, *body.strip().splitlines(), *ends])
    return f"{MAPS}\nfunc.func @kernel({', '.join(arguments)}) {{\n  {inside}\n  return\n}}\n"


MAPS = """
#id1 = affine_map<(d0) -> (d0)>
#id2 = affine_map<(d0, d1) -> (d0, d1)>
#column = affine_map<(d0, d1) -> (d0)>
#id3 = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#outer = affine_map<(d0, d1, d2) -> (d0, d2)>
#middle = affine_map<(d0, d1, d2) -> (d1)>
"""


@pytest.mark.parametrize(("m", "n", "k"), [(6, 64, 8), (7, 100, 33), (1, 10, 5), (13, 16, 64)])
def test_fp32_product_is_a_chain_of_fused_steps(m: int, n: int, k: int) -> None:
    a, b, c = random(m, k), random(k, n), random(m, n)
    want = c.copy()
    for step in range(k):  # the product of two f32 is exact in f64, and the sum is rounded twice only in ties
        want = (a[:, step : step + 1].astype(np.float64) * b[step] + want).astype(np.float32)
    body = f"linalg.matmul ins(%t0, %t1 : {tile(a)}, {tile(b)}) outs(%t2 : {tile(c)})"
    run(kernel(body, a, b, c), a, b, c)
    np.testing.assert_array_max_ulp(c, want, 1)


def test_fp32_product_with_turned_factor() -> None:
    a, b, c = random(9, 17), random(48, 17), np.zeros((9, 48), np.float32)
    maps = "affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>"
    body = f"linalg.matmul indexing_maps = [{maps}] ins(%t0, %t1 : {tile(a)}, {tile(b)}) outs(%t2 : {tile(c)})"
    run(kernel(body, a, b, c), a, b, c)
    np.testing.assert_allclose(c, a @ b.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_fp16_product_into_local_memory(batch: int) -> None:
    a, b = random(batch, 32, 48, dtype=np.float16), random(batch, 48, 64, dtype=np.float16)
    c = random(batch, 32, 64)
    want = c + a.astype(np.float32) @ b.astype(np.float32)
    body = f"linalg.batch_matmul ins(%t0, %t1 : {tile(a)}, {tile(b)}) outs(%t2 : {tile(c)})"
    run(kernel(body, a, b, c), a, b, c)
    np.testing.assert_allclose(c, want, rtol=1e-5, atol=1e-5)


def test_three_dimensions_with_broadcasts() -> None:
    x, y, z = random(3, 5, 8), random(3, 8), random(5)
    out = np.zeros_like(x)
    body = f"""
linalg.generic {{indexing_maps = [#id3, #outer, #middle, #id3], iterator_types = ["parallel", "parallel", "parallel"]}}
  ins(%t0, %t1, %t2 : {tile(x)}, {tile(y)}, {tile(z)}) outs(%t3 : {tile(out)}) {{
^bb0(%a: f32, %b: f32, %c: f32, %o: f32):
  %p = arith.mulf %a, %b : f32
  %q = arith.maximumf %p, %c : f32
  linalg.yield %q : f32
}}"""
    run(kernel(body, x, y, z, out), x, y, z, out)
    np.testing.assert_array_equal(out, np.maximum(x * y[:, None, :], z[None, :, None]))


def test_results_that_overwrite_an_input_of_another() -> None:
    """Both results read both buffers, one of which the first result overwrites."""
    x, y = random(40), random(40)
    want = x + y, x * y
    body = f"""
linalg.generic {{indexing_maps = [#id1, #id1, #id1, #id1], iterator_types = ["parallel"]}}
  ins(%t0, %t1 : {tile(x)}, {tile(y)}) outs(%t0, %t1 : {tile(x)}, {tile(y)}) {{
^bb0(%a: f32, %b: f32, %o: f32, %q: f32):
  %s = arith.addf %a, %b : f32
  %p = arith.mulf %a, %b : f32
  linalg.yield %s, %p : f32, f32
}}"""
    run(kernel(body, x, y, outputs=2), x, y)
    np.testing.assert_array_equal((x, y), want)


@pytest.mark.parametrize(("rows", "cols", "axis"), [(300, 20, 0), (20, 300, 1), (100, 64, 0), (7, 5, 1)])
def test_reductions(rows: int, cols: int, axis: int) -> None:
    x = random(rows, cols)
    out = random(cols if axis == 0 else rows)
    want = out + x.sum(axis)
    body = f"linalg.reduce {{ arith.addf }} ins(%t0 : {tile(x)}) outs(%t1 : {tile(out)}) dimensions = [{axis}]"
    run(kernel(body, x, out), x, out)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)


def test_hart_loops_between_commands() -> None:
    """The remainder has no command: the hart waits for the units before it, and the units see what it wrote."""
    x, out = np.arange(100, dtype=np.int32), np.zeros(100, np.int32)
    body = f"""
%c7 = arith.constant 7 : i32
linalg.generic {{indexing_maps = [#id1, #id1], iterator_types = ["parallel"]}}
  ins(%t0 : {tile(x)}) outs(%t1 : {tile(out)}) {{
^bb0(%a: i32, %o: i32):
  %r = arith.remsi %a, %c7 : i32
  linalg.yield %r : i32
}}
linalg.generic {{indexing_maps = [#id1, #id1], iterator_types = ["parallel"]}}
  ins(%t1 : {tile(out)}) outs(%t1 : {tile(out)}) {{
^bb0(%a: i32, %o: i32):
  %r = arith.muli %a, %a : i32
  linalg.yield %r : i32
}}"""
    run(kernel(body, x, out), x, out)
    np.testing.assert_array_equal(out, (x % 7) ** 2)


@pytest.mark.parametrize("dual", [False, True])
def test_more_buffers_and_operands_than_the_hardware_has(dual: bool) -> None:
    """Twenty inputs share fourteen circular buffers; their operands share thirty-two tile registers."""
    inputs = [random(4, 8 + number) for number in range(20)]
    out = np.zeros((4, 1), np.float32)
    lines = ["%zero = arith.constant 0.0 : f32", f"linalg.fill ins(%zero : f32) outs(%t20 : {tile(out)})"]
    for number, array in enumerate(inputs):
        lines.append(
            f"%s{number} = memref.collapse_shape %t20 [[0, 1]] : {tile(out)} into memref<4xf32>\n"
            f"linalg.reduce {{ arith.addf }} ins(%t{number} : {tile(array)}) outs(%s{number} : memref<4xf32>) "
            "dimensions = [1]"
        )
    run(kernel("\n".join(lines), *inputs, out), *inputs, out, use_dual_core=dual)
    want = sum(array.astype(np.float64).sum(1, keepdims=True) for array in inputs)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "cols"), [(1, 64), (3, 100), (2, 200)])
def test_vector_loops(rows: int, cols: int) -> None:
    """Whole vectors and a rest, an index, a broadcast column and a value from outside."""
    x, y = np.arange(rows * cols, dtype=np.int32).reshape(rows, cols), np.arange(rows, dtype=np.int32)
    out = np.zeros_like(x)
    body = f"""
%c3 = arith.constant 3 : i32
%c11 = arith.constant 11 : i32
linalg.generic {{indexing_maps = [#id2, #column, #id2], iterator_types = ["parallel", "parallel"]}}
  ins(%t0, %t1 : {tile(x)}, {tile(y)}) outs(%t2 : {tile(out)}) {{
^bb0(%a: i32, %b: i32, %o: i32):
  %i = linalg.index 1 : index
  %j = arith.index_cast %i : index to i32
  %k = arith.addi %a, %b : i32
  %s = arith.shli %k, %c3 : i32
  %t = arith.addi %s, %j : i32
  %r = arith.remsi %t, %c11 : i32
  linalg.yield %r : i32
}}"""
    run(kernel(body, x, y, out), x, y, out)
    np.testing.assert_array_equal(out, (((x + y[:, None]) << 3) + np.arange(cols)) % 11)


def test_a_mask_widened_with_its_sign_is_minus_one() -> None:
    x, out = random(50), np.zeros(50, np.int32)
    body = f"""
%zero = arith.constant 0.0 : f32
linalg.generic {{indexing_maps = [#id1, #id1], iterator_types = ["parallel"]}}
  ins(%t0 : {tile(x)}) outs(%t1 : {tile(out)}) {{
^bb0(%a: f32, %o: i32):
  %m = arith.cmpf ogt, %a, %zero : f32
  %r = arith.extsi %m : i1 to i32
  linalg.yield %r : i32
}}"""
    run(kernel(body, x, out), x, out)
    np.testing.assert_array_equal(out, -(x > 0).astype(np.int32))


def test_turned_elementwise() -> None:
    x, out = random(24, 40), np.zeros((40, 24), np.float32)
    body = f"linalg.transpose ins(%t0 : {tile(x)}) outs(%t1 : {tile(out)}) permutation = [1, 0]"
    run(kernel(body, x, out), x, out)
    np.testing.assert_array_equal(out, x.T)


def test_choices_are_explained() -> None:
    x = random(4, 8)
    with mlir.using(pipeline.context()):
        module = pipeline.parse(kernel(f"linalg.exp ins(%t0 : {tile(x)}) outs(%t0 : {tile(x)})", x))
        choices = [str(choice).split(": ", 1)[1] for choice in select_engines(module, Options())]
    assert choices == ["memref.copy: FI", "linalg.exp: SE", "memref.copy: FI"]


def test_a_block_larger_than_local_memory_goes_through_it_in_tiles() -> None:
    x = random(1 << 18)
    doubled = x + x
    run(kernel(f"linalg.add ins(%t0, %t0 : {tile(x)}, {tile(x)}) outs(%t0 : {tile(x)})", x), x)
    np.testing.assert_array_equal(x, doubled)
