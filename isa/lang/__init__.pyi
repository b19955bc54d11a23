"""What a type checker sees of the language: scalars are `Any`, for the front end checks the bodies itself."""

from collections.abc import Callable
from typing import Annotated as Array
from typing import Annotated as Vec
from typing import Any, Generic, TypeAlias, TypeVar, overload

from .function import Fn
from .library import Library, build, sources_key
from .memory import Memory

__all__ = [
    "Array", "Fn", "FnPtr", "Library", "Memory", "Ptr", "Struct", "Vec", "addr", "bf16", "bits", "boolean", "bswap",
    "build", "ceil", "clz", "copysign", "ctz", "f16", "f32", "f64", "fabs", "floor", "fma", "fn", "from_bits",
    "i16", "i32", "i64", "i8", "isnan", "likely", "local", "memcpy", "memmove", "memset", "mulhs", "mulhsu",
    "mulhu", "pointer", "popcount", "rint", "sdiv", "select", "shuffle", "sizeof", "sources_key", "splat", "sqrt",
    "srem", "struct", "tailcall", "trunc", "u16", "u32", "u64", "u8", "unlikely", "unroll", "vload", "vstore",
]  # fmt: skip

_T = TypeVar("_T")

boolean: TypeAlias = Any
u8: TypeAlias = Any
u16: TypeAlias = Any
u32: TypeAlias = Any
u64: TypeAlias = Any
i8: TypeAlias = Any
i16: TypeAlias = Any
i32: TypeAlias = Any
i64: TypeAlias = Any
f16: TypeAlias = Any
bf16: TypeAlias = Any
f32: TypeAlias = Any
f64: TypeAlias = Any

FnPtr: Any

class Ptr(Generic[_T]):
    addr: int
    def __init__(self, address: Any) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...
    def __getitem__(self, index: Any) -> Any: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __add__(self, count: Any) -> Ptr[_T]: ...
    def __sub__(self, count: Any) -> Ptr[_T]: ...
    def __int__(self) -> int: ...

class Struct:
    size: int
    align: int
    fields: dict[str, Any]
    @classmethod
    def offset(cls, field: str) -> int: ...
    @classmethod
    def view(cls, addr: Any) -> Any: ...
    @classmethod
    def alloc(cls, n: int = 1) -> Memory: ...

def struct(cls: _T) -> _T: ...
@overload
def fn(python: Callable[..., Any], /) -> Fn: ...
@overload
def fn(*, cc: str = "c", inline: str | None = None) -> Callable[[Callable[..., Any]], Fn]: ...

addr: Any
bits: Any
bswap: Any
ceil: Any
clz: Any
copysign: Any
ctz: Any
fabs: Any
floor: Any
fma: Any
from_bits: Any
isnan: Any
likely: Any
local: Any
memcpy: Any
memmove: Any
memset: Any
mulhs: Any
mulhsu: Any
mulhu: Any
pointer: Any
popcount: Any
rint: Any
sdiv: Any
select: Any
shuffle: Any
sizeof: Any
splat: Any
sqrt: Any
srem: Any
tailcall: Any
trunc: Any
unlikely: Any
unroll: Any
vload: Any
vstore: Any
