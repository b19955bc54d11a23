"""Arithmetic of the LLVM emitter: float widths, NaNs, conversions and the integer intrinsics, scalar and lane-wise.

A value of f16 or bf16 is an `i16` (or a vector of them); `widen` makes it an f32, `narrow` rounds back to nearest even.
"""

from __future__ import annotations

from .types import Scalar, Type, VecType

__all__ = ["IRNumerics"]

_NAN = {"f16": 0x7E00, "bf16": 0x7FC0, "f32": 0x7FC00000, "f64": 0x7FF8000000000000}
_INFINITY = {"f16": 0x7C00, "bf16": 0x7F80}
_MANGLE = {"float": "f32", "double": "f64", "half": "f16"}


def _scalar(kind: Type) -> Scalar:
    scalar = kind.elem if isinstance(kind, VecType) else kind
    assert isinstance(scalar, Scalar)
    return scalar


class IRNumerics:
    """Line buffer and arithmetic of one function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0
        self.declared: set[str] = set()

    def line(self, text: str) -> None:
        """Write one instruction."""
        self.lines.append("  " + text)

    def op(self, text: str) -> str:
        """Write one instruction and name its result."""
        self.count += 1
        self.lines.append(f"  %t{self.count} = {text}")
        return f"%t{self.count}"

    def declare(self, result: str, name: str, params: str) -> None:
        """Note the declaration of an LLVM intrinsic."""
        self.declared.add(f"declare {result} @{name}({params})")

    def of(self, kind: Type, lane: str) -> str:
        """`lane` (an IR type), in as many lanes as `kind` has."""
        return f"<{kind.count} x {lane}>" if isinstance(kind, VecType) else lane

    def const(self, kind: Type, lane: str, value: object) -> str:
        """A constant in every lane."""
        return f"splat ({lane} {value})" if isinstance(kind, VecType) else str(value)

    def intrinsic(self, name: str, ir: str, args: list[str], tail: str = "") -> str:
        """Call an intrinsic that is overloaded on one type, all of whose operands have it."""
        mangled = ir
        if ir.startswith("<"):
            count, lane = ir[1:-1].split(" x ")
            mangled = f"v{count}{_MANGLE.get(lane, lane)}"
        full = f"llvm.{name}.{_MANGLE.get(mangled, mangled)}"
        self.declare(ir, full, ", ".join([ir] * len(args)) + (", i1" if tail else ""))
        return self.op(f"call {ir} @{full}({', '.join(f'{ir} {a}' for a in args)}{tail})")

    # Floats

    def widened(self, kind: Type, value: str = "") -> str:
        """The IR type in which arithmetic on a float type is done."""
        return self.of(kind, "double" if _scalar(kind).width == 64 else "float")

    def widen(self, kind: Type, value: str) -> str:
        """A value as float or double."""
        scalar = _scalar(kind)
        if scalar.width > 16:
            return value
        if scalar.name == "f16":
            half = self.op(f"bitcast {self.of(kind, 'i16')} {value} to {self.of(kind, 'half')}")
            return self.op(f"fpext {self.of(kind, 'half')} {half} to {self.of(kind, 'float')}")
        wide = self.op(f"zext {self.of(kind, 'i16')} {value} to {self.of(kind, 'i32')}")
        high = self.op(f"shl {self.of(kind, 'i32')} {wide}, {self.const(kind, 'i32', 16)}")
        return self.op(f"bitcast {self.of(kind, 'i32')} {high} to {self.of(kind, 'float')}")

    def narrow(self, kind: Type, value: str) -> str:
        """A float or double result of the arithmetic, rounded to the type."""
        scalar = _scalar(kind)
        if scalar.width > 16:
            return value
        if scalar.name == "f16":
            half = self.op(f"fptrunc {self.of(kind, 'float')} {value} to {self.of(kind, 'half')}")
            return self.op(f"bitcast {self.of(kind, 'half')} {half} to {self.of(kind, 'i16')}")
        i32, i16 = self.of(kind, "i32"), self.of(kind, "i16")
        bits = self.op(f"bitcast {self.of(kind, 'float')} {value} to {i32}")
        high = self.op(f"lshr {i32} {bits}, {self.const(kind, 'i32', 16)}")
        odd = self.op(f"and {i32} {high}, {self.const(kind, 'i32', 1)}")
        bias = self.op(f"add {i32} {odd}, {self.const(kind, 'i32', 0x7FFF)}")
        total = self.op(f"lshr {i32} {self.op(f'add {i32} {bits}, {bias}')}, {self.const(kind, 'i32', 16)}")
        rounded = self.op(f"trunc {i32} {total} to {i16}")
        nan = self.op(f"fcmp uno {self.of(kind, 'float')} {value}, {value}")
        quiet = self.const(kind, "i16", _NAN["bf16"])
        return self.op(f"select {self.of(kind, 'i1')} {nan}, {i16} {quiet}, {i16} {rounded}")

    def canonical(self, kind: Scalar | VecType, value: str) -> tuple[str, str]:
        """The IR type and value of a float's bits, every NaN replaced by the canonical one.

        The choice is between integers: LLVM takes all NaNs for equal, and drops a choice between floats.
        """
        scalar = _scalar(kind)
        if scalar.width == 16:
            i16 = self.of(kind, "i16")
            size = self.op(f"and {i16} {value}, {self.const(kind, 'i16', 0x7FFF)}")
            nan = self.op(f"icmp ugt {i16} {size}, {self.const(kind, 'i16', _INFINITY[scalar.name])}")
            quiet = self.const(kind, "i16", _NAN[scalar.name])
            return i16, self.op(f"select {self.of(kind, 'i1')} {nan}, {i16} {quiet}, {i16} {value}")
        ir, integer = self.widened(kind), self.of(kind, f"i{scalar.width}")
        nan = self.op(f"fcmp uno {ir} {value}, {value}")
        quiet = self.const(kind, f"i{scalar.width}", _NAN[scalar.name])
        raw = self.op(f"bitcast {ir} {value} to {integer}")
        return integer, self.op(f"select {self.of(kind, 'i1')} {nan}, {integer} {quiet}, {integer} {raw}")

    def float_binary(self, kind: Type, op: str, a: str, b: str) -> str:
        """Sum, difference, product or quotient."""
        a, b = self.widen(kind, a), self.widen(kind, b)
        return self.narrow(kind, self.op(f"f{op} {self.widened(kind)} {a}, {b}"))

    def float_negate(self, kind: Type, a: str) -> str:
        """The value with the sign changed."""
        if _scalar(kind).width == 16:
            return self.op(f"xor {self.of(kind, 'i16')} {a}, {self.const(kind, 'i16', -32768)}")
        return self.op(f"fneg {self.widened(kind)} {a}")

    def float_function(self, kind: Type, name: str, args: list[str]) -> str:
        """A function of floats, computed in the wide type and rounded once."""
        wide = self.widened(kind)
        values = [self.widen(kind, a) for a in args]
        if name == "copysign":
            # A NaN has no sign here: it counts as positive.
            nan = self.op(f"fcmp uno {wide} {values[1]}, {values[1]}")
            one = self.const(kind, "double" if _scalar(kind).width == 64 else "float", "1.0")
            values[1] = self.op(f"select {self.of(kind, 'i1')} {nan}, {wide} {one}, {wide} {values[1]}")
        return self.narrow(kind, self.intrinsic({"rint": "roundeven"}.get(name, name), wide, values))

    # Conversions

    def convert(self, source: Type, target: Type, a: str) -> str:
        """A value conversion, lane by lane."""
        x, y = _scalar(source), _scalar(target)
        if x.is_float and y.is_float:
            return self.float_to_float(source, target, a)
        if x.is_float:
            name, wide = ("fptosi" if y.signed else "fptoui"), self.widened(source)
            return self.op(f"{name} {wide} {self.widen(source, a)} to {self.of(target, f'i{y.width}')}")
        ir = self.of(source, f"i{x.width}")
        if y.kind == "b":
            zero = self.const(source, f"i{x.width}", 0)
            return self.op(f"icmp ne {ir} {a}, {zero}")
        if y.is_float:
            return self.int_to_float(x, source, target, a)
        if x.width == y.width:
            return a
        name = "trunc" if x.width > y.width else "sext" if x.kind == "i" else "zext"
        return self.op(f"{name} {ir} {a} to {self.of(target, f'i{y.width}')}")

    def int_to_float(self, x: Scalar, source: Type, target: Type, a: str) -> str:
        """An integer to a float, rounded once."""
        name, y = ("sitofp" if x.signed else "uitofp"), _scalar(target)
        ir = self.of(source, f"i{x.width}")
        if y.width > 16:
            return self.op(f"{name} {ir} {a} to {self.widened(target)}")
        if y.name == "f16" or x.width <= 16:
            # Exact in f32 wherever the result is finite, so the second rounding is the only one.
            return self.narrow(target, self.op(f"{name} {ir} {a} to {self.of(target, 'float')}"))
        wide = self.op(f"{name} {ir} {a} to {self.of(target, 'double')}")
        return self.narrow(target, self.round_to_odd(target, wide))

    def float_to_float(self, source: Type, target: Type, a: str) -> str:
        """A float to another float type, rounded once."""
        x, y = _scalar(source), _scalar(target)
        value = self.widen(source, a)
        if y.width == 64:
            return self.op(f"fpext {self.of(source, 'float')} {value} to {self.of(target, 'double')}")
        if x.width == 64:
            if y.width == 32:
                return self.op(f"fptrunc {self.of(source, 'double')} {value} to {self.of(target, 'float')}")
            value = self.round_to_odd(target, value)
        return self.narrow(target, value)

    def round_to_odd(self, kind: Type, value: str) -> str:
        """A double as the f32 towards zero whose last bit is set when inexact, so that a later rounding is exact."""
        double, single, i32, i1 = (self.of(kind, n) for n in ("double", "float", "i32", "i1"))
        near = self.op(f"fptrunc {double} {value} to {single}")
        back = self.op(f"fpext {single} {near} to {double}")
        size, back_size = self.intrinsic("fabs", double, [value]), self.intrinsic("fabs", double, [back])
        over = self.op(f"zext {i1} {self.op(f'fcmp ogt {double} {back_size}, {size}')} to {i32}")
        bits = self.op(f"bitcast {single} {near} to {i32}")
        toward = self.op(f"sub {i32} {bits}, {over}")
        inexact = self.op(f"zext {i1} {self.op(f'fcmp one {double} {back}, {value}')} to {i32}")
        return self.op(f"bitcast {i32} {self.op(f'or {i32} {toward}, {inexact}')} to {single}")

    # Other intrinsics

    def arithmetic(self, kind: Type, name: str, args: list[str], types: list[Type]) -> str:
        """An intrinsic on values."""
        scalar = _scalar(kind)
        if scalar.is_float:
            return self.float_function(kind, name, args)
        ir = self.of(kind, f"i{scalar.width}")
        if name in ("sdiv", "srem"):
            return self.op(f"{name} {ir} {args[0]}, {args[1]}")
        if name in ("min", "max"):
            return self.intrinsic(("s" if scalar.signed else "u") + name, ir, args)
        if name in ("ctz", "clz"):
            return self.intrinsic({"ctz": "cttz", "clz": "ctlz"}[name], ir, args, ", i1 false")
        if name in ("popcount", "bswap"):
            return self.intrinsic({"popcount": "ctpop", "bswap": "bswap"}[name], ir, args)
        double = self.of(kind, f"i{2 * scalar.width}")
        wide = []
        for code, given in zip(args, types, strict=True):
            wide.append(self.op(f"{'sext' if _scalar(given).signed else 'zext'} {ir} {code} to {double}"))
        product = self.op(f"mul {double} {wide[0]}, {wide[1]}")
        high = self.op(f"lshr {double} {product}, {self.const(kind, f'i{2 * scalar.width}', scalar.width)}")
        return self.op(f"trunc {double} {high} to {ir}")
