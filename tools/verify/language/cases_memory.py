"""Cases of `triton.language`: memory, atomics, control flow, products, messages and the language's own types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from mtia.tools.verify.language.case import ALL, FLOATS, FP8, INTEGERS, NUMBERS, Case, N

__all__ = ["CASES"]

SIDE, ROW = 4, N // 4
_BLOCK = f"shape=[{SIDE - 1}, {ROW - 1}], strides=[{ROW}, 1]"


def _same(x: Any, y: Any, z: Any) -> Any:
    return x


def _described(x: Any) -> Any:
    """A block of a matrix whose last row and column lie outside of what the descriptor says."""
    out = np.zeros((SIDE, ROW), x.dtype)
    out[: SIDE - 1, : ROW - 1] = x.reshape(SIDE, ROW)[: SIDE - 1, : ROW - 1]
    return out


_STORE = f"tl.store(out_ptr + tl.arange(0, {SIDE})[:, None] * {ROW} + tl.arange(0, {ROW})[None, :], r)"
_DESCRIPTOR = f"d = tl.make_tensor_descriptor(x_ptr, {_BLOCK}, block_shape=[{SIDE}, {ROW}])\n"
_OUT = (
    f"o = tl.make_tensor_descriptor(out_ptr, shape=[{SIDE}, {ROW}], strides=[{ROW}, 1], "
    f"block_shape=[{SIDE}, {ROW}])\n"
)
_DESCRIBED = ("int8", "int16", "int32", "int64", *FLOATS, *FP8)

MEMORY: list[Case] = [
    Case("tl.load", "tl.load(x_ptr + at, mask=at < 9, other=3)", lambda x, y, z: np.where(np.arange(N) < 9, x, 3),
         NUMBERS),
    Case("tl.load", "tl.load(x_ptr + N - 1 - at, cache_modifier='.cg', eviction_policy='evict_first')",
         lambda x, y, z: x[::-1], ALL),
    Case("tl.load", "tl.load(x_ptr + (at * 5 + 3) % N, volatile=True)",
         lambda x, y, z: x[(np.arange(N) * 5 + 3) % N], ALL),
    Case("tl.store", "tl.store(out_ptr + at, x, mask=at % 3 == 0)",
         lambda x, y, z: np.where(np.arange(N) % 3 == 0, x, 0), ALL),
    Case("tl.store", "tl.store(out_ptr + (at * 5 + 3) % N, x, cache_modifier='.wb', eviction_policy='evict_last')",
         lambda x, y, z: x[np.argsort((np.arange(N) * 5 + 3) % N)], ALL),
    Case("tl.tensor.store", "(out_ptr + at).store(x)", _same, ("fp32",)),
    Case("tl.make_block_ptr", f"p = tl.make_block_ptr(x_ptr, ({SIDE - 1}, {ROW - 1}), ({ROW}, 1), (0, 0), "
         f"({SIDE}, {ROW}), (1, 0))\nr = tl.load(p, boundary_check=(0, 1), padding_option='zero')\n" + _STORE,
         lambda x, y, z: _described(x), (*NUMBERS, *FP8)),
    Case("tl.make_block_ptr", f"p = tl.make_block_ptr(out_ptr, ({SIDE - 1}, {ROW}), ({ROW}, 1), (0, 0), "
         f"({SIDE}, {ROW}), (1, 0))\ntl.store(p, tl.reshape(x, ({SIDE}, {ROW})), boundary_check=(0,))",
         lambda x, y, z: np.where(np.arange(N) < N - ROW, x, 0), (*NUMBERS, *FP8)),
    *[Case(name, "p = tl.make_block_ptr(x_ptr, (N,), (1,), (0,), (8,), (0,))\n" f"p = {call}\n"
           "tl.store(out_ptr + tl.arange(0, 8), tl.load(p))", lambda x, y, z: x[16:24], ("fp32",))
      for name, call in {"tl.advance": "tl.advance(p, (16,))", "tl.tensor.advance": "p.advance((16,))"}.items()],
    Case("tl.make_tensor_descriptor", _DESCRIPTOR + "r = d.load([0, 0])\n" + _STORE, lambda x, y, z: _described(x),
         _DESCRIBED),
    Case("tl.make_tensor_descriptor", "d = tl.make_tensor_descriptor(x_ptr, "
         f"{_BLOCK}, block_shape=[{SIDE}, {ROW}], padding_option='nan')\nr = d.load([0, 0])\n" + _STORE,
         lambda x, y, z: _nan_outside(x), FLOATS),
    Case("tl.load_tensor_descriptor", _DESCRIPTOR + "r = tl.load_tensor_descriptor(d, [0, 0])\n" + _STORE,
         lambda x, y, z: _described(x), _DESCRIBED),
    Case("tl.store_tensor_descriptor",
         _OUT + f"tl.store_tensor_descriptor(o, [0, 0], tl.reshape(x, ({SIDE}, {ROW})))",
         _same, _DESCRIBED),
    Case("tl.tensor_descriptor", _OUT + f"o.store([1, 0], tl.reshape(x, ({SIDE}, {ROW})))",
         lambda x, y, z: np.concatenate([np.zeros(ROW, x.dtype), x[: N - ROW]]), _DESCRIBED),
    Case("tl.tensor_descriptor", f"d = tl.make_tensor_descriptor(x_ptr, shape=[{SIDE}, {ROW}], strides=[{ROW}, 1], "
         f"block_shape=[1, {ROW}])\n" f"r = d.gather(({SIDE} - 1 - tl.arange(0, {SIDE})), 0)\n" + _STORE,
         lambda x, y, z: x.reshape(SIDE, ROW)[::-1], ("fp16", "bf16", "fp32", "int32")),
    Case("tl.tensor_descriptor", f"o = tl.make_tensor_descriptor(out_ptr, shape=[{SIDE}, {ROW}], strides=[{ROW}, 1], "
         f"block_shape=[1, {ROW}])\n"
         f"o.scatter(tl.reshape(x, ({SIDE}, {ROW})), {SIDE} - 1 - tl.arange(0, {SIDE}), 0)",
         lambda x, y, z: x.reshape(SIDE, ROW)[::-1], ("fp16", "bf16", "fp32", "int32")),
    *[Case("tl.tensor_descriptor", _OUT + f"o.store([0, 0], tl.reshape(y, ({SIDE}, {ROW})))\ntl.debug_barrier()\n"
           f"o.atomic_{name}([0, 0], tl.reshape(x, ({SIDE}, {ROW})))", function, kinds)
      for name, function, kinds in [
          ("add", lambda x, y, z: x + y, ("int32", "uint32", "uint64", "fp16", "bf16", "fp32")),
          ("min", lambda x, y, z: np.minimum(x, y), ("int32", "uint32", "int64", "uint64", "fp16", "bf16")),
          ("max", lambda x, y, z: np.maximum(x, y), ("int32", "uint32", "int64", "uint64", "fp16", "bf16")),
          ("and", lambda x, y, z: x & y, ("int32", "uint32", "int64", "uint64")),
          ("or", lambda x, y, z: x | y, ("int32", "uint32", "int64", "uint64")),
          ("xor", lambda x, y, z: x ^ y, ("int32", "uint32", "int64", "uint64")),
      ]],
    Case("tl.const", "tl.load(x_ptr.to(tl.pointer_type(tl.float32, const=True)) + at)", _same, ("fp32",)),
    Case("tl.pointer_type", "tl.load((x_ptr + at).to(tl.pointer_type(tl.int32)))", lambda x, y, z: _bits32(x),
         ("fp32",), "int32"),
    Case("tl.pi32_t", "tl.load((x_ptr + at).to(tl.pi32_t))", lambda x, y, z: _bits32(x), ("fp32",), "int32"),
]  # fmt: skip


def _bits32(x: Any) -> Any:
    return x.astype(np.float32).view(np.int32)


def _nan_outside(x: Any) -> Any:
    out = np.full((SIDE, ROW), np.nan)
    out[: SIDE - 1, : ROW - 1] = x.reshape(SIDE, ROW)[: SIDE - 1, : ROW - 1]
    return out


_BINS = 4
_GATHERED = "tl.store(out_ptr + at, y)\ntl.debug_barrier()\n"


def _atomic(name: str, function: Any, kinds: Any) -> list[Case]:
    """On a vector with a mask, where the old values are seen; by all programs on one scalar; on equal addresses."""
    masked = Case(
        f"tl.{name}",
        _GATHERED + f"tl.store(out_ptr + N + at, tl.{name}(out_ptr + at, x, mask=at % 4 != 1, sem='acq_rel'), "
        "mask=at % 4 != 1)",
        lambda x, y, z: np.concatenate([
            np.where(np.arange(N) % 4 != 1, function(y, x), y), np.where(np.arange(N) % 4 != 1, y, 0 * y),
        ]),
        kinds, domain="whole",
    )  # fmt: skip
    method = replace(
        masked, name=f"tl.tensor.{name}", kinds=("int32",), body=masked.body.replace(
            f"tl.{name}(out_ptr + at, x, mask", f"(out_ptr + at).{name}(x, mask"),
    )  # fmt: skip
    found = [masked, method]
    if name != "atomic_xchg":
        found.append(
            Case(f"tl.{name}", f"tl.{name}(out_ptr, tl.load(x_ptr + pid))", lambda x, y, z: _folded(function, x), kinds,
                 domain="whole", grid=N)
        )  # fmt: skip
        found.append(
            Case(f"tl.{name}", f"tl.{name}(out_ptr + at % {_BINS}, x, scope='gpu')",
                 lambda x, y, z: [_folded(function, x[bin_::_BINS]) for bin_ in range(_BINS)], kinds, domain="whole")
        )  # fmt: skip
    return found


def _folded(function: Any, x: Any) -> Any:
    total = 0 * x[0]
    for value in x:
        total = function(total, value)
    return total


_WIDE = ("int32", "uint32", "int64", "uint64")
_EVERY = (*INTEGERS, *FLOATS)
_LOCK = """while tl.atomic_cas(lock, 0, 1) == 1:
    pass
