"""Runs a module of stage `memref` with numpy, one program at a time: what the front end means, without a back end.

A memref is a flat numpy array with an offset, a shape and strides in elements; every access is checked against the
array. The order of reductions is numpy's or the loop's, so results are compared with a tolerance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from mtia.dialects.mlir import ir

DTYPES: dict[str, Any] = {
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "f64": np.float64,
    "i1": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "index": np.int64,
    "f8E5M2": ml_dtypes.float8_e5m2,
    "f8E4M3FN": ml_dtypes.float8_e4m3fn,
}


@dataclass(frozen=True)
class Memory:
    """A strided view of a flat array."""

    flat: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def places(self, lo: Sequence[int] = (), hi: Sequence[int] = ()) -> Any:
        """Positions in the flat array of the elements in a range."""
        total = np.full((1,) * len(self.shape), self.offset, np.int64)
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            first, end = (lo[axis], hi[axis]) if len(lo) else (0, size)
            steps = np.arange(first, max(first, end), dtype=np.int64) * stride
            total = total + steps.reshape([-1 if at == axis else 1 for at in range(len(self.shape))])
        if total.size:
            assert total.min() >= 0 and total.max() < self.flat.size, "access outside the memory"
        return total

    def read(self) -> Any:
        return self.flat[self.places()]

    def write(self, values: Any) -> None:
        places = self.places()
        self.flat[places] = np.broadcast_to(np.asarray(values), places.shape).astype(self.flat.dtype)


class Everything:
    """All arrays of a launch as one array indexed by address / size, shifted by a base address."""

    size = 1 << 62

    def __init__(self, arrays: Sequence[Any], base: int, dtype: Any) -> None:
        self.arrays, self.base, self.dtype = arrays, base, np.dtype(dtype)

    def _find(self, place: int) -> Any:
        address = self.base + place * self.dtype.itemsize
        for array in self.arrays:
            start = address - array.ctypes.data
            if 0 <= start <= array.nbytes - self.dtype.itemsize:
                return array.view(np.uint8)[start : start + self.dtype.itemsize].view(self.dtype)
        raise AssertionError("access outside the memory")

    def __getitem__(self, places: Any) -> Any:
        found = [self._find(int(place))[0] for place in np.ravel(places)]
        return np.asarray(found, self.dtype).reshape(np.shape(places))[()]

    def __setitem__(self, places: Any, values: Any) -> None:
        for place, value in zip(np.ravel(places), np.ravel(np.broadcast_to(values, np.shape(places))), strict=True):
            self._find(int(place))[0] = value


def fresh(shape: Sequence[int], dtype: Any) -> Memory:
    """Unspecified local memory, filled with something conspicuous."""
    size = math.prod(shape)
    flat = np.full(size, 85, dtype) if np.dtype(dtype).kind in "iub" else np.full(size, np.nan).astype(dtype)
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Memory(flat, 0, tuple(shape), strides)


def dtype_of(type_: Any) -> Any:
    element = type_.element_type if isinstance(type_, ir.ShapedType) else type_
    return DTYPES[str(element)]


def _signless(value: Any) -> Any:
    return np.asarray(value).view(np.dtype(f"u{np.asarray(value).dtype.itemsize}"))


def _truncated(a: Any, b: Any) -> Any:
    quotient = np.abs(a) // np.abs(b)
    return (np.where((a < 0) != (b < 0), -quotient, quotient)).astype(np.asarray(a).dtype)


_ERF = np.vectorize(math.erf, otypes=[np.float64])

FLOATS: dict[str, Callable[..., Any]] = {
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.negf": np.negative,
    "arith.remf": np.fmod,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.maxnumf": np.fmax,
    "arith.minnumf": np.fmin,
    "math.exp": np.exp,
    "math.exp2": np.exp2,
    "math.log": np.log,
    "math.log2": np.log2,
    "math.sqrt": np.sqrt,
    "math.rsqrt": lambda x: 1 / np.sqrt(x),
    "math.absf": np.abs,
    "math.sin": np.sin,
    "math.cos": np.cos,
    "math.tanh": np.tanh,
    "math.erf": _ERF,
    "math.floor": np.floor,
    "math.ceil": np.ceil,
    "math.fma": lambda a, b, c: a * b + c,
}
INTEGERS: dict[str, Callable[..., Any]] = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.divsi": _truncated,
    "arith.remsi": lambda a, b: (a - _truncated(a, b) * b).astype(np.asarray(a).dtype),
    "arith.divui": lambda a, b: (_signless(a) // _signless(b)).view(np.asarray(a).dtype),
    "arith.remui": lambda a, b: (_signless(a) % _signless(b)).view(np.asarray(a).dtype),
    "arith.ceildivsi": lambda a, b: -((-a) // b),
    "arith.andi": np.bitwise_and,
    "arith.ori": np.bitwise_or,
    "arith.xori": np.bitwise_xor,
    "arith.shli": np.left_shift,
    "arith.shrsi": np.right_shift,
    "arith.shrui": lambda a, b: (_signless(a) >> _signless(b)).view(np.asarray(a).dtype),
    "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum,
    "math.absi": np.abs,
}
ATOMICS: dict[str, Callable[..., Any]] = {
    "addf": np.add,
    "addi": np.add,
    "maxs": np.maximum,
    "mins": np.minimum,
    "andi": np.bitwise_and,
}
ATOMICS |= {"ori": np.bitwise_or, "xori": np.bitwise_xor, "assign": lambda old, new: new}
SIGNED = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
COMPARE_F = {1: "equal", 2: "greater", 3: "greater_equal", 4: "less", 5: "less_equal"}


class Interpreter:
    """Evaluates the operations of one program."""

    def __init__(self, program: Sequence[int], grid: Sequence[int], arrays: Sequence[Any]) -> None:
        self.program, self.grid, self.arrays = program, grid, arrays
        self.values: dict[Any, Any] = {}
        self.indices: list[Any] = []

    def get(self, value: Any) -> Any:
        return self.values[value]

    def block(self, block: Any, arguments: Sequence[Any]) -> list[Any]:
        """Run a block; the values of its terminator."""
        for argument, value in zip(block.arguments, arguments, strict=True):
            self.values[argument] = value
        for op in block.operations:
            name = op.operation.name
            if name in ("func.return", "scf.yield", "linalg.yield", "scf.condition", "memref.atomic_yield"):
                return [self.get(operand) for operand in op.operands]
            results = self.run(name, op, [self.get(operand) for operand in op.operands])
            for result, value in zip(op.results, results, strict=True):
                self.values[result] = value
        return []

    def run(self, name: str, op: Any, args: list[Any]) -> Sequence[Any]:
        method = getattr(self, name.replace(".", "_"), None)
        if method is not None:
            out = method(op, args)
            return () if out is None else out
        dtype = dtype_of(op.results[0].type)
        if name in FLOATS:
            wide = [np.asarray(x, np.float64) if dtype == np.float64 else np.asarray(x, np.float32) for x in args]
            return [np.asarray(FLOATS[name](*wide)).astype(dtype)]
        if name in INTEGERS:
            return [np.asarray(INTEGERS[name](*(np.asarray(x) for x in args))).astype(dtype)]
        raise NotImplementedError(name)

    # --- scalars ------------------------------------------------------------------------------------------------------

    def arith_constant(self, op: Any, args: list[Any]) -> list[Any]:
        value = op.attributes["value"]
        return [np.asarray(value.value).astype(dtype_of(op.results[0].type))]

    def arith_index_cast(self, op: Any, args: list[Any]) -> list[Any]:
        return [np.asarray(args[0]).astype(dtype_of(op.results[0].type))]

    arith_extsi = arith_trunci = arith_extf = arith_truncf = arith_sitofp = arith_fptosi = arith_index_cast

    def arith_extui(self, op: Any, args: list[Any]) -> list[Any]:
        value = np.asarray(args[0])
        value = value if value.dtype == np.bool_ else _signless(value)
        return [value.astype(dtype_of(op.results[0].type))]

    arith_uitofp = arith_index_castui = arith_extui

    def arith_bitcast(self, op: Any, args: list[Any]) -> list[Any]:
        return [np.asarray(args[0]).view(dtype_of(op.results[0].type))]

    def arith_mului_extended(self, op: Any, args: list[Any]) -> list[Any]:
        a, b = (_signless(x).astype(np.uint64) for x in args)
        bits = np.asarray(args[0]).dtype.itemsize * 8
        dtype = np.asarray(args[0]).dtype
        return [(a * b).astype(_signless(args[0]).dtype).view(dtype), ((a * b) >> np.uint64(bits)).astype(dtype)]

    def arith_select(self, op: Any, args: list[Any]) -> list[Any]:
        return [np.where(args[0], args[1], args[2])]

    def arith_cmpi(self, op: Any, args: list[Any]) -> list[Any]:
        predicate = ir.IntegerAttr(op.attributes["predicate"]).value
        left, right = args if predicate < 6 else (_signless(x) for x in args)
        return [getattr(np, SIGNED[predicate if predicate < 6 else predicate - 4])(left, right)]

    def arith_cmpf(self, op: Any, args: list[Any]) -> list[Any]:
        predicate = ir.IntegerAttr(op.attributes["predicate"]).value
        unordered = np.isnan(args[0].astype(np.float32)) | np.isnan(args[1].astype(np.float32))
        if predicate in COMPARE_F:
            return [getattr(np, COMPARE_F[predicate])(*args) & ~unordered]
        if predicate == 6:
            return [np.not_equal(*args) & ~unordered]
        if predicate == 13:
            return [np.not_equal(*args) | unordered]
        return [getattr(np, COMPARE_F[predicate - 7])(*args) | unordered]

    def mtia_program_id(self, op: Any, args: list[Any]) -> list[Any]:
        return [dtype_of(op.results[0].type)(self.program[ir.IntegerAttr(op.attributes["axis"]).value])]

    def mtia_num_programs(self, op: Any, args: list[Any]) -> list[Any]:
        return [dtype_of(op.results[0].type)(self.grid[ir.IntegerAttr(op.attributes["axis"]).value])]

    # --- control ------------------------------------------------------------------------------------------------------

    def scf_for(self, op: Any, args: list[Any]) -> list[Any]:
        low, high, step, *carried = args
        for index in range(int(low), int(high), int(step)):
            counter = dtype_of(op.regions[0].blocks[0].arguments[0].type)(index)
            carried = self.block(op.regions[0].blocks[0], [counter, *carried])
        return carried

    def scf_if(self, op: Any, args: list[Any]) -> list[Any]:
        region = op.regions[0 if args[0] else 1]
        return self.block(region.blocks[0], []) if len(region.blocks) else []

    def scf_while(self, op: Any, args: list[Any]) -> list[Any]:
        while True:
            go, *passed = self.block(op.regions[0].blocks[0], args)
            if not go:
                return passed
            args = self.block(op.regions[1].blocks[0], passed)

    # --- memory -------------------------------------------------------------------------------------------------------

    def memref_alloc(self, op: Any, args: list[Any]) -> list[Any]:
        return [fresh(op.results[0].type.shape, dtype_of(op.results[0].type))]

    def memref_load(self, op: Any, args: list[Any]) -> list[Any]:
        memory, *at = args
        return [memory.flat[self._place(memory, at)]]

    def memref_store(self, op: Any, args: list[Any]) -> None:
        value, memory, *at = args
        memory.flat[self._place(memory, at)] = value

    def _place(self, memory: Memory, at: Sequence[Any]) -> Any:
        steps = (np.asarray(i, np.int64) * stride for i, stride in zip(at, memory.strides, strict=True))
        place = np.asarray(memory.offset + sum(steps))
        assert (place >= 0).all() and (place < memory.flat.size).all(), "access outside the memory"
        return place[()]

    def memref_extract_aligned_pointer_as_index(self, op: Any, args: list[Any]) -> list[Any]:
        flat = args[0].flat
        return [np.int64(flat.base if isinstance(flat, Everything) else flat.ctypes.data)]

    def mtia_memory_at(self, op: Any, args: list[Any]) -> list[Any]:
        flat = Everything(self.arrays, int(args[0]), dtype_of(op.results[0].type))
        return [Memory(flat, 0, (flat.size,), (1,))]

    def memref_copy(self, op: Any, args: list[Any]) -> None:
        args[1].write(args[0].read())

    def memref_transpose(self, op: Any, args: list[Any]) -> list[Any]:
        order = [ir.AffineDimExpr(e).position for e in ir.AffineMapAttr(op.attributes["permutation"]).value.results]
        m = args[0]
        return [Memory(m.flat, m.offset, tuple(m.shape[a] for a in order), tuple(m.strides[a] for a in order))]

    def _reshaped(self, op: Any, args: list[Any]) -> list[Any]:
        shape, m = tuple(op.results[0].type.shape), args[0]
        assert m.strides == fresh(m.shape, np.int8).strides
        return [Memory(m.flat, m.offset, shape, fresh(shape, np.int8).strides)]

    memref_expand_shape = memref_collapse_shape = _reshaped

    def _static(self, op: Any, name: str, dynamic: Any) -> list[int]:
        unknown = ir.ShapedType.get_dynamic_size()
        return [int(next(dynamic)) if x == unknown else x for x in ir.DenseI64ArrayAttr(op.attributes[name])]

    def memref_reinterpret_cast(self, op: Any, args: list[Any]) -> list[Any]:
        dynamic = iter(args[1:])
        parts = [self._static(op, f"static_{part}", dynamic) for part in ("offsets", "sizes", "strides")]
        return [Memory(args[0].flat, parts[0][0], tuple(parts[1]), tuple(parts[2]))]

    def memref_cast(self, op: Any, args: list[Any]) -> list[Any]:
        return args

    def memref_subview(self, op: Any, args: list[Any]) -> list[Any]:
        dynamic = iter(args[1:])
        m = args[0]
        offsets, sizes, steps = (self._static(op, f"static_{p}", dynamic) for p in ("offsets", "sizes", "strides"))
        offset = m.offset + sum(at * stride for at, stride in zip(offsets, m.strides, strict=True))
        strides = [step * stride for step, stride in zip(steps, m.strides, strict=True)]
        rank = len(op.results[0].type.shape)
        kept = [a for a in range(len(sizes)) if sizes[a] != 1] if rank != len(sizes) else range(len(sizes))
        kept = list(kept)[-rank:] if rank else []
        return [Memory(m.flat, offset, tuple(sizes[a] for a in kept), tuple(strides[a] for a in kept))]

    def memref_atomic_rmw(self, op: Any, args: list[Any]) -> list[Any]:
        value, memory, *at = args
        place, kind = self._place(memory, at), str(op.attributes["kind"]).split(" ")[0]
        old = memory.flat[place]
        names = ["addf", "addi", "andi", "assign", "maximumf", "maxnumf", "maxs", "maxu", "minimumf", "minnumf"]
        names += ["mins", "minu", "mulf", "muli", "ori", "xori"]
        memory.flat[place] = ATOMICS[names[int(kind)]](old, value)
        return [old]

    def memref_generic_atomic_rmw(self, op: Any, args: list[Any]) -> list[Any]:
        memory, *at = args
        place = self._place(memory, at)
        old = memory.flat[place]
        (memory.flat[place],) = self.block(op.regions[0].blocks[0], [old])
        return [old]

    # --- transfers ----------------------------------------------------------------------------------------------------

    def _segments(self, op: Any, args: list[Any]) -> list[list[Any]]:
        sizes = list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))
        ends = list(itertools.accumulate(sizes))
        return [args[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def mtia_dma_in(self, op: Any, args: list[Any]) -> None:
        (source,), (target,), lo, hi, fill = self._segments(op, args)
        if lo:
            target.write(fill[0] if fill else np.zeros((), target.flat.dtype))
        target.flat[target.places(lo, hi)] = source.flat[source.places(lo, hi)]

    def mtia_dma_out(self, op: Any, args: list[Any]) -> None:
        (source,), (target,), lo, hi = self._segments(op, args)
        target.flat[target.places(lo, hi)] = source.flat[source.places(lo, hi)]

    def mtia_dma_in_indexed(self, op: Any, args: list[Any]) -> None:
        (source,), (target,), (index,), lo, hi, fill = self._segments(op, args)
        if lo:
            target.write(fill[0] if fill else np.zeros((), target.flat.dtype))
        for row, (remote, local) in self._rows(source, target, index, lo, hi):
            target.flat[local] = source.flat[remote]
            del row

    def mtia_dma_out_indexed(self, op: Any, args: list[Any]) -> None:
        (source,), (target,), (index,), lo, hi = self._segments(op, args)
        for _, (remote, local) in self._rows(target, source, index, lo, hi):
            target.flat[remote] = source.flat[local]

    def _rows(self, remote: Memory, local: Memory, index: Memory, lo: Any, hi: Any) -> Any:
        lo, hi = (lo, hi) if lo else ([0] * len(local.shape), list(local.shape))
        for row in range(int(lo[0]), int(hi[0])):
            base = remote.offset + int(index.read()[row]) * remote.strides[0]
            far = Memory(remote.flat, base, remote.shape[1:], remote.strides[1:])
            near = Memory(local.flat, local.offset + row * local.strides[0], local.shape[1:], local.strides[1:])
            yield row, (far.places(lo[1:], hi[1:]), near.places(lo[1:], hi[1:]))

    # --- linalg -------------------------------------------------------------------------------------------------------

    def linalg_fill(self, op: Any, args: list[Any]) -> None:
        args[1].write(args[0])

    def linalg_copy(self, op: Any, args: list[Any]) -> None:
        args[1].write(args[0].read())

    def linalg_transpose(self, op: Any, args: list[Any]) -> None:
        args[1].write(args[0].read().transpose(list(ir.DenseI64ArrayAttr(op.attributes["permutation"]))))

    def linalg_broadcast(self, op: Any, args: list[Any]) -> None:
        new = list(ir.DenseI64ArrayAttr(op.attributes["dimensions"]))
        args[1].write(np.expand_dims(args[0].read(), new))

    def linalg_matmul(self, op: Any, args: list[Any]) -> None:
        a, b, acc = (m.read().astype(np.float64 if m.flat.dtype.kind in "fV" else np.int64) for m in args)
        args[2].write((acc + a @ b).astype(args[2].flat.dtype))

    linalg_batch_matmul = linalg_matmul

    def linalg_index(self, op: Any, args: list[Any]) -> list[Any]:
        return [self.indices[ir.IntegerAttr(op.attributes["dim"]).value]]

    def linalg_generic(self, op: Any, args: list[Any]) -> None:
        maps = [ir.AffineMapAttr(m).value for m in ir.ArrayAttr(op.attributes["indexing_maps"])]
        assert "reduction" not in str(op.attributes["iterator_types"])
        sizes = [0] * maps[0].n_dims
        for memory, map_ in zip(args, maps, strict=True):
            for expression, size in zip(map_.results, memory.shape if isinstance(memory, Memory) else (), strict=True):
                sizes[ir.AffineDimExpr(expression).position] = size
        rank = len(sizes)
        self.indices = [
            np.arange(size).reshape([-1 if at == axis else 1 for at in range(rank)]) for axis, size in enumerate(sizes)
        ]
        inputs = [self._spread(x, map_, rank) for x, map_ in zip(args, maps, strict=True)]
        block = op.regions[0].blocks[0]
        results = self.block(block, inputs)
        outs = args[len(args) - len(results) :]
        for out, result, map_ in zip(outs, results, maps[-len(results) :], strict=True):
            order = [ir.AffineDimExpr(e).position for e in map_.results]
            out.write(np.broadcast_to(result, sizes).transpose(order))

    def _spread(self, memory: Any, map_: Any, rank: int) -> Any:
        if not isinstance(memory, Memory):
            return memory
        dims = [ir.AffineDimExpr(e).position for e in map_.results]
        values = memory.read().transpose(list(np.argsort(dims)))
        return np.expand_dims(values, [axis for axis in range(rank) if axis not in dims])

    def linalg_reduce(self, op: Any, args: list[Any]) -> None:
        (axis,) = ir.DenseI64ArrayAttr(op.attributes["dimensions"])
        count = len(args) // 2
        sources = [m.read() for m in args[:count]]
        state = [m.read() for m in args[count:]]
        for step in range(sources[0].shape[axis]):
            state = self.block(op.regions[0].blocks[0], [*(s.take(step, axis) for s in sources), *state])
        for memory, value in zip(args[count:], state, strict=True):
            memory.write(value)


def launch(module: Any, grid: Sequence[int], *arguments: Any, reachable: Sequence[Any] = ()) -> None:
    """Run every program of the grid in order on numpy arrays (changed in place) and scalars."""
    function = module.body.operations[0]
    entry = function.regions[0].blocks[0]
    known: list[Any] = []
    for argument, value in zip(entry.arguments, arguments, strict=True):
        if isinstance(value, np.ndarray):
            assert value.dtype == dtype_of(argument.type), f"{value.dtype} for {argument.type}"
            known.append(Memory(value.reshape(-1), 0, (value.size,), (1,)))
        else:
            known.append(np.asarray(value).astype(dtype_of(argument.type)))
    arrays = [*reachable, *(memory.flat for memory in known if isinstance(memory, Memory))]
    grid = (*grid, 1, 1)[:3]
    with np.errstate(all="ignore"):
        for z, y, x in itertools.product(*map(range, reversed(grid))):
            Interpreter((x, y, z), grid, arrays).block(entry, known)
