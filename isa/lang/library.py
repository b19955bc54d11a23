"""Building, caching and calling native code: `build([f, …], name) -> Library`."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import names
from .function import Fn
from .objects import (
    Part,
    Progress,
    Text,
    cache_folder,
    compile_parts,
    host_key,
    llvm,
    read_part,
    sources_key,
    target_machine,
    write_part,
    write_whole,
)
from .types import Scalar, VoidType

__all__ = ["Library", "Progress", "build", "cache_folder", "sources_key"]

Roots = Mapping[str, Fn] | Iterable[Fn]
WHOLE = "all"  # the part of a library that is not divided
SCALARS = {kind.name: kind for kind in vars(names).values() if isinstance(kind, Scalar)}


class Library:
    """Native functions: `addr`, `call` by ctypes, and `py`, the same function's reference.

    A library is made of parts, which are compiled or read from `folder` when one of their functions is first asked for.
    """

    keeps = True  # whether `keep` may use the disk; not when the functions are changed behind its back

    def __init__(
        self, functions: Callable[[], dict[str, Fn]], folder: Path, part_of: Callable[[str], str], quick: bool,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self._functions, self._folder, self._part_of = functions, folder, part_of
        self._quick, self._progress = quick, progress
        self._engine: Any = llvm().create_mcjit_compiler(llvm().parse_assembly(""), target_machine())
        self._loaded: set[str] = set()
        self._calls: dict[str, tuple[Any, list[Scalar]]] = {}
        self._signatures: dict[str, str] = {}
        self.addresses: dict[str, int] = {}

    def load(self, names: Iterable[str] | None = None) -> None:
        """Make functions ready, all if None: their parts are read, and what is missing is compiled together."""
        parts = self._parts
        wanted = sorted(set(parts.values()) if names is None else {parts[name] for name in names})
        missing = []
        for part in wanted:
            kept = None if part in self._loaded else read_part(self._folder / f"{part}.o")
            if kept is not None:
                self.add(part, kept)
            elif part not in self._loaded:
                missing.append(part)
        if missing:
            for part, made in compile_parts(self._texts(missing), len(missing), self._progress).items():
                write_part(self._folder / f"{part}.o", made)
                self.add(part, made)

    @functools.cached_property
    def _parts(self) -> dict[str, str]:
        """The part of each function."""

        def make() -> bytes:
            return json.dumps({name: self._part_of(name) for name in self._functions()}).encode()

        parts: dict[str, str] = json.loads(self.keep("parts", make))
        return parts

    def keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What `make` makes of the functions, from the disk when the library did it before."""
        file = self._folder / name
        if not self.keeps:
            return make()
        with contextlib.suppress(OSError):
            return file.read_bytes()
        data = make()
        write_whole(file, data)
        return data

    def _texts(self, parts: list[str]) -> Iterator[Text]:
        from .llvm_emitter import module_text

        own: dict[str, dict[str, Fn]] = {part: {} for part in parts}
        for name, function in self._functions().items():
            part = self._parts[name]
            if part in own:
                own[part][name] = function
        for part, functions in own.items():
            signatures = {name: _signature(function) for name, function in functions.items()}
            yield Text(part, signatures, module_text(functions, part), self._quick)

    def add(self, name: str, part: Part) -> None:
        """Load a part's code."""
        self._engine.add_object_file(llvm().ObjectFileRef.from_data(part.code))
        self._engine.finalize_object()
        table = self._engine.get_global_value_address(f"mtia.table.{name}")
        addresses = (ctypes.c_uint64 * len(part.functions)).from_address(table)
        self.addresses |= zip(part.functions, addresses, strict=True)
        self._signatures |= part.functions
        self._loaded.add(name)

    def addr(self, name: str) -> int:
        """The native address of a function."""
        if name not in self.addresses:
            self.load([name])
        return self.addresses[name]

    def py(self, name: str) -> Fn:
        """The function itself; calling it runs the reference."""
        return self._functions()[name]

    def py_addr(self, name: str) -> int:
        """The number that stands for the function's address in reference runs."""
        from .python_emitter import handle

        return handle(self.py(name))

    def call(self, name: str, *args: Any) -> Any:
        """Call native code; objects with an address may stand for pointers."""
        if name not in self._calls:
            self._calls[name] = self._prototype(name)
        entry, kinds = self._calls[name]
        if len(args) != len(kinds):
            raise TypeError(f"{name} takes {len(kinds)} arguments, {len(args)} given")
        values = []
        for kind, value in zip(kinds, args, strict=True):
            values.append(kind(getattr(value, "addr", value)))
        return entry(*values)

    def _prototype(self, name: str) -> tuple[Any, list[Scalar]]:
        address = self.addr(name)
        signature = self._signatures[name]
        if signature.startswith("no "):
            raise TypeError(f"{name} has {signature.removeprefix('no ')} and cannot be called from the host")
        result, *kinds = [SCALARS.get(kind) for kind in signature.split()]
        types = [kind for kind in kinds if kind is not None]
        prototype = ctypes.CFUNCTYPE(None if result is None else result.ctype, *[kind.ctype for kind in types])
        return prototype(address), types


def _signature(fn: Fn) -> str:
    """How the host calls a function: the scalar types of its result and parameters, or why it cannot."""
    if fn.cc != "c":
        return f"no C convention ({fn.cc})"
    found = []
    for kind in (fn.result, *[kind for _, kind in fn.params]):
        name = kind.name if isinstance(kind, Scalar | VoidType) else "u64"
        if hasattr(kind, "count") or name in ("f16", "bf16"):
            return f"no C type for a {kind.name} (pass its bits)"
        found.append(name)
    return " ".join(found)


def build(
    roots: Roots | Callable[[], Roots],
    name: str,
    key: str | None = None,
    quick: bool = False,
    part_of: Callable[[str], str] | None = None,
    progress: Progress | None = None,
) -> Library:
    """Native code of the functions given and of all they call, compiled or from the cache on disk.

    `name` names the cache folder. With a `key` (see `sources_key`) that stands for everything the functions depend on,
    a cached build needs no look at them, and `roots` may be a callable that makes them; without, their IR is the key.
    `part_of` says to which part a function belongs; a part is loaded when it is needed. `quick` compiles with less
    effort, for thousands of small functions. `progress` hears of every part that has been compiled.
    """
    functions = functools.cache(lambda: _named(roots() if callable(roots) else roots))
    if key is None:
        from .llvm_emitter import module_text

        key = module_text(functions(), WHOLE)
    digest = hashlib.sha256(f"{host_key()}\n{key}\n{quick}".encode()).hexdigest()[:32]
    folder = cache_folder() / f"{name}-{digest}"
    return Library(functions, folder, part_of or (lambda _: WHOLE), quick, progress)


def _named(roots: Roots) -> dict[str, Fn]:
    if isinstance(roots, Mapping):
        return dict(roots)
    named: dict[str, Fn] = {}
    for fn in roots:
        if named.setdefault(fn.name, fn) is not fn:
            raise ValueError(f"two functions named {fn.name}; pass a mapping of names")
    return named
