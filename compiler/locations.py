"""From MLIR locations to the user's file, line and column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mtia.dialects.mlir import ir

__all__ = ["place_of"]


def _files(location: Any) -> Iterable[Any]:
    """File positions of a location, the innermost call first."""
    if isinstance(location, ir.FileLineColLoc):
        yield location
    elif isinstance(location, ir.NameLoc):
        yield from _files(location.child_loc)
    elif isinstance(location, ir.CallSiteLoc):
        yield from _files(location.callee)
        yield from _files(location.caller)
    elif isinstance(location, ir.FusedLoc):
        for part in location.locations:
            yield from _files(part)


def place_of(location: Any) -> tuple[str | None, int | None, int | None]:
    """File, line and column of the user's code: the innermost position outside Triton's own library."""
    positions = list(_files(location))
    own = [position for position in positions if "/triton/language/" not in position.filename]
    for position in (own or positions)[:1]:
        return position.filename, position.start_line, position.start_col
    return None, None, None
