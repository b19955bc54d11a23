"""The timing rules of the harts, stated once for both interpreters; in words they are a chapter of the manual.

An instruction issues when the one before has issued and what it reads is ready. Here are a row's latency, how the
elements of a vector instruction go through the datapath, and so when the registers of a group are read and written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from mtia.isa import table
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError
from mtia.isa.lang import Ptr, fn, u32, u64
from mtia.isa.state import VLENB, Hart, Insn

__all__ = [
    "PERMUTED", "TIMINGS", "Groups", "Rate", "clocks", "divider_of", "element_width", "group_needed", "group_written",
    "groups_of", "is_dense", "is_vector", "pace", "timing_of",
]  # fmt: skip

FIXED = 1 << 8  # in `Insn.occupancy`: the rate counts elements whatever SEW is
FIELDS_SHIFT, FACTOR_SHIFT = 9, 16  # there: fields of a segment; clocks of one datapath width
PERMUTED = 63  # as a pace: every element is needed at the start

_RELATIVE = 11  # element widths: log2 of the bytes below 8, else log2 relative to SEW and this number
_LOG2_VLENB = VLENB.bit_length() - 1


class Rate(Enum):
    """How long an instruction keeps the next one from issuing."""

    ONE = "one cycle"
    BYTES = "vl elements of the element width at the datapath's width a cycle"
    DIVIDE = "the same, each datapath width for `v_div_rate` cycles"


# Timing class of a row -> the chip's latency (a number where it is not the chip's to say) and the rate.
TIMINGS: dict[str, tuple[str | int, Rate]] = {
    "alu": ("alu", Rate.ONE), "mul": ("mul", Rate.ONE), "div": ("div", Rate.ONE), "load": ("load", Rate.ONE),
    "store": (1, Rate.ONE), "amo": ("load", Rate.ONE), "csr": ("csr", Rate.ONE), "fence": (1, Rate.ONE),
    "system": (1, Rate.ONE), "fadd": ("fp_add", Rate.ONE), "fmul": ("fp_mul", Rate.ONE), "fma": ("fp_fma", Rate.ONE),
    "fdiv": ("fp_div", Rate.ONE), "fsqrt": ("fp_sqrt", Rate.ONE), "fcvt": ("fp_cvt", Rate.ONE),
    "fmove": ("fp_move", Rate.ONE), "vset": ("v_set", Rate.ONE),
    "valu": ("v_alu", Rate.BYTES), "vmask": ("v_alu", Rate.BYTES), "vmul": ("v_mul", Rate.BYTES),
    "vmac": ("v_mul", Rate.BYTES), "vdiv": ("v_div", Rate.DIVIDE), "vfadd": ("v_fp", Rate.BYTES),
    "vfmul": ("v_fp", Rate.BYTES), "vfma": ("v_fp", Rate.BYTES), "vfcvt": ("v_fp", Rate.BYTES),
    "vfdiv": ("v_div", Rate.DIVIDE), "vred": ("v_reduce", Rate.BYTES), "vfred": ("v_reduce", Rate.BYTES),
    "vperm": ("v_permute", Rate.BYTES), "vtoscalar": ("v_permute", Rate.BYTES), "vload": ("v_load", Rate.BYTES),
    "vstore": (1, Rate.BYTES),
}  # fmt: skip

# Which of `Hart.free` an instruction occupies until its result is ready.
DIVIDERS = {"div": 0, "fdiv": 1, "fsqrt": 1}


@dataclass(frozen=True)
class Groups:
    """A row's vector operands: field of `Insn`, element width and number of groups; fields of single registers."""

    reads: tuple[tuple[str, int, int], ...]
    writes: tuple[tuple[str, int, int], ...]
    read_singles: tuple[str, ...]
    write_singles: tuple[str, ...]
    masked: bool  # bit 25 says whether v0 is read
    permuted: bool  # a result may need any element of the sources
    registers: int  # of a whole-register access, else 0
    fields: int  # of a segment

    @property
    def lonely(self) -> bool:
        """Whether there is no group: masks and single elements."""
        return not self.reads and not self.writes


def is_vector(row: table.Instruction) -> bool:
    """Whether a row belongs to the vector unit."""
    return row.timing.startswith("v")


def divider_of(row: table.Instruction) -> int:
    """The divider that a scalar row occupies, as its place in `Hart.free`; -1 = none."""
    return DIVIDERS.get(row.timing, -1)


def _made_of(row: table.Instruction) -> dict[str, Any]:
    found: dict[str, Any] = getattr(row.meaning, "made_of", {})
    return found


@cache
def groups_of(row: table.Instruction) -> Groups:
    """What a vector row's meaning was made of says about its operands (`shapes` as in `isa/riscv/vlegal.py`)."""
    made_of = _made_of(row)
    shapes = dict(zip(("rd", "rs2", "rs1"), made_of.get("shapes", (0, 0, 0)), strict=True))
    widths = made_of.get("widths", {})
    registers = int(made_of.get("registers", 0))

    def width(slot: str) -> int | None:
        shape = shapes[slot]
        if registers:
            return 0
        if slot in widths or shape == -4:  # INDEX16
            return int(widths.get(slot, 2)).bit_length() - 1
        if shape <= 0:
            return None
        return _RELATIVE + (int(shape).bit_length() - 1 if shape >= 1 else 1 - int(1 / shape).bit_length())

    vectors = [o for o in row.operands if o.kind.name == "v"]
    found = {o.slot: width(o.slot) for o in vectors}
    reads, writes = [o.slot for o in vectors if o.reads], [o.slot for o in vectors if o.writes]

    fields = (row.match >> 29) + 1 if widths else 1

    def groups(slots: list[str]) -> tuple[tuple[str, int, int], ...]:
        return tuple((s, wide, fields if s == "rd" else 1) for s in slots if (wide := found[s]) is not None)

    return Groups(
        groups(reads), groups(writes), tuple(s for s in reads if found[s] is None),
        tuple(s for s in writes if found[s] is None), any(o.kind.name == "vm" for o in row.operands),
        row.timing == "vperm", registers, fields,
    )  # fmt: skip


