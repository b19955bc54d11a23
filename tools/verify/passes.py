"""Campaign: single changes of the compiler's passes; the lit tests and two minutes of others must notice each.

A mutant is one changed comparison, condition, operator, constant, name, argument or result, or one statement left out,
in a file of `compiler/passes`. It is made in a copy of the compiler in a temporary folder, which the tests import. They
run in this order until one fails: the lit test of the pass, random Triton programs (an outcome other than without the
change is noticed), the other lit tests, and for the rest of two minutes unit tests of the compiler. Needs a checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import mtia.compiler
import mtia.tools
from mtia.isa.errors import UserError
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.pass_mutants import KINDS, Mutant, draw, without_body

__all__ = ["SIZE", "add_arguments", "lit_passes", "run", "sample"]

SIZE = 50
PROGRAMS = 50  # random programs that every mutant is tried on
_LIMIT = 120  # seconds for what is not lit
_UNIT = (
    "test_backend_passes", "test_ttir", "test_ttir_language", "test_expand_math", "test_hart_only",
    "test_triton_backend", "test_kernels",
)  # fmt: skip
_MODEL = ("test_fx", "test_emitted", "test_digits")  # what `spread` makes kernels of
# Survivors that change nothing that a user could see, by file and text; each with its reason.
SAME: dict[tuple[str, str], str] = {}


@dataclass
class Outcome:
    """What became of a mutant, and which test noticed it."""

    mutant: Mutant
    caught: bool
    by: str
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The campaign's own options."""
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with the N-th mutant of the seed (0)")


def run(seed: int, size: int, progress: Progress, first: int = 0) -> Report:
    """Make the mutants `first` to `first + size - 1` and report those that nothing notices."""
    report = Report("passes", seed, size)
    with tempfile.TemporaryDirectory(prefix="mtiac-mutant-") as temporary:
        usual = _verdicts(copied_tree(Path(temporary)), None)
    if len(usual) < PROGRAMS:
        raise UserError("the random programs do not run without a mutant")
    outcomes = []
    for number, mutant in enumerate(_mutants(seed, first + size)[first:], first):
        progress(number - first, size)
        outcome = _judge(mutant, usual)
        text = f"{number}: {mutant.file}:{mutant.line}: {mutant.kind}: {mutant.text}"
        known = SAME.get((mutant.file, mutant.text))
        verdict = "caught" if outcome.caught else "survived" if known is None else f"survived, the same: {known}"
        report.notes.append(f"{text}: {verdict} in {outcome.seconds:.0f} s, {outcome.by}")
        print(report.notes[-1], file=sys.stderr, flush=True)  # a campaign takes an hour
        if not outcome.caught and known is None:
            report.failures.append(text)
        outcomes.append(outcome)
    caught = [outcome for outcome in outcomes if outcome.caught]
    report.counts |= {"mutants": len(outcomes), "caught": len(caught)}
    report.counts |= {
        f"by {name}": sum(outcome.by.startswith(name) for outcome in caught) for name in ("lit", "program", "unit")
    }
    return report


def _mutants(seed: int, count: int) -> list[Mutant]:
    """The first mutants of a seed, all different."""
    found: dict[tuple[str, int, str], Mutant] = {}
    pick = random.Random(f"passes {seed}")
    while len(found) < count:
        mutant = draw(KINDS[len(found) % len(KINDS)], pick)
        found.setdefault((mutant.file, mutant.line, mutant.text), mutant)
    return list(found.values())


