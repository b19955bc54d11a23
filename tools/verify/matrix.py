"""Campaign: matrix products in exact arithmetic, every bit of every element, for each pair of types.

A case is one element of an accumulator: its chain of multiply-accumulates is done here in Python integers, which hold
every number of every type exactly, with one rounding a step, and on the machine by `dpe.mmz` and `dpe.mma`, loaded and
drained by the reduction engine. `--size` is the number of cases of each pair. The products are also computed by native
code that was built for hosts without AVX-512 and without fused multiply-add.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from mtia.isa.chip import load_chip
from mtia.isa.xmtia.codes import DType, Space
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.unit_programs import DATA, Script, set_tile
from mtia.tools.verify.unit_programs import run as run_units
from mtia.tools.verify.xmtia_statements import PAIRS, dpe_rate
from mtia.tools.verify.xmtia_values import INTEGERS, NAN_BITS, Array, has_type, random_elements, width_of

__all__ = ["SIZE", "Product", "add_arguments", "on_host", "on_machine", "pairs", "product", "run"]

SIZE = 1_000_000
HOSTS = "x86-64-v3,x86-64"  # without AVX-512; without fused multiply-add and half precision
# Numbers are integers in units of 2**-300: the product of the smallest subnormal tf32 numbers is 2**-272.
UNIT = 300
HALF = 150  # factors are in units of 2**-150
F32_LEAST = UNIT - 149  # the exponent of f32's smallest subnormal, in these units
F32_END = 1 << (UNIT + 128)  # the first power of two that f32 does not have
NAN, INFINITY = None, F32_END * F32_END
# Bits of exponent and mantissa, bias, and whether the largest exponent means infinity and NaN.
FORMATS = {
    DType.F32: (8, 23, 127, True), DType.TF32: (8, 23, 127, True), DType.F16: (5, 10, 15, True),
    DType.BF16: (8, 7, 127, True), DType.E4M3: (4, 3, 7, False), DType.E5M2: (5, 2, 15, True),
}  # fmt: skip
# A number: its sign (1: negative) and its magnitude, an integer, INFINITY or NAN.
Number = tuple[int, int | None]


def decode(bits: int, dtype: DType, unit: int) -> Number:
    """The number that bits mean, its magnitude in units of 2**-unit."""
    exponent_bits, mantissa_bits, bias, ieee = FORMATS[dtype]
    mantissa = bits & (1 << mantissa_bits) - 1
    exponent = bits >> mantissa_bits & (1 << exponent_bits) - 1
    sign = bits >> (exponent_bits + mantissa_bits)
    last = exponent == (1 << exponent_bits) - 1
    if last and ieee:
        return (sign, NAN) if mantissa else (sign, INFINITY)
    if last and mantissa == 7:
        return sign, NAN  # E4M3 has one NaN and no infinity
    if exponent:
        mantissa |= 1 << mantissa_bits
    magnitude = mantissa << (max(exponent, 1) - bias - mantissa_bits + unit)
    if dtype is DType.TF32:  # ten bits of mantissa are left, also of a subnormal number
        magnitude = round_bits(magnitude, 11, unit - 136)
    return sign, magnitude if magnitude < 1 << unit + 128 else INFINITY


def round_bits(magnitude: int, digits: int, least: int) -> int:
    """Round to so many binary digits, to nearest even, but to no finer place than 2**least."""
    drop = max(magnitude.bit_length() - digits, least)
    if drop <= 0:
        return magnitude
    kept = magnitude >> drop
    rest, half = magnitude - (kept << drop), 1 << drop - 1
    kept += rest > half or (rest == half and kept & 1)
    return kept << drop


def fma(a: Number, b: Number, c: Number) -> Number:
    """a · b + c with one rounding, as IEEE 754 defines it; a and b in units of 2**-150, c and the result of 2**-300."""
    (a_sign, x), (b_sign, y), (c_sign, z) = a, b, c
    if x is None or y is None or z is None:
        return 0, NAN
    sign = a_sign ^ b_sign
    if x == INFINITY or y == INFINITY:
        if x == 0 or y == 0 or (z == INFINITY and sign != c_sign):
            return 0, NAN
        return sign, INFINITY
    if z == INFINITY:
        return c
    total = (-x * y if sign else x * y) + (-z if c_sign else z)
    if total == 0:
        return (sign & c_sign, 0)  # +0 unless both are negative
    magnitude = round_bits(abs(total), 24, F32_LEAST)
    return int(total < 0), magnitude if magnitude < F32_END else INFINITY


def chain(acc: Number, row: list[Number], column: list[Number]) -> Number:
    """k ascending, one rounding a step."""
    for a, b in zip(row, column, strict=True):
        acc = fma(a, b, acc)
    return acc


def scale(acc: Number, by: Number) -> Number:
    """acc · by with one rounding; both in units of 2**-150, the result of 2**-300."""
    (a_sign, x), (b_sign, y) = acc, by
    sign = a_sign ^ b_sign
    if x is None or y is None or (INFINITY in (x, y) and 0 in (x, y)):
        return 0, NAN
    if INFINITY in (x, y):
        return sign, INFINITY
    magnitude = round_bits(x * y, 24, F32_LEAST)
    return sign, magnitude if magnitude < F32_END else INFINITY


def encode(number: Number, dtype: DType = DType.F32) -> int:
    """The bits of a type nearest to a number: ties to even, past the end infinity, of 8-bit floats the largest."""
    exponent_bits, mantissa_bits, bias, ieee = FORMATS[dtype]
    sign, magnitude = number
    if magnitude is None:
        return NAN_BITS[dtype]
    sign <<= exponent_bits + mantissa_bits
    least = UNIT - bias + 1 - mantissa_bits
    magnitude = round_bits(magnitude, mantissa_bits + 1, least)
    end = (1 << exponent_bits) - 1 << mantissa_bits  # infinity, where there is one
    shift = max(magnitude.bit_length() - mantissa_bits - 1, least)
    bits = (shift - least << mantissa_bits) + (magnitude >> shift)
    last = end - 1 if dtype is DType.E5M2 else end + 6 if dtype is DType.E4M3 else end
    return sign | min(bits, last)


@cache
def factor(bits: int, dtype: DType) -> Number:
    """A factor: `decode` in units of 2**-150, remembered."""
    return decode(bits, dtype, HALF)


@dataclass(frozen=True)
class Product:
    """A product: bits of a, b and the accumulators before; `zero` starts from +0 instead.

    Then rows are scaled by `factors`, a column of `factor_type`, if there are any, and drained as `drained`.
    """

    a: Array
    b: Array
    acc: Array
    zero: bool = False
    drained: DType = DType.F32
    factors: Array = None
    factor_type: DType = DType.F32


def product(p: Product, a_type: DType, b_type: DType) -> Array:
    """What is drained, by this module's arithmetic, as bits."""
    if a_type in INTEGERS:
        x, y = (bits.view(np.int8 if t is DType.I8 else np.uint8).astype(np.int64)
                for bits, t in ((p.a, a_type), (p.b, b_type)))  # fmt: skip
        start = 0 if p.zero else p.acc.view(np.int32).astype(np.int64)
        return (start + x @ y).astype(np.uint64).astype(np.uint32)
    columns = [[factor(v, b_type) for v in column] for column in p.b.T.tolist()]
    out = []
    for m, row in enumerate(p.a.tolist()):
        numbers = [factor(v, a_type) for v in row]
        starts = [(0, 0)] * len(columns) if p.zero else [decode(v, DType.F32, UNIT) for v in p.acc[m].tolist()]
        ends = [chain(start, numbers, column) for start, column in zip(starts, columns, strict=True)]
        if p.factors is not None:
            by = decode(int(p.factors[m, 0]), p.factor_type, HALF)
            ends = [scale(decode(encode(end), DType.F32, HALF), by) for end in ends]
        out.append([encode(end, p.drained) for end in ends])
    return np.array(out, width_of(p.drained))


