"""The operands of the campaign `exact`: edges of every kind with each other, then random ones."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator

from mtia.tools.verify.exact_forms import Kind, Operation
from mtia.tools.verify.rational import Format

__all__ = ["draw", "edges", "tuples"]

BLOCK = 64  # tuples that share an operand, and so may share an f register: as many as the widest register has elements


def edges(kind: Kind) -> list[int]:
    """Values where something changes: zeros, subnormals, limits, infinities, NaNs; of integers both ends."""
    if isinstance(kind, int):
        width = abs(kind)
        near = [1 << n for n in range(0, width, 3)]
        values = [0, 1, 2, *near, *(n - 1 for n in near), *(n + 1 for n in near), (1 << width) - 1, (1 << width) - 2]
        return sorted({value & (1 << width) - 1 for value in values})
    one, top = kind.bias << kind.fraction, 1 << kind.width - 1
    least, half = 1 << kind.fraction, 1 << kind.fraction - 1
    sizes = [
        0, 1, 2, half - 1, half, least - 1, least, least + 1, one - least, one - 1, one, one + 1, one + half,
        one + least, one + 3 * least + half, kind.infinity - 1, kind.infinity - least, kind.infinity, kind.nan,
        kind.infinity + 1, kind.infinity + half + 1,
    ]  # fmt: skip
    return sizes + [size | top for size in sizes]


def draw(kind: Kind, random_: random.Random) -> int:
    """One operand: an edge, any bits, or a number that is not far from one."""
    pick = random_.random()
    if pick < 0.25:
        return random_.choice(_edges(kind))
    if isinstance(kind, Format) and pick < 0.7:
        exponent = max(1, min((1 << kind.exponent) - 2, kind.bias + random_.randrange(-14, 15)))
        return random_.getrandbits(1) << kind.width - 1 | exponent << kind.fraction | random_.getrandbits(kind.fraction)
    return random_.getrandbits(kind.width if isinstance(kind, Format) else abs(kind))


_edges = functools.cache(edges)


def tuples(operation: Operation, size: int, random_: random.Random) -> Iterator[tuple[int, ...]]:
    """Operands: all of a small space, otherwise edges with edges and then random ones in blocks that share one."""
    kinds = operation.kinds
    if len(kinds) == 1:
        width = kinds[0].width if isinstance(kinds[0], Format) else abs(kinds[0])
        if width <= 16 and 1 << width <= size:
            yield from ((value,) for value in range(1 << width))
            return
        yield from ((value,) for value in itertools.islice(_edges(kinds[0]), size))
    elif len(kinds) == 2 and len(_edges(kinds[0])) * len(_edges(kinds[1])) <= size:
        yield from itertools.product(_edges(kinds[0]), _edges(kinds[1]))
    for block in range(-(-size // BLOCK)):
        shared, value = block % len(kinds), draw(kinds[block % len(kinds)], random_)
        for _ in range(BLOCK):
            drawn = [draw(kind, random_) for kind in kinds]
            if len(kinds) > 1:
                drawn[shared] = value
            yield tuple(drawn)