def timing_of(chip: Chip, row: table.Instruction) -> tuple[int, int]:
    """Latency in cycles and `Insn.occupancy` of a row; of a branch or jump, the cycles when taken."""
    hart = chip.hart
    if row.timing in ("branch", "jump"):
        return 1 + hart.branch_taken, 0
    if row.unit != "hart":
        return 0, 0
    latency, rate = TIMINGS[row.timing]
    cycles = latency if isinstance(latency, int) else int(getattr(hart, latency))
    if rate is Rate.ONE:
        return cycles, 0
    groups = groups_of(row)
    wide = hart.vector_datapath_bits // 8
    data = [width for _, width, _ in groups.reads + groups.writes]
    if groups.fields > 1 or (row.timing in ("vload", "vstore") and not {"rs2", "vs2"}.isdisjoint(row.by_name)):
        return cycles, _pack(hart.v_element_rate, True, groups.fields)
    if data and data[0] < 8:
        return cycles, _pack(wide >> data[0], True)
    widest = max(w - _RELATIVE for w in [_RELATIVE, *data] if w >= 8)
    return cycles, _pack(wide >> widest, False, 1, hart.v_div_rate if rate is Rate.DIVIDE else 1)


def _pack(rate: int, fixed: bool, fields: int = 1, factor: int = 1) -> int:
    if rate & (rate - 1):
        raise UserError(f"the hart's vector rates must be powers of two, not {rate}")
    return (rate.bit_length() - 1) | (FIXED if fixed else 0) | fields << FIELDS_SHIFT | factor << FACTOR_SHIFT


def is_dense(chip: Chip, occupancy: int) -> bool:
    """Whether whole groups take one register a clock, as the dense handlers have it."""
    return chip.hart.vector_datapath_bits == 8 * VLENB and occupancy >> FIELDS_SHIFT == (1 << 7 | 1)


@fn
def pace(h: Ptr[Hart], i: Ptr[Insn]) -> u64:
    """Log2 of the elements that enter the datapath in a clock."""
    rate = u64(i.occupancy & 63)
    if i.occupancy & FIXED != 0:
        return rate
    return max(rate, u64(h.v_shift & 7)) - u64(h.v_shift & 7)


@fn
def element_width(h: Ptr[Hart], width: u32) -> u64:
    """Log2 of the bytes of an operand's elements."""
    if width < 8:
        return u64(width)
    return u64(max((h.v_shift & 7) + width, u32(_RELATIVE)) - _RELATIVE)


@fn
def clocks(i: Ptr[Insn], rate: u64, elements: u64) -> u64:
    """Clocks until so many elements have entered the datapath."""
    work = elements * u64(i.occupancy >> FIELDS_SHIFT & 15)
    return ((work + (u64(1) << rate) - 1) >> rate) * u64(i.occupancy >> FACTOR_SHIFT)


@fn
def field_distance(h: Ptr[Hart], width: u64) -> u64:
    """Registers from one field of a segment to the next."""
    return max(u64(h.vlmul8) << width >> u64(h.v_shift & 7) >> 3, u64(1))


@fn(inline="never")
def groups_needed(
    h: Ptr[Hart], i: Ptr[Insn], first: u32, parts: u64, width: u64, rate: u64, elements: u64, at: u64
) -> u64:
    """As `group_needed`, for several registers."""
    count = ((elements << width) + VLENB - 1) >> _LOG2_VLENB
    fields = u64(i.occupancy >> FIELDS_SHIFT & 15)
    apart = field_distance(h, width)
    for part in range(parts):
        for k in range(count):
            behind = ((k << (_LOG2_VLENB - width)) * fields >> rate) * u64(i.occupancy >> FACTOR_SHIFT)
            at = max(at + behind, h.ready_v[(u64(first) + part * apart + k) & 31]) - behind
    return at


@fn
def group_needed(
    h: Ptr[Hart], i: Ptr[Insn], first: u32, parts: u64, width: u64, rate: u64, elements: u64, at: u64
) -> u64:
    """When an instruction may issue that reads a group: each register is ready when its first element enters.

    `parts` is how many groups there are: the fields of a stored segment.
    """
    if parts == 1 and elements != 0 and elements << width <= VLENB:
        return max(at, h.ready_v[first])
    return groups_needed(h, i, first, parts, width, rate, elements, at)


@fn(inline="never")
def group_written(h: Ptr[Hart], i: Ptr[Insn], first: u32, width: u64, rate: u64, elements: u64, ready: u64) -> None:
    """Note when a group's registers are ready: a latency after the clock in which their last element enters."""
    count = ((elements << width) + VLENB - 1) >> _LOG2_VLENB
    apart = field_distance(h, width)
    for field in range(u64(i.occupancy >> FIELDS_SHIFT & 15)):
        for k in range(count):
            last = min((k + 1) << (_LOG2_VLENB - width), elements)
            h.ready_v[(u64(first) + field * apart + k) & 31] = ready + clocks(i, rate, last) - 1