def pairs() -> list[tuple[DType, DType, str]]:
    """The pairs of types with a chip that has them."""
    chips = ("mtia200", "mtia300")
    return [(a, b, next(c for c in chips if dpe_rate(load_chip(c), a, b))) for of in PAIRS.values() for a, b in of]


MOST = 20  # failures after which a campaign ends
DEPTHS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 9, 15, 16, 17, 31, 33)
DEEP = (129, 140, 257, 300)  # past the blocks in which the engine's code works


def values(rng: np.random.Generator, dtype: DType, shape: tuple[int, int]) -> Array:
    """Bits for a product: any, edges, near one, of few exponents, or all of the smallest or largest."""
    mode = int(rng.integers(0, 6))
    if mode < 4 or dtype in INTEGERS:
        return random_elements(rng, dtype, shape, None if mode == 3 else min(mode, 2))
    exponent_bits, mantissa_bits, _, _ = FORMATS[dtype]
    top = (1 << exponent_bits) - 2
    exponent = rng.integers(0, 2, shape) if mode == 4 else rng.integers(max(top - 1, 0), top + 1, shape)
    bits = rng.integers(0, 1 << mantissa_bits, shape) | exponent << mantissa_bits
    bits |= rng.integers(0, 2, shape) << (exponent_bits + mantissa_bits)
    return bits.astype(width_of(dtype))


