"""Mutants of the compiler: one small change each to a file that kernels or models come through on their way."""

from __future__ import annotations

import ast
import builtins
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mtia.compiler

__all__ = ["KINDS", "Mutant", "draw", "files", "unchanged", "without_body"]

KINDS = ("comparison", "condition", "boolean", "operator", "constant", "name", "statement", "argument", "result")
_COMPARISONS = (
    (ast.Lt, ast.LtE), (ast.LtE, ast.Lt), (ast.Gt, ast.GtE), (ast.GtE, ast.Gt), (ast.Eq, ast.NotEq),
    (ast.NotEq, ast.Eq), (ast.In, ast.NotIn), (ast.NotIn, ast.In), (ast.Is, ast.IsNot), (ast.IsNot, ast.Is),
)  # fmt: skip
_OPERATORS = ((ast.Add, ast.Sub), (ast.Sub, ast.Add), (ast.Mult, ast.Add), (ast.FloorDiv, ast.Mult), (ast.Mod, ast.Add))
# What stands in these is no behaviour of a pass: messages, types, names of what a module offers.
_SKIPPED = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Mutant:
    """A change: the file (within `compiler`), line and kind, what was done, and the whole text of the changed file."""

    file: str
    line: int
    kind: str
    text: str
    sources: dict[str, str]


Site = tuple[str, int, str, Callable[[], None]]  # kind, line, what is done, what does it to the tree


def files() -> dict[str, Path]:
    """What kernels and models come through, by path within `compiler`.

    Not there: processes, caches, the assembler's way to an executable, the tuner. They change no kernel.
    """
    folder = Path(next(iter(mtia.compiler.__path__)))
    found = {str(path.relative_to(folder)): path for pattern in _SOURCES for path in sorted(folder.glob(pattern))}
    return {name: path for name, path in found.items() if path.name != "__init__.py"}


_SOURCES = (
    "passes/*.py", "frontends/ttir.py", "frontends/fx*.py", "backend/linker.py", "backend/features.py",
    "backend/literals.py", "backend/inline_asm.py",
)  # fmt: skip


def unchanged() -> Mutant:
    """No change: all files as the others are written, which must pass all tests."""
    sources = {name: ast.unparse(ast.parse(path.read_text())) + "\n" for name, path in files().items()}
    return Mutant("", 0, "", "", sources)


def without_body(source: str, function: str) -> str:
    """The source of a module in which a top-level function does nothing."""
    lines = source.splitlines(keepends=True)
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function)
    end = node.end_lineno
    assert end is not None
    return "".join([*lines[: node.body[0].lineno - 1], "    return None\n", *lines[end:]])


def draw(kind: str, pick: random.Random) -> Mutant:
    """A random mutant of a kind."""
    file, number = pick.choice([(name, n) for name in files() for n, k in enumerate(_kinds(name)) if k == kind])
    tree = ast.parse(files()[file].read_text())
    _, line, text, apply = list(_sites(tree))[number]
    apply()
    return Mutant(file, line, kind, text, {file: ast.unparse(ast.fix_missing_locations(tree)) + "\n"})


@cache
def _kinds(file: str) -> tuple[str, ...]:
    """The kinds of all places of a file where something can be changed, in order."""
    return tuple(site[0] for site in _sites(ast.parse(files()[file].read_text())))


def _sites(tree: ast.AST) -> Iterator[Site]:
    """Everything that can be changed in a tree."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _SKIPPED) or _is_text(node) or _is_offer(node):
            continue
        if isinstance(node, ast.FunctionDef):
            for part in node.body:
                yield from _sites(ast.Module([part], []))
            continue
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                yield from _sites(ast.Expression(node.value))
            continue
        yield from _of_node(node)
        yield from _sites(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_word(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_offer(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _of_node(node: ast.AST) -> Iterator[Site]:
    """The changes of one node."""
    line = getattr(node, "lineno", 0)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for old, new in _COMPARISONS:
            if isinstance(node.ops[0], old):
                yield (
                    "comparison",
                    line,
                    f"{ast.unparse(node)}: {old.__name__} → {new.__name__}",
                    _set(node, "ops", [new()]),
                )
    elif isinstance(node, ast.BinOp) and not any(
        isinstance(n, ast.List | ast.Tuple | ast.JoinedStr) or _is_word(n) for n in ast.walk(node)
    ):
        for first, second in _OPERATORS:
            if isinstance(node.op, first):
                text = f"{ast.unparse(node)}: {first.__name__} → {second.__name__}"
                yield "operator", line, text, _set(node, "op", second())
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "boolean", line, f"{ast.unparse(node)}: and ↔ or", _set(node, "op", other)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        negated = ast.UnaryOp(ast.Not(), node.test)
        yield "condition", line, f"not ({ast.unparse(node.test)})", _set(node, "test", negated)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "constant", line, f"{node.value} → {node.value + 1}", _set(node, "value", node.value + 1)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and type(node.value.value) is bool:
        yield "result", line, f"return {not node.value.value}", _set(node.value, "value", not node.value.value)
    elif isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args):
        if isinstance(node.func, ast.Name) and node.func.id in vars(builtins):
            return  # `isinstance` and the like only stop working
        swapped = [node.args[1], node.args[0], *node.args[2:]]
        if ast.dump(swapped[0]) != ast.dump(swapped[1]):
            yield "argument", line, f"{ast.unparse(node)}: first two swapped", _set(node, "args", swapped)
    elif isinstance(node, ast.Dict):
        yield from _of_table(node, line)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "statement", line, f"without {ast.unparse(node)}", _set(node, "value", ast.Constant(None))


def _of_table(node: ast.Dict, line: int) -> Iterator[Site]:
    """A name in a table, and another of its names in the place."""
    names = [value for value in node.values if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    for number, value in enumerate(names):
        other = names[(number + 1) % len(names)].value
        if other != value.value:
            yield "name", value.lineno, f"{value.value!r} → {other!r}", _set(value, "value", other)


def _set(node: ast.AST, field: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, field, value)
