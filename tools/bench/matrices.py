"""Rows of `mtiac bench kernels` for products of matrices in the forms of the stock tutorials, on MTIA 200 and 300.

Blocks are chosen as an autotuner would: every configuration is timed without values, which takes the same cycles, and
the fastest one runs again with values, all of which are checked. Strides of one are constants of the compilation, as
Triton's launcher makes them.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError
from mtia.tools.bench.common import Row
from mtia.tools.bench.fused import Addresses, Launch, Work, measure
from mtia.tools.checking import within

__all__ = ["BLOCKS", "grouped", "matmul", "persistent", "rows"]

Blocks = tuple[int, int, int]

BLOCKS: tuple[Blocks, ...] = ((128, 128, 64), (128, 128, 128), (128, 256, 64), (64, 128, 64))
"""M, N, K of the larger blocks in the tutorials' lists."""
_TYPES = {"fp16": "float16", "fp8": "float8_e5m2"}
_GROUP = 8


@functools.lru_cache(maxsize=4)
def _operands(m: int, n: int, k: int, dtype: str, turned: bool, seed: int = 0) -> tuple[Any, Any, Any]:
    """A, B (or B turned, so that its columns are contiguous) and their product in fp32."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    kind = getattr(torch, _TYPES[dtype])
    a, b = (torch.randn(shape, generator=generator).to(kind) for shape in ((m, k), (k, n)))
    want = a.float() @ b.float()
    return a, b.T.contiguous() if turned else b, want


def _right(got: Any, a: Any, b: Any, want: Any, k: int) -> bool:
    """Whether C is A·B; |a|·|b| bounds the terms, its largest entry serves all."""
    terms = float(a.float().norm(dim=1).max() * b.float().norm(dim=1 if b.shape[1] == k else 0).max())
    return within(got, want, "fp16", k, magnitude=terms)


def _work(
    name: str, size: Blocks, dtype: str, turned: bool, values: bool, launch: Callable[[Any, Any, Any], Launch]
) -> Work:
    import torch

    m, n, k = size
    a, b, want = _operands(m, n, k, dtype, turned)
    c = torch.empty((m, n), dtype=torch.float16)
    stored = float(a.element_size() * (m * k + k * n) + c.element_size() * m * n)
    return Work(
        name, f"{m}x{n}x{k}", dtype, [launch(a, b, c)], lambda: _right(c, a, b, want, k),
        float(m) * n * k, stored, values,
    )  # fmt: skip


def matmul(size: Blocks, dtype: str, blocks: Blocks, turned: bool = False, values: bool = True) -> Work:
    """The matmul tutorial's kernel: programs in groups of rows, rows and columns modulo the sizes, K under a mask."""
    m, n, k = size

    def launch(a: Any, b: Any, c: Any) -> Launch:
        along, across = ("stride_bn", "stride_bk") if turned else ("stride_bk", "stride_bn")
        strides = {"stride_am": k, along: k if turned else n, "stride_cm": n}
        order = ("stride_am", "stride_bk", "stride_bn", "stride_cm")
        return Launch(
            "matmul", "matmul_kernel", (math.ceil(m / blocks[0]) * math.ceil(n / blocks[1]),),
            {"a_ptr": a, "b_ptr": b, "c_ptr": c, "M": m, "N": n, "K": k}
            | {name: strides[name] for name in order if name in strides},
            {"stride_ak": 1, across: 1, "stride_cn": 1, "BLOCK_SIZE_M": blocks[0], "BLOCK_SIZE_N": blocks[1],
             "BLOCK_SIZE_K": blocks[2], "GROUP_SIZE_M": _GROUP, "ACTIVATION": ""},
        )  # fmt: skip

    return _work("matmul tutorial" + (" turned B" if turned else ""), size, dtype, turned, values, launch)


def persistent(size: Blocks, blocks: Blocks, chip: Chip, descriptors: bool, values: bool = True) -> Work:
    """The persistent tutorial's kernels, one program a hart: rows cut off at the sizes, or descriptors and B turned."""
    m, n, k = size
    programs = min(chip.pes * chip.hart.count, math.ceil(m / blocks[0]) * math.ceil(n / blocks[1]))
    constants: dict[str, Any] = dict(zip(("BLOCK_M", "BLOCK_N", "BLOCK_K"), blocks, strict=True))
    constants |= {"GROUP_M": _GROUP, "PROGRAMS": programs}

    def pointers(a: Any, b: Any, c: Any) -> Launch:
        return Launch(
            "persistent_matmul", "persistent_matmul_kernel", (programs,),
            {"a_ptr": a, "b_ptr": b, "c_ptr": c, "M": m, "N": n, "K": k,
             "stride_am": k, "stride_bk": n, "stride_cm": n},
            constants | {"stride_ak": 1, "stride_bn": 1, "stride_cn": 1},
        )  # fmt: skip

    def described(a: Any, b: Any, c: Any) -> Launch:
        return Launch(
            "persistent_matmul", "descriptor_matmul_kernel", (programs,),
            {"a_ptr": a, "b_ptr": b, "c_ptr": c, "M": m, "N": n, "K": k}, constants | {"HALVES": True},
        )  # fmt: skip

    if descriptors:
        return _work("persistent matmul descriptors", size, "fp16", True, values, described)
    return _work("persistent matmul", size, "fp16", False, values, pointers)


