"""Operands of unit commands as the numpy statements see them, and refusing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import Cause, DType, Form, Space
from mtia.tools.verify.xmtia_values import Array

__all__ = ["Operand", "Refused", "Result", "Statement", "need"]


class Refused(Exception):
    """The operands are forbidden; `cause` is the trap's."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.name)
        self.cause = cause


@dataclass
class Operand:
    """An operand: its elements' bits, of a destination the old ones; an immediate has one element.

    A global operand has sizes, valid ranges (by dimension) and no elements.
    """

    dtype: DType
    raw: Array
    form: Form = Form.LOCAL
    space: Space = Space.LS
    flags: int = 0
    seed: int = 0
    sizes: Sequence[int] = ()
    valid: Sequence[tuple[int, int]] = field(default=())

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.raw.shape
        return rows, cols


Result = Array | tuple[Array, Array]
Statement = Callable[[Chip, Sequence[Operand]], Result]


def need(condition: bool, cause: Cause) -> None:
    """Refuse when a condition fails."""
    if not condition:
        raise Refused(cause)
