"""The demo's kernels on both chips: right by torch, on the engines, the same twice and however they are written."""

from __future__ import annotations

import collections
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")

import kernel_cases  # noqa: E402
from kernel_cases import Case, bits, tensor  # noqa: E402
from mtia.compiler import pipeline  # noqa: E402
from mtia.compiler.options import Options  # noqa: E402
from mtia.compiler.passes.select_engines import select_engines  # noqa: E402
from mtia.runtime import launch as launch_module  # noqa: E402

CHIPS = ("mtia200", "mtia300")
CASES = kernel_cases.cases()
SMALL = kernel_cases.small_cases()
OTHER = kernel_cases.other_blocks()
WORKERS = {"hart loop", "hart vector product"}


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One driver of ours for each chip, with a cache of their own; Triton's choice comes back afterwards."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    made = {}
    for chip in CHIPS:
        made[chip] = MtiaDriver()
        made[chip].target = chip
    before = triton.runtime.driver._active
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernel-cache"))
        yield made
    triton.runtime.driver.set_active(before) if before is not None else triton.runtime.driver.reset_active()


@pytest.fixture(params=CHIPS)
def driver(request: pytest.FixtureRequest, drivers: dict[str, Any]) -> Any:
    """The driver of one chip, active."""
    triton.runtime.driver.set_active(drivers[request.param])
    return drivers[request.param]


def paths(kernel: Any, chip: str) -> collections.Counter[tuple[str, str]]:
    """How often which operation took which path, as `select-engines` explains it."""
    module = pipeline.parse(kernel.asm["memref"])
    return collections.Counter((choice.operation, choice.path) for choice in select_engines(module, Options(chip)))


def accesses(kernel: Any) -> collections.Counter[str]:
    """Accesses to device memory by kind: transfers, transfers by index list, and the hart's own."""
    tiles = kernel.asm["tiles"]
    kinds = re.findall(r'"mtia\.(dma_\w+)"', tiles)
    own = re.findall(r"memref\.(?:load|store) .*, 1>", tiles)
    return collections.Counter(kinds + ["hart"] * len(own))


@pytest.mark.parametrize("name", CASES)
def test_right_on_the_engines_and_on_all_pes(name: str, driver: Any) -> None:
    case = CASES[name]
    kernel, outputs = case.run()
    result = driver.last
    assert case.check(*outputs)
    units = result.counters["total"]["units"]
    assert units["dpe"]["work"] == (0 if name == "matmul fp32" else case.macs)
    busy = [pe for pe in result.counters["pes"] if sum(unit["commands"] for unit in pe["units"].values())]
    assert len(busy) == min(case.programs, driver.chip.pes)
    taken = paths(kernel, driver.target)
    loops = {path: count for (_, path), count in taken.items() if path in WORKERS}
    # Loops of the hart: the lists of rows where offsets wrap, and the product in IEEE fp32, which no chip's DPE has.
    assert loops == {"matmul fp32": {"hart loop": 2, "hart vector product": 1}}.get(
        name, {"hart loop": 2} if name.startswith("matmul") else {}
    )
    assert accesses(kernel)["hart"] == 0


MOVES = {
    "add": {"dma_in": 2, "dma_out": 1},
    "softmax fp16": {"dma_in": 1, "dma_out": 1},
    # A block of A or B is one transfer, or one by index list where `% M` or `% N` wraps inside it.
    "matmul fp16": {"dma_in": 2, "dma_in_indexed": 2, "dma_out": 1},
    # In loops x is read three times, in the code for one block once; weight and bias, and three stores, are in both.
    "layer norm": {"dma_in": 5 + 3, "dma_out": 3 + 3},
    "sums": {"dma_in": 1, "dma_out": 1},
    "attention": {"dma_in": 5, "dma_out": 1},
}


@pytest.mark.parametrize("name", MOVES)
def test_main_accesses_are_strided_transfers(name: str, driver: Any) -> None:
    kernel, _ = CASES[name].run()
    assert accesses(kernel) == MOVES[name]


@pytest.mark.parametrize("name", CASES)
def test_names_and_argument_order_mean_nothing(name: str, driver: Any, tmp_path: Path) -> None:
    case = CASES[name]
    kernel, outputs = case.run()
    cycles = driver.last.cycles
    other, names = kernel_cases.disguised(case.kernel, tmp_path)
    again, others = case.run(other, names)
    assert again.name != kernel.name
    assert paths(again, driver.target) == paths(kernel, driver.target) and accesses(again) == accesses(kernel)
    assert all(torch.equal(bits(a), bits(b)) for a, b in zip(outputs, others, strict=True))
    assert driver.last.cycles == pytest.approx(cycles, rel=0.03)  # registers are given out in another order


