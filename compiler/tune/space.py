"""The search space: values of a kernel's constexpr parameters and of compile options, listed in a fixed order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtia.isa.errors import UserError

__all__ = ["Config", "Space", "listed", "parse_axis"]

OPTION_AXES: Mapping[str, Sequence[Any]] = {
    "cb_multiplier": (1, 2, 4),
    "num_stages": (2, 3),
    "use_dual_core": (True, False),
}


@dataclass(frozen=True)
class Config:
    """A choice: constexpr values of the kernel and compile options."""

    constants: tuple[tuple[str, Any], ...]
    options: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in (*self.constants, *self.options))


@dataclass(frozen=True)
class Space:
    """The product of the values of each axis."""

    constants: Mapping[str, Sequence[Any]]
    options: Mapping[str, Sequence[Any]]

    @classmethod
    def around(
        cls, start: Mapping[str, Any], given: Mapping[str, Sequence[Any]] | None = None, factor: int = 4
    ) -> Space:
        """The axes of `given`; other constexprs that are powers of two above 8 range by `factor` both ways."""
        axes: dict[str, Sequence[Any]] = {}
        options = dict(OPTION_AXES)
        for name, values in (given or {}).items():
            if name in OPTION_AXES:
                options[name] = values
            elif name in start:
                axes[name] = values
            else:
                known = ", ".join((*start, *OPTION_AXES))
                raise UserError(f"no parameter '{name}' to tune; the kernel and the options have: {known}")
        for name, value in start.items():
            if name in axes:
                continue
            tunable = isinstance(value, int) and not isinstance(value, bool) and value > 8 and value & (value - 1) == 0
            low = value // factor if tunable else value
            axes[name] = [low << i for i in range(2 * factor.bit_length() - 1)] if tunable else [value]
        return cls(axes, options)

    def __iter__(self) -> Iterator[Config]:
        for constants in itertools.product(*self.constants.values()):
            for options in itertools.product(*self.options.values()):
                yield Config(
                    tuple(zip(self.constants, constants, strict=True)), tuple(zip(self.options, options, strict=True))
                )

    def __len__(self) -> int:
        size = 1
        for values in (*self.constants.values(), *self.options.values()):
            size *= len(values)
        return size


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """`NAME=1,2,4` of the command line: integers, true/false, or words."""
    name, separator, values = text.partition("=")
    if not separator or not values:
        raise UserError(f"'{text}' is no axis; write NAME=VALUE,VALUE,… as in BLOCK_SIZE=256,512")
    words = {"true": True, "false": False}

    def value(word: str) -> Any:
        return words[word.lower()] if word.lower() in words else int(word) if word.lstrip("-").isdigit() else word

    return name, [value(word) for word in values.split(",")]


def listed(choices: Iterable[tuple[Mapping[str, Any], int]], start: Mapping[str, Any]) -> list[Config]:
    """The configurations of an autotuned kernel, from pairs of its keyword values and stages over `start`."""
    found = []
    for values, stages in choices:
        given = {"num_stages": stages, **values}
        options = {name: given.get(name, axis[0]) for name, axis in OPTION_AXES.items()}
        constants = {name: given.get(name, value) for name, value in start.items()}
        found.append(Config(tuple(constants.items()), tuple(options.items())))
    return list(dict.fromkeys(found))
