"""Random well-formed Triton programs.

Undefined behaviour is not generated: divisors are kept from zero (and −1), shifts below the width, floats that become
integers in their range; a load whose mask has no `other` is followed by the choice of another value. Where sides may
differ by rounding a value is `inexact`, and nothing that could jump is computed from it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from mtia.tools.verify.kernels.kinds import FLOATS, INTEGERS, KINDS, POOL, WHOLE
from mtia.tools.verify.kernels.operations import ELEMENTWISE, FUNCTIONS, MATH
from mtia.tools.verify.kernels.program import (
    Extent,
    Operand,
    Pointer,
    Program,
    Shape,
    Size,
    Statement,
    Var,
    extent,
    walk,
)

__all__ = ["generate"]

_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_LONG, _SHORT = (8, 16, 16, 32, 32, 64, 128), (1, 2, 4, 8, 16)
_DOT_KINDS = ("fp16", "fp16", "bf16", "fp32", "i8")
_SUM_KINDS = {"i8": "i32", "i16": "i32", "u8": "u32", "u16": "u32"}


def generate(seed: int) -> Program:
    """The program of a seed."""
    return _Maker(seed).program()


def _names(letters: str) -> tuple[str, ...]:
    """The types of an operation: `i`, `u`, `f` and `b` are classes, anything else names of types."""
    if set(letters) <= set("iufb"):
        groups = {"i": INTEGERS[:4], "u": INTEGERS[4:], "f": FLOATS, "b": ("i1",)}
        return tuple(name for letter in letters for name in groups[letter])
    return tuple(letters.split())


class _Maker:
    """Makes one program, statement after statement."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.pick = random.Random(f"kernels {seed}")
        self.pointers: dict[str, Pointer] = {}
        self.scalars: dict[str, tuple[str, int | float]] = {}
        self.blocks: list[list[Statement]] = [[]]
        self.scopes: list[list[Var]] = [[]]
        self.used: set[str] = set()
        self.number = 0
        self.in_place: list[tuple[str, Var, str | None, Var]] = []  # pointer, index, mask, loaded value
        self.depth = 0

    # --- the program -----------------------------------------------------------------------------------------------

    def program(self) -> Program:
        """The whole program."""
        pick = self.pick
        many = pick.random() < 0.12
        self.limit = 128 if many else pick.choice((64, 512, 1024, 2048, 4096))
        self.dims = {"A": pick.choice(_LONG), "B": pick.choice(_SHORT), "C": pick.choice(_SHORT + _LONG), "D": 2}
        self.grid = self._grid(many)
        self.options = self._options()
        self.shapes = self._shapes()
        self.kinds = pick.sample(INTEGERS + FLOATS * 3, 3)
        self.flavour = pick.choice(("whole", "normal", "wide", "special", "mixed", "mixed"))
        self.pid = self.emit("pid", "i32", (), bound=None)
        self.used.add(self.pid.name)
        if pick.random() < 0.05:
            self.blocks[-1].append(Statement("return", args=(self.condition().name,)))
        for _ in range(pick.choice((2, 4, 6, 8, 12, 16, 24, 36))):
            self.step()
        self.finish()
        body = tuple(self.blocks[0])
        return Program(self.dims, self.grid, self.pointers, self.scalars, body, self.options, self.seed)

    def _grid(self, many: bool) -> tuple[int, ...]:
        pick = self.pick
        if many:
            return pick.choice(((pick.randint(65, 300),), (pick.randint(5, 40), pick.randint(4, 9)), (5, 7, 6)))
        rank = pick.choice((1, 1, 1, 2, 2, 3))
        return tuple(pick.randint(1, 5 if rank == 1 else 3) for _ in range(rank))

    def _options(self) -> dict[str, Any]:
        pick = self.pick
        return {
            "target": pick.choice(("mtia200", "mtia300", "mtia300")),
            "use_dual_core": pick.random() < 0.8,
            "cb_multiplier": pick.choice((1, 1, 1, 2)),
            "hart_only": pick.random() < 0.08,
            "enable_fp_fusion": pick.random() < 0.25,
            "aligned": pick.random() < 0.6,
        }

    def _shapes(self) -> list[Shape]:
        """A few shapes that the program works on."""
        names: list[Extent] = [("A",), ("B",), ("C",), ("D",)]
        found: list[Shape] = []
        while len(found) < 3:
            rank = self.pick.choice((1, 1, 2, 2, 2, 3, 4))
            shape = tuple(self.pick.sample(names, rank))
            if self.count(shape) <= self.limit:
                found.append(shape)
            elif rank == 1:
                self.dims["A"] = self.dims["C"] = 8
        return found

    def count(self, shape: Shape) -> int:
        """Elements of a shape."""
        return math.prod(extent(self.dims, one) for one in shape)

    def step(self) -> None:
        """One random production."""
        made = self.pick.choices(
            (
                self.elementwise, self.compare, self.choose, self.cast, self.function, self.load_one, self.reshape,
                self.broadcast, self.reduce, self.scan, self.dot, self.arrange, self.control, self.atomic,
            ),
            (30, 7, 7, 9, 6, 9, 10, 6, 9, 3, 3, 4, 6 if self.depth < 2 else 0, 2),
        )[0]  # fmt: skip
        made()

    # --- statements and values -------------------------------------------------------------------------------------

    def emit(self, op: str, kind: str, shape: Shape, *args: Operand | Var, **flags: Any) -> Var:
        """Add a statement with one result."""
        more = flags.pop("more", {})
        self.number += 1
        var = Var(f"v{self.number}", kind, shape, **flags)
        self.add(Statement(op, (var,), self.names(args), more))
        self.scopes[-1].append(var)
        return var

    def names(self, args: Sequence[Operand | Var]) -> tuple[Operand, ...]:
        self.used |= {arg.name for arg in args if isinstance(arg, Var)}
        return tuple(arg.name if isinstance(arg, Var) else arg for arg in args)

    def add(self, one: Statement) -> None:
        """Add a statement to the current block."""
        self.blocks[-1].append(one)

    def visible(self, **wanted: Any) -> list[Var]:
        """The values in scope whose fields are as wanted; a tuple of names for `kind` means one of them."""
        found = [var for scope in self.scopes for var in scope]
        for key, value in wanted.items():
            if key == "kind" and isinstance(value, tuple):
                found = [var for var in found if var.kind in value]
            else:
                found = [var for var in found if getattr(var, key) == value]
        return found

    def value(self, kinds: tuple[str, ...] = (), exact: bool = False, shape: Shape | None = None) -> Var:
        """A value of one of some types: one in scope, or a new one that is loaded."""
        pick = self.pick
        wanted: dict[str, Any] = {"kind": kinds} if kinds else {}
        if exact:
            wanted["exact"] = True
        if shape is not None:
            wanted["shape"] = shape
        found = [var for var in self.visible(**wanted) if var is not self.pid and (kinds or var.kind in KINDS)]
        found = [var for var in found if not var.kind.startswith("fp8")]
        if found and pick.random() < 0.85:
            return pick.choice(found[-6:] if pick.random() < 0.7 else found)
        usual = [kind for kind in self.kinds if not kinds or kind in kinds]
        kind = pick.choice(usual or kinds or INTEGERS)
        shape = shape if shape is not None else pick.choice(self.shapes)
        if kind == "i1":
            source = self.load(pick.choice(("i32", "fp32", "i8")), shape)
            return self.emit(pick.choice(_COMPARISONS), "i1", shape, source, 0)
        return self.load(kind, shape)

    def partner(self, var: Var, exact: bool = False, literal: bool = True) -> Operand | Var:
        """A second operand for a value: of the same type, and of its shape or one that is broadcast to it."""
        pick = self.pick
        if literal and pick.random() < 0.2 and var.kind != "i1":
            return self.literal(var.kind)
        found = [
            other
            for other in self.visible(kind=var.kind)
            if _fits(other.shape, var.shape) and (other.exact or not exact) and other is not self.pid
        ]
        if found and pick.random() < 0.8:
            return pick.choice(found)
        return self.value((var.kind,), exact, var.shape)

    def literal(self, kind: str) -> int | float:
        """A small number that every type of its class holds."""
        if KINDS[kind].precision:
            return self.pick.choice((0.5, 1.0, 2.0, -1.5, 3.0, -0.25))
        return self.pick.randint(1, 20) * (self.pick.choice((1, -1)) if kind.startswith("i") else 1)

    def tame(self, var: Var, limit: float) -> Var:
        """The value with zeros in place of what is not a number below a limit."""
        if var.finite and var.bound is not None and var.bound < limit:
            return var
        flags = {"exact": var.exact, "finite": True}
        return self.emit("finite", var.kind, var.shape, var, more={"limit": float(limit)}, **flags)

    def numbers(self, var: Var) -> Var:
        """The value without NaN and infinity."""
        return var if var.finite or not KINDS[var.kind].precision else self.tame(var, 60000.0)

    def result(self, op: str, kind: str, operands: Sequence[Operand | Var]) -> dict[str, Any]:
        """Exactness and range of the result of an operation on elements."""
        known = [arg for arg in operands if isinstance(arg, Var) and arg.kind != "i1"]
        floating = KINDS[kind].precision > 0
        bounds = [
            arg.bound
            if isinstance(arg, Var)
            else abs(arg)
            if isinstance(arg, int | float) and arg == int(arg)
            else None
            for arg in operands
            if not (isinstance(arg, Var) and arg.kind == "i1")
        ]
        bound: float | None = None
        if floating and bounds and None not in bounds:
            sizes = [float(b) for b in bounds if b is not None]
            rules: dict[str, Callable[[list[float]], float]] = {"add": sum, "sub": sum, "mul": math.prod}
            rule = rules.get(op, max if op in _KEEPS else None)
            bound = float(rule(sizes)) if rule else None
            if bound is not None and bound > 2.0 ** KINDS[kind].precision:
                bound = None
        exact = all(arg.exact for arg in known)
        fused = floating and op in ("add", "sub") and bound is None and any(arg.product for arg in known)
        finite = not floating or bound is not None or (op in _KEEPS and all(arg.finite for arg in known))
        return {
            "exact": exact and not fused,
            "bound": bound,
            "finite": finite,
            "product": self.options["enable_fp_fusion"]
            and kind == "fp32"
            and (op == "mul" or (op == "neg" and any(arg.product for arg in known))),
        }

    # --- productions -----------------------------------------------------------------------------------------------

    def elementwise(self) -> None:
        """An operation of the table."""
        pick = self.pick
        name = pick.choice([n for n, row in ELEMENTWISE.items() if row.result == "" and n != "where"])
        row = ELEMENTWISE[name]
        kinds = _names(row.kinds)
        usual = [kind for kind in self.kinds if kind in kinds]
        exact = row.error is None
        first = self.value(tuple(usual) if usual and pick.random() < 0.8 else kinds, exact)
        operands: list[Operand | Var] = [first]
        if name in ("clamp",):
            low = pick.randint(-8, 3)
            operands = [self.numbers(first), float(low), float(low + pick.randint(0, 9))]
        elif name in ("shl", "shr"):
            operands.append(self.shift(first))
        elif name in ("div", "mod"):
            operands.append(self.divisor(first))
        elif name == "cdiv":
            operands = [self.emit("and", first.kind, first.shape, first, 63), pick.randint(1, 9)]
        elif name == "div_rn":
            operands.append(self.divisor(first))
        else:
            operands += [self.partner(first, exact) for _ in range(row.operands - 1)]
        var = operands[0]
        assert isinstance(var, Var)
        self.emit(name, var.kind, var.shape, *operands, **self.result(name, var.kind, operands))

    def shift(self, var: Var) -> Operand | Var:
        """An amount below the width."""
        bits = KINDS[var.kind].bits
        if self.pick.random() < 0.5:
            return self.pick.randint(0, bits - 1)
        amount = self.partner(var, literal=False)
        assert isinstance(amount, Var)
        return self.emit("and", amount.kind, amount.shape, amount, bits - 1)

    def divisor(self, var: Var) -> Operand | Var:
        """A number that is not zero, and of signed integers not −1."""
        if self.pick.random() < 0.4:
            return self.pick.randint(2, 17) if not KINDS[var.kind].precision else self.pick.choice((0.75, -3.0, 8.0))
        other = self.partner(var, exact=True, literal=False)
        assert isinstance(other, Var)
        both = KINDS[var.kind].signed and not KINDS[var.kind].precision
        return self.emit(
            "guard", other.kind, other.shape, other, more={"both": both}, exact=other.exact, finite=other.finite
        )

    def compare(self) -> None:
        """A comparison of exact values."""
        first = self.value(INTEGERS + FLOATS, exact=True)
        self.emit(self.pick.choice(_COMPARISONS), "i1", first.shape, first, self.partner(first, exact=True))

    def choose(self) -> None:
        """`tl.where`."""
        first = self.value(INTEGERS + FLOATS)
        found = [var for var in self.visible(kind="i1") if _fits(var.shape, first.shape)]
        mask = self.pick.choice(found) if found else self.value(("i1",), shape=first.shape)
        operands: list[Operand | Var] = [mask, first, self.partner(first)]
        if self.pick.random() < 0.5:
            operands = [mask, operands[2], first]
        self.emit("where", first.kind, first.shape, *operands, **self.result("where", first.kind, operands))

    def cast(self) -> None:
        """A conversion, or a reinterpretation of the bits."""
        pick = self.pick
        first = self.value(INTEGERS + FLOATS + ("i1",))
        kind = KINDS[first.kind]
        if pick.random() < 0.2 and first.exact and (not kind.precision and first.kind != "i1" or first.plain):
            same = [k.name for k in KINDS.values() if k.bits == kind.bits and k.name not in (kind.name, "i1")]
            same = [name for name in same if not name.startswith("fp8")]
            to = pick.choice(same or ["u8"])
            self.emit("bitcast", to, first.shape, first, finite=not KINDS[to].precision, plain=True)
            return
        to = pick.choice(self.kinds if pick.random() < 0.6 else INTEGERS + FLOATS + ("i1",))
        self.convert(first, to)

    def convert(self, var: Var, to: str) -> Var:
        """The value in another type; a float that becomes an integer is kept in the integer's range."""
        source, target = KINDS[var.kind], KINDS[to]
        if to == var.kind:
            return var
        if target.precision and source.precision:
            if (source.name, to) == ("fp64", "bf16"):
                var, source = self.convert(var, "fp32"), KINDS["fp32"]
            whole = var.bound is not None and var.bound <= 2.0**target.precision
            bound = var.bound if whole else None
            finite = var.finite and (bound is not None or target.precision >= source.precision and to != "fp16")
            return self.emit("cast", to, var.shape, var, exact=var.exact, bound=bound, finite=finite)
        if target.precision:
            if source.bits * (to in ("fp16", "bf16")) > 16:
                var = self.emit("and", var.kind, var.shape, var, 127)
            bound = 127.0 if var.kind in ("i1", "i8", "u8") and target.precision > 8 else None
            return self.emit("cast", to, var.shape, var, bound=bound, finite=to != "fp16" or source.bits < 16)
        if not var.exact:
            return var
        if source.precision and to != "i1":
            least = 0.0 if to.startswith("u") else -100.0
            var = self.tame(var, 100.0)
            if least == 0.0:
                var = self.emit("abs", var.kind, var.shape, var, exact=var.exact, finite=True)
        return self.emit("cast", to, var.shape, var)

    def function(self) -> None:
        """A function that sides compute differently in the last places."""
        pick = self.pick
        name = pick.choice(list(MATH))
        row = MATH[name]
        kinds = _names(row.kinds)
        usual = tuple(kind for kind in self.kinds if kind in kinds)
        first = self.tame(self.value(usual or kinds, exact=True), 8.0)
        operands: list[Operand | Var] = [first]
        if row.operands == 2:
            operands.append(self.divisor(first))
        if first.exact and all(not isinstance(arg, Var) or arg.exact for arg in operands):
            self.emit(name, first.kind, first.shape, *operands, exact=False)

    # --- memory ----------------------------------------------------------------------------------------------------

    def load_one(self) -> None:
        """A load of a usual type and shape."""
        kinds = self.kinds + ["fp8e5", "fp8e4nv"] * (self.pick.random() < 0.1)
        kind = self.pick.choice(kinds)
        shape = () if self.pick.random() < 0.12 else self.pick.choice(self.shapes)
        made = self.load(kind, shape)
        if kind.startswith("fp8"):
            self.convert(made, self.pick.choice(("fp16", "fp32")))

    def pointer(self, kind: str, flavour: str = "") -> str:
        """An input array: a new one, or one that is there."""
        pick = self.pick
        if not flavour:
            flavour = self.flavour if self.flavour != "mixed" else pick.choice(("whole", "normal", "wide", "special"))
        if not KINDS[kind].precision and flavour != "whole":
            flavour = "wide"
        if kind.startswith("fp8"):
            flavour = "whole" if flavour == "whole" else "normal"
        same = [n for n, p in self.pointers.items() if p.kind == kind and p.flavour == flavour and n[0] == "x"]
        same = [n for n in same if not self.pointers[n].written]
        if same and pick.random() < 0.4:
            return pick.choice(same)
        name = f"x{len(self.pointers)}"
        self.pointers[name] = Pointer(kind, flavour, pick.randrange(POOL))
        return name

    def tile(
        self, shape: Shape, order: Sequence[int] | None = None, pad: int = 0, step: int = 1
    ) -> tuple[list[Size], Size]:
        """Strides of a tile whose dimensions lie in memory in an order, and the elements from tile to tile."""
        strides: list[Size] = [Size((), step)] * len(shape)
        inner: Extent = ()
        for number, axis in enumerate(reversed(order if order is not None else range(len(shape)))):
            extra = pad if number else 0
            strides[axis] = Size(inner, step, extra if inner else 0)
            inner = tuple(sorted(inner + shape[axis]))
        gap = self.pick.choice((0, 0, 0, 0, 1, 16))
        return strides, Size(inner, (step + pad) * (1 + (pad > 0)), 16 * pad + gap)

    def index(self, shape: Shape, shared: bool, order: Sequence[int] | None = None, pad: int = 0, step: int = 1) -> Var:
        """Offsets of this program's tile, or of one that all programs share."""
        if not shape:
            return self.pid
        strides, room = self.tile(shape, order, pad, step)
        at = self.emit("tile", "i32", shape, more={"strides": strides})
        if shared:
            return at
        base = self.emit("mul", "i32", (), self.pid, room)
        return (
            self.emit("add", "i32", shape, base, at)
            if self.pick.random() < 0.5
            else self.emit("add", "i32", shape, at, base)
        )

    def load(self, kind: str, shape: Shape) -> Var:
        """A load in one of many ways."""
        pick = self.pick
        name = self.pointer(kind)
        flags = self.loaded(name)
        if shape and pick.random() < 0.15:
            return self.emit("block_load", kind, shape, *self.window(name, shape), more=self.layout(shape), **flags)
        order = list(range(len(shape)))
        if pick.random() < 0.2:
            pick.shuffle(order)
        way = pick.choice(("tile", "tile", "tile", "tile", "shared", "strided", "padded", "modulo", "gather", "turned"))
        if not shape:
            way = "tile"
        at = self.index(
            shape, way in ("shared", "gather"), order, pick.randint(1, 5) * (way == "padded"), 1 + (way == "strided")
        )
        if way == "modulo":
            at = self.emit("mod", "i32", shape, at, pick.choice((7, 16, 33, 100, Size(shape[-1], 1, 0, 1))))
        elif way == "gather":
            at = self.gathered(shape)
        elif way == "turned":
            at = self.emit("sub", "i32", shape, Size((), 1, 20000), at)
        made = self.masked(name, kind, shape, at, flags)
        plain = way == "tile" and not self.pointers[name].written and shape and len(self.blocks) == 1
        if plain and not any(entry[0] == name for entry in self.in_place):
            self.in_place.append((name, at, None, made))
        return made

    def loaded(self, name: str) -> dict[str, Any]:
        """What is known of values from an array."""
        pointer = self.pointers[name]
        whole = pointer.flavour == "whole" and KINDS[pointer.kind].precision > 0
        return {
            "bound": float(WHOLE) if whole else None,
            "finite": pointer.flavour != "special",
            "plain": pointer.flavour in ("normal", "wide"),
        }

    def gathered(self, shape: Shape) -> Var:
        """Offsets that come from memory or from a computed integer."""
        found = [v for v in self.visible(shape=shape) if v.kind in ("i32", "i64", "u32", "i16") and v.exact]
        source = self.pick.choice(found) if found and self.pick.random() < 0.6 else None
        if source is None:
            name = self.pointer(self.pick.choice(("i32", "i64")), "wide")
            at = self.index(shape, False)
            source = self.emit("load", self.pointers[name].kind, shape, name, at)
        return self.emit("and", source.kind, shape, source, self.pick.choice((15, 127, 1023)))

    def masked(self, name: str, kind: str, shape: Shape, at: Var, flags: dict[str, Any]) -> Var:
        """A load with or without a mask; without `other` the elements that are left out get another value."""
        pick = self.pick
        mask = self.mask(shape, at) if shape and pick.random() < 0.5 else None
        if mask is None:
            return self.emit("load", kind, shape, name, at, **flags)
        other: Operand | Var = None
        if pick.random() < 0.8 and not kind.startswith("fp8"):
            other = self.literal(kind) if flags["bound"] is None else float(pick.randint(-3, 3))
            if not KINDS[kind].precision:
                other = self.literal(kind)
            elif pick.random() < 0.1 and flags["bound"] is None:
                other = pick.choice((float("inf"), float("-inf"), float("nan")))
                flags = {**flags, "finite": False, "plain": False}
        if kind.startswith("fp8"):
            return self.emit("load", kind, shape, name, at, **flags)
        made = self.emit("load", kind, shape, name, at, mask, other, **flags)
        if other is not None:
            return made
        rest = 1 if not KINDS[kind].precision else 1.0
        return self.emit("where", kind, shape, mask, made, rest, **flags)

    def mask(self, shape: Shape, at: Var) -> Var | None:
        """A condition on elements: of the offset, of rows and columns, or of data."""
        pick = self.pick
        found = [var for var in self.visible(kind="i1") if var.shape == shape]
        if found and pick.random() < 0.4:
            return pick.choice(found)
        if at.kind != "i32":
            return None
        if pick.random() < 0.6:
            names = tuple(sorted(name for one in shape for name in one))
            limit = Size(names, pick.randint(1, 2), -pick.randint(0, 9), 1)
            return self.emit("lt", "i1", shape, at, limit)
        axis = pick.randrange(len(shape))
        strides = [Size((), 1) if n == axis else Size((), 0) for n in range(len(shape))]
        row = self.emit("tile", "i32", shape, more={"strides": strides})
        return self.emit(
            pick.choice(("lt", "gt", "ne")), "i1", shape, row, Size(shape[axis], 1, -pick.randint(0, 3), 0)
        )

    def window(self, name: str, shape: Shape) -> list[Operand | Var]:
        """A block pointer's operands: the array, and an offset in every dimension."""
        offsets: list[Operand | Var] = []
        for axis, one in enumerate(shape):
            if axis == 0 and self.pick.random() < 0.8:
                offsets.append(self.emit("mul", "i32", (), self.pid, Size(one)))
            else:
                offsets.append(self.pick.choice((0, 0, 1, 3)))
        return [name, *offsets]

    def layout(self, shape: Shape) -> dict[str, Any]:
        """Extents, strides and order of the whole array of a block pointer; its last rows and columns are missing."""
        pick = self.pick
        order = list(range(len(shape)))
        if pick.random() < 0.25:
            pick.shuffle(order)
        strides, _ = self.tile(shape, order, 0)
        outer = order[0]
        extents = []
        for axis, one in enumerate(shape):
            rows = pick.randint(1, self.programs()) if axis == outer == 0 else 1
            extents.append(Size(one, rows, -pick.choice((0, 0, 1, 3)), 1))
        return {
            "extents": extents, "strides": strides, "order": tuple(reversed(order)), "shape": shape,
            "advance": pick.random() < 0.2,
        }  # fmt: skip

    def programs(self) -> int:
        """Programs of the grid."""
        return math.prod(self.grid)

    def atomic(self) -> None:
        """An atomic whose result does not depend on the order of programs."""
        pick = self.pick
        kind = pick.choice(("i32", "i32", "u32", "i64", "fp32"))
        value = self.value((kind,), exact=True)
        how = pick.choice(("add", "max", "min", "and", "or", "xor"))
        if kind == "fp32":
            if value.bound is None or value.bound > 64:
                return
            how = "add"
        name = f"a{len(self.pointers)}"
        self.pointers[name] = Pointer(kind, "whole", pick.randrange(POOL), written=True)
        at = self.index(value.shape, shared=True) if value.shape else self.emit("mod", "i32", (), self.pid, 3)
        if value.shape and pick.random() < 0.4:
            at = self.emit("mod", "i32", value.shape, at, pick.choice((1, 3, 8)))
        mask = self.mask(value.shape, at) if value.shape and pick.random() < 0.4 else None
        args = (name, at, value) if mask is None else (name, at, value, mask)
        self.add(Statement("atomic", (), self.names(args), {"how": how}))

    # --- shapes ----------------------------------------------------------------------------------------------------

    def keeps(self, var: Var) -> dict[str, Any]:
        """The properties of a value that moving its elements keeps."""
        return {
            "exact": var.exact, "bound": var.bound, "finite": var.finite, "product": var.product, "plain": var.plain,
        }  # fmt: skip

    def reshape(self) -> None:
        """A change of shape, or two values that become one or the other way round."""
        pick = self.pick
        var = self.value()
        shape, rank = var.shape, len(var.shape)
        keeps = self.keeps(var)
        if rank and shape[-1] == ("2",) and rank > 1 and pick.random() < 0.8:
            names = [replace(var, name=f"v{self.number + n}", shape=shape[:-1]) for n in (1, 2)]
            self.number += 2
            self.add(Statement("split", tuple(names), self.names([var])))
            self.scopes[-1] += names
            return
        way = pick.choice(("reshape", "permute", "trans", "join", "interleave", "cat", "flip", "expand"))
        if way in ("join", "interleave", "cat") and rank and 2 * self.count(shape) <= self.limit:
            self.pair(way, var)
        elif way == "permute" and rank > 1:
            order = list(range(rank))
            pick.shuffle(order)
            self.emit("permute", var.kind, tuple(shape[n] for n in order), var, more={"order": order}, **keeps)
        elif way == "trans" and rank == 2:
            self.emit("trans", var.kind, shape[::-1], var, **keeps)
        elif way == "flip" and rank:
            self.emit("flip", var.kind, shape, var, more={"axis": pick.randrange(rank)}, **keeps)
        elif way == "expand" and 0 < rank < 4:
            axis = pick.randrange(rank + 1)
            self.emit("expand", var.kind, (*shape[:axis], (), *shape[axis:]), var, more={"axis": axis}, **keeps)
        elif way == "reshape" and rank:
            new = self.regrouped(shape)
            self.emit("reshape", var.kind, new, var, **keeps)

    def regrouped(self, shape: Shape) -> Shape:
        """Another shape of as many elements."""
        pick = self.pick
        names = [name for one in shape for name in one]
        if pick.random() < 0.5:
            pick.shuffle(names)
        parts: list[Extent] = []
        for name in names:
            if parts and pick.random() < 0.5:
                parts[-1] = tuple(sorted((*parts[-1], name)))
            else:
                parts.append((name,))
        while len(parts) > 4:
            parts[-2:] = [tuple(sorted(parts[-2] + parts[-1]))]
        return tuple(parts) or ((),)

    def pair(self, way: str, var: Var) -> None:
        """Two values of a type and shape in one."""
        other = self.value((var.kind,), shape=var.shape)
        made = self.result("where", var.kind, [var, other])
        made["product"] = var.product or other.product
        shape = var.shape
        if way == "join":
            self.emit("join", var.kind, (*shape, ("2",)), var, other, **made)
        elif way == "interleave":
            self.emit("interleave", var.kind, (*shape[:-1], tuple(sorted((*shape[-1], "2")))), var, other, **made)
        else:
            axis = self.pick.randrange(len(shape))
            grown = tuple(sorted((*shape[axis], "2")))
            more = {"axis": axis}
            self.emit("cat", var.kind, (*shape[:axis], grown, *shape[axis + 1 :]), var, other, more=more, **made)

    def broadcast(self) -> None:
        """A value repeated: a scalar, a vector that gets a dimension, or a dimension of one."""
        pick = self.pick
        target = pick.choice([shape for shape in self.shapes if len(shape) > 1] or self.shapes)
        var = self.value()
        if _fits(var.shape, target):
            self.emit("broadcast", var.kind, target, var, **self.keeps(var))
            return
        if len(target) != 2:
            return
        axis = pick.randrange(2)
        line = self.value(shape=(target[1 - axis],))
        wide = self.emit("expand", line.kind, _with(line.shape, axis), line, more={"axis": axis}, **self.keeps(line))
        if pick.random() < 0.4:
            self.emit("broadcast", line.kind, target, wide, **self.keeps(line))
        else:
            first = self.value((line.kind,), shape=target)
            row = pick.choice(
                [n for n in ("add", "mul", "sub", "maximum") if line.kind in _names(ELEMENTWISE[n].kinds)] or [""]
            )
            if row:
                operands = [first, wide] if pick.random() < 0.5 else [wide, first]
                self.emit(row, line.kind, target, *operands, **self.result(row, line.kind, operands))

    # --- whole dimensions ------------------------------------------------------------------------------------------

    def reduce(self) -> None:
        """A reduction of one dimension or of all."""
        pick = self.pick
        var = self.ranked(INTEGERS + FLOATS)
        if var is None:
            return
        axis: int | None = pick.randrange(len(var.shape))
        whole = _SUM_KINDS.get(var.kind, var.kind)
        floating = KINDS[var.kind].precision > 0
        ways = ["sum", "sum", "max", "min", "argmax", "argmin", "function"] + ["xor_sum", "pair"] * (not floating)
        how = pick.choice(ways)
        if how == "function":
            self.fold("reduce", var, axis)
            return
        keep = pick.random() < 0.25
        if how in ("sum", "max", "min") and pick.random() < 0.2:
            axis, keep = None, False
        shape = () if axis is None else (
            _with(_without(var.shape, axis), axis) if keep else _without(var.shape, axis)
        )  # fmt: skip
        more = {"how": how, "axis": axis, "keep": keep}
        if how == "sum":
            terms = self.count(var.shape if axis is None else (var.shape[axis],))
            bound = None if var.bound is None else var.bound * terms
            if bound is not None and bound > 2.0 ** KINDS[var.kind].precision:
                bound = None
            exact = not floating or (var.exact and bound is not None)
            self.emit(
                "reduce",
                whole,
                shape,
                var,
                more=more,
                exact=exact,
                bound=bound,
                finite=bound is not None or not floating,
            )
            return
        if not var.exact:
            return
        var = self.numbers(var)
        if how == "pair":
            more["how"] = pick.choice(("max", "min"))
            if axis is None or var.kind not in ("i32", "i64", "u32"):
                return
            outs = [Var(f"v{self.number + 1}", var.kind, shape), Var(f"v{self.number + 2}", "i32", shape)]
            self.number += 2
            self.add(Statement("reduce", tuple(outs), self.names([var]), more))
            self.scopes[-1] += outs
            return
        kind = "i32" if how.startswith("arg") else var.kind
        self.emit(
            "reduce",
            kind,
            shape,
            var,
            more=more,
            bound=var.bound if floating and kind == var.kind else None,
            finite=True,
        )

    def ranked(self, kinds: tuple[str, ...], exact: bool = False) -> Var | None:
        """A value that has dimensions."""
        var = self.value(kinds, exact)
        return var if var.shape else None

    def fold(self, op: str, var: Var, axis: int | None, reverse: bool = False) -> None:
        """A reduction or scan with a function of the program's own."""
        pick = self.pick
        floating = KINDS[var.kind].precision > 0
        names = [n for n, f in FUNCTIONS.items() if ("f" in f.kinds) == floating and (f.commutes or op == "scan")]
        if not var.exact or not names or var.kind in ("bf16",):
            return
        name = pick.choice(names)
        parts = [self.numbers(var)]
        if FUNCTIONS[name].width == 2:
            parts.append(self.value((var.kind,), exact=True, shape=var.shape))
        shape = var.shape if op == "scan" or axis is None else _without(var.shape, axis)
        outs = [Var(f"v{self.number + n + 1}", var.kind, shape) for n in range(len(parts))]
        self.number += len(outs)
        more = {"how": "function", "axis": axis, "function": name, "reverse": reverse}
        self.add(Statement(op, tuple(outs), self.names(parts), more))
        self.scopes[-1] += outs

    def scan(self) -> None:
        """An associative scan."""
        pick = self.pick
        var = self.ranked(INTEGERS + ("fp32", "fp64"))
        if var is None:
            return
        axis, reverse = pick.randrange(len(var.shape)), pick.random() < 0.3
        how = pick.choice(("cumsum", "cumsum", "cumprod", "function"))
        if how == "function":
            self.fold("scan", var, axis, reverse)
            return
        more = {"how": how, "axis": axis, "reverse": reverse}
        if not KINDS[var.kind].precision:
            kind = _SUM_KINDS.get(var.kind, var.kind) if how == "cumsum" else var.kind
            self.emit("scan", kind, var.shape, var, more=more)
        elif how == "cumsum":
            bound = None if var.bound is None else var.bound * self.count((var.shape[axis],))
            if bound is not None and bound > 2.0 ** KINDS[var.kind].precision:
                bound = None
            exact = var.exact and bound is not None
            self.emit("scan", var.kind, var.shape, var, more=more, exact=exact, bound=bound, finite=bound is not None)

    def dot(self) -> None:
        """A matrix product, with an accumulator at times, and of a batch at times."""
        pick = self.pick
        names: list[Extent] = [("A",), ("B",), ("C",)]
        m, k, n = (pick.choice(names) for _ in range(3))
        kind = pick.choice(_DOT_KINDS)
        batch: Shape = (("D",),) if pick.random() < 0.15 else ()
        if max(self.count((*batch, m, k)), self.count((*batch, k, n)), self.count((*batch, m, n))) > max(
            self.limit, 1024
        ):
            return
        flavour = "whole" if pick.random() < 0.4 else "normal"
        sides = []
        for shape in ((*batch, m, k), (*batch, k, n)):
            name = self.pointer(kind, flavour)
            order = list(range(len(shape)))
            if pick.random() < 0.2:
                order[-2:] = order[:-3:-1]
            at = self.index(shape, pick.random() < 0.3, order)
            sides.append(self.emit("load", kind, shape, name, at, **self.loaded(name)))
        into = "i32" if kind == "i8" else "fp32"
        bound = None if kind == "i8" or flavour == "normal" else float(WHOLE * WHOLE * self.count((k,)))
        args: list[Operand | Var] = list(sides)
        exact = kind == "i8" or bound is not None
        if pick.random() < 0.4:
            found = self.visible(kind=into, shape=(*batch, m, n))
            start = pick.choice(found) if found else self.emit("full", into, (*batch, m, n), 2, bound=2.0)
            args.append(start)
            exact = exact and start.exact and (kind == "i8" or start.bound is not None)
            bound = None if bound is None or start.bound is None else bound + start.bound
        self.emit(
            "dot", into, (*batch, m, n), *args, exact=exact, bound=bound if exact else None, finite=bound is not None
        )

    def arrange(self) -> None:
        """Sorting, counting, picking by index."""
        pick = self.pick
        way = pick.choice(("sort", "histogram", "gather"))
        if way == "sort":
            var = self.ranked(("i16", "i32", "i64", "u32", "fp32", "fp16"), exact=True)
            if var is not None:
                var = self.numbers(var)
                self.emit(
                    "sort", var.kind, var.shape, var, more={"down": pick.random() < 0.5}, bound=var.bound, finite=True
                )
        elif way == "histogram":
            var = self.ranked(("i32", "u32"))
            if var is not None and len(var.shape) == 1:
                bins = self.emit("and", var.kind, var.shape, var, 7)
                self.emit("histogram", "i32", (("2", "2", "2"),), bins)
        else:
            source = self.ranked(INTEGERS + FLOATS)
            if source is not None and source.shape[0]:
                at = self.emit("tile", "i32", source.shape, more={"strides": [Size((), 3)] * len(source.shape)})
                axis = pick.randrange(len(source.shape))
                at = self.emit("mod", "i32", source.shape, at, Size(source.shape[axis]))
                self.emit("gather", source.kind, source.shape, source, at, more={"axis": axis}, **self.keeps(source))

    # --- control ---------------------------------------------------------------------------------------------------

    def condition(self) -> Var:
        """A scalar condition: of the program's number, of an argument, or of data."""
        pick = self.pick
        way = pick.choice(("odd", "below", "argument", "data"))
        if way == "odd":
            part = self.emit("and", "i32", (), self.pid, 1)
            return self.emit(pick.choice(("eq", "ne")), "i1", (), part, 0)
        if way == "argument":
            return self.emit(pick.choice(_COMPARISONS), "i1", (), self.argument(), pick.randint(0, 4))
        found = [v for v in self.visible(shape=(), exact=True) if v.kind in INTEGERS + FLOATS and v is not self.pid]
        if way == "data" and found:
            return self.emit(pick.choice(_COMPARISONS), "i1", (), pick.choice(found), pick.randint(0, 4))
        return self.emit("lt", "i1", (), self.pid, pick.randint(0, self.programs()))

    def argument(self) -> Var:
        """A scalar argument."""
        kind = self.pick.choice(("i32", "i32", "i64"))
        same = [name for name, (other, _) in self.scalars.items() if other == kind]
        if same and self.pick.random() < 0.5:
            return Var(self.pick.choice(same), kind)
        name = f"n{len(self.scalars)}"
        self.scalars[name] = (kind, self.pick.randint(0, 6))
        return Var(name, kind)

    def control(self) -> None:
        """A loop or a branch with values that it changes."""
        pick = self.pick
        way = pick.choice(("for", "for", "while", "if", "if"))
        carried = [self.carry() for _ in range(pick.randint(1, 3))]
        self.depth += 1
        if way == "if":
            condition = self.condition()
            self.used.add(condition.name)
            body = self.block(carried, [])
            other = self.block(carried, []) if pick.random() < 0.6 else ()
            self.add(Statement("if", (), (condition.name,), {}, body, other))
        elif way == "for":
            self.number += 1
            index = Var(f"i{self.number}", "i32")
            bounds = self.bounds()
            body = self.block(carried, [index])
            self.add(Statement("for", (index,), self.names(bounds), {}, body))
        else:
            self.loop(carried)
        self.depth -= 1
        self.scopes[-1] += carried

    def bounds(self) -> list[Operand | Var]:
        """First, end and step of a loop."""
        pick = self.pick
        way = pick.choice(("number", "argument", "step", "data"))
        if way == "argument":
            return [0, self.argument(), 1]
        if way == "step":
            return [pick.randint(-3, 3), pick.randint(2, 9), pick.randint(2, 4)]
        found = [var for var in self.visible(kind="i32", shape=(), exact=True) if var is not self.pid]
        if way == "data" and found:
            return [0, self.emit("and", "i32", (), pick.choice(found), 3), 1]
        return [0, pick.randint(1, 5), 1]

    def carry(self) -> Var:
        """A variable that blocks may change, with its first value."""
        first = self.value(INTEGERS + FLOATS)
        self.number += 1
        var = Var(f"c{self.number}", first.kind, first.shape, exact=first.exact, finite=not KINDS[first.kind].precision)
        self.used.add(first.name)
        self.add(Statement("assign", (var,), (first.name,)))
        return var

    def block(
        self, carried: Sequence[Var], more: Sequence[Var], last: Sequence[Statement] = ()
    ) -> tuple[Statement, ...]:
        """Some statements that end with new values of what is carried."""
        self.blocks.append([])
        self.scopes.append([*carried, *more])
        for _ in range(self.pick.choice((1, 2, 3, 5))):
            self.step()
        for var in carried:
            found = self.visible(kind=var.kind, shape=var.shape)
            found = [new for new in found if new.exact or not var.exact]
            new = self.pick.choice([v for v in found if v is not var] or found)
            if new is not var:
                self.add(Statement("assign", (var,), self.names([new])))
        for one in last:
            self.add(one)
        self.scopes.pop()
        return tuple(self.blocks.pop())

    def loop(self, carried: Sequence[Var]) -> None:
        """A `while` loop that counts."""
        pick = self.pick
        self.number += 1
        counter = Var(f"c{self.number}", "i32")
        self.add(Statement("assign", (counter,), (pick.randint(0, 3),)))
        step = Var(f"s{self.number}", "i32")
        count = Statement("add", (step,), (counter.name, pick.randint(1, 3)))
        again = Statement("assign", (counter,), (step.name,))
        limit = self.argument() if pick.random() < 0.4 else pick.randint(2, 8)
        limits = self.names([limit])
        body = self.block(carried, [replace(counter)], [count, again])
        self.add(Statement("while", (), (counter.name, *limits), {}, body))

    # --- the end ---------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Store what nothing has used, at least one value."""
        pick = self.pick
        left = [v for v in self.scopes[0] if v.name not in self.used and not v.kind.startswith("fp8")]
        pick.shuffle(left)
        for var in left[:5] or [self.value()]:
            self.store(var)

    def store(self, var: Var) -> None:
        """Store a value where no other program writes."""
        pick = self.pick
        if var.kind == "i1":
            var = self.emit("cast", "i8", var.shape, var)
        elif pick.random() < 0.04 and var.kind in ("fp32", "fp16") and var.bound is not None and var.bound <= 200:
            var = self.emit("cast", pick.choice(("fp8e5", "fp8e4nv")), var.shape, var, exact=var.exact)
        entry = next((e for e in self.in_place if e[3].kind == var.kind and e[3].shape == var.shape), None)
        if entry is not None and pick.random() < 0.3:
            self.over(entry, var)
            return
        name = f"o{len(self.pointers)}"
        self.pointers[name] = Pointer(var.kind, "whole", pick.randrange(POOL), written=True)
        if var.shape and pick.random() < 0.12:
            args = self.window(name, var.shape)
            first = var.shape[0]
            args[1] = self.emit("mul", "i32", (), self.pid, Size(first))
            layout = self.layout(var.shape)
            strides, _ = self.tile(var.shape)
            layout |= {"strides": strides, "order": tuple(reversed(range(len(var.shape))))}
            layout["extents"][0] = Size(first, self.programs(), -pick.choice((0, 1)), 1)
            args[2:] = [0] * (len(args) - 2)
            self.add(Statement("block_store", (), self.names([*args, var]), layout))
            return
        order = list(range(len(var.shape)))
        if pick.random() < 0.2:
            pick.shuffle(order)
        at = self.index(var.shape, False, order, pad=pick.randint(1, 3) * (pick.random() < 0.15))
        mask = self.mask(var.shape, at) if var.shape and pick.random() < 0.3 else None
        self.add(Statement("store", (), self.names((name, at, var) if mask is None else (name, at, var, mask))))

    def over(self, entry: tuple[str, Var, str | None, Var], var: Var) -> None:
        """Store in place of what was loaded, and perhaps load it again."""
        name, at, _, _ = entry
        self.in_place.remove(entry)
        if sum(name in one.args for one in walk(tuple(self.blocks[0]))) > 1:
            return  # another load, perhaps of another program's elements
        self.pointers[name] = replace(self.pointers[name], written=True)
        self.add(Statement("store", (), self.names((name, at, var))))
        if self.pick.random() < 0.3 and var.exact:
            again = self.emit("load", var.kind, var.shape, name, at, finite=False)
            self.store(again)


_KEEPS = (
    "neg", "abs", "where", "minimum", "maximum", "minimum_nan", "maximum_nan", "clamp", "floor", "ceil", "and", "or",
)  # fmt: skip


def _fits(shape: Shape, target: Shape) -> bool:
    """Whether a value of a shape is broadcast to another."""
    if not shape:
        return True
    return len(shape) == len(target) and all(a in (b, ()) for a, b in zip(shape, target, strict=True))


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _with(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], (), *shape[axis:])
