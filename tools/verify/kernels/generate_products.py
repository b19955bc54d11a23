"""Matrix products of random programs, single ones and sums of them in loops."""

from __future__ import annotations

from typing import Any

from mtia.tools.verify.kernels.generate_shapes import Tensors
from mtia.tools.verify.kernels.kinds import KINDS, WHOLE
from mtia.tools.verify.kernels.program import Extent, Operand, Shape, Size, Statement, Var

__all__ = ["Products"]

_KINDS = ("fp16", "fp16", "fp16", "bf16", "bf16", "fp32", "fp32", "i8", "fp8e5", "fp8e4nv", "fp64")
_STEPS = 6  # of a loop over products at most


class Products(Tensors):
    """Multiplies matrices."""

    def dot(self) -> None:
        """A matrix product or a loop that adds some, and what is done with it."""
        if self.pick.random() < 0.35 and self.depth == 0:
            made = self.products()
        else:
            made = self.product()
        if made is None or self.pick.random() < 0.4:
            return
        name = self.pick.choice(("add", "add", "sub", "mul", "maximum"))
        operands = [made, self.partner(made)]
        if self.pick.random() < 0.3:
            operands.reverse()
        self.emit(name, made.kind, made.shape, *operands, **self.result(name, made.kind, operands))

    def sides(self) -> tuple[Extent, Extent, Extent, Shape] | None:
        """Extents m, k, n and a batch of a product that is not too large."""
        pick = self.pick
        names: list[Extent] = [("A",), ("B",), ("C",)]
        m, k, n = (pick.choice(names) for _ in range(3))
        batch: Shape = (("D",),) if pick.random() < 0.15 else ()
        largest = max(self.count((*batch, m, k)), self.count((*batch, k, n)), self.count((*batch, m, n)))
        return (m, k, n, batch) if largest <= max(self.limit, 1024) else None

    def factors(self, k: Extent) -> tuple[str, str, str, float | None, dict[str, Any]]:
        """Type and flavour of the factors, the product's type, its bound if they are whole, and its precision."""
        kind = self.pick.choice(_KINDS)
        flavour = "whole" if self.pick.random() < 0.4 else "normal"
        into = {"i8": "i32", "fp64": "fp64"}.get(kind, "fp32")
        bound = None if kind == "i8" or flavour == "normal" else float(WHOLE * WHOLE * self.count((k,)))
        return kind, flavour, into, bound, {"precision": "tf32"} if kind == "fp32" and self.pick.random() < 0.4 else {}

    def product(self) -> Var | None:
        """A matrix product of loaded values, with an accumulator at times, and of a batch at times."""
        pick = self.pick
        found = self.sides()
        if found is None:
            return None
        m, k, n, batch = found
        kind, flavour, into, bound, more = self.factors(k)
        args: list[Operand | Var] = []
        for shape in ((*batch, m, k), (*batch, k, n)):
            name = self.pointer(kind, flavour)
            order = list(range(len(shape)))
            if pick.random() < 0.2:
                order[-2:] = order[:-3:-1]
            at = self.index(shape, pick.random() < 0.3, order)
            args.append(self.emit("load", kind, shape, name, at, **self.loaded(name)))
        exact = kind == "i8" or bound is not None
        if pick.random() < 0.4:
            starts = self.visible(kind=into, shape=(*batch, m, n))
            start = pick.choice(starts) if starts else self.emit("full", into, (*batch, m, n), 2, bound=2.0)
            args.append(start)
            exact = exact and start.exact and (kind == "i8" or start.bound is not None)
            bound = None if bound is None or start.bound is None else bound + start.bound
        terms = None if kind == "i8" or len(args) > 2 else Size(k)
        return self.emit(
            "dot", into, (*batch, m, n), *args, more=more, exact=exact, bound=bound if exact else None,
            finite=bound is not None, terms=terms,
        )  # fmt: skip

    def products(self) -> Var | None:
        """A loop along the inner dimension of two matrices that adds the products of their tiles."""
        pick = self.pick
        found = self.sides()
        if found is None or found[3]:
            return None
        m, k, n, _ = found
        kind, flavour, into, bound, more = self.factors(k)
        known: dict[str, Any] = {"exact": kind == "i8" or bound is not None, "finite": bound is not None}
        known["bound"] = None if bound is None else bound * _STEPS
        start = self.emit("full", into, (m, n), 0, bound=0.0)
        self.number += 1
        total = Var(f"c{self.number}", into, (m, n), **known)
        index = Var(f"i{self.number}", "i32")
        self.add(Statement("assign", (total,), self.names([start])))
        steps = self.argument() if pick.random() < 0.4 else pick.randint(1, _STEPS)
        self.blocks.append([])
        self.scopes.append([total, index])
        self.depth += 1
        args = [self.part(kind, flavour, (m, k), 1, index), self.part(kind, flavour, (k, n), 0, index)]
        if pick.random() < 0.6:
            new = self.emit("dot", into, (m, n), *args, total, more=more, **known)
        else:
            one = self.emit("dot", into, (m, n), *args, more=more, **known | {"bound": bound})
            joined = {"terms": [] if known["exact"] else [Size(k)]}
            new = self.emit("add", into, (m, n), *pick.sample([total, one], 2), more=joined, **known)
        if pick.random() < 0.3:
            self.step()
        self.add(Statement("assign", (total,), self.names([new])))
        self.depth -= 1
        self.scopes.pop()
        static = isinstance(steps, int) and pick.random() < 0.3
        self.add(Statement("for", (index,), self.names([0, steps, 1]), {"static": static}, tuple(self.blocks.pop())))
        self.scopes[-1].append(total)
        self.used.discard(total.name)
        return total

    def part(self, kind: str, flavour: str, shape: Shape, axis: int, index: Var) -> Var:
        """The tile of a matrix at a step of a loop along an axis; the matrix may end within the last one."""
        pick = self.pick
        name = self.pointer(kind, flavour)
        along = shape[axis]
        strides = [Size(shape[1], 1 if axis == 0 else _STEPS), Size((), 1)]
        area = tuple(sorted(shape[0] + shape[1]))
        at = self.emit("tile", "i32", shape, more={"strides": strides})
        if pick.random() < 0.7:
            at = self.emit("add", "i32", shape, self.emit("mul", "i32", (), self.pid, Size(area, _STEPS)), at)
        moved = self.emit("mul", "i32", (), index, Size(area if axis == 0 else along))
        at = self.emit("add", "i32", shape, at, moved)
        known = self.loaded(name)
        if KINDS[kind].bits == 8 or pick.random() < 0.5:
            return self.emit("load", kind, shape, name, at, **known)
        place = [Size((), int(number == axis)) for number in range(2)]
        inner = self.emit("tile", "i32", shape, more={"strides": place})
        step = self.emit("mul", "i32", (), index, Size(along))
        rest = self.emit("sub", "i32", (), Size(along, pick.randint(1, _STEPS), -pick.randint(0, 3)), step)
        mask = self.emit("lt", "i1", shape, inner, rest)
        return self.emit("load", kind, shape, name, at, mask, 0.0, **known)
