"""Kernels launched through Triton on the simulated chip, against torch on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

from mtia.runtime import launch as launch_module  # noqa: E402
from mtia.runtime.faults import MachineTrap  # noqa: E402
from triton.language.extra import libdevice  # noqa: E402


@pytest.fixture(autouse=True)
def driver(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Our driver, whatever this machine has, and a cache of our own."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "triton-cache"))
    made = MtiaDriver()
    before = triton.runtime.driver._active
    triton.runtime.driver.set_active(made)
    yield made
    triton.runtime.driver._active = before


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The grids of all simulated launches."""
    found: list[Any] = []
    real = launch_module.launch

    def counted(device: Any, program: Any, grid: Any, *args: Any, **options: Any) -> Any:
        found.append(grid)
        return real(device, program, grid, *args, **options)

    monkeypatch.setattr(launch_module, "launch", counted)
    return found


@triton.jit
def add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    total = tl.load(x_ptr + offsets, mask=mask) + tl.load(y_ptr + offsets, mask=mask)
    tl.store(out_ptr + offsets, total, mask=mask)


def add(x: Any, y: Any, out: Any, block: int = 256, **options: Any) -> Any:
    n = out.numel()
    return add_kernel[(triton.cdiv(n, block),)](x, y, out, n, BLOCK=block, **options)


def test_add_and_the_text_of_every_stage() -> None:
    from mtia.compiler import pipeline

    x, y, out = torch.randn(1000), torch.randn(1000), torch.zeros(1000)
    kernel = add(x, y, out)
    assert torch.equal(out, x + y)
    assert {step.name for step in pipeline.STAGES} <= set(kernel.asm)
    assert "tt.load" in kernel.asm["tt"] and "mtia.dma_in" in kernel.asm["linalg"]
    assert "pe.se_add" in kernel.asm["pe"] and "xm.se.add" in kernel.asm["asm"]
    assert kernel.asm["elf"][:4] == b"\x7fELF"


def test_aliases_and_in_place_keep_their_meaning() -> None:
    whole = torch.arange(600, dtype=torch.float32)
    before = whole.clone()
    add(whole[100:400], whole[100:400], whole[100:400])
    assert torch.equal(whole[100:400], 2 * before[100:400])
    assert torch.equal(whole[:100], before[:100]) and torch.equal(whole[400:], before[400:])


def test_only_what_was_written_comes_back() -> None:
    import numpy as np

    source = np.arange(300, dtype=np.float32)
    source.setflags(write=False)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.from_numpy(source)
    out = torch.zeros(300)
    add(x, x, out)
    assert torch.equal(out, 2 * torch.arange(300, dtype=torch.float32))


def test_options_are_accepted_and_change_the_code() -> None:
    x, y, out = torch.randn(5000), torch.randn(5000), torch.zeros(5000)
    texts = [
        add(x, y, out, **options).asm["planned"]
        for options in ({}, {"cb_multiplier": 2}, {"use_dual_core": False}, {"num_warps": 8})
    ]
    assert torch.equal(out, x + y)
    assert len(set(texts[:3])) == 3 and texts[3] == texts[0]
    with pytest.raises(KeyError, match="no_such_option"):
        add(x, y, out, no_such_option=1)


@pytest.mark.parametrize(("warmup", "rep"), [(25, 100), (1, 1), (1000, 1000)])
def test_do_bench_uses_simulated_time_and_few_launches(driver: Any, launches: list[Any], warmup: int, rep: int) -> None:
    x, y, out = torch.randn(2000), torch.randn(2000), torch.zeros(2000)
    ms = triton.testing.do_bench(lambda: add(x, y, out), warmup=warmup, rep=rep)
    assert len(launches) <= 3
    assert ms == pytest.approx(driver.last.time_us / 1e3)


def test_launches_after_a_measurement_are_all_simulated(launches: list[Any]) -> None:
    x, y, out = torch.randn(500), torch.randn(500), torch.zeros(500)
    triton.testing.do_bench(lambda: add(x, y, out))
    x.fill_(1.0)
    y.fill_(2.0)
    add(x, y, out)
    assert torch.equal(out, torch.full((500,), 3.0))


def test_autotune_picks_by_simulated_time(driver: Any, launches: list[Any]) -> None:
    configs = [triton.Config({"BLOCK": block, "cb_multiplier": cb}) for block, cb in ((16, 1), (1024, 1), (1024, 2))]
    tuned = triton.autotune(configs=configs, key=["n"])(add_kernel)
    n = 65536
    x, y, out = torch.randn(n), torch.randn(n), torch.zeros(n)
    tuned[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](x, y, out, n)
    assert torch.equal(out, x + y)
    assert len(launches) <= 3 * len(configs) + 1
    timings = {config: ms[0] for config, ms in tuned.configs_timings.items()}
    assert len(set(timings.values())) > 1
    assert timings[tuned.best_config] == min(timings.values()) == pytest.approx(driver.last.time_us / 1e3)


