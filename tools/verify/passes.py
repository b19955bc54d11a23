"""Campaign: single changes of the compiler's passes; the lit tests and two minutes of others must notice each.

A mutant is one changed comparison, condition, operator, constant, name, argument or result, or one statement left out,
in what turns a kernel or a model into an executable: the passes, the readers of Triton's IR and of graphs, the linker.
It is made in a copy of the compiler in a temporary folder, which the tests import. They run in this order until one
fails: the lit tests of the pass, unit tests near it, some random Triton programs, the other lit tests of the compiler,
more random programs (one that ends otherwise than without a change is noticed), other unit tests. Without a change all
but the lit tests are two minutes of computing. Tests that never come to the changed file are left out. It needs a
checkout.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mtia.compiler
import mtia.tools
from mtia.isa.errors import UserError
from mtia.tools.verify.common import Progress, Report
from mtia.tools.verify.pass_mutants import KINDS, Mutant, draw, unchanged, without_body

__all__ = ["SIZE", "add_arguments", "copied_tree", "lit_passes", "run", "sample"]

SIZE = 50
PROGRAMS, FIRST_PROGRAMS = 120, 40  # random programs that a mutant is tried on; these before the other lit tests
# Unit tests of the compiler, the likeliest first, and those of models; what differs by chip is tried on one.
_UNIT = (
    "test_backend_passes", "test_matrix_kernels", "test_fused_kernels", "test_large_blocks", "test_hart_only",
    "test_triton_backend", "test_triton_descriptors", "test_ttir", "test_ttir_language", "test_expand_math",
    "test_expand_floats", "test_language", "test_kernels", "test_dot", "test_dot_scaled", "test_casts", "test_atomics",
    "test_backend",
)  # fmt: skip
_MODEL = ("test_spread", "test_fx", "test_emitted", "test_digits")
# Those of a file, by how its name begins, come right behind its lit tests.
_OWN = {
    "stream_blocks": ("test_large_blocks",), "convert_tt_to_linalg_dots": ("test_dot",),
    "convert_tt_to_linalg_scaled": ("test_dot_scaled",), "convert_tt_to_linalg_atomics": ("test_atomics",),
    "convert_tt_to_linalg_asm": ("test_ttir", "test_language"), "inline_asm": ("test_ttir", "test_language"),
    "expand_floats": ("test_expand_floats", "test_casts"), "expand_math": ("test_expand_math",),
    "select_engines_matmul": ("test_matrix_kernels", "test_fused_kernels"), "linker": ("test_backend",),
    "select_engines_layout": ("test_matrix_kernels", "test_fused_kernels"), "features": ("test_backend",),
    "hart_matmul": ("test_backend_passes",), "hart_": ("test_hart_only",), "literals": ("test_backend",),
    "plan_local_memory_": ("test_backend_passes",), "spread": _MODEL, "fx": _MODEL,
}  # fmt: skip
_SELECTED = "not mtia200"
# What only models come through, and only Triton kernels: tests of the others cannot notice anything there.
_OF_MODELS = ("passes/spread", "frontends/fx")
_OF_KERNELS = ("passes/convert_tt", "passes/stream_blocks", "frontends/ttir", "backend/inline_asm")
_LIMIT, _LATEST = 180, 900  # seconds of computing of a process, and by the clock, after which a mutant hangs
# Survivors that change nothing that a user could see, by file and text; each with its reason.
SAME: dict[tuple[str, str], str] = {}


@dataclass
class Outcome:
    """What became of a mutant, which test noticed it, and the seconds of computing that took."""

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
        usual = _verdicts(copied_tree(Path(temporary)), None, PROGRAMS)
    if len(usual) < PROGRAMS:
        raise UserError("the random programs do not run without a mutant")
    if not first:  # the second part of a campaign need not find out again
        control = _judge(unchanged(), usual)
        if control.caught:
            raise UserError(f"the tests fail without a mutant: {control.by}")
        report.counts["seconds of all tests"] = round(control.seconds)
        print(f"without a mutant: {control.seconds:.0f} s", file=sys.stderr, flush=True)
    outcomes = []
    for number, mutant in enumerate(_mutants(seed, first + size)[first:], first):
        progress(number - first, size)
        outcome = _judge(mutant, usual)
        text = f"{number}: {mutant.file}:{mutant.line}: {mutant.kind}: {mutant.text}"
        known = SAME.get((mutant.file, mutant.text))
        verdict = "caught" if outcome.caught else "survived" if known is None else f"survived, the same: {known}"
        report.notes.append(f"{text}: {verdict} in {outcome.seconds:.0f} s, {outcome.by}")
        print(report.notes[-1], file=sys.stderr, flush=True)  # a campaign takes half an hour
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
    start = _computed()
    with tempfile.TemporaryDirectory(prefix="mtiac-mutant-") as temporary:
        folder = copied_tree(Path(temporary))
        for file, source in mutant.sources.items():
            (folder / "mtia" / "compiler" / file).write_text(source)
        by = _noticed(mutant, folder, usual)
    return Outcome(mutant, bool(by), by or "nothing", _computed() - start)


def _computed() -> float:
    """Seconds of computing of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _noticed(mutant: Mutant, folder: Path, usual: list[str]) -> str:
    """The first test that fails, or nothing."""
    lit, name = _checkout() / "tests" / "lit", Path(mutant.file).stem
    own = [test for test in sorted((lit / "passes").glob("*.mlir")) if _is_of(test.stem, name)]
    rest = [test for test in sorted((lit / "passes").glob("*.mlir")) if test not in own]
    near = next((tests for start, tests in _OWN.items() if name.startswith(start)), ())
    model = [lit / "emit" / "model.test"]
    if mutant.file.startswith(_OF_MODELS):
        return _lit(folder, [*own, *model]) or _unit(folder, near)
    if mutant.file.startswith(_OF_KERNELS):
        model = []
    return (
        _lit(folder, own)
        or _unit(folder, near)
        or _programs(folder, usual[:FIRST_PROGRAMS])
        or _lit(folder, [*rest, lit / "tt", lit / "emit" / "kernel.test", *model])
        or _programs(folder, usual)
        or _unit(folder, tuple(test for test in (*_UNIT, *(_MODEL if model else ())) if test not in near))
    )


