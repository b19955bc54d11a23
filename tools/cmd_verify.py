"""Run a campaign of checks against an oracle that is not ours; each has a seed and a size.

`mtiac verify` alone lists the campaigns. Exit code 0: no difference; 1: at least one, printed.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from mtia.isa.errors import UserError
from mtia.tools.verify.common import Report, campaigns, load

__all__ = ["add_arguments", "campaign_arguments", "run"]

_COMMON = ("campaign", "seed", "size", "json", "rest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("campaign", nargs="?", help="one of the campaigns; left out: list them")
    parser.add_argument("--seed", type=int, help="the first seed")
    parser.add_argument("--size", type=int, help="how many cases")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="these options, and those of the campaign")


def run(options: argparse.Namespace) -> int:
    """Run the campaign and print its report."""
    known = campaigns()
    if options.campaign is None and (options.seed, options.size, options.json) != (None, None, False):
        raise UserError(f"which campaign? mtiac verify NAME --seed N --size N; campaigns: {', '.join(known)}")
    if options.campaign is None:
        for name, text in known.items():
            print(f"{name:<12}{text}")
        return 0
    if options.campaign not in known:
        raise UserError(f"unknown campaign '{options.campaign}'; campaigns: {', '.join(known) or 'none'}")
    module = load(options.campaign)
    before = [text for key in ("seed", "size") if (text := _text_of(options, key))] + ["--json"] * options.json
    given = _options(module, options.campaign, [*before, *options.rest])
    for key, value in vars(given).items():
        if isinstance(value, int) and value < 0:
            raise UserError(f"--{key.replace('_', '-')} is {value}, must not be negative")
    least = min(module.SIZE, 1)  # 0 is a size where it is the usual one: all there are
    if given.size < least:
        raise UserError(f"--size is {given.size}, must be at least {least}")
    own = {key: value for key, value in vars(given).items() if key not in _COMMON}
    report = _run(module, given, own)
    print(json.dumps(report.as_json()) if given.json else _text(report))
    return 1 if report.failures else 0


def _text_of(options: argparse.Namespace, key: str) -> str:
    """An option that was given before the campaign's name, as it stands behind it."""
    value = getattr(options, key)
    return "" if value is None else f"--{key}={value}"


def _options(module: Any, name: str, rest: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"mtiac verify {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    campaign_arguments(parser, module)
    return parser.parse_args(rest)


def campaign_arguments(parser: argparse.ArgumentParser, module: Any) -> None:
    """Add what every campaign takes, and its own options."""
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--size", type=int, default=module.SIZE, help=f"how many cases ({module.SIZE})")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)


def _run(module: Any, given: argparse.Namespace, own: dict[str, Any]) -> Report:
    from tqdm import tqdm

    start = time.monotonic()
    with tqdm(total=given.size, disable=None if not given.json else True, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report: Report = module.run(seed=given.seed, size=given.size, progress=progress, **own)
    report.seconds = round(time.monotonic() - start, 1)
    return report


def _text(report: Report) -> str:
    lines = [f"{report.campaign}: seed {report.seed}, size {report.size}, {report.seconds:.1f} s"]
    lines += [f"  {name:<32}{value:>16,}" for name, value in report.counts.items()]
    lines += [f"  {note}" for note in report.notes]
    lines += [f"FAILED {failure}" for failure in report.failures]
    lines.append("no difference" if not report.failures else f"{len(report.failures)} failures")
    return "\n".join(lines)
