"""Measure batchgen against simple loops without its guarantees: `python -m tests.bench`."""
