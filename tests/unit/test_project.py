"""The import rule, the package list and the README's commands."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("isa", "dialects", "compiler", "runtime", "tools")
# The plug-ins into Triton and PyTorch sit on top of the runtime and may use the compiler.
PLUGINS = ("runtime/triton_backend", "runtime/torch_backend", "runtime/model")
HOST_RUNTIME = "runtime/host_runtime"  # mapped to a package of its own, whose name PyTorch imports
ALLOWED = {
    "isa": {"isa"},
    "dialects": {"isa", "dialects"},
    "compiler": {"isa", "dialects", "compiler"},
    "runtime": {"isa", "runtime"},
    "tools": {"isa", "dialects", "compiler", "runtime", "tools"},
}


def imported_folders(path: Path) -> set[str]:
    """The top-level folders of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "mtia" else [f"mtia.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("mtia.")}
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_import_rule(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        relative = path.relative_to(ROOT).as_posix()
        allowed = ALLOWED[folder] | ({"compiler", "dialects"} if relative.startswith(PLUGINS) else set())
        assert imported_folders(path) <= allowed, f"{relative} imports {imported_folders(path) - allowed}"


def test_every_package_is_listed() -> None:
    """A package forgotten in pyproject works in an editable install and is missing from the wheel."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    present = {
        "mtia." + path.parent.relative_to(ROOT).as_posix().replace(HOST_RUNTIME, "host_runtime").replace("/", ".")
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert listed == present


def test_no_init_in_the_namespace() -> None:
    links = ROOT / ".links" / "mtia"
    assert not (links / "__init__.py").exists()
    assert {link.name for link in links.iterdir()} >= {*FOLDERS, "host_runtime"}


def test_readme_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert f"\n{target}:" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text()
