"""Why a test of Triton's own suite does not pass: each rule says what it matches and what that means.

A failure is `vendor` if the test is about another maker's device, `later` if it needs a Triton after the installed one;
whatever no rule names is ours. Wrong numbers, crashes and hangs are told apart from other failures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LATER", "LEFT_OUT", "OURS", "RULES", "SKIPS_OF_VENDORS", "VENDOR", "Result", "Rule", "Verdict", "judge"]

OURS, VENDOR, LATER = "", "vendor", "later"
# Tests that are not run: what their name contains, and why.
LEFT_OUT = {
    "test_conversions.py::test_typeconvert_downcast[": "256 rounds over 16 Mi values each, hours on the machine",
}
LENGTH = 150  # characters of a message in a table


@dataclass(frozen=True)
class Result:
    """One test: `outcome` is passed, failed, skipped, crashed, hung or not run, `where` the file that raised."""

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
    Rule(VENDOR, "test_reproducer", r"make_(ttgir|llir)", "wants the passes of {0}, another maker's stage"),
    Rule(
        VENDOR,
        "test_fp8_support",
        r"DID NOT RAISE",
        "expects all but CUDA and HIP to refuse every 8-bit float but fp8e5",
    ),
    Rule(
        VENDOR,
        r"test_print\[(device_print_scalar|no_arg_print|print_no_arg)-",
        r"^(AssertionError: )?assert False",
        "wants a scalar printed by each of 128 threads; a program here is one thread",
    ),
    Rule(
        VENDOR,
        r"test_print\[device_print_2d_tensor-",
        r"^(AssertionError: )?assert False",
        "wants the index width of a tensor of 4 warps of 32 threads",
    ),
    Rule(VENDOR, "", r"Backend device '(nvidia|amd)' is not active", "runs on the back end of {0} itself"),
    Rule(
        OURS,
        "test_int_annotation",
        r"is written, in the padding|1 is a i1, 3 does not fit",
        "writes past the end of its tensor of one element, which the machine reports",
    ),
    Rule(
        LATER,
        "",
        r"cannot import name '(\w+)' from 'triton[.\w]*'|module 'triton[.\w]*' has no attribute '(\w+)'|"
        r"'\w+_knobs' object has no attribute '(\w+)'",
        "uses {0}, which the installed Triton does not have",
    ),
    Rule(
        LATER,
        "",
        r"got an unexpected keyword argument '(descending)'",
        "gives tl.topk an argument ('{0}') that the installed Triton's does not have",
    ),
    Rule(
        LATER,
        "",
        r"constructor for \w+ did not initialize attribute|Unsupported function referenced: <slot wrapper '__init__'",
        "an aggregate without a constructor, which the installed Triton's front end refuses",
    ),
    Rule(
        LATER,
        "test_frontend|test_line_info",
        r"expected string not found|no match found|possible intended match|check:\d+'\d",
        "checks TTIR as Triton's front end prints it; the installed one's is the same for every target",
    ),
    Rule(
        LATER,
        "test_starred_varargs",
        r"AssertionError\(\)",
        "a function with *arguments, which the installed Triton's front end refuses",
    ),
    Rule(
        LATER,
        "test_dot_scaled_shape_verification",
        r"lhs_scale must be a tensor of shape",
        "checks the words of an error of Triton's front end",
    ),
    Rule(
        LATER,
        "test_preload_constexpr_tuple_arg",
        r"assert '[0-9a-f]+\.\.\.[0-9a-f]+' == ",
        "a tuple comes back from the installed Triton's specialisation data as a list",
    ),
    Rule(
        LATER,
        "test_async_compile_error",
        r"active_mode",
        "the installed Triton stays in its asynchronous mode after an error",
    ),
    Rule(
        LATER,
        "test_interpreter_implicit_cvt_bool",
        r"exceeds dtype primitive_bitwidth",
        "checks a function of Triton's interpreter; no target is involved",
    ),
)

SKIPS_OF_VENDORS = (
    r"CUDA|HIP|\bNV\b|NVIDIA|AMD|PTX|SM\d|[Hh]opper|[Bb]lackwell|[Aa]mpere|CDNA|gfx\d|RDNA|MFMA|WMMA|TMA\b|capability|"
    r"tensor memory|nvgpu|ROCm|warp speciali|[Cc]luster|multicast|CTA|disassembler"
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
    if result.outcome == "not run":
        return Verdict("not run", OURS, result.message)
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
