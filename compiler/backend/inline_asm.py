"""A person's assembly with operands as a function: registers are chosen here, and the table's assembler makes words.

The function is called with 64-bit words as LLVM calls a C function: eight in a0 to a7, more on the stack; one or two
results in a0 and a1, more in memory that the caller's first argument points to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mtia.isa.asm import assemble
from mtia.isa.errors import UserError

__all__ = ["Constraints", "parse_constraints", "words_of"]

_INTEGER = [f"a{n}" for n in range(8)] + [f"t{n}" for n in range(7)]
_SAVED = [f"s{n}" for n in range(12)]  # a function must leave these as they were
_FLOAT = [f"fa{n}" for n in range(8)] + [f"ft{n}" for n in range(12)]
_SAVED_FLOAT = [f"fs{n}" for n in range(12)]
_NUMBERED = dict(zip((f"x{n}" for n in (*range(10, 18), 5, 6, 7, *range(28, 32))), _INTEGER, strict=True))
_WORD = 8
_IN_REGISTERS = 8  # arguments; and results up to:
_RETURNED = 2
_LOADS = {16: "flh", 32: "flw", 64: "fld"}
_WHOLE = {16: "lhu", 32: "lwu", 64: "ld"}  # a float's bits into an integer register
_STORES = {16: "fsh", 32: "fsw", 64: "fsd"}


@dataclass(frozen=True)
class Constraints:
    """Register classes (`r`, `f`) of outputs and inputs, the output an input is tied to, and clobbered registers."""

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    ties: tuple[int | None, ...]
    clobbers: tuple[str, ...]


def parse_constraints(text: str) -> Constraints:
    """LLVM's constraint string; raises UserError at what a PE's code cannot have."""
    outputs: list[str] = []
    inputs: list[str] = []
    ties: list[int | None] = []
    clobbers: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        found = re.fullmatch(r"~\{(\w+)\}", part)
        if not part:
            continue
        if found:
            clobbers.append(found[1])
        elif part.startswith("="):
            outputs.append(_kind(part.lstrip("=&"), part))
        elif part.isdigit():
            if int(part) >= len(outputs):
                raise UserError(f"constraint '{part}' names no output")
            inputs.append(outputs[int(part)])
            ties.append(int(part))
        else:
            inputs.append(_kind(part, part))
            ties.append(None)
    return Constraints(tuple(outputs), tuple(inputs), tuple(ties), tuple(clobbers))


def _kind(kind: str, part: str) -> str:
    if kind not in ("r", "f"):
        raise UserError(f"constraint '{part}': operands are in registers 'r' (integer) or 'f' (floating-point)")
    return kind


def words_of(text: str, constraints: Constraints, widths: Sequence[int]) -> str:
    """The function's instructions, eight hexadecimal digits each; `widths` are bits of outputs, then of inputs."""
    taken = {_NUMBERED.get(name, name) for name in constraints.clobbers}
    free = {
        "r": [name for name in (*_INTEGER, *_SAVED) if name not in taken],
        "f": [name for name in (*_FLOAT, *_SAVED_FLOAT) if name not in taken],
    }
    outputs = [_take(free, kind) for kind in constraints.outputs]
    inputs = [
        _take(free, kind) if tie is None else outputs[tie]
        for kind, tie in zip(constraints.inputs, constraints.ties, strict=True)
    ]
    saved = sorted(name for name in {*outputs, *inputs, *taken} if name in _SAVED or name in _SAVED_FLOAT)
    lines = _function(text, constraints, outputs, inputs, widths, saved)
    code = assemble("\n".join(lines) + "\n").text
    assert len(code) % 4 == 0
    return "".join(f"{int.from_bytes(code[at : at + 4], 'little'):08x}" for at in range(0, len(code), 4))


def _take(free: dict[str, list[str]], kind: str) -> str:
    if not free[kind]:
        raise UserError(f"more '{kind}' operands than registers")
    return free[kind].pop(0)


def _function(
    text: str,
    constraints: Constraints,
    outputs: Sequence[str],
    inputs: Sequence[str],
    widths: Sequence[int],
    saved: Sequence[str],
) -> list[str]:
    in_memory = len(outputs) > _RETURNED
    arguments = len(inputs) + in_memory
    results_at = arguments * _WORD
    saved_at = results_at + len(outputs) * _WORD
    frame = -(-(saved_at + len(saved) * _WORD) // 16) * 16

    def argument(number: int) -> str:
        beyond = number - _IN_REGISTERS
        return f"{number * _WORD}(sp)" if beyond < 0 else f"{frame + beyond * _WORD}(sp)"

    lines = [f"addi sp, sp, -{frame}"]
    lines += [f"sd a{number}, {number * _WORD}(sp)" for number in range(min(arguments, _IN_REGISTERS))]
    lines += [f"{_store(name, 64)} {name}, {saved_at + at * _WORD}(sp)" for at, name in enumerate(saved)]
    for number, (name, width) in enumerate(zip(inputs, widths[len(outputs) :], strict=True)):
        lines.append(f"{_load(name, width)} {name}, {argument(number + in_memory)}")
    lines += _statements(text, [*outputs, *inputs])
    for number, (name, width) in enumerate(zip(outputs, widths, strict=False)):
        lines.append(f"{_store(name, width)} {name}, {results_at + number * _WORD}(sp)")
    lines += [f"{_load(name, 64)} {name}, {saved_at + at * _WORD}(sp)" for at, name in enumerate(saved)]
    if in_memory:
        lines.append(f"ld t0, {argument(0)}")
    for number in range(len(outputs)):
        target = "t1" if in_memory else f"a{number}"
        load = _WHOLE[widths[number]] if constraints.outputs[number] == "f" else "ld"
        lines.append(f"{load} {target}, {results_at + number * _WORD}(sp)")
        if in_memory:
            lines.append(f"sd t1, {number * _WORD}(t0)")
    return [*lines, f"addi sp, sp, {frame}", "ret"]


def _load(name: str, width: int) -> str:
    return _LOADS[width] if name.startswith("f") else "ld"


def _store(name: str, width: int) -> str:
    return _STORES[width] if name.startswith("f") else "sd"


def _statements(text: str, operands: Sequence[str]) -> list[str]:
    """The person's statements with registers in the place of `$0`, `$1` …"""

    def register(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        number = int(match[1] or match[2])
        if number >= len(operands):
            raise UserError(f"the assembly names ${number}, there are {len(operands)} operands")
        return operands[number]

    lines = re.sub(r"(//|#)[^\n]*", "", text).replace(";", "\n").splitlines()
    return [re.sub(r"\$\$|\$(\d+)|\$\{(\d+)\}", register, line).strip() for line in lines if line.strip()]
