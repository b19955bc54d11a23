"""Programs for Triton's interpreter: what it gets wrong is written in another way, or the program is not given to it.

Faults of the interpreter (Triton 3.7) that this file goes around:

* the index of a loop is a Python number, which has no methods;
* `tl.fma` rounds the product before the sum;
* the complement of an unsigned number is out of its range;
* `tl.flip` fails along a dimension of one element;
* a sum of integers that is a scalar fails where it would wrap;
* a descriptor's block must begin at a multiple of 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mtia.tools.verify.kernels.kinds import KINDS
from mtia.tools.verify.kernels.program import Program, Statement, Var, walk

__all__ = ["FAULTS", "fault", "rewritten"]

# What keeps a program from the interpreter, and why.
FAULTS = {
    "bf16": "its arithmetic on bf16 works on the bit patterns as integers, and f32 is cut off to bf16",
    "fp8": "conversions to fp8 do not round to nearest even",
    "grid": "not a fault, but it takes long for more than 40 programs",
    "minimum": "tl.minimum, tl.maximum and tl.clamp never leave a NaN out",
}
# Operations that are right for bf16 too: they move elements, or widen.
_MOVING = frozenset(
    "load store block_load block_store assign where expand broadcast permute trans reshape join interleave split flip "
    "cat gather bitcast for if while return".split()
)


def fault(program: Program) -> str | None:
    """The key in `FAULTS` of what keeps a program from the interpreter, if anything does."""
    if program.programs > 40:
        return "grid"
    known = {var.name: var for one in walk(program.body) for var in one.out}
    return next((found for one in walk(program.body) if (found := _fault(one, known)) is not None), None)


def _fault(one: Statement, known: Mapping[str, Var]) -> str | None:
    given = [known[arg] for arg in one.args if isinstance(arg, str) and arg in known]
    kinds = {var.kind for var in (*given, *one.out)}
    widened = one.op == "cast" and one.out[0].kind == "fp32"
    numbers = any(isinstance(arg, float) for arg in one.args)  # it has no constants of bf16
    if "bf16" in kinds and (numbers or one.op not in _MOVING and not widened):
        return "bf16"
    if one.op == "cast" and one.out[0].kind.startswith("fp8"):
        return "fp8"
    if one.op in ("minimum", "maximum", "clamp") and KINDS[one.out[0].kind].precision:
        return None if all(var.finite for var in given) else "minimum"
    return None


def rewritten(program: Program) -> Program:
    """The program with other words for what the interpreter gets wrong."""
    return program.with_body(tuple(_rewritten(program, program.body)))


def _rewritten(program: Program, statements: tuple[Statement, ...]) -> Iterator[Statement]:
    for one in statements:
        body, other = tuple(_rewritten(program, one.body)), tuple(_rewritten(program, one.other))
        if one.op == "for":
            index = one.out[0]
            body = (Statement("scalar", (index,), (index.name,)), *body)
        if one.op == "fma":
            yield from _fused(one)
        elif one.op == "reduce" and one.more["how"] == "sum" and not one.out[0].shape:
            yield from _summed(one, {var.name: var for other in walk(program.body) for var in other.out})
        elif one.op == "flip" and program.size(one.out[0].shape)[one.more["axis"]] == 1:
            yield Statement("assign", one.out, one.args)
        elif one.op == "not" and one.out[0].kind.startswith("u"):
            yield replace(one, op="xor", args=(one.args[0], (1 << KINDS[one.out[0].kind].bits) - 1))
        else:
            more = {**one.more, "descriptor": False} if one.more.get("descriptor") else one.more
            yield replace(one, body=body, other=other, more=more)


def _summed(one: Statement, known: Mapping[str, Var]) -> Iterator[Statement]:
    """The sum of a row of a matrix, which is a vector of one element."""
    out, given = one.out[0], known[str(one.args[0])]
    names = tuple(sorted(name for extent in given.shape for name in extent))
    flat = replace(given, name=f"{out.name}_0", shape=((), names))
    line = replace(out, name=f"{out.name}_1", shape=((),))
    yield Statement("reshape", (flat,), one.args)
    yield Statement("reduce", (line,), (flat.name,), {"how": "sum", "axis": 1})
    yield Statement("reduce", (out,), (line.name,), {"how": "max", "axis": 0})


def _fused(one: Statement) -> Iterator[Statement]:
    """In double precision, where the product of two f32 is exact; rounding the sum twice matters once in 2**29."""
    out = one.out[0]
    wide = [replace(out, name=f"{out.name}_{n}", kind="fp64") for n in range(5)]
    args = list(one.args)
    for n, arg in enumerate(one.args):
        if isinstance(arg, str):
            yield Statement("cast", (wide[n],), (arg,))
            args[n] = wide[n].name
    yield Statement("mul", (wide[3],), tuple(args[:2]))
    yield Statement("add", (wide[4],), (wide[3].name, args[2]))
    yield Statement("cast", (out,), (wide[4].name,))
