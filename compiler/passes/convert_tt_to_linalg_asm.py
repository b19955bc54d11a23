"""Lowering of what works on groups of elements in `convert-tt-to-linalg`: scalar regions and inline assembly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from mtia.compiler.backend.inline_asm import parse_constraints, words_of
from mtia.compiler.passes import convert_tt_to_linalg_build as build
from mtia.compiler.passes.convert_tt_to_linalg_addresses import address_of
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter, lowers, refuse
from mtia.compiler.passes.convert_tt_to_linalg_shape import reshape
from mtia.dialects.mlir import arith, ir, memref
from mtia.dialects.tt import element_type, is_pointer, shape_of
from mtia.isa.errors import UserError

__all__: list[str] = []

PACKED = 32  # bits of the registers that hold several small elements


def _groups(c: Converter, op: Any, pack: int, apply: Callable[[list[list[Any]]], list[list[Any]]]) -> None:
    """Apply a function to `pack` elements of every operand at a time, in row-major order, by the hart.

    It takes a list of elements for each operand and gives one for each result.
    """
    known = [_plain(c, value) for value in op.operands]
    shapes = [shape_of(result.type) for result in op.results]
    if not any(shapes):
        for result, values in zip(op.results, apply([[value] * pack for value in known]), strict=True):
            c.set(result, values[0])
        return
    size = math.prod(shapes[0])
    if size % pack:
        raise refuse(op, f"works on {pack} elements at a time, the tensor has {size}")
    sources = [reshape(value, [size]) for value in known]
    buffers = [
        memref.AllocOp(build.buffer_type([size], element_type(result.type)), [], []).result for result in op.results
    ]

    def group(indices: list[Any]) -> None:
        first = arith.MulIOp(indices[0], c.index.constant(pack)).result if pack > 1 else indices[0]
        places = [first, *(arith.AddIOp(first, c.index.constant(lane)).result for lane in range(1, pack))]
        made = apply([[build.extract(source, [place]) for place in places] for source in sources])
        for buffer, values in zip(buffers, made, strict=True):
            for place, value in zip(places, values, strict=True):
                memref.StoreOp(value, buffer, [place])

    build.loops([size // pack], c.index.constant, group)
    for result, buffer, shape in zip(op.results, buffers, shapes, strict=True):
        c.set(result, reshape(build.tensor_of(buffer), shape))


def _plain(c: Converter, value: Any) -> Any:
    """The SSA value of an operand; pointers as addresses."""
    known = address_of(c, c.get(value)) if is_pointer(value.type) else c.get(value)
    return c.materialise(known) if shape_of(value.type) else known


@lowers("tt.map_elementwise")
def _map_elementwise(c: Converter, op: Any) -> None:
    pack = ir.IntegerAttr(op.attributes["pack"]).value
    block = op.regions[0].blocks[0]

    def apply(operands: list[list[Any]]) -> list[list[Any]]:
        for argument, value in zip(block.arguments, [value for values in operands for value in values], strict=True):
            c.set(argument, value)
        made = [c.get(value) for value in c.block(block.operations).operands]
        return [made[at : at + pack] for at in range(0, len(made), pack)]

    _groups(c, op, pack, apply)


@lowers("tt.elementwise_inline_asm")
def _inline_asm(c: Converter, op: Any) -> None:
    text, constraints_text = (ir.StringAttr(op.attributes[name]).value for name in ("asm_string", "constraints"))
    pack = ir.IntegerAttr(op.attributes["packed_element"]).value
    results = [_bits(result.type) for result in op.results]
    operands = [_bits(value.type) for value in op.operands]
    widths = [width for bits in (*results, *operands) for width in _registers(bits, pack)]
    try:
        constraints = parse_constraints(constraints_text)
        _check(constraints.outputs, sum(len(_registers(bits, pack)) for bits in results), "outputs")
        _check(constraints.inputs, sum(len(_registers(bits, pack)) for bits in operands), "inputs")
        for kind, width in zip((*constraints.outputs, *constraints.inputs), widths, strict=True):
            if kind == "f" and width < 16:
                raise UserError(f"an element of {width} bits does not fit constraint 'f'")
        words = words_of(text, constraints, widths)
    except UserError as error:
        line = f" in line {error.line} of the function made of it" if error.line else ""
        raise refuse(op, f"assembly of a PE (RV64GCV and Xmtia): {error.message}{line}") from None

    def apply(values: list[list[Any]]) -> list[list[Any]]:
        given = [word for elements, bits in zip(values, operands, strict=True) for word in _packed(c, elements, bits)]
        made = build.call_code(words, given, len(constraints.outputs))
        found = []
        for result, bits in zip(op.results, results, strict=True):
            count = len(_registers(bits, pack))
            found.append(_unpacked(c, made[:count], element_type(result.type), bits, pack))
            made = made[count:]
        return found

    _groups(c, op, pack, apply)


def _bits(type_: Any) -> int:
    return 64 if is_pointer(type_) else int(element_type(type_).width)


def _check(kinds: Sequence[str], registers: int, what: str) -> None:
    if len(kinds) != registers:
        raise UserError(f"{len(kinds)} {what} in the constraints, the types need {registers} registers")


def _registers(bits: int, pack: int) -> list[int]:
    """The widths of the registers that hold `pack` elements: small elements share registers of 32 bits."""
    if bits >= PACKED or pack == 1:
        return [max(bits, 8)] * pack
    return [PACKED] * -(-pack * bits // PACKED)


def _packed(c: Converter, elements: Sequence[Any], bits: int) -> list[Any]:
    """64-bit words of a group of elements."""
    i64 = ir.IntegerType.get_signless(64)
    words = []
    for element in elements:
        if isinstance(element.type, ir.FloatType):
            element = arith.BitcastOp(ir.IntegerType.get_signless(bits), element).result
        extend = arith.ExtSIOp if bits == PACKED else arith.ExtUIOp
        words.append(element if bits == 64 else extend(i64, element).result)
    if bits >= PACKED or len(elements) == 1:
        return words
    each = PACKED // bits
    joined = []
    for at in range(0, len(words), each):
        total = words[at]
        for lane, word in enumerate(words[at + 1 : at + each], 1):
            moved = arith.ShLIOp(word, c.index.constant(lane * bits, i64)).result
            total = arith.OrIOp(total, moved).result
        joined.append(total)
    return joined


def _unpacked(c: Converter, words: Sequence[Any], element: Any, bits: int, pack: int) -> list[Any]:
    """The elements of a group from their 64-bit words."""
    i64 = ir.IntegerType.get_signless(64)
    if bits < PACKED and pack > 1:
        each = PACKED // bits
        places = [(words[lane // each], lane % each * bits) for lane in range(pack)]
        words = [arith.ShRUIOp(word, c.index.constant(shift, i64)).result if shift else word for word, shift in places]
    small = ir.IntegerType.get_signless(bits)
    values = [word if bits == 64 else arith.TruncIOp(small, word).result for word in words]
    if isinstance(element, ir.FloatType):
        values = [arith.BitcastOp(element, value).result for value in values]
    return values
