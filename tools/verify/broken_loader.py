"""Child process of `mtiac verify broken --loader`: atheris on the loader, the line table and the decoder."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["mtia.isa.elf", "mtia.runtime.elf", "mtia.isa.decode"]):
    from mtia.isa.decode import fields, walk
    from mtia.isa.errors import UserError
    from mtia.runtime import elf


def one(data: bytes) -> None:
    """Whatever the bytes are: a program or a `UserError`."""
    try:
        program = elf.load(data)
    except UserError:
        return
    program.source(program.entry)
    program.symbol_at(program.entry)
    for _, word in walk(program.text[:512], program.text_base):
        fields(word)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
