"""The demo's kernels at reduced, odd sizes: launched by argument name, with what torch says of every result."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mtia.tools.checking import within
from mtia.tools.kernels import add, flash_attention, layer_norm, matmul, reduction, softmax

__all__ = ["DTYPES", "Case", "bits", "cases", "disguised", "small_cases", "tensor"]

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Case:
    """One launch: arguments by name in the kernel's order, and whether the tensors written are right.

    `macs` are the multiply-accumulates of all `tl.dot` of all programs, whole blocks counted.
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: Mapping[str, Any]
    constants: Mapping[str, Any]
    outputs: tuple[str, ...]
    check: Callable[..., bool]
    macs: int = 0

    @property
    def programs(self) -> int:
        """Size of the grid."""
        x, y, z = (*self.grid, 1, 1)[:3]
        return x * y * z

    def run(self, kernel: Any = None, names: Mapping[str, str] | None = None, **options: Any) -> tuple[Any, list[Any]]:
        """(compiled kernel, written tensors) of a launch with fresh outputs; `names` renames the arguments."""
        given = {**self.arguments, **self.constants}
        given.update({name: torch.full_like(given[name], 9) for name in self.outputs})
        made = (kernel or self.kernel)[self.grid](**{(names or {}).get(k, k): v for k, v in given.items()}, **options)
        return made, [given[name] for name in self.outputs]


def tensor(*shape: int, dtype: str = "fp32", seed: int = 0) -> Any:
    """Normal numbers that depend on the seed only."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DTYPES[dtype])


def bits(value: Any) -> Any:
    """A tensor's bytes."""
    return value.contiguous().view(torch.uint8)


def _parts(total: int, block: int) -> int:
    return -(-total // block)


def add_case(n: int = 5001, block: int = 1024) -> Case:
    x, y = tensor(n), tensor(n, seed=1)
    return Case(
        add.add_kernel, (_parts(n, block),), {"x_ptr": x, "y_ptr": y, "out_ptr": x, "n_elements": n},
        {"BLOCK_SIZE": block}, ("out_ptr",), lambda got: torch.equal(got, x + y),
    )  # fmt: skip


def softmax_case(rows: int = 37, cols: int = 131, dtype: str = "fp16", programs: int = 11, block: int = 256) -> Case:
    x = tensor(rows, cols, dtype=dtype)
    want = x.double().softmax(1)
    steps = 4 + int(2 * float(x.float().abs().max()))
    return Case(
        softmax.softmax_kernel, (programs,),
        {"out_ptr": x, "in_ptr": x, "in_row_stride": cols, "out_row_stride": cols, "n_rows": rows, "n_cols": cols},
        {"BLOCK_SIZE": block}, ("out_ptr",), lambda got: within(got, want, dtype, cols, steps=steps),
    )  # fmt: skip


def matmul_case(
    dtype: str, shape: tuple[int, int, int] = (77, 91, 53), block: tuple[int, int, int] = (64, 64, 32)
) -> Case:
    (m, n, k), (block_m, block_n, block_k) = shape, block
    a, b = tensor(m, k, dtype=dtype), tensor(k, n, dtype=dtype, seed=1)
    product = a.double() @ b.double()
    want, terms = torch.where(product >= 0, product, 0.01 * product), a.double().abs() @ b.double().abs()
    programs = _parts(m, block_m) * _parts(n, block_n)
    return Case(
        matmul.matmul_kernel, (programs,),
        {"a_ptr": a, "b_ptr": b, "c_ptr": want.to(a.dtype), "M": m, "N": n, "K": k, "stride_am": k, "stride_ak": 1,
         "stride_bk": n, "stride_bn": 1, "stride_cm": n, "stride_cn": 1},
        {"BLOCK_SIZE_M": block_m, "BLOCK_SIZE_N": block_n, "BLOCK_SIZE_K": block_k, "GROUP_SIZE_M": 8,
         "ACTIVATION": "leaky_relu"},
        ("c_ptr",), lambda got: within(got, want, dtype, k, magnitude=terms),
        programs * _parts(k, block_k) * block_m * block_n * block_k,
    )  # fmt: skip


def layer_norm_case(rows: int = 17, cols: int = 301, dtype: str = "fp16", block: int = 256) -> Case:
    x, weight, bias = (tensor(*shape, dtype=dtype, seed=s) for s, shape in enumerate(((rows, cols), (cols,), (cols,))))
    exact = x.double()
    want = torch.nn.functional.layer_norm(exact, (cols,), weight.double(), bias.double(), 1e-5)
    size = (want - bias.double()).abs() + bias.double().abs() + 1

    def check(y: Any, mean: Any, rstd: Any) -> bool:
        spread = 1 / (exact.var(1, correction=0) + 1e-5).sqrt()
        return (
            within(y, want, dtype, cols, magnitude=size, steps=6)
            and within(mean, exact.mean(1), "fp32", cols, magnitude=exact.abs().mean(1))
            and within(rstd, spread, "fp32", cols, steps=4)
        )

    row = torch.empty(rows)
    return Case(
        layer_norm.layer_norm_kernel, (rows,),
        {"x_ptr": x, "y_ptr": x, "weight_ptr": weight, "bias_ptr": bias, "mean_ptr": row, "rstd_ptr": row,
         "row_stride": cols, "n_cols": cols, "eps": 1e-5},
        {"BLOCK_SIZE": block}, ("y_ptr", "mean_ptr", "rstd_ptr"), check,
    )  # fmt: skip


def sum_case(rows: int = 7, cols: int = 1203, block: int = 512) -> Case:
    x, parts = tensor(rows, cols), _parts(cols, block)
    padded = torch.nn.functional.pad(x.double(), (0, parts * block - cols)).view(rows, parts, block)
    return Case(
        reduction.partial_sums_kernel, (rows, parts),
        {"x_ptr": x, "parts_ptr": torch.empty(rows, parts), "n_cols": cols, "n_parts": parts}, {"BLOCK_SIZE": block},
        ("parts_ptr",), lambda got: within(got, padded.sum(2), "fp32", block, magnitude=padded.abs().sum(2)),
    )  # fmt: skip


def total_case(rows: int = 7, parts: int = 13, block: int = 16) -> Case:
    x = tensor(rows, parts)
    want, size = x.double().sum(1), x.double().abs().sum(1)
    return Case(
        reduction.total_kernel, (rows,), {"parts_ptr": x, "out_ptr": torch.empty(rows), "n_parts": parts},
        {"BLOCK_SIZE": block}, ("out_ptr",), lambda got: within(got, want, "fp32", parts, magnitude=size),
    )  # fmt: skip


def attention_case(
    heads: int = 2, length: int = 133, head: int = 64, block: tuple[int, int] = (128, 64), dtype: str = "fp16"
) -> Case:
    q, k, v = (tensor(heads, length, head, dtype=dtype, seed=seed) for seed in range(3))
    want = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True)
    size = 2 * float(v.float().abs().max())  # P is rounded to the type before the second product
    (block_m, block_n), blocks = block, _parts(length, block[0])
    inner = sum(_parts((place + 1) * block_m, block_n) for place in range(blocks))
    return Case(
        flash_attention.attention_kernel, (blocks, heads),
        {"q_ptr": q, "k_ptr": k, "v_ptr": v, "out_ptr": q, "stride_h": q.stride(0), "stride_n": q.stride(1),
         "seq_len": length, "sm_scale": head**-0.5},
        {"HEAD_DIM": head, "BLOCK_M": block_m, "BLOCK_N": block_n}, ("out_ptr",),
        lambda got: within(got, want, dtype, 2, magnitude=size, inner=dtype),
        heads * inner * 2 * block_m * block_n * head,
    )  # fmt: skip


