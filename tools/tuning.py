"""Tuning a Triton kernel on given arguments: candidates from the cost model, measurements from the machine."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtia.compiler.options import Options
from mtia.compiler.tune.memory import Slots, plan
from mtia.compiler.tune.model import MOST_PROGRAMS, Estimate, estimate, shared_rates
from mtia.compiler.tune.search import Candidate
from mtia.compiler.tune.space import Config
from mtia.compiler.tune.work import Program, count_steps, count_work, moved_bytes
from mtia.isa.chip import Chip
from mtia.isa.errors import UserError

__all__ = ["Subject", "candidates", "grid_function", "measurer"]

LOOKED_AT = 24  # PEs, to find the one with most to do

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
        tree = ast.parse(f"({text})", mode="eval")
    except SyntaxError:
        raise UserError(f"--grid '{text}' is no expression; write it as cdiv(n, BLOCK_SIZE)") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise UserError(f"--grid '{text}': only arithmetic, cdiv, min and max are understood")
        if isinstance(node, ast.Name) and node.id not in known:
            raise UserError(f"--grid '{text}': unknown name '{node.id}'; known: {', '.join(sorted(known))}")
    if not isinstance(tree.body, ast.Tuple):
        tree.body = ast.fix_missing_locations(ast.Tuple([tree.body], ast.Load()))
    code = compile(tree, "--grid", "eval")

    def grid(meta: Mapping[str, Any]) -> tuple[int, ...]:
        made = eval(code, {"__builtins__": {}}, {**meta, **_FUNCTIONS})
        return made if isinstance(made, tuple) else (made,)

    return grid


def _options(config: Config, target: str) -> Options:
    return Options.of({"target": target, **dict(config.options)})


class _Problem:
    """A kernel under one choice of its constexprs: its programs, each counted when it is first needed."""

    def __init__(self, subject: Subject, config: Config) -> None:
        from mtia.compiler.frontends.triton_source import to_ttir
        from mtia.compiler.frontends.ttir import parse
        from mtia.dialects import mlir, tt

        constants = {**subject.start, **dict(config.constants)}
        self.grid = subject.shape(config)
        self.count = math.prod(self.grid)
        values = subject.values.values()
        self.arguments = [None if hasattr(v, "nbytes") or isinstance(v, float) else int(v) for v in values]
        self.footprint = float(sum(getattr(value, "nbytes", 0) for value in values))
        self.context = mlir.context(tt.TT)
        with mlir.using(self.context):
            self.module = parse(to_ttir(subject.kernel, subject.types, constants, subject.attributes))
        self.programs: dict[int, Program] = {}
        self.busiest: dict[int, list[list[list[Program]]]] = {}
        self.estimates: dict[object, Estimate] = {}

    def program(self, number: int) -> Program:
        """The steps of a program."""
        from mtia.dialects import mlir

        if number not in self.programs:
            with mlir.using(self.context):
                self.programs[number] = count_work(self.module, self.arguments, self.grid, number)
        return self.programs[number]

    def pes(self, chip: Chip, cores: int) -> list[list[list[Program]]]:
        """The programs of each hart of the PEs that have most to do, of some that are looked at.

        Only the first few programs of a hart are counted, the rest are taken to be like the last of them.
        """
        pes = chip.grid.rows * chip.grid.cols
        step = pes * cores
        used = min(pes, self.count)
        made = []
        for rank in sorted({(used - 1) * i // (LOOKED_AT - 1) for i in range(LOOKED_AT)}):
            harts = []
            for core in range(cores):
                place = rank + core * pes
                turns = range(-(-self.count // step))
                numbers = [turn * step + (step - 1 - place if turn & 1 else place) for turn in turns]
                numbers = [number for number in numbers if number < self.count]
                first = [self.program(number) for number in numbers[:MOST_PROGRAMS]]
                harts.append(first + first[-1:] * (len(numbers) - len(first)))
            if harts not in made:
                made.append(harts)

        def steps(harts: list[list[Program]]) -> float:
            return sum(count_steps(program) for hart in harts for program in hart)

        def moved(harts: list[list[Program]]) -> float:
            return sum(sum(moved_bytes(program)) for hart in harts for program in hart)

        most, heaviest = max(made, key=steps), max(made, key=moved)
        return [most] if most == heaviest else [most, heaviest]

    def estimate(self, subject: Subject, chip: Chip, slots: Slots) -> Estimate:
        """The estimate under a plan of local memory; options often come to the same plan."""
        key = (slots.cores, tuple(slots.slots.items()))
        if key not in self.estimates:
            read, written = moved_bytes(self.program(self.count // 2))
            moved = read * self.count, written * self.count
            rates = shared_rates(chip, self.count, moved, self.footprint, subject.state == "llc")
            if slots.cores not in self.busiest:
                self.busiest[slots.cores] = self.pes(chip, slots.cores)
            self.estimates[key] = estimate(self.busiest[slots.cores], chip, rates, slots)
        return self.estimates[key]


def _candidate(problem: _Problem, config: Config, subject: Subject) -> Candidate:
    """A configuration with its estimate; a user error when it does not fit."""
    options = _options(config, subject.target)
    chip = options.chip
    cores = chip.hart.count if options.use_dual_core else 1
    slots = plan(problem.program(problem.count // 2), chip, cores, options.num_stages, options.cb_multiplier)
    if slots is None:
        raise UserError("does not fit into local memory or the accumulators")
    made = problem.estimate(subject, chip, slots)
    return Candidate(config, made.cycles, made.bound)


def candidates(subject: Subject, space: Iterable[Config]) -> tuple[list[Candidate], list[tuple[Config, str]]]:
    """Every configuration that the model takes for valid with its estimate, and the others with the reason."""
    found: list[Candidate] = []
    refused: list[tuple[Config, str]] = []
    problems: dict[tuple[tuple[str, Any], ...], _Problem | UserError] = {}
    for config in space:
        try:
            if config.constants not in problems:
                try:
                    problems[config.constants] = _Problem(subject, config)
                except UserError as refusal:
                    problems[config.constants] = refusal
            problem = problems[config.constants]
            if isinstance(problem, UserError):
                raise problem
            found.append(_candidate(problem, config, subject))
        except UserError as refusal:
            refused.append((config, refusal.message))
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
