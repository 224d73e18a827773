"""Debian packages: signed indexes, a solver, and the lock."""
