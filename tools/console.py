"""The console that commands print tables on."""

from __future__ import annotations

import rich.console

__all__ = ["Console"]


class Console(rich.console.Console):
    """Rich's console; a reader who has gone (`| head`) is left to the command line, which ends quietly."""

    def on_broken_pipe(self) -> None:
        """Called in the handler of the error."""
        raise BrokenPipeError
