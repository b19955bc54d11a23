"""Tuning a Triton kernel on given arguments: candidates from the cost model, measurements from the machine."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.tune.search import Candidate
from mtia.compiler.tune.space import Config, Space
from mtia.isa.errors import UserError

__all__ = ["Subject", "candidates", "grid_function", "measurer"]

Grid = Callable[[Mapping[str, Any]], tuple[int, ...]]


@dataclass(frozen=True)
class Subject:
    """A kernel with the arguments it is tuned for.

    `types` are Triton's names of the launch arguments, `values` arrays and numbers in the same order, `start` the
    constexpr values that the space is built around.
    """

    kernel: Any
    types: Mapping[str, str]
    start: Mapping[str, Any]
    values: Mapping[str, Any]
    grid: Grid
    target: str
    state: str = "llc"
    attributes: Mapping[tuple[int, ...], list[list[Any]]] = field(default_factory=dict)

    def shape(self, config: Config) -> tuple[int, int, int]:
        """The launch grid under a configuration."""
        numbers = {name: value for name, value in self.values.items() if not hasattr(value, "nbytes")}
        given = tuple(self.grid({**numbers, **self.start, **dict(config.constants)}))
        return (*given, 1, 1)[:3]  # type: ignore[return-value]


_ALLOWED = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Constant, ast.Tuple, ast.Load, ast.operator,
    ast.unaryop,
)  # fmt: skip
_FUNCTIONS: Mapping[str, Any] = {"cdiv": lambda a, b: -(-a // b), "min": min, "max": max}


def grid_function(text: str, names: Iterable[str]) -> Grid:
    """A grid such as `cdiv(M, BLOCK_M) * cdiv(N, BLOCK_N), 16`: arguments, constexprs, cdiv, min and max."""
    known = {*names, *_FUNCTIONS}
    try:
        tree = ast.parse(f"({text},)" if "," not in text else f"({text})", mode="eval")
    except SyntaxError:
        raise UserError(f"--grid '{text}' is no expression; write it as cdiv(n, BLOCK_SIZE)") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise UserError(f"--grid '{text}': only arithmetic, cdiv, min and max are understood")
        if isinstance(node, ast.Name) and node.id not in known:
            raise UserError(f"--grid '{text}': unknown name '{node.id}'; known: {', '.join(sorted(known))}")
    code = compile(tree, "--grid", "eval")
    return lambda meta: tuple(eval(code, {"__builtins__": {}}, {**meta, **_FUNCTIONS}))


def _options(config: Config, target: str) -> Options:
    return Options.of({"target": target, **dict(config.options)})


def candidates(subject: Subject, space: Space) -> tuple[list[Candidate], list[tuple[Config, str]]]:
    """Every configuration that the model takes for valid with its estimate, and the others with the reason."""
    from mtia.compiler.frontends.triton_source import to_ttir
    from mtia.compiler.frontends.ttir import parse
    from mtia.compiler.tune.model import estimate, local_bytes
    from mtia.compiler.tune.work import Work, count_work
    from mtia.dialects import mlir, tt

    found: list[Candidate] = []
    refused: list[tuple[Config, str]] = []
    works: dict[tuple[tuple[str, Any], ...], Work | str] = {}
    numbers = [None if hasattr(v, "nbytes") or isinstance(v, float) else int(v) for v in subject.values.values()]
    footprint = float(sum(getattr(value, "nbytes", 0) for value in subject.values.values()))
    for config in space:
        if config.constants not in works:
            with mlir.using(mlir.context(tt.TT)):
                try:
                    constants = {**subject.start, **dict(config.constants)}
                    module = parse(to_ttir(subject.kernel, subject.types, constants, subject.attributes))
                    works[config.constants] = count_work(module, numbers, subject.shape(config))
                except UserError as problem:
                    works[config.constants] = problem.message
        work = works[config.constants]
        options = _options(config, subject.target)
        if isinstance(work, str):
            refused.append((config, work))
            continue
        chip = options.chip
        cores = chip.hart.count if options.use_dual_core else 1
        slots = max(2, options.num_stages) * options.cb_multiplier
        if local_bytes(work, 2) > chip.ls.bytes / cores or work.accumulator_bytes > chip.re.bytes / cores:
            refused.append((config, "does not fit into local memory or the accumulators"))
            continue
        programs = math.prod(subject.shape(config))
        resident = subject.state == "llc"
        made = estimate(work, programs, chip, cores=cores, slots=slots, footprint=footprint, resident=resident)
        found.append(Candidate(config, made.cycles, made.bound))
    return found, refused


def measurer(subject: Subject) -> Callable[[Config], float]:
    """A function that compiles and launches a configuration: its cycles, or a ValueError that says why it cannot."""
    from mtia.compiler.driver import compile_triton
    from mtia.runtime.device import Device
    from mtia.runtime.faults import MachineTrap
    from mtia.runtime.launch import launch

    device = Device(Options(target=subject.target).chip)
    arguments = [device.copy_in(v) if hasattr(v, "nbytes") else v for v in subject.values.values()]

    def measure(config: Config) -> float:
        constants = {**subject.start, **dict(config.constants)}
        options = _options(config, subject.target)
        try:
            made = compile_triton(subject.kernel, subject.types, constants, options, subject.attributes)
            result = launch(device, made.elf, subject.shape(config), arguments, state=subject.state)
            return float(result.check().cycles)
        except (UserError, MachineTrap) as problem:
            raise ValueError(str(problem)) from None

    return measure
