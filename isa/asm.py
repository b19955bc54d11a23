"""Assembler and disassembler of PE programs: loops over the table, nothing here names an instruction.

`assemble(text)` gives a `Program` whose sections are at their final addresses; `disassemble(word)` and `listing(code)`
give text that assembles to the same words.
"""

from __future__ import annotations

import difflib
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken
from mtia.isa import table
from mtia.isa.decode import decode, walk
from mtia.isa.encode import encode
from mtia.isa.errors import UserError
from mtia.isa.expressions import Scope, constant_instructions, evaluate, is_register_like
from mtia.isa.operands import Operand, fixed_register
from mtia.isa.pseudo import PSEUDO

__all__ = ["DATA_BASE", "TEXT_BASE", "Program", "Section", "assemble", "disassemble", "listing"]

TEXT_BASE = 0x4000_0000  # defined: docs/design.md §4
DATA_BASE = 0x1000_1000
_ALIGN = 64  # sections start on a cache line


@dataclass(frozen=True)
class Section:
    """Bytes at an address."""

    name: str
    address: int
    data: bytes


@dataclass(frozen=True)
class Program:
    """An assembled program: sections by name, symbols, which of them are global, and (address, line) of each word."""

    sections: dict[str, Section]
    symbols: dict[str, int]
    globals: tuple[str, ...]
    lines: tuple[tuple[int, int], ...]

    @property
    def text(self) -> bytes:
        """The instructions."""
        return self.sections[".text"].data if ".text" in self.sections else b""


@dataclass
class _Chunk:
    """Bytes to come: `emit(scope, address)` must give `size` bytes."""

    size: int
    token: Token
    emit: Callable[[Scope, int], bytes]
    is_code: bool = False


@dataclass
class _Section:
    chunks: list[_Chunk] = field(default_factory=list)
    size: int = 0


@cache
def _parser() -> Lark:
    grammar = (Path(__file__).parent / "grammar.lark").read_text()
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _parse(text: str, file: str | None) -> Tree[Token]:
    try:
        return _parser().parse(text + "\n")
    except UnexpectedToken as error:
        token = error.token
        shown = "the end of the line" if token.type in ("_END", "$END") else f"`{token}`"
        raise UserError(f"{shown} is not expected here{_wanted(error.accepts or set())}", file, error.line,
                        error.column) from None  # fmt: skip
    except UnexpectedCharacters as error:
        raise UserError(f"`{error.char}` cannot start a word here", file, error.line, error.column) from None


_WORDS = {
    "NAME": "a name", "NUMBER": "a number", "LPAR": "`(`", "RPAR": "`)`", "COMMA": "`,`", "COLON": "`:`",
    "_END": "the end of the line",
}  # fmt: skip


def _wanted(accepts: Iterable[str]) -> str:
    known = [text for name, text in _WORDS.items() if name in set(accepts)]
    return f"; {' or '.join(known)} would be" if known else ""


