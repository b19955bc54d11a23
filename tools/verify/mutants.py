"""Mutants of the instruction table: one small change each to an encoding, a meaning or a timing.

A mutant changes the table's objects in place, so it lives in a process of its own (see `mutations`). What is changed
and what is not, for which reason, is said by the rules in `_sites` and in `mutants.toml`; `population` counts both.
"""

from __future__ import annotations

import dataclasses
import random
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import Any

from mtia.isa import table
from mtia.isa.chip import load_chip
from mtia.isa.lang import Fn, names
from mtia.isa.lang import tree as t
from mtia.isa.lang.names import boolean
from mtia.isa.lang.types import Scalar
from mtia.isa.operands import Operand
from mtia.isa.table import Instruction
from mtia.isa.xmtia.engines import timings
from mtia.runtime.machine import hart, hart_timing
from mtia.tools.verify.mutant_trees import Bounds, reached, show, unread

__all__ = [
    "ALONE", "FAST", "KINDS", "RANGE", "SHARED_CHANGES", "UNREAD", "Mutant", "draw", "population", "roots", "unused",
]  # fmt: skip

_OTHER = {
    "add": "sub", "sub": "add", "mul": "add", "div": "mod", "mod": "div", "and": "or", "or": "and", "xor": "or",
    "shl": "shr", "shr": "shl", "lt": "le", "le": "lt", "gt": "ge", "ge": "gt", "eq": "ne", "ne": "eq",
}  # fmt: skip
_INTRINSICS = {"ctz": "clz", "clz": "ctz", "floor": "ceil", "ceil": "floor", "rint": "trunc", "trunc": "rint"}
_ROUNDING = ("exact.py", "floats.py", "convert.py", "vfloat.py", "scalars.py", "functions.py", "elements.py")
_LANES = ("vector.py", "vmask.py", "vmerge.py", "vmemory.py", "vwide.py", "vfwide.py", "reduce.py", "tile.py")
# Handlers that one changed function may reach. What more of them share (exact rounding, conversions of units' operands,
# groups of registers) takes minutes to build anew for each change, and shows in hundreds of instructions.
_MANY = 48
_DIGITS = 48  # low bits of a wide constant of an approximation that are below its error

# Why a change is not made.
RANGE = "the bits in question are always zero, or nothing looks at them"
FAST = "the condition of a way that is only faster"
APPROXIMATION = "a digit of an approximation below its error"
NAN = "another NaN, where a NaN has no payload"
OUTSIDE = "a loop beyond its buffer, with what the compiler has put there"
ALONE = "shown in mutants.toml to change nothing"
UNREAD = "what a called function does not read"
MACHINE = "functions of the machine around the table, left out"
SHARED = f"functions that more than {_MANY} handlers share, left out"
SHARED_CHANGES = f"changes in functions that more than {_MANY} handlers share"


@dataclass(frozen=True)
class Mutant:
    """A change of the table: `apply` makes it; `changed` are the numbers of the functions whose native code is old."""

    kind: str
    row: str
    text: str
    apply: Callable[[], None]
    changed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Change:
    """One change at a place of a tree: its kind, its text, what makes it, and why it is not made ("" = it is)."""

    kind: str
    text: str
    apply: Callable[[], None]
    unless: str = ""


Put = Callable[[Any], None]  # takes what is to stand in a node's place


def _children(node: Any) -> Iterator[tuple[Put, Any]]:
    """The parts of a tree node, each with what puts another in its place."""
    if isinstance(node, list):
        for place, part in enumerate(node):
            yield partial(node.__setitem__, place), part
    elif is_dataclass(node):
        for field in fields(node):
            if field.name != "type":
                yield partial(setattr, node, field.name), getattr(node, field.name)


@cache
def roots() -> dict[str, dict[str, Fn]]:
    """The functions that the machine reaches by address, by row and by their names in the native libraries."""
    found: dict[str, dict[str, Fn]] = {row.name: {} for row in table.all()}
    for name, function in hart.functions().items():
        found.get(name.split(" ")[0], {})[name] = function
    clocks = timings()
    for row in table.all():
        if row.unit != "hart" and isinstance(row.meaning, Fn):
            found[row.name][f"meaning of {row.name}"] = row.meaning
        if row.name in clocks:
            found[row.name][f"timing of {row.name}"] = clocks[row.name]
    return found


@cache
def _users() -> dict[int, list[str]]:
    """The rows whose roots reach a function, each as often as it has such roots."""
    found: dict[int, list[str]] = {}
    for row, functions in roots().items():
        for function in functions.values():
            for number in reached(function):
                found.setdefault(number, []).append(row)
    return found


def _of_machine(function: Fn) -> bool:
    """Whether a function is the machine's: a handler around an instruction, or the way to memory (isa/state.py)."""
    return "/runtime/" in function.file or function.file.endswith("/isa/state.py")


