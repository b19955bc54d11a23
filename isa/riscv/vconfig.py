# mypy: disable-error-code="valid-type, no-any-return, operator"
"""V: vector configuration."""

from __future__ import annotations

from mtia.isa.lang import Fn, Ptr, fn, select, u32, u64
from mtia.isa.state import DUMP, OK, VLENB, Hart, Insn
from mtia.isa.table import extension

row = extension("V", "Vectors of 512 bits in 32 registers. Tail and masked-off elements keep their values.")


@fn
def refuse(h: Ptr[Hart]) -> None:
    """Set vill."""
    h.vtype = u64(1) << 63
    h.vsew = 0
    h.vlmul8 = 8
    h.vlmax = 0


@fn
def configure(h: Ptr[Hart], vtype: u64) -> None:
    """Set vtype and what follows from it; an unsupported one sets vill and vl = 0."""
    if vtype == h.vtype and h.vsew != 0:
        return
    lmul = vtype & 7
    sew = vtype >> 3 & 7
    eighths = u32(8) << u32(lmul)
    if lmul > 4:
        eighths = u32(8) >> u32(8 - lmul)
    vlmax = u64(eighths) * (VLENB // 8) >> sew
    # the fractional limit: an element must fit into LMUL · 64 bits
    if lmul == 4 or sew > 3 or vtype >> 8 != 0 or eighths < u32(1) << u32(sew):
        refuse(h)
        return
    h.vtype = vtype
    h.vsew = u32(1) << u32(sew)
    h.vlmul8 = eighths
    h.vlmax = vlmax


def _set(vtype_register: bool, length_immediate: bool) -> Fn:
    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        vtype = u64(i.imm)
        if vtype_register:
            vtype = h.x[i.rs2]
        wanted = u64(i.rs1)
        if not length_immediate:
            wanted = h.x[i.rs1]
            if i.rs1 == 0:
                wanted = select(i.rd == DUMP, h.vl, ~u64(0))
        before = h.vlmax
        configure(h, vtype)
        if not length_immediate:
            if i.rs1 == 0 and i.rd == DUMP and h.vlmax != before:
                refuse(h)
        h.vl = wanted
        if h.vl > h.vlmax:
            h.vl = h.vlmax
        h.vstart = 0
        h.x[i.rd] = h.vl
        return OK

    return meaning


_TEXT = (
    "Set element width, group size and vl = min({0}, VLMAX); x[rd] = vl. An unsupported setting sets vill and vl = 0."
)
_KEEP = " x0 as rs1 asks for VLMAX, or keeps vl when rd is x0 too: then a VLMAX that changes sets vill."
row(
    "vsetvli rd, rs1, vsew, vlmul, vta, vma", "0000 vma vta vsew vlmul rs1 111 rd 1010111",
    _TEXT.format("x[rs1]") + _KEEP, timing="vset", meaning=_set(False, False),
)  # fmt: skip
row(
    "vsetivli rd, zimm, vsew, vlmul, vta, vma", "1100 vma vta vsew vlmul zimm 111 rd 1010111",
    _TEXT.format("zimm"), timing="vset", meaning=_set(False, True),
)  # fmt: skip
row(
    "vsetvl rd, rs1, rs2", "1000000 rs2 rs1 111 rd 1010111", _TEXT.format("x[rs1]") + " The setting is x[rs2]." + _KEEP,
    timing="vset", meaning=_set(True, False),
)  # fmt: skip

# Reserved settings have their own rows: the operands of the others have names for the defined values only.
_RESERVED = "A reserved setting: sets vill and vl = 0; x[rd] = 0."
row(
    "vsetvli.raw rd, rs1, uimm", "0 uimm[10:0] rs1 111 rd 1010111", _RESERVED, timing="vset", rest=True,
    meaning=_set(False, False),
)  # fmt: skip
row(
    "vsetivli.raw rd, zimm, uimm", "11 uimm[9:0] zimm 111 rd 1010111", _RESERVED, timing="vset", rest=True,
    meaning=_set(False, True),
)  # fmt: skip
