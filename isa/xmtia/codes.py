"""The numbers that Xmtia words and registers carry: element types, units, forms, flags and trap causes."""

from __future__ import annotations

import enum

__all__ = ["Cause", "DType", "Flag", "Form", "Info", "Space", "Unit"]


class DType(enum.IntEnum):
    """Element types; the code is 8 bits. Codes 32 and up are block formats (32 elements share an E8M0 scale)."""

    F32 = 0
    F16 = 1
    BF16 = 2
    TF32 = 3  # stored as f32; a reader drops 13 bits of mantissa, to nearest even
    F64 = 4  # moved by DMA and MLU only
    E4M3 = 5  # OFP8: no infinity, NaN is S.1111.111
    E5M2 = 6
    I8 = 8
    U8 = 9
    I16 = 10
    U16 = 11
    I32 = 12
    U32 = 13
    I64 = 14
    U64 = 15
    MXFP8_E4M3 = 32
    MXFP8_E5M2 = 33
    MXFP6_E3M2 = 34
    MXFP6_E2M3 = 35
    MXFP4 = 36
    MXINT8 = 37

    @property
    def bytes(self) -> int:
        """Bytes of one element; 0 for block formats, which no unit of the present chips takes."""
        return _BYTES.get(self, 0)

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self < DType.I8 or self >= DType.MXFP8_E4M3


_BYTES = {
    DType.F32: 4, DType.F16: 2, DType.BF16: 2, DType.TF32: 4, DType.F64: 8, DType.E4M3: 1, DType.E5M2: 1,
    DType.I8: 1, DType.U8: 1, DType.I16: 2, DType.U16: 2, DType.I32: 4, DType.U32: 4, DType.I64: 8, DType.U64: 8,
}  # fmt: skip


class Unit(enum.IntEnum):
    """Units that commands run on; bit n of `xm.wait`'s mask is unit n."""

    FI_IN = 0
    FI_OUT = 1
    MLU = 2
    DPE = 3
    RE = 4
    SE = 5


class Space(enum.IntEnum):
    """What a circular buffer lies in."""

    LS = 0
    RE = 1


class Form(enum.IntEnum):
    """What a tile register describes."""

    LOCAL = 0
    IMMEDIATE = 1
    GLOBAL = 2


class Flag(enum.IntFlag):
    """Flags of a tile register."""

    STOCHASTIC = 1  # conversions into this operand round stochastically instead of to nearest even


class Cause(enum.IntEnum):
    """Trap causes of Xmtia (the RISC-V custom range); `tval` holds the command word."""

    SHAPE = 48  # the operands' shapes do not fit together
    TYPE = 49  # the unit does not take this element type on this chip
    SPACE = 50  # an operand must lie in RE, or must not
    INDEX = 51  # a gather index is outside the source
    FORM = 52  # a tile register has the wrong form
    BOUNDS = 53  # an operand reaches outside its circular-buffer slot or memory
    BUFFER = 54  # circular-buffer misuse
    DEADLOCK = 55  # every hart and unit waits
    ALIGN = 56  # a DMA address is not aligned as the chip needs
    UNWRITTEN = 57  # local memory or an accumulator is read where nothing has been written
    RACE = 58  # two accesses to the same local bytes, at least one a write, and neither waits for the other
    OUTSIDE = 59  # device memory outside every buffer
    DEPENDS = 60  # a run without values comes to a point where values matter


class Info(enum.IntEnum):
    """What `xm.rdinfo rd, k` reads."""

    RANK = 0  # PE rank in the launch
    CORE = 1  # 0 = A, 1 = B
    PES = 2  # PEs of the launch
    CORES = 3  # harts taking part per PE
    ROW = 4  # this PE's row in the launch's rectangle
    COL = 5
    ROWS = 6  # the launch's rectangle
    COLS = 7
    CYCLE = 8
