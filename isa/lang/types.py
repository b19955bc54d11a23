"""The types of the language: scalars, pointers, inline arrays, vectors, function pointers and C-layout structs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import memory, numerics

__all__ = [
    "ArrayType", "Field", "FnPtrType", "PtrType", "Scalar", "Struct", "StructType", "Type", "VecType", "VoidType",
    "struct",
]  # fmt: skip


class Type:
    """A type with a C layout: `size` and `align` in bytes."""

    name: str
    size: int
    align: int

    def __repr__(self) -> str:
        return self.name

    @property
    def is_int(self) -> bool:
        """Whether this is an integer scalar."""
        return False

    @property
    def is_float(self) -> bool:
        """Whether this is a floating-point scalar."""
        return False


_CTYPES: dict[str, Any] = {
    "boolean": ctypes.c_bool,
    "u8": ctypes.c_uint8, "u16": ctypes.c_uint16, "u32": ctypes.c_uint32, "u64": ctypes.c_uint64,
    "i8": ctypes.c_int8, "i16": ctypes.c_int16, "i32": ctypes.c_int32, "i64": ctypes.c_int64,
    "f16": ctypes.c_uint16, "bf16": ctypes.c_uint16, "f32": ctypes.c_float, "f64": ctypes.c_double,
}  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class Scalar(Type):
    """One of the thirteen scalar types; `kind` is `b`oolean, `u`nsigned, `i` (signed) or `f`loat; `width` in bits."""

    name: str
    kind: str
    width: int

    @property
    def size(self) -> int:  # type: ignore[override]
        return max(self.width // 8, 1)

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.size

    @property
    def is_int(self) -> bool:
        return self.kind in "ui"

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def signed(self) -> bool:
        """Whether the integer type is signed."""
        return self.kind == "i"

    @property
    def low(self) -> int:
        """Smallest value of an integer type."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest value of an integer type."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def ctype(self) -> Any:
        """The ctypes type with the same memory form (f16 and bf16: their bits)."""
        return _CTYPES[self.name]

    def __call__(self, value: Any) -> Any:
        """Convert a host value: wrap an integer, round a float."""
        if self.kind == "b":
            return bool(value)
        if self.kind == "f":
            return numerics.ROUND[self.name](value)
        wrapped = int(value) & ((1 << self.width) - 1)
        return wrapped - (1 << self.width) if self.signed and wrapped >> (self.width - 1) else wrapped

    def read(self, address: int) -> Any:
        """The value at a host address."""
        value = self.ctype.from_address(address).value
        return numerics.UNPACK16[self.name](value) if self.name in numerics.UNPACK16 else value

    def write(self, address: int, value: Any) -> None:
        """Store a value at a host address."""
        if self.name in numerics.PACK16:
            value = numerics.PACK16[self.name](value)
        self.ctype.from_address(address).value = value


class VoidType(Type):
    """The type of a function that returns nothing."""

    name, size, align = "None", 0, 1


class _Interned(Type):
    """A composite type, made once for each key, so that types compare by identity."""

    _made: dict[Any, Any] = {}

    @classmethod
    def _intern(cls, key: Any, make: Callable[[], Any]) -> Any:
        full = (cls, key)
        if full not in cls._made:
            cls._made[full] = make()
        return cls._made[full]


class PtrType(_Interned):
    """`Ptr[T]`: a host address; arithmetic counts elements of T."""

    def __init__(self, elem: Type) -> None:
        self.elem = elem
        self.name = f"Ptr[{elem.name}]"
        self.size = self.align = 8

    @classmethod
    def of(cls, elem: Type) -> PtrType:
        made: PtrType = cls._intern(elem, lambda: cls(elem))
        return made

    def read(self, address: int) -> int:
        """The pointer stored at a host address."""
        value: int = ctypes.c_uint64.from_address(address).value
        return value

    def write(self, address: int, value: int) -> None:
        """Store a pointer at a host address."""
        ctypes.c_uint64.from_address(address).value = int(getattr(value, "addr", value))


class ArrayType(_Interned):
    """`Array[T, n]`: n elements inline in a struct."""

    def __init__(self, elem: Type, count: int) -> None:
        self.elem, self.count = elem, count
        self.name = f"Array[{elem.name}, {count}]"
        self.size, self.align = elem.size * count, elem.align

    @classmethod
    def of(cls, elem: Type, count: int) -> ArrayType:
        made: ArrayType = cls._intern((elem, count), lambda: cls(elem, count))
        return made


class VecType(_Interned):
    """`Vec[T, n]`: n lanes of a scalar type, a value."""

    def __init__(self, elem: Scalar, count: int) -> None:
        self.elem, self.count = elem, count
        self.name = f"Vec[{elem.name}, {count}]"
        self.size, self.align = elem.size * count, elem.align

    @classmethod
    def of(cls, elem: Scalar, count: int) -> VecType:
        made: VecType = cls._intern((elem, count), lambda: cls(elem, count))
        return made


class FnPtrType(_Interned):
    """`FnPtr[(T, …), R]` or `FnPtr[(T, …), R, "handler"]`: the address of a function, with its calling convention."""

    def __init__(self, params: tuple[Type, ...], result: Type, cc: str) -> None:
        self.params, self.result, self.cc = params, result, cc
        self.name = f"FnPtr[({', '.join(p.name for p in params)}), {result.name}, {cc!r}]"
        self.size = self.align = 8

    @classmethod
    def of(cls, params: tuple[Type, ...], result: Type, cc: str) -> FnPtrType:
        made: FnPtrType = cls._intern((params, result, cc), lambda: cls(params, result, cc))
        return made

    read = PtrType.read
    write = PtrType.write


@dataclass(frozen=True)
class Field:
    """One field of a struct: its type and byte offset."""

    name: str
    type: Type
    offset: int


class StructType(Type):
    """A struct with C layout and natural alignment, made by `@struct`."""

    def __init__(self, name: str, fields: dict[str, Type]) -> None:
        self.name = name
        self.fields: dict[str, Field] = {}
        offset, align = 0, 1
        for field_name, kind in fields.items():
            if isinstance(kind, (VecType, VoidType)):
                raise TypeError(f"{name}.{field_name}: a {kind.name} cannot be a field")
            offset = -(-offset // kind.align) * kind.align
            self.fields[field_name] = Field(field_name, kind, offset)
            offset += kind.size
            align = max(align, kind.align)
        self.size, self.align = -(-offset // align) * align, align

    def offset(self, field: str) -> int:
        """Byte offset of a field."""
        return self.fields[field].offset

    def view(self, addr: int) -> Any:
        """A host-side accessor of the struct at an address: fields are attributes, arrays index, structs nest."""
        return memory.StructView(self, int(addr))

    def alloc(self, n: int = 1) -> memory.Memory:
        """Zeroed host memory for n structs, freed with the returned object."""
        return memory.Memory(self.size * n)


class Struct:
    """An optional base of `@struct` classes, for type checkers; it has no effect."""


def struct(cls: type) -> Any:
    """Class decorator: the annotations, in order, become the fields of a `StructType`."""
    import sys

    frame = sys._getframe(1)
    scope = {**frame.f_globals, **frame.f_locals}
    fields = {}
    for name, annotation in cls.__annotations__.items():
        kind = eval(annotation, scope) if isinstance(annotation, str) else annotation
        if not isinstance(kind, Type):
            raise TypeError(f"{cls.__name__}.{name}: {annotation!r} is not a type of the language")
        fields[name] = kind
    made = StructType(cls.__name__, fields)
    made.__doc__ = cls.__doc__
    return made
