"""The fast emitter: typed trees to LLVM IR text.

Everything is loaded and stored with alignment 1, so any address is legal. f16 and bf16 live as their 16 bits and are
widened to f32 for arithmetic. Locals are stack slots that LLVM turns into registers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

from . import numerics
from . import tree as t
from .function import Fn
from .ir_numerics import IRNumerics
from .names import boolean, void
from .types import FnPtrType, Scalar, Type, VecType

__all__ = ["module_text"]

_INTS = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor", "shl": "shl"}
_ORDER = {"lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}
_CC = {"c": "", "handler": "preserve_nonecc "}


def ir_type(kind: Type) -> str:
    """The LLVM type of a value."""
    if isinstance(kind, VecType):
        return f"<{kind.count} x {ir_type(kind.elem)}>"
    if kind is void:
        return "void"
    if isinstance(kind, Scalar):
        if kind.kind != "f":
            return f"i{kind.width}"
        return {"f16": "i16", "bf16": "i16", "f32": "float", "f64": "double"}[kind.name]
    return "ptr"


def _extended(kind: Type) -> str:
    """The attribute that the C convention wants on a small integer."""
    if isinstance(kind, Scalar) and kind.width < 32:
        return " signext" if kind.kind == "i" else " zeroext"
    return ""


def module_text(roots: dict[str, Fn], part: str = "all") -> str:
    """The IR of the functions named and of all they reach; `mtia.table.<part>` lists the roots' addresses in order."""
    symbols: dict[int, str] = {}
    for name, fn in roots.items():
        symbols.setdefault(fn.number, name)
    named = set(symbols)
    found: set[int] = set()
    queue = list(roots.values())
    texts: list[str] = []
    intrinsics: set[str] = set()
    while queue:
        fn = queue.pop()
        if fn.number in found:
            continue
        found.add(fn.number)
        emitter = _Function(fn, symbols, fn.number in named)
        texts.append(emitter.text())
        intrinsics |= emitter.declared
        queue.extend(emitter.reached)
    table = ", ".join(f"ptr @{quoted(symbols[fn.number])}" for fn in roots.values())
    texts.append(f"@{quoted(f'mtia.table.{part}')} = constant [{len(roots)} x ptr] [{table}]")
    return "\n".join([*texts, *sorted(intrinsics)]) + "\n"


def is_float(kind: Type) -> TypeGuard[Scalar | VecType]:
    """Whether a type is a float or a vector of floats."""
    return (kind.elem if isinstance(kind, VecType) else kind).is_float


def quoted(name: str) -> str:
    """A symbol as LLVM writes it."""
    return f'"{name}"'


