"""Delete the body of each pass in turn and see that its lit test fails: python tests/mutate_passes.py [PASS…]

The compiler is copied to a temporary folder and changed there; lit is told to import it from that folder.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mtia.compiler import pipeline

__all__ = ["lit_passes", "without_body"]

ROOT = Path(__file__).resolve().parents[1]


def without_body(source: str, function: str) -> str:
    """The source of a module in which a top-level function does nothing."""
    lines = source.splitlines(keepends=True)
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function)
    end = node.end_lineno
    assert end is not None
    return "".join([*lines[: node.body[0].lineno - 1], "    return None\n", *lines[end:]])


def copied_tree(folder: Path) -> Path:
    """A folder to import `mtia` from whose compiler is a copy and all else is ours."""
    links = folder / "mtia"
    links.mkdir()
    for link in (ROOT / ".links" / "mtia").iterdir():
        if link.name == "compiler":
            shutil.copytree(link.resolve(), links / link.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (links / link.name).symlink_to(link.resolve())
    return folder


def lit_passes(name: str, mutate: bool = True) -> bool:
    """Whether the lit test of a pass passes when the pass does nothing."""
    with tempfile.TemporaryDirectory(prefix="mtiac-mutant-") as temporary:
        folder = copied_tree(Path(temporary))
        function = name.replace("-", "_")
        path = folder / "mtia" / "compiler" / "passes" / f"{function}.py"
        if mutate:
            path.write_text(without_body(path.read_text(), function))
        test = ROOT / "tests" / "lit" / "passes" / f"{name}.mlir"
        lit = Path(sys.executable).parent / "lit"
        done = subprocess.run(
            [lit, f"-Dlinks={folder}", f"-Dout={folder / 'out'}", test], capture_output=True, text=True
        )
        passed, failed = (f"{word}: mtiac :: passes/{name}.mlir" in done.stdout for word in ("PASS", "FAIL"))
        if passed == failed:
            raise RuntimeError(f"lit did not run {test}:\n{done.stdout}{done.stderr}")
        return passed


def main() -> int:
    """Try all passes, or those named on the command line."""
    survivors = 0
    for name in sys.argv[1:] or pipeline.pass_names():
        alive = lit_passes(name)
        survivors += alive
        print(f"{name:24} {'its test still passes' if alive else 'noticed'}", flush=True)
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main())
