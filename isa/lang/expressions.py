"""Checking of expressions: compile-time values, places in memory, operators, conversions and calls."""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import Any, NoReturn

from . import tree as t
from .function import MISSING, Fn
from .intrinsics import Intrinsics
from .names import Intrinsic, boolean, u64, void
from .types import ArrayType, FnPtrType, PtrType, Scalar, StructType, Type, VecType

__all__ = ["BINARY", "Expressions", "Place", "Static"]

BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr",
    ast.Pow: "pow",
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
_STATIC: dict[str, Any] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "shl": operator.lshift, "shr": operator.rshift, "pow": operator.pow,
    "eq": operator.eq, "ne": operator.ne,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


@dataclass(slots=True)
class Static:
    """A value known at compile time: a literal, type, function or any object around the function."""

    value: Any


@dataclass(slots=True)
class Place:
    """Something in memory: its address and its type."""

    addr: t.Expr
    type: Type


Operand = t.Expr | Static | Place


def lane(kind: Type) -> Type:
    """The lane type of a vector, any other type itself."""
    return kind.elem if isinstance(kind, VecType) else kind


class Expressions(Intrinsics):
    """Turns syntax into typed expressions; the statement checker is its subclass."""

    def __init__(self) -> None:
        self.variables: dict[str, Type] = {}
        self.statics: dict[str, Any] = {}

    def fail(self, node: ast.AST, message: str) -> NoReturn:
        raise NotImplementedError

    def lookup(self, name: str) -> Any:
        raise NotImplementedError

    # Values

    def value(self, node: ast.expr, want: Type | None = None) -> t.Expr:
        """A typed value; a literal takes the type wanted, and with a wanted type anything else is refused."""
        found = self.expr(node)
        if isinstance(found, Static):
            if want is None:
                self.fail(node, f"{ast.unparse(node)} has no type here; write for example u64({ast.unparse(node)})")
            return self.literal(found, want, node)
        value = self.rvalue(found, node)
        if want is not None and value.type is not want:
            self.fail(node, f"a {want.name} is needed here, not a {value.type.name}")
        return value

    def rvalue(self, found: Operand, node: ast.AST) -> t.Expr:
        """The value of an operand; an array or struct in memory gives its address."""
        if isinstance(found, Place):
            if isinstance(found.type, ArrayType):
                return _retype(found.addr, PtrType.of(found.type.elem))
            if isinstance(found.type, StructType):
                return _retype(found.addr, PtrType.of(found.type))
            return t.Load(found.type, found.addr)
        if isinstance(found, Static):
            self.fail(node, f"{found.value!r} has no type here")
        return found

    def literal(self, found: Static, kind: Type, node: ast.AST) -> t.Expr:
        """A compile-time value as a constant of a type."""
        value, scalar = found.value, lane(kind)
        if isinstance(scalar, Scalar):
            if isinstance(value, bool) and scalar.kind == "b":
                return t.Const(kind, value)
            if isinstance(value, int) and not isinstance(value, bool) and scalar.is_int:
                lowest = -(1 << (scalar.width - 1))
                if not lowest <= value <= scalar.high:
                    self.fail(node, f"{value} does not fit a {scalar.name}")
                return t.Const(kind, scalar(value))
            if isinstance(value, (int, float)) and not isinstance(value, bool) and scalar.is_float:
                return t.Const(kind, scalar(float(value)))
        if isinstance(kind, FnPtrType) and isinstance(value, Fn):
            return t.FnAddr(kind, value)
        self.fail(node, f"{value!r} cannot be a {kind.name}")

    def unify(self, a: Operand, b: Operand, node: ast.AST, want: Type | None = None) -> tuple[t.Expr, t.Expr]:
        """Two operands of one type: a literal takes the type of the other."""
        if isinstance(a, Static) and isinstance(b, Static):
            if want is None:
                self.fail(node, "neither operand has a type; write for example u64(0)")
            return self.literal(a, want, node), self.literal(b, want, node)
        if isinstance(a, Static):
            right = self.rvalue(b, node)
            return self.literal(a, right.type, node), right
        left = self.rvalue(a, node)
        if isinstance(b, Static):
            return left, self.literal(b, left.type, node)
        right = self.rvalue(b, node)
        if left.type is not right.type:
            self.fail(node, f"operands of two types, {left.type.name} and {right.type.name}; convert one")
        return left, right

    # Syntax

    def expr(self, node: ast.expr) -> Operand:
        """Check an expression."""
        method = getattr(self, f"expr_{type(node).__name__}", None)
        if method is None:
            self.fail(node, f"{type(node).__name__} is not in the language")
        found: Operand = method(node)
        return found

    def expr_Constant(self, node: ast.Constant) -> Operand:
        return Static(node.value)

    def expr_Tuple(self, node: ast.Tuple) -> Operand:
        return Static(tuple(self.static(e) for e in node.elts))

    def expr_List(self, node: ast.List) -> Operand:
        return Static([self.static(e) for e in node.elts])

    def static(self, node: ast.expr) -> Any:
        """The compile-time value of an expression."""
        found = self.expr(node)
        if not isinstance(found, Static):
            self.fail(node, f"{ast.unparse(node)} must be known at compile time")
        return found.value

    def expr_Name(self, node: ast.Name) -> Operand:
        if node.id in self.variables:
            return t.Var(self.variables[node.id], node.id)
        if node.id in self.statics:
            return Static(self.statics[node.id])
        found = self.lookup(node.id)
        if found is MISSING:
            self.fail(node, f"{node.id!r} is not defined")
        return Static(found)

    def expr_Attribute(self, node: ast.Attribute) -> Operand:
        return self.attribute(node, self.expr(node.value), node.attr)

    def attribute(self, node: ast.expr, base: Operand, name: str) -> Operand:
        """A field in memory, or an attribute of a compile-time value."""
        if isinstance(base, Static):
            try:
                return Static(getattr(base.value, name))
            except AttributeError as error:
                self.fail(node, str(error))
        if isinstance(base, Place) and isinstance(base.type, StructType):
            address, kind = base.addr, base.type
        else:
            address = self.rvalue(base, node)
            if not isinstance(address.type, PtrType) or not isinstance(address.type.elem, StructType):
                self.fail(node, f"a {address.type.name} has no fields")
            kind = address.type.elem
        field = kind.fields.get(name)
        if field is None:
            self.fail(node, f"{kind.name} has no field {name!r}")
        return Place(_offset(address, None, 0, field.offset, field.type), field.type)

    def index(self, node: ast.expr) -> t.Expr:
        found = self.expr(node)
        if isinstance(found, Static):
            if not isinstance(found.value, int):
                self.fail(node, f"{found.value!r} is no index")
            return t.Const(u64, found.value)
        value = self.rvalue(found, node)
        if not value.type.is_int:
            self.fail(node, f"an index is an integer, not a {value.type.name}")
        return value

    def expr_Subscript(self, node: ast.Subscript) -> Operand:
        base = self.expr(node.value)
        if isinstance(base, Static):
            try:
                return Static(base.value[self.static(node.slice)])
            except (TypeError, KeyError, IndexError) as error:
                self.fail(node, f"{ast.unparse(node)}: {error}")
        if isinstance(base, Place) and isinstance(base.type, ArrayType):
            address, elem = base.addr, base.type.elem
        else:
            address = self.rvalue(base, node)
            if isinstance(address.type, VecType):
                return t.Intrinsic(address.type.elem, "lane", [address, self.index(node.slice)])
            if not isinstance(address.type, PtrType):
                self.fail(node, f"a {address.type.name} cannot be indexed")
            elem = address.type.elem
        return Place(_step(address, self.index(node.slice), elem, elem), elem)

    def expr_IfExp(self, node: ast.IfExp) -> Operand:
        cond = self.expr(node.test)
        if isinstance(cond, Static):
            return self.expr(node.body if cond.value else node.orelse)
        test = self.rvalue(cond, node)
        if test.type is not boolean:
            self.fail(node, f"a condition must be a boolean, not a {test.type.name}")
        a, b = self.unify(self.expr(node.body), self.expr(node.orelse), node)
        return t.Choose(a.type, test, a, b, True)

    def expr_BoolOp(self, node: ast.BoolOp) -> Operand:
        op = "and" if isinstance(node.op, ast.And) else "or"
        result: Operand = Static(op == "and")
        for operand in reversed(node.values):
            found = self.expr(operand)
            if isinstance(found, Static):
                if bool(found.value) != (op == "and"):
                    result = Static(bool(found.value))
                continue
            value = self.rvalue(found, operand)
            if value.type is not boolean:
                self.fail(operand, f"{op} takes booleans, not a {value.type.name}")
            if isinstance(result, Static):
                result = value if bool(result.value) == (op == "and") else result
            else:
                result = t.Logic(boolean, op, value, self.rvalue(result, node))
        return result

    def expr_UnaryOp(self, node: ast.UnaryOp) -> Operand:
        found = self.expr(node.operand)
        if isinstance(found, Static):
            operations: dict[type, Any] = {
                ast.USub: operator.neg, ast.Invert: operator.inv, ast.Not: operator.not_, ast.UAdd: operator.pos,
            }  # fmt: skip
            return Static(operations[type(node.op)](found.value))
        value = self.rvalue(found, node)
        scalar = lane(value.type)
        if isinstance(node.op, ast.Not) and scalar is boolean:
            return t.Unary(value.type, "not", value)
        if isinstance(node.op, ast.Invert) and scalar.is_int:
            return t.Unary(value.type, "inv", value)
        if isinstance(node.op, ast.USub) and (scalar.is_int or scalar.is_float):
            return t.Unary(value.type, "neg", value)
        self.fail(node, f"{type(node.op).__name__} does not take a {value.type.name}")

    def expr_BinOp(self, node: ast.BinOp) -> Operand:
        return self.binary(BINARY.get(type(node.op), ""), self.expr(node.left), self.expr(node.right), node)

    def binary(self, op: str, a: Operand, b: Operand, node: ast.AST) -> Operand:
        """An arithmetic or bitwise operator."""
        if isinstance(a, Static) and isinstance(b, Static):
            try:
                return Static(_STATIC[op](a.value, b.value))
            except (KeyError, TypeError, ArithmeticError) as error:
                self.fail(node, str(error))
        if not isinstance(a, Static):
            left = self.rvalue(a, node)
            if isinstance(left.type, PtrType):
                return self.pointer_step(op, left, b, node)
        left, right = self.unify(a, b, node)
        scalar = lane(left.type)
        self.allowed(op, scalar, node)
        if op in ("shl", "shr") and isinstance(right, t.Const) and not 0 <= right.value < _width(scalar):
            self.fail(node, f"a shift by {right.value} of a {scalar.name}")
        return t.Binary(left.type, "div" if op == "floordiv" else op, left, right)

    def allowed(self, op: str, scalar: Type, node: ast.AST) -> None:
        """Refuse an operator on a type that has no such operation."""
        unsigned = isinstance(scalar, Scalar) and scalar.kind == "u"
        good = {
            "add": scalar.is_int or scalar.is_float, "sub": scalar.is_int or scalar.is_float,
            "mul": scalar.is_int or scalar.is_float, "div": scalar.is_float, "floordiv": unsigned, "mod": unsigned,
            "and": scalar.is_int or scalar is boolean, "or": scalar.is_int or scalar is boolean,
            "xor": scalar.is_int or scalar is boolean, "shl": scalar.is_int, "shr": scalar.is_int,
        }.get(op, False)  # fmt: skip
        if not good:
            hint = " (signed: sdiv, srem)" if op in ("floordiv", "mod") and scalar.is_int else ""
            self.fail(node, f"operator {op or '?'} does not take a {scalar.name}{hint}")

    def pointer_step(self, op: str, left: t.Expr, b: Operand, node: ast.AST) -> t.Expr:
        assert isinstance(left.type, PtrType)
        elem = left.type.elem
        if isinstance(b, Static) and isinstance(b.value, int) and op in ("add", "sub"):
            return _offset(left, None, 0, elem.size * (b.value if op == "add" else -b.value), elem)
        step = self.rvalue(b, node)
        if op != "add" or not step.type.is_int:
            self.fail(node, f"a pointer takes + integer, not {op} {step.type.name}")
        return _step(left, step, elem, elem)

    def expr_Compare(self, node: ast.Compare) -> Operand:
        if len(node.ops) != 1:
            self.fail(node, "one comparison at a time")
        a = self.expr(node.left)
        op = _COMPARE.get(type(node.ops[0]))
        b = self.expr(node.comparators[0])
        if op is None:
            return self.membership(node, a, b)
        if isinstance(a, Static) and isinstance(b, Static):
            return Static(_STATIC[op](a.value, b.value))
        left, right = self.unify(a, b, node)
        scalar = lane(left.type)
        if scalar is boolean and op not in ("eq", "ne"):
            self.fail(node, "booleans have no order")
        kind: Type = boolean
        if isinstance(left.type, VecType):
            kind = VecType.of(boolean, left.type.count)
        return t.Compare(kind, op, left, right)

    def membership(self, node: ast.Compare, a: Operand, b: Operand) -> Operand:
        """`x in (constants…)`, and `is` between compile-time values."""
        op = node.ops[0]
        if isinstance(a, Static) and isinstance(b, Static):
            if isinstance(op, (ast.Is, ast.IsNot)):
                return Static((a.value is b.value) == isinstance(op, ast.Is))
            return Static((a.value in b.value) == isinstance(op, ast.In))
        if not isinstance(op, (ast.In, ast.NotIn)) or not isinstance(b, Static) or not isinstance(a, t.Var):
            self.fail(node, "only a variable `in` compile-time constants")
        result: t.Expr = t.Const(boolean, False)
        for item in b.value:
            test = t.Compare(boolean, "eq", a, self.literal(Static(item), a.type, node))
            result = t.Logic(boolean, "or", result, test)
        return result if isinstance(op, ast.In) else t.Unary(boolean, "not", result)

    # Calls

    def expr_Call(self, node: ast.Call) -> Operand:
        callee = self.expr(node.func)
        if not isinstance(callee, Static):
            target = self.rvalue(callee, node)
            if not isinstance(target.type, FnPtrType):
                self.fail(node, f"a {target.type.name} cannot be called")
            return t.CallPtr(target.type.result, target, self.arguments(node, list(target.type.params)))
        what = callee.value
        if node.keywords:
            self.fail(node, "no keyword arguments")
        if isinstance(what, Fn):
            return t.Call(what.result, what, self.arguments(node, [kind for _, kind in what.params]))
        if isinstance(what, Type):
            if len(node.args) != 1:
                self.fail(node, f"{what.name}(…) converts one value")
            return self.convert(what, self.expr(node.args[0]), node)
        if what is getattr and len(node.args) == 2:
            return self.attribute(node, self.expr(node.args[0]), str(self.static(node.args[1])))
        if what in (min, max):
            return self.extremum(what.__name__, node)
        if isinstance(what, Intrinsic):
            method = getattr(self, f"in_{what.name}", None)
            if method is None:
                self.fail(node, f"{what.name} cannot stand here")
            found: Operand = method(node, what.name)
            return found
        return Static(what(*[self.static(a) for a in node.args]))

    def arguments(self, node: ast.Call, kinds: list[Type]) -> list[t.Expr]:
        if len(node.args) != len(kinds):
            self.fail(node, f"{len(kinds)} arguments expected, {len(node.args)} given")
        return [self.value(a, k) for a, k in zip(node.args, kinds, strict=True)]

    def extremum(self, name: str, node: ast.Call) -> Operand:
        operands = [self.expr(a) for a in node.args]
        if all(isinstance(o, Static) for o in operands):
            return Static((min if name == "min" else max)(*[o.value for o in operands]))  # type: ignore[union-attr]
        if len(operands) != 2:
            self.fail(node, f"{name} takes two values")
        a, b = self.unify(operands[0], operands[1], node)
        if not lane(a.type).is_int:
            self.fail(node, f"{name} takes integers; for floats write the rule that is meant")
        return t.Intrinsic(a.type, name, [a, b])

    def convert(self, kind: Type, found: Operand, node: ast.AST) -> t.Expr:
        """A conversion written as a call of the type."""
        if kind is void or isinstance(kind, (StructType, ArrayType)):
            self.fail(node, f"{kind.name} is no conversion")
        if isinstance(found, Static):
            if isinstance(kind, (PtrType, FnPtrType)) and isinstance(found.value, int):
                return t.Bitcast(kind, t.Const(u64, found.value))
            if isinstance(kind, Scalar) and isinstance(found.value, (int, float)):
                return t.Const(kind, kind(found.value))
            return self.literal(found, kind, node)
        value = self.rvalue(found, node)
        source, target = value.type, kind
        if isinstance(source, VecType) and isinstance(target, Scalar):
            target = VecType.of(target, source.count)
        if source is target:
            return value
        pointers = isinstance(source, (PtrType, FnPtrType)), isinstance(target, (PtrType, FnPtrType))
        if any(pointers):
            if not all(pointers) and u64 not in (source, target):
                self.fail(node, f"a pointer converts from and to u64, not {source.name} to {target.name}")
            return t.Bitcast(target, value)
        a, b = lane(source), lane(target)
        if isinstance(source, VecType) != isinstance(target, VecType) or (
            isinstance(source, VecType) and isinstance(target, VecType) and source.count != target.count
        ):
            self.fail(node, f"{source.name} does not convert to {target.name}")
        if (boolean in (a, b) and (a.is_float or b.is_float)) or (a.is_int and a.size == 8 and b.name == "bf16"):
            self.fail(node, f"{source.name} does not convert to {target.name} directly")
        return t.Convert(target, value)


def _width(kind: Type) -> int:
    return kind.width if isinstance(kind, Scalar) else 64


def _retype(address: t.Expr, kind: Type) -> t.Expr:
    return t.Bitcast(kind, address) if address.type is not kind else address


def _offset(base: t.Expr, index: t.Expr | None, scale: int, const: int, elem: Type) -> t.Expr:
    """base + index * scale + const bytes, as a pointer to elem; constant parts are merged."""
    kind = PtrType.of(elem)
    if isinstance(base, t.Bitcast) and isinstance(base.a.type, PtrType):
        base = base.a
    if isinstance(base, t.Offset) and (index is None or base.index is None):
        if index is None:
            index, scale = base.index, base.scale
        const += base.const
        base = base.base
    return t.Offset(kind, base, index, scale, const)


def _step(base: t.Expr, index: t.Expr, elem: Type, result: Type) -> t.Expr:
    if isinstance(index, t.Const):
        return _offset(base, None, 0, index.value * elem.size, result)
    return _offset(base, index, elem.size, 0, result)
