"""Device memory for values that local memory does not hold: arguments that the launcher adds, with a part a hart."""

from __future__ import annotations

import math
from typing import Any

from mtia.compiler.passes.plan_local_memory import element_bytes
from mtia.compiler.passes.select_engines_views import View, Views, create, index_constant
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import GLOBAL

__all__ = ["SCRATCH", "SETTLED", "Scratch"]

SETTLED = "mtia.settled"  # of a transfer from scratch memory that nothing in the same loop writes
SCRATCH = "mtia.scratch"  # function attribute: bytes for each hart of each of the last arguments, separated by commas


class Scratch:
    """Scratch memory of a function, one argument a buffer."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.block = function.regions[0].blocks[0]
        self.arguments: dict[Any, Any] = {}
        self.views = Views()
        self._hart: Any = None

    def view(self, view: View) -> View:
        """Where a window of a local buffer is in scratch memory."""
        count = math.prod(view.root.type.shape)
        return View(
            self._argument(view.root),
            view.offset,
            ((self._number(), count), *view.terms),
            view.shape,
            view.strides,
            view.element,
        )

    def whole(self, value: Any, views: Views, ip: Any) -> Any:
        """The memref in scratch memory that stands for a window of a local buffer."""
        return self.views.memref(self.view(views.of(value)), ip, value.owner.location)

    def finish(self) -> None:
        """Write the new arguments into the function's type, and how much memory they take."""
        if not self.arguments:
            return
        kinds = [argument.type for argument in self.block.arguments]
        self.function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(kinds, []))
        if "arg_attrs" in self.function.attributes:
            known = list(ir.ArrayAttr(self.function.attributes["arg_attrs"]))
            known += [ir.DictAttr.get({})] * (len(kinds) - len(known))
            self.function.attributes["arg_attrs"] = ir.ArrayAttr.get(known)
        sizes = ",".join(str(bytes_of(root)) for root in self.arguments)
        self.function.attributes[SCRATCH] = ir.StringAttr.get(sizes)

    def _argument(self, root: Any) -> Any:
        found = self.arguments.get(root)
        if found is None:
            space = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), GLOBAL)
            kind = ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], root.type.element_type, memory_space=space)
            found = self.arguments[root] = self.block.add_argument(kind, root.owner.location)
        return found

    def _number(self) -> Any:
        if self._hart is None:
            first = self.block.operations[0].operation
            if first.name != "arith.constant":  # the program loop is made behind constants
                begin = ir.InsertionPoint(first)
                first = index_constant(0, begin, self.function.location).owner
            start = ir.InsertionPoint.after(first)
            self._hart = create("mtia.hart_number", [], [ir.IndexType.get()], start, self.function.location)
        return self._hart


def bytes_of(root: Any) -> int:
    """Bytes of a buffer."""
    return int(math.prod(root.type.shape)) * element_bytes(root.type.element_type)
