"""Building, caching and calling native code: `build([f, …], name) -> Library`."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from .function import Fn, part_of
from .python_emitter import handle
from .types import Scalar, Type, VoidType

__all__ = ["Library", "build", "cache_folder", "sources_key"]

_KEEP = 8  # builds of one library on disk
_PARTS = 16  # of a library that is compiled in parts

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


def compile_text(text: str, quick: bool) -> bytes:
    """IR text to an object file: `-O3`, or with half of the effort what is enough for short loops over one vector."""
    llvm = _llvm()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = _target_machine()
    options = llvm.create_pipeline_tuning_options(speed_level=1 if quick else 3)
    options.loop_vectorization, options.slp_vectorization, options.loop_unrolling = True, not quick, not quick
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


def compile_files(sources: list[str]) -> None:
    """What a helper process does: each IR file to an object file beside it."""
    for source in map(Path, sources):
        source.with_suffix(".o").write_bytes(compile_text(source.read_text(), quick=True))


def _compile_parts(functions: dict[str, Fn]) -> list[bytes]:
    """Compile in parts, each kept on disk under its text, in processes (LLVM's bindings hold one lock per process)."""
    from .llvm_emitter import module_text

    texts = [module_text(functions, part, _PARTS) for part in range(_PARTS)]
    kept = [_part_file(text) for text in texts]
    found = [_read_bytes(file) for file in kept]
    with tempfile.TemporaryDirectory() as folder:
        sources = [Path(folder, f"{part}.ll") for part in range(_PARTS)]
        missing = [part for part in range(_PARTS) if found[part] is None]
        for part in missing:
            sources[part].write_text(texts[part])
        _in_processes([str(sources[part]) for part in missing])
        for part in missing:
            found[part] = code = sources[part].with_suffix(".o").read_bytes()
            _write_bytes(kept[part], code)
    return [code for code in found if code is not None]


def _part_file(text: str) -> Path:
    digest = hashlib.sha256(f"{_host_key()}\n{text}".encode()).hexdigest()[:32]
    return cache_folder() / "parts" / f"part-{digest}.o"


def _in_processes(sources: list[str]) -> None:
    """Compile files, as many at once as there are cores."""
    count = min(os.cpu_count() or 1, len(sources))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    program = f"import sys; from {__name__} import compile_files; compile_files(sys.argv[1:])"
    running = [
        subprocess.Popen([sys.executable, "-c", program, *sources[k::count]], env=environment) for k in range(count)
    ]
    if any([process.wait() != 0 for process in running]):
        raise RuntimeError("compiling native code failed")


class Library:
    """Native functions: `addr`, `call` by ctypes, and `py`, the same function's reference."""

    def __init__(self, names: list[str], codes: list[bytes], functions: Callable[[], dict[str, Fn]]) -> None:
        llvm = _llvm()
        self._functions = functions
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
        for code in codes:
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.addresses: dict[str, int] = {}
        for part in range(len(codes)):
            own = part_of(names, part, len(codes))
            table = self._engine.get_global_value_address(f"mtia.table.{part}")
            self.addresses |= zip(own, (ctypes.c_uint64 * len(own)).from_address(table), strict=True)
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


def build(roots: Roots | Callable[[], Roots], name: str, key: str | None = None, quick: bool = False) -> Library:
    """Native code of the functions given and of all they call, compiled or from the cache on disk.

    `name` names the cache file. With a `key` (see `sources_key`) that stands for everything the functions depend on, a
    cached build needs no look at them, and `roots` may be a callable that makes them; without, the IR text is the key.
    `quick` compiles thousands of small functions on all cores with less effort for each.
    """
    functions = functools.cache(lambda: _named(roots() if callable(roots) else roots))
    text = None
    if key is None:
        text = _text(functions())
        key = text
    digest = hashlib.sha256(f"{_host_key()}\n{key}\n{quick}".encode()).hexdigest()[:32]
    file = cache_folder() / f"{name}-{digest}.o"
    cached = _read(file)
    if cached is None:
        codes = _compile_parts(functions()) if quick else [compile_text(text or _text(functions()), False)]
        cached = list(functions()), codes
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


def _read(file: Path) -> tuple[list[str], list[bytes]] | None:
    data = _read_bytes(file)
    if data is None:
        return None
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        head = json.loads(data[8:start])
        codes = []
        for size in head["sizes"]:
            codes.append(data[start : start + size])
            start += size
        return head["names"], codes
    except (ValueError, KeyError, TypeError):
        return None


def _write(file: Path, names: list[str], codes: list[bytes]) -> None:
    head = json.dumps({"names": names, "sizes": [len(code) for code in codes]}).encode()
    _write_bytes(file, len(head).to_bytes(8, "little") + head + b"".join(codes))


def _read_bytes(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _write_bytes(file: Path, data: bytes) -> None:
    """Put a whole file in place at once; a cache that cannot be written only costs time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as out:
            out.write(data)
        os.replace(out.name, file)
        _prune(file)
    except OSError:
        return


def _prune(file: Path) -> None:
    """Forget the oldest builds of the same library."""
    stem = file.name.rpartition("-")[0]
    builds = sorted(file.parent.glob(f"{stem}-*.o"), key=lambda f: f.stat().st_mtime, reverse=True)
    for old in builds[_KEEP * (_PARTS if stem == "part" else 1) :]:
        old.unlink(missing_ok=True)
