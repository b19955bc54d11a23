"""Campaigns of `mtiac verify NAME`: seeded checks against oracles that are not ours; the tests run small samples."""
