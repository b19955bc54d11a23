"""Shapes, reductions and scans of random programs."""

from __future__ import annotations

from dataclasses import replace

from mtia.tools.verify.kernels.generate_elements import Elements
from mtia.tools.verify.kernels.generate_values import fits, kinds_of
from mtia.tools.verify.kernels.kinds import FLOATS, INTEGERS, KINDS
from mtia.tools.verify.kernels.operations import ELEMENTWISE, FUNCTIONS
from mtia.tools.verify.kernels.program import (
    Extent,
    Shape,
    Size,
    Statement,
    Var,
)

__all__ = ["Tensors"]

_SUM_KINDS = {"i8": "i32", "i16": "i32", "u8": "u32", "u16": "u32"}


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _with(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], (), *shape[axis:])


class Tensors(Elements):
    """Works on whole dimensions."""

    def reshape(self) -> None:
        """A change of shape, or two values that become one or the other way round."""
        pick = self.pick
        var = self.value()
        shape, rank = var.shape, len(var.shape)
        keeps = self.keeps(var)
        if rank and shape[-1] == ("2",) and rank > 1 and pick.random() < 0.8:
            names = [replace(var, name=f"v{self.number + n}", shape=shape[:-1]) for n in (1, 2)]
            self.number += 2
            self.add(Statement("split", tuple(names), self.names([var])))
            self.scopes[-1] += names
            return
        way = pick.choice(("reshape", "permute", "trans", "join", "interleave", "cat", "flip", "expand"))
        if way in ("join", "interleave", "cat") and rank and 2 * self.count(shape) <= self.limit:
            self.pair(way, var)
        elif way == "permute" and rank > 1:
            order = list(range(rank))
            pick.shuffle(order)
            self.emit("permute", var.kind, tuple(shape[n] for n in order), var, more={"order": order}, **keeps)
        elif way == "trans" and rank == 2:
            self.emit("trans", var.kind, shape[::-1], var, **keeps)
        elif way == "flip" and rank:
            self.emit("flip", var.kind, shape, var, more={"axis": pick.randrange(rank)}, **keeps)
        elif way == "expand" and 0 < rank < 4:
            axis = pick.randrange(rank + 1)
            self.emit("expand", var.kind, (*shape[:axis], (), *shape[axis:]), var, more={"axis": axis}, **keeps)
        elif way == "reshape" and rank:
            new = self.regrouped(shape)
            self.emit("reshape", var.kind, new, var, **keeps)

    def regrouped(self, shape: Shape) -> Shape:
        """Another shape of as many elements."""
        pick = self.pick
        names = [name for one in shape for name in one]
        if pick.random() < 0.5:
            pick.shuffle(names)
        parts: list[Extent] = []
        for name in names:
            if parts and pick.random() < 0.5:
                parts[-1] = tuple(sorted((*parts[-1], name)))
            else:
                parts.append((name,))
        while len(parts) > 4:
            parts[-2:] = [tuple(sorted(parts[-2] + parts[-1]))]
        return tuple(parts) or ((),)

    def pair(self, way: str, var: Var) -> None:
        """Two values of a type and shape in one."""
        other = self.value((var.kind,), shape=var.shape)
        made = self.result("where", var.kind, [var, other])
        made |= {"product": var.product or other.product, "terms": var.terms or other.terms}
        shape = var.shape
        if way == "join":
            self.emit("join", var.kind, (*shape, ("2",)), var, other, **made)
        elif way == "interleave":
            self.emit("interleave", var.kind, (*shape[:-1], tuple(sorted((*shape[-1], "2")))), var, other, **made)
        else:
            axis = self.pick.randrange(len(shape))
            grown = tuple(sorted((*shape[axis], "2")))
            made["more"] = {"axis": axis}
            self.emit("cat", var.kind, (*shape[:axis], grown, *shape[axis + 1 :]), var, other, **made)

    def broadcast(self) -> None:
        """A value repeated: a scalar, a vector that gets a dimension, or a dimension of one."""
        pick = self.pick
        target = pick.choice([shape for shape in self.shapes if len(shape) > 1] or self.shapes)
        var = self.value()
        if fits(var.shape, target):
            self.emit("broadcast", var.kind, target, var, **self.keeps(var))
            return
        if len(target) != 2:
            return
        axis = pick.randrange(2)
        line = self.value(shape=(target[1 - axis],))
        wide = self.emit("expand", line.kind, _with(line.shape, axis), line, more={"axis": axis}, **self.keeps(line))
        if pick.random() < 0.4:
            self.emit("broadcast", line.kind, target, wide, **self.keeps(line))
        else:
            first = self.value((line.kind,), shape=target)
            row = pick.choice(
                [n for n in ("add", "mul", "sub", "maximum") if line.kind in kinds_of(ELEMENTWISE[n].kinds)] or [""]
            )
            if row:
                operands = [first, wide] if pick.random() < 0.5 else [wide, first]
                self.emit(row, line.kind, target, *operands, **self.result(row, line.kind, operands))

    def reduce(self) -> None:
        """A reduction of one dimension or of all."""
        pick = self.pick
        var = self.ranked(INTEGERS + FLOATS)
        if var is None:
            return
        axis: int | None = pick.randrange(len(var.shape))
        whole = _SUM_KINDS.get(var.kind, var.kind)
        floating = KINDS[var.kind].precision > 0
        ways = ["sum", "sum", "max", "min", "argmax", "argmin", "function"] + ["xor_sum", "pair"] * (not floating)
        how = pick.choice(ways)
        if how == "function":
            self.fold("reduce", var, axis)
            return
        keep = pick.random() < 0.25
        if how in ("sum", "max", "min") and pick.random() < 0.2:
            axis, keep = None, False
        shape = () if axis is None else (
            _with(_without(var.shape, axis), axis) if keep else _without(var.shape, axis)
        )  # fmt: skip
        more = {"how": how, "axis": axis, "keep": keep}
        if how == "sum":
            terms = self.count(var.shape if axis is None else (var.shape[axis],))
            bound = None if var.bound is None else var.bound * terms
            if bound is not None and bound > 2.0 ** KINDS[var.kind].precision:
                bound = None
            exact = not floating or (var.exact and bound is not None)
            self.emit(
                "reduce",
                whole,
                shape,
                var,
                more=more,
                exact=exact,
                bound=bound,
                finite=bound is not None or not floating,
            )
            return
        if not var.exact:
            return
        var = self.numbers(var)
        if how == "pair":
            more["how"] = pick.choice(("max", "min"))
            if axis is None or var.kind not in ("i32", "i64", "u32"):
                return
            outs = [Var(f"v{self.number + 1}", var.kind, shape), Var(f"v{self.number + 2}", "i32", shape)]
            self.number += 2
            self.add(Statement("reduce", tuple(outs), self.names([var]), more))
            self.scopes[-1] += outs
            return
        kind = "i32" if how.startswith("arg") else var.kind
        self.emit(
            "reduce",
            kind,
            shape,
            var,
            more=more,
            bound=var.bound if floating and kind == var.kind else None,
            finite=True,
        )

    def ranked(self, kinds: tuple[str, ...], exact: bool = False) -> Var | None:
        """A value that has dimensions."""
        var = self.value(kinds, exact)
        return var if var.shape else None

    def fold(self, op: str, var: Var, axis: int | None, reverse: bool = False) -> None:
        """A reduction or scan with a function of the program's own."""
        pick = self.pick
        floating = KINDS[var.kind].precision > 0
        names = [n for n, f in FUNCTIONS.items() if ("f" in f.kinds) == floating and (f.commutes or op == "scan")]
        if not var.exact or not names or var.kind in ("bf16",):
            return
        name = pick.choice(names)
        parts = [self.numbers(var)]
        if FUNCTIONS[name].width == 2:
            parts.append(self.value((var.kind,), exact=True, shape=var.shape))
        shape = var.shape if op == "scan" or axis is None else _without(var.shape, axis)
        outs = [Var(f"v{self.number + n + 1}", var.kind, shape) for n in range(len(parts))]
        self.number += len(outs)
        more = {"how": "function", "axis": axis, "function": name, "reverse": reverse}
        self.add(Statement(op, tuple(outs), self.names(parts), more))
        self.scopes[-1] += outs

    def scan(self) -> None:
        """An associative scan."""
        pick = self.pick
        var = self.ranked(INTEGERS + ("fp32", "fp64"))
        if var is None:
            return
        axis, reverse = pick.randrange(len(var.shape)), pick.random() < 0.3
        how = pick.choice(("cumsum", "cumsum", "cumprod", "function"))
        if how == "function":
            self.fold("scan", var, axis, reverse)
            return
        more = {"how": how, "axis": axis, "reverse": reverse}
        if not KINDS[var.kind].precision:
            kind = _SUM_KINDS.get(var.kind, var.kind) if how == "cumsum" else var.kind
            self.emit("scan", kind, var.shape, var, more=more)
        elif how == "cumsum":
            bound = None if var.bound is None else var.bound * self.count((var.shape[axis],))
            if bound is not None and bound > 2.0 ** KINDS[var.kind].precision:
                bound = None
            exact = var.exact and bound is not None
            self.emit("scan", var.kind, var.shape, var, more=more, exact=exact, bound=bound, finite=bound is not None)

    def arrange(self) -> None:
        """Sorting, counting, picking by index."""
        pick = self.pick
        way = pick.choice(("sort", "topk", "histogram", "gather"))
        if way == "topk":
            var = self.ranked(("i32", "i64", "u32", "fp32", "fp16"), exact=True)
            if var is not None and self.count(var.shape[-1:]) > 2:
                var = self.numbers(var)
                self.emit("topk", var.kind, (*var.shape[:-1], ("2",)), var, bound=var.bound, finite=True)
        elif way == "sort":
            var = self.ranked(("i16", "i32", "i64", "u32", "fp32", "fp16"), exact=True)
            if var is not None:
                var = self.numbers(var)
                self.emit(
                    "sort", var.kind, var.shape, var, more={"down": pick.random() < 0.5}, bound=var.bound, finite=True
                )
        elif way == "histogram":
            var = self.ranked(("i32", "u32"))
            if var is not None and len(var.shape) == 1:
                bins = self.emit("and", var.kind, var.shape, var, 7)
                self.emit("histogram", "i32", (("2", "2", "2"),), bins)
        else:
            source = self.ranked(INTEGERS + FLOATS)
            if source is not None and source.shape[0]:
                at = self.emit("tile", "i32", source.shape, more={"strides": [Size((), 3)] * len(source.shape)})
                axis = pick.randrange(len(source.shape))
                at = self.emit("mod", "i32", source.shape, at, Size(source.shape[axis]))
                self.emit("gather", source.kind, source.shape, source, at, more={"axis": axis}, **self.keeps(source))
