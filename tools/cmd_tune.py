"""Find the fastest configuration of a Triton kernel for given arguments.

The space is made of the kernel's constexpr parameters (powers of two around the values in --signature, or --axis) and
of the options cb_multiplier, num_stages and use_dual_core; without --axis, a kernel under triton.autotune brings its
own list of configurations. A cost model over the chip file ranks it, the machine
measures the most promising few (cycles are exact: one run is a measurement), and the result is kept in a database, so
the same question is answered at once the next time.

mtiac tune matmul.py::matmul_kernel --signature "*fp16,*fp16,*fp16,i32,…,64,64,32,8" \\
    --grid "cdiv(M, BLOCK_M) * cdiv(N, BLOCK_N)" --arg a_ptr=randn:512x512:fp16 … --axis BLOCK_K=32,64
"""

from __future__ import annotations

import argparse
import inspect
import json
import time
from typing import Any

from mtia.tools import files

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("input", help="FILE.py::kernel")
    parser.add_argument("--signature", help="types and constants in order, as for `mtiac run`")
    parser.add_argument("--grid", required=True, help="over arguments and constexprs: cdiv(n, BLOCK_SIZE)")
    parser.add_argument("--arg", action="append", default=[], dest="args", metavar="NAME=VALUE", help="see `mtiac run`")
    parser.add_argument("--seed", type=int, default=0, help="of the random arguments")
    parser.add_argument("--axis", action="append", default=[], metavar="NAME=V,V", help="the values of a parameter")
    parser.add_argument("--runs", type=int, default=8, help="configurations measured at most (0: the model alone)")
    parser.add_argument("--exhaustive", action="store_true", help="measure the whole space")
    parser.add_argument("--state", choices=("cold", "llc"), default="llc", help="caches empty, or arguments resident")
    parser.add_argument("--list", type=int, default=10, metavar="N", help="candidates to print")
    parser.add_argument("--fresh", action="store_true", help="do not take the answer from the database")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--target", default="mtia200", help="a chip, or the path of a chip file")


def run(arguments: argparse.Namespace) -> int:
    """Search, print, remember."""
    from mtia.compiler.options import Options
    from mtia.compiler.tune.database import Database
    from mtia.compiler.tune.search import search
    from mtia.compiler.tune.space import Config, Space, listed, parse_axis
    from mtia.tools import tuning

    subject, own = _subject(arguments)
    space: list[Config] | Space = listed(own, subject.start)
    if arguments.axis or not space:
        space = Space.around(subject.start, dict(parse_axis(text) for text in arguments.axis))
    shapes = {name: getattr(value, "shape", value) for name, value in subject.values.items()}
    question = {
        "shapes": shapes, "types": dict(subject.types), "space": [str(c) for c in space], "state": subject.state,
        "runs": arguments.runs, "exhaustive": arguments.exhaustive,
    }  # fmt: skip
    database = Database()
    key = database.key(inspect.getsource(subject.kernel.fn), question, Options(target=arguments.target).chip.key())
    stored = None if arguments.fresh else database.load(key)
    if stored is not None:
        return _print(arguments, {**stored, "from_database": True})
    start = time.perf_counter()
    found, refused = tuning.candidates(subject, space)
    tuned = search(found, tuning.measurer(subject), len(found) if arguments.exhaustive else arguments.runs)
    best = tuned.best
    rows = [
        {"config": str(c.config), "estimate": round(c.estimate), "bound": c.bound, "cycles": c.cycles, "error": c.error}
        for c in [*tuned.measured, *(c for c in tuned.candidates if c not in tuned.measured)]
    ]
    result = {
        "kernel": subject.kernel.__name__, "target": arguments.target, "configs": len(found), "refused": len(refused),
        "measured": len(tuned.measured), "best": str(best.config) if best else None,
        "cycles": best.cycles if best else None, "seconds": round(time.perf_counter() - start, 2), "candidates": rows,
    }  # fmt: skip
    database.store(key, result)
    return _print(arguments, {**result, "from_database": False})


def _subject(arguments: argparse.Namespace) -> tuple[Any, list[tuple[dict[str, Any], int]]]:
    """The kernel with its arguments, and the configurations that its file lists."""
    import numpy as np
    from mtia.isa.errors import UserError
    from mtia.tools.arrays import make_argument
    from mtia.tools.tuning import Subject, grid_function

    source = files.source_of(arguments.input)
    outer, kernel = files.load_kernel(source)
    signature = files.parse_signature(arguments.signature, kernel, str(source.path))
    names = [name for name in kernel.arg_names if name in signature.types]
    given: dict[str, Any] = {}
    for place, spec in enumerate(arguments.args):
        name = spec.partition("=")[0]
        if name not in names:
            raise UserError(f"--arg {spec}: the kernel's arguments are {', '.join(names)}")
        given[name] = make_argument(spec, np.random.default_rng([arguments.seed, place]))
    missing = [name for name in names if name not in given]
    if missing:
        raise UserError(f"--arg for '{missing[0]}' is missing")
    own = [(dict(choice.kwargs), choice.num_stages) for choice in getattr(outer, "configs", ())]
    subject = Subject(
        kernel, {name: signature.types[name] for name in names}, signature.constants, {n: given[n] for n in names},
        grid_function(arguments.grid, kernel.arg_names), arguments.target, arguments.state, signature.attributes,
    )  # fmt: skip
    return subject, own


def _print(arguments: argparse.Namespace, result: dict[str, Any]) -> int:
    if arguments.json:
        print(json.dumps(result))
        return 0 if result["best"] else 1
    from mtia.tools.console import Console
    from rich.table import Table

    title = f"{result['kernel']} on {result['target']}"
    table = Table("configuration", "model, cycles", "bound by", "measured", title=title)
    for row in result["candidates"][: max(arguments.list, result["measured"] if not arguments.exhaustive else 0)]:
        measured = f"{row['cycles']:.0f}" if row["cycles"] else (row["error"] or "")
        table.add_row(row["config"], str(row["estimate"]), row["bound"], measured)
    Console(highlight=False).print(table)
    source = " (from the database)" if result["from_database"] else f" in {result['seconds']} s"
    print(f"space        {result['configs']} valid configurations, {result['refused']} refused by the model")
    print(f"best         {result['best']}: {result['cycles']:.0f} cycles, {result['measured']} measured{source}"
          if result["best"] else "best         none could run")  # fmt: skip
    return 0 if result["best"] else 1
