"""A target and its rule become actions."""
