"""Rows of `mtiac bench kernels` whose work takes several launches, or more time than its values are worth.

A row runs its launches one after the other on one device, so what one writes the next one reads; cycles are their sum.
Large sizes run without values, which takes the same cycles (`launch(values=False)`), and say so; the same kernels are
checked at small sizes in the tests, and here by the rows that have values.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mtia.isa.chip import load_chip
from mtia.tools.bench.common import Row
from mtia.tools.checking import within

if TYPE_CHECKING:
    from mtia.compiler.driver import CompiledKernel

__all__ = [
    "Addresses",
    "Launch",
    "Work",
    "attention",
    "attention_backward",
    "compiled",
    "dropout",
    "layer_norm_backward",
    "measure",
    "rows",
    "uniform",
]


@dataclasses.dataclass(frozen=True)
class Addresses:
    """An argument that is an array of the addresses of tensors."""

    tensors: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Launch:
    """One kernel on operands: `arguments` are tensors and numbers by name, pointers typed as their tensors are."""

    module: str
    kernel: str
    grid: tuple[int, ...]
    arguments: Mapping[str, Any]
    constants: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a row measures: launches in order, and what the algorithm itself must do, for the roof.

    `macs` are the algorithm's multiply-accumulates in `dtype`, `bytes` what must cross device memory, `lanes` its
    operations on 32-bit lanes that fall to the harts' vector units; `check` compares what the launches have left in
    their tensors, `values` says whether they are computed at all.
    """

    name: str
    shape: str
    dtype: str
    launches: Sequence[Launch]
    check: Callable[[], bool]
    macs: float = 0.0
    bytes: float = 0.0
    values: bool = True
    lanes: float = 0.0


_KINDS = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "int32": "i32", "float8_e5m2": "fp8e5"}


def _kind(value: Any) -> str:
    """Triton's name of an argument's type."""
    if isinstance(value, Addresses):
        return "*i64"
    if hasattr(value, "numel"):
        return "*" + _KINDS[str(value.dtype).removeprefix("torch.")]
    return "fp32" if isinstance(value, float) else "i32"


def compiled(step: Launch, target: str, **options: Any) -> CompiledKernel:
    """A launch's kernel, compiled for a chip."""
    from mtia.compiler.driver import compile_triton
    from mtia.compiler.options import Options

    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{step.module}"), step.kernel)
    signature = {name: _kind(value) for name, value in step.arguments.items()}
    return compile_triton(kernel, signature, step.constants, Options(target=target, **options))


def _bytes(tensor: Any) -> Any:
    """A tensor's memory as an array; numpy has no type for 8-bit floats."""
    import torch

    narrow = tensor.dtype.is_floating_point and tensor.element_size() == 1
    return (tensor.view(torch.int8) if narrow else tensor).numpy()


def measure(work: Work, target: str, state: str, **options: Any) -> Row:
    """Compile and run a row's launches; the percent is of the roof that binds the algorithm's own work."""
    from mtia.runtime.device import Device
    from mtia.runtime.launch import launch

    chip = load_chip(target)
    device = Device(chip)
    buffers: dict[int, tuple[Any, Any]] = {}
    cycles, done = 0, 0

    def placed(value: Any) -> Any:
        """An argument on the device; a tensor is copied once."""
        if isinstance(value, Addresses):
            return device.copy_in(np.array([placed(tensor).address for tensor in value.tensors], np.int64))
        if not hasattr(value, "numel"):
            return value
        if id(value) not in buffers:
            buffers[id(value)] = value, device.copy_in(_bytes(value))
        return buffers[id(value)][1]

    for step in work.launches:
        arguments = [placed(value) for value in step.arguments.values()]
        result = launch(
            device, compiled(step, target, **options).elf, step.grid, arguments, state=state, values=work.values
        ).check()
        cycles += result.cycles
        done += result.counters["total"]["units"]["dpe"]["work"]
    if work.values:
        for tensor, buffer in buffers.values():
            device.copy_out(buffer, _bytes(tensor))
    speed = chip.dram_bytes_per_clk if state == "cold" else chip.sram.bytes_per_clk
    memory = "DRAM" if state == "cold" else "SRAM"
    least = {memory: work.bytes / speed}
    if work.lanes:
        vectors = chip.hart.vector_mask.bit_count() * chip.pes
        least["vector"] = work.lanes / (chip.hart.vector_datapath_bits // 32 * vectors)
    if work.macs:
        # A chip that has no engine for a type multiplies it in fp16.
        least["DPE"] = work.macs / ((getattr(chip.dpe, work.dtype) or chip.dpe.fp16) * chip.pes)
    roof = max(least, key=lambda name: least[name])
    percent = 100.0 * least[roof] / cycles
    return {
        "kernel": work.name,
        "shape": work.shape,
        "dtype": work.dtype,
        "target": chip.name,
        "state": state,
        "config": " ".join(
            f"{name}={value}"
            for name, value in work.launches[-1].constants.items()
            if name.startswith(("BLOCK", "SLICES", "GROUP", "PROGRAMS", "HALVES"))
        ),
        "cycles": cycles,
        "roof": roof,
        "percent": round(percent, 1),
        "of_memory": round(100.0 * least[memory] / cycles, 1),
        "dpe_share": round(done / work.macs, 3) if work.macs else 0.0,
        "values": work.values,
        "ok": percent <= 100.0 and (not work.values or work.check()),
    }


def _random(*shape: int, seed: int = 0, scale: float = 1.0, dtype: str = "float16") -> Any:
    import torch

    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * scale).to(getattr(torch, dtype))


