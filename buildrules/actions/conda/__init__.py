"""Conda packages as layers."""
