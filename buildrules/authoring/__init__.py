"""Targets that buildrules makes for people, and the text of the BUILD.yaml that holds them."""
