"""Fetches files when a container starts, and at build: standard library only, Python 3.9 and later.

This package is copied into images as it is, so it imports nothing of buildrules. A source is a plain JSON object with
a `kind`, that says where files lie and never a credential; `sources.locate` turns it and one file into url and headers.
"""
