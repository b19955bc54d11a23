"""Child process of `mtiac verify tutorials`: runs one tutorial file as it is and checks what it computed.

python -m mtia.tools.verify.tutorials_child FILE POINTS

Kernels and their launching code are untouched. Only what surrounds them is answered for this device: figures keep
their first POINTS sizes, `device="cuda"` means the mtia device, and a package that only formats tables may be missing.
The last line of standard output is a JSON list of notes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["CHECKS", "main"]

Names = dict[str, Any]  # what a tutorial's module holds


class ShortFigures:
    """What takes the place of `triton.testing.perf_report`: the function at each line's first sizes."""

    def __init__(self, figures: Any, points: int) -> None:
        self.figures = figures if isinstance(figures, Sequence) else [figures]
        self.points = points

    def __call__(self, measured: Callable[..., Any]) -> ShortFigures:
        self.measured = measured
        return self

    def run(self, **unused: Any) -> None:
        """Measure, and print a line for each size."""
        for figure in self.figures:
            for value in figure.x_vals[: self.points]:
                sizes = dict.fromkeys(figure.x_names, value)
                for line in figure.line_vals:
                    result = self.measured(**sizes, **{figure.line_arg: line}, **figure.args)
                    print(f"{figure.plot_name}: {sizes} {line}: {result}", flush=True)


@contextlib.contextmanager
def answered(points: int) -> Iterator[None]:
    """The surroundings that the module's docstring names, for the time of a `with`."""
    import torch
    import triton
    from torch.overrides import TorchFunctionMode

    class Here(TorchFunctionMode):
        """Factories asked for a CUDA tensor make one on the mtia device."""

        def __torch_function__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if str(kwargs.get("device", "")) == "cuda":
                kwargs["device"] = "mtia"
            return func(*args, **kwargs)

    kept = triton.testing.perf_report, torch.cuda.get_device_properties
    triton.testing.perf_report = lambda figures: ShortFigures(figures, points)
    torch.cuda.get_device_properties = lambda device=None: torch.mtia.get_device_properties()
    torch.Tensor.is_cuda = property(lambda tensor: tensor.device.type == "mtia")
    absent = importlib.util.find_spec("tabulate") is None
    if absent:
        table = types.ModuleType("tabulate")
        table.tabulate = lambda rows, *unused, **also: "\n".join(str(row) for row in rows)  # type: ignore[attr-defined]
        sys.modules["tabulate"] = table
    try:
        with Here():
            yield
    finally:
        triton.testing.perf_report, torch.cuda.get_device_properties = kept
        del torch.Tensor.is_cuda
        if absent:
            del sys.modules["tabulate"]


def execute(path: Path, name: str, accepted: str = "") -> Names:
    """The names of the file's module after it has run as `name`; an error with the text `accepted` ends it early."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    if name != "__main__":
        sys.modules[name] = module
    try:
        exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    except RuntimeError as error:
        if not accepted or accepted not in str(error):
            raise
    return module.__dict__


def _equal(got: Any, want: Any, what: str, most: float = 0.0) -> str:
    """A note of the largest difference; more than `most` is an error."""
    far = float((got.cpu().double() - want.cpu().double()).abs().max())
    if not far <= most:
        raise AssertionError(f"{what}: off by {far:g}, at most {most:g} expected")
    return f"{what}: off by {far:g}"


def add(path: Path) -> list[str]:
    """01: sums are exact."""
    names = execute(path, "__main__")
    return [_equal(names["output_triton"], names["output_torch"], "sum")]


def softmax(path: Path) -> list[str]:
    """02: the file asserts."""
    execute(path, "__main__")
    return []


def matmul(path: Path) -> list[str]:
    """03: the file prints whether it agrees; its fp8 half, which it keeps for CUDA, runs too."""
    import torch

    with contextlib.redirect_stdout(io.StringIO()) as out:
        names = execute(path, "__main__")
    print(out.getvalue())
    if "Triton and Torch match" not in out.getvalue() or "differ" in out.getvalue():
        raise AssertionError("the file says that the results differ")
    if not names["triton"].runtime.driver.active.chip.dpe.fp8:
        return ["fp16; the chip has no fp8"]
    torch.manual_seed(0)
    a, b = (torch.randn((512, 512), device="mtia", dtype=torch.float16) for _ in range(2))
    a, b = a.to(torch.float8_e5m2), b.T.to(torch.float8_e5m2)
    want = torch.matmul(a.cpu().double(), b.cpu().double())
    return ["fp16", _equal(names["matmul"](a, b), want, "fp8", 0.125)]


def dropout(path: Path) -> list[str]:
    """04: kept elements are scaled, the same seed gives the same mask and another one another."""
    import torch

    names = execute(path, "__main__")
    x, keep = torch.randn(5000, device="mtia"), torch.rand(5000, device="mtia") > 0.5
    want = torch.where(keep.cpu(), x.cpu() / (1 - 0.5), 0.0)
    notes = [_equal(names["dropout"](x, keep.to(torch.int32), 0.5), want, "mask given")]
    first, same, other = (names["seeded_dropout"](x, p=0.5, seed=seed).cpu() for seed in (123, 123, 512))
    kept = float((first != 0).double().mean())
    if not torch.equal(first, same) or torch.equal(first, other) or abs(kept - 0.5) > 0.05:
        raise AssertionError(f"seeds: {kept:.3f} kept")
    return [*notes, _equal(first[first != 0], 2 * x.cpu()[first != 0], "mask drawn")]


def layer_norm(path: Path) -> list[str]:
    """05: the file asserts, forward and backward.

    Its reference is torch's operator, which on the CPU sums the parameters' gradients in fp16, further from the truth
    than the file allows; here the reference sums in fp32, as torch's operator on a GPU does.
    """
    import torch

    plain = torch.nn.functional.layer_norm

    def wide(x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
        return plain(x.float(), shape, weight.float(), bias.float(), eps).to(x.dtype)

    torch.nn.functional.layer_norm = wide
    try:
        names = execute(path, "tutorial")
        names["test_layer_norm"](151, 1024, torch.float16)
    finally:
        torch.nn.functional.layer_norm = plain
    return ["forward and backward, 1151 x 8192 and 151 x 1024, against sums in fp32"]


def attention(path: Path) -> list[str]:
    """06: the file's test, smallest sizes, with both head sizes."""
    names = execute(path, "tutorial")
    notes = []
    for head in (64, 128):
        for causal in (False, True):
            for mode, provider in (("bwd", "triton-fp16"), ("fwd", "triton-fp8")):
                names["test_op"](1, 2, 128, head, causal, False, mode, provider)
                notes.append(f"{mode} {provider.removeprefix('triton-')} head {head}{' causal' if causal else ''}")
    return [", ".join(notes)]


