"""The FX front end: an exported PyTorch program becomes linalg on tensors, through torch-mlir.

Parameters and buffers become function arguments like the inputs, so weights never pass through the compiler. Every
operation's location is `node@file:line`: the graph node it came from, for results per layer, and the user's source.
"""

from __future__ import annotations

import logging
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtia.compiler.frontends.fx_decompositions import decompositions
from mtia.compiler.frontends.fx_dims import sized
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
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL)  # the loader logs the traceback of what becomes our one message
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's, about its own unpickling
            return torch.export.load(file)
    except Exception as error:  # the loader raises whatever its parts raise
        raise UserError("the archive holds no exported program; write it with torch.export.save", str(path)) from error
    finally:
        log.setLevel(level)


def import_program(program: Any, dims: Mapping[str, int] | None = None) -> Imported:
    """Lower an exported program to linalg on tensors.

    `dims` gives sizes to dimensions that were exported as dynamic, by name; one without a size is a UserError.
    """
    with sized(program, dims or {}), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, about its own copying
        lowered = program.run_decompositions(decompositions())
    _mark_nodes(lowered.graph)
    _check_sizes(lowered.graph)
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
    """Write `node@file:line` where the importer looks for a location: the innermost user frame.

    A node with several results is `node[]`, for an operation of it does not say which one it makes.
    """
    for node in graph.nodes:
        frames = re.findall(r'File "([^"]+)", line ([0-9]+)', node.meta.get("stack_trace") or "")
        own = [frame for frame in frames if "/site-packages/" not in frame[0] and not frame[0].startswith("<")]
        file, line = (own or frames or [("", "0")])[-1]  # a model made of library modules has no frame of its own
        if node.op == "call_function":
            parts = isinstance(node.meta.get("val"), tuple | list)
            first = parts and all(user.args[1:] == (0,) for user in node.users)
            name = f"{node.name}[]" if parts and not first else node.name
            node.meta["stack_trace"] = f'File "{name}@{file}", line {line}, in forward'
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
    places: list[str] = []

    def note(diagnostic: Any) -> bool:
        places.append(str(diagnostic.location))
        return True

    with context.attach_diagnostic_handler(note):
        try:
            importer.import_stateless_graph(program.graph, func_name="main")
            return _module_lowering(False, False, OutputType.LINALG_ON_TENSORS, importer.module)
        except Exception as error:  # torch-mlir raises its own and built-in errors alike
            raise _unsupported(program, places, error) from error


def _unsupported(program: Any, places: list[str], error: Exception) -> UserError:
    """Name the graph node that torch-mlir stopped at."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "call_function"}
    stopped = [match for place in places for match in re.findall(r'"([A-Za-z0-9_]+)(?:\[\])?@([^"]*)":(\d+)', place)]
    known = next(((nodes[name], file, int(line)) for name, file, line in stopped if name in nodes), None)
    if known is not None:
        node, file, line = known
        return UserError(f"no lowering for '{node.target}' (graph node '{node.name}')", file or None, line or None)
    plain = [node for node in nodes.values() if getattr(node.target, "__module__", "") != "_operator"]
    foreign = next((node for node in plain if not hasattr(node.target, "overloadpacket")), None)
    if foreign is not None:
        return _node_error(foreign, f"no lowering for '{foreign.target}' (graph node '{foreign.name}')")
    return UserError(f"the program cannot be imported: {str(error).strip().splitlines()[0]}")


def _node_error(node: Any, message: str) -> UserError:
    """A UserError at the source line of a graph node."""
    place = re.search(r'File "[^"@]*@([^"]*)", line (\d+)', node.meta.get("stack_trace") or "")
    file, line = (place.group(1), int(place.group(2))) if place and place.group(1) else (None, None)
    return UserError(message, file, line)


def _check_sizes(graph: Any) -> None:
    """Refuse a node whose size depends on the values of its operands."""
    for node in [node for node in graph.nodes if node.op == "call_function"]:
        value = node.meta.get("val")
        values = value if isinstance(value, tuple | list) else [value]
        for part in values:
            sizes = getattr(part, "shape", ()) if not isinstance(part, int | float) else ()
            if any(not isinstance(size, int) for size in sizes):
                raise _node_error(node, f"the size of '{node.target}' depends on values; no lowering for that yet")
