"""Kernels for training on both chips at small sizes: attention and its gradients, layer norm's gradients, dropout."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

import numpy as np
import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")

from mtia.tools.bench import fused  # noqa: E402

CHIPS = ("mtia200", "mtia300")
WORKS: Mapping[str, Callable[[], fused.Work]] = {
    f"attention{' backward' * backward} {head}{' causal' * causal}": functools.partial(
        (fused.attention, fused.attention_backward)[backward], 2, 256, head, causal, values=True
    )
    for backward in (False, True)
    for head in (64, 128)
    for causal in (False, True)
} | {
    "layer norm backward": functools.partial(fused.layer_norm_backward, 300, 200),
    "dropout": functools.partial(fused.dropout, 10007, False),
    "dropout seeded": functools.partial(fused.dropout, 10007, True),
}


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", WORKS)
def test_right(name: str, chip: str) -> None:
    assert fused.measure(WORKS[name](), chip, "cold")["ok"]


def test_without_values_takes_the_same_cycles() -> None:
    rows = [
        fused.measure(fused.attention_backward(2, 256, 64, True, values=values), "mtia300", "llc")
        for values in (False, True)
    ]
    assert rows[0]["cycles"] == rows[1]["cycles"]


def tiles(work: fused.Work, chip: str, number: int = -1) -> str:
    """A launch's text at stage `tiles`."""
    return str(fused.compiled(work.launches[number], chip).asm["tiles"])


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", WORKS)
def test_main_accesses_are_strided_transfers(name: str, chip: str) -> None:
    text = tiles(WORKS[name](), chip, 0)
    own = re.findall(r"memref\.(?:load|store) .*, 1>", text)
    if name == "layer norm backward":
        own = [line for line in own if "xi32" not in line]  # whether the group's row has been written
    assert "mtia.dma_in_indexed" not in text and not own


def test_turned_factors_are_not_copied() -> None:
    for name in ("attention 64", "attention backward 64"):
        text = tiles(WORKS[name](), "mtia300")
        assert "mtia.matmul" in text and "mtia.transpose" not in text and "mtia.copy" not in text


def test_uniform() -> None:
    """The plain philox of the bench against the published answer for counter 0 and key 0: 6627e8d5 …"""
    assert fused.uniform(0, 1)[0] == np.float32(0x6627E8D5) * np.float32(4.6566127342e-10)
