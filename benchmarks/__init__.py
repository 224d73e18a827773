"""Benchmarks: whole processes, medians of at least five, ratios against peers in the same run.

`python -m benchmarks` runs all of them; `python -m benchmarks.edit` one.
"""
