"""What other build systems are given, so that packages are targets of theirs: files written from the graph.

A format is a function in a module of its own, and a line in `formats.py`.
"""
