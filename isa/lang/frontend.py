"""The front end: the syntax tree of a function's source to the typed tree, with errors at file and line."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import UserError
from . import tree as t
from .expressions import BINARY, Expressions, Place, Static
from .function import Fn
from .names import Intrinsic, boolean, u64, unroll, void
from .types import FnPtrType, Type, VecType

__all__ = ["check_body", "check_signature"]


def check_signature(function: Fn) -> tuple[list[tuple[str, Type]], Type]:
    """The parameters and the result type that the annotations declare."""
    node, checker = function.definition, Checker(function)
    spec = node.args
    if spec.vararg or spec.kwarg or spec.kwonlyargs or spec.posonlyargs or spec.defaults:
        checker.fail(node, "only plain parameters without defaults")
    params = []
    for arg in spec.args:
        if arg.annotation is None:
            checker.fail(arg, f"parameter {arg.arg!r} needs a type")
        params.append((arg.arg, checker.type_of(arg.annotation)))
    result = void if node.returns is None else checker.type_of(node.returns)
    return params, result


def check_body(function: Fn) -> t.Body:
    """The typed tree of a function."""
    checker = Checker(function)
    node = function.definition
    checker.variables.update(function.params)
    statements = checker.block(node.body)
    if function.result is not void and not terminates(statements):
        checker.fail(node, f"{function.name} can end without returning a {function.result.name}")
    return t.Body([name for name, _ in function.params], checker.variables, statements)


def terminates(statements: list[t.Stmt]) -> bool:
    """Whether control never leaves the end of a block."""
    for statement in statements:
        if isinstance(statement, (t.Return, t.TailReturn)):
            return True
        if isinstance(statement, t.If) and terminates(statement.then) and terminates(statement.other):
            return True
        if isinstance(statement, t.While) and isinstance(statement.cond, t.Const) and not _breaks(statement.body):
            return True
    return False


def _breaks(statements: list[t.Stmt]) -> bool:
    for statement in statements:
        if isinstance(statement, t.Break):
            return True
        if isinstance(statement, t.If) and (_breaks(statement.then) or _breaks(statement.other)):
            return True
    return False


class Checker(Expressions):
    """Checks one function: statements here, expressions in the base class."""

    def __init__(self, function: Fn) -> None:
        super().__init__()
        self.function = function
        self.loops: list[str] = []

    def fail(self, node: ast.AST, message: str) -> NoReturn:
        raise UserError(message, self.function.file, getattr(node, "lineno", None), getattr(node, "col_offset", 0) + 1)

    def lookup(self, name: str) -> Any:
        return self.function.lookup(name)

    def type_of(self, node: ast.expr) -> Type:
        """The type an annotation names."""
        if isinstance(node, ast.Constant) and node.value is None:
            return void
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        found = self.expr(node)
        if not isinstance(found, Static) or not isinstance(found.value, Type):
            self.fail(node, f"{ast.unparse(node)} is not a type")
        return found.value

    def block(self, nodes: Sequence[ast.stmt]) -> list[t.Stmt]:
        """Check statements in order; what follows a terminating statement is dropped."""
        out: list[t.Stmt] = []
        for node in nodes:
            method = getattr(self, f"stmt_{type(node).__name__}", None)
            if method is None:
                self.fail(node, f"{type(node).__name__} is not in the language")
            out.extend(method(node))
        return out

    def stmt_Pass(self, node: ast.Pass) -> list[t.Stmt]:
        return []

    def stmt_Expr(self, node: ast.Expr) -> list[t.Stmt]:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return []
        found = self.expr(node.value)
        if isinstance(found, Static):
            return []
        return [t.Eval(self.rvalue(found, node))]

    def stmt_Assert(self, node: ast.Assert) -> list[t.Stmt]:
        found = self.expr(node.test)
        if not isinstance(found, Static):
            self.fail(node, "assert takes a compile-time condition")
        if not found.value:
            self.fail(node, f"assertion failed: {ast.unparse(node.test)}")
        return []

    def stmt_Assign(self, node: ast.Assign) -> list[t.Stmt]:
        if len(node.targets) != 1:
            self.fail(node, "one target at a time")
        return self.assign(node.targets[0], node.value, node)

    def stmt_AnnAssign(self, node: ast.AnnAssign) -> list[t.Stmt]:
        kind = self.type_of(node.annotation)
        if not isinstance(node.target, ast.Name):
            self.fail(node, "only a variable takes a type")
        self.declare(node.target.id, kind, node)
        if node.value is None:
            return []
        return [t.Assign(node.target.id, self.value(node.value, kind))]

    def declare(self, name: str, kind: Type, node: ast.AST) -> None:
        """Give a variable its type, or check it against the one it has."""
        if kind is void:
            self.fail(node, f"{name} would hold no value")
        known = self.variables.setdefault(name, kind)
        if known is not kind:
            self.fail(node, f"{name} is a {known.name} and cannot take a {kind.name}")

    def assign(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> list[t.Stmt]:
        if isinstance(target, ast.Name):
            known = self.variables.get(target.id)
            if known is None and target.id in self.statics:
                self.fail(node, f"{target.id} is a compile-time loop variable")
            found = self.value(value, known)
            self.declare(target.id, found.type, node)
            return [t.Assign(target.id, found)]
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            kind = self.variables.get(target.value.id)
            if isinstance(kind, VecType):
                args = [t.Var(kind, target.value.id), self.index(target.slice), self.value(value, kind.elem)]
                return [t.Assign(target.value.id, t.Intrinsic(kind, "insert", args))]
        place = self.expr(target)
        if not isinstance(place, Place):
            self.fail(node, f"cannot assign to {ast.unparse(target)}")
        self.scalar_place(place, node)
        return [t.Store(place.addr, self.value(value, place.type))]

    def scalar_place(self, place: Place, node: ast.AST) -> None:
        if not hasattr(place.type, "read") and not isinstance(place.type, VecType):
            self.fail(node, f"a whole {place.type.name} cannot be assigned; use memcpy")

    def stmt_AugAssign(self, node: ast.AugAssign) -> list[t.Stmt]:
        if isinstance(node.target, ast.Name):
            load = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
            return self.assign(node.target, ast.copy_location(ast.BinOp(load, node.op, node.value), node), node)
        place = self.expr(node.target)
        if not isinstance(place, Place):
            self.fail(node, f"cannot assign to {ast.unparse(node.target)}")
        self.scalar_place(place, node)
        out: list[t.Stmt] = []
        address = place.addr
        if not isinstance(address, t.Var):
            address = self.temporary(address, out)
        value = self.binary(BINARY[type(node.op)], t.Load(place.type, address), self.expr(node.value), node)
        out.append(t.Store(address, self.rvalue(value, node)))
        return out

    def temporary(self, value: t.Expr, out: list[t.Stmt]) -> t.Var:
        name = f"${len(self.variables)}"
        self.variables[name] = value.type
        out.append(t.Assign(name, value))
        return t.Var(value.type, name)

    def stmt_If(self, node: ast.If) -> list[t.Stmt]:
        cond = self.condition(node.test)
        if isinstance(cond, bool):
            return self.block(node.body if cond else node.orelse)
        return [t.If(cond, self.block(node.body), self.block(node.orelse))]

    def condition(self, node: ast.expr) -> t.Expr | bool:
        found = self.expr(node)
        if isinstance(found, Static):
            return bool(found.value)
        value = self.rvalue(found, node)
        if value.type is not boolean:
            self.fail(node, f"a condition must be a boolean, not a {value.type.name}")
        return value

    def stmt_While(self, node: ast.While) -> list[t.Stmt]:
        if node.orelse:
            self.fail(node, "while … else is not in the language")
        cond = self.condition(node.test)
        if cond is False:
            return []
        self.loops.append("while")
        body = self.block(node.body)
        self.loops.pop()
        return [t.While(t.Const(boolean, True) if cond is True else cond, body)]

    def stmt_For(self, node: ast.For) -> list[t.Stmt]:
        if node.orelse or not isinstance(node.target, ast.Name):
            self.fail(node, "for takes one variable and no else")
        if not isinstance(node.iter, ast.Call) or node.iter.keywords:
            self.fail(node, "for takes range(…) or unroll(…)")
        callee = self.expr(node.iter.func)
        form = callee.value if isinstance(callee, Static) else None
        if form is unroll:
            return self.unrolled(node, node.target.id, node.iter)
        if form is not range or not 1 <= len(node.iter.args) <= 3:
            self.fail(node, "for takes range(…) or unroll(…)")
        step = 1
        bounds = [self.expr(a) for a in node.iter.args]
        if len(bounds) == 3:
            third = bounds.pop()
            if not isinstance(third, Static) or not isinstance(third.value, int) or third.value == 0:
                self.fail(node, "the step of a range is a compile-time constant")
            step = third.value
        if len(bounds) == 1:
            bounds.insert(0, Static(0))
        name = node.target.id
        start, stop = self.unify(bounds[0], bounds[1], node, self.variables.get(name, u64))
        if not start.type.is_int:
            self.fail(node, f"a range counts integers, not {start.type.name}")
        self.declare(name, start.type, node)
        self.loops.append("for")
        body = self.block(node.body)
        self.loops.pop()
        return [t.For(name, start, stop, step, body)]

    def unrolled(self, node: ast.For, name: str, call: ast.Call) -> list[t.Stmt]:
        values = self.expr(call.args[0])
        if not isinstance(values, Static):
            self.fail(node, "unroll takes a compile-time sequence")
        if name in self.variables:
            self.fail(node, f"{name} is already a variable")
        out: list[t.Stmt] = []
        self.loops.append("unroll")
        for value in values.value:
            self.statics[name] = value
            out.extend(self.block(node.body))
        self.loops.pop()
        self.statics.pop(name, None)
        return out

    def stmt_Break(self, node: ast.Break) -> list[t.Stmt]:
        self.in_loop(node)
        return [t.Break()]

    def stmt_Continue(self, node: ast.Continue) -> list[t.Stmt]:
        self.in_loop(node)
        return [t.Continue()]

    def in_loop(self, node: ast.stmt) -> None:
        if not self.loops or self.loops[-1] == "unroll":
            self.fail(node, f"{type(node).__name__.lower()} outside a loop (an unrolled one does not count)")

    def stmt_Return(self, node: ast.Return) -> list[t.Stmt]:
        result = self.function.result
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
            if result is not void:
                self.fail(node, f"{self.function.name} returns a {result.name}")
            return [t.Return(None)]
        if isinstance(node.value, ast.Call):
            callee = self.expr(node.value.func)
            if isinstance(callee, Static) and isinstance(callee.value, Intrinsic) and callee.value.name == "tailcall":
                return [self.tail(node.value)]
        if result is void:
            self.fail(node, f"{self.function.name} returns nothing")
        return [t.Return(self.value(node.value, result))]

    def tail(self, node: ast.Call) -> t.Stmt:
        if self.function.cc != "handler":
            self.fail(node, 'tailcall needs @fn(cc="handler")')
        found = self.expr(node.args[0])
        own = [kind for _, kind in self.function.params]
        if isinstance(found, Static) and isinstance(found.value, Fn):
            target: Fn | t.Expr = found.value
            params, result, cc = [k for _, k in found.value.params], found.value.result, found.value.cc
        else:
            target = self.rvalue(found, node)
            if not isinstance(target.type, FnPtrType):
                self.fail(node, "tailcall takes a function or a function pointer")
            params, result, cc = list(target.type.params), target.type.result, target.type.cc
        if params != own or result is not self.function.result or cc != "handler":
            self.fail(node, "a tail call needs the same parameters, result and cc as the caller")
        if len(node.args) - 1 != len(params):
            self.fail(node, f"{len(params)} arguments expected, {len(node.args) - 1} given")
        return t.TailReturn(target, [self.value(a, k) for a, k in zip(node.args[1:], params, strict=True)])
