"""MLIR dialects tt, mtia and pe, defined in Python."""
