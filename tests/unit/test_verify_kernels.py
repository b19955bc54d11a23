"""The campaign of random Triton programs: a sample, a planted fault, and what it has found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

pytest.importorskip("triton")

from mtia.compiler import pipeline
from mtia.compiler.frontends.triton_source import to_ttir
from mtia.compiler.options import Options
from mtia.compiler.passes import select_engines_commands
from mtia.runtime.device import Device
from mtia.runtime.launch import launch
from mtia.tools.verify import kernels
from mtia.tools.verify.kernels.execute import function
from mtia.tools.verify.kernels.generate import generate
from mtia.tools.verify.kernels.operations import source
from mtia.tools.verify.kernels.program import walk
from mtia.tools.verify.kernels.serve import judged, made, tried
from mtia.tools.verify.kernels.shrink import shrunk, without_unused


def test_a_sample_shows_no_difference() -> None:
    report = kernels.run(seed=1, size=50, progress=lambda done, total: None, interpret=6)
    assert not report.failures, report.failures[0]
    assert report.counts["same"] + report.counts.get("refused", 0) == 50
    assert report.counts["interpreted"] > 0
    assert report.counts["statements, most"] > report.counts["statements, median"] > 5


def test_a_seed_gives_one_program() -> None:
    assert [source(generate(n)) for n in range(20)] == [source(generate(n)) for n in range(20)]
    assert len({source(generate(n)) for n in range(20)}) == 20


def test_all_operations_are_generated() -> None:
    found = {one.op for n in range(400) for one in walk(generate(n).body)}
    from mtia.tools.verify.kernels.operations import OPERATIONS

    rest = {"pid", "tile", "load", "store", "block_load", "block_store", "atomic", "dot", "reduce", "scan", "sort"}
    assert set(OPERATIONS) | rest | {"for", "while", "if", "return", "gather", "histogram", "cat", "join"} <= found


def test_a_planted_fault_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = select_engines_commands.HANDLERS
    monkeypatch.setitem(handlers, "arith.subf", handlers["arith.addf"])
    for seed in range(200):
        program, arrays, _ = made(seed)
        if any(one.op == "dot" for one in walk(program.body)):
            continue  # some are products of parts, which are differences
        if any(one.op == "sub" and one.out[0].kind == "fp32" for one in walk(program.body)):
            if judged(program, arrays).verdict == "different":
                break
    else:
        pytest.fail("not found")
    small = shrunk(program, lambda other: tried(other).outcome.verdict == "different", tries=100)
    assert len(list(walk(small.body))) <= 8 and "sub" in {one.op for one in walk(small.body)}


def test_what_is_added_to_a_product_may_become_its_start() -> None:
    """Triton makes `dot(a, b, c)` of `dot(a, b) + c`: the sum is exact only of whole numbers."""
    sums = []
    for seed in range(600):
        body = list(walk(generate(seed).body))
        products = {
            one.out[0].name for one in body if one.op == "dot" and one.out[0].kind == "fp32" and len(one.args) == 2
        }
        sums += [one.out[0] for one in body if one.op == "add" and products & set(one.args)]
    assert len(sums) > 5 and not any(var.exact and var.bound is None for var in sums)


def test_unused_statements_go() -> None:
    body = generate(3).body
    kept = without_unused(body)
    assert len(kept) <= len(body) and without_unused(kept) == kept


# --- programs that were once wrong -----------------------------------------------------------------------------------


def launched(
    body: str, types: str, arrays: Sequence[Any], target: str = "mtia300", front: str = "", **options: Any
) -> None:
    """Run a kernel with arguments `x, y` (as many as arrays), which change in place; `front` is text before it."""
    names = ", ".join("xyz"[: len(arrays)])
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    kernel = function(f"{front}@triton.jit\ndef kernel({names}):\n{lines}\n")
    text = to_ttir(kernel, dict(zip("xyz", types.split(), strict=False)))
    executable = pipeline.run(text, "ttir", "elf", pipeline.Job(Options(target, **options)))
    device = Device(target)
    buffers = [device.copy_in(array) for array in arrays]
    launch(device, executable, (1,), buffers, limit=1_000_000).check()
    for buffer, array in zip(buffers, arrays, strict=True):
        device.copy_out(buffer, array)


def test_a_loaded_value_that_is_stored_after_its_last_use() -> None:
    x, y = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    launched(
        "a = tl.load(x + tl.arange(0, 8))\nb = a + 0.5\ntl.store(x + tl.arange(0, 8), a)\n"
        "tl.store(y + tl.arange(0, 8), b)",
        "*fp32 *fp32", [x, y],
    )  # fmt: skip
    assert x.tolist() == list(range(8)) and np.array_equal(y, x + 0.5)


def test_sorting_a_small_tile() -> None:
    x = np.zeros(8, np.int32)
    launched(
        "a = tl.arange(0, 2)[:, None] * 6 + tl.arange(0, 4)[None, :]\n"
        "at = tl.arange(0, 2)[:, None] * 4 + tl.arange(0, 4)[None, :]\ntl.store(x + at, tl.sort(a))",
        "*i32", [x],
    )  # fmt: skip
    assert x.tolist() == [0, 1, 2, 3, 6, 7, 8, 9]


@pytest.mark.parametrize(("shape", "axis"), [((1, 2), 1), ((2, 1), 0), ((2,), 0)])
def test_the_place_of_the_smaller_of_two(shape: tuple[int, ...], axis: int) -> None:
    x, y = np.array([7, 3], np.int32), np.full(1, 9, np.int32)
    at = f"tl.reshape(tl.arange(0, 2), {list(shape)})" if len(shape) > 1 else "tl.arange(0, 2)"
    where = "tl.arange(0, 1)" if len(shape) > 1 else "0"
    launched(f"tl.store(y + {where}, tl.argmin(tl.load(x + {at}), {axis}))", "*i32 *i32", [x, y])
    assert y[0] == 1


def test_bf16_on_harts_without_it() -> None:
    x = np.array([-1.5, 2.0, -0.0, 3.25], ml_dtypes.bfloat16)
    y = np.zeros(4, ml_dtypes.bfloat16)
    launched(
        "a = tl.load(x + tl.arange(0, 4))\ntl.store(y + tl.arange(0, 4), tl.abs(a))\ntl.store(x, tl.load(x + 3))",
        "*bf16 *bf16", [x, y], hart_only=True,
    )  # fmt: skip
    assert y.tolist() == [1.5, 2.0, 0.0, 3.25] and x[0] == 3.25


def test_a_block_pointer_load_that_does_not_change_in_a_loop() -> None:
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    launched(
        "a = tl.full([4], 1, tl.float32)\nfor i in range(tl.load(y).to(tl.int32), 2):\n"
        "    a = tl.load(tl.make_block_ptr(x, (4,), (1,), (0,), (4,), (0,)), boundary_check=(0,))\n"
        "tl.store(y + tl.arange(0, 4), a)",
        "*fp32 *fp32",
        [x, y],
    )
    assert np.array_equal(x, y)


def test_a_store_that_does_not_depend_on_an_earlier_load_waits_for_it() -> None:
    x, y = np.arange(4, dtype=np.int32) + 5, np.zeros(4, np.int32)
    launched(
        "a = tl.load(x + tl.arange(0, 4))\ntl.store(x + tl.arange(0, 4), tl.full([4], 1, tl.int32))\n"
        "tl.store(y + tl.arange(0, 4), a)",
        "*i32 *i32",
        [x, y],
    )
    assert x.tolist() == [1] * 4 and y.tolist() == [5, 6, 7, 8]


def test_a_loaded_value_that_is_stored_after_a_loop_replaced_it() -> None:
    x, y, z = np.arange(4, dtype=np.int32) + 5, np.zeros(4, np.int32), np.zeros(4, np.int32)
    launched(
        "at = tl.arange(0, 4)\na = tl.load(x + at)\nb = a\nfor i in range(tl.load(x)):\n    b = at\n"
        "tl.store(y + at, a)\ntl.store(z + at, b)",
        "*i32 *i32 *i32",
        [x, y, z],
    )
    assert y.tolist() == [5, 6, 7, 8] and z.tolist() == [0, 1, 2, 3]


def test_what_one_branch_waited_for_the_other_waits_for_too() -> None:
    x, y = np.arange(8, dtype=np.float64), np.zeros(4, np.float64)
    launched(
        "at = tl.arange(0, 4)\na = tl.load(x + at)\nb = a\nif tl.load(x + 7) < 0:\n"
        "    b = a * 3\nelse:\n    b = a - 1\n"
        "tl.store(y + at, b)",
        "*fp64 *fp64",
        [x, y],
    )
    assert np.array_equal(y, x[:4] - 1)


def test_a_tensor_that_folds_to_a_constant() -> None:
    x, y = np.arange(4, dtype=np.uint16), np.ones(4, np.uint16)
    launched("at = tl.arange(0, 4)\na = tl.load(x + at)\ntl.store(y + at, a ^ a)", "*u16 *u16", [x, y])
    assert not y.any()


@pytest.mark.parametrize("target", ["mtia200", "mtia300"])
def test_the_smallest_of_eight_bit_floats(target: str) -> None:
    x = np.array([[3, -0.5], [-1.75, 8]], ml_dtypes.float8_e4m3fn)
    y = np.zeros(2, np.float32)
    launched(
        "at = tl.arange(0, 2)[:, None] * 2 + tl.arange(0, 2)[None, :]\n"
        "tl.store(y + tl.arange(0, 2), tl.min(tl.load(x + at).to(tl.float32), 0))",
        "*fp8e4nv *fp32", [x, y], target,
    )  # fmt: skip
    assert y.tolist() == [-1.75, -0.5]


def test_the_sum_of_a_repeated_number() -> None:
    x, y = np.array([7], np.int32), np.zeros(1, np.int32)
    launched(
        "a = tl.expand_dims(tl.load(x + tl.arange(0, 1)), 1)\n"
        "tl.store(y, tl.sum(tl.trans(tl.broadcast_to(a, [1, 4])), None))",
        "*i32 *i32", [x, y],
    )  # fmt: skip
    assert y[0] == 28


def test_bits_that_become_a_float_and_then_a_narrower_one() -> None:
    x = np.array([1.5, -2.0, 0.25, 96.0], np.float32)
    y = np.zeros(4, ml_dtypes.float8_e5m2)
    launched(
        "at = tl.arange(0, 4)\na = tl.load(x + at).to(tl.int32, bitcast=True) ^ -2147483648\n"
        "tl.store(y + at, a.to(tl.float32, bitcast=True).to(tl.float8e5))",
        "*fp32 *fp8e5", [x, y],
    )  # fmt: skip
    assert y.tolist() == [-1.5, 2.0, -0.25, -96.0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_three_dimensions_that_a_list_picks(axis: int) -> None:
    x, y, z = np.array([5, 0, 3, 1], np.int32), np.arange(300, dtype=np.float32), np.zeros(300, np.float32)
    picks = "".join(":, " if at == axis else "None, " for at in range(3))
    first, second = ("".join(":, " if at == one else "None, " for at in range(3)) for one in range(3) if one != axis)
    launched(
        f"many = (tl.load(x + tl.arange(0, 4)) * 40)[{picks}]\n"
        f"rest = tl.arange(0, 2)[{first}] * 9 + tl.arange(0, 2)[{second}] * 3\n"
        "tl.store(z + rest + many, tl.load(y + rest + many))",
        "*i32 *fp32 *fp32", [x, y, z],
    )  # fmt: skip
    places = sorted(40 * row + rest for row in (5, 0, 3, 1) for rest in (0, 3, 9, 12))
    assert np.flatnonzero(z != 0).tolist() == places[1:] and np.array_equal(z[places], y[places])


@pytest.mark.parametrize("shown", ["[None, :, None]", "[:, None, None]"])
def test_masked_slices_of_three_dimensions(shown: str) -> None:
    """A mask of slices is a range of rows; one of the rows of a slice is none, and goes element by element."""
    x, y, z = np.array([5, 0, 3, 1], np.int32), np.arange(300, dtype=np.float32), np.zeros((4, 4, 2), np.float32)
    launched(
        "first = tl.arange(0, 4)[:, None, None]\nlast = tl.arange(0, 2)[None, None, :]\n"
        "many = (tl.load(x + tl.arange(0, 4)) * 40)[None, :, None]\n"
        f"shown = (tl.arange(0, 4) < 3){shown} & (last < 1)\n"
        "a = tl.load(y + (first * 9 + last * 3) + many, mask=shown, other=-1.0)\n"
        "tl.store(z + first * 8 + tl.arange(0, 4)[None, :, None] * 2 + last, a)",
        "*i32 *fp32 *fp32", [x, y, z],
    )  # fmt: skip
    first, middle, last = np.ogrid[:4, :4, :2]
    kept = ((first if shown.startswith("[:") else middle) < 3) & (last < 1)
    assert np.array_equal(z, np.where(kept, y[first * 9 + last * 3 + x[middle] * 40], -1))


def test_a_middle_dimension_of_three_that_wraps() -> None:
    x, y = np.array([2], np.int32), np.arange(200, dtype=np.int16)
    z = np.zeros((2, 4, 2), np.int16)
    launched(
        "a = (tl.load(x) * 4 + tl.arange(0, 4)) % 10\n"
        "at = tl.arange(0, 2)[:, None, None] * 100 + a[None, :, None] * 10 + tl.arange(0, 2)[None, None, :]\n"
        "to = tl.arange(0, 2)[:, None, None] * 8 + tl.arange(0, 4)[None, :, None] * 2 "
        "+ tl.arange(0, 2)[None, None, :]\n"
        "tl.store(z + to, tl.load(y + at))",
        "*i32 *i16 *i16", [x, y, z],
    )  # fmt: skip
    assert np.array_equal(z, y.reshape(2, 10, 10)[:, [8, 9, 0, 1], :2])


def test_a_scalar_of_the_engines_that_becomes_double() -> None:
    x, y = np.array([1.5, 7.25, -3.0, 2.0], np.float32), np.zeros(1)
    launched("tl.store(y, tl.max(tl.load(x + tl.arange(0, 4)), 0).to(tl.float64))", "*fp32 *fp64", [x, y])
    assert y[0] == 7.25


def test_an_inner_loop_that_begins_with_what_it_reads() -> None:
    x = np.array([1, 2, -3, 5], np.int32)
    launched(
        "at = tl.arange(0, 4)\na = tl.load(x + at)\nn = tl.load(x + 1)\nfor i in range(n):\n    b = a\n"
        "    for j in range(n):\n        b = b * 3 + a\n    a = b\ntl.store(x + at, a)",
        "*i32", [x],
    )  # fmt: skip
    assert x.tolist() == [13**2 * number for number in (1, 2, -3, 5)]  # (a · 3 + a) · 3 + a = 13 · a, twice


def test_half_of_a_joined_block_is_read_before_the_other_is_written() -> None:
    x, y, z = np.array([0.5, -3.5]), np.zeros(3), np.zeros((2, 64, 2))
    launched(
        "b = tl.load(x + tl.full([2, 64], 1, tl.int32))\na = tl.where((b > -90) & (b < 90), b, 0)\n"
        "tl.store(x + tl.full([2, 64], 0, tl.int32), b)\n"
        "tl.store(y + tl.full([2], 1, tl.int32), tl.reduce(a, 1, far))\n"
        "to = tl.arange(0, 2)[:, None, None] * 128 + tl.arange(0, 64)[None, :, None] * 2\n"
        "tl.store(z + (to + tl.arange(0, 2)[None, None, :]), tl.join(a, tl.full([2, 64], 5, tl.float64)))",
        "*fp64 *fp64 *fp64", [x, y, z],
        front="@triton.jit\ndef far(a, b):\n    return tl.maximum(tl.abs(a), tl.abs(b))\n\n\n", use_dual_core=False,
    )  # fmt: skip
    assert x.tolist() == [-3.5, -3.5] and y.tolist() == [0, 3.5, 0] and np.all(z == [-3.5, 5])