def cases() -> dict[str, Case]:
    """Every kernel of the demo; grids with a row of masks at their end."""
    return {
        "add": add_case(),
        "softmax fp16": softmax_case(),
        "softmax fp32": softmax_case(rows=150, cols=61, dtype="fp32", programs=150, block=64),
        **{f"matmul {dtype}": matmul_case(dtype) for dtype in DTYPES},
        "layer norm": layer_norm_case(),
        "layer norm fp32": layer_norm_case(rows=5, cols=77, dtype="fp32", block=32),
        "sums": sum_case(),
        "total": total_case(),
        "attention": attention_case(),
    }


def other_blocks() -> dict[str, Case]:
    """The same work in other blocks, and so in other grids."""
    return {
        "add": add_case(block=256),
        "softmax fp16": softmax_case(block=1024, programs=80),
        "matmul fp16": matmul_case("fp16", block=(32, 64, 64)),
        "matmul bf16": matmul_case("bf16", block=(128, 32, 16)),
        "layer norm": layer_norm_case(block=512),
        "sums": sum_case(block=128),
        "total": total_case(block=64),
        "attention": attention_case(block=(64, 32)),
    }


def small_cases() -> dict[str, Case]:
    """Every kernel as small as its masks allow."""
    return {
        "add": add_case(501, 256),
        "softmax": softmax_case(3, 29, programs=2, block=32),
        **{f"matmul {dtype}": matmul_case(dtype, (9, 13, 21), (16, 16, 16)) for dtype in DTYPES},
        "layer norm": layer_norm_case(2, 50, block=32),
        "sums": sum_case(2, 40, 32),
        "total": total_case(2, 3, 4),
        "attention": attention_case(1, 21, 16, (16, 16)),
    }


def disguised(kernel: Any, folder: Path) -> tuple[Any, dict[str, str]]:
    """(kernel, new names) of a kernel with every name of its own changed and its arguments in the opposite order."""
    source = Path(sys.modules[kernel.fn.__module__].__file__ or "")
    tree = ast.parse(source.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    names: dict[str, str] = {}
    for function in functions:
        stored = [n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        for name in [function.name, *(a.arg for a in function.args.args), *stored]:
            names.setdefault(name, f"v{len(names)}_{'PT'[name.isupper()]}")
        if function.name == kernel.__name__:
            function.args.args.reverse()
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)
            elif isinstance(node, ast.arg):
                node.arg = names[node.arg]
        function.name = names[function.name]
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    tree.body = [*imports, *functions]
    path = folder / f"disguised_{source.stem}_{kernel.__name__}.py"
    path.write_text(ast.unparse(tree))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, names[kernel.__name__]), names
