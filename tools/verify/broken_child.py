"""Child process of `mtiac verify broken`: runs cases and notes in a shared file how far it is.

python -m mtia.tools.verify.broken_child STATE SEED FIRST LAST
"""

from __future__ import annotations

import mmap
import sys

from mtia.tools.verify.broken import _STATE, OUTCOMES
from mtia.tools.verify.broken_cases import execute, make


def main() -> None:
    """Run the cases; an exception ends the process with its message."""
    name, seed, first, last = sys.argv[1], *(int(text) for text in sys.argv[2:5])
    counts = [0] * len(OUTCOMES)
    with open(name, "r+b") as file, mmap.mmap(file.fileno(), _STATE.size) as shared:
        for number in range(first, last):
            shared[:] = _STATE.pack(number, *counts)
            counts[OUTCOMES.index(execute(make(seed, number)))] += 1
        shared[:] = _STATE.pack(last, *counts)


if __name__ == "__main__":
    main()
