"""The device library that kernels import as `triton.language.extra.libdevice`: every name that Triton's own has.

A function is C's (`libdevice_c`), one instruction (`libdevice_rounding`), or written in Triton (`libdevice_bits`,
`libdevice_special`, `libdevice_bessel`). Types are those of CUDA's library; fp16 and bf16 work as fp32 besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mtia.runtime.triton_backend import libdevice_bessel as bessel
from mtia.runtime.triton_backend import libdevice_bits as bits
from mtia.runtime.triton_backend import libdevice_c
from mtia.runtime.triton_backend import libdevice_special as special
from mtia.runtime.triton_backend.libdevice_rounding import INSTRUCTIONS, Instruction
from triton.language import core

__all__ = ["NAMES"]

Body = Callable[..., Any]
_REAL = ("fp32", "fp64")
_HALF = ("fp16", "bf16")
_WORD, _UNSIGNED_WORD = ("int32", "uint32"), ("uint32",)
_INTEGER = ("int32", "int64", "uint32", "uint64")


class Variant:
    """One form of a function: its operand types, and how it is made of tensors of them."""

    def __init__(self, operands: Sequence[str], make: Callable[[list[Any], Any, Any], Any]) -> None:
        self.operands = tuple(operands)
        self.make = make

    def takes(self, kinds: Sequence[str | None]) -> bool:
        """Whether arguments of these types fit; None is a Python number, half types fit fp32."""
        return len(kinds) == len(self.operands) and all(
            have in (None, want) or (want == "fp32" and have in _HALF)
            for have, want in zip(kinds, self.operands, strict=True)
        )


def _in_triton(body: Any, *operands: str, wide: bool = False, tail: tuple[float, ...] = ()) -> Variant:
    """A `@triton.jit` function; `wide` ones compute fp32 in fp64, `tail` are operands of its own behind the others."""

    def make(values: list[Any], semantic: Any, generator: Any) -> Any:
        given = [_to(value, core.float64, semantic) if wide and _is_real(value) else value for value in values]
        given += [semantic.full([], value, given[0].dtype) for value in tail]
        found = generator.call_JitFunction(body, given, {})
        narrow = wide and "fp64" not in operands
        return _to(found, core.float32, semantic) if narrow else found

    return Variant(operands, make)


def _by_instruction(instruction: Instruction, first: float | None = None) -> Variant:
    """One instruction; `first` is a constant before the operands."""

    def make(values: list[Any], semantic: Any, _: Any) -> Any:
        given = values if first is None else [semantic.full([], first, values[0].dtype), *values]
        kind = core.dtype(instruction.result)
        return core.inline_asm_elementwise(
            instruction.text, instruction.constraints, given, kind, is_pure=True, pack=1, _semantic=semantic
        )

    return Variant(instruction.operands if first is None else instruction.operands[1:], make)


def _cast(operand: str, result: str) -> Variant:
    """The same bits as another type."""

    def make(values: list[Any], semantic: Any, _: Any) -> Any:
        return semantic.bitcast(values[0], core.dtype(result))

    return Variant((operand,), make)


def _is_real(value: Any) -> bool:
    return bool(value.dtype.is_floating())


def _to(value: Any, kind: Any, semantic: Any) -> Any:
    return value if value.dtype == kind else semantic.cast(value, kind)


def _function(name: str, variants: Sequence[Variant]) -> Body:
    forms = " or ".join(f"({', '.join(variant.operands)})" for variant in variants)

    def call(*arguments: Any, _semantic: Any = None, _generator: Any = None) -> Any:
        arguments = tuple(core._unwrap_if_constexpr(value) for value in arguments)
        kinds = [value.dtype.name if isinstance(value, core.tensor) else None for value in arguments]
        chosen = next((variant for variant in variants if variant.takes(kinds)), None)
        if chosen is None:
            got = ", ".join(kind or "a Python number" for kind in kinds)
            raise ValueError(f"libdevice.{name} takes {forms}, got ({got})")
        given = [
            _to(value, core.dtype(want), _semantic)
            if isinstance(value, core.tensor)
            else _semantic.scalar_constant(value, core.dtype(want))
            for value, want in zip(arguments, chosen.operands, strict=True)
        ]
        found = chosen.make(_same_shape(given, _semantic), _semantic, _generator)
        half = next((kind for kind in kinds if kind in _HALF), None)
        return _to(found, core.dtype(half), _semantic) if half and found.dtype == core.float32 else found

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Triton's libdevice.{name}: {forms}."
    made: Body = core.extern(call)
    return made


def _same_shape(values: list[Any], semantic: Any) -> list[Any]:
    """The operands broadcast to one shape."""
    whole = values[0]
    for value in values[1:]:
        whole, _ = semantic.broadcast_impl_value(whole, value)
    return [semantic.broadcast_impl_value(value, whole)[0] for value in values]


def _reals(body: Any, count: int = 1) -> list[Variant]:
    """A function that computes in fp64, for both types."""
    return [_in_triton(body, *(kind,) * count, wide=True) for kind in _REAL]


def _own(body: Any, kinds: Sequence[str], count: int = 1) -> list[Variant]:
    """A function that computes in its operands' type."""
    return [_in_triton(body, *(kind,) * count) for kind in kinds]


