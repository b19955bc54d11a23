"""Lowering of arithmetic, reductions and scans in `convert-tt-to-linalg`."""

from __future__ import annotations

import math as python_math
from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers, refuse
from mtia.compiler.passes.convert_tt_to_linalg_values import Splat
from mtia.dialects.mlir import arith, ir, linalg, math, memref, scf, tensor
from mtia.dialects.mtia import NumPrograms, ProgramId
from mtia.dialects.tt import element_type, shape_of

__all__: list[str] = []


@lowers("tt.get_program_id", "tt.get_num_programs")
def _program(c: Converter, op: Any) -> None:
    kind = ProgramId if op.operation.name == "tt.get_program_id" else NumPrograms
    c.set(op.result, kind(op.attributes["axis"], op.result.type).result)


def _integer_limits(type_: Any) -> tuple[int, int]:
    return -(1 << (type_.width - 1)), (1 << (type_.width - 1)) - 1


def _neutral(name: str, type_: Any) -> float | int | None:
    """The value that changes nothing under a combining operation, bit for bit."""
    if isinstance(type_, ir.FloatType):
        return {
            "arith.addf": -0.0,
            "arith.mulf": 1.0,
            "arith.maximumf": -python_math.inf,
            "arith.minimumf": python_math.inf,
            "arith.maxnumf": python_math.nan,
            "arith.minnumf": python_math.nan,
        }.get(name)
    low, high = _integer_limits(type_)
    return {
        "arith.addi": 0,
        "arith.muli": 1,
        "arith.maxsi": low,
        "arith.minsi": high,
        "arith.maxui": 0,
        "arith.minui": -1,
        "arith.andi": -1,
        "arith.ori": 0,
        "arith.xori": 0,
    }.get(name)


