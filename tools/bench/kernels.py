"""`mtiac bench kernels`: cycles of kernels at the size of real work, the roof that binds and the percent of it."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mtia.isa.chip import Chip, load_chip
from mtia.tools.bench.common import Row
from mtia.tools.bench.compile_cases import CASES, Case
from mtia.tools.checking import max_error, within

__all__ = ["Problem", "measure", "problems", "rows"]

_ROW_NAMES = {"matmul": "gemm", "layer_norm_row": "layer_norm", "layer_norm": "layer_norm_loops"}
_TYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
_BY_NAME = {case.name: case for case in CASES}
# The list of the stock matmul tutorial, its fp8 half included: M, N, K, group.
TUTORIAL_CONFIGS = (
    (128, 256, 64), (64, 256, 32), (128, 128, 32), (128, 64, 32), (64, 128, 32), (128, 32, 32), (64, 32, 32),
    (32, 64, 32), (128, 256, 128), (256, 128, 128), (256, 64, 128), (64, 256, 128), (128, 128, 128), (128, 64, 64),
    (64, 128, 64), (128, 32, 64),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Problem:
    """A kernel on operands: everything a launch and its check need.

    `arguments` holds tensors and numbers in the kernel's order; `output` is the index of the result; `macs` and `bytes`
    are what the algorithm must do, for the roof.
    """

    kernel: str
    shape: str
    dtype: str
    arguments: tuple[Any, ...]
    output: int
    check: Callable[[Any], tuple[bool, float]]
    grid: Callable[[Mapping[str, Any]], tuple[int, ...]]
    constants: Mapping[str, Any]
    macs: float = 0.0
    bytes: float = 0.0

    @property
    def case(self) -> Case:
        """The kernel's source and signature."""
        return _BY_NAME[self.kernel]

    def host_arguments(self) -> list[Any]:
        """The arguments with tensors as numpy arrays."""
        return [_numpy(a) if hasattr(a, "numel") else a for a in self.arguments]

    def signature(self) -> dict[str, str]:
        """The signature with this problem's type for pointers that are not fp32 in the case itself."""
        fixed = {"mean_ptr", "rstd_ptr"}
        names = self.case.signature
        return {
            name: f"*{self.dtype}" if kind.startswith("*") and name not in fixed else kind
            for name, kind in names.items()
        }


def _random(*shape: int, dtype: str, seed: int = 0, scale: float = 1.0) -> Any:
    import torch

    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * scale).to(getattr(torch, _TYPES[dtype]))


def gemm(m: int, n: int, k: int, dtype: str = "fp16") -> Problem:
    """C = A·B with the tutorial's kernel."""
    import torch

    a, b = _random(m, k, dtype=dtype), _random(k, n, dtype=dtype, seed=1)
    c = torch.empty((m, n), dtype=a.dtype)
    want = a.float() @ b.float()

    def check(got: Any) -> tuple[bool, float]:
        # |a|·|b| bounds the terms; its largest entry serves all.
        terms = float(a.abs().float().norm(dim=1).max() * b.abs().float().norm(dim=0).max())
        return within(got, want, dtype, k, magnitude=terms), max_error(got, want)

    return Problem(
        "matmul", f"{m}x{n}x{k}", dtype, (a, b, c, m, n, k, k, 1, n, 1, n, 1), 2, check,
        lambda meta: (math.ceil(m / meta["BLOCK_SIZE_M"]) * math.ceil(n / meta["BLOCK_SIZE_N"]),),
        {"BLOCK_SIZE_M": 128, "BLOCK_SIZE_N": 128, "BLOCK_SIZE_K": 64, "GROUP_SIZE_M": 8, "ACTIVATION": ""},
        macs=float(m) * n * k, bytes=float(m * k + k * n + m * n) * a.element_size(),
    )  # fmt: skip


def add(n: int, dtype: str = "bf16") -> Problem:
    """z = x + y."""
    import torch

    x, y = _random(n, dtype=dtype), _random(n, dtype=dtype, seed=1)
    want = x + y
    return Problem(
        "add", f"{n}", dtype, (x, y, torch.empty_like(x), n), 2,
        lambda got: (bool(torch.equal(got, want)), max_error(got, want)),
        lambda meta: (math.ceil(n / meta["BLOCK_SIZE"]),), {"BLOCK_SIZE": 4096}, bytes=3.0 * n * x.element_size(),
    )  # fmt: skip


