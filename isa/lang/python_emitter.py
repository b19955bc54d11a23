"""The reference emitter: a typed tree to Python source, compiled when the function is first called.

Pointers are host addresses; all of host memory is one byte view, read through typed casts of it. A function with the
`handler` convention returns `(next function, arguments)` or `(None, result)` and runs on a trampoline.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

from . import numerics
from . import tree as t
from .function import Fn
from .memory import Memory
from .names import boolean, void
from .types import FnPtrType, PtrType, Scalar, Type, VecType

__all__ = ["call", "handle", "python_source"]

_HANDLES = 1 << 62
_functions: dict[int, Fn] = {}
_MEMORY_CODES = {"u16": "H", "u32": "I", "u64": "Q", "i16": "h", "i32": "i", "i64": "q", "f32": "f", "f64": "d"}
_OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "div": "//", "mod": "%", "and": "&", "or": "|", "xor": "^", "shl": "<<",
    "shr": ">>", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip


def handle(fn: Fn) -> int:
    """The number that stands for a function's address in reference runs."""
    _functions.setdefault(fn.number, fn)
    return _HANDLES + 16 * fn.number


class _ByHandle(dict[int, Callable[..., Any]]):
    """Compiled functions by handle."""

    def __missing__(self, key: int) -> Callable[..., Any]:
        function = _functions.get((key - _HANDLES) // 16)
        if function is None:
            raise ValueError(f"{key:#x} is not the address of a function")
        compiled = self[key] = _compiled(function)
        return compiled


def _shift(amount: int, width: int) -> int:
    if not 0 <= amount < width:
        raise ValueError(f"shift by {amount} of {width} bits")
    return amount


def _run(function: Any, args: Any) -> Any:
    while function is not None:
        function, args = function(*args)
    return args


def _zeroed(memory: Memory) -> int:
    ctypes.memset(memory.addr, 0, memory.size)
    return memory.addr


def _addresses(start: int, size: int, step: int) -> range:
    return range(start, start + size, step)


def _insert(lanes: list[Any], index: int, value: Any) -> list[Any]:
    out = list(lanes)
    out[index] = value
    return out


def _shuffle(lanes: list[Any], order: tuple[int, ...]) -> list[Any]:
    return [lanes[i] for i in order]


def _namespace() -> dict[str, Any]:
    everything: Any = memoryview((ctypes.c_ubyte * (1 << 47)).from_address(0)).cast("B")
    names: dict[str, Any] = {
        "B": everything, "b": everything.cast("b"), "inf": math.inf, "nan": math.nan, "_c_float": ctypes.c_float,
        "_shift": _shift, "_run": _run, "_zeroed": _zeroed, "_Memory": Memory, "_addresses": _addresses,
        "_insert": _insert, "_shuffle": _shuffle, "_by_handle": _ByHandle(),
        "_fdiv": numerics.fdiv, "_from_int": numerics.from_int, "_to_int": numerics.to_int,
        "memcpy": ctypes.memmove, "memmove": ctypes.memmove, "memset": ctypes.memset,
    }  # fmt: skip
    for code in _MEMORY_CODES.values():
        names[code] = everything.cast(code)
    for name, value in numerics.INTRINSICS.items():
        names[f"_{name}"] = value
    for name in numerics.ROUND:
        names[f"_round_{name}"] = numerics.ROUND[name]
        names[f"_bits_{name}"] = numerics.TO_BITS[name]
        names[f"_from_{name}"] = numerics.FROM_BITS[name]
    for name in _MEMORY_CODES:
        kind = getattr(ctypes, {"f32": "c_float", "f64": "c_double"}.get(name, f"c_{_ctype_name(name)}"))
        names[f"_load_{name}"] = lambda address, kind=kind: kind.from_address(address).value
        names[f"_store_{name}"] = lambda address, value, kind=kind: setattr(kind.from_address(address), "value", value)
    return names


def _ctype_name(name: str) -> str:
    return f"{'u' if name[0] == 'u' else ''}int{name[1:]}"


_globals = _namespace()


def _compiled(fn: Fn) -> Callable[..., Any]:
    name = f"_f{fn.number}"
    code = compile(python_source(fn), f"<reference of {fn.name} at {fn.file}>", "exec")
    exec(code, _globals)
    made: Callable[..., Any] = _globals[name]
    return made


def _reference(fn: Fn) -> str:
    """The global name of a function's compiled form; a stub compiles it on the first call."""
    name = f"_f{fn.number}"
    if name not in _globals:
        _globals[name] = lambda *args: _compiled(fn)(*args)
    return name


def call(fn: Fn, args: tuple[Any, ...]) -> Any:
    """Run the reference version on host values (objects with an address may stand for pointers)."""
    if len(args) != len(fn.params):
        raise TypeError(f"{fn.name} takes {len(fn.params)} arguments, {len(args)} given")
    values = [kind(a) if isinstance(kind, Scalar) else _host(a) for a, (_, kind) in zip(args, fn.params, strict=True)]
    compiled = _globals.get(f"_f{fn.number}") or _compiled(fn)
    return _run(compiled, values) if fn.cc == "handler" else compiled(*values)


def _host(value: Any) -> Any:
    if isinstance(value, Fn):
        return handle(value)
    return getattr(value, "addr", value)


def python_source(fn: Fn) -> str:
    """The Python text of a function."""
    return _Emitter(fn).source()


def _variable(name: str) -> str:
    return f"t{name[1:]}" if name.startswith("$") else f"v_{name}"


def _wrap(kind: Scalar, code: str) -> str:
    mask = (1 << kind.width) - 1
    if kind.signed:
        half = 1 << (kind.width - 1)
        return f"(({code} + {half} & {mask}) - {half})"
    return f"({code} & {mask})"


def _zero(kind: Type) -> str:
    if isinstance(kind, VecType):
        return f"[{_zero(kind.elem)}] * {kind.count}"
    return "0.0" if kind.is_float else "False" if kind is boolean else "0"


class _Emitter:
    """Writes one function."""

    def __init__(self, fn: Fn) -> None:
        self.fn = fn
        self.lines: list[str] = []
        self.locals: list[str] = []

    def source(self) -> str:
        body = self.fn.body
        self.block(body.statements, "    ")
        if self.fn.result is void:
            self.lines.append("    return (None, None)" if self.fn.cc == "handler" else "    return None")
        head = [f"def _f{self.fn.number}({', '.join(_variable(p) for p in body.params)}):"]
        for name, kind in body.variables.items():
            if name not in body.params:
                head.append(f"    {_variable(name)} = {_zero(kind)}")
        return "\n".join(head + self.locals + self.lines) + "\n"

    # Statements

    def block(self, statements: list[t.Stmt], pad: str) -> None:
        if not statements:
            self.lines.append(pad + "pass")
        for statement in statements:
            getattr(self, f"stmt_{type(statement).__name__}")(statement, pad)

    def stmt_Assign(self, s: t.Assign, pad: str) -> None:
        self.lines.append(f"{pad}{_variable(s.name)} = {self.expr(s.value)}")

    def stmt_Store(self, s: t.Store, pad: str) -> None:
        self.lines.append(f"{pad}s_ = {self.expr(s.addr)}")
        self.lines.append(f"{pad}x_ = {self.expr(s.value)}")
        self.store(s.value.type, pad)

    def store(self, kind: Type, pad: str) -> None:
        """Store `x_` at address `s_`."""
        if isinstance(kind, VecType):
            self.lines.append(f"{pad}for x_ in x_:")
            self.store(kind.elem, pad + "    ")
            self.lines.append(f"{pad}    s_ += {kind.elem.size}")
            return
        name = "u64" if isinstance(kind, (PtrType, FnPtrType)) else kind.name
        if name in ("f16", "bf16"):
            self.lines.append(f"{pad}x_ = _bits_{name}(x_)")
            name = "u16"
        elif kind.is_float:
            self.lines.append(f"{pad}if x_ != x_: x_ = nan")
        if name in ("u8", "boolean", "i8"):
            self.lines.append(f"{pad}{'b' if name == 'i8' else 'B'}[s_] = x_")
            return
        size = kind.size
        self.lines.append(f"{pad}if s_ & {size - 1}: _store_{name}(s_, x_)")
        self.lines.append(f"{pad}else: {_MEMORY_CODES[name]}[s_ >> {size.bit_length() - 1}] = x_")

    def stmt_Eval(self, s: t.Eval, pad: str) -> None:
        value = s.value
        if isinstance(value, t.Intrinsic) and value.name == "vstore":
            self.stmt_Store(t.Store(value.args[0], value.args[1]), pad)
            return
        self.lines.append(pad + self.expr(value))

    def stmt_If(self, s: t.If, pad: str) -> None:
        self.lines.append(f"{pad}if {self.expr(s.cond)}:")
        self.block(s.then, pad + "    ")
        if s.other:
            self.lines.append(f"{pad}else:")
            self.block(s.other, pad + "    ")

    def stmt_While(self, s: t.While, pad: str) -> None:
        self.lines.append(f"{pad}while {self.expr(s.cond)}:")
        self.block(s.body, pad + "    ")

    def stmt_For(self, s: t.For, pad: str) -> None:
        bounds = f"{self.expr(s.start)}, {self.expr(s.stop)}, {s.step}"
        self.lines.append(f"{pad}for {_variable(s.name)} in range({bounds}):")
        self.block(s.body, pad + "    ")

    def stmt_Break(self, s: t.Break, pad: str) -> None:
        self.lines.append(pad + "break")

    def stmt_Continue(self, s: t.Continue, pad: str) -> None:
        self.lines.append(pad + "continue")

    def stmt_Return(self, s: t.Return, pad: str) -> None:
        value = "None" if s.value is None else self.expr(s.value)
        self.lines.append(f"{pad}return (None, {value})" if self.fn.cc == "handler" else f"{pad}return {value}")

    def stmt_TailReturn(self, s: t.TailReturn, pad: str) -> None:
        target = _reference(s.target) if isinstance(s.target, Fn) else f"_by_handle[{self.expr(s.target)}]"
        args = "".join(f"{self.expr(a)}, " for a in s.args)
        self.lines.append(f"{pad}return ({target}, ({args}))")

    # Expressions

    def expr(self, e: t.Expr) -> str:
        code: str = getattr(self, f"expr_{type(e).__name__}")(e)
        return code

    def lanes(self, kind: Type, args: list[t.Expr], form: Callable[..., str]) -> str:
        """`form` of the operands' code, in every lane where the type is a vector."""
        codes = [self.expr(a) for a in args]
        if not isinstance(kind, VecType):
            return form(*codes)
        names = [f"l{i}_" for i in range(len(args))]
        return f"list(map(lambda {', '.join(names)}: {form(*names)}, {', '.join(codes)}))"

    def expr_Const(self, e: t.Const) -> str:
        code = f"({e.value!r})" if e.value == e.value else "nan"
        return f"[{code}] * {e.type.count}" if isinstance(e.type, VecType) else code

    def expr_Var(self, e: t.Var) -> str:
        return _variable(e.name)

    def expr_Binary(self, e: t.Binary) -> str:
        kind = e.type.elem if isinstance(e.type, VecType) else e.type
        return self.lanes(e.type, [e.a, e.b], lambda a, b: _binary(kind, e.op, a, b))

    def expr_Compare(self, e: t.Compare) -> str:
        return self.lanes(e.a.type, [e.a, e.b], lambda a, b: f"({a} {_OPERATORS[e.op]} {b})")

    def expr_Unary(self, e: t.Unary) -> str:
        kind = e.type.elem if isinstance(e.type, VecType) else e.type
        assert isinstance(kind, Scalar)

        def form(a: str) -> str:
            if e.op == "not":
                return f"(not {a})"
            if e.op == "neg":
                return f"(-{a})" if kind.is_float else _wrap(kind, f"-{a}")
            return f"(~{a})" if kind.signed else f"({a} ^ {(1 << kind.width) - 1})"

        return self.lanes(e.type, [e.a], form)

    def expr_Convert(self, e: t.Convert) -> str:
        source = e.a.type.elem if isinstance(e.a.type, VecType) else e.a.type
        target = e.type.elem if isinstance(e.type, VecType) else e.type
        assert isinstance(source, Scalar) and isinstance(target, Scalar)
        return self.lanes(e.type, [e.a], lambda a: _convert(source, target, a))

    def expr_Bitcast(self, e: t.Bitcast) -> str:
        source = e.a.type.elem if isinstance(e.a.type, VecType) else e.a.type
        target = e.type.elem if isinstance(e.type, VecType) else e.type
        if source.is_float:
            return self.lanes(e.type, [e.a], lambda a: f"_bits_{source.name}({a})")
        if target.is_float:
            return self.lanes(e.type, [e.a], lambda a: f"_from_{target.name}({a})")
        return self.expr(e.a)

    def expr_Choose(self, e: t.Choose) -> str:
        if e.lazy:
            return f"({self.expr(e.a)} if {self.expr(e.cond)} else {self.expr(e.b)})"
        if isinstance(e.cond.type, VecType):
            return self.lanes(e.type, [e.cond, e.a, e.b], lambda c, a, b: f"({a} if {c} else {b})")
        return f"(({self.expr(e.b)}), ({self.expr(e.a)}))[{self.expr(e.cond)}]"

    def expr_Logic(self, e: t.Logic) -> str:
        return f"({self.expr(e.a)} {e.op} {self.expr(e.b)})"

    def expr_Load(self, e: t.Load) -> str:
        if isinstance(e.type, VecType):
            addresses = f"_addresses({self.expr(e.addr)}, {e.type.size}, {e.type.elem.size})"
            return f"list(map(lambda p_: {_load(e.type.elem, 'p_')}, {addresses}))"
        return _load(e.type, self.expr(e.addr))

    def expr_Offset(self, e: t.Offset) -> str:
        code = self.expr(e.base)
        if e.index is not None:
            code += f" + {self.expr(e.index)}" + (f" * {e.scale}" if e.scale != 1 else "")
        if e.const:
            code += f" + {e.const}"
        wraps = e.index is not None and e.index.type.name == "u64"
        return f"({code} & {(1 << 64) - 1})" if wraps else f"({code})"

    def expr_Call(self, e: t.Call) -> str:
        args = ", ".join(self.expr(a) for a in e.args)
        if e.fn.cc == "handler":
            return f"_run({_reference(e.fn)}, ({args},))"
        return f"{_reference(e.fn)}({args})"

    def expr_CallPtr(self, e: t.CallPtr) -> str:
        args = ", ".join(self.expr(a) for a in e.args)
        assert isinstance(e.target.type, FnPtrType)
        target = f"_by_handle[{self.expr(e.target)}]"
        return f"_run({target}, ({args},))" if e.target.type.cc == "handler" else f"{target}({args})"

    def expr_FnAddr(self, e: t.FnAddr) -> str:
        return str(handle(e.fn))

    def expr_LocalArray(self, e: t.LocalArray) -> str:
        name = f"m{len(self.locals)}_"
        self.locals.append(f"    {name} = _Memory({e.bytes})")
        return f"_zeroed({name})"

    def expr_Intrinsic(self, e: t.Intrinsic) -> str:
        kind = e.type.elem if isinstance(e.type, VecType) else e.type
        if e.name in ("likely", "unlikely"):
            return self.expr(e.args[0])
        if e.name == "splat":
            return f"[{self.expr(e.args[0])}] * {e.type.count}"  # type: ignore[attr-defined]
        if e.name == "lane":
            return f"{self.expr(e.args[0])}[{self.expr(e.args[1])}]"
        if e.name == "insert":
            return f"_insert({', '.join(self.expr(a) for a in e.args)})"
        if e.name == "shuffle":
            return f"_shuffle({self.expr(e.args[0])} + {self.expr(e.args[1])}, {e.extra!r})"
        if e.name in ("memcpy", "memmove", "memset"):
            return f"{e.name}({', '.join(self.expr(a) for a in e.args)})"
        assert isinstance(kind, Scalar)
        return self.lanes(e.type, e.args, lambda *args: _intrinsic(kind, e.name, args))


def _load(kind: Type, address: str) -> str:
    name = "u64" if isinstance(kind, (PtrType, FnPtrType)) else kind.name
    if name in ("u8", "i8"):
        return f"{'b' if name == 'i8' else 'B'}[{address}]"
    if name == "boolean":
        return f"(B[{address}] != 0)"
    memory = "u16" if name in ("f16", "bf16") else name
    size = kind.size
    code = (
        f"({_MEMORY_CODES[memory]}[a_ >> {size.bit_length() - 1}] if not (a_ := {address}) & {size - 1}"
        f" else _load_{memory}(a_))"
    )
    return f"_from_{name}({code})" if memory != name else code


def _rounded(kind: Type, code: str) -> str:
    if kind.name == "f64":
        return f"({code})"
    return f"_c_float({code}).value" if kind.name == "f32" else f"_round_{kind.name}({code})"


def _binary(kind: Type, op: str, a: str, b: str) -> str:
    if kind.is_float:
        return _rounded(kind, f"_fdiv({a}, {b})" if op == "div" else f"{a} {_OPERATORS[op]} {b}")
    if op in ("shl", "shr"):
        assert isinstance(kind, Scalar)
        code = f"{a} {_OPERATORS[op]} _shift({b}, {kind.width})"
        return _wrap(kind, f"({code})") if op == "shl" else f"({code})"
    code = f"({a} {_OPERATORS[op]} {b})"
    if op in ("add", "sub", "mul"):
        assert isinstance(kind, Scalar)
        return _wrap(kind, code)
    return code


def _convert(source: Scalar, target: Scalar, a: str) -> str:
    if target.kind == "b":
        return f"({a} != 0)"
    if source.kind == "b":
        return f"int({a})"
    if target.is_float and source.is_float:
        return a if target.width > source.width else _rounded(target, a)
    if target.is_float:
        return _rounded(target, f"float({a})") if source.width <= 32 else f"_from_int({target.name!r}, {a})"
    if source.is_float:
        return f"_to_int({a}, {target.low}, {target.high})"
    return a if target.low <= source.low and source.high <= target.high else _wrap(target, a)


def _intrinsic(kind: Scalar, name: str, args: tuple[str, ...]) -> str:
    given = ", ".join(args)
    if name == "fma":
        return f"_fma{kind.width}({given})"
    if name == "sqrt":
        return _rounded(kind, f"_sqrt({given})")
    if name in ("mulhu", "mulhs", "mulhsu"):
        return f"({args[0]} * {args[1]} >> {kind.width})"
    if name in ("popcount", "clz", "ctz", "bswap"):
        code = f"_{name}({given}, {kind.width})"
        return _wrap(kind, code) if kind.signed else code
    if name == "sdiv":
        return _wrap(kind, f"_sdiv({given})")
    return f"{name}({given})" if name in ("min", "max") else f"_{name}({given})"
