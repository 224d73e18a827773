"""Serves a scikit-learn classifier: rows of numbers in, labels out. The iris and the digits model use it."""

from labelled.application import application

__all__ = ["application"]
