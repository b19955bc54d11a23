"""Stock PyTorch's `mtia` device: found through the entry point `torch.backends`, it makes `device="mtia"` work.

`autoload` runs inside `import torch`: it imports nothing heavy, builds nothing and never raises.
"""

from __future__ import annotations

from typing import Any

__all__ = ["autoload", "fallbacks", "inductor_options", "reset_fallbacks"]


def autoload() -> None:
    """Called by `import torch`: registers the device if its native part is built, or makes its first use build it."""
    try:
        from mtia.runtime.torch_backend import load

        load.register()
    except Exception as error:  # an exception here would end `import torch`
        import warnings

        warnings.warn(f"the mtia device is not available: {error}", RuntimeWarning, stacklevel=2)


def fallbacks() -> dict[str, int]:
    """The operators that ran on the CPU for want of a kernel, with how often."""
    from mtia.runtime.torch_backend import load

    return dict(load.native().fallbacks())


def reset_fallbacks() -> None:
    """Count fallbacks from zero again; operators that were warned about are warned about again."""
    from mtia.runtime.torch_backend import load

    load.native().reset_fallbacks()


def inductor_options() -> dict[str, Any]:
    """Options for `torch.compile` with which Inductor makes Triton kernels of products and convolutions too."""
    import torch._inductor.config as config

    backends = (
        "max_autotune_gemm_backends",
        "max_autotune_conv_backends",
        "max_autotune_conv_bwd_weight_backends",
        "max_autotune_conv_bwd_input_backends",
    )
    known = {name: "TRITON" for name in backends if hasattr(config, name)}  # torch 2.12 has not all of them
    return {"max_autotune_gemm": True, **known}
