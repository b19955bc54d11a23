"""What `mtiac compile` and `mtiac run` do with a model: a .pt2 of torch.export, or a .mtia archive made from one."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools import files

__all__ = ["compile_file", "dims_of", "prepare", "run_file"]


def dims_of(texts: Sequence[str]) -> dict[str, int]:
    """`--dim NAME=SIZE` as a mapping."""
    made = {}
    for text in texts:
        name, _, size = text.partition("=")
        if not size.isdigit() or int(size) < 1:
            raise UserError(f"--dim '{text}': write NAME=SIZE, as batch=32")
        made[name] = int(size)
    return made


def compile_file(arguments: argparse.Namespace, source: files.Source) -> int:
    """Compile a .pt2 to a .mtia archive, or print a stage of all its kernels."""
    from mtia.compiler.frontends.fx import load_program
    from mtia.compiler.model import compile_model, model_text

    start = time.perf_counter()
    options, dims = files.options_from(arguments), dims_of(arguments.dim)
    program = load_program(source.path)
    if arguments.emit != "elf":
        files.write_output(model_text(program, arguments.emit, options, dims), arguments.output)
        return 0
    model = compile_model(program, options, dims)
    output = arguments.output or f"{source.path.stem}.mtia"
    data = model.to_bytes()
    files.write_output(data, output)
    macs = sum(call.macs for call in model.plan.phases)
    on_dpe = sum(call.engine_macs for call in model.plan.phases)
    row = {
        "stage": "elf", "output": output, "bytes": len(data), "seconds": round(time.perf_counter() - start, 3),
        "target": model.target, "launches": len(model.plan.phases), "kernels": len(model.programs), "macs": macs,
        "dpe_share": round(on_dpe / macs, 4) if macs else 0.0,
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(row))
    elif arguments.output != "-":
        print(f"wrote {output}: {row['launches']} launches of {row['kernels']} kernels in {row['seconds']} s; "
              f"{macs} MACs, {100 * row['dpe_share']:.1f} % on the DPE")  # fmt: skip
    return 0


def _inputs(arguments: argparse.Namespace, plan: Any) -> list[Any]:
    """The inputs in order: given with --arg, random otherwise."""
    import numpy as np
    from mtia.isa.plan import numpy_type
    from mtia.tools.arrays import make_argument

    specs = [plan.tensors[number] for number in plan.inputs]
    given = {}
    for place, text in enumerate(arguments.args):
        name = text.partition("=")[0]
        if name not in {spec.name for spec in specs}:
            raise UserError(f"--arg {text}: the model's inputs are {', '.join(spec.name for spec in specs)}")
        given[name] = make_argument(text, np.random.default_rng([arguments.seed, place]))
    made = []
    for place, spec in enumerate(specs):
        value = given.get(spec.name)
        if value is None:
            rng = np.random.default_rng([arguments.seed, len(arguments.args) + place])
            value = rng.standard_normal(spec.shape).astype(numpy_type(spec.dtype))
        if tuple(value.shape) != spec.shape or value.dtype != numpy_type(spec.dtype):
            wanted = f"{'x'.join(map(str, spec.shape))} of {spec.dtype}"
            raise UserError(f"--arg {spec.name}: the model wants {wanted}, this is {value.shape} of {value.dtype}")
        made.append(value)
    return made


def prepare(arguments: argparse.Namespace, source: files.Source) -> tuple[Any, Any, list[Any]]:
    """The compiled model, the imported program when there is one (.pt2), and the inputs."""
    from mtia.isa.plan import CompiledModel

    options = files.options_from(arguments)
    imported = None
    if source.kind == "pt2":
        from mtia.compiler.frontends.fx import import_program, load_program
        from mtia.compiler.model import compile_imported

        imported = import_program(load_program(source.path), dims_of(arguments.dim))
        model = compile_imported(imported, options)
    else:
        model = CompiledModel.load(source.path)
        if arguments.target not in (None, model.target):
            raise UserError(f"compiled for {model.target}, not {arguments.target}; compile it again", str(source.path))
    return model, imported, _inputs(arguments, model.plan)


def run_file(arguments: argparse.Namespace, source: files.Source) -> int:
    """Run a model on the machine; a .pt2 is compiled first and checked against torch, layer by layer."""
    from mtia.runtime.checks import all_but
    from mtia.runtime.device import Device
    from mtia.runtime.model import LoadedModel

    model, imported, inputs = prepare(arguments, source)
    check = imported is not None and not arguments.no_check and not arguments.no_values
    device = Device(model.target)
    run = LoadedModel(device, model)(
        *inputs,
        keep_layers=check,
        state=arguments.state,
        interpreter=arguments.interpreter,
        strict=all_but(arguments.allow),
        values=not arguments.no_values,
    )
    worst: float | None = None
    wrong: list[str] = []
    checked = "unchecked (no torch program in an archive)"
    if check:
        from mtia.tools.layers import compare_layers, machine_values, node_values, tolerance

        expected = node_values(imported, [_torch(value) for value in inputs])
        names = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}
        dtype = names.get(model.plan.tensors[model.plan.inputs[0]].dtype, "fp32")
        longest = max((max(spec.shape, default=1) for spec in model.plan.tensors), default=1)
        worst, wrong = compare_layers(machine_values(run), expected, tolerance(dtype, longest))
        checked = f"torch (layers: {len(run.layers)}, outputs: {len(run.outputs)})"
    ok = None if not check else not wrong
    row = {
        "kernel": source.path.stem, "target": model.target, "ok": ok, "checked": checked, "max_error": worst,
        "wrong": wrong, "cycles": run.cycles, "time_us": round(run.time_us, 3), "launches": len(run.launches),
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(row))
    else:
        _print(row, run, model.plan)
    return 1 if wrong else 0


def _torch(value: Any) -> Any:
    import numpy as np
    import torch

    if value.dtype.name == "bfloat16":
        return torch.from_numpy(value.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(value)


def _print(row: dict[str, Any], run: Any, plan: Any) -> None:
    from mtia.runtime.counters import roofline
    from mtia.tools.console import Console
    from rich.table import Table

    table = Table("layer", "kernel", "programs", "cycles", "bound by", "%")
    for call, result in zip(plan.phases, run.launches, strict=True):
        roof, percent = roofline(result)
        table.add_row(call.node or "", call.kernel, str(call.grid), str(result.cycles), roof, f"{percent:.1f}")
    console = Console(highlight=False)
    console.print(table)
    verdict = {None: "", True: "[green]ok[/], ", False: f"[red]WRONG[/] in {', '.join(row['wrong'])}, "}[row["ok"]]
    error = "" if row["max_error"] is None else f", max error {row['max_error']:.3g} of a layer's largest value"
    console.print(f"check        {verdict}{row['checked']}{error}")
    place = f"{row['time_us']:.2f} µs on {row['target']}, {row['launches']} launches"
    console.print(f"cycles       {row['cycles']}  ({place})")
