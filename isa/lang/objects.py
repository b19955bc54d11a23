"""Object files: IR text compiled by LLVM, in processes, and the folder on disk that keeps them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import platformdirs

__all__ = ["Part", "Progress", "Text", "cache_folder", "compile_parts", "host_key", "read_part", "sources_key",
           "target_machine", "write_part", "write_whole"]  # fmt: skip

_KEEP = 8  # builds of one library on disk
_KEEP_PARTS = 8192
_SMALL = 200_000  # characters of IR that are compiled here rather than in a process of their own

Progress = Callable[[int, int, str], None]  # parts compiled, parts to compile, the name of the last


@dataclass(frozen=True)
class Part:
    """An object file and the functions it holds, in the order of its table: name -> how the host calls it (`kinds`)."""

    functions: dict[str, str]
    code: bytes


@dataclass(frozen=True)
class Text:
    """The IR of a part: the functions of its table, the text, and whether little effort is enough."""

    part: str
    functions: dict[str, str]
    text: str
    quick: bool


def cache_folder() -> Path:
    """Where compiled objects are kept: `$MTIAC_CACHE` or the user's cache folder."""
    return Path(os.environ.get("MTIAC_CACHE") or platformdirs.user_cache_dir("mtiac", appauthor=False)) / "native"


def sources_key(*paths: str | os.PathLike[str]) -> str:
    """A digest of files' contents, and of every `.py` and `.toml` file in folders given."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        for file in _sources(path):
            digest.update(f"{file.name}\0".encode() + _digest(file))
    return digest.hexdigest()


@functools.cache
def _sources(path: Path) -> list[Path]:
    return sorted(f for f in path.rglob("*") if f.suffix in (".py", ".toml")) if path.is_dir() else [path]


@functools.cache
def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@functools.cache
def llvm() -> Any:
    """LLVM's bindings, ready to make code for this host."""
    import llvmlite.binding

    llvmlite.binding.initialize_native_target()
    llvmlite.binding.initialize_native_asmprinter()
    for library in ("libm.so.6", "libgcc_s.so.1"):  # what a CPU without FMA or half precision calls instead
        with contextlib.suppress(RuntimeError):
            llvmlite.binding.load_library_permanently(library)
    return llvmlite.binding


@functools.cache
def target() -> tuple[str, str]:
    """CPU and features to compile for: this host's, or the plain CPU that `$MTIAC_HOST_CPU` names.

    Results are the same for all; without FMA or half-precision conversions (before x86-64-v3) they come slowly, from
    library calls.
    """
    named = os.environ.get("MTIAC_HOST_CPU")
    if named:
        return named, ""
    return llvm().get_host_cpu_name(), llvm().get_host_cpu_features().flatten()


@functools.cache
def host_key() -> str:
    """What compiled code depends on besides the program: this package, LLVM and the CPU."""
    version = ".".join(map(str, llvm().llvm_version_info))
    return "\n".join([sources_key(Path(__file__).parent), version, platform.system(), *target()])


def target_machine() -> Any:
    """LLVM's code generator for `target()`."""
    cpu, features = target()
    found = llvm().Target.from_default_triple()
    return found.create_target_machine(cpu=cpu, features=features, opt=3, jit=True)


def compile_text(text: str, quick: bool) -> bytes:
    """IR text to an object file: `-O3`, or with half of the effort what is enough for short loops over one vector."""
    binding = llvm()
    module = binding.parse_assembly(text)
    module.verify()
    machine = target_machine()
    options = binding.create_pipeline_tuning_options(speed_level=1 if quick else 3)
    options.loop_vectorization, options.slp_vectorization, options.loop_unrolling = True, not quick, not quick
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


def serve() -> None:
    """What a helper process does: for each line `quick file` of its input, the IR file to an object file beside it."""
    for line in sys.stdin:
        quick, _, file = line.rstrip("\n").partition(" ")
        source = Path(file)
        source.with_suffix(".o").write_bytes(compile_text(source.read_text(), quick == "1"))
        print(source.stem, flush=True)


