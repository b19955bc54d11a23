"""The two interpreters: the Python reference and native code, both made from the same functions."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import mtia.isa
from mtia.isa.lang import Fn, Library, build, sources_key
from mtia.isa.lang.python_emitter import handle

__all__ = ["Fast", "Interpreter", "Reference"]

_DEFAULT_ENVIRONMENT = ctypes.c_void_p(-1)  # FE_DFL_ENV: round to nearest, no flush to zero


class Interpreter(Protocol):
    """What runs the machine's functions."""

    def address(self, name: str) -> int:
        """The value of a function pointer to the function."""

    def call(self, name: str, *args: Any) -> Any:
        """Call a function."""

    def run(self, name: str, machine: Any) -> int:
        """Call a function of the machine that may take long; Ctrl-C sets the machine's stop flag."""


class Reference:
    """The functions run by the Python emitter."""

    def __init__(self, functions: Mapping[str, Fn]) -> None:
        self._functions = functions

    def address(self, name: str) -> int:
        return handle(self._functions[name])

    def call(self, name: str, *args: Any) -> Any:
        return self._functions[name](*args)

    def run(self, name: str, machine: Any) -> int:
        return int(self._functions[name](machine))


class Fast:
    """The functions as native code, compiled once and kept on disk."""

    def __init__(self, functions: Callable[[], Mapping[str, Fn]], name: str, *sources: Path) -> None:
        package = Path(next(iter(mtia.isa.__path__)))
        building = True

        def roots() -> Mapping[str, Fn]:
            if building:
                print("mtiac: compiling the machine (once) …", file=sys.stderr, flush=True)
            return functions()

        self._library: Library = build(roots, name, sources_key(package, Path(__file__).parent, *sources))
        building = False

    def address(self, name: str) -> int:
        return self._library.addr(name)

    def call(self, name: str, *args: Any) -> Any:
        return self._library.call(name, *args)

    def run(self, name: str, machine: Any) -> int:
        """Run on a thread with a default floating-point environment, so that this thread stays free for Ctrl-C."""
        result: list[int] = []
        done = threading.Event()  # Thread.join forgets the thread when Ctrl-C interrupts it

        def work() -> None:
            try:
                _libm().fesetenv(_DEFAULT_ENVIRONMENT)
                result.append(int(self._library.call(name, machine)))
            finally:
                done.set()

        thread = threading.Thread(target=work, name="mtia-machine", daemon=True)
        thread.start()
        try:
            done.wait()
        except BaseException:
            machine.stop = 1
            done.wait()
            raise
        return result[0]


@functools.cache
def _libm() -> ctypes.CDLL:
    return ctypes.CDLL("libm.so.6")
