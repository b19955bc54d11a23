"""Operations on elements in random programs."""

from __future__ import annotations

from mtia.tools.verify.kernels.generate_memory import Accesses
from mtia.tools.verify.kernels.generate_values import COMPARISONS, fits, kinds_of
from mtia.tools.verify.kernels.kinds import FLOATS, INTEGERS, KINDS
from mtia.tools.verify.kernels.operations import ELEMENTWISE, MATH
from mtia.tools.verify.kernels.program import (
    Operand,
    Var,
)

__all__ = ["Elements"]

_USUAL = ("add", "add", "sub", "sub", "mul", "mul", "neg", "minimum", "maximum")


class Elements(Accesses):
    """Computes element by element."""

    def elementwise(self) -> None:
        """An operation of the table."""
        pick = self.pick
        name = pick.choice([n for n, row in ELEMENTWISE.items() if row.result == "" and n != "where"])
        if pick.random() < 0.45:
            name = pick.choice(_USUAL)
        row = ELEMENTWISE[name]
        kinds = kinds_of(row.kinds)
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
        elif name == "fmod":
            first = self.tame(first, 1000.0)
            operands = [first, self.divisor(first)]
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
        self.emit(self.pick.choice(COMPARISONS), "i1", first.shape, first, self.partner(first, exact=True))

    def choose(self) -> None:
        """`tl.where`."""
        first = self.value(INTEGERS + FLOATS)
        found = [var for var in self.visible(kind="i1") if fits(var.shape, first.shape)]
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
        kinds = kinds_of(row.kinds)
        usual = tuple(kind for kind in self.kinds if kind in kinds)
        first = self.tame(self.value(usual or kinds, exact=True), 8.0)
        operands: list[Operand | Var] = [first]
        if row.operands == 2:
            operands.append(self.divisor(first))
        if first.exact and all(not isinstance(arg, Var) or arg.exact for arg in operands):
            self.emit(name, first.kind, first.shape, *operands, exact=False)
