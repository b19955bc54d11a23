"""Processes that run programs, so that one that crashes or hangs ends only itself.

A request is a program, or a seed to make one of; the answer its outcome and what it consists of.
"""

from __future__ import annotations

import collections
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools.verify.kernels.evaluate import IllFormed, Memory, evaluate
from mtia.tools.verify.kernels.execute import Outcome, differences, interpreted, on_machine
from mtia.tools.verify.kernels.generate import generate
from mtia.tools.verify.kernels.program import Program, walk

__all__ = ["PATIENCE", "Answer", "Runner"]

PATIENCE = 120.0  # seconds for one program


@dataclass
class Answer:
    """What came of a request."""

    outcome: Outcome
    program: Program | None = None
    arrays: Mapping[str, Memory] | None = None
    counts: dict[str, int] = field(default_factory=dict)


def made(seed: int) -> tuple[Program, Mapping[str, Memory], int]:
    """The program of a seed, its arrays, and how many attempts went outside their arrays before."""
    for attempt in range(50):
        program = generate(seed * 1000 + attempt)
        try:
            return program, evaluate(program), attempt
        except IllFormed:
            continue
    raise RuntimeError(f"no program of seed {seed}")


def judged(program: Program, arrays: Mapping[str, Memory]) -> Outcome:
    """What becomes of a program on the machine."""
    from mtia.runtime.faults import MachineTrap

    try:
        got = on_machine(program, arrays)
    except UserError as refusal:
        return Outcome("refused", str(refusal.message))
    except MachineTrap as trap:
        return Outcome("error", f"trap: {trap}".splitlines()[0])
    except Exception as problem:
        place = traceback.extract_tb(problem.__traceback__)[-1]
        text = str(problem).splitlines() or [""]
        return Outcome(
            "error", f"{type(problem).__name__}: {text[0]} ({os.path.basename(place.filename)}:{place.lineno})"
        )
    found = differences(arrays, got)
    return Outcome("different", found) if found else Outcome("same")


def tried(program: Program) -> Answer:
    """What becomes of a program that was made smaller, and may not be well-formed any more."""
    try:
        arrays = evaluate(program)
    except Exception as problem:
        return Answer(Outcome("same", f"{type(problem).__name__}: {problem}"))
    return Answer(judged(program, arrays), program, arrays)


def contents(program: Program) -> dict[str, int]:
    """What a program consists of."""
    counts: collections.Counter[str] = collections.Counter(one.op for one in walk(program.body))
    return dict(counts)


def _answer(request: Any) -> Answer:
    kind, content = request
    if kind == "seed":
        program, arrays, attempts = made(content)
        return Answer(judged(program, arrays), program, arrays, contents(program) | {"(drawn again)": attempts})
    if kind == "interpret":
        program, arrays = content
        try:
            found = differences(arrays, interpreted(program, arrays))
        except Exception as problem:
            return Answer(Outcome("error", f"{type(problem).__name__}: {problem}".splitlines()[0]))
        return Answer(Outcome("different", found) if found else Outcome("same"))
    return tried(content)


class Runner:
    """A process that answers requests; started again when it ends or hangs."""

    def __init__(self, interpreter: bool = False) -> None:
        self.interpreter = interpreter
        self.connection: Connection[Any, Any] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.request: Any = None
        self.answered = 0

    def _start(self) -> Connection[Any, Any]:
        with Listener(None) as listener:
            environment = dict(os.environ, TRITON_INTERPRET="1" if self.interpreter else "0")
            program = "from mtia.tools.verify.kernels import serve; serve.main()"
            command = [sys.executable, "-c", program, str(listener.address)]
            self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            self.connection = listener.accept()
        self.answered = 0
        return self.connection

    def send(self, request: Any) -> None:
        """Ask, without waiting for the answer."""
        if self.answered >= 400:  # LLVM and MLIR contexts grow
            self.close()
        self.request = request
        (self.connection or self._start()).send(request)

    def receive(self) -> Answer:
        """The answer to the request."""
        assert self.connection is not None and self.process is not None
        try:
            if self.connection.poll(PATIENCE):
                self.answered += 1
                answer: Answer = self.connection.recv()
                return answer
            verdict, text = "hang", f"no answer in {PATIENCE:.0f} s"
        except (EOFError, ConnectionResetError):
            verdict, text = "crash", f"the process ended with code {self.process.wait()}"
        self.close()
        kind, content = self.request
        program = made(content)[0] if kind == "seed" else content if isinstance(content, Program) else None
        return Answer(Outcome(verdict, text), program)

    def ask(self, request: Any) -> Answer:
        """Ask, and wait for the answer."""
        self.send(request)
        return self.receive()

    def close(self) -> None:
        """End the process."""
        if self.connection is not None:
            self.connection.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.connection = self.process = None


def main() -> None:
    """Answer requests until the other side closes."""
    connection = Client(sys.argv[1])
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        connection.send(_answer(request))
