"""buildrules packages machine-learning models as OCI images made of content-addressed layers."""

__version__ = "0.1.0"
