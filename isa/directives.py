"""Assembler directives: sections, data, symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lark import Token, Tree
from mtia.isa.expressions import Scope, evaluate, text_of

if TYPE_CHECKING:
    from mtia.isa.asm import _Assembler

__all__ = ["DIRECTIVES"]

Args = list["Tree[Token]"]
Handler = Callable[["_Assembler", Token, Args], None]


def _name(run: _Assembler, head: Token, args: Args, place: int = 0) -> Token:
    if len(args) <= place or args[place].data not in ("name", "string"):
        raise run.fail(f"{head} takes a name", args[place] if len(args) > place else head)
    found = args[place].children[0]
    assert isinstance(found, Token)
    return found


def _constant(run: _Assembler, head: Token, args: Args, place: int = 0) -> int:
    if len(args) <= place:
        raise run.fail(f"{head} takes {place + 1} operands or more, found {len(args)}", head)
    return evaluate(args[place], Scope(run.constants, 0), run.fail)


def _switch(name: str) -> Handler:
    def handler(run: _Assembler, head: Token, args: Args) -> None:
        _enter(run, name)

    return handler


def _enter(run: _Assembler, name: str) -> None:
    from mtia.isa.asm import _Section

    run.sections.setdefault(name, _Section())
    run.current = name


def _section(run: _Assembler, head: Token, args: Args) -> None:
    _enter(run, str(_name(run, head, args)).strip('"'))


def _globl(run: _Assembler, head: Token, args: Args) -> None:
    for place in range(max(1, len(args))):
        token = _name(run, head, args, place)
        run.globals[str(token)] = token


def _equ(run: _Assembler, head: Token, args: Args) -> None:
    run.constants[str(_name(run, head, args))] = _constant(run, head, args, 1)


def _align(power: bool) -> Handler:
    def handler(run: _Assembler, head: Token, args: Args) -> None:
        number = _constant(run, head, args)
        if not (0 <= number <= 16 if power else 0 < number <= 65536 and number & number - 1 == 0):
            raise run.fail(f"{head} takes {'0 to 16' if power else 'a power of two'}, not {number}", args[0])
        to = 1 << number if power else number
        section = run.sections[run.current]
        gap = -section.size % to
        fill = _padding(gap, run.current.startswith(".text"))
        run.add(gap, head, lambda _scope, _address: fill)

    return handler


def _padding(gap: int, is_code: bool) -> bytes:
    if not is_code or gap % 2:
        return bytes(gap)
    from mtia.isa.encode import word

    nop = word("addi", rd=0, rs1=0, imm=0).to_bytes(4, "little")
    return bytes(gap % 4) + nop * (gap // 4)


def _data(size: int) -> Handler:
    def handler(run: _Assembler, head: Token, args: Args) -> None:
        def emit(arg: Tree[Token], scope: Scope, address: int) -> bytes:
            if arg.data == "real" or arg.data == "neg" and getattr(arg.children[0], "data", "") == "real":
                return _real(run, head, arg, size)
            scope.address = address
            value = evaluate(arg, scope, run.fail)
            if not -(1 << 8 * size - 1) <= value < 1 << 8 * size:
                raise run.fail(f"{value} does not fit into {size} bytes", arg)
            return (value % (1 << 8 * size)).to_bytes(size, "little")

        for arg in args:
            in_text = run.current == ".text"
            run.add(size, head, lambda scope, address, arg=arg: emit(arg, scope, address), in_text)  # type: ignore[misc]

    return handler


def _real(run: _Assembler, head: Token, arg: Tree[Token], size: int) -> bytes:
    from mtia.isa.asm import floats

    if size == 1:
        raise run.fail(f"{head} takes integers", arg)
    inner = arg.children[0]
    value = -float(str(inner.children[0])) if isinstance(inner, Tree) else float(str(inner))
    return floats(value, size)


def _string(end: bytes) -> Handler:
    def handler(run: _Assembler, head: Token, args: Args) -> None:
        for arg in args:
            data = text_of(arg)
            if data is None:
                raise run.fail(f"{head} takes strings", arg)
            run.add(len(data + end), head, lambda _scope, _address, data=data: data + end)  # type: ignore[misc]

    return handler


def _space(run: _Assembler, head: Token, args: Args) -> None:
    size = _constant(run, head, args)
    if not 0 <= size <= 1 << 24:
        raise run.fail(f"{head} takes 0 to {1 << 24} bytes, not {size}", args[0])
    run.add(size, head, lambda _scope, _address: bytes(size))


def _nothing(run: _Assembler, head: Token, args: Args) -> None:
    """Accept what other assemblers write for tools that we do not have."""


DIRECTIVES: dict[str, Handler] = {
    ".text": _switch(".text"),
    ".data": _switch(".data"),
    ".rodata": _switch(".rodata"),
    ".bss": _switch(".bss"),
    ".section": _section,
    ".globl": _globl,
    ".global": _globl,
    ".equ": _equ,
    ".set": _equ,
    ".align": _align(True),
    ".p2align": _align(True),
    ".balign": _align(False),
    ".byte": _data(1),
    ".half": _data(2),
    ".2byte": _data(2),
    ".word": _data(4),
    ".4byte": _data(4),
    ".float": _data(4),
    ".dword": _data(8),
    ".quad": _data(8),
    ".8byte": _data(8),
    ".double": _data(8),
    ".ascii": _string(b""),
    ".asciz": _string(b"\0"),
    ".string": _string(b"\0"),
    ".zero": _space,
    ".space": _space,
    ".type": _nothing,
    ".size": _nothing,
    ".option": _nothing,
    ".attribute": _nothing,
    ".file": _nothing,
    ".ident": _nothing,
}
