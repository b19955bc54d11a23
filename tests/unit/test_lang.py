"""The language: what the front end refuses, and that both emitters agree with each other and with numpy."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from mtia.isa.errors import UserError
from mtia.isa.lang import (
    Array,
    Fn,
    FnPtr,
    Library,
    Memory,
    Ptr,
    Struct,
    bf16,
    bits,
    bswap,
    build,
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
    fn,
    from_bits,
    i8,
    i16,
    i32,
    i64,
    local,
    memcpy,
    memset,
    mulhs,
    mulhsu,
    mulhu,
    popcount,
    rint,
    sdiv,
    select,
    shuffle,
    splat,
    sqrt,
    srem,
    struct,
    tailcall,
    u8,
    u16,
    u32,
    u64,
    unroll,
    vload,
    vstore,
)  # fmt: skip


@struct
class Point(Struct):
    tag: u8
    x: i64
    y: Array[f32, 4]


@fn
def move(p: Ptr[Point], n: i64) -> i64:
    p.x += n
    for k in range(u32(4)):
        p.y[k] = p.y[k] + f32(k) * 0.5
    return p.x


@fn
def mixed(a: u32, b: u64) -> u64:
    return a + b


def test_struct_layout_and_view() -> None:
    assert (Point.size, Point.offset("x"), Point.offset("y")) == (32, 8, 16)
    memory = Point.alloc()
    point = Point.view(memory.addr)
    assert move(memory, 5) == 5 and move(memory, -7) == -2
    assert point.x == -2 and point.y[:] == [0.0, 1.0, 2.0, 3.0]


def test_mixed_types_are_refused_with_the_line() -> None:
    with pytest.raises(UserError, match=r"test_lang.py:\d+:12: error: operands of two types, u32 and u64"):
        mixed(1, 2)


# Every operator on every type, in both emitters, against numpy.

NUMPY: dict[str, Any] = {
    **{name: np.dtype(name.replace("u", "uint").replace("i", "int") if name[0] == "i" else f"uint{name[1:]}")
       for name in ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64")},
    "f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16),
    "f32": np.dtype(np.float32), "f64": np.dtype(np.float64),
}  # fmt: skip
TYPES = {t.name: t for t in (u8, u16, u32, u64, i8, i16, i32, i64, f16, bf16, f32, f64)}


def samples(name: str, count: int, seed: int) -> Any:
    """Edge cases and random bit patterns of a type."""
    kind = NUMPY[name]
    random = np.random.default_rng(seed)
    bits = random.integers(0, 256, (count, kind.itemsize), dtype=np.uint8).view(kind).reshape(-1)
    if name in ("f16", "bf16", "f32", "f64"):
        edges = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-40, 65504.0, 65520.0, 3e38, 2.0**-24, 1 / 3, 1e300]
        with np.errstate(over="ignore"):
            values = np.concatenate([np.array(edges).astype(kind), random.normal(size=count).astype(kind)])
    else:
        info = np.iinfo(kind)
        values = np.array([0, 1, 2, info.min, info.max, info.max // 2, info.min + 1], dtype=kind)
    return np.resize(np.concatenate([values, bits]), count)


def binary(kind: Any, op: str) -> Fn:
    """out[k] = a[k] op b[k]."""

    @fn
    def run(out: Ptr[kind], a: Ptr[kind], b: Ptr[kind], n: u64) -> None:
        for k in range(n):
            if op == "add":
                out[k] = a[k] + b[k]
            elif op == "sub":
                out[k] = a[k] - b[k]
            elif op == "mul":
                out[k] = a[k] * b[k]
            elif op == "div":
                out[k] = a[k] / b[k]
            elif op == "and":
                out[k] = a[k] & b[k] | ~a[k] ^ b[k]
            elif op == "shift":
                out[k] = (a[k] << (b[k] & 7)) ^ (a[k] >> (b[k] & 7))
            elif op == "order":
                out[k] = select(a[k] < b[k], a[k], b[k]) if a[k] != b[k] else -a[k]
            elif op == "minmax":
                out[k] = min(a[k], b[k]) ^ (max(a[k], b[k]) << 1)
            elif op == "sqrt":
                out[k] = sqrt(fabs(a[k])) + copysign(floor(b[k]), ceil(a[k])) - rint(a[k])
            else:
                out[k] = (ctz(a[k]) + clz(a[k]) * popcount(b[k])) ^ a[k]

    return run


def convert(source: Any, target: Any) -> Fn:
    """out[k] = target(a[k])."""

    @fn
    def run(out: Ptr[target], a: Ptr[source], n: u64) -> None:
        for k in range(n):
            out[k] = target(a[k])

    return run


def lanes(kind: Any, op: str) -> Fn:
    """Four lanes of a vector at a time."""

    @fn
    def run(out: Ptr[kind], a: Ptr[kind], b: Ptr[kind], n: u64) -> None:
        for k in range(u64(0), n, 4):
            x = vload(a + k, 4)
            y = vload(b + k, 4)
            if op == "add":
                z = x + y * x
            else:
                z = select(x < y, shuffle(x, y, (3, 4, 1, 6)), splat(b[k], 4))
            vstore(out + k, z)

    return run


def operators() -> dict[str, Fn]:
    """All the functions under test by name."""
    found = {}
    for name, kind in TYPES.items():
        for op in ("add", "sub", "mul", "order"):
            found[f"{op}.{name}"] = binary(kind, op)
        for op in ("div", "sqrt") if name in ("f16", "bf16", "f32", "f64") else ("and", "shift", "minmax", "count"):
            found[f"{op}.{name}"] = binary(kind, op)
        for op in ("add", "pick"):
            found[f"lanes.{op}.{name}"] = lanes(kind, op)
        for other, target in TYPES.items():
            if convertible(name, other):
                found[f"to.{name}.{other}"] = convert(kind, target)
    return found


def convertible(source: str, target: str) -> bool:
    """Conversions of any value: not float to integer, not u64 or i64 to bf16."""
    floats = ("f16", "bf16", "f32", "f64")
    if source in floats:
        return target in floats
    return not (source in ("u64", "i64") and target == "bf16")


OPERATORS = operators()


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """All operators compiled."""
    return build(OPERATORS, "test-operators")


def place(values: Any) -> Memory:
    """Values in host memory."""
    memory = Memory(values.nbytes)
    memory.bytes[:] = values.tobytes()
    return memory


def expected(name: str, a: Any, b: Any) -> Any:
    """What numpy says, or None where it has no such operation."""
    op, kind = name.split(".")[0], a.dtype
    with np.errstate(all="ignore"):
        if op == "to":
            return a.astype(NUMPY[name.split(".")[2]])
        if op in ("add", "sub", "mul", "div"):
            return {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}[op](a, b).astype(kind)
        if name.startswith("lanes.add"):
            return (a + (b * a).astype(kind)).astype(kind)
    return None


@pytest.mark.parametrize("name", OPERATORS)
def test_both_emitters_and_numpy_agree(name: str, native: Library) -> None:
    function = OPERATORS[name]
    parts = name.split(".")
    kind = parts[2] if parts[0] == "lanes" else parts[1]
    a, b = samples(kind, 64, 1), np.roll(samples(kind, 64, 2), 5)
    inputs = [place(a)] if parts[0] == "to" else [place(a), place(b)]
    target = NUMPY[parts[2]] if parts[0] == "to" else a.dtype
    fast, reference = Memory(64 * target.itemsize), Memory(64 * target.itemsize)
    native.call(name, fast, *inputs, 64)
    function(reference, *inputs, 64)
    assert bytes(fast.bytes) == bytes(reference.bytes)
    oracle = expected(name, a, b)
    if oracle is not None:
        got = np.frombuffer(bytes(fast.bytes), dtype=target)
        same = (got == oracle) | ((got != got) & (oracle != oracle))
        assert same.all(), (a[~same], got[~same], oracle[~same])


@struct
class Op(Struct):
    handler: u64
    value: u64


STEP = FnPtr[(Ptr[Op], u64, u64), u64, "handler"]


@fn(cc="handler")
def step_add(i: Ptr[Op], total: u64, left: u64) -> u64:
    if left == 0:
        return total
    following = i + 1
    return tailcall(STEP(following.handler), following, total + i.value, left - 1)


@fn(cc="handler")
def step_back(i: Ptr[Op], total: u64, left: u64) -> u64:
    following = i - 2
    return tailcall(STEP(following.handler), following, total ^ i.value, left)


@fn
def enter(i: Ptr[Op], left: u64) -> u64:
    return STEP(i.handler)(i, 1, left)


def test_threaded_handlers() -> None:
    library = build([step_add, step_back, enter], "test-threaded")
    results = []
    runs: list[Any] = [(library.addr, lambda *a: library.call("enter", *a)), (library.py_addr, enter)]
    for address, run in runs:
        code = Op.alloc(3)
        for k, name in enumerate(("step_add", "step_add", "step_back")):
            one = Op.view(code.addr + k * Op.size)
            one.handler, one.value = address(name), 3 + 5 * k
        results.append(run(code, 5001))
    total = 1
    for k in range(5001):
        total += 3 if k % 2 == 0 else 8
        if k % 2 == 1:
            total ^= 13
    assert results == [total, total]


@fn
def fused(x: f32, y: f32, z: f32, p: f64, q: f64, r: f64) -> f64:
    return f64(fma(x, y, z)) + fma(p, q, r)


@fn
def scratch(n: u64) -> u64:
    total = u64(0)
    for k in range(n):
        block = local(u16, 8)
        for j in unroll(range(8)):
            assert j < 8
            block[j] += u16(k + j)
        copy = local(u16, 8)
        memcpy(copy, block, 16)
        memset(block, 1, 16)
        total += u64(copy[k & 7]) * (u64(3) if k in (1, 4) else 2) + u64(block[0])
        if total > 100000 or (k == 90 and not total == 3):
            break
        if k % 3 == 0:
            continue
        total += 1
    while True:
        total += mulhu(total, u64(0xFFFF_FFFF_FFFF_FFFF)) + u64(i32(-1) >> 3 == -1)
        if total > 10**9:
            return total


@fn
def wide(a: u64, b: u64) -> u64:
    signed = mulhs(i64(a), i64(b)) ^ mulhsu(i64(a), b) ^ i64(mulhu(a, b))
    if b != 0 and not (b == 0xFFFF_FFFF_FFFF_FFFF):
        signed += sdiv(i64(a), i64(b)) * srem(i64(a), i64(b))
    return bswap(u64(signed)) + u64(bits(f32(b))) + bits(from_bits(f64, a))


def test_calls_with_scalars() -> None:
    library = build([fused, scratch, wide], "test-scalars")
    args = (1 + 2.0**-12, 1 - 2.0**-12, -1.0, 1 + 2.0**-30, 1 - 2.0**-30, -1.0)
    assert fused(*args) == library.call("fused", *args) == -(2.0**-24) - 2.0**-60
    for n in (0, 5, 200):
        assert scratch(n) == library.call("scratch", n)
    for a in (0, 3, 2**63, 2**64 - 1, 0x7FF0_0000_0000_0001, 0x1234_5678_9ABC_DEF0):
        for b in (0, 7, 2**63 + 1, 2**64 - 1, 2**64 - 5):
            assert wide(a, b) == library.call("wide", a, b)


@fn
def bits_of_root(a: u32) -> u32:
    return bits(sqrt(from_bits(f32, a)))


@fn
def store_root(to: Ptr[f64], a: f64) -> None:
    to[0] = sqrt(a)


def test_a_nan_that_the_host_made_is_canonical() -> None:
    """x86 gives the square root of -1 as a NaN with its sign set, and LLVM takes all NaNs for equal."""
    library = build([bits_of_root, store_root], "test-lang-nan")
    assert library.call("bits_of_root", 0xBF800000) == bits_of_root(0xBF800000) == 0x7FC00000
    memory = Memory(8)
    library.call("store_root", memory, -1.0)
    assert int.from_bytes(memory.bytes[:8], "little") == 0x7FF8 << 48
