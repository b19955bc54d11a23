"""Triton kernels through the front end, against numpy and torch."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import memref_interpreter
import numpy as np
import pytest
from mtia.compiler.frontends.triton_source import to_ttir
from mtia.compiler.options import Options
from mtia.compiler.pipeline import Job, run
from mtia.isa.errors import UserError
from mtia.runtime.device import Device
from mtia.runtime.launch import launch as run_on

KERNELS = Path(__file__).parent.parent / "kernels"


def kernels(module: str) -> Any:
    """A file of tests/kernels."""
    name = f"tests_kernels_{module}"  # not the bare name: other tests import kernels of the same file names
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, KERNELS / f"{module}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def compiled(kernel: Any, types: str, **constants: Any) -> Any:
    """The `memref` stage of a kernel; `types` are those of its other arguments in order."""
    names = [name for name in kernel.arg_names if name not in constants]
    text = to_ttir(kernel, dict(zip(names, types.split(), strict=True)), constants)
    return run(text, "ttir", "memref", Job(Options()))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every kernel runs twice: its `memref` stage interpreted with numpy, and its executable on the machine."""
    launches = "launch" in metafunc.function.__code__.co_names
    metafunc.parametrize("executor", ["memref", "machine"] if launches else ["memref"], indirect=True)


@pytest.fixture(autouse=True)
def executor(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the kernels of a test run."""
    global on_machine
    on_machine = request.param == "machine"
    yield


on_machine = False


@lru_cache(maxsize=1)
def device() -> Device:
    return Device("mtia200")


def launch(module: Any, grid: Sequence[int], *arguments: Any) -> None:
    """Run a kernel on numpy arrays, which change in place, and scalars."""
    if not on_machine:
        memref_interpreter.launch(module, grid, *arguments)
        return
    executable = run(module, "memref", "elf", Job(Options()))
    buffers = [device().copy_in(value) if isinstance(value, np.ndarray) else value for value in arguments]
    run_on(device(), executable, list(grid), buffers, limit=10_000_000).check()
    for buffer, value in zip(buffers, arguments, strict=True):
        if isinstance(value, np.ndarray):
            device().copy_out(buffer, value)
            device().free(buffer)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("n", [1, 1000, 1024, 2500])
def test_add(n: int) -> None:
    add = kernels("add")

    x, y = rng().standard_normal((2, n), np.float32)
    out = np.zeros(n, np.float32)
    launch(compiled(add.add, "*fp32 *fp32 *fp32 i32", BLOCK=1024), [-(-n // 1024)], x, y, out, n)
    np.testing.assert_array_equal(out, x + y)


def test_softmax() -> None:
    softmax = kernels("softmax")

    x = rng().standard_normal((7, 100), np.float32)
    out = np.zeros_like(x)
    module = compiled(softmax.softmax, "*fp32 *fp32 i32 i32 i32 i32", BLOCK=128)
    launch(module, [3], out, x, 100, 100, 7, 100)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(out, e / e.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("m", "n", "k"), [(64, 64, 64), (100, 72, 50), (10, 5, 33)])
@pytest.mark.parametrize("activation", ["", "leaky_relu"])
def test_matmul(m: int, n: int, k: int, activation: str) -> None:
    matmul = kernels("matmul")

    a = rng().standard_normal((m, k)).astype(np.float16)
    b = rng().standard_normal((k, n)).astype(np.float16)
    out = np.zeros((m, n), np.float16)
    blocks = {"BLOCK_M": 32, "BLOCK_N": 32, "BLOCK_K": 16, "GROUP": 2, "ACTIVATION": activation}
    module = compiled(matmul.matmul, "*fp16 *fp16 *fp16" + " i32" * 9, **blocks)
    launch(module, [-(-m // 32) * -(-n // 32)], a, b, out, m, n, k, k, 1, n, 1, n, 1)
    want = a.astype(np.float64) @ b.astype(np.float64)
    if activation:
        want = np.where(want >= 0, want, 0.01 * want)
    np.testing.assert_allclose(out, want.astype(np.float16), rtol=2e-3, atol=1e-3)


def test_layer_norm() -> None:
    layer_norm = kernels("layer_norm")

    rows, cols = 5, 300
    x = rng().standard_normal((rows, cols), np.float32)
    w, b = rng().standard_normal((2, cols), np.float32)
    y, mean, rstd = np.zeros_like(x), np.zeros(rows, np.float32), np.zeros(rows, np.float32)
    module = compiled(layer_norm.layer_norm, "*fp32 " * 6 + "i32 i32 fp32", BLOCK=128)
    launch(module, [rows], x, y, w, b, mean, rstd, cols, cols, 1e-5)
    centred = x - x.mean(1, keepdims=True)
    want = centred / np.sqrt(x.var(1, keepdims=True) + 1e-5) * w + b
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, x.mean(1), rtol=1e-4, atol=1e-6)


def test_row_reduce() -> None:
    row_reduce = kernels("row_reduce")

    x = rng().standard_normal((20, 50), np.float32)
    x[3, 7] = x[3, 9] = 9
    total, best = np.zeros(20, np.float32), np.zeros(20, np.int32)
    module = compiled(row_reduce.row_reduce, "*fp32 *fp32 *i32 i32 i32 i32", BLOCK_R=16, BLOCK_C=64)
    launch(module, [2], x, total, best, 20, 50, 50)
    np.testing.assert_allclose(total, x.sum(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(best, x.argmax(1))


def attention_reference(q: Any, k: Any, v: Any, scale: float, causal: bool) -> Any:
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(t.astype(np.float32)) for t in (q, k, v)]
    out = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal, scale=scale)
    return out.numpy()


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal: bool) -> None:
    attention = kernels("attention")

    heads, length, dim = 2, 80, 32
    q, k, v = (rng().standard_normal((heads, length, dim)).astype(np.float16) for _ in range(3))
    out, lse = np.zeros_like(q), np.zeros((heads, length), np.float32)
    module = compiled(
        attention.attention,
        "*fp16 *fp16 *fp16 *fp16 *fp32 fp32 i32 i32 i32",
        HEAD=dim,
        BLOCK_M=32,
        BLOCK_N=16,
        CAUSAL=causal,
    )
    launch(module, [3, heads], q, k, v, out, lse, 0.2, length * dim, dim, length)
    np.testing.assert_allclose(out, attention_reference(q, k, v, 0.2, causal), rtol=4e-3, atol=2e-3)


@pytest.mark.filterwarnings("ignore:tl.make_block_ptr")
def test_attention_with_block_pointers() -> None:
    attention = kernels("attention")

    heads, length, dim = 2, 64, 32
    q, k, v = (rng().standard_normal((heads, length, dim)).astype(np.float16) for _ in range(3))
    out = np.zeros_like(q)
    types = "*fp16 *fp16 *fp16 *fp16 fp32 i32"
    module = compiled(attention.attention_blocks, types, HEAD=dim, BLOCK_M=32, BLOCK_N=16)
    launch(module, [2, heads], q, k, v, out, 0.2, length)
    np.testing.assert_allclose(out, attention_reference(q, k, v, 0.2, True), rtol=4e-3, atol=2e-3)


def floats(*shape: int) -> Any:
    return rng().standard_normal(shape).astype(np.float32)


def test_gather_of_elements() -> None:
    pick = kernels("corners").pick

    x, index, out = floats(50), rng().integers(0, 80, 32).astype(np.int32), np.zeros(32, np.float32)
    launch(compiled(pick, "*fp32 *i32 *fp32 i32 i32", BLOCK=32), [1], x, index, out, 30, 50)
    want = np.where(index < 50, x[np.minimum(index, 49)], -1)
    want[30:] = 0
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("kind", ["i32", "i64"])
def test_gather_of_rows(kind: str) -> None:
    embed = kernels("corners").embed

    table, index = floats(40, 16), rng().integers(0, 40, 21).astype(f"int{kind[1:]}")
    out = np.zeros((21, 16), np.float32)
    module = compiled(embed, f"*fp32 *{kind} *fp32 i32 i32", ROWS=8, COLS=16)
    assert "mtia.dma_in_indexed" in str(module)
    launch(module, [3], table, index, out, 21, 16)
    np.testing.assert_array_equal(out, table[index] * 2)


def test_scatter() -> None:
    spread = kernels("corners").spread

    x, index, out = floats(16), rng().permutation(16).astype(np.int32), np.zeros(32, np.float32)
    launch(compiled(spread, "*fp32 *i32 *fp32", BLOCK=16), [1], x, index, out)
    np.testing.assert_array_equal(out[2 * index], x)


def test_masks_that_are_no_ranges() -> None:
    triangle = kernels("corners").triangle

    x, out = floats(16, 16), np.full((16, 16), 5, np.float32)
    launch(compiled(triangle, "*fp32 *fp32", N=16), [1], x, out)
    even = np.add.outer(np.arange(16), np.arange(16)) % 2 == 0
    np.testing.assert_array_equal(out, np.where(even, np.tril(x), 5))


def test_scans() -> None:
    scans = kernels("corners").scans

    x = floats(4, 8)
    total, back, decayed = np.zeros((3, 4, 8), np.float32)
    launch(compiled(scans, "*fp32 *fp32 *fp32 *fp32", R=4, C=8), [1], x, total, back, decayed)
    want = x.copy()
    for column in range(1, 8):
        want[:, column] += want[:, column - 1] / 2
    np.testing.assert_allclose(total, np.cumsum(x, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back, np.cumsum(x[::-1], 0)[::-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(decayed, want, rtol=1e-5, atol=1e-6)


def test_histogram() -> None:
    counts = kernels("corners").counts

    x, out = rng().integers(0, 16, 64).astype(np.int32), np.zeros(16, np.int32)
    launch(compiled(counts, "*i32 *i32", BLOCK=64, BINS=16), [1], x, out)
    np.testing.assert_array_equal(out, np.bincount(x, minlength=16))


def test_atomics() -> None:
    atomics = kernels("corners").atomics

    x = np.abs(floats(40))
    total, most = np.zeros(1, np.float32), np.zeros(4, np.float32)
    lock, old = np.zeros(1, np.int32), np.zeros(3, np.int32)
    launch(compiled(atomics, "*fp32 *fp32 *fp32 *i32 *i32 i32", BLOCK=16), [3], x, total, most, lock, old, 40)
    np.testing.assert_allclose(total, x.sum(), rtol=1e-5)
    np.testing.assert_array_equal(most, x.reshape(10, 4).max(0))
    (winner,) = np.flatnonzero(old == 0)
    assert lock[0] == winner + 1 and all(value in (0, winner + 1) for value in old)


def test_early_return_and_while() -> None:
    early = kernels("corners").early

    x, out = np.array([1, 2, 3, 7, 27], np.int32), np.full(5, -1, np.int32)
    launch(compiled(early, "*i32 *i32 i32"), [5], x, out, 4)
    np.testing.assert_array_equal(out, [0, 1, 7, 16, -1])


def test_shapes() -> None:
    shuffle = kernels("corners").shuffle

    n = 16
    x, y, out = floats(n), floats(2, n)[1], np.zeros(5 * n, np.float32)
    launch(compiled(shuffle, "*fp32 *fp32 *fp32", N=n), [1], x, y, out)
    np.testing.assert_array_equal(out[:n], x - y + x[::-1])
    np.testing.assert_array_equal(out[n : 3 * n], np.concatenate([x, y]))
    np.testing.assert_array_equal(out[3 * n : 5 * n], np.concatenate([y, x]))


def test_buffers_that_change_places_are_written_before_they_are_read() -> None:
    a, b = np.ones(4096, np.float32), np.zeros(4096, np.float32)
    launch(compiled(kernels("corners").turns_between, "*fp32 *fp32 i32", BLOCK=4096), [1], a, b, 6)
    np.testing.assert_array_equal(a, np.full(4096, 2.0**7 - 1, np.float32))
    np.testing.assert_array_equal(b, np.full(4096, 2.0**6 - 1, np.float32))


def test_halves_of_a_matrix() -> None:
    x, out = floats(8, 16), np.zeros(6 * 64, np.float32)
    launch(compiled(kernels("corners").halves, "*fp32 *fp32", ROWS=8, COLS=16), [1], x, out)
    pieces = [x[:, :8], x[:, 8:], x[:, ::2], x[:, 1::2], x[:4], x[4:]]
    np.testing.assert_array_equal(out, np.concatenate([piece.reshape(-1) for piece in pieces]))


@pytest.mark.parametrize("n", [2, 8, 16])
def test_sort(n: int) -> None:
    sort = kernels("corners").sort
    x, out = floats(n), np.zeros(n, np.float32)
    launch(compiled(sort, "*fp32 *fp32", N=n), [1], x, out)
    np.testing.assert_array_equal(out, np.sort(x))


@pytest.mark.parametrize(("start", "size"), [(0, 40), (30, 40), (5, 7), (12, 16)])
def test_wrapped_offsets(start: int, size: int) -> None:
    wrap = kernels("corners").wrap

    x, out = floats(64), np.zeros(16, np.float32)
    launch(compiled(wrap, "*fp32 *fp32 i32 i32", BLOCK=16), [1], x, out, start, size)
    np.testing.assert_array_equal(out, x[(start + np.arange(16)) % size])


@pytest.mark.parametrize(("start", "size"), [(0, 40), (30, 40), (5, 7)])
def test_wrapped_columns_of_a_turned_matrix(start: int, size: int) -> None:
    x, out = floats(40, 24), np.zeros((16, 8), np.float32)
    made = compiled(kernels("corners").wrap_turned, "*fp32 *fp32 i32 i32 i32 i32", ROWS=16, COLS=8)
    launch(made, [1], x.reshape(-1), out.reshape(-1), start, size, 13, 24)
    want = x[(start + np.arange(8)) % size, :16].T.copy()
    want[13:] = 7.0
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(("start", "size"), [(0, 40), (30, 40), (39, 40), (20, 16), (0, 16)])
def test_offsets_that_are_cut_off(start: int, size: int) -> None:
    x, out = floats(64), np.zeros(32, np.float32)
    launch(compiled(kernels("corners").cut_off, "*fp32 *fp32 i32 i32 i32", BLOCK=16), [1], x, out, start, size, 3)
    at = start + np.arange(16)
    np.testing.assert_array_equal(out[:16], x[np.where(at < size, at, 3)])
    np.testing.assert_array_equal(out[16:], x[np.minimum(at, size - 1)])


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_carried_pointers_that_swap(turns: int) -> None:
    swap = kernels("corners").swap

    a, b, out = floats(16), floats(2, 16)[1], np.zeros(16, np.float32)
    module = compiled(swap, "*fp32 *fp32 *fp32 i32", BLOCK=16)
    launch(module, [1], a, b, out, turns)
    left, right = (a, b) if turns % 2 == 0 else (b, a)
    want = np.zeros(16, np.float32)
    want[(np.arange(16) + turns * (turns - 1) // 2) % 16] = left * 2 + right + (b if turns > 2 else a)[0]
    np.testing.assert_allclose(out, want, rtol=1e-6)


def test_integer_dot() -> None:
    small_dot = kernels("corners").small_dot

    a, b = rng().integers(-100, 100, (2, 16, 16)).astype(np.int8)
    out = np.zeros((16, 16), np.int32)
    launch(compiled(small_dot, "*i8 *i8 *i32", N=16), [1], a, b, out)
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))


def test_fp32_dot_is_ieee_unless_asked() -> None:
    small_dot = kernels("corners").small_dot

    assert "tf32" not in str(compiled(small_dot, "*fp32 *fp32 *fp32", N=16))


def test_descriptors() -> None:
    describe = kernels("corners").describe
    described = kernels("corners").described

    x, out = floats(20, 28), np.zeros((20, 28), np.float32)
    launch(compiled(describe, "*fp32 *fp32 i32 i32", BLOCK=16), [2, 2], x, out, 20, 28)
    np.testing.assert_array_equal(out, x + 1)
    block = np.zeros((16, 16), np.float32)
    launch(compiled(described, "tensordesc<fp32[16,16]> *fp32", N=16), [1], x, 20, 28, 28, 1, block)
    want = np.zeros((16, 16), np.float32)
    want[:16, :16] = x[1:17, 2:18]
    np.testing.assert_array_equal(block, want)


def test_descriptors_that_pick_rows_and_add() -> None:
    describe_rows = kernels("corners").describe_rows

    x, index = floats(20, 24), np.array([3, 0, 19, 25, 7, 7, 1, 18], np.int32)
    out, total = np.zeros((20, 24), np.float32), np.ones((20, 24), np.float32)
    launch(compiled(describe_rows, "*fp32 *i32 *fp32 *fp32 i32 i32"), [1], x, index, out, total, 20, 24)
    want = np.zeros((20, 24), np.float32)
    for row in index[index < 20]:
        want[row, 16:] = x[row, 16:] * 2
    np.testing.assert_array_equal(out, want)
    wanted_total = np.ones((20, 24), np.float32)
    picked = np.where(index[:, None] < 20, x[np.minimum(index, 19), 16:], 0)
    wanted_total[16:20, 16:] += picked[:4]
    np.testing.assert_allclose(total, wanted_total, rtol=1e-6)


def test_work_on_rows_is_not_repeated_for_every_column() -> None:
    normalise = kernels("corners").normalise

    x, out = floats(8, 16), np.zeros((8, 16), np.float32)
    module = compiled(normalise, "*fp32 *fp32", R=8, C=16)
    lines = str(module).splitlines()
    launch(module, [1], x, out)
    want = x / np.sqrt((x * x).sum(1, keepdims=True) + 1) + x.max(0)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)
    (where,) = [number for number, line in enumerate(lines) if "math.rsqrt" in line]
    loop = next(line for line in reversed(lines[:where]) if "linalg.generic" in line)
    assert 'iterator_types = ["parallel"]' in loop


HEAD = "module {\n  tt.func public @k(%p: !tt.ptr<f32>, %x: tensor<8xf32>, %n: i32) {\n"
TAIL = "\n    tt.return\n  }\n}\n"


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [
        ("tt.frobnicate %x : tensor<8xf32>", "unknown Triton operation 'tt.frobnicate'", 5),
        ("%0 = tt.splat %n i32 -> tensor<8xi32>", "cannot read operation 'tt.splat' at 'i32'", 22),
        ("%0 = tt.splat", "cannot read operation 'tt.splat' at 'end of line'", None),
        ("%0 = tt.get_program_id w : i32", "grid axis 'w' is not x, y or z", 10),
        ("%0 = tt.splat %n : i32 -> tensor<8xf32>", "'tt.splat' op cannot splat i32 to tensor<8xf32>", None),
        ("%0 = tt.expand_dims %x {axis = 3 : i32} : tensor<8xf32> -> tensor<8x1xf32>", "axis 3 is outside", None),
        ("%0 = tt.broadcast %x : tensor<8xf32> -> tensor<9xf32>", "cannot broadcast 8 to 9", None),
        ("%0 = tt.make_range {end = 4 : i32, start = 0 : i32} : tensor<8xi32>", "range of 4 elements", None),
        ("%0 = arith.addf %x, %n : tensor<8xf32>", "expects different type", None),
        ("%0 = tt.reshape %x : tensor<8xf32> -> tensor<9xf32>", "cannot reshape 8 elements to 9", None),
        ("%0 = tt.dot %x, %x, %x : tensor<8xf32> * tensor<8xf32> -> tensor<8xf32>", "multiplies matrices", None),
        ("%0 = tt.load %p, %x : !tt.ptr<f32>", "expects different type", None),
    ],
)
def test_malformed_text(line: str, message: str, column: int | None) -> None:
    with pytest.raises(UserError) as caught:
        run(HEAD + "    " + line + TAIL, "ttir", "tt", Job(Options(), "k.ttir"))
    assert message in caught.value.message
    assert (caught.value.file, caught.value.line) == ("k.ttir", 3)
    assert column is None or caught.value.column == column


def test_refusal_names_the_operation_and_the_line_of_the_kernel() -> None:
    refused = kernels("corners").refused
    with pytest.raises(UserError, match="assembly of a PE") as caught:
        compiled(refused, "*i32", N=16)
    assert caught.value.message.startswith("tt.elementwise_inline_asm:")
    source = Path(str(caught.value.file)).read_text().splitlines()
    assert caught.value.line is not None and "inline_asm_elementwise" in source[caught.value.line - 1]


def test_error_of_triton_itself_has_the_line_of_the_kernel() -> None:
    wrong = kernels("corners").wrong
    with pytest.raises(UserError) as caught:
        compiled(wrong, "*i32", N=16)
    source = Path(str(caught.value.file)).read_text().splitlines()
    assert caught.value.line is not None and "tl.arange(0, 3)" in source[caught.value.line - 1]


def test_signature_must_fit() -> None:
    add = kernels("add").add
    with pytest.raises(UserError, match="needs a type or a value for argument 'BLOCK'"):
        to_ttir(add, {"x_ptr": "*fp32", "y_ptr": "*fp32", "out_ptr": "*fp32", "n": "i32"})
    with pytest.raises(UserError, match="has no argument 'm'"):
        to_ttir(add, {"m": "i32"})


def test_locations_reach_the_last_stage() -> None:
    add = kernels("add").add
    text = compiled(add, "*fp32 *fp32 *fp32 i32", BLOCK=64).operation.get_asm(enable_debug_info=True)
    assert "add.py" in text
