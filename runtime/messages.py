"""What kernels say while they run: records of `tl.device_print` and `tl.device_assert`, read after the launch.

`compiler/passes/convert_tt_to_linalg_messages.py` says what a record is.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
from mtia.runtime.device import Buffer, Device
from mtia.runtime.faults import Trap

__all__ = ["ASSERT", "Messages", "asserted"]

ASSERT = "ASSERT"
CAPACITY = 1 << 20  # 64-bit words (defined); what does not fit is counted
HEADER = 2
AXES = 3
_FLOATS: dict[str, Any] = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
    "f8E4M3FN": ml_dtypes.float8_e4m3fn, "f8E5M2": ml_dtypes.float8_e5m2,
}  # fmt: skip
_POINTER_BITS = 64


class Messages:
    """The records of one launch, in a buffer of the device."""

    def __init__(self, device: Device, described: str) -> None:
        self.device = device
        self.kinds: list[dict[str, Any]] = json.loads(described)
        words = np.zeros(CAPACITY, np.uint64)
        words[:HEADER] = HEADER, CAPACITY
        self.buffer: Buffer = device.copy_in(words.view(np.uint8))

    def read(self) -> tuple[list[str], str | None, tuple[str | None, int | None]]:
        """Printed lines, what the first failed assertion says, and its file and line; the buffer is given back."""
        words = self.device.view(self.buffer).view(np.uint64)
        lines: list[str] = []
        failed: str | None = None
        place: tuple[str | None, int | None] = (None, None)
        at, end = HEADER, int(words[0])
        while at < min(end, CAPACITY):
            kind = self.kinds[int(words[at])]
            size = _size(kind)
            if at + size > CAPACITY:
                break
            program, values = (
                tuple(int(word) for word in words[at + 1 : at + 1 + AXES]),
                words[at + 1 + AXES : at + size],
            )
            if kind["kind"] == "print":
                lines += _printed(kind, program, values)
            elif failed is None:
                failed, place = _failed(kind, program, int(values[0])), (kind["file"], kind["line"])
            at += size
        if end > CAPACITY:
            lines.append(f"device_print: {(end - at) * 8} bytes of messages did not fit into {CAPACITY * 8}")
        self.device.free(self.buffer)
        return lines, failed, place


def asserted(trap: Trap | None, failed: str | None, place: tuple[str | None, int | None]) -> Trap | None:
    """The trap of a launch in which an assertion has failed says so."""
    if trap is None or failed is None:
        return trap
    return replace(trap, cause=ASSERT, message=failed, file=place[0], line=place[1], pe=None)


def _size(kind: Mapping[str, Any]) -> int:
    if kind["kind"] == "assert":
        return 1 + AXES + 1
    return 1 + AXES + sum(int(math.prod(shape)) for shape, _, _ in kind["operands"])


def _failed(kind: Mapping[str, Any], program: Sequence[int], element: int) -> str:
    where = f", element {tuple(int(i) for i in np.unravel_index(element, kind['shape']))}" if kind["shape"] else ""
    return f"device-side assert triggered: {kind['text'] or 'no message'} (program {tuple(program)}{where})"


def _printed(kind: Mapping[str, Any], program: Sequence[int], values: Any) -> Iterator[str]:
    """A line for each element, as Triton prints them on other targets."""
    head = f"pid ({', '.join(map(str, program))})"
    operands = kind["operands"]
    if not operands:
        yield f"{head}{kind['text']}"
    at = 0
    for number, (shape, type_, signed) in enumerate(operands):
        which = f"(operand {number}) " if len(operands) > 1 else ""
        widths = [len(str(extent)) for extent in shape]
        for place in itertools.product(*map(range, shape)):
            index = ", ".join(f"{i:{width}}" for i, width in zip(place, widths, strict=True))
            text = _text(int(values[at]), type_, signed, kind["hex"])
            yield f"{head} idx ({index}){kind['text']}{which}{text}"
            at += 1


def _text(word: int, type_: str, signed: bool, hexadecimal: bool) -> str:
    """A value as C's printf writes it."""
    bits = _POINTER_BITS if type_ == "ptr" else int(type_.lstrip("bfi").partition("E")[0])
    if type_ == "ptr" or hexadecimal:
        return f"0x{word:0{-(-bits // 4)}x}"
    if type_ in _FLOATS:
        raw = word.to_bytes(8, "little")[: bits // 8]
        return f"{float(np.frombuffer(raw, _FLOATS[type_])[0]):f}"
    return str(word - (1 << bits) if signed and bits > 1 and word >> bits - 1 else word)
