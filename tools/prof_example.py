"""The worked example of docs/profiling.md: `python -m mtia.tools.prof_example` runs its commands and renews it."""

from __future__ import annotations

import io
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path

__all__ = ["FIRST", "LAST", "PAGE", "SHOWN", "command", "example", "main"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "profiling.md"
FIRST = "<!-- example: written by python -m mtia.tools.prof_example -->"
LAST = "<!-- end of the example -->"
SIZE = 1024
WIDTH = 150

_POINTERS = " ".join(f"--arg {name}_ptr={kind}:{SIZE}x{SIZE}:fp16" for name, kind in
                     (("a", "randn"), ("b", "randn"), ("c", "zeros")))  # fmt: skip
_NUMBERS = " ".join(
    f"--arg {name}={value}"
    for name, value in (("M", SIZE), ("N", SIZE), ("K", SIZE), ("stride_am", SIZE), ("stride_ak", 1),
                        ("stride_bk", SIZE), ("stride_bn", 1), ("stride_cm", SIZE), ("stride_cn", 1))
)  # fmt: skip
# What is said, and the command: name, side of the blocks, options, how much of the output is shown.
SHOWN = (
    (
        "A product of 1024 × 1024 matrices in fp16 with its operands in the shared SRAM, in blocks of 32 × 32 × 32:",
        "prof", 32, "--state llc", None,
    ),
    (
        "Twice the block's sides: twice the multiply-adds for each byte, and the multipliers are busy.",
        "prof", 64, "--state llc", "units",
    ),
    (
        "The first load of one hart, instruction by instruction:",
        "run", 64, "--no-check --trace=text --trace-hart 0.B --trace-limit 500", "tail",
    ),
)  # fmt: skip


def command(name: str, block: int, options: str) -> str:
    """The command line of a step, in lines of a page."""
    signature = ",".join(["*fp16"] * 3 + ["i32"] * 9 + [str(block)] * 3 + ["8", "ACTIVATION=''"])
    grid = (SIZE // block) ** 2
    return (
        f"mtiac {name} tools/kernels/matmul.py::matmul_kernel --grid {grid} {options} \\\n"
        f'    --signature "{signature}" \\\n'
        f"    {_POINTERS} \\\n    {_NUMBERS}"
    )


def output(line: str, until: str | None) -> str:
    """What a command prints, up to the table with a title, or a few instructions around the first DMA command."""
    from mtia.tools import cli

    text = io.StringIO()
    with redirect_stdout(text):
        if code := cli.main(shlex.split(line.replace("\\\n", " "))[1:]):
            raise RuntimeError(f"`{line}` ended with {code}")
    lines = [row.rstrip() for row in text.getvalue().splitlines()]
    if until == "tail":
        first = next(place for place, row in enumerate(lines) if "xm.dma.in" in row)
        lines = lines[first - 4 : first + 8]
    elif until is not None:
        lines = lines[: next(place for place, row in enumerate(lines) if row.strip() == until)]
    return "\n".join(row if len(row) <= WIDTH else row[: WIDTH - 2] + " …" for row in lines)


def example() -> str:
    """The example in Markdown."""
    parts = []
    for said, name, block, options, until in SHOWN:
        line = command(name, block, options)
        parts.append(f"{said}\n\n```sh\n{line}\n```\n\n```\n{output(line, until)}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write the example into the page, between its two marks."""
    text = PAGE.read_text()
    before, rest = text.split(FIRST)
    PAGE.write_text(f"{before}{FIRST}\n\n{example()}\n{LAST}{rest.split(LAST)[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
