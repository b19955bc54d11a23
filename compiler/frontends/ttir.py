"""TTIR text, as Triton prints it, to a module of the `tt` dialect.

Triton's operations have their own spelling, which needs Triton's C++ to read. Lines with such an operation are
parsed with `ttir.lark` and rewritten to MLIR's generic form; all other lines are upstream MLIR and pass unchanged,
so line numbers stay. Then MLIR parses and verifies the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedEOF, UnexpectedInput, UnexpectedToken
from mtia.compiler.locations import place_of
from mtia.dialects.mlir import ir
from mtia.dialects.tt import VALUES
from mtia.isa.errors import UserError

__all__ = ["parse", "to_generic"]

_STATEMENT = re.compile(r"^(\s*(?:%[^=]*= )?)(\"?tt\.[\w.]+\"?)(.*?)(\s+loc\((?:#loc\d*|.*)\))?\s*$")
_PROPERTIES = re.compile(r"<(\{[^{}]*\})> (?=\(\{)")
_RESULTS = re.compile(r":(\d+)")
_POINTER = re.compile(r"!tt\.ptr<(.*?)>(>?)$")
_AXES = {"x": 0, "y": 1, "z": 2}
_UPSTREAM = {"tt.func": "func.func", "tt.return": "func.return", "tt.call": "func.call"}


def _generic(
    name: str, operands: Sequence[str], attributes: str, types: Sequence[str], results: Sequence[str] = ()
) -> str:
    outs = results[0] if len(results) == 1 else f"({', '.join(results)})"
    return f'"{name}"({", ".join(operands)}) {attributes} : ({", ".join(types)}) -> {outs}'


def _with(attributes: str, *more: str) -> str:
    """An attribute dictionary with entries added; empty entries are left out."""
    parts = [part for part in (attributes[1:-1], *more) if part]
    return f"{{{', '.join(parts)}}}"


def _segments(*sizes: int) -> str:
    return f"operandSegmentSizes = array<i32: {', '.join(map(str, sizes))}>"


def _values(count: int) -> str:
    """Segments of an operation that has one optional operand for each of up to VALUES values."""
    return _segments(*[1] * count, *[0] * (VALUES - count))


def _as_mask(pointers: str) -> str:
    return _POINTER.sub(r"i1\2", pointers)


def _as_value(pointers: str) -> str:
    return _POINTER.sub(r"\1\2", pointers)


def _pointer_type(text: str) -> str:
    """Triton leaves `!tt.ptr` out where the type can only be a pointer."""
    return f"!tt.ptr{text}" if text.startswith("<") else text


def _descriptor_type(text: str) -> str:
    return f"!tt.tensordesc{text}" if text.startswith("<") else text


def _ssa(items: Sequence[Any]) -> list[str]:
    return [item for item in items if isinstance(item, Token) and item.type == "SSA"]


def _types(items: Sequence[Any]) -> list[str]:
    return [item for item in items if isinstance(item, Token) and item.type == "TYPE"]


def _words(items: Sequence[Any]) -> list[str]:
    return [item for item in items if isinstance(item, Token) and item.type == "WORD"]


def _attributes(items: Sequence[Any]) -> str:
    return next(str(item) for item in items if not isinstance(item, Token) and str(item).startswith("{"))


class _ToGeneric(Transformer):
    """Each rule of the grammar as generic text."""

    def attrs(self, items: list[Any]) -> str:
        return str(items[0]) if items else "{}"

    def option(self, items: list[Any]) -> None:
        """Cache hints change nothing here: the chip has no such caches."""

    def bracket(self, items: list[Any]) -> list[str]:
        return [str(item) for item in items]

    scaled = pairtype = types = bracket

    def cast(self, items: list[Any]) -> str:
        source, *converted = _types(items)
        if str(items[0]) == "tt.unsplat":
            converted = [source.removesuffix(">").rpartition("x")[2]]
        attributes, result = _attributes(items), converted[0]
        rounding = [f'rounding = "{word}"' for word in _words(items)]
        name, operands = str(items[0]), _ssa(items)
        if name == "tt.histogram":
            bounds = _with(attributes, _segments(1, len(operands) - 1))
            return _generic(name, operands, bounds, [source, *map(_boolean, [source][: len(operands) - 1])], [result])
        results = [result] * 2 if name == "tt.split" else [result]
        return _generic(name, operands, _with(attributes, *rounding), [source], results)

    def elementwise(self, items: list[Any]) -> str:
        operands, type_ = _ssa(items), items[-1]
        propagate = [f'propagateNan = "{word}"' for word in _words(items)]
        return _generic(items[0], operands, _with(items[-2], *propagate), [type_] * len(operands), [type_])

    def range_(self, items: list[Any]) -> str:
        return _generic("tt.make_range", [], items[0], [], [items[1]])

    def program(self, items: list[Any]) -> str:
        if items[1] not in _AXES:
            raise ValueError(f"grid axis '{items[1]}' is not x, y or z")
        return _generic(items[0], [], _with(items[2], f"axis = {_AXES[items[1]]} : i32"), [], [items[3]])

    def addptr(self, items: list[Any]) -> str:
        pointers, offset = items[-2:]
        return _generic("tt.addptr", items[:2], items[2], [pointers, offset], [pointers])

    def advance(self, items: list[Any]) -> str:
        pointer, offsets, attributes, type_ = items
        type_ = _pointer_type(type_)
        attributes = _with(attributes, _segments(1, len(offsets)))
        return _generic("tt.advance", [pointer, *offsets], attributes, [type_, *["i32"] * len(offsets)], [type_])

    def load(self, items: list[Any]) -> str:
        operands, attributes, type_ = _ssa(items), items[-2], items[-1]
        segments = _segments(1, int(len(operands) > 1), int(len(operands) > 2))
        types = [type_, _as_mask(type_), _as_value(type_)][: len(operands)]
        return _generic("tt.load", operands, _with(attributes, segments), types, [_as_value(type_)])

    def store(self, items: list[Any]) -> str:
        operands, attributes, type_ = _ssa(items), items[-2], items[-1]
        types = [type_, _as_value(type_), _as_mask(type_)][: len(operands)]
        return _generic("tt.store", operands, _with(attributes, _segments(1, 1, len(operands) - 2)), types)

    def atomic_rmw(self, items: list[Any]) -> str:
        operands, (kind, sem, scope) = _ssa(items), _words(items)
        named = f'kind = "{kind}", sem = "{sem}", scope = "{scope}"'
        attributes = _with(items[-3], named, _segments(1, 1, len(operands) - 2))
        return _generic("tt.atomic_rmw", operands, attributes, items[-2], [items[-1]])

    def atomic_cas(self, items: list[Any]) -> str:
        sem, scope = _words(items)
        attributes = _with(items[-3], f'sem = "{sem}", scope = "{scope}"')
        return _generic("tt.atomic_cas", _ssa(items), attributes, items[-2], [items[-1]])

    def pair(self, items: list[Any]) -> str:
        return _generic(items[0], items[1:3], items[3], [items[4]] * 2, [items[5]])

    def dot(self, items: list[Any]) -> str:
        precision = [f'inputPrecision = "{word}"' for word in _words(items)]
        a, b, result = _types(items)
        return _generic("tt.dot", _ssa(items), _with(items[-4], *precision), [a, b, result], [result])

    def dot_scaled(self, items: list[Any]) -> str:
        a, b, c, lhs, rhs, attributes, a_types, b_types, result = items
        segments = _segments(1, len(a) - 1, 1, len(b) - 1, 1)
        attributes = _with(attributes, f'lhs = "{lhs}", rhs = "{rhs}"', segments)
        return _generic("tt.dot_scaled", [*a, *b, c], attributes, [*a_types, *b_types, result], [result])

    def extern(self, items: list[Any]) -> str:
        operands = _ssa(items)
        attributes = _with(items[-3], _values(len(operands)))
        return _generic("tt.extern_elementwise", operands, attributes, items[-2], [items[-1]])

    def asm(self, items: list[Any]) -> str:
        operands, types = _ssa(items), _types(items)
        attributes = _with(items[1], f"asm_string = {items[0]}", _values(len(operands)))
        results = types[len(operands) :]
        attributes = _with(attributes, _values(len(results)).replace("operand", "result"))
        return _generic("tt.elementwise_inline_asm", operands, attributes, types[: len(operands)], results)

    def gather(self, items: list[Any]) -> str:
        source, indices, attributes, types, result = items
        return _generic("tt.gather", [source, indices], attributes, types, [result])

    def print_(self, items: list[Any]) -> str:
        operands = _ssa(items)
        attributes = _with(items[1], f"prefix = {items[0]}", _values(len(operands)))
        return _generic("tt.print", operands, attributes, _types(items))

    def assert_(self, items: list[Any]) -> str:
        condition, message, attributes, type_ = items
        return _generic("tt.assert", [condition], _with(attributes, f"message = {message}"), [type_])

    def tensor_ptr(self, items: list[Any]) -> str:
        base, shape, strides, offsets, attributes, type_ = items
        type_ = _pointer_type(type_)
        block = type_[len("!tt.ptr<tensor<") : -2]
        element = f"!tt.ptr<{block.rpartition('x')[2]}>"
        rank = len(shape)
        types = [element, *["i64"] * rank * 2, *["i32"] * rank]
        attributes = _with(attributes, _segments(1, rank, rank, rank))
        return _generic("tt.make_tensor_ptr", [base, *shape, *strides, *offsets], attributes, types, [type_])

    def descriptor(self, items: list[Any]) -> str:
        base, shape, strides, attributes, pointer, result = items
        rank = len(shape)
        types = [_pointer_type(pointer), *["i32"] * rank, *["i64"] * rank]
        attributes = _with(attributes, _segments(1, rank, rank))
        operands = [base, *shape, *strides]
        return _generic("tt.make_tensor_descriptor", operands, attributes, types, [_descriptor_type(result)])

    def descriptor_load(self, items: list[Any]) -> str:
        descriptor, indices, *_, attributes, type_, result = items
        attributes = _with(attributes, _segments(1, len(indices)))
        types = [type_, *["i32"] * len(indices)]
        return _generic("tt.descriptor_load", [descriptor, *indices], attributes, types, [result])

    def descriptor_gather(self, items: list[Any]) -> str:
        descriptor, indices, attributes, types, result = items
        return _generic("tt.descriptor_gather", [descriptor, *indices], attributes, types, [result])

    def descriptor_store(self, items: list[Any]) -> str:
        descriptor, indices, value, attributes, type_, source = items
        attributes = _with(attributes, _segments(1, len(indices), 1))
        types = [type_, *["i32"] * len(indices), source]
        return _generic("tt.descriptor_store", [descriptor, *indices, value], attributes, types)

    def descriptor_scatter(self, items: list[Any]) -> str:
        descriptor, indices, value, attributes, *types = items
        return _generic("tt.descriptor_scatter", [descriptor, *indices, value], attributes, types)

    def descriptor_reduce(self, items: list[Any]) -> str:
        kind, descriptor, indices, value, attributes, type_, source = items
        attributes = _with(attributes, f'kind = "{kind}"', _segments(1, len(indices), 1))
        types = [type_, *["i32"] * len(indices), source]
        return _generic("tt.descriptor_reduce", [descriptor, *indices, value], attributes, types)

    def return_(self, items: list[Any]) -> str:
        operands = _ssa(items)
        name = "tt." + items[0][len("tt.") :].replace(".", "_")
        return _generic(name, operands, _with("{}", _values(len(operands))), _types(items))


def _boolean(type_: str) -> str:
    return re.sub(r"[if]\d+>$", "i1>", type_)


@lru_cache(maxsize=1)
def _parser() -> Callable[[str], str]:
    transformer = _ToGeneric()
    grammar = resources.files("mtia.compiler.frontends").joinpath("ttir.lark").read_text()
    parser = Lark(grammar, parser="lalr", lexer="contextual", transformer=transformer, propagate_positions=False)
    parse_operation: Callable[[str], str] = parser.parse
    return parse_operation


def to_generic(text: str, file: str | None = None) -> str:
    """TTIR text with every `tt` operation in generic form, line for line; raises UserError at what it cannot read."""
    parse_operation = _parser()
    out = []
    properties: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if properties and line.lstrip().startswith("})"):
            line = line.replace("})", f"}}) {properties.pop()}", 1)
        elif "tt." in line and not line.startswith("#"):
            line = _rewrite(line, number, file, properties, parse_operation)
        elif line.lstrip().startswith("ttg.barrier"):
            line = ""  # the lanes of a program never run apart here
        out.append(line)
    return "\n".join(out) + "\n"


def _rewrite(line: str, number: int, file: str | None, properties: list[str], parse_operation: Any) -> str:
    found = _STATEMENT.match(line)
    if found is None:
        return line
    head, name, rest, location = found.groups()
    if name in _UPSTREAM:
        return f"{head}{_UPSTREAM[name]}{rest}{location or ''}"
    if name.startswith('"'):
        moved = _PROPERTIES.search(line)
        operands = rest[: rest.index(")")].count("%")
        counted = _RESULTS.search(head)
        results = int(counted[1]) if counted else 1
        segments = _values(operands), _values(results).replace("operand", "result")
        properties.append(_with(moved[1] if moved else "{}", *segments))
        return _PROPERTIES.sub("", line)
    try:
        generic = parse_operation(name + rest)
    except UnexpectedInput as error:
        column = len(head) + max(getattr(error, "column", 1), 1)
        raise UserError(_explain(name, rest, error), file, number, column) from None
    except Exception as error:  # a rule of the transformer refused
        raise UserError(str(error.__context__ or error), file, number, len(head) + 1) from None
    return f"{head}{generic}{location or ''}"


def _explain(name: str, rest: str, error: UnexpectedInput) -> str:
    ended = isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END")
    at = len(name + rest) if ended or error.pos_in_stream is None else error.pos_in_stream
    if at < len(name):
        return f"unknown Triton operation '{name}'"
    found = (name + rest)[at : at + 20].split(" ")[0] or "end of line"
    return f"cannot read operation '{name}' at '{found}'"


def parse(text: str, file: str | None = None) -> Any:
    """A module of the `tt` dialect from TTIR text, in the current context; `file` names the text in errors."""
    try:
        return ir.Module.parse(to_generic(text, file))
    except ir.MLIRError as error:
        first = error.error_diagnostics[0]
        name, line, column = place_of(ir.Location.from_attr(first.location.attr))
        raise UserError(first.message, file if name in (None, "-") else name, line, column) from None
