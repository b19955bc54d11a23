"""A small typed subset of Python in which every meaning is written once.

`@struct` gives a C layout, `@fn` a function. Two emitters read the checked source of a function: calling `f(…)` on the
host runs the Python reference, `build([f, …], name)` compiles to native code through LLVM (cached on disk).

    @struct
    class Point(Struct):
        x: i64
        y: Array[f32, 4]

    @fn
    def add(p: Ptr[Point], n: i64) -> i64:
        p.x += n
        return p.x

    point = Point.alloc()                # zeroed host memory; Point.view(point.addr).x = 3 reads and writes it
    add(point, 4)                        # the reference
    build([add], "points").call("add", point, 4)

A literal takes the type of the other operand, or of the annotation in `n: u64 = 0`. A NaN has no payload: `bits(x)` and
stores to memory give the canonical quiet NaN. Locals start as zero. `for k in unroll(range(4))` repeats the body with k
known at compile time; `pointer(f)` is the address of a function; `x in (1, 2)` compares with constants;
`getattr(p, NAME)` is a field whose name is known at compile time.
For type checkers every value in a body is `Any` (`__init__.pyi`); the front end does the checking. Structs derive from
`Struct` only so that checkers know `size`, `align`, `offset`, `view` and `alloc`.
"""

from __future__ import annotations

from .function import Fn, fn
from .library import Library, build, sources_key
from .memory import Memory
from .names import (
    Array,
    FnPtr,
    Ptr,
    Vec,
    addr,
    bf16,
    bits,
    boolean,
    bswap,
    ceil,
    clz,
    copysign,
    ctz,
    f16,
    f32,
    f64,
    fabs,
    floor,
    fma,
    from_bits,
    i8,
    i16,
    i32,
    i64,
    isnan,
    likely,
    local,
    memcpy,
    memmove,
    memset,
    mulhs,
    mulhsu,
    mulhu,
    pointer,
    popcount,
    rint,
    sdiv,
    select,
    shuffle,
    sizeof,
    splat,
    sqrt,
    srem,
    tailcall,
    trunc,
    u8,
    u16,
    u32,
    u64,
    unlikely,
    unroll,
    vload,
    vstore,
)
from .types import Struct, struct

__all__ = [
    "Array", "Fn", "FnPtr", "Library", "Memory", "Ptr", "Struct", "Vec", "addr", "bf16", "bits", "boolean", "bswap",
    "build", "ceil", "clz", "copysign", "ctz", "f16", "f32", "f64", "fabs", "floor", "fma", "fn", "from_bits",
    "i16", "i32", "i64", "i8", "isnan", "likely", "local", "memcpy", "memmove", "memset", "mulhs", "mulhsu",
    "mulhu", "pointer", "popcount", "rint", "sdiv", "select", "shuffle", "sizeof", "sources_key", "splat", "sqrt",
    "srem", "struct", "tailcall", "trunc", "u16", "u32", "u64", "u8", "unlikely", "unroll", "vload", "vstore",
]  # fmt: skip
