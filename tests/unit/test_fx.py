"""Models from torch.export to PE executables on the machine, against torch node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtia.compiler.frontends.fx import import_program, load_program, to_numpy
from mtia.compiler.frontends.fx_dims import dims_of_inputs
from mtia.compiler.model import compile_imported, compile_model
from mtia.compiler.options import Options
from mtia.compiler.passes.spread_views import Affine, Dim, delinearize, refine
from mtia.isa.errors import UserError
from mtia.isa.plan import CompiledModel, Plan
from mtia.runtime.device import Device
from mtia.runtime.model import LoadedModel

torch = pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]


from mtia.tools.models import make  # noqa: E402

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Unit roundoff; sums are in fp32, so the length of a reduction counts in fp32 roundoffs.
ROUND = {"fp32": 2.0**-24, "fp16": 2.0**-11, "bf16": 2.0**-8}


def compare(model: Any, inputs: tuple[Any, ...], dtype: str, chip: str = "mtia200", terms: int = 512) -> Plan:
    """Every stored node of the graph within `4 · (roundoff + √terms · 2⁻²⁴)` of torch, relative to its largest value.

    `terms` bounds the reduction lengths; the factor 4 covers the operators between two stored nodes.
    """
    program = torch.export.export(model, inputs)
    imported = import_program(program)
    compiled = compile_imported(imported, Options(target=chip))
    run = LoadedModel(Device(chip), compiled)(*[to_numpy(value) for value in inputs], keep_layers=True)
    expected = nodes(imported, inputs)
    tolerance = 4 * (ROUND[dtype] + terms**0.5 * ROUND["fp32"])
    for name, got in run.layers.items():
        check(name, got, expected[name], tolerance)
    with torch.no_grad():
        outputs = model(*inputs)
    for got, want in zip(run.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
        check("result", got, want, tolerance)
    return compiled.plan


def check(name: str, got: Any, tensor: Any, tolerance: float) -> None:
    want = to_numpy(tensor).astype(np.float64)
    have = got.reshape(want.shape).astype(np.float64)
    finite = np.isfinite(want)
    assert np.array_equal(have[~finite], want[~finite], equal_nan=True), name
    scale = max(1.0, np.abs(want[finite]).max(initial=0))
    assert np.abs(have - want)[finite].max(initial=0) <= tolerance * scale, name


def nodes(imported: Any, inputs: tuple[Any, ...]) -> dict[str, Any]:
    """The value of every node of the imported graph, by torch's interpreter."""
    found: dict[str, Any] = {}

    class Recorder(torch.fx.Interpreter):  # type: ignore[misc, name-defined]
        def run_node(self, node: Any) -> Any:
            found[node.name] = super().run_node(node)
            return found[node.name]

    feed = iter(inputs)
    pairs = zip(imported.kinds, imported.names, strict=True)
    arguments = [next(feed) if kind == "input" else imported.tensors[name] for kind, name in pairs]
    with torch.no_grad():
        Recorder(imported.program.graph_module).run(*arguments)
    return {name: value[0] if isinstance(value, tuple) else value for name, value in found.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer", "resnet"])
def test_models_match_torch_node_by_node(name: str, dtype: str) -> None:
    model, value = make(name, DTYPES[dtype])
    plan = compare(model, (value,), dtype)
    macs = sum(call.macs for call in plan.phases)
    engine = sum(call.engine_macs for call in plan.phases)
    assert engine == 0 if dtype == "fp32" else engine >= 0.9 * macs
    assert Plan.from_json(plan.to_json()) == plan


OPERATORS: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
    "softmax": (lambda x: torch.softmax(x, -1), [(5, 33)]),
    "log_softmax of columns": (lambda x: torch.log_softmax(x, 0), [(7, 19)]),
    "mean": (lambda x: x.mean((1, 2)), [(3, 5, 7)]),
    "sum of all": (lambda x: x.sum(), [(37, 11)]),
    "amax": (lambda x: x.amax(0), [(13, 70)]),
    "argmax": (lambda x: x.argmax(1), [(6, 31)]),
    "transpose": (lambda x: x.transpose(0, 2) + 1, [(3, 4, 5)]),
    "flatten of transpose": (lambda x: x.transpose(1, 2).reshape(3, -1) * 2, [(3, 4, 5)]),
    "concatenation": (lambda x, y: torch.cat([x, y], 1), [(3, 4), (3, 6)]),
    "slice": (lambda x: x[:, 1:8:2] * x[:, :4], [(5, 9)]),
    "pad": (lambda x: torch.nn.functional.pad(x, (1, 2), value=3.0) + 1, [(4, 6)]),
    "broadcast": (lambda x, y: x * y + y, [(4, 1, 6), (5, 1)]),
    "average pool": (lambda x: torch.nn.functional.avg_pool2d(x, 2), [(2, 3, 6, 6)]),
    "padded max pool": (lambda x: torch.nn.functional.max_pool2d(x, 3, 2, 1), [(2, 3, 9, 9)]),
    "matrix times vector": (lambda x, y: x @ y, [(40, 50), (50,)]),
    "batched product": (lambda x, y: x @ y.transpose(1, 2), [(3, 17, 24), (3, 33, 24)]),
    "depthwise convolution": (
        lambda x, w: torch.nn.functional.conv2d(x, w, padding=1, groups=6),
        [(2, 6, 8, 8), (6, 1, 3, 3)],
    ),
    "5×5 dilated convolution": (
        lambda x, w: torch.nn.functional.conv2d(x, w, padding=4, dilation=2),
        [(2, 3, 12, 12), (5, 3, 5, 5)],
    ),
    "transposed convolution": (
        lambda x, w: torch.nn.functional.conv_transpose2d(x, w, stride=2),
        [(1, 4, 5, 5), (4, 3, 2, 2)],
    ),
    "1-d convolution": (lambda x, w: torch.nn.functional.conv1d(x, w, stride=2), [(2, 4, 21), (6, 4, 3)]),
    "gelu": (lambda x: torch.nn.functional.gelu(x), [(9, 17)]),
    "large product": (lambda x, y: x @ y, [(150, 300), (300, 130)]),
}


