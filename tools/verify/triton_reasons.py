"""Why a test of Triton's own suite does not pass: each rule says what it matches and what that means.

A failure is `vendor` if the test is about another maker's device, `later` if it needs a Triton after the installed one;
whatever no rule names is ours. Wrong numbers, crashes and hangs are told apart from other failures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LATER", "OURS", "RULES", "SKIPS_OF_VENDORS", "VENDOR", "Result", "Rule", "Verdict", "judge"]

OURS, VENDOR, LATER = "", "vendor", "later"
LENGTH = 150  # characters of a message in a table


@dataclass(frozen=True)
class Result:
    """One test: `outcome` is passed, failed, skipped, crashed or hung, `where` the file that raised."""

    test: str
    outcome: str
    message: str = ""
    where: str = ""
    seconds: float = 0.0

    @property
    def file(self) -> str:
        """The test's file, from `python/test` on."""
        return self.test.partition("::")[0]

    @property
    def function(self) -> str:
        """The test's function, without its parameters."""
        return self.test.partition("::")[2].partition("[")[0] or "(the file itself)"


@dataclass(frozen=True)
class Rule:
    """Says `mark` and `reason` of failures and skips whose test and message match."""

    mark: str
    test: str
    message: str
    reason: str

    def matches(self, result: Result) -> bool:
        """Whether the rule names this result."""
        return bool(re.search(self.test, result.test) and re.search(self.message, result.message, re.DOTALL))


RULES = (
    Rule(
        VENDOR,
        "",
        r"Torch not compiled with CUDA|No CUDA GPUs|Found no NVIDIA driver",
        "puts its tensors on 'cuda' itself, or asks CUDA about its device",
    ),
    Rule(VENDOR, "", r"KeyError: '(ptx|cubin|ttgir|llir|amdgcn|hsaco|sass)'", "looks into {0}, another maker's stage"),
    Rule(VENDOR, "", r"[Cc]annot find.*ptxas|ptxas.*not found", "needs NVIDIA's assembler"),
    Rule(
        LATER,
        "",
        r"cannot import name '(\w+)' from 'triton[.\w]*'|module 'triton[.\w]*' has no attribute '(\w+)'",
        "imports {0}, which the installed Triton does not have",
    ),
    Rule(
        LATER,
        "",
        r"got an unexpected keyword argument '(descending)'",
        "gives tl.topk an argument ('{0}') that the installed Triton's does not have",
    ),
)

SKIPS_OF_VENDORS = (
    r"CUDA|HIP|\bNV\b|NVIDIA|AMD|PTX|SM\d|[Hh]opper|[Bb]lackwell|[Aa]mpere|CDNA|gfx\d|RDNA|MFMA|WMMA|TMA\b|capability|"
    r"tensor memory|nvgpu|ROCm|warp speciali|[Cc]luster|multicast"
)
_NUMBERS = (
    r"Mismatched elements|Tensor-likes are not|Scalars are not|Not equal to tolerance|Arrays are not|not almost equal|"
    r"assert tensor|assert_array|where False = <built-in method (all|equal|allclose)|\ballclose\b|\bequal\(|\.all\(\)"
)


@dataclass(frozen=True)
class Verdict:
    """`kind` is a result's outcome or `wrong`, `mark` one of OURS, VENDOR, LATER."""

    kind: str
    mark: str
    reason: str


def judge(result: Result) -> Verdict:
    """What a result that is not `passed` means."""
    if result.outcome == "skipped":
        return _of_skip(result)
    for rule in RULES:
        if rule.matches(result):
            return Verdict(result.outcome, rule.mark, _filled(rule, result))
    if result.outcome == "failed" and re.search(r"^(AssertionError|assert)\b", result.message, re.MULTILINE):
        if re.search(_NUMBERS, result.message):
            return Verdict("wrong", OURS, _shortened(result.message))
        return Verdict("failed", OURS, "an assertion of the test does not hold")
    return Verdict(result.outcome, OURS, _shortened(result.message))


def _filled(rule: Rule, result: Result) -> str:
    found = re.search(rule.message, result.message, re.DOTALL)
    words = [word for word in found.groups() if word] if found else []
    return rule.reason.format(*(words or ["a name"]))


def _of_skip(result: Result) -> Verdict:
    mark = VENDOR if re.search(SKIPS_OF_VENDORS, result.message) else OURS
    return Verdict("skipped", mark, f"skipped by the suite: {_shortened(result.message)}")


def _shortened(message: str) -> str:
    """The line of a message that says most, without what differs between tests of a function."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Trap|Exception)\b|Mismatched|Failed:", line)]
    line = (telling or lines or ["no message"])[-1]
    line = re.sub(r"\S*/(?=[\w.-]+\.py)", "", line)
    line = re.sub(r"0x[0-9a-fA-F]+", "0x…", line)
    line = re.sub(r"(?<![\w.])\d+(\.\d+)?(e[+-]?\d+)?(?![\w.])", "#", line)
    return line if len(line) <= LENGTH else line[: LENGTH - 1] + "…"
