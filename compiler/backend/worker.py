"""RISC-V code generation in one persistent process, restarted when LLVM aborts.

`generate` is the only door. The process starts on first use, or ahead of it with `start`; a fork of the user's process
starts its own.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, cast

from . import codegen_worker
from .features import ABI, CPU, TRIPLE

__all__ = ["CodegenError", "generate", "start", "stop"]

_lock = threading.Lock()
_process: subprocess.Popen[bytes] | None = None
_log: IO[bytes] | None = None
_owner = 0


class CodegenError(Exception):
    """LLVM refused or aborted on a module; `reproducer` is the file that holds its IR text."""

    def __init__(self, message: str, reproducer: Path) -> None:
        super().__init__(f"{message} (the module is in {reproducer})")
        self.reproducer = reproducer


def _ensure() -> subprocess.Popen[bytes]:
    global _process, _log, _owner
    if _process is not None and _owner == os.getpid() and _process.poll() is None:
        return _process
    _log = tempfile.TemporaryFile()
    _process = subprocess.Popen(
        [sys.executable, "-P", codegen_worker.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=_log,
        start_new_session=True,
    )
    _owner = os.getpid()
    return _process


def start() -> None:
    """Start the process ahead of the first request; returns at once."""
    with _lock:
        _ensure()


@atexit.register
def stop() -> None:
    """End the process, if this one started it."""
    global _process
    process, _process = _process, None
    if process is None or _owner != os.getpid():
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def generate(ir: str, features: str, level: int) -> bytes:
    """The relocatable RISC-V object of an LLVM IR module, optimised at `level` (0 to 3).

    `features` is the module's feature string (see `features.py`); functions may carry their own.
    """
    request = {"ir": ir, "triple": TRIPLE, "cpu": CPU, "features": features, "abi": ABI, "level": level}
    with _lock:
        process = _ensure()
        assert process.stdin is not None and process.stdout is not None
        try:
            codegen_worker.send(cast(Any, process.stdin), request)
            kind, payload = codegen_worker.receive(cast(Any, process.stdout))
        except (EOFError, BrokenPipeError):
            process.wait()
            raise CodegenError(f"LLVM aborted: {_last_words()}", _keep(ir)) from None
        except BaseException:  # an interrupt leaves an answer in the pipe: that process must not be asked again
            stop()
            raise
    if kind == "error":
        raise CodegenError(f"LLVM refused the module: {payload.strip()}", _keep(ir))
    return cast(bytes, payload)


def _last_words() -> str:
    assert _log is not None
    _log.seek(0)
    lines = _log.read().decode("utf-8", "replace").strip().splitlines()
    telling = [line for line in lines if "LLVM ERROR" in line or "Assertion" in line]
    return (telling or lines or ["no message"])[0]


def _keep(ir: str) -> Path:
    """Write the module where a person can find it; one file for each distinct text."""
    name = f"mtiac-{hashlib.sha256(ir.encode()).hexdigest()[:12]}.ll"
    path = Path(tempfile.gettempdir()) / name
    path.write_text(ir)
    return path
