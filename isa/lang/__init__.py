"""A small typed subset of Python in which every meaning is written once."""
