"""`@fn`: a function of the language, with its source found and checked when it is first needed."""

from __future__ import annotations

import ast
import builtins
import itertools
import linecache
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from .tree import Body
    from .types import Type

__all__ = ["Fn", "fn"]

_numbers = itertools.count()
_sources: dict[str, dict[int, ast.FunctionDef]] = {}

MISSING = object()


def _definitions(file: str) -> dict[int, ast.FunctionDef]:
    """Every function definition of a file by its first line, decorators included."""
    if file not in _sources:
        tree = ast.parse("".join(linecache.getlines(file)), file)
        found = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found[min([node.lineno] + [d.lineno for d in node.decorator_list])] = node
        _sources[file] = found
    return _sources[file]


class Fn:
    """A function of the language; calling it from the host runs the reference (Python) version."""

    def __init__(self, python: FunctionType, scope: dict[str, Any], cc: str, inline: str | None) -> None:
        self.python = python
        self.name: str = python.__name__
        self.__doc__ = python.__doc__
        self.__name__, self.__module__ = python.__name__, python.__module__
        self.scope = scope
        self.cc = cc
        self.inline = inline
        self.number = next(_numbers)
        self.made_of: dict[str, Any] = {}  # what a factory wants to say about the function it made
        self.file: str = python.__code__.co_filename
        self._signature: tuple[list[tuple[str, Type]], Type] | None = None
        self._body: Body | None = None

    def __repr__(self) -> str:
        return f"<fn {self.name}>"

    @property
    def definition(self) -> ast.FunctionDef:
        """The function's syntax tree."""
        line = self.python.__code__.co_firstlineno
        node = _definitions(self.file).get(line)
        if node is None:
            raise UserError("the source of this function cannot be found", self.file, line)
        return node

    def lookup(self, name: str) -> Any:
        """What a name means around the function, or MISSING: closure, enclosing scope, module, builtins."""
        code = self.python.__code__
        if name in code.co_freevars and self.python.__closure__:
            try:
                return self.python.__closure__[code.co_freevars.index(name)].cell_contents
            except ValueError:
                pass
        if name in self.scope:
            return self.scope[name]
        if name in self.python.__globals__:
            return self.python.__globals__[name]
        return getattr(builtins, name, MISSING)

    @property
    def params(self) -> list[tuple[str, Type]]:
        """Parameter names and types."""
        return self.signature[0]

    @property
    def result(self) -> Type:
        """The type returned."""
        return self.signature[1]

    @property
    def signature(self) -> tuple[list[tuple[str, Type]], Type]:
        """Parameters and result, from the annotations."""
        if self._signature is None:
            from .frontend import check_signature

            self._signature = check_signature(self)
        return self._signature

    @property
    def body(self) -> Body:
        """The typed tree, checked on first use."""
        if self._body is None:
            from .frontend import check_body

            self._body = check_body(self)
        return self._body

    def __call__(self, *args: Any) -> Any:
        from .python_emitter import call

        return call(self, args)


def fn(python: Any = None, *, cc: str = "c", inline: str | None = None) -> Any:
    """Decorator: take a Python function as a function of the language.

    `cc` is `c` or `handler` (register-only convention whose functions end in `return tailcall(…)`);
    `inline` is `always`, `never` or None (LLVM decides).
    """
    if cc not in ("c", "handler") or inline not in (None, "always", "never"):
        raise ValueError(f"@fn: unknown cc={cc!r} or inline={inline!r}")
    frame = sys._getframe(1)
    scope = {} if frame.f_code.co_name == "<module>" else dict(frame.f_locals)

    def take(function: FunctionType) -> Fn:
        return Fn(function, scope, cc, inline)

    return take if python is None else take(python)

