"""Reservations of load-reserved: what breaks them outside a hart's own stores (see `isa/state.py`)."""

from __future__ import annotations

from mtia.isa.lang import Ptr, addr, fn, u32, u64
from mtia.isa.state import GRANULE, Hart

from .state import HARTS, Machine, Pe

__all__ = ["break_external", "break_local"]


@fn
def break_local(pe: Ptr[Pe]) -> None:
    """A unit has written local memory: no reservation of the PE's harts there outlives it (defined)."""
    for n in range(u32(0), u32(HARTS)):
        h = pe.harts[n].hart
        if h.reservation_valid != 0 and h.reservation - h.ls_base < h.ls_size:
            h.reservation_valid = 0


@fn(inline="never")
def break_all(m: Ptr[Machine], low: u64, size: u64, by: u64) -> None:
    """Break what a write touches; note when no reservation outside local memory is left."""
    left = u64(0)
    for p in range(u32(0), m.pes):
        pe = addr(m.pe[p])
        for n in range(u32(0), u32(HARTS)):
            h = pe.harts[n].hart
            if h.reservation_valid != 0 and h.reservation - h.ls_base >= h.ls_size:
                granule = h.reservation & ~u64(GRANULE - 1)
                if u64(h) != by and low < granule + GRANULE and granule < low + size:
                    h.reservation_valid = 0
                else:
                    left = u64(1)
    m.reservations = left


@fn
def break_external(m: Ptr[Machine], low: u64, size: u64, by: Ptr[Hart]) -> None:
    """A hart (0: a unit) writes memory outside local memory: other harts lose their reservations there."""
    if m.reservations != 0:
        break_all(m, low, size, u64(by))
