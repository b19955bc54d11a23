"""The simulated devices of this process: `MTIA_TARGET` names the chip, `MTIA_DEVICE_COUNT` says how many there are."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from mtia.isa.errors import UserError

if TYPE_CHECKING:
    from mtia.runtime.device import Device

__all__ = ["DEFAULT_TARGET", "MOST", "count", "device", "target"]

DEFAULT_TARGET = "mtia200"
MOST = 64  # devices


def target() -> str:
    """The chip's name."""
    return os.environ.get("MTIA_TARGET") or DEFAULT_TARGET


@functools.cache
def count() -> int:
    """How many devices there are; the answer is kept."""
    text = os.environ.get("MTIA_DEVICE_COUNT") or "1"
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise UserError(f"MTIA_DEVICE_COUNT must be 1 to {MOST}, not '{text}'")
    return int(text)


@functools.cache
def device(index: int) -> Device:
    """A device, made at first use.

    Device 0's memory is mapped at the addresses that kernels see, so that a pointer is the same number on both sides.
    """
    from mtia.runtime.device import Device
    from mtia.runtime.machine.memory import DRAM_BASE

    if not 0 <= index < count():
        raise UserError(f"there is no device {index}; MTIA_DEVICE_COUNT is {count()}")
    return Device(target(), map_at=DRAM_BASE if index == 0 else None)
