"""One kernel through every stage, as the README shows it: `python -m mtia.tools.tour` renews that part of the README.

For each stage a few lines are picked by pattern from what `mtiac compile --emit=STAGE` prints, so that the excerpts are
always real.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["FIRST", "LAST", "main", "texts", "tour"]

ROOT = Path(__file__).resolve().parents[1]
FIRST = "<!-- tour: written by python -m mtia.tools.tour -->"
LAST = "<!-- end of the tour -->"
WIDTH = 150

# stage: (what happened, patterns of the lines shown)
_SHOWN = {
    "ttir": (
        "Triton's own IR: a program handles a block of 1024 elements through tensors of pointers.",
        (r"tt.get_program_id", r"tt.make_range", r"%x_5 = tt.load", r"arith.addf", r"tt.store"),
    ),
    "tt": (
        "The same, held by our `tt` dialect in upstream MLIR.",
        (r'"tt.get_program_id"', r'%9 = "tt.load"', r"arith.addf"),
    ),
    "linalg": (
        "Pointers and masks became transfers of a range: base, stride, and how many elements are valid.",
        (r"arith.maxsi %4", r"arith.minsi %5", r"memref.reinterpret_cast %arg0", r'"mtia.dma_in"\(%reinterpret_cast,',
         r"arith.addf"),
    ),
    "fused": (
        "Elementwise work is `linalg.generic`; chains of it are one operation.",
        (r"linalg.generic", r"arith.addf", r"linalg.yield"),
    ),
    "memref": (
        "Bufferised: the sum overwrites the first operand, so the kernel needs two buffers, not three.",
        (r"%alloc = memref", r"%alloc_0 = memref", r"linalg.generic"),
    ),
    "tiles": (
        "Each operation has its engine: the SIMD engine (SE) takes the sum, the fabric interface (FI) the transfers.",
        (r'"mtia.simd_binary"', r'"mtia.dma_out"'),
    ),
    "planned": (
        "Buffers have circular buffers with several slots, and the loop over this core's programs appears: the loads of"
        " the next programs are in flight while this one is added.",
        (r"scf.for", r"%alloc = memref", r"%alloc_1 = memref", r'"mtia.cb_next"\(\) {cb = 0'),
    ),
    "pe": (
        "One operation for each instruction; tile registers are set up before the loop.",
        (r'"pe.cb_init".*cb = 0', r'"pe.td_local".*td = 0', r"scf.for", r'"pe.gd_clip".*gd = 1', r'"pe.dma_in".*gd = 1',
         r'"pe.se_add"', r'"pe.dma_out"', r'"pe.cb_next".*cb = 0'),
    ),
    "llvm": (
        "LLVM dialect; an instruction of ours is a call whose name ends in the encoded word.",
        (r"@xm.dma.in.*", r"@xm.se.add", r"@xm.dma.out"),
    ),
    "ll": (
        "LLVM IR; the calls are patch points of four bytes that keep the instruction word as their number.",
        (r"patchpoint.void\(i64 2117643",),
    ),
    "asm": (
        "The executable, disassembled: LLVM's RISC-V code with the words of Xmtia put in. This is the loop.",
        (r"xm.gd.clip td1", r"xm.dma.in td0", r"xm.gd.clip td3", r"xm.dma.in td2", r"xm.se.add", r"xm.dma.out",
         r"xm.cb.next cb0"),
    ),
}  # fmt: skip


def texts() -> dict[str, str]:
    """What `--emit` prints for each stage of the vector addition, without source locations."""
    from mtia.compiler import pipeline
    from mtia.compiler.frontends.triton_source import to_ttir
    from mtia.compiler.options import Options
    from mtia.tools.kernels.add import add_kernel

    types = {**dict.fromkeys(("x_ptr", "y_ptr", "out_ptr"), "*fp32"), "n_elements": "i32"}
    ttir = to_ttir(add_kernel, types, {"BLOCK_SIZE": 1024}, {})
    found: dict[str, str] = {}

    def keep(step: pipeline.Stage, value: object) -> None:
        text = step.text(value)
        if isinstance(text, str):
            found[step.name] = re.sub(r" loc\((?:[^()]|\([^()]*\))*\)|, !dbg !\d+", "", text)

    pipeline.run(ttir, "ttir", "asm", pipeline.Job(Options()), keep)
    return found


def tour() -> str:
    """The tour in Markdown; a pattern that no line of its stage matches is an error."""
    made = texts()
    parts = []
    for stage, (said, patterns) in _SHOWN.items():
        lines = made[stage].splitlines()
        picked = []
        for pattern in patterns:
            line = next((line for line in lines if re.search(pattern, line)), None)
            if line is None:
                raise ValueError(f"no line of stage '{stage}' matches {pattern}")
            picked.append(line if len(line) <= WIDTH else line[: WIDTH - 2] + " …")
        indent = min(len(line) - len(line.lstrip()) for line in picked)
        body = "\n".join(line[indent:] for line in picked)
        parts.append(f"**`--emit={stage}`** {said}\n\n```\n{body}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write the tour into the README, between its two marks."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    before, rest = text.split(FIRST)
    readme.write_text(f"{before}{FIRST}\n\n{tour()}\n{LAST}{rest.split(LAST)[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