def _of_table(function: Fn) -> bool:
    """Whether a function says what an instruction means or takes, and few enough use it."""
    return not _of_machine(function) and len(_users().get(function.number, ())) <= _MANY


def _place(function: Fn) -> str:
    return f"{function.name} ({function.file.rsplit('/', 1)[-1]})"


def _kind_of(function: Fn, general: str) -> str:
    file = function.file.rsplit("/", 1)[-1]
    if general in ("constant", "operator", "comparison"):
        if file in _ROUNDING:
            return "rounding"
        if file in _LANES:
            return "lanes"
    return general


def _constant(node: t.Const, above: Any, bounds: Bounds, function: Fn) -> Iterator[Change]:
    """Another value; of a large number one bit is another."""
    if node.type is boolean:
        yield Change("mask", "not a constant", lambda: setattr(node, "value", not node.value))
    elif node.type.is_int and isinstance(node.value, int):
        kind: Any = node.type
        seen = kind.width
        if isinstance(above, t.Binary) and above.op == "and":
            seen = min(bounds.bits(part) for part in (above.a, above.b) if part is not node)
        value, bits = node.value, range(node.value.bit_length()) if node.value > 64 else ()
        others = [(bit, value ^ 1 << bit) for bit in bits] or [(0, value + 1), (0, value - 1)]
        for bit, new in others:
            if kind.low <= new <= kind.high:
                unless = RANGE if bit >= seen else ""
                if isinstance(above, t.For) and (new < value if node is above.start else new > value):
                    unless = OUTSIDE
                if isinstance(above, t.Bitcast) and _is_nan(above.type, value) and _is_nan(above.type, new):
                    unless = NAN
                if kind.width == 64 and function.file.endswith("functions.py") and bits and bit < _DIGITS:
                    unless = APPROXIMATION
                text = f"{value:#x} → {new:#x}"
                yield Change("constant", text, partial(setattr, node, "value", new), unless)


def _is_nan(kind: Any, bits: int) -> bool:
    """Whether bits are a NaN of a floating-point type."""
    infinity = {"f16": 0x7C00, "bf16": 0x7F80, "f32": 0x7F80_0000, "f64": 0x7FF0_0000_0000_0000}.get(kind.name)
    return infinity is not None and bits & (1 << kind.width - 1) - 1 > infinity


def _flipped(kind: Scalar) -> Scalar:
    """The integer type of the same width and the other sign."""
    found: Scalar = getattr(names, f"{'u' if kind.signed else 'i'}{kind.width}")
    return found


def _signs(node: Any, put: Put, above: Any, bounds: Bounds) -> Iterator[Change]:
    """Take an integer with the other sign, or with half of its bits."""
    kind = node.a.type
    if not kind.is_int:
        return
    other = _flipped(kind)
    used, seen = bounds.bits(node.a), 64
    if isinstance(above, t.Binary) and above.op == "and":
        seen = min((bounds.bits(part) for part in (above.a, above.b) if part is not node), default=64)
    if isinstance(node, t.Convert) and node.type.is_int and node.type.size > kind.size:
        text = f"{kind} extended as {other}"
        unless = RANGE if used < kind.width or seen <= kind.width else ""
        yield Change("sign", text, lambda: setattr(node, "a", t.Convert(other, node.a)), unless)
    if isinstance(node, t.Convert) and 1 < node.type.size < kind.size and isinstance(node.type, Scalar):
        half: Any = getattr(names, f"{node.type.kind}{node.type.width // 2}", None)
        if half in (names.u8, names.u16, names.u32, names.i8, names.i16, names.i32):
            unless = RANGE if used < half.width + (not half.signed) or seen <= half.width else ""
            text = f"{node.type} → {half}"
            yield Change("width", text, lambda: put(t.Convert(node.type, t.Convert(half, node.a))), unless)
    if isinstance(node, (t.Binary, t.Compare)) and node.op in ("lt", "le", "gt", "ge", "shr", "div", "mod"):

        def apply() -> None:
            a, b = t.Convert(other, node.a), t.Convert(other, node.b)
            changed = t.Compare(boolean, node.op, a, b) if isinstance(node, t.Compare) else None
            put(changed or t.Convert(kind, t.Binary(other, node.op, a, b)))

        most = used if node.op == "shr" else max(used, bounds.bits(node.b))
        if node.op == "shr" and isinstance(above, t.Binary) and above.op == "and" and above.a is node:
            most = bounds.bits(above.b) + (node.b.value if isinstance(node.b, t.Const) else kind.width - 1) - 1
        yield Change("sign", f"{node.op} of {kind} as {other}", apply, RANGE if most < kind.width else "")


