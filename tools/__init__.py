"""The mtiac command line, tuner and benchmarks."""
