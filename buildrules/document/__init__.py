"""YAML as a tree with positions, and the errors that point into it."""
