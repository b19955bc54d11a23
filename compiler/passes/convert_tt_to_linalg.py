"""convert-tt-to-linalg: the `tt` dialect to linalg on tensors, with memory accesses as `mtia` transfers.

Each function is walked once, in order. A pointer argument becomes `memref<?xT, 1>`; address arithmetic and masks stay
formulas (`convert_tt_to_linalg_values`) until an access or an arithmetic operation needs them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.passes import (  # noqa: F401  (each registers its lowerings)
    convert_tt_to_linalg_access,
    convert_tt_to_linalg_addresses,
    convert_tt_to_linalg_asm,
    convert_tt_to_linalg_atomics,
    convert_tt_to_linalg_blocks,
    convert_tt_to_linalg_compute,
    convert_tt_to_linalg_control,
    convert_tt_to_linalg_dots,
    convert_tt_to_linalg_messages,
    convert_tt_to_linalg_scaled,
    convert_tt_to_linalg_shape,
)
from mtia.compiler.passes.convert_tt_to_linalg_addresses import memory_element, memory_type
from mtia.compiler.passes.convert_tt_to_linalg_build import global_type
from mtia.compiler.passes.convert_tt_to_linalg_core import Converter
from mtia.compiler.passes.convert_tt_to_linalg_values import Affine, Block, Pointers
from mtia.dialects.mlir import func, ir, run_passes
from mtia.dialects.tt import Descriptor, Ptr, block, pointee

__all__ = ["convert_tt_to_linalg"]


def convert_tt_to_linalg(module: Any, options: Options) -> None:
    """Convert every function of the module in place.

    Attribute `tt.notes` of a function is what the user should be told, `tt.accesses` how each access is done and why.
    """
    functions = [op for op in module.body.operations if isinstance(op, func.FuncOp)]
    if any(_branches(function.operation) for function in functions):
        run_passes(module, "builtin.module(func.func(lift-cf-to-scf,canonicalize))")
        functions = [op for op in module.body.operations if isinstance(op, func.FuncOp)]
    callees = {_name(function): function for function in functions if _is_private(function)}
    for function in functions:
        if not _is_private(function):
            with ir.InsertionPoint(function), function.location:
                _convert(function, options, callees)
    for function in functions:
        function.operation.erase()


def _branches(operation: Any) -> bool:
    """Whether a region of the operation, or inside it, has several blocks."""
    return any(
        len(region.blocks) > 1 or any(_branches(inner.operation) for inner in region.blocks[0].operations)
        for region in operation.regions
        if len(region.blocks)
    )


def _is_private(function: Any) -> bool:
    """Whether a function is only called: what a kernel calls is lowered where it is called."""
    return (
        "sym_visibility" in function.attributes
        and ir.StringAttr(function.attributes["sym_visibility"]).value == "private"
    )


def _name(function: Any) -> str:
    return str(ir.StringAttr(function.attributes["sym_name"]).value)


def _argument_type(type_: Any) -> Any:
    if isinstance(type_, Ptr):
        return memory_type(type_)
    if isinstance(type_, Descriptor):
        return global_type(memory_element(block(type_).element_type))
    return type_


def _convert(old: Any, options: Options, callees: Mapping[str, Any]) -> None:
    """A new function before the old one, with its body lowered."""
    arguments = list(old.regions[0].blocks[0].arguments)
    inputs = [_argument_type(argument.type) for argument in arguments]
    new = func.FuncOp(_name(old), (inputs, []))
    if "arg_attrs" in old.attributes:
        new.attributes["arg_attrs"] = old.attributes["arg_attrs"]
    entry = new.add_entry_block([argument.location for argument in arguments])
    converter = Converter(entry, options, callees)
    with ir.InsertionPoint(entry):
        for number, (argument, became) in enumerate(zip(arguments, entry.arguments, strict=True)):
            converter.set(argument, _known(converter, argument.type, became, list(entry.arguments)[number + 1 :]))
        converter.block(old.regions[0].blocks[0].operations)
        func.ReturnOp([])
    if converter.messages:
        _add_message_buffer(new, inputs, converter)
    if converter.accesses:
        new.attributes["tt.accesses"] = ir.ArrayAttr.get([ir.StringAttr.get(line) for line in converter.accesses])
    if converter.notes:
        new.attributes["tt.notes"] = ir.ArrayAttr.get([ir.StringAttr.get(note) for note in converter.notes])


def _add_message_buffer(function: Any, inputs: list[Any], converter: Converter) -> None:
    kinds = [*inputs, converter.message_buffer().type]
    function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(kinds, []))
    if "arg_attrs" in function.attributes:
        attributes = [*ir.ArrayAttr(function.attributes["arg_attrs"]), ir.DictAttr.get({})]
        function.attributes["arg_attrs"] = ir.ArrayAttr.get(attributes)
    function.attributes["mtia.messages"] = ir.StringAttr.get(json.dumps(converter.messages))


def _known(c: Converter, type_: Any, became: Any, following: list[Any]) -> Any:
    """What an argument is; a descriptor is followed by its sizes and strides."""
    if isinstance(type_, Ptr):
        return Pointers(became, memory_element(pointee(type_)), Affine((), c.index.index, 0, (), ()))
    if isinstance(type_, Descriptor):
        shape = tuple(block(type_).shape)
        rank = len(shape)
        sizes, strides = (
            tuple(map(c.index.from_scalar, part)) for part in (following[:rank], following[rank : 2 * rank])
        )
        return Block(became, memory_element(block(type_).element_type), 0, sizes, strides, (0,) * rank, shape)
    return became
