"""Lowering of structured control flow in `convert-tt-to-linalg`.

A formula that is carried through a loop or out of a branch is carried as the scalars that change; where it does not
keep its form, the region is built again with a tensor in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_addresses import address_of, pointers_at
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers, refuse
from mtia.compiler.passes.convert_tt_to_linalg_values import Affine, Block, Pointers, Splat, same
from mtia.dialects.mlir import arith, ir, scf
from mtia.dialects.tt import Descriptor, is_pointer, pointee, shape_of

__all__: list[str] = []

_BLOCKS = "block pointer or descriptor"


@dataclass
class Slot:
    """How one Triton value is carried: which SSA values stand for it, and what they mean together."""

    template: Any
    formula: bool

    def values(self, c: Converter, known: Any) -> list[Any] | None:
        """The SSA values to carry; None where `known` has not the form of the template."""
        if not self.formula:
            return [_plain(c, known)]
        if isinstance(self.template, Affine):
            known = c.index.affine(known) if isinstance(known, Splat) else known
            if not isinstance(known, Affine) or not _same_form(known, self.template):
                return None
            return [c.index.value(known.base)]
        if isinstance(self.template, Pointers):
            return _pointer_values(c, self.template, known)
        return _block_values(c, self.template, known)

    def rebuild(self, c: Converter, values: Sequence[Any]) -> Any:
        """The Triton value that the carried SSA values stand for."""
        if isinstance(self.template, Affine) and self.formula:
            return replace(self.template, base=values[0])
        if isinstance(self.template, Pointers):
            if self.formula:
                extra = self.template.extra
                return replace(
                    self.template,
                    offset=replace(self.template.offset, base=values[0]),
                    extra=None if extra is None else replace(extra, source=values[1]),
                )
            return pointers_at(c, values[0], self.template.element)
        if isinstance(self.template, Block):
            return replace(self.template, start=values[0], offsets=tuple(values[1:]))
        return values[0]


def _plain(c: Converter, known: Any) -> Any:
    """One SSA value for a Triton value; pointers become addresses."""
    if isinstance(known, Pointers):
        known = address_of(c, known)
    return known if isinstance(known, ir.Value) else c.materialise(known)


def _plain_type(op: Any, type_: Any) -> Any:
    """The type `_plain` gives for a Triton type."""
    if isinstance(type_, Descriptor) or (is_pointer(type_) and isinstance(pointee(type_), ir.RankedTensorType)):
        raise refuse(op, f"a {_BLOCKS} cannot leave a branch or a while loop; make it where it is used")
    if not is_pointer(type_):
        return type_
    i64 = ir.IntegerType.get_signless(64)
    return build.tensor_type(shape_of(type_), i64) if shape_of(type_) else i64


def _from_plain(c: Converter, type_: Any, value: Any) -> Any:
    """The Triton value of a type that `_plain` made one SSA value of."""
    return pointers_at(c, value, pointee(type_)) if is_pointer(type_) else value


def _same_form(a: Affine, b: Affine) -> bool:
    """Whether two formulas differ in their base only."""
    return all(same(x, y) for x, y in zip(a.strides, b.strides, strict=True)) and a.wraps == b.wraps


def _pointer_values(c: Converter, template: Pointers, known: Pointers) -> list[Any] | None:
    if known.memory != template.memory or not _same_form(known.offset, template.offset):
        return None
    base = c.index.value(known.offset.base)
    if template.extra is None or known.extra is None:
        return [base] if template.extra is known.extra else None
    fits = known.extra.dims == template.extra.dims and known.extra.source.type == template.extra.source.type
    return [base, known.extra.source] if fits else None


def _block_values(c: Converter, template: Block, known: Block) -> list[Any] | None:
    moved = replace(known, start=template.start, offsets=template.offsets)
    if moved != template:
        return None
    return [c.index.value(known.start), *map(c.index.value, known.offsets)]


def _slot(c: Converter, known: Any, formula: bool) -> Slot:
    if formula and isinstance(known, Splat) and isinstance(known.value.type, ir.IntegerType):
        if known.value.type.width > 1:
            known = c.index.affine(known)
    return Slot(known, formula and isinstance(known, (Affine, Pointers, Block)))


class _Misfit(Exception):
    """A carried value lost its form; `number` says which."""

    def __init__(self, number: int) -> None:
        self.number = number


def _carry(c: Converter, slots: Sequence[Slot], known: Sequence[Any]) -> list[Any]:
    """All SSA values to carry for the Triton values."""
    carried = []
    for number, (slot, value) in enumerate(zip(slots, known, strict=True)):
        values = slot.values(c, value)
        if values is None:
            raise _Misfit(number)
        carried.extend(values)
    return carried


def _uncarry(c: Converter, slots: Sequence[Slot], counts: Sequence[int], values: Sequence[Any]) -> list[Any]:
    """The Triton values that carried SSA values stand for."""
    out, at = [], 0
    for slot, count in zip(slots, counts, strict=True):
        out.append(slot.rebuild(c, values[at : at + count]))
        at += count
    return out


def _attempts(c: Converter, op: Any, inits: Sequence[Any], build_once: Callable[[list[bool]], None]) -> None:
    """Build a region, first with every value as a formula, again without those that lost their form."""
    formulas = [True] * len(inits)
    block = ir.InsertionPoint.current.block
    while True:
        before, casts = [op.operation for op in block.operations][-1:], dict(c.index.casts)
        try:
            build_once(formulas)
            return
        except _Misfit as misfit:
            if not formulas[misfit.number]:
                raise refuse(op, "carries pointers into different arguments") from None
            if isinstance(c.get(inits[misfit.number]), Block):
                raise refuse(op, f"carries a {_BLOCKS} that changes more than its place") from None
            formulas[misfit.number] = False
            c.index.casts = casts
            for stale in reversed([op.operation for op in block.operations]):
                if before and stale == before[0]:
                    break
                stale.erase()


def _initial(c: Converter, values: Sequence[Any], formulas: Sequence[bool]) -> tuple[list[Slot], list[Any], list[int]]:
    known = [c.get(value) for value in values]
    slots = [_slot(c, value, formula) for value, formula in zip(known, formulas, strict=True)]
    parts = [_carry(c, [slot], [value]) for slot, value in zip(slots, known, strict=True)]
    return slots, [value for part in parts for value in part], [len(part) for part in parts]


@lowers("scf.for")
def _for(c: Converter, op: Any) -> None:
    old = op.regions[0].blocks[0]
    inits = list(op.operands)[3:]
    bounds = [c.index.value(c.index.from_scalar(c.scalar(value))) for value in list(op.operands)[:3]]

    def once(formulas: list[bool]) -> None:
        slots, carried, counts = _initial(c, inits, formulas)
        loop = scf.ForOp(*bounds, carried)
        with ir.InsertionPoint(loop.body):
            counter = old.arguments[0]
            scalar = loop.induction_variable
            if counter.type != c.index.index:
                scalar = arith.IndexCastOp(counter.type, loop.induction_variable).result
                c.index.casts[scalar] = loop.induction_variable
            c.set(counter, scalar)
            inside = _uncarry(c, slots, counts, list(loop.inner_iter_args))
            for argument, value in zip(list(old.arguments)[1:], inside, strict=True):
                c.set(argument, value)
            end = c.block(old.operations)
            scf.YieldOp(_carry(c, slots, [c.get(value) for value in end.operands]))
        for result, value in zip(op.results, _uncarry(c, slots, counts, list(loop.results)), strict=True):
            c.set(result, value)

    _attempts(c, op, inits, once)


@lowers("scf.while")
def _while(c: Converter, op: Any) -> None:
    before, after = (region.blocks[0] for region in op.regions)
    loop = scf.WhileOp(
        [_plain_type(op, argument.type) for argument in after.arguments],
        [_plain(c, c.get(value)) for value in op.operands],
    )
    first = loop.regions[0].blocks.append(*[_plain_type(op, argument.type) for argument in before.arguments])
    second = loop.regions[1].blocks.append(*[result.type for result in loop.results])
    with ir.InsertionPoint(first):
        _bind(c, before.arguments, first.arguments)
        end = c.block(before.operations)
        passed = [_plain(c, c.get(value)) for value in list(end.operands)[1:]]
        scf.ConditionOp(c.scalar(end.operands[0]), passed)
    with ir.InsertionPoint(second):
        _bind(c, after.arguments, second.arguments)
        end = c.block(after.operations)
        scf.YieldOp([_plain(c, c.get(value)) for value in end.operands])
    _bind(c, op.results, loop.results)


def _bind(c: Converter, values: Sequence[Any], became: Sequence[Any]) -> None:
    """Say what Triton values became, from the SSA values that `_plain` made of them."""
    for value, known in zip(values, became, strict=True):
        c.set(value, _from_plain(c, value.type, known))


@lowers("scf.if")
def _if(c: Converter, op: Any) -> None:
    branches = [region.blocks[0] for region in op.regions if len(region.blocks)]
    types = [_plain_type(op, result.type) for result in op.results]

    def branch(block: Any) -> Callable[[], list[Any]]:
        def emit() -> list[Any]:
            end = c.block(block.operations)
            return [_plain(c, c.get(value)) for value in end.operands]

        return emit

    otherwise = branch(branches[1]) if len(branches) > 1 else None
    _bind(c, op.results, build.if_(c.scalar(op.operands[0]), branch(branches[0]), otherwise, types))


@lowers("scf.index_switch")
def _index_switch(c: Converter, op: Any) -> None:
    """A chain of branches; the first region is the default."""
    otherwise, *cases = (region.blocks[0] for region in op.regions)
    numbers = list(ir.DenseI64ArrayAttr(op.attributes["cases"]))
    types = [_plain_type(op, result.type) for result in op.results]
    selector = c.index.value(c.index.from_scalar(c.scalar(op.operands[0])))

    def region(block: Any) -> list[Any]:
        end = c.block(block.operations)
        return [_plain(c, c.get(value)) for value in end.operands]

    def chain(number: int) -> Sequence[Any]:
        if number == len(cases):
            return region(otherwise)
        here = arith.CmpIOp(arith.CmpIPredicate.eq, selector, c.index.constant(numbers[number])).result
        return build.if_(here, lambda: region(cases[number]), lambda: chain(number + 1), types)

    _bind(c, op.results, chain(0))


@lowers("func.call")
def _call(c: Converter, op: Any) -> None:
    """The called function's body, here: a PE's program is one function."""
    name = ir.FlatSymbolRefAttr(op.attributes["callee"]).value
    if name in c.calls:
        raise refuse(op, f"'{name}' calls itself")
    if name not in c.callees:
        raise refuse(op, f"no function '{name}'")
    body = c.callees[name].regions[0].blocks[0]
    for argument, value in zip(body.arguments, op.operands, strict=True):
        c.set(argument, c.get(value))
    c.calls.append(name)
    end = c.block(body.operations)
    c.calls.pop()
    for result, value in zip(op.results, end.operands, strict=True):
        c.set(result, c.get(value))
