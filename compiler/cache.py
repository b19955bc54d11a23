"""The disk cache of compiled kernels: one file an entry, written whole or not at all.

A folder that cannot be written costs a warning, never a compilation. `MTIA_CACHE` names the folder, `off` turns the
cache off; the caller reads it with `from_environment`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cache", "fingerprint", "from_environment"]


@dataclass(frozen=True)
class Cache:
    """Entries of bytes by key under `folder`; None is a cache that never holds anything."""

    folder: Path | None

    def load(self, key: str) -> bytes | None:
        """The entry of this key."""
        if self.folder is None:
            return None
        try:
            return (self.folder / key[:2] / key).read_bytes()
        except OSError:
            return None

    def store(self, key: str, data: bytes) -> None:
        """Write an entry: readers see all of it or nothing, also when two processes write the same one."""
        if self.folder is None:
            return
        place = self.folder / key[:2] / key
        temporary = ""
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=place.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, place)
        except OSError as problem:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            warnings.warn(f"the compiled kernel is not cached: {problem}", stacklevel=2)


def from_environment() -> Cache:
    """The cache that `MTIA_CACHE` asks for; the user's cache folder when it is not set."""
    wanted = os.environ.get("MTIA_CACHE", "")
    if wanted == "off":
        return Cache(None)
    if wanted:
        return Cache(Path(wanted))
    import platformdirs

    return Cache(Path(platformdirs.user_cache_dir("mtiac")) / "kernels")


def _sources() -> Iterator[Path]:
    root = Path(__file__).resolve().parent.parent
    for package in ("isa", "dialects", "compiler"):
        yield from sorted(root.joinpath(package).rglob("*.py"))


@functools.cache
def fingerprint() -> str:
    """Hash of the compiler's own files (path, size, time), so that a changed compiler finds no old entry."""
    digest = hashlib.sha256()
    for path in _sources():
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
