"""Triton's random numbers in numpy: Philox 4x32 and 4x64 as Salmon et al. define them, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["normal", "philox", "uniform"]

# bits: multipliers of words 0 and 2, increments of the key's two words (Salmon et al. 2011)
_CONSTANTS = {
    32: (0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85),
    64: (0xD2E7470EE14C6C93, 0xCA5A826395121157, 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B),
}


def philox(counter: tuple[int, int, int, int], key: tuple[int, int], bits: int = 32, rounds: int = 10) -> list[int]:
    """The four words of a counter."""
    low, high, step0, step1 = _CONSTANTS[bits]
    mask = (1 << bits) - 1
    c, k = list(counter), list(key)
    for _ in range(rounds):
        a, b = low * c[0], high * c[2]
        c = [(b >> bits) ^ c[1] ^ k[0], b & mask, (a >> bits) ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + step0) & mask, (k[1] + step1) & mask]
    return c


def uniform(words: Any) -> Any:
    """float32 in [0, 1) of uint32."""
    signed = np.asarray(words, np.uint32).view(np.int32)
    folded = np.where(signed < 0, -signed - 1, signed)
    return folded.astype(np.float32) * np.float32(4.6566127342e-10)


def normal(u1: Any, u2: Any) -> tuple[Any, Any]:
    """Box and Muller's two normal numbers; the angle and the radius are float32."""
    first = np.maximum(np.float32(1.0e-7), u1)
    angle = (np.float32(6.283185307179586) * u2).astype(np.float64)
    radius = np.sqrt(np.float32(-2) * np.log(first.astype(np.float64)).astype(np.float32)).astype(np.float64)
    return radius * np.cos(angle), radius * np.sin(angle)
