"""Debian packages: mirrors, signatures, resolution, locks, root file systems."""
