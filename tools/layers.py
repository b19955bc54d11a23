"""Comparing a model's layers on the machine with torch, graph node by graph node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mtia.tools.checking import UNIT_ROUNDOFF

__all__ = ["compare_layers", "machine_values", "node_values", "tolerance"]


def node_values(imported: Any, inputs: Sequence[Any]) -> dict[str, Any]:
    """The value of every node of an imported graph (`mtia.compiler.frontends.fx.Imported`), by torch's interpreter.

    The program's results are there too, as `output 0`, …
    """
    import torch

    found: dict[str, Any] = {}

    class Recorder(torch.fx.Interpreter):  # type: ignore[misc, name-defined, unused-ignore]
        def run_node(self, node: Any) -> Any:
            found[node.name] = super().run_node(node)
            return found[node.name]

    feed = iter(inputs)
    pairs = zip(imported.kinds, imported.names, strict=True)
    arguments = [next(feed) if kind == "input" else imported.tensors[name] for kind, name in pairs]
    with torch.no_grad():
        results = Recorder(imported.program.graph_module).run(*arguments)
    values = {name: value[0] if isinstance(value, tuple) else value for name, value in found.items()}
    return values | {f"output {place}": value for place, value in enumerate(results)}


def machine_values(run: Any) -> dict[str, Any]:
    """What a run on the machine made, by the names of `node_values`: the layers it kept and the model's outputs."""
    return {**run.layers} | {f"output {place}": value for place, value in enumerate(run.outputs)}


def tolerance(dtype: str, terms: int) -> float:
    """Bound on an error relative to the largest value of a tensor.

    One rounding to the type, and the random walk √terms of fp32 roundings in a sum of that many terms; the factor 4
    covers the operators between two stored nodes.
    """
    return float(4 * (UNIT_ROUNDOFF[dtype] + terms**0.5 * UNIT_ROUNDOFF["fp32"]))


def compare_layers(layers: Mapping[str, Any], expected: Mapping[str, Any], bound: float) -> tuple[float, list[str]]:
    """The worst error relative to its tensor's largest value, and the names of the nodes beyond `bound`."""
    import numpy as np
    from mtia.compiler.frontends.fx import to_numpy

    worst, wrong = 0.0, []
    for name, got in layers.items():
        want = to_numpy(expected[name]).astype(np.float64)
        have = got.reshape(want.shape).astype(np.float64)
        finite = np.isfinite(want)
        scale = max(1.0, float(np.abs(want[finite]).max(initial=0)))
        error = float(np.abs(have[finite] - want[finite]).max(initial=0)) / scale
        worst = max(worst, error)
        if error > bound or not np.array_equal(have[~finite], want[~finite], equal_nan=True):
            wrong.append(name)
    return worst, wrong
