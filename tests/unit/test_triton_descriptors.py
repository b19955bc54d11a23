"""Tensor descriptors of kernels: element types with a sign, more dimensions than a transfer has; against numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from mtia.isa.errors import UserError
from triton.tools.tensor_descriptor import TensorDescriptor


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def reduce(target, values, kind: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    given = tl.load(values + at)
    if kind == "min":
        target.atomic_min([0, 0], given)
    else:
        target.atomic_max([0, 0], given)


@pytest.mark.parametrize("kind", ["min", "max"])
@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_extremes_know_the_sign(kind: str, dtype: str) -> None:
    words = np.random.default_rng(1).integers(0, 1 << 32, (2, 8, 16), dtype=np.uint32).view(dtype)
    have, given = (torch.from_numpy(part.copy()) for part in words)
    reduce[(1,)](TensorDescriptor.from_tensor(have, [8, 16]), given, kind, 8, 16)
    wanted = np.minimum(*words) if kind == "min" else np.maximum(*words)
    assert np.array_equal(have.numpy(), wanted)


@triton.jit  # type: ignore[misc, untyped-decorator, unused-ignore]
def shift_five(source, target, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr, D: tl.constexpr, E: tl.constexpr):  # type: ignore[no-untyped-def]
    block = source.load([1, 0, -1, 2, 4])
    target.store([0, 0, 0, 0, 0], block + 1)


def test_five_dimensions_with_edges() -> None:
    shape, block = (3, 2, 5, 6, 16), (4, 2, 4, 2, 16)
    content = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) + 1
    source, target = torch.from_numpy(content.copy()), torch.full(shape, -7, dtype=torch.int32)
    shift_five[(1,)](
        TensorDescriptor.from_tensor(source, list(block)), TensorDescriptor.from_tensor(target, list(block)), *block
    )
    padded = np.pad(content, [(0, 8), (0, 0), (1, 0), (0, 0), (0, 16)])
    read = padded[1:5, 0:2, 0:4, 2:4, 4:20] + 1
    wanted = np.full(shape, -7, np.int32)
    wanted[:4, :2, :4, :2, :16] = read[:3]
    assert np.array_equal(target.numpy(), wanted)


def test_padding_of_the_host_is_refused() -> None:
    """The compiled kernel would read zeros where NaN is wanted."""
    block = [4, 2, 4, 2, 16]
    given = TensorDescriptor.from_tensor(torch.zeros(3, 2, 5, 6, 16), block, padding="nan")
    with pytest.raises(UserError, match="pads with 0 here"):
        shift_five[(1,)](given, TensorDescriptor.from_tensor(torch.zeros(3, 2, 5, 6, 16), block), *block)


@triton.jit
def changed_in_branch(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    block = tl.make_tensor_descriptor(x_ptr, [n], [1], [BLOCK])
    if n > 7:
        block = tl.make_tensor_descriptor(x_ptr + 1, [n], [1], [BLOCK])
    tl.store(out_ptr + tl.arange(0, BLOCK), block.load([0]))


@triton.jit
def changed_in_loop(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    block = tl.make_tensor_descriptor(x_ptr, [n], [1], [BLOCK])
    total = tl.zeros((BLOCK,), tl.float32)
    for step in range(n):
        total += block.load([0])
        block = tl.make_tensor_descriptor(x_ptr + step, [n - step], [1], [BLOCK])
    tl.store(out_ptr + tl.arange(0, BLOCK), total)


@pytest.mark.parametrize("kernel", [changed_in_branch, changed_in_loop])
def test_descriptors_that_change_are_refused_by_name(kernel: Any) -> None:
    with pytest.raises(UserError, match=r"scf\.(if|for): .*descriptor") as caught:
        kernel[(1,)](torch.zeros(64), torch.zeros(16), 9, BLOCK=16)
    assert Path(str(caught.value.file)).name == "test_triton_descriptors.py" and caught.value.line