def _judge(mutant: Mutant, usual: list[str]) -> Outcome:
    """Make the change in a copy, and run tests on the copy until one fails."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mtiac-mutant-") as temporary:
        folder = copied_tree(Path(temporary))
        (folder / "mtia" / "compiler" / "passes" / mutant.file).write_text(mutant.source)
        by = _noticed(mutant, folder, usual)
    return Outcome(mutant, bool(by), by or "nothing", time.monotonic() - start)


def _noticed(mutant: Mutant, folder: Path, usual: list[str]) -> str:
    """The first test that fails, or nothing."""
    lit = _checkout() / "tests" / "lit"
    own = [test for test in sorted((lit / "passes").glob("*.mlir")) if _is_of(test.stem, mutant.file)]
    failed = _lit(folder, own)
    if failed:
        return f"lit {failed}"
    begin = time.monotonic()
    got = _verdicts(folder, usual)
    if got != usual:
        return f"program {len(got)}: {got[-1] if got else 'no start'}"
    failed = _lit(folder, [lit / "passes", lit / "tt", lit / "emit"])
    if failed:
        return f"lit {failed}"
    left = max(_LIMIT - (time.monotonic() - begin), 30)
    failed = _unit(folder, _MODEL if mutant.file.startswith("spread") else _UNIT, left)
    return f"unit {failed}" if failed else ""


def _is_of(test: str, file: str) -> bool:
    """Whether a lit test is that of the pass a file belongs to."""
    name = file.removesuffix(".py").replace("_", "-")
    return name.startswith(test) or test.startswith(name)


def _checkout() -> Path:
    folder = Path(next(iter(mtia.tools.__path__))).resolve().parent
    if not (folder / "tests" / "lit").is_dir():
        raise UserError(f"the campaign runs the project's own tests and needs a checkout; {folder} is none")
    return folder


def copied_tree(folder: Path) -> Path:
    """A folder to import `mtia` from whose compiler is a copy and all else is ours."""
    links = folder / "mtia"
    links.mkdir()
    compiler = Path(next(iter(mtia.compiler.__path__))).resolve()
    for other in sorted(compiler.parent.iterdir()):
        if other.name == "compiler":
            shutil.copytree(other, links / other.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (other / "__init__.py").exists():
            (links / other.name).symlink_to(other)
    host = compiler.parent / "runtime" / "host_runtime"
    (links / "host_runtime").symlink_to(host)
    return folder


def _environment(folder: Path) -> dict[str, str]:
    return dict(os.environ, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1")


def _lit(folder: Path, tests: list[Path]) -> str:
    """The first lit test that fails, or nothing."""
    if not tests:
        return ""
    lit = Path(sys.executable).parent / "lit"
    command: list[str | Path] = [lit, "--max-failures=1", "-j1", f"-Dlinks={folder}", f"-Dout={folder / 'out'}", *tests]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20 * _LIMIT)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL:")]
    if done.returncode and not failed:
        raise RuntimeError(f"lit did not run:\n{done.stdout}{done.stderr}")
    return failed[0].split()[3] if failed else ""


def lit_passes(name: str, mutate: bool = True) -> bool:
    """Whether the lit test of a pass passes when the pass does nothing."""
    with tempfile.TemporaryDirectory(prefix="mtiac-mutant-") as temporary:
        folder = copied_tree(Path(temporary))
        function = name.replace("-", "_")
        path = folder / "mtia" / "compiler" / "passes" / f"{function}.py"
        if mutate:
            path.write_text(without_body(path.read_text(), function))
        return not _lit(folder, [_checkout() / "tests" / "lit" / "passes" / f"{name}.mlir"])


def _verdicts(folder: Path, usual: list[str] | None) -> list[str]:
    """What becomes of the random programs, up to the first that is not as usual."""
    program = f"from mtia.tools.verify import passes; passes.sample({PROGRAMS})"
    found: list[str] = []
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=output, stderr=subprocess.DEVNULL, env=_environment(folder)
        )
        deadline = time.monotonic() + 3 * _LIMIT
        while True:
            ended = child.poll() is not None
            output.seek(0)
            found = [json.loads(line) for line in output.read().splitlines(keepends=True) if line.endswith("\n")]
            wrong = usual is not None and found != usual[: len(found)]
            if ended or wrong or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        child.kill()
        child.wait()
    if usual is not None and found != usual[: len(found)]:
        return found[: next(n for n, (a, b) in enumerate(zip(found, usual, strict=False)) if a != b) + 1]
    return found


def sample(count: int) -> None:
    """Print the verdicts of the first random programs, a line each, as soon as they are known."""
    from mtia.tools.verify.kernels.serve import judged, made

    for seed in range(1, count + 1):
        program, arrays, _ = made(seed)
        print(json.dumps(judged(program, arrays).verdict), flush=True)


def _unit(folder: Path, names: tuple[str, ...], seconds: float) -> str:
    """The first unit test that fails in some seconds, or nothing."""
    tests = [str(_checkout() / "tests" / "unit" / f"{name}.py") for name in names]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
    try:
        done = subprocess.run(
            [*command, *tests], capture_output=True, text=True, timeout=seconds, env=_environment(folder)
        )
    except subprocess.TimeoutExpired:
        return ""
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else f"exit code {done.returncode}" if done.returncode else ""
