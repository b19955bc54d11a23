"""Floating-point literals of LLVM IR text, written as bits.

The MLIR bindings print the newest spelling (`f0x3F800000`, `+qnan`, short decimals), the LLVM that generates code reads
the older one; both agree on `0x…` (double), `0xH…` (half) and `0xR…` (bfloat).
"""

from __future__ import annotations

import re
import struct

import ml_dtypes
import numpy as np

__all__ = ["older_spelling"]

_TOKEN = re.compile(
    r"\b(?P<type>half|bfloat|float|double)\b"
    r"|(?<![\w.%@\"$-])(?P<value>f0x[0-9A-F]+|[+-](?:inf|qnan|s?nan\(0x[0-9a-f]+\))|-?\d+\.\d+(?:e[+-]\d+)?)(?![\w.])"
)
# type: total bits, mantissa bits
_LAYOUT = {"half": (16, 10), "bfloat": (16, 7), "float": (32, 23), "double": (64, 52)}


def _bits(kind: str, text: str) -> int:
    """The bits of a literal of this type."""
    total, mantissa = _LAYOUT[kind]
    if text.startswith("f0x"):
        return int(text[3:], 16)
    if text[0] in "+-" and text[1].isalpha():
        sign = int(text[0] == "-") << total - 1
        infinity = (1 << total - 1) - (1 << mantissa)
        quiet = 1 << mantissa - 1
        word, _, payload = text[1:].rstrip(")").partition("(")
        extra = {"inf": 0, "qnan": quiet, "nan": quiet, "snan": 0}[word] | (int(payload, 16) if payload else 0)
        return sign | infinity | extra
    if kind == "double":
        return int(struct.unpack("<Q", struct.pack("<d", float(text)))[0])
    small = {"half": np.float16, "bfloat": ml_dtypes.bfloat16, "float": np.float32}[kind]
    return int.from_bytes(np.array(float(text), small).tobytes(), "little")


def _double_bits(bits: int) -> int:
    """The bits of an f32 as those of the equal f64, NaN payloads kept."""
    exponent, fraction = bits >> 23 & 0xFF, bits & (1 << 23) - 1
    if exponent == 0xFF:
        return (bits >> 31) << 63 | 0x7FF << 52 | fraction << 29
    value = struct.unpack("<f", struct.pack("<I", bits))[0]
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def _spelled(kind: str, text: str) -> str:
    bits = _bits(kind, text)
    if kind == "half":
        return f"0xH{bits:04X}"
    if kind == "bfloat":
        return f"0xR{bits:04X}"
    return f"0x{bits if kind == 'double' else _double_bits(bits):016X}"


def older_spelling(text: str) -> str:
    """LLVM IR text with every floating-point literal as bits; a literal has the type named last before it."""
    kind = "double"

    def replace(match: re.Match[str]) -> str:
        nonlocal kind
        if match["type"]:
            kind = match["type"]
            return match[0]
        return _spelled(kind, match["value"])

    lines = text.split("\n")
    for place, line in enumerate(lines):
        if not line.startswith(("!", "source_filename")):
            lines[place] = _TOKEN.sub(replace, line)
    return "\n".join(lines)