def _combine(c: Converter, op: Any, accumulated: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """The combine region on scalars, inlined here."""
    block = op.regions[0].blocks[0]
    for argument, value in zip(block.arguments, [*accumulated, *values], strict=True):
        c.set(argument, value)
    end = c.block(block.operations)
    return [c.get(value) for value in end.operands]


def _only_operation(op: Any) -> str | None:
    """Name of the operation that is the whole combine region, on its two arguments."""
    block = op.regions[0].blocks[0]
    operations = list(block.operations)
    if len(operations) != 2 or len(block.arguments) != 2:
        return None
    if set(operations[0].operands) != set(block.arguments) or operations[1].operands[0] != operations[0].results[0]:
        return None
    return str(operations[0].operation.name)


@lowers("tt.reduce")
def _reduce(c: Converter, op: Any) -> None:
    axis = ir.IntegerAttr(op.attributes["axis"]).value
    sources = [c.tensor(value) for value in op.operands]
    shape = list(sources[0].type.shape)
    rest = shape[:axis] + shape[axis + 1 :]
    name = _only_operation(op)
    neutral = None if name is None else _neutral(name, sources[0].type.element_type)
    if neutral is None and shape[axis] == 2 and python_math.prod(rest) == 1:
        return _of_two(c, op, sources, axis)
    if neutral is not None:
        inits = [build.fill(c.index.constant(neutral, sources[0].type.element_type), rest)]
    else:
        inits = [_slice(source, axis, 0, 1) for source in sources]
        sources = [_slice(source, axis, 1, shape[axis] - 1, keep=True) for source in sources] if shape[axis] > 1 else []
    results = _fold(c, op, sources, inits, axis) if sources else inits
    for old, new in zip(op.results, results, strict=True):
        c.set(old, new if rest else build.extract(new, []))


def _of_two(c: Converter, op: Any, sources: Sequence[Any], axis: int) -> None:
    """The reduction of two elements, no loop: one-shot bufferisation mistakes a slice of 1 × 1 for one of 1."""
    shape = list(sources[0].type.shape)
    places = [[c.index.constant(n if at == axis else 0) for at in range(len(shape))] for n in range(2)]
    first, second = ([build.extract(source, place) for source in sources] for place in places)
    for old, new in zip(op.results, _combine(c, op, first, second), strict=True):
        c.set(old, build.fill(new, shape[:axis] + shape[axis + 1 :]) if len(shape) > 1 else new)


def _slice(source: Any, axis: int, start: int, size: int, keep: bool = False) -> Any:
    """Elements start … start + size along `axis`; without `keep` there is one, and the dimension is dropped."""
    shape = list(source.type.shape)
    offsets = [start if at == axis else 0 for at in range(len(shape))]
    sizes = [size if at == axis else extent for at, extent in enumerate(shape)]
    kept = sizes if keep else sizes[:axis] + sizes[axis + 1 :]
    type_ = build.tensor_type(kept, source.type.element_type)
    return tensor.ExtractSliceOp(type_, source, [], [], [], offsets, sizes, [1] * len(shape)).result


def _fold(c: Converter, op: Any, sources: Sequence[Any], inits: Sequence[Any], axis: int) -> list[Any]:
    reduce = linalg.ReduceOp([init.type for init in inits], list(sources), list(inits), [axis])
    elements = [value.type.element_type for value in (*sources, *inits)]
    block = reduce.regions[0].blocks.append(*elements)
    count = len(sources)
    with ir.InsertionPoint(block):
        linalg.YieldOp(_combine(c, op, block.arguments[count:], block.arguments[:count]))
    return list(reduce.results)


@lowers("tt.scan")
def _scan(c: Converter, op: Any) -> None:
    axis = ir.IntegerAttr(op.attributes["axis"]).value
    reverse = ir.BoolAttr(op.attributes["reverse"]).value
    sources = [c.tensor(value) for value in op.operands]
    shape = list(sources[0].type.shape)
    buffers = [memref.AllocOp(build.buffer_type(shape, x.type.element_type), [], []).result for x in sources]
    length = c.index.constant(shape[axis])
    one = c.index.constant(1)

    def at(outer: Sequence[Any], step: Any) -> list[Any]:
        if reverse:
            step = arith.SubIOp(c.index.constant(shape[axis] - 1), step).result
        return [*outer[:axis], step, *outer[axis:]]

    def line(outer: list[Any]) -> None:
        start = at(outer, c.index.constant(0))
        first = [build.extract(source, start) for source in sources]
        for value, buffer in zip(first, buffers, strict=True):
            memref.StoreOp(value, buffer, start)
        loop = scf.ForOp(one, length, one, first)
        with ir.InsertionPoint(loop.body):
            here = at(outer, loop.induction_variable)
            values = [build.extract(source, here) for source in sources]
            combined = _combine(c, op, list(loop.inner_iter_args), values)
            for value, buffer in zip(combined, buffers, strict=True):
                memref.StoreOp(value, buffer, here)
            scf.YieldOp(combined)

    build.loops(shape[:axis] + shape[axis + 1 :], c.index.constant, line)
    for result, buffer in zip(op.results, buffers, strict=True):
        c.set(result, build.tensor_of(buffer))


@lowers("tt.fp_to_fp")
def _fp_to_fp(c: Converter, op: Any) -> None:
    source = _value(c, op.src)
    have, want = (element_type(type_) for type_ in (op.src.type, op.result.type))
    if have.width < want.width:
        c.set(op.result, arith.ExtFOp(op.result.type, source).result)
        return
    if have.width == want.width:  # every 8-bit and 16-bit float is exact in f32
        wide = ir.F32Type.get()
        source = arith.ExtFOp(
            build.tensor_type(shape_of(op.src.type), wide) if shape_of(op.src.type) else wide, source
        ).result
    made = arith.TruncFOp(op.result.type, source)
    rounding = ir.StringAttr(op.attributes["rounding"]).value if "rounding" in op.attributes else "rtne"
    if rounding == "rtz":
        made.operation.attributes["roundingmode"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), _TOWARD_ZERO)
    c.set(op.result, made.result)


_TOWARD_ZERO = 3


def _value(c: Converter, value: Any) -> Any:
    """A tensor or a scalar as SSA value."""
    return c.tensor(value) if shape_of(value.type) else c.scalar(value)


@lowers("tt.clampf")
def _clampf(c: Converter, op: Any) -> None:
    x, low, high = (_value(c, value) for value in op.operands)
    if ir.StringAttr(op.attributes["propagateNan"]).value == "all":
        c.set(op.result, arith.MinimumFOp(arith.MaximumFOp(x, low).result, high).result)
    else:
        c.set(op.result, arith.MinNumFOp(arith.MaxNumFOp(x, low).result, high).result)


@lowers("tt.precise_sqrt")
def _precise_sqrt(c: Converter, op: Any) -> None:
    c.set(op.result, math.SqrtOp(_value(c, op.x)).result)


@lowers("tt.precise_divf")
def _precise_divf(c: Converter, op: Any) -> None:
    c.set(op.result, arith.DivFOp(_value(c, op.x), _value(c, op.y)).result)


