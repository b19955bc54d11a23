"""What lines of memory share: resources that know the tick at which they are free, and how pieces spread over them.

A line books everything on its way in the order of its request, so a line that waits for DRAM never delays one that does
not need it.
"""

from __future__ import annotations

from mtia.isa.lang import Ptr, fn, u32, u64


@fn
def spread(n: u64, group: u32, odd: u32) -> u64:
    """Resource of the n-th piece of memory: consecutive pieces go round, and rows of a matrix are skewed."""
    mask = (u64(1) << u64(group)) - 1
    high = n >> u64(group)
    fold = high ^ (high >> 3) ^ (high >> 7) ^ (high >> 12)
    low = (n ^ fold) & mask
    if odd > 1:
        return ((high % u64(odd)) << u64(group)) | low
    return low


@fn
def reserve(next: Ptr[u64], at: u64, ticks: u64) -> u64:
    """Take a resource for some ticks at the earliest from `at`; returns the start."""
    start = at
    if next[0] > at:
        start = next[0]
    next[0] = start + ticks
    return start