class Wrap(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_match_torch(name: str) -> None:
    function, shapes = OPERATORS[name]
    torch.manual_seed(1)
    compare(Wrap(function), tuple(torch.randn(shape) for shape in shapes), "fp32")


@pytest.mark.parametrize("activation", [torch.nn.Softplus(), torch.nn.Mish(), torch.nn.PReLU(), torch.nn.ELU()])
def test_activations_after_a_product_of_the_engine(activation: Any) -> None:
    """The product lies in the accumulators, also where its reader is a loop of the hart."""
    torch.manual_seed(4)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), activation).half()
    compare(model, (torch.randn(8, 64).half(),), "fp16")


def test_embedding_takes_the_general_path() -> None:
    torch.manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Embedding(20, 12), torch.nn.Linear(12, 5))
    compare(model, (torch.randint(0, 20, (3, 7)),), "fp32")


def test_views_become_addresses() -> None:
    rows, columns = Dim(4), Dim(6)
    flat = Affine.of(rows, 6) + Affine.of(columns)
    assert delinearize(flat, (4, 6)) == [Affine.of(rows), Affine.of(columns)]
    assert delinearize(Affine.of(Dim(24)), (4, 6)) is not None
    assert delinearize(Affine.of(rows, 5), (4, 6)) is None
    assert refine([32, 192], [2, 16, 192]) == [2, 16, 192]
    assert refine([6, 4], [4, 6]) is None


def test_a_dynamic_batch_takes_any_size_or_is_named() -> None:
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU())
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(model, (torch.randn(4, 6),), dynamic_shapes=({0: batch},))
    assert dims_of_inputs(program, [(7, 6)]) == {"batch": 7}
    for size in (7, 33):
        value = torch.randn(size, 6)
        run = LoadedModel(Device("mtia300"), compile_model(program, Options(target="mtia300"), {"batch": size}))
        check("result", run(to_numpy(value)).outputs[0], model(value), 2.0**-20)
    for sizes, message in (
        ({}, "dimension 'batch' is dynamic: give it a size with --dim batch=SIZE"),
        ({"rows": 3}, "no dynamic dimension 'rows'; dynamic dimensions: batch"),
        ({"batch": 65}, "dimension 'batch' is 65; it was exported for 2 to 64"),
    ):
        with pytest.raises(UserError, match=message):
            import_program(program, sizes)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: torch.special.i0(x), "no lowering for 'aten.i0.default'"),
        (lambda x: torch.sort(x)[0], "no lowering for graph node 'sort'"),
        (lambda x: x[x > 0], "the size of 'aten.index.Tensor' depends on values"),
        (lambda x: torch.fft.fft(x).real, "no lowering for 'aten.fft_fft.default'"),
    ],
)
def test_an_operator_without_lowering_is_named_with_its_line(function: Any, message: str) -> None:
    program = torch.export.export(Wrap(function), (torch.randn(4, 4),))
    with pytest.raises(UserError, match=message) as caught:
        compile_model(program)
    assert caught.value.file == __file__ and caught.value.line is not None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # as in programs of other tools
    with pytest.raises(UserError, match=message) as caught:
        compile_model(program)
    assert (caught.value.file, caught.value.line) == (None, None)


def test_files_that_hold_no_program(tmp_path: Path) -> None:
    good = tmp_path / "good.pt2"
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.randn(1, 2),)), good)
    assert load_program(good).graph is not None
    cut, foreign, text = tmp_path / "cut.pt2", tmp_path / "state.pt2", tmp_path / "text.pt2"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    torch.save({"weight": torch.zeros(2)}, foreign)
    text.write_text("hello")
    for file, message in (
        (tmp_path / "none.pt2", "no such file"),
        (cut, "truncated or damaged archive"),
        (foreign, "holds no exported program"),
        (text, "not a .pt2 archive"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            load_program(file)
        assert caught.value.file == str(file)


def test_a_compiled_model_survives_its_archive() -> None:
    model, value = make("mlp", torch.float16)
    compiled = compile_model(torch.export.export(model, (value,)))
    again = CompiledModel.from_bytes(compiled.to_bytes())
    assert again.plan == compiled.plan and again.programs == compiled.programs
    first, second = (LoadedModel(Device(again.target), one)(to_numpy(value)) for one in (compiled, again))
    assert np.array_equal(first.outputs[0], second.outputs[0]) and first.cycles == second.cycles
    with pytest.raises(UserError, match="damaged"):
        CompiledModel.from_bytes(compiled.to_bytes()[:-30])
    with pytest.raises(UserError, match=r"input 'pixels' has shape \(1, 64\), compiled for \(32, 64\)"):
        LoadedModel(Device(again.target), again)(np.zeros((1, 64), np.float16))
