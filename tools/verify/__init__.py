"""Campaigns: `mtiac verify NAME`, long seeded checks against oracles that are not ours; tests run small samples of each."""
