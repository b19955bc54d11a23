"""Programs for one hart, written in `mtia.isa.lang` and compiled to RISC-V by LLVM: what `bench simulate` runs.

The scalar programs are integer code with branches, tables and calls; the vector suite is ordinary loops that LLVM's
vectoriser turns into RVV code.
"""

# mypy: disable-error-code="misc, untyped-decorator"
from __future__ import annotations

from collections.abc import Mapping

from mtia.isa.lang import Fn, Ptr, f32, fn, i32, u32, u64

__all__ = ["SCALAR", "VECTOR", "executable"]

HEAP = 0x4010_0000  # behind the text: the runner's zeroed memory


@fn
def sieve(rounds: u64) -> u64:
    flags = Ptr[u32](u64(HEAP + 0x0))
    count = u64(0)
    for _ in range(rounds):
        for i in range(u64(2), u64(8192)):
            flags[i] = u32(1)
        for i in range(u64(2), u64(8192)):
            if flags[i] != 0:
                count = count + 1
                k = i + i
                while k < 8192:
                    flags[k] = u32(0)
                    k = k + i
    return count


@fn
def hash_table(rounds: u64) -> u64:
    keys = Ptr[u64](u64(HEAP + 0x10000))
    state = u64(88172645463325252)
    hits = u64(0)
    for _ in range(rounds):
        state = state ^ (state << 13)
        state = state ^ (state >> 7)
        state = state ^ (state << 17)
        key = (state & 2047) | 1
        slot = (key * 11400714819323198485) >> 52
        while keys[slot] != 0 and keys[slot] != key:
            slot = (slot + 1) & 4095
        if keys[slot] == key:
            hits = hits + 1
        keys[slot] = key
    return hits


@fn
def sort(rounds: u64) -> u64:
    data = Ptr[u32](u64(HEAP + 0x18000))
    seed = u32(12345)
    total = u64(0)
    for _ in range(rounds):
        for i in range(u64(0), u64(512)):
            seed = seed * 1664525 + 1013904223
            data[i] = seed >> 8
        gap = u64(256)
        while gap > 0:
            for i in range(gap, u64(512)):
                value = data[i]
                j = i
                while j >= gap and data[j - gap] > value:
                    data[j] = data[j - gap]
                    j = j - gap
                data[j] = value
            gap = gap >> 1
        total = total + u64(data[7])
    return total


@fn
def saxpy(x: Ptr[f32], y: Ptr[f32], n: u64) -> None:
    for i in range(n):
        y[i] = x[i] * f32(1.5) + y[i]


@fn
def stencil(x: Ptr[f32], y: Ptr[f32], n: u64) -> None:
    for i in range(u64(1), n - 1):
        y[i] = f32(0.25) * x[i - 1] + f32(0.5) * x[i] + f32(0.25) * x[i + 1]


@fn
def clamp_scale(x: Ptr[i32], y: Ptr[i32], n: u64) -> None:
    for i in range(n):
        v = x[i] * 3 + 7
        y[i] = min(max(v, i32(-1000)), i32(1000))


@fn
def checksum(x: Ptr[u32], n: u64) -> u32:
    total = u32(0)
    for i in range(n):
        total = total + (x[i] ^ (x[i] >> 3))
    return total


@fn
def loop_suite(rounds: u64) -> u64:
    x = Ptr[f32](u64(HEAP + 0x19000))
    y = Ptr[f32](u64(HEAP + 0x21000))
    a = Ptr[i32](u64(HEAP + 0x29000))
    b = Ptr[i32](u64(HEAP + 0x31000))
    for i in range(u64(0), u64(4096)):
        x[i] = f32(i32(i))
        a[i] = i32(i)
    total = u32(0)
    for _ in range(rounds):
        saxpy(x, y, u64(4096))
        stencil(y, x, u64(4096))
        clamp_scale(a, b, u64(4096))
        total = total + checksum(Ptr[u32](u64(b)), u64(4096))
    return u64(total)


@fn
def run_sieve() -> u64:
    return sieve(u64(4000))


@fn
def run_hash_table() -> u64:
    return hash_table(u64(12000000))


@fn
def run_sort() -> u64:
    return sort(u64(2500))


@fn
def run_loop_suite() -> u64:
    return loop_suite(u64(100000))


SCALAR: Mapping[str, Fn] = {"sieve": run_sieve, "hash_table": run_hash_table, "sort": run_sort}
VECTOR: Mapping[str, Fn] = {"loop_suite": run_loop_suite}


def executable(name: str, function: Fn) -> bytes:
    """The ELF of a program for the vector hart, entry symbol `name`."""
    from mtia.compiler.backend import features, linker, worker
    from mtia.isa.lang.llvm_emitter import module_text

    text = module_text({name: function})
    strings = features.feature_string(features.Hart.VECTOR)
    return linker.link(worker.generate(text, strings, 3), name, {"kernel": name, "arguments": []})