def grouped(sizes: Sequence[Blocks], blocks: Blocks, chip: Chip, values: bool = True) -> Work:
    """The grouped GEMM tutorial's kernel: products of different sizes whose pointers and sizes are read from memory."""
    import torch

    operands = [_operands(*size, "fp16", False, seed) for seed, size in enumerate(sizes)]
    results = [torch.empty((m, n), dtype=torch.float16) for m, n, _ in sizes]
    programs = chip.pes * chip.hart.count
    step = Launch(
        "grouped_gemm", "grouped_gemm_kernel", (programs,),
        {"a_addresses": Addresses(tuple(a for a, _, _ in operands)),
         "b_addresses": Addresses(tuple(b for _, b, _ in operands)), "c_addresses": Addresses(tuple(results)),
         "sizes": torch.tensor(sizes, dtype=torch.int32),
         "strides": torch.tensor([(k, n, n) for _, n, k in sizes], dtype=torch.int32), "groups": len(sizes)},
        {"PROGRAMS": programs, "BLOCK_M": blocks[0], "BLOCK_N": blocks[1], "BLOCK_K": blocks[2]},
    )  # fmt: skip

    def check() -> bool:
        return all(
            _right(c, a, b, want, size[2]) for c, (a, b, want), size in zip(results, operands, sizes, strict=True)
        )

    alike = len(set(sizes)) == 1
    shape = f"{len(sizes)} x " + "x".join(map(str, sizes[0])) if alike else ", ".join(str(size[0]) for size in sizes)
    tensors = [tensor for a, b, _ in operands for tensor in (a, b)] + results
    return Work(
        "grouped GEMM", shape, "fp16", [step], check, sum(float(m) * n * k for m, n, k in sizes),
        2.0 * sum(tensor.numel() for tensor in tensors), values,
    )  # fmt: skip


def tuned(make: Callable[[Blocks], Work], target: str, state: str, blocks: Sequence[Blocks] = BLOCKS) -> Row:
    """The row of the fastest blocks; those that do not fit are left out, as `triton.autotune` does."""
    cycles = {}
    for choice in blocks:
        try:
            cycles[choice] = measure(dataclasses.replace(make(choice), values=False), target, state)["cycles"]
        except UserError:
            continue
    row = measure(make(min(cycles, key=lambda choice: cycles[choice])), target, state)
    return {**row, "config": f"autotuned {row['config']}"}


def rows(target: str = "") -> dict[str, Callable[[], Iterator[Row]]]:
    """The rows by name, on the chips whose name contains `target`; each is computed when it is asked for."""
    large = (4096, 4096, 4096)

    def on(*names: str) -> list[str]:
        return [name for name in names or ("mtia200", "mtia300") if target in name]

    def fp16() -> Iterator[Row]:
        for chip in on():
            for state in ("llc", "cold"):
                yield tuned(functools.partial(matmul, large, "fp16"), chip, state)
            yield measure(matmul(large, "fp16", BLOCKS[0], turned=True), chip, "llc")

    def fp8() -> Iterator[Row]:
        for chip in on("mtia300"):
            yield tuned(functools.partial(matmul, large, "fp8", turned=True), chip, "llc")
        for chip in on("mtia200"):  # has no fp8: the harts widen what they see, so it needs values
            yield measure(matmul((1024, 1024, 1024), "fp8", BLOCKS[0], turned=True), chip, "llc")

    def persistent_rows(descriptors: bool) -> Iterator[Row]:
        for chip in on():
            make = functools.partial(persistent, large, chip=load_chip(chip), descriptors=descriptors)
            yield tuned(make, chip, "llc", BLOCKS[:2])

    def grouped_rows() -> Iterator[Row]:
        sizes = [(size, size, size) for size in (1024, 512, 256, 128)]
        for chip in on():
            for group in (sizes, [(2048, 2048, 2048)] * 4):
                make = functools.partial(grouped, group, chip=load_chip(chip))
                yield tuned(make, chip, "cold", (*BLOCKS, (64, 64, 64)))

    return {
        "matmul tutorial fp16": fp16,
        "matmul tutorial fp8": fp8,
        "persistent matmul": functools.partial(persistent_rows, False),
        "persistent matmul descriptors": functools.partial(persistent_rows, True),
        "grouped GEMM": grouped_rows,
    }