def extern(path: Path) -> list[str]:
    """07: the second half loads files of NVIDIA or AMD and ends with `unknown backend` anywhere else."""
    names = execute(path, "__main__", accepted="unknown backend")
    x = names["x"].cpu()
    note = _equal(names["output_triton"], x.double().asin(), "asin", 4 * 2.0**-24 * 1.5708)
    return [note, "library files of NVIDIA and AMD: for these only"]


def grouped(path: Path) -> list[str]:
    """08: the file asserts; its kernel with descriptors, which it keeps for CUDA, runs too."""
    import torch

    names = execute(path, "__main__")
    names["supports_tma"] = lambda: True
    group_a, group_b = names["group_A"][1:], names["group_B"][1:]
    got = names["group_gemm_tma_fn"](group_a, [b.T.contiguous() for b in group_b])
    for a, b, c in zip(group_a, group_b, got, strict=True):
        torch.testing.assert_close(c.cpu(), torch.matmul(a.cpu(), b.cpu()), atol=1e-2, rtol=1e-2)
    return ["pointers", "descriptors"]


def persistent(path: Path) -> list[str]:
    """09: each of its kernels against the product, at sizes that leave partial blocks."""
    import torch

    names = execute(path, "tutorial")
    a, b = (torch.randn((512, 512), device="mtia", dtype=torch.float16) for _ in range(2))
    want = a.cpu().double() @ b.cpu().double().T
    notes = []
    for name, more in (("matmul", ()), ("matmul_persistent", ()), ("matmul_tma", (False,)),
                       ("matmul_tma_persistent", (False,)), ("matmul_descriptor_persistent", (False,))):  # fmt: skip
        second = b if more else b.T
        notes.append(_equal(names[name](a, second, *more), want, name, 0.1))
    return notes


def block_scaled(path: Path) -> list[str]:
    """10: the file's own checks of its kernels for NVIDIA and AMD."""
    names = execute(path, "tutorial")
    for kind in ("mxfp8", "nvfp4"):  # the file's preparation of the two others names variables it has not set
        names["validate_block_scaled"](256, 256, 512, block_scale_type=kind)
    for size in (16, 32):
        names["validate_block_scaled_amd"](256, 256, 512, mfma_nonkdim=size)
    return ["mxfp8, nvfp4, and mxfp4 in both forms for AMD"]


CHECKS: dict[str, Callable[[Path], list[str]]] = {
    "01": add, "02": softmax, "03": matmul, "04": dropout, "05": layer_norm, "06": attention, "07": extern,
    "08": grouped, "09": persistent, "10": block_scaled,
}  # fmt: skip


def main() -> None:
    """Run the file; an exception ends the process with its message."""
    path = Path(sys.argv[1])
    with answered(int(sys.argv[2])):
        notes = CHECKS[path.name[:2]](path)
    print(json.dumps(notes))


if __name__ == "__main__":
    main()
