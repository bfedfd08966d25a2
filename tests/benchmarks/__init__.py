"""Measurements behind the numbers in docs/benchmarks.md; each script runs by itself, all of them by `make bench`."""
