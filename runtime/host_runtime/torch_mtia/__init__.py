"""What Inductor's generated code and its autotuner import for the `mtia` device."""
