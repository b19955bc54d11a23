"""The FX front end: an exported PyTorch program becomes linalg on tensors, through torch-mlir.

Parameters and buffers become function arguments like the inputs, so weights never pass through the compiler. Every
operation's location is `node@file:line`: the graph node it came from, for results per layer, and the user's source.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtia.compiler.frontends.fx_decompositions import decompositions
from mtia.dialects.mlir import run_passes
from mtia.dialects.mtia import MTIA
from mtia.isa.errors import UserError
from numpy.typing import NDArray

__all__ = ["Imported", "import_program", "load_program", "to_numpy"]

CLEAN = "builtin.module(canonicalize,func.func(linalg-generalize-named-ops),canonicalize,cse)"


@dataclass(frozen=True)
class Imported:
    """A model as linalg: the module, and per argument of `main` its kind (`input` or `param`) and name."""

    module: Any
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    params: Mapping[str, NDArray[Any]]
    program: Any

    @property
    def tensors(self) -> dict[str, Any]:
        """The torch tensors of the parameters, buffers and constants."""
        return {**self.program.state_dict, **self.program.constants}


def load_program(path: str | Path) -> Any:
    """The `torch.export.ExportedProgram` in a `.pt2` file; a UserError says what is wrong with the file."""
    import torch

    file = Path(path)
    if not file.is_file():
        raise UserError("no such file", str(path))
    if not zipfile.is_zipfile(file):
        what = "a truncated or damaged archive" if file.read_bytes()[:2] == b"PK" else "not a .pt2 archive"
        raise UserError(f"{what}; write it with torch.export.save(program, path)", str(path))
    try:
        return torch.export.load(file)
    except Exception as error:  # the loader raises whatever its parts raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"the archive holds no exported program: {reason}", str(path)) from error


def import_program(program: Any, dims: Mapping[str, int] | None = None) -> Imported:
    """Lower an exported program to linalg on tensors.

    `dims` gives sizes to dimensions that were exported as dynamic, by name; one without a size is a UserError.
    """
    program = _specialised(program, dict(dims or {}))
    lowered = program.run_decompositions(decompositions())
    _mark_nodes(lowered.graph)
    module = _to_linalg(lowered)
    kinds, names, params = _arguments(lowered)
    run_passes(module, CLEAN)
    return Imported(module, kinds, names, params, lowered)


def _arguments(program: Any) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]:
    """Kind and name per graph input, and the tensors that come with the program."""
    from torch.export.graph_signature import InputKind

    kinds, names, params = [], [], {}
    for spec in program.graph_signature.input_specs:
        user = spec.kind == InputKind.USER_INPUT
        name = spec.arg.name if user else spec.target
        kinds.append("input" if user else "param")
        names.append(name)
        if not user:
            table = program.constants if name in program.constants else program.state_dict
            params[name] = to_numpy(table[name])
    return tuple(kinds), tuple(names), params


def to_numpy(tensor: Any) -> NDArray[Any]:
    """The values of a CPU tensor, bfloat16 included."""
    import ml_dtypes
    import torch

    dense = tensor.detach().contiguous()
    if dense.dtype == torch.bfloat16:
        narrow: NDArray[Any] = dense.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return narrow
    array: NDArray[Any] = dense.numpy()
    return array


def _mark_nodes(graph: Any) -> None:
    """Write `node@file:line` where the importer looks for a location: the innermost user frame."""
    for node in graph.nodes:
        frames = re.findall(r'File "([^"]+)", line ([0-9]+)', node.meta.get("stack_trace") or "")
        own = [frame for frame in frames if "/site-packages/" not in frame[0] and not frame[0].startswith("<")]
        file, line = own[-1] if own else ("", "0")
        if node.op == "call_function":
            node.meta["stack_trace"] = f'File "{node.name}@{file}", line {line}, in forward'
        else:
            node.meta.pop("stack_trace", None)


def _to_linalg(program: Any) -> Any:
    from torch_mlir import ir as torch_ir
    from torch_mlir.dialects import torch as torch_dialect
    from torch_mlir.extras.fx_importer import FxImporter
    from torch_mlir.fx import OutputType, _module_lowering

    context = torch_ir.Context()
    context.enable_multithreading(False)
    torch_dialect.register_dialect(context)
    with context, torch_ir.Location.unknown():
        MTIA.load()
    importer = FxImporter(context=context)
    reports: list[Any] = []

    def note(diagnostic: Any) -> bool:
        reports.append(str(diagnostic.message))
        return True

    with context.attach_diagnostic_handler(note):
        try:
            importer.import_stateless_graph(program.graph, func_name="main")
            return _module_lowering(False, False, OutputType.LINALG_ON_TENSORS, importer.module)
        except Exception as error:  # torch-mlir raises its own and built-in errors alike
            raise _unsupported(program, reports, error) from error


def _unsupported(program: Any, reports: list[str], error: Exception) -> UserError:
    """Name the graph node that torch-mlir stopped at."""
    text = "\n".join([*reports, str(error)])
    found = re.search(r'"([A-Za-z0-9_]+)@([^"]*)":(\d+)', text) or re.search(r"'?torch\.(aten\.[\w.]+)'?", text)
    name = re.search(r"torch\.(?:aten|operator)\S*?([\w.]+)", text)
    operation = re.search(r"torch\.(?:constant\.\w+|operator|[a-z_]+(?:\.\w+)+)", text)
    what = operation.group(0).removeprefix("torch.") if operation else (name.group(1) if name else "operation")
    quoted = re.search(r"torch\.operator\"?\(?.*?\"torch\.([\w.]+)\"", text)
    what = quoted.group(1) if quoted else what
    if found and found.re.groups == 3 and found.group(2):
        return UserError(
            f"no lowering for '{what}' (graph node '{found.group(1)}')", found.group(2), int(found.group(3))
        )
    return UserError(f"no lowering for '{what}': {text.strip().splitlines()[0] if text.strip() else error!r}")


def _specialised(program: Any, dims: dict[str, int]) -> Any:
    return program
