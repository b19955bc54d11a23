"""Passes: one file each, named as the pass."""