@pytest.mark.parametrize("name", OTHER)
def test_other_blocks_take_the_same_paths(name: str, driver: Any) -> None:
    case = OTHER[name]
    kernel, outputs = case.run()
    assert case.check(*outputs)
    assert driver.last.counters["total"]["units"]["dpe"]["work"] == case.macs
    usual, _ = CASES[name].run()
    # A large block is filled by the memory layout unit, a small one by the SIMD engine.
    same = {"MLU": "SE"}
    assert {(op, same.get(path, path)) for op, path in paths(kernel, driver.target)} == {
        (op, same.get(path, path)) for op, path in paths(usual, driver.target)
    }
    assert accesses(kernel) == accesses(usual)


def outcome(case: Case, driver: Any) -> tuple[list[bytes], int, Any]:
    """Everything a launch gives: bits, cycles and counters."""
    _, outputs = case.run()
    return [bits(value).numpy().tobytes() for value in outputs], driver.last.cycles, driver.last.counters


@pytest.mark.parametrize("name", SMALL)
def test_both_interpreters_agree(name: str, driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case, real = SMALL[name], launch_module.launch
    fast = outcome(case, driver)
    monkeypatch.setattr(launch_module, "launch", lambda *a, **k: real(*a, **{**k, "interpreter": "reference"}))
    assert outcome(case, driver) == fast
    assert case.check(*case.run()[1])


def test_the_same_twice_and_on_a_busy_host(driver: Any) -> None:
    first = {name: outcome(case, driver) for name, case in CASES.items()}
    spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        again = {name: outcome(CASES[name], driver) for name in reversed(CASES)}
    finally:
        for process in spin:
            process.kill()
            process.wait()
    assert again == first


# --- arguments -------------------------------------------------------------------------------------------------------


def test_softmax_in_place(driver: Any) -> None:
    from mtia.tools.kernels.softmax import softmax_kernel

    case = CASES["softmax fp16"]
    (want,) = case.run()[1]
    x = case.arguments["in_ptr"].clone()
    given = {**case.arguments, **case.constants, "in_ptr": x, "out_ptr": x}
    softmax_kernel[case.grid](**given)
    assert torch.equal(x, want)


@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_product_of_a_matrix_with_its_own_transpose(driver: Any, dtype: str) -> None:
    from mtia.tools.checking import within
    from mtia.tools.kernels.matmul import matmul

    whole = tensor(60, 100, dtype=dtype)
    a = whole[3:50, 10:77]
    before = whole.clone()
    got = matmul(a, a.T, block_m=32, block_n=32)
    exact = a.double()
    assert within(got, exact @ exact.T, dtype, 67, magnitude=exact.abs() @ exact.abs().T)
    assert torch.equal(whole, before)


def test_outputs_that_are_windows_of_an_input(driver: Any) -> None:
    from mtia.tools.kernels.add import add_kernel

    whole = torch.arange(900, dtype=torch.float32)
    want = whole.clone()
    want[600:] = want[:300] + want[300:600]
    add_kernel[(2,)](whole[:300], whole[300:600], whole[600:], 300, BLOCK_SIZE=256)
    assert torch.equal(whole, want)


def test_every_other_column_by_stride(driver: Any) -> None:
    from mtia.tools.kernels.matmul import matmul

    a, b = tensor(40, 64, dtype="fp16")[:, ::2], tensor(32, 48, dtype="fp16", seed=1)[:, 1::3]
    assert torch.equal(matmul(a, b), matmul(a.contiguous(), b.contiguous()))


def test_autotune_over_circular_buffers_and_cores(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    grids, real = [], launch_module.launch

    def counted(device: Any, program: Any, grid: Any, *rest: Any, **options: Any) -> Any:
        grids.append(grid)
        return real(device, program, grid, *rest, **options)

    monkeypatch.setattr(launch_module, "launch", counted)
    case = kernel_cases.add_case(40_000, 128)
    configs = [
        triton.Config({"BLOCK_SIZE": block, "use_dual_core": dual, "cb_multiplier": slots})
        for block, dual, slots in ((128, True, 1), (128, False, 1), (512, True, 2))
    ]
    tuned = triton.autotune(configs, key=["n_elements"])(case.kernel)
    out = torch.zeros(40_000)
    x, y = case.arguments["x_ptr"], case.arguments["y_ptr"]
    tuned[lambda meta: (triton.cdiv(40_000, meta["BLOCK_SIZE"]),)](x, y, out, 40_000)
    assert case.check(out)
    assert len(grids) <= 3 * len(configs) + 1
    times = {config: spent[0] for config, spent in tuned.configs_timings.items()}
    assert len(set(times.values())) == len(configs)
    assert times[tuned.best_config] == min(times.values()) == pytest.approx(driver.last.time_us / 1e3)