def _near(got: Any, want: Any, terms: int, magnitude: float) -> bool:
    """Whether a result of products in fp16 whose factors were themselves rounded to fp16 is `want`."""
    return within(got, want, "fp16", terms, magnitude=magnitude, inner="fp16")


def attention(
    heads: int, length: int, head: int, causal: bool, blocks: tuple[int, int] = (128, 64), values: bool = False
) -> Work:
    """Softmax(q kᵀ)·v in the form of the stock tutorial; causal attention counts the lower triangle's products."""
    import torch

    q, k, v = (_random(heads, length, head, seed=seed, scale=0.5) for seed in range(3))
    out, log_sum = torch.empty_like(q), torch.empty(heads, length)
    scale = 0.5

    def check() -> bool:
        want = torch.nn.functional.scaled_dot_product_attention(
            q.double(), k.double(), v.double(), is_causal=causal, scale=scale
        )
        return _near(out, want, 2, 2 * float(v.float().abs().max()))

    step = Launch(
        "fused_attention", "attention_forward", (math.ceil(length / blocks[0]), heads),
        {"scale": scale, "log_sum_ptr": log_sum, "q_ptr": q, "k_ptr": k, "v_ptr": v, "out_ptr": out, "heads": heads},
        {"LENGTH": length, "HEAD_DIM": head, "BLOCK_M": blocks[0], "BLOCK_N": blocks[1], "CAUSAL": causal,
         "SPECIALIZE": False},
    )  # fmt: skip
    pairs = length * (length + 1) / 2 if causal else length * length
    return Work(
        "fused_attention" + (" causal" if causal else ""), f"{heads}x{length}x{head}", "fp16", [step], check,
        2.0 * heads * head * pairs, 4.0 * q.numel() * 2, values,
    )  # fmt: skip


