"""What qemu 7.2 (Debian's) does not know or does wrong, each with the upstream change that brought or repaired it.

The campaign leaves exactly these cases out and counts what it left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from mtia.isa.table import Instruction

__all__ = ["CPU", "FLOATS", "QUIRKS", "UNKNOWN", "Quirk", "TRAP_QUIRKS", "TWO_WIDTHS", "TrapQuirk", "quirk_of"]

CPU = (
    "rv64,v=true,vlen=512,elen=64,vext_spec=v1.0,zba=true,zbb=true,zbs=true,zbc=false,Zfh=true,Zicsr=true,Zifencei=true"
)
FLOATS = (32, 64)  # element widths of vector floats that qemu 7.2 has: Zvfh came later

# Extensions without a counterpart in qemu 7.2.
UNKNOWN = {
    "Zicond": "qemu 7.2 does not know the extension",
    "Zfbfmin": "qemu 7.2 does not know the extension",
    "Zvfbfmin": "qemu 7.2 does not know the extension",
    "Zvfbfwma": "qemu 7.2 does not know the extension",
}


@dataclass(frozen=True)
class Quirk:
    """One fault of qemu: the rows and the case it touches, and the upstream commit that repairs it.

    `case` says when: `always`, or for instance `vstart`: only a start at a later element is wrong.
    """

    name: str
    text: str
    commit: str
    rows: str  # a pattern of the names
    case: str = "always"


QUIRKS: tuple[Quirk, ...] = (
    Quirk("wfi", "refuses it in user mode, as the privileged specification allows", "no fault", "wfi"),
    Quirk(
        "rtz", "aborts (an assertion) while it translates one unless the instruction before it rounds by frm, as here",
        "3ceeb19a53e5", r"vf[wn]?cvt\.rtz\..*", "no rounding instruction before it",
    ),
    Quirk("vslideup", "leaves vstart as it was", "d3646e31ce6d", r"vslideup\..*", "vstart"),
    Quirk("scalar moves", "leaves vstart as it was", "0848f7c18ef5", r"v(mv\.(s\.x|x\.s)|fmv\.(s\.f|f\.s))", "vstart"),
    Quirk(
        "whole registers", "leaves a vstart behind the last element as it was", "929e521a47b7, 7e53e3ddf6df",
        r"v(l|s|mv)\dr.*", "past the end",
    ),
    Quirk(
        "fault-only-first", "does not notice the new vl before a jump or a CSR access, which therefore follows",
        "b5092b3db233", r"vl(seg\d)?e\d+ff\.v", "no CSR access after it",
    ),
    Quirk("ctzw", "counts on in the upper half", "5fc0fc8788e0", r"ctzw", "low word zero"),
)  # fmt: skip


@cache
def quirk_of(row: Instruction, case: str = "always") -> Quirk | None:
    """The fault that keeps a row out of a case."""
    return next((quirk for quirk in QUIRKS if quirk.case == case and re.fullmatch(quirk.rows, row.name)), None)


@dataclass(frozen=True)
class TrapQuirk:
    """A kind of instruction of which qemu and we rightly, or by qemu's fault, think differently."""

    name: str
    text: str
    commit: str
    rows: str  # a pattern of our names; "" is a word that we call illegal
    theirs: tuple[int, ...]  # signals of qemu; 0 is none
    ours: tuple[int, ...]
    mask: int = 0  # bits of the word that must be `match`
    match: int = 0

    def covers(self, name: str, word: int, theirs: int, ours: int) -> bool:
        """Whether a case is of the kind."""
        same = theirs in self.theirs and ours in self.ours and word & self.mask == self.match
        return same and re.fullmatch(self.rows, name) is not None


_NONE, _ILLEGAL, _MISALIGNED, _MEMORY = (0,), (4,), (7,), (11,)
TWO_WIDTHS = "one register read at two widths"
TRAP_QUIRKS: tuple[TrapQuirk, ...] = (
    TrapQuirk(
        "unknown", "extensions that qemu 7.2 does not know", "later versions do",
        r"czero\..*|fcvt\.(s\.bf16|bf16\.s)|vf(wcvt|ncvt|wmacc)bf16.*", _ILLEGAL, (0, 4, 11),
    ),
    TrapQuirk("wfi", "qemu refuses it in user mode, as the specification allows", "no fault", r"wfi", _ILLEGAL, _NONE),
    TrapQuirk(
        "sc", "qemu does not look at the alignment of a store-conditional that fails anyway", "no change found",
        r"sc\..*", _NONE, _MISALIGNED,
    ),
    TrapQuirk(
        TWO_WIDTHS, "qemu does not notice that a register is read with two element widths, the mask's among them",
        "3e8d1e4a628b, 629c2a8dd750, fbeaf3583876, fda68acb7761 and the rest of that series", r"v.*", (0, 11), _ILLEGAL,
    ),
    TrapQuirk(
        "unmasked", "qemu ignores the mask bit of operations between masks, where 0 is reserved", "8539a1244bf2", "",
        _NONE, _ILLEGAL, 0xE200707F, 0x60002057,
    ),
    TrapQuirk(
        "unmasked", "qemu ignores the mask bit of vcompress, where 0 is reserved", "8539a1244bf2", "",
        _NONE, _ILLEGAL, 0xFE00707F, 0x5C002057,
    ),
    TrapQuirk("vill", "qemu copies whole registers in spite of vill", "4eff52cd463e", r"vmv\dr\.v", _NONE, _ILLEGAL),
)  # fmt: skip
