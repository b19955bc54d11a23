"""Xmtia rows of the instruction table."""
