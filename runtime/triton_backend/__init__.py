"""The Triton plug-in: found through the entry point `triton.backends`, it makes `@triton.jit` kernels run on MTIA."""
