"""The native part of the `mtia` device: compiled once with the user's C++ compiler, kept in the user's cache."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

__all__ = ["BuildError", "build", "built", "load_module"]

NAME = "mtia_device"
SOURCES = Path(__file__).parent / "native"
SUPPORTED = ((2, 12), (2, 13))  # the releases of torch whose headers it is written against
SECONDS = 20  # roughly, for the progress message


class BuildError(RuntimeError):
    """The native part cannot be built; the message says why and what to do."""


@functools.cache
def library() -> Path:
    """Where the library for this torch, this Python and these sources is kept."""
    import torch

    digest = hashlib.sha256(f"{torch.__version__} {sys.version} {sys.platform}".encode())
    for file in sorted(SOURCES.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return _cache() / "torch" / digest.hexdigest()[:24] / f"{NAME}.so"


def _cache() -> Path:
    folder = os.environ.get("MTIAC_CACHE")
    if folder:
        return Path(folder)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mtiac", appauthor=False))


def built() -> bool:
    """Whether the library is there."""
    return library().exists()


def build() -> Path:
    """Compile the library if it is not there yet, with a line of progress on stderr."""
    target = library()
    if target.exists():
        return target
    import torch

    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version not in SUPPORTED:
        known = ", ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
        raise BuildError(f"the mtia device is made for torch {known}; this is torch {torch.__version__}")
    compiler = os.environ.get("CXX", "g++")
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"mtia: building the device for torch {torch.__version__}, once (about {SECONDS} s) …", file=sys.stderr)
    started = time.perf_counter()
    handle, made = tempfile.mkstemp(suffix=".so", dir=target.parent)
    os.close(handle)
    try:
        _compile(compiler, Path(made), target.with_suffix(".log"))
        os.replace(made, target)  # several processes may build at the same time
    finally:
        Path(made).unlink(missing_ok=True)
    print(f"mtia: built in {time.perf_counter() - started:.0f} s, kept in {target.parent}", file=sys.stderr)
    return target


def _compile(compiler: str, target: Path, log: Path) -> None:
    import sysconfig

    import torch

    folder = Path(torch.__file__).parent
    include = folder / "include"
    headers = (include, include / "torch" / "csrc" / "api" / "include", Path(sysconfig.get_paths()["include"]))
    command = [compiler, "-std=c++20", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", str(SOURCES / "module.cpp")]
    command += ["-o", str(target), f"-DTORCH_EXTENSION_NAME={NAME}"]
    command += [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
    command += [f"-I{path}" for path in headers]
    command += [f"-L{folder / 'lib'}", "-lc10", "-ltorch_cpu", "-ltorch", "-ltorch_python"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(
            f"the mtia device needs a C++ compiler, once: '{compiler}' does not run ({error.strerror}); "
            "install g++ or set CXX"
        ) from None
    if done.returncode:
        log.write_text(" ".join(command) + "\n" + done.stderr)
        first = next((line for line in done.stderr.splitlines() if "error" in line), "no message")
        raise BuildError(f"the mtia device could not be built: {first.strip()} (all of it: {log})")


def load_module(path: Path) -> ModuleType:
    """Load the library, which registers the device with torch."""
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(NAME, path, loader=ExtensionFileLoader(NAME, str(path)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
