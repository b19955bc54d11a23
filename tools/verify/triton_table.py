"""The table of Triton's tests that do not pass, grouped by function and reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtia.tools.verify.triton_reasons import LATER, OURS, RULES, SKIPS_OF_VENDORS, VENDOR, Result, Verdict

__all__ = ["KINDS", "Group", "counted", "groups", "in_words", "text"]

KINDS = ("passed", "failed", "wrong", "crashed", "hung", "not run", "skipped")
Judged = Sequence[tuple[Result, Verdict]]
MEANINGS = {VENDOR: "of another vendor", LATER: "of a later Triton", OURS: "ours"}


@dataclass(frozen=True)
class Group:
    """Tests of one function that do not pass for the same reason; `example` is one of them."""

    place: str
    verdict: Verdict
    count: int
    example: str

    def line(self) -> str:
        """The group in one line."""
        return f"{self.count} × {self.verdict.kind}: {self.verdict.reason}; one: {self.example}"


def counted(judged: Judged, key: Callable[[Result], str]) -> dict[str, dict[str, int]]:
    """The counts of each kind by file or function."""
    found: dict[str, dict[str, int]] = {}
    for result, verdict in judged:
        counts = found.setdefault(key(result), dict.fromkeys(KINDS, 0))
        counts[verdict.kind] += 1
    return found


def in_words(counts: dict[str, int]) -> str:
    """Counts as `3 passed, 1 failed`."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def groups(judged: Judged) -> list[Group]:
    """All that does not pass."""
    found: dict[tuple[str, Verdict], list[str]] = {}
    for result, verdict in judged:
        if verdict.kind != "passed":
            found.setdefault((f"{result.file}::{result.function}", verdict), []).append(result.test)
    return [Group(place, verdict, len(tests), tests[0]) for (place, verdict), tests in found.items()]


def text(judged: Judged, files: Sequence[str]) -> str:
    """The document that `--write` makes."""
    import triton
    from mtia.runtime import devices

    lines = [
        "# Triton's own tests",
        "",
        f"Written by `mtiac verify triton --suite PATH --files {' '.join(files)} --write FILE` with Triton "
        f"{triton.__version__} on {devices.target()}; [triton.md](triton.md) says how to get the tests.",
        "",
        "*wrong* is an assertion on values; *crashed* and *hung* ended their worker or their time; *not run* are",
        f"tests that take hours. A test is *{MEANINGS[VENDOR]}* or *{MEANINGS[LATER]}* by the rules at the end;",
        "all else is ours.",
        "",
        *_files(judged),
        *_groups(judged),
        *_rules(),
    ]
    return "\n".join(lines) + "\n"


def _files(judged: Judged) -> list[str]:
    lines = [f"| file | {' | '.join(KINDS)} | not ours |", f"|---|{'---:|' * (len(KINDS) + 1)}"]
    everything = counted(judged, lambda r: "**all**")
    for name, counts in (counted(judged, lambda r: r.file) | everything).items():
        marked = sum(v.mark != OURS and (r.file == name or name in everything) for r, v in judged)
        lines.append(f"| {name} | {' | '.join(str(counts[kind]) for kind in KINDS)} | {marked} |")
    return [*lines, ""]


def _groups(judged: Judged) -> list[str]:
    found = groups(judged)
    ours = [g for g in found if g.verdict.mark == OURS]
    sections = (
        ("Ours", [g for g in ours if g.verdict.kind != "skipped"]),
        ("Skipped by the suite, not for a vendor", [g for g in ours if g.verdict.kind == "skipped"]),
        ("Of a later Triton", [g for g in found if g.verdict.mark == LATER]),
        ("Of another vendor", [g for g in found if g.verdict.mark == VENDOR]),
    )
    lines = []
    for title, rows in sections:
        lines += [f"## {title}", "", "None.", ""] if not rows else [f"## {title}", "", *_table(rows), ""]
    return lines


def _table(rows: Sequence[Group]) -> list[str]:
    lines = ["| function | tests | | reason |", "|---|---:|---|---|"]
    for group in rows:
        place = group.place.removeprefix("unit/")
        lines.append(f"| {place} | {group.count} | {group.verdict.kind} | {_escaped(group.verdict.reason)} |")
    return lines


def _escaped(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _rules() -> list[str]:
    lines = ["## The rules", "", "| mark | the message matches | tests | meaning |", "|---|---|---|---|"]
    for rule in RULES:
        tests = _code(rule.test) if rule.test else "all"
        lines.append(f"| {MEANINGS[rule.mark]} | {_code(rule.message)} | {tests} | {_escaped(rule.reason)} |")
    return [*lines, f"| {MEANINGS[VENDOR]} | {_code(SKIPS_OF_VENDORS)} | skipped ones | the suite's own reason |"]


def _code(words: str) -> str:
    escaped = words.replace("|", "\\|")
    return f"`{escaped}`"
