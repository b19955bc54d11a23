"""Campaign: every Xmtia command against a plain numpy statement of its meaning.

Random programs of encoded instructions run on the whole machine; the model of `xmtia_model.py` and the statements of
`xmtia_statements.py` say what they leave in local memory, accumulators and device memory, and every byte is compared.
A part of the programs runs on the reference interpreter too: same bits, same cycles.
"""

from __future__ import annotations

import numpy as np
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.xmtia_cases import Batch, Full
from mtia.tools.verify.xmtia_commands import CASES

__all__ = ["SIZE", "make"]

SIZE = 40_000
CHIPS = ("mtia200", "mtia300")


def make(chip: str, seed: int, numbers: list[int]) -> tuple[Batch, int]:
    """A batch of the cases with these numbers, and how many of them it has."""
    batch = Batch(chip, np.random.default_rng(seed))
    names = list(CASES)
    for done, number in enumerate(numbers):
        name = names[number % len(names)]
        try:
            batch.start(name, np.random.default_rng((seed, number)))
            CASES[name](batch)
        except Full:
            batch.cases = batch.cases[:done]
            return batch, done
    return batch, len(numbers)
