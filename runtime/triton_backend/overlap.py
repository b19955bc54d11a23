"""Arguments of one launch that share memory: where a kernel relies on theirs being apart, it is compiled again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Variants", "overlapping"]

Groups = tuple[tuple[int, ...], ...]


def overlapping(pairs: Sequence[tuple[int, int]], values: Sequence[Any]) -> Groups:
    """Groups of arguments, by number, of which some pair lies in one storage."""
    groups: dict[int, set[int]] = {}
    for one, other in pairs:
        if other < len(values) and _storage(values[one]) == _storage(values[other]) is not None:
            joined = groups.get(one, {one}) | groups.get(other, {other})
            groups |= dict.fromkeys(joined, joined)
    return tuple(sorted({tuple(sorted(group)) for group in groups.values()}))


def _storage(value: Any) -> int | None:
    """The address of the storage that a tensor is in, None for what is none."""
    tensor: Any = value if hasattr(value, "untyped_storage") else getattr(value, "base", None)
    return int(tensor.untyped_storage().data_ptr()) if hasattr(tensor, "untyped_storage") else None


class Variants:
    """The executables of one kernel by what arguments share memory."""

    def __init__(self, source: Any, metadata: Any) -> None:
        self.source = source
        self.metadata = metadata
        self.programs: dict[Groups, Any] = {}

    def of(self, program: Any, values: Sequence[Any]) -> Any:
        """The program to launch: the given one, unless it takes arguments to be apart that are not."""
        pairs = program.apart
        groups = overlapping(pairs, values) if pairs else ()
        if not groups:
            return program
        if groups not in self.programs:
            self.programs[groups] = self._compile(groups)
        return self.programs[groups]

    def _compile(self, groups: Groups) -> Any:
        import triton
        from mtia.runtime.triton_backend.compiler import TritonOptions

        known = {name: getattr(self.metadata, name) for name in TritonOptions.__dataclass_fields__}
        kernel = triton.compile(self.source, target=self.metadata.target, options=known | {"overlapping": groups})
        kernel._init_handles()
        return kernel.function
