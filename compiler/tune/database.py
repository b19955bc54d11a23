"""Tuned results kept on disk: one JSON file per kernel, shape and chip in the user's data folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import platformdirs

__all__ = ["Database"]


class Database:
    """Results by key; a folder that cannot be written keeps nothing and breaks nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(platformdirs.user_data_dir("mtiac", appauthor=False)) / "tuned"

    @staticmethod
    def key(source: str, arguments: Mapping[str, Any], chip: str) -> str:
        """Key of a kernel's TTIR-independent source text, its argument shapes and types, and the chip's hash."""
        return hashlib.sha256(json.dumps([source, dict(arguments), chip], sort_keys=True).encode()).hexdigest()[:32]

    def load(self, key: str) -> dict[str, Any] | None:
        """The stored result, or None."""
        try:
            return cast("dict[str, Any]", json.loads((self.folder / f"{key}.json").read_text()))
        except (OSError, ValueError):
            return None

    def store(self, key: str, result: Mapping[str, Any]) -> bool:
        """Write a result whole or not at all; False where the folder cannot be written."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            with os.fdopen(handle, "w") as file:
                json.dump(dict(result), file, indent=1)
            os.replace(name, self.folder / f"{key}.json")
            return True
        return False
