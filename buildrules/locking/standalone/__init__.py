"""Interpreters of python-build-standalone: which there are, where, and the locks that pin them."""