def attention_backward(heads: int, length: int, head: int, causal: bool, values: bool = False) -> Work:
    """The gradients of attention, blocks as in the stock tutorial: preprocess, then all three in one kernel.

    Five products a block of scores are the algorithm's (the recomputed scores are one); the kernel makes seven, for it
    walks over the scores by rows and by columns.
    """
    import torch

    q, k, v, dout = (_random(heads, length, head, seed=seed, scale=0.5) for seed in range(4))
    scale = 0.5
    scaled = (k * (scale / math.log(2))).to(k.dtype)
    out, log_sum, product = torch.zeros_like(q), torch.zeros(heads, length), torch.empty(heads, length)
    grads = [torch.empty_like(q) for _ in range(3)]
    want: list[Any] = []
    if values:
        leaves = [tensor.double().requires_grad_() for tensor in (q, k, v)]
        scores = leaves[0] @ leaves[1].transpose(1, 2) * scale
        if causal:
            scores = scores.masked_fill(~torch.ones(length, length).tril().bool(), -math.inf)
        result = scores.softmax(-1) @ leaves[2]
        result.backward(dout.double())
        want = [leaf.grad for leaf in leaves]
        out.copy_(result.detach())
        log_sum.copy_(scores.detach().logsumexp(-1) / math.log(2))

    def check() -> bool:
        # P, dS and the scaled keys are rounded to fp16; a sum of `length` such terms is at most this large.
        sizes = [
            float(grad.abs().max()) + float(dout.float().norm(dim=2).max() * v.float().norm(dim=2).max())
            for grad in want
        ]
        return all(_near(got, exact, 4, size) for got, exact, size in zip(grads, want, sizes, strict=True))

    first = Launch(
        "fused_attention", "attention_products", (length // 128, heads),
        {"out_ptr": out, "dout_ptr": dout, "product_ptr": product},
        {"LENGTH": length, "HEAD_DIM": head, "BLOCK": 128},
    )  # fmt: skip
    second = Launch(
        "fused_attention", "attention_backward", (length // 128, 1, heads),
        {"q_ptr": q, "k_ptr": scaled, "v_ptr": v, "scale": scale, "dout_ptr": dout, "dq_ptr": grads[0],
         "dk_ptr": grads[1], "dv_ptr": grads[2], "log_sum_ptr": log_sum, "product_ptr": product,
         "stride_z": heads * length * head, "stride_h": length * head, "stride": head, "heads": heads,
         "length": length},
        {"BLOCK_M1": 32, "BLOCK_N1": 128, "BLOCK_M2": 128, "BLOCK_N2": 32, "SLICES": 2, "HEAD_DIM": head,
         "CAUSAL": causal},
    )  # fmt: skip
    pairs = length * (length + 1) / 2 if causal else length * length
    return Work(
        "fused_attention backward" + (" causal" if causal else ""), f"{heads}x{length}x{head}", "fp16",
        [first, second], check, 5.0 * heads * head * pairs, 8.0 * q.numel() * 2, values,
    )  # fmt: skip


def layer_norm_backward(rows_: int, cols: int, values: bool = True, groups: int = 0) -> Work:
    """The gradients of layer norm: rows in parallel with locks around the parameters' sums, then their reduction.

    `groups` is how many sums there are, each with a lock; 0: as many as the stock tutorial takes.
    """
    import torch

    groups = groups or (64 if cols > 8192 else 96 if cols > 4096 else 128 if cols > 1024 else 256)
    x, dy = _random(rows_, cols), _random(rows_, cols, seed=1, scale=0.1)
    weight = _random(cols, seed=2)
    mean = x.float().mean(1)
    rstd = 1 / torch.sqrt(x.float().var(1, correction=0) + 1e-5)
    dx, dw, db = torch.empty_like(x), torch.zeros(groups, cols).half(), torch.zeros(groups, cols).half()
    weight_grad, bias_grad = torch.empty_like(weight), torch.empty_like(weight)
    locks = torch.zeros(2 * groups, dtype=torch.int32)

    def check() -> bool:
        normal = (x.double() - mean[:, None].double()) * rstd[:, None].double()
        weighted = dy.double() * weight.double()
        along, level = (normal * weighted).mean(1, keepdim=True), weighted.mean(1, keepdim=True)
        want = (weighted - (normal * along + level)) * rstd[:, None].double()
        size = float(weighted.abs().max() * rstd.max()) * 4
        parts = ((weight_grad, dy.double() * normal), (bias_grad, dy.double()))
        return within(dx, want, "fp16", cols, magnitude=size, steps=8) and all(
            # A group's row is kept in fp16 between its additions.
            within(got, terms.sum(0), "fp16", math.ceil(rows_ / groups), magnitude=terms.abs().sum(0), inner="fp16")
            for got, terms in parts
        )

    block = 1 << (cols - 1).bit_length()
    first = Launch(
        "layer_norm", "layer_norm_backward_kernel", (rows_,),
        {"dx_ptr": dx, "dy_ptr": dy, "dw_ptr": dw, "db_ptr": db, "x_ptr": x, "weight_ptr": weight, "mean_ptr": mean,
         "rstd_ptr": rstd, "lock_ptr": locks, "row_stride": cols, "n_cols": cols},
        {"GROUPS": groups, "BLOCK_SIZE": block},
    )  # fmt: skip
    second = Launch(
        "layer_norm", "layer_norm_groups_kernel", (math.ceil(cols / 128),),
        {"dw_ptr": dw, "db_ptr": db, "weight_grad_ptr": weight_grad, "bias_grad_ptr": bias_grad,
         "groups": min(groups, rows_), "n_cols": cols},
        {"BLOCK_M": 32, "BLOCK_N": 128},
    )  # fmt: skip
    return Work(
        "layer_norm backward", f"{rows_}x{cols}", "fp16", [first, second], check, bytes=3.0 * rows_ * cols * 2,
        values=values,
    )  # fmt: skip


def dropout(n: int, seeded: bool, block: int = 1024, values: bool = True) -> Work:
    """Dropout of fp32 numbers by a mask of int32, or by philox numbers from a seed; blocks as in the stock tutorial.

    Of the ten rounds of philox, each two products of two words and four exclusive ors, 60 operations remain for an
    element where the first word is wanted and three words of the counter are zero; the SIMD engine has no upper halves
    of products.
    """
    import torch

    x = _random(n, dtype="float32")
    keep = (torch.rand(n, generator=torch.Generator().manual_seed(1)) > 0.5).to(torch.int32)
    out, p, seed = torch.empty_like(x), 0.5, 123

    def check() -> bool:
        kept = torch.from_numpy(uniform(seed, n)) > p if seeded else keep != 0
        return bool(torch.equal(out, torch.where(kept, x / (1 - p), torch.zeros(()))))

    name = "seeded_dropout_kernel" if seeded else "dropout_kernel"
    given: dict[str, Any] = {"x_ptr": x, "out_ptr": out, "n_elements": n, "p": p, "seed": seed}
    if not seeded:
        given = {"x_ptr": x, "keep_ptr": keep, "out_ptr": out, "n_elements": n, "p": p}
    step = Launch("dropout", name, (math.ceil(n / block),), given, {"BLOCK_SIZE": block})
    return Work(
        "dropout" + (" seeded" if seeded else ""), str(n), "fp32", [step], check, bytes=(8.0 if seeded else 12.0) * n,
        values=values, lanes=60.0 * n if seeded else 0.0,
    )  # fmt: skip


def uniform(seed: int, n: int) -> Any:
    """Philox 4x32 with ten rounds of the counters 0 … n-1, its first word as a float in [0, 1), in plain numpy."""
    import numpy as np

    low = np.uint64(0xFFFFFFFF)
    a, b = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
    c = [np.arange(n, dtype=np.uint64)] + [np.zeros(n, dtype=np.uint64) for _ in range(3)]
    keys = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    for turn in range(10):
        k0, k1 = (
            np.uint64(key + turn * step & 0xFFFFFFFF) for key, step in zip(keys, (0x9E3779B9, 0xBB67AE85), strict=True)
        )
        p, q = a * c[0], b * c[2]
        c = [q >> np.uint64(32) ^ c[1] ^ k0, q & low, p >> np.uint64(32) ^ c[3] ^ k1, p & low]
    word = c[0].astype(np.uint32).view(np.int32)
    word = np.where(word < 0, -word - 1, word)
    return word.astype(np.float32) * np.float32(4.6566127342e-10)


def rows(target: str = "") -> dict[str, Callable[[], Iterator[Row]]]:
    """The rows by name, on the chips whose name contains `target`; each is computed when it is asked for."""
    works: dict[str, tuple[Callable[[], Work], str]] = {
        # As many sums as MTIA 300 has harts, so that two harts seldom want the same lock.
        "layer_norm backward": (lambda: layer_norm_backward(16384, 4096, groups=144), "cold"),
        "dropout": (lambda: dropout(16 << 20, False, 4096), "cold"),
        "dropout seeded": (lambda: dropout(4 << 20, True), "cold"),
    }
    for head in (64, 128):
        for causal in (False, True):
            shape = (128, 2048, head, causal)
            kind = f"{head} causal" if causal else f"{head}"
            works[f"fused_attention {kind}"] = functools.partial(attention, *shape), "llc"
            works[f"fused_attention backward {kind}"] = functools.partial(attention_backward, *shape), "llc"

    def measured(make: Callable[[], Work], state: str) -> Iterator[Row]:
        return (measure(make(), chip, state) for chip in ("mtia200", "mtia300") if target in chip)

    return {name: functools.partial(measured, make, state) for name, (make, state) in works.items()}
