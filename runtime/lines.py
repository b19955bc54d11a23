"""What must hold of a `.debug_line` section before a general reader takes it: counts that fit the section."""

from __future__ import annotations

__all__ = ["plausible"]

# Bytes of the forms that have a fixed size (DWARF 5, 7.5.6).
_BYTES = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16, 0x0E: 4, 0x1F: 4, 0x17: 4}
_STRING, _UDATA, _BLOCK = 0x08, 0x0F, 0x09


class _Reader:
    """Reads along a section; past its end it raises IndexError."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def skip(self, form: int) -> None:
        """Pass over one value."""
        if form == _STRING:
            self.at = self.data.index(b"\0", self.at) + 1
        elif form == _UDATA:
            self.uleb()
        elif form == _BLOCK:
            self.at += self.uleb()
        else:
            self.at += _BYTES[form]


def plausible(section: bytes) -> bool:
    """Whether the tables of folders and files in every header end inside the section.

    A header of version 5 counts its entries; with an empty entry format a reader would go on for as long as it says.
    """
    at = 0
    try:
        while at < len(section):
            length = int.from_bytes(section[at : at + 4], "little")
            if at + 4 + length > len(section) or length < 4:
                return False
            if int.from_bytes(section[at + 4 : at + 6], "little") == 5:
                _tables(section, at)
            at += 4 + length
    except (IndexError, KeyError, ValueError):
        return False
    return True


def _tables(section: bytes, start: int) -> None:
    """Pass over the tables of a header of version 5; ValueError if a count cannot be right."""
    opcode_base = section[start + 17]
    reader = _Reader(section, start + 18 + max(opcode_base - 1, 0))
    for _ in ("folders", "files"):
        formats = [(reader.uleb(), reader.uleb())[1] for _ in range(reader.byte())]
        count = reader.uleb()
        if count > len(section) or count and not formats:
            raise ValueError("count")
        for _ in range(count):
            for form in formats:
                reader.skip(form)
