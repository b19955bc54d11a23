"""Benchmarks: `mtiac bench compile|simulate|kernels|tune|start`, each beside a peer measured in the same run."""
