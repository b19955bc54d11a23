"""Stands in for the host runtime that PyTorch's public sources import for the `mtia` device."""
