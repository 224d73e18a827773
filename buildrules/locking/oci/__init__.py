"""Base images: what a tag names now, and the lock."""
