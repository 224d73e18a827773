"""Python environments: requirements, conda files, locks by uv, wheels."""
