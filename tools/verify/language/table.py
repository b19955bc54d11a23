"""The language table as Markdown: a row for each name, from what came of its kernels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mtia.tools.verify.language.case import ALL
from mtia.tools.verify.language.run import REFUSED, SUPPORTED, TRITON, WRONG, Outcome

__all__ = ["markdown", "public_names"]

_HEAD = """# The language

What of Triton {version}'s language runs on `device="mtia"`, made by `mtiac verify language --write docs/language.md`:
for each name and type a small kernel is compiled and run on the simulated machine, and its numbers are compared with
numpy's or torch's. A type is *supported* only if all kernels of the name gave the right numbers, bit for bit or within
the units of the last place that the case states. *Refused* means an error that names the operation, the reason and
the source line. *Triton refuses* means that Triton's own front end has no such operation on the type, on any target.
Types: {types}.

{counts}
"""
_COLUMNS = "| name | supported | refused | Triton refuses |\n|---|---|---|---|"
_GROUPS = ("tl", "tl.math", "tl.tensor", "libdevice", "operator")
_TITLES = {
    "tl": "`triton.language`", "tl.math": "`triton.language.math`", "tl.tensor": "Methods of a tensor",
    "libdevice": "`triton.language.extra.libdevice`", "operator": "Operators",
}  # fmt: skip


def public_names() -> list[str]:
    """The public names of the installed Triton's language, as the table spells them."""
    import triton.language as tl
    import triton.language.extra.libdevice as library

    functions = [name for name in dir(tl.math) if name in tl.__all__]
    methods = [name for name in dir(tl.tensor) if not name.startswith("_") and name != "T"]
    names = [*(f"tl.{name}" for name in tl.__all__), *(f"tl.math.{name}" for name in functions)]
    names += [f"tl.tensor.{name}" for name in methods]
    names += [f"libdevice.{name}" for name in dir(library) if not name.startswith("_")]
    return sorted(names)


# Names without operations of their own: what they are, in a word.
VALUES = {
    "tl.TRITON_MAX_TENSOR_NUMEL": "the most elements of a tensor: Triton's front end keeps to it",
    "tl.block_type": "the type of a tensor, used by Triton's front end",
    "tl.constexpr_type": "the type of a constant, used by Triton's front end",
    "tl.void": "the type of nothing, used by Triton's front end",
}


def _group(name: str) -> str:
    return max((group for group in _GROUPS if name.startswith(group)), key=len)


def _cell(kinds: Iterable[str], whys: Sequence[str] = ()) -> str:
    text = " ".join(kind for kind in ALL if kind in set(kinds))
    return f"{text}: {'; '.join(whys)}" if whys and text else text


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    by_kind: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_kind.setdefault(outcome.kind, []).append(outcome)
    found: dict[str, list[str]] = {SUPPORTED: [], REFUSED: [], TRITON: [], WRONG: []}
    for kind, each in by_kind.items():
        hows = {outcome.how for outcome in each}
        how = next(word for word in (WRONG, REFUSED, SUPPORTED, TRITON) if word in hows)
        found[how].append(kind)
    whys = sorted({outcome.why for outcome in outcomes if outcome.how == REFUSED})
    wrong = f" **wrong: {_cell(found[WRONG])}**" if found[WRONG] else ""
    cells = (_cell(found[SUPPORTED]) + wrong, _cell(found[REFUSED], whys), _cell(found[TRITON]))
    return "| `" + name.replace("|", "\\|") + "` | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The whole table."""
    import triton

    rows: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault(outcome.case.name, []).append(outcome)
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.how] = counts.get(outcome.how, 0) + 1
    said: Any = ", ".join(f"{how}: {count:,}" for how, count in sorted(counts.items()))
    parts = [_HEAD.format(version=triton.__version__, types=", ".join(ALL), counts=f"Kernels by result: {said}.")]
    for group in _GROUPS:
        parts += [f"## {_TITLES[group]}\n", _COLUMNS]
        parts += [_row(name, rows[name]) for name in sorted(rows) if _group(name) == group]
        if group == "tl":
            parts += [f"| `{name}` | {what} | | |" for name, what in VALUES.items()]
        parts.append("")
    return "\n".join(parts)
