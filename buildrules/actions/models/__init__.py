"""Models: their layers, where they come from, and the locks of those that come from elsewhere."""
