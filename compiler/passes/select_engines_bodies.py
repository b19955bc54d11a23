"""Bodies of elementwise operations as chains of SIMD-engine commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtia.compiler.passes.select_engines_commands import HANDLERS, INTEGER_PREDICATES
from mtia.compiler.passes.select_engines_operands import (
    Affine,
    NotOnEngine,
    Operand,
    Predicate,
    Scalar,
    Tile,
    check_type,
    parts,
)
from mtia.compiler.passes.select_engines_views import View, Views, index_constant
from mtia.dialects.mlir import ir
from mtia.dialects.mtia import LOCAL, SE_TYPES, memory_space

__all__ = ["CONVERSIONS", "BodyTranslator"]

CONVERSIONS = frozenset(("arith.extf", "arith.truncf", "arith.sitofp"))
SIGNED = frozenset(("arith.sitofp", "arith.extsi", "arith.maxsi", "arith.minsi"))
INTEGER_CASTS = frozenset(("arith.index_cast", "arith.extsi", "arith.trunci"))
# The arith.cmpi predicate of value and 0 that says that a comparison fails for the value.
FAILS = {"lt": 5, "le": 4, "gt": 3, "ge": 2}


class BodyTranslator:
    """Translates the operations of one elementwise body over a rows × cols domain, each into one command."""

    def __init__(self, views: Views, rows: int, cols: int, ip: Any, loc: Any) -> None:
        self.views = views
        self.rows = rows
        self.cols = cols
        self.ip = ip
        self.loc = loc
        self.env: dict[Any, Operand] = {}
        self.destinations: dict[Any, View] = {}
        self.stored_types: dict[Any, Any] = {}
        self.fused: dict[Any, tuple[Any, Any, Any]] = {}  # sums that compute a product too
        self.skipped: set[Any] = set()  # products that a sum computes
        self.private: set[Any] = set()  # values whose destination no operand shares
        self.temporaries: set[Any] = set()  # values written here that have one user
        self.made: list[Any] = []
        self.raised: dict[Any, View] = {}
        self.fuse = False
        self.types = SE_TYPES  # that the chip's SIMD engine computes on

    # -- building ---------------------------------------------------------------------------------------------------

    def emit(self, name: str, operands: list[Any], results: list[Any], **attributes: Any) -> Any:
        """Create an operation here, and remember it in case the body turns out not to fit."""
        op = ir.Operation.create(
            name, results=results, operands=operands, attributes=attributes, loc=self.loc, ip=self.ip
        )
        self.made.append(op)
        return op.results[0] if results else op

    def undo(self) -> None:
        """Take back all that was created."""
        for op in reversed(self.made):
            op.erase()
        self.made.clear()

    def temporary(self, element: Any) -> View:
        """A fresh contiguous tile of the domain's shape."""
        kind = ir.MemRefType.get([self.rows, self.cols], element)
        root = self.emit("memref.alloc", [], [kind], operandSegmentSizes=ir.DenseI32ArrayAttr.get([0, 0]))
        return View(root, 0, (), (self.rows, self.cols), (self.cols, 1), element)

    def memref(self, view: View) -> Any:
        """The memref value of a window."""
        return self.views.memref(view, self.ip, self.loc)

    def source(self, operand: Operand) -> Any:
        """An operand as a command takes it: a memref or a scalar."""
        if isinstance(operand, Tile):
            check_type(operand.view.element, self.types)
            return self.memref(operand.view)
        if isinstance(operand, Scalar):
            check_type(operand.value.type, self.types)
            return operand.value
        if isinstance(operand, Predicate):
            return self.memref(self.mask(operand))
        return self.memref(self.materialise(operand).view)

    def mask(self, predicate: Predicate) -> View:
        """A predicate as a tile of i1."""
        element = ir.IntegerType.get_signless(1)
        whole: View | None = None
        for part, comparison in predicate.parts:
            view = self.temporary(element)
            self.write_mask(part, comparison, view)
            if whole is None:
                whole = view
                continue
            target = self.memref(whole)
            self.emit("mtia.simd_binary", [target, self.memref(view), target], [], kind=ir.StringAttr.get("and"))
        assert whole is not None
        return whole

    def write_mask(self, part: Affine, comparison: str, view: View) -> None:
        sources = [self.memref(view), *map(self.index, parts(part))]
        self.emit("mtia.mask", sources, [], predicate=ir.StringAttr.get(comparison))

    def select_in_place(self, part: Affine, comparison: str, kept: View, other: Operand) -> bool:
        """Where the comparison fails put `other`, and only look for such places when there can be any."""
        extreme = self.extreme(part, comparison)
        if extreme is None:
            return False
        fails = FAILS[comparison]
        zero = self.index(0)
        attribute = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), fails)
        some = self.emit("arith.cmpi", [extreme, zero], [ir.IntegerType.get_signless(1)], predicate=attribute)
        source = self.source(other)
        target = self.memref(kept)
        branch = ir.Operation.create("scf.if", operands=[some], regions=2, loc=self.loc, ip=self.ip)
        self.made.append(branch)
        block = branch.regions[0].blocks.append()
        end = ir.Operation.create("scf.yield", loc=self.loc, ip=ir.InsertionPoint(block))
        inner = BodyTranslator(self.views, self.rows, self.cols, ir.InsertionPoint(end), self.loc)
        inner.types = self.types
        view = inner.temporary(ir.IntegerType.get_signless(1))
        inner.write_mask(part, comparison, view)
        operands = [inner.memref(view), target, source, target]
        inner.emit("mtia.simd_ternary", operands, [], kind=ir.StringAttr.get("sel"))
        return True

    def extreme(self, part: Affine, comparison: str) -> Any:
        """The value of an affine integer that is hardest for a comparison; None when it cannot be told."""
        if comparison not in FAILS or not (isinstance(part.a, int) and isinstance(part.b, int)):
            return None
        pick = max if comparison in ("lt", "le") else min
        return self.index(self.add(part.k, pick(0, part.a * (self.rows - 1)) + pick(0, part.b * (self.cols - 1))))

    def materialise(self, affine: Affine) -> Tile:
        """An affine integer as a tile of i32."""
        view = self.temporary(ir.IntegerType.get_signless(32))
        self.emit("mtia.iota", [self.memref(view), *map(self.index, (affine.a, affine.b, affine.k))], [])
        return Tile(view)

    def index(self, value: Any) -> Any:
        """A coefficient as an index value."""
        return index_constant(value, self.ip, self.loc) if isinstance(value, int) else value

    def command(self, kind: str, operands: Sequence[Operand], result: Any, element: Any) -> Tile:
        """One SIMD command for a body value `result`, whose stored type is `element`."""
        view = self.destinations.get(result)
        if view is None:
            element = self.stored_types.get(result, element)
            check_type(element, self.types)
            view = self.reusable(operands, result, element) or self.temporary(element)
        name = ("mtia.simd_unary", "mtia.simd_binary", "mtia.simd_ternary")[len(operands) - 1]
        sources = [self.source(operand) for operand in operands]
        self.emit(name, [*sources, self.memref(view)], [], kind=ir.StringAttr.get(kind))
        if result is not None and len(list(result.uses)) == 1:
            self.temporaries.add(result)
        return Tile(view)

    def reusable(self, operands: Sequence[Operand], result: Any, element: Any) -> View | None:
        """The buffer of an operand that nothing reads later, so that the command may work in place."""
        if result is None:
            return None
        sources = self.fused.get(result.owner.operation, tuple(result.owner.operands))
        for value, operand in zip(sources, operands, strict=False):
            if value in self.temporaries and isinstance(operand, Tile) and operand.view.element == element:
                return operand.view
        return None

    def work_in_place(self, operations: Sequence[Any]) -> None:
        """Chains that end in a buffer which no operand shares are computed in it from their beginning."""
        for op in reversed(operations):
            if not len(op.results) or op.results[0] not in self.private or op.name not in HANDLERS:
                continue
            destination = self.destinations[op.results[0]]
            if any(self.destinations.get(value) == destination for value in op.operands):
                continue  # one operand stands there, and another computed there would overwrite it
            for value in op.operands:
                owner = value.owner
                if isinstance(owner, ir.Block) or owner.operation.block != op.block or value in self.destinations:
                    continue
                if owner.name not in HANDLERS or len(list(value.uses)) != 1:
                    continue
                if self.stored_types.get(value, value.type) == destination.element:
                    self.destinations[value] = destination
                    self.private.add(value)
                    break

    def fold_narrowing(self, operations: Sequence[Any]) -> None:
        """A value that is only narrowed is stored narrow by the command that computes it (one rounding either way)."""
        for op in reversed(operations):
            if op.name == "arith.select":
                self.pass_through(op)
            if op.name != "arith.truncf" or "roundingmode" in op.attributes:
                continue
            wide = op.operands[0]
            if isinstance(wide.owner, ir.Block) or len(list(wide.uses)) != 1:
                continue
            narrow = op.results[0]
            self.stored_types[wide] = narrow.type
            if narrow in self.destinations:
                self.destinations[wide] = self.destinations[narrow]
                if narrow in self.private:
                    self.private.add(wide)

    def fold_products(self, operations: Sequence[Any]) -> None:
        """An f32 product that is only added to something is computed with the sum, and rounds once."""
        for op in operations if self.fuse else ():
            if op.name != "arith.addf" or str(op.results[0].type) != "f32":
                continue
            for position, value in enumerate(op.operands):
                owner = value.owner
                if isinstance(owner, ir.Block) or owner.name != "arith.mulf" or len(list(value.uses)) != 1:
                    continue
                if owner.operation.block == op.block and any(not scalar(factor) for factor in owner.operands):
                    self.fused[op] = (*owner.operands, op.operands[1 - position])
                    self.skipped.add(owner.operation)
                    break

    def pass_through(self, op: Any) -> None:
        """The value that a select mostly keeps is written where the select's result goes."""
        kept, result = op.operands[1], op.results[0]
        if isinstance(kept.owner, ir.Block) or kept.owner.operation.block != op.block or len(list(kept.uses)) != 1:
            return
        if result in self.stored_types:
            self.stored_types[kept] = self.stored_types[result]
        if result in self.private:
            self.destinations[kept] = self.destinations[result]
            self.private.add(kept)

    # -- translating ------------------------------------------------------------------------------------------------

    def get(self, value: Any) -> Operand:
        """What a body value is; values from outside are scalars."""
        found = self.env.get(value)
        if found is None:
            view = self.raised.get(value)
            found = Scalar(value) if view is None else Tile(view.shaped((self.rows, self.cols), (0, 0)))
            self.env[value] = found
        return found

    def translate(self, op: Any) -> None:
        """Translate one body operation; raises NotOnEngine where no command computes it."""
        name = op.name
        if op in self.skipped:
            return
        if op in self.fused:
            result = op.results[0]
            self.env[result] = self.command("fma", [self.get(value) for value in self.fused[op]], result, result.type)
            return
        operands = [self.get(value) for value in op.operands]
        if all(isinstance(operand, Scalar) for operand in operands) and name != "linalg.index":
            self.hoist(op, operands)
            return
        result = op.results[0]
        if name in SIGNED and str(op.operands[0].type) == "i1":
            raise NotOnEngine("the SIMD engine holds a true mask as 1, not as -1")
        if name in CONVERSIONS:
            self.env[result] = self.convert(name, operands[0], result)
        elif name in INTEGER_CASTS:
            self.env[result] = self.cast(operands[0], result)
        elif name == "arith.bitcast":
            self.env[result] = self.reinterpret(operands[0], result)
        elif any(isinstance(operand, Affine) for operand in operands) and (found := self.affine(op, operands)):
            self.env[result] = found
        else:
            handler = HANDLERS.get(name)
            if handler is None:
                raise NotOnEngine(f"{name} has no SIMD-engine command")
            self.env[result] = handler(self, op, operands)

    def hoist(self, op: Any, operands: Sequence[Operand]) -> None:
        """An operation on scalars only runs once, on the hart."""
        made = op.operation.clone(ip=self.ip)
        self.made.append(made)
        for position, operand in enumerate(operands):
            assert isinstance(operand, Scalar)
            made.operands[position] = operand.value
        for old, new in zip(op.results, made.results, strict=True):
            self.env[old] = Scalar(new)

    def convert(self, name: str, operand: Operand, result: Any) -> Operand:
        """Float conversions happen when a command reads or writes; only a narrowing of a stored value costs one."""
        if "roundingmode" in result.owner.attributes:
            raise NotOnEngine("the SIMD engine rounds to nearest even only")
        if name == "arith.extf" and isinstance(operand, Tile) and result not in self.destinations:
            return operand
        if isinstance(operand, Tile) and operand.view.element == result.type:
            return operand
        return self.command("cvt", [operand], result, result.type)

    def cast(self, operand: Operand, result: Any) -> Operand:
        width = 64 if str(result.type) == "index" else ir.IntegerType(result.type).width
        if isinstance(operand, Affine):
            if width < 32:
                raise NotOnEngine("an index is narrowed below 32 bits")
            return operand
        if width != 32:
            raise NotOnEngine(f"the SIMD engine has no {result.type}")
        return self.command("cvt", [operand], result, result.type)

    def reinterpret(self, operand: Operand, result: Any) -> Operand:
        """The same bits as another type are moved by the memory layout unit, which does not look at types."""
        if not isinstance(operand, Tile) or memory_space(operand.view.root.type) != LOCAL:
            raise NotOnEngine("the bits of a value that does not stand in local memory")
        if "i1" in (str(operand.view.element), str(result.type)) or operand.view.element.width != result.type.width:
            raise NotOnEngine("the bits of a value that local memory holds as another type")
        view = self.destinations.get(result)
        if view is None or view.element != result.type:  # a narrower destination takes a conversion of its own
            view = self.temporary(result.type)
        self.emit("mtia.copy", [self.memref(operand.view), self.memref(view)], [])
        return Tile(view)

    def affine(self, op: Any, operands: Sequence[Operand]) -> Operand | None:
        """Index arithmetic and comparisons that stay affine; None where they do not."""
        name = op.name
        if name not in ("arith.addi", "arith.subi", "arith.muli", "arith.cmpi"):
            return None
        if any(isinstance(operand, Tile | Predicate) for operand in operands):
            return None
        left, right = (self.as_affine(operand) for operand in operands)
        if name == "arith.addi":
            return Affine(*(self.add(x, y) for x, y in zip(parts(left), parts(right), strict=True)))
        difference = Affine(*(self.sub(x, y) for x, y in zip(parts(left), parts(right), strict=True)))
        if name == "arith.subi":
            return difference
        if name == "arith.muli":
            if left.a == 0 and left.b == 0:
                left, right = right, left
            if not (right.a == 0 and right.b == 0):
                return None
            return Affine(*(self.mul(x, right.k) for x in parts(left)))
        predicate = INTEGER_PREDICATES.get(ir.IntegerAttr(op.attributes["predicate"]).value)
        if predicate is None:
            return None
        return Predicate(((difference, predicate),))

    def as_affine(self, operand: Operand) -> Affine:
        if isinstance(operand, Affine):
            return operand
        assert isinstance(operand, Scalar)
        owner = operand.value.owner
        if not isinstance(owner, ir.Block) and owner.name == "arith.constant":
            return Affine(0, 0, ir.IntegerAttr(owner.attributes["value"]).value)
        value = operand.value
        if str(value.type) != "index":
            value = self.emit("arith.index_cast", [value], [ir.IndexType.get()])
        return Affine(0, 0, value)

    def add(self, x: Any, y: Any) -> Any:
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        if isinstance(x, int) and x == 0:
            return y
        if isinstance(y, int) and y == 0:
            return x
        return self.emit("arith.addi", [self.index(x), self.index(y)], [ir.IndexType.get()])

    def sub(self, x: Any, y: Any) -> Any:
        if isinstance(y, int):
            return self.add(x, -y)
        return self.emit("arith.subi", [self.index(x), self.index(y)], [ir.IndexType.get()])

    def mul(self, x: Any, y: Any) -> Any:
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        if isinstance(x, int) and x in (0, 1):
            return y if x else 0
        if isinstance(y, int) and y == 1:
            return x
        return self.emit("arith.muli", [self.index(x), self.index(y)], [ir.IndexType.get()])

    # -- results ----------------------------------------------------------------------------------------------------

    def store(self, value: Any, destination: View) -> None:
        """Make the value of a result stand in its destination."""
        check_type(destination.element, self.types)
        operand = self.get(value)
        target = self.memref(destination)
        if isinstance(operand, Affine):
            self.emit("mtia.iota", [target, *map(self.index, parts(operand))], [])
        elif isinstance(operand, Predicate) and len(operand.parts) == 1:
            self.write_mask(*operand.parts[0], destination)
        elif isinstance(operand, Tile) and operand.view == destination:
            return
        else:
            self.emit("mtia.simd_unary", [self.source(operand), target], [], kind=ir.StringAttr.get("cvt"))


def scalar(value: Any) -> bool:
    """Whether a value comes from outside of the body it is used in."""
    owner = value.owner
    return not isinstance(owner, ir.Block) and not owner.operation.block.owner.name.startswith("linalg.")