def _is_of(test: str, file: str) -> bool:
    """Whether a lit test is one of the pass a file belongs to."""
    name = file.replace("_", "-")
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


def _execute(command: list[str | Path], folder: Path) -> tuple[int, str]:
    """The exit code and output of a process that imports the copy; a negative code when it hangs or crashes."""
    own = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "MTIA_CACHE": "off"}
    own["TRITON_CACHE_DIR"] = str(folder / "triton")
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | own,
        start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (_LIMIT, _LIMIT)),
    )  # fmt: skip
    try:
        output, _ = child.communicate(timeout=_LATEST)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
    return child.returncode, output


def _lit(folder: Path, tests: list[Path]) -> str:
    """The first lit test that fails, or nothing."""
    if not tests:
        return ""
    lit = Path(sys.executable).parent / "lit"
    options = ["--max-failures=1", "-j1", "--order=lexical", f"-Dlinks={folder}", f"-Dout={folder / 'out'}"]
    code, output = _execute([lit, *options, *tests], folder)
    failed = [line for line in output.splitlines() if line.startswith("FAIL:")]
    if code > 0 and not failed:
        raise RuntimeError(f"lit did not run:\n{output}")
    return f"lit {failed[0].split()[3]}" if failed else f"lit: exit code {code}" if code else ""


def lit_passes(name: str, mutate: bool = True) -> bool:
    """Whether the lit test of a pass passes when the pass does nothing."""
    with tempfile.TemporaryDirectory(prefix="mtiac-mutant-") as temporary:
        folder = copied_tree(Path(temporary))
        function = name.replace("-", "_")
        path = folder / "mtia" / "compiler" / "passes" / f"{function}.py"
        if mutate:
            path.write_text(without_body(path.read_text(), function))
        return not _lit(folder, [_checkout() / "tests" / "lit" / "passes" / f"{name}.mlir"])


def _programs(folder: Path, usual: list[str]) -> str:
    """The first random program that does not end as usual, or nothing."""
    got = _verdicts(folder, usual, len(usual))
    if got == usual:
        return ""
    return f"program {len(got)}: {got[-1] if got and got[-1] != usual[len(got) - 1] else 'does not end'}"


def _verdicts(folder: Path, usual: list[str] | None, count: int) -> list[str]:
    """What becomes of random programs, up to the first that does not end as usual."""
    program = f"from mtia.tools.verify import passes; passes.sample({count}, {usual})"
    _, output = _execute([sys.executable, "-c", program], folder)
    return [line.removeprefix(_VERDICT) for line in output.splitlines() if line.startswith(_VERDICT)]


_VERDICT = "verdict: "


def sample(count: int, usual: list[str] | None) -> None:
    """Print the verdicts of the first random programs, a line each, up to the first that is not as usual."""
    from mtia.tools.verify.kernels.serve import judged, made

    for seed in range(1, count + 1):
        program, arrays, _ = made(seed)
        verdict = judged(program, arrays).verdict
        print(f"{_VERDICT}{verdict}", flush=True)
        if usual and verdict != usual[seed - 1]:
            return


def _unit(folder: Path, names: tuple[str, ...]) -> str:
    """The first unit test that fails, or nothing."""
    if not names:
        return ""
    tests = [_checkout() / "tests" / "unit" / f"{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
    code, output = _execute([*command, "-k", _SELECTED, *tests], folder)
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return f"unit {failed[0]}" if failed else f"unit: exit code {code}" if code else ""
