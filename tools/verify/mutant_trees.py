"""Trees of the meanings' language: as text, what they call and read, and how many bits their integers can have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from mtia.isa.lang import Fn
from mtia.isa.lang import tree as t
from mtia.isa.lang.names import boolean
from mtia.isa.lang.types import ArrayType, PtrType, Scalar, StructType

__all__ = ["Bounds", "parts", "reached", "show", "unread"]

_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "and": "&", "or": "|", "xor": "^", "shl": "<<",
    "shr": ">>", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
# Bits of what a field can hold, where its type has more. Rows and columns of a view would have 2**31 elements a command
# with one bit more; the others are kept small by what writes them (csr.py, vconfig.py, decode.py, units' operands).
FIELDS = {
    "rows": 31, "cols": 31, "dtype": 8, "form": 8, "space": 8, "flags": 8, "vl": 10, "vlmax": 10, "vstart": 9,
    "vsew": 4, "vlmul8": 7, "vxrm": 2, "vxsat": 1, "frm": 3, "fflags": 5, "exact": 1, "hartid": 16, "rd": 6, "rs1": 6,
    "rs2": 6, "rs3": 6, "rm": 3, "vm": 1, "size": 3, "reservation_valid": 1, "sign": 1, "kind": 3,
}  # fmt: skip
# The same of parameters, all sizes and numbers of registers.
PARAMETERS = {
    "register": 6, "eighths": 10, "code": 10, "fields": 4, "lanes": 7, "element": 10, "size": 20, "d_size": 10,
    "s_size": 10, "d_width": 10, "s_width": 10, "d_code": 10, "how": 4, "a_count": 8, "b_count": 8, "rows": 31,
    "cols": 31, "dtype": 8, "rm": 3, "shift": 7,
}  # fmt: skip
# The same of what functions return.
RESULTS = {"fields_of": 4, "size_of": 4, "rounding": 3, "rounded": 1}


def parts(node: Any) -> Iterator[Any]:
    """The nodes below one, in the order of its fields."""
    if isinstance(node, list):
        yield from node
    elif is_dataclass(node):
        for field in fields(node):
            if field.name != "type":
                yield getattr(node, field.name)


def field_of(address: t.Expr) -> str:
    """The name of the struct field at an address, "" when it is none."""
    if not isinstance(address, t.Offset) or not isinstance(address.base.type, PtrType):
        return ""
    struct = address.base.type.elem
    if not isinstance(struct, StructType) or (address.index is not None and address.scale == struct.size):
        return ""
    for field in struct.fields.values():
        if field.offset <= address.const < field.offset + max(field.type.size, 1):
            return field.name
    return ""


def _of_chip(address: t.Expr) -> bool:
    """Whether an address is that of a number of a chip, of which those of 32 bits are below 2**31."""
    kind = address.base.type if isinstance(address, t.Offset) else address.type
    return isinstance(kind, PtrType) and isinstance(kind.elem, StructType) and kind.elem.name == "ChipParams"


def _address(e: t.Expr) -> str:
    if not isinstance(e, t.Offset):
        return f"{show(e)}[0]"
    base, name = show(e.base), field_of(e)
    if name:
        base, struct = f"{base}.{name}", e.base.type
        assert isinstance(struct, PtrType) and isinstance(struct.elem, StructType)
        if not isinstance(struct.elem.fields[name].type, ArrayType):
            return base
        return f"{base}[{show(e.index) if e.index is not None else ''}]"
    if e.index is None:
        return f"{base}[{e.const // max(e.type.elem.size, 1) if isinstance(e.type, PtrType) else e.const}]"
    return f"{base}[{show(e.index)}]" + (f" + {e.const}" if e.const else "")


def show(node: Any) -> str:
    """An expression, or a statement's first line, much as it stands in the source."""
    match node:
        case t.Const():
            return hex(node.value) if isinstance(node.value, int) and node.value > 9 else str(node.value)
        case t.Var():
            return node.name
        case t.Binary() | t.Compare():
            return f"({show(node.a)} {_SIGNS[node.op]} {show(node.b)})"
        case t.Logic():
            return f"({show(node.a)} {node.op} {show(node.b)})"
        case t.Unary():
            return {"neg": "-", "inv": "~", "not": "not "}[node.op] + show(node.a)
        case t.Convert() | t.Bitcast():
            return f"{node.type.name}({show(node.a)})"
        case t.Choose():
            return f"select({show(node.cond)}, {show(node.a)}, {show(node.b)})"
        case t.Intrinsic():
            return f"{node.name}({', '.join(map(show, node.args))})"
        case t.Load():
            return _address(node.addr)
        case t.Offset():
            return f"addr({_address(node)})"
        case t.Call():
            return f"{node.fn.name}({', '.join(map(show, node.args))})"
        case t.Assign():
            return f"{node.name} = {show(node.value)}"
        case t.Store():
            return f"{_address(node.addr)} = {show(node.value)}"
        case t.Return():
            return "return" if node.value is None else f"return {show(node.value)}"
        case t.Eval():
            return show(node.value)
        case t.If() | t.While():
            return f"{type(node).__name__.lower()} {show(node.cond)}"
        case t.For():
            return f"for {node.name} in range({show(node.start)}, {show(node.stop)}, {node.step})"
    return type(node).__name__.lower()


