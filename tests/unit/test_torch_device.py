"""Stock PyTorch on `device="mtia"`: memory, copies, views, streams, fallbacks, Triton kernels and `torch.compile`."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")

from mtia.isa.chip import load_chip  # noqa: E402
from mtia.runtime.torch_backend import build, fallbacks, inductor_options, load, reset_fallbacks  # noqa: E402

try:
    build.build()
except build.BuildError as error:
    pytest.skip(str(error), allow_module_level=True)
load.ensure()

ROOT = Path(__file__).resolve().parents[2]
CHIP = load_chip("mtia200")
BLOCK = 256


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Fallbacks are counted, not warned about."""
    before = load.native().set_fallback_mode("quiet")
    reset_fallbacks()
    yield
    load.native().set_fallback_mode(before)


@pytest.fixture
def driver(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Our Triton driver, whatever this machine has, and caches of our own."""
    from mtia.runtime.triton_backend.driver import MtiaDriver

    for name in ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path_factory.getbasetemp() / name.lower()))
    before = triton.runtime.driver._active
    made = MtiaDriver()
    triton.runtime.driver.set_active(made)
    yield made
    triton.runtime.driver._active = before


def equal(got: Any, want: Any) -> bool:
    """Whether a device tensor has the CPU tensor's values, type and shape."""
    assert got.device.type == "mtia"
    back = got.cpu()
    return back.dtype == want.dtype and back.shape == want.shape and bool(torch.equal(back, want))


# ---- The device ----


def test_the_device_answers() -> None:
    assert torch.mtia.is_available() and torch.mtia.device_count() == 1 and torch.mtia.current_device() == 0
    assert torch.accelerator.current_accelerator().type == "mtia"
    properties = torch.mtia.get_device_properties()
    assert isinstance(properties, dict)
    assert properties["total_memory"] == 64 * 2**30  # the 64 GB variant
    assert (properties["max_grid_height"], properties["max_grid_width"]) == (8, 8)
    assert properties.multi_processor_count == 8 * 8 * 2  # Inductor reads attributes; two harts a PE
    assert torch.mtia.get_device_capability() == (2, 0)
    torch.mtia.set_device(0)
    torch.mtia.synchronize()
    with pytest.raises(RuntimeError, match="no device mtia:3; MTIA_DEVICE_COUNT is 1"):
        torch.empty(1, device="mtia:3")
    with pytest.raises(RuntimeError, match="no graph capture"):
        torch.mtia.MTIAGraph()


def test_memory_is_counted_and_kept() -> None:
    torch.mtia.init()
    torch.mtia.empty_cache()
    before = torch.mtia.memory_stats()["dram"]
    size = 10 * 2**20
    tensor = torch.empty(size, dtype=torch.uint8, device="mtia")
    assert torch.mtia.memory_allocated() == before["allocated_bytes"] + size
    place = tensor.data_ptr()
    del tensor
    after = torch.mtia.memory_stats()["dram"]
    assert after["allocated_bytes"] == before["allocated_bytes"]
    assert after["reserved_bytes"] == before["reserved_bytes"] + size
    assert torch.mtia.max_memory_allocated() >= before["allocated_bytes"] + size
    again = torch.empty(size // 4, dtype=torch.int32, device="mtia")
    assert again.data_ptr() == place  # the place was kept
    del again
    torch.mtia.empty_cache()
    assert torch.mtia.memory_stats()["dram"]["reserved_bytes"] == before["reserved_bytes"]
    torch.mtia.reset_peak_memory_stats()
    assert torch.mtia.max_memory_allocated() == torch.mtia.memory_allocated()


def test_out_of_memory_says_how_much() -> None:
    seen: list[tuple[int, ...]] = []
    torch.mtia.attach_out_of_memory_observer(lambda *what: seen.append(what))
    with pytest.raises(torch.OutOfMemoryError, match=r"100\.00 GiB wanted; mtia200 has 64\.00 GiB, of which .* in use"):
        torch.empty(100 * 2**30, dtype=torch.uint8, device="mtia")
    ((device, wanted, total, free),) = seen
    assert (device, wanted, total) == (0, 100 * 2**30, 64 * 2**30) and 0 < free <= total
    assert torch.ones(3, device="mtia").sum().item() == 3


def test_memory_history() -> None:
    torch.mtia.record_memory_history("all", max_entries=50)
    tensor = torch.empty(100, device="mtia")
    address = tensor.data_ptr()
    live = torch.mtia.snapshot()
    del tensor
    trace = torch.mtia.snapshot()["device_traces"][0]
    torch.mtia.record_memory_history(None)
    (block,) = [s["blocks"][0] for s in live["segments"] if s["address"] == address]
    assert (block["requested_size"], block["state"]) == (400, "active_allocated")
    mine = [event for event in trace if event["addr"] == address]
    assert [event["action"] for event in mine] == ["alloc", "free_completed"]
    assert mine[0]["frames"][0]["name"] == "test_memory_history"


def test_random_numbers_follow_the_seed() -> None:
    torch.manual_seed(3)
    made = torch.randn(5, device="mtia")
    torch.mtia.manual_seed(3)
    state = torch.mtia.get_rng_state()
    assert torch.equal(torch.randn(5, device="mtia"), made) and torch.mtia.initial_seed() == 3
    torch.mtia.set_rng_state(state)
    assert torch.equal(torch.randn(5, device="mtia"), made)
    generator = torch.Generator(device="mtia")
    generator.manual_seed(3)
    assert torch.equal(torch.randn(5, device="mtia", generator=generator), made)
    torch.manual_seed(3)
    assert equal(made, torch.randn(5))  # as on the CPU


def test_streams() -> None:
    stream = torch.Stream(device="mtia")
    with torch.mtia.stream(stream):
        assert torch.mtia.current_stream() == stream
    assert torch.mtia.current_stream() == torch.mtia.default_stream()
    assert stream.query()


# ---- Tensors ----

X = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7 - 1.5
INDEX = torch.tensor([2, 0])


def _assigned(x: Any) -> Any:
    y = x.clone()
    y[1], y[:, 2:4] = 5, 7
    y[INDEX.to(x.device), 1] = 9
    y[2:].copy_(x[:2])
    return y


def _resized(x: Any) -> Any:
    y = x.clone()
    y.resize_(3, 10)
    return y.view(-1)[:24]


SAME: dict[str, Callable[[Any], Any]] = {
    "strided view": lambda x: x[1:3, ::2],
    "transpose": lambda x: x.t().contiguous(),
    "permuted copy": lambda x: torch.empty(6, 4, device=x.device).copy_(x.t()),
    "fp16": lambda x: x.to(torch.float16),
    "int64 and back": lambda x: x.long().to(torch.bfloat16),
    "view as int": lambda x: x.view(torch.int32),
    "as_strided": lambda x: torch.as_strided(x, (3, 3), (1, 2), 1),
    "unfold": lambda x: x.unfold(1, 3, 2),
    "index": lambda x: x[INDEX.to(x.device)],
    "mask": lambda x: x[x > 0],
    "assignment": _assigned,
    "resize_": _resized,
    "set_": lambda x: torch.empty(0, device=x.device).set_(x),
    "set_ storage": lambda x: torch.empty(0, device=x.device).set_(x.untyped_storage(), 2, (3,), (2,)),
    "zeros": lambda x: torch.zeros(3, device=x.device),
    "full": lambda x: torch.full((3,), 2.5, device=x.device),
    "arange": lambda x: torch.arange(0, 10, 3, device=x.device),
    "empty_strided": lambda x: torch.empty_strided((2, 3), (1, 2), device=x.device).fill_(3),
    "cat and chunk": lambda x: torch.cat(x.chunk(2)[::-1]),
    "sort": lambda x: (-x).sort(1)[0],
    "out=": lambda x: torch.add(x, 1, out=torch.empty(0, device=x.device)),
    "in place on a view": lambda x: x.clone()[1:].mul_(2),
    "complex": lambda x: torch.view_as_real(torch.view_as_complex(x.view(4, 3, 2)).conj().clone()),
    "no elements": lambda x: x[:0] + 1,
}


@pytest.mark.parametrize("name", SAME)
def test_same_as_on_the_cpu(name: str) -> None:
    assert equal(SAME[name](X.to("mtia")), SAME[name](X))


def test_storage_and_pointer() -> None:
    tensor = X.to("mtia")
    assert tensor[1:].data_ptr() == tensor.data_ptr() + 6 * 4
    assert tensor[1:].untyped_storage().data_ptr() == tensor.data_ptr()
    assert tensor.untyped_storage().nbytes() == 96 and tensor.is_mtia
    assert X.pin_memory().is_pinned() and not X.is_pinned()


def test_pickle_save_load_print() -> None:
    tensor = X.to("mtia")
    assert equal(pickle.loads(pickle.dumps(tensor)), X) and equal(copy.deepcopy(tensor), X)
    for saved, place, device in ((tensor, None, "mtia"), (tensor, "cpu", "cpu"), (X, "mtia:0", "mtia")):
        file = io.BytesIO()
        torch.save({"whole": saved, "part": saved[1:]}, file)
        file.seek(0)
        loaded = torch.load(file, map_location=place)
        assert loaded["part"].device.type == device and torch.equal(loaded["part"].cpu(), X[1:])
        shared = loaded["part"].untyped_storage().data_ptr() == loaded["whole"].untyped_storage().data_ptr()
        assert shared == (saved is X)  # torch itself saves a tensor of this device type alone, by its values
    assert repr(tensor[0, :2]) == "tensor([-1.5000, -1.3571], device='mtia:0')"


def test_autograd_and_a_module() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    there = copy.deepcopy(model).to("mtia")
    for net, x in ((model, X), (there, X.to("mtia"))):
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
        net(x).square().mean().backward()
        optimizer.step()
    for have, want in zip(there.parameters(), model.parameters(), strict=True):
        assert equal(have.detach(), want.detach())  # the same CPU operators on the same values


def test_fallbacks_are_counted_warned_about_and_forbidden() -> None:
    tensor = X.to("mtia")
    load.native().set_fallback_mode("warn")
    with pytest.warns(RuntimeWarning, match="aten::cumsum.out has no kernel for the mtia device"):
        tensor.cumsum(0)
    tensor.cumsum(0)
    assert fallbacks() == {"aten::cumsum.out": 2}
    load.native().set_fallback_mode("error")
    with pytest.raises(NotImplementedError, match="aten::cumsum.out .* MTIA_FALLBACK=error"):
        tensor.cumsum(0)
    assert equal(tensor.clone(), X)  # copies are the device's own


# ---- Triton ----


@triton.jit
def add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(out_ptr + offsets, tl.load(x_ptr + offsets, mask=mask) + tl.load(y_ptr + offsets, mask=mask), mask=mask)


@triton.jit
def follow_kernel(table_ptr, out_ptr, BLOCK: tl.constexpr):
    row = tl.load(table_ptr + tl.program_id(0)).to(tl.pointer_type(tl.float32))
    offsets = tl.arange(0, BLOCK)
    tl.store(out_ptr + tl.program_id(0) * BLOCK + offsets, tl.load(row + offsets))


@triton.jit
def mean_kernel(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N)[None, :])
    chosen = x > 0
    count = tl.sum(chosen.to(tl.int64), 1)[:, None]
    total = tl.sum(tl.where(chosen, x, 0.0), 1)[:, None]
    tl.store(out_ptr + tl.full([1, 1], 0, tl.int32), total / count.to(tl.float32))


def test_a_kernel_on_views_in_simulated_time(driver: Any) -> None:
    x, y = torch.arange(1003.0), torch.arange(1003.0).flip(0)
    a, b = x.to("mtia"), y.to("mtia")
    out = torch.empty(1000, device="mtia")
    start, end = torch.mtia.Event(enable_timing=True), torch.mtia.Event(enable_timing=True)
    side = torch.Stream(device="mtia")
    torch.mtia.synchronize()  # the device is idle, so that the launch does not wait for other streams
    with torch.mtia.stream(side):
        start.record()
        add_kernel[(4,)](a[3:], b[:-3], out, 1000, BLOCK=BLOCK)
        end.record()
    assert equal(out, x[3:] + y[:-3]) and fallbacks() == {}
    assert driver.get_active_torch_device() == torch.device("mtia:0")
    # The simulated time of the launch is that of its stream.
    assert start.elapsed_time(end) == pytest.approx(driver.last.time_us / 1e3)
    assert triton.testing.do_bench(lambda: add_kernel[(4,)](a, b, out, 1000, BLOCK=BLOCK)) == pytest.approx(
        driver.last.time_us / 1e3
    )
    assert not driver.last.device_reads


def test_what_nobody_wrote_is_reported(driver: Any) -> None:
    x = torch.empty(BLOCK, device="mtia")
    out = torch.empty(BLOCK, device="mtia")
    add_kernel[(1,)](x, x, out, BLOCK, BLOCK=BLOCK)
    assert sum(read.bytes for read in driver.last.device_reads) == 2 * 4 * BLOCK
    x[:] = 1  # the host writes
    add_kernel[(1,)](x, x, out, BLOCK, BLOCK=BLOCK)
    assert not driver.last.device_reads and equal(out, torch.full((BLOCK,), 2.0))


@triton.jit
def nothing_kernel(x_ptr, BLOCK: tl.constexpr):
    pass


def test_a_kernel_that_does_nothing(driver: Any) -> None:
    nothing_kernel[(3,)](torch.empty(4, device="mtia"), BLOCK=4)
    assert driver.last.cycles > 0 and not driver.last.device_reads


def test_pointers_in_memory(driver: Any) -> None:
    rows = [torch.randn(64), torch.randn(64)]
    there = [row.to("mtia") for row in rows]
    out = torch.empty(2, 64, device="mtia")
    follow_kernel[(2,)](torch.tensor([row.data_ptr() for row in there], device="mtia"), out, BLOCK=64)
    assert equal(out, torch.stack(rows))


def test_an_integer_scalar_becomes_a_float(driver: Any) -> None:
    x = torch.tensor([3.0, -1, 5, -2, 1, -7, 2, -3])
    out = torch.zeros(1, device="mtia")
    mean_kernel[(1,)](x.to("mtia"), out, N=8)
    assert equal(out, torch.tensor([11 / 4]))


@pytest.mark.parametrize(("shape", "columns"), [((3, 5), 129), ((2,), 5000)])
def test_layer_norm_is_a_kernel(driver: Any, shape: tuple[int, ...], columns: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(*shape, columns), torch.randn(columns), torch.randn(columns)
    for affine in ((weight, bias), (weight, None), (None, None)):
        there = [None if value is None else value.to("mtia") for value in affine]
        got = torch.native_layer_norm(x.to("mtia"), [columns], *there, 1e-5)
        want = torch.native_layer_norm(x.double(), [columns], *(v if v is None else v.double() for v in affine), 1e-5)
        for have, exact in zip(got, want, strict=True):
            bound = 4 * 2**-24 * (1 + columns**0.5) * max(1.0, exact.abs().max().item())
            assert have.shape == exact.shape and (have.cpu() - exact).abs().max().item() <= bound
    assert fallbacks() == {}


# ---- torch.compile ----

# One configuration of each of Inductor's templates: measuring all of them takes a minute.
ONE_CHOICE = (
    r"BLOCK_M=64, BLOCK_N=\d+,.*num_stages=4|BLOCK_K=128, BLOCK_M=16,.*num_stages=2"
    r"|BLOCK_K=16, BLOCK_M=16, BLOCK_N=32,.*num_stages=2"
)


def test_training_step_of_the_cnn_compiled_by_inductor(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as config
    from mtia.tools.layers import tolerance
    from mtia.tools.models import make

    monkeypatch.setattr(config, "compile_threads", 1)
    batch = 4
    model, pixels = make("cnn")
    pixels, labels = pixels[:batch], torch.arange(batch)
    there = copy.deepcopy(model).to("mtia")

    def step(net: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(net(x), y)

    options = inductor_options() | {"test_configs.autotune_choice_desc_regex": ONE_CHOICE}
    compiled = torch.compile(lambda x, y: step(there, x, y), options=options)
    x, y = pixels.to("mtia"), labels.to("mtia")
    compiled(x, y).backward()
    for parameter in there.parameters():
        parameter.grad = None
    reset_fallbacks()
    load.native().set_fallback_mode("error")
    before = driver.clock.now_us
    loss = compiled(x, y)
    loss.backward()
    assert fallbacks() == {} and driver.clock.now_us > before
    want = step(model, pixels, labels)
    want.backward()
    # The longest sum: the second convolution's input gradient and weight gradient, 32·9 and batch·16 terms.
    bound = tolerance("fp32", 32 * 9)
    assert abs(loss.item() - want.item()) <= bound * abs(want.item())
    for (name, have), wanted in zip(there.named_parameters(), model.parameters(), strict=True):
        error = (have.grad.cpu() - wanted.grad).abs().max().item()
        assert 0 < wanted.grad.abs().max().item() and error <= bound * max(1.0, wanted.grad.abs().max().item()), name


# ---- import torch ----

ENTRY = "[torch.backends]\nmtia = mtia.runtime.torch_backend:autoload\n"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Run a program in a process where the entry point is installed; gives the finished process."""
    folder = tmp_path / "site" / "mtiac_entry-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mtiac-entry\nVersion: 0\n")
    (folder / "entry_points.txt").write_text(ENTRY)
    path = os.pathsep.join([str(ROOT / ".links"), str(folder.parent)])

    def execute(program: str, **environment: str) -> Any:
        variables = os.environ | {"PYTHONPATH": path, "MTIA_FALLBACK": "quiet"} | environment
        return subprocess.run(
            [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=120
        )

    return execute


def test_import_torch_is_enough_and_cheap(run: Callable[..., Any]) -> None:
    done = run(
        "import sys, torch\n"
        "assert torch.mtia.is_available() and not torch.mtia.is_initialized()\n"
        "heavy = {'mtia.runtime.device', 'mtia.runtime.machine', 'mtia.compiler', 'llvmlite', 'mtia.isa.chip'}\n"
        "assert 'mtia.runtime.torch_backend' in sys.modules and not heavy & set(sys.modules), sys.modules\n"
        "print(torch.ones(3, device='mtia').device, torch.mtia.get_device_capability(), torch.mtia.device_count())\n"
        "a = torch.arange(4.0, device='mtia:1')\n"
        "print(a.to('mtia:0').add_(1).tolist(), a.device, torch.mtia.current_device())\n"
        "print(torch.mtia.fallbacks())\n",
        MTIA_TARGET="mtia300",
        MTIA_DEVICE_COUNT="2",
    )
    first, second, third = done.stdout.splitlines()
    assert (first, second) == ("mtia:0 (3, 0) 2", "[1.0, 2.0, 3.0, 4.0] mtia:1 0"), done.stderr
    assert third == "{'aten::add.out': 1, 'aten::arange.start_out': 1}"


def test_the_example_of_the_docs(run: Callable[..., Any]) -> None:
    done = run((ROOT / "docs" / "pytorch.md").read_text().split("```python\n")[1].split("```")[0])
    assert done.stdout == "torch.Size([6, 3]) True\n", done.stderr


def test_without_a_compiler(run: Callable[..., Any], tmp_path: Path) -> None:
    done = run(
        "import torch, warnings\n"
        "print(torch.ones(2).sum().item())\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    print(torch.mtia.is_available(), torch.mtia.device_count(), len(seen))\n"
        "try:\n"
        "    torch.empty(1, device='mtia')\n"
        "except RuntimeError as error:\n"
        "    print(error)\n",
        MTIAC_CACHE=str(tmp_path / "cache"),
        CXX="/nowhere/g++",
    )
    says = "the mtia device needs a C++ compiler, once: '/nowhere/g++' does not run"
    first, second, third = done.stdout.splitlines()
    assert (first, second) == ("2.0", "False 0 1") and third.startswith(says), done.stderr


def test_a_gpu_build_of_torch_keeps_its_accelerator(run: Callable[..., Any]) -> None:
    done = run(
        "import torch\n"
        "from mtia.runtime.torch_backend import autoload\n"
        "torch.version.cuda = '12.8'\n"
        "autoload()\n"
        "print(torch.accelerator.current_accelerator(), torch.mtia.is_available())\n"
        "print(torch.ones(2, device='mtia').device)\n",
        TORCH_DEVICE_BACKEND_AUTOLOAD="0",
    )
    # torch looks for the hooks once, here in `current_accelerator`: the device cannot be added any more.
    assert done.stdout == "None False\n" and "set MTIA_TARGET and start this program again" in done.stderr, done.stderr


def test_the_first_use_builds(run: Callable[..., Any], tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"  # stands in for a compiler: hands out what has been built
    compiler.write_text(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\ncp "{build.library()}" "$2"\n')
    compiler.chmod(0o755)
    program = "import torch\nprint('imported')\nprint(torch.ones(2, device='mtia').device, torch.mtia.device_count())"
    for progress in (True, False):
        done = run(program, MTIAC_CACHE=str(tmp_path / "cache"), CXX=str(compiler))
        assert done.stdout == "imported\nmtia:0 1\n", done.stderr
        assert ("mtia: building the device for torch" in done.stderr) == progress


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("MTIA_DEVICE_COUNT", "many", "MTIA_DEVICE_COUNT must be 1 to 64, not 'many'"), ("MTIA_TARGET", "x", "'x'")],
)
def test_a_wrong_choice_is_said_at_the_first_use(run: Callable[..., Any], name: str, value: str, message: str) -> None:
    done = run("import torch\nprint(1)\ntorch.empty(1, device='mtia')", **{name: value})
    assert done.stdout == "1\n" and message in done.stderr.splitlines()[-1]
