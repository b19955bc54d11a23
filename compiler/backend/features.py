"""What LLVM is told about the harts: triple, data layout and feature strings, kept in this one place."""

from __future__ import annotations

from enum import Enum

__all__ = ["ABI", "CPU", "DATA_LAYOUT", "TRIPLE", "VLEN", "VSCALE", "Hart", "feature_string"]

TRIPLE = "riscv64-unknown-elf"
CPU = "generic-rv64"
ABI = "lp64d"
DATA_LAYOUT = "e-m:e-p:64:64-i64:64-i128:128-n32:64-S128"  # LLVM's own for riscv64
VLEN = 512  # bits; the vector unit is 64 bytes wide (hardware.md section 2.2)
VSCALE = VLEN // 64

_SCALAR = ("m", "a", "f", "d", "c", "zfh", "zfbfmin", "zba", "zbb", "zbs")
_VECTOR = ("v", "zvfh", "zvfbfmin", "zvfbfwma", "zvl512b")
_PORTABLE_SCALAR = ("m", "a", "f", "d", "c", "zfh")
_PORTABLE = (*_PORTABLE_SCALAR, "v", "zvl512b")


class Hart(Enum):
    """A kind of hart code is generated for."""

    SCALAR = "scalar"  # no vector unit: hart A of MTIA 200
    VECTOR = "vector"
    PORTABLE = "portable"  # RV64GCV and Zfh only: runs compiled kernels elsewhere, for example under qemu
    PORTABLE_SCALAR = "portable scalar"  # the same without V


_FEATURES = {
    Hart.SCALAR: _SCALAR,
    Hart.VECTOR: _SCALAR + _VECTOR,
    Hart.PORTABLE: _PORTABLE,
    Hart.PORTABLE_SCALAR: _PORTABLE_SCALAR,
}


def feature_string(hart: Hart) -> str:
    """The LLVM feature string of a hart kind, such as `+m,+a,…`; unaligned vector access is off, as on the machine."""
    return ",".join(f"+{name}" for name in _FEATURES[hart])
