"""Simulated time for Triton's measuring functions, with few simulated launches.

`triton.testing.do_bench` launches once, estimates with five launches, then repeats for `rep` milliseconds. A simulated
launch takes the same time whenever it is repeated, so inside a measurement the second launch of the same kernel on the
same arguments is simulated and later ones only advance the clock; and the estimate is made so long that do_bench
repeats once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

__all__ = ["Clock", "DeviceInterface", "Event"]

LONG_MS = 1e9
NANOSECOND = 1e-6  # in milliseconds


class Clock:
    """The simulated time of all launches so far, and whether a measurement is under way."""

    def __init__(self) -> None:
        self.now_us = 0.0
        self.phase = "off"  # off → estimate → measure → off
        self._known: dict[Hashable, float] = {}

    def begin_measurement(self) -> None:
        """From now on equal launches are simulated once."""
        self.phase = "estimate"
        self._known = {}

    def synchronize(self) -> None:
        """do_bench synchronises once after its estimate and once at its end."""
        self.phase = {"estimate": "measure"}.get(self.phase, "off")

    def skip(self, key: Hashable) -> float | None:
        """If this launch need not be simulated: the microseconds it took before, by which the clock advances."""
        took = self._known.get(key) if self.phase != "off" else None
        if took is not None:
            self.now_us += took
        return took

    def add(self, key: Hashable, time_us: float) -> None:
        """Count a simulated launch."""
        self.now_us += time_us
        if self.phase != "off":
            self._known[key] = time_us

    def benchmark(self, kernel_call: Callable[[], Any], quantiles: Sequence[float] | None = None, **unused: Any) -> Any:
        """Milliseconds of one call, for each quantile asked for."""
        before = self.now_us
        kernel_call()
        took = (self.now_us - before) / 1e3
        return [took] * len(quantiles) if quantiles else took


class Event:
    """A point in simulated time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.at_us = 0.0
        self.estimates = False

    def record(self, stream: Any = None) -> None:
        """Note the time."""
        self.at_us = self.clock.now_us
        self.estimates = self.clock.phase == "estimate"

    def synchronize(self) -> None:
        """Launches are finished when they return."""

    def query(self) -> bool:
        """Whether the event has happened."""
        return True

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds from this event to `end`, at least a nanosecond: callers divide by it, and operators that run on
        the CPU take no simulated time.
        """
        return LONG_MS if self.estimates and end.estimates else max(NANOSECOND, (end.at_us - self.at_us) / 1e3)


class DeviceInterface:
    """The part of `torch.cuda` that Triton's measuring functions use."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def Event(self, enable_timing: bool = False) -> Event:
        """A new event."""
        return Event(self.clock)

    def synchronize(self) -> None:
        """Launches are finished when they return."""
        self.clock.synchronize()

    def current_device(self) -> int:
        """There is one device."""
        return 0
