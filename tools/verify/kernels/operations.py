"""What a statement is: its text in Triton and the same in numpy, side by side.

In numpy a value has one leading axis, the programs of the grid. Beside inexact data stands a bound of its error.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mtia.tools.verify.kernels.kinds import KINDS, Kind
from mtia.tools.verify.kernels.program import Operand, Program, Statement, walk

__all__ = [
    "ELEMENTWISE",
    "FUNCTIONS",
    "MATH",
    "OPERATIONS",
    "Array",
    "Elementwise",
    "Value",
    "combined",
    "lifted",
    "source",
    "text",
]

Array = np.ndarray[Any, Any]


@dataclass
class Value:
    """Data of all programs, and how far the other side may be from it; None: it must be the same."""

    data: Array
    error: Array | None = None


def lifted(data: Array, rank: int) -> Array:
    """A scalar of each program as a block of extents 1; a block as it is."""
    return data.reshape(data.shape + (1,) * rank) if data.ndim == 1 else data


# --- elementwise -----------------------------------------------------------------------------------------------------

ErrorRule = Callable[[Kind, Array, Sequence[Array], Sequence[Any]], Any]


def _of_sum(kind: Kind, made: Array, data: Sequence[Array], errors: Sequence[Any]) -> Any:
    return sum(errors) + kind.roundoff * _size(made) + kind.tiny


def _of_product(kind: Kind, made: Array, data: Sequence[Array], errors: Sequence[Any]) -> Any:
    (a, b), (ea, eb) = map(_size, data), errors
    return a * eb + b * ea + ea * eb + kind.roundoff * _size(made) + kind.tiny


def _of_choice(kind: Kind, made: Array, data: Sequence[Array], errors: Sequence[Any]) -> Any:
    return np.where(data[0], errors[1], errors[2])


def _of_extreme(kind: Kind, made: Array, data: Sequence[Array], errors: Sequence[Any]) -> Any:
    return np.maximum(errors[0], errors[1])


def _same(kind: Kind, made: Array, data: Sequence[Array], errors: Sequence[Any]) -> Any:
    return errors[0]


def _size(data: Array) -> Array:
    return np.abs(data.astype(np.float64))


@dataclass(frozen=True)
class Elementwise:
    """An operation on elements: its expression, numpy's, the types it takes, how errors pass (None: they must not).

    `ulps` of its own make the result inexact; `result` is a type other than the operands'; with `cast` Triton gives
    another type than wanted. `sign` says that the sign of a zero result is not defined.
    """

    form: str
    value: Callable[..., Any]
    kinds: str = "iuf"
    error: ErrorRule | None = None
    ulps: float = 0
    result: str = ""
    cast: bool = False

    @property
    def operands(self) -> int:
        """How many operands it has."""
        return len({part for part in ("{0}", "{1}", "{2}") if part in self.form})


def _truncated(a: Array, b: Array) -> Array:
    down = a // b
    return np.asarray(down + ((a - down * b != 0) & ((a < 0) != (b < 0))).astype(a.dtype))


def _remainder(a: Array, b: Array) -> Array:
    return np.asarray(a - _truncated(a, b) * b)


def _high(a: Array, b: Array) -> Array:
    wide = a.astype(np.uint32).astype(np.uint64) * b.astype(np.uint32)
    return np.asarray((wide >> np.uint64(32)).astype(a.dtype))


def _fused(a: Array, b: Array, c: Array) -> Array:
    """Exact but for double rounding, which 64 bits of precision make as rare as one in 2**40."""
    wide = [x.astype(np.longdouble) for x in (a, b, c)]
    return np.asarray((wide[0] * wide[1] + wide[2]).astype(a.dtype))


def _clamp(x: Array, low: Array, high: Array) -> Array:
    return np.asarray(np.fmin(np.fmax(x, low), high))


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


_NAN = "propagate_nan=tl.PropagateNan.ALL"
ELEMENTWISE: dict[str, Elementwise] = {
    "add": Elementwise("{0} + {1}", np.add, error=_of_sum),
    "sub": Elementwise("{0} - {1}", np.subtract, error=_of_sum),
    "mul": Elementwise("{0} * {1}", np.multiply, error=_of_product),
    "neg": Elementwise("-{0}", np.negative, "if", error=_same),
    "abs": Elementwise("tl.abs({0})", np.abs, "if", error=_same),
    "div": Elementwise("{0} // {1}", _truncated, "iu"),
    "mod": Elementwise("{0} % {1}", _remainder, "iu"),
    "fmod": Elementwise("{0} % {1}", np.fmod, "fp32 fp64"),
    "cdiv": Elementwise("tl.cdiv({0}, {1})", lambda a, b: (a + b - a.dtype.type(1)) // b, "u"),
    "and": Elementwise("{0} & {1}", np.bitwise_and, "iub"),
    "or": Elementwise("{0} | {1}", np.bitwise_or, "iub"),
    "xor": Elementwise("{0} ^ {1}", np.bitwise_xor, "iub"),
    "not": Elementwise("~{0}", np.invert, "iub"),
    "shl": Elementwise("{0} << {1}", np.left_shift, "iu"),
    "shr": Elementwise("{0} >> {1}", np.right_shift, "iu"),
    "umulhi": Elementwise("tl.umulhi({0}, {1})", _high, "u32"),
    "lt": Elementwise("{0} < {1}", np.less, result="i1"),
    "le": Elementwise("{0} <= {1}", np.less_equal, result="i1"),
    "gt": Elementwise("{0} > {1}", np.greater, result="i1"),
    "ge": Elementwise("{0} >= {1}", np.greater_equal, result="i1"),
    "eq": Elementwise("{0} == {1}", np.equal, result="i1"),
    "ne": Elementwise("{0} != {1}", np.not_equal, result="i1"),
    "where": Elementwise("tl.where({0}, {1}, {2})", np.where, "iufb", error=_of_choice),
    "minimum": Elementwise("tl.minimum({0}, {1})", np.fmin, cast=True, error=_of_extreme),
    "maximum": Elementwise("tl.maximum({0}, {1})", np.fmax, cast=True, error=_of_extreme),
    "minimum_nan": Elementwise(f"tl.minimum({{0}}, {{1}}, {_NAN})", np.minimum, "f", cast=True, error=_of_extreme),
    "maximum_nan": Elementwise(f"tl.maximum({{0}}, {{1}}, {_NAN})", np.maximum, "f", cast=True, error=_of_extreme),
    "clamp": Elementwise("tl.clamp({0}, {1}, {2})", _clamp, "f", cast=True),
    "fma": Elementwise("tl.fma({0}, {1}, {2})", _fused, "fp32"),
    "div_rn": Elementwise("tl.div_rn({0}, {1})", np.divide, "fp32"),
    "sqrt_rn": Elementwise("tl.sqrt_rn({0})", np.sqrt, "fp32"),
    "floor": Elementwise("tl.floor({0})", np.floor, "fp32 fp64"),
    "ceil": Elementwise("tl.ceil({0})", np.ceil, "fp32 fp64"),
}  # fmt: skip
# Functions of small arguments; Triton promises a few units in the last place.
MATH: dict[str, Elementwise] = {
    "fdiv": Elementwise("{0} / {1}", np.divide, "f", ulps=2, cast=True),
    "sqrt": Elementwise("tl.sqrt(tl.abs({0}))", lambda x: np.sqrt(np.abs(x)), "fp32 fp64", ulps=2),
    "rsqrt": Elementwise("tl.rsqrt(tl.abs({0}) + 1.0)", lambda x: 1 / np.sqrt(np.abs(x) + 1), "fp32 fp64", ulps=4),
    "exp": Elementwise("tl.exp({0})", np.exp, "fp32 fp64", ulps=8),
    "exp2": Elementwise("tl.exp2({0})", np.exp2, "fp32 fp64", ulps=8),
    "log": Elementwise("tl.log(tl.abs({0}) + 2.0)", lambda x: np.log(np.abs(x) + 2), "fp32 fp64", ulps=8),
    "log2": Elementwise("tl.log2(tl.abs({0}) + 2.0)", lambda x: np.log2(np.abs(x) + 2), "fp32 fp64", ulps=8),
    "sin": Elementwise("tl.sin({0})", np.sin, "fp32 fp64", ulps=8),
    "cos": Elementwise("tl.cos({0})", np.cos, "fp32 fp64", ulps=8),
    "erf": Elementwise("tl.erf({0})", _erf, "fp32 fp64", ulps=8),
    "sigmoid": Elementwise("tl.sigmoid({0})", lambda x: 1 / (1 + np.exp(-x)), "fp32", ulps=12),
}  # fmt: skip
OPERATIONS = ELEMENTWISE | MATH


# --- combine functions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Combine:
    """A function that combines two values, or two tuples of them, for `tl.reduce` and `tl.associative_scan`."""

    source: str
    value: Callable[[tuple[Array, ...], tuple[Array, ...]], tuple[Array, ...]]
    width: int = 1
    commutes: bool = True
    kinds: str = "iu"


def _function(name: str, names: str, result: str, **more: Any) -> tuple[str, Combine]:
    """The function in both languages from one text, in which `max`, `abs` and `sel` stand for either's."""
    triton = result.replace("max(", "tl.maximum(").replace("abs(", "tl.abs(").replace("sel(", "tl.where(")
    source = f"@triton.jit\ndef {name}({names}):\n    return {triton}\n"
    tree = compile(ast.parse(f"({result},)", mode="eval"), name, "eval")
    given = [part.strip() for part in names.split(",")]
    width = len(given) // 2

    def value(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        made = eval(tree, {"max": np.maximum, "abs": np.abs, "sel": np.where}, dict(zip(given, (*a, *b), strict=True)))
        return tuple(made) if width == 1 else tuple(made[0])

    return name, Combine(source, value, width, **more)


_FIRST = "(sel(a0 < b0, b0, a0), sel((a0 < b0) | ((a0 == b0) & (b1 > a1)), b1, a1))"
FUNCTIONS: Mapping[str, Combine] = dict(
    (
        _function("combine_mul", "a, b", "a * b"),
        _function("combine_and", "a, b", "a & b"),
        _function("combine_or", "a, b", "a | b"),
        _function("combine_far", "a, b", "max(abs(a), abs(b))", kinds="f"),
        _function("combine_two", "a0, a1, b0, b1", "(a0 + b0, a1 ^ b1)"),
        _function("combine_first", "a0, a1, b0, b1", _FIRST),
        _function("combine_affine", "a0, a1, b0, b1", "(a0 * b0, a1 * b0 + b1)", commutes=False),
    )
)  # fmt: skip


def combined(name: str, parts: Sequence[Array], axis: int, reverse: bool = False) -> list[list[Array]]:
    """All partial results along an axis, from the first element on (from the last with `reverse`)."""
    function = FUNCTIONS[name].value
    count = parts[0].shape[axis]
    order = range(count - 1, -1, -1) if reverse else range(count)
    found: list[list[Array]] = []
    for place in order:
        item = tuple(part.take(place, axis) for part in parts)
        found.append(list(function(tuple(found[-1]), item) if found else item))
    return found[::-1] if reverse else found


# --- text ------------------------------------------------------------------------------------------------------------


def _name(program: Program, operand: Operand) -> str:
    number = program.number(operand)
    if isinstance(number, float) and not np.isfinite(number):
        return f'float("{number}")'
    return str(number)


def language(kind: str) -> str:
    """A type as Triton's language writes it."""
    return f"tl.{KINDS[kind].language}"


def _sizes(program: Program, shape: Any) -> str:
    return "[" + ", ".join(map(str, program.size(shape))) + "]"


def _tile(program: Program, one: Statement) -> str:
    """Offsets of a tile: the sum of a range times a stride for every dimension."""
    shape, terms = program.size(one.out[0].shape), []
    for place, (count, stride) in enumerate(zip(shape, one.more["strides"], strict=True)):
        index = ", ".join(":" if k == place else "None" for k in range(len(shape)))
        term = f"tl.arange(0, {count})" + (f"[{index}]" if len(shape) > 1 else "")
        number = program.number(stride)
        terms.append(term if number == 1 else f"{term} * {number}")
    return " + ".join(terms)


def _pid(program: Program, one: Statement) -> str:
    names = [f"tl.program_id({axis})" for axis in range(len(program.grid))]
    if len(names) == 1:
        return names[0]
    inner = names[1] if len(names) == 2 else f"({names[2]} * tl.num_programs(1) + {names[1]})"
    return f"{inner} * tl.num_programs(0) + {names[0]}"


def _reduce(program: Program, one: Statement, names: list[str]) -> str:
    how, axis = one.more["how"], one.more["axis"]
    keep = ", keep_dims=True" if one.more.get("keep") else ""
    if how == "function":
        values = names[0] if len(names) == 1 else f"({', '.join(names)})"
        return f"tl.reduce({values}, {axis}, {one.more['function']}{keep})"
    pair = ", return_indices=True" if len(one.out) == 2 else ""
    made = f"tl.{how}({names[0]}, {axis}{pair}{keep})"
    return made if len(one.out) == 2 else f"{made}.to({language(one.out[0].kind)})"


def _scan(program: Program, one: Statement, names: list[str]) -> str:
    how, axis, reverse = one.more["how"], one.more["axis"], one.more["reverse"]
    turned = ", reverse=True" if reverse else ""
    if how == "function":
        values = names[0] if len(names) == 1 else f"({', '.join(names)})"
        return f"tl.associative_scan({values}, {axis}, {one.more['function']}{turned})"
    return f"tl.{how}({names[0]}, {axis}{turned}).to({language(one.out[0].kind)})"


def _dot(program: Program, one: Statement, names: list[str]) -> str:
    kind = one.out[0].kind
    extra = f", {names[2]}" if len(names) == 3 else ""
    precision = one.more.get("precision", "ieee")
    return f'tl.dot({names[0]}, {names[1]}{extra}, input_precision="{precision}", out_dtype={language(kind)})'


def _block(program: Program, one: Statement, names: list[str]) -> str:
    """A block pointer of a whole array of which some rows and columns may be outside."""
    more, shape = one.more, program.size(one.out[0].shape if one.out else one.more["shape"])
    numbers = [[str(program.number(n)) for n in more[key]] for key in ("extents", "strides")]
    offsets = names[1 : 1 + len(shape)]
    if more.get("descriptor"):
        return _descriptor(one, names, numbers, shape)
    parts = [", ".join(part) for part in (*numbers, offsets, map(str, shape), map(str, more["order"]))]
    form = "tl.make_block_ptr({0}, shape=({1},), strides=({2},), offsets=({3},), block_shape=({4},), order=({5},))"
    pointer = form.format(names[0], *parts)
    if more.get("advance"):
        zeros = ", ".join("0" for _ in shape)
        pointer = f"tl.advance({pointer}, ({zeros},))"
    checked = ", ".join(str(n) for n in range(len(shape)))
    if not one.out:
        return f"tl.store({pointer}, {names[1 + len(shape)]}, boundary_check=({checked},))"
    return f'tl.load({pointer}, boundary_check=({checked},), padding_option="zero")'


def _descriptor(one: Statement, names: list[str], numbers: list[list[str]], shape: tuple[int, ...]) -> str:
    """The same through a tensor descriptor."""
    extents, strides, offsets = (", ".join(part) for part in (*numbers, names[1 : 1 + len(shape)]))
    made = f"tl.make_tensor_descriptor({names[0]}, [{extents}], [{strides}], {list(shape)})"
    return f"{made}.load([{offsets}])" if one.out else f"{made}.store([{offsets}], {names[1 + len(shape)]})"


def _load(program: Program, one: Statement, names: list[str]) -> str:
    mask = f", mask={names[2]}" if len(names) > 2 and names[2] != "None" else ""
    other = f", other={names[3]}" if len(names) > 3 and names[3] != "None" else ""
    return f"tl.load({names[0]} + {names[1]}{mask}{other})"


def _store(program: Program, one: Statement, names: list[str]) -> str:
    mask = f", mask={names[3]}" if len(names) > 3 and names[3] != "None" else ""
    call = f"tl.atomic_{one.more['how']}" if "how" in one.more else "tl.store"
    return f"{call}({names[0]} + {names[1]}, {names[2]}{mask})"


_GUARD = {True: "tl.where(({0} == 0) | ({0} == -1), 3, {0})", False: "tl.where({0} == 0, 3, {0})"}
_EXPRESSIONS: dict[str, Callable[[Program, Statement, list[str]], str]] = {
    "pid": lambda p, s, n: _pid(p, s),
    "tile": lambda p, s, n: _tile(p, s),
    "full": lambda p, s, n: f"tl.full({_sizes(p, s.out[0].shape)}, {n[0]}, {language(s.out[0].kind)})",
    "scalar": lambda p, s, n: f"tl.full([], {n[0]}, {language(s.out[0].kind)})",
    "guard": lambda p, s, n: _GUARD[s.more["both"]].format(n[0]),
    "finite": lambda p, s, n: "tl.where(({0} > -{1}) & ({0} < {1}), {0}, 0)".format(n[0], s.more["limit"]),
    "cast": lambda p, s, n: f"{n[0]}.to({language(s.out[0].kind)})",
    "bitcast": lambda p, s, n: f"{n[0]}.to({language(s.out[0].kind)}, bitcast=True)",
    "expand": lambda p, s, n: f"tl.expand_dims({n[0]}, {s.more['axis']})",
    "broadcast": lambda p, s, n: f"tl.broadcast_to({n[0]}, {_sizes(p, s.out[0].shape)})",
    "permute": lambda p, s, n: f"tl.permute({n[0]}, {list(s.more['order'])})",
    "trans": lambda p, s, n: f"tl.trans({n[0]})",
    "reshape": lambda p, s, n: f"tl.reshape({n[0]}, {_sizes(p, s.out[0].shape)})",
    "join": lambda p, s, n: f"tl.join({n[0]}, {n[1]})",
    "interleave": lambda p, s, n: f"tl.interleave({n[0]}, {n[1]})",
    "split": lambda p, s, n: f"tl.split({n[0]})",
    "flip": lambda p, s, n: f"tl.flip({n[0]}, {s.more['axis']})",
    "topk": lambda p, s, n: f"tl.topk({n[0]}, 2)",
    "atomic_old": _store,
    "sort": lambda p, s, n: f"tl.sort({n[0]}, descending={s.more['down']})",
    "cat": lambda p, s, n: f"tl.cat({n[0]}, {n[1]}, dim={s.more['axis']})",
    "gather": lambda p, s, n: f"tl.gather({n[0]}, {n[1]}, {s.more['axis']})",
    "histogram": lambda p, s, n: f"tl.histogram({n[0]}, {p.size(s.out[0].shape)[0]})",
    "reduce": _reduce,
    "scan": _scan,
    "dot": _dot,
    "load": _load,
    "block_load": _block,
    "assign": lambda p, s, n: n[0],
}  # fmt: skip


def text(program: Program, one: Statement) -> list[str]:
    """The lines of a statement; those of its blocks are not among them."""
    names = [_name(program, arg) for arg in one.args]
    if one.op == "for":
        kind = "tl.static_range" if one.more.get("static") else "range"
        return [f"for {one.out[0]} in {kind}({', '.join(names)}):"]
    if one.op == "while":
        return [f"while {names[0]} < {names[1]}:"]
    if one.op == "if":
        return [f"if {names[0]}:"]
    if one.op == "return":
        return [f"if {names[0]}:", "    return"]
    if one.op in ("store", "atomic"):
        return [_store(program, one, names)]
    if one.op == "block_store":
        return [_block(program, one, names)]
    row = OPERATIONS.get(one.op)
    if row is not None:
        made = row.form.format(*names)
        if row.cast:
            made = f"({made}).to({language(one.out[0].kind)})"
    else:
        made = _EXPRESSIONS[one.op](program, one, names)
    return [f"{', '.join(str(var) for var in one.out)} = {made}"]


def source(program: Program, name: str = "kernel") -> str:
    """The text of a program's kernel, with the combine functions it uses in front."""
    lines = [f"def {name}({', '.join(program.arguments())}):"]

    def block(statements: tuple[Statement, ...], depth: int) -> None:
        space = "    " * depth
        for one in statements:
            lines.extend(space + line for line in text(program, one))
            for part, head in ((one.body, None), (one.other, "else:")):
                if head and part:
                    lines.append(space + head)
                if part or (one.op in ("for", "while", "if") and head is None):
                    block(part, depth + 1)
        if not statements:
            lines.append(space + "pass")

    block(program.body, 1)
    named = [one.more["function"] for one in walk(program.body) if "function" in one.more]
    front = "".join(FUNCTIONS[function].source + "\n\n" for function in dict.fromkeys(named))
    return f"{front}@triton.jit\n" + "\n".join(lines) + "\n"