class _Function(IRNumerics):
    """Writes one function."""

    def __init__(self, fn: Fn, symbols: dict[int, str], root: bool) -> None:
        super().__init__()
        self.fn = fn
        self.symbols = symbols  # by function number; helpers are numbered in the order they are met
        self.root = root
        self.reached: list[Fn] = []
        self.entry: list[str] = []
        self.loops: list[tuple[str, str]] = []
        self.slots: dict[str, str] = {}
        self.closed = False

    def symbol(self, fn: Fn) -> str:
        self.reached.append(fn)
        return "@" + quoted(self.symbols.setdefault(fn.number, f"{fn.name}.{len(self.symbols)}"))

    def text(self) -> str:
        body = self.fn.body
        for name, kind in body.variables.items():
            slot = f"%v{len(self.slots)}"
            self.slots[name] = slot
            self.entry.append(f"  {slot} = alloca {ir_type(kind)}")
        for k, (name, kind) in enumerate(self.fn.params):
            self.line(f"store {ir_type(kind)} %p{k}, ptr {self.slots[name]}")
        for name in list(body.variables)[len(self.fn.params) :]:
            self.line(f"store {ir_type(body.variables[name])} zeroinitializer, ptr {self.slots[name]}")
        self.block(body.statements)
        if not self.closed:
            self.line("ret void" if self.fn.result is void else "unreachable")
        linkage = "" if self.root else "internal "
        inline = {"always": " alwaysinline", "never": " noinline", None: ""}[self.fn.inline]
        head = f"define {linkage}{self.prototype()} nounwind{inline} {{"
        return "\n".join([head, "entry:", *self.entry, *self.lines, "}"])

    def prototype(self) -> str:
        """Convention, result, symbol and parameters."""
        params = []
        for k, (_, kind) in enumerate(self.fn.params):
            noalias = " noalias" if self.fn.cc == "handler" and ir_type(kind) == "ptr" else ""
            params.append(f"{ir_type(kind)}{noalias}{_extended(kind)} %p{k}")
        result = f"{_extended(self.fn.result).strip()} {ir_type(self.fn.result)}"
        return f"{_CC[self.fn.cc]}{result} {self.symbol(self.fn)}({', '.join(params)})"

    # Text

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.closed = False

    def jump(self, target: str) -> None:
        if not self.closed:
            self.line(f"br label %{target}")
        self.closed = True

    def labels(self, *stems: str) -> list[str]:
        self.count += 1
        return [f"{stem}{self.count}" for stem in stems]

    # Statements

    def block(self, statements: Iterable[t.Stmt]) -> None:
        for statement in statements:
            if self.closed:
                return
            getattr(self, f"stmt_{type(statement).__name__}")(statement)

    def stmt_Assign(self, s: t.Assign) -> None:
        self.line(f"store {self.typed(s.value)}, ptr {self.slots[s.name]}")

    def stmt_Store(self, s: t.Store) -> None:
        address = self.expr(s.addr)
        self.store(s.value.type, self.expr(s.value), address)

    def store(self, kind: Type, value: str, address: str) -> None:
        if is_float(kind):
            integer, value = self.canonical(kind, value)
            self.line(f"store {integer} {value}, ptr {address}, align 1")
        elif kind is boolean:
            self.line(f"store i8 {self.op(f'zext i1 {value} to i8')}, ptr {address}, align 1")
        else:
            self.line(f"store {ir_type(kind)} {value}, ptr {address}, align 1")

    def stmt_Eval(self, s: t.Eval) -> None:
        self.expr(s.value)

    def stmt_If(self, s: t.If) -> None:
        then, other, end = self.labels("then", "else", "endif")
        self.branch(s.cond, then, other if s.other else end)
        self.label(then)
        self.block(s.then)
        self.jump(end)
        if s.other:
            self.label(other)
            self.block(s.other)
            self.jump(end)
        self.label(end)
        # An end that nothing reaches still needs a terminator; LLVM removes it.

    def branch(self, cond: t.Expr, then: str, other: str) -> None:
        self.line(f"br i1 {self.expr(cond)}, label %{then}, label %{other}")
        self.closed = True

    def stmt_While(self, s: t.While) -> None:
        head, body, end = self.labels("while", "body", "endwhile")
        self.jump(head)
        self.label(head)
        self.branch(s.cond, body, end)
        self.label(body)
        self.loops.append((head, end))
        self.block(s.body)
        self.loops.pop()
        self.jump(head)
        self.label(end)

    def stmt_For(self, s: t.For) -> None:
        head, body, after, end = self.labels("for", "body", "next", "endfor")
        kind = s.start.type
        assert isinstance(kind, Scalar)
        ir = ir_type(kind)
        counter = f"%n{self.count}"
        self.entry.append(f"  {counter} = alloca {ir}")
        self.line(f"store {self.typed(s.start)}, ptr {counter}")
        stop = self.expr(s.stop)
        self.jump(head)
        self.label(head)
        now = self.op(f"load {ir}, ptr {counter}")
        sign = "s" if kind.signed else "u"
        test = self.op(f"icmp {sign}{'lt' if s.step > 0 else 'gt'} {ir} {now}, {stop}")
        self.line(f"br i1 {test}, label %{body}, label %{end}")
        self.label(body)
        self.line(f"store {ir} {now}, ptr {self.slots[s.name]}")
        self.loops.append((after, end))
        self.block(s.body)
        self.loops.pop()
        self.jump(after)
        self.label(after)
        self.line(f"store {ir} {self.op(f'add {ir} {now}, {s.step}')}, ptr {counter}")
        self.jump(head)
        self.label(end)

    def stmt_Break(self, s: t.Break) -> None:
        self.jump(self.loops[-1][1])

    def stmt_Continue(self, s: t.Continue) -> None:
        self.jump(self.loops[-1][0])

    def stmt_Return(self, s: t.Return) -> None:
        self.line("ret void" if s.value is None else f"ret {self.typed(s.value)}")
        self.closed = True

    def stmt_TailReturn(self, s: t.TailReturn) -> None:
        target = self.symbol(s.target) if isinstance(s.target, Fn) else self.expr(s.target)
        call = self.call_text(target, [k for _, k in self.fn.params], self.fn.result, "handler", s.args)
        if self.fn.result is void:
            self.line(f"musttail {call}")
            self.line("ret void")
        else:
            self.line(f"ret {ir_type(self.fn.result)} {self.op(f'musttail {call}')}")
        self.closed = True

    def call_text(self, target: str, params: list[Type], result: Type, cc: str, args: list[t.Expr]) -> str:
        given = []
        for kind, arg in zip(params, args, strict=True):
            given.append(f"{ir_type(kind)}{_extended(kind)} {self.expr(arg)}")
        return f"call {_CC[cc]}{_extended(result).strip()} {ir_type(result)} {target}({', '.join(given)})"

    # Expressions

    def expr(self, e: t.Expr) -> str:
        code: str = getattr(self, f"expr_{type(e).__name__}")(e)
        return code

    def typed(self, e: t.Expr) -> str:
        return f"{ir_type(e.type)} {self.expr(e)}"

    def expr_Const(self, e: t.Const) -> str:
        kind = e.type.elem if isinstance(e.type, VecType) else e.type
        if kind is boolean:
            code = "true" if e.value else "false"
        elif kind.is_float:
            wide = "f64" if kind.name in ("f32", "f64") else kind.name
            bits = numerics.TO_BITS[wide](e.value)
            code = f"0x{bits:016X}" if wide == "f64" else str(bits)
        else:
            code = str(e.value)
        return self.splat(e.type, code) if isinstance(e.type, VecType) else code

    def splat(self, kind: VecType, code: str) -> str:
        lane = ir_type(kind.elem)
        first = self.op(f"insertelement {ir_type(kind)} poison, {lane} {code}, i32 0")
        return self.op(
            f"shufflevector {ir_type(kind)} {first}, {ir_type(kind)} poison, <{kind.count} x i32> zeroinitializer"
        )

    def expr_Var(self, e: t.Var) -> str:
        return self.op(f"load {ir_type(e.type)}, ptr {self.slots[e.name]}")

    def expr_Binary(self, e: t.Binary) -> str:
        a, b = self.expr(e.a), self.expr(e.b)
        kind = e.type.elem if isinstance(e.type, VecType) else e.type
        if kind.is_float:
            return self.float_binary(e.type, e.op, a, b)
        assert isinstance(kind, Scalar)
        name = _INTS.get(e.op)
        if name is None:
            name = {"div": "udiv", "mod": "urem", "shr": "ashr" if kind.signed else "lshr"}[e.op]
        return self.op(f"{name} {ir_type(e.type)} {a}, {b}")

    def expr_Compare(self, e: t.Compare) -> str:
        a, b = self.expr(e.a), self.expr(e.b)
        kind = e.a.type.elem if isinstance(e.a.type, VecType) else e.a.type
        if kind.is_float:
            wide, a, b = self.widened(e.a.type, a), self.widen(e.a.type, a), self.widen(e.a.type, b)
            name = {"eq": "oeq", "ne": "une"}.get(e.op) or f"o{_ORDER[e.op]}"
            return self.op(f"fcmp {name} {wide} {a}, {b}")
        sign = "s" if isinstance(kind, Scalar) and kind.signed else "u"
        name = e.op if e.op in ("eq", "ne") else sign + e.op
        return self.op(f"icmp {name} {ir_type(e.a.type)} {a}, {b}")

    def expr_Unary(self, e: t.Unary) -> str:
        a, ir = self.expr(e.a), ir_type(e.type)
        kind = e.type.elem if isinstance(e.type, VecType) else e.type
        if e.op in ("not", "inv"):
            ones = "splat (i1 true)" if e.op == "not" and isinstance(e.type, VecType) else "true"
            if e.op == "inv":
                ones = f"splat ({ir_type(kind)} -1)" if isinstance(e.type, VecType) else "-1"
            return self.op(f"xor {ir} {a}, {ones}")
        if kind.is_float:
            return self.float_negate(e.type, a)
        return self.op(f"sub {ir} zeroinitializer, {a}" if isinstance(e.type, VecType) else f"sub {ir} 0, {a}")

    def expr_Convert(self, e: t.Convert) -> str:
        return self.convert(e.a.type, e.type, self.expr(e.a))

    def expr_Bitcast(self, e: t.Bitcast) -> str:
        a, source, target = self.expr(e.a), ir_type(e.a.type), ir_type(e.type)
        if is_float(e.a.type):
            source, a = self.canonical(e.a.type, a)
        if source == target:
            return a
        name = "inttoptr" if target == "ptr" else "ptrtoint" if source == "ptr" else "bitcast"
        return self.op(f"{name} {source} {a} to {target}")

    def expr_Choose(self, e: t.Choose) -> str:
        if not e.lazy:
            cond = self.typed(e.cond)
            a = self.typed(e.a)
            return self.op(f"select {cond}, {a}, {self.typed(e.b)}")
        return self.either(e.type, e.cond, e.a, e.b)

    def either(self, kind: Type, cond: t.Expr, a: t.Expr, b: t.Expr) -> str:
        """`a if cond else b` through a stack slot."""
        then, other, end = self.labels("yes", "no", "join")
        slot = f"%c{self.count}"
        self.entry.append(f"  {slot} = alloca {ir_type(kind)}")
        self.branch(cond, then, other)
        for label, side in ((then, a), (other, b)):
            self.label(label)
            self.line(f"store {self.typed(side)}, ptr {slot}")
            self.jump(end)
        self.label(end)
        return self.op(f"load {ir_type(kind)}, ptr {slot}")

    def expr_Logic(self, e: t.Logic) -> str:
        if e.op == "and":
            return self.either(boolean, e.a, e.b, t.Const(boolean, False))
        return self.either(boolean, e.a, t.Const(boolean, True), e.b)

    def expr_Load(self, e: t.Load) -> str:
        address = self.expr(e.addr)
        if e.type is boolean:
            return self.op(f"icmp ne i8 {self.op(f'load i8, ptr {address}, align 1')}, 0")
        return self.op(f"load {ir_type(e.type)}, ptr {address}, align 1")

    def expr_Offset(self, e: t.Offset) -> str:
        address = self.expr(e.base)
        if e.index is not None:
            assert isinstance(e.index.type, Scalar)
            index = self.expr(e.index)
            if e.index.type.width < 64:
                extend = "sext" if e.index.type.signed else "zext"
                index = self.op(f"{extend} {ir_type(e.index.type)} {index} to i64")
            address = self.op(f"getelementptr [{e.scale} x i8], ptr {address}, i64 {index}")
        return self.op(f"getelementptr i8, ptr {address}, i64 {e.const}") if e.const else address

    def expr_Call(self, e: t.Call) -> str:
        text = self.call_text(self.symbol(e.fn), [k for _, k in e.fn.params], e.type, e.fn.cc, e.args)
        return self.effect(text) if e.type is void else self.op(text)

    def expr_CallPtr(self, e: t.CallPtr) -> str:
        kind = e.target.type
        assert isinstance(kind, FnPtrType)
        text = self.call_text(self.expr(e.target), list(kind.params), e.type, kind.cc, e.args)
        return self.effect(text) if e.type is void else self.op(text)

    def effect(self, text: str) -> str:
        self.line(text)
        return ""

    def expr_FnAddr(self, e: t.FnAddr) -> str:
        return self.symbol(e.fn)

    def expr_LocalArray(self, e: t.LocalArray) -> str:
        self.count += 1
        slot = f"%m{self.count}"
        self.entry.append(f"  {slot} = alloca [{max(e.bytes, 1)} x i8], align 64")
        self.declare("void", "llvm.memset.p0.i64", "ptr, i8, i64, i1")
        self.line(f"call void @llvm.memset.p0.i64(ptr align 64 {slot}, i8 0, i64 {e.bytes}, i1 false)")
        return slot

    def expr_Intrinsic(self, e: t.Intrinsic) -> str:
        method: Any = getattr(self, f"in_{e.name}", None)
        if method is not None:
            code: str = method(e)
            return code
        return self.arithmetic(e.type, e.name, [self.expr(a) for a in e.args], [a.type for a in e.args])

    def in_likely(self, e: t.Intrinsic) -> str:
        self.declare("i1", "llvm.expect.i1", "i1, i1")
        wanted = "true" if e.name == "likely" else "false"
        return self.op(f"call i1 @llvm.expect.i1(i1 {self.expr(e.args[0])}, i1 {wanted})")

    in_unlikely = in_likely

    def in_splat(self, e: t.Intrinsic) -> str:
        assert isinstance(e.type, VecType)
        return self.splat(e.type, self.expr(e.args[0]))

    def in_lane(self, e: t.Intrinsic) -> str:
        vector = self.typed(e.args[0])
        return self.op(f"extractelement {vector}, {self.typed(e.args[1])}")

    def in_insert(self, e: t.Intrinsic) -> str:
        vector, index, value = self.typed(e.args[0]), self.typed(e.args[1]), self.typed(e.args[2])
        return self.op(f"insertelement {vector}, {value}, {index}")

    def in_shuffle(self, e: t.Intrinsic) -> str:
        a, b = self.typed(e.args[0]), self.typed(e.args[1])
        order = ", ".join(f"i32 {i}" for i in e.extra)
        return self.op(f"shufflevector {a}, {b}, <{len(e.extra)} x i32> <{order}>")

    def in_vstore(self, e: t.Intrinsic) -> str:
        address = self.expr(e.args[0])
        self.store(e.args[1].type, self.expr(e.args[1]), address)
        return ""

    def in_memcpy(self, e: t.Intrinsic) -> str:
        second = "i8" if e.name == "memset" else "ptr"
        name = f"llvm.{e.name}.p0.i64" if second == "i8" else f"llvm.{e.name}.p0.p0.i64"
        self.declare("void", name, f"ptr, {second}, i64, i1")
        args = ", ".join(self.typed(a) for a in e.args)
        return self.effect(f"call void @{name}({args}, i1 false)")

    in_memmove = in_memset = in_memcpy
