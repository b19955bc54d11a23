"""A pytest plug-in for Triton's own tests: it answers what they ask about the target, and writes down what they did.

It changes no test. The suite asks for CUDA's compute capability, some files already while they are imported; there is
none here, (0, 0). Results go to a file, one JSON object a line, so that they outlive a worker that dies.
"""

from __future__ import annotations

import faulthandler
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mtia.tools.verify.triton_reasons import LEFT_OUT

__all__: list[str] = []

GRACE = 1.25  # times its limit after which a test that has not noticed that its time is up ends its worker
MESSAGE = 4000  # characters of a message that are kept
DUMPED = "Timeout ("  # how faulthandler begins when it ends a process


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options: the results' file, and a sample."""
    group = parser.getgroup("mtiac")
    group.addoption("--mtia-results", default="", help="file of the results, one JSON object a line")
    group.addoption("--mtia-done", default="", help="file of the tests that are not to run again, one a line")
    group.addoption("--mtia-seed", type=int, default=1, help="seed of the sample")
    group.addoption("--mtia-size", type=int, default=0, help="how many tests; 0: all")


def pytest_configure(config: pytest.Config) -> None:
    """Answer the questions about CUDA; in a worker also watch its tests."""
    import torch

    if not torch.cuda.is_available():
        torch.cuda.get_device_capability = lambda device=None: (0, 0)
    config.addinivalue_line("markers", "interpreter: the suite's own: the test also runs in Triton's interpreter")
    results = Path(config.getoption("--mtia-results"))
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(_Watch(config, results), "mtia-watch")
    else:
        config.pluginmanager.register(_Writer(results), "mtia-results")


class _Watch:
    """Ends a worker that does not come back from native code; its file then has the test's name and where it was."""

    def __init__(self, config: Any, results: Path) -> None:
        self.limit = GRACE * float(config.getoption("timeout") or 60) + 1
        self.file = Path(f"{results}.{config.workerinput['workerid']}").open("w")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.file.seek(0)
        self.file.truncate()
        self.file.write(f"{item.nodeid}\n")
        self.file.flush()
        faulthandler.dump_traceback_later(self.limit, exit=True, file=self.file)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()
            _leave_async_mode()


def _leave_async_mode() -> None:
    """Triton 3.7 stays in its asynchronous mode when that ends with an error; that is of one test, not of the next."""
    from triton.runtime import _async_compile

    if _async_compile.active_mode.get() is not None:
        _async_compile.active_mode.set(None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has run and the tests that take hours, and leave a sample of the others."""
    done = Path(config.getoption("--mtia-done"))
    known = set(done.read_text().splitlines()) if done.is_file() else set()
    left_out = [item for item in items if _why_left_out(item.nodeid)]
    items[:] = [item for item in items if not _why_left_out(item.nodeid) and item.nodeid not in known]
    with open(config.getoption("--mtia-results"), "a") as file:
        for item in left_out:
            values = {"test": item.nodeid, "outcome": "not run", "message": _why_left_out(item.nodeid)}
            file.write(json.dumps(values) + "\n")
    size = config.getoption("--mtia-size")
    if 0 < size < len(items):
        chosen = set(random.Random(config.getoption("--mtia-seed")).sample(range(len(items)), size))
        items[:] = [item for number, item in enumerate(items) if number in chosen]


def _why_left_out(test: str) -> str:
    return next((why for part, why in LEFT_OUT.items() if part in test), "")


class _Writer:
    """Writes results; lives where the workers' reports arrive."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", buffering=1)
        self.path = path

    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        self._write(total=len(ids))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._write(test=report.nodeid, outcome="failed", message=_message(report.longrepr), where="", seconds=0.0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            outcome, message = self._outcome(report)
            where = getattr(getattr(report.longrepr, "reprcrash", None), "path", "")
            seconds = round(getattr(report, "duration", 0.0), 2)
            self._write(test=report.nodeid, outcome=outcome, message=message, where=str(where), seconds=seconds)

    def _outcome(self, report: pytest.TestReport) -> tuple[str, str]:
        if hasattr(report, "wasxfail"):
            return ("skipped", f"expected to fail: {report.wasxfail}")
        if report.skipped and isinstance(report.longrepr, tuple):
            return "skipped", str(report.longrepr[2]).removeprefix("Skipped: ")
        text = _message(report.longrepr) if report.longrepr else ""
        if report.when not in ("setup", "call", "teardown"):  # xdist's report of a test whose worker has died
            return ("hung", "does not come back from native code") if self._gave_up(report) else ("crashed", text)
        if report.failed and "from pytest-timeout" in text:
            return "hung", text
        return report.outcome, text

    def _gave_up(self, report: pytest.TestReport) -> bool:
        for file in self.path.parent.glob(f"{self.path.name}.*"):
            name, _, dump = file.read_text().partition("\n")
            if name == report.nodeid and dump.startswith(DUMPED):
                return True
        return False

    def _write(self, **values: Any) -> None:
        self.file.write(json.dumps(values) + "\n")


def _message(trace: Any) -> str:
    """The exceptions of a failure, the one that reached pytest last; the middle of a long text is left out."""
    chain = getattr(trace, "chain", None)
    texts = [crash.message for _, crash, _ in chain if crash is not None] if chain else []
    text = "\n".join(texts) if texts else str(trace)
    return text if len(text) <= MESSAGE else f"{text[: MESSAGE // 2]}\n…\n{text[-MESSAGE // 2 :]}"
