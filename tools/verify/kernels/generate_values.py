"""What the generator of programs works with: the values in scope, and what is known of each."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from mtia.tools.verify.kernels.kinds import FLOATS, INTEGERS, KINDS
from mtia.tools.verify.kernels.program import (
    Operand,
    Pointer,
    Shape,
    Statement,
    Var,
    extent,
)

__all__ = ["COMPARISONS", "Values", "fits", "kinds_of"]

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
_KEEPS = (
    "neg", "abs", "where", "minimum", "maximum", "minimum_nan", "maximum_nan", "clamp", "floor", "ceil", "and", "or",
)  # fmt: skip


def kinds_of(letters: str) -> tuple[str, ...]:
    """The types of an operation: `i`, `u`, `f` and `b` are classes, anything else names of types."""
    if set(letters) <= set("iufb"):
        groups = {"i": INTEGERS[:4], "u": INTEGERS[4:], "f": FLOATS, "b": ("i1",)}
        return tuple(name for letter in letters for name in groups[letter])
    return tuple(letters.split())


def fits(shape: Shape, target: Shape) -> bool:
    """Whether a value of a shape is broadcast to another."""
    if not shape:
        return True
    return len(shape) == len(target) and all(a in (b, ()) for a, b in zip(shape, target, strict=True))


class Values(ABC):
    """The statements so far and their values."""

    limit: int  # elements of a value
    dims: dict[str, int]
    grid: tuple[int, ...]
    options: dict[str, Any]
    shapes: list[Shape]
    kinds: list[str]
    flavour: str
    pid: Var

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

    def count(self, shape: Shape) -> int:
        """Elements of a shape."""
        return math.prod(extent(self.dims, one) for one in shape)

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
            return self.emit(pick.choice(COMPARISONS), "i1", shape, source, 0)
        return self.load(kind, shape)

    @abstractmethod
    def load(self, kind: str, shape: Shape) -> Var:
        """A load in one of many ways."""

    @abstractmethod
    def convert(self, var: Var, to: str) -> Var:
        """The value in another type; a float that becomes an integer is kept in the integer's range."""

    @abstractmethod
    def step(self) -> None:
        """One random production."""

    def partner(self, var: Var, exact: bool = False, literal: bool = True) -> Operand | Var:
        """A second operand for a value: of the same type, and of its shape or one that is broadcast to it."""
        pick = self.pick
        if literal and pick.random() < 0.2 and var.kind != "i1":
            return self.literal(var.kind)
        found = [
            other
            for other in self.visible(kind=var.kind)
            if fits(other.shape, var.shape) and (other.exact or not exact) and other is not self.pid
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
        terms = [arg.terms for arg in known if arg.terms is not None] if op == "add" and bound is None else []
        return {
            "more": {"terms": terms},
            "exact": exact and not fused and not terms,
            "bound": bound,
            "finite": finite,
            "product": self.options["enable_fp_fusion"]
            and kind == "fp32"
            and (op == "mul" or (op == "neg" and any(arg.product for arg in known))),
        }

    def keeps(self, var: Var) -> dict[str, Any]:
        """The properties of a value that moving its elements keeps."""
        return {
            "exact": var.exact, "bound": var.bound, "finite": var.finite, "product": var.product, "plain": var.plain,
            "terms": var.terms,
        }  # fmt: skip

    def argument(self) -> Var:
        """A scalar argument."""
        kind = self.pick.choice(("i32", "i32", "i64"))
        same = [name for name, (other, _) in self.scalars.items() if other == kind]
        if same and self.pick.random() < 0.5:
            return Var(self.pick.choice(same), kind)
        name = f"n{len(self.scalars)}"
        self.scalars[name] = (kind, self.pick.randint(0, 6))
        return Var(name, kind)

    def programs(self) -> int:
        """Programs of the grid."""
        return math.prod(self.grid)

    def condition(self) -> Var:
        """A scalar condition: of the program's number, of an argument, or of data."""
        pick = self.pick
        way = pick.choice(("odd", "below", "argument", "data"))
        if way == "odd":
            part = self.emit("and", "i32", (), self.pid, 1)
            return self.emit(pick.choice(("eq", "ne")), "i1", (), part, 0)
        if way == "argument":
            return self.emit(pick.choice(COMPARISONS), "i1", (), self.argument(), pick.randint(0, 4))
        found = [v for v in self.visible(shape=(), exact=True) if v.kind in INTEGERS + FLOATS and v is not self.pid]
        if way == "data" and found:
            return self.emit(pick.choice(COMPARISONS), "i1", (), pick.choice(found), pick.randint(0, 4))
        return self.emit("lt", "i1", (), self.pid, pick.randint(0, self.programs()))
