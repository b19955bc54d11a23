"""A program in numpy: every statement once for all programs of the grid, with bounds of error beside inexact values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mtia.tools.verify.kernels.kinds import KINDS, POOL, WHOLE, pool
from mtia.tools.verify.kernels.operations import (
    ELEMENTWISE,
    MATH,
    Array,
    Elementwise,
    Value,
    combined,
    lifted,
)
from mtia.tools.verify.kernels.program import Pointer, Program, Statement

__all__ = ["GUARD", "IllFormed", "Memory", "evaluate"]

GUARD = 16  # elements behind the last one used, which must stay as they were
ROOM = POOL // 2  # elements of an array before it is cut
_STEPS = 200  # of a loop; more is a loop that does not end


class IllFormed(Exception):
    """The generator made a program that reads or writes outside its arrays, or does not end."""


@dataclass
class Memory:
    """An array argument: contents before and after, bounds of error after, how many elements are touched."""

    pointer: Pointer
    before: Array
    after: Array
    error: Array | None = None
    used: int = 0

    def cut(self) -> Memory:
        """The elements that are used, and the guard behind them."""
        end = self.used + GUARD
        error = None if self.error is None else self.error[:end]
        return Memory(self.pointer, self.before[:end].copy(), self.after[:end].copy(), error, self.used)


def contents(pointer: Pointer) -> Array:
    """What an array holds before the launch."""
    return np.roll(pool(pointer.kind, pointer.flavour), -pointer.begin)[:ROOM]


@dataclass
class _Run:
    program: Program
    active: Array
    values: dict[str, Value] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.active)

    def value(self, operand: Any, like: Array | None = None) -> Value:
        """The value of an operand; a number takes the type of `like`."""
        if isinstance(operand, str):
            return self.values[operand]
        number = self.program.number(operand)
        dtype = np.int32 if like is None else like.dtype
        return Value(np.full(self.count, number).astype(dtype))

    def array(self, name: str) -> Memory:
        if name not in self.memory:
            pointer = self.program.pointers[name]
            before = contents(pointer)
            self.memory[name] = Memory(pointer, before, before.copy() if pointer.written else before)
        return self.memory[name]


def evaluate(program: Program) -> Mapping[str, Memory]:
    """The arrays of a program after its launch, by name."""
    run = _Run(program, np.ones(program.programs, bool))
    for name, (kind, number) in program.scalars.items():
        run.values[name] = Value(np.full(run.count, number).astype(KINDS[kind].numpy))
    with np.errstate(all="ignore"):
        _block(run, program.body)
    return {name: run.array(name).cut() for name in program.arguments() if name in program.pointers}


def _block(run: _Run, statements: Sequence[Statement]) -> None:
    for one in statements:
        if one.op in _CONTROL:
            _CONTROL[one.op](run, one)
            continue
        row = ELEMENTWISE.get(one.op) or MATH.get(one.op)
        made = [_elementwise(run, one, row)] if row is not None else _OTHERS[one.op](run, one)
        for var, value in zip(one.out, made, strict=True):
            wanted = (run.count, *run.program.size(var.shape))
            data = value.data.astype(KINDS[var.kind].numpy, copy=False)
            data = np.broadcast_to(data, wanted) if data.shape != wanted else data
            error = value.error
            if error is not None and error.shape != wanted:
                error = np.broadcast_to(error, wanted)
            run.values[var.name] = Value(data, error)


def _elementwise(run: _Run, one: Statement, row: Elementwise) -> Value:
    numbers = one.args[1:] if one.op == "where" else one.args
    first = next((run.values[arg].data for arg in numbers if isinstance(arg, str)), None)
    given = [run.value(arg, first) for arg in one.args]
    rank = max(value.data.ndim for value in given) - 1
    data = [lifted(value.data, rank) for value in given]
    kind = KINDS[one.out[0].kind]
    if row.ulps:
        wide = np.longdouble if data[0].dtype == np.float64 else np.float64
        exact = row.value(*[part.astype(wide) for part in data])
        made = exact.astype(kind.numpy)
        return Value(made, row.ulps * kind.roundoff * 2 * np.abs(made.astype(np.float64)) + kind.tiny)
    made = np.asarray(row.value(*data))
    if all(value.error is None for value in given) and one.out[0].exact:
        return Value(made)
    assert row.error is not None, one.op
    errors = [0.0 if value.error is None else lifted(value.error, rank) for value in given]
    error = row.error(kind, made, data, errors)
    for value, part in zip(one.args, data, strict=True):  # a product may be rounded once with the sum
        if one.op in ("add", "sub") and not one.out[0].exact and isinstance(value, str):
            error = error + kind.roundoff * np.abs(part.astype(np.float64))
    for terms in one.more.get("terms", ()):  # the sum of a dot's products may begin with what is added to it
        number = run.program.number(terms)
        size = sum(np.abs(part.astype(np.float64)) for part in data) + WHOLE * WHOLE * number
        error = error + 2 * (number + 2) * kind.roundoff * size
    return Value(made, np.broadcast_to(error, made.shape))


# --- shapes ----------------------------------------------------------------------------------------------------------


def _moved(run: _Run, one: Statement) -> list[Value]:
    """An operation that only moves elements, on data and on errors."""
    given = [run.value(arg) for arg in one.args]
    data = _MOVES[one.op](run, one, *[value.data for value in given])
    if all(value.error is None for value in given):
        return [Value(part) for part in data]
    errors = _MOVES[one.op](
        run, one, *[np.zeros(v.data.shape) if v.error is None and v.data.dtype.kind != "i" else
                    v.data if v.error is None else v.error for v in given]
    )  # fmt: skip
    return [Value(part, error) for part, error in zip(data, errors, strict=True)]


def _shape(run: _Run, one: Statement) -> tuple[int, ...]:
    return (run.count, *run.program.size(one.out[0].shape))


def _interleaved(a: Array, b: Array) -> Array:
    both = np.stack([a, b], -1)
    return both.reshape(*both.shape[:-2], -1)


def _gathered(run: _Run, one: Statement, source: Array, index: Array) -> list[Array]:
    return [np.take_along_axis(source, index, one.more["axis"] + 1)]


_MOVES: dict[str, Any] = {
    "expand": lambda run, one, x: [np.expand_dims(x, one.more["axis"] + 1)],
    "broadcast": lambda run, one, x: [np.broadcast_to(lifted(x, len(one.out[0].shape)), _shape(run, one))],
    "permute": lambda run, one, x: [x.transpose(0, *[n + 1 for n in one.more["order"]])],
    "trans": lambda run, one, x: [x.swapaxes(-1, -2)],
    "reshape": lambda run, one, x: [x.reshape(_shape(run, one))],
    "join": lambda run, one, a, b: [np.stack([a, b], -1)],
    "interleave": lambda run, one, a, b: [_interleaved(a, b)],
    "cat": lambda run, one, a, b: [np.concatenate([a, b], one.more["axis"] + 1)],
    "split": lambda run, one, x: [x[..., 0], x[..., 1]],
    "flip": lambda run, one, x: [np.flip(x, one.more["axis"] + 1)],
    "gather": _gathered,
}


# --- values ----------------------------------------------------------------------------------------------------------


def _pid(run: _Run, one: Statement) -> list[Value]:
    return [Value(np.arange(run.count, dtype=np.int32))]


def _tile(run: _Run, one: Statement) -> list[Value]:
    shape = run.program.size(one.out[0].shape)
    total = np.zeros(shape, np.int64)
    for axis, (count, stride) in enumerate(zip(shape, one.more["strides"], strict=True)):
        place = [1] * len(shape)
        place[axis] = count
        total = total + (np.arange(count) * run.program.number(stride)).reshape(place)
    return [Value(np.broadcast_to(total.astype(np.int32), (run.count, *shape)))]


def _full(run: _Run, one: Statement) -> list[Value]:
    kind = KINDS[one.out[0].kind]
    if isinstance(one.args[0], str):
        value = run.value(one.args[0])
        return [Value(lifted(value.data, len(one.out[0].shape)))]
    return [Value(np.full(_shape(run, one), run.program.number(one.args[0])).astype(kind.numpy))]


def _guard(run: _Run, one: Statement) -> list[Value]:
    data = run.value(one.args[0]).data
    bad = (data == 0) | (data == data.dtype.type(-1)) if one.more["both"] else data == 0
    return [Value(np.where(bad, data.dtype.type(3), data))]


def _finite(run: _Run, one: Statement) -> list[Value]:
    data = run.value(one.args[0]).data
    limit = np.asarray(one.more["limit"]).astype(data.dtype)
    return [Value(np.where((data > -limit) & (data < limit), data, data.dtype.type(0)))]


def _cast(run: _Run, one: Statement) -> list[Value]:
    value, kind = run.value(one.args[0]), KINDS[one.out[0].kind]
    if kind.name == "i1":
        return [Value(value.data != 0)]
    data = value.data
    if kind.precision == 0 and data.dtype.kind not in "iub":
        data = data.astype(np.float64)
    made = data.astype(kind.numpy)
    if value.error is None:
        return [Value(made)]
    return [Value(made, value.error + 2 * kind.roundoff * np.abs(made.astype(np.float64)) + kind.tiny)]


def _bitcast(run: _Run, one: Statement) -> list[Value]:
    return [Value(np.ascontiguousarray(run.value(one.args[0]).data).view(KINDS[one.out[0].kind].numpy))]


def _sort(run: _Run, one: Statement) -> list[Value]:
    made = np.sort(run.value(one.args[0]).data, -1)
    return [Value(np.flip(made, -1) if one.more["down"] else made)]


def _topk(run: _Run, one: Statement) -> list[Value]:
    return [Value(np.flip(np.sort(run.value(one.args[0]).data, -1), -1)[..., :2])]


def _histogram(run: _Run, one: Statement) -> list[Value]:
    bins = run.program.size(one.out[0].shape)[0]
    data = run.value(one.args[0]).data.reshape(run.count, -1)
    return [Value((data[:, :, None] == np.arange(bins)).sum(1).astype(np.int32))]


def _reduce(run: _Run, one: Statement) -> list[Value]:
    given = [run.value(arg) for arg in one.args]
    how, rank = one.more["how"], given[0].data.ndim - 1
    axis = one.more["axis"]
    axes = tuple(range(1, rank + 1)) if axis is None else (axis + 1,)
    kind = KINDS[one.out[0].kind]
    data = given[0].data
    if how == "function":
        made = [Value(part) for part in combined(one.more["function"], [v.data for v in given], axes[0])[-1]]
    elif how == "sum":
        made = [_sum(given[0], axes, kind, one.out[0].exact)]
    elif how == "xor_sum":
        made = [Value(np.bitwise_xor.reduce(data, axis=axes))]
    elif how in ("max", "min"):
        made = [Value(getattr(np, how)(data, axis=axes))]
        if len(one.out) == 2:
            made.append(Value(getattr(np, f"arg{how}")(data, axis=axes[0])))
    else:
        made = [Value(getattr(np, how)(data, axis=axes[0]))]
    if not one.more.get("keep"):
        return made
    shape = _shape(run, one)
    return [Value(v.data.reshape(shape), None if v.error is None else v.error.reshape(shape)) for v in made]


def _sum(value: Value, axes: tuple[int, ...], kind: Any, exact: bool) -> Value:
    if kind.precision == 0:
        return Value(value.data.astype(kind.numpy).sum(axes, dtype=kind.numpy))
    wide = value.data.astype(np.float64)
    made = wide.sum(axes)
    if exact and value.error is None:
        return Value(made)
    terms = math.prod(value.data.shape[axis] for axis in axes)
    error = 2 * terms * kind.roundoff * np.abs(wide).sum(axes) + kind.tiny
    if value.error is not None:
        error = error + value.error.sum(axes)
    return Value(made, error)


def _scan(run: _Run, one: Statement) -> list[Value]:
    given = [run.value(arg) for arg in one.args]
    how, axis, reverse = one.more["how"], one.more["axis"] + 1, one.more["reverse"]
    if how == "function":
        steps = combined(one.more["function"], [v.data for v in given], axis, reverse)
        return [Value(np.stack([step[n] for step in steps], axis)) for n in range(len(one.out))]
    kind, value = KINDS[one.out[0].kind], given[0]
    data = np.flip(value.data, axis) if reverse else value.data

    def back(array: Array) -> Array:
        return np.flip(array, axis) if reverse else array

    if kind.precision == 0:
        running = np.multiply if how == "cumprod" else np.add
        return [Value(back(running.accumulate(data.astype(kind.numpy), axis, dtype=kind.numpy)))]
    wide = data.astype(np.float64)
    made = wide.cumsum(axis)
    if one.out[0].exact:
        return [Value(back(made))]
    error = 2 * data.shape[axis] * kind.roundoff * np.abs(wide).cumsum(axis) + kind.tiny
    if value.error is not None:
        error = error + (np.flip(value.error, axis) if reverse else value.error).cumsum(axis)
    return [Value(back(made), back(error))]


def _dot(run: _Run, one: Statement) -> list[Value]:
    given = [run.value(arg) for arg in one.args]
    kind = KINDS[one.out[0].kind]
    wide: Any = np.int32 if kind.precision == 0 else np.float64
    a, b = (value.data.astype(wide) for value in given[:2])
    made = a @ b
    size = None if kind.precision == 0 else np.abs(a) @ np.abs(b)
    if len(given) == 3:
        made = made + given[2].data
        size = None if size is None else size + np.abs(given[2].data.astype(np.float64))
    if size is None or one.out[0].exact:
        return [Value(made)]
    error = 2 * (a.shape[-1] + 2) * kind.roundoff * size + kind.tiny
    if "precision" in one.more:  # factors of 11 bits
        error = error + 2.0**-9 * size
    if len(given) == 3 and given[2].error is not None:
        error = error + given[2].error
    return [Value(made, error)]


# --- memory ----------------------------------------------------------------------------------------------------------


def _lanes(run: _Run, shape: tuple[int, ...], mask: Array | None) -> Array:
    """The elements that are accessed: of programs that are running, and let through by the mask."""
    lanes = np.broadcast_to(run.active.reshape(-1, *[1] * (len(shape) - 1)), shape)
    return lanes if mask is None else lanes & np.broadcast_to(lifted(mask, len(shape) - 1), shape)


def _touch(memory: Memory, index: Array, lanes: Array) -> Array:
    """The index inside the array; notes the last element used."""
    used = index[lanes]
    if used.size:
        if used.min() < 0 or used.max() + GUARD >= len(memory.before):
            raise IllFormed(f"elements {used.min()} to {used.max()} of an array of {len(memory.before)}")
        memory.used = max(memory.used, int(used.max()) + 1)
    return np.where(lanes, index, 0)


def _load(run: _Run, one: Statement) -> list[Value]:
    name, at, mask, other = (*one.args, None, None)[:4]
    shape = _shape(run, one)
    index = np.broadcast_to(lifted(run.value(at).data, len(shape) - 1), shape)
    lanes = _lanes(run, shape, None if mask is None else run.value(mask).data)
    return [_read(run, str(name), index, lanes, 0 if other is None else other)]


def _read(run: _Run, name: str, index: Array, lanes: Array, other: Any) -> Value:
    memory = run.array(name)
    place = _touch(memory, index, lanes)
    rest = run.value(other, memory.after)
    data = np.where(lanes, memory.after[place], lifted(rest.data, index.ndim - 1))
    error = None
    if memory.error is not None:
        error = np.where(lanes, memory.error[place], 0.0)
    return Value(data, error)


def _store(run: _Run, one: Statement) -> list[Value]:
    name, at, given, mask = (*one.args, None)[:4]
    value = run.value(given, run.array(str(name)).after)
    shape = np.broadcast_shapes(run.value(at).data.shape, lifted(value.data, run.value(at).data.ndim - 1).shape)
    index = np.broadcast_to(run.value(at).data, shape)
    lanes = _lanes(run, shape, None if mask is None else run.value(mask).data)
    _write(run, str(name), index, lanes, value, one.more.get("how"))
    return []


def _atomic_old(run: _Run, one: Statement) -> list[Value]:
    """An atomic at addresses of which each is met once; what was there before."""
    old = _load(run, Statement("load", one.out, one.args[:2]))
    _store(run, one)
    return old


_ATOMIC = {
    "add": np.add, "max": np.maximum, "min": np.minimum, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}  # fmt: skip


def _write(run: _Run, name: str, index: Array, lanes: Array, value: Value, how: str | None = None) -> None:
    memory = run.array(name)
    place = _touch(memory, index, lanes)[lanes]
    data = np.broadcast_to(lifted(value.data, index.ndim - 1), index.shape)[lanes]
    if how is not None and how != "xchg":
        _ATOMIC[how].at(memory.after, place, data.astype(memory.after.dtype))
        return
    memory.after[place] = data
    if value.error is not None and memory.error is None:
        memory.error = np.zeros(len(memory.after))
    if memory.error is not None:
        rest = 0.0 if value.error is None else np.broadcast_to(lifted(value.error, index.ndim - 1), index.shape)[lanes]
        memory.error[place] = rest


def _window(run: _Run, one: Statement, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Indices of a block pointer's elements and which of them are inside the array."""
    index = np.zeros((1,) * len(shape), np.int64)
    inside = np.ones((1,) * len(shape), bool)
    for axis in range(len(shape) - 1):
        place = [1] * len(shape)
        place[axis + 1] = shape[axis + 1]
        offset = lifted(run.value(one.args[1 + axis]).data.astype(np.int64), len(shape) - 1)
        at = offset + np.arange(shape[axis + 1]).reshape(place)
        index = index + at * run.program.number(one.more["strides"][axis])
        inside = inside & (at >= 0) & (at < run.program.number(one.more["extents"][axis]))
    return np.broadcast_to(index, shape), np.broadcast_to(inside, shape)


