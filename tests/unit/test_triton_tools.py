"""What Triton has around its language: tuning, measuring, compiling, hooks, metadata, the cache, the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import triton
import triton.language as tl
from triton import knobs
from triton.compiler import ASTSource

SIZE = 4096


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def add(x, y, out, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    tl.store(out + i, tl.load(x + i, mask=inside) + tl.load(y + i, mask=inside), mask=inside)


@pytest.fixture
def numbers() -> list[torch.Tensor]:
    """Two tensors of small integers, and one for their sum."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randint(-100, 100, (SIZE,), generator=generator).float() for _ in range(2))
    return [x, y, torch.zeros(SIZE)]


def signature() -> ASTSource:
    return ASTSource(
        fn=add,
        signature={"x": "*fp32", "y": "*fp32", "out": "*fp32", "n": "i32", "BLOCK": "constexpr"},
        constexprs={"BLOCK": 256},
    )


def test_autotune_with_heuristics(numbers: list[torch.Tensor]) -> None:
    """Every configuration is measured in simulated time, and the fastest is taken; arguments are as before."""
    x, y, out = numbers
    ran: list[int] = []
    configs = [
        triton.Config({"BLOCK": 16}, num_warps=1, num_stages=1, pre_hook=lambda given: ran.append(given["BLOCK"])),
        triton.Config({"BLOCK": 1024}, num_warps=8, num_stages=4),
    ]

    @triton.autotune(configs, key=["n"], reset_to_zero=["out"], restore_value=["x"])  # type: ignore[misc, untyped-decorator, unused-ignore]
    @triton.heuristics({"EVEN": lambda given: given["n"] % given["BLOCK"] == 0})  # type: ignore[misc, untyped-decorator, unused-ignore]
    @triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
    def tuned(x, y, out, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):  # type: ignore[no-untyped-def]
        i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        tl.static_assert(EVEN)
        tl.store(out + i, tl.load(out + i) + tl.load(x + i) + tl.load(y + i))
        tl.store(x + i, tl.load(x + i) * 2)

    before = x.clone()
    tuned[lambda meta: (triton.cdiv(SIZE, meta["BLOCK"]),)](x, y, out, SIZE)
    times = {config.kwargs["BLOCK"]: timings[0] for config, timings in tuned.configs_timings.items()}
    assert tuned.best_config.kwargs["BLOCK"] == min(times, key=lambda block: times[block])
    assert set(times) == {16, 1024} and times[16] != times[1024] and ran
    assert torch.equal(out, before + y) and torch.equal(x, 2 * before)


def test_pruning_leaves_the_configurations_it_names(numbers: list[torch.Tensor]) -> None:
    seen: list[int] = []

    def prune(configs: list[Any], given: dict[str, Any], **more: Any) -> list[Any]:
        return [config for config in configs if config.kwargs["BLOCK"] > 64]

    def predict(BLOCK: int, **more: Any) -> int:
        seen.append(BLOCK)
        return BLOCK

    configs = [triton.Config({"BLOCK": block}) for block in (32, 128, 256, 512)]
    by = {"early_config_prune": prune, "perf_model": predict, "top_k": 1}
    tuned = triton.autotune(configs, key=["n"], prune_configs_by=by)(add)
    tuned[lambda meta: (triton.cdiv(SIZE, meta["BLOCK"]),)](*numbers, SIZE)
    assert sorted(seen) == [128, 256, 512] and tuned.best_config.kwargs["BLOCK"] == 128
    assert torch.equal(numbers[2], numbers[0] + numbers[1])


def test_do_bench_gives_the_simulated_time(numbers: list[torch.Tensor]) -> None:
    def call() -> None:
        add[(4,)](*numbers, SIZE, BLOCK=1024)

    call()
    took_ms = triton.runtime.driver.active.last.time_us / 1e3
    assert triton.testing.do_bench(call) == pytest.approx(took_ms)
    assert triton.testing.do_bench(call, quantiles=[0.5, 0.2, 0.8]) == pytest.approx([took_ms] * 3)

    def twice() -> None:
        call()
        call()

    assert triton.testing.do_bench(twice) == pytest.approx(2 * took_ms)


