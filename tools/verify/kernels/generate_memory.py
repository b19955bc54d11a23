"""Loads, stores and atomics of random programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mtia.tools.verify.kernels.generate_values import Values
from mtia.tools.verify.kernels.kinds import KINDS, POOL, WHOLE
from mtia.tools.verify.kernels.program import (
    Extent,
    Operand,
    Pointer,
    Shape,
    Size,
    Statement,
    Var,
    walk,
)

__all__ = ["Accesses"]


class Accesses(Values):
    """Reads and writes arrays."""

    def pointer(self, kind: str, flavour: str = "") -> str:
        """An input array: a new one, or one that is there."""
        pick = self.pick
        if not flavour:
            flavour = self.flavour if self.flavour != "mixed" else pick.choice(("whole", "normal", "wide", "special"))
        if not KINDS[kind].precision and flavour != "whole":
            flavour = "wide"
        if kind.startswith("fp8"):
            flavour = "whole" if flavour == "whole" else "normal"
        same = [n for n, p in self.pointers.items() if p.kind == kind and p.flavour == flavour and n[0] == "x"]
        same = [n for n in same if not self.pointers[n].written]
        if same and pick.random() < 0.4:
            return pick.choice(same)
        name = f"x{len(self.pointers)}"
        self.pointers[name] = Pointer(kind, flavour, pick.randrange(POOL))
        return name

    def tile(
        self, shape: Shape, order: Sequence[int] | None = None, pad: int = 0, step: int = 1
    ) -> tuple[list[Size], Size]:
        """Strides of a tile whose dimensions lie in memory in an order, and the elements from tile to tile."""
        strides: list[Size] = [Size((), step)] * len(shape)
        inner: Extent = ()
        for number, axis in enumerate(reversed(order if order is not None else range(len(shape)))):
            extra = pad if number else 0
            strides[axis] = Size(inner, step, extra if inner else 0)
            inner = tuple(sorted(inner + shape[axis]))
        gap = self.pick.choice((0, 0, 0, 0, 1, 16))
        return strides, Size(inner, (step + pad) * (1 + (pad > 0)), 16 * pad + gap)

    def index(self, shape: Shape, shared: bool, order: Sequence[int] | None = None, pad: int = 0, step: int = 1) -> Var:
        """Offsets of this program's tile, or of one that all programs share."""
        if not shape:
            return self.pid
        strides, room = self.tile(shape, order, pad, step)
        at = self.emit("tile", "i32", shape, more={"strides": strides})
        if shared:
            return at
        base = self.emit("mul", "i32", (), self.pid, room)
        return (
            self.emit("add", "i32", shape, base, at)
            if self.pick.random() < 0.5
            else self.emit("add", "i32", shape, at, base)
        )

    def load(self, kind: str, shape: Shape) -> Var:
        """A load in one of many ways."""
        pick = self.pick
        name = self.pointer(kind)
        flags = self.loaded(name)
        if shape and pick.random() < 0.15:
            return self.emit(
                "block_load", kind, shape, *self.window(name, shape), more=self.layout(kind, shape), **flags
            )
        order = list(range(len(shape)))
        if pick.random() < 0.2:
            pick.shuffle(order)
        way = pick.choice(
            ("tile", "tile", "tile", "tile", "shared", "strided", "padded", "modulo", "gather", "turned", "rows")
        )
        if not shape:
            way = "tile"
        at = self.index(
            shape, way in ("shared", "gather"), order, pick.randint(1, 5) * (way == "padded"), 1 + (way == "strided")
        )
        if way == "modulo":
            at = self.emit("mod", "i32", shape, at, pick.choice((7, 16, 33, 100, Size(shape[-1], 1, 0, 1))))
        elif way == "gather":
            at = self.gathered(shape)
        elif way == "rows":
            at = self.rows(shape)
        elif way == "turned":
            at = self.emit("sub", "i32", shape, Size((), 1, 20000), at)
        made = self.masked(name, kind, shape, at, flags)
        plain = way == "tile" and not self.pointers[name].written and shape and len(self.blocks) == 1
        if plain and not any(entry[0] == name for entry in self.in_place):
            self.in_place.append((name, at, None, made))
        return made

    def loaded(self, name: str) -> dict[str, Any]:
        """What is known of values from an array."""
        pointer = self.pointers[name]
        whole = pointer.flavour == "whole" and KINDS[pointer.kind].precision > 0
        return {
            "bound": float(WHOLE) if whole else None,
            "finite": pointer.flavour != "special",
            "plain": pointer.flavour in ("normal", "wide"),
        }

    def gathered(self, shape: Shape) -> Var:
        """Offsets that come from memory or from a computed integer."""
        found = [v for v in self.visible(shape=shape) if v.kind in ("i32", "i64", "u32", "i16") and v.exact]
        source = self.pick.choice(found) if found and self.pick.random() < 0.6 else None
        if source is None:
            name = self.pointer(self.pick.choice(("i32", "i64")), "wide")
            at = self.index(shape, False)
            source = self.emit("load", self.pointers[name].kind, shape, name, at)
        return self.emit("and", source.kind, shape, source, self.pick.choice((15, 127, 1023)))

    def rows(self, shape: Shape) -> Var:
        """Offsets of slices along one dimension that are picked by a list."""
        pick = self.pick
        axis = pick.randrange(len(shape))
        name = self.pointer("i32", "wide")
        line = self.emit("load", "i32", (shape[axis],), name, self.index((shape[axis],), False))
        line = self.emit("and", "i32", line.shape, line, pick.choice((7, 15)))
        inner = tuple(sorted(one for other, extent in enumerate(shape) for one in extent if other != axis))
        line = self.emit("mul", "i32", line.shape, line, Size(inner))
        for other in range(len(shape)):
            if other != axis:
                grown = (*line.shape[:other], (), *line.shape[other:])
                line = self.emit("expand", "i32", grown, line, more={"axis": other})
        if pick.random() < 0.4:  # only the list says where the elements are
            return self.emit("broadcast", "i32", shape, line)
        strides, _ = self.tile(shape, [axis, *(other for other in range(len(shape)) if other != axis)])
        strides[axis] = Size((), 0)
        rest = self.emit("tile", "i32", shape, more={"strides": strides})
        return self.emit("add", "i32", shape, *pick.sample([line, rest], 2))

    def masked(self, name: str, kind: str, shape: Shape, at: Var, flags: dict[str, Any]) -> Var:
        """A load with or without a mask; without `other` the elements that are left out get another value."""
        pick = self.pick
        mask = self.mask(shape, at) if shape and pick.random() < 0.5 else None
        if mask is None:
            return self.emit("load", kind, shape, name, at, **flags)
        other: Operand | Var = None
        if pick.random() < 0.8 and not kind.startswith("fp8"):
            other = self.literal(kind) if flags["bound"] is None else float(pick.randint(-3, 3))
            if not KINDS[kind].precision:
                other = self.literal(kind)
            elif pick.random() < 0.1 and flags["bound"] is None:
                other = pick.choice((float("inf"), float("-inf"), float("nan")))
                flags = {**flags, "finite": False, "plain": False}
        if kind.startswith("fp8"):
            return self.emit("load", kind, shape, name, at, **flags)
        made = self.emit("load", kind, shape, name, at, mask, other, **flags)
        if other is not None:
            return made
        self.scopes[-1].remove(made)  # some of its elements are not defined
        rest = 1 if not KINDS[kind].precision else 1.0
        return self.emit("where", kind, shape, mask, made, rest, **flags)

    def mask(self, shape: Shape, at: Var) -> Var | None:
        """A condition on elements: of the offset, of rows and columns, or of data."""
        pick = self.pick
        found = [var for var in self.visible(kind="i1") if var.shape == shape]
        if found and pick.random() < 0.4:
            return pick.choice(found)
        if at.kind != "i32":
            return None
        if pick.random() < 0.6:
            names = tuple(sorted(name for one in shape for name in one))
            limit = Size(names, pick.randint(1, 2), -pick.randint(0, 9), 1)
            return self.emit("lt", "i1", shape, at, limit)
        axis = pick.randrange(len(shape))
        strides = [Size((), 1) if n == axis else Size((), 0) for n in range(len(shape))]
        row = self.emit("tile", "i32", shape, more={"strides": strides})
        return self.emit(
            pick.choice(("lt", "gt", "ne")), "i1", shape, row, Size(shape[axis], 1, -pick.randint(0, 3), 0)
        )

    def window(self, name: str, shape: Shape) -> list[Operand | Var]:
        """A block pointer's operands: the array, and an offset in every dimension."""
        offsets: list[Operand | Var] = []
        for axis, one in enumerate(shape):
            if axis == 0 and self.pick.random() < 0.8:
                offsets.append(self.emit("mul", "i32", (), self.pid, Size(one)))
            else:
                offsets.append(self.pick.choice((0, 0, 1, 3)))
        return [name, *offsets]

    def layout(self, kind: str, shape: Shape) -> dict[str, Any]:
        """Extents, strides and order of the whole array of a block pointer; its last rows and columns are missing."""
        pick = self.pick
        order = list(range(len(shape)))
        if pick.random() < 0.25:
            pick.shuffle(order)
        strides, _ = self.tile(shape, order, 0)
        outer = order[0]
        extents = []
        for axis, one in enumerate(shape):
            rows = pick.randint(1, self.programs()) if axis == outer == 0 else 1
            extents.append(Size(one, rows, -pick.choice((0, 0, 1, 3)), 1))
        described = self.pick.random() < 0.4 and order == sorted(order)
        described = described and len(shape[-1]) > 0 and self.count(shape[-1:]) * KINDS[kind].bits >= 128
        return {
            "descriptor": described,
            "extents": extents, "strides": strides, "order": tuple(reversed(order)), "shape": shape,
            "advance": pick.random() < 0.2,
        }  # fmt: skip

    def atomic(self) -> None:
        """An atomic whose result does not depend on the order of programs."""
        pick = self.pick
        kind = pick.choice(("i32", "i32", "u32", "i64", "fp32"))
        value = self.value((kind,), exact=True)
        how = pick.choice(("add", "max", "min", "and", "or", "xor"))
        if kind == "fp32":
            if value.bound is None or value.bound > 64:
                return
            how = "add"
        if pick.random() < 0.3:
            self.atomic_old(value, "xchg" if pick.random() < 0.3 else how)
            return
        name = f"a{len(self.pointers)}"
        self.pointers[name] = Pointer(kind, "whole", pick.randrange(POOL), written=True)
        at = self.index(value.shape, shared=True) if value.shape else self.emit("mod", "i32", (), self.pid, 3)
        if value.shape and pick.random() < 0.4:
            at = self.emit("mod", "i32", value.shape, at, pick.choice((1, 3, 8)))
        mask = self.mask(value.shape, at) if value.shape and pick.random() < 0.4 else None
        args = (name, at, value) if mask is None else (name, at, value, mask)
        self.add(Statement("atomic", (), self.names(args), {"how": how}))

    def atomic_old(self, value: Var, how: str) -> None:
        """An atomic at addresses of this program alone, whose result is used."""
        name = f"a{len(self.pointers)}"
        self.pointers[name] = Pointer(value.kind, "whole", self.pick.randrange(POOL), written=True)
        at = self.index(value.shape, False)
        if len(self.blocks) == 1:  # in a loop it would meet its own result, which is no whole number known here
            self.emit("atomic_old", value.kind, value.shape, name, at, value, more={"how": how}, finite=False)

    def store(self, var: Var) -> None:
        """Store a value where no other program writes."""
        pick = self.pick
        if var.kind == "i1":
            var = self.emit("cast", "i8", var.shape, var)
        elif pick.random() < 0.04 and var.kind in ("fp32", "fp16") and var.bound is not None and var.bound <= 200:
            var = self.emit("cast", pick.choice(("fp8e5", "fp8e4nv")), var.shape, var, exact=var.exact)
        entry = next((e for e in self.in_place if e[3].kind == var.kind and e[3].shape == var.shape), None)
        if entry is not None and pick.random() < 0.3:
            self.over(entry, var)
            return
        name = f"o{len(self.pointers)}"
        self.pointers[name] = Pointer(var.kind, "whole", pick.randrange(POOL), written=True)
        if var.shape and pick.random() < 0.12:
            args = self.window(name, var.shape)
            first = var.shape[0]
            args[1] = self.emit("mul", "i32", (), self.pid, Size(first))
            layout = self.layout(var.kind, var.shape)
            strides, _ = self.tile(var.shape)
            layout |= {"strides": strides, "order": tuple(reversed(range(len(var.shape))))}
            layout["extents"][0] = Size(first, self.programs(), -pick.choice((0, 1)), 1)
            args[2:] = [0] * (len(args) - 2)
            self.add(Statement("block_store", (), self.names([*args, var]), layout))
            return
        order = list(range(len(var.shape)))
        if pick.random() < 0.2:
            pick.shuffle(order)
        at = self.index(var.shape, False, order, pad=pick.randint(1, 3) * (pick.random() < 0.15))
        mask = self.mask(var.shape, at) if var.shape and pick.random() < 0.3 else None
        self.add(Statement("store", (), self.names((name, at, var) if mask is None else (name, at, var, mask))))

    def over(self, entry: tuple[str, Var, str | None, Var], var: Var) -> None:
        """Store in place of what was loaded, and perhaps load it again."""
        name, at, _, _ = entry
        self.in_place.remove(entry)
        if sum(name in one.args for one in walk(tuple(self.blocks[0]))) > 1:
            return  # another load, perhaps of another program's elements
        self.pointers[name] = replace(self.pointers[name], written=True)
        self.add(Statement("store", (), self.names((name, at, var))))
        if self.pick.random() < 0.3 and var.exact:
            again = self.emit("load", var.kind, var.shape, name, at, finite=False)
            self.store(again)

    def finish(self) -> None:
        """Store what nothing has used, at least one value."""
        pick = self.pick
        left = [v for v in self.scopes[0] if v.name not in self.used and not v.kind.startswith("fp8")]
        pick.shuffle(left)
        for var in left[:5] or [self.value()]:
            self.store(var)

    def load_one(self) -> None:
        """A load of a usual type and shape."""
        kinds = self.kinds + ["fp8e5", "fp8e4nv"] * (self.pick.random() < 0.1)
        kind = self.pick.choice(kinds)
        shape = () if self.pick.random() < 0.12 else self.pick.choice(self.shapes)
        made = self.load(kind, shape)
        if kind.startswith("fp8"):
            self.convert(made, self.pick.choice(("fp16", "fp32")))