class _Assembler:
    """One run: the first pass lays chunks out, the second emits them with all symbols known."""

    def __init__(self, file: str | None, text_base: int, data_base: int) -> None:
        self.file = file
        self.bases = (text_base, data_base)
        self.sections: dict[str, _Section] = {".text": _Section()}
        self.current = ".text"
        self.labels: dict[str, tuple[str, int, Token]] = {}
        self.local: dict[str, list[tuple[str, int, int]]] = {}
        self.constants: dict[str, int] = {}
        self.globals: dict[str, Token] = {}
        self.order = 0

    def fail(self, message: str, where: Token | Tree[Token] | None = None) -> UserError:
        if isinstance(where, Tree):
            return UserError(message, self.file, getattr(where.meta, "line", None), getattr(where.meta, "column", None))
        return UserError(message, self.file, where.line if where else None, where.column if where else None)

    def add(self, size: int, token: Token, emit: Callable[[Scope, int], bytes], is_code: bool = False) -> None:
        section = self.sections[self.current]
        section.chunks.append(_Chunk(size, token, emit, is_code))
        section.size += size

    # first pass

    def label(self, token: Token) -> None:
        self.order += 1
        place = self.sections[self.current].size
        if token.type == "NUMBER":
            self.local.setdefault(str(token), []).append((self.current, place, len(self.sections[self.current].chunks)))
        elif token in self.labels:
            raise self.fail(f"label `{token}` is already on line {self.labels[token][2].line}", token)
        elif is_register_like(token):
            raise self.fail(f"`{token}` is a register and cannot be a label", token)
        else:
            self.labels[str(token)] = (self.current, place, token)

    def statement(self, name: Token, args: list[Tree[Token]]) -> None:
        if name.startswith("."):
            from mtia.isa.directives import DIRECTIVES

            handler = DIRECTIVES.get(str(name))
            if handler is None:
                raise self.fail(f"`{name}` is not a directive{_near(name, DIRECTIVES)}", name)
            handler(self, name, args)
            return
        row = table.find(name)
        if row is not None and _fits(row, args):
            self.instruction(row, name, args)
            return
        if (str(name), len(args)) in PSEUDO:
            self.pseudo(name, args)
        elif row is not None:
            self.instruction(row, name, args)
        else:
            counts = [count for known, count in PSEUDO if known == name]
            if counts:
                raise self.fail(f"{name} takes {' or '.join(map(str, sorted(counts)))} operands", name)
            known = [row.name for row in table.all()] + [known for known, _ in PSEUDO]
            raise self.fail(f"`{name}` is not an instruction{_near(name, known)}", name)

    def pseudo(self, name: Token, args: list[Tree[Token]]) -> None:
        rule = PSEUDO[str(name), len(args)]
        if rule == "constant":
            scope = Scope(self.constants, 0)
            value = evaluate(args[1], scope, self.fail)
            lines = constant_instructions(value)
            if lines is None:
                raise self.fail(f"{value} does not fit into 64 bits", args[1])
        else:
            lines = rule.split(";")
        for line in lines:
            tree = _parse(line.strip(), None)
            statement = next(tree.find_data("statement"))
            head, *rest = statement.children
            assert isinstance(head, Token)
            bound = [_bind(part, args) for part in rest if isinstance(part, Tree)]
            row = table.find(head)
            assert row is not None, line
            self.instruction(row, Token.new_borrow_pos("NAME", str(head), name), bound)

    def instruction(self, row: table.Instruction, name: Token, args: list[Tree[Token]]) -> None:
        shape = _shape(row)
        needed = sum(not optional for _, _, optional in shape)
        if not needed <= len(args) <= len(shape):
            raise self.fail(f"{row.name} takes `{row.syntax.partition(' ')[2]}`, found {len(args)} operands", name)
        section = self.current
        place = (section, self.sections[section].size, len(self.sections[section].chunks))

        def emit(scope: Scope, address: int) -> bytes:
            scope.local = self.nearest(place, scope)
            values: dict[str, int] = {}
            for arg, (offset, base, _) in zip(args, shape, strict=False):
                self.operand(row, arg, offset, base, scope, address, values)
            try:
                return encode(row, values).to_bytes(row.size, "little")
            except UserError as error:
                raise self.fail(error.message, name) from None

        self.add(row.size, name, emit, is_code=True)

    # second pass

    def operand(
        self, row: table.Instruction, arg: Tree[Token], offset: str, base: str, scope: Scope, address: int,
        values: dict[str, int],
    ) -> None:  # fmt: skip
        """Put the values of one comma-separated operand into `values`; `base` is the part in parentheses."""
        if base:
            inner: Tree[Token] | None = None
            if arg.data == "indexed":
                first, second = arg.children
                assert isinstance(first, Tree) and isinstance(second, Tree)
                arg, inner = first, second
            elif arg.data == "paren":
                only = arg.children[0]
                assert isinstance(only, Tree)
                arg, inner = Tree("number", [Token("NUMBER", "0")], arg.meta), only
            if inner is None:
                raise self.fail(f"{row.name}: `{offset}({base})` is expected here", arg)
            self.put(row, base, inner, scope, address, values)
            if not offset:
                if evaluate(arg, scope, self.fail) != 0:
                    raise self.fail(f"{row.name} takes no offset: write `({base})`", arg)
                return
        self.put(row, offset, arg, scope, address, values)

    def put(
        self, row: table.Instruction, name: str, arg: Tree[Token], scope: Scope, address: int, values: dict[str, int]
    ) -> None:
        """Take one operand, or the fixed register that the syntax asks for."""
        if name in row.by_name:
            values[name] = self.value(row, row.by_name[name], arg, scope, address)
        elif arg.data != "name" or fixed_register(str(arg.children[0])) != fixed_register(name):
            raise self.fail(f"{row.name}: `{name}` is expected here", arg)

    def value(self, row: table.Instruction, operand: Operand, arg: Tree[Token], scope: Scope, address: int) -> int:
        kind = operand.kind
        if arg.data in ("name", "number") and str(arg.children[0]) in kind.names:
            value = kind.names[str(arg.children[0])]
        elif not kind.number:
            raise self.fail(f"{row.name}: `{operand.name}` must be {operand.accepted()}", arg)
        else:
            scope.address = address
            value = kind.value(evaluate(arg, scope, self.fail))
            if kind.name == "target" and scope.used_symbol:
                value -= address
        problem = operand.problem(value)
        if problem:
            raise self.fail(f"{row.name}: {problem}", arg)
        return value

    def nearest(self, place: tuple[str, int, int], scope: Scope) -> Callable[[str], int | None]:
        """Return the resolver of `1f` and `1b` at a place."""

        def resolve(text: str) -> int | None:
            marks = [m for m in self.local.get(text[:-1], ()) if m[0] == place[0]]
            if text[-1] == "b":
                found = [m for m in marks if m[2] <= place[2]][-1:]
            else:
                found = [m for m in marks if m[2] > place[2]][:1]
            return scope.sections[place[0]] + found[0][1] if found else None

        return resolve

    def layout(self) -> dict[str, int]:
        text, data = self.bases
        places: dict[str, int] = {}
        for name, section in self.sections.items():
            if name.startswith(".text"):
                places[name] = text
                text = -(-(text + section.size) // _ALIGN) * _ALIGN
        for name in sorted((n for n in self.sections if n not in places), key=lambda n: (n.startswith(".bss"), n)):
            places[name] = data
            data = -(-(data + self.sections[name].size) // _ALIGN) * _ALIGN
        return places

    def finish(self) -> Program:
        places = self.layout()
        symbols = {name: places[section] + offset for name, (section, offset, _) in self.labels.items()}
        for name, token in self.globals.items():
            if name not in symbols and name not in self.constants:
                raise self.fail(f"`{name}` is global but nowhere defined", token)
        scope = Scope(self.constants | symbols, 0, places)
        lines: list[tuple[int, int]] = []
        sections: dict[str, Section] = {}
        for name, section in self.sections.items():
            data = bytearray()
            for chunk in section.chunks:
                address = places[name] + len(data)
                if chunk.is_code:
                    lines.append((address, chunk.token.line or 0))
                data += chunk.emit(scope, address)
            if data or name == ".text":
                sections[name] = Section(name, places[name], bytes(data))
        return Program(sections, self.constants | symbols, tuple(self.globals), tuple(lines))


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 3, 0.7)
    return f"; did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else ""


def _bind(part: Tree[Token], args: list[Tree[Token]]) -> Tree[Token]:
    """Replace `$1`, `$2` … of a pseudo-instruction's line by its operands."""
    if part.data == "name" and str(part.children[0]).startswith("$"):
        return args[int(str(part.children[0])[1:]) - 1]
    children = [_bind(child, args) if isinstance(child, Tree) else child for child in part.children]
    return Tree(part.data, children, args[0].meta if args else part.meta)


@cache
def _shape(row: table.Instruction) -> tuple[tuple[str, str, bool], ...]:
    """The comma-separated operands of the syntax: (operand or "", operand in parentheses or "", optional)."""
    shape: list[tuple[str, str, bool]] = []
    first, inner, optional, inside = "", "", False, False
    for element, is_optional in (*row.elements, (",", False)):
        if element == ",":
            if first or inner:
                shape.append((first, inner, optional))
            first, inner, optional = "", "", is_optional
        elif element in "()":
            inside = element == "("
        elif inside:
            inner = element
        else:
            first, optional = element, optional or is_optional
    return tuple(shape)


def _fits(row: table.Instruction, args: list[Tree[Token]]) -> bool:
    shape = _shape(row)
    return sum(not optional for _, _, optional in shape) <= len(args) <= len(shape)


def assemble(text: str, file: str | None = None, text_base: int = TEXT_BASE, data_base: int = DATA_BASE) -> Program:
    """Assemble a program; mistakes raise `UserError` with line and column."""
    run = _Assembler(file, text_base, data_base)
    for node in _parse(text, file).children:
        assert isinstance(node, Tree)
        head, *rest = node.children
        assert isinstance(head, Token)
        if node.data == "label":
            run.label(head)
        else:
            run.statement(head, [part for part in rest if isinstance(part, Tree)])
    return run.finish()


def disassemble(word: int) -> str:
    """Return the assembly text of a word; an illegal one becomes data."""
    found = decode(word)
    if found is None:
        return f".word {word:#010x}" if word & 3 == 3 else f".half {word & 0xFFFF:#06x}"
    return render(found.row, found.values)


def render(row: table.Instruction, values: Mapping[str, int], names: Mapping[str, str] | None = None) -> str:
    """Write an instruction with its operand values; `names` overrides the text of operands."""
    parts: list[str] = []
    elements = list(row.elements)
    while elements and elements[-1][1] and values.get(elements[-1][0]) == row.by_name[elements[-1][0]].kind.default:
        del elements[-2:]
    for element, _ in elements:
        operand = row.by_name.get(element)
        if operand is None:
            parts.append(", " if element == "," else element)
        elif names and element in names:
            parts.append(names[element])
        else:
            parts.append(operand.kind.show(values[element]))
    return f"{row.name} {''.join(parts)}".rstrip()


def listing(code: bytes, base: int = TEXT_BASE, symbols: Mapping[str, int] | None = None) -> str:
    """Disassemble a text section, one line an instruction, with labels at symbols and at branch targets."""
    at = {address: name for name, address in (symbols or {}).items()}
    lines: list[str] = []
    words = list(walk(code, base))
    starts = {address for address, _ in words}
    for address, word in words:
        found = decode(word)
        if found and "target" in found.values and address + found.values["target"] in starts:
            at.setdefault(address + found.values["target"], f".L{address + found.values['target']:x}")
    for address, word in words:
        if address in at:
            lines.append(f"{at[address]}:")
        found = decode(word)
        goal = address + found.values["target"] if found and "target" in found.values else None
        if found and goal in at:
            body = render(found.row, found.values, {"target": at[goal]})
        else:
            body = disassemble(word)
        lines.append(f"    {body:<40} # {address:x}: {word:0{8 if word & 3 == 3 else 4}x}")
    return "\n".join(lines) + "\n"


def floats(value: float, size: int) -> bytes:
    """Return the bytes of a floating-point constant of 2, 4 or 8 bytes."""
    return struct.pack({2: "<e", 4: "<f", 8: "<d"}[size], value)
