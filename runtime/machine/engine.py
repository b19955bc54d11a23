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

__all__ = ["Fast", "Interpreter", "Reference", "show_compiled"]

_DEFAULT_ENVIRONMENT = ctypes.c_void_p(-1)  # FE_DFL_ENV: round to nearest, no flush to zero


def show_compiled(number: int, count: int, part: str) -> None:
    """Tell the user why a first run takes long: a line that is written over on a terminal, else only the last one."""
    terminal = sys.stderr.isatty()
    if terminal or number == count:
        text = f"mtiac: compiled the machine's code (once): {number} of {count}, {part}"
        sys.stderr.write(f"\r{text[:100]:100}" if terminal else text)
        sys.stderr.write("\n" if number == count else "")
        sys.stderr.flush()


def part_of(name: str) -> str:
    """The part of the library with a function: what one unit does, or the loop around all of them."""
    kind, _, mnemonic = name.partition(" of ")
    return mnemonic.split(".")[1] if mnemonic and kind == "meaning" else "loop"


class Interpreter(Protocol):
    """What runs the machine's functions."""

    def address(self, name: str) -> int:
        """The value of a function pointer to the function."""

    def addresses(self) -> Mapping[str, int]:
        """All functions' addresses."""

    def keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What `make` makes of the machine's sources, possibly from an earlier process."""

    def call(self, name: str, *args: Any) -> Any:
        """Call a function."""

    def run(self, name: str, machine: Any) -> int:
        """Call a function of the machine that may take long; Ctrl-C sets the machine's stop flag."""


class Reference:
    """The functions run by the Python emitter."""

    def __init__(self, functions: Mapping[str, Fn]) -> None:
        self._functions = functions

    def address(self, name: str) -> int:
        from mtia.isa.lang.python_emitter import handle

        return handle(self._functions[name])

    def addresses(self) -> Mapping[str, int]:
        return {name: self.address(name) for name in self._functions}

    def keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        return make()

    def call(self, name: str, *args: Any) -> Any:
        return self._functions[name](*args)

    def run(self, name: str, machine: Any) -> int:
        return int(self._functions[name](machine))


class Fast:
    """The functions as native code, compiled once and kept on disk."""

    def __init__(self, functions: Callable[[], Mapping[str, Fn]], name: str, *sources: Path) -> None:
        package = Path(next(iter(mtia.isa.__path__)))
        key = sources_key(package, Path(__file__).parent, *sources)
        self._library: Library = build(functions, name, key, part_of=part_of, progress=show_compiled)
        self._library.load()

    def address(self, name: str) -> int:
        return self._library.addr(name)

    def addresses(self) -> Mapping[str, int]:
        return self._library.addresses

    def keep(self, name: str, make: Callable[[], bytes]) -> bytes:
        return self._library.keep(name, make)

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