def _block_load(run: _Run, one: Statement) -> list[Value]:
    shape = _shape(run, one)
    index, inside = _window(run, one, shape)
    return [_read(run, str(one.args[0]), index, _lanes(run, shape, inside), 0)]


def _block_store(run: _Run, one: Statement) -> list[Value]:
    shape = (run.count, *run.program.size(one.more["shape"]))
    index, inside = _window(run, one, shape)
    _write(run, str(one.args[0]), index, _lanes(run, shape, inside), run.value(one.args[-1]))
    return []


_OTHERS: dict[str, Any] = {
    "pid": _pid, "tile": _tile, "full": _full, "scalar": _full, "guard": _guard, "finite": _finite, "cast": _cast,
    "bitcast": _bitcast, "sort": _sort, "topk": _topk, "atomic_old": _atomic_old, "histogram": _histogram,
    "reduce": _reduce, "scan": _scan, "dot": _dot,
    "load": _load, "store": _store, "atomic": _store, "block_load": _block_load, "block_store": _block_store,
} | dict.fromkeys(_MOVES, _moved)  # fmt: skip


# --- control ---------------------------------------------------------------------------------------------------------


def _assign(run: _Run, one: Statement) -> None:
    """A new value of a variable in the programs that are running."""
    var = one.out[0]
    shape = (run.count, *run.program.size(var.shape))
    new = run.value(one.args[0], np.empty(0, KINDS[var.kind].numpy))
    data = np.broadcast_to(lifted(new.data, len(var.shape)), shape)
    old = run.values.get(var.name)
    if old is None:
        run.values[var.name] = Value(data, new.error)
        return
    lanes = _lanes(run, shape, None)
    error = None
    if old.error is not None or new.error is not None:
        error = np.where(lanes, 0.0 if new.error is None else new.error, 0.0 if old.error is None else old.error)
    run.values[var.name] = Value(np.where(lanes, data, old.data), error)


def _if(run: _Run, one: Statement) -> None:
    before, taken = run.active, run.value(one.args[0]).data
    for body, mask in ((one.body, before & taken), (one.other, before & ~taken)):
        run.active = mask
        _block(run, body)
    run.active = before


def _for(run: _Run, one: Statement) -> None:
    before = run.active
    low, high, step = (run.value(arg).data.astype(np.int64) for arg in one.args)
    at = low.copy()
    for _ in range(_STEPS):
        run.active = before & (at < high)
        if not run.active.any():
            run.active = before
            return
        run.values[one.out[0].name] = Value(at.astype(np.int32))
        _block(run, one.body)
        at = at + step
    raise IllFormed("a loop of too many steps")


def _while(run: _Run, one: Statement) -> None:
    before = run.active
    for _ in range(_STEPS):
        run.active = run.active & (run.value(one.args[0]).data < run.value(one.args[1]).data)
        if not run.active.any():
            run.active = before
            return
        _block(run, one.body)
    raise IllFormed("a loop of too many steps")


def _return(run: _Run, one: Statement) -> None:
    run.active = run.active & ~run.value(one.args[0]).data


_CONTROL = {"assign": _assign, "if": _if, "for": _for, "while": _while, "return": _return}