@lowers("tt.mulhiui")
def _mulhiui(c: Converter, op: Any) -> None:
    c.set(op.result, arith.MulUIExtendedOp(_value(c, op.x), _value(c, op.y)).results[1])


_LIBRARY = {
    "acos": math.AcosOp,
    "acosh": math.AcoshOp,
    "asin": math.AsinOp,
    "asinh": math.AsinhOp,
    "atan": math.AtanOp,
    "atan2": math.Atan2Op,
    "atanh": math.AtanhOp,
    "cbrt": math.CbrtOp,
    "ceil": math.CeilOp,
    "copysign": math.CopySignOp,
    "cos": math.CosOp,
    "cosh": math.CoshOp,
    "erf": math.ErfOp,
    "erfc": math.ErfcOp,
    "exp": math.ExpOp,
    "exp2": math.Exp2Op,
    "expm1": math.ExpM1Op,
    "fabs": math.AbsFOp,
    "floor": math.FloorOp,
    "fma": math.FmaOp,
    "fmod": arith.RemFOp,
    "log": math.LogOp,
    "log10": math.Log10Op,
    "log1p": math.Log1pOp,
    "log2": math.Log2Op,
    "nearbyint": math.RoundEvenOp,
    "pow": math.PowFOp,
    "rint": math.RoundEvenOp,
    "round": math.RoundOp,
    "rsqrt": math.RsqrtOp,
    "sin": math.SinOp,
    "sinh": math.SinhOp,
    "sqrt": math.SqrtOp,
    "tan": math.TanOp,
    "tanh": math.TanhOp,
    "trunc": math.TruncOp,
}
"""C library functions that are one operation of the math dialect."""


@lowers("tt.extern_elementwise")
def _extern(c: Converter, op: Any) -> None:
    symbol = ir.StringAttr(op.attributes["symbol"]).value
    name = symbol.removeprefix("__").split("_", 1)[-1] if symbol.startswith("__") else symbol
    for candidate in (name, name.removesuffix("f"), name.removesuffix("_f32")):
        if candidate in _LIBRARY:
            c.set(op.result, _LIBRARY[candidate](*(_value(c, value) for value in op.operands)).result)
            return
    raise refuse(op, f"no library function '{symbol}' on this target")


@lowers("llvm.intr.assume")
def _assume(c: Converter, op: Any) -> None:
    """Nothing here uses assumptions."""


@lowers("ub.poison")
def _poison(c: Converter, op: Any) -> None:
    type_ = op.result.type
    zero = c.index.constant(0, element_type(type_))
    c.set(op.result, Splat(shape_of(type_), zero) if shape_of(type_) else zero)


@lowers("tt.gather")
def _gather(c: Converter, op: Any) -> None:
    axis = ir.IntegerAttr(op.attributes["axis"]).value
    source, indices = c.tensor(op.src), c.tensor(op.indices)
    shape = shape_of(op.result.type)
    out = build.empty(shape, source.type.element_type)
    same_place = build.identity_map(len(shape))

    def body(picked: Any, _: Any) -> list[Any]:
        place = [linalg.IndexOp(at).result for at in range(len(shape))]
        place[axis] = arith.IndexCastOp(c.index.index, picked).result
        return [build.extract(source, place)]

    c.set(op.result, build.generic([indices], [out], [same_place, same_place], body)[0])


@lowers("tt.histogram")
def _histogram(c: Converter, op: Any) -> None:
    values = c.tensor(op.operands[0])
    mask = c.tensor(op.operands[1]) if len(op.operands) > 1 else None
    bins = shape_of(op.result.type)[0]
    counts = memref.AllocOp(build.buffer_type([bins], element_type(op.result.type)), [], []).result
    zero, one = (c.index.constant(value, element_type(op.result.type)) for value in (0, 1))
    build.loops([bins], c.index.constant, lambda at: memref.StoreOp(zero, counts, at) and None)

    def count(indices: list[Any]) -> None:
        place = arith.IndexCastUIOp(c.index.index, build.extract(values, indices)).result
        inside = arith.CmpIOp(_ULT, place, c.index.constant(bins)).result
        if mask is not None:
            inside = arith.AndIOp(inside, build.extract(mask, indices)).result

        def increment() -> list[Any]:
            more = arith.AddIOp(memref.LoadOp(counts, [place]).result, one).result
            memref.StoreOp(more, counts, [place])
            return []

        build.if_(inside, increment)

    build.loops(shape_of(op.operands[0].type), c.index.constant, count)
    c.set(op.result, build.tensor_of(counts))


_ULT = 6