def softmax(rows_: int, cols: int, dtype: str = "fp16") -> Problem:
    """Softmax over the rows."""
    import torch

    x = _random(rows_, cols, dtype=dtype)
    want = x.double().softmax(1)

    def check(got: Any) -> tuple[bool, float]:
        # exp carries 2 ulp and the error of its argument, which is at most |max - min| ulp of fp32.
        spread = 2.0 * float(x.float().abs().max())
        return within(got, want, dtype, cols, steps=4 + math.ceil(spread)), max_error(got, want)

    return Problem(
        "softmax", f"{rows_}x{cols}", dtype, (torch.empty_like(x), x, cols, cols, rows_, cols), 0, check,
        lambda meta: (rows_,), {"BLOCK_SIZE": 1 << (cols - 1).bit_length()},
        bytes=2.0 * rows_ * cols * x.element_size(),
    )  # fmt: skip


def layer_norm(rows_: int, cols: int, dtype: str = "fp16") -> Problem:
    """Layer norm over the rows with weight and bias."""
    import torch

    x = _random(rows_, cols, dtype=dtype)
    weight, bias = _random(cols, dtype=dtype, seed=1), _random(cols, dtype=dtype, seed=2)
    want = torch.nn.functional.layer_norm(x.double(), (cols,), weight.double(), bias.double(), 1e-5)
    size = float((want - bias.double()).abs().max() + bias.double().abs().max())
    stats = torch.empty(rows_), torch.empty(rows_)

    def check(got: Any) -> tuple[bool, float]:
        return within(got, want, dtype, cols, magnitude=size, steps=6), max_error(got, want)

    return Problem(
        "layer_norm", f"{rows_}x{cols}", dtype, (x, torch.empty_like(x), weight, bias, *stats, cols, cols, 1e-5), 1,
        check, lambda meta: (rows_,), {"BLOCK_SIZE": min(4096, 1 << (cols - 1).bit_length())},
        bytes=2.0 * rows_ * cols * x.element_size(),
    )  # fmt: skip


def layer_norm_row(rows_: int, cols: int, dtype: str = "fp16") -> Problem:
    """Layer norm with the whole row in one block."""
    whole = layer_norm(rows_, cols, dtype)
    x, y, weight, bias, _, _, *numbers = whole.arguments
    return dataclasses.replace(whole, kernel="layer_norm_row", arguments=(x, y, weight, bias, *numbers))


def flash_attention(heads: int, length: int, head: int, dtype: str = "fp16") -> Problem:
    """Causal attention; the matrix work counted is the lower triangle's."""
    import torch

    q, k, v = (_random(heads, length, head, dtype=dtype, seed=seed) for seed in range(3))
    want = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)

    def check(got: Any) -> tuple[bool, float]:
        # P is rounded to the operands' type before the second product: |V| times one more rounding of that type.
        rounding = float(v.float().abs().max()) * 2
        return within(got, want, dtype, 2, magnitude=rounding, inner=dtype), max_error(got, want)

    return Problem(
        "flash_attention", f"{heads}x{length}x{head}", dtype,
        (q, k, v, torch.empty_like(q), length * head, head, length, head**-0.5), 3, check,
        lambda meta: (math.ceil(length / meta["BLOCK_M"]), heads), {"HEAD_DIM": head, "BLOCK_M": 128, "BLOCK_N": 64},
        macs=2.0 * heads * head * length * (length + 1) / 2, bytes=4.0 * q.numel() * q.element_size(),
    )  # fmt: skip


