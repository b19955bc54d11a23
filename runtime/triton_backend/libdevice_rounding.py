"""Device-library functions with a rounding mode of their own: one RISC-V instruction each, with that mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["INSTRUCTIONS", "Instruction"]


class Instruction(NamedTuple):
    """An instruction with `$0` for the result: operand types, type of the result, and its register classes."""

    operands: tuple[str, ...]
    result: str
    text: str
    scratch: str = ""  # a register that the text uses besides

    @property
    def constraints(self) -> str:
        """LLVM's constraint string."""
        kinds = ["f" if name.startswith("fp") else "r" for name in (self.result, *self.operands)]
        return ",".join(["=" + kinds[0], *kinds[1:], *([f"~{{{self.scratch}}}"] if self.scratch else [])])


_MODES = {"rn": "rne", "rz": "rtz", "rd": "rdn", "ru": "rup"}
_SUFFIX = {"fp32": "s", "fp64": "d"}
_ARITHMETIC = {"add": 2, "sub": 2, "mul": 2, "div": 2, "sqrt": 1, "fma": 3}
# CUDA's names of types → Triton's, and the suffix of RISC-V's conversions
_INTEGERS = {"int": ("int32", "w"), "uint": ("uint32", "wu"), "ll": ("int64", "l"), "ull": ("uint64", "lu")}
_FLOATS = {"float": "fp32", "double": "fp64"}


def _arithmetic() -> Iterator[tuple[str, Instruction]]:
    for mode, rounding in _MODES.items():
        for kind, suffix in _SUFFIX.items():
            for name, count in _ARITHMETIC.items():
                opcode = "fmadd" if name == "fma" else f"f{name}"
                operands = ", ".join(f"${n + 1}" for n in range(count))
                yield (
                    f"{name}_{mode}",
                    Instruction((kind,) * count, kind, f"{opcode}.{suffix} $0, {operands}, {rounding}"),
                )


def _conversions() -> Iterator[tuple[str, Instruction]]:
    for mode, rounding in _MODES.items():
        yield f"double2float_{mode}", Instruction(("fp64",), "fp32", f"fcvt.s.d $0, $1, {rounding}")
        for real, kind in _FLOATS.items():
            for name, (integer, width) in _INTEGERS.items():
                exact = kind == "fp64" and width in ("w", "wu")
                if exact and mode != "rn":
                    continue
                how = "" if exact else f", {rounding}"
                yield (
                    f"{name}2{real}_{mode}",
                    Instruction((integer,), kind, f"fcvt.{_SUFFIX[kind]}.{width} $0, $1{how}"),
                )


def _to_integer(kind: str, integer: str, width: str, mode: str) -> Instruction:
    """A saturating conversion; NaN is PTX's: 0, or the top bit where 64 bits take part (RISC-V: all bits)."""
    suffix, bits = _SUFFIX[kind], 64 if width[0] == "l" else 32
    lines = [f"fcvt.{width}.{suffix} $0, $1, {mode}", f"feq.{suffix} t0, $1, $1"]
    if kind == "fp32" and bits == 32:
        lines += ["neg t0, t0", "and $0, $0, t0"]
    elif width in ("w", "l"):
        lines += ["xori t0, t0, 1", "add $0, $0, t0"]
    else:
        lines += ["addi t0, t0, -1", f"srli t0, t0, {65 - bits}", "xor $0, $0, t0"]
    return Instruction((kind,), integer, "; ".join(lines), "t0")


def _integers() -> Iterator[tuple[str, Instruction]]:
    for mode, rounding in _MODES.items():
        for real, kind in _FLOATS.items():
            for name, (integer, width) in _INTEGERS.items():
                # Triton's own library calls unsigned results by the signed type of their width
                yield f"{real}2{name}_{mode}", _to_integer(kind, integer.removeprefix("u"), width, rounding)
    for kind in _FLOATS.values():
        yield "llrint", _to_integer(kind, "int64", "l", "rne")
        yield "llround", _to_integer(kind, "int64", "l", "rmm")


INSTRUCTIONS: dict[str, list[Instruction]] = {}
for _name, _instruction in (*_arithmetic(), *_conversions(), *_integers()):
    INSTRUCTIONS.setdefault(_name, []).append(_instruction)