def _changes(node: Any, put: Put, above: Any, bounds: Bounds, function: Fn) -> Iterator[Change]:
    """What can be changed at one node of a tree, below the node `above`."""
    if isinstance(node, t.Const):
        yield from _constant(node, above, bounds, function)
    if isinstance(node, (t.Binary, t.Compare)) and node.op in _OTHER:
        kind, other = ("comparison" if isinstance(node, t.Compare) else "operator"), _OTHER[node.op]
        if node.a.type.is_int or node.op in ("add", "sub", "mul") or isinstance(node, t.Compare):
            if not (node.type.is_float and node.op in ("div", "mod")):
                yield Change(kind, f"{node.op} → {other}", lambda: setattr(node, "op", other))
    if isinstance(node, (t.Binary, t.Compare, t.Convert)):
        yield from _signs(node, put, above, bounds)
    if isinstance(node, t.Choose):
        swapped = t.Choose(node.type, node.cond, node.b, node.a, node.lazy)
        yield Change("mask", "choice swapped", lambda: put(swapped))
    if isinstance(node, t.Logic):
        op = {"and": "or", "or": "and"}[node.op]
        yield Change("mask", f"{node.op} → {op}", lambda: setattr(node, "op", op))
    if isinstance(node, t.If):
        yield Change("mask", "condition negated", lambda: setattr(node, "cond", t.Unary(boolean, "not", node.cond)))
    if isinstance(node, t.Unary):
        yield Change("operator", f"{node.op} left out", lambda: put(node.a))
    if isinstance(node, t.Intrinsic) and node.name in _INTRINSICS:
        other = _INTRINSICS[node.name]
        yield Change("rounding", f"{node.name} → {other}", partial(setattr, node, "name", other))


@cache
def _rules(kind: str) -> tuple[dict[str, Any], ...]:
    """The entries of a kind in `mutants.toml`."""
    return tuple(tomllib.loads((Path(__file__).parent / "mutants.toml").read_text()).get(kind, ()))


def _rule(kind: str, function: Fn, expression: str, change: str = "") -> dict[str, Any] | None:
    """The entry that speaks of an expression of a function and what is changed there."""
    where = _place(function)
    for rule in _rules(kind):
        if fnmatchcase(where, rule["where"]) and fnmatchcase(expression, rule["expression"]):
            if fnmatchcase(change, rule.get("change", "*")) and _only(function, rule.get("rows", "*")):
                rule["used"] = True
                return rule
    return None


def _only(function: Fn, rows: str) -> bool:
    """Whether all rows that reach a function have such names."""
    return rows == "*" or all(fnmatchcase(row, rows) for row in _users()[function.number])


@cache
def _sites(function: Fn) -> tuple[Change, ...]:
    """Every change of a function's tree, with the reason for those that are not made."""
    found: list[Change] = []
    bounds, where = Bounds(function), _place(function)
    queue: list[tuple[Put, Any, Any, str]] = [(_nowhere, function.body.statements, None, "")]
    while queue:
        put, node, above, unless = queue.pop()
        if isinstance(node, Fn) or not (isinstance(node, list) or is_dataclass(node)):
            continue
        text = show(node)
        guard = isinstance(node, t.Assign) or getattr(node, "type", None) is boolean
        fast = _rule("fast", function, text) if guard and not unless else None
        if fast is not None:
            unless = FAST
            if "always" in fast and not isinstance(node, t.Assign):
                what = f"{where}: `{_short(text)}`: always {fast['always']}"
                found.append(Change("mask", what, partial(put, t.Const(boolean, fast["always"]))))
        for change in _changes(node, put, above, bounds, function):
            why = unless or change.unless or (ALONE if _rule("same", function, text, change.text) else "")
            whole = isinstance(node, t.Const) or isinstance(above, (t.Assign, t.Store))
            if not why and whole and _rule("same", function, show(above), change.text):
                why = ALONE
            what = f"{where}: `{_short(show(above) if isinstance(node, t.Const) else text)}`: {change.text}"
            found.append(Change(_kind_of(function, change.kind), what, change.apply, why))
        around = above if isinstance(node, list) else node
        for to, part in _children(node):
            queue.append((to, part, around, unless or (UNREAD if unread(around, part) else "")))
    return tuple(found)


def _nowhere(part: Any) -> None:
    """Where the whole of a tree is."""


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}…"


def unused() -> list[str]:
    """Rules of `mutants.toml` that speak of no place: "where: expression"."""
    for functions in roots().values():
        for function in functions.values():
            for one in reached(function).values():
                if _of_table(one):
                    _sites(one)
    rules = (rule for kind in ("fast", "same") for rule in _rules(kind))
    return [f"{rule['where']}: {rule['expression']}" for rule in rules if not rule.get("used")]


