"""Lints: what is likely wrong in a package although it can be built. Pure functions that return findings."""
