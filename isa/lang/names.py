"""The names a program in the language uses: types, type forms and intrinsics."""

from __future__ import annotations

from typing import Any

from .types import ArrayType, FnPtrType, PtrType, Scalar, Type, VecType, VoidType

__all__ = [
    "Array", "FnPtr", "Intrinsic", "Ptr", "Vec", "addr", "bf16", "bits", "boolean", "bswap", "ceil", "clz", "copysign",
    "ctz", "f16", "f32", "f64", "fabs", "floor", "fma", "from_bits", "i16", "i32", "i64", "i8", "isnan", "likely",
    "local", "memcpy", "memmove", "memset", "mulhs", "mulhsu", "mulhu", "pointer", "popcount", "rint", "sdiv",
    "select", "shuffle", "sizeof", "splat", "sqrt", "srem", "tailcall", "trunc", "u16", "u32", "u64", "u8", "unlikely",
    "unroll", "vload", "void", "vstore",
]  # fmt: skip

boolean = Scalar("boolean", "b", 1)
u8, u16, u32, u64 = (Scalar(f"u{n}", "u", n) for n in (8, 16, 32, 64))
i8, i16, i32, i64 = (Scalar(f"i{n}", "i", n) for n in (8, 16, 32, 64))
f16, bf16 = Scalar("f16", "f", 16), Scalar("bf16", "f", 16)
f32, f64 = Scalar("f32", "f", 32), Scalar("f64", "f", 64)
void = VoidType()


def _type(kind: Any) -> Type:
    if kind is None:
        return void
    if not isinstance(kind, Type):
        raise TypeError(f"{kind!r} is not a type of the language")
    return kind


class _PtrForm:
    def __getitem__(self, elem: Any) -> PtrType:
        return PtrType.of(_type(elem))


class _ArrayForm:
    def __getitem__(self, key: tuple[Any, int]) -> ArrayType:
        return ArrayType.of(_type(key[0]), int(key[1]))


class _VecForm:
    def __getitem__(self, key: tuple[Any, int]) -> VecType:
        if not isinstance(key[0], Scalar):
            raise TypeError(f"a vector of {key[0]!r} is not possible")
        return VecType.of(key[0], int(key[1]))


class _FnPtrForm:
    def __getitem__(self, key: tuple[Any, ...]) -> FnPtrType:
        cc = key[2] if len(key) > 2 else "c"
        return FnPtrType.of(tuple(_type(p) for p in key[0]), _type(key[1]), cc)


Ptr, Array, Vec, FnPtr = _PtrForm(), _ArrayForm(), _VecForm(), _FnPtrForm()


class Intrinsic:
    """An operation of the language; it has a meaning only inside an `@fn`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<intrinsic {self.name}>"

    def __call__(self, *args: Any, **options: Any) -> Any:
        raise TypeError(f"{self.name}(…) works only inside a function marked @fn")


addr, bits, from_bits, sizeof = (Intrinsic(n) for n in ("addr", "bits", "from_bits", "sizeof"))
fma, sqrt, floor, ceil, trunc = (Intrinsic(n) for n in ("fma", "sqrt", "floor", "ceil", "trunc"))
rint, fabs, copysign, isnan = (Intrinsic(n) for n in ("rint", "fabs", "copysign", "isnan"))
ctz, clz, popcount, bswap = (Intrinsic(n) for n in ("ctz", "clz", "popcount", "bswap"))
mulhu, mulhs, mulhsu, sdiv, srem = (Intrinsic(n) for n in ("mulhu", "mulhs", "mulhsu", "sdiv", "srem"))
select, likely, unlikely = (Intrinsic(n) for n in ("select", "likely", "unlikely"))
memcpy, memset, memmove, local = (Intrinsic(n) for n in ("memcpy", "memset", "memmove", "local"))
vload, vstore, splat, shuffle = (Intrinsic(n) for n in ("vload", "vstore", "splat", "shuffle"))
tailcall, pointer, unroll = (Intrinsic(n) for n in ("tailcall", "pointer", "unroll"))