def population() -> Counter[str]:
    """How many places the functions of the table have, and how many changes are not made, by reason."""
    functions = {n: f for found in roots().values() for root in found.values() for n, f in reached(root).items()}
    counts: Counter[str] = Counter()
    for function in functions.values():
        if _of_machine(function):
            counts[MACHINE] += 1
            continue
        shared = not _of_table(function)
        counts[SHARED if shared else "functions"] += 1
        for change in _sites(function):
            counts[SHARED_CHANGES if shared else change.unless or "changes"] += 1
    return counts


def _meaning(kind: str, row: Instruction, pick: random.Random) -> Mutant | None:
    """A change of a kind in the functions of a row: its meaning, or for `latency` an Xmtia command's timing."""
    prefix = "timing of" if kind == "latency" else ""
    functions = [f for name, f in roots()[row.name].items() if name.startswith(prefix) or not prefix]
    if kind != "latency":
        functions = [f for name, f in roots()[row.name].items() if not name.startswith("timing of")]
    places = [
        (function, change)
        for function in {n: f for root in functions for n, f in reached(root).items()}.values()
        if _of_table(function)
        for change in _sites(function)
        if kind in (change.kind, "latency") and not change.unless
    ]
    if not places:
        return None
    function, change = pick.choice(places)
    return Mutant(kind, row.name, change.text, change.apply, frozenset({function.number}))


def _bit(row: Instruction, pick: random.Random) -> Mutant:
    """Another value of one fixed bit of the encoding."""
    bit = 1 << pick.choice([n for n in range(8 * row.size) if row.mask >> n & 1 and n > 1])
    return Mutant(
        "bit", row.name, f"bit {bit.bit_length() - 1} of the encoding", lambda: _set(row, "match", row.match ^ bit)
    )


def _operand(row: Instruction, pick: random.Random) -> Mutant | None:
    """Two operands of one width in each other's place, or two pieces of an immediate."""
    pairs = [
        (a, b)
        for n, a in enumerate(row.operands)
        for b in row.operands[n + 1 :]
        if a.kind.register and b.kind.register and a.width == b.width
    ]
    if not pairs:
        return None
    a, b = pick.choice(pairs)

    def swapped(operand: Operand) -> Operand:
        other = {a.name: b, b.name: a}.get(operand.name)
        return operand if other is None else _with(operand, pieces=other.pieces)

    new = tuple(swapped(operand) for operand in row.operands)
    return Mutant("operand", row.name, f"{a.name} and {b.name} swapped", lambda: _set(row, "operands", new))


def _latency(row: Instruction, pick: random.Random) -> Mutant | None:
    """Another latency or rate of a hart's timing class, or a change of a command's timing function."""
    if row.unit != "hart":
        return _meaning("latency", row, pick)
    classes = hart_timing.TIMINGS
    if row.timing not in classes:
        return None
    vector = row.timing.startswith("v")
    same = [name for name in classes if name.startswith("v") == vector and _shows(row.timing, name)]
    if not same:
        return None
    other = pick.choice(sorted(same))
    text = f"timing class {row.timing} taken as {other}"
    return Mutant("latency", row.name, text, lambda: classes.__setitem__(row.timing, classes[other]))


@cache
def _shows(timing: str, other: str) -> bool:
    """Whether a timing class taken as another changes the latency of a result, or how long the next one waits."""
    own = hart_timing.TIMINGS[timing]
    for row in (row for row in table.all() if row.timing == timing and row.unit == "hart"):
        result = any(operand.writes for operand in row.operands)
        alone = hart_timing.is_vector(row) and hart_timing.groups_of(row).lonely  # one clock at any rate
        for chip in map(load_chip, ("mtia200", "mtia300")):
            one = hart_timing.timing_of(chip, row)
            hart_timing.TIMINGS[timing] = hart_timing.TIMINGS[other]
            two = hart_timing.timing_of(chip, row)
            hart_timing.TIMINGS[timing] = own
            if (one[1] != two[1] and not alone) or (result and one[0] != two[0]):
                return True
    return False


def _set(thing: Any, name: str, value: Any) -> None:
    """Set a field of a frozen object, and forget what was derived from it."""
    object.__setattr__(thing, name, value)
    for derived in ("by_name", "elements"):
        thing.__dict__.pop(derived, None)


def _with(operand: Operand, **changes: Any) -> Operand:
    return dataclasses.replace(operand, **changes)


KINDS = (
    "bit", "operand", "sign", "width", "operator", "comparison", "constant", "rounding", "mask", "lanes", "latency",
)  # fmt: skip


def draw(kind: str, pick: random.Random) -> Mutant:
    """A random mutant of a kind: a row that has one, then one of its changes."""
    special = {"bit": _bit, "operand": _operand, "latency": _latency}.get(kind)
    rows = table.all()
    while True:
        row = pick.choice(rows)
        found = special(row, pick) if special else _meaning(kind, row, pick)
        if found is not None:
            return found
