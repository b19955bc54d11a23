"""Structs of the language as numpy types, so that the host reads and writes many at once."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

__all__ = ["numpy_type"]

_SCALARS = {
    "boolean": "?", "u8": "u1", "u16": "u2", "u32": "u4", "u64": "u8", "i8": "i1", "i16": "i2", "i32": "i4",
    "i64": "i8", "f16": "f2", "bf16": "u2", "f32": "f4", "f64": "f8",
}  # fmt: skip


@functools.cache
def numpy_type(kind: Any) -> Any:
    """The numpy type with the layout of a type of the language; pointers are `u8`, that is 64 bits."""
    if hasattr(kind, "fields"):
        parts: dict[str, Any] = {
            "names": list(kind.fields),
            "formats": [numpy_type(field.type) for field in kind.fields.values()],
            "offsets": [field.offset for field in kind.fields.values()],
            "itemsize": kind.size,
        }
        return np.dtype(parts)  # type: ignore[call-overload]
    if hasattr(kind, "count"):
        return np.dtype((numpy_type(kind.elem), (kind.count,)))
    return np.dtype(_SCALARS.get(kind.name, "u8"))