@cache
def _callees(function: Fn) -> tuple[Fn, ...]:
    found: dict[Fn, None] = {}
    queue: list[Any] = [function.body.statements]
    while queue:
        node = queue.pop()
        if isinstance(node, Fn):
            found[node] = None
        else:
            queue.extend(parts(node))
    return tuple(found)


def reached(function: Fn) -> dict[int, Fn]:
    """Every function that one can call, itself included, by number."""
    found: dict[int, Fn] = {}
    queue = [function]
    while queue:
        one = queue.pop()
        if one.number not in found:
            found[one.number] = one
            queue.extend(_callees(one))
    return found


@cache
def _read(function: Fn) -> frozenset[str]:
    """The names of the variables that a function reads, not counting arguments that a called function does not read."""
    found: set[str] = set()
    queue: list[Any] = [function.body.statements]
    while queue:
        node = queue.pop()
        if isinstance(node, t.Var):
            found.add(node.name)
        if isinstance(node, t.Call):
            queue.extend(argument for argument in node.args if not unread(node, argument))
        elif not isinstance(node, Fn):
            queue.extend(parts(node))
    return frozenset(found)


def unread(call: Any, argument: Any) -> bool:
    """Whether an argument of a call has no effects of its own and the called function does not read it."""
    if not isinstance(call, t.Call):
        return False
    named = [name for name, one in zip(call.fn.body.params, call.args, strict=True) if one is argument]
    queue = [argument]
    while queue:
        one = queue.pop()
        if isinstance(one, (t.Call, t.CallPtr)):
            return False
        queue.extend(parts(one))
    return bool(named) and not _read(call.fn).intersection(named)


class Bounds:
    """How many of the low bits of a function's integers can be set; the rest are zeros."""

    def __init__(self, function: Fn) -> None:
        self._values: dict[str, list[t.Expr]] = {}
        self._known: dict[str, int] = {}
        self._limits: dict[str, t.Expr] = {}  # what a variable that counts up in a loop stays below
        self._params = set(function.body.params)
        queue: list[Any] = [function.body.statements]
        while queue:
            node = queue.pop()
            if isinstance(node, Fn):
                continue
            if isinstance(node, t.Assign):
                self._values.setdefault(node.name, []).append(node.value)
            if isinstance(node, t.While) and isinstance(node.cond, t.Compare) and node.cond.op == "lt":
                if isinstance(node.cond.a, t.Var):
                    self._limits[node.cond.a.name] = node.cond.b
            if isinstance(node, t.For):
                self._values.setdefault(node.name, []).extend((node.start, node.stop))
                if node.step < 0:
                    self._params.add(node.name)
            queue.extend(parts(node))

    def bits(self, e: Any) -> int:
        """The number of bits; for a number that may be negative, all of its type."""
        kind = e.type
        if kind is boolean:
            return 1
        if not kind.is_int:
            return 64
        return min(self._bits(e), int(kind.width))

    def _bits(self, e: Any) -> int:
        width, kind = int(e.type.width), e.type
        match e:
            case t.Const():
                return int(e.value).bit_length() if e.value >= 0 else width
            case t.Var():
                return self._variable(e.name, width)
            case t.Load():
                return FIELDS.get(field_of(e.addr), 31 if width == 32 and _of_chip(e.addr) else width)
            case t.Call():
                return RESULTS.get(e.fn.name, width)
            case t.Convert(a=inner) if inner.type is boolean or inner.type.is_int:
                found, source = self.bits(inner), inner.type
                return found if isinstance(source, Scalar) and not (source.signed and found == source.width) else width
            case t.Choose():
                return max(self.bits(e.a), self.bits(e.b))
            case t.Intrinsic() if e.name in ("clz", "ctz", "popcount"):
                return 7
            case t.Intrinsic() if e.name in ("min", "max"):
                several = [self.bits(a) for a in e.args]
                return max(several) if e.name == "max" or kind.signed else min(several)
            case t.Binary():
                return self._binary(e, kind)
        return width

    def _binary(self, e: t.Binary, kind: Scalar) -> int:
        a, b, width = self.bits(e.a), self.bits(e.b), kind.width
        constant = e.b.value if isinstance(e.b, t.Const) and isinstance(e.b.value, int) else None
        match e.op:
            case "and":
                return min(a, b)
            case "or" | "xor":
                return max(a, b)
            case "add":
                return max(a, b) + 1
            case "mul":
                return a + b
            case "shl" if b < 7:
                return a + (constant if constant is not None else (1 << b) - 1)
            case "shr" if a < width or not kind.signed:
                return a if constant is None else max(a - constant, 0)
            case "div" | "mod":
                return a
        return width

    def _variable(self, name: str, width: int) -> int:
        if name in self._params:
            return PARAMETERS.get(name, width)
        if name not in self._known:
            self._known[name] = width  # what is assigned from itself may grow
            self._known[name] = max((self._assigned(name, e) for e in self._values.get(name, [])), default=0)
        return self._known[name]

    def _assigned(self, name: str, value: t.Expr) -> int:
        if isinstance(value, t.Binary) and value.op == "add" and value.a == t.Var(value.type, name):
            if name in self._limits:
                return max(self.bits(self._limits[name]), self.bits(value.b)) + 1
        return self.bits(value)