def test_trap_is_an_exception_with_the_line() -> None:
    out = torch.zeros(100)
    with pytest.raises(MachineTrap, match=r"test_triton_backend\.py:\d+: trap"):
        far_kernel[(1,)](out, BLOCK=256)


@triton.jit
def far_kernel(out_ptr, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    tl.store(out_ptr + 0x7FFFFFFFFF + offsets, tl.zeros((BLOCK,), tl.float32))


def test_compile_for_another_chip() -> None:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {"x_ptr": "*fp32", "y_ptr": "*fp32", "out_ptr": "*fp32", "n": "i32", "BLOCK": "constexpr"}
    made = triton.compile(ASTSource(add_kernel, signature, {"BLOCK": 256}, {}), target=GPUTarget("mtia", "mtia300", 1))
    assert made.metadata.mtia["chip"] == "mtia300"


def test_empty_grid_and_no_tensors() -> None:
    x = torch.ones(4)
    add_kernel[(0,)](x, x, x, 4, BLOCK=16)
    assert torch.equal(x, torch.ones(4))


@triton.jit
def library_kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offsets)
    y = libdevice.tanh(x) + libdevice.pow(libdevice.abs(x), libdevice.abs(x)) + libdevice.atan2(x, x + 2.0)
    tl.store(out_ptr + offsets, tl.where(libdevice.isnan(y), 0.0, y))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_device_library(dtype: str) -> None:
    x = torch.linspace(-3, 3, 128, dtype=torch.float64).to(getattr(torch, dtype))
    out = torch.zeros_like(x)
    library_kernel[(1,)](x, out, BLOCK=128)
    w = x.double()
    want = w.tanh() + w.abs() ** w.abs() + torch.atan2(w, w + 2)
    assert (out.double() - want).abs().max() < (1e-5 if dtype == "float32" else 2e-2)


@triton.jit
def reversed_shift_kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    shifted = tl.load(x_ptr - 3 + offsets, mask=offsets >= 3, other=0.0)
    turned = tl.load(x_ptr + (BLOCK - 1) - offsets)
    tl.store(out_ptr + offsets, shifted + 100 * turned)


def test_negative_offsets_and_strides() -> None:
    x, out = torch.arange(64.0), torch.zeros(64)
    reversed_shift_kernel[(1,)](x, out, BLOCK=64)
    shifted = torch.cat([torch.zeros(3), x[:-3]])
    assert torch.equal(out, shifted + 100 * x.flip(0))


@triton.jit
def larger_or_nan(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def extremes(x_ptr, out_ptr, N: tl.constexpr):
    at = tl.arange(0, N)
    x = tl.load(x_ptr + at[:, None] * N + at[None, :])
    tl.store(out_ptr + at, tl.max(x, 1))
    tl.store(out_ptr + N + at, tl.min(x, 1))
    tl.store(out_ptr + 2 * N + at, tl.max(x, 0))
    tl.store(out_ptr + 3 * N + at, tl.min(x, 0))
    tl.store(out_ptr + 4 * N + at, tl.reduce(x, 1, larger_or_nan))


def test_extremes_leave_nan_out_unless_asked() -> None:
    x, out = torch.randn(64, 64), torch.zeros(5, 64)
    x[3], x[:, 5], x[7, 9:40], x[8, 0] = torch.nan, torch.nan, torch.nan, -torch.inf
    kernel = extremes[(1,)](x, out, N=64)
    for kind in ("rmaxn", "rminn", "cmaxn", "cminn", "rmax"):
        assert f'"pe.se_{kind}"' in kernel.asm["pe"]
    values = x.numpy()
    most, least = np.fmax.reduce, np.fmin.reduce
    expected = np.stack([most(values, 1), least(values, 1), most(values, 0), least(values, 0), values.max(1)])
    assert np.array_equal(out.numpy(), expected, equal_nan=True)


@triton.jit
def fill_computed_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    total = 0.0
    for i in range(0, n, BLOCK):
        offsets = i + tl.arange(0, BLOCK)
        total += tl.sum(tl.load(x_ptr + row * n + offsets, mask=offsets < n, other=0.0))
    mean = total / n
    for i in range(0, n, BLOCK):
        offsets = i + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * n + offsets, mask=offsets < n, other=mean)
        tl.store(out_ptr + row * 2 * BLOCK + offsets, x - mean)


def test_masked_elements_take_a_value_that_the_program_computed() -> None:
    """The value is made after the places where transfers are set up once for the whole launch."""
    x, out = torch.randn(3, 100), torch.full((3, 128), 7.0)
    fill_computed_kernel[(3,)](x, out, 100, BLOCK=64)
    torch.testing.assert_close(out[:, :100], x - x.mean(1, keepdim=True), rtol=1e-6, atol=1e-6)
    assert torch.equal(out[:, 100:], torch.zeros(3, 28))
