"""Python requirements, conda files and their locks."""
