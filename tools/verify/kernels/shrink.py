"""The shortest program found that fails as a longer one does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mtia.tools.verify.kernels.program import Program, Statement, Var, walk

__all__ = ["shrunk", "without_unused"]

_EFFECTS = ("store", "atomic", "block_store", "return")
_BLOCKS = ("if", "for", "while")
_PLAIN = {"use_dual_core": False, "cb_multiplier": 1, "hart_only": False, "enable_fp_fusion": False, "aligned": False}
Body = tuple[Statement, ...]


def shrunk(program: Program, fails: Callable[[Program], bool], tries: int = 150) -> Program:
    """Make a program smaller as long as `fails` says so, asking at most `tries` times."""
    progress = True
    while progress and tries > 0:
        progress = False
        for candidate in _smaller(program):
            tries -= 1
            if fails(candidate):
                program, progress = candidate, True
                break
            if tries <= 0:
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    """Programs a step smaller, the largest steps first."""
    for body in _bodies(program.body):
        kept = without_unused(body)
        if kept != program.body and any(one.op in _EFFECTS for one in walk(kept)):
            yield program.with_body(kept)
    if program.programs > 1:
        yield replace(program, grid=(1,) * len(program.grid))
        yield replace(program, grid=(1,))
        yield from (
            replace(program, grid=(*program.grid[:n], size // 2, *program.grid[n + 1 :]))
            for n, size in enumerate(program.grid)
            if size > 1
        )
    for name, size in program.dims.items():
        yield from (
            replace(program, dims={**program.dims, name: less}) for less in (1, 2, size // 2) if 0 < less < size
        )
    for key, value in _PLAIN.items():
        if program.options[key] != value:
            yield replace(program, options={**program.options, key: value})


def _bodies(body: Body) -> Iterator[Body]:
    """Bodies with less in them."""
    effects = [one for one in walk(body) if one.op in ("store", "atomic", "block_store")]
    if len(effects) > 1:
        for kept in effects:
            yield _without(body, [one for one in effects if one is not kept])
    statements = list(walk(body))
    for one in reversed(statements):
        if one.op in _BLOCKS:
            yield _changed(body, one, ())
            yield _changed(body, one, one.body if one.op == "if" else ())
        elif not one.out or one.op == "assign":
            yield _changed(body, one, ())
    for one in statements:
        if one.out and one.op not in ("full", "scalar", "pid", "for", "assign"):
            yield _changed(body, one, tuple(_constant(var) for var in one.out))
            if len(one.out) == 1:
                yield from _forwarded(body, one)


def _forwarded(body: Body, one: Statement) -> Iterator[Body]:
    """The operand of an operation in its result's place, where it has the same type."""
    known = {var.name: var for other in walk(body) for var in other.out}
    for arg in one.args:
        var = known.get(arg) if isinstance(arg, str) else None
        if var is not None and (var.kind, var.shape) == (one.out[0].kind, one.out[0].shape):
            yield _renamed(_changed(body, one, ()), one.out[0].name, var.name)


def _renamed(body: Body, old: str, new: str) -> Body:
    return tuple(
        replace(
            one,
            args=tuple(new if isinstance(arg, str) and arg == old else arg for arg in one.args),
            body=_renamed(one.body, old, new),
            other=_renamed(one.other, old, new),
        )
        for one in body
    )


def _constant(var: Var) -> Statement:
    return Statement("full" if var.shape else "scalar", (var,), (1,))


def _changed(body: Body, which: Statement, by: Body) -> Body:
    made: list[Statement] = []
    for one in body:
        if one is which:
            made += by
        elif one.body or one.other:
            made.append(replace(one, body=_changed(one.body, which, by), other=_changed(one.other, which, by)))
        else:
            made.append(one)
    return tuple(made)


def _without(body: Body, which: list[Statement]) -> Body:
    for one in which:
        body = _without_one(body, one)
    return body


def _without_one(body: Body, which: Statement) -> Body:
    return tuple(
        replace(one, body=_without_one(one.body, which), other=_without_one(one.other, which))
        if one.body or one.other
        else one
        for one in body
        if one is not which
    )


def without_unused(body: Body) -> Body:
    """A body without the statements whose results nothing uses."""
    while True:
        used = {arg for one in walk(body) for arg in one.args if isinstance(arg, str)}
        kept = _used(body, used)
        if kept == body:
            return body
        body = kept


def _used(body: Body, used: set[str]) -> Body:
    made: list[Statement] = []
    for one in body:
        if one.op in _BLOCKS:
            inner = replace(one, body=_used(one.body, used), other=_used(one.other, used))
            if inner.body or inner.other:
                made.append(inner)
        elif one.op in _EFFECTS or any(var.name in used for var in one.out):
            made.append(one)
    return tuple(made)
