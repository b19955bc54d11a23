"""Random well-formed Triton programs.

Undefined behaviour is not generated: divisors are kept from zero (and −1), shifts below the width, floats that become
integers in their range; a load whose mask has no `other` is followed by the choice of another value. Where sides may
differ by rounding a value is `inexact`, and nothing that could jump is computed from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mtia.tools.verify.kernels.generate_products import Products
from mtia.tools.verify.kernels.kinds import FLOATS, INTEGERS, KINDS
from mtia.tools.verify.kernels.program import (
    Extent,
    Operand,
    Program,
    Shape,
    Statement,
    Var,
)

__all__ = ["generate"]

_LARGE = (512, 1024, 4096, 8192)
_LONG, _SHORT = (8, 16, 16, 32, 32, 64, 128), (1, 2, 4, 8, 16)


def generate(seed: int) -> Program:
    """The program of a seed."""
    return _Maker(seed).program()


class _Maker(Products):
    """Makes one program, statement after statement."""

    def control(self) -> None:
        """A loop or a branch with values that it changes."""
        pick = self.pick
        way = pick.choice(("for", "for", "while", "if", "if"))
        carried = [self.carry() for _ in range(pick.randint(1, 3))]
        self.depth += 1
        if way == "if":
            condition = self.condition()
            self.used.add(condition.name)
            body = self.block(carried, [])
            other = self.block(carried, []) if pick.random() < 0.6 else ()
            self.add(Statement("if", (), (condition.name,), {}, body, other))
        elif way == "for":
            self.number += 1
            index = Var(f"i{self.number}", "i32")
            bounds = self.bounds()
            body = self.block(carried, [index])
            static = all(isinstance(bound, int) for bound in bounds) and pick.random() < 0.3
            self.add(Statement("for", (index,), self.names(bounds), {"static": static}, body))
        else:
            self.loop(carried)
        self.depth -= 1
        self.scopes[-1] += carried
        self.used -= {var.name for var in carried}  # so that a loop whose values nothing uses is stored

    def bounds(self) -> list[Operand | Var]:
        """First, end and step of a loop."""
        pick = self.pick
        way = pick.choice(("number", "argument", "step", "data"))
        if way == "argument":
            return [0, self.argument(), 1]
        if way == "step":
            return [pick.randint(-3, 3), pick.randint(2, 9), pick.randint(2, 4)]
        found = [var for var in self.visible(kind="i32", shape=(), exact=True) if var is not self.pid]
        if way == "data" and found:
            return [0, self.emit("and", "i32", (), pick.choice(found), 3), 1]
        return [0, pick.randint(1, 5), 1]

    def carry(self) -> Var:
        """A variable that blocks may change, with its first value."""
        first = self.value(INTEGERS + FLOATS)
        self.number += 1
        var = Var(
            f"c{self.number}", first.kind, first.shape, exact=first.exact, finite=not KINDS[first.kind].precision,
            product=first.product, terms=first.terms,
        )  # fmt: skip
        self.used.add(first.name)
        self.add(Statement("assign", (var,), (first.name,)))
        return var

    def block(
        self, carried: Sequence[Var], more: Sequence[Var], last: Sequence[Statement] = ()
    ) -> tuple[Statement, ...]:
        """Some statements that end with new values of what is carried."""
        self.blocks.append([])
        self.scopes.append([*carried, *more])
        for _ in range(self.pick.choice((1, 2, 3, 5))):
            self.step()
        for var in carried:
            found = self.visible(kind=var.kind, shape=var.shape)
            found = [new for new in found if new.exact or not var.exact]
            found = [new for new in found if new.product <= var.product and new.terms in (None, var.terms)]
            new = self.pick.choice([v for v in found if v is not var] or found)
            if new is not var:
                self.add(Statement("assign", (var,), self.names([new])))
        for one in last:
            self.add(one)
        self.scopes.pop()
        return tuple(self.blocks.pop())

    def loop(self, carried: Sequence[Var]) -> None:
        """A `while` loop that counts."""
        pick = self.pick
        self.number += 1
        counter = Var(f"c{self.number}", "i32")
        self.add(Statement("assign", (counter,), (pick.randint(0, 3),)))
        step = Var(f"s{self.number}", "i32")
        count = Statement("add", (step,), (counter.name, pick.randint(1, 3)))
        again = Statement("assign", (counter,), (step.name,))
        limit = self.argument() if pick.random() < 0.4 else pick.randint(2, 8)
        limits = self.names([limit])
        body = self.block(carried, [replace(counter)], [count, again])
        self.add(Statement("while", (), (counter.name, *limits), {}, body))

    def program(self) -> Program:
        """The whole program."""
        pick = self.pick
        many, large = pick.random() < 0.12, pick.random() < 0.02
        self.limit = 16384 if large else 128 if many else pick.choice((64, 512, 1024, 2048, 4096))
        self.dims = {"A": pick.choice(_LONG), "B": pick.choice(_SHORT), "C": pick.choice(_SHORT + _LONG), "D": 2}
        if large:  # than what local memory holds of the values of a program
            self.dims["A"] = pick.choice(_LARGE)
        self.grid = (1,) if large else self._grid(many)
        self.options = self._options()
        self.shapes = self._shapes()
        self.kinds = pick.sample(INTEGERS + FLOATS * 3, 3)
        self.flavour = pick.choice(("whole", "normal", "wide", "special", "mixed", "mixed"))
        self.pid = self.emit("pid", "i32", (), bound=None)
        self.used.add(self.pid.name)
        if pick.random() < 0.05:
            self.blocks[-1].append(Statement("return", args=(self.condition().name,)))
        for _ in range(pick.choice((2, 4, 6, 8, 12, 16, 24, 36))):
            self.step()
        self.finish()
        body = tuple(self.blocks[0])
        return Program(self.dims, self.grid, self.pointers, self.scalars, body, self.options, self.seed)

    def _grid(self, many: bool) -> tuple[int, ...]:
        pick = self.pick
        if many:
            return pick.choice(((pick.randint(65, 300),), (pick.randint(5, 40), pick.randint(4, 9)), (5, 7, 6)))
        rank = pick.choice((1, 1, 1, 2, 2, 3))
        return tuple(pick.randint(1, 5 if rank == 1 else 3) for _ in range(rank))

    def _options(self) -> dict[str, Any]:
        pick = self.pick
        return {
            "target": pick.choice(("mtia200", "mtia300", "mtia300")),
            "use_dual_core": pick.random() < 0.8,
            "cb_multiplier": pick.choice((1, 1, 1, 2)),
            "hart_only": pick.random() < 0.08,
            "enable_fp_fusion": pick.random() < 0.25,
            "aligned": pick.random() < 0.6,
        }

    def _shapes(self) -> list[Shape]:
        """A few shapes that the program works on."""
        names: list[Extent] = [("A",), ("B",), ("C",), ("D",)]
        found: list[Shape] = []
        while len(found) < 3:
            rank = self.pick.choice((1, 1, 2, 2, 2, 3, 4))
            shape = tuple(self.pick.sample(names, rank))
            if self.count(shape) <= self.limit:
                found.append(shape)
            elif rank == 1:
                self.dims["A"] = self.dims["C"] = 8
        return found

    def step(self) -> None:
        """One random production."""
        made = self.pick.choices(
            (
                self.elementwise, self.compare, self.choose, self.cast, self.function, self.load_one, self.reshape,
                self.broadcast, self.reduce, self.scan, self.dot, self.arrange, self.control, self.atomic,
            ),
            (30, 7, 7, 9, 6, 9, 10, 6, 9, 3, 5, 4, 6 if self.depth < 2 else 0, 2),
        )[0]  # fmt: skip
        made()
