"""What every campaign of `mtiac verify` shares: its report, and how it is found."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Progress", "Report", "campaigns", "load"]

# Called with the cases done so far and the cases in all.
Progress = Callable[[int, int], None]


@dataclass
class Report:
    """What a campaign found: `counts` by what was counted, `failures` has one entry per difference."""

    campaign: str
    seed: int
    size: int
    counts: dict[str, int | float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def campaigns() -> dict[str, str]:
    """Every campaign and the first line of its module's docstring; imports none of them."""
    here = Path(__file__).parent
    found = {}
    for module in pkgutil.iter_modules([str(here)]):
        source = (here / f"{module.name}.py") if not module.ispkg else here / module.name / "__init__.py"
        text = ast.get_docstring(ast.parse(source.read_text())) or ""
        if text.startswith("Campaign: "):
            found[module.name] = text.removeprefix("Campaign: ").splitlines()[0]
    return found


def load(name: str) -> Any:
    """The module of a campaign: `SIZE`, its usual size, and `run(seed, size, progress, **options) -> Report`.

    It may have `add_arguments(parser)`; what these parse is passed to `run` by name.
    """
    return importlib.import_module(f"mtia.tools.verify.{name}")
