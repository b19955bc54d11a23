"""The options of a compilation: frozen; with the chip file the only thing besides the source that changes output."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cached_property
from typing import Any

from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError

__all__ = ["PRECISIONS", "Options"]

PRECISIONS = ("ieee",)  # a kernel asks for a lower one itself: input_precision of tl.dot


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may choose; the defaults are the ones every figure is measured with."""

    target: str = "mtia200"  # a known chip, or the path of a chip file
    num_stages: int = 2  # iterations of a loop whose DMA may be in flight
    cb_multiplier: int = 1  # multiplies the slots of every circular buffer inside a loop
    use_dual_core: bool = True  # programs interleaved over both harts of a PE
    precision: str = "ieee"  # of fp32 matrix products
    enable_fp_fusion: bool = True  # an fp32 product that is only added to rounds once with the sum, as on GPUs
    hart_only: bool = False  # no unit instructions, no Zvfh, no bf16: any RV64GCV with Zfh
    level: int = 2  # of LLVM, 0 to 3
    overlapping: tuple[tuple[int, ...], ...] = ()  # groups of pointer arguments, by number, that may share memory

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(f"precision '{self.precision}' is not one of those supported: {', '.join(PRECISIONS)}")
        for name, low, high in (("num_stages", 1, 16), ("cb_multiplier", 1, 16), ("level", 0, 3)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} is {value}, must be {low} to {high}")

    @cached_property
    def chip(self) -> Chip:
        """The numbers of the target chip."""
        return load_chip(self.target)

    @cached_property
    def key(self) -> str:
        """Hash of all fields and of the chip's numbers."""
        return hashlib.sha256(f"{self!r} {self.chip.key()}".encode()).hexdigest()

    @classmethod
    def of(cls, values: dict[str, Any]) -> Options:
        """Options from a mapping that may hold other keys too."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names and value is not None})
