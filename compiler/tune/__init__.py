"""Tuning: a space of configurations, a cost model over the chip file, a short search that measures, a database."""
