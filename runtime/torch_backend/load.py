"""Registers the device with torch: at once where its native part is built, otherwise at the first use of the device."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

__all__ = ["ensure", "native", "register", "registered"]

MODES = ("warn", "quiet", "error")  # what a fallback to the CPU does, MTIA_FALLBACK
# What in `torch.mtia` needs the device; torch itself calls `_lazy_init` when a tensor is made on it.
USES = """_lazy_init init is_available device_count current_device set_device get_device_properties
get_device_capability current_stream default_stream set_stream synchronize empty_cache snapshot
get_rng_state""".split()

_module: Any = None
_failure: Exception | None = None
_operators: list[Any] = []  # a library's operators live as long as it


def register() -> None:
    """Register the device if it is built, else arrange for its first use to build it."""
    import torch
    from mtia.runtime import torch_backend
    from mtia.runtime.torch_backend import build

    torch.mtia.fallbacks = torch_backend.fallbacks
    torch.mtia.reset_fallbacks = torch_backend.reset_fallbacks
    if not may_be_accelerator():
        _defer(silent=("is_available", "device_count"))  # a GPU build of torch: `torch.accelerator` stays the GPU
    elif build.built():
        ensure()
    else:
        _defer()


def may_be_accelerator() -> bool:
    """Whether the device may become torch's accelerator unasked: not where torch is built for GPUs."""
    import torch

    asked = bool(os.environ.get("MTIA_TARGET")) or os.environ.get("TRITON_DEFAULT_BACKEND") == "mtia"
    return asked or not (torch.version.cuda or torch.version.hip)


def registered() -> bool:
    """Whether the device is registered with torch."""
    return _module is not None


def native() -> Any:
    """The native module; the device is built and registered if it is not yet."""
    ensure()
    return _module


def ensure() -> None:
    """Build if need be, and register; what went wrong once is said again every time."""
    global _module, _failure
    if _module is not None:
        return
    if _failure is not None:
        raise RuntimeError(str(_failure))
    try:
        _module = _start()
    except Exception as error:
        _failure = error
        raise RuntimeError(str(error)) from None


def _start() -> Any:
    import atexit

    import torch
    from mtia.runtime.torch_backend import build

    module = build.load_module(build.build())
    try:
        from mtia.runtime.devices import count

        devices = count()
    except Exception:
        devices = 0  # the first use says what is wrong with the number
    module.start(devices, os.environ.get("MTIA_FALLBACK", MODES[0]))
    atexit.register(module.finish)
    if torch._C._mtia_getDeviceCount() != devices:
        also = "" if may_be_accelerator() else "set MTIA_TARGET and "
        raise RuntimeError(f"the mtia device came after torch looked for accelerators: {also}start this program again")
    torch._C._dynamo.guards._empty_strided_mtia = _empty_strided
    _operators.append(torch.library.Library("aten", "IMPL"))
    _operators[0].impl("native_layer_norm", _native_layer_norm, "MTIA")
    return module


def _native_layer_norm(*arguments: Any) -> Any:
    from mtia.runtime.torch_backend import kernels

    return kernels.native_layer_norm(*arguments)


def _empty_strided(size: Any, stride: Any, dtype: Any) -> Any:
    """What Inductor's code calls for its buffers."""
    import torch

    return torch.empty_strided(size, stride, dtype=dtype, device="mtia")


def _defer(silent: tuple[str, ...] = ()) -> None:
    """Let the functions of `torch.mtia` that need the device register it first."""
    import torch

    for name in USES:
        if name not in silent:
            setattr(torch.mtia, name, _registering(getattr(torch.mtia, name)))


def _registering(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if _module is None:
            if function.__name__ in ("is_available", "device_count"):
                if not _try():
                    return function.__name__ == "device_count" and 0
            else:
                ensure()
        return function(*arguments, **options)

    return call


def _try() -> bool:
    """Register, or say once why not."""
    known = _failure
    try:
        ensure()
    except RuntimeError as error:
        if known is None:
            import warnings

            warnings.warn(str(error), RuntimeWarning, stacklevel=4)
        return False
    return True