def _table() -> dict[str, list[Variant]]:
    """Every function that is not C's."""
    found = {name: [_by_instruction(form) for form in forms] for name, forms in INSTRUCTIONS.items()}
    for mode in ("rn", "rz", "rd", "ru"):
        found[f"rcp_{mode}"] = [_by_instruction(form, first=1.0) for form in INSTRUCTIONS[f"div_{mode}"]]
    return found | _bits() | _real_functions() | _special_functions()


def _bits() -> dict[str, list[Variant]]:
    names = {
        "clz": _own(bits.leading_zeros, ("int32", "int64")),
        "popc": _own(bits.count_ones, ("int32", "int64")),
        "ffs": _own(bits.find_first, ("int32", "int64")),
        "brev": _own(bits.bit_reverse, ("int32", "int64")),
        "byte_perm": _own(bits.byte_permute, ("int32",), 3),
        "mulhi": _own(bits.multiply_high, _INTEGER, 2),
        "mul24": _own(bits.multiply_24, _WORD, 2),
        "hadd": _own(bits.average_down, _WORD, 2),
        "rhadd": _own(bits.average_up, _WORD, 2),
        "sad": [_in_triton(bits.absolute_difference, kind, kind, "uint32") for kind in _WORD],
        "hiloint2double": _own(bits.of_words, ("int32",), 2),
        "double2loint": _own(bits.word_low, ("fp64",)),
        "double2hiint": _own(bits.word_high, ("fp64",)),
        "rcp64h": _own(bits.rough_reciprocal, ("fp64",)),
    }
    casts = {
        "int_as_float": ("int32", "fp32"),
        "uint_as_float": ("uint32", "fp32"),
        "float_as_int": ("fp32", "int32"),
        "float_as_uint": ("fp32", "int32"),
        "longlong_as_double": ("int64", "fp64"),
        "double_as_longlong": ("fp64", "int64"),
    }
    return names | {name: [_cast(*types)] for name, types in casts.items()}


def _real_functions() -> dict[str, list[Variant]]:
    """What takes real numbers apart, puts them together, or says what they are."""
    return {
        "isnan": _own(bits.is_nan, _REAL),
        "isinf": _own(bits.is_infinite, _REAL),
        "finitef": _own(bits.is_finite, ("fp32",)),
        "isfinited": _own(bits.is_finite, ("fp64",)),
        "signbit": _own(bits.sign_bit, _REAL),
        "nextafter": _own(bits.next_after, _REAL, 2),
        "ilogb": _own(bits.exponent, _REAL),
        "logb": _own(bits.real_exponent, _REAL),
        "ldexp": [_in_triton(bits.scale, kind, "int32") for kind in _REAL],
        "scalbn": [_in_triton(bits.scale, kind, "int32") for kind in _REAL],
        "abs": _own(bits.absolute, ("int32", "int64", *_REAL)),
        "saturatef": _own(bits.saturate, ("fp32",)),
        "fast_dividef": _own(bits.quotient, ("fp32",), 2),
        "fdim": _reals(special.positive_difference, 2),
        "remainder": _reals(special.remainder, 2),
    }


def _special_functions() -> dict[str, list[Variant]]:
    names = {
        "sinpi": special.sin_pi,
        "cospi": special.cos_pi,
        "exp10": special.exp_10,
        "fast_exp10f": special.exp_10,
        "rcbrt": special.cube_root_reciprocal,
        "rsqrt_rn": special.square_root_reciprocal,
        "erfinv": special.error_inverse,
        "erfcinv": special.error_tail_inverse,
        "erfcx": special.error_scaled,
        "normcdf": special.normal_cdf,
        "normcdfinv": special.normal_quantile,
        "lgamma": special.log_gamma,
        "tgamma": special.gamma,
        "j0": bessel.j0,
        "j1": bessel.j1,
        "y0": bessel.y0,
        "y1": bessel.y1,
        "cyl_bessel_i0": bessel.i0,
        "cyl_bessel_i1": bessel.i1,
    }
    found = {name: _reals(body) for name, body in names.items()}
    for name, count in (("hypot", 2), ("norm3d", 3), ("norm4d", 4)):
        missing = (0.0,) * (4 - count)
        for prefix, body in (("", special.norm), ("r", special.norm_reciprocal)):
            found[prefix + name] = [_in_triton(body, *(kind,) * count, wide=True, tail=missing) for kind in _REAL]
    for name, body in (("jn", bessel.jn), ("yn", bessel.yn)):
        found[name] = [_in_triton(body, "int32", kind, wide=True) for kind in _REAL]
    return found


_FUNCTIONS = {name: getattr(libdevice_c, name) for name in libdevice_c.FUNCTIONS}
_FUNCTIONS |= {name: _function(name, variants) for name, variants in _table().items()}
NAMES = tuple(sorted(_FUNCTIONS))
globals().update(_FUNCTIONS)
