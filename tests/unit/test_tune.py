"""The tuner: work counted on TTIR, the model's behaviour, the search, the grid expressions, the database."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mtia.compiler.tune.database import Database
from mtia.compiler.tune.memory import Slots, plan
from mtia.compiler.tune.model import Estimate, estimate, shared_rates
from mtia.compiler.tune.search import Candidate, search
from mtia.compiler.tune.space import Config, Space, listed, parse_axis
from mtia.compiler.tune.work import Loop, Program, Step, count_steps, count_work, moved_bytes
from mtia.isa.chip import Chip, load_chip
from mtia.isa.errors import UserError
from mtia.tools import tuning

CHIP = load_chip("mtia200")
POINTERS = {"add": "bf16", "matmul": "fp16", "softmax": "fp16", "layer_norm": "fp16", "flash_attention": "fp16"}


def program_of(
    name: str,
    constants: Mapping[str, Any],
    numbers: list[int | None],
    grid: tuple[int, int, int] = (1, 1, 1),
    program: int = 0,
) -> Program:
    """The steps of a program of one of the kernels in tools/kernels; `numbers` are its launch arguments."""
    from mtia.compiler.frontends.triton_source import to_ttir
    from mtia.compiler.frontends.ttir import parse
    from mtia.dialects import mlir, tt

    function = {"flash_attention": "attention_kernel"}.get(name, f"{name}_kernel")
    kernel = getattr(importlib.import_module(f"mtia.tools.kernels.{name}"), function)
    names = [argument for argument in kernel.arg_names if argument not in constants]
    types = {
        n: f"*{POINTERS[name]}" if n.endswith("_ptr") else "fp32" if n in ("eps", "sm_scale") else "i32" for n in names
    }
    with mlir.using(mlir.context(tt.TT)):
        return count_work(parse(to_ttir(kernel, types, constants, {})), numbers, grid, program)


def steps_of(program: Program, unit: str) -> list[Step]:
    found = []
    for item in program:
        if isinstance(item, Loop):
            found += steps_of(item.body, unit)
        elif item.unit == unit:
            found.append(item)
    return found


def test_add_is_two_loads_a_sum_and_a_store() -> None:
    made = program_of("add", {"BLOCK_SIZE": 1024}, [None, None, None, 1 << 20])
    assert [item.unit for item in made if isinstance(item, Step)] == ["fi_in", "fi_in", "se", "fi_out"]
    assert all(item.shape == (1024,) for item in made if isinstance(item, Step))
    assert moved_bytes(made) == (2 * 1024 * 2, 1024 * 2)


def test_masks_shorten_the_last_block() -> None:
    # 1000 bf16 elements: the second block of 512 has 488, which are 976 bytes: 15.25 lines.
    made = program_of("add", {"BLOCK_SIZE": 512}, [None, None, None, 1000], (2, 1, 1), program=1)
    assert [step.lines for step in steps_of(made, "fi_in")] == [16, 16]


MATMUL: dict[str, Any] = {
    "BLOCK_SIZE_M": 64, "BLOCK_SIZE_N": 32, "BLOCK_SIZE_K": 32, "GROUP_SIZE_M": 8, "ACTIVATION": "",
}  # fmt: skip


def matmul(m: int, n: int, k: int, program: int = 0, **constants: int) -> Program:
    chosen = {**MATMUL, **constants}
    grid = (-(-m // chosen["BLOCK_SIZE_M"]) * -(-n // chosen["BLOCK_SIZE_N"]), 1, 1)
    return program_of("matmul", chosen, [None, None, None, m, n, k, k, 1, n, 1, n, 1], grid, program)


def test_matmul_loops_over_k() -> None:
    made = matmul(128, 128, 256)
    (loop,) = [item for item in made if isinstance(item, Loop)]
    assert loop.trips == 256 // 32
    assert [step.unit for step in loop.body if isinstance(step, Step)] == ["fi_in", "fi_in", "dpe"]
    (product,) = steps_of(made, "dpe")
    assert (product.shape, product.inner, product.size) == ((64, 32), 32, 2)
    assert moved_bytes(made) == ((64 + 32) * 256 * 2, 64 * 32 * 2)
    assert count_steps(made) == 8 * 3 + 1


def test_a_tile_that_wraps_along_its_rows_is_read_element_by_element() -> None:
    # N = 48: the second block of 32 columns is columns 32 to 47 and 0 to 15.
    inside, outside = (steps_of(matmul(64, 48, 32, program), "fi_in")[1] for program in (0, 1))
    assert outside.lines == 32 * 32
    assert inside.lines < 32 * 3


def test_rows_off_the_lines_cost_more() -> None:
    # A's rows of 64 bytes start on multiples of 400 bytes: 16 bytes off the lines, so mostly in two of them.
    aligned, off = (steps_of(matmul(64, 64, k), "fi_in")[0].lines for k in (256, 200))
    assert aligned == 64
    assert 64 * 1.5 < off <= 64 * 2


def test_attention_follows_the_causal_bound() -> None:
    constants = {"HEAD_DIM": 64, "BLOCK_M": 64, "BLOCK_N": 32}
    numbers: list[int | None] = [None, None, None, None, 512 * 64, 64, 512, None]
    for block in (0, 5):
        made = program_of("flash_attention", constants, numbers, (8, 2, 1), block)
        assert [item.trips for item in made if isinstance(item, Loop)] == [block * 2, 2]


def test_products_of_fp32_are_no_engine_s() -> None:
    step = Step("hart", (32, 32), 4, 1, (), 32)
    assert laid_out([[(step,)]]).bound == "hart"


def laid_out(
    harts: list[list[Program]], chip: Chip = CHIP, slots: Slots | None = None, resident: bool = True
) -> Estimate:
    count = sum(len(programs) for programs in harts)
    moved = moved_bytes(harts[0][0])
    rates = shared_rates(chip, count, (moved[0] * count, moved[1] * count), sum(moved) * count, resident)
    made = slots or plan(harts[0][0], chip, len(harts), 2, 1)
    assert made is not None
    return estimate([harts], chip, rates, made)


def test_more_work_takes_longer() -> None:
    cycles = [laid_out([[matmul(64, 32, k)]]).cycles for k in (64, 256, 1024, 4096)]
    assert cycles == sorted(cycles)
    # The sixteenth of a long loop is laid out; the rest must follow it in a straight line.
    assert cycles[3] - cycles[2] == pytest.approx(4 * (cycles[2] - cycles[1]), rel=0.2)


def test_two_harts_are_never_slower_than_one_and_no_faster_than_the_units() -> None:
    constants = {"HEAD_DIM": 64, "BLOCK_M": 16, "BLOCK_N": 64}
    work = program_of("flash_attention", constants, [None, None, None, None, 512 * 64, 64, 512, None], (32, 1, 1), 9)
    one, two = laid_out([[work] * 4]), laid_out([[work] * 2, [work] * 2])
    assert two.cycles < one.cycles
    units = {name: busy for name, busy in two.parts.items() if name != "hart"}
    assert two.cycles >= max(units.values())


def test_slots_hide_latency() -> None:
    work = matmul(64, 32, 2048)
    made = plan(work, CHIP, 1, 2, 1)
    assert made is not None
    shallow = Slots(1, dict.fromkeys(made.slots, 1))
    assert laid_out([[work]], slots=made).cycles < laid_out([[work]], slots=shallow).cycles


def test_a_faster_engine_helps_what_it_bounds() -> None:
    work = matmul(128, 128, 1024, BLOCK_SIZE_M=128, BLOCK_SIZE_N=128)
    before = laid_out([[work]])
    assert before.bound == "dpe"
    faster = dataclasses.replace(CHIP, dpe=dataclasses.replace(CHIP.dpe, tiles=4))
    assert laid_out([[work]], faster).cycles < 0.7 * before.cycles


def test_cold_memory_bounds_a_copy() -> None:
    work = program_of("add", {"BLOCK_SIZE": 4096}, [None, None, None, 1 << 20])
    cold, resident = (laid_out([[work] * 4], resident=resident) for resident in (False, True))
    assert cold.cycles > resident.cycles
    assert cold.parts["dram"] > 0
    assert "dram" not in resident.parts


def test_slots_shrink_until_they_fit_and_two_harts_give_way_to_one() -> None:
    small, large = (program_of("add", {"BLOCK_SIZE": size}, [None, None, None, 1 << 20]) for size in (1024, 32768))
    roomy, tight = plan(small, CHIP, 2, 2, 4), plan(large, CHIP, 2, 2, 4)
    assert roomy is not None
    assert tight is not None
    assert min(roomy.slots.values()) >= 8
    assert max(tight.slots.values()) <= 3
    huge = program_of("add", {"BLOCK_SIZE": 65536}, [None, None, None, 1 << 20])
    alone = plan(huge, CHIP, 2, 2, 1)
    assert alone is None or alone.cores == 1
    assert plan(program_of("add", {"BLOCK_SIZE": 262144}, [None, None, None, 1 << 20]), CHIP, 1, 2, 1) is None


def config(block: int, **options: Any) -> Config:
    return Config((("BLOCK", block),), tuple(options.items()))


def found(estimates: Mapping[int, float], multipliers: tuple[int, ...] = (1, 2)) -> list[Candidate]:
    return [
        Candidate(config(block, cb_multiplier=m), value, "se")
        for block, value in estimates.items()
        for m in multipliers
    ]


def counting(function: Callable[[Config], float]) -> tuple[Callable[[Config], float], list[Config]]:
    seen: list[Config] = []

    def measure(chosen: Config) -> float:
        seen.append(chosen)
        return function(chosen)

    return measure, seen


@pytest.mark.parametrize("runs", [0, 1, 3, 8, 50])
def test_search_never_measures_more_or_twice(runs: int) -> None:
    measure, seen = counting(lambda chosen: 100.0)
    tuned = search(found({16: 10.0, 32: 11.0, 64: 40.0}), measure, runs)
    assert len(seen) == len(set(seen)) == len(tuned.measured) == min(runs, 6)
    assert (tuned.best is None) == (runs == 0)


def test_search_begins_with_the_best_estimate_and_the_first_of_equals() -> None:
    measure, seen = counting(lambda chosen: 1.0)
    search(found({32: 5.0, 16: 5.0, 64: 1e9}), measure, 1)
    assert seen == [config(32, cb_multiplier=1)]


def test_search_finds_what_the_model_ranks_third() -> None:
    truth = {16: 90.0, 32: 80.0, 64: 50.0, 128: 70.0}
    measure, seen = counting(
        lambda chosen: truth[dict(chosen.constants)["BLOCK"]] / dict(chosen.options)["cb_multiplier"]
    )
    tuned = search(found({16: 10.0, 32: 10.5, 64: 11.0, 128: 100.0}), measure, 6)
    assert tuned.best is not None
    assert tuned.best.config == config(64, cb_multiplier=2)
    assert config(128, cb_multiplier=1) not in seen  # not promising


def test_refused_configurations_count_and_are_no_result() -> None:
    def measure(chosen: Config) -> float:
        if dict(chosen.constants)["BLOCK"] == 16:
            raise ValueError("too large")
        return 7.0

    tuned = search(found({16: 1.0, 32: 1.1}), measure, 4)
    assert len(tuned.measured) == 4
    assert tuned.best is not None
    assert tuned.best.cycles == 7.0
    assert {c.error for c in tuned.measured if c.cycles is None} == {"too large"}
    assert search(found({16: 1.0}), measure, 4).best is None


def test_space_is_the_product_of_its_axes() -> None:
    space = Space.around({"BLOCK": 64, "EVEN": True, "TINY": 2}, {"cb_multiplier": [1, 2], "num_stages": [2]})
    assert space.constants == {"BLOCK": [16, 32, 64, 128, 256], "EVEN": [True], "TINY": [2]}
    assert len(space) == len(list(space)) == 5 * 2 * 1 * 2
    with pytest.raises(UserError, match="no parameter 'BLOK'"):
        Space.around({"BLOCK": 64}, {"BLOK": [1]})


def test_configurations_of_an_autotuned_kernel() -> None:
    made = listed(
        [({"BLOCK": 32, "cb_multiplier": 4}, 3), ({"BLOCK": 64}, 2), ({"BLOCK": 64}, 2)], {"BLOCK": 16, "E": 1}
    )
    options = (("cb_multiplier", 4), ("num_stages", 3), ("use_dual_core", True))
    assert [dict(c.constants) for c in made] == [{"BLOCK": 32, "E": 1}, {"BLOCK": 64, "E": 1}]
    assert made[0].options == options


def test_axis_words() -> None:
    assert parse_axis("X=1,-2,true,relu") == ("X", [1, -2, True, "relu"])
    with pytest.raises(UserError, match="is no axis"):
        parse_axis("X=")


def test_grid_expressions() -> None:
    assert tuning.grid_function("cdiv(n, B), 16", ["n", "B"])({"n": 100, "B": 32}) == (4, 16)
    assert tuning.grid_function("min(n, 8)", ["n"])({"n": 100}) == (8,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cdiv(n, B", "is no expression"),
        ("m * 2", "unknown name 'm'"),
        ("__import__('os')", "unknown name '__import__'"),
        ("n.real", "only arithmetic"),
        ("[n]", "only arithmetic"),
    ],
)
def test_grid_errors(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tuning.grid_function(text, ["n", "B"])


def test_candidates_of_a_small_problem() -> None:
    kernel = importlib.import_module("mtia.tools.kernels.add").add_kernel
    x = np.zeros(4096, np.float32)
    subject = tuning.Subject(
        kernel, {"x_ptr": "*fp32", "y_ptr": "*fp32", "out_ptr": "*fp32", "n_elements": "i32"}, {"BLOCK_SIZE": 256},
        {"x_ptr": x, "y_ptr": x, "out_ptr": x, "n_elements": 4096},
        tuning.grid_function("cdiv(n_elements, BLOCK_SIZE)", kernel.arg_names), "mtia200",
    )  # fmt: skip
    good, refused = tuning.candidates(subject, Space.around(subject.start, {"BLOCK_SIZE": [256, 1 << 19]}))
    assert {dict(c.config.constants)["BLOCK_SIZE"] for c in good} == {256}
    assert {reason for _, reason in refused} == {"does not fit into local memory or the accumulators"}
    assert len(good) == len(refused) == 12
    assert all(c.estimate > CHIP.launch.first for c in good)


def test_database_round_trip_and_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    database = Database(tmp_path / "tuned")
    key = database.key("source", {"n": 4}, "chip")
    assert database.load(key) is None
    assert database.store(key, {"cycles": 5.0})
    assert database.load(key) == {"cycles": 5.0}
    assert key != database.key("source", {"n": 5}, "chip")
    (tmp_path / "tuned" / f"{key}.json").write_text(json.dumps({"cycles": 5.0})[:7])
    assert database.load(key) is None
    (tmp_path / "file").write_text("")
    nowhere = Database(tmp_path / "file")  # no folder, and no one may make it one
    assert not nowhere.store(key, {"cycles": 5.0})
    assert nowhere.load(key) is None