def make(rng: np.random.Generator, a_type: DType, b_type: DType, chip: str, deep: bool) -> Product:
    """A random product of at most 32 x 32 elements; some rows and columns cancel what the accumulators hold."""
    k = int(rng.choice(DEEP if deep else DEPTHS))
    m, n = (8, 16) if deep else (int(rng.integers(1, 33)), int(rng.integers(16, 33)))
    a, b = values(rng, a_type, (m, k)), values(rng, b_type, (k, n))
    zero = bool(rng.random() < 0.25)
    if a_type in INTEGERS:
        return Product(a, b, random_elements(rng, DType.I32, (m, n)), zero, DType.I32)
    acc = random_elements(rng, DType.F32, (m, n), int(rng.integers(0, 3)))
    acc = np.where(np.isnan(acc.view(np.float32)), np.uint32(0x7FC00000), acc)  # what re.load leaves
    draw = rng.random()
    if draw < 0.3:  # minus the product: what is left is what rounding has lost
        acc = product(Product(a, b, acc, True), a_type, b_type)
        acc = np.where(acc == 0x7FC00000, acc, acc ^ np.uint32(1 << 31))
    elif draw < 0.5 and k > 1:
        b[k // 2 :] = b[: k - k // 2] ^ b.dtype.type(1 << 8 * b_type.bytes - 1)
        a[:, k // 2 :] = a[:, : k - k // 2]
    types = [t for t in FORMATS if t is not DType.TF32 and has_type(load_chip(chip), t)]
    drained, factor_type = (types[int(rng.integers(0, len(types)))] for _ in range(2))
    factors = random_elements(rng, factor_type, (m, 1)) if rng.random() < 0.25 else None
    return Product(a, b, acc, zero, DType.F32 if rng.random() < 0.5 else drained, factors, factor_type)


def on_machine(chip: str, products: list[Product], a_type: DType, b_type: DType) -> list[Array]:
    """What is drained of each product, on the whole machine."""
    script, parts, place = Script(), [], DATA
    held = DType.I32 if a_type in INTEGERS else DType.F32
    shown: list[int] = []
    for p in products:
        m, n = p.acc.shape
        factors = np.zeros((m, 1), width_of(p.factor_type)) if p.factors is None else p.factors
        out = np.zeros((m, n), width_of(p.drained))
        tiles = ((a_type, p.a), (b_type, p.b), (held, p.acc), (p.factor_type, factors), (p.drained, out))
        for td, (dtype, array) in enumerate(tiles):
            script.cb(td, place, array.nbytes)
            set_tile(script, td, td, dtype, array.shape, (array.shape[1] * dtype.bytes, dtype.bytes))
            parts.append(array.tobytes())
            place += array.nbytes
        shown.append(place - out.nbytes)
        script.cb(5, 0, 4 * m * n, space=Space.RE)
        set_tile(script, 5, 5, held, (m, n), (n * 4, 4))
        script.do("xm.re.load", acc=5, a=2)
        script.do("xm.dpe.mmz" if p.zero else "xm.dpe.mma", acc=5, a=0, b=1)
        if p.factors is not None:
            script.do("xm.re.scale", acc=5, a=3)
        script.do("xm.re.drain", d=4, acc=5)
    outcome = run_units(chip, script, b"".join(parts))
    if outcome.trap is not None:
        raise AssertionError(str(outcome.trap))
    found = []
    for at, p in zip(shown, products, strict=True):
        size = p.acc.size * p.drained.bytes
        found.append(outcome.ls[0, at : at + size].view(width_of(p.drained)).reshape(p.acc.shape))
    return found


def batches(rng: np.random.Generator, a_type: DType, b_type: DType, chip: str, cases: int) -> Iterator[list[Product]]:
    """Products enough for so many cases, as many at a time as local memory holds."""
    batch: list[Product] = []
    room = 0
    number = 0
    while cases > 0:
        p = make(rng, a_type, b_type, chip, number % 50 == 49)
        number += 1
        cases -= p.acc.size
        room += p.a.nbytes + p.b.nbytes + 2 * p.acc.nbytes + 4 * len(p.a)
        batch.append(p)
        if room > 250_000 or len(batch) == 60:
            yield batch
            batch, room = [], 0
    if batch:
        yield batch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the campaign's own options."""
    parser.add_argument("--hosts", default=HOSTS, help=f"repeat a part with code for these host CPUs ({HOSTS})")


def run(seed: int, size: int, progress: Progress, hosts: str = "") -> Report:
    """Compare `size` elements of every pair of types."""
    report = Report("matrix", seed, size)
    done, total = 0, size * len(pairs())
    for a_type, b_type, chip in pairs():
        rng = np.random.default_rng((seed, a_type, b_type))
        name = f"{a_type.name} x {b_type.name}".lower()
        report.counts[name] = 0
        for batch in batches(rng, a_type, b_type, chip, size):
            if len(report.failures) >= MOST:
                break
            for p, got in zip(batch, on_machine(chip, batch, a_type, b_type), strict=True):
                if (got != product(p, a_type, b_type)).any():
                    report.failures.append(f"{name}: {shortest(chip, p, got, a_type, b_type)}")
                report.counts[name] += p.acc.size
                done += p.acc.size
            progress(min(done, total), total)
    report.counts["cases"] = sum(int(count) for count in report.counts.values())
    for cpu in hosts.split(",") if hosts else ():
        report.failures += [f"host {cpu}: {failure}" for failure in on_host(cpu, seed, max(size // 100, 300))]
        report.notes.append(f"also in native code for {cpu}")
    return report


def on_host(cpu: str, seed: int, size: int) -> list[str]:
    """The failures of a campaign whose native code is made for another CPU."""
    command = [sys.executable, "-m", "mtia.tools.cli", "verify", "matrix", "--seed", str(seed), "--size", str(size)]
    environment = os.environ | {"MTIAC_HOST_CPU": cpu, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([*command, "--json", "--hosts", ""], env=environment, capture_output=True, text=True)
    if not done.stdout:
        return [done.stderr[-500:]]
    failures: list[str] = json.loads(done.stdout)["failures"]
    return failures


def shortest(chip: str, p: Product, got: Array, a_type: DType, b_type: DType) -> str:
    """The first step of an element's chain that alone goes wrong; the whole chain when none does."""
    expected = product(p, a_type, b_type)
    m, n = (int(place) for place in np.argwhere(got != expected)[0])
    acc = np.zeros((1, 1), np.uint32) if p.zero else p.acc[m : m + 1, n : n + 1]
    held = DType.I32 if a_type in INTEGERS else DType.F32
    for k in range(p.a.shape[1]):
        step = Product(p.a[m : m + 1, k : k + 1], p.b[k : k + 1, n : n + 1], acc, drained=held)
        after = product(step, a_type, b_type)
        found = on_machine(chip, [step], a_type, b_type)[0]
        if found != after:
            a, b = step.a.item(), step.b.item()
            return f"{acc.item():08x} + {a:x} · {b:x} gives {found.item():08x}, not {after.item():08x}"
        acc = after
    row, column = (" ".join(f"{v:x}" for v in part.tolist()) for part in (p.a[m], p.b[:, n]))
    factor_text = "" if p.factors is None else f" · {p.factors[m, 0]:x} ({p.factor_type.name})"
    start = "zero" if p.zero else f"{p.acc[m, n]:08x}"
    return (f"({start} + [{row}] · [{column}]){factor_text} drains as {p.drained.name} {got[m, n]:x}, "
            f"not {expected[m, n]:x}")  # fmt: skip
