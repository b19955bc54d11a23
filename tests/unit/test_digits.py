"""All 1,797 digits through one export with a dynamic batch: whole batches and the short one at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtia.compiler.frontends.fx import import_program, load_program, to_numpy
from mtia.compiler.model import compile_imported
from mtia.compiler.options import Options
from mtia.runtime.device import Device
from mtia.runtime.model import LoadedModel
from mtia.tools import cli
from mtia.tools.layers import compare_layers, machine_values, node_values, tolerance

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

BATCH = 256
LONGEST = {"mlp": 128, "cnn": 16 * 9}  # terms of the longest sum


@pytest.fixture(scope="module", params=["mlp", "cnn"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(name, .pt2 with a dynamic batch, images, labels, torch's predictions) of a model trained for two epochs."""
    from mtia.tools.demo_models import train_digits

    model, images, labels = train_digits(request.param, 2)
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(model, (images[:BATCH],), dynamic_shapes=({0: batch},))
    path = tmp_path_factory.mktemp("digits") / f"{request.param}.pt2"
    torch.export.save(program, path)
    with torch.no_grad():
        return request.param, path, images, labels, model(images).argmax(1).numpy()


@pytest.mark.parametrize("chip", ["mtia200", "mtia300"])
def test_every_image_as_torch(trained: Any, chip: str) -> None:
    name, path, images, labels, wanted = trained
    assert len(images) == 1797 and len(images) % BATCH == 5
    device, program = Device(chip), load_program(path)
    loaded, imported = {}, {}
    for size in (BATCH, len(images) % BATCH):
        imported[size] = import_program(program, {"pixels.0": size})
        loaded[size] = LoadedModel(device, compile_imported(imported[size], Options(chip)))
    predictions: list[Any] = []
    cycles: list[int] = []
    for part in images.split(BATCH):
        checked = len(cycles) in (0, 7)  # the layers of one whole batch and of the short one
        run = loaded[len(part)](to_numpy(part), keep_layers=checked)
        if checked:
            expected = node_values(imported[len(part)], (part,))
            made = machine_values(run)
            _, wrong = compare_layers(made, expected, tolerance("fp32", LONGEST[name]))
            assert not wrong and len(made) >= 3 and "output 0" in made
        predictions.append(run.outputs[0].argmax(1))
        cycles.append(run.cycles)
    assert [len(part) for part in predictions] == [BATCH] * 7 + [5]
    assert np.array_equal(np.concatenate(predictions), wanted)
    assert (wanted == labels.numpy()).mean() > 0.5  # it did learn
    assert len(set(cycles[:7])) == 1  # the same work takes the same time


def test_the_size_is_asked_for_by_name(trained: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, path, *_ = trained
    output = tmp_path / "model.mtia"
    assert cli.main(["compile", str(path), "-o", str(output)]) == 2
    message = capfd.readouterr().err
    # A saved program has lost the name that `Dim` gave: its dimensions are called after input and axis.
    assert message == "error: dimension 'pixels.0' is dynamic: give it a size with --dim pixels.0=SIZE\n"
    assert cli.main(["compile", str(path), "--dim", "rows=7", "-o", str(output)]) == 2
    assert "rows" in capfd.readouterr().err
    assert not output.exists()
    assert cli.main(["compile", str(path), "--dim", "pixels.0=7", "-o", str(output)]) == 0