def test_perf_report(numbers: list[torch.Tensor], tmp_path: Path) -> None:
    pytest.importorskip("pandas")

    @triton.testing.perf_report(
        triton.testing.Benchmark(
            ["n"], [1024, 4096], "block", [256, 1024], ["256", "1024"], "report", {}, ylabel="ms", xlabel="elements"
        )
    )  # type: ignore[misc, untyped-decorator, unused-ignore]
    def measure(n: int, block: int) -> float:
        return float(triton.testing.do_bench(lambda: add[(n // block,)](*numbers, n, BLOCK=block)))

    frame = measure.run(save_path=str(tmp_path), return_df=True)
    assert list(frame.iloc[:, 0]) == [1024, 4096] and (frame.iloc[:, 1:] > 0).all(axis=None)
    assert (tmp_path / "report.csv").is_file()


def test_compile_from_source_and_from_ttir(numbers: list[torch.Tensor], tmp_path: Path) -> None:
    x, y, out = numbers
    made = triton.compile(signature())
    assert made.metadata.name == "add" and made.asm["elf"][:4] == b"\x7fELF"
    made[(SIZE // 256, 1, 1)](x, y, out, SIZE, 256)
    assert torch.equal(out, x + y)
    file = tmp_path / "add.ttir"
    file.write_text(made.asm["ttir"])
    again = triton.compile(str(file))
    out.zero_()
    again[(SIZE // 256, 1, 1)](x, y, out, SIZE)
    assert torch.equal(out, x + y)


def test_asm_has_the_text_of_every_stage() -> None:
    from mtia.compiler import pipeline

    texts = triton.compile(signature()).asm
    assert {step.name for step in pipeline.STAGES} | {"source", "elf", "asm"} == set(texts)
    for stage, mark in {"ttir": "tt.load", "tiles": "mtia.dma_in", "pe": "pe.se_add", "asm": "xm.se.add"}.items():
        assert mark in texts[stage], stage


def test_metadata_in_our_meaning(numbers: list[torch.Tensor]) -> None:
    """Shared memory is local memory, registers are tile registers; warps and stages are accepted and kept."""
    kernel = add[(4,)](*numbers, SIZE, BLOCK=1024, num_warps=16, num_stages=5, num_ctas=1)
    assert (kernel.metadata.num_warps, kernel.metadata.num_stages) == (16, 5)
    # At least the operands and the result of one program; a multiple of them where programs overlap.
    assert kernel.metadata.shared >= 3 * 1024 * 4 / 2 and kernel.metadata.shared % 4096 == 0
    assert 3 <= kernel.n_regs <= 32 and kernel.n_spills == 0
    with pytest.raises(AssertionError, match="power of 2"):
        add[(4,)](*numbers, SIZE, BLOCK=1024, num_warps=3)


def test_spills_are_bytes() -> None:
    """A block that a loop carries and that is larger than local memory goes to device memory as a whole."""
    size = 1 << 17

    @triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
    def total(x, out, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        i = tl.arange(0, BLOCK)
        sums = tl.zeros((BLOCK,), tl.float32)
        for part in range(n):
            sums = sums * 2 + tl.load(x + part * BLOCK + i)
        tl.store(out + i, sums)

    x, out = torch.arange(3.0 * size) % 7, torch.zeros(size)
    kernel = total[(1,)](x, out, 3, BLOCK=size)
    assert kernel.n_spills == 4 * size
    assert torch.equal(out, 4 * x[:size] + 2 * x[size : 2 * size] + x[2 * size :])


def test_launch_hooks_get_the_metadata(numbers: list[torch.Tensor]) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    @triton.jit(launch_metadata=lambda grid, kernel, given: {"bytes": 8 * given["n"], "grid": grid})  # type: ignore[misc, untyped-decorator, unused-ignore]
    def double(x, n, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        i = tl.arange(0, BLOCK)
        tl.store(x + i, tl.load(x + i) * 2, mask=i < n)

    with knobs.runtime.scope():
        knobs.runtime.launch_enter_hook.add(lambda given: calls.append(("enter", given.get())))
        knobs.runtime.launch_exit_hook.add(lambda given: calls.append(("exit", given.get())))
        double[(1,)](numbers[0], 16, BLOCK=16)
    assert [when for when, _ in calls] == ["enter", "exit"]
    for _, given in calls:
        assert (given["name"], given["bytes"], given["grid"]) == ("double", 128, (1,))


def test_the_cache_keeps_kernels(numbers: list[torch.Tensor], tmp_path: Path) -> None:
    hits: list[bool] = []

    def note(**given: Any) -> None:
        hits.append(given["cache_hit"])

    with knobs.cache.scope(), knobs.compilation.scope():
        knobs.cache.dir = str(tmp_path)
        knobs.compilation.listener = note
        first, again = (triton.compile(signature()) for _ in range(2))
        again[(SIZE // 256, 1, 1)](*numbers, SIZE, 256)
    assert hits == [False, True] and first.hash == again.hash
    assert first.asm["elf"] == again.asm["elf"] and first.metadata.mtia == again.metadata.mtia
    assert torch.equal(numbers[2], numbers[0] + numbers[1])


INTERPRETED = """
import torch, triton, triton.language as tl
@triton.jit
def double(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) * 2, mask=i < n)
x = torch.arange(100.0)
out = torch.zeros_like(x)
made = double[(2,)](x, out, 100, BLOCK=64)
assert made is None and torch.equal(out, 2 * x)
assert triton.runtime.driver.active.last is None  # nothing ran on the machine
"""


def test_the_interpreter_works(tmp_path: Path) -> None:
    script = tmp_path / "interpreted.py"
    script.write_text(INTERPRETED)
    done = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_kernels_compile_in_threads() -> None:
    @triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
    def step_up(x, n, STEP: tl.constexpr):  # type: ignore[no-untyped-def]
        i = tl.arange(0, 64)
        tl.store(x + i, tl.load(x + i) + STEP + n)

    x = torch.zeros(64)
    with knobs.runtime.scope(), ThreadPoolExecutor(4) as pool, triton.AsyncCompileMode(pool):
        for step in range(6):
            step_up.warmup(x, 1, STEP=step, grid=(1,))
    for step in range(6):
        step_up[(1,)](x, 1, STEP=step)
    assert torch.equal(x, torch.full((64,), 6.0 + 15.0))


def test_extern_libs_are_pairs_as_with_other_targets() -> None:
    seen: dict[str, Any] = {}

    def note(*args: Any, **given: Any) -> None:
        seen.update(given["compile"])

    @triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
    def nothing(x):  # type: ignore[no-untyped-def]
        pass

    with knobs.runtime.scope():
        knobs.runtime.jit_post_compile_hook = note
        nothing[(1,)](1, extern_libs={"some": "/some/where.bc"})
    assert seen["extern_libs"] == (("some", "/some/where.bc"),)