class _Helper:
    """A process that compiles files; LLVM's bindings hold one lock per process."""

    def __init__(self, finished: Callable[[int], None]) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        program = f"from {__name__} import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input: IO[str] = self._process.stdin
        self.load = 0  # characters given to it
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, finished), daemon=True)
        self._reader.start()

    def _read(self, output: IO[str], finished: Callable[[int], None]) -> None:
        for line in output:
            finished(int(line))

    def give(self, source: Path, text: Text) -> None:
        self.load += len(text.text)
        self._input.write(f"{text.quick:d} {source}\n")
        self._input.flush()

    def close(self) -> bool:
        """Wait for the last file; whether all went well."""
        self._input.close()
        self._reader.join()
        return self._process.wait() == 0


def compile_parts(texts: Iterator[Text], count: int, progress: Progress | None) -> dict[str, Part]:
    """Compile `count` parts, or find them on disk under their text, on all cores while more texts are made."""
    found: dict[str, Part] = {}
    sent: list[Text] = []
    helpers: list[_Helper] = []

    def done(part: str) -> None:
        if progress is not None:
            progress(len(found) + len(finished), count, part)

    finished: list[int] = []

    def finish(number: int) -> None:
        finished.append(number)
        done(sent[number].part)

    with tempfile.TemporaryDirectory(prefix="mtiac-") as folder:
        for text in texts:
            kept = read_part(_part_file(text.text))
            if kept is None and count == 1 and len(text.text) < _SMALL:
                kept = Part(text.functions, compile_text(text.text, text.quick))
                write_part(_part_file(text.text), kept)
            if kept is not None:
                found[text.part] = kept
                done(text.part)
                continue
            source = Path(folder, f"{len(sent)}.ll")
            source.write_text(text.text)
            sent.append(text)
            if len(helpers) < min(os.cpu_count() or 1, count):
                helpers.append(_Helper(finish))
            min(helpers, key=lambda helper: helper.load).give(source, text)
        if not all([helper.close() for helper in helpers]):
            raise RuntimeError("compiling native code failed")
        for number, text in enumerate(sent):
            part = found[text.part] = Part(text.functions, Path(folder, f"{number}.o").read_bytes())
            write_part(_part_file(text.text), part)
    return found


def _part_file(text: str) -> Path:
    digest = hashlib.sha256(f"{host_key()}\n{text}".encode()).hexdigest()[:32]
    return cache_folder() / "parts" / f"part-{digest}.o"


def read_part(file: Path) -> Part | None:
    """A part on disk, None if it is not there or damaged."""
    try:
        data = file.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        head = json.loads(data[8:start])
        code = data[start:]
        if zlib.crc32(code) != head["crc"]:
            return None
        return Part(head["functions"], code)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_part(file: Path, part: Part) -> None:
    """Keep a part on disk."""
    head = json.dumps({"functions": part.functions, "crc": zlib.crc32(part.code)}).encode()
    write_whole(file, len(head).to_bytes(8, "little") + head + part.code)


def write_whole(file: Path, data: bytes) -> None:
    """Put a file in place at once; a cache that cannot be written only costs time."""
    try:
        new = not file.parent.is_dir()
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as out:
            out.write(data)
        os.replace(out.name, file)
        if new:
            _prune(file.parent)
    except OSError:
        return


def _prune(folder: Path) -> None:
    """Forget the oldest builds of the same library, and the parts used last the longest time ago."""
    stem = folder.name.rpartition("-")[0]
    builds = _by_age(list(folder.parent.glob(f"{stem}-*"))) if stem else []
    for old in builds[_KEEP:]:
        for file in [*old.iterdir()] if old.is_dir() else []:
            file.unlink(missing_ok=True)
        old.rmdir() if old.is_dir() else old.unlink(missing_ok=True)
    for file in _by_age(list((folder.parent / "parts").glob("part-*.o")))[_KEEP_PARTS:]:
        file.unlink(missing_ok=True)


def _by_age(files: Sequence[Path]) -> list[Path]:
    """Youngest first."""
    return sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
