"""Which command of the SIMD engine computes which operation of an elementwise body."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mtia.compiler.passes.select_engines_operands import NotOnEngine, Operand, Predicate, Tile
from mtia.dialects.mlir import ir

if TYPE_CHECKING:
    from mtia.compiler.passes.select_engines_bodies import BodyTranslator

__all__ = ["HANDLERS", "INTEGER_PREDICATES", "Handler"]

UNARY = {
    "arith.negf": "neg",
    "math.absf": "abs",
    "math.exp": "exp",
    "math.exp2": "exp2",
    "math.log": "log",
    "math.log2": "log2",
    "math.sqrt": "sqrt",
    "math.rsqrt": "rsqrt",
    "math.tanh": "tanh",
    "math.erf": "erf",
    "math.sin": "sin",
    "math.cos": "cos",
    "math.floor": "floor",
    "math.ceil": "ceil",
    "math.roundeven": "rint",
}
BINARY = {
    "arith.addf": "add",
    "arith.subf": "sub",
    "arith.mulf": "mul",
    "arith.divf": "div",
    "arith.maximumf": "max",
    "arith.minimumf": "min",
    "arith.maxnumf": "maxn",
    "arith.minnumf": "minn",
    "math.powf": "pow",
    "math.copysign": "copysign",
    "arith.addi": "add",
    "arith.subi": "sub",
    "arith.muli": "mul",
    "arith.maxsi": "max",
    "arith.minsi": "min",
    "arith.ori": "or",
    "arith.xori": "xor",
}
# arith.cmpf predicates: false oeq ogt oge olt ole one ord ueq ugt uge ult ule une uno true
FLOAT_PREDICATES = {1: "eq", 2: "gt", 3: "ge", 4: "lt", 5: "le", 13: "ne"}
# An unordered comparison is the negation of the opposite ordered one.
NEGATED_PREDICATES = {9: "le", 10: "lt", 11: "ge", 12: "gt"}
INTEGER_PREDICATES = {0: "eq", 1: "ne", 2: "lt", 3: "le", 4: "gt", 5: "ge"}

Handler = Callable[["BodyTranslator", Any, list[Operand]], Operand]


def _simple(kind: str) -> Handler:
    def handler(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
        result = op.results[0]
        return body.command(kind, operands, result, result.type)

    return handler


def _compare_float(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
    predicate = ir.IntegerAttr(op.attributes["predicate"]).value
    result = op.results[0]
    mask = ir.IntegerType.get_signless(1)
    if predicate in FLOAT_PREDICATES:
        return body.command(FLOAT_PREDICATES[predicate], operands, result, mask)
    if predicate in NEGATED_PREDICATES:
        ordered = body.command(NEGATED_PREDICATES[predicate], operands, None, mask)
        return body.command("not", [ordered], result, mask)
    if predicate == 14 and op.operands[0] == op.operands[1]:
        return body.command("ne", operands, result, mask)
    if predicate == 7 and op.operands[0] == op.operands[1]:
        return body.command("eq", operands, result, mask)
    raise NotOnEngine(f"float comparison {predicate} has no SIMD-engine command")


def _compare_integer(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
    predicate = INTEGER_PREDICATES.get(ir.IntegerAttr(op.attributes["predicate"]).value)
    if predicate is None or (predicate not in ("eq", "ne") and str(op.operands[0].type) == "i1"):
        raise NotOnEngine("the SIMD engine compares signed integers only")
    return body.command(predicate, operands, op.results[0], ir.IntegerType.get_signless(1))


def _select(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
    result = op.results[0]
    condition, kept, other = operands
    if isinstance(condition, Predicate) and isinstance(kept, Tile) and op.operands[1] in body.temporaries:
        if body.destinations.get(result, kept.view) == kept.view:
            left = [part for part in condition.parts if not body.select_in_place(*part, kept.view, other)]
            if not left:
                return kept
            operands = [Predicate(tuple(left)), kept, other]
    return body.command("sel", operands, result, result.type)


def _multiply_add(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
    result = op.results[0]
    if str(result.type) != "f32":
        raise NotOnEngine(f"a fused multiply-add of {result.type} would round twice")
    return body.command("fma", operands, result, result.type)


def _unsigned_to_float(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
    if str(op.operands[0].type) != "i1":
        raise NotOnEngine("the SIMD engine converts signed integers and masks only")
    result = op.results[0]
    return body.command("cvt", operands, result, result.type)


def _widen_unsigned(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
    if str(op.operands[0].type) != "i1" or str(op.results[0].type) != "i32":
        raise NotOnEngine("the SIMD engine widens masks to i32 only")
    result = op.results[0]
    return body.command("cvt", operands, result, result.type)


def _and(body: BodyTranslator, op: Any, operands: list[Operand]) -> Operand:
    left, right = operands
    if isinstance(left, Predicate) and isinstance(right, Predicate):
        return Predicate(left.parts + right.parts)
    result = op.results[0]
    return body.command("and", operands, result, result.type)


HANDLERS: dict[str, Handler] = {name: _simple(kind) for name, kind in (*UNARY.items(), *BINARY.items())}
HANDLERS.update(
    {
        "arith.cmpf": _compare_float,
        "arith.cmpi": _compare_integer,
        "arith.select": _select,
        "arith.andi": _and,
        "math.fma": _multiply_add,
        "arith.uitofp": _unsigned_to_float,
        "arith.extui": _widen_unsigned,
        "arith.fptosi": _simple("cvt"),
    }
)
