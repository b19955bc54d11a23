"""The typed tree between the front end and the two emitters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .types import Type

if TYPE_CHECKING:
    from .function import Fn


@dataclass(slots=True)
class Expr:
    """An expression with its type."""

    type: Type


@dataclass(slots=True)
class Const(Expr):
    """A scalar constant; for a vector type, the constant in every lane."""

    value: Any


@dataclass(slots=True)
class Var(Expr):
    """A parameter or local variable."""

    name: str


@dataclass(slots=True)
class Binary(Expr):
    """`op` is one of add sub mul div mod and or xor shl shr, on two operands of the node's type."""

    op: str
    a: Expr
    b: Expr


@dataclass(slots=True)
class Compare(Expr):
    """`op` is one of eq ne lt le gt ge."""

    op: str
    a: Expr
    b: Expr


@dataclass(slots=True)
class Unary(Expr):
    """`op` is neg, inv (bitwise) or not (boolean)."""

    op: str
    a: Expr


@dataclass(slots=True)
class Convert(Expr):
    """A value conversion between scalar types, or lane-wise between vectors."""

    a: Expr


@dataclass(slots=True)
class Bitcast(Expr):
    """The same bits as another type: float to and from unsigned, pointer to and from u64."""

    a: Expr


@dataclass(slots=True)
class Choose(Expr):
    """A choice by a boolean; `lazy` evaluates only the chosen side."""

    cond: Expr
    a: Expr
    b: Expr
    lazy: bool


@dataclass(slots=True)
class Logic(Expr):
    """Short-circuit `and` or `or`."""

    op: str
    a: Expr
    b: Expr


@dataclass(slots=True)
class Intrinsic(Expr):
    """An operation known to both emitters by name; `extra` holds compile-time operands."""

    name: str
    args: list[Expr]
    extra: Any = None


@dataclass(slots=True)
class Load(Expr):
    """The value in memory at an address."""

    addr: Expr


@dataclass(slots=True)
class Offset(Expr):
    """A pointer plus index times scale, plus a constant, in bytes."""

    base: Expr
    index: Expr | None
    scale: int
    const: int


@dataclass(slots=True)
class Call(Expr):
    """A call of another function of the language."""

    fn: Fn
    args: list[Expr]


@dataclass(slots=True)
class CallPtr(Expr):
    """A call through a function pointer."""

    target: Expr
    args: list[Expr]


@dataclass(slots=True)
class FnAddr(Expr):
    """The address of a function."""

    fn: Fn


@dataclass(slots=True)
class LocalArray(Expr):
    """Zeroed stack memory of the enclosing function."""

    bytes: int


class Stmt:
    """A statement."""

    __slots__ = ()


@dataclass(slots=True)
class Assign(Stmt):
    """Set a local variable."""

    name: str
    value: Expr


@dataclass(slots=True)
class Store(Stmt):
    """Write a value to memory."""

    addr: Expr
    value: Expr


@dataclass(slots=True)
class Eval(Stmt):
    """Evaluate for the effect."""

    value: Expr


@dataclass(slots=True)
class If(Stmt):
    """A two-way branch."""

    cond: Expr
    then: list[Stmt]
    other: list[Stmt]


@dataclass(slots=True)
class While(Stmt):
    """A loop while the condition holds."""

    cond: Expr
    body: list[Stmt]


@dataclass(slots=True)
class For(Stmt):
    """`for name in range(start, stop, step)`, with a constant step."""

    name: str
    start: Expr
    stop: Expr
    step: int
    body: list[Stmt]


@dataclass(slots=True)
class Break(Stmt):
    """Leave the innermost loop."""


@dataclass(slots=True)
class Continue(Stmt):
    """Next iteration of the innermost loop."""


@dataclass(slots=True)
class Return(Stmt):
    """Return a value, or nothing."""

    value: Expr | None


@dataclass(slots=True)
class TailReturn(Stmt):
    """Return what the target returns, reusing this frame; the target is a function or a function pointer."""

    target: Fn | Expr
    args: list[Expr]


@dataclass(slots=True)
class Body:
    """A checked function: parameter names, the types of all variables and the statements."""

    params: list[str]
    variables: dict[str, Type]
    statements: list[Stmt]