def measure(problem: Problem, target: str | Chip, state: str, constants: Mapping[str, Any], **options: Any) -> Row:
    """Compile, launch once, check: a row of the benchmark. The percent is of the roof of the algorithm's own work.

    `target` is a chip's name, or a variant of a known chip that runs what is compiled for that one.
    """
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    meta = {**problem.constants, **constants}
    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{problem.case.module}"), problem.case.kernel)
    chip = load_chip(target) if isinstance(target, str) else target
    chosen = Options(target=chip.name, **options)
    compiled = compile_triton(kernel, problem.signature(), meta, chosen)
    device = Device(chip)
    arguments = [device.copy_in(a) if hasattr(a, "nbytes") else a for a in problem.host_arguments()]
    result = launch(device, compiled.elf, problem.grid(meta), arguments, state=state).check()
    output = problem.arguments[problem.output]
    device.copy_out(arguments[problem.output], _numpy(output))
    ok, error = problem.check(output)
    least = {
        "DPE": problem.macs / (getattr(chip.dpe, problem.dtype, 0) * chip.pes) if problem.macs else 0.0,
        "DRAM" if state == "cold" else "SRAM": problem.bytes
        / (chip.dram_bytes_per_clk if state == "cold" else chip.sram.bytes_per_clk),
    }
    roof = max(least, key=lambda name: least[name])
    percent = 100.0 * least[roof] / result.cycles
    busy = sum(1 for pe in result.counters["pes"] if any(u["commands"] for u in pe["units"].values()))
    done = result.counters["total"]["units"]["dpe"]["work"]
    return {
        "kernel": _ROW_NAMES.get(problem.kernel, problem.kernel),
        "shape": problem.shape,
        "dtype": problem.dtype,
        "target": chip.name,
        "state": state,
        "config": " ".join(f"{name}={value}" for name, value in {**constants, **options}.items()),
        "cycles": result.cycles,
        "roof": roof,
        "percent": round(percent, 1),
        "dpe_share": round(min(1.0, done / problem.macs), 3) if problem.macs else 0.0,
        "pes_busy": busy,
        "max_error": error,
        "ok": ok and percent <= 100.0,
    }


def _numpy(tensor: Any) -> Any:
    import torch

    return tensor.view(torch.int16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def _blocks(config: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K"), config, strict=True))


def _best(problem: Problem, target: str, state: str, configs: Iterator[dict[str, Any]]) -> Row:
    """The row of the fastest configuration, as the kernel's own autotune list would choose it."""
    from mtia.isa.errors import UserError

    found = []
    for config in configs:
        try:
            found.append(measure(problem, target, state, config))
        except UserError:  # a block that does not fit is skipped, as triton.autotune does
            continue
    return min(found, key=lambda row: row["cycles"])


def problems(target: str = "") -> dict[str, Callable[[], Iterator[Row]]]:
    """The rows by name, of chips whose name contains `target`; each is computed when it is asked for."""
    from mtia.tools.bench import fused, matrices

    def gemm_rows() -> Iterator[Row]:
        problem = gemm(2048, 2048, 2048)
        best = _best(problem, "mtia200", "llc", (_blocks(config) for config in TUTORIAL_CONFIGS))
        yield {**best, "config": "autotuned " + best["config"]}
        chosen = {name: int(value) for name, value in (part.split("=") for part in best["config"].split())}
        yield measure(problem, "mtia200", "cold", chosen)
        for state in ("llc", "cold"):
            yield measure(problem, "mtia200", state, _blocks((64, 64, 32)))

    def one(problem: Callable[[], Problem], target: str, state: str, **constants: Any) -> Callable[[], Iterator[Row]]:
        return lambda: iter([measure(problem(), target, state, constants)])

    return {
        "gemm": gemm_rows,
        "add": one(lambda: add(64 << 20), "mtia300", "cold", BLOCK_SIZE=4096),
        "softmax": one(lambda: softmax(16384, 4096), "mtia300", "cold"),
        "layer_norm": one(lambda: layer_norm_row(16384, 4096), "mtia300", "cold"),
        "layer_norm in loops": one(lambda: layer_norm(16384, 4096), "mtia300", "cold"),
        "flash_attention": one(lambda: flash_attention(16, 2048, 64), "mtia300", "llc"),
        "softmax persistent": lambda: (
            measure(persistent(softmax(16384, 4096), chip), chip, "cold", {})
            for chip in ("mtia200", "mtia300")
            if target in chip
        ),
        **fused.rows(target),
        **matrices.rows(target),
    }


def persistent(problem: Problem, target: str) -> Problem:
    """A problem whose programs walk over the rows in a loop: one program for each hart of the chip."""
    chip = load_chip(target)
    return dataclasses.replace(problem, grid=lambda meta: (chip.pes * chip.hart.count,))


def rows(target: str = "", only: str = "", repeats: int = 1) -> Iterator[Row]:
    """The rows whose name contains `only`; one run each, for simulated cycles do not vary."""
    for name, made in problems(target).items():
        if only in name:
            yield from (row for row in made() if target in row["target"])
