"""The digits model, served by what this workspace's models have in common."""

from labelled import application

app = application("digits.joblib", width=64, labels=[str(digit) for digit in range(10)])
