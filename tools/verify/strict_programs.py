"""Small PE programs that are known to be right or wrong, as `mtiac verify strict` runs them.

A program is assembly made of a few macros. Its wrong line ends with `# here`, in a race the access that was there first
with `# first`; a program that is right has neither.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LS", "Source", "Strict"]

LS = 0x1000_0000


@dataclass(frozen=True)
class Strict:
    """A program and what must come of it.

    `cause` is the trap's, None for a sound program; `unit` who it names (None: the hart itself); `says` parts of the
    whole message; `reads` the (bytes, padding) of each device read that is reported.
    """

    name: str
    text: str
    cause: str | None = None
    unit: str | None = None
    says: tuple[str, ...] = ()
    reads: tuple[tuple[int, bool], ...] = ()
    cores: int = 1
    pes: int = 1

    def line(self, mark: str) -> int | None:
        """The number of the line with a mark."""
        lines = self.text.splitlines()
        return next((n for n, line in enumerate(lines, 1) if line.endswith(mark)), None)


class Source:
    """Assembly text under construction; t3 to t6 are the macros' own, s0 and s1 the first two arguments."""

    def __init__(self) -> None:
        self.lines = [".globl _start_k", "_start_k:", "ld s0, 32(a0)", "ld s1, 40(a0)"]
        self._labels = 0

    def __call__(self, *lines: str) -> Source:
        """Append lines."""
        self.lines += lines
        return self

    def _set(self, **values: int) -> None:
        self.lines += [f"li {register}, {value:#x}" for register, value in values.items()]

    def cb(self, cb: int, base: int, slot_bytes: int, slots: int = 1, space: int = 0, mark: str = "") -> Source:
        """Define a circular buffer; `base` is an offset in its space."""
        self._set(t3=base | space << 32, t4=slot_bytes | slots << 32)
        return self(f"xm.cb.init cb{cb}, t3, t4{mark}")

    def tile(
        self, td: int, cb: int, rows: int, cols: int, dtype: int = 0, size: int = 4, *, offset: int = 0, side: int = 1,
        slot: int = 0, strides: tuple[int, int] | None = None,
    ) -> Source:  # fmt: skip
        """A tile register in the local form; `dtype` and `size` are the type's code and bytes."""
        rs, cs = strides or (cols * size, size)
        self._set(t3=cb | side << 8 | slot << 12 | dtype << 16, t4=offset)
        self(f"xm.td.local td{td}, t3, t4")
        self._set(t3=rows | cols << 32, t4=rs & 0xFFFFFFFF | (cs & 0xFFFFFFFF) << 32)
        return self(f"xm.td.shape td{td}, t3, t4")

    def data(
        self, td: int, rows: int, cols: int, dtype: int = 0, size: int = 4, *, base: str = "s0", offset: int = 0
    ) -> Source:
        """A tile register in the global form: dense rows from a base register on."""
        self._set(t3=offset & (1 << 64) - 1, t4=dtype | 2 << 8)
        self(f"add t3, t3, {base}", f"xm.gd.base td{td}, t3, t4")
        for k, (count, stride) in enumerate(((rows, cols * size), (cols, size))):
            self._set(t3=count, t4=stride)
            self(f"xm.gd.dim td{td}, t3, t4, {k}")
        return self

    def wait(self, mask: int = 0) -> Source:
        """Wait for units (0: all)."""
        self._set(t3=mask)
        return self("xm.wait t3")

    def delay(self, rounds: int = 1000) -> Source:
        """Let time pass without waiting for anything."""
        self._labels += 1
        self._set(t3=rounds)
        return self(f"delay{self._labels}:", "addi t3, t3, -1", f"bnez t3, delay{self._labels}")

    def at(self, offset: int) -> Source:
        """t0 = address of an offset in local memory."""
        self._set(t0=LS + offset)
        return self

    def text(self) -> str:
        """The program."""
        return "\n".join([*self.lines, "ret", ""])
