"""Elementwise functions over operands: one loop per function and working type, one driver per number of sources.

A driver walks rows in runs of `CHUNK` elements: read the sources into f32 or i64 (views), one loop of the function,
write the run in the destination's type (elements). So there are types plus functions, not types times functions, and
every loop is one that LLVM vectorises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtia.isa.lang import Ptr, boolean, f32, fn, i64, local, u32, u64, unroll
from mtia.isa.xmtia.codes import Flag
from mtia.isa.xmtia.elements import store_f32, store_i64
from mtia.isa.xmtia.state import Operand
from mtia.isa.xmtia.stochastic import round_run
from mtia.isa.xmtia.views import CHUNK, at, collapse, run_f32, run_i64

__all__ = ["Function", "affine", "driver", "loop"]

STOCHASTIC = int(Flag.STOCHASTIC)


@dataclass(frozen=True)
class Function:
    """An elementwise function: its loops over f32 and over i64 (None: not for that kind), and whether it is precise.

    A precise function takes `se.precise_factor` passes of the engine.
    """

    name: str
    text: str
    floats: Any = None
    integers: Any = None
    precise: bool = False


def loop(W: Any, function: Any, sources: int) -> Any:
    """`d[i] = function(a[i], …)` over a run of the working type."""

    @fn
    def one(d: Ptr[W], a: Ptr[W], n: i64) -> None:
        for i in range(n):
            d[i] = function(a[i])

    @fn
    def two(d: Ptr[W], a: Ptr[W], b: Ptr[W], n: i64) -> None:
        for i in range(n):
            d[i] = function(a[i], b[i])

    @fn
    def three(d: Ptr[W], a: Ptr[W], b: Ptr[W], c: Ptr[W], n: i64) -> None:
        for i in range(n):
            d[i] = function(a[i], b[i], c[i])

    return (one, two, three)[sources - 1]


def _kinds(W: Any) -> tuple[Any, Any]:
    return (run_f32, store_f32) if W is f32 else (run_i64, store_i64)


def driver(W: Any, table: tuple[tuple[int, Any], ...], sources: int) -> Any:
    """`fn(op, o)` for prepared operands o[0] = destination, o[1] … sources; `table` gives the loop of each op."""
    read, write = _kinds(W)
    flatten = collapse[sources + 1]

    @fn
    def call(op: u32, d: Ptr[W], a: Ptr[W], b: Ptr[W], c: Ptr[W], n: i64) -> None:
        for entry in unroll(table):
            if op == entry[0]:
                if sources == 1:
                    entry[1](d, a, n)
                elif sources == 2:
                    entry[1](d, a, b, n)
                else:
                    entry[1](d, a, b, c, n)

    @fn
    def run(op: u32, o: Ptr[Operand]) -> None:
        random = boolean(False)
        if W is f32:
            random = o[0].flags & STOCHASTIC != 0
            if not random:
                flatten(o)
        else:
            flatten(o)
        result = local(W, CHUNK)
        first = local(W, CHUNK)
        second = local(W, CHUNK)
        third = local(W, CHUNK)
        rows = i64(o[0].rows)
        cols = i64(o[0].cols)
        for r in range(rows):
            for c in range(0, cols, CHUNK):
                n = min(i64(CHUNK), cols - c)
                a = read(o + 1, r, c, n, first)
                b = second
                if sources > 1:
                    b = read(o + 2, r, c, n, second)
                k = third
                if sources > 2:
                    k = read(o + 3, r, c, n, third)
                call(op, result, a, b, k, n)
                if W is f32:
                    if random:
                        round_run(o[0].dtype, result, o[0].bits + u64(r * cols + c), n)
                write(o[0].dtype, result, at(o, r, c), o[0].cstride, n)

    return run


def affine(table: tuple[tuple[int, Any], ...]) -> Any:
    """`fn(op, o)`: d[r, c] = f(a·r + b·c + k) in i64, with f by op."""

    @fn
    def run(op: u32, o: Ptr[Operand]) -> None:
        result = local(i64, CHUNK)
        first = local(i64, CHUNK)
        second = local(i64, CHUNK)
        third = local(i64, CHUNK)
        rows = i64(o[0].rows)
        cols = i64(o[0].cols)
        for r in range(rows):
            for c in range(0, cols, CHUNK):
                n = min(i64(CHUNK), cols - c)
                a = run_i64(o + 1, r, c, n, first)
                b = run_i64(o + 2, r, c, n, second)
                k = run_i64(o + 3, r, c, n, third)
                for i in range(n):
                    result[i] = a[i] * r + b[i] * (c + i) + k[i]
                for entry in unroll(table):
                    if op == entry[0]:
                        for i in range(n):
                            result[i] = entry[1](result[i])
                store_i64(o[0].dtype, result, at(o, r, c), o[0].cstride, n)

    return run
