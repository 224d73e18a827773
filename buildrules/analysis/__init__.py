"""A workspace whose targets are sound, and which of them a command is about."""
