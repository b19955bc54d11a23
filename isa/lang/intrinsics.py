"""Checking of the intrinsics: one method a name, or one for several names of the same shape."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NoReturn

from . import tree as t
from .names import boolean, f32, f64, u8, u16, u32, u64, void
from .types import PtrType, Scalar, Type, VecType

if TYPE_CHECKING:
    from .expressions import Operand, Place

__all__ = ["Intrinsics"]

_UNSIGNED = {1: u8, 2: u16, 4: u32, 8: u64}


def _lane(kind: Type) -> Type:
    return kind.elem if isinstance(kind, VecType) else kind


def _like(kind: Type, scalar: Scalar) -> Type:
    return VecType.of(scalar, kind.count) if isinstance(kind, VecType) else scalar


class Intrinsics:
    """The `in_…` methods of the checker; each takes the call and the intrinsic's name."""

    if TYPE_CHECKING:

        def fail(self, node: ast.AST, message: str) -> NoReturn: ...
        def expr(self, node: ast.expr) -> Operand: ...
        def value(self, node: ast.expr, want: Type | None = None) -> t.Expr: ...
        def static(self, node: ast.expr) -> Any: ...
        def unify(self, a: Operand, b: Operand, node: ast.AST, want: Type | None = None) -> tuple[t.Expr, t.Expr]: ...
        def rvalue(self, found: Operand, node: ast.AST) -> t.Expr: ...
        def convert(self, kind: Type, found: Operand, node: ast.AST) -> t.Expr: ...

    def count(self, node: ast.Call, *allowed: int) -> None:
        """Refuse a wrong number of arguments."""
        if len(node.args) not in allowed:
            self.fail(node, f"{' or '.join(map(str, allowed))} arguments expected, {len(node.args)} given")

    def same(self, node: ast.Call, test: str) -> list[t.Expr]:
        """Arguments of one type, whose lanes are `int` or `float`."""
        operands = [self.expr(a) for a in node.args]
        typed = [self.rvalue(o, node) for o in operands if not hasattr(o, "value") or isinstance(o, t.Expr)]
        if not typed:
            self.fail(node, "no argument has a type")
        kind = typed[0].type
        if not getattr(_lane(kind), f"is_{test}"):
            self.fail(node, f"{ast.unparse(node.func)} takes {test} values, not a {kind.name}")
        return [self.value(a, kind) for a in node.args]

    def in_fma(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 3)
        args = self.same(node, "float")
        if _lane(args[0].type) not in (f32, f64):
            self.fail(node, f"fma takes f32 or f64, not {args[0].type.name}")
        return t.Intrinsic(args[0].type, name, args)

    def in_sqrt(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1)
        args = self.same(node, "float")
        return t.Intrinsic(args[0].type, name, args)

    in_floor = in_ceil = in_trunc = in_rint = in_fabs = in_sqrt

    def in_copysign(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 2)
        args = self.same(node, "float")
        return t.Intrinsic(args[0].type, name, args)

    def in_isnan(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1)
        args = self.same(node, "float")
        return t.Compare(_like(args[0].type, boolean), "ne", args[0], args[0])

    def in_ctz(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1)
        args = self.same(node, "int")
        if name == "bswap" and _lane(args[0].type).size == 1:
            self.fail(node, "bswap of one byte")
        return t.Intrinsic(args[0].type, name, args)

    in_clz = in_popcount = in_bswap = in_ctz

    def in_mulhu(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 2)
        args = self.same(node, "int")
        scalar = _lane(args[0].type)
        signed = {"mulhu": False, "mulhs": True, "sdiv": True, "srem": True}[name]
        if isinstance(scalar, Scalar) and scalar.signed != signed:
            self.fail(node, f"{name} takes {'signed' if signed else 'unsigned'} values, not {scalar.name}")
        return t.Intrinsic(args[0].type, name, args)

    in_mulhs = in_sdiv = in_srem = in_mulhu

    def in_mulhsu(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 2)
        a, b = self.value(node.args[0]), self.value(node.args[1])
        x, y = _lane(a.type), _lane(b.type)
        if not (isinstance(x, Scalar) and isinstance(y, Scalar) and x.signed and y.kind == "u" and x.size == y.size):
            self.fail(node, "mulhsu takes a signed and an unsigned value of one width")
        return t.Intrinsic(a.type, name, [a, b])

    def in_select(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 3)
        cond = self.value(node.args[0])
        a, b = self.unify(self.expr(node.args[1]), self.expr(node.args[2]), node)
        lanes = a.type.count if isinstance(a.type, VecType) else 0
        if cond.type is not boolean and not (lanes and cond.type is VecType.of(boolean, lanes)):
            self.fail(node, f"select takes a boolean, not a {cond.type.name}")
        return t.Choose(a.type, cond, a, b, False)

    def in_likely(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1)
        return t.Intrinsic(boolean, name, [self.value(node.args[0], boolean)])

    in_unlikely = in_likely

    def in_bits(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1)
        args = self.same(node, "float")
        return t.Bitcast(_like(args[0].type, _UNSIGNED[_lane(args[0].type).size]), args[0])

    def in_from_bits(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 2)
        kind = self.static(node.args[0])
        if not isinstance(kind, Scalar) or not kind.is_float:
            self.fail(node, "from_bits takes a float type first")
        found = self.expr(node.args[1])
        static = hasattr(found, "value") and not isinstance(found, t.Expr)
        value = self.convert(_UNSIGNED[kind.size], found, node) if static else self.rvalue(found, node)
        if _lane(value.type) is not _UNSIGNED[kind.size]:
            self.fail(node, f"{kind.name} has the bits of a {_UNSIGNED[kind.size].name}, not of a {value.type.name}")
        return t.Bitcast(_like(value.type, kind), value)

    def in_addr(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1)
        place: Place | Any = self.expr(node.args[0])
        if not hasattr(place, "addr") or isinstance(place, t.Expr):
            self.fail(node, f"{ast.unparse(node.args[0])} is not in memory")
        if hasattr(place.type, "count") or hasattr(place.type, "fields"):
            return self.rvalue(place, node)
        address: t.Expr = place.addr
        return address

    def in_sizeof(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1)
        kind = self.static(node.args[0])
        if not isinstance(kind, Type):
            self.fail(node, "sizeof takes a type")
        return t.Const(u64, kind.size)

    def in_memcpy(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 3)
        target = self.pointer_value(node.args[0])
        second = self.value(node.args[1], u8) if name == "memset" else self.pointer_value(node.args[1])
        return t.Intrinsic(void, name, [target, second, self.value(node.args[2], u64)])

    in_memmove = in_memset = in_memcpy

    def pointer_value(self, node: ast.expr) -> t.Expr:
        """A value that must be a pointer."""
        value = self.value(node)
        if not isinstance(value.type, PtrType):
            self.fail(node, f"a pointer is needed here, not a {value.type.name}")
        return value

    def in_local(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1, 2)
        kind, count = self.static(node.args[0]), self.static(node.args[1]) if len(node.args) == 2 else 1
        if not isinstance(kind, Type) or not isinstance(count, int):
            self.fail(node, "local takes a type and a compile-time count")
        return t.LocalArray(PtrType.of(kind), kind.size * count)

    def in_vload(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 1, 2)
        address = self.pointer_value(node.args[0])
        assert isinstance(address.type, PtrType)
        elem = address.type.elem
        if isinstance(elem, Scalar) and len(node.args) == 2 and elem is not boolean:
            return t.Load(VecType.of(elem, self.static(node.args[1])), address)
        if isinstance(elem, VecType) and len(node.args) == 1:
            return t.Load(elem, address)
        self.fail(node, "vload takes (Ptr[T], n) or (Ptr[Vec[T, n]])")

    def in_vstore(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 2)
        address, value = self.pointer_value(node.args[0]), self.value(node.args[1])
        assert isinstance(address.type, PtrType)
        if not isinstance(value.type, VecType) or address.type.elem not in (value.type, value.type.elem):
            self.fail(node, f"vstore of a {value.type.name} through a {address.type.name}")
        return t.Intrinsic(void, name, [address, value])

    def in_splat(self, node: ast.Call, name: str) -> Operand:
        self.count(node, 2)
        value, count = self.value(node.args[0]), self.static(node.args[1])
        if not isinstance(value.type, Scalar):
            self.fail(node, f"splat of a {value.type.name}")
        return t.Intrinsic(VecType.of(value.type, count), name, [value])

    def in_shuffle(self, node: ast.Call, name: str) -> Operand:
        """`shuffle(a, b, (indices…))`: lanes of a, then of b, in the order given."""
        self.count(node, 3)
        a, b = self.unify(self.expr(node.args[0]), self.expr(node.args[1]), node)
        order = tuple(self.static(node.args[2]))
        if not isinstance(a.type, VecType) or not all(0 <= i < 2 * a.type.count for i in order):
            self.fail(node, "shuffle takes two vectors and indices into both")
        return t.Intrinsic(VecType.of(a.type.elem, len(order)), name, [a, b], order)

    def in_pointer(self, node: ast.Call, name: str) -> Operand:
        """`pointer(f)`: the address of a function as a function pointer."""
        from .function import Fn
        from .types import FnPtrType

        self.count(node, 1)
        found = self.static(node.args[0])
        if not isinstance(found, Fn):
            self.fail(node, "pointer takes a function of the language")
        kind = FnPtrType.of(tuple(k for _, k in found.params), found.result, found.cc)
        return t.FnAddr(kind, found)
