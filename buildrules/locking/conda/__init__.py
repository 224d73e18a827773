"""Conda environments: files, solving, locks."""