tl.store(out_ptr + 1, tl.load(out_ptr + 1) * 2 + 1)
tl.debug_barrier()
tl.atomic_xchg(lock, 0)"""

ATOMICS: list[Case] = [
    *_atomic("atomic_add", lambda a, b: a + b, _EVERY), *_atomic("atomic_max", np.maximum, _EVERY),
    *_atomic("atomic_min", np.minimum, _EVERY), *_atomic("atomic_and", lambda a, b: a & b, _EVERY),
    *_atomic("atomic_or", lambda a, b: a | b, _EVERY), *_atomic("atomic_xor", lambda a, b: a ^ b, _EVERY),
    *_atomic("atomic_xchg", lambda a, b: b, _EVERY),
    Case("tl.atomic_cas", _GATHERED + "tl.store(out_ptr + N + at, tl.atomic_cas(out_ptr + at, x, z))",
         lambda x, y, z: np.concatenate([np.where(x == y, z, y), y]), _EVERY, domain="whole"),
    Case("tl.tensor.atomic_cas", "(out_ptr + at).atomic_cas(tl.zeros_like(x), x)", _same, ("int32",)),
    Case("tl.atomic_cas", "lock = out_ptr\n" + _LOCK, lambda x, y, z: [0, 2**20 - 1], ("int32",), grid=20),
    Case("tl.atomic_cas", "lock = out_ptr\n" + _LOCK.replace(" * 2 + 1", " + 1"), lambda x, y, z: [0, 500],
         ("int32",), grid=500),
]  # fmt: skip

_LOOP = "s = x * 0\nfor i in RANGE:\n    s += x * i\ntl.store(out_ptr + at, s)"
_FLATTEN = (
    "s = x * 0\nfor i in tl.range(0, 5, flatten=True):\n    for j in tl.range(i, 5):\n        s += x * j\n"
    "tl.store(out_ptr + at, s)"
)
_PAIR = "@tl.core._aggregate\nclass Pair:\n    a: tl.tensor\n    b: tl.tensor\n\n    @triton.constexpr_function\n" \
    "    def __init__(self, a, b):\n        self.a = a\n        self.b = b\n\n" \
    "    @triton.jit\n    def total(self):\n        return self.a + self.b\n"  # fmt: skip
_HALF = "@triton.constexpr_function\ndef half(n):\n    return n // 2\n"
_THREE = "@triton.jit\ndef sign_of(a, b):\n    if a < b:\n        return -1\n" \
    "    elif a == b:\n        return 0\n    return 1\n"  # fmt: skip
_NAMED = "from typing import NamedTuple\n\n\nclass Bounds(NamedTuple):\n    low: tl.tensor\n    high: tl.tensor\n\n\n" \
    "@triton.jit\ndef bounds(x, y):\n    return Bounds(tl.minimum(x, y), tl.maximum(x, y))\n"  # fmt: skip

CONTROL: list[Case] = [
    Case("tl.program_id", "tl.store(out_ptr + pid, pid)", lambda x, y, z: np.arange(5), ("int32",), grid=5),
    Case("tl.num_programs", "tl.store(out_ptr + pid, tl.num_programs(0) + tl.num_programs(2))",
         lambda x, y, z: np.full(5, 6), ("int32",), grid=5),
    Case("tl.range", _LOOP.replace("RANGE", "tl.range(2, 20, 3, num_stages=3, loop_unroll_factor=2)"),
         lambda x, y, z: x * sum(range(2, 20, 3)), ("int32", "fp32"), domain="whole"),
    Case("tl.range", _LOOP.replace("RANGE", "tl.range(6, 0, -2, disallow_acc_multi_buffer=True, disable_licm=True)"),
         lambda x, y, z: x * 12, ("int32",)),
    Case("tl.range", _FLATTEN, lambda x, y, z: x * sum(j for i in range(5) for j in range(i, 5)), ("int32",)),
    Case("tl.static_range", _LOOP.replace("RANGE", "tl.static_range(0, 4)"), lambda x, y, z: x * 6, ("int32", "fp32"),
         domain="whole"),
    Case("tl.condition", "i = 0\ns = x\nwhile tl.condition(i < 3, disable_licm=True):\n    s += x\n    i += 1\n"
         "tl.store(out_ptr + at, s)", lambda x, y, z: x * 4, ("int32",)),
    Case("tl.static_assert", "tl.static_assert(N == 32, 'must be 32')\ntl.store(out_ptr + at, x)", _same, ("fp32",)),
    Case("tl.static_print", "tl.static_print('', N)\ntl.store(out_ptr + at, x)", _same, ("fp32",)),
    Case("tl.device_print", "tl.device_print('', x, hex=False, )\ntl.store(out_ptr + at, x)", _same, ALL),
    Case("tl.device_assert", "tl.device_assert(x == x, 'not a number')\ntl.store(out_ptr + at, x)", _same, NUMBERS),
    Case("tl.assume", "n = tl.load(x_ptr)\ntl.assume(n == n)\ntl.store(out_ptr + at, x)", _same, ("int32",)),
    Case("tl.multiple_of", "o = tl.multiple_of(pid * 16, 16)\ntl.store(out_ptr + o + at, x)", _same, ("fp32",)),
    Case("tl.max_contiguous", "o = tl.max_contiguous(at, N)\ntl.store(out_ptr + o, x)", _same, ("fp32",)),
    Case("tl.max_constancy", "o = tl.max_constancy(at // 4, 4)\ntl.store(out_ptr + at, tl.load(x_ptr + o))",
         lambda x, y, z: x[np.arange(N) // 4], ("fp32",)),
    Case("tl.debug_barrier", "tl.store(out_ptr + at, x)\ntl.debug_barrier()\n"
         "tl.store(out_ptr + N + at, tl.load(out_ptr + N - 1 - at))",
         lambda x, y, z: np.concatenate([x, x[::-1]]), ("fp32",)),
    Case("tl.inline_asm_elementwise",
         "tl.inline_asm_elementwise('subw $0, $1, $2', '=r,r,r', [x, y], tl.int32, True, 1)",
         lambda x, y, z: x - y, ("int32",)),
    Case("tl.inline_asm_elementwise",
         "tl.inline_asm_elementwise('fmul.s $0, $1, $2', '=f,f,f', [x, y], x.dtype, True, 1)",
         lambda x, y, z: x * y, ("fp32",), ulps=0.5),
    Case("tl.inline_asm_elementwise", "tl.inline_asm_elementwise('li t0, 0x1F1F1F1F; and $0, $1, t0; slli $0, $0, 3', "
         "'=r,r,~{t0}', [x], x.dtype, True, 4)", lambda x, y, z: (x & 31) << 3, ("int8", "uint8"), domain="bits"),
    Case("tl.map_elementwise", "tl.map_elementwise(sign_of, x, y)", lambda x, y, z: np.sign(x.astype(float) - y),
         (*INTEGERS, "fp32", "fp64"), "int32", preamble=_THREE),
    Case("tl.constexpr", "n: tl.constexpr = half(N)\ntl.store(out_ptr + tl.arange(0, n), tl.full((n,), n, tl.int32))",
         lambda x, y, z: np.full(16, 16), ("int32",), preamble=_HALF),
    Case("tl.tuple", "t = (x, (y, 3))\na, p = t\nb, c = p\ntl.store(out_ptr + at, a + b * c + t[0])",
         lambda x, y, z: 2 * x + y * 3, ("int32",)),
    Case("tl.tuple", "b = bounds(x, y)\ntl.store(out_ptr + at, b.high - b.low)",
         lambda x, y, z: np.maximum(x, y) - np.minimum(x, y), ("int32",), preamble=_NAMED),
    Case("tl.core._aggregate", "p = Pair(x, y)\ntl.store(out_ptr + at, p.total() * p.a)", lambda x, y, z: (x + y) * x,
         ("int32",), preamble=_PAIR),
    Case("tl.to_tensor", "tl.store(out_ptr + at, x + tl.to_tensor(3))", lambda x, y, z: x + 3, ("int32",)),
    Case("tl.tensor", "v = x\nif isinstance(v, tl.tensor):\n    v = v + 1\ntl.store(out_ptr + at, v)",
         lambda x, y, z: x + 1, ("int32",)),
    Case("tl.tensor.item", "tl.store(out_ptr + at, x + tl.reshape(tl.load(x_ptr + tl.arange(0, 1)), (1,)).item())",
         lambda x, y, z: x + x[0], ("int32",)),
    Case("tl.dtype", "tl.store(out_ptr + at, tl.full((N,), tl.int16.primitive_bitwidth, x.dtype))",
         lambda x, y, z: np.full(N, 16), ("int32",)),
    Case("tl.target_info", "n: tl.constexpr = 1 if tl.target_info.is_cuda() else 2\ntl.store(out_ptr + at, x * n)",
         lambda x, y, z: 2 * x, ("int32",)),
    Case("tl.math", "tl.math.abs(x)", lambda x, y, z: np.abs(x), ("int32",)),
    Case("tl.extra", "tl.extra.libdevice.abs(x)", lambda x, y, z: np.abs(x), ("fp32",)),
]  # fmt: skip


def _product(x: Any, y: Any, z: Any) -> Any:
    return x.reshape(SIDE, ROW) @ y.reshape(ROW, SIDE)


_SQUARE = f"tl.store(out_ptr + tl.arange(0, {SIDE})[:, None] * {SIDE} + tl.arange(0, {SIDE})[None, :], r)"
_FACTORS = f"a = tl.reshape(x, ({SIDE}, {ROW}))\nb = tl.reshape(y, ({ROW}, {SIDE}))\n"

PRODUCTS: list[Case] = [
    Case("tl.dot", _FACTORS + "r = tl.dot(a, b)\n" + _SQUARE, _product, ("fp16", "bf16", "fp32", *FP8), "fp32",
         ulps=16, domain="whole"),
    Case("tl.dot", _FACTORS + "r = tl.dot(a, b, out_dtype=tl.float64)\n" + _SQUARE, _product, ("fp64",), "fp64",
         ulps=16, domain="whole"),
    Case("tl.dot", _FACTORS + "r = tl.dot(a, b, out_dtype=tl.int32)\n" + _SQUARE,
         lambda x, y, z: _product(x.astype(np.int64), y.astype(np.int64), z), ("int8", "uint8"), "int32"),
    Case("tl.dot_scaled", "a = tl.broadcast_to(x[:, None], (N, N))\none = tl.full((N, 1), 127, tl.uint8)\n"
         "r = tl.dot_scaled(a, one, 'e4m3', tl.trans(a), one, 'e4m3')\n"
         "tl.store(out_ptr + at[:, None] * N + at[None, :], r)",
         lambda x, y, z: np.outer(x, x) * N, ("fp8e4nv",), "fp32", ulps=16),
]  # fmt: skip

_STORED = {
    "int1": "int1", "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64", "uint8": "uint8",
    "uint16": "uint16", "uint32": "uint32", "uint64": "uint64", "float16": "fp16", "bfloat16": "bf16",
    "float32": "fp32", "float64": "fp64", "float8e5": "fp8e5", "float8e4nv": "fp8e4nv",
}  # fmt: skip
TYPES: list[Case] = [
    Case(f"tl.{name}", f"tl.load((x_ptr + at).to(tl.pointer_type(tl.{name})))", _same, (kind,))
    for name, kind in _STORED.items()
] + [
    Case(f"tl.{name}", f"tl.load((x_ptr + at).to(tl.pointer_type(tl.{name}))).to(tl.{wide}).to(tl.{name}).to(tl.int8, "
         "bitcast=True)", _same, ("int8",), domain="positive")
    for name, wide in {"float8e4b15": "float16", "float8e4b8": "float32", "float8e5b16": "float32"}.items()
]  # fmt: skip

CASES: list[Case] = [*MEMORY, *ATOMICS, *CONTROL, *PRODUCTS, *TYPES]
