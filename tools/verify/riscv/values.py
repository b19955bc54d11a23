"""Values that programs work on: numbers at the edges of every type among ordinary ones."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np

from .program import Layout

__all__ = ["Store"]

_WORDS = 1 << 16
_TABLES = 64


def _floats(rng: Any, count: int, width: int) -> Any:
    """Bits of `count` floats: most near one, some at the edges of the format."""
    exponent, fraction = {16: (5, 10), 32: (8, 23), 64: (11, 52)}[width]
    bias, top = (1 << exponent - 1) - 1, (1 << exponent) - 1
    spread = min(bias - 2, 30)
    e = rng.integers(bias - spread, bias + spread, count).astype(np.uint64)
    f = rng.integers(0, 1 << fraction, count).astype(np.uint64)
    few = rng.random(count) < 0.3  # few significant bits: exact results and ties
    f = np.where(few, f & np.uint64(((1 << fraction) - 1) ^ ((1 << fraction - 3) - 1)), f)
    edges = [(0, 0), (top, 0), (top, 1 << fraction - 1), (top, 1), (0, 1), (0, (1 << fraction) - 1), (1, 0), (bias, 0)]
    edges += [(top - 1, (1 << fraction) - 1), (top, (1 << fraction) - 1), (bias - 1, 0), (bias + 1, 0), (bias, 1)]
    edge = np.array([a << fraction | b for a, b in edges], np.uint64)
    bits = np.where(rng.random(count) < 0.25, edge[rng.integers(0, len(edge), count)], e << np.uint64(fraction) | f)
    wide = rng.random(count) < 0.1  # any exponent
    bits = np.where(wide, rng.integers(0, 1 << width - 1, count).astype(np.uint64), bits)
    return bits | rng.integers(0, 2, count).astype(np.uint64) << np.uint64(width - 1)


def _packed(values: Any, width: int) -> Any:
    """Join narrow values to 64-bit words."""
    each = 64 // width
    parts = values.reshape(-1, each)
    shifts = np.arange(each, dtype=np.uint64) * np.uint64(width)
    return np.bitwise_or.reduce(parts << shifts, axis=1)


def _integers(rng: Any, count: int) -> Any:
    """64-bit integers: small, near powers of two, and any."""
    power = np.uint64(1) << rng.integers(0, 64, count).astype(np.uint64)
    near = power + rng.integers(-2, 3, count).astype(np.uint64)
    small = rng.integers(-40, 40, count).astype(np.int64).view(np.uint64)
    anything = rng.integers(0, 1 << 64, count, dtype=np.uint64)
    lanes = np.array([1, 0x0101010101010101, 0x0001000100010001, 0x0000000100000001], np.uint64)
    byte = rng.integers(0, 256, count).astype(np.uint64) * lanes[rng.integers(0, 4, count)]
    return np.choose(rng.integers(0, 5, count), [near, small, anything, byte, ~near])


@cache
def _master(seed: int) -> tuple[bytes, tuple[bytes, ...]]:
    rng = np.random.default_rng(seed)
    n = _WORDS
    single, half = _floats(rng, n, 32), _floats(rng, n, 16)
    kinds = [
        _floats(rng, n, 64), _packed(_floats(rng, 2 * n, 32), 32), _packed(_floats(rng, 4 * n, 16), 16),
        single | np.uint64(0xFFFFFFFF << 32), half | np.uint64(0xFFFFFFFFFFFF << 16), _integers(rng, n),
        _integers(rng, n),
    ]  # fmt: skip
    # runs of one kind, so that a vector register holds mostly one type
    kind = np.repeat(rng.integers(0, len(kinds), n // 8), 8)
    words = np.choose(kind, kinds).astype(np.uint64)
    tables = []
    for _ in range(_TABLES):
        parts = [rng.integers(0, 256, 1024).astype(np.uint8).tobytes()]
        parts += [rng.integers(0, 2000, 8192 // width).astype(f"<u{width // 8}").tobytes() for width in (16, 32)]
        parts.append(rng.integers(-1000, 1500, 128).astype("<i8").tobytes())
        tables.append(b"".join(parts))
    return words.tobytes(), tuple(tables)


class Store:
    """Slices of one large random table; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._words, self._tables = _master(seed)

    def take(self, rng: random.Random, size: int) -> bytes:
        """`size` bytes."""
        at = rng.randrange(0, len(self._words) - size, 8)
        return self._words[at : at + size]

    def numbers(self, rng: random.Random, count: int) -> list[int]:
        """`count` 64-bit words, each from another place."""
        return [int.from_bytes(self.take(rng, 8), "little") for _ in range(count)]

    def index(self, rng: random.Random) -> bytes:
        """Offsets for indexed accesses, as `Layout.INDEX` wants them: 1 KiB of every width."""
        found = self._tables[rng.randrange(_TABLES)]
        assert len(found) == Layout.ARENA - Layout.INDEX
        return found
