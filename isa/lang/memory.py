"""Raw host memory: zeroed blocks, and accessors of structs and arrays at an address."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .types import ArrayType, StructType, Type

__all__ = ["ArrayView", "Memory", "StructView"]

_ALIGN = 64


class Memory:
    """Zeroed host memory, 64-byte aligned, that lives as long as this object; `addr` and `size` in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._buffer = ctypes.create_string_buffer(size + _ALIGN)
        self.addr = -(-ctypes.addressof(self._buffer) // _ALIGN) * _ALIGN

    def __int__(self) -> int:
        return self.addr

    def __index__(self) -> int:
        return self.addr

    @property
    def bytes(self) -> memoryview:
        """The block as a writable view of bytes (keep this object alive while it is used)."""
        return memoryview((ctypes.c_ubyte * self.size).from_address(self.addr)).cast("B")


def _get(kind: Any, address: int) -> Any:
    if hasattr(kind, "fields"):
        return StructView(kind, address)
    if hasattr(kind, "count"):
        return ArrayView(kind, address)
    return kind.read(address)


class StructView:
    """Attribute access to the fields of a struct at a host address."""

    __slots__ = ("_type", "addr")
    addr: int

    def __init__(self, kind: StructType, addr: int) -> None:
        object.__setattr__(self, "_type", kind)
        object.__setattr__(self, "addr", addr)

    def __getattr__(self, name: str) -> Any:
        field = self._type.fields.get(name)
        if field is None:
            raise AttributeError(f"{self._type.name} has no field {name!r}")
        return _get(field.type, self.addr + field.offset)

    def __setattr__(self, name: str, value: Any) -> None:
        field = self._type.fields.get(name)
        if field is None:
            raise AttributeError(f"{self._type.name} has no field {name!r}")
        if hasattr(field.type, "count"):
            ArrayView(field.type, self.addr + field.offset)[:] = value
        else:
            field.type.write(self.addr + field.offset, value)

    def __int__(self) -> int:
        return self.addr

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._type.fields)
        return f"{self._type.name}({fields})"


class ArrayView:
    """List-like access to an inline array at a host address."""

    __slots__ = ("_type", "addr")

    def __init__(self, kind: ArrayType, addr: int) -> None:
        self._type = kind
        self.addr = addr

    def __len__(self) -> int:
        return self._type.count

    def _element(self, index: int) -> tuple[Type, int]:
        count = self._type.count
        if not -count <= index < count:
            raise IndexError(f"index {index} is outside {self._type.name}")
        return self._type.elem, self.addr + index % count * self._type.elem.size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return _get(*self._element(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            for i, item in zip(range(*index.indices(len(self))), value, strict=True):
                self[i] = item
            return
        kind, address = self._element(index)
        kind.write(address, value)  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return repr(self[:])
