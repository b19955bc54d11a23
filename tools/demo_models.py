"""The models of the demo: trained digits classifiers through `mtiac compile`, and graphs with random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["rows", "train_digits"]

BATCH = 256  # 1,797 images are seven batches of 256 and one of 5


def train_digits(name: str, epochs: int) -> tuple[Any, Any, Any]:
    """Train a digits model on scikit-learn's 1,797 images; returns (model, images (1797, 64), labels)."""
    import torch
    from mtia.tools.models import MODELS
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.tensor(data.data, dtype=torch.float32) / 16
    labels = torch.tensor(data.target)
    torch.manual_seed(0)
    model = MODELS[name][0]()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(images)).split(128):
            loss = torch.nn.functional.cross_entropy(model(images[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval(), images, labels


def _compiled(program: Any, target: str, folder: str) -> Any:
    """Save a program as .pt2 and compile it as a user does, with `mtiac compile`."""
    import torch
    from mtia.isa.plan import CompiledModel
    from mtia.tools.cli import main

    source, output = Path(folder) / "model.pt2", Path(folder) / "model.mtia"
    torch.export.save(program, source)
    if main(["compile", str(source), "--target", target, "-o", str(output)]) != 0:
        raise RuntimeError("mtiac compile failed; its message is above")
    return CompiledModel.load(output)


def _share(plan: Any) -> float:
    """The share of multiply-accumulates that run on the matrix engine."""
    return float(sum(call.engine_macs for call in plan.phases) / max(1, sum(call.macs for call in plan.phases)))


def _row(name: str, shape: str, dtype: str, target: str, **rest: Any) -> dict[str, Any]:
    return {"what": name, "shape": shape, "dtype": dtype, "target": target, **rest}


def _digits(name: str, epochs: int, dtype: str, target: str) -> dict[str, Any]:
    import numpy as np
    import torch
    from mtia.compiler.frontends.fx import import_program, to_numpy
    from mtia.runtime.device import Device
    from mtia.runtime.model import LoadedModel
    from mtia.tools.layers import compare_layers, machine_values, node_values, tolerance

    model, images, labels = train_digits(name, epochs)
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    model, images = model.to(kind), images.to(kind)
    device = Device(target)
    predictions, wanted, cycles = [], [], []
    wrong: list[str] = []
    worst, share, time_us = 0.0, 0.0, 0.0
    bound = tolerance(dtype, 288)  # the longest sum: 32 channels of 3×3
    for batch in sorted({BATCH, len(images) % BATCH}, reverse=True):
        program = torch.export.export(model, (images[:batch],))
        with tempfile.TemporaryDirectory(prefix="mtiac-demo-") as folder:
            compiled = _compiled(program, target, folder)
        share = _share(compiled.plan)
        loaded, imported = LoadedModel(device, compiled), import_program(program)
        whole = len(images) // BATCH * BATCH
        for part in (images[:whole] if batch == BATCH else images[whole:]).split(batch):
            run = loaded(to_numpy(part), keep_layers=True)
            error, bad = compare_layers(machine_values(run), node_values(imported, (part,)), bound)
            worst, wrong = max(worst, error), wrong + bad
            predictions.append(run.outputs[0].astype(np.float32).argmax(1))
            with torch.no_grad():
                wanted.append(to_numpy(model(part)).astype(np.float32).argmax(1))
            if batch == BATCH:
                cycles.append(run.cycles)
                time_us = run.time_us
        loaded.free()
    got, want = np.concatenate(predictions), np.concatenate(wanted)
    same = int((got == want).sum())
    correct = int((got == labels.numpy()).sum())
    return _row(
        f"digits {name}", f"{len(images)} images", dtype, target, ok=not wrong and same == len(images),
        max_error=worst, cycles=int(np.mean(cycles)), time_us=round(time_us, 2), roof=f"batch of {BATCH}",
        percent=None, dpe_share=round(share, 3), note=f"{same} predictions as torch, {correct} correct",
    )  # fmt: skip


def _random(name: str, dtype: str, target: str) -> dict[str, Any]:
    import torch
    from mtia.compiler.frontends.fx import import_program, to_numpy
    from mtia.runtime.device import Device
    from mtia.runtime.model import LoadedModel
    from mtia.tools.layers import compare_layers, machine_values, node_values, tolerance
    from mtia.tools.models import make

    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    model, value = make(name, kind)
    program = torch.export.export(model, (value,))
    with tempfile.TemporaryDirectory(prefix="mtiac-demo-") as folder:
        compiled = _compiled(program, target, folder)
    run = LoadedModel(Device(target), compiled)(to_numpy(value), keep_layers=True)
    worst, wrong = compare_layers(
        machine_values(run), node_values(import_program(program), (value,)), tolerance(dtype, 512)
    )  # the longest sum: 512 of the MLP's second layer
    return _row(
        name, "x".join(map(str, value.shape)), dtype, target, ok=not wrong, max_error=worst, cycles=run.cycles,
        time_us=round(run.time_us, 2), roof=f"{len(run.layers)} layers", percent=None,
        dpe_share=round(_share(compiled.plan), 3), note="beyond tolerance: " + ", ".join(wrong) if wrong else "",
    )  # fmt: skip


def rows(target: str) -> Iterator[dict[str, Any]]:
    """Every model in fp32 and in a 16-bit type; one row each."""
    for name, epochs, half in (("mlp", 30, "bf16"), ("cnn", 15, "fp16")):
        for dtype in ("fp32", half):
            yield _digits(name, epochs, dtype, target)
    for name, half in (("transformer", "bf16"), ("resnet", "fp16")):
        for dtype in ("fp32", half):
            yield _random(name, dtype, target)
