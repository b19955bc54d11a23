"""Facts about the device that Inductor asks for."""

from mtia.runtime.devices import target

__all__ = ["build_codename"]


def build_codename() -> str:
    """The chip's name, which becomes Triton's `GPUTarget.arch`."""
    return target()
