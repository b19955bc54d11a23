"""Triton kernels as users write them: the demo, the benchmarks and the tests run these."""
