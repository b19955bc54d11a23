"""Which Xmtia commands the compiler emits, against the manual's list of those without a compiler user yet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mtia.compiler.model import model_text
from mtia.isa import table
from mtia.tools.models import make

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")

import kernel_cases  # noqa: E402

CHAPTER = Path(table.__file__).parent / "chapters" / "50-unused.md"


UNARY = "abs ceil floor cos sin log log2 neg relu tanh sigmoid round reciprocal square exp2 erf sqrt rsqrt exp".split()
BINARY = "maximum minimum fmax fmin pow".split()
COMPARED = "lt gt eq ne le ge".split()


class Functions(torch.nn.Module):  # type: ignore[misc, name-defined]
    """One result for each of many torch functions of two matrices."""

    def forward(self, x: Any, y: Any) -> Any:
        less, positive = x < y, x > 0
        masks = [less & positive, less | positive, less ^ positive, ~less, *(getattr(torch, n)(x, y) for n in COMPARED)]
        return (
            *(getattr(torch, name)(x) for name in UNARY),
            *(getattr(torch, name)(x, y) for name in BINARY),
            *(torch.where(mask, x, y) for mask in masks),
            *(getattr(torch, name)(x, dim=dim) for name in ("amax", "amin", "sum") for dim in (0, 1)),
            torch.cat([x, y], 1), x.t() + 0, torch.nn.functional.pad(x, (1, 1)), x.triu(), x.clamp(0, 1),
        )  # fmt: skip


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our driver, and a cache of its own."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    before = triton.runtime.driver._active
    triton.runtime.driver.set_active(MtiaDriver())
    yield
    triton.runtime.driver._active = before


def test_the_manual_lists_the_commands_that_no_program_here_uses(driver: Any) -> None:
    texts = [case.run()[0].asm["pe"] for case in kernel_cases.small_cases().values()]
    programs = [make(name, torch.float16) for name in ("mlp", "cnn", "transformer")]
    programs.append((Functions(), (torch.rand(64, 64), torch.rand(64, 64))))
    for model, value in programs:
        inputs = value if isinstance(value, tuple) else (value,)
        texts.append(model_text(torch.export.export(model, inputs), "pe"))
    emitted = {name.replace("_", ".") for text in texts for name in re.findall(r'"pe\.(\w+)"', text)}
    rows = [row.syntax.split()[0] for row in table.all() if row.extension.name.startswith("Xmtia")]
    unused = sorted({name for name in rows if name.removeprefix("xm.") not in emitted})
    text = CHAPTER.read_text()
    wanted = f"{len(unused)} of the {len(set(rows))} Xmtia commands"
    assert re.findall(r"`(xm\.[\w.]+)`", text) == unused and wanted in text, f"{wanted}: {unused}"
