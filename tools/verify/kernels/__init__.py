"""Campaign: random Triton programs, compiled and run on the machine, against numpy and Triton's interpreter.

A program is made of a seed: element types, shapes, loads and stores of every kind, operations, reductions, scans,
products, loops and branches, atomics whose result does not depend on order, grids beyond the number of PEs. What it
must give is said in numpy beside each operation; a share of the programs also goes through Triton's interpreter, so
that the statements in numpy are themselves checked. A compiler error, a crash and a hang are failures; a refusal by
name is counted. A failing program is made smaller and printed with the seed that repeats it.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.kernels.interpret import FAULTS, fault, rewritten
from mtia.tools.verify.kernels.operations import source
from mtia.tools.verify.kernels.program import Program, walk
from mtia.tools.verify.kernels.serve import PATIENCE, Answer, Runner
from mtia.tools.verify.kernels.shrink import shrunk

__all__ = ["SIZE", "add_arguments", "run"]

SIZE = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The campaign's own options."""
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that compile and run (1)")
    parser.add_argument(
        "--interpret", type=int, default=8, metavar="N", help="every N-th program also there (8; 0: none)"
    )
    parser.add_argument("--shrink", type=int, default=5, metavar="N", help="make the first N failures smaller (5)")


def run(seed: int, size: int, progress: Progress, jobs: int = 1, interpret: int = 8, shrink: int = 5) -> Report:
    """Run the programs of the seeds `seed` to `seed + size - 1`."""
    report = Report("kernels", seed, size)
    mix: collections.Counter[str] = collections.Counter()
    sizes: list[int] = []
    refusals: collections.Counter[str] = collections.Counter()
    verdicts: collections.Counter[str] = collections.Counter()
    judge, interpreter = Runner(), _Interpreter(report, verdicts)
    try:
        for done, (number, answer) in enumerate(_answers(seed, size, max(jobs, 1))):
            progress(done + 1, size)
            mix.update(answer.counts)
            verdicts[answer.outcome.verdict] += 1
            if answer.program is not None:
                sizes.append(sum(1 for _ in walk(answer.program.body)))
            if answer.outcome.verdict == "refused":
                refusals[answer.outcome.text] += 1
            if answer.outcome.failed:
                report.failures.append(_explained(number, answer, judge if len(report.failures) < shrink else None))
                print(f"FAILED {report.failures[-1]}", file=sys.stderr, flush=True)  # a campaign takes hours
            elif interpret and number % interpret == 0:
                interpreter.take(number, answer)
            interpreter.note()
        interpreter.note(wait=True)
    finally:
        judge.close()
        interpreter.close()
    _summarise(report, verdicts, sizes, mix, refusals)
    return report


def _answers(seed: int, size: int, jobs: int) -> Iterator[tuple[int, Answer]]:
    """The answers to all seeds, from several processes at a time."""
    from multiprocessing.connection import wait

    runners = [Runner() for _ in range(jobs)]
    left = iter(range(seed, seed + size))
    waiting: dict[Any, tuple[int, Runner, float]] = {}
    try:
        for runner in runners:
            _give(runner, left, waiting)
        while waiting:
            ready = wait(list(waiting), timeout=PATIENCE)
            late = [one for one, (_, _, since) in waiting.items() if time.monotonic() - since > PATIENCE]
            for connection in {*ready, *late}:
                number, runner, _ = waiting.pop(connection)
                answer = runner.receive()
                _give(runner, left, waiting)
                yield number, answer
    finally:
        for runner in runners:
            runner.close()


def _give(runner: Runner, left: Iterator[int], waiting: dict[Any, tuple[int, Runner, float]]) -> None:
    number = next(left, None)
    if number is not None:
        runner.send(("seed", number))
        waiting[runner.connection] = (number, runner, time.monotonic())


class _Interpreter:
    """Compares numpy's arrays with those of Triton's interpreter, beside the campaign: a program takes it long."""

    def __init__(self, report: Report, verdicts: collections.Counter[str]) -> None:
        self.report = report
        self.verdicts = verdicts
        self.runner = Runner(interpreter=True)
        self.line = ThreadPoolExecutor(1)
        self.asked: collections.deque[tuple[int, Program, Future[Answer]]] = collections.deque()

    def take(self, number: int, answer: Answer) -> None:
        """Give a program to the interpreter, or count why not."""
        program = answer.program
        if program is None or answer.arrays is None:
            return
        problem = fault(program)
        if problem is not None:
            self.verdicts[f"not interpreted: {problem}"] += 1
            return
        request = ("interpret", (program, answer.arrays))
        self.asked.append((number, program, self.line.submit(self.runner.ask, request)))

    def note(self, wait: bool = False) -> None:
        """Count the answers that have come; all with `wait`."""
        while self.asked and (wait or self.asked[0][2].done()):
            number, program, future = self.asked.popleft()
            found = future.result().outcome
            self.verdicts["interpreted"] += 1
            if found.failed:
                text = source(rewritten(program))
                self.report.failures.append(f"--seed {number} --size 1: Triton's interpreter: {found.text}\n{text}")
                print(f"FAILED {self.report.failures[-1]}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the process."""
        self.line.shutdown(cancel_futures=True)
        self.runner.close()


def _explained(number: int, answer: Answer, judge: Runner | None) -> str:
    """A failure as it is printed: how to repeat it, what differs, and the program, made small by `judge`."""
    found, program = answer.outcome, answer.program
    head = f"--seed {number} --size 1: {found.verdict}: {found.text}"
    if program is None or judge is None:
        return head
    kind = found.text.split(":")[0]

    def fails(candidate: Program) -> bool:
        outcome = judge.ask(("program", candidate)).outcome
        return outcome.verdict == found.verdict and (found.verdict == "different" or outcome.text.startswith(kind))

    small = shrunk(program, fails)
    again = judge.ask(("program", small)).outcome
    scalars = {name: small.scalars[name][1] for name in small.arguments() if name in small.scalars}
    pointers = {name: small.pointers[name].kind for name in small.arguments() if name in small.pointers}
    launch = f"grid {small.grid}, {pointers}, {scalars}, {dict(small.options)}"
    return f"{head}\nsmaller: {again.text}\n{launch}\n{source(small)}"


def _summarise(
    report: Report,
    verdicts: collections.Counter[str],
    sizes: list[int],
    mix: collections.Counter[str],
    refusals: collections.Counter[str],
) -> None:
    report.counts |= dict(sorted(verdicts.items()))
    ordered = sorted(sizes) or [0]
    for name, part in (("least", 0.0), ("median", 0.5), ("nine tenths below", 0.9), ("most", 1.0)):
        report.counts[f"statements, {name}"] = ordered[min(int(part * len(ordered)), len(ordered) - 1)]
    total = sum(mix.values()) or 1
    report.notes.append("operations: " + ", ".join(f"{name} {count}" for name, count in mix.most_common()))
    report.counts["operations"] = total
    report.notes += [f"refused {count} times: {text}" for text, count in refusals.most_common()]
    report.notes += [f"not interpreted: {what}: {why}" for what, why in FAULTS.items()]
