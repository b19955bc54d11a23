"""Building, caching and calling native code: `build([f, …], name) -> Library`."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from .function import Fn
from .python_emitter import handle
from .types import Scalar, Type, VoidType

__all__ = ["Library", "build", "cache_folder", "sources_key"]

_KEEP = 8  # builds of one library on disk

Roots = Mapping[str, Fn] | Iterable[Fn]


def cache_folder() -> Path:
    """Where compiled objects are kept: `$MTIAC_CACHE` or the user's cache folder."""
    return Path(os.environ.get("MTIAC_CACHE") or platformdirs.user_cache_dir("mtiac", appauthor=False)) / "native"


def sources_key(*paths: str | os.PathLike[str]) -> str:
    """A digest of files' contents, and of every `.py` and `.toml` file in folders given."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        files = sorted(f for f in path.rglob("*") if f.suffix in (".py", ".toml")) if path.is_dir() else [path]
        for file in files:
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


@functools.cache
def _llvm() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def _host_key() -> str:
    """What compiled code depends on besides the program: this emitter, LLVM and the CPU."""
    llvm = _llvm()
    parts = [sources_key(Path(__file__).parent), ".".join(map(str, llvm.llvm_version_info)), platform.system()]
    return "\n".join([*parts, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()])


def _target_machine() -> Any:
    llvm = _llvm()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
    )


def compile_text(text: str) -> bytes:
    """IR text through LLVM's `-O3` to an object file."""
    llvm = _llvm()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = _target_machine()
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    # Unrolling doubles the time to compile and gains nothing in bodies that are one vector wide.
    options.loop_vectorization, options.slp_vectorization, options.loop_unrolling = True, False, False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


class Library:
    """Native functions: `addr`, `call` by ctypes, and `py`, the same function's reference."""

    def __init__(self, names: list[str], code: bytes, functions: Callable[[], dict[str, Fn]]) -> None:
        llvm = _llvm()
        self._functions = functions
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        table = self._engine.get_global_value_address("mtia.table")
        addresses = (ctypes.c_uint64 * len(names)).from_address(table)
        self.addresses: dict[str, int] = dict(zip(names, addresses, strict=True))
        self._calls: dict[str, tuple[Any, list[Type]]] = {}

    def addr(self, name: str) -> int:
        """The native address of a function."""
        return self.addresses[name]

    def py(self, name: str) -> Fn:
        """The function itself; calling it runs the reference."""
        return self._functions()[name]

    def py_addr(self, name: str) -> int:
        """The number that stands for the function's address in reference runs."""
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
            values.append(kind(value) if isinstance(kind, Scalar) else int(getattr(value, "addr", value)))
        return entry(*values)

    def _prototype(self, name: str) -> tuple[Any, list[Type]]:
        fn = self.py(name)
        kinds = [kind for _, kind in fn.params]
        if fn.cc != "c":
            raise TypeError(f"{name} has the {fn.cc} convention and cannot be called from the host")
        prototype = ctypes.CFUNCTYPE(_ctype(fn.result), *[_ctype(k) for k in kinds])
        return prototype(self.addresses[name]), kinds


def _ctype(kind: Type) -> Any:
    if isinstance(kind, VoidType):
        return None
    if isinstance(kind, Scalar):
        if kind.is_float and kind.width == 16:
            raise TypeError(f"a {kind.name} cannot pass between host and native code; pass its bits")
        return kind.ctype
    if hasattr(kind, "count"):
        raise TypeError(f"a {kind.name} cannot pass between host and native code")
    return ctypes.c_uint64


def build(roots: Roots | Callable[[], Roots], name: str, key: str | None = None) -> Library:
    """Native code of the functions given and of all they call, compiled or from the cache on disk.

    `name` names the cache file. With a `key` (see `sources_key`) that stands for everything the functions depend on, a
    cached build needs no look at them, and `roots` may be a callable that makes them; without, the IR text is the key.
    """
    functions = functools.cache(lambda: _named(roots() if callable(roots) else roots))
    text = None
    if key is None:
        text = _text(functions())
        key = text
    digest = hashlib.sha256(f"{_host_key()}\n{key}".encode()).hexdigest()[:32]
    file = cache_folder() / f"{name}-{digest}.o"
    cached = _read(file)
    if cached is None:
        code = compile_text(text or _text(functions()))
        cached = list(functions()), code
        _write(file, *cached)
    return Library(*cached, functions)


def _named(roots: Roots) -> dict[str, Fn]:
    if isinstance(roots, Mapping):
        return dict(roots)
    named: dict[str, Fn] = {}
    for fn in roots:
        if named.setdefault(fn.name, fn) is not fn:
            raise ValueError(f"two functions named {fn.name}; pass a mapping of names")
    return named


def _text(functions: dict[str, Fn]) -> str:
    from .llvm_emitter import module_text

    return module_text(functions)


def _read(file: Path) -> tuple[list[str], bytes] | None:
    try:
        data = file.read_bytes()
        size = int.from_bytes(data[:8], "little")
        names: list[str] = json.loads(data[8 : 8 + size])
        return names, data[8 + size :]
    except (OSError, ValueError):
        return None


def _write(file: Path, names: list[str], code: bytes) -> None:
    """Put a whole file in place at once; a cache that cannot be written only costs time."""
    head = json.dumps(names).encode()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as out:
            out.write(len(head).to_bytes(8, "little") + head + code)
        os.replace(out.name, file)
        _prune(file)
    except OSError:
        return


def _prune(file: Path) -> None:
    """Forget the oldest builds of the same library."""
    stem = file.name.rpartition("-")[0]
    builds = sorted(file.parent.glob(f"{stem}-*.o"), key=lambda f: f.stat().st_mtime, reverse=True)
    for old in builds[_KEEP:]:
        old.unlink(missing_ok=True)
