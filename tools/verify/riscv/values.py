"""Values that programs work on: numbers at the edges of every type among ordinary ones."""

from __future__ import annotations

import random
import struct
from functools import cache
from typing import Any

import numpy as np
from mtia.isa.state import VLENB

from .program import Layout

__all__ = ["KINDS", "Store", "floats"]

KINDS = ("d", "s", "h", "x")  # floats of 64, 32 and 16 bits, and integers: the parts of a period of the pool
_WORDS = 1 << 16
_TABLES = 64


def floats(rng: Any, count: int, width: int) -> Any:
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
def _master(seed: int) -> tuple[dict[str, bytes], tuple[bytes, ...]]:
    """Values of each kind, and tables of bounded offsets."""
    rng = np.random.default_rng(seed)
    n = _WORDS
    boxed = floats(rng, n, 32) | np.uint64(0xFFFFFFFF << 32), floats(rng, n, 16) | np.uint64(0xFFFFFFFFFFFF << 16)
    kinds = {
        "d": floats(rng, n, 64), "s": _packed(floats(rng, 2 * n, 32), 32), "h": _packed(floats(rng, 4 * n, 16), 16),
        "x": _integers(rng, n),
    }  # fmt: skip
    everything = [*kinds.values(), *boxed, kinds["x"]]
    kinds["any"] = np.choose(rng.integers(0, len(everything), n), everything)
    tables = []
    for _ in range(_TABLES):
        parts = [rng.integers(0, 256, 1024).astype(np.uint8).tobytes()]
        parts += [rng.integers(0, 2000, 8192 // width).astype(f"<u{width // 8}").tobytes() for width in (16, 32)]
        parts.append(rng.integers(-1000, 1500, 128).astype("<i8").tobytes())
        tables.append(b"".join(parts))
    return {name: values.astype(np.uint64).tobytes() for name, values in kinds.items()}, tuple(tables)


class Store:
    """Slices of large random tables; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._kinds, self._tables = _master(seed)

    def take(self, rng: random.Random, size: int, kind: str = "any") -> bytes:
        """`size` bytes of a kind."""
        words = self._kinds[kind]
        at = rng.randrange(0, len(words) - size, 8)
        return words[at : at + size]

    def numbers(self, rng: random.Random, count: int) -> list[int]:
        """`count` 64-bit words of any kind."""
        return list(struct.unpack(f"<{count}Q", self.take(rng, 8 * count)))

    def pool(self, rng: random.Random) -> bytes:
        """The values to load: every `KINDS` in turn, over and over."""
        parts = Layout.POOL_SIZE // Layout.PERIOD
        size = Layout.PERIOD // len(KINDS)
        return b"".join(self.take(rng, size, kind) for _ in range(parts) for kind in KINDS)

    def vectors(self, rng: random.Random) -> bytes:
        """Thirty-two vector registers, four in a row of one kind."""
        return b"".join(self.take(rng, 4 * VLENB, rng.choice((*KINDS, "any"))) for _ in range(8))

    def index(self, rng: random.Random) -> bytes:
        """Offsets for indexed accesses, as `Layout.INDEX` wants them: 1 KiB of every width."""
        found = self._tables[rng.randrange(_TABLES)]
        assert len(found) == Layout.ARENA - Layout.INDEX
        return found
