"""Models that are kept elsewhere: what an address names now, and the lock."""
