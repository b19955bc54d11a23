"""The process that runs LLVM's RISC-V back end, one request after another, over a pipe.

It is started as a script and imports nothing of ours: an LLVM abort ends this process only. A message is an 8-byte
little-endian length and a pickle; a request is a dict with the keys of `worker.generate`, an answer a pair of "object"
or "error" and its payload.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

__all__ = ["main", "receive", "send"]

PATIENCE = 1.0  # seconds between looks at the parent


def send(stream: BinaryIO, message: object) -> None:
    """Write one message and flush."""
    data = pickle.dumps(message, protocol=5)
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message; EOFError when the other side has gone."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    size = int.from_bytes(head, "little")
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


class _Generator:
    """LLVM target machines by (cpu, features, abi, level), made once."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        # Without this any floating-point or vector code after a patchpoint aborts in liveness computation.
        llvm.set_option("", "-enable-patchpoint-liveness=false")
        # A group of strided accesses would be read whole, gaps too: elements that nothing has written yet.
        llvm.set_option("", "-enable-interleaved-mem-accesses=false")
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        self.llvm = llvm
        self.machines: dict[tuple[str, str, str, str, int], Any] = {}

    def machine(self, triple: str, cpu: str, features: str, abi: str, level: int) -> Any:
        key = (triple, cpu, features, abi, level)
        if key not in self.machines:
            target = self.llvm.Target.from_triple(triple)
            self.machines[key] = target.create_target_machine(
                cpu=cpu, features=features, opt=level, reloc="static", codemodel="small", abiname=abi
            )
        return self.machines[key]

    def optimize(self, module: Any, machine: Any, level: int) -> None:
        if level == 0:
            return
        options = self.llvm.create_pipeline_tuning_options(speed_level=level)
        options.loop_vectorization = True  # general hart loops are scalar; up to level 2 the others only cost time
        options.slp_vectorization = options.loop_unrolling = level >= 3
        builder = self.llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)

    def object_for(self, request: dict[str, Any]) -> bytes:
        level = request["level"]
        machine = self.machine(request["triple"], request["cpu"], request["features"], request["abi"], level)
        module = self.llvm.parse_assembly(request["ir"])
        module.verify()
        self.optimize(module, machine, level)
        code: bytes = machine.emit_object(module)
        return code


def _end_with(parent: int) -> None:
    """End this process, even in the middle of a long function, once its parent has gone."""
    while os.getppid() == parent:
        time.sleep(PATIENCE)
    os._exit(1)


def main() -> None:
    """Answer requests until the pipe closes."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    generator = _Generator()
    while True:
        try:
            request = receive(source)
        except EOFError:
            return
        try:
            answer: tuple[str, object] = ("object", generator.object_for(request))
        except RuntimeError as problem:  # what llvmlite raises for IR that does not parse or verify
            answer = ("error", str(problem))
        send(sink, answer)


if __name__ == "__main__":
    main()
